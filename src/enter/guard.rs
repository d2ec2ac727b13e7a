//! A process that can be lost, between the pipes of a command's process and the supervisor.
//!
//! A process of the target with CAP_SYS_PTRACE can take a command's process over, and have it hold the lock of a pipe for
//! as long as it likes: by a splice(2) from a file system that never answers, or a write(2) from memory that is mapped
//! from one. Who reads, writes or closes such a pipe meanwhile waits in the kernel, beyond SIGKILL. So for such a target the
//! command's process gets pipes of which the supervisor has no end. This process moves the bytes by read(2) and write(2)
//! from its own memory, so that it never holds one pipe's lock while it waits for another's; where it gets stuck, the
//! supervisor's pipes are free, and nobody waits for it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::report::Report;
use super::worker::{JOB, Work, work};
use super::{Failure, Result, Step, fds, watch};
use crate::out::relay::{self, Pump, Sink};
use crate::sys::syscall::{self, pidfd_open};

/// Milliseconds that streams are waited for once the worker has ended: longer than the supervisor waits.
const DRAIN_LIMIT: u16 = 2000;

/// The most messages that are passed on after the worker's end: whoever has a copy of its pipe may write any number.
const MOST_MESSAGES: usize = 64;

/// Forks the worker with pipes of its own, relays until all of them have ended, and ends this process.
pub fn stand_between(given: Work) -> ! {
    let Ok(report) = given.report.try_clone() else { syscall::exit_now(125) };
    match divide(given) {
        Ok((pumps, worker)) => {
            // Its end tells the supervisor that the worker has ended.
            drop(report);
            relay_all(pumps, worker.as_fd());
        }
        Err(failure) => drop(fds::tell(report.as_fd(), &Report::Failed(failure).encode())),
    }
    syscall::exit_now(0)
}

/// Makes the inner pipes and forks the worker, which gets one end of each.
fn divide(given: Work) -> Result<(Vec<Pump>, OwnedFd)> {
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
        Some(worker) => {
            let worker = pidfd_open(worker).step("pidfd_open", "worker")?;
            drop((report, lifeline, command));
            watch::confine_guard()?;
            pumps.push(Pump::of_messages(inner_report, Sink::Descriptor(outer_report)));
            let outer_lifeline =
                outer_lifeline.ok_or_else(|| Failure::new("fork", "guard", Errno::EINVAL))?;
            pumps.push(Pump::of_messages(outer_lifeline, Sink::Descriptor(inner_lifeline)));
            Ok((pumps, worker))
        }
    }
}

/// Relays until every stream has ended but the lifeline, which is the last, after the report. The report ends with the
/// worker, and streams that somebody else keeps open a moment after that.
fn relay_all(mut pumps: Vec<Pump>, worker: BorrowedFd) {
    let mut worker_ended = false;
    while let [streams @ .., report, _] = pumps.as_mut_slice() {
        if worker_ended && !report.is_done() {
            // All that the worker has written is there.
            for _ in 0..MOST_MESSAGES {
                if !report.poll_fd().is_some_and(has_something) {
                    break;
                }
                report.step();
            }
            report.close();
        }
        if report.is_done() && streams.iter().all(Pump::is_done) {
            return;
        }
        let is_over = report.is_done() && streams.iter().all(|pump| pump.is_done() || pump.is_starved());
        let limit = if is_over { PollTimeout::from(DRAIN_LIMIT) } else { PollTimeout::NONE };
        let left: Vec<usize> = (0..pumps.len()).filter(|at| !pumps[*at].is_done()).collect();
        let mut fds: Vec<PollFd> = left.iter().filter_map(|at| pumps[*at].poll_fd()).collect();
        if !worker_ended {
            fds.push(PollFd::new(worker, PollFlags::POLLIN));
        }
        match poll(&mut fds, limit) {
            Ok(0) => return,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
        let ready: Vec<bool> =
            fds.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty())).collect();
        worker_ended |= ready.len() > left.len() && ready.last() == Some(&true);
        for (at, _) in left.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            pumps[at].step();
        }
    }
}

/// Whether a stream can go on now.
fn has_something(polled: PollFd) -> bool {
    poll(&mut [polled], PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
