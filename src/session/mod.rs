//! A session: one target, one plan, and the lines that are run in it.

pub mod audit;
mod builtins;
mod checkup;
pub mod child;
mod complete;
mod copy;
mod divide;
mod held;
mod history;
mod identity;
mod job;
mod line;
mod lines;
pub mod many;
mod options;
mod outside;
mod progress;
mod prompt;
mod run;
mod spawn;
mod stage;
mod terminal;
mod variables;

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::cmd;
use crate::enter::image::Startup;
use crate::enter::launcher::Launcher;
use crate::enter::plan::Plan;
use crate::enter::worker::Want;
use crate::enter::{fds, procfs, watch};
use crate::out::fault::printed;
use crate::out::filter::Filtered;
use crate::out::name::shell_quoted;
use crate::out::{Fault, Format};
use crate::sys::passwd::{self, Users};
use crate::sys::shared::{self, Shared};
use crate::target::container::Listing;
use crate::target::{Target, ask};

pub use complete::names_of;
pub use options::Options;

use identity::Identity;
use job::Task;
use run::{Limits, Outcome};
use terminal::Terminal;
use variables::Session as Variables;

/// The time limit of what nsdbg itself asks inside.
const INNER_LIMIT: Duration = Duration::from_secs(5);

/// The time limit of completion: a slow directory must not hold the prompt.
const COMPLETION_LIMIT: Duration = Duration::from_millis(500);

/// The longest line that is run.
const LINE_LIMIT: usize = 1 << 20;

/// The longest that the container may say of itself: its passwd and group, and a little more.
const HELLO_LIMIT: usize = 2 * passwd::LIMIT + (64 << 10);

/// What a session knows of its container at its start.
#[derive(Debug, Default, Clone)]
pub(crate) struct Hello {
    directory: Vec<u8>,
    uid: u32,
    users: Rc<Users>,
}

/// A session with a target.
pub struct Session {
    target: Target,
    launcher: Launcher,
    plan: Plan,
    options: Options,
    terminal: Terminal,
    startup: Startup,
    signals: SignalFd,
    variables: Variables,
    history: Vec<String>,
    hello: Option<Hello>,
    /// Whether the container was asked for that in vain: then it is not asked unasked again.
    asked_in_vain: bool,
    /// Where commands are written down.
    audit: Option<audit::Audit>,
    /// The doctor's first look, as long as it takes.
    checkup: Option<checkup::Checkup>,
    procfs: Option<procfs::View>,
    /// Where `cd` has gone; the target's own directory at first.
    directory: Option<Vec<u8>>,
    /// Until when it may take what nsdbg asks unasked, as for completion.
    inner_until: Option<Instant>,
    is_one_shot: bool,
    is_prompt: bool,
    target_ended: bool,
    /// Whether Ctrl-C ended the last command.
    interrupted: bool,
    /// Whether what a command last wrote to the terminal ends within a line.
    is_mid_line: Cell<bool>,
    label_noted: bool,
    leave: Option<u8>,
}

impl Session {
    /// Opens a session: decides who to be and tells the launcher.
    ///
    /// # Errors
    /// Options that can't be met, with status 2 or 125.
    pub fn open(
        target: Target,
        launcher: Launcher,
        options: Options,
        startup: Startup,
    ) -> Result<Self, Fault> {
        let mut interrupt = SigSet::empty();
        interrupt.add(Signal::SIGINT);
        let failed = |step: &'static str| move |errno| Fault::of(step, errno).with_status(125);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&interrupt), None).map_err(failed("sigprocmask"))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        // SIGQUIT is blocked only while a command runs.
        let mut read = interrupt;
        read.add(Signal::SIGQUIT);
        let signals = SignalFd::with_flags(&read, flags).map_err(failed("signalfd"))?;
        let terminal = Terminal::open(&startup, &options.terminal);
        let variables = Variables::new(target.facts.environment.clone());
        let audit = audit::Audit::open(&options, &startup)?;
        let mut session = Self {
            plan: Plan::default(),
            target,
            launcher,
            terminal,
            startup,
            signals,
            variables,
            history: Vec::new(),
            hello: None,
            asked_in_vain: false,
            audit,
            checkup: None,
            procfs: None,
            directory: None,
            inner_until: None,
            is_one_shot: false,
            is_prompt: false,
            target_ended: false,
            interrupted: false,
            is_mid_line: Cell::new(false),
            label_noted: false,
            leave: None,
            options,
        };
        session.decide_identity()?;
        session.note_environment();
        Ok(session)
    }

    /// Looks into another target from now on. Where that fails, everything is as it was.
    fn enter(&mut self, target: Target) -> Result<(), Fault> {
        let variables = Variables::new(target.facts.environment.clone());
        let user = self.options.user.clone();
        let plan = self.plan.clone();
        let before = (
            std::mem::replace(&mut self.target, target),
            std::mem::replace(&mut self.variables, variables),
            self.hello.take(),
            self.procfs.take(),
            self.directory.take(),
        );
        let Err(fault) = self.decide_identity().and_then(|()| self.hello().map(drop)) else {
            (self.target_ended, self.label_noted, self.asked_in_vain) = (false, false, false);
            // It looks at the one before.
            self.checkup.take().iter_mut().for_each(checkup::Checkup::end);
            self.note_environment();
            return Ok(());
        };
        (self.target, self.variables, self.hello, self.procfs, self.directory) = before;
        (self.options.user, self.plan) = (user, plan);
        self.launcher.set_target(&self.plan, &self.target.proc, &self.target.pidfd)?;
        Err(fault)
    }

    /// Decides who to be. A user's name is looked up inside, as the target's own user.
    fn decide_identity(&mut self) -> Result<(), Fault> {
        let wants_user = self.options.user.take();
        let own = identity::decide(&self.target, &self.options, || Ok(Rc::default()))?;
        let decided = match wants_user {
            None => own,
            Some(user) => {
                let mut first = own.plan;
                // The container's own user looks its users up, with no more than the target has.
                first.capabilities &= self.target.facts.capabilities.permitted;
                self.launcher.set_target(&first, &self.target.proc, &self.target.pidfd)?;
                let hello = self.hello();
                self.hello = None;
                self.options.user = Some(user);
                identity::decide(&self.target, &self.options, || {
                    hello.map(|hello| hello.users).map_err(|fault| fault.with_status(125))
                })?
            }
        };
        let Identity { plan, notes } = decided;
        self.launcher.set_target(&plan, &self.target.proc, &self.target.pidfd)?;
        self.plan = plan;
        for note in notes {
            self.note(&note);
        }
        Ok(())
    }

    /// Runs what the options ask for: a command, a line, lines of stdin, or the prompt. Returns the exit status.
    pub fn run(mut self) -> u8 {
        if let Some((name, args)) = split_command(&mut self.options.command) {
            self.is_one_shot = true;
            let command = command_line(&name, &args);
            self.audited(&command, |session| session.run_command(&name, args))
        } else if let Some(line) = self.options.line.take() {
            if line.len() > LINE_LIMIT {
                self.report(&line_too_long());
                return 2;
            }
            self.run_text(line.as_bytes(), !self.options.end_with_stdin)
        } else if let Err(fault) = self.audit_open() {
            self.report(&fault);
            125
        } else if self.terminal.stdin {
            self.is_prompt = true;
            self.prompt()
        } else {
            let begun = Instant::now();
            let status = self.run_lines();
            self.audit_close(status, begun.elapsed())
        }
    }

    /// Says a fault of nsdbg itself, or of a command that did not start.
    fn report(&self, fault: &Fault) {
        self.report_of("nsdbg", fault);
    }

    fn report_of(&self, command: &str, fault: &Fault) {
        let line = if self.options.json { fault.json(command).to_string() } else { fault.line(command) };
        self.say(&line);
    }

    fn note(&self, sentence: &str) {
        self.say(&format!("nsdbg: {sentence}"));
    }

    /// A line for the operator on stderr, through the filter where that is a terminal.
    fn say(&self, line: &str) {
        if self.is_mid_line.take() && self.terminal.stderr {
            let _ = std::io::stderr().write_all(b"\n");
        }
        let line = self.terminal.shown(line.as_bytes(), self.terminal.stderr);
        let _ = std::io::stderr().write_all(&[line.as_slice(), b"\n"].concat());
    }

    /// Text for the operator on stdout; the status.
    fn print(&self, text: &[u8]) -> Result<u8, Fault> {
        let shown = self.terminal.shown(text, self.terminal.stdout);
        printed(std::io::stdout().write_all(&shown).and_then(|()| std::io::stdout().flush()))
    }

    fn note_environment(&self) {
        if self.target.facts.environment_is_cut {
            self.note(
                "the target's environment is too large: what is beyond 1 MiB or 32768 variables is left out",
            );
        }
    }

    fn note_label(&mut self, outcome: &Outcome) {
        if let Some(errno) = outcome.label_refused
            && !self.label_noted
        {
            self.label_noted = true;
            self.note(&format!(
                "the security label {} can't be taken ({}): confined by identity and seccomp alone",
                self.target.facts.label,
                crate::out::fault::errno_text(errno as i32)
            ));
        }
    }

    fn inner_limits(&self) -> Limits<'_> {
        let left = self.inner_until.map(|until| until.saturating_duration_since(Instant::now()));
        Limits {
            signals: &self.signals,
            timeout: Some(left.unwrap_or(INNER_LIMIT)),
            client: None,
            target: None,
        }
    }

    /// What the container says of itself, asked once.
    fn hello(&mut self) -> Result<Hello, Fault> {
        if let Some(hello) = &self.hello {
            return Ok(hello.clone());
        }
        let message = self.run_inner(Task::Hello, HELLO_LIMIT)?;
        let hello =
            parse_hello(&message).ok_or_else(|| Fault::say("the container's answer is not as expected"))?;
        self.hello = Some(hello.clone());
        Ok(hello)
    }

    /// The same for the prompt, which opens without it where the target keeps that process from telling.
    fn hello_or_none(&mut self) -> Result<Option<Hello>, Fault> {
        match self.hello() {
            Ok(hello) => Ok(Some(hello)),
            // Entering itself has failed.
            Err(fault) if fault.status == 125 || self.target_ended || self.target.has_ended() => Err(fault),
            Err(fault) => {
                self.asked_in_vain = true;
                self.note(&format!("the container's users and working directory are not known: {fault}"));
                Ok(None)
            }
        }
    }

    /// The container's users and groups; none where its files can't be read.
    fn users(&mut self) -> Rc<Users> {
        if self.hello.is_none()
            && !self.asked_in_vain
            && let Err(fault) = self.hello()
        {
            self.asked_in_vain = true;
            self.note(&format!("the container's users are not known: {fault}"));
        }
        self.hello.as_ref().map(|hello| Rc::clone(&hello.users)).unwrap_or_default()
    }

    /// Makes the procfs of the target's PID namespace, when it is first needed.
    fn procfs(&mut self) -> Result<(), Fault> {
        if self.procfs.is_none() {
            // Asked for where the kernel can't be told the namespace.
            let clone = || {
                let sent = self.descriptors(Want::Procfs)?;
                sent.into_iter().next().ok_or_else(|| Fault::say("the worker sent nothing").with_status(125))
            };
            let procfs = procfs::open_for(&self.target, clone)?;
            self.procfs = Some(procfs);
        }
        Ok(())
    }

    /// A file of the node to read. The supervisor itself opens it: a FIFO without a writer would hold it up, with its
    /// Ctrl-C.
    fn node_input(&self, path: &OsStr) -> Result<OwnedFd, Fault> {
        let shared = Shared::of(self.target.mountinfo().as_deref());
        shared::regular(path, &shared).map(OwnedFd::from).map_err(|refused| cmd::refusal(path, refused))
    }

    /// A file of the node to write.
    fn node_output(&self, path: &OsStr, append: bool) -> Result<OwnedFd, Fault> {
        if self.options.is_one_of_many && !append {
            let cause = format!("with --all every container would write {}", shell_quoted(path.as_bytes()));
            return Err(Fault::usage(cause).with_hint(">> appends"));
        }
        let shared = Shared::of(self.target.mountinfo().as_deref());
        let file = shared::to_write(path, append, &shared);
        file.map(OwnedFd::from).map_err(|refused| cmd::refusal(path, refused))
    }

    fn shares_pid_namespace(&self) -> bool {
        !self.plan.joins("pid")
    }

    /// Changes the session's directory, once a process inside has entered it.
    fn change_directory(&mut self, path: &[u8]) -> Result<Vec<u8>, Fault> {
        let directory = self.run_inner(Task::Directory(path.to_vec()), 1 << 16)?;
        self.directory = Some(directory.clone());
        Ok(directory)
    }
}

/// The containers of the node, as a process tells that can do nothing but look.
///
/// # Errors
/// As [`ask::list`].
pub fn containers(host_root: Option<&Path>, limit: Duration) -> Result<Listing, Fault> {
    ask::list(host_root, limit, || {
        child::install_panic_hook();
        fds::close_from(3).map_err(|errno| Fault::of("close", errno).with_status(125))?;
        watch::confine_lister(true).map_err(Fault::from)
    })
}

/// Runs a command that is about the node, in this process, and returns its status.
///
/// # Errors
/// Where this process can't be confined.
pub fn node_command(
    name: &str,
    arguments: Vec<OsString>,
    options: &Options,
    startup: &Startup,
) -> Result<u8, Fault> {
    let Some(entry) = cmd::find(name) else { return Err(cmd::unknown(name, None)) };
    let terminal = Terminal::open(startup, &options.terminal);
    let format = if options.json { Format::Json } else { Format::Text };
    let mut cx = cmd::Context {
        format,
        faults: format,
        tty: terminal.stdout,
        color: terminal.color && terminal.stdout,
        width: terminal.width(),
        says_to_terminal: terminal.stderr,
        host_root: options.host_root.clone(),
        ..cmd::Context::default()
    };
    let stdout = std::io::stdout();
    let to: Box<dyn Write> = if terminal.stdout { Box::new(Filtered::new(stdout)) } else { Box::new(stdout) };
    // What is read from here on, others may have written.
    watch::confine_lister(false)?;
    Ok(cmd::execute(entry, arguments, &mut cx, to).0)
}

fn line_too_long() -> Fault {
    Fault::usage(format!("a line has at most {LINE_LIMIT} bytes"))
}

/// A command as it would be typed.
fn command_line(name: &OsStr, args: &[OsString]) -> Vec<u8> {
    let words = std::iter::once(name).chain(args.iter().map(OsString::as_os_str));
    words.map(|word| shell_quoted(word.as_bytes())).collect::<Vec<_>>().join(" ").into_bytes()
}

fn split_command(command: &mut Vec<OsString>) -> Option<(OsString, Vec<OsString>)> {
    if command.is_empty() {
        return None;
    }
    let rest = command.split_off(1);
    command.pop().map(|name| (name, rest))
}

/// What the first process inside told of itself.
pub(crate) fn parse_hello(message: &[u8]) -> Option<Hello> {
    let mut parts = message.splitn(5, |byte| *byte == 0);
    let directory = parts.next()?.to_vec();
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<u32>().ok();
    let (uid, _gid, length) = (number()?, number()?, number()?);
    let files = parts.next()?;
    let (passwd, group) = files.split_at_checked(length as usize)?;
    Some(Hello { directory, uid, users: Rc::new(Users::parse(passwd, group)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_is_taken_apart_with_care() {
        let hello = parse_hello(b"/app\x0065532\x000\x0012\0web:x:7:7:::\nlogs:x:8:").unwrap();
        assert_eq!((hello.directory, hello.uid), (b"/app".to_vec(), 65532));
        assert_eq!((hello.users.user_name(7), hello.users.group_name(8)), ("web".into(), "logs".into()));
        for wrong in [&b""[..], b"/", b"/\x00x\x000\x000\0", b"/\x000\x000\x009\0ab"] {
            assert!(parse_hello(wrong).is_none());
        }
    }
}
