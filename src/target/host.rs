//! The node's files: those of our own root, or of another where nsdbg itself runs in a container.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, fstat, fstatat};

use crate::out::Fault;
use crate::sys::open::{Refused, special};

/// More entries of a directory are not looked at.
const MAX_ENTRIES: usize = 100_000;

/// The inode of the node's own PID namespace: PROC_PID_INIT_INO of linux/proc_ns.h.
pub const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

/// The inode of the node's own cgroup namespace: PROC_CGROUP_INIT_INO of linux/proc_ns.h.
const FIRST_CGROUP_NAMESPACE: u64 = 0xefff_fffb;

/// Leaves a cgroup namespace of a pod for the node's, where the pod has the node's PID namespace: from its own, cgroups of
/// other pods are above the root. Where that may not be, all is as it was.
pub fn leave_cgroup_namespace() {
    let is_firsts =
        |kind: &str, first| inode(&Path::new("/proc/self/ns").join(kind)).is_none_or(|ns| ns == first);
    if is_firsts("cgroup", FIRST_CGROUP_NAMESPACE) || !is_firsts("pid", FIRST_PID_NAMESPACE) {
        return;
    }
    // The first of the kernel's threads is in no other.
    if let Ok(namespace) = File::open("/proc/2/ns/cgroup") {
        let _ = setns(namespace, CloneFlags::CLONE_NEWCGROUP);
    }
}

/// The root of the node's files.
#[derive(Debug)]
pub struct Host {
    root: OwnedFd,
}

impl Host {
    /// Opens a directory as the node's root.
    ///
    /// # Errors
    /// As open(2).
    pub fn open(path: &Path) -> Result<Self, Fault> {
        openat(AT_FDCWD, path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .map(|root| Self { root })
            .map_err(|errno| Fault::errno("open", path.as_os_str(), errno).with_status(125))
    }

    /// Opens the node's root: the one that is named; else that of the node's first process where nsdbg runs in a
    /// container with the node's PID namespace; else its own.
    ///
    /// # Errors
    /// As open(2).
    pub fn find(named: Option<&Path>) -> Result<Self, Fault> {
        if let Some(path) = named {
            return Self::open(path);
        }
        let is_nodes = inode(Path::new("/proc/self/ns/pid")) == Some(FIRST_PID_NAMESPACE);
        let root = if is_nodes { nodes_root() } else { None };
        Self::open(root.as_deref().unwrap_or(Path::new("/")))
    }

    /// The same root, to be used by another thread.
    ///
    /// # Errors
    /// As fcntl(2).
    pub fn try_clone(&self) -> io::Result<Self> {
        self.root.try_clone().map(|root| Self { root })
    }

    /// Opens a directory. Links in its path stay below the root.
    ///
    /// # Errors
    /// As open(2).
    pub fn directory(&self, path: &Path) -> nix::Result<OwnedFd> {
        open_below(&self.root, path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
    }

    /// The permissions of a file, links followed; of procfs's own links (`exe`) those of what they stand for.
    ///
    /// # Errors
    /// As stat(2).
    pub fn mode(&self, path: &Path) -> nix::Result<u32> {
        fstatat(&self.root, path, AtFlags::empty()).map(|facts| facts.st_mode)
    }

    /// Reads a regular file whole, up to `limit` bytes. Links in its path stay below the root.
    ///
    /// # Errors
    /// As [`crate::sys::open::read_bounded`].
    pub fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, Refused> {
        read_below(&self.root, path, limit)
    }

    /// The names in a directory, sorted; at most 100,000.
    ///
    /// # Errors
    /// As open(2) and getdents(2).
    pub fn list(&self, path: &Path) -> nix::Result<Vec<OsString>> {
        let mut dir = Dir::from_fd(self.directory(path)?)?;
        let mut names = Vec::new();
        for entry in dir.iter().take(MAX_ENTRIES) {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Where a symbolic link points. Of procfs's own links (`cwd`) this is their text, a path as the kernel writes it.
    ///
    /// # Errors
    /// As open(2) and readlink(2).
    pub fn link(&self, path: &Path) -> nix::Result<PathBuf> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::EINVAL) };
        let parent = open_below(&self.root, parent, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        readlinkat(&parent, name).map(PathBuf::from)
    }
}

fn inode(path: &Path) -> Option<u64> {
    std::fs::metadata(path).map(|facts| facts.ino()).ok()
}

/// The root of the node's first process, where that is in another mount namespace than we are. A node may keep all others
/// from that process: then that of the first other one in the mount namespace of the kernel's threads.
fn nodes_root() -> Option<PathBuf> {
    let mounts = |pid: &str| inode(&Path::new("/proc").join(pid).join("ns/mnt"));
    let own = mounts("self")?;
    if let Some(first) = mounts("1") {
        return (first != own).then(|| "/proc/1/root".into());
    }
    let nodes = mounts("2").filter(|nodes| *nodes != own)?;
    let entries = std::fs::read_dir("/proc").ok()?.take(MAX_ENTRIES).filter_map(Result::ok);
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    // A kernel thread's own root may be what the node was started from; who has called chroot(2) sees no such /proc.
    let root = |pid: u32| Path::new("/proc").join(pid.to_string()).join("root");
    let is_whole = |pid: u32| inode(&root(pid).join("proc/self/ns/pid")) == Some(FIRST_PID_NAMESPACE);
    let is_program =
        |pid: u32| std::fs::read_link(Path::new("/proc").join(pid.to_string()).join("exe")).is_ok();
    let mut others = pids.into_iter().filter(|pid| mounts(&pid.to_string()) == Some(nodes));
    others.find(|pid| is_program(*pid) && is_whole(*pid)).map(root)
}

/// Opens a path below a directory, which is the root for every link in it.
fn open_below(root: impl AsFd, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    let flags = flags | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    match openat2(&root, path, how) {
        // Before 5.6, or in a container whose filter does not know it.
        Err(Errno::ENOSYS | Errno::EPERM) => {
            let below = path.strip_prefix("/").unwrap_or(path);
            let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
            openat(&root, below, flags, Mode::empty())
        }
        result => result,
    }
}

fn read_below(root: impl AsFd, path: &Path, limit: usize) -> Result<Vec<u8>, Refused> {
    let before = fstat(open_below(&root, path, OFlag::O_PATH)?)?;
    if let Some(kind) = special(&before) {
        return Err(Refused::Kind(kind));
    }
    let file = open_below(&root, path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
    let after = fstat(&file)?;
    if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino) {
        return Err(Refused::Kind("a file that was swapped while it was opened"));
    }
    let mut bytes = Vec::new();
    File::from(file).take(limit as u64 + 1).read_to_end(&mut bytes).map_err(Refused::Io)?;
    if bytes.len() > limit {
        return Err(Refused::Io(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}
