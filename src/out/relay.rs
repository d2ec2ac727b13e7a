//! Moving bytes between pipes, files and the terminal, without ever blocking.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe2, read, write};

use crate::out::filter::TerminalFilter;

/// What pipes hold: with 64 KiB, moving a GiB takes four times as long.
const PIPE_SIZE: i32 = 1 << 20;

/// What is moved at once through memory.
const CHUNK: usize = 64 << 10;

/// What is written to a terminal at once, so that Ctrl-C is heard in between.
const TERMINAL_CHUNK: usize = 4 << 10;

/// A pipe of 1 MiB where the system allows it; both ends close-on-exec: (read, write).
///
/// # Errors
/// As pipe2(2).
pub fn pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    let ends = small_pipe()?;
    enlarge(ends.1.as_fd());
    Ok(ends)
}

/// A pipe for what is little: errors, answers, nothing at all. Making it costs less.
///
/// # Errors
/// As pipe2(2).
pub fn small_pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    pipe2(OFlag::O_CLOEXEC)
}

/// Makes the end of a pipe that this process keeps answer EAGAIN in place of waiting: another process that holds the
/// same end may have drained or filled the pipe since it was polled. The other end stays as it is.
///
/// # Errors
/// As fcntl(2).
pub fn keep(end: OwnedFd) -> nix::Result<OwnedFd> {
    fcntl(&end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(end)
}

/// Enlarges a pipe. What is none, or may not be, stays as it is.
pub fn enlarge(pipe: BorrowedFd) {
    let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
}

/// Where bytes go.
pub enum Sink {
    /// A descriptor that is written as it is.
    Descriptor(OwnedFd),
    /// A terminal, through its filter.
    Terminal(OwnedFd, TerminalFilter),
    /// Memory, at most so many bytes; what is beyond is dropped.
    Memory(Vec<u8>, usize),
}

impl Sink {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Descriptor(fd) | Self::Terminal(fd, _) => Some(fd.as_fd()),
            Self::Memory(..) => None,
        }
    }
}

/// One stream: from a descriptor to a sink.
pub struct Pump {
    from: Option<OwnedFd>,
    to: Option<Sink>,
    /// Bytes that were read, or rendered for the terminal, and are not written yet.
    pending: Vec<u8>,
    /// Whether splice(2) works between the two.
    spliced: bool,
    /// Whether the source has ended.
    ended: bool,
    /// Whether it is the sink that is waited for.
    blocked: bool,
    /// Whether what was written to a terminal ends within a line; none where nothing was.
    mid_line: Option<bool>,
    /// Why it ended early, if not by a closed pipe.
    pub error: Option<Errno>,
}

impl Pump {
    /// A stream. It owns both of its ends.
    pub fn new(from: OwnedFd, to: Sink) -> Self {
        let spliced = matches!(to, Sink::Descriptor(_));
        Self {
            from: Some(from),
            to: Some(to),
            pending: Vec::new(),
            spliced,
            ended: false,
            blocked: false,
            mid_line: None,
            error: None,
        }
    }

    /// A stream of messages: each is copied, since one that is spliced takes a whole page of the sink's pipe, and who
    /// waits for our end before reading it would wait for ever.
    pub fn of_messages(from: OwnedFd, to: Sink) -> Self {
        Self { spliced: false, ..Self::new(from, to) }
    }

    /// Whether nothing more will be moved. Its ends are closed then, but memory is kept.
    pub fn is_done(&self) -> bool {
        match &self.to {
            None => true,
            Some(_) => self.ended && self.pending.is_empty(),
        }
    }

    /// What it collected in memory.
    pub fn into_memory(self) -> Vec<u8> {
        match self.to {
            Some(Sink::Memory(bytes, _)) => bytes,
            _ => Vec::new(),
        }
    }

    /// What to poll for, unless it is done.
    pub fn poll_fd(&self) -> Option<PollFd<'_>> {
        match self.to.as_ref().and_then(Sink::descriptor) {
            Some(fd) if self.blocked => Some(PollFd::new(fd, PollFlags::POLLOUT)),
            _ => self.from.as_ref().map(|from| PollFd::new(from.as_fd(), PollFlags::POLLIN)),
        }
    }

    /// Whether what it last wrote to a terminal ends within a line; none where it wrote nothing.
    pub fn is_mid_line(&self) -> Option<bool> {
        self.mid_line
    }

    /// Whether it waits for its source, and has nothing left to write.
    pub fn is_starved(&self) -> bool {
        !self.is_done() && !self.blocked && self.pending.is_empty()
    }

    /// Gives the stream up: its ends are closed, so that who writes into it does not wait for ever.
    pub fn close(&mut self) {
        self.from = None;
        self.to = None;
        self.pending.clear();
    }

    /// Moves what can be moved now. To be called when polling said so.
    pub fn step(&mut self) {
        match self.advance() {
            Ok(()) => {}
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => {
                if errno != Errno::EPIPE {
                    self.error = Some(errno);
                }
                self.close();
            }
        }
        if self.ended && self.pending.is_empty() && !matches!(self.to, Some(Sink::Memory(..))) {
            self.close();
        }
    }

    fn advance(&mut self) -> nix::Result<()> {
        let (Some(sink), Some(from)) = (&mut self.to, &self.from) else { return Ok(()) };
        if let Some(fd) = sink.descriptor() {
            self.blocked = !is_writable(fd)?;
            if self.blocked {
                return Ok(());
            }
        }
        if self.spliced
            && let Sink::Descriptor(to) = sink
        {
            let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
            match splice(from, None, to, None, PIPE_SIZE as usize, flags) {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(Errno::EINVAL) => self.spliced = false,
                // The sink may poll writable and yet have no free slot for a page.
                Err(Errno::EAGAIN) => self.spliced = !is_readable(from.as_fd())?,
                Err(errno) => return Err(errno),
            }
            return Ok(());
        }
        if self.pending.is_empty() && !self.ended {
            let mut buffer = vec![0; CHUNK];
            let count = read(from, &mut buffer)?;
            buffer.truncate(count);
            self.ended = count == 0;
            match sink {
                Sink::Descriptor(_) => self.pending = buffer,
                Sink::Terminal(_, filter) => {
                    filter.push(&buffer, &mut self.pending);
                    if self.ended {
                        filter.finish(&mut self.pending);
                    }
                }
                Sink::Memory(bytes, limit) => {
                    let room = limit.saturating_sub(bytes.len()).min(buffer.len());
                    bytes.extend_from_slice(&buffer[..room]);
                }
            }
        }
        if let Some(fd) = sink.descriptor()
            && !self.pending.is_empty()
        {
            let limit = if matches!(sink, Sink::Terminal(..)) { TERMINAL_CHUNK } else { CHUNK };
            // A pipe that polls writable takes PIPE_BUF bytes at least without blocking.
            let limit = if is_pipe(fd) { limit.min(4096) } else { limit };
            let written = write(fd, &self.pending[..self.pending.len().min(limit)])?;
            if matches!(sink, Sink::Terminal(..))
                && let Some(last) = written.checked_sub(1).and_then(|last| self.pending.get(last))
            {
                self.mid_line = Some(*last != b'\n');
            }
            self.pending.drain(..written);
            self.blocked = !self.pending.is_empty();
        }
        Ok(())
    }
}

fn is_pipe(fd: BorrowedFd) -> bool {
    fcntl(fd, FcntlArg::F_GETPIPE_SZ).is_ok()
}

fn ready(fd: BorrowedFd, events: PollFlags) -> nix::Result<bool> {
    let mut polled = [PollFd::new(fd, events)];
    Ok(poll(&mut polled, PollTimeout::ZERO)? > 0)
}

fn is_writable(fd: BorrowedFd) -> nix::Result<bool> {
    ready(fd, PollFlags::POLLOUT)
}

fn is_readable(fd: BorrowedFd) -> nix::Result<bool> {
    ready(fd, PollFlags::POLLIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    fn drain(pump: &mut Pump) {
        for _ in 0..1000 {
            if pump.is_done() {
                return;
            }
            let mut polled = [pump.poll_fd().unwrap()];
            poll(&mut polled, PollTimeout::from(1000u16)).unwrap();
            pump.step();
        }
        panic!("not done");
    }

    #[test]
    fn a_file_gets_the_bytes_and_a_terminal_the_filtered_ones() {
        for terminal in [false, true] {
            let (reader, writer) = pipe().unwrap();
            write(&writer, b"a\x1bb\xff").unwrap();
            drop(writer);
            let name = c"nsdbg-test-relay";
            let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
            let to = nix::sys::memfd::memfd_create(name, flags).unwrap();
            let mut copy = std::fs::File::from(to.try_clone().unwrap());
            let sink =
                if terminal { Sink::Terminal(to, TerminalFilter::new(false)) } else { Sink::Descriptor(to) };
            drain(&mut Pump::new(reader, sink));
            let mut bytes = Vec::new();
            copy.rewind().unwrap();
            copy.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, if terminal { &b"a^[b\\xff"[..] } else { b"a\x1bb\xff" });
        }
    }

    #[test]
    fn memory_is_bounded_and_a_closed_sink_ends_the_stream() {
        let (reader, writer) = pipe().unwrap();
        write(&writer, &[b'x'; 1000]).unwrap();
        drop(writer);
        let mut pump = Pump::new(reader, Sink::Memory(Vec::new(), 10));
        drain(&mut pump);
        assert_eq!(pump.into_memory().len(), 10);

        let (reader, writer) = pipe().unwrap();
        let (gone, to) = pipe().unwrap();
        drop(gone);
        write(&writer, b"x").unwrap();
        let mut pump = Pump::new(reader, Sink::Descriptor(to));
        drain(&mut pump);
        assert_eq!(pump.error, None);
        assert_eq!(write(&writer, b"y"), Err(Errno::EPIPE));
    }
}
