//! A procfs of the target's PID namespace, made outside and never handed inside. So what it shows is right when the
//! container's own /proc is missing, hidden, faked or masked.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::report::Report;
use super::{Failure, Result, Step, fds};
use crate::sys::syscall::{
    self, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, fsconfig_create,
    fsconfig_pidns, fsmount, fsopen_proc,
};
use crate::target::{Target, namespace};

const ATTRIBUTES: u64 = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/// Makes it, or opens the node's own where the target shares the node's PID namespace. `context` is asked for an
/// fsopen(2) context from inside where the kernel cannot be told the namespace.
///
/// # Errors
/// The last of the ways that fails.
pub fn open_for(target: &Target, context: impl FnOnce() -> Result<OwnedFd>) -> Result<OwnedFd> {
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let own = open("/proc/self", directory, Mode::empty()).step("open", "/proc/self")?;
    if namespace::inode(&own, c"ns/pid").ok() == target.facts.namespace("pid") {
        return open("/proc", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .step("open", "/proc");
    }
    let made = from_outside(target).or_else(|_| {
        let context = context()?;
        finish(&context)
    });
    match made {
        Ok(procfs) if shows(&procfs, target) => Ok(procfs),
        _ => targets_own(target),
    }
}

/// Linux 6.17 and later are told the PID namespace.
fn from_outside(target: &Target) -> Result<OwnedFd> {
    let pidns = target.open_in_proc(c"ns/pid", OFlag::O_RDONLY).step("open", "the target's PID namespace")?;
    let context = fsopen_proc().step("fsopen", "proc")?;
    fsconfig_pidns(context.as_fd(), pidns.as_fd()).step("fsconfig", "pidns")?;
    finish(&context)
}

fn finish(context: &OwnedFd) -> Result<OwnedFd> {
    fsconfig_create(context.as_fd()).step("fsconfig", "proc")?;
    fsmount(context.as_fd(), ATTRIBUTES).step("fsmount", "proc")
}

/// In a worker that has become the target's user and forks into its PID namespace: sends a context made there. The
/// process that makes it has rights in a user namespace of its own alone, and descriptors of nothing else.
///
/// # Errors
/// The step that fails.
pub fn send_context(report: BorrowedFd) -> Result<()> {
    match syscall::fork().step("fork", "into the target's PID namespace")? {
        Some(child) => {
            for _ in 0..200 {
                match syscall::reap(child).step("waitpid", "procfs helper")? {
                    Some(0) => return Ok(()),
                    Some(_) => return Err(Failure::new("fsopen", "proc", Errno::EPERM)),
                    None => std::thread::sleep(std::time::Duration::from_millis(5)),
                }
            }
            Err(Failure::new("waitpid", "procfs helper", Errno::ETIMEDOUT))
        }
        None => {
            let sent = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
                .and_then(|()| fsopen_proc())
                .and_then(|context| fds::send(report, &Report::Descriptors.encode(), &[context.as_raw_fd()]));
            syscall::exit_now(u8::from(sent.is_err()))
        }
    }
}

/// The failure of a caller that has no context to give.
pub fn no_context() -> Failure {
    Failure::new("fsopen", "proc, in the target's PID namespace", Errno::EOPNOTSUPP)
}

/// Whether a procfs is of the target's PID namespace.
fn shows(procfs: &OwnedFd, target: &Target) -> bool {
    openat(procfs, c"1", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .is_ok_and(|first| namespace::inode(&first, c"ns/pid").ok() == target.facts.namespace("pid"))
}

/// The target's own /proc, if it is proven to be what it should: procfs, its root, of the target's PID namespace.
fn targets_own(target: &Target) -> Result<OwnedFd> {
    let root =
        target.open_in_proc(c"root", OFlag::O_PATH | OFlag::O_DIRECTORY).step("open", "the target's root")?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_IN_ROOT);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let procfs = match openat2(&root, c"proc", how) {
        Err(Errno::ENOSYS | Errno::EPERM) => openat(&root, c"proc", flags, Mode::empty()),
        result => result,
    }
    .step("open", "the target's /proc")?;
    let is_procfs = fstatfs(&procfs).is_ok_and(|fs| fs.filesystem_type() == PROC_SUPER_MAGIC);
    let is_root = nix::sys::stat::fstat(&procfs).is_ok_and(|stat| stat.st_ino == 1);
    if is_procfs && is_root && shows(&procfs, target) {
        Ok(procfs)
    } else {
        Err(Failure::new("open", "a procfs of the target's PID namespace", Errno::EOPNOTSUPP))
    }
}
