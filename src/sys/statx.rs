//! All that statx(2) and statfs(2) say of one file.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use nix::Result;
use nix::errno::Errno;

/// A time: seconds since 1970, and nanoseconds.
pub type Time = (i64, u32);

/// What statx(2) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
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
    /// What reading and writing goes best by, in bytes.
    pub block_size: u32,
    /// Inode.
    pub inode: u64,
    /// Major and minor number of the device that it is on.
    pub device: (u32, u32),
    /// Of a device: its own.
    pub special: (u32, u32),
    /// Last read.
    pub accessed: Time,
    /// Content changed.
    pub modified: Time,
    /// Content or facts changed.
    pub changed: Time,
    /// Made, where the file system keeps it.
    pub born: Option<Time>,
    /// `STATX_ATTR_…`.
    pub attributes: u64,
}

/// Asks for everything of a path, or of an open file where the path is empty.
///
/// # Errors
/// As statx(2).
pub fn facts(directory: Option<BorrowedFd>, path: &OsStr, follow: bool) -> Result<Facts> {
    let path = CString::new(path.as_bytes()).map_err(|_| Errno::EINVAL)?;
    let directory = directory.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd());
    let link = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    let empty = if path.is_empty() && directory >= 0 { libc::AT_EMPTY_PATH } else { 0 };
    let flags = libc::AT_NO_AUTOMOUNT | link | empty;
    let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
    let mut facts = std::mem::MaybeUninit::<libc::statx>::uninit();
    // SAFETY: the path is a C string and the kernel writes one `struct statx` to `facts`; both outlive the call.
    let raw =
        unsafe { libc::syscall(libc::SYS_statx, directory, path.as_ptr(), flags, mask, facts.as_mut_ptr()) };
    Errno::result(raw)?;
    // SAFETY: on success the kernel has filled the whole structure.
    let facts = unsafe { facts.assume_init() };
    let time = |time: libc::statx_timestamp| (time.tv_sec, time.tv_nsec);
    Ok(Facts {
        mode: u32::from(facts.stx_mode),
        nlink: facts.stx_nlink,
        uid: facts.stx_uid,
        gid: facts.stx_gid,
        size: facts.stx_size,
        blocks: facts.stx_blocks,
        block_size: facts.stx_blksize,
        inode: facts.stx_ino,
        device: (facts.stx_dev_major, facts.stx_dev_minor),
        special: (facts.stx_rdev_major, facts.stx_rdev_minor),
        accessed: time(facts.stx_atime),
        modified: time(facts.stx_mtime),
        changed: time(facts.stx_ctime),
        born: (facts.stx_mask & libc::STATX_BTIME != 0).then(|| time(facts.stx_btime)),
        attributes: facts.stx_attributes,
    })
}

/// What statfs(2) says of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Its type's number.
    pub magic: u64,
    /// Bytes of a block.
    pub block: u64,
    /// Bytes of the unit that the counts are in.
    pub fragment: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Free ones.
    pub free: u64,
    /// Free ones for other users than root.
    pub available: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free ones.
    pub files_free: u64,
    /// The longest name.
    pub name_max: u64,
    /// Its id.
    pub id: u64,
}

/// Asks for the space of the file system that a path is on.
///
/// # Errors
/// As statfs(2).
pub fn space(path: &OsStr) -> Result<Space> {
    let path = CString::new(path.as_bytes()).map_err(|_| Errno::EINVAL)?;
    let mut space = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the path is a C string and the kernel writes one `struct statfs`; both outlive the call.
    let raw = unsafe { libc::statfs(path.as_ptr(), space.as_mut_ptr()) };
    Errno::result(raw)?;
    // SAFETY: it was zeroed, which is a valid value, and on success the kernel has filled it.
    let space = unsafe { space.assume_init() };
    // The two halves of an id, which libc keeps to itself.
    // SAFETY: fsid_t is two ints without padding; any bits are a u64.
    let id: [u32; 2] = unsafe { std::mem::transmute(space.f_fsid) };
    let fragment = if space.f_frsize > 0 { space.f_frsize } else { space.f_bsize };
    Ok(Space {
        magic: space.f_type as u64,
        block: space.f_bsize as u64,
        fragment: fragment as u64,
        blocks: space.f_blocks,
        free: space.f_bfree,
        available: space.f_bavail,
        files: space.f_files,
        files_free: space.f_ffree,
        name_max: space.f_namelen as u64,
        id: u64::from(id[0]) << 32 | u64::from(id[1]),
    })
}

/// What kind of file a mode is of, as coreutils' stat names it.
pub fn kind_name(mode: u32, size: u64) -> &'static str {
    match mode & libc::S_IFMT {
        libc::S_IFREG if size == 0 => "regular empty file",
        libc::S_IFREG => "regular file",
        libc::S_IFDIR => "directory",
        libc::S_IFLNK => "symbolic link",
        libc::S_IFIFO => "fifo",
        libc::S_IFSOCK => "socket",
        libc::S_IFCHR => "character special file",
        libc::S_IFBLK => "block special file",
        _ => "weird file",
    }
}

/// The letter of a file's type.
pub fn type_letter(mode: u32) -> u8 {
    match mode & libc::S_IFMT {
        libc::S_IFREG => b'-',
        libc::S_IFDIR => b'd',
        libc::S_IFLNK => b'l',
        libc::S_IFCHR => b'c',
        libc::S_IFBLK => b'b',
        libc::S_IFIFO => b'p',
        libc::S_IFSOCK => b's',
        _ => b'?',
    }
}

/// A mode as `ls -l` shows it: `drwxr-xr-t`.
pub fn mode_text(mode: u32) -> [u8; 10] {
    let bit = |mask: u32, letter: u8| if mode & mask != 0 { letter } else { b'-' };
    let execute = |mask: u32, special: u32, letter: u8| match (mode & mask != 0, mode & special != 0) {
        (true, true) => letter,
        (false, true) => letter.to_ascii_uppercase(),
        (true, false) => b'x',
        (false, false) => b'-',
    };
    [
        type_letter(mode),
        bit(0o400, b'r'),
        bit(0o200, b'w'),
        execute(0o100, libc::S_ISUID, b's'),
        bit(0o040, b'r'),
        bit(0o020, b'w'),
        execute(0o010, libc::S_ISGID, b's'),
        bit(0o004, b'r'),
        bit(0o002, b'w'),
        execute(0o001, libc::S_ISVTX, b't'),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_as_in_coreutils() {
        for (mode, text) in [
            (0o100644, "-rw-r--r--"),
            (0o041777, "drwxrwxrwt"),
            (0o041776, "drwxrwxrwT"),
            (0o106755, "-rwsr-sr-x"),
            (0o106644, "-rwSr-Sr--"),
            (0o120777, "lrwxrwxrwx"),
            (0o020600, "crw-------"),
            (0, "?---------"),
        ] {
            assert_eq!(String::from_utf8_lossy(&mode_text(mode)), text);
        }
    }

    #[test]
    fn facts_are_those_of_std() {
        use std::os::unix::fs::MetadataExt;
        let ours = facts(None, OsStr::new("/proc/self/exe"), true).unwrap();
        let std = std::fs::metadata("/proc/self/exe").unwrap();
        assert_eq!((ours.inode, ours.size, ours.modified.0), (std.ino(), std.len(), std.mtime()));
        assert_eq!(libc::makedev(ours.device.0, ours.device.1), std.dev());
        assert!(space(OsStr::new("/")).unwrap().blocks > 0);
    }
}
