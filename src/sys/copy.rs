//! Copying a file to a descriptor without the bytes passing through this process, where the kernel can.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{FcntlArg, SpliceFFlags, copy_file_range, fcntl, splice};
use nix::sys::stat::{SFlag, fstat};

/// How much is moved at once, and the size asked for pipes: an unprivileged process gets no more by default.
const CHUNK: usize = 1 << 20;

/// Which side of a copy failed.
#[derive(Debug)]
pub enum CopyError {
    /// The file.
    Read(io::Error),
    /// The descriptor.
    Write(io::Error),
}

/// Copies what is left of `from` to `to`: by splice into a pipe, by copy_file_range into a file, and what these do not
/// take by read and write, which also name the side that failed.
///
/// # Errors
/// The side and its error.
pub fn copy(from: &File, to: BorrowedFd) -> Result<(), CopyError> {
    let kind = fstat(to).map(|stat| stat.st_mode & SFlag::S_IFMT.bits()).unwrap_or_default();
    if kind == SFlag::S_IFIFO.bits() {
        let _ = fcntl(to, FcntlArg::F_SETPIPE_SZ(CHUNK as i32));
        while splice(from, None, to, None, CHUNK, SpliceFFlags::SPLICE_F_MOVE).is_ok_and(|moved| moved > 0) {}
    } else if kind == SFlag::S_IFREG.bits() {
        while copy_file_range(from, None, to, None, CHUNK << 10).is_ok_and(|moved| moved > 0) {}
    }
    // Files of procfs end at once for the calls above; only a read that returns 0 is the end.
    let mut buffer = Vec::new();
    let mut from = from;
    let mut to = File::from(to.as_fd().try_clone_to_owned().map_err(CopyError::Write)?);
    buffer.resize(64 << 10, 0);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                let filled = length == buffer.len();
                to.write_all(buffer.get(..length).unwrap_or_default()).map_err(CopyError::Write)?;
                if filled && length < CHUNK {
                    buffer.resize(CHUNK, 0);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(CopyError::Read(error)),
        }
    }
}
