//! The processes of a pipeline, wherever they run, as the supervisor sees them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::held;
use super::run::Outcome;
use crate::enter::report::{LATE_STEPS, Report};
use crate::enter::{Failure, fds, worker};
use crate::out::Fault;
use crate::sys::syscall::{pidfd_open, pidfd_send_signal, reap};

/// The status of what SIGKILL ended.
const KILLED: u8 = 128 + libc::SIGKILL as u8;

/// How long a worker may take to report the status of a process that has ended.
const REPORT_LIMIT: Duration = Duration::from_millis(2500);

/// The most messages that are taken at once: whoever has taken the process over may send any number.
const MOST_MESSAGES: usize = 64;

/// Milliseconds that the end of a PID namespace's first process takes after it has killed all others.
const TARGET_END_LIMIT: u16 = 200;

/// One process of a pipeline.
pub struct Stage {
    /// The command's name, for messages.
    pub name: String,
    /// Its exit status, once it has ended.
    pub status: Option<u8>,
    /// Whether it writes a redirection for the stage before it: its own success says nothing.
    pub auxiliary: bool,
    /// Whether it writes what the last one has read: that one's end is its own.
    pub feeds: bool,
    process: Process,
}

enum Process {
    /// Behind a worker, which reports of it.
    Inside(Inside),
    /// A child of ours.
    Outside {
        /// Its PID.
        pid: i32,
        /// Its pidfd.
        pidfd: OwnedFd,
    },
}

/// A process in the container, and its worker.
struct Inside {
    /// The worker's messages.
    report: OwnedFd,
    /// Whether that is a socket, on which descriptors come.
    is_socket: bool,
    /// Whether another process passes the report on: then it ends after the worker, and nobody else can write to it.
    is_guarded: bool,
    /// A pipe whose end ends the worker.
    lifeline: Option<OwnedFd>,
    /// The target.
    target: Option<OwnedFd>,
    /// When entering, or after the process's end its status, must be there.
    deadline: Option<Instant>,
    /// The worker, from the moment on when others may write to the report too.
    worker: Option<Known>,
    /// The command's process, once it runs.
    child: Option<Known>,
    /// The status that was reported, perhaps by somebody else.
    claimed: Option<u8>,
    /// A signal that came before it ran.
    waiting: Option<i32>,
    /// Whether it got SIGKILL from us.
    was_killed: bool,
}

/// A process of the node. Without a pidfd it had ended when it was looked at.
struct Known {
    pid: i32,
    pidfd: Option<OwnedFd>,
}

impl Known {
    /// Opens it.
    ///
    /// # Errors
    /// As pidfd_open(2), but for a process that there is not any more.
    fn open(pid: i32) -> Result<Self, Fault> {
        match pidfd_open(pid) {
            Ok(pidfd) => Ok(Self { pid, pidfd: Some(pidfd) }),
            Err(Errno::ESRCH) => Ok(Self { pid, pidfd: None }),
            Err(errno) => Err(Fault::errno("pidfd_open", "a process of nsdbg", errno)),
        }
    }

    /// The same, unless it is another process's child.
    fn child_of(parent: i32, pid: i32) -> Result<Option<Self>, Fault> {
        let known = Self::open(pid)?;
        let is_it = known.pidfd.is_none() || parent_of(pid).is_none_or(|of| of == parent);
        Ok(is_it.then_some(known))
    }

    fn has_ended(&self) -> bool {
        self.pidfd.as_ref().is_none_or(|pidfd| ends_within(pidfd.as_fd(), PollTimeout::ZERO))
    }

    fn signal(&self, signal: i32) {
        // Where it is gone already there is nothing to end.
        let _ = self.pidfd.as_ref().map(|pidfd| pidfd_send_signal(pidfd.as_fd(), signal));
    }
}

/// The parent of a process, as the node's procfs says.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(stat.get(end + 1..)?).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The status of a zombie, as its `stat` in the node's procfs says: the 52nd field, as waitpid(2) has it.
fn exit_status(stat: &[u8]) -> Option<u8> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(stat.get(end + 1..)?).ok()?.split_ascii_whitespace();
    if fields.next()? != "Z" {
        return None;
    }
    let code: i32 = fields.nth(48)?.parse().ok()?;
    Some(if code & 0x7f == 0 { (code >> 8) as u8 } else { 128 + (code & 0x7f) as u8 })
}

/// Whether a process ends within a moment.
fn ends_within(process: BorrowedFd, limit: PollTimeout) -> bool {
    let mut polled = [PollFd::new(process, PollFlags::POLLIN)];
    poll(&mut polled, limit).is_ok_and(|ready| ready > 0)
}

impl Stage {
    /// Whether it is in the container.
    pub fn is_inside(&self) -> bool {
        matches!(self.process, Process::Inside(_))
    }

    fn new(name: &str, process: Process) -> Self {
        Self { name: name.to_owned(), status: None, auxiliary: false, feeds: false, process }
    }

    /// A worker that sends descriptors.
    pub fn worker(name: &str, report: OwnedFd) -> Self {
        Self::behind(name, report, None, None, false)
    }

    /// A process behind a worker, in this target.
    pub fn inside(name: &str, report: OwnedFd, lifeline: OwnedFd, target: OwnedFd, is_guarded: bool) -> Self {
        Self::behind(name, report, Some(lifeline), Some(target), is_guarded)
    }

    fn behind(
        name: &str,
        report: OwnedFd,
        lifeline: Option<OwnedFd>,
        target: Option<OwnedFd>,
        is_guarded: bool,
    ) -> Self {
        let limit = Duration::from_secs(u64::from(worker::ENTRY_LIMIT) + 1);
        Self::new(
            name,
            Process::Inside(Inside {
                report,
                is_socket: lifeline.is_none(),
                is_guarded,
                lifeline,
                target,
                deadline: Some(Instant::now() + limit),
                worker: None,
                child: None,
                claimed: None,
                waiting: None,
                was_killed: false,
            }),
        )
    }

    /// A child of ours.
    pub fn outside(name: &str, pid: i32, pidfd: OwnedFd) -> Self {
        Self::new(name, Process::Outside { pid, pidfd })
    }

    /// The PID on the node of the process in the container, once it runs.
    pub fn pid_inside(&self) -> Option<i32> {
        match &self.process {
            Process::Inside(inside) => inside.child.as_ref().map(|child| child.pid),
            Process::Outside { .. } => None,
        }
    }

    /// Whether it is still entering.
    pub fn is_entering(&self) -> bool {
        matches!(&self.process, Process::Inside(inside) if self.status.is_none() && inside.child.is_none())
    }

    /// Until when it must have entered or, once its process has ended, its status be there.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.process {
            Process::Inside(inside) if self.status.is_none() => inside.deadline,
            _ => None,
        }
    }

    /// What to poll for while it runs.
    pub fn poll_fd(&self) -> Option<PollFd<'_>> {
        let fd: BorrowedFd = match &self.process {
            _ if self.status.is_some() => return None,
            // Once it runs its report may hold anything: what is polled for is its end, and then the worker's.
            Process::Inside(Inside { report, child, worker, deadline, is_guarded, .. }) => {
                match (child, worker) {
                    (Some(Known { pidfd: Some(pidfd), .. }), _) if deadline.is_none() => pidfd.as_fd(),
                    (Some(_), Some(Known { pidfd: Some(pidfd), .. })) if !is_guarded => pidfd.as_fd(),
                    _ => report.as_fd(),
                }
            }
            Process::Outside { pidfd, .. } => pidfd.as_fd(),
        };
        Some(PollFd::new(fd, PollFlags::POLLIN))
    }

    /// Looks at what happened to it. To be called when polling said so, or its deadline has passed.
    pub fn step(&mut self, outcome: &mut Outcome) {
        let is_late = self.deadline().is_some_and(|deadline| Instant::now() >= deadline);
        match &mut self.process {
            Process::Outside { pid, .. } => match reap(*pid) {
                Ok(status) => self.status = status,
                Err(errno) => {
                    let fault = Fault::errno("waitpid", &self.name, errno).with_status(125);
                    outcome.failure.get_or_insert(fault);
                    self.status = Some(125);
                }
            },
            Process::Inside(inside) => {
                self.status = inside.hear(outcome);
                if self.status.is_none() && is_late {
                    self.status = Some(inside.give_up(outcome));
                }
                if self.status.is_some() {
                    inside.lifeline = None;
                }
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: i32) {
        if self.status.is_some() {
            return;
        }
        match &mut self.process {
            Process::Inside(inside) => inside.signal(signal),
            Process::Outside { pidfd, .. } => drop(pidfd_send_signal(pidfd.as_fd(), signal)),
        }
    }

    /// The status of a process whose first thread has ended, while another waits in the kernel for what does not come.
    pub fn status_of_what_ended(&self) -> Option<u8> {
        let Process::Inside(Inside { child: Some(child), .. }) = &self.process else { return None };
        if self.status.is_some() || child.has_ended() {
            return None;
        }
        exit_status(&std::fs::read(format!("/proc/{}/stat", child.pid)).ok()?)
    }

    /// Takes that for its status, and waits for the rest no longer.
    pub fn leave(&mut self, status: u8) {
        if let Process::Inside(inside) = &mut self.process {
            inside.kill();
        }
        self.status = Some(status);
    }

    /// Gives it up. Returns whether its process itself has not ended.
    pub fn abandon(&mut self, outcome: &mut Outcome) -> bool {
        let Process::Inside(inside) = &mut self.process else { return true };
        if inside.child.as_ref().is_some_and(Known::has_ended) {
            self.status = Some(inside.give_up(outcome));
            return false;
        }
        inside.kill();
        true
    }
}

impl Inside {
    /// Takes the messages that have come. The process's status, once it has ended.
    fn hear(&mut self, outcome: &mut Outcome) -> Option<u8> {
        let failed = |outcome: &mut Outcome, fault: Fault| {
            outcome.failure.get_or_insert(fault.with_status(125));
            Some(125)
        };
        // Looked at first: then all that it has written is there.
        let mut is_over = !self.is_guarded && self.worker.as_ref().is_some_and(Known::has_ended);
        for _ in 0..MOST_MESSAGES {
            let heard = if self.is_socket {
                fds::receive(self.report.as_fd(), PollTimeout::ZERO).map(|(message, fds)| {
                    outcome.descriptors.extend(fds);
                    message
                })
            } else {
                fds::hear(self.report.as_fd())
            };
            let message = match heard {
                Err(Errno::EAGAIN) => break,
                Err(errno) => return failed(outcome, Fault::errno("receive", "report", errno)),
                Ok(message) => message,
            };
            if message.is_empty() {
                is_over = true;
                break;
            }
            match (Report::decode(&message), &self.worker) {
                (Some(Report::Failed(failure)), None) => return failed(outcome, failure.into()),
                (Some(Report::LabelRefused(errno)), None) => outcome.label_refused = Some(errno),
                (Some(Report::Forking(pid)), None) => match Known::open(pid) {
                    Ok(worker) => self.worker = Some(worker),
                    Err(fault) => {
                        self.lifeline = None;
                        return failed(outcome, fault);
                    }
                },
                (Some(Report::LateFailure(step, errno)), Some(_)) => {
                    let Some((step, object)) = LATE_STEPS.get(usize::from(step)) else { continue };
                    self.kill();
                    return failed(outcome, Failure::new(step, *object, errno).into());
                }
                (Some(Report::Started(pid)), Some(worker))
                    if self.child.as_ref().is_none_or(|child| child.pidfd.is_none()) =>
                {
                    match Known::child_of(worker.pid, pid) {
                        // Another process, which somebody else has named.
                        Ok(None) => continue,
                        Ok(child) => self.child = child,
                        Err(fault) => {
                            self.kill();
                            return failed(outcome, fault);
                        }
                    }
                    self.deadline = None;
                    if let Some(signal) = self.waiting.take() {
                        self.signal(signal);
                    }
                }
                (Some(Report::Ended(status)), Some(_)) => self.claimed = Some(status),
                (Some(Report::TargetEnded), Some(_)) if self.target_has_ended() => {
                    outcome.target_ended = true;
                    return Some(125);
                }
                (Some(Report::HeldBack), Some(_)) if self.is_held_back() => {
                    outcome.hindered.get_or_insert(held::TRACED);
                    return Some(held::STATUS);
                }
                // Descriptors are complete, and what made them is gone, when the worker has ended. Any other message is not
                // the worker's: a process of the target has taken the command's over.
                _ => {}
            }
        }
        let child_has_ended = self.child.as_ref().is_some_and(Known::has_ended);
        match self.claimed {
            Some(status) if is_over || child_has_ended => return Some(self.conclude(status, outcome)),
            _ if !is_over => {}
            _ if !outcome.descriptors.is_empty() => return Some(0),
            _ => {
                self.kill();
                let cause = match &self.child {
                    None => "the worker ended before the command ran",
                    Some(_) => "the worker ended before the command did",
                };
                return failed(outcome, Fault::of("enter", cause));
            }
        }
        if child_has_ended && self.deadline.is_none() {
            self.deadline = Some(Instant::now() + REPORT_LIMIT);
        }
        None
    }

    /// What its status means. Killed, and not by us: perhaps since the target ended, and its PID namespace with it. The
    /// target itself ends when all in there have been reaped.
    fn conclude(&self, status: u8, outcome: &mut Outcome) -> u8 {
        let limit = PollTimeout::from(TARGET_END_LIMIT);
        let with_target = status == KILLED
            && !self.was_killed
            && self.target.as_ref().is_some_and(|target| ends_within(target.as_fd(), limit));
        outcome.target_ended |= with_target;
        if with_target { 125 } else { status }
    }

    fn target_has_ended(&self) -> bool {
        self.target.as_ref().is_some_and(|target| ends_within(target.as_fd(), PollTimeout::ZERO))
    }

    fn is_held_back(&self) -> bool {
        self.child.as_ref().is_some_and(|child| held::cause(child.pid) == Some(held::TRACED))
    }

    /// What becomes of it after its deadline.
    fn give_up(&mut self, outcome: &mut Outcome) -> u8 {
        self.kill();
        if self.child.is_none() {
            let cause = "it did not end within its limit";
            outcome.failure.get_or_insert(Fault::of("enter", cause).with_status(125));
            return 125;
        }
        if self.target_has_ended() {
            outcome.target_ended = true;
            return 125;
        }
        let cause = if self.is_held_back() { held::TRACED } else { held::UNREPORTED };
        outcome.hindered.get_or_insert(cause);
        held::STATUS
    }

    fn kill(&mut self) {
        self.child.iter().chain(&self.worker).for_each(|known| known.signal(libc::SIGKILL));
        self.lifeline = None;
    }

    fn signal(&mut self, signal: i32) {
        self.was_killed |= signal == libc::SIGKILL;
        match &self.child {
            Some(child) => child.signal(signal),
            // A worker that can't go on ends by its own limit.
            None => self.waiting = Some(signal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zombies_status_is_read_of_its_stat() {
        let stat =
            |state: &str, code: &str| format!("7 (a) b) {state} {} {code}\n", "0 ".repeat(48).trim_end());
        for (state, code, status) in [
            ("Z", "256", Some(1)),
            ("Z", "0", Some(0)),
            ("Z", "9", Some(137)),
            ("S", "0", None),
            ("Z", "", None),
        ] {
            assert_eq!(exit_status(stat(state, code).as_bytes()), status, "{state} {code}");
        }
    }
}
