//! Directories read in large pieces, and files' facts by statx(2): what std and nix do with a call or a copy more.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::Result;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

/// A larger buffer than the 32 KiB of libc: fewer calls.
const BUFFER: usize = 128 << 10;

/// Where a name begins in `struct linux_dirent64` (linux/dirent.h): after inode, offset, record length and type.
const NAME_AT: usize = 19;

/// An open directory that is being read.
pub struct Entries<'a> {
    fd: BorrowedFd<'a>,
    buffer: &'a mut Vec<u8>,
    position: Position,
}

/// How far the records in a buffer are used up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Position {
    at: usize,
    end: usize,
}

/// One entry of a directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name, never empty.
    pub name: &'a CStr,
    /// Its inode, of what a mount may hide.
    pub inode: u64,
    /// Its type, a `DT_*`; `DT_UNKNOWN` where the filesystem does not say.
    pub kind: u8,
}

/// Opens a directory; what is none, a FIFO or a device too, is refused by the kernel before it is opened.
///
/// # Errors
/// As openat(2); with `follow` off, ELOOP or ENOTDIR for a symbolic link.
pub fn open(path: &OsStr, follow: bool) -> Result<OwnedFd> {
    let mut flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    flags.set(OFlag::O_NOFOLLOW, !follow);
    openat(AT_FDCWD, path, flags, Mode::empty())
}

impl<'a> Entries<'a> {
    /// Reads an open directory into `buffer`, which may serve one directory after the other.
    pub fn new(fd: BorrowedFd<'a>, buffer: &'a mut Vec<u8>) -> Self {
        buffer.resize(BUFFER, 0);
        Self { fd, buffer, position: Position::default() }
    }

    /// The next entry, `.` and `..` among them; `None` at the end.
    ///
    /// # Errors
    /// As getdents64(2); EINVAL where a record is not well-formed.
    pub fn next(&mut self) -> Result<Option<Entry<'_>>> {
        self.position.next(self.fd, self.buffer)
    }
}

impl Position {
    /// The next entry of an open directory, through a buffer that is its own.
    ///
    /// # Errors
    /// As [`Entries::next`].
    pub fn next<'b>(&mut self, fd: BorrowedFd, buffer: &'b mut [u8]) -> Result<Option<Entry<'b>>> {
        if self.at >= self.end {
            self.at = 0;
            self.end = getdents(fd, buffer)?;
            if self.end == 0 {
                return Ok(None);
            }
        }
        let rest = buffer.get(self.at..self.end).unwrap_or_default();
        let (entry, length) = record(rest).ok_or(Errno::EINVAL)?;
        self.at += length;
        Ok(Some(entry))
    }
}

/// Whether an open directory holds nothing.
///
/// # Errors
/// As getdents64(2).
pub fn is_empty(directory: BorrowedFd) -> Result<bool> {
    let mut buffer = [0; 1024];
    let mut position = Position::default();
    loop {
        match position.next(directory, &mut buffer)? {
            None => return Ok(true),
            Some(entry) if matches!(entry.name.to_bytes(), b"." | b"..") => {}
            Some(_) => return Ok(false),
        }
    }
}

/// The record at the head of `bytes`, and its length.
pub(crate) fn record(bytes: &[u8]) -> Option<(Entry<'_>, usize)> {
    let (inode, rest) = bytes.split_first_chunk()?;
    let (_offset, rest) = rest.split_first_chunk::<8>()?;
    let (length, _) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_ne_bytes(*length));
    let name = CStr::from_bytes_until_nul(bytes.get(NAME_AT..length)?).ok()?;
    if name.is_empty() {
        return None;
    }
    let kind = *bytes.get(NAME_AT - 1)?;
    Some((Entry { name, inode: u64::from_ne_bytes(*inode), kind }, length))
}

fn getdents(fd: BorrowedFd, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes to `buffer`, which is borrowed mutably for the call.
    let raw =
        unsafe { libc::syscall(libc::SYS_getdents64, fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) };
    Errno::result(raw).map(|count| count as usize)
}

/// Facts of a file. What was not asked for may be 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stat {
    /// Type and permissions.
    pub mode: u32,
    /// Hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Blocks of 512 bytes that it takes.
    pub blocks: u64,
    /// Inode.
    pub inode: u64,
    /// Modification time, seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds of it.
    pub nanoseconds: u32,
    /// The device that it is on.
    pub on_device: u64,
    /// Major and minor number, of a device.
    pub device: (u32, u32),
}

/// Facts of a file by its path from `directory`; `follow` goes through a symbolic link at its end. `mask` is what is
/// needed, of `STATX_*`.
///
/// # Errors
/// As statx(2).
pub fn stat(directory: Option<BorrowedFd>, path: &CStr, follow: bool, mask: u32) -> Result<Stat> {
    let facts = statx(directory, path, follow, mask)?;
    Ok(Stat {
        on_device: libc::makedev(facts.stx_dev_major, facts.stx_dev_minor),
        mode: u32::from(facts.stx_mode),
        nlink: facts.stx_nlink,
        uid: facts.stx_uid,
        gid: facts.stx_gid,
        size: facts.stx_size,
        blocks: facts.stx_blocks,
        inode: facts.stx_ino,
        seconds: facts.stx_mtime.tv_sec,
        nanoseconds: facts.stx_mtime.tv_nsec,
        device: (facts.stx_rdev_major, facts.stx_rdev_minor),
    })
}

/// All that the kernel says of a file, as [`stat`].
///
/// # Errors
/// As statx(2).
pub fn statx(directory: Option<BorrowedFd>, path: &CStr, follow: bool, mask: u32) -> Result<libc::statx> {
    let directory = directory.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd());
    let flags = libc::AT_NO_AUTOMOUNT | if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    let mut facts = std::mem::MaybeUninit::<libc::statx>::uninit();
    // SAFETY: the path is a C string and the kernel writes one `struct statx` to `facts`; both outlive the call.
    let raw =
        unsafe { libc::syscall(libc::SYS_statx, directory, path.as_ptr(), flags, mask, facts.as_mut_ptr()) };
    Errno::result(raw)?;
    // SAFETY: on success the kernel has filled the whole structure.
    Ok(unsafe { facts.assume_init() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn records_that_are_not_well_formed_are_none() {
        let mut bytes = [0u8; 24];
        bytes[0] = 7;
        bytes[16] = 24;
        bytes[18] = libc::DT_REG;
        bytes[19] = b'a';
        let (entry, length) = record(&bytes).unwrap();
        assert_eq!((entry.name.to_bytes(), entry.kind, length), (&b"a"[..], libc::DT_REG, 24));
        for (at, value) in [(16, 0), (16, 19), (16, 25), (19, 0)] {
            let mut bad = bytes;
            bad[at] = value;
            assert_eq!(record(&bad), None, "{at} {value}");
        }
        assert_eq!(record(&bytes[..23]), None);
        assert_eq!(record(&[]), None);
    }

    #[test]
    fn a_directory_larger_than_the_buffer_is_read_whole() {
        let root = std::env::temp_dir().join(format!("nsdbg-dir-{}", std::process::id()));
        std::fs::create_dir(&root).unwrap();
        let names: Vec<String> = (0..1000).map(|i| format!("{i:0200}")).collect();
        for name in &names {
            std::fs::write(root.join(name), name).unwrap();
        }
        let (directory, mut buffer) = (open(root.as_os_str(), true).unwrap(), Vec::new());
        let mut entries = Entries::new(directory.as_fd(), &mut buffer);
        let mut seen = Vec::new();
        while let Some(entry) = entries.next().unwrap() {
            seen.push(entry.name.to_str().unwrap().to_owned());
        }
        seen.sort();
        assert_eq!(seen[..2], [".", ".."].map(|dot| dot.to_owned()));
        assert_eq!(seen[2..], names[..]);
        let first = std::ffi::CString::new(names[0].as_str()).unwrap();
        let mask = libc::STATX_TYPE | libc::STATX_SIZE;
        assert_eq!(stat(Some(directory.as_fd()), &first, false, mask).unwrap().size, 200);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
