//! The prompt: rustyline over the session.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::thread;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, pipe2};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::history::{History, MemHistory};
use rustyline::validate::Validator;
use rustyline::{Cmd, CompletionType, Config, Context, Editor, Event, EventHandler, KeyEvent};

use super::checkup::{Checkup, is_ready};
use super::{Session, complete, history, terminal};
use crate::out::Fault;
use crate::out::name::escape;

/// In the prompt for the user and the directory, where the container could not tell them.
const UNKNOWN: &str = "?";

/// After so many milliseconds the editor is interrupted again.
const AGAIN: u8 = 20;

/// What rustyline asks while a line is edited.
struct Helper {
    session: Rc<RefCell<Session>>,
    hinter: HistoryHinter,
    typed: RefCell<Typed>,
}

/// A line that is being edited, before the cursor and after it.
type Typed = (String, String);

impl Helper {
    /// Remembers the line as it is, which the editor does not give back where it is interrupted.
    fn remember(&self, line: &str, position: usize) {
        let (left, right) = line.split_at_checked(position).unwrap_or((line, ""));
        *self.typed.borrow_mut() = (left.to_owned(), right.to_owned());
    }
}

impl Completer for Helper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(complete::candidates(&mut self.session.borrow_mut(), line, position))
    }
}

impl Hinter for Helper {
    type Hint = String;

    fn hint(&self, line: &str, position: usize, context: &Context<'_>) -> Option<String> {
        self.remember(line, position);
        // A history file may hold anything; a hint that would have to be escaped is none.
        self.hinter.hint(line, position, context).filter(|hint| escape(hint.as_bytes()) == *hint)
    }
}

impl Highlighter for Helper {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.session.borrow().terminal.color {
            Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
        } else {
            Cow::Borrowed(hint)
        }
    }

    /// Asked also where the cursor alone moves, and no hint is.
    fn highlight_char(&self, line: &str, position: usize, _: CmdKind) -> bool {
        self.remember(line, position);
        false
    }
}

impl Validator for Helper {}
impl rustyline::Helper for Helper {}

impl Session {
    /// Reads lines from the terminal and runs them until it is left. Returns the exit status.
    pub(super) fn prompt(mut self) -> u8 {
        let hello = match self.hello_or_none() {
            Ok(hello) => hello,
            Err(fault) => {
                self.report(&fault);
                return 125;
            }
        };
        let name = |hello: &super::Hello| hello.users.user_name(hello.uid);
        let mut user = (self.target.pid, hello.as_ref().map_or_else(|| UNKNOWN.to_owned(), name));
        self.checkup = self.start_checkup();
        terminal::ignore_interrupts();
        let (lines, mut file) = self.open_history();
        self.history.clone_from(&lines);
        let session = Rc::new(RefCell::new(self));
        let mut editor = match editor(&session, &lines) {
            Ok(editor) => editor,
            Err(error) => {
                session.borrow().report(&Fault::text("open", "the terminal", error.to_string()));
                return 125;
            }
        };
        let status = loop {
            // After a switch it is another's.
            let pid = session.borrow().target.pid;
            if user.0 != pid {
                let hello = session.borrow_mut().hello();
                user = (pid, hello.map(|hello| name(&hello)).unwrap_or_default());
            }
            let prompt = session.borrow().prompt_text(&user.1);
            match read_line(&mut editor, &prompt, &session) {
                Ok(line) if line.trim().is_empty() => {}
                Ok(line) if line.len() > super::LINE_LIMIT => {
                    session.borrow().report(&super::line_too_long());
                }
                Ok(line) => {
                    let mut session = session.borrow_mut();
                    session.remember(&line, &mut editor, &mut file);
                    session.run_line(line.as_bytes(), true);
                    if let Some(status) = session.leave {
                        break status;
                    }
                }
                Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => {}
                Err(ReadlineError::Eof) => break session.borrow().variables.status,
                Err(error) => {
                    session.borrow().report(&Fault::text("read", "the terminal", error.to_string()));
                    break 125;
                }
            }
            let session = session.borrow();
            if session.target_ended {
                break 125;
            }
            if session.target.has_ended() {
                session.report(&Fault::say(format!("the target has ended: process {}", session.target.pid)));
                break 125;
            }
        };
        terminal::put_back();
        let ended = session.borrow_mut().audit_session("close");
        if let Err(fault) = ended {
            session.borrow().report(&fault);
            return 125;
        }
        status
    }

    /// `NAME[PID] USER:DIRECTORY$ `, every part of it from the container and so escaped.
    fn prompt_text(&self, user: &str) -> String {
        let directory = self.hello.as_ref().map_or(UNKNOWN.as_bytes(), |hello| &hello.directory);
        let sign = if self.plan.uid == 0 || user == "root" { '#' } else { '$' };
        format!(
            "{}[{}] {}:{}{sign} ",
            escape(self.target.title.as_ref().unwrap_or(&self.target.facts.name).as_bytes()),
            self.target.pid,
            escape(user.as_bytes()),
            escape(directory)
        )
    }

    /// The history and its file. Where it can't be kept, that is said once.
    fn open_history(&self) -> (Vec<String>, Option<File>) {
        let Some(path) = history::path(&self.startup) else { return (Vec::new(), None) };
        let opened = history::load(&path).and_then(|lines| {
            let file = history::open(&path, &lines)?;
            Ok((lines, Some(file)))
        });
        opened.unwrap_or_else(|error: io::Error| {
            self.note(&Fault::io("open", &path, &error).to_string());
            (Vec::new(), None)
        })
    }

    fn remember(&mut self, line: &str, editor: &mut Editor<Helper, MemHistory>, file: &mut Option<File>) {
        let line = line.trim();
        // A line that begins with a space is not kept, and neither is one twice in a row.
        if self.history.last().is_some_and(|last| last == line) || line.contains('\n') {
            return;
        }
        let _ = editor.add_history_entry(line);
        self.history.push(line.to_owned());
        if let Some(kept) = file
            && let Err(error) = history::append(kept, line)
        {
            self.note(&Fault::io("write", "history", &error).to_string());
            *file = None;
        }
    }
}

/// Reads a line, and stops when the target ends. What the doctor's first look has found meanwhile is shown above it, and
/// what was typed stays.
fn read_line(
    editor: &mut Editor<Helper, MemHistory>,
    prompt: &str,
    session: &RefCell<Session>,
) -> rustyline::Result<String> {
    let mut typed = Typed::default();
    loop {
        let (line, news) = interruptible(editor, prompt, &typed, session)?;
        let Some(News::Findings(findings)) = news else { return line };
        let is_interrupted = matches!(line, Err(ReadlineError::Interrupted | ReadlineError::Signal(_)));
        if is_interrupted {
            typed = editor.helper().map(|helper| helper.typed.take()).unwrap_or_default();
        }
        let rows =
            if is_interrupted { rows_of(prompt, &typed, session.borrow().terminal.width()) } else { 0 };
        show_above(&findings, rows);
        if !is_interrupted {
            return line;
        }
    }
}

/// How many rows of the terminal a line and its prompt take.
fn rows_of(prompt: &str, typed: &Typed, width: usize) -> usize {
    let length = [prompt, &typed.0, &typed.1].map(|part| part.chars().count()).iter().sum::<usize>();
    length / width.max(1) + 1
}

/// Writes a line in the place of the last rows of the terminal.
fn show_above(line: &str, rows: usize) {
    let up = if rows > 0 { format!("\x1b[{rows}A\r\x1b[J") } else { String::new() };
    let mut terminal = io::stdout();
    // What can't be shown was not asked for.
    let _ = terminal.write_all(format!("{up}{line}").as_bytes()).and_then(|()| terminal.flush());
}

/// What a line is interrupted for.
enum News {
    /// The target has ended.
    End,
    /// The doctor's first look has found something.
    Findings(String),
}

/// Reads a line that begins with what was typed before, until there are news. A thread waits for them, since the editor
/// waits for keys alone; it is gone before anything is run. Not the editor's external printer: while it is in use, keys
/// that came together are taken one for each further key.
fn interruptible(
    editor: &mut Editor<Helper, MemHistory>,
    prompt: &str,
    (left, right): &Typed,
    session: &RefCell<Session>,
) -> rustyline::Result<(rustyline::Result<String>, Option<News>)> {
    let target = session.borrow().target.pidfd.try_clone()?;
    let mut checkup = session.borrow_mut().checkup.take();
    let mut interrupt = SigSet::empty();
    interrupt.add(Signal::SIGINT);
    let (until, done) = pipe2(OFlag::O_CLOEXEC)?;
    let (line, news) = thread::scope(|scope| -> rustyline::Result<_> {
        // Without a thread the end is told after the line.
        let shared = &mut checkup;
        let waiting = thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, move || {
            let news = watch(target.as_fd(), until.as_fd(), shared)?;
            interrupt_editor(until.as_fd());
            Some(news)
        });
        // Blocked at any other time, and in the thread: a running command reads it from a descriptor.
        interrupt.thread_unblock()?;
        let line = editor.readline_with_initial(prompt, (left, right));
        interrupt.thread_block()?;
        drop(done);
        Ok((line, waiting.ok().and_then(|waiting| waiting.join().ok().flatten())))
    })?;
    session.borrow_mut().checkup = checkup;
    // One that the editor did not hear is not for the command that was typed.
    while news.is_some() && matches!(session.borrow().signals.read_signal(), Ok(Some(_))) {}
    Ok((line, news))
}

/// Has the editor return, which takes SIGINT as a reason to. It looks only where a signal interrupts its wait for a key:
/// one that comes just before is told by the next, which does nothing else.
fn interrupt_editor(until: BorrowedFd) {
    let mut resize = SigSet::empty();
    resize.add(Signal::SIGWINCH);
    // For the editor's thread.
    let _ = resize.thread_block();
    let _ = kill(Pid::this(), Signal::SIGINT);
    while let Ok(0) | Err(Errno::EINTR) = poll(&mut [PollFd::new(until, PollFlags::POLLIN)], AGAIN) {
        let _ = kill(Pid::this(), Signal::SIGWINCH);
    }
}

/// Waits for the target's end, or for the end of the doctor's first look where that has found something; none where the
/// line is read before.
fn watch(target: BorrowedFd, until: BorrowedFd, checkup: &mut Option<Checkup>) -> Option<News> {
    loop {
        let mut waits = vec![PollFd::new(target, PollFlags::POLLIN), PollFd::new(until, PollFlags::POLLIN)];
        waits.extend(checkup.iter().flat_map(Checkup::fds));
        let limit = checkup.as_ref().map_or(PollTimeout::NONE, |checkup| {
            PollTimeout::try_from(checkup.left().as_millis() as i32 + 1).unwrap_or(PollTimeout::MAX)
        });
        if !matches!(poll(&mut waits, limit), Ok(_) | Err(Errno::EINTR)) {
            return None;
        }
        let ready: Vec<bool> = waits.iter().map(is_ready).collect();
        drop(waits);
        match ready.as_slice() {
            [true, ..] => return Some(News::End),
            [_, true, ..] => return None,
            [_, _, rest @ ..] => checkup.iter_mut().for_each(|checkup| checkup.step(rest)),
            _ => return None,
        }
        if let Some(mut over) = checkup.take_if(|checkup| checkup.is_over()) {
            over.end();
            if let Some(line) = over.line() {
                return Some(News::Findings(line));
            }
        }
    }
}

fn editor(session: &Rc<RefCell<Session>>, lines: &[String]) -> rustyline::Result<Editor<Helper, MemHistory>> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .completion_prompt_limit(200)
        .history_ignore_space(true)
        .max_history_size(history::LINES)?
        .build();
    let mut memory = MemHistory::with_config(&config);
    for line in lines {
        memory.add(line)?;
    }
    let mut editor = Editor::with_history(config, memory)?;
    editor.set_helper(Some(Helper {
        session: Rc::clone(session),
        hinter: HistoryHinter::new(),
        typed: RefCell::default(),
    }));
    // Ctrl-Z would stop the prompt and leave its processes.
    editor.bind_sequence(Event::from(KeyEvent::ctrl('Z')), EventHandler::Simple(Cmd::Noop));
    Ok(editor)
}
