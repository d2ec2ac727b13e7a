//! A procfs of the target's PID namespace, made outside and never handed inside. So what it shows is right when the
//! container's own /proc is missing, hidden, faked or masked. The target's own, where it is proven to be one, is read
//! first: the kernel has it in its caches, which halves the time that thousands of processes take.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2, readlinkat};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::report::Report;
use super::{Failure, Result, Step, fds};
use crate::out::Fault;
use crate::sys::capability;
use crate::sys::syscall::{
    self, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, fsconfig_create,
    fsconfig_pidns, fsmount, fsopen_proc,
};
use crate::target::{Target, namespace};

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

/// Makes it, or opens the node's own where the target shares the node's PID namespace. `context` is asked for an
/// fsopen(2) context from inside where the kernel cannot be told the namespace.
///
/// # Errors
/// Why none could be made, where the target's own is none to be read either.
pub fn open_for(
    target: &Target,
    context: impl FnOnce() -> std::result::Result<OwnedFd, Fault>,
) -> std::result::Result<View, Fault> {
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let own = open("/proc/self", directory, Mode::empty()).step("open", "/proc/self")?;
    if namespace::inode(&own, c"ns/pid").ok() == target.facts.namespace("pid") {
        let root = open("/proc", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .step("open", "/proc")?;
        return Ok(View { root, clean: None });
    }
    let made = from_outside(target).or_else(|_| {
        let context = context()?;
        finish(&context).map_err(Fault::from)
    });
    let clean = made.and_then(|clean| match shows(&clean, target) {
        Ok(true) => Ok(clean),
        Ok(false) => Err(no_procfs().into()),
        Err(failure) => Err(failure.into()),
    });
    match clean {
        Ok(clean) => Ok(match cached(target) {
            Some(root) => View { root, clean: Some(clean) },
            None => View { root: clean, clean: None },
        }),
        // Its failure would say nothing of why it was tried.
        Err(fault) => targets_own(target).map(|root| View { root, clean: None }).map_err(|_| fault),
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
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", found.as_raw_fd())).ok()?;
    let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
    if !mounts(target)?.lines().any(|line| is_whole_procfs(line, mount)) {
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

fn mounts(target: &Target) -> Option<String> {
    target.mountinfo().map(|text| String::from_utf8_lossy(&text).into_owned())
}

/// Whether a line of mountinfo is of something mounted over a process's directory, or below it.
pub(crate) fn is_over_a_process(line: &str) -> bool {
    let point = line.split(' ').nth(4).and_then(|point| point.strip_prefix("/proc/"));
    point.is_some_and(|below| below.starts_with(|first: char| first.is_ascii_digit()))
}

/// Whether a line of mountinfo is of this mount, and that shows a procfs from its root on.
pub(crate) fn is_whole_procfs(line: &str, mount: &str) -> bool {
    let mut fields = line.split(' ');
    fields.next() == Some(mount)
        && fields.nth(2) == Some("/")
        && line.split_once(" - ").is_some_and(|(_, rest)| rest.starts_with("proc "))
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
                    Some(errno) => {
                        let object = "proc, in the target's PID namespace";
                        return Err(Failure::new("fsopen", object, Errno::from_raw(errno.into())));
                    }
                    None => std::thread::sleep(std::time::Duration::from_millis(5)),
                }
            }
            Err(Failure::new("waitpid", "procfs helper", Errno::ETIMEDOUT))
        }
        None => {
            let sent = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
                .and_then(|()| fsopen_proc())
                .and_then(|context| fds::send(report, &Report::Descriptors.encode(), &[context.as_raw_fd()]));
            syscall::exit_now(sent.map_or_else(|errno| errno as u8, |()| 0))
        }
    }
}

/// The failure where there is no procfs that is the right one.
fn no_procfs() -> Failure {
    Failure::new("open", "a procfs of the target's PID namespace", Errno::EOPNOTSUPP)
}

/// Whether a procfs is of the target's PID namespace.
fn shows(procfs: &OwnedFd, target: &Target) -> Result<bool> {
    let first = openat(procfs, c"1", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .step("open", "the first process of a procfs")?;
    let inode = namespace::inode(&first, c"ns/pid").step("stat", "the first process's PID namespace")?;
    Ok(Some(inode) == target.facts.namespace("pid"))
}

/// The target's own /proc, if it is proven to be what it should: procfs, its root, of the target's PID namespace, and
/// no process in it mounted over.
fn targets_own(target: &Target) -> Result<OwnedFd> {
    let root =
        target.open_in_proc(c"root", OFlag::O_PATH | OFlag::O_DIRECTORY).step("open", "the target's root")?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_IN_ROOT);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let procfs = match openat2(&root, c"proc", how) {
        Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL) => openat(&root, c"proc", flags, Mode::empty()),
        result => result,
    }
    .step("open", "the target's /proc")?;
    let is_procfs = fstatfs(&procfs).is_ok_and(|fs| fs.filesystem_type() == PROC_SUPER_MAGIC);
    let is_root = nix::sys::stat::fstat(&procfs).is_ok_and(|stat| stat.st_ino == 1);
    let is_bare = mounts(target).is_some_and(|mounts| !mounts.lines().any(is_over_a_process));
    if is_procfs && is_root && is_bare && shows(&procfs, target)? { Ok(procfs) } else { Err(no_procfs()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_over_processes_is_seen() {
        for (line, is) in [
            ("31 30 0:22 / /proc/1 rw - tmpfs tmpfs rw", true),
            ("31 30 0:22 /x /proc/12/stat rw - ext4 /dev/vda rw", true),
            ("31 30 0:22 / /proc/sys rw - proc proc rw", false),
            ("31 30 0:22 / /procs/1 rw - proc proc rw", false),
            ("31", false),
        ] {
            assert_eq!(is_over_a_process(line), is, "{line}");
        }
    }

    #[test]
    fn a_whole_procfs_is_told_from_parts_and_fakes() {
        let is = |line| is_whole_procfs(line, "30");
        assert!(is("30 22 0:21 / /proc rw,nosuid shared:5 - proc proc rw,hidepid=2"));
        assert!(is("30 22 0:21 / /proc rw - proc none rw"));
        for line in [
            "31 22 0:21 / /proc rw - proc proc rw",
            "30 22 0:21 /1 /proc rw - proc proc rw",
            "30 22 0:21 / /proc rw - fuse proc rw",
            "30 22 0:21 / /a\\040-\\040proc rw - tmpfs proc rw",
            "30",
            "",
        ] {
            assert!(!is(line), "{line}");
        }
    }
}
