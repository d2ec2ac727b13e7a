//! The processes of a pipeline, wherever they run, as the supervisor sees them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags};

use super::held;
use super::run::Outcome;
use crate::enter::report::Report;
use crate::enter::{fds, worker};
use crate::out::Fault;
use crate::sys::syscall::{pidfd_send_signal, reap};

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
    Inside {
        /// What the worker tells.
        report: OwnedFd,
        /// What a command's worker is told; the other one has descriptors to send, and a socket for that.
        orders: Option<OwnedFd>,
        /// The process's PID on the node, once it runs.
        pid: Option<i32>,
        /// When entering must be over.
        deadline: Instant,
    },
    /// A child of ours.
    Outside {
        /// Its PID.
        pid: i32,
        /// Its pidfd.
        pidfd: OwnedFd,
    },
}

impl Stage {
    /// A process behind a worker.
    pub fn inside(name: &str, report: OwnedFd, orders: Option<OwnedFd>) -> Self {
        let limit = std::time::Duration::from_secs(u64::from(worker::ENTRY_LIMIT) + 1);
        let process = Process::Inside { report, orders, pid: None, deadline: Instant::now() + limit };
        Self { name: name.to_owned(), status: None, auxiliary: false, feeds: false, process }
    }

    /// A child of ours.
    pub fn outside(name: &str, pid: i32, pidfd: OwnedFd) -> Self {
        Self {
            name: name.to_owned(),
            status: None,
            auxiliary: false,
            feeds: false,
            process: Process::Outside { pid, pidfd },
        }
    }

    /// The PID on the node of the process in the container, once it runs.
    pub fn pid_inside(&self) -> Option<i32> {
        match &self.process {
            Process::Inside { pid, .. } => *pid,
            Process::Outside { .. } => None,
        }
    }

    /// Whether it is still entering, and until when it may.
    pub fn entering_until(&self) -> Option<Instant> {
        match &self.process {
            Process::Inside { pid: None, deadline, .. } if self.status.is_none() => Some(*deadline),
            _ => None,
        }
    }

    /// What to poll for while it runs.
    pub fn poll_fd(&self) -> Option<PollFd<'_>> {
        let fd: BorrowedFd = match &self.process {
            _ if self.status.is_some() => return None,
            Process::Inside { report, .. } => report.as_fd(),
            Process::Outside { pidfd, .. } => pidfd.as_fd(),
        };
        Some(PollFd::new(fd, PollFlags::POLLIN))
    }

    /// Hears what happened to it. To be called when polling said so.
    pub fn step(&mut self, outcome: &mut Outcome) {
        match &mut self.process {
            Process::Outside { pid, .. } => match reap(*pid) {
                Ok(status) => self.status = status,
                Err(errno) => {
                    let fault = Fault::errno("waitpid", &self.name, errno).with_status(125);
                    outcome.failure.get_or_insert(fault);
                    self.status = Some(125);
                }
            },
            Process::Inside { report, orders, pid, .. } => {
                let heard = if orders.is_some() {
                    fds::hear(report.as_fd())
                } else {
                    fds::receive(report.as_fd()).map(|(message, fds)| {
                        outcome.descriptors.extend(fds);
                        message
                    })
                };
                let message = match heard {
                    Err(errno) => {
                        let fault = Fault::errno("receive", "report", errno).with_status(125);
                        outcome.failure.get_or_insert(fault);
                        self.status = Some(125);
                        return;
                    }
                    Ok(message) => message,
                };
                match Report::decode(&message) {
                    Some(Report::Started(number)) => *pid = Some(number),
                    Some(Report::Ended(status)) => self.status = Some(status),
                    Some(Report::HeldBack) => {
                        outcome.hindered.get_or_insert(held::TRACED);
                        self.status = Some(held::STATUS);
                    }
                    // They are complete, and what made them is gone, when the worker has ended.
                    Some(Report::Descriptors) => {}
                    None if !outcome.descriptors.is_empty() => self.status = Some(0),
                    Some(Report::LabelRefused(errno)) => outcome.label_refused = Some(errno),
                    Some(Report::TargetEnded) => {
                        outcome.target_ended = true;
                        self.status = Some(125);
                    }
                    Some(Report::Failed(failure)) => {
                        outcome.failure.get_or_insert(failure.into());
                        self.status = Some(125);
                    }
                    None => {
                        let cause = match pid {
                            None => "the worker ended before the command ran",
                            Some(_) => "the worker ended before the command did",
                        };
                        outcome.failure.get_or_insert(Fault::of("enter", cause).with_status(125));
                        self.status = Some(125);
                    }
                }
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        if self.status.is_some() {
            return;
        }
        // Where it is gone already there is nothing to end.
        match &self.process {
            Process::Inside { orders, .. } => {
                let _ = orders.as_ref().map(|orders| fds::tell(orders.as_fd(), &[signal as u8]));
            }
            Process::Outside { pidfd, .. } => drop(pidfd_send_signal(pidfd.as_fd(), signal)),
        }
    }
}
