//! How one name looks: quoted for a terminal, coloured, with its type's mark.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

use super::listing::{Facts, Item, Listing};
use crate::out::name::{is_unprintable, shell_quoted};

/// How names are quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Quoting {
    /// As they are.
    Literal,
    /// As a shell reads them, where they need it.
    #[value(alias = "shell-escape")]
    Shell,
    /// As a shell reads them.
    #[value(alias = "shell-escape-always")]
    ShellAlways,
    /// In double quotes, with C's escapes.
    C,
    /// With C's escapes.
    Escape,
}

/// Which marks stand behind names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Indicator {
    /// None.
    None,
    /// -p
    Slash,
    /// As classify, without `*`.
    FileType,
    /// -F
    Classify,
}

/// How names are shown.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// How they are quoted.
    pub quoting: Quoting,
    /// `?` for what can't be printed, where the quoting leaves it.
    pub question_marks: bool,
    /// Coloured by type.
    pub color: bool,
    /// With the mark of the type.
    pub indicator: Indicator,
}

impl Look {
    /// Whether names are printed as they are.
    pub fn plain(self) -> bool {
        !self.color && self.indicator == Indicator::None && self.is_literal()
    }

    fn is_literal(self) -> bool {
        self.quoting == Quoting::Literal && !self.question_marks
    }

    /// Adds a name without colour or mark.
    pub fn raw(self, to: &mut Vec<u8>, name: &[u8]) {
        to.extend_from_slice(&self.text(name));
    }

    fn text(self, name: &[u8]) -> Cow<'_, [u8]> {
        match self.quoting {
            Quoting::Literal if self.question_marks => Cow::Owned(questioned(name)),
            Quoting::Literal => Cow::Borrowed(name),
            Quoting::Shell => Cow::Owned(shell_quoted(name).into_bytes()),
            Quoting::ShellAlways => {
                let quoted = shell_quoted(name);
                let is_plain = quoted.as_bytes() == name;
                Cow::Owned(if is_plain { format!("'{quoted}'") } else { quoted }.into_bytes())
            }
            Quoting::C => Cow::Owned([b"\"", &escaped(name, b'"')[..], b"\""].concat()),
            Quoting::Escape => Cow::Owned(escaped(name, b' ')),
        }
    }

    /// Adds a file's name; with `target` what a link's name is followed by.
    pub fn name(self, to: &mut Vec<u8>, listing: &Listing, item: &Item, long: bool) {
        let kind = listing.kind(item);
        let facts = listing.facts(item);
        let mode = facts.map_or(kind, |facts| if facts.stat.mode == 0 { kind } else { facts.stat.mode });
        let broken = kind == libc::S_IFLNK && facts.is_some_and(|facts| facts.target_mode == 0);
        let style = if broken { BROKEN } else { style(mode, facts) };
        self.dressed(to, listing.name(item), style);
        let Some(target) = listing.target(item).filter(|_| long) else {
            to.extend(self.mark(mode));
            return;
        };
        to.extend_from_slice(b" -> ");
        let target_mode = facts.map_or(0, |facts| facts.target_mode);
        self.dressed(to, target, if target_mode == 0 { BROKEN } else { style_of_mode(target_mode) });
        to.extend(self.mark(target_mode));
    }

    fn dressed(self, to: &mut Vec<u8>, name: &[u8], style: &str) {
        if !self.color || style.is_empty() {
            return self.raw(to, name);
        }
        to.extend_from_slice(b"\x1b[");
        to.extend_from_slice(style.as_bytes());
        to.push(b'm');
        self.raw(to, name);
        to.extend_from_slice(b"\x1b[0m");
    }

    /// Columns that a name takes, its mark included.
    pub fn width(self, listing: &Listing, item: &Item) -> usize {
        let name = self.text(listing.name(item));
        let mode = listing.facts(item).map_or(0, |facts| facts.stat.mode);
        let mode = if mode == 0 { listing.kind(item) } else { mode };
        columns(&name) + usize::from(self.mark(mode).is_some())
    }

    /// The mark of a type.
    fn mark(self, mode: u32) -> Option<u8> {
        match (mode & libc::S_IFMT, self.indicator) {
            (_, Indicator::None) => None,
            (libc::S_IFDIR, _) => Some(b'/'),
            (_, Indicator::Slash) => None,
            (libc::S_IFREG, Indicator::Classify) if mode & 0o111 != 0 => Some(b'*'),
            (libc::S_IFLNK, _) => Some(b'@'),
            (libc::S_IFIFO, _) => Some(b'|'),
            (libc::S_IFSOCK, _) => Some(b'='),
            _ => None,
        }
    }
}

/// The columns that a text takes; controls take none, and a byte that is no character one.
pub fn columns(text: &[u8]) -> usize {
    let of = |ch: char| ch.width().unwrap_or(0);
    text.utf8_chunks().map(|chunk| chunk.valid().chars().map(of).sum::<usize>() + chunk.invalid().len()).sum()
}

/// A name with `?` for each character that can't be printed, and each byte that is no character.
fn questioned(name: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        text.extend(chunk.valid().chars().map(|ch| if is_unprintable(ch) { '?' } else { ch }));
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text.into_bytes()
}

/// A name with C's escapes, octal ones for what can't be printed, and a backslash before `special`.
fn escaped(name: &[u8], special: u8) -> Vec<u8> {
    let mut text = Vec::with_capacity(name.len());
    let octal = |text: &mut Vec<u8>, bytes: &[u8]| {
        bytes.iter().for_each(|byte| text.extend_from_slice(format!("\\{byte:03o}").as_bytes()));
    };
    for chunk in name.utf8_chunks() {
        for ch in chunk.valid().chars() {
            let mut bytes = [0; 4];
            let bytes = ch.encode_utf8(&mut bytes).as_bytes();
            match bytes {
                [b'\x07'] => text.extend_from_slice(b"\\a"),
                [b'\x08'] => text.extend_from_slice(b"\\b"),
                [b'\x0b'] => text.extend_from_slice(b"\\v"),
                [b'\x0c'] => text.extend_from_slice(b"\\f"),
                [b'\n'] => text.extend_from_slice(b"\\n"),
                [b'\r'] => text.extend_from_slice(b"\\r"),
                [b'\t'] => text.extend_from_slice(b"\\t"),
                [b'\\'] => text.extend_from_slice(b"\\\\"),
                [byte] if *byte == special => text.extend([b'\\', special]),
                bytes if is_unprintable(ch) => octal(&mut text, bytes),
                bytes => text.extend_from_slice(bytes),
            }
        }
        octal(&mut text, chunk.invalid());
    }
    text
}

/// A link that leads nowhere.
const BROKEN: &str = "40;31;01";

/// The colour of a file, as SGR parameters; the scheme that dircolors(1) prints where nobody chose one.
fn style(mode: u32, facts: Option<&Facts>) -> &'static str {
    // Without permissions nothing is said of them, so that a directory is not taken for a closed one.
    match facts {
        None => style_of_mode(mode & libc::S_IFMT),
        Some(_) => style_of_mode(mode),
    }
}

fn style_of_mode(mode: u32) -> &'static str {
    let sticky_and_open = (mode & libc::S_ISVTX != 0, mode & libc::S_IWOTH != 0);
    match (mode & libc::S_IFMT, sticky_and_open) {
        (libc::S_IFREG, _) if mode & libc::S_ISUID != 0 => "37;41",
        (libc::S_IFREG, _) if mode & libc::S_ISGID != 0 => "30;43",
        (libc::S_IFREG, _) if mode & 0o111 != 0 => "01;32",
        (libc::S_IFREG, _) => "",
        (libc::S_IFDIR, (true, true)) => "30;42",
        (libc::S_IFDIR, (false, true)) => "34;42",
        (libc::S_IFDIR, (true, false)) => "37;44",
        (libc::S_IFDIR, _) => "01;34",
        (libc::S_IFLNK, _) => "01;36",
        (libc::S_IFIFO, _) => "40;33",
        (libc::S_IFSOCK, _) => "01;35",
        (libc::S_IFBLK | libc::S_IFCHR, _) => "40;33;01",
        _ => "",
    }
}
