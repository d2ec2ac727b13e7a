//! Namespaces by kind and inode. Source: namespaces(7).

use std::ffi::CStr;
use std::os::fd::AsFd;

use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;

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
