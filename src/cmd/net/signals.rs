//! Waiting that a signal ends.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::PollTimeout;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Signals that are waited for in place of ending the process.
pub struct Signals(SignalFd);

impl Signals {
    /// Holds SIGINT, SIGTERM and SIGHUP back.
    ///
    /// # Errors
    /// As signalfd(2).
    pub fn hold() -> nix::Result<Self> {
        let mut set = SigSet::empty();
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().for_each(|signal| set.add(signal));
        set.thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map(Self)
    }

    /// The number of one that has come.
    pub fn come(&self) -> Option<u8> {
        self.0.read_signal().ok().flatten().map(|signal| signal.ssi_signo as u8)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A limit for poll(2), rounded up.
pub fn timeout(left: Option<Duration>) -> PollTimeout {
    left.map_or(PollTimeout::NONE, |left| {
        let millis = (left + Duration::from_micros(999)).as_millis();
        PollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
    })
}
