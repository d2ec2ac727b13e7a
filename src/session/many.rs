//! A command in many containers at once: a session in a process of its own for each, whose lines are told apart.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, read};
use serde::de::IgnoredAny;

use super::terminal::Terminal;
use super::{Options, Session};
use crate::enter::image::Startup;
use crate::enter::launcher::Launcher;
use crate::out::Fault;
use crate::out::fault::printed;
use crate::out::field::IN_TARGET;
use crate::out::name::escape;
use crate::out::relay::small_pipe;
use crate::sys::syscall::{self, prctl};
use crate::target::container::Container;
use crate::target::find;

/// A longer line is cut into pieces of this size.
const LINE_LIMIT: usize = 1 << 20;

/// Runs what the options ask for in each container, at most `at_once` at the same time. Returns the worst status.
///
/// # Errors
/// 125 where no container matches, or no process can be made.
pub fn run(
    containers: &[&Container],
    at_once: usize,
    launcher: &Launcher,
    options: Options,
    startup: &Startup,
) -> Result<u8, Fault> {
    if containers.is_empty() {
        return Err(Fault::say("no container matches").with_hint("nsdbg --list shows them").with_status(125));
    }
    // Ctrl-C is for the commands; we stay until they have ended.
    let mut interrupt = SigSet::empty();
    interrupt.add(Signal::SIGINT);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&interrupt), None).map_err(fault("sigprocmask"))?;
    let printer = Printer { terminal: Terminal::open(startup, &options.terminal), json: options.json };
    let mut waiting = containers.iter();
    let mut running: Vec<Running> = Vec::new();
    let mut worst = 0;
    loop {
        while running.len() < at_once
            && let Some(container) = waiting.next()
        {
            running.push(Running::start(container, launcher, &options, startup)?);
        }
        if running.is_empty() {
            return Ok(worst);
        }
        wait(&running)?;
        for one in &mut running {
            if let Err(error) = one.relay(&printer) {
                // Nobody reads on: the others end with us.
                for one in &running {
                    let _ = kill(one.pid, Signal::SIGTERM);
                }
                return printed(Err(error));
            }
        }
        let mut left = Vec::new();
        for one in running {
            match one.is_done() {
                true => worst = worst.max(one.status()),
                false => left.push(one),
            }
        }
        running = left;
    }
}

fn fault(step: &'static str) -> impl Fn(Errno) -> Fault {
    move |errno| Fault::of(step, errno).with_status(125)
}

fn wait(running: &[Running]) -> Result<(), Fault> {
    let fds = running.iter().flat_map(|one| &one.streams).filter_map(|stream| stream.from.as_ref());
    let mut polled: Vec<PollFd> = fds.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect();
    match poll(&mut polled, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(fault("poll")(errno)),
    }
}

/// A session, and what it prints.
struct Running {
    name: String,
    pid: Pid,
    /// Its stdout and stderr.
    streams: [Stream; 2],
}

struct Stream {
    from: Option<OwnedFd>,
    line: Vec<u8>,
}

impl Running {
    fn start(
        container: &Container,
        launcher: &Launcher,
        options: &Options,
        startup: &Startup,
    ) -> Result<Self, Fault> {
        let (out, stdout) = small_pipe().map_err(fault("pipe"))?;
        let (err, stderr) = small_pipe().map_err(fault("pipe"))?;
        let (stdin, _) = small_pipe().map_err(fault("pipe"))?;
        let own = launcher.another().map_err(Fault::from)?;
        let parent = std::process::id() as i32;
        let Some(pid) = syscall::fork().map_err(fault("fork"))? else {
            let ready = prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0)
                .and_then(|_| dup2_stdin(&stdin))
                .and_then(|()| dup2_stdout(&stdout))
                .and_then(|()| dup2_stderr(&stderr));
            if ready.is_err() || nix::unistd::getppid().as_raw() != parent {
                syscall::exit_now(125);
            }
            // The ends of pipes that others hold would keep these from ending.
            drop((out, err, stdin, stdout, stderr));
            // Its output goes to us, and by us to the terminal.
            let options = Options { terminal: Vec::new(), is_one_of_many: true, ..options.clone() };
            let json = options.json;
            let opened =
                find::open(container).and_then(|target| Session::open(target, own, options, startup.clone()));
            let status = opened.map_or_else(
                |fault| {
                    let line = if json { fault.json("nsdbg").to_string() } else { fault.line("nsdbg") };
                    let _ = writeln!(std::io::stderr(), "{line}");
                    fault.status
                },
                Session::run,
            );
            let _ = std::io::stdout().flush();
            syscall::exit_now(status);
        };
        let stream = |fd| Stream { from: Some(fd), line: Vec::new() };
        Ok(Self { name: container.full_name(), pid: Pid::from_raw(pid), streams: [stream(out), stream(err)] })
    }

    /// Prints the lines that have come.
    fn relay(&mut self, printer: &Printer) -> std::io::Result<()> {
        for (stream, is_error) in self.streams.iter_mut().zip([false, true]) {
            for line in stream.lines() {
                printer.print(&self.name, &line, is_error)?;
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.streams.iter().all(|stream| stream.from.is_none())
    }

    /// Its exit status, once its streams have ended.
    fn status(&self) -> u8 {
        loop {
            match waitpid(self.pid, None) {
                Err(Errno::EINTR) => {}
                Ok(WaitStatus::Exited(_, status)) => return status as u8,
                Ok(WaitStatus::Signaled(_, signal, _)) => return 128 + signal as u8,
                _ => return 125,
            }
        }
    }
}

impl Stream {
    /// What has come, as whole lines without their ends; at the end of the stream the rest.
    fn lines(&mut self) -> Vec<Vec<u8>> {
        let Some(from) = &self.from else { return Vec::new() };
        let mut ready = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        if !poll(&mut ready, PollTimeout::ZERO).is_ok_and(|count| count > 0) {
            return Vec::new();
        }
        let mut buffer = [0; 64 << 10];
        match read(from, &mut buffer) {
            Ok(0) | Err(_) => self.from = None,
            Ok(count) => self.line.extend_from_slice(&buffer[..count]),
        }
        let mut lines: Vec<Vec<u8>> = Vec::new();
        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let rest = self.line.split_off(end + 1);
            self.line.truncate(end);
            lines.push(std::mem::replace(&mut self.line, rest));
        }
        if !self.line.is_empty() && (self.from.is_none() || self.line.len() >= LINE_LIMIT) {
            lines.push(std::mem::take(&mut self.line));
        }
        lines
    }
}

/// Prints lines with the name of their container.
struct Printer {
    terminal: Terminal,
    json: bool,
}

impl Printer {
    fn print(&self, name: &str, line: &[u8], is_error: bool) -> std::io::Result<()> {
        let object = if self.json { with_target(name, line) } else { None };
        let mut whole = object.unwrap_or_else(|| [escape(name.as_bytes()).as_bytes(), b": ", line].concat());
        whole.push(b'\n');
        let to_terminal = if is_error { self.terminal.stderr } else { self.terminal.stdout };
        let shown = self.terminal.shown(&whole, to_terminal);
        if is_error { std::io::stderr().write_all(&shown) } else { std::io::stdout().write_all(&shown) }
    }
}

/// An object with the field of its container put first. None for what is not one whole object, or has that field: a
/// container that took a command's process over wrote it, and would choose which container a reader sees.
fn with_target(name: &str, line: &[u8]) -> Option<Vec<u8>> {
    let rest = line.strip_prefix(b"{")?;
    let fields: BTreeMap<Cow<str>, IgnoredAny> = serde_json::from_slice(line).ok()?;
    if fields.contains_key(IN_TARGET) {
        return None;
    }
    let comma: &[u8] = if fields.is_empty() { b"" } else { b"," };
    let name = serde_json::Value::from(name).to_string();
    Some([b"{\"", IN_TARGET.as_bytes(), b"\":", name.as_bytes(), comma, rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_the_first_field() {
        let text = |name, line| with_target(name, line).map(|line| String::from_utf8(line).unwrap());
        assert_eq!(text("a\"b", b"{\"x\":1}").unwrap(), r#"{"in_target":"a\"b","x":1}"#);
        assert_eq!(text("a", b"{}").unwrap(), r#"{"in_target":"a"}"#);
        for forged in [
            &br#"{"x":1,"in_target":"b"}"#[..],
            br#"{"in\u005ftarget":"b"}"#,
            br#"{"x":1},"in_target":"b"}"#,
            br#"{"x":1}{"in_target":"b"}"#,
            br#"{"x":1"#,
            b"x",
            b"",
        ] {
            assert_eq!(text("a", forged), None, "{}", forged.escape_ascii());
        }
    }

    #[test]
    fn lines_are_whole_and_the_last_needs_no_end() {
        let (from, to) = small_pipe().unwrap();
        let mut stream = Stream { from: Some(from), line: Vec::new() };
        nix::unistd::write(&to, b"one\ntwo\nthr").unwrap();
        assert_eq!(stream.lines(), [b"one".to_vec(), b"two".to_vec()]);
        assert!(stream.lines().is_empty());
        nix::unistd::write(&to, b"ee").unwrap();
        drop(to);
        assert!(stream.lines().is_empty());
        assert_eq!(stream.lines(), [b"three".to_vec()]);
        assert!(stream.from.is_none());
    }
}
