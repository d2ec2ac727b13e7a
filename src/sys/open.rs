//! Opening files of a container that may be hostile: FIFOs, devices and sockets are not opened unasked.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

/// Why a file was not opened.
#[derive(Debug)]
pub enum Refused {
    /// The kernel said no.
    Io(io::Error),
    /// It is no regular file: what it is (`a FIFO`).
    Kind(&'static str),
}

impl From<nix::errno::Errno> for Refused {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Opens a regular file, or /dev/null, for reading. What it is, is asked of an O_PATH descriptor first, since opening a FIFO can
/// block and opening a device can act; then the file is opened without blocking and must still be the same one.
///
/// # Errors
/// [`Refused::Kind`] for anything but a regular file, also when it was swapped in between.
pub fn regular(path: &OsStr) -> Result<(File, FileStat), Refused> {
    let looked_at = openat(AT_FDCWD, path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    let before = fstat(&looked_at)?;
    if let Some(kind) = special(&before)
        && !is_null(&before)
    {
        return Err(Refused::Kind(kind));
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = openat(AT_FDCWD, path, flags, Mode::empty())?;
    let after = fstat(&file)?;
    if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino) {
        return Err(Refused::Kind(special(&after).unwrap_or("a file that was swapped while it was opened")));
    }
    Ok((file.into(), after))
}

/// Opens a file for writing, made or emptied, or to be written at its end. /dev/null is the one device that is; a FIFO
/// or another device is refused.
///
/// # Errors
/// As [`regular`].
pub fn to_write(path: &OsStr, append: bool) -> Result<File, Refused> {
    let looked_at = openat(AT_FDCWD, path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
    if let Ok(stat) = looked_at.and_then(fstat)
        && let Some(kind) = special(&stat)
        && !is_null(&stat)
    {
        return Err(Refused::Kind(kind));
    }
    let how = if append { OFlag::O_APPEND } else { OFlag::O_TRUNC };
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | how;
    Ok(openat(AT_FDCWD, path, flags, Mode::from_bits_truncate(0o644))?.into())
}

/// Whether it is the device that gives nothing and takes everything, by any name.
pub fn is_null(stat: &FileStat) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits() && stat.st_rdev == libc::makedev(1, 3)
}

/// What a file is, where it is not a regular one.
pub fn special(stat: &FileStat) -> Option<&'static str> {
    special_mode(stat.st_mode)
}

/// What a copy replaces no more than cp does: a FIFO, a socket, a device.
pub fn irreplaceable(mode: u32) -> Option<&'static str> {
    match SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFDIR | SFlag::S_IFLNK => None,
        _ => special_mode(mode),
    }
}

fn special_mode(mode: u32) -> Option<&'static str> {
    match SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => None,
        SFlag::S_IFDIR => Some("a directory"),
        SFlag::S_IFIFO => Some("a FIFO"),
        SFlag::S_IFSOCK => Some("a socket"),
        SFlag::S_IFCHR => Some("a character device"),
        SFlag::S_IFBLK => Some("a block device"),
        _ => Some("not a file"),
    }
}

/// Reads a file, up to `limit` bytes.
///
/// # Errors
/// As read(2).
pub fn read_limited(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a small regular file whole, up to `limit` bytes.
///
/// # Errors
/// As [`regular`]; a longer file is `FileTooLarge`.
pub fn read_bounded(path: &OsStr, limit: usize) -> Result<Vec<u8>, Refused> {
    let (file, _) = regular(path)?;
    let bytes = read_limited(file, limit as u64 + 1).map_err(Refused::Io)?;
    if bytes.len() > limit {
        return Err(Refused::Io(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}
