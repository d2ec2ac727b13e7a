//! Looking for the last lines of a file from its end.

use std::os::fd::AsFd;

use memchr::memrchr_iter;
use nix::errno::Errno;
use nix::sys::uio::pread;

use super::PIECE;
use crate::cmd::Result;
use crate::cmd::input::Input;

/// Where the last `lines` lines of the bytes from `start` to `end` of a file begin. A last line without an end counts.
///
/// # Errors
/// A fault of reading.
pub fn last_lines(input: &Input, (start, end): (u64, u64), lines: u64, delimiter: u8) -> Result<u64> {
    if lines == 0 {
        return Ok(end);
    }
    let mut buffer = vec![0; PIECE];
    let mut wanted = lines;
    let mut high = end;
    while high > start {
        // In step with the file's pages.
        let low = ((high - 1) / PIECE as u64 * PIECE as u64).max(start);
        let piece = buffer.get_mut(..(high - low) as usize).unwrap_or_default();
        let count = read_at(input, piece, low)?;
        let piece = piece.get(..count).unwrap_or_default();
        for at in memrchr_iter(delimiter, piece) {
            let after = low + at as u64 + 1;
            // What ends the last line begins none.
            if after == end {
                continue;
            }
            wanted -= 1;
            if wanted == 0 {
                return Ok(after);
            }
        }
        high = low;
    }
    Ok(start)
}

/// Reads as much as there is of a piece; less where the file has shrunk.
fn read_at(input: &Input, piece: &mut [u8], offset: u64) -> Result<usize> {
    let mut filled = 0;
    while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match pread(input.as_fd(), rest, (offset + filled as u64) as i64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(input.fault(&errno.into())),
        }
    }
    Ok(filled)
}
