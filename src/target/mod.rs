//! From what the operator names to one process, held by a pidfd, and the facts of it.

pub mod ask;
pub mod cgroup;
pub mod container;
pub mod facts;
pub mod filter;
pub mod find;
pub mod hierarchies;
pub mod host;
pub mod namespace;
pub mod ports;
pub mod runtime;
pub mod scan;
pub mod selector;
pub mod state;
pub mod tree;

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;

use crate::out::Fault;
use crate::sys::syscall::pidfd_open;

pub use facts::Facts;
use runtime::Runtime;

/// One process of the node: what nsdbg looks into.
#[derive(Debug)]
pub struct Target {
    /// Its PID on the node.
    pub pid: i32,
    /// Keeps the PID from meaning another process.
    pub pidfd: OwnedFd,
    /// Its directory in the node's procfs.
    pub proc: OwnedFd,
    /// What was read of it.
    pub facts: Facts,
    /// Its container's name, where it was found by that.
    pub title: Option<String>,
    /// Its container's id, where it was found by its container.
    pub container: Option<String>,
    /// What made its container, where it was found by that.
    pub runtime: Option<Runtime>,
}

impl Target {
    /// Opens a process by its PID and reads its facts.
    ///
    /// # Errors
    /// With status 125: no such process, a thread, a zombie, a kernel thread, a process that changes or ends
    /// meanwhile.
    pub fn open(pid: i32) -> Result<Self, Fault> {
        let object = pid.to_string();
        let fault = |cause: String| Fault::text("find process", &object, cause).with_status(125);
        let pidfd = match pidfd_open(pid) {
            Ok(pidfd) => pidfd,
            Err(Errno::ENOSYS) => return Err(fault("this kernel is older than 5.4".into())),
            Err(errno) if !matches!(errno, Errno::ESRCH | Errno::EINVAL | Errno::ENOENT) => {
                return Err(Fault::errno("pidfd_open", &object, errno).with_status(125));
            }
            Err(_) => {
                return Err(facts::thread_of(pid).filter(|process| *process != pid).map_or_else(
                    || fault("no such process in nsdbg's PID namespace".into()),
                    |process| {
                        fault(format!("it is a thread of process {process}"))
                            .with_hint(format!("nsdbg --pid {process}"))
                    },
                ));
            }
        };
        let path = format!("/proc/{pid}");
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let proc = openat(AT_FDCWD, path.as_str(), flags, Mode::empty())
            .map_err(|errno| Fault::errno("open", &path, errno).with_status(125))?;
        // Since the process still lives, the directory is that of the process behind the pidfd.
        let polled = |errno| Fault::errno("poll", format!("process {pid}"), errno).with_status(125);
        if has_ended(&pidfd).map_err(polled)? {
            // A zombie's facts can still be read, and are refused by name.
            Facts::read(&proc, pid)?;
            return Err(fault("it has ended".into()));
        }
        let facts = Facts::read(&proc, pid)?;
        if has_ended(&pidfd).map_err(polled)? {
            return Err(fault("it ended while it was looked at".into()));
        }
        Ok(Self { pid, pidfd, proc, facts, title: None, container: None, runtime: None })
    }

    /// Whether the process has ended.
    pub fn has_ended(&self) -> bool {
        has_ended(&self.pidfd).unwrap_or(false)
    }

    /// Its mountinfo, bounded; none where it can't be read.
    pub fn mountinfo(&self) -> Option<Vec<u8>> {
        self.read(c"mountinfo", crate::sys::mounts::LIMIT).ok()
    }

    /// A file of its directory of the node's procfs, up to `limit` bytes.
    ///
    /// # Errors
    /// As openat(2) and read(2).
    pub fn read(&self, name: &CStr, limit: u64) -> nix::Result<Vec<u8>> {
        facts::bytes(&self.proc, name, limit)
    }

    /// The file of its program, as it names it itself; none where the kernel does not tell, or the file is gone.
    pub fn program(&self) -> Option<Vec<u8>> {
        use std::os::unix::ffi::OsStringExt;
        let link = |name: &CStr| nix::fcntl::readlinkat(&self.proc, name).ok().map(OsStringExt::into_vec);
        let (path, root) = (link(c"exe")?, link(c"root")?);
        // The kernel writes both from the root of the mounts, which a target that called chroot(2) does not see.
        let path = if root == b"/" { path } else { path.strip_prefix(root.as_slice())?.to_vec() };
        path.starts_with(b"/").then_some(path)
    }

    /// Opens something in its directory of the node's procfs.
    ///
    /// # Errors
    /// As openat(2).
    pub fn open_in_proc(&self, name: &CStr, flags: OFlag) -> nix::Result<OwnedFd> {
        openat(&self.proc, name, flags | OFlag::O_CLOEXEC, Mode::empty())
    }
}

fn has_ended(pidfd: &OwnedFd) -> nix::Result<bool> {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut fds, PollTimeout::ZERO) {
            Err(Errno::EINTR) => {}
            ready => return ready.map(|ready| ready > 0),
        }
    }
}
