//! A worker: one for each command's process. It joins the target's namespaces, becomes the target's user, forks the
//! one process that runs the command, and waits for it from outside the target's PID namespace.
//!
//! At the fork it holds nothing but what that process is given, and two pipes: one for its report, in which nothing is
//! believed any more that the supervisor can't check, and one that nobody writes to, whose end is the supervisor's end.
//! Whoever takes the process over in its first moment gets that and no more.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use nix::sys::stat::{Mode, fstat};

use super::plan::Plan;
use super::report::Report;
use super::{Failure, Result, Step, fds, join, privileges, seccomp};
use crate::sys::syscall::{self, pidfd_open, pidfd_send_signal, prctl};

/// Seconds that entering may take.
pub const ENTRY_LIMIT: u32 = 10;

/// Milliseconds that a killed process is waited for.
const REAP_LIMIT: u16 = 2000;

/// How often a report is tried, with pauses as long as those between tries to reap.
const TELL_TRIES: u32 = 50;

/// Milliseconds between tries to reap a process whose tracer holds its exit back.
const REAP_PAUSE: u16 = 20;

/// Where a command's process finds its descriptors, after 0, 1 and 2.
pub const JOB: RawFd = 3;
/// The directory to start in (O_PATH); where there is none, something that is no directory.
pub const DIRECTORY: RawFd = 4;
/// The first of the pipes to and from the node's files.
pub const EXTRA: RawFd = 5;

/// What a worker is forked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// A process that runs a command.
    Command,
    /// Netlink sockets of the target's network namespace: NETLINK_SOCK_DIAG and NETLINK_ROUTE.
    Sockets,
    /// A mount of a procfs of the target's PID namespace (see [`super::procfs`]).
    Procfs,
}

/// What a worker is given.
pub struct Work<'a> {
    /// Who to become and where.
    pub plan: &'a Plan,
    /// What for.
    pub want: Want,
    /// The target's directory in the node's procfs.
    pub proc: BorrowedFd<'a>,
    /// The target's pidfd.
    pub pidfd: BorrowedFd<'a>,
    /// Where to report: a pipe, or a socket where descriptors are wanted.
    pub report: OwnedFd,
    /// A pipe that nobody writes to; its end is the supervisor's.
    pub lifeline: Option<OwnedFd>,
    /// Stdin, stdout, stderr, the job, and pipes to and from the node's files; empty unless a command is wanted.
    pub command: Vec<OwnedFd>,
    /// The command's process: its end of the work. Returns its exit status.
    pub run: fn(extra: usize) -> u8,
}

/// Does the work and ends this process.
pub fn work(work: Work) -> ! {
    // A step that never returns (a root on a dead network mount) ends here.
    nix::unistd::alarm::set(ENTRY_LIMIT);
    // While descriptors are replaced, the report's number may mean another file.
    let of_report = identity(work.report.as_raw_fd());
    let _ = fcntl(&work.report, FcntlArg::F_DUPFD_CLOEXEC(SPARE));
    if let Err(failure) = enter(work) {
        // The spare one is closed when all have their places. Without it, and without an identity to know it by, that
        // is not told.
        let numbers = if of_report.is_some() { &[SPARE, REPORT][..] } else { &[SPARE] };
        if let Some(number) =
            numbers.iter().find(|number| of_report.is_none() || identity(**number) == of_report)
        {
            // SAFETY: only used for the message; a number that is closed is an error, and this process ends right after.
            let report = unsafe { BorrowedFd::borrow_raw(*number) };
            let _ = fds::tell(report, &Report::Failed(failure).encode());
        }
        syscall::exit_now(125);
    }
    syscall::exit_now(0)
}

/// Which file a descriptor is of: device and inode; none where it is closed.
fn identity(number: RawFd) -> Option<(u64, u64)> {
    // SAFETY: only asked what it is; one that is closed is an error.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    fstat(fd).map(|stat| (stat.st_dev, stat.st_ino)).ok()
}

/// Where the report is after [`fds::keep_only`]: after as many pipes of the node's files as one command may have.
const REPORT: RawFd = EXTRA + MAX_EXTRA as RawFd;
const LIFELINE: RawFd = REPORT + 1;
const PIDFD: RawFd = REPORT + 2;
const PROC: RawFd = REPORT + 3;
const ROOT: RawFd = REPORT + 4;
const OWN: RawFd = REPORT + 5;
const LABEL: RawFd = REPORT + 6;
/// The report until it has its place: above all that is moved meanwhile.
const SPARE: RawFd = 4 * LABEL;

/// Pipes to and from the node's files that one command may have.
pub const MAX_EXTRA: usize = 5;

fn enter(work: Work) -> Result<()> {
    let Work { plan, want, run, .. } = work;
    let extra = work.command.len().saturating_sub(4);
    lay_out(work)?;
    let fd = |number| {
        // SAFETY: laid out just now, open until they are closed by number below, and not used after.
        unsafe { BorrowedFd::borrow_raw(number) }
    };
    match syscall::join_new_session_keyring() {
        // A kernel without keys has none to protect.
        Ok(()) | Err(Errno::ENOSYS) => {}
        Err(errno) => return Err(Failure::new("keyctl", "new session keyring", errno)),
    }
    prctl(libc::PR_SET_DUMPABLE, 0, 0).step("prctl", "dumpable")?;
    privileges::take_ids(plan)?;
    join::join(plan, fd(PIDFD), fd(PROC))?;
    if want == Want::Procfs {
        // With all its rights, and gone before anything of the target's PID namespace could be forked.
        return super::procfs::send_clone(fd(PROC), fd(OWN), fd(REPORT));
    }
    join::change_root(fd(ROOT))?;
    join::verify(plan, fd(OWN))?;
    privileges::drop_capabilities(plan)?;
    // Nothing that asks for sockets alone is ever in the container; a profile might refuse them.
    if want != Want::Sockets {
        take_label(plan, fd(LABEL), fd(REPORT))?;
    }
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).step("prctl", "no_new_privs")?;
    // A change of ids has reset both.
    prctl(libc::PR_SET_DUMPABLE, 0, 0).step("prctl", "dumpable")?;
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0).step("prctl", "parent death signal")?;
    // The node's procfs goes before anything of the target's PID namespace exists.
    for number in [PROC, ROOT, OWN, LABEL] {
        nix::unistd::close(number).step("close", "a descriptor of the node")?;
    }
    match want {
        Want::Command => {
            seccomp::confine(plan.read_only)?;
            fds::tell(fd(REPORT), &Report::Forking(std::process::id() as i32).encode())
                .step("write", "report")?;
            let served =
                start(extra, run).and_then(|child| serve(child, fd(REPORT), fd(LIFELINE), fd(PIDFD)));
            if let Some(report) = served.err().as_ref().and_then(Report::late) {
                let _ = fds::tell(fd(REPORT), &report.encode());
                syscall::exit_now(125);
            }
            Ok(())
        }
        Want::Sockets => send_sockets(fd(REPORT)),
        Want::Procfs => Ok(()),
    }
}

/// Opens what the node shows of the target, then gives every descriptor its number and closes all others.
fn lay_out(work: Work) -> Result<()> {
    let Work { plan, proc, report, lifeline, command, pidfd, want, .. } = work;
    let path = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = openat(proc, c"root", path, Mode::empty()).step("open", "the target's root")?;
    let own = open("/proc/self", path, Mode::empty()).step("open", "/proc/self")?;
    let label = if plan.label.is_empty() {
        None
    } else {
        openat(&own, c"attr/current", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()
    };
    // Gone where the target's directory was removed with its file system; the command then starts at the root.
    let start = match want {
        Want::Command => openat(proc, c"cwd", path, Mode::empty()).ok(),
        _ => None,
    };
    // Places without a descriptor of their own get one that the command's process has anyway, never one of the node.
    let filler = command.first().unwrap_or(&report).as_raw_fd();
    let mut order = vec![filler; LABEL as usize + 1];
    for (place, fd) in command.iter().enumerate() {
        // Stdio and the job, then, after the directory, the pipes of the node's files.
        order[if place as RawFd <= JOB { place } else { place + 1 }] = fd.as_raw_fd();
    }
    order[DIRECTORY as usize] = start.as_ref().map_or(filler, AsRawFd::as_raw_fd);
    order[REPORT as usize] = report.as_raw_fd();
    order[LIFELINE as usize] = lifeline.as_ref().map_or(filler, |fd| fd.as_raw_fd());
    order[PIDFD as usize] = pidfd.as_raw_fd();
    order[PROC as usize] = proc.as_raw_fd();
    order[ROOT as usize] = root.as_raw_fd();
    order[OWN as usize] = own.as_raw_fd();
    order[LABEL as usize] = label.as_ref().map_or(filler, |fd| fd.as_raw_fd());
    let result = fds::keep_only(&order).step("close", "inherited descriptors");
    // Their numbers mean other files now, or none.
    std::mem::forget((root, own, label, start, report, lifeline, command));
    result
}

fn take_label(plan: &Plan, label: BorrowedFd, report: BorrowedFd) -> Result<()> {
    if plan.label.is_empty() {
        return Ok(());
    }
    // AppArmor: "profile (mode)" is taken by a changeprofile command. SELinux: the context as it is.
    let text = match plan.label.rsplit_once(" (") {
        Some((profile, _)) => format!("changeprofile {profile}"),
        None => plan.label.clone(),
    };
    match nix::unistd::write(label, text.as_bytes()) {
        Ok(_) => Ok(()),
        Err(errno) if plan.strict => {
            // A label may be longer than a message.
            let label: String = plan.label.chars().take(256).collect();
            Err(Failure::new("write", format!("security label {label}"), errno))
        }
        Err(errno) => fds::tell(report, &Report::LabelRefused(errno).encode()).step("write", "report"),
    }
}

/// Forks the process that runs the command. It is the only one of ours that the target can see.
fn start(extra: usize, run: fn(usize) -> u8) -> Result<i32> {
    match syscall::fork().step("fork", "into the target's PID namespace")? {
        Some(child) => Ok(child),
        None => {
            let kept = EXTRA + extra as RawFd;
            fds::close_between(kept, LABEL);
            let bound = prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0);
            let status = match bound.step("prctl", "parent death signal") {
                Ok(_) => run(extra),
                Err(failure) => {
                    let line = crate::out::Fault::from(failure).line("nsdbg") + "\n";
                    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
                    125
                }
            };
            // A thread that waits for a file system which never answers stays, and holds what is open.
            fds::close_between(0, 2);
            syscall::exit_now(status)
        }
    }
}

/// Waits for the command's process, without ever blocking in waitpid: who traces it can hold its exit back. Ends it
/// when the supervisor or the target goes; then reaps it, since the target's PID 1 might not. Signals come from the
/// supervisor itself.
fn serve(child: i32, report: BorrowedFd, lifeline: BorrowedFd, target: BorrowedFd) -> Result<()> {
    nix::unistd::alarm::cancel();
    let child_fd = pidfd_open(child).step("pidfd_open", "the command's process")?;
    // From here on this process ends by itself, after the one it waits for.
    prctl(libc::PR_SET_PDEATHSIG, 0, 0).step("prctl", "parent death signal")?;
    // Somebody who has a copy of the pipe may have filled it; it is read all the while.
    let tell = |what: Report| {
        for _ in 0..TELL_TRIES {
            match fds::tell(report, &what.encode()) {
                Err(Errno::EAGAIN) => {
                    let _ =
                        poll(&mut [PollFd::new(report, PollFlags::POLLOUT)], PollTimeout::from(REAP_PAUSE));
                }
                result => return result,
            }
        }
        Err(Errno::EAGAIN)
    };
    let has_started = tell(Report::Started(child)).is_ok();
    let mut leaving = !has_started;
    // After the report: where somebody holds one of these pipes, this process waits here for ever.
    fds::close_between(0, REPORT - 1);
    let mut held_back = 0;
    loop {
        if leaving {
            let _ = pidfd_send_signal(child_fd.as_fd(), libc::SIGKILL);
        }
        let mut polled = [
            PollFd::new(child_fd.as_fd(), PollFlags::POLLIN),
            PollFd::new(lifeline, PollFlags::POLLIN),
            PollFd::new(target, PollFlags::POLLIN),
        ];
        let (watched, limit) = if leaving {
            (&mut polled[..1], PollTimeout::from(REAP_LIMIT))
        } else {
            (&mut polled[..], PollTimeout::NONE)
        };
        match poll(watched, limit) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failure::new("poll", "the command's process", errno)),
        }
        let [child_ended, was_left, target_ended] =
            polled.map(|p| p.revents().is_some_and(|r| !r.is_empty()));
        if child_ended {
            match syscall::reap(child) {
                // Nobody knows that it ran.
                Ok(Some(_)) if !has_started => return Ok(()),
                Ok(Some(status)) => {
                    let _ = tell(Report::Ended(status));
                    return Ok(());
                }
                // Its tracer has its exit first.
                Ok(None) if leaving => return Ok(()),
                Ok(None) if held_back >= REAP_LIMIT => {
                    let _ = tell(Report::HeldBack);
                    return Ok(());
                }
                Ok(None) => {
                    held_back += REAP_PAUSE;
                    std::thread::sleep(std::time::Duration::from_millis(REAP_PAUSE.into()));
                }
                Err(errno) => return Err(Failure::new("waitpid", "the command's process", errno)),
            }
        } else if was_left || target_ended {
            if target_ended && !leaving {
                let _ = tell(Report::TargetEnded);
            }
            leaving = true;
        }
    }
}

fn send_sockets(report: BorrowedFd) -> Result<()> {
    let netlink = |protocol, object| {
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).step("socket", object)
    };
    let diag = netlink(SockProtocol::NetlinkSockDiag, "NETLINK_SOCK_DIAG")?;
    let route = netlink(SockProtocol::NetlinkRoute, "NETLINK_ROUTE")?;
    fds::send(report, &Report::Descriptors.encode(), &[diag.as_raw_fd(), route.as_raw_fd()])
        .step("send", "sockets")
}
