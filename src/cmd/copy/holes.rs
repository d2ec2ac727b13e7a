//! Files with holes: where they are, and that copies have them too.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Blocks of this size that are all zeros become holes.
const HOLE: usize = 4096;

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
