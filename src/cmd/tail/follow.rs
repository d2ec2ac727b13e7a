//! Following files: what is added to them, and what becomes of their names.
//!
//! Files are looked at again and again: inotify says nothing of what other machines or the lower layers of an overlay
//! do, and one fstat(2) costs next to nothing.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{FileStat, SFlag, fstat, stat};
use nix::unistd::{Whence, lseek};

use crate::cmd::input::Input;
use crate::cmd::text::{self, Headers, PIECE};
use crate::cmd::{Context, Fault, Result};
use crate::out::fault::errno_text;
use crate::out::name::escape;
use crate::sys::syscall::pidfd_open;
use std::os::unix::ffi::OsStrExt;

/// What one file may print before the next one has its turn.
const TURN: usize = 16 << 20;

/// How files are followed.
pub struct How {
    /// By name, not by what was opened.
    pub by_name: bool,
    /// Whether a name without a file is waited for.
    pub retry: bool,
    /// The time between looks.
    pub interval: Duration,
    /// The process at whose end it ends.
    pub until: Option<Until>,
}

/// A process whose end is waited for.
pub enum Until {
    /// It runs, or is a zombie.
    Open(OwnedFd),
    /// There is none with this PID.
    Gone,
}

impl Until {
    /// The process with a PID of the container's.
    ///
    /// # Errors
    /// A fault of pidfd_open(2).
    pub fn of(pid: i32) -> Result<Self> {
        match pidfd_open(pid) {
            Ok(process) => Ok(Self::Open(process)),
            Err(Errno::ESRCH) => Ok(Self::Gone),
            Err(errno) => Err(Fault::errno("pidfd_open", pid.to_string(), errno)),
        }
    }

    fn has_come(&self) -> bool {
        match self {
            Self::Open(process) => {
                let mut polled = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
                matches!(poll(&mut polled, PollTimeout::ZERO), Ok(1))
            }
            Self::Gone => true,
        }
    }
}

/// A file that is followed.
pub struct Followed {
    path: OsString,
    input: Option<Input>,
    /// How far it was read, for a regular file.
    position: u64,
    is_regular: bool,
    /// It is of no more use.
    is_over: bool,
    /// It was said that the name leads to nothing that can be followed.
    was_said: bool,
}

impl Followed {
    /// A file of which all was printed.
    pub fn open(path: OsString, input: Input) -> Self {
        let is_regular = fstat(input.as_fd()).is_ok_and(|stat| is_file(&stat));
        let position = lseek(&input, 0, Whence::SeekCur).unwrap_or(0) as u64;
        // A pipe that is at its end has no more; a FIFO may have another writer.
        let is_over = !is_regular && input.is_stdin();
        if !is_regular && !is_over {
            // Where it can't be, reads wait for the writer.
            let _ = fcntl(&input, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
        }
        Self { path, input: Some(input), position, is_regular, is_over, was_said: false }
    }

    /// A name without a file.
    pub fn absent(path: OsString) -> Self {
        Self { path, input: None, position: 0, is_regular: false, is_over: false, was_said: true }
    }

    fn shown(&self) -> String {
        escape(self.path.as_bytes())
    }

    /// Prints what was added; whether there was anything.
    fn print_added(&mut self, buffer: &mut [u8], turn: &mut Turn) -> Result<bool> {
        let Some(input) = &self.input else { return Ok(false) };
        if self.is_regular {
            let length = fstat(input.as_fd()).map_or(self.position, |stat| stat.st_size as u64);
            if length < self.position {
                turn.cx.note(&format!("{}: file truncated", self.shown()));
                self.position = 0;
                lseek(input, 0, Whence::SeekSet).map_err(|errno| Fault::errno("seek", &input.name, errno))?;
            }
            if length == self.position {
                return Ok(false);
            }
        }
        let mut printed = 0;
        while printed < TURN {
            let count = match nix::unistd::read(input, buffer) {
                Ok(0) | Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(input.fault(&errno.into())),
                Ok(count) => count,
            };
            turn.begin(self.path.as_os_str(), &input.name)?;
            text::write(turn.to, buffer.get(..count).unwrap_or_default())?;
            printed += count;
            self.position += count as u64;
        }
        Ok(printed > 0)
    }

    /// Looks where the name leads.
    fn look_at_name(&mut self, how: &How, buffer: &mut [u8], turn: &mut Turn) -> Result<()> {
        if self.path == "-" {
            return Ok(());
        }
        let is_there = match stat(self.path.as_os_str()) {
            Ok(stat) => stat,
            Err(errno) => return self.lost(how, &errno_text(errno as i32), buffer, turn),
        };
        let same = self
            .input
            .as_ref()
            .and_then(|input| fstat(input.as_fd()).ok())
            .is_some_and(|open| (open.st_dev, open.st_ino) == (is_there.st_dev, is_there.st_ino));
        if same {
            return Ok(());
        }
        let input = match Input::open(&self.path) {
            Ok(input) => input,
            Err(fault) => return self.lost(how, &fault.cause.to_string(), buffer, turn),
        };
        // What was added to the old file before it was moved.
        self.print_added(buffer, turn)?;
        let what = if self.input.is_some() { "has been replaced" } else { "has appeared" };
        turn.cx.note(&format!("{} {what}; following new file", self.shown()));
        (self.input, self.position, self.is_regular, self.was_said) = (Some(input), 0, true, false);
        Ok(())
    }

    /// The name leads to nothing that can be followed.
    fn lost(&mut self, how: &How, why: &str, buffer: &mut [u8], turn: &mut Turn) -> Result<()> {
        self.print_added(buffer, turn)?;
        self.input = None;
        if !self.was_said {
            turn.cx.note(&format!("{} has become inaccessible: {why}", self.shown()));
        }
        self.was_said = true;
        self.is_over = !how.retry;
        Ok(())
    }
}

fn is_file(stat: &FileStat) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits()
}

/// What files have in common when they print.
struct Turn<'a> {
    cx: &'a mut Context,
    headers: &'a mut Headers,
    to: &'a mut dyn Write,
    /// The path that printed last.
    last: Option<OsString>,
}

impl Turn<'_> {
    fn begin(&mut self, path: &std::ffi::OsStr, name: &std::ffi::OsStr) -> Result<()> {
        if self.last.as_deref() != Some(path) {
            self.headers.print(name, self.to)?;
            self.last = Some(path.to_owned());
        }
        Ok(())
    }
}

/// Prints what is added, until there is nothing left to follow or nobody to read it.
///
/// # Errors
/// A fault of writing, or that no files are left.
pub fn follow(
    mut files: Vec<Followed>,
    how: &How,
    headers: &mut Headers,
    cx: &mut Context,
    to: &mut dyn Write,
) -> Result<()> {
    let last = files.iter().rev().find(|file| file.input.is_some()).map(|file| file.path.clone());
    let only_pipes = !files.is_empty() && files.iter().all(|file| file.is_over);
    let mut turn = Turn { cx, headers, to, last };
    let mut buffer = vec![0; PIECE];
    loop {
        // What the process wrote last is printed.
        let is_last = how.until.as_ref().is_some_and(Until::has_come);
        let mut had_more = false;
        for file in files.iter_mut().filter(|file| !file.is_over) {
            match file.print_added(&mut buffer, &mut turn) {
                Ok(printed) => had_more |= printed,
                Err(fault) if fault.op == "write" => return Err(fault),
                Err(fault) => {
                    turn.cx.report(&fault);
                    file.is_over = !how.by_name;
                    file.input = None;
                }
            }
            if how.by_name {
                file.look_at_name(how, &mut buffer, &mut turn)?;
            }
        }
        text::flush(turn.to)?;
        if files.iter().all(|file| file.is_over) {
            return if only_pipes { Ok(()) } else { Err(Fault::say("no files remaining")) };
        }
        if is_last && !had_more {
            return Ok(());
        }
        let wait = if had_more { Duration::ZERO } else { how.interval };
        if reader_is_gone(wait, how.until.as_ref()) {
            return Ok(());
        }
    }
}

/// Waits, no longer than until the process ends; whether nobody reads stdout any more.
fn reader_is_gone(wait: Duration, until: Option<&Until>) -> bool {
    let stdout = std::io::stdout();
    let mut polled = vec![PollFd::new(stdout.as_fd(), PollFlags::empty())];
    if let Some(Until::Open(process)) = until {
        polled.push(PollFd::new(process.as_fd(), PollFlags::POLLIN));
    }
    let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
    match poll(&mut polled, timeout) {
        Ok(0) | Err(_) => false,
        Ok(_) => polled.iter().filter_map(PollFd::revents).any(|events| events.contains(PollFlags::POLLERR)),
    }
}
