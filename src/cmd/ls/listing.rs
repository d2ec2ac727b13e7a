//! The names of one directory: one arena for all of them, sorted by index.

use std::cmp::Ordering;
use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;

use super::{Options, Sort};
use crate::sys::dir::{self, Acls, Dir, Stat};

/// What names and facts of one directory may take.
const LIMIT: usize = 256 << 20;

/// One name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// The first eight bytes, so that most comparisons end here.
    key: u64,
    start: u32,
    length: u16,
    /// `DT_DIR` and the like.
    pub kind: u8,
    /// The directory entry's inode.
    pub inode: u64,
    /// Where its facts are, or [`NONE`].
    stat: u32,
}

const NONE: u32 = u32::MAX;
/// A file that was asked and did not answer.
const FAILED: u32 = u32::MAX - 1;

/// The names of one directory.
#[derive(Default)]
pub(super) struct Listing {
    /// Names, each with its NUL.
    arena: Vec<u8>,
    items: Vec<Item>,
    stats: Vec<Stat>,
    failed: Vec<(Item, i32)>,
    /// How many names there was no room for.
    pub cut: u64,
}

/// The type in a mode, as directories give it.
pub(super) fn kind_of(mode: u32) -> u8 {
    ((mode & libc::S_IFMT) >> 12) as u8
}

impl Listing {
    /// Adds a name with its facts.
    pub fn add(&mut self, name: &[u8], stat: Stat) {
        if let Some(mut item) = self.push(name, kind_of(stat.mode), stat.inode) {
            item.stat = self.stats.len() as u32;
            self.stats.push(stat);
            self.items.push(item);
        }
    }

    fn push(&mut self, name: &[u8], kind: u8, inode: u64) -> Option<Item> {
        let held =
            self.arena.len() + self.items.len() * size_of::<Item>() + self.stats.len() * size_of::<Stat>();
        let (Ok(length), Ok(start)) = (u16::try_from(name.len()), u32::try_from(self.arena.len())) else {
            self.cut += 1;
            return None;
        };
        if held + name.len() > LIMIT {
            self.cut += 1;
            return None;
        }
        let mut key = [0; 8];
        key.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
        self.arena.extend_from_slice(name);
        self.arena.push(0);
        Some(Item { key: u64::from_be_bytes(key), start, length, kind, inode, stat: NONE })
    }

    /// Reads a directory to its end, or one batch of it; says whether the end was reached.
    pub fn read(&mut self, dir: &mut Dir, path: &[u8], ls: &Options, one_batch: bool) -> io::Result<bool> {
        loop {
            let batch = dir.batch()?;
            if batch.is_empty() {
                break;
            }
            for entry in batch {
                if ls.shows(entry.name)
                    && let Some(item) = self.push(entry.name, entry.kind, entry.inode)
                {
                    self.items.push(item);
                }
            }
            if one_batch {
                self.ask(dir, path, ls);
                return Ok(false);
            }
        }
        self.ask(dir, path, ls);
        Ok(true)
    }

    /// Asks for the facts that the options need.
    fn ask(&mut self, dir: &Dir, path: &[u8], ls: &Options) {
        let mut acls = Acls::new(Some(path));
        let all = ls.needs_stat();
        if all {
            self.stats.reserve_exact(self.items.len());
        }
        for item in &mut self.items {
            if !all && !ls.needs_mode(item.kind) {
                continue;
            }
            let Some(name) = c_name(&self.arena, *item) else { continue };
            match dir::stat(Some(dir.as_fd()), name, false) {
                Ok(mut stat) => {
                    item.kind = kind_of(stat.mode);
                    if ls.long && item.kind != libc::DT_LNK {
                        stat.acl = acls.has(name, item.kind == libc::DT_DIR);
                    }
                    item.stat = self.stats.len() as u32;
                    self.stats.push(stat);
                }
                Err(error) => {
                    item.stat = FAILED;
                    // A file that went away while the rest were asked is named like others.
                    if self.failed.len() < 1000 {
                        self.failed.push((*item, error.raw_os_error().unwrap_or(0)));
                    }
                }
            }
        }
    }

    /// Sorts as the options say; names decide between equals.
    pub fn sort(&mut self, ls: &Options) {
        let (arena, stats) = (&self.arena, &self.stats);
        let by_name = |a: &Item, b: &Item| match a.key.cmp(&b.key) {
            Ordering::Equal => name_of(arena, *a).cmp(name_of(arena, *b)),
            order => order,
        };
        let fact = |item: &Item| stats.get(item.stat as usize);
        match ls.sort {
            Sort::None => return,
            Sort::Name => self.items.sort_unstable_by(by_name),
            Sort::Size => self.items.sort_unstable_by(|a, b| {
                fact(b).map(|s| s.size).cmp(&fact(a).map(|s| s.size)).then_with(|| by_name(a, b))
            }),
            Sort::Time => {
                let time = |item: &Item| fact(item).map(|s| (s.mtime, s.mtime_nanoseconds));
                self.items.sort_unstable_by(|a, b| time(b).cmp(&time(a)).then_with(|| by_name(a, b)));
            }
        }
        if ls.reverse {
            self.items.reverse();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The names in order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.items.iter().map(|item| self.name(*item))
    }

    pub fn name(&self, item: Item) -> &[u8] {
        name_of(&self.arena, item)
    }

    /// The name as system calls take it.
    pub fn c_name(&self, item: Item) -> Option<&CStr> {
        c_name(&self.arena, item)
    }

    pub fn stat(&self, item: Item) -> Option<&Stat> {
        self.stats.get(item.stat as usize)
    }

    /// Whether its facts were asked for and refused.
    pub fn is_unknown(item: Item) -> bool {
        item.stat == FAILED
    }

    pub fn stats(&self) -> &[Stat] {
        &self.stats
    }

    /// Names whose facts were refused, and why.
    pub fn failed(&self) -> impl Iterator<Item = (&[u8], i32)> {
        self.failed.iter().map(|(item, errno)| (self.name(*item), *errno))
    }

    /// The directories in it, in order, but not itself and its parent.
    pub fn directories(&self) -> impl Iterator<Item = &[u8]> {
        self.items
            .iter()
            .filter(|item| item.kind == libc::DT_DIR)
            .map(|item| self.name(*item))
            .filter(|name| *name != b"." && *name != b"..")
    }
}

fn name_of(arena: &[u8], item: Item) -> &[u8] {
    let start = item.start as usize;
    arena.get(start..start + usize::from(item.length)).unwrap_or_default()
}

fn c_name(arena: &[u8], item: Item) -> Option<&CStr> {
    let start = item.start as usize;
    let bytes = arena.get(start..=start + usize::from(item.length))?;
    CStr::from_bytes_with_nul(bytes).ok()
}
