//! Confinement of the processes that stay outside: those that watch the target through a procfs and sockets, and those
//! that work on the node's own behalf.

use std::os::fd::BorrowedFd;

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::unistd::{Gid, Uid, setfsgid, setfsuid, setgroups, setresgid, setresuid};

use super::{Result, Step, privileges, seccomp};
use crate::sys::capability;
use crate::sys::syscall::prctl;

/// CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE: reading what procfs shows of processes of any user.
const WATCHING: u64 = 1 << 2 | 1 << 19;

/// The same, and CAP_SYS_ADMIN.
const LISTING: u64 = WATCHING | 1 << 21;

/// CAP_DAC_READ_SEARCH.
const READING: u64 = 1 << 2;

/// CAP_DAC_OVERRIDE: the operator is root, whom no permission stops. CAP_DAC_READ_SEARCH adds to that, below the root that
/// it is given and behind the filter, only that a kernel before 6.10 lets it name files that have no name yet.
const WRITING: u64 = 1 << 1 | 1 << 2;

/// CAP_CHOWN and CAP_FOWNER: files that are given away are still given their modes.
const GIVING: u64 = 1 | 1 << 3;

/// The overflow ids: a user that owns nothing.
const NOBODY: u32 = 65_534;

/// Confines this process to watching: no ids, and of all capabilities the two that reading procfs takes, where we hold
/// them.
///
/// # Errors
/// The step that fails.
pub fn confine_watcher() -> Result<()> {
    detach()?;
    keep(capability::own().step("capget", "")? & WATCHING)?;
    die_with_parent()?;
    seccomp::confine(false)
}

/// Confines this process to looking at the node: no ids, and what reading procfs and the runtimes' files takes, and
/// CAP_SYS_ADMIN to ask each network namespace for its ports. A child of the supervisor leaves the terminal and dies with
/// it; the supervisor itself keeps its own.
///
/// # Errors
/// The step that fails.
pub fn confine_lister(is_child: bool) -> Result<()> {
    if is_child {
        detach()?;
    }
    keep(capability::own().step("capget", "")? & LISTING)?;
    if is_child {
        die_with_parent()?;
    }
    seccomp::confine_lister()
}

/// Confines this process to what it has open: no ids and no capabilities.
///
/// # Errors
/// The step that fails.
pub fn confine_idle() -> Result<()> {
    detach()?;
    keep(0)?;
    die_with_parent()?;
    seccomp::confine(false)
}

/// Confines this process to moving bytes between what it has open: no ids and no capabilities.
///
/// # Errors
/// The step that fails.
pub fn confine_guard() -> Result<()> {
    keep(0)?;
    die_with_parent()?;
    seccomp::confine(false)
}

/// Confines this process to reading files of the node: no ids, one capability, and a filter that lets nothing be written
/// but what is open.
///
/// # Errors
/// The step that fails.
pub fn confine_reader() -> Result<()> {
    detach()?;
    keep(capability::own().step("capget", "")? & READING)?;
    die_with_parent()?;
    seccomp::confine(true)
}

/// Confines this process to writing below one directory, which becomes its root: no ids, so that it can signal nobody,
/// but files that it makes are root's. `owner`: it may give them to others.
///
/// # Errors
/// The step that fails.
pub fn confine_writer(directory: BorrowedFd, owner: bool) -> Result<()> {
    detach()?;
    nix::unistd::fchdir(directory).step("fchdir", "the destination")?;
    nix::unistd::chroot(".").step("chroot", "the destination")?;
    let wanted = if owner { WRITING | GIVING } else { WRITING };
    keep_as(capability::own().step("capget", "")? & wanted, true)?;
    die_with_parent()?;
    seccomp::confine(false)
}

/// Leaves the terminal, takes the default actions of signals.
fn detach() -> Result<()> {
    nix::unistd::setsid().step("setsid", "")?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).step("sigprocmask", "")?;
    for default in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP] {
        // SAFETY: the default action runs no code of ours.
        unsafe { signal(default, SigHandler::SigDfl) }.step("signal", default.as_str())?;
    }
    die_with_parent()
}

/// A change of ids resets it: to be called before, and after.
fn die_with_parent() -> Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0)
        .step("prctl", "parent death signal")
        .map(drop)
}

/// Becomes nobody, with these capabilities alone.
fn keep(capabilities: u64) -> Result<()> {
    keep_as(capabilities, false)
}

/// The same; `files_of_root`: what it makes is root's, by the ids that count for files alone.
fn keep_as(capabilities: u64, files_of_root: bool) -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, 1, 0).step("prctl", "keep capabilities")?;
    setgroups(&[]).step("setgroups", "")?;
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    setresgid(gid, gid, gid).step("setresgid", "65534")?;
    setresuid(uid, uid, uid).step("setresuid", "65534")?;
    // The change of ids has emptied the effective set; the permitted one is kept.
    caps::set(None, caps::CapSet::Effective, &capability::set(capability::own().step("capget", "")?))
        .map_err(|_| super::Failure::new("capset", "effective", nix::errno::Errno::last()))?;
    if files_of_root {
        let (user, group) = (Uid::from_raw(0), Gid::from_raw(0));
        setfsgid(group);
        setfsuid(user);
        // They tell the ids before; so the second call tells whether the first one did.
        if setfsgid(group) != group || setfsuid(user) != user {
            return Err(super::Failure::new("setfsuid", "0", nix::errno::Errno::EPERM));
        }
    }
    privileges::drop_to(capabilities, 0)?;
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).step("prctl", "no_new_privs")?;
    prctl(libc::PR_SET_DUMPABLE, 0, 0).step("prctl", "dumpable").map(drop)
}
