//! What a worker tells the supervisor, one message each, over a pipe or a socket of its own.

use std::os::fd::{BorrowedFd, RawFd};

use nix::errno::Errno;

use super::wire::{Reader, Writer};
use super::{Failure, fds};

/// A message of a worker.
///
/// A process of the target with CAP_SYS_PTRACE can write to the same pipe from the moment when the worker forks: the new
/// process has a copy of the worker's descriptors until it closes them. So what holds text comes before
/// [`Report::Forking`] and is believed only there; what comes after it is checked against the kernel by whoever reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Entering failed.
    Failed(Failure),
    /// The security label could not be taken; the session goes on without.
    LabelRefused(Errno),
    /// The worker is about to fork the command's process; its own PID as the node counts.
    Forking(i32),
    /// A step of [`LATE_STEPS`] failed, by its place.
    LateFailure(u8, Errno),
    /// The command's process runs; its PID as the node counts.
    Started(i32),
    /// The command's process ended with this status.
    Ended(u8),
    /// The target ended.
    TargetEnded,
    /// The command's process ended, and a process that traces it keeps its status.
    HeldBack,
    /// Descriptors that were asked for travel with this message.
    Descriptors,
}

/// The steps that are left when a worker forks, and what they are done to. They travel as numbers: text might be anybody's.
pub const LATE_STEPS: [(&str, &str); 5] = [
    ("fork", "into the target's PID namespace"),
    ("pidfd_open", "the command's process"),
    ("prctl", "parent death signal"),
    ("poll", "the command's process"),
    ("waitpid", "the command's process"),
];

impl Report {
    /// A failure of one of [`LATE_STEPS`].
    pub fn late(failure: &Failure) -> Option<Self> {
        let at = LATE_STEPS.iter().position(|step| *step == (&failure.step, &failure.object))?;
        Some(Self::LateFailure(at as u8, failure.errno))
    }

    /// As a message.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer::new();
        match self {
            Self::Failed(Failure { step, object, errno }) => {
                to.number(0).bytes(step.as_bytes()).bytes(object.as_bytes()).number(*errno as u64)
            }
            Self::LabelRefused(errno) => to.number(1).number(*errno as u64),
            Self::Started(pid) => to.number(2).number(*pid as u64),
            Self::Ended(status) => to.number(3).number((*status).into()),
            Self::TargetEnded => to.number(4),
            Self::Descriptors => to.number(5),
            Self::HeldBack => to.number(6),
            Self::Forking(pid) => to.number(7).number(*pid as u64),
            Self::LateFailure(step, errno) => to.number(8).number((*step).into()).number(*errno as u64),
        };
        to.finish()
    }

    /// From a message; `None` if it is none.
    pub fn decode(message: &[u8]) -> Option<Self> {
        let mut from = Reader::new(message);
        let errno = |from: &mut Reader| Some(Errno::from_raw(from.small()?));
        let text = |from: &mut Reader| Some(String::from_utf8_lossy(from.bytes()?).into_owned());
        Some(match from.number()? {
            0 => Self::Failed(Failure {
                step: text(&mut from)?,
                object: text(&mut from)?,
                errno: errno(&mut from)?,
            }),
            1 => Self::LabelRefused(errno(&mut from)?),
            2 => Self::Started(from.small()?),
            3 => Self::Ended(from.small()?),
            4 => Self::TargetEnded,
            5 => Self::Descriptors,
            6 => Self::HeldBack,
            7 => Self::Forking(from.small()?),
            8 => Self::LateFailure(from.small()?, errno(&mut from)?),
            _ => return None,
        })
    }
}

/// Tells of a failure through the first of these descriptors that is a socket. For a process that is about to end,
/// and may have replaced some of its descriptors by others.
pub fn tell_failure(failure: Failure, sockets: &[RawFd]) {
    let message = Report::Failed(failure).encode();
    for number in sockets {
        // SAFETY: only used for this send; a number that is closed, or of another file, is an error.
        let socket = unsafe { BorrowedFd::borrow_raw(*number) };
        if fds::send(socket, &message, &[]).is_ok() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_wire() {
        for report in [
            Report::Failed(Failure::new("setns", "user", Errno::EPERM)),
            Report::LabelRefused(Errno::EACCES),
            Report::Started(4242),
            Report::Ended(137),
            Report::TargetEnded,
            Report::Descriptors,
            Report::HeldBack,
            Report::Forking(4241),
            Report::LateFailure(0, Errno::EAGAIN),
        ] {
            let message = report.encode();
            assert_eq!(Report::decode(&message), Some(report));
            assert_eq!(Report::decode(&message[..message.len() - 1]), None);
        }
    }
}
