//! Text with numbered lines and with what is invisible made visible, byte for byte as coreutils' cat shows it.

/// What is shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Show {
    /// Numbers at lines.
    pub numbers: Numbers,
    /// Blank lines in a row become one.
    pub squeeze: bool,
    /// `$` at ends of lines.
    pub ends: bool,
    /// Tabs as `^I`.
    pub tabs: bool,
    /// Control characters as `^X`, bytes above ASCII as `M-X`.
    pub invisible: bool,
}

/// Which lines are numbered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Numbers {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// Those that are not blank.
    NotBlank,
}

/// Shows a stream in pieces; lines go on across files.
pub struct Shower {
    show: Show,
    line: u64,
    at_start: bool,
    blank: bool,
    /// A carriage return whose next byte has not arrived.
    held_return: bool,
}

impl Shower {
    /// Begins a stream.
    pub fn new(show: Show) -> Self {
        Self { show, line: 0, at_start: true, blank: false, held_return: false }
    }

    /// Adds the next bytes.
    pub fn push(&mut self, bytes: &[u8], to: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            let (text, tail) = rest.split_at(until(rest, |byte| byte == b'\n'));
            if !text.is_empty() {
                self.text(text, to);
            }
            let Some((_newline, tail)) = tail.split_first() else { return };
            self.newline(*first == b'\n', to);
            rest = tail;
        }
    }

    /// Ends the stream.
    pub fn finish(&mut self, to: &mut Vec<u8>) {
        if std::mem::take(&mut self.held_return) {
            to.push(b'\r');
        }
    }

    fn text(&mut self, text: &[u8], to: &mut Vec<u8>) {
        self.finish(to);
        if self.at_start {
            self.number(self.show.numbers != Numbers::None, to);
        }
        (self.at_start, self.blank) = (false, false);
        let Show { ends, tabs, invisible, .. } = self.show;
        let text = match text.split_last() {
            // Only before a newline is it shown where nothing else is.
            Some((b'\r', head)) if ends && !invisible => {
                self.held_return = true;
                head
            }
            _ => text,
        };
        if !tabs && !invisible {
            to.extend_from_slice(text);
            return;
        }
        let mut rest = text;
        while !rest.is_empty() {
            let (head, tail) = match (invisible, tabs) {
                (false, _) => rest.split_at(until(rest, |byte| byte == b'\t')),
                (true, true) => rest.split_at(until(rest, |byte| !matches!(byte, 0x20..=0x7e))),
                (true, false) => rest.split_at(until(rest, |byte| !matches!(byte, 0x20..=0x7e | b'\t'))),
            };
            to.extend_from_slice(head);
            let Some((byte, tail)) = tail.split_first() else { return };
            visible(*byte, tabs, to);
            rest = tail;
        }
    }

    fn newline(&mut self, empty: bool, to: &mut Vec<u8>) {
        if empty && self.at_start {
            if self.blank && self.show.squeeze {
                return;
            }
            self.blank = true;
            self.number(self.show.numbers == Numbers::All, to);
        }
        if std::mem::take(&mut self.held_return) {
            to.extend_from_slice(b"^M");
        }
        if self.show.ends {
            to.push(b'$');
        }
        to.push(b'\n');
        self.at_start = true;
    }

    fn number(&mut self, numbered: bool, to: &mut Vec<u8>) {
        if !numbered {
            return;
        }
        self.line += 1;
        let mut digits = [b' '; 20];
        let (mut number, mut at) = (self.line, digits.len());
        while number > 0 {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        to.extend_from_slice(&digits[at.min(14)..]);
        to.push(b'\t');
    }
}

/// Where the first byte that `stops` is, or the length. Sixteen at once, without a branch for each: the compiler makes
/// vector instructions of that.
fn until(bytes: &[u8], stops: impl Fn(u8) -> bool) -> usize {
    let blocks = bytes.chunks_exact(16);
    let clear =
        blocks.take_while(|block| !block.iter().fold(false, |any, byte| any | stops(*byte))).count() * 16;
    let rest = bytes.get(clear..).unwrap_or_default();
    clear + rest.iter().position(|byte| stops(*byte)).unwrap_or(rest.len())
}

/// One byte as `^X`, `M-X` or `M-^X`.
fn visible(byte: u8, tabs: bool, to: &mut Vec<u8>) {
    let low = byte & 0x7f;
    if byte >= 0x80 {
        to.extend_from_slice(b"M-");
    }
    match low {
        b'\t' if byte < 0x80 && !tabs => to.push(low),
        0x7f => to.extend_from_slice(b"^?"),
        0..=0x1f => to.extend_from_slice(&[b'^', low + 0x40]),
        _ => to.push(low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(show: Show, pieces: &[&[u8]]) -> String {
        let (mut shower, mut to) = (Shower::new(show), Vec::new());
        for piece in pieces {
            shower.push(piece, &mut to);
        }
        shower.finish(&mut to);
        String::from_utf8_lossy(&to).into_owned()
    }

    #[test]
    fn lines_go_on_across_pieces() {
        let all = Show { numbers: Numbers::All, ..Show::default() };
        assert_eq!(shown(all, &[b"a", b"b\n", b"\nc"]), "     1\tab\n     2\t\n     3\tc");
        let text = Show { numbers: Numbers::NotBlank, squeeze: true, ..Show::default() };
        assert_eq!(shown(text, &[b"\n", b"\n\na\n\n", b"\nb"]), "\n     1\ta\n\n     2\tb");
    }

    #[test]
    fn a_carriage_return_is_shown_only_at_the_end_of_a_line() {
        let ends = Show { ends: true, ..Show::default() };
        assert_eq!(shown(ends, &[b"a\r\nb\rc\r", b"\n\r", b"d\r"]), "a^M$\nb\rc^M$\n\rd\r");
    }

    #[test]
    fn every_byte_has_its_notation() {
        let all = Show { ends: true, tabs: true, invisible: true, ..Show::default() };
        assert_eq!(shown(all, &[b"\0\x1b\t\x7f\x80\x89\xa0\xff\r\n"]), "^@^[^I^?M-^@M-^IM- M-^?^M$\n");
        let no_tabs = Show { invisible: true, ..Show::default() };
        assert_eq!(shown(no_tabs, &[b"\t\x89"]), "\tM-^I");
    }
}
