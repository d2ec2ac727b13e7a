//! What is held of a directory until it is printed: names in one arena, facts beside them, bounded.

use std::cmp::Ordering;
use std::ffi::CStr;

use super::look::columns;
use super::times::Time;
use crate::cmd::sort::version;
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
    /// The time that is shown and sorted by; none where the file system does not keep it.
    pub time: Option<Time>,
    /// Whether it has an ACL.
    pub acl: bool,
    /// Where a symbolic link leads, in the arena.
    target: Option<(u32, u16)>,
    /// The mode of what it leads to; 0 where that is not there.
    pub target_mode: u32,
    /// Its label, in the arena.
    context: Option<(u32, u16)>,
}

impl Facts {
    /// Of a file without more.
    pub fn of(stat: Stat, time: Option<Time>) -> Self {
        Self { stat, time, ..Self::default() }
    }
}

/// Texts that belong to a file's facts.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    /// Where a symbolic link leads.
    pub target: Option<Vec<u8>>,
    /// Its label.
    pub context: Option<Vec<u8>>,
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
    /// Names, by the numbers in them.
    Version,
    /// What is behind the last dot of names.
    Extension,
    /// The columns that names take.
    Width,
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
    /// Whether directories are not printed here, though columns are as wide as they need.
    pub without_directories: bool,
    facts: Vec<Facts>,
}

const NO_FACTS: u32 = u32::MAX;

impl Default for Listing {
    fn default() -> Self {
        Self {
            limit: LIMIT,
            arena: Vec::new(),
            items: Vec::new(),
            without_directories: false,
            facts: Vec::new(),
        }
    }
}

impl Listing {
    /// Takes a file in. False where there is no room for it: then nothing is changed.
    pub fn push(&mut self, name: &CStr, kind: u8, facts: Option<(Facts, &Texts)>) -> bool {
        let bytes = name.to_bytes_with_nul();
        let length_of = |text: &Option<Vec<u8>>| text.as_ref().map_or(0, Vec::len);
        let texts = facts.map_or(0, |(_, texts)| length_of(&texts.target) + length_of(&texts.context));
        // So no text of a file is longer either.
        let (Ok(length), Ok(_)) = (u16::try_from(bytes.len() - 1), u16::try_from(texts)) else {
            return false;
        };
        if self.held() + bytes.len() + texts + size_of::<Item>() + size_of::<Facts>() > self.limit {
            return false;
        }
        // The limit keeps offsets and indexes below 2^32.
        let at = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        let index = match facts {
            None => NO_FACTS,
            Some((mut facts, texts)) => {
                facts.target = texts.target.as_deref().map(|text| self.keep(text));
                facts.context = texts.context.as_deref().map(|text| self.keep(text));
                self.facts.push(facts);
                self.facts.len() as u32 - 1
            }
        };
        self.items.push(Item { key: 0, name: at, length, kind, facts: index });
        true
    }

    fn keep(&mut self, text: &[u8]) -> (u32, u16) {
        let at = self.arena.len() as u32;
        self.arena.extend_from_slice(text);
        (at, text.len() as u16)
    }

    fn held(&self) -> usize {
        self.arena.len() + self.items.len() * size_of::<Item>() + self.facts.len() * size_of::<Facts>()
    }

    /// Forgets all files and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.items.clear();
        self.facts.clear();
        self.without_directories = false;
    }

    /// Whether a file is held and not printed.
    pub fn is_left_out(&self, item: &Item) -> bool {
        self.without_directories && self.kind(item) == libc::S_IFDIR
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

    /// A file's label, where it was asked for and it has one.
    pub fn context(&self, item: &Item) -> Option<&[u8]> {
        let (at, length) = self.facts(item)?.context?;
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
        let time = |item: &Item| self.facts(item).and_then(|facts| facts.time).unwrap_or_default();
        let size = |item: &Item| self.facts(item).map_or(0, |facts| facts.stat.size);
        let order = |a: &Item, b: &Item| -> Ordering {
            match order {
                Order::Name | Order::Directory => Ordering::Equal,
                Order::Time => time(b).cmp(&time(a)),
                Order::Size => size(b).cmp(&size(a)),
                Order::Version => version::compare(self.name(a), self.name(b)),
                Order::Extension => extension(self.name(a)).cmp(extension(self.name(b))),
                Order::Width => columns(self.name(a)).cmp(&columns(self.name(b))),
            }
        };
        items.sort_unstable_by(|a, b| order(a, b).then_with(|| by_name(a, b)));
        if reverse {
            items.reverse();
        }
        self.items = items;
    }

    /// Puts directories first, and links to them.
    pub fn directories_first(&mut self) {
        let mut items = std::mem::take(&mut self.items);
        items.sort_by_key(|item| !self.leads_to_directory(item));
        self.items = items;
    }

    fn leads_to_directory(&self, item: &Item) -> bool {
        match self.kind(item) {
            libc::S_IFLNK => {
                self.facts(item).is_some_and(|facts| facts.target_mode & libc::S_IFMT == libc::S_IFDIR)
            }
            kind => kind == libc::S_IFDIR,
        }
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

/// What is behind the last dot, the dot with it; nothing where there is none.
fn extension(name: &[u8]) -> &[u8] {
    name.iter().rposition(|byte| *byte == b'.').and_then(|at| name.get(at..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&CStr], order: Order, reverse: bool) -> Vec<String> {
        let mut listing = Listing::default();
        for (at, name) in names.iter().enumerate() {
            let stat = Stat { size: at as u64 / 2, ..Stat::default() };
            assert!(listing.push(name, libc::DT_REG, Some((Facts::of(stat, None), &Texts::default()))));
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
