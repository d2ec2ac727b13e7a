//! The launcher: forked right after start, before anything is read. Its memory holds nothing of the operator, and so
//! does that of every worker, which are all forked from it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::stat::Mode;

use super::plan::Plan;
use super::report::{self, Report};
use super::wire::{Reader, Writer};
use super::worker::{self, Want, Work};
use super::{Result, Step, fds, guard};
use crate::sys::random;
use crate::sys::syscall::{self, prctl};

/// Where the launcher's socket is, after its three standard streams.
const SOCKET: RawFd = 3;

/// Milliseconds that forking another launcher may take.
const ANSWER_LIMIT: u16 = 10_000;

const TARGET: u64 = 0;
const SPAWN: u64 = 1;
const ANOTHER: u64 = 2;

/// The supervisor's end of the launcher.
#[derive(Debug)]
pub struct Launcher {
    socket: OwnedFd,
    /// The launcher's PID.
    pub pid: i32,
}

impl Launcher {
    /// Forks the launcher. `run` is what a command's process does.
    ///
    /// # Errors
    /// As socketpair(2) and fork(2).
    pub fn fork(run: fn(usize) -> u8) -> Result<Self> {
        let (ours, theirs) = fds::channel().step("socketpair", "launcher")?;
        let supervisor = std::process::id() as i32;
        match syscall::fork().step("fork", "launcher")? {
            Some(pid) => Ok(Self { socket: ours, pid }),
            None => {
                // Its number changes on the way.
                let numbers = [SOCKET, theirs.as_raw_fd()];
                let told = |failure| report::tell_failure(failure, &numbers);
                match become_launcher(&theirs, supervisor) {
                    Ok(socket) => serve(&socket, run).unwrap_or_else(told),
                    Err(failure) => told(failure),
                }
                syscall::exit_now(125)
            }
        }
    }

    /// Why the launcher has ended by itself, if it has and could say so.
    pub fn failure(&self) -> Option<super::Failure> {
        let mut polled = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        if !matches!(poll(&mut polled, PollTimeout::ZERO), Ok(1)) {
            return None;
        }
        match Report::decode(&fds::receive(self.socket.as_fd(), PollTimeout::ZERO).ok()?.0) {
            Some(Report::Failed(failure)) => Some(failure),
            _ => None,
        }
    }

    /// Names the target of the workers to come, and who they become.
    ///
    /// # Errors
    /// As sendmsg(2).
    pub fn set_target(&self, plan: &Plan, proc: &OwnedFd, pidfd: &OwnedFd) -> Result<()> {
        let mut message = Writer::new();
        message.number(TARGET);
        plan.encode(&mut message);
        self.send(&message.finish(), &[proc.as_raw_fd(), pidfd.as_raw_fd()])
    }

    /// Has it fork another launcher, as blank as itself, for another session.
    ///
    /// # Errors
    /// As socketpair(2) and sendmsg(2).
    pub fn another(&self) -> Result<Self> {
        let (ours, theirs) = fds::channel().step("socketpair", "launcher")?;
        self.send(&Writer::new().number(ANOTHER).finish(), &[theirs.as_raw_fd()])?;
        let answer =
            fds::receive(ours.as_fd(), PollTimeout::from(ANSWER_LIMIT)).step("receive", "launcher")?.0;
        let pid = Reader::new(&answer)
            .number()
            .ok_or_else(|| super::Failure::new("fork", "launcher", Errno::EAGAIN))?;
        Ok(Self { socket: ours, pid: pid as i32 })
    }

    /// Forks a worker. `last`: there will be no other, so the launcher becomes it. `command` is what [`Work`] has of
    /// a command: the lifeline, and then the descriptors.
    ///
    /// # Errors
    /// As sendmsg(2).
    pub fn spawn(&self, want: Want, last: bool, report: &OwnedFd, command: &[RawFd]) -> Result<()> {
        let want = match want {
            Want::Command => 0,
            Want::Sockets => 1,
            Want::Procfs => 2,
        };
        let mut all = vec![report.as_raw_fd()];
        all.extend_from_slice(command);
        self.send(&Writer::new().number(SPAWN).number(want).number(last.into()).finish(), &all)
    }

    fn send(&self, message: &[u8], descriptors: &[RawFd]) -> Result<()> {
        fds::send(self.socket.as_fd(), message, descriptors)
            .step("send", "launcher")
            .map_err(|failure| self.failure().unwrap_or(failure))
    }
}

/// Leaves the terminal, the session, and every descriptor but its socket behind.
fn become_launcher(socket: &OwnedFd, supervisor: i32) -> Result<OwnedFd> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0).step("prctl", "parent death signal")?;
    if nix::unistd::getppid().as_raw() != supervisor {
        return Err(super::Failure::new("getppid", "", Errno::ESRCH));
    }
    prctl(libc::PR_SET_DUMPABLE, 0, 0).step("prctl", "dumpable")?;
    // Not before the fork: what a target learns of a worker's says nothing of the supervisor's.
    random::draw_keys().step("getrandom", "")?;
    nix::unistd::setsid().step("setsid", "")?;
    let null =
        open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).step("open", "/dev/null")?;
    // Closed with everything else.
    let null = std::os::fd::IntoRawFd::into_raw_fd(null);
    fds::keep_only(&[null, null, null, socket.as_raw_fd()]).step("close", "inherited descriptors")?;
    // A directory of the node would be held by the target's root after chroot, and be ours to lose.
    nix::unistd::chdir("/").step("chdir", "/")?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).step("sigprocmask", "")?;
    for default in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP] {
        set_signal(default, SigHandler::SigDfl)?;
    }
    syscall::own_fd(SOCKET).step("fcntl", "launcher")
}

fn set_signal(which: Signal, handler: SigHandler) -> Result<()> {
    // SAFETY: default and ignore run no code of ours.
    unsafe { signal(which, handler) }.step("signal", which.as_str()).map(drop)
}

/// Takes the signals of a worker, and ends with the launcher that forked it, if one did.
fn become_worker(launcher: Option<i32>) -> Result<()> {
    set_signal(Signal::SIGCHLD, SigHandler::SigDfl)?;
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0).step("prctl", "parent death signal")?;
    match launcher {
        Some(launcher) if nix::unistd::getppid().as_raw() != launcher => {
            Err(super::Failure::new("getppid", "", Errno::ESRCH))
        }
        _ => Ok(()),
    }
}

struct Session {
    plan: Plan,
    proc: OwnedFd,
    pidfd: OwnedFd,
}

/// Serves the supervisor until it goes, and ends this process; returns where it can't go on.
fn serve(socket: &OwnedFd, run: fn(usize) -> u8) -> Result<()> {
    let mut session: Option<Session> = None;
    // Workers are reaped by the kernel; nobody waits for them.
    set_signal(Signal::SIGCHLD, SigHandler::SigIgn)?;
    loop {
        let (message, descriptors) =
            fds::receive(socket.as_fd(), PollTimeout::NONE).step("receive", "launcher")?;
        if message.is_empty() {
            syscall::exit_now(0);
        }
        if Reader::new(&message).number() == Some(ANOTHER) {
            // What goes wrong is told by the closed socket.
            let launcher = std::process::id() as i32;
            if let Some(theirs) = descriptors.into_iter().next()
                && matches!(syscall::fork(), Ok(None))
            {
                let ready = prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0).is_ok()
                    && nix::unistd::getppid().as_raw() == launcher
                    && syscall::dup_to(theirs.as_raw_fd(), socket.as_raw_fd()).is_ok();
                drop(theirs);
                let own = Writer::new().number(u64::from(std::process::id())).finish();
                if !ready || fds::send(socket.as_fd(), &own, &[]).is_err() {
                    syscall::exit_now(125);
                }
                session = None;
            }
            continue;
        }
        handle(&message, descriptors, &mut session, run)
            .ok_or_else(|| super::Failure::new("read", "what the launcher is to do", Errno::EBADMSG))?;
    }
}

/// Handles one message; `None` at one that is not the supervisor's.
fn handle(
    message: &[u8],
    descriptors: Vec<OwnedFd>,
    session: &mut Option<Session>,
    run: fn(usize) -> u8,
) -> Option<()> {
    let mut reader = Reader::new(message);
    match reader.number()? {
        TARGET => {
            let plan = Plan::decode(&mut reader)?;
            let [proc, pidfd] = <[OwnedFd; 2]>::try_from(descriptors).ok()?;
            *session = Some(Session { plan, proc, pidfd });
        }
        SPAWN => {
            let want = match reader.number()? {
                0 => Want::Command,
                1 => Want::Sockets,
                _ => Want::Procfs,
            };
            let last = reader.flag()?;
            let session = session.as_ref()?;
            let mut descriptors = descriptors.into_iter();
            let report = descriptors.next()?;
            let lifeline = descriptors.next();
            let command: Vec<_> = descriptors.collect();
            let launcher = if last { None } else { Some(std::process::id() as i32) };
            let forked = if last { Ok(None) } else { syscall::fork().step("fork", "worker") };
            let is_worker = matches!(forked, Ok(None));
            if let Err(failure) =
                forked.and_then(|_| if is_worker { become_worker(launcher) } else { Ok(()) })
            {
                let _ = fds::tell(report.as_fd(), &Report::Failed(failure).encode());
                if is_worker {
                    syscall::exit_now(125);
                }
            }
            if is_worker {
                let work = Work {
                    plan: &session.plan,
                    want,
                    proc: session.proc.as_fd(),
                    pidfd: session.pidfd.as_fd(),
                    report,
                    lifeline,
                    command,
                    run,
                };
                if session.plan.guarded && want == Want::Command {
                    guard::stand_between(work);
                }
                worker::work(work);
            }
        }
        _ => return None,
    }
    Some(())
}
