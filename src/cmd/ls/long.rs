//! The long format, one line a file. Nothing is allocated per field, since this is what 100,000 files cost.

use std::collections::HashMap;

use super::listing::{Item, Listing};
use super::look::Look;
use crate::out::name::escape;
use crate::out::units;
use crate::sys::dir::Stat;
use crate::sys::passwd::Users;
use crate::sys::statx::{mode_text, type_letter};

/// How the long format is printed.
pub struct Long<'a> {
    /// How names look.
    pub look: Look,
    /// The container's users; none for ids.
    pub users: Option<&'a Users>,
    /// Sizes as `1.5K`.
    pub human: bool,
    /// Inodes first.
    pub inodes: bool,
    /// Now, seconds and nanoseconds since 1970.
    pub now: (i64, u32),
}

/// The widths of the columns.
#[derive(Debug, Default)]
struct Widths {
    inode: usize,
    nlink: usize,
    user: usize,
    group: usize,
    size: usize,
    major: usize,
    minor: usize,
}

/// Names of ids, looked up once each.
#[derive(Default)]
struct Owners {
    names: HashMap<u32, Owner>,
}

#[derive(Clone)]
struct Owner {
    text: Vec<u8>,
    /// Whether it is a name: those stand left, ids right.
    named: bool,
    width: usize,
}

/// Half a mean year: what is older shows its year instead of its time.
const HALF_YEAR: i64 = 31_556_952 / 2;

/// The sum of what the files take, in units of 1 KiB, or as `1.5K`.
pub fn total(to: &mut Vec<u8>, listing: &Listing, human: bool) {
    let blocks = listing
        .items
        .iter()
        .filter_map(|item| listing.facts(item))
        .fold(0u64, |sum, facts| sum.saturating_add(facts.stat.blocks));
    to.extend_from_slice(b"total ");
    if human {
        to.extend_from_slice(units::bytes(blocks.saturating_mul(512)).as_bytes());
    } else {
        number(to, blocks.div_ceil(2), 0);
    }
    to.push(b'\n');
}

impl Long<'_> {
    /// Adds the lines of all files, and hands `to` over whenever it is large.
    pub fn print<E>(
        &self,
        listing: &Listing,
        to: &mut Vec<u8>,
        mut flush: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut users, mut groups) = (Owners::default(), Owners::default());
        let widths = self.widths(listing, &mut users, &mut groups);
        let mut day = Day::default();
        for item in &listing.items {
            self.line(to, listing, item, &widths, (&mut users, &mut groups), &mut day);
            if to.len() >= super::PIECE {
                flush(to)?;
            }
        }
        Ok(())
    }

    fn widths(&self, listing: &Listing, users: &mut Owners, groups: &mut Owners) -> Widths {
        let mut widths = Widths::default();
        let (mut inode, mut nlink, mut size, mut device) = (0, 0, None, None);
        for item in &listing.items {
            let Some(facts) = listing.facts(item) else {
                for width in [&mut widths.inode, &mut widths.nlink, &mut widths.user] {
                    *width = (*width).max(1);
                }
                (widths.group, widths.size) = (widths.group.max(1), widths.size.max(1));
                continue;
            };
            let stat = &facts.stat;
            inode = stat.inode.max(inode);
            nlink = stat.nlink.max(nlink);
            if is_device(stat) {
                let (major, minor) = device.unwrap_or_default();
                device = Some((stat.device.0.max(major), stat.device.1.max(minor)));
            } else if self.human {
                widths.size = widths.size.max(units::bytes(stat.size).len());
            } else {
                size = size.max(Some(stat.size));
            }
            widths.user = widths.user.max(users.of(stat.uid, |id| self.user(id)).width);
            widths.group = widths.group.max(groups.of(stat.gid, |id| self.group(id)).width);
        }
        widths.inode = widths.inode.max(digits(inode));
        widths.nlink = widths.nlink.max(digits(u64::from(nlink)));
        widths.size = widths.size.max(size.map_or(0, digits));
        if let Some((major, minor)) = device {
            (widths.major, widths.minor) = (digits(u64::from(major)), digits(u64::from(minor)));
            widths.size = widths.size.max(widths.major + 2 + widths.minor);
            widths.major = widths.size - 2 - widths.minor;
        }
        widths
    }

    fn line(
        &self,
        to: &mut Vec<u8>,
        listing: &Listing,
        item: &Item,
        widths: &Widths,
        (users, groups): (&mut Owners, &mut Owners),
        day: &mut Day,
    ) {
        let Some(facts) = listing.facts(item) else {
            return self.unknown(to, listing, item, widths);
        };
        let stat = &facts.stat;
        if self.inodes {
            number(to, stat.inode, widths.inode);
            to.push(b' ');
        }
        to.extend_from_slice(&mode_text(stat.mode));
        to.push(b' ');
        number(to, u64::from(stat.nlink), widths.nlink);
        to.push(b' ');
        users.of(stat.uid, |id| self.user(id)).add(to, widths.user);
        groups.of(stat.gid, |id| self.group(id)).add(to, widths.group);
        if is_device(stat) {
            number(to, u64::from(stat.device.0), widths.major);
            to.extend_from_slice(b", ");
            number(to, u64::from(stat.device.1), widths.minor);
        } else if self.human {
            right(to, units::bytes(stat.size).as_bytes(), widths.size);
        } else {
            number(to, stat.size, widths.size);
        }
        to.push(b' ');
        day.add(to, (stat.seconds, stat.nanoseconds), self.now);
        to.push(b' ');
        self.look.name(to, listing, item, true);
        to.push(b'\n');
    }

    /// A file whose stat failed: its type and name.
    fn unknown(&self, to: &mut Vec<u8>, listing: &Listing, item: &Item, widths: &Widths) {
        if self.inodes {
            right(to, b"?", widths.inode);
            to.push(b' ');
        }
        let kind = listing.kind(item);
        to.push(if kind == 0 { b'?' } else { type_letter(kind) });
        to.extend_from_slice(b"????????? ");
        right(to, b"?", widths.nlink);
        to.push(b' ');
        for width in [widths.user, widths.group] {
            to.push(b'?');
            pad(to, width);
        }
        right(to, b"?", widths.size);
        right(to, b"? ", 14);
        self.look.name(to, listing, item, true);
        to.push(b'\n');
    }

    fn user(&self, id: u32) -> Option<&str> {
        self.users?.user(id).map(|user| user.name)
    }

    fn group(&self, id: u32) -> Option<&str> {
        self.users?.group(id).map(|group| group.name)
    }
}

impl Owners {
    /// More ids than a real container has are not kept: the table starts again.
    const MOST: usize = 4096;

    fn of<'a>(&mut self, id: u32, name: impl Fn(u32) -> Option<&'a str>) -> &Owner {
        if self.names.len() >= Self::MOST && !self.names.contains_key(&id) {
            self.names.clear();
        }
        self.names.entry(id).or_insert_with(|| {
            let name = name(id).map(|name| escape(name.as_bytes()));
            let named = name.is_some();
            let text = name.unwrap_or_else(|| id.to_string());
            let width = unicode_width::UnicodeWidthStr::width(text.as_str());
            Owner { text: text.into_bytes(), named, width }
        })
    }
}

impl Owner {
    fn add(&self, to: &mut Vec<u8>, width: usize) {
        let missing = width.saturating_sub(self.width);
        if !self.named {
            pad(to, missing);
        }
        to.extend_from_slice(&self.text);
        pad(to, if self.named { missing + 1 } else { 1 });
    }
}

/// The date that was printed last: most files of a directory share theirs.
#[derive(Default)]
struct Day {
    number: Option<i64>,
    month: u8,
    day: u8,
    year: i64,
}

impl Day {
    /// Adds `Nov 23 09:33`, or `Nov 23  2024` where that is no time of the last six months.
    fn add(&mut self, to: &mut Vec<u8>, at: (i64, u32), now: (i64, u32)) {
        let number_of_day = at.0.div_euclid(86_400);
        if self.number != Some(number_of_day) {
            let utc = units::utc(at.0);
            *self = Self { number: Some(number_of_day), month: utc.month, day: utc.day, year: utc.year };
        }
        to.extend_from_slice(units::month_name(self.month).as_bytes());
        to.push(b' ');
        number(to, u64::from(self.day), 2);
        to.push(b' ');
        let recent = (now.0.saturating_sub(HALF_YEAR), now.1) < at && at < now;
        if recent {
            let minutes = at.0.rem_euclid(86_400) / 60;
            two(to, minutes / 60);
            to.push(b':');
            two(to, minutes % 60);
        } else if self.year < 0 {
            right(to, self.year.to_string().as_bytes(), 5);
        } else {
            number(to, self.year.unsigned_abs(), 5);
        }
    }
}

fn is_device(stat: &Stat) -> bool {
    matches!(stat.mode & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK)
}

/// Digits of a number.
pub fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Adds a number, right in `width` columns.
pub fn number(to: &mut Vec<u8>, mut number: u64, width: usize) {
    let length = digits(number);
    pad(to, width.saturating_sub(length));
    let start = to.len();
    to.resize(start + length, b'0');
    for place in to.iter_mut().skip(start).rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn two(to: &mut Vec<u8>, number: i64) {
    to.extend_from_slice(&[b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
}

fn right(to: &mut Vec<u8>, text: &[u8], width: usize) {
    pad(to, width.saturating_sub(text.len()));
    to.extend_from_slice(text);
}

/// Adds spaces.
pub fn pad(to: &mut Vec<u8>, count: usize) {
    to.resize(to.len() + count, b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_future_times_show_their_year() {
        let now = (1_795_000_000, 5);
        for (at, text) in [
            ((1_795_000_000, 4), "Nov 18 11:06"),
            ((1_795_000_000, 5), "Nov 18  2026"),
            ((1_795_000_000 - HALF_YEAR, 6), "May 19 20:12"),
            ((1_795_000_000 - HALF_YEAR, 5), "May 19  2026"),
            ((0, 0), "Jan  1  1970"),
            ((-1, 0), "Dec 31  1969"),
        ] {
            let mut to = Vec::new();
            Day::default().add(&mut to, at, now);
            assert_eq!(String::from_utf8_lossy(&to), text);
        }
    }
}
