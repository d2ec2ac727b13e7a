//! The formats of `-printf`.

use super::expression::Clock;
use crate::out::date;

/// A format that is ready to be printed.
#[derive(Debug)]
pub struct Format(pub Vec<Part>);

/// One part of a format.
#[derive(Debug, PartialEq)]
pub enum Part {
    /// As it is.
    Text(Vec<u8>),
    /// Something of the file, and how it is laid out.
    Field(Field, Layout),
    /// Prints what there is, and ends this file's output.
    Stop,
}

/// What is printed of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `%p`.
    Path,
    /// `%f`.
    Base,
    /// `%h`.
    Directory,
    /// `%P`.
    Below,
    /// `%H`.
    Start,
    /// `%s`.
    Size,
    /// `%b`.
    Blocks,
    /// `%k`.
    Kibibytes,
    /// `%m`.
    Octal,
    /// `%M`.
    Mode,
    /// `%u`.
    User,
    /// `%U`.
    Uid,
    /// `%g`.
    Group,
    /// `%G`.
    Gid,
    /// `%i`.
    Inode,
    /// `%n`.
    Links,
    /// `%d`.
    Depth,
    /// `%D`.
    Device,
    /// `%y`.
    Type,
    /// `%Y`.
    TargetType,
    /// `%l`.
    Target,
    /// `%t`, `%a`, `%c`: as ctime(3) prints it.
    Time(Clock),
    /// `%Tk`, `%Ak`, `%Ck`: one part of it.
    TimePart(Clock, u8),
    /// `%S`.
    Sparseness,
}

/// Flags, width and precision of a field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layout {
    /// `-`.
    pub left: bool,
    /// `0`.
    pub zeros: bool,
    /// `+`.
    pub plus: bool,
    /// `#`.
    pub alternate: bool,
    /// The least width.
    pub width: usize,
    /// The most of a text, the least digits of a number.
    pub precision: Option<usize>,
}

/// The widest field.
const WIDEST: usize = 4096;

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    /// A sentence that names what is not known.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let (mut parts, mut literal, mut rest) = (Vec::new(), Vec::new(), text);
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'\\' => {
                    let Some((&letter, after)) = rest.split_first() else {
                        literal.push(b'\\');
                        break;
                    };
                    rest = after;
                    match letter {
                        b'a' => literal.push(7),
                        b'b' => literal.push(8),
                        b'c' => {
                            parts.push(Part::Text(std::mem::take(&mut literal)));
                            parts.push(Part::Stop);
                            return Ok(Self(parts));
                        }
                        b'f' => literal.push(12),
                        b'n' => literal.push(b'\n'),
                        b'r' => literal.push(b'\r'),
                        b't' => literal.push(b'\t'),
                        b'v' => literal.push(11),
                        b'\\' => literal.push(b'\\'),
                        b'0'..=b'7' => {
                            let more = rest.iter().take(2).take_while(|b| matches!(b, b'0'..=b'7')).count();
                            let digits = rest.get(..more).unwrap_or_default();
                            let value = digits.iter().fold(u32::from(letter - b'0'), |sum, digit| {
                                sum * 8 + u32::from(digit - b'0')
                            });
                            literal.push(value as u8);
                            rest = rest.get(more..).unwrap_or_default();
                        }
                        other => literal.extend([b'\\', other]),
                    }
                }
                b'%' if rest.first() == Some(&b'%') => {
                    literal.push(b'%');
                    rest = &rest[1..];
                }
                b'%' => {
                    let (layout, after) = layout(rest);
                    let (field, after) = field(after)?;
                    rest = after;
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Field(field, layout));
                }
                byte => literal.push(byte),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }
}

fn layout(mut text: &[u8]) -> (Layout, &[u8]) {
    let mut layout = Layout::default();
    while let Some((flag, after)) = text.split_first() {
        match flag {
            b'-' => layout.left = true,
            b'0' => layout.zeros = true,
            b'+' => layout.plus = true,
            b'#' => layout.alternate = true,
            b' ' => {}
            _ => break,
        }
        text = after;
    }
    let number = |text: &mut &[u8]| {
        let mut value = 0usize;
        while let Some((digit @ b'0'..=b'9', after)) = text.split_first() {
            value = (value * 10 + usize::from(digit - b'0')).min(WIDEST);
            *text = after;
        }
        value
    };
    layout.width = number(&mut text);
    if let Some((b'.', after)) = text.split_first() {
        text = after;
        layout.precision = Some(number(&mut text));
    }
    (layout, text)
}

fn field(text: &[u8]) -> Result<(Field, &[u8]), String> {
    let Some((&letter, rest)) = text.split_first() else {
        return Err("the format of -printf ends within a %".to_owned());
    };
    let clock = |letter: u8| match letter {
        b'A' | b'a' => Clock::Access,
        b'B' => Clock::Birth,
        b'C' | b'c' => Clock::Change,
        _ => Clock::Modification,
    };
    let field = match letter {
        b'p' => Field::Path,
        b'f' => Field::Base,
        b'h' => Field::Directory,
        b'P' => Field::Below,
        b'H' => Field::Start,
        b's' => Field::Size,
        b'b' => Field::Blocks,
        b'k' => Field::Kibibytes,
        b'm' => Field::Octal,
        b'M' => Field::Mode,
        b'u' => Field::User,
        b'U' => Field::Uid,
        b'g' => Field::Group,
        b'G' => Field::Gid,
        b'i' => Field::Inode,
        b'n' => Field::Links,
        b'd' => Field::Depth,
        b'D' => Field::Device,
        b'y' => Field::Type,
        b'Y' => Field::TargetType,
        b'l' => Field::Target,
        b'S' => Field::Sparseness,
        b't' | b'a' | b'c' => Field::Time(clock(letter)),
        b'T' | b'A' | b'C' | b'B' => {
            let Some((&part, rest)) = rest.split_first() else {
                return Err("the format of -printf ends within a %".to_owned());
            };
            if !date::PARTS.contains(&part) {
                return Err(unknown(&[letter, part]));
            }
            return Ok((Field::TimePart(clock(letter), part), rest));
        }
        _ => return Err(unknown(&[letter])),
    };
    Ok((field, rest))
}

fn unknown(letters: &[u8]) -> String {
    format!("unknown directive '%{}' of -printf", super::parse::shown(letters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read() {
        let parts = Format::parse(b"%-10p\\t%5.2s%%\\060x\\n").unwrap().0;
        let path = Layout { left: true, width: 10, ..Layout::default() };
        let size = Layout { width: 5, precision: Some(2), ..Layout::default() };
        assert_eq!(
            parts,
            [
                Part::Field(Field::Path, path),
                Part::Text(b"\t".to_vec()),
                Part::Field(Field::Size, size),
                Part::Text(b"%0x\n".to_vec()),
            ]
        );
        assert_eq!(Format::parse(b"a\\cb").unwrap().0, [Part::Text(b"a".to_vec()), Part::Stop]);
        for (text, words) in [("%q", "'%q'"), ("%", "ends within"), ("%T", "ends within"), ("%TQ", "'%TQ'")] {
            assert!(Format::parse(text.as_bytes()).is_err_and(|why| why.contains(words)), "{text}");
        }
    }
}
