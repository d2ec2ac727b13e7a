//! Files with holes: where they are, and that copies have them too.

use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::sys::stat::fstat;
use nix::unistd::{Whence, lseek64};

use crate::sys::tar::{Extent, MAX_EXTENTS};

/// Blocks of this size that are all zeros become holes.
const HOLE: usize = 4096;

/// Where a file has data; none where it has no holes. What is behind very many holes counts as data.
pub fn extents(file: &File, size: u64) -> Option<Vec<Extent>> {
    let mut extents: Vec<Extent> = Vec::new();
    let mut at = 0;
    while at < size {
        let (hole, data) = extent(file, at, size - at);
        at += hole;
        if data > 0 {
            let length = if extents.len() + 1 == MAX_EXTENTS { size - at } else { data };
            extents.push(Extent { at, length });
            at += length;
        }
    }
    let is_whole = matches!(extents[..], [Extent { length, .. }] if length == size);
    (!is_whole).then_some(extents)
}

/// From a position on: the length of the hole there, then, where there is none, that of the data. Where the file system
/// does not say, all of it is data.
pub fn extent(file: &File, position: u64, left: u64) -> (u64, u64) {
    let at = position as i64;
    match lseek64(file, at, Whence::SeekData) {
        Err(Errno::ENXIO) if fstat(file).is_ok_and(|now| now.st_size as u64 >= position + left) => (left, 0),
        Ok(data) if data > at => ((data as u64 - position).min(left), 0),
        Ok(_) => match lseek64(file, at, Whence::SeekHole) {
            Ok(hole) if hole > at => (0, (hole as u64 - position).min(left)),
            _ => (0, left),
        },
        Err(_) => (0, left),
    }
}

/// Writes a piece at its place, but for blocks of zeros.
pub fn write_with_holes(file: &File, at: u64, piece: &[u8]) -> std::io::Result<()> {
    let mut from = 0;
    while from < piece.len() {
        let block = |start: usize| {
            // Blocks end where the file's do.
            let end = start + HOLE - ((at + start as u64) % HOLE as u64) as usize;
            start..end.min(piece.len())
        };
        let is_zero = |range: &std::ops::Range<usize>| piece[range.clone()] == [0; HOLE][..range.len()];
        let mut range = block(from);
        let zero = is_zero(&range);
        while range.end < piece.len() {
            let next = block(range.end);
            if is_zero(&next) != zero {
                break;
            }
            range.end = next.end;
        }
        if !zero {
            file.write_all_at(&piece[range.clone()], at + range.start as u64)?;
        }
        from = range.end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[test]
    fn holes_are_left_where_there_are_zeros() {
        let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
        let mut file = File::from(nix::sys::memfd::memfd_create(c"nsdbg-test", flags).unwrap());
        let mut all = vec![0; 100_000];
        for at in [0, 5000, 40_000, 40_001, 77_777] {
            all[at] = 1;
        }
        for (at, piece) in all.chunks(777).enumerate() {
            write_with_holes(&file, at as u64 * 777, piece).unwrap();
        }
        file.set_len(100_000).unwrap();
        let mut is = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut is).unwrap();
        assert!(is == all);
        assert!(std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) < 100);
    }
}
