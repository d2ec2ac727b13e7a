//! Keys: which part of a line is compared, and how. POSIX sort, "-k keydef".

/// What a key's text is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum As {
    /// Bytes.
    #[default]
    Text,
    /// -n.
    Number,
    /// -g.
    General,
    /// -h.
    Human,
    /// -M.
    Month,
    /// -V.
    Version,
    /// -R.
    Random,
}

/// Which bytes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Counts {
    /// All.
    #[default]
    All,
    /// Blanks, letters, digits.
    Dictionary,
    /// What prints.
    Printing,
}

/// How keys are compared: the letters of options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ordering {
    /// What the text is taken for.
    pub kind: As,
    /// Which bytes count.
    pub counts: Counts,
    /// Lower case is as upper case.
    pub fold: bool,
    /// Blanks before the begin don't count.
    pub blanks_at_start: bool,
    /// Blanks before the end's field don't count.
    pub blanks_at_end: bool,
    /// Turned round.
    pub reverse: bool,
}

impl Ordering {
    /// Takes an option's letter, at the begin or the end of a key.
    ///
    /// # Errors
    /// A letter that there is not, or that does not go with the others.
    pub fn set(&mut self, letter: u8, at_start: bool, at_end: bool) -> Result<(), String> {
        let kind = match letter {
            b'n' => As::Number,
            b'g' => As::General,
            b'h' => As::Human,
            b'M' => As::Month,
            b'V' => As::Version,
            b'R' => As::Random,
            b'b' => {
                self.blanks_at_start |= at_start;
                self.blanks_at_end |= at_end;
                return Ok(());
            }
            b'f' => {
                self.fold = true;
                return Ok(());
            }
            b'r' => {
                self.reverse = true;
                return Ok(());
            }
            b'd' => {
                self.counts = Counts::Dictionary;
                return self.agree();
            }
            b'i' => {
                if self.counts == Counts::All {
                    self.counts = Counts::Printing;
                }
                return self.agree();
            }
            other => return Err(format!("there is no option '{}' of keys", char::from(other))),
        };
        if self.kind != As::Text && self.kind != kind {
            return Err("of -g, -h, -M, -n, -R and -V only one can be".into());
        }
        self.kind = kind;
        self.agree()
    }

    fn agree(&self) -> Result<(), String> {
        if self.counts != Counts::All && !matches!(self.kind, As::Text | As::Version | As::Random) {
            return Err("-d and -i go with none of -g, -h, -M and -n".into());
        }
        Ok(())
    }

    /// Whether lines are compared by more than their bytes.
    pub fn is_special(&self) -> bool {
        *self != Self { reverse: self.reverse, ..Self::default() }
    }
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Fields before it.
    field: usize,
    /// Bytes before it in its field.
    offset: usize,
    /// The last field, from 0, and how many bytes of it (0: all); none is the end of the line.
    end: Option<(usize, usize)>,
    /// How it is compared.
    pub how: Ordering,
}

impl Key {
    /// The whole line.
    pub fn whole(how: &Ordering) -> Self {
        Self { field: 0, offset: 0, end: None, how: *how }
    }

    /// Reads `F[.C][OPTIONS][,F[.C][OPTIONS]]`. A key without options has those of the command.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, global: &Ordering) -> Result<Self, String> {
        let mut how = Ordering::default();
        let (start, end) = match text.split_once(',') {
            Some((start, end)) => (start, Some(end)),
            None => (text, None),
        };
        let (field, offset, letters) = position(start)?;
        if offset == Some(0) {
            return Err("bytes are counted from 1".into());
        }
        for letter in letters.bytes() {
            how.set(letter, true, false)?;
        }
        let end = match end {
            None => None,
            Some(end) => {
                let (field, count, letters) = position(end)?;
                for letter in letters.bytes() {
                    how.set(letter, false, true)?;
                }
                Some((field - 1, count.unwrap_or(0)))
            }
        };
        let how = if how == Ordering::default() { *global } else { how };
        Ok(Self { field: field - 1, offset: offset.map_or(0, |offset| offset - 1), end, how })
    }

    /// Its part of a line.
    pub fn of<'a>(&self, line: &'a [u8], separator: Option<u8>) -> &'a [u8] {
        let begin = self.begin(line, separator);
        let end = self.end(line, separator).max(begin);
        line.get(begin..end).unwrap_or_default()
    }

    fn begin(&self, line: &[u8], separator: Option<u8>) -> usize {
        let mut at = 0;
        for _ in 0..self.field {
            if at >= line.len() {
                break;
            }
            at = match separator {
                Some(separator) => (find(line, at, separator) + 1).min(line.len()),
                None => after_field(line, at),
            };
        }
        if self.how.blanks_at_start {
            at = after_blanks(line, at);
        }
        at.saturating_add(self.offset).min(line.len())
    }

    fn end(&self, line: &[u8], separator: Option<u8>) -> usize {
        let Some((field, count)) = self.end else { return line.len() };
        let mut at = 0;
        let mut fields = if count == 0 { field.saturating_add(1) } else { field };
        while at < line.len() && fields > 0 {
            fields -= 1;
            match separator {
                Some(separator) => {
                    at = find(line, at, separator);
                    if at < line.len() && (fields > 0 || count > 0) {
                        at += 1;
                    }
                }
                None => at = after_field(line, at),
            }
        }
        if count == 0 {
            return at;
        }
        if self.how.blanks_at_end {
            at = after_blanks(line, at);
        }
        at.saturating_add(count).min(line.len())
    }
}

/// A field from 1, a byte where there is one, and the letters after them.
fn position(text: &str) -> Result<(usize, Option<usize>, &str), String> {
    let (field, rest) = number(text)?;
    if field == 0 {
        return Err("fields are counted from 1".into());
    }
    match rest.strip_prefix('.') {
        None => Ok((field, None, rest)),
        Some(rest) => {
            let (offset, rest) = number(rest)?;
            Ok((field, Some(offset), rest))
        }
    }
}

fn number(text: &str) -> Result<(usize, &str), String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(digits);
    if digits.is_empty() {
        return Err("a number is wanted".into());
    }
    Ok((digits.parse().unwrap_or(usize::MAX), rest))
}

fn find(line: &[u8], from: usize, byte: u8) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    memchr::memchr(byte, rest).map_or(line.len(), |at| from + at)
}

/// Whether a byte separates fields where no other does.
pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n')
}

fn after_blanks(line: &[u8], from: usize) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| is_blank(**byte)).count()
}

fn after_field(line: &[u8], from: usize) -> usize {
    let from = after_blanks(line, from);
    let rest = line.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| !is_blank(**byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_cut_lines() {
        for (key, separator, line, part) in [
            ("1", None, "one two", "one two"),
            ("2", None, "one two three", " two three"),
            ("2,2", None, "one  two three", "  two"),
            ("2b,2", None, "one  two three", "two"),
            ("2.2,2.3", None, "one two three", "tw"),
            ("1.2,1.2", None, "abc", "b"),
            ("2,2", Some(b':'), "a:b:c", "b"),
            ("2", Some(b':'), "a:b:c", "b:c"),
            ("3,3", Some(b':'), "a:b", ""),
            ("2,1", Some(b':'), "a:b", ""),
            ("1,2.1", Some(b':'), "a:bc", "a:b"),
            ("9.9,9.9", None, "a", ""),
        ] {
            let key = Key::parse(key, &Ordering::default()).unwrap();
            assert_eq!(key.of(line.as_bytes(), separator), part.as_bytes(), "{key:?} {line}");
        }
        for wrong in ["", "0", "1.0", "1x", "a", "1,", "1,0", "1nM", "1nd", "1."] {
            assert!(Key::parse(wrong, &Ordering::default()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_without_options_has_those_of_the_command() {
        let global = Ordering { kind: As::Number, reverse: true, ..Ordering::default() };
        assert_eq!(Key::parse("1", &global).unwrap().how, global);
        assert_eq!(Key::parse("1f", &global).unwrap().how, Ordering { fold: true, ..Ordering::default() });
    }
}
