//! Both ways between standard input and output and a socket. Nothing here blocks: each way goes on while the other
//! waits. Bytes go through memory: spliced into a socket, 1 GiB took three times as long in the one run of each.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{Shutdown, shutdown};

use crate::cmd::net::{Signals, timeout};
use crate::cmd::{Fault, Result};

/// What is moved through memory at once; a datagram is smaller.
const BUFFER: usize = 256 << 10;
/// What of standard input becomes one datagram, as OpenBSD's nc has it.
const DATAGRAM: usize = 16 << 10;

/// When it ends.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// So long a silence ends it.
    pub idle: Option<Duration>,
    /// So long after the end of standard input.
    pub after_input: Option<Duration>,
    /// The end of standard input is told to the other side.
    pub shuts_down: bool,
    /// The other side's end is ours, though standard input may go on.
    pub ends_with_peer: bool,
    /// What is read is one datagram each, and an empty one is no end.
    pub is_datagram: bool,
}

/// How it ended.
pub enum Ended {
    /// As it should.
    Done,
    /// By a signal.
    Signal(u8),
}

/// One way.
struct Way {
    buffer: Vec<u8>,
    /// Which bytes of the buffer are not written yet.
    pending: std::ops::Range<usize>,
    /// Whether it is the other end that is waited for.
    is_blocked: bool,
    /// Whether nothing more will be read.
    is_over: bool,
}

/// Which side failed, and how.
enum Failed {
    Read(Errno),
    Write(Errno),
}

impl Way {
    fn new(size: usize) -> Self {
        Self { buffer: vec![0; size], pending: 0..0, is_blocked: false, is_over: false }
    }

    fn is_done(&self) -> bool {
        self.is_over && self.pending.is_empty()
    }

    /// What is waited for: input, or room.
    fn wants<'a>(&self, from: BorrowedFd<'a>, to: BorrowedFd<'a>) -> Option<PollFd<'a>> {
        match (self.is_done(), self.is_blocked) {
            (true, _) => None,
            (false, true) => Some(PollFd::new(to, PollFlags::POLLOUT)),
            (false, false) => Some(PollFd::new(from, PollFlags::POLLIN)),
        }
    }

    /// Moves what can be moved now; whether that was something.
    fn step(
        &mut self,
        from: BorrowedFd,
        to: BorrowedFd,
        datagram: bool,
    ) -> std::result::Result<bool, Failed> {
        if self.pending.is_empty() && !self.is_over {
            match nix::unistd::read(from, &mut self.buffer) {
                Ok(0) => self.is_over = !datagram,
                Ok(count) => self.pending = 0..count,
                Err(Errno::EAGAIN | Errno::EINTR) => return Ok(false),
                Err(errno) => return Err(Failed::Read(errno)),
            }
        }
        if let Some(rest) = self.buffer.get(self.pending.clone()).filter(|rest| !rest.is_empty()) {
            match nix::unistd::write(to, rest) {
                Ok(count) => self.pending.start += count,
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(Failed::Write(errno)),
            }
            self.is_blocked = !self.pending.is_empty();
        }
        Ok(true)
    }
}

fn ready(fd: BorrowedFd, events: PollFlags) -> bool {
    let mut polled = [PollFd::new(fd, events)];
    poll(&mut polled, 0u8).is_ok_and(|count| count > 0)
}

/// Standard input and output, for one connection after the other.
pub struct Relay<'a> {
    stdin: BorrowedFd<'a>,
    stdout: BorrowedFd<'a>,
    limits: Limits,
    input: Way,
}

impl<'a> Relay<'a> {
    /// Both must not block: they are pipes or files of this process alone.
    pub fn new(stdin: BorrowedFd<'a>, stdout: BorrowedFd<'a>, limits: Limits) -> Self {
        for fd in [stdin, stdout] {
            if let Ok(flags) = fcntl(fd, FcntlArg::F_GETFL) {
                let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
                // Where that is refused a wait is longer, no more.
                let _ = fcntl(fd, FcntlArg::F_SETFL(flags));
            }
        }
        Self { stdin, stdout, limits, input: Way::new(if limits.is_datagram { DATAGRAM } else { BUFFER }) }
    }

    /// Moves bytes until one of its ends comes.
    ///
    /// # Errors
    /// A fault of the connection, or of standard output.
    pub fn run(&mut self, socket: &OwnedFd, signals: Option<&Signals>) -> Result<Ended> {
        let limits = self.limits;
        let net = socket.as_fd();
        let mut output = Way::new(BUFFER);
        let mut input_ended = None;
        let mut last = Instant::now();
        loop {
            if self.input.is_done() && input_ended.is_none() {
                input_ended = Some(Instant::now());
                if limits.shuts_down && !limits.is_datagram {
                    // It may have ended already.
                    let _ = shutdown(socket.as_raw_fd(), Shutdown::Write);
                }
            }
            // What is there already is still sent.
            let is_idle = || self.input.pending.is_empty() && !ready(self.stdin, PollFlags::POLLIN);
            if output.is_done() && (self.input.is_done() || limits.ends_with_peer && is_idle()) {
                return Ok(Ended::Done);
            }
            let now = Instant::now();
            let ends = [
                limits.idle.map(|idle| last + idle),
                limits.after_input.and_then(|after| Some(input_ended? + after)),
            ];
            let until = ends.into_iter().flatten().min();
            if until.is_some_and(|until| now >= until) {
                return Ok(Ended::Done);
            }
            let (inward, outward) = (self.input.wants(self.stdin, net), output.wants(net, self.stdout));
            let (has_inward, has_outward) = (inward.is_some(), outward.is_some());
            let mut polled: Vec<PollFd> = inward.into_iter().chain(outward).collect();
            polled.extend(signals.map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)));
            match poll(&mut polled, timeout(until.map(|until| until.saturating_duration_since(now)))) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Fault::of("poll", errno)),
            }
            let came = |at: usize| polled.get(at).and_then(PollFd::revents).is_some_and(|e| !e.is_empty());
            let (in_ready, out_ready) = (has_inward && came(0), has_outward && came(usize::from(has_inward)));
            if let Some(number) = signals.and_then(Signals::come) {
                return Ok(Ended::Signal(number));
            }
            let mut moved = false;
            if out_ready {
                moved |=
                    output.step(net, self.stdout, limits.is_datagram).map_err(|failed| match failed {
                        Failed::Read(errno) => Fault::of("receive", errno),
                        Failed::Write(errno) => Fault::errno("write", "standard output", errno),
                    })?;
            }
            if in_ready {
                match self.input.step(self.stdin, net, false) {
                    Ok(was) => moved |= was,
                    // The other side takes no more; what it has sent is still printed.
                    Err(
                        Failed::Write(Errno::EPIPE | Errno::ECONNRESET) | Failed::Read(Errno::ECONNRESET),
                    ) => {
                        self.input.pending = 0..0;
                        self.input.is_over = true;
                    }
                    Err(Failed::Write(errno)) => return Err(Fault::of("send", errno)),
                    Err(Failed::Read(errno)) => return Err(Fault::errno("read", "standard input", errno)),
                }
            }
            if moved {
                last = Instant::now();
            }
        }
    }
}
