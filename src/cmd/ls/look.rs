//! How one name looks: quoted for a terminal, coloured, with its type's mark.

use unicode_width::UnicodeWidthStr;

use super::listing::{Facts, Item, Listing};
use crate::out::name::shell_quoted;

/// How names are shown.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Quoted, so that no control character is sent.
    pub quoted: bool,
    /// Coloured by type.
    pub color: bool,
    /// With the mark of the type.
    pub classify: bool,
}

impl Look {
    /// Whether names are printed as they are.
    pub fn plain(self) -> bool {
        !self.quoted && !self.color && !self.classify
    }

    /// Adds a name without colour or mark.
    pub fn raw(self, to: &mut Vec<u8>, name: &[u8]) {
        if self.quoted {
            to.extend_from_slice(shell_quoted(name).as_bytes());
        } else {
            to.extend_from_slice(name);
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
            if self.classify {
                to.extend(mark(mode));
            }
            return;
        };
        to.extend_from_slice(b" -> ");
        let target_mode = facts.map_or(0, |facts| facts.target_mode);
        self.dressed(to, target, if target_mode == 0 { BROKEN } else { style_of_mode(target_mode) });
        if self.classify {
            to.extend(mark(target_mode));
        }
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
        let name = listing.name(item);
        let name =
            if self.quoted { shell_quoted(name).width() } else { String::from_utf8_lossy(name).width() };
        let mode = listing.facts(item).map_or(0, |facts| facts.stat.mode);
        let mode = if mode == 0 { listing.kind(item) } else { mode };
        name + usize::from(self.classify && mark(mode).is_some())
    }
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

/// The mark of a type that `-F` puts behind a name.
fn mark(mode: u32) -> Option<u8> {
    match mode & libc::S_IFMT {
        libc::S_IFREG if mode & 0o111 != 0 => Some(b'*'),
        libc::S_IFDIR => Some(b'/'),
        libc::S_IFLNK => Some(b'@'),
        libc::S_IFIFO => Some(b'|'),
        libc::S_IFSOCK => Some(b'='),
        _ => None,
    }
}
