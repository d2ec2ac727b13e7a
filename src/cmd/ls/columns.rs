//! Names: one per line, or in columns; their quotes, colours and marks.

use std::borrow::Cow;
use std::io::{self, Write};
use std::os::fd::AsFd;

use unicode_width::UnicodeWidthStr;

use super::Options;
use super::listing::{Item, Listing, kind_of};
use super::long::{Digits, push_padded};
use crate::out::name::shell_quoted;
use crate::sys::dir::{self, Dir};

/// Output is gathered to pieces of this size.
pub(super) const PAGE: usize = 64 << 10;

pub(super) fn print(
    listing: &Listing,
    dir: Option<&Dir>,
    ls: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    let inodes = if ls.inode { inode_width(listing) } else { 0 };
    let mut page = Vec::with_capacity(PAGE + 1024);
    if !ls.columns {
        for item in listing.items() {
            if inodes > 0 {
                push_padded(Digits::of(inode(listing, *item)).as_bytes(), inodes, &mut page);
                page.push(b' ');
            }
            push_name(listing, *item, dir, ls, &mut page);
            page.push(b'\n');
            if page.len() >= PAGE {
                out.write_all(&page)?;
                page.clear();
            }
        }
        return out.write_all(&page);
    }
    let extra = if inodes > 0 { inodes + 1 } else { 0 };
    let widths: Vec<u16> = listing
        .items()
        .iter()
        .map(|item| {
            let marked = usize::from(ls.classify && mark(listing, *item).is_some());
            let width = extra + width(&shown(listing.name(*item), ls)) + marked;
            u16::try_from(width).unwrap_or(u16::MAX)
        })
        .collect();
    let columns = layout(&widths, ls.width);
    let rows = listing.len().div_ceil(columns.len().max(1));
    for row in 0..rows {
        let mut padding = 0;
        for (column, wide) in columns.iter().enumerate() {
            let at = column * rows + row;
            let (Some(item), Some(width)) = (listing.items().get(at), widths.get(at)) else { break };
            page.resize(page.len() + padding, b' ');
            if inodes > 0 {
                push_padded(Digits::of(inode(listing, *item)).as_bytes(), inodes, &mut page);
                page.push(b' ');
            }
            push_name(listing, *item, dir, ls, &mut page);
            padding = wide.saturating_sub(usize::from(*width));
        }
        page.push(b'\n');
        if page.len() >= PAGE {
            out.write_all(&page)?;
            page.clear();
        }
    }
    out.write_all(&page)
}

/// The widths of as many columns as fit a line, filled downwards, two spaces apart.
fn layout(widths: &[u16], line: usize) -> Vec<usize> {
    let most = (line / 3).min(400).clamp(1, widths.len().max(1));
    for count in (2..=most).rev() {
        let rows = widths.len().div_ceil(count);
        // As many columns as the rows leave: the last ones may be empty.
        let columns: Vec<usize> = widths
            .chunks(rows.max(1))
            .map(|column| column.iter().map(|w| usize::from(*w)).max().unwrap_or(0) + 2)
            .collect();
        if columns.len() == count && columns.iter().sum::<usize>() < line + 2 {
            return columns;
        }
    }
    vec![widths.iter().map(|w| usize::from(*w)).max().unwrap_or(0) + 2]
}

pub(super) fn inode(listing: &Listing, item: Item) -> u64 {
    listing.stat(item).map_or(item.inode, |stat| stat.inode)
}

pub(super) fn inode_width(listing: &Listing) -> usize {
    let largest = listing.items().iter().map(|item| inode(listing, *item)).max().unwrap_or(0);
    Digits::of(largest).as_bytes().len()
}

/// The name as a person or a program reads it.
pub(super) fn shown<'a>(name: &'a [u8], ls: &Options) -> Cow<'a, [u8]> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
    if !ls.quote || (!name.is_empty() && name.iter().all(plain)) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(shell_quoted(name).into_bytes())
    }
}

fn width(shown: &[u8]) -> usize {
    if shown.is_ascii() { shown.len() } else { String::from_utf8_lossy(shown).width() }
}

/// Appends a name with its colour and mark.
pub(super) fn push_name(listing: &Listing, item: Item, dir: Option<&Dir>, ls: &Options, to: &mut Vec<u8>) {
    let color = if ls.color { color(listing, item, dir) } else { "" };
    push_colored(&shown(listing.name(item), ls), color, to);
    if ls.classify {
        to.extend(mark(listing, item));
    }
}

pub(super) fn push_colored(shown: &[u8], color: &str, to: &mut Vec<u8>) {
    if color.is_empty() {
        to.extend_from_slice(shown);
        return;
    }
    to.extend_from_slice(b"\x1b[");
    to.extend_from_slice(color.as_bytes());
    to.push(b'm');
    to.extend_from_slice(shown);
    to.extend_from_slice(b"\x1b[0m");
}

/// The mark of -F.
fn mark(listing: &Listing, item: Item) -> Option<u8> {
    mark_of(item.kind, listing.stat(item).map_or(0, |stat| stat.mode))
}

pub(super) fn mark_of(kind: u8, mode: u32) -> Option<u8> {
    match kind {
        libc::DT_DIR => Some(b'/'),
        libc::DT_LNK => Some(b'@'),
        libc::DT_FIFO => Some(b'|'),
        libc::DT_SOCK => Some(b'='),
        libc::DT_REG if mode & 0o111 != 0 => Some(b'*'),
        _ => None,
    }
}

/// The SGR parameters of a name: those that GNU's dircolors has without a configuration.
fn color(listing: &Listing, item: Item, dir: Option<&Dir>) -> &'static str {
    if item.kind == libc::DT_LNK {
        let target = listing.c_name(item).map(|name| dir::stat(dir.map(AsFd::as_fd), name, true));
        return if matches!(target, Some(Ok(_))) { "01;36" } else { "40;31;01" };
    }
    color_of(item.kind, listing.stat(item).map_or(0, |stat| stat.mode))
}

pub(super) fn color_of(kind: u8, mode: u32) -> &'static str {
    let has = |bits| mode & bits == bits;
    match kind {
        libc::DT_DIR if has(libc::S_ISVTX | libc::S_IWOTH) => "30;42",
        libc::DT_DIR if has(libc::S_IWOTH) => "34;42",
        libc::DT_DIR if has(libc::S_ISVTX) => "37;44",
        libc::DT_DIR => "01;34",
        libc::DT_FIFO => "40;33",
        libc::DT_SOCK => "01;35",
        libc::DT_BLK | libc::DT_CHR => "40;33;01",
        libc::DT_REG if has(libc::S_ISUID) => "37;41",
        libc::DT_REG if has(libc::S_ISGID) => "30;43",
        libc::DT_REG if mode & 0o111 != 0 => "01;32",
        _ => "",
    }
}

/// Appends the target of a link as -l shows it.
pub(super) fn push_target(listing: &Listing, item: Item, dir: Option<&Dir>, ls: &Options, to: &mut Vec<u8>) {
    let Some(name) = listing.c_name(item) else { return };
    let at = dir.map(AsFd::as_fd);
    let Ok(target) = dir::read_link(at, name) else { return };
    to.extend_from_slice(b" -> ");
    let facts = if ls.color || ls.classify { dir::stat(at, name, true).ok() } else { None };
    let color = match facts {
        Some(stat) if ls.color => color_of(kind_of(stat.mode), stat.mode),
        None if ls.color => "40;31;01",
        _ => "",
    };
    push_colored(&shown(&target, ls), color, to);
    if ls.classify {
        to.extend(facts.and_then(|stat| mark_of(kind_of(stat.mode), stat.mode)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_many_as_fit() {
        assert_eq!(layout(&[1; 4], 80), [3, 3, 3, 3]);
        assert_eq!(layout(&[1; 4], 10), [3, 3]);
        assert_eq!(layout(&[5, 1, 1, 1], 12), [7, 3]);
        assert_eq!(layout(&[100, 1], 80), [102]);
        assert_eq!(layout(&[], 80), [2]);
    }
}
