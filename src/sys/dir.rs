//! Reading directories by getdents64(2) and asking of files by statx(2): what libc wraps costs an allocation a name.

use std::ffi::{CStr, OsStr, c_int};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

/// Large enough that 100,000 names take some 30 calls.
const BUFFER: usize = 128 << 10;

/// An open directory whose names are read in batches.
pub struct Dir {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

/// One name of a directory.
#[derive(Debug, Clone, Copy)]
pub struct Dirent<'a> {
    /// The name.
    pub name: &'a [u8],
    /// `DT_DIR` and the like; `DT_UNKNOWN` where the filesystem does not say.
    pub kind: u8,
    /// The inode, as the directory has it.
    pub inode: u64,
}

impl Dir {
    /// Opens a directory. `follow`: also through a link.
    ///
    /// # Errors
    /// As open(2).
    pub fn open(path: &OsStr, follow: bool) -> io::Result<Self> {
        let link = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | link;
        let fd = openat(AT_FDCWD, path, flags, Mode::empty())?;
        Ok(Self { fd, buffer: vec![0; BUFFER] })
    }

    /// Reads the next names; an empty batch is the end.
    ///
    /// # Errors
    /// As getdents64(2).
    pub fn batch(&mut self) -> io::Result<Batch<'_>> {
        // SAFETY: the descriptor is open, and the kernel writes at most the length given into the buffer.
        let read = unsafe {
            libc::syscall(
                libc::SYS_getdents64,
                self.fd.as_raw_fd(),
                self.buffer.as_mut_ptr(),
                self.buffer.len(),
            )
        };
        let length = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
        Ok(Batch { rest: self.buffer.get(..length).unwrap_or_default() })
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Names that were read together. A record of `struct linux_dirent64` is: inode u64, offset i64, length u16, type u8,
/// name with its NUL.
pub struct Batch<'a> {
    rest: &'a [u8],
}

impl Batch<'_> {
    /// Whether it holds nothing: the directory has ended.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Dirent<'a>;

    fn next(&mut self) -> Option<Dirent<'a>> {
        let inode = u64::from_ne_bytes(*self.rest.first_chunk()?);
        let length = usize::from(u16::from_ne_bytes(*self.rest.get(16..)?.first_chunk()?));
        let kind = *self.rest.get(18)?;
        let (record, rest) = self.rest.split_at_checked(length.max(20))?;
        self.rest = rest;
        let name = record.get(19..)?;
        let name = name.split(|b| *b == 0).next().unwrap_or(name);
        Some(Dirent { name, kind, inode })
    }
}

/// What statx(2) says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Stat {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
    pub inode: u64,
    pub size: u64,
    /// Units of 512 bytes.
    pub blocks: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    pub mtime_nanoseconds: u32,
    pub rdev_major: u32,
    pub rdev_minor: u32,
    /// Whether it has an access or default ACL; only where [`Acls`] was asked.
    pub acl: bool,
}

/// `struct statx` of the kernel's uapi/linux/stat.h.
#[repr(C)]
#[derive(Default)]
struct RawStatx {
    mask: u32,
    blksize: u32,
    attributes: u64,
    nlink: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    spare0: u16,
    ino: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    times: [RawTime; 4],
    rdev_major: u32,
    rdev_minor: u32,
    rest: [u64; 15],
}

#[repr(C)]
#[derive(Default, Clone, Copy)]
struct RawTime {
    seconds: i64,
    nanoseconds: u32,
    reserved: i32,
}

const _: () = assert!(size_of::<RawStatx>() == 256);

/// Type, mode, links, ids, modification time, inode, size, blocks.
const MASK: u32 = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x40 | 0x100 | 0x200 | 0x400;

/// Asks of a file, beside an open directory or, without one, by path. An automount is not triggered.
///
/// # Errors
/// As statx(2).
pub fn stat(dir: Option<BorrowedFd>, name: &CStr, follow: bool) -> io::Result<Stat> {
    let fd: c_int = dir.map_or(libc::AT_FDCWD, |dir| dir.as_raw_fd());
    let flags = libc::AT_NO_AUTOMOUNT | if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    let mut raw = RawStatx::default();
    // SAFETY: the name ends in NUL, and the kernel writes one struct statx, whose size is asserted above.
    let result = unsafe {
        libc::syscall(libc::SYS_statx, fd, name.as_ptr(), flags, MASK, std::ptr::from_mut(&mut raw))
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let [_, _, _, mtime] = raw.times;
    Ok(Stat {
        mode: u32::from(raw.mode),
        uid: raw.uid,
        gid: raw.gid,
        nlink: raw.nlink,
        inode: raw.ino,
        size: raw.size,
        blocks: raw.blocks,
        mtime: mtime.seconds,
        mtime_nanoseconds: mtime.nanoseconds,
        rdev_major: raw.rdev_major,
        rdev_minor: raw.rdev_minor,
        acl: false,
    })
}

/// Asks whether files have ACLs. There is no such call beside a directory before Linux 6.13, so it goes by path.
pub struct Acls {
    path: Vec<u8>,
    base: usize,
    /// The filesystem has none.
    off: bool,
}

impl Acls {
    /// For names in a directory; `None` where names are paths themselves.
    pub fn new(dir: Option<&[u8]>) -> Self {
        let mut path = dir.unwrap_or_default().to_vec();
        if !path.is_empty() && !path.ends_with(b"/") {
            path.push(b'/');
        }
        Self { base: path.len(), path, off: false }
    }

    /// Whether a file, no link, has an access or default ACL.
    pub fn has(&mut self, name: &CStr, is_dir: bool) -> bool {
        if self.off {
            return false;
        }
        self.path.truncate(self.base);
        self.path.extend_from_slice(name.to_bytes_with_nul());
        let mut ask = |key: &CStr| {
            // SAFETY: both strings end in NUL, and with length 0 nothing is written.
            let size =
                unsafe { libc::lgetxattr(self.path.as_ptr().cast(), key.as_ptr(), std::ptr::null_mut(), 0) };
            self.off |= size < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EOPNOTSUPP);
            size > 0
        };
        ask(c"system.posix_acl_access") || (is_dir && ask(c"system.posix_acl_default"))
    }
}

/// The target of a link beside an open directory; at most 4,096 bytes, as PATH_MAX has it.
///
/// # Errors
/// As readlinkat(2).
pub fn read_link(dir: Option<BorrowedFd>, name: &CStr) -> io::Result<Vec<u8>> {
    let name = OsStr::from_bytes(name.to_bytes());
    let target = match dir {
        Some(dir) => nix::fcntl::readlinkat(dir, name),
        None => nix::fcntl::readlinkat(AT_FDCWD, name),
    };
    Ok(target.map(std::os::unix::ffi::OsStringExt::into_vec)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_facts_are_the_kernels() {
        let mut dir = Dir::open(OsStr::new("/"), true).unwrap();
        let mut names = Vec::new();
        loop {
            let batch = dir.batch().unwrap();
            if batch.is_empty() {
                break;
            }
            names.extend(batch.map(|e| (e.name.to_vec(), e.inode)));
        }
        assert!(names.iter().any(|(name, _)| name == b"etc") && names.iter().any(|(name, _)| name == b".."));
        let root = stat(Some(dir.as_fd()), c".", false).unwrap();
        let etc = stat(None, c"/etc/passwd", true).unwrap();
        let passwd = std::fs::metadata("/etc/passwd").unwrap();
        assert_eq!(root.mode & libc::S_IFMT, libc::S_IFDIR);
        assert_eq!(etc.size, passwd.len());
        assert_eq!(etc.inode, std::os::unix::fs::MetadataExt::ino(&passwd));
        assert_eq!(etc.mtime, std::os::unix::fs::MetadataExt::mtime(&passwd));
        assert_eq!(read_link(None, c"/proc/self/root").unwrap(), b"/");
        assert_eq!(read_link(None, c"/").unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn a_damaged_batch_ends_early() {
        for bytes in [&[0u8; 3][..], &[0; 19], &[0xff; 64]] {
            assert_eq!(Batch { rest: bytes }.count(), 0);
        }
    }
}
