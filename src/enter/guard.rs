//! A process that can be lost, between the pipes of a command's process and the supervisor.
//!
//! A process of the target with CAP_SYS_PTRACE can take a command's process over, and have it hold the lock of a pipe for
//! as long as it likes: by a splice(2) from a file system that never answers, or a write(2) from memory that is mapped
//! from one. Who reads, writes or closes such a pipe meanwhile waits in the kernel, beyond SIGKILL. So for such a target the
//! command's process gets pipes of which the supervisor has no end. This process moves the bytes by read(2) and write(2)
//! from its own memory, so that it never holds one pipe's lock while it waits for another's; where it gets stuck, the
//! supervisor's pipes are free, and nobody waits for it.

use std::os::fd::{AsFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollTimeout, poll};

use super::report::Report;
use super::worker::{JOB, Work, work};
use super::{Failure, Result, Step, fds, watch};
use crate::out::relay::{self, Pump, Sink};
use crate::sys::syscall;

/// Milliseconds that streams are waited for once the worker has ended.
const DRAIN_LIMIT: u16 = 1000;

/// Forks the worker with pipes of its own, relays until all of them have ended, and ends this process.
pub fn stand_between(given: Work) -> ! {
    let Ok(report) = given.report.try_clone() else { syscall::exit_now(125) };
    match divide(given) {
        Ok(pumps) => {
            // Its end tells the supervisor that the worker has ended.
            drop(report);
            relay_all(pumps);
        }
        Err(failure) => drop(fds::tell(report.as_fd(), &Report::Failed(failure).encode())),
    }
    syscall::exit_now(0)
}

/// Makes the inner pipes and forks the worker, which gets one end of each.
fn divide(given: Work) -> Result<Vec<Pump>> {
    let mut pumps = Vec::new();
    let (inner_report, report) = fds::messages().step("pipe", "report")?;
    let (lifeline, inner_lifeline) = fds::messages().step("pipe", "lifeline")?;
    let mut command = Vec::new();
    for (place, outer) in given.command.into_iter().enumerate() {
        if place as RawFd == JOB {
            command.push(outer);
            continue;
        }
        let (reader, writer) = relay::pipe().step("pipe", "guard")?;
        let flags = fcntl(&outer, FcntlArg::F_GETFL).step("fcntl", "guard")?;
        let is_read = flags & libc::O_ACCMODE == libc::O_RDONLY;
        let (own, theirs) = if is_read { (writer, reader) } else { (reader, writer) };
        let own = relay::keep(own).step("fcntl", "guard")?;
        let (from, to) = if is_read { (outer, own) } else { (own, outer) };
        pumps.push(Pump::of_messages(from, Sink::Descriptor(to)));
        command.push(theirs);
    }
    let Work { plan, want, proc, pidfd, run, report: outer_report, lifeline: outer_lifeline, .. } = given;
    match syscall::fork().step("fork", "worker")? {
        None => {
            let lifeline = Some(lifeline);
            work(Work { plan, want, proc, pidfd, report, lifeline, command, run })
        }
        Some(_) => {
            drop((report, lifeline, command));
            watch::confine_guard()?;
            pumps.push(Pump::of_messages(inner_report, Sink::Descriptor(outer_report)));
            let outer_lifeline =
                outer_lifeline.ok_or_else(|| Failure::new("fork", "guard", Errno::EINVAL))?;
            pumps.push(Pump::of_messages(outer_lifeline, Sink::Descriptor(inner_lifeline)));
            Ok(pumps)
        }
    }
}

/// Relays until every stream has ended but the lifeline, which is the last, after the report. A process that is held by
/// its tracer keeps its pipes open when its worker has given it up: they are not waited for.
fn relay_all(mut pumps: Vec<Pump>) {
    while let [streams @ .., report, _] = pumps.as_slice()
        && !(report.is_done() && streams.iter().all(Pump::is_done))
    {
        let is_over = report.is_done() && streams.iter().all(|pump| pump.is_done() || pump.is_starved());
        let limit = if is_over { PollTimeout::from(DRAIN_LIMIT) } else { PollTimeout::NONE };
        let left: Vec<usize> = (0..pumps.len()).filter(|at| !pumps[*at].is_done()).collect();
        let mut fds: Vec<PollFd> = left.iter().filter_map(|at| pumps[*at].poll_fd()).collect();
        match poll(&mut fds, limit) {
            Ok(0) => return,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
        let ready: Vec<bool> =
            fds.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty())).collect();
        for (at, _) in left.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            pumps[at].step();
        }
    }
}
