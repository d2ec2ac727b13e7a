//! The formats of `stat -c`.

use std::os::unix::ffi::OsStrExt;

use crate::cmd::{Fault, Result};
use crate::out::name::{escape, shell_quoted};
use crate::out::units::{self, Utc};
use crate::sys::mounts::Mount;
use crate::sys::passwd::Users;
use crate::sys::statx::{Facts, Space, Time, kind_name, mode_text};

/// A file that is shown.
pub struct File<'a> {
    /// As it was asked for.
    pub path: &'a [u8],
    /// Its facts.
    pub facts: &'a Facts,
    /// Of a link: where it leads.
    pub target: Option<&'a [u8]>,
    /// The container's users.
    pub users: &'a Users,
    /// What is mounted.
    pub mounts: &'a [Mount],
}

/// A file system that is shown.
pub struct FileSystem<'a> {
    /// A file on it, as it was asked for.
    pub path: &'a [u8],
    /// Its space.
    pub space: &'a Space,
    /// The name of its type.
    pub kind: &'a str,
}

/// A part of a format.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Directive(Directive),
}

/// `%-10.3s`: flags, width, precision, letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Directive {
    left: bool,
    zero: bool,
    sharp: bool,
    plus: bool,
    space: bool,
    width: usize,
    precision: Option<usize>,
    letter: u8,
}

/// A parsed format.
#[derive(Debug)]
pub struct Format {
    parts: Vec<Part>,
}

/// Cells are not padded to more.
const MAX_WIDTH: usize = 1 << 16;

const OF_FILE: &[u8] = b"aAbBdDfFgGhHiLmnNorRstTuUwWxXyYzZC";
const OF_FILE_SYSTEM: &[u8] = b"abcdfilnsStT";

impl Format {
    /// Parses one. `escapes`: backslashes are read, and no newline is added.
    ///
    /// # Errors
    /// A directive that there is not.
    pub fn parse(text: &[u8], escapes: bool, of_file_system: bool) -> Result<Self> {
        let known = if of_file_system { OF_FILE_SYSTEM } else { OF_FILE };
        let mut parts = Vec::new();
        let mut plain = Vec::new();
        let mut at = 0;
        while let Some(byte) = text.get(at).copied() {
            at += 1;
            match byte {
                b'\\' if escapes => {
                    let (byte, used) = escaped(text.get(at..).unwrap_or_default());
                    plain.extend(byte);
                    at += used;
                }
                b'%' if at == text.len() => plain.push(b'%'),
                b'%' if text.get(at) == Some(&b'%') => {
                    plain.push(b'%');
                    at += 1;
                }
                b'%' => {
                    let (directive, used) = directive(text.get(at..).unwrap_or_default());
                    let letter = directive.letter;
                    if !known.contains(&letter) || letter == b'C' {
                        let shown = String::from_utf8_lossy(text.get(at - 1..at + used).unwrap_or_default())
                            .into_owned();
                        let cause = match letter {
                            b'C' => "%C: security contexts are not shown; info shows the target's label"
                                .to_owned(),
                            _ => {
                                format!("'{}' is not a directive", crate::out::name::escape(shown.as_bytes()))
                            }
                        };
                        return Err(Fault::usage(cause).with_hint("help stat lists them"));
                    }
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Directive(directive));
                    at += used;
                }
                other => plain.push(other),
            }
        }
        if !escapes {
            plain.push(b'\n');
        }
        parts.push(Part::Text(plain));
        Ok(Self { parts })
    }

    /// Renders a file.
    pub fn of_file(&self, file: &File, tty: bool) -> Vec<u8> {
        self.render(|directive| of_file(file, directive), tty)
    }

    /// Renders a file system.
    pub fn of_file_system(&self, file_system: &FileSystem, tty: bool) -> Vec<u8> {
        self.render(|directive| of_file_system(file_system, directive), tty)
    }

    /// On a terminal names are escaped, else they are as they are.
    fn render(&self, value: impl Fn(&Directive) -> Value, tty: bool) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Directive(directive) => {
                    let value = match value(directive) {
                        Value::Text(text) if tty => Value::Text(escape(&text).into_bytes()),
                        value => value,
                    };
                    pad(directive, value, &mut out);
                }
            }
        }
        out
    }
}

/// A byte behind a backslash, and how many bytes it took.
fn escaped(rest: &[u8]) -> (Option<u8>, usize) {
    let number = |digits: &[u8], base: u32| {
        digits.iter().fold(0u32, |n, d| n * base + char::from(*d).to_digit(base).unwrap_or(0)) as u8
    };
    let digits = |from: &[u8], most: usize, base: u32| {
        from.iter().take(most).take_while(|d| char::from(**d).is_digit(base)).count()
    };
    match rest.first().copied() {
        None => (Some(b'\\'), 0),
        Some(b'x') => match digits(&rest[1..], 2, 16) {
            0 => (Some(b'x'), 1),
            count => (Some(number(&rest[1..=count], 16)), 1 + count),
        },
        Some(b'0'..=b'7') => {
            let count = digits(rest, 3, 8);
            (Some(number(&rest[..count], 8)), count)
        }
        Some(letter) => {
            let byte = match letter {
                b'a' => 7,
                b'b' => 8,
                b'e' => 27,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                other => other,
            };
            (Some(byte), 1)
        }
    }
}

fn directive(rest: &[u8]) -> (Directive, usize) {
    let mut directive = Directive {
        left: false,
        zero: false,
        sharp: false,
        plus: false,
        space: false,
        width: 0,
        precision: None,
        letter: 0,
    };
    let mut at = 0;
    while let Some(flag) = rest.get(at) {
        match flag {
            b'-' => directive.left = true,
            b'0' => directive.zero = true,
            b'#' => directive.sharp = true,
            b'+' => directive.plus = true,
            b' ' => directive.space = true,
            b'\'' => {}
            _ => break,
        }
        at += 1;
    }
    let number = |at: &mut usize| {
        let mut value = 0usize;
        while let Some(digit) = rest.get(*at).filter(|byte| byte.is_ascii_digit()) {
            value = value.saturating_mul(10).saturating_add(usize::from(digit - b'0')).min(MAX_WIDTH);
            *at += 1;
        }
        value
    };
    directive.width = number(&mut at);
    if rest.get(at) == Some(&b'.') {
        at += 1;
        // A bare point is nine digits.
        let is_bare = !rest.get(at).is_some_and(u8::is_ascii_digit);
        directive.precision = Some(if is_bare { 9 } else { number(&mut at) });
    }
    // %Hd and %Ld are the halves of a device's number.
    if let (Some(b'H' | b'L'), Some(b'd' | b'r')) = (rest.get(at), rest.get(at + 1)) {
        directive.letter = match (rest[at], rest[at + 1]) {
            (b'H', b'd') => b'H',
            (_, b'd') => b'L',
            (b'H', _) => b't',
            _ => b'T',
        };
        // The halves of %r are the decimal forms of %t and %T, which are hexadecimal.
        directive.space |= rest[at + 1] == b'r';
        return (directive, at + 2);
    }
    directive.letter = match rest.get(at) {
        // Alone they are no directives.
        Some(b'H' | b'L') | None => 0,
        Some(letter) => *letter,
    };
    (directive, at + usize::from(at < rest.len()))
}

/// What a directive stands for.
enum Value {
    Text(Vec<u8>),
    Decimal(u64),
    Octal(u32),
    Hex(u64),
    /// Seconds, with a precision nanoseconds too.
    Seconds(Option<Time>),
}

fn pad(directive: &Directive, value: Value, out: &mut Vec<u8>) {
    let (mut text, is_number) = match value {
        Value::Text(text) => (text, false),
        Value::Decimal(number) => (number.to_string().into_bytes(), true),
        Value::Octal(number) if directive.sharp && number != 0 => (format!("0{number:o}").into_bytes(), true),
        Value::Octal(number) => (format!("{number:o}").into_bytes(), true),
        Value::Hex(number) if directive.sharp && number != 0 => (format!("0x{number:x}").into_bytes(), true),
        Value::Hex(number) => (format!("{number:x}").into_bytes(), true),
        Value::Seconds(time) => {
            let (seconds, nanoseconds) = time.unwrap_or((0, 0));
            let whole = match directive.precision {
                None | Some(0) => seconds.to_string(),
                Some(precision) => {
                    let digits = precision.min(9);
                    // Before 1970 the fraction counts from above.
                    let (sign, whole, nanoseconds) = match (seconds < 0, nanoseconds) {
                        (true, 0) => ("-", seconds.unsigned_abs(), 0),
                        (true, above) => ("-", seconds.unsigned_abs() - 1, 1_000_000_000 - above),
                        (false, above) => ("", seconds.unsigned_abs(), above),
                    };
                    let fraction = format!("{nanoseconds:09}");
                    format!(
                        "{sign}{whole}.{}{}",
                        &fraction[..digits],
                        "0".repeat(precision.saturating_sub(9).min(64))
                    )
                }
            };
            (whole.into_bytes(), true)
        }
    };
    if let (Some(precision), false) = (directive.precision, is_number) {
        text.truncate(precision);
    }
    if is_number && directive.plus && text.first() != Some(&b'-') {
        text.insert(0, b'+');
    }
    let missing = directive.width.saturating_sub(text.len());
    let fill = if directive.zero && is_number && !directive.left { b'0' } else { b' ' };
    // Zeros come behind the sign.
    let sign = if fill == b'0' && matches!(text.first(), Some(b'-' | b'+')) { 1 } else { 0 };
    out.extend(text.drain(..sign));
    if !directive.left {
        out.extend(std::iter::repeat_n(fill, missing));
    }
    out.extend_from_slice(&text);
    if directive.left {
        out.extend(std::iter::repeat_n(b' ', missing));
    }
}

fn of_file(file: &File, directive: &Directive) -> Value {
    let facts = file.facts;
    let text = |text: &str| Value::Text(text.as_bytes().to_vec());
    let device = |(major, minor): (u32, u32)| libc::makedev(major, minor);
    match directive.letter {
        b'a' => Value::Octal(facts.mode & 0o7777),
        b'A' => Value::Text(mode_text(facts.mode).to_vec()),
        b'b' => Value::Decimal(facts.blocks),
        b'B' => Value::Decimal(512),
        b'd' => Value::Decimal(device(facts.device)),
        b'D' => Value::Hex(device(facts.device)),
        b'H' => Value::Decimal(facts.device.0.into()),
        b'L' => Value::Decimal(facts.device.1.into()),
        b'f' => Value::Hex(facts.mode.into()),
        b'F' => text(kind_name(facts.mode, facts.size)),
        b'g' => Value::Decimal(facts.gid.into()),
        b'G' => text(file.users.group(facts.gid).map_or("UNKNOWN", |group| group.name)),
        b'h' => Value::Decimal(facts.nlink.into()),
        b'i' => Value::Decimal(facts.inode),
        b'm' => Value::Text(mount_point(file)),
        b'n' => Value::Text(file.path.to_vec()),
        b'N' => {
            // coreutils quotes always here.
            let quoted = |bytes: &[u8]| {
                let plain = shell_quoted(bytes);
                if plain.as_bytes() == bytes { format!("'{plain}'") } else { plain }
            };
            let mut name = quoted(file.path);
            if let Some(target) = file.target {
                name.push_str(" -> ");
                name.push_str(&quoted(target));
            }
            text(&name)
        }
        b'o' => Value::Decimal(facts.block_size.into()),
        b'r' => Value::Decimal(device(facts.special)),
        b'R' => Value::Hex(device(facts.special)),
        b's' => Value::Decimal(facts.size),
        b't' if directive.space => Value::Decimal(facts.special.0.into()),
        b'T' if directive.space => Value::Decimal(facts.special.1.into()),
        b't' => Value::Hex(facts.special.0.into()),
        b'T' => Value::Hex(facts.special.1.into()),
        b'u' => Value::Decimal(facts.uid.into()),
        b'U' => text(file.users.user(facts.uid).map_or("UNKNOWN", |user| user.name)),
        b'w' => text(&facts.born.map_or_else(|| "-".to_owned(), time)),
        b'W' => Value::Seconds(facts.born),
        b'x' => text(&time(facts.accessed)),
        b'X' => Value::Seconds(Some(facts.accessed)),
        b'y' => text(&time(facts.modified)),
        b'Y' => Value::Seconds(Some(facts.modified)),
        b'z' => text(&time(facts.changed)),
        _ => Value::Seconds(Some(facts.changed)),
    }
}

fn of_file_system(file_system: &FileSystem, directive: &Directive) -> Value {
    let space = file_system.space;
    match directive.letter {
        b'a' => Value::Decimal(space.available),
        b'b' => Value::Decimal(space.blocks),
        b'c' => Value::Decimal(space.files),
        b'd' => Value::Decimal(space.files_free),
        b'f' => Value::Decimal(space.free),
        b'i' => Value::Hex(space.id),
        b'l' => Value::Decimal(space.name_max),
        b'n' => Value::Text(file_system.path.to_vec()),
        b's' => Value::Decimal(space.block),
        b'S' => Value::Decimal(space.fragment),
        b't' => Value::Hex(space.magic),
        _ => Value::Text(file_system.kind.as_bytes().to_vec()),
    }
}

/// Where the file system that a file is on is mounted: of the mounts of that device the one that is nearest to the file.
fn mount_point(file: &File) -> Vec<u8> {
    let absolute = std::path::absolute(std::ffi::OsStr::from_bytes(file.path));
    let path = std::fs::canonicalize(std::ffi::OsStr::from_bytes(file.path)).or(absolute).unwrap_or_default();
    let nearest = file
        .mounts
        .iter()
        .filter(|mount| mount.device == file.facts.device && mount.holds(path.as_os_str().as_bytes()))
        .max_by_key(|mount| mount.target.len());
    nearest.map_or_else(|| b"?".to_vec(), |mount| mount.target.clone())
}

/// A time as coreutils shows it, in UTC: `2026-01-31 12:00:00.000000000 +0000`.
pub fn time((seconds, nanoseconds): Time) -> String {
    let Utc { year, month, day, hour, minute, second } = units::utc(seconds);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{nanoseconds:09} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(format: &str, escapes: bool) -> String {
        let facts = Facts {
            mode: 0o100_644,
            nlink: 1,
            uid: 7,
            gid: 8,
            size: 1234,
            blocks: 8,
            block_size: 4096,
            inode: 42,
            device: (8, 1),
            special: (0, 0),
            accessed: (1, 0),
            modified: (2, 5_000_000),
            changed: (3, 0),
            born: None,
            attributes: 0,
        };
        let users = Users::parse(b"web:x:7:8::/:/x\n", b"");
        let file = File { path: b"a b", facts: &facts, target: None, users: &users, mounts: &[] };
        String::from_utf8(Format::parse(format.as_bytes(), escapes, false).unwrap().of_file(&file, false))
            .unwrap()
    }

    #[test]
    fn directives_have_flags_width_and_precision() {
        for (format, wanted) in [
            ("%s|%8s|%-8s|%08s", "1234|    1234|1234    |00001234\n"),
            ("%a %#a %05a %A %f", "644 0644 00644 -rw-r--r-- 81a4\n"),
            ("%U %G %u", "web UNKNOWN 7\n"),
            ("%.3U|%5.2U|", "web|   we|\n"),
            ("%Y %.3Y %.Y %.0Y %W %w", "2 2.005 2.005000000 2 0 -\n"),
            ("%y", "1970-01-01 00:00:02.005000000 +0000\n"),
            ("%d %D %Hd,%Ld %t", "2049 801 8,1 0\n"),
            ("%n %N 100%%", "a b 'a b' 100%\n"),
            ("\\n", "\\n\n"),
        ] {
            assert_eq!(rendered(format, false), wanted, "{format}");
        }
        assert_eq!(rendered("%s\\n\\x41\\101\\e\\q\\", true), "1234\nAA\x1bq\\");
    }

    #[test]
    fn what_is_no_directive_is_said() {
        for format in ["%q", "%5", "%H", "%C", "%99999999999999999999s%!"] {
            assert!(Format::parse(format.as_bytes(), false, false).is_err(), "{format}");
        }
        assert!(Format::parse(b"%A", false, true).is_err());
    }
}
