//! Joining the target's namespaces and root.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::plan::Plan;
use super::{Failure, Result, Step};
use crate::sys::syscall::setns;
use crate::target::namespace::{self, KINDS};

/// Joins all namespaces of the plan in one call; where the kernel refuses that, one by one in two passes.
///
/// # Errors
/// The namespace that can't be joined.
pub fn join(plan: &Plan, pidfd: BorrowedFd, proc: BorrowedFd) -> Result<()> {
    if plan.join.is_empty() {
        return Ok(());
    }
    match setns(pidfd, plan.flags()) {
        Ok(()) => Ok(()),
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EPERM) => join_one_by_one(plan, proc),
        Err(errno) => Err(Failure::new("setns", "the target's namespaces", errno)),
    }
}

/// Namespaces owned by the node's user namespace are joined with the rights that we have there; those owned by the
/// target's, after it has been joined. So: all but user, passing over EPERM; user; the rest.
fn join_one_by_one(plan: &Plan, proc: BorrowedFd) -> Result<()> {
    let mut left = Vec::new();
    for (kind, inode) in &plan.join {
        let kind = KINDS[*kind];
        let fd = openat(proc, kind.path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
            .step("open", &format!("{} namespace", kind.name))?;
        // Read-only, so a namespace file: its inode is what the plan was made from, or the target has moved on.
        let seen = nix::sys::stat::fstat(&fd).step("stat", kind.name)?.st_ino;
        if seen != *inode {
            return Err(changed(kind.name));
        }
        left.push((kind, fd));
    }
    left = pass(left, |kind| kind.name != "user", true)?;
    left = pass(left, |kind| kind.name == "user", false)?;
    pass(left, |_| true, false).map(drop)
}

type Pending = Vec<(namespace::Kind, OwnedFd)>;

fn pass(pending: Pending, wanted: fn(&namespace::Kind) -> bool, later: bool) -> Result<Pending> {
    let mut left = Vec::new();
    for (kind, fd) in pending {
        if !wanted(&kind) {
            left.push((kind, fd));
            continue;
        }
        match setns(fd.as_fd(), kind.flag) {
            Ok(()) => {}
            Err(Errno::EPERM) if later => left.push((kind, fd)),
            Err(errno) => return Err(Failure::new("setns", format!("{} namespace", kind.name), errno)),
        }
    }
    Ok(left)
}

/// Checks that every namespace of the plan has been joined, by inode. `own` is this process's directory in the node's
/// procfs.
///
/// # Errors
/// ESTALE for one that is another than planned.
pub fn verify(plan: &Plan, own: BorrowedFd) -> Result<()> {
    for (kind, inode) in &plan.join {
        let kind = KINDS[*kind];
        if namespace::inode(own, kind.own_path).step("stat", &format!("{} namespace", kind.name))? != *inode {
            return Err(changed(kind.name));
        }
    }
    Ok(())
}

fn changed(kind: &str) -> Failure {
    Failure::new("join", format!("{kind} namespace, which the target has changed meanwhile"), Errno::ESTALE)
}

/// Makes the target's root ours: joining a mount namespace alone lands in its root, not in a chrooted target's.
///
/// # Errors
/// As fchdir(2) and chroot(2).
pub fn change_root(root: BorrowedFd) -> Result<()> {
    nix::unistd::fchdir(root).step("fchdir", "the target's root")?;
    nix::unistd::chroot(c".").step("chroot", "the target's root")
}
