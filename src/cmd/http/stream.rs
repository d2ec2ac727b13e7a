//! The connection: a socket with limits, TLS over it where asked, and one bounded buffer for what comes in.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{MsgFlags, recv, send};

use crate::sys::socket::wait;

/// No byte for this long ends a transfer.
pub const IDLE: Duration = Duration::from_secs(60);

/// What is read at once; also the most that one splice moves.
pub const BUFFER: usize = 256 << 10;

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
        self.check()?;
        loop {
            match recv(self.fd.as_raw_fd(), buffer, flags) {
                Ok(count) => return Ok(count),
                Err(Errno::EAGAIN) => self.wait(PollFlags::POLLIN)?,
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
        self.check()?;
        loop {
            match send(self.fd.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
                Ok(count) => return Ok(count),
                Err(Errno::EAGAIN) => self.wait(PollFlags::POLLOUT)?,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection with or without TLS.
pub enum Stream {
    /// As it is.
    Plain(Sock),
    /// TLS.
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, Sock>>),
}

impl Stream {
    /// The socket below.
    pub fn sock(&mut self) -> &mut Sock {
        match self {
            Self::Plain(sock) => sock,
            Self::Tls(tls) => &mut tls.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(sock) => sock.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(sock) => sock.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(sock) => sock.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// A stream and what was read of it but not yet used.
pub struct Conn {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Conn {
    /// A connection of which nothing is read yet.
    pub fn new(stream: Stream) -> Self {
        Self { stream, buffer: vec![0; BUFFER], start: 0, end: 0 }
    }

    /// The stream, to write on and to splice from.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// What is read and not used.
    pub fn held(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Marks bytes as used.
    pub fn used(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads more behind what is held; 0 is the end of the stream, or a full buffer.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn more(&mut self) -> io::Result<usize> {
        if self.end == self.buffer.len() && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let count = self.stream.read(room)?;
        self.end += count;
        Ok(count)
    }
}
