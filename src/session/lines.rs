//! Lines of standard input: each is run when it has come, until the input, the target or the operator's patience ends.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

use super::run::until_timeout;
use super::{LINE_LIMIT, Session, line_too_long, options};
use crate::out::Fault;

/// The status of a session that ends since nothing is typed: that of a time limit.
pub const IDLE: u8 = 124;

impl Session {
    /// Runs the lines of stdin, one after the other.
    pub(super) fn run_lines(&mut self) -> u8 {
        let mut status = 0;
        let stdin = std::io::stdin().as_fd().try_clone_to_owned();
        let mut stdin = match stdin {
            Ok(stdin) => BufReader::new(File::from(stdin)),
            Err(error) => {
                self.report(&Fault::io("dup", "standard input", &error));
                return 125;
            }
        };
        loop {
            let line = match self.next_line(&mut stdin) {
                Ok(Some(line)) => line,
                Ok(None) => return status,
                Err(fault) => {
                    self.report(&fault);
                    return fault.status;
                }
            };
            status = self.run_line(&line, false);
            if let Some(leave) = self.leave {
                return leave;
            }
            if self.target_ended || (self.options.stop_at_failure && status != 0) {
                return status;
            }
        }
    }

    /// The next line without its end; none at the end of the input.
    fn next_line(&self, stdin: &mut BufReader<File>) -> Result<Option<Vec<u8>>, Fault> {
        let mut line = Vec::new();
        loop {
            if stdin.buffer().is_empty() {
                self.wait_for_input(stdin.get_ref())?;
            }
            let read = stdin
                .fill_buf()
                .map_err(|error| Fault::io("read", "standard input", &error).with_status(125))?;
            if read.is_empty() {
                return Ok((!line.is_empty()).then_some(line));
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let count = end.unwrap_or(read.len());
            line.extend_from_slice(&read[..count]);
            stdin.consume(count + usize::from(end.is_some()));
            if line.len() > LINE_LIMIT {
                // What follows of it would be run as a line of its own.
                return Err(line_too_long());
            }
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }

    /// Waits until something has come.
    fn wait_for_input(&self, stdin: &File) -> Result<(), Fault> {
        let until = Instant::now() + self.options.idle_limit;
        loop {
            let mut waits = [
                PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.target.pidfd.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut waits, until_timeout(Some(until))) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Fault::of("poll", errno).with_status(125)),
            }
            match waits.map(|fd| fd.any().unwrap_or(true)) {
                // What has come before the target ended is told so by what it runs.
                [true, _] => return Ok(()),
                [_, true] => {
                    let ended = format!("the target has ended: process {}", self.target.pid);
                    return Err(Fault::say(ended).with_status(125));
                }
                _ if Instant::now() >= until => return Err(self.idle()),
                _ => {}
            }
        }
    }

    /// Why a session in which nothing is typed ends.
    pub(super) fn idle(&self) -> Fault {
        let limit = options::time(self.options.idle_limit);
        Fault::say(format!("the session has ended: nothing was typed for {limit}"))
            .with_hint("--idle-limit TIME")
            .with_status(IDLE)
    }
}
