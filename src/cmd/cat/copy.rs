//! Bytes from a descriptor to standard output, in the kernel where it can.

use std::io::Write;
use std::os::fd::BorrowedFd;

use nix::Result;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SpliceFFlags, copy_file_range, fcntl, splice};
use nix::sys::stat::SFlag;

use crate::sys::splice::Private;

/// What one call moves: as much as the pipes of a session hold.
const PIECE: usize = 1 << 20;

/// The buffer where the kernel can't move the bytes itself.
const BUFFER: usize = 256 << 10;

/// Why a copy ended early.
pub enum Failed {
    /// The input could not be read.
    Read(Errno),
    /// The output could not be written.
    Write(std::io::Error),
}

/// Copies all of `input` to `stdout`, which is of type `kind` and is what `to` writes to.
///
/// # Errors
/// Which side failed.
pub fn copy(
    input: BorrowedFd,
    stdout: BorrowedFd,
    kind: SFlag,
    to: &mut dyn Write,
) -> std::result::Result<(), Failed> {
    to.flush().map_err(Failed::Write)?;
    let moved = match kind {
        SFlag::S_IFIFO if of_pipe(input) => {
            let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_MORE;
            in_kernel(|| splice(input, None, stdout, None, PIECE, flags))
        }
        SFlag::S_IFIFO => {
            Private::new(PIECE).and_then(|private| in_kernel(|| private.pass(input, None, stdout, PIECE)))
        }
        // Nothing is lost by a large count here: it returns at the end of the file.
        SFlag::S_IFREG => in_kernel(|| copy_file_range(input, None, stdout, None, PIECE << 10)),
        _ => Ok(()),
    };
    match moved {
        Err(Errno::EPIPE) => Err(Failed::Write(Errno::EPIPE.into())),
        // Whatever it was: reading and writing says which side it is, or goes on. It is also asked where there was
        // nothing to move, since files of procfs say so although they have bytes.
        _ => pieces(input, |piece| to.write_all(piece).and_then(|()| to.flush()).map_err(Failed::Write)),
    }
}

/// Whether it is a pipe, of which nothing is asked of a file system.
fn of_pipe(input: BorrowedFd) -> bool {
    fcntl(input, FcntlArg::F_GETPIPE_SZ).is_ok()
}

/// Moves bytes until there are none.
fn in_kernel(mut move_piece: impl FnMut() -> Result<usize>) -> Result<()> {
    loop {
        match move_piece() {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Reads `input` to its end, a piece at a time.
///
/// # Errors
/// Where it can't be read, or what `take` returns.
pub fn pieces(
    input: BorrowedFd,
    mut take: impl FnMut(&[u8]) -> std::result::Result<(), Failed>,
) -> std::result::Result<(), Failed> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match nix::unistd::read(input, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(buffer.get(..count).unwrap_or_default())?,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failed::Read(errno)),
        }
    }
}
