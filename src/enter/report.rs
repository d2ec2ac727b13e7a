//! What a worker tells the supervisor, one message each, over a pipe or a socket of its own.

use std::os::fd::{BorrowedFd, RawFd};

use nix::errno::Errno;

use super::wire::{Reader, Writer};
use super::{Failure, fds};

/// A message of a worker. It runs as the target's user: what it says is taken apart with care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Entering failed.
    Failed(Failure),
    /// The security label could not be taken; the session goes on without.
    LabelRefused(Errno),
    /// The command's process runs; its PID as the node counts.
    Started(i32),
    /// The command's process ended with this status.
    Ended(u8),
    /// The target ended.
    TargetEnded,
    /// Descriptors that were asked for travel with this message.
    Descriptors,
    /// The command's process ended, and who traces it keeps its status.
    HeldBack,
}

impl Report {
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
        ] {
            let message = report.encode();
            assert_eq!(Report::decode(&message), Some(report));
            assert_eq!(Report::decode(&message[..message.len() - 1]), None);
        }
    }
}
