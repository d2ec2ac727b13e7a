//! A socket whose reads and writes have limits.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{MsgFlags, recv, sendmsg};

use crate::sys::socket::wait;

/// No byte for this long ends a transfer.
pub const IDLE: Duration = Duration::from_secs(60);

/// A connected socket. Reads and writes wait, but never past a limit; then the error is `TimedOut`.
pub struct Sock {
    fd: OwnedFd,
    /// `--max-time`, as a point in time.
    pub deadline: Option<Instant>,
    /// `--connect-timeout`, while connecting.
    pub phase: Option<Instant>,
    /// [`IDLE`], or less in tests.
    pub idle: Duration,
}

impl Sock {
    /// A non-blocking socket with these limits.
    pub fn new(fd: OwnedFd, deadline: Option<Instant>, phase: Option<Instant>, idle: Duration) -> Self {
        Self { fd, deadline, phase, idle }
    }

    /// Its descriptor, for splice.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Waits until the socket is ready.
    ///
    /// # Errors
    /// `TimedOut`, with a text that names the limit.
    pub fn wait(&self, events: PollFlags) -> io::Result<()> {
        let idle = Instant::now() + self.idle;
        let until = [self.deadline, self.phase].into_iter().flatten().fold(idle, Instant::min);
        if wait(self.fd.as_fd(), events, Some(until))? {
            return Ok(());
        }
        let text = if self.deadline == Some(until) {
            "the time limit of --max-time has passed".to_owned()
        } else if self.phase == Some(until) {
            "the time limit of --connect-timeout has passed".to_owned()
        } else {
            format!("nothing came for {} s", self.idle.as_secs_f64())
        };
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    }

    /// The limit of the whole run, which also holds while data keeps coming.
    ///
    /// # Errors
    /// `TimedOut`.
    pub fn check(&self) -> io::Result<()> {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the time limit of --max-time has passed"));
        }
        Ok(())
    }
}

impl Sock {
    /// Takes up to a buffer's length off the socket; a TCP socket does not even copy it, tcp(7), MSG_TRUNC.
    ///
    /// # Errors
    /// Those of a read.
    pub fn discard(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer, MsgFlags::MSG_TRUNC)
    }

    fn receive(&self, buffer: &mut [u8], flags: MsgFlags) -> io::Result<usize> {
        loop {
            match self.try_receive(buffer, flags) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(PollFlags::POLLIN)?,
                other => return other,
            }
        }
    }

    fn try_receive(&self, buffer: &mut [u8], flags: MsgFlags) -> io::Result<usize> {
        self.check()?;
        loop {
            match recv(self.fd.as_raw_fd(), buffer, flags) {
                Ok(count) => return Ok(count),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock` where there is nothing, else those of a read.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_receive(buffer, MsgFlags::empty())
    }

    /// Writes what goes at once.
    ///
    /// # Errors
    /// `WouldBlock` where nothing does, else those of a write.
    pub fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.check()?;
        loop {
            match sendmsg::<()>(self.fd.as_raw_fd(), parts, &[], MsgFlags::MSG_NOSIGNAL, None) {
                Ok(count) => return Ok(count),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl Read for Sock {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer, MsgFlags::empty())
    }
}

impl Write for Sock {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// All records of TLS that are ready go in one segment.
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match self.try_write(parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(PollFlags::POLLOUT)?,
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
