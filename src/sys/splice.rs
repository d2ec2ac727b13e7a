//! Bytes of a file into a pipe, within the kernel, by way of a pipe of this process alone.
//!
//! splice(2) holds the lock of a pipe while it reads the file: where that never answers, as a FUSE or network server may
//! not, who reads or closes the other end waits as well, beyond SIGKILL. So a file is never spliced into a pipe that
//! another process has.

use std::os::fd::{AsFd, OwnedFd};

use nix::Result;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::{pipe2, read, write};

/// A pipe of this process alone.
#[derive(Debug)]
pub struct Private {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Private {
    /// Makes it, of this size where the system allows that.
    ///
    /// # Errors
    /// As pipe2(2).
    pub fn new(size: usize) -> Result<Self> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(i32::try_from(size).unwrap_or(i32::MAX)));
        Ok(Self { reader, writer })
    }

    /// Its end to write.
    pub fn writer(&self) -> &OwnedFd {
        &self.writer
    }

    /// Moves at most `most` bytes of `file`, from `offset` on or from its own position, to `to`. Returns how many, and 0 at
    /// the end.
    ///
    /// # Errors
    /// As splice(2), and EPIPE where `to` is closed.
    pub fn pass(
        &self,
        file: impl AsFd,
        offset: Option<&mut libc::loff_t>,
        to: impl AsFd,
        most: usize,
    ) -> Result<usize> {
        let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_MORE;
        let count = splice(file, offset, &self.writer, None, most, flags)?;
        self.drain(to, count)?;
        Ok(count)
    }

    /// Moves `count` bytes that are in the pipe to `to`; copies them where `to` can't be spliced into.
    ///
    /// # Errors
    /// As splice(2) or write(2).
    pub fn drain(&self, to: impl AsFd, mut count: usize) -> Result<()> {
        while count > 0 {
            match splice(&self.reader, None, to.as_fd(), None, count, SpliceFFlags::SPLICE_F_MOVE) {
                Ok(0) => return Err(Errno::EIO),
                Ok(done) => count -= done.min(count),
                Err(Errno::EINTR) => {}
                Err(Errno::EINVAL | Errno::ENOSYS) => return self.copy(to, count),
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn copy(&self, to: impl AsFd, mut count: usize) -> Result<()> {
        let mut buffer = vec![0; count.min(64 << 10)];
        while count > 0 {
            let piece = count.min(buffer.len());
            let got = match read(&self.reader, &mut buffer[..piece]) {
                Ok(0) => return Err(Errno::EIO),
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            let mut rest = &buffer[..got];
            while !rest.is_empty() {
                match write(to.as_fd(), rest) {
                    Ok(done) => rest = rest.get(done..).unwrap_or_default(),
                    Err(Errno::EINTR) => {}
                    Err(errno) => return Err(errno),
                }
            }
            count -= got;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn bytes_pass_into_pipes_and_into_files_that_take_no_splice() {
        let path = std::env::temp_dir().join(format!("nsdbg-test-splice-{}", std::process::id()));
        let open = || std::fs::File::options().read(true).append(true).create(true).open(&path).unwrap();
        let mut file = open();
        file.write_all(b"0123456789").unwrap();
        let private = Private::new(4096).unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut offset = 4;
        assert_eq!(private.pass(&file, Some(&mut offset), &writer, 3), Ok(3));
        file.rewind().unwrap();
        assert_eq!(private.pass(&file, None, &writer, 100), Ok(10));
        assert_eq!(private.pass(&file, None, &writer, 100), Ok(0));
        drop(writer);
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        assert_eq!(said, "4560123456789");
        // A file that is opened for appending takes no splice.
        let mut offset = 0;
        assert_eq!(private.pass(&file, Some(&mut offset), &file, 2), Ok(2));
        assert_eq!(std::fs::read(&path).unwrap(), b"012345678901");
        drop(reader);
        std::fs::remove_file(&path).unwrap();
    }
}
