//! A procfs of the target's PID namespace, made outside and never handed inside. So what it shows is right when the
//! container's own /proc is hidden, faked or masked, and since Linux 6.17 also when it is missing. The target's own, where
//! it is proven to be one, is read first: the kernel has it in its caches, which halves the time that thousands of
//! processes take.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2, readlinkat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;

use super::report::Report;
use super::{Failure, Result, Step, fds};
use crate::out::Fault;
use crate::sys::capability;
use crate::sys::mounts::{self, Mount};
use crate::sys::syscall::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, fsconfig_create,
    fsconfig_pidns, fsmount, fsopen_proc, open_tree_clone, setns,
};
use crate::target::Target;
use crate::target::namespace::inode;

const ATTRIBUTES: u64 = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/// RESOLVE_CACHED of linux/openat2.h: nothing is asked of a file system, which may never answer.
const RESOLVE_CACHED: ResolveFlag = ResolveFlag::from_bits_retain(0x20);

/// What is watched through.
#[derive(Debug)]
pub struct View {
    /// The root of a procfs.
    pub root: OwnedFd,
    /// A second one, mounted for nobody else, where the first is the target's own and may be mounted over.
    pub clean: Option<OwnedFd>,
}

impl View {
    /// Its descriptors, in order.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        std::iter::once(&self.root).chain(&self.clean).map(AsRawFd::as_raw_fd)
    }
}

/// Makes it, or opens the node's own where the target shares the node's PID namespace. Where the kernel can't be told
/// the namespace, `clone` is asked for a mount of the procfs that the target's mount namespace has, which a worker made.
/// Nothing is ever mounted from what a process gave us that the target could see.
///
/// # Errors
/// Why none could be made, where the target's own is none to be read either.
pub fn open_for(
    target: &Target,
    clone: impl FnOnce() -> std::result::Result<OwnedFd, Fault>,
) -> std::result::Result<View, Fault> {
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let own = open("/proc/self", directory, Mode::empty()).step("open", "/proc/self")?;
    if inode(&own, c"ns/pid").ok() == target.facts.namespace("pid") {
        let root = open("/proc", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .step("open", "/proc")?;
        return Ok(View { root, clean: None });
    }
    let clean = from_outside(target).or_else(|_| clone()).and_then(|clean| {
        if shows(&clean, target.facts.namespace("pid"))? { Ok(clean) } else { Err(no_procfs().into()) }
    });
    match clean {
        Ok(clean) => Ok(match cached(target) {
            Some(root) => View { root, clean: Some(clean) },
            None => View { root: clean, clean: None },
        }),
        // The target's own is not read where something may be mounted over its processes.
        Err(fault) => match cached(target) {
            Some(root) if !of_target(target).iter().any(is_over_a_process) => Ok(View { root, clean: None }),
            _ => Err(fault.with_hint("Linux 6.17 and later need none in the container")),
        },
    }
}

/// The target's own /proc, if that is the root of a procfs of its PID namespace. It is found without asking any file
/// system of the container. Who has CAP_SYS_PTRACE is hidden nothing in it by hidepid.
fn cached(target: &Target) -> Option<OwnedFd> {
    const SYS_PTRACE: u64 = 1 << 19;
    if capability::own().ok()? & SYS_PTRACE == 0 {
        return None;
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = target.open_in_proc(c"root", flags).ok()?;
    let resolve = RESOLVE_CACHED | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_IN_ROOT;
    let found = openat2(&root, c"proc", OpenHow::new().flags(flags).resolve(resolve)).ok()?;
    let own = open("/proc/self", flags, Mode::empty()).ok()?;
    let id = mount_id(&found, &own).ok()?;
    if !of_target(target).iter().any(|mount| mount.id == id && is_whole_procfs(mount)) {
        return None;
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let procfs = openat(&found, c".", flags, Mode::empty()).ok()?;
    let link = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(link).resolve(ResolveFlag::RESOLVE_NO_XDEV);
    let named = readlinkat(openat2(&procfs, c"1/ns/pid", how).ok()?, c"").ok()?;
    let wanted = format!("pid:[{}]", target.facts.namespace("pid")?);
    (named.as_bytes() == wanted.as_bytes()).then_some(procfs)
}

fn of_target(target: &Target) -> Vec<Mount> {
    target.mountinfo().map(|bytes| mounts::parse(&bytes)).unwrap_or_default()
}

/// Whether something is mounted over a process's directory, or below it.
fn is_over_a_process(mount: &Mount) -> bool {
    mount.target.strip_prefix(b"/proc/").and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit)
}

/// Whether a mount shows a procfs from its root on.
fn is_whole_procfs(mount: &Mount) -> bool {
    mount.kind == "proc" && mount.root == b"/"
}

/// Linux 6.17 and later are told the PID namespace.
fn from_outside(target: &Target) -> Result<OwnedFd> {
    let pidns = target.open_in_proc(c"ns/pid", OFlag::O_RDONLY).step("open", "the target's PID namespace")?;
    let context = fsopen_proc().step("fsopen", "proc")?;
    fsconfig_pidns(context.as_fd(), pidns.as_fd()).step("fsconfig", "pidns")?;
    fsconfig_create(context.as_fd()).step("fsconfig", "proc")?;
    fsmount(context.as_fd(), ATTRIBUTES).step("fsmount", "proc")
}

/// The most mounts of a procfs that are looked at, and the most that are taken off one.
const MOST_MOUNTS: usize = 64;

/// In a worker that has joined the target's namespaces and keeps its rights: sends a mount of its own of a procfs of the
/// target's PID namespace. The worker itself is never a member of that namespace, so no process there can see it.
///
/// The worker looks in a copy of the target's mounts, in which it takes off what lies over a procfs. `proc` is the target's
/// directory and `own` is this process's in the node's procfs: here, /proc is the container's.
///
/// # Errors
/// The step that fails; ENOENT where the target's mount namespace has no such procfs.
pub fn send_clone(proc: BorrowedFd, own: BorrowedFd, report: BorrowedFd) -> Result<()> {
    let wanted = inode(proc, c"ns/pid").step("stat", "the target's PID namespace")?;
    let namespace = openat(proc, c"ns/mnt", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .step("open", "the target's mount namespace")?;
    // Its root is that of the namespace now: a target that called chroot(2) hides no mount.
    setns(namespace.as_fd(), libc::CLONE_NEWNS).step("setns", "the target's mount namespace")?;
    unshare(CloneFlags::CLONE_NEWNS).step("unshare", "the target's mount namespace")?;
    // What is taken off here is taken off nowhere else.
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).step("mount", "private")?;
    let all = own_mounts(own)?;
    for candidate in all.iter().filter(|mount| is_whole_procfs(mount)).take(MOST_MOUNTS) {
        let Some(found) = uncover(candidate, &all, own)? else { continue };
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
        let flags = flags | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(none, OsStr::from_bytes(&candidate.target), none, flags, none).step("mount", "read-only")?;
        // Of this mount alone, without those below it.
        let clone = open_tree_clone(found.as_fd()).step("open_tree", "proc")?;
        // Of another one, the first process may be none that can be looked at.
        let is_it = match shows(&clone, Some(wanted)) {
            Err(Failure { errno: Errno::EACCES | Errno::ENOENT, .. }) => false,
            other => other?,
        };
        if is_it {
            return fds::send(report, &Report::Descriptors.encode(), &[clone.as_raw_fd()])
                .step("send", "proc");
        }
    }
    Err(Failure::new("find", "a procfs of the target's PID namespace among its mounts", Errno::ENOENT))
}

/// The mounts that this process sees, through its directory in the node's procfs.
fn own_mounts(own: BorrowedFd) -> Result<Vec<Mount>> {
    let file = openat(own, c"mountinfo", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .step("open", "mountinfo")?;
    let mut bytes = Vec::new();
    std::fs::File::from(file)
        .take(mounts::LIMIT)
        .read_to_end(&mut bytes)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
        .step("read", "mountinfo")?;
    Ok(mounts::parse(&bytes))
}

/// Opens the root of a mount, after all that lies over it or over its parents was taken off; none where no path leads
/// there.
fn uncover(wanted: &Mount, all: &[Mount], own: BorrowedFd) -> Result<Option<OwnedFd>> {
    let mut way = vec![wanted.id];
    let mut next = wanted.parent;
    while let Some(above) = all.iter().find(|mount| mount.id == next).filter(|above| !way.contains(&above.id))
    {
        way.push(above.id);
        next = above.parent;
    }
    // Prefixes of the mount point at which something may be mounted: each, from the root on.
    let ends = wanted.target.iter().enumerate().filter(|(at, byte)| *at > 0 && **byte == b'/');
    let ends: Vec<usize> = ends.map(|(at, _)| at).chain([wanted.target.len()]).collect();
    'again: for _ in 0..MOST_MOUNTS {
        let mut last = None;
        for end in &ends {
            let path = OsStr::from_bytes(wanted.target.get(..*end).unwrap_or_default());
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let directory = match open(path, flags, Mode::empty()) {
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(None),
                other => other.step("open", "a mount of a procfs")?,
            };
            let id = mount_id(&directory, own).step("read", "the id of a mount")?;
            if !way.contains(&id) {
                umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
                    .step("umount", "what lies over a procfs")?;
                continue 'again;
            }
            last = Some((id, directory));
        }
        return Ok(last.filter(|(id, _)| *id == wanted.id).map(|(_, directory)| directory));
    }
    Ok(None)
}

/// The id of the mount that an open file is on. `own` is this process's directory in the node's procfs.
fn mount_id(file: &OwnedFd, own: impl AsFd) -> nix::Result<u32> {
    let path = format!("fdinfo/{}", file.as_raw_fd());
    let info = openat(own, path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut text = String::new();
    std::fs::File::from(info)
        .take(4096)
        .read_to_string(&mut text)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    id.ok_or(Errno::EBADMSG)
}

/// The failure where there is no procfs that is the right one.
fn no_procfs() -> Failure {
    Failure::new("open", "a procfs of the target's PID namespace", Errno::EOPNOTSUPP)
}

/// Whether a procfs is of this PID namespace. It is one: the kernel said so of what was opened.
fn shows(procfs: &OwnedFd, wanted: Option<u64>) -> Result<bool> {
    let first = openat(procfs, c"1", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .step("open", "the first process of a procfs")?;
    let inode = inode(&first, c"ns/pid").step("stat", "the first process's PID namespace")?;
    Ok(Some(inode) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(line: &str) -> Mount {
        mounts::parse(line.as_bytes()).remove(0)
    }

    #[test]
    fn mounts_over_processes_are_seen() {
        for (line, is) in [
            ("31 30 0:22 / /proc/1 rw - tmpfs tmpfs rw", true),
            ("31 30 0:22 /x /proc/12/stat rw - ext4 /dev/vda rw", true),
            ("31 30 0:22 / /proc/sys rw - proc proc rw", false),
            ("31 30 0:22 / /procs/1 rw - proc proc rw", false),
        ] {
            assert_eq!(is_over_a_process(&mount(line)), is, "{line}");
        }
    }

    #[test]
    fn a_whole_procfs_is_told_from_parts_and_fakes() {
        for (line, is) in [
            ("30 22 0:21 / /proc rw,nosuid shared:5 - proc proc rw,hidepid=2", true),
            ("30 22 0:21 / /proc rw - proc none rw", true),
            ("30 22 0:21 /1 /proc rw - proc proc rw", false),
            ("30 22 0:21 / /proc rw - fuse proc rw", false),
            ("30 22 0:21 / /a\\040-\\040proc rw - tmpfs proc rw", false),
        ] {
            assert_eq!(is_whole_procfs(&mount(line)), is, "{line}");
        }
    }
}
