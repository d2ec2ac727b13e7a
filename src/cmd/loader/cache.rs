//! `/etc/ld.so.cache`: where ldconfig(8) found libraries; glibc's sysdeps/generic/dl-cache.h.

use std::collections::HashMap;
use std::ffi::OsStr;

use crate::sys::open::read_bounded;

const PATH: &str = "/etc/ld.so.cache";
/// The largest that is read.
const LIMIT: usize = 8 << 20;
const OLD: &[u8] = b"ld.so-1.7.0\0";
const NEW: &[u8] = b"glibc-ld.so.cache1.1";
/// Bytes of the headers and entries.
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// Names, and the paths of each in the order of the file.
#[derive(Debug, Default)]
pub struct Cache(HashMap<Vec<u8>, Vec<Vec<u8>>>);

impl Cache {
    /// The container's; empty where there is none.
    pub fn read() -> Self {
        Self::parse(&read_bounded(OsStr::new(PATH), LIMIT).unwrap_or_default()).unwrap_or_default()
    }

    /// Takes the file apart; none where it is of another kind, or cut.
    pub fn parse(file: &[u8]) -> Option<Self> {
        let start = match file.strip_prefix(OLD) {
            Some(_) => {
                let entries = u32_at(file, 12)? as usize;
                OLD_HEADER.checked_add(entries.checked_mul(OLD_ENTRY)?)?.checked_next_multiple_of(8)?
            }
            None => 0,
        };
        let file = file.get(start..)?;
        if !file.starts_with(NEW) {
            return None;
        }
        let count = (u32_at(file, 20)? as usize).min(file.len() / ENTRY);
        let mut all: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
        // A name is mostly the end of its path: many entries of one long string were made to fill the memory.
        let mut room = file.len() * 4;
        for at in 0..count {
            let entry = HEADER + at * ENTRY;
            let string = |at: usize| {
                let text = file.get(u32_at(file, at)? as usize..)?;
                let end = text.iter().take(4096).position(|byte| *byte == 0)?;
                text.get(..end).map(<[u8]>::to_vec)
            };
            let (Some(name), Some(path)) = (string(entry + 4), string(entry + 8)) else { continue };
            // Those for particular processors come beside the one for all.
            let is_for_all = file.get(entry + 16..entry + 24)?.iter().all(|byte| *byte == 0);
            if is_for_all {
                let Some(left) = room.checked_sub(name.len() + path.len()) else { break };
                room = left;
                all.entry(name).or_default().push(path);
            }
        }
        Some(Self(all))
    }

    /// Where a library may be.
    pub fn paths(&self, name: &[u8]) -> &[Vec<u8>] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(with_old: bool) -> Vec<u8> {
        let mut file = Vec::new();
        if with_old {
            file.extend(OLD);
            file.extend(1u32.to_ne_bytes());
            file.resize(OLD_HEADER + OLD_ENTRY, 0);
            file.resize(file.len().next_multiple_of(8), 0);
        }
        let strings = b"liba.so.1\0/lib/liba.so.1\0";
        let mut new = NEW.to_vec();
        new.extend(1u32.to_ne_bytes());
        new.extend((strings.len() as u32).to_ne_bytes());
        new.resize(HEADER, 0);
        let at = (HEADER + ENTRY) as u32;
        new.extend(3i32.to_ne_bytes());
        new.extend(at.to_ne_bytes());
        new.extend((at + 10).to_ne_bytes());
        new.resize(HEADER + ENTRY, 0);
        new.extend(strings);
        file.extend(new);
        file
    }

    // Seen to fail without the bound, with 300 MB.
    #[test]
    fn entries_that_share_a_long_string_take_no_more_than_the_file() {
        let count = 50_000_u32;
        let mut file = NEW.to_vec();
        file.extend(count.to_ne_bytes());
        file.resize(HEADER, 0);
        let at = (HEADER + ENTRY * count as usize) as u32;
        for number in 0..count {
            file.extend(3i32.to_ne_bytes());
            // Each name a bit shorter, so that all differ.
            file.extend((at + number % 3500).to_ne_bytes());
            file.extend(at.to_ne_bytes());
            file.extend([0; 12]);
        }
        file.resize(file.len() + 4000, b'a');
        file.push(0);
        let Cache(all) = Cache::parse(&file).unwrap();
        let held: usize =
            all.iter().map(|(name, paths)| name.len() + paths.iter().map(Vec::len).sum::<usize>()).sum();
        assert!(held > 0 && held <= file.len() * 4, "{held}");
    }

    #[test]
    fn both_kinds_are_read_and_cut_ones_never_panic() {
        for with_old in [false, true] {
            let file = file(with_old);
            let cache = Cache::parse(&file).unwrap();
            assert_eq!(cache.paths(b"liba.so.1"), [b"/lib/liba.so.1".to_vec()]);
            assert!(cache.paths(b"libb.so").is_empty());
            for end in 0..file.len() {
                let _ = Cache::parse(&file[..end]);
            }
        }
        assert!(Cache::parse(b"something else").is_none());
    }
}
