//! The files that a process has open: `PID/fd`, `PID/fdinfo`, its directories and program, and what it has mapped.
//! Files are never opened for it: the kernel is asked for what it has in memory already.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::fdinfo::FdInfo;
use super::{Path, Procfs, Reader};
use crate::sys::syscall::getxattr;

/// The longest path that the kernel writes, PATH_MAX.
const PATH_MAX: usize = 4096;
/// Most of one `fdinfo` that is read: an epoll has a line for each descriptor that it watches.
const INFO_LIMIT: usize = 64 * 1024;
/// Most of `maps` that is read: some 100,000 lines.
const MAPS_LIMIT: usize = 8 << 20;
/// Descriptors of one process that are looked at: the kernel's own default for the most that it may have.
const FDS_LIMIT: usize = 1 << 20;

/// Facts of an open file, as the kernel has them without asking a server or a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// Type and permissions.
    pub mode: u32,
    /// Hard links: 0 once its last name was removed, but for some file systems.
    pub links: u32,
    /// Length in bytes.
    pub size: u64,
    /// Blocks of 512 bytes that it takes.
    pub blocks: u64,
    /// Inode.
    pub inode: u64,
    /// Major and minor number of the device that it is on.
    pub device: (u32, u32),
    /// Its own major and minor number, of a device.
    pub special: (u32, u32),
    /// The mount that it is on; None before 5.8.
    pub mount: Option<u32>,
    /// Whether it is the root of a mount.
    pub is_mount_root: bool,
}

/// A file that is mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// Major and minor number of its device.
    pub device: (u32, u32),
    /// Its inode.
    pub inode: u64,
    /// Its path, as the kernel writes it.
    pub path: Vec<u8>,
    /// Bytes of addresses that it takes, all its mappings together.
    pub bytes: u64,
}

/// What the kernel writes behind the path of a file that has no name any more.
pub const DELETED: &[u8] = b" (deleted)";

/// The descriptors of one process.
pub struct Descriptors {
    links: OwnedFd,
    infos: Option<OwnedFd>,
    path: Path,
}

impl Procfs<'_> {
    /// The descriptors of a process.
    ///
    /// # Errors
    /// What the kernel says; EACCES without CAP_SYS_PTRACE over the process.
    pub fn descriptors(&self, pid: i32) -> nix::Result<Descriptors> {
        let mut path = Path::default();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let links = self.open(path.of(pid, "fd"), flags)?;
        Ok(Descriptors { links, infos: self.open(path.of(pid, "fdinfo"), flags).ok(), path })
    }

    /// Facts of what `PID/NAME` leads to: `cwd`, `root`, `exe`.
    ///
    /// # Errors
    /// As [`Procfs::descriptors`].
    pub fn facts(&self, pid: i32, name: &str) -> nix::Result<Facts> {
        let folder = self.open(Path::default().of(pid, ""), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        let name = std::ffi::CString::new(name).map_err(|_| Errno::EINVAL)?;
        statx(&folder, &name, 0)
    }

    /// Whether a path that the kernel writes, with [`DELETED`] behind it, is of a file that lost its name, and not a name that
    /// ends so. Hard links do not tell: a file of an overlay's lower layer keeps its own.
    pub fn is_deleted(&self, pid: i32, link: &[u8], inode: Option<u64>) -> bool {
        link.ends_with(DELETED) && !self.leads_to(pid, link, inode).unwrap_or(false)
    }

    /// Whether a path that the kernel writes is a name of this inode. What is open is in the kernel's caches, and nothing
    /// else is asked.
    fn leads_to(&self, pid: i32, link: &[u8], inode: Option<u64>) -> nix::Result<bool> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let folder = self.open(Path::default().of(pid, ""), flags)?;
        let prefix =
            nix::fcntl::readlinkat(&folder, c"root").map(std::os::unix::ffi::OsStringExt::into_vec)?;
        let path = if prefix == b"/" { Some(link) } else { link.strip_prefix(prefix.as_slice()) };
        let path = std::ffi::CString::new(path.ok_or(Errno::ENOENT)?).map_err(|_| Errno::EINVAL)?;
        let root = self.open(Path::default().of(pid, "root"), flags)?;
        let cached = ResolveFlag::from_bits_retain(0x20);
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS | cached);
        let found = openat2(&root, path.as_c_str(), how)?;
        Ok(Some(statx(&found, c"", libc::AT_EMPTY_PATH)?.inode) == inode)
    }

    /// Facts of a file by its path in the root of a process, and its path as the kernel writes it for us. Links in the
    /// path stay below that root; nothing is opened for reading.
    ///
    /// # Errors
    /// As openat2(2).
    pub fn resolve(&self, pid: i32, file: &CStr) -> nix::Result<(Facts, Vec<u8>)> {
        let root = self.open(Path::default().of(pid, "root"), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        let how = |more| OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(more);
        let in_root = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        // What is open is in the kernel's caches, so RESOLVE_CACHED (0x20) mostly finds it without asking a file system.
        let cached = ResolveFlag::from_bits_retain(0x20);
        let found = match openat2(&root, file, how(in_root | cached)) {
            Err(Errno::EAGAIN | Errno::EINVAL) => openat2(&root, file, how(in_root)),
            result => result,
        }?;
        let facts = statx(&found, c"", libc::AT_EMPTY_PATH)?;
        let link = nix::fcntl::readlink(format!("/proc/self/fd/{}", found.as_raw_fd()).as_str())?;
        Ok((facts, std::os::unix::ffi::OsStringExt::into_vec(link)))
    }
}

impl Descriptors {
    /// The numbers, in the kernel's order, which is ascending; true where there are more than `most`, or a million.
    ///
    /// # Errors
    /// What the kernel says to reading the directory.
    pub fn numbers(&self, most: usize) -> nix::Result<(Vec<u32>, bool)> {
        let mut dir = Dir::from_fd(self.links.try_clone().map_err(|_| Errno::EMFILE)?)?;
        let mut numbers = Vec::new();
        for entry in dir.iter() {
            if numbers.len() == FDS_LIMIT.min(most) {
                return Ok((numbers, true));
            }
            let entry = entry?;
            let name = std::str::from_utf8(entry.file_name().to_bytes()).ok();
            let number: Option<u32> = name.and_then(|name| name.parse().ok());
            numbers.extend(number);
        }
        Ok((numbers, false))
    }

    /// Where a descriptor leads, as the kernel writes it.
    ///
    /// # Errors
    /// ENOENT where it is closed meanwhile.
    pub fn link(&mut self, fd: u32) -> nix::Result<Vec<u8>> {
        let mut target = [0u8; PATH_MAX];
        let name = self.path.number(fd);
        // SAFETY: `name` ends with NUL, and `target` is writable for as many bytes as are given; the kernel keeps neither.
        let count = unsafe {
            libc::readlinkat(self.links.as_raw_fd(), name.as_ptr(), target.as_mut_ptr().cast(), target.len())
        };
        let count = usize::try_from(Errno::result(count)?).unwrap_or(0);
        Ok(target.get(..count).unwrap_or_default().to_vec())
    }

    /// Whether it is open for reading, and for writing: the permissions of its link.
    ///
    /// # Errors
    /// As [`Descriptors::link`].
    pub fn access(&mut self, fd: u32) -> nix::Result<(bool, bool)> {
        let mode = statx(&self.links, self.path.number(fd), libc::AT_SYMLINK_NOFOLLOW)?.mode;
        Ok((mode & 0o400 != 0, mode & 0o200 != 0))
    }

    /// Facts of what it leads to.
    ///
    /// # Errors
    /// As [`Descriptors::link`].
    pub fn facts(&mut self, fd: u32) -> nix::Result<Facts> {
        statx(&self.links, self.path.number(fd), 0)
    }

    /// Its `fdinfo`.
    ///
    /// # Errors
    /// As [`Descriptors::link`].
    pub fn info(&mut self, fd: u32) -> nix::Result<FdInfo> {
        let folder = self.infos.as_ref().ok_or(Errno::EACCES)?;
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let file = nix::fcntl::openat(folder, self.path.number(fd), flags, nix::sys::stat::Mode::empty())?;
        let mut page = [0u8; 4096];
        let count = nix::unistd::read(&file, &mut page)?;
        let first = page.get(..count).unwrap_or_default();
        // The kernel makes the whole text for the first read: a short one was all.
        if count < page.len() {
            return Ok(FdInfo::parse(first));
        }
        let mut text = first.to_vec();
        text.extend(super::read_whole(&file, INFO_LIMIT)?);
        Ok(FdInfo::parse(&text))
    }

    /// The protocol of a socket: `TCP`, `NETLINK`, …
    pub fn protocol(&self, fd: u32) -> Option<String> {
        let path = std::ffi::CString::new(format!("/proc/self/fd/{}/{fd}", self.links.as_raw_fd())).ok()?;
        let mut value = [0u8; 64];
        let name = getxattr(&path, c"system.sockprotoname", &mut value)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        std::str::from_utf8(name).ok().filter(|name| !name.is_empty()).map(str::to_owned)
    }
}

impl Reader<'_> {
    /// The files that a process has mapped, each once, in the order of their addresses; true where there are more.
    ///
    /// # Errors
    /// As [`Reader::read`]; EACCES without CAP_SYS_PTRACE over the process.
    pub fn mapped(&mut self, pid: i32) -> nix::Result<(Vec<Mapped>, bool)> {
        let text = self.read_all(pid, "maps", MAPS_LIMIT)?;
        Ok((mapped(&text), text.len() >= MAPS_LIMIT))
    }

    /// The mounts that the root of a process reaches: ids of `mountinfo`.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn mounts(&mut self, pid: i32) -> nix::Result<std::collections::HashSet<u32>> {
        let text = self.read_all(pid, "mountinfo", MAPS_LIMIT)?;
        let first = |line: &[u8]| {
            let word = line.split(|byte| *byte == b' ').next()?;
            std::str::from_utf8(word).ok()?.parse().ok()
        };
        Ok(text.split(|byte| *byte == b'\n').filter_map(first).collect())
    }

    /// The devices of those mounts. What else is mapped is memory that the kernel gives a path: shared anonymous memory
    /// (`/dev/zero`), System V's segments.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn mounted_devices(&mut self, pid: i32) -> nix::Result<std::collections::HashSet<(u32, u32)>> {
        let text = self.read_all(pid, "mountinfo", MAPS_LIMIT)?;
        Ok(crate::sys::mounts::parse(&text).into_iter().map(|mount| mount.device).collect())
    }
}

/// The lines of `maps` that name a file: address, permissions, offset, device, inode, path.
fn mapped(text: &[u8]) -> Vec<Mapped> {
    let mut seen = std::collections::HashMap::new();
    let mut all: Vec<Mapped> = Vec::new();
    for file in text.split(|byte| *byte == b'\n').filter_map(mapping) {
        let at = *seen.entry((file.device, file.inode)).or_insert(all.len());
        match all.get_mut(at) {
            Some(known) => known.bytes = known.bytes.saturating_add(file.bytes),
            None => all.push(file),
        }
    }
    all
}

fn mapping(line: &[u8]) -> Option<Mapped> {
    let mut words = line.splitn(6, |byte| *byte == b' ');
    let (start, end) = std::str::from_utf8(words.next()?).ok()?.split_once('-')?;
    let address = |digits| u64::from_str_radix(digits, 16).ok();
    let bytes = address(end)?.saturating_sub(address(start)?);
    let device = std::str::from_utf8(words.nth(2)?).ok()?;
    let (major, minor) = device.split_once(':')?;
    let number = |digits| u32::from_str_radix(digits, 16).ok();
    let inode = std::str::from_utf8(words.next()?).ok()?.parse().ok().filter(|inode| *inode != 0)?;
    let path = words.next()?.trim_ascii_start();
    path.starts_with(b"/").then(|| Mapped {
        device: (number(major).unwrap_or(0), number(minor).unwrap_or(0)),
        inode,
        path: newlines(path),
        bytes,
    })
}

/// `maps` writes a newline in a path as `\012`.
fn newlines(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        match rest.strip_prefix(b"\\012") {
            Some(after) => {
                out.push(b'\n');
                rest = after;
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

/// Facts by a path from a directory, as far as the kernel has them: a server that does not answer is not asked.
fn statx(directory: impl AsFd, path: &CStr, flags: libc::c_int) -> nix::Result<Facts> {
    const MNT_ID: u32 = 0x1000;
    const MOUNT_ROOT: u64 = 0x2000;
    let flags = flags | libc::AT_NO_AUTOMOUNT | libc::AT_STATX_DONT_SYNC;
    let mask = libc::STATX_BASIC_STATS | MNT_ID;
    let mut facts = std::mem::MaybeUninit::<libc::statx>::uninit();
    let directory = directory.as_fd().as_raw_fd();
    // SAFETY: the path is a C string and the kernel writes one `struct statx` to `facts`; both outlive the call.
    let raw =
        unsafe { libc::syscall(libc::SYS_statx, directory, path.as_ptr(), flags, mask, facts.as_mut_ptr()) };
    Errno::result(raw)?;
    // SAFETY: on success the kernel has filled the whole structure.
    let facts = unsafe { facts.assume_init() };
    Ok(Facts {
        mode: u32::from(facts.stx_mode),
        links: facts.stx_nlink,
        size: facts.stx_size,
        blocks: facts.stx_blocks,
        inode: facts.stx_ino,
        device: (facts.stx_dev_major, facts.stx_dev_minor),
        special: (facts.stx_rdev_major, facts.stx_rdev_minor),
        mount: (facts.stx_mask & MNT_ID != 0).then_some(facts.stx_mnt_id as u32),
        is_mount_root: facts.stx_attributes & facts.stx_attributes_mask & MOUNT_ROOT != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_maps_once() {
        let text = b"55a0-55b0 r--p 00000000 fe:00 18504                      /usr/bin/a b\n\
            55b0-55c0 r-xp 00001000 fe:00 18504                      /usr/bin/a b\n\
            7f00-7f10 rw-p 00000000 00:00 0 \n\
            7f10-7f20 rw-p 00000000 00:00 0                          [heap]\n\
            7f20-7f30 rw-s 00000000 00:01 7                          /memfd:x\\012y (deleted)\n\
            \xff\n55 r fe\n";
        let found = mapped(text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[0].device, found[0].inode), ((254, 0), 18504));
        assert_eq!((found[0].path.as_slice(), found[0].bytes), (&b"/usr/bin/a b"[..], 0x20));
        assert_eq!(found[1].path, b"/memfd:x\ny (deleted)");
        for end in 0..text.len() {
            let _ = mapped(&text[..end]);
        }
    }
}
