//! Namespaces by kind and inode. Source: namespaces(7).

use std::ffi::CStr;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstat, fstatat};

use crate::sys::syscall::{user_namespace_owner, user_namespace_parent};

/// A kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Its name in /proc/PID/ns.
    pub name: &'static str,
    /// Its file there, under a process's directory of procfs.
    pub path: &'static CStr,
    /// The file that shows which one a child would be in.
    pub own_path: &'static CStr,
    /// Its CLONE_NEW flag.
    pub flag: libc::c_int,
}

/// CLONE_NEWTIME, which libc does not name on every target.
pub const CLONE_NEWTIME: libc::c_int = 0x80;

/// All kinds that setns(2) joins, the user namespace last.
pub const KINDS: [Kind; 8] = [
    Kind { name: "cgroup", path: c"ns/cgroup", own_path: c"ns/cgroup", flag: libc::CLONE_NEWCGROUP },
    Kind { name: "ipc", path: c"ns/ipc", own_path: c"ns/ipc", flag: libc::CLONE_NEWIPC },
    Kind { name: "uts", path: c"ns/uts", own_path: c"ns/uts", flag: libc::CLONE_NEWUTS },
    Kind { name: "net", path: c"ns/net", own_path: c"ns/net", flag: libc::CLONE_NEWNET },
    Kind { name: "pid", path: c"ns/pid", own_path: c"ns/pid_for_children", flag: libc::CLONE_NEWPID },
    Kind { name: "time", path: c"ns/time", own_path: c"ns/time_for_children", flag: CLONE_NEWTIME },
    Kind { name: "mnt", path: c"ns/mnt", own_path: c"ns/mnt", flag: libc::CLONE_NEWNS },
    Kind { name: "user", path: c"ns/user", own_path: c"ns/user", flag: libc::CLONE_NEWUSER },
];

/// The kind with this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The inode of a namespace file under a process's directory of procfs.
///
/// # Errors
/// ENOENT where the kernel does not have that kind; EACCES without ptrace rights.
pub fn inode(process: impl AsFd, path: &CStr) -> nix::Result<u64> {
    Ok(fstatat(process, path, AtFlags::empty())?.st_ino)
}

/// More user namespaces in each other the kernel does not allow.
const NESTED: usize = 34;

/// The user of the node who made a process's user namespace, or the outermost of those that it is in; 0 where it is in
/// ours. Nobody can make it look like another's. `process` is its directory in a procfs.
///
/// # Errors
/// ENOENT or ESRCH where the process is gone; EACCES without ptrace rights.
pub fn owner(process: impl AsFd) -> nix::Result<u32> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let inode = |namespace: &_| fstat(namespace).map(|facts| (facts.st_dev, facts.st_ino));
    let own = inode(&openat(AT_FDCWD, c"/proc/self/ns/user", flags, Mode::empty())?)?;
    let mut namespace = openat(process, c"ns/user", flags, Mode::empty())?;
    let mut owner = 0;
    for _ in 0..NESTED {
        if inode(&namespace)? == own {
            return Ok(owner);
        }
        owner = user_namespace_owner(namespace.as_fd())?;
        namespace = user_namespace_parent(namespace.as_fd())?;
    }
    Err(Errno::ELOOP)
}
