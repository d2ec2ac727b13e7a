//! The long format, one line a file. Nothing is allocated per field, since this is what 100,000 files cost.

use std::collections::HashMap;

use super::listing::{Facts, Item, Listing};
use super::plan::{Form, Plan};
use super::times::{Time, Times};
use crate::out::Scale;
use crate::out::name::escape;
use crate::sys::dir::Stat;
use crate::sys::passwd::Users;
use crate::sys::statx::{mode_text, type_letter};

/// How the long format is printed.
pub struct Long<'a> {
    /// What it shows.
    pub plan: &'a Plan,
    /// The container's users; none for ids.
    pub users: Option<&'a Users>,
    /// Now.
    pub now: Time,
}

/// The widths of the columns of a listing. What precedes names is the same in every form.
#[derive(Debug, Default)]
pub struct Widths {
    inode: usize,
    blocks: usize,
    context: usize,
    acl: bool,
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

/// What the files take together.
pub fn total(to: &mut Vec<u8>, listing: &Listing, scale: Scale) {
    let blocks = listing
        .items
        .iter()
        .filter_map(|item| listing.facts(item))
        .fold(0u64, |sum, facts| sum.saturating_add(facts.stat.blocks));
    to.extend_from_slice(b"total ");
    add_scaled(to, scale, blocks.saturating_mul(512), 0);
    to.push(b'\n');
}

/// What a file takes, in bytes.
fn taken(facts: &Facts) -> u64 {
    facts.stat.blocks.saturating_mul(512)
}

/// What precedes a name in every form: inode, blocks, label.
pub fn frills(to: &mut Vec<u8>, listing: &Listing, item: &Item, plan: &Plan, widths: &Widths) {
    let facts = listing.facts(item);
    if plan.frills.inodes {
        match facts {
            Some(facts) => number(to, facts.stat.inode, widths.inode),
            None => right(to, b"?", widths.inode),
        }
        to.push(b' ');
    }
    if plan.frills.blocks {
        match facts {
            Some(facts) => add_scaled(to, plan.blocks, taken(facts), widths.blocks),
            None => right(to, b"?", widths.blocks),
        }
        to.push(b' ');
    }
    if plan.frills.context && plan.form != Form::Long {
        right(to, listing.context(item).unwrap_or(b"?"), widths.context);
        to.push(b' ');
    }
}

impl Widths {
    /// Of what precedes names in every form; with commas nothing is aligned.
    pub fn of_frills(plan: &Plan, listing: &Listing) -> Self {
        let mut widths = Self::default();
        let frills = plan.frills;
        if plan.form == Form::Commas || !(frills.inodes || frills.blocks || frills.context) {
            return widths;
        }
        let mut inode = 0;
        for item in &listing.items {
            let facts = listing.facts(item);
            inode = facts.map_or(0, |facts| facts.stat.inode).max(inode);
            if frills.blocks {
                let width = facts.map_or(1, |facts| scaled_width(plan.blocks, taken(facts)));
                widths.blocks = widths.blocks.max(width);
            }
            widths.context = widths.context.max(listing.context(item).map_or(1, <[u8]>::len));
        }
        widths.inode = digits(inode);
        widths
    }
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
        let mut times = Times::new(&self.plan.style, self.now);
        for item in listing.items.iter().filter(|item| !listing.is_left_out(item)) {
            self.line(to, listing, item, &widths, (&mut users, &mut groups), &mut times);
            if to.len() >= super::PIECE {
                flush(to)?;
            }
        }
        Ok(())
    }

    fn widths(&self, listing: &Listing, users: &mut Owners, groups: &mut Owners) -> Widths {
        let mut widths = Widths::of_frills(self.plan, listing);
        let (mut nlink, mut size, mut device) = (0, None, None);
        for item in &listing.items {
            let Some(facts) = listing.facts(item) else {
                for width in [&mut widths.nlink, &mut widths.user, &mut widths.group, &mut widths.size] {
                    *width = (*width).max(1);
                }
                continue;
            };
            let stat = &facts.stat;
            nlink = stat.nlink.max(nlink);
            widths.acl |= facts.acl;
            if is_device(stat) {
                let (major, minor) = device.unwrap_or_default();
                device = Some((stat.device.0.max(major), stat.device.1.max(minor)));
            } else if self.plan.lengths == Scale::BYTES {
                size = size.max(Some(stat.size));
            } else {
                widths.size = widths.size.max(scaled_width(self.plan.lengths, stat.size));
            }
            widths.user = widths.user.max(users.of(stat.uid, |id| self.user(id)).width);
            widths.group = widths.group.max(groups.of(stat.gid, |id| self.group(id)).width);
        }
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
        times: &mut Times,
    ) {
        let plan = self.plan;
        frills(to, listing, item, plan, widths);
        let Some(facts) = listing.facts(item) else {
            return self.unknown(to, listing, item, widths, times);
        };
        let stat = &facts.stat;
        to.extend_from_slice(&mode_text(stat.mode));
        if widths.acl {
            to.push(if facts.acl { b'+' } else { b' ' });
        }
        to.push(b' ');
        number(to, u64::from(stat.nlink), widths.nlink);
        to.push(b' ');
        if plan.owner {
            users.of(stat.uid, |id| self.user(id)).add(to, widths.user);
        }
        if plan.group {
            groups.of(stat.gid, |id| self.group(id)).add(to, widths.group);
        }
        self.context(to, listing, item, widths);
        if is_device(stat) {
            number(to, u64::from(stat.device.0), widths.major);
            to.extend_from_slice(b", ");
            number(to, u64::from(stat.device.1), widths.minor);
        } else {
            add_scaled(to, plan.lengths, stat.size, widths.size);
        }
        to.push(b' ');
        match facts.time {
            Some(time) => times.add(to, time),
            None => right(to, b"?", times.width()),
        }
        to.push(b' ');
        plan.look.name(to, listing, item, true);
        to.push(b'\n');
    }

    fn context(&self, to: &mut Vec<u8>, listing: &Listing, item: &Item, widths: &Widths) {
        if self.plan.frills.context {
            let context = listing.context(item).unwrap_or(b"?");
            to.extend_from_slice(context);
            pad(to, (widths.context + 1).saturating_sub(context.len()));
        }
    }

    /// A file whose stat failed: its type and name.
    fn unknown(&self, to: &mut Vec<u8>, listing: &Listing, item: &Item, widths: &Widths, times: &mut Times) {
        let kind = listing.kind(item);
        to.push(if kind == 0 { b'?' } else { type_letter(kind) });
        to.extend_from_slice(if widths.acl { b"?????????  " } else { b"????????? " });
        right(to, b"?", widths.nlink);
        to.push(b' ');
        for (is_shown, width) in [(self.plan.owner, widths.user), (self.plan.group, widths.group)] {
            if is_shown {
                to.push(b'?');
                pad(to, width);
            }
        }
        self.context(to, listing, item, widths);
        right(to, b"?", widths.size);
        to.push(b' ');
        right(to, b"?", times.width());
        to.push(b' ');
        self.plan.look.name(to, listing, item, true);
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

/// The columns of a size.
fn scaled_width(scale: Scale, size: u64) -> usize {
    match scale {
        Scale::Units { bytes, suffix: "" } => digits(size.div_ceil(bytes.max(1))),
        scale => scale.text(size).len(),
    }
}

/// Adds a size, right in `width` columns.
fn add_scaled(to: &mut Vec<u8>, scale: Scale, size: u64, width: usize) {
    match scale {
        Scale::Units { bytes, suffix: "" } => number(to, size.div_ceil(bytes.max(1)), width),
        scale => right(to, scale.text(size).as_bytes(), width),
    }
}

fn right(to: &mut Vec<u8>, text: &[u8], width: usize) {
    pad(to, width.saturating_sub(text.len()));
    to.extend_from_slice(text);
}

/// Adds spaces.
pub fn pad(to: &mut Vec<u8>, count: usize) {
    to.resize(to.len() + count, b' ');
}
