//! The long format. A line is put together by hand: formatting machinery would cost more than the system calls.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Options;
use super::columns::{PAGE, inode, inode_width, push_name, push_target};
use super::listing::{Item, Listing};
use crate::cmd::Context;
use crate::out::name::escape;
use crate::out::units;
use crate::sys::dir::{Dir, Stat};

/// A number in decimal, without an allocation.
pub(super) struct Digits {
    bytes: [u8; 20],
    start: usize,
}

impl Digits {
    pub fn of(mut value: u64) -> Self {
        let mut digits = Self { bytes: [b'0'; 20], start: 20 };
        for (at, digit) in digits.bytes.iter_mut().enumerate().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
            digits.start = at;
            if value == 0 {
                break;
            }
        }
        digits
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

/// Appends text at the right of its column.
pub(super) fn push_padded(text: &[u8], width: usize, to: &mut Vec<u8>) {
    to.resize(to.len() + width.saturating_sub(text.len()), b' ');
    to.extend_from_slice(text);
}

/// Owners by id as they are shown.
struct Owners {
    names: HashMap<u32, Owner>,
    width: usize,
}

struct Owner {
    text: Vec<u8>,
    columns: usize,
    /// Ids stand at the right of their column, as GNU has them.
    is_id: bool,
}

impl Owners {
    fn new(ids: impl Iterator<Item = u32>, name: impl Fn(u32) -> Option<String>) -> Self {
        let mut owners = Self { names: HashMap::new(), width: 0 };
        let mut last = None;
        for id in ids {
            if last == Some(id) {
                continue;
            }
            last = Some(id);
            let owner = owners.names.entry(id).or_insert_with(|| {
                let known = name(id);
                let is_id = known.is_none();
                let text = known.unwrap_or_else(|| id.to_string());
                Owner {
                    columns: unicode_width::UnicodeWidthStr::width(&*text),
                    text: text.into_bytes(),
                    is_id,
                }
            });
            owners.width = owners.width.max(owner.columns);
        }
        owners
    }

    fn push(&self, id: u32, to: &mut Vec<u8>) {
        let Some(owner) = self.names.get(&id) else { return };
        let padding = self.width.saturating_sub(owner.columns);
        if owner.is_id {
            to.resize(to.len() + padding, b' ');
        }
        to.extend_from_slice(&owner.text);
        if !owner.is_id {
            to.resize(to.len() + padding, b' ');
        }
        to.push(b' ');
    }
}

/// Column widths and what is the same for all lines.
struct Layout {
    users: Owners,
    groups: Owners,
    inode: usize,
    links: usize,
    size: usize,
    major: usize,
    minor: usize,
    /// Whether a file has an ACL: then all lines have a column for its `+`.
    acls: bool,
    now: (i64, u32),
}

impl Layout {
    fn new(listing: &Listing, ls: &Options, cx: &Context) -> Self {
        let stats = || listing.stats().iter();
        let digits = |value: u64| Digits::of(value).as_bytes().len();
        let widest = |value: fn(&Stat) -> u64| stats().map(value).max().map_or(1, digits);
        let devices = || stats().filter(|stat| is_device(stat));
        let major = devices().map(|stat| digits(stat.rdev_major.into())).max().unwrap_or(0);
        let minor = devices().map(|stat| digits(stat.rdev_minor.into())).max().unwrap_or(0);
        let sizes = if ls.human {
            stats().map(|stat| units::bytes(stat.size).len()).max().unwrap_or(1)
        } else {
            stats().filter(|s| !is_device(s)).map(|s| s.size).max().map_or(1, digits)
        };
        let device = if major > 0 { major + 2 + minor } else { 0 };
        let known = |name: Option<String>| {
            name.filter(|_| !ls.numeric).map(|name| if ls.quote { escape(name.as_bytes()) } else { name })
        };
        let users = cx.users();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            users: Owners::new(stats().map(|s| s.uid), |id| known(users.user(id).map(|u| u.name.clone()))),
            groups: Owners::new(stats().map(|s| s.gid), |id| known(users.group(id).map(|g| g.name.clone()))),
            inode: if ls.inode { inode_width(listing) } else { 0 },
            links: widest(|stat| u64::from(stat.nlink)),
            size: sizes.max(device),
            major,
            minor,
            acls: stats().any(|stat| stat.acl),
            now: (now.as_secs().cast_signed(), now.subsec_nanos()),
        }
    }
}

fn is_device(stat: &Stat) -> bool {
    matches!(stat.mode & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK)
}

pub(super) fn print(
    listing: &Listing,
    dir: Option<&Dir>,
    ls: &Options,
    cx: &Context,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Vec::with_capacity(PAGE + 1024);
    if dir.is_some() {
        let blocks: u64 = listing.stats().iter().fold(0, |sum, stat| sum.saturating_add(stat.blocks));
        let total =
            if ls.human { units::bytes(blocks.saturating_mul(512)) } else { blocks.div_ceil(2).to_string() };
        page.extend_from_slice(format!("total {total}\n").as_bytes());
    }
    let layout = Layout::new(listing, ls, cx);
    for item in listing.items() {
        line(listing, *item, dir, ls, &layout, &mut page);
        if page.len() >= PAGE {
            out.write_all(&page)?;
            page.clear();
        }
    }
    out.write_all(&page)
}

fn line(listing: &Listing, item: Item, dir: Option<&Dir>, ls: &Options, layout: &Layout, to: &mut Vec<u8>) {
    if layout.inode > 0 {
        push_padded(Digits::of(inode(listing, item)).as_bytes(), layout.inode, to);
        to.push(b' ');
    }
    match listing.stat(item) {
        Some(stat) => facts(stat, ls, layout, to),
        None => unknown(item, layout, to),
    }
    push_long_name(listing, item, dir, ls, to);
    to.push(b'\n');
}

fn push_long_name(listing: &Listing, item: Item, dir: Option<&Dir>, ls: &Options, to: &mut Vec<u8>) {
    if item.kind == libc::DT_LNK && !Listing::is_unknown(item) {
        // The mark of a link goes to its target.
        push_name(listing, item, dir, &Options { classify: false, ..*ls }, to);
        push_target(listing, item, dir, ls, to);
    } else {
        push_name(listing, item, dir, ls, to);
    }
}

/// A question mark for each fact of a file that did not answer.
fn unknown(item: Item, layout: &Layout, to: &mut Vec<u8>) {
    let kind = [item.kind];
    to.push(match kind {
        [libc::DT_DIR] => b'd',
        [libc::DT_LNK] => b'l',
        [libc::DT_REG] => b'-',
        _ => b'?',
    });
    to.extend_from_slice(if layout.acls { b"?????????  " } else { b"????????? " });
    push_padded(b"?", layout.links, to);
    for width in [layout.users.width, layout.groups.width] {
        to.extend_from_slice(b" ?");
        to.resize(to.len() + width.saturating_sub(1), b' ');
    }
    to.push(b' ');
    push_padded(b"?", layout.size, to);
    to.extend_from_slice(b"            ? ");
}

fn facts(stat: &Stat, ls: &Options, layout: &Layout, to: &mut Vec<u8>) {
    to.extend_from_slice(&mode_text(stat.mode));
    if layout.acls {
        to.push(if stat.acl { b'+' } else { b' ' });
    }
    to.push(b' ');
    push_padded(Digits::of(stat.nlink.into()).as_bytes(), layout.links, to);
    to.push(b' ');
    layout.users.push(stat.uid, to);
    layout.groups.push(stat.gid, to);
    if is_device(stat) {
        let spare = layout.size.saturating_sub(layout.major + 2 + layout.minor);
        push_padded(Digits::of(stat.rdev_major.into()).as_bytes(), layout.major + spare, to);
        to.extend_from_slice(b", ");
        push_padded(Digits::of(stat.rdev_minor.into()).as_bytes(), layout.minor, to);
    } else if ls.human {
        push_padded(units::bytes(stat.size).as_bytes(), layout.size, to);
    } else {
        push_padded(Digits::of(stat.size).as_bytes(), layout.size, to);
    }
    to.push(b' ');
    push_time((stat.mtime, stat.mtime_nanoseconds), layout.now, to);
    to.push(b' ');
}

/// Half a mean Gregorian year: times before it, and in the future, are shown with their year.
const HALF_YEAR: i64 = 31_556_952 / 2;

fn push_time(time: (i64, u32), now: (i64, u32), to: &mut Vec<u8>) {
    let utc = units::utc(time.0);
    to.extend_from_slice(units::month_name(utc.month).as_bytes());
    to.push(b' ');
    push_padded(Digits::of(utc.day.into()).as_bytes(), 2, to);
    let recent = (now.0 - HALF_YEAR, now.1) < time && time <= now;
    if recent {
        let two = |value: u8| [b'0' + value / 10, b'0' + value % 10];
        let ([h1, h2], [m1, m2]) = (two(utc.hour), two(utc.minute));
        to.extend_from_slice(&[b' ', h1, h2, b':', m1, m2]);
    } else {
        to.extend_from_slice(if utc.year < 0 { b"  -" } else { b"  " });
        to.extend_from_slice(Digits::of(utc.year.unsigned_abs()).as_bytes());
    }
}

/// `drwxr-xr-x`.
pub(super) fn mode_text(mode: u32) -> [u8; 10] {
    let kind = match mode & libc::S_IFMT {
        libc::S_IFDIR => b'd',
        libc::S_IFLNK => b'l',
        libc::S_IFCHR => b'c',
        libc::S_IFBLK => b'b',
        libc::S_IFIFO => b'p',
        libc::S_IFSOCK => b's',
        libc::S_IFREG => b'-',
        _ => b'?',
    };
    let bit = |mask: u32, letter: u8| if mode & mask != 0 { letter } else { b'-' };
    let special = |execute: u32, mask: u32, both: u8, alone: u8| match (mode & mask != 0, mode & execute != 0)
    {
        (true, true) => both,
        (true, false) => alone,
        (false, true) => b'x',
        (false, false) => b'-',
    };
    [
        kind,
        bit(0o400, b'r'),
        bit(0o200, b'w'),
        special(0o100, 0o4000, b's', b'S'),
        bit(0o040, b'r'),
        bit(0o020, b'w'),
        special(0o010, 0o2000, b's', b'S'),
        bit(0o004, b'r'),
        bit(0o002, b'w'),
        special(0o001, 0o1000, b't', b'T'),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_as_usual() {
        for (mode, text) in [
            (0o100_644, "-rw-r--r--"),
            (0o041_777, "drwxrwxrwt"),
            (0o104_755, "-rwsr-xr-x"),
            (0o102_640, "-rw-r-S---"),
            (0o120_777, "lrwxrwxrwx"),
            (0o041_770, "drwxrwx--T"),
        ] {
            assert_eq!(mode_text(mode), *text.as_bytes());
        }
    }

    #[test]
    fn times_show_the_year_when_old_or_to_come() {
        let now = (1_795_000_000, 5);
        for (time, text) in [
            (now, "Nov 18 11:06"),
            ((now.0, 6), "Nov 18  2026"),
            ((now.0 - HALF_YEAR, 5), "May 19  2026"),
            ((now.0 - HALF_YEAR, 6), "May 19 20:12"),
            ((0, 0), "Jan  1  1970"),
        ] {
            let mut to = Vec::new();
            push_time(time, now, &mut to);
            assert_eq!(String::from_utf8(to).unwrap(), text);
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for value in [0, 7, 10, 12_345, u64::MAX] {
            assert_eq!(Digits::of(value).as_bytes(), value.to_string().as_bytes());
        }
    }
}
