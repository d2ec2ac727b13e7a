//! Running a line: its pipelines one after the other, each of commands or one builtin.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Instant;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

use super::job::{Argument, Redirection};
use super::run::{HUNG_UP, Limits, Outcome};
use super::spawn::{Prepared, Redirect, To, fault, node_path};
use super::{Session, builtins};
use crate::cmd;
use crate::out::Fault;
use crate::out::name::escape;
use crate::shell::{self, Expanded, Joint, Pipeline, Simple, Word};

/// The status of what SIGKILL ended.
const KILLED: u8 = 128 + libc::SIGKILL as u8;

impl Session {
    /// Runs the lines of a text, one after the other, and returns the last one's status. Ctrl-C ends them all.
    pub(super) fn run_text(&mut self, text: &[u8], stdin: bool) -> u8 {
        let mut status = 0;
        self.interrupted = false;
        for line in shell::lines(text) {
            status = self.run_line(line, stdin);
            let is_failure = self.options.stop_at_failure && status != 0;
            if self.leave.is_some() || self.target_ended || self.interrupted || is_failure {
                break;
            }
        }
        status
    }

    /// Runs a line and returns its status. `stdin`: whether its first command may read the operator's stdin.
    pub(super) fn run_line(&mut self, line: &[u8], stdin: bool) -> u8 {
        self.audited(line, |session| session.run_parsed(line, stdin))
    }

    fn run_parsed(&mut self, line: &[u8], stdin: bool) -> u8 {
        let line = match shell::parse(line) {
            Ok(line) => line,
            Err(syntax) => {
                self.report(&Fault::usage(syntax.to_string()));
                self.variables.status = 2;
                return 2;
            }
        };
        for (joint, pipeline) in line.pipelines {
            let succeeded = self.variables.status == 0;
            if matches!((joint, succeeded), (Joint::And, false) | (Joint::Or, true)) {
                continue;
            }
            self.variables.status = self.run_pipeline(&pipeline, stdin);
            if self.leave.is_some() || self.target_ended {
                break;
            }
        }
        self.variables.status
    }

    /// Runs one command whose arguments are as they are.
    pub(super) fn run_command(&mut self, name: &OsStr, args: Vec<OsString>) -> u8 {
        let arguments = args.into_iter().map(|arg| Argument::Word(arg.into_vec())).collect();
        match self.command(name.as_bytes(), arguments, Vec::new()) {
            Ok(Command::Builtin(name, args)) => self.run_builtin(name, args),
            Ok(Command::Run(prepared)) => self.run_prepared(vec![prepared], !self.options.end_with_stdin),
            Err(fault) => {
                self.report(&fault);
                fault.status
            }
        }
    }

    fn run_pipeline(&mut self, pipeline: &Pipeline, stdin: bool) -> u8 {
        // `time` before a pipeline times all of it.
        let mut stages = pipeline.stages.clone();
        let timed = stages.first().is_some_and(|first| is_word(first.words.first(), b"time"));
        if timed {
            stages[0].words.remove(0);
            if stages[0].words.is_empty() {
                self.report_of("time", &Fault::usage("a command comes after it"));
                return 2;
            }
        }
        let begin = Instant::now();
        let status = self.run_stages(&stages, stdin);
        if timed {
            self.say(&format!("real {:.3} s", begin.elapsed().as_secs_f64()));
        }
        status
    }

    fn run_stages(&mut self, stages: &[Simple], stdin: bool) -> u8 {
        let mut prepared = Vec::new();
        for stage in stages {
            match self.prepare(stage) {
                Ok(None) => return 0,
                Ok(Some(Command::Run(command))) => prepared.push(command),
                Ok(Some(Command::Builtin(name, _))) if stages.len() > 1 || !stage.redirects.is_empty() => {
                    let cause = "changes the session: it stands alone, without pipes and redirections";
                    self.report_of(name, &Fault::usage(cause));
                    return 2;
                }
                Ok(Some(Command::Builtin(name, args))) => return self.run_builtin(name, args),
                Err(fault) => {
                    self.report(&fault);
                    return fault.status;
                }
            }
        }
        self.run_prepared(prepared, stdin)
    }

    /// Starts commands, waits for their end, and says what must be said.
    fn run_prepared(&mut self, commands: Vec<Prepared>, stdin: bool) -> u8 {
        let name = commands.last().map_or("nsdbg", |command| command.entry.name);
        let mut outcome = Outcome::default();
        match self.run_to_end(commands, stdin, &mut outcome) {
            Ok(()) => self.conclude(name, &outcome),
            Err(fault) => {
                self.report_of(name, &fault);
                fault.status
            }
        }
    }

    fn run_to_end(
        &mut self,
        commands: Vec<Prepared>,
        stdin: bool,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        let mut pipeline = self.start(commands, To::Operator, stdin, outcome)?;
        // Ctrl-\ is for the command, too.
        let quit = SigSet::from(Signal::SIGQUIT);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&quit), None).map_err(fault("sigprocmask"))?;
        let stdin = std::io::stdin();
        let client = self.options.end_with_stdin.then(|| stdin.as_fd());
        let target = Some(self.target.pidfd.as_fd());
        pipeline
            .run(&Limits { signals: &self.signals, timeout: self.options.timeout, client, target }, outcome);
        sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&quit), None).map_err(fault("sigprocmask"))
    }

    fn conclude(&mut self, name: &str, outcome: &Outcome) -> u8 {
        self.is_mid_line.set(outcome.is_mid_line);
        self.interrupted |= outcome.interrupted;
        self.note_label(outcome);
        self.target_ended |= outcome.target_ended;
        if outcome.target_ended || (outcome.failure.is_some() && self.target.has_ended()) {
            self.target_ended = true;
            self.report(&Fault::say(format!("the target has ended: process {}", self.target.pid)));
            return 125;
        }
        if let Some(failure) = &outcome.failure {
            // A launcher that has ended is why its workers have.
            let of_launcher = self.launcher.failure().map(Fault::from);
            self.report(of_launcher.as_ref().unwrap_or(failure));
        }
        if outcome.timed_out {
            let limit = self.options.timeout.unwrap_or_default();
            self.report_of(name, &Fault::say(format!("ended: the time limit of {limit:?} is over")));
        }
        if outcome.hung_up {
            self.leave = Some(HUNG_UP);
            self.report_of(name, &Fault::say("ended: standard input was closed"));
        }
        match (outcome.hindered, outcome.status) {
            (Some(cause), _) => self.report_of(name, &Fault::say(cause)),
            (None, KILLED) if outcome.abandoned.is_empty() => {
                self.report_of(name, &Fault::say("it was killed: not by nsdbg"));
            }
            _ => {}
        }
        for (name, status) in &outcome.lost {
            let cause = match Signal::try_from(i32::from(*status) - 128) {
                Ok(signal) => format!("it was killed by {}: not by nsdbg", signal.as_str()),
                Err(_) => "nsdbg itself failed in it".to_owned(),
            };
            self.report_of(name, &Fault::say(cause));
        }
        let spelled =
            |pid: &Option<i32>| pid.map_or_else(String::new, |pid| format!(" (process {pid} of the node)"));
        for (name, pid) in &outcome.left_behind {
            let pid = spelled(pid);
            let cause = format!(
                "it has ended, but for a thread{pid} that waits for a file system that does not answer"
            );
            self.report_of(name, &Fault::say(cause));
        }
        for (name, pid) in &outcome.abandoned {
            let pid = spelled(pid);
            self.report_of(name, &Fault::say(format!("given up: it does not end, not even by SIGKILL{pid}")));
        }
        if outcome.is_output_held {
            let cause = "it has ended, but a process of the container still holds its output open: what comes after \
                         its end is not shown";
            self.report_of(name, &Fault::say(cause));
        }
        if let Some(errno) = outcome.output_error {
            self.report_of(name, &Fault::errno("write", "output", errno));
            return outcome.status.max(1);
        }
        if outcome.interrupted && self.terminal.stderr && self.is_prompt {
            self.say("");
        }
        outcome.status
    }

    /// Expands a simple command. Nothing where all of its words were empty variables.
    fn prepare(&self, simple: &Simple) -> Result<Option<Command>, Fault> {
        let mut words = simple.words.iter().filter_map(|word| shell::expand(word, &self.variables));
        let name = match words.next() {
            None => return Ok(None),
            Some(Expanded::Word(name)) => name,
            // `?` is a glob, and what many type for help.
            Some(Expanded::Pattern(_)) if is_question_mark(simple) => b"help".to_vec(),
            Some(Expanded::Pattern(_)) => return Err(Fault::usage("a command's name can't be a glob")),
        };
        let arguments = words.map(argument).collect();
        if name == b"where"
            && let Some(fault) = redirected_comparison(simple)
        {
            return Err(fault);
        }
        let redirects =
            simple.redirects.iter().map(|redirect| self.redirection(redirect)).collect::<Result<_, _>>()?;
        self.command(&name, arguments, redirects).map(Some)
    }

    fn command(
        &self,
        name: &[u8],
        arguments: Vec<Argument>,
        redirects: Vec<Redirect>,
    ) -> Result<Command, Fault> {
        let text = String::from_utf8_lossy(name);
        if let Some(builtin) = builtins::NAMES.iter().find(|builtin| **builtin == text) {
            let args = arguments
                .into_iter()
                .map(|argument| match argument {
                    Argument::Word(word) => Ok(OsString::from_vec(word)),
                    Argument::Pattern(_) => Err(Fault::usage(format!("{builtin} takes no globs"))),
                })
                .collect::<Result<_, _>>()?;
            return Ok(Command::Builtin(builtin, args));
        }
        let (entry, first) = cmd::resolve(&text).ok_or_else(|| cmd::unknown(&text, Some(self.target.pid)))?;
        let first = first.iter().map(|word| Argument::Word(word.as_bytes().to_vec()));
        let arguments = first.chain(arguments).collect();
        Ok(Command::Run(Prepared::new(entry, arguments, redirects)))
    }

    fn redirection(&self, redirect: &shell::Redirect) -> Result<Redirect, Fault> {
        let (number, word, append) = match redirect {
            shell::Redirect::Stdin(word) => (0, word, false),
            shell::Redirect::Stdout(word, append) => (1, word, *append),
            shell::Redirect::Stderr(word, append) => (2, word, *append),
            shell::Redirect::StderrToStdout => {
                return Ok(Redirect::Inside(Redirection { number: 2, path: None, append: false }));
            }
        };
        let expanded = shell::expand(word, &self.variables)
            .ok_or_else(|| Fault::usage(format!("column {}: the file's name is empty", word.column)))?;
        if let Expanded::Word(name) = &expanded
            && let Some(path) = node_path(name)
        {
            return Ok(Redirect::Node(number, path, append));
        }
        Ok(Redirect::Inside(Redirection { number, path: Some(argument(expanded)), append }))
    }
}

/// `where rss > 5`: a comparison by a sign that redirects. The word before the sign is a field, and what follows it a
/// number.
fn redirected_comparison(simple: &Simple) -> Option<Fault> {
    let literal = |word: &Word| match word.pieces.as_slice() {
        [shell::Piece::Literal(text)] => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    };
    simple.redirects.iter().find_map(|redirect| {
        let (sign, operator, file) = match redirect {
            shell::Redirect::Stdin(file) => ('<', "lt", file),
            shell::Redirect::Stdout(file, false) => ('>', "gt", file),
            _ => return None,
        };
        let value = literal(file);
        let (operator, value) = match value.strip_prefix('=') {
            Some(value) => (if sign == '<' { "le" } else { "ge" }, value),
            None if value.starts_with(|first: char| first.is_ascii_digit()) => (operator, value.as_str()),
            None => return None,
        };
        let before: Vec<String> =
            simple.words.iter().take_while(|word| word.column < file.column).map(literal).collect();
        let [.., joint, field] = before.as_slice() else { return None };
        let begins = matches!(joint.as_str(), "where" | "and" | "or" | "not" | "(");
        begins.then(|| {
            let value = if value.is_empty() { "VALUE" } else { value };
            Fault::usage(format!("'{sign}' redirects to a file; {operator} compares")).with_hint(format!(
                "where {} {operator} {}",
                escape(field.as_bytes()),
                escape(value.as_bytes())
            ))
        })
    })
}

/// What a simple command is.
enum Command {
    /// It changes the session, and runs in it.
    Builtin(&'static str, Vec<OsString>),
    /// It is run in a process of its own.
    Run(Prepared),
}

fn argument(expanded: Expanded) -> Argument {
    match expanded {
        Expanded::Word(word) => Argument::Word(word),
        Expanded::Pattern(pattern) => Argument::Pattern(pattern.to_bytes()),
    }
}

fn is_question_mark(simple: &Simple) -> bool {
    simple.words.first().is_some_and(|word| word.pieces == [shell::Piece::AnyByte])
}

fn is_word(word: Option<&Word>, text: &[u8]) -> bool {
    word.is_some_and(|word| !word.quoted && word.pieces == [shell::Piece::Literal(text.to_vec())])
}
