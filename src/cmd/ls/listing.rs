//! What is held of a directory until it is printed: names in one arena, facts beside them, bounded.

use std::cmp::Ordering;
use std::ffi::CStr;

use crate::sys::dir::Stat;

/// What a listing may hold, names and facts together: some 2 million files with `-l`, 7 million without.
pub const LIMIT: usize = 256 << 20;

/// One file of a listing: its name in the arena and what the directory said of it. Small, since these are sorted.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    /// Eight bytes of the name after what all names share, so that most comparisons end here.
    key: u64,
    name: u32,
    length: u16,
    kind: u8,
    facts: u32,
}

/// What was asked of a file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// Its stat.
    pub stat: Stat,
    /// Where a symbolic link leads, in the arena.
    target: Option<(u32, u16)>,
    /// The mode of what it leads to; 0 where that is not there.
    pub target_mode: u32,
}

impl From<Stat> for Facts {
    fn from(stat: Stat) -> Self {
        Self { stat, target: None, target_mode: 0 }
    }
}

/// By what a listing is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Names, by their bytes.
    Name,
    /// Modification times, newest first.
    Time,
    /// Sizes, largest first.
    Size,
    /// As the directory has them.
    Directory,
}

/// Files that are printed together.
#[derive(Debug)]
pub struct Listing {
    limit: usize,
    arena: Vec<u8>,
    /// The files, in the order in which they are printed.
    pub items: Vec<Item>,
    facts: Vec<Facts>,
}

const NO_FACTS: u32 = u32::MAX;

impl Default for Listing {
    fn default() -> Self {
        Self { limit: LIMIT, arena: Vec::new(), items: Vec::new(), facts: Vec::new() }
    }
}

impl Listing {
    /// Takes a file in. False where there is no room for it: then nothing is changed.
    pub fn push(&mut self, name: &CStr, kind: u8, facts: Option<(Facts, Option<&[u8]>)>) -> bool {
        let bytes = name.to_bytes_with_nul();
        let target = facts.as_ref().and_then(|(_, target)| *target).unwrap_or_default();
        let (Ok(length), Ok(target_length)) = (u16::try_from(bytes.len() - 1), u16::try_from(target.len()))
        else {
            return false;
        };
        if self.held() + bytes.len() + target.len() + size_of::<Item>() + size_of::<Facts>() > self.limit {
            return false;
        }
        // The limit keeps offsets and indexes below 2^32.
        let at = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        let index = match facts {
            None => NO_FACTS,
            Some((mut facts, target)) => {
                facts.target = target.map(|_| (self.arena.len() as u32, target_length));
                self.arena.extend_from_slice(target.unwrap_or_default());
                self.facts.push(facts);
                self.facts.len() as u32 - 1
            }
        };
        self.items.push(Item { key: 0, name: at, length, kind, facts: index });
        true
    }

    fn held(&self) -> usize {
        self.arena.len() + self.items.len() * size_of::<Item>() + self.facts.len() * size_of::<Facts>()
    }

    /// Forgets all files and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.items.clear();
        self.facts.clear();
    }

    /// A file's name.
    pub fn name(&self, item: &Item) -> &[u8] {
        self.slice(item.name, item.length)
    }

    /// A file's facts, where they were asked for and could be had.
    pub fn facts(&self, item: &Item) -> Option<&Facts> {
        self.facts.get(item.facts as usize)
    }

    /// Where a symbolic link leads, where that was read.
    pub fn target(&self, item: &Item) -> Option<&[u8]> {
        let (at, length) = self.facts(item)?.target?;
        Some(self.slice(at, length))
    }

    fn slice(&self, at: u32, length: u16) -> &[u8] {
        self.arena.get(at as usize..at as usize + usize::from(length)).unwrap_or_default()
    }

    /// The type of a file as `S_IF*`; 0 where nobody said.
    pub fn kind(&self, item: &Item) -> u32 {
        match self.facts(item) {
            Some(facts) if facts.stat.mode != 0 => facts.stat.mode & libc::S_IFMT,
            _ => u32::from(item.kind) << 12,
        }
    }

    /// Sorts; equal ones by name. `reverse` turns all of it round.
    pub fn sort(&mut self, order: Order, reverse: bool) {
        if order == Order::Directory {
            return;
        }
        let mut items = std::mem::take(&mut self.items);
        self.set_keys(&mut items);
        let by_name = |a: &Item, b: &Item| a.key.cmp(&b.key).then_with(|| self.name(a).cmp(self.name(b)));
        let stat = |item: &Item| self.facts(item).map(|facts| facts.stat).unwrap_or_default();
        let compare = |a: &Item, b: &Item| -> Ordering {
            match order {
                Order::Time => {
                    let (a_stat, b_stat) = (stat(a), stat(b));
                    (b_stat.seconds, b_stat.nanoseconds)
                        .cmp(&(a_stat.seconds, a_stat.nanoseconds))
                        .then_with(|| by_name(a, b))
                }
                Order::Size => stat(b).size.cmp(&stat(a).size).then_with(|| by_name(a, b)),
                Order::Name | Order::Directory => by_name(a, b),
            }
        };
        items.sort_unstable_by(compare);
        if reverse {
            items.reverse();
        }
        self.items = items;
    }

    fn set_keys(&self, items: &mut [Item]) {
        let Some((first, rest)) = items.split_first() else { return };
        let first = self.name(first);
        let mut shared = first.len();
        for item in rest {
            let name = self.name(item);
            if name.get(..shared) != first.get(..shared) {
                shared = first.iter().zip(name).take_while(|(a, b)| a == b).count();
            }
        }
        for item in items {
            let tail = self.name(item).get(shared..).unwrap_or_default();
            let mut key = [0; 8];
            for (to, from) in key.iter_mut().zip(tail) {
                *to = *from;
            }
            item.key = u64::from_be_bytes(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&CStr], order: Order, reverse: bool) -> Vec<String> {
        let mut listing = Listing::default();
        for (at, name) in names.iter().enumerate() {
            let stat = Stat { size: at as u64 / 2, ..Stat::default() };
            assert!(listing.push(name, libc::DT_REG, Some((Facts::from(stat), None))));
        }
        listing.sort(order, reverse);
        listing.items.iter().map(|item| String::from_utf8_lossy(listing.name(item)).into_owned()).collect()
    }

    #[test]
    fn names_are_sorted_by_bytes_also_after_a_long_shared_head() {
        let names =
            [c"file-long-head-10", c"file-long-head-1", c"file-long-head-", c"file-long-head-100000000z"];
        let in_order =
            ["file-long-head-", "file-long-head-1", "file-long-head-10", "file-long-head-100000000z"];
        assert_eq!(sorted(&names, Order::Name, false), in_order);
        assert_eq!(
            sorted(&[c"b", c"\xff", c"B", c"ba", c"."], Order::Name, false),
            [".", "B", "b", "ba", "\u{fffd}"]
        );
        assert_eq!(sorted(&[c"b", c"a"], Order::Directory, true), ["b", "a"]);
    }

    #[test]
    fn a_full_listing_takes_no_more_and_keeps_what_it_has() {
        let mut listing = Listing { limit: 4096, ..Listing::default() };
        let taken = (0..1000).take_while(|_| listing.push(c"a name", libc::DT_REG, None)).count();
        assert!((50..200).contains(&taken), "{taken}");
        assert_eq!((listing.items.len(), listing.name(&listing.items[taken - 1])), (taken, &b"a name"[..]));
        listing.clear();
        assert!(listing.push(c"a name", libc::DT_REG, None));
    }

    #[test]
    fn equal_sizes_are_sorted_by_name() {
        assert_eq!(sorted(&[c"b", c"a", c"d", c"c"], Order::Size, false), ["c", "d", "a", "b"]);
        assert_eq!(sorted(&[c"b", c"a", c"d", c"c"], Order::Size, true), ["b", "a", "d", "c"]);
    }
}
