//! The prompt: rustyline over the session.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
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
use super::run::until_timeout;
use super::{Session, complete, history, options, terminal};
use crate::out::Fault;
use crate::out::name::escape;
use crate::shell;

/// In the prompt for the user and the directory, where the container could not tell them.
const UNKNOWN: &str = "?";

/// After so many milliseconds the editor is interrupted again.
const AGAIN: u8 = 20;

/// What rustyline asks while a line is edited.
struct Helper {
    session: Rc<RefCell<Session>>,
    hinter: HistoryHinter,
    typed: RefCell<Typed>,
    /// When the last key was.
    last_key: Arc<Mutex<Instant>>,
}

/// A line that is being edited, before the cursor and after it.
type Typed = (String, String);

impl Helper {
    /// Remembers the line as it is, which the editor does not give back where it is interrupted.
    fn remember(&self, line: &str, position: usize) {
        let (left, right) = line.split_at_checked(position).unwrap_or((line, ""));
        let typed = (left.to_owned(), right.to_owned());
        // It is asked as well where the line is only drawn again.
        if self.typed.replace(typed.clone()) != typed {
            touch(&self.last_key);
        }
    }
}

fn touch(last_key: &Mutex<Instant>) {
    if let Ok(mut last) = last_key.lock() {
        *last = Instant::now();
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
    pub(super) fn prompt(self) -> u8 {
        let begun = Instant::now();
        let session = Rc::new(RefCell::new(self));
        let status = converse(&session);
        terminal::put_back();
        session.borrow_mut().audit_close(status, begun.elapsed())
    }

    /// Marks output whose last line has no newline, so that the prompt, which clears its line, does not take it away.
    fn end_line(&self) {
        if self.is_mid_line.take() && self.terminal.stdout {
            let mark = if self.terminal.color { "\x1b[2m⏎\x1b[0m\n" } else { "⏎\n" };
            // What can't be shown was not asked for.
            let _ = io::stdout().write_all(mark.as_bytes()).and_then(|()| io::stdout().flush());
        }
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

    /// The history and its file. Where it can't be kept, that is said once; on a read-only file system it is not meant to be.
    fn open_history(&self) -> (Vec<String>, Option<File>) {
        let Some(path) = history::path(&self.startup) else { return (Vec::new(), None) };
        let opened = history::load(&path).and_then(|lines| {
            let file = history::open(&path, &lines)?;
            Ok((lines, Some(file)))
        });
        opened.unwrap_or_else(|error: io::Error| {
            if error.kind() != io::ErrorKind::ReadOnlyFilesystem {
                self.note(&Fault::io("open", &path, &error).to_string());
            }
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

/// Reads lines from the terminal and runs them until the session is left. Returns the exit status.
fn converse(session: &Rc<RefCell<Session>>) -> u8 {
    let hello = session.borrow_mut().hello_or_none();
    let hello = match hello {
        Ok(hello) => hello,
        Err(fault) => {
            session.borrow().report(&fault);
            return 125;
        }
    };
    let name = |hello: &super::Hello| hello.users.user_name(hello.uid);
    let mut user = (session.borrow().target.pid, hello.as_ref().map_or_else(|| UNKNOWN.to_owned(), name));
    let checkup = session.borrow_mut().start_checkup();
    session.borrow_mut().checkup = checkup;
    terminal::ignore_interrupts();
    let (lines, mut file) = session.borrow().open_history();
    session.borrow_mut().history.clone_from(&lines);
    let mut editor = match editor(session, &lines) {
        Ok(editor) => editor,
        Err(error) => {
            session.borrow().report(&Fault::text("open", "the terminal", error.to_string()));
            return 125;
        }
    };
    loop {
        // After a switch it is another's.
        let pid = session.borrow().target.pid;
        if user.0 != pid {
            let hello = session.borrow_mut().hello();
            user = (pid, hello.map(|hello| name(&hello)).unwrap_or_default());
        }
        let prompt = session.borrow().prompt_text(&user.1);
        match read_line(&mut editor, &prompt, session) {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) if line.len() > super::LINE_LIMIT => {
                session.borrow().report(&super::line_too_long());
            }
            Ok(line) => {
                let mut session = session.borrow_mut();
                session.interrupted = false;
                // Several, where they were pasted: each is shown above its output.
                for (number, line) in shell::lines(line.as_bytes()).into_iter().enumerate() {
                    if number > 0 {
                        let _ =
                            session.print(&[session.prompt_text(&user.1).as_bytes(), line, b"\n"].concat());
                    }
                    session.remember(&String::from_utf8_lossy(line), &mut editor, &mut file);
                    session.run_line(line, true);
                    session.end_line();
                    if session.leave.is_some() || session.target_ended || session.interrupted {
                        break;
                    }
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
        if let Some(status) = session.leave {
            break status;
        }
        let is_reported = session.target_ended;
        if is_reported || session.target.has_ended() {
            terminal::discard_input();
            if !is_reported {
                session.report(&Fault::say(format!("the target has ended: process {}", session.target.pid)));
            }
            break 125;
        }
    }
}

/// Reads a line, and stops when the target ends or nothing is typed for too long. What the doctor's first look has found
/// meanwhile is shown above it, and what was typed stays.
fn read_line(
    editor: &mut Editor<Helper, MemHistory>,
    prompt: &str,
    session: &RefCell<Session>,
) -> rustyline::Result<String> {
    let mut typed = Typed::default();
    let last_key = editor.helper().map(|helper| Arc::clone(&helper.last_key)).unwrap_or_else(now);
    touch(&last_key);
    let mut idle = Idle { limit: session.borrow().options.idle_limit, last_key, warned: None };
    loop {
        let (line, news) = interruptible(editor, prompt, &typed, session, &mut idle)?;
        let findings = match news {
            Some(News::Above(line)) => line,
            Some(News::Idle) => {
                let fault = session.borrow().idle();
                session.borrow().report(&fault);
                session.borrow_mut().leave = Some(fault.status);
                terminal::discard_input();
                return line;
            }
            Some(News::End) | None => return line,
        };
        let is_interrupted = matches!(line, Err(ReadlineError::Interrupted | ReadlineError::Signal(_)));
        if is_interrupted {
            typed = editor.helper().map(|helper| helper.typed.borrow().clone()).unwrap_or_default();
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
    /// Nothing was typed for too long.
    Idle,
    /// To show a line: what the doctor's first look has found, or that the session is about to end.
    Above(String),
}

/// How long nothing may be typed.
struct Idle {
    limit: Duration,
    last_key: Arc<Mutex<Instant>>,
    /// For which last key it was warned.
    warned: Option<Instant>,
}

impl Idle {
    /// How long before the end it is warned.
    fn notice(&self) -> Duration {
        (self.limit / 4).min(Duration::from_secs(300))
    }

    fn since(&self) -> Instant {
        self.last_key.lock().map_or_else(|_| Instant::now(), |last| *last)
    }

    /// When to look at it again.
    fn next(&self) -> Instant {
        let since = self.since();
        since + if self.warned == Some(since) { self.limit } else { self.limit - self.notice() }
    }

    /// What is due.
    fn news(&mut self) -> Option<News> {
        let since = self.since();
        if since.elapsed() >= self.limit {
            return Some(News::Idle);
        }
        if Instant::now() < self.next() {
            return None;
        }
        self.warned = Some(since);
        let [quiet, left] = [self.limit - self.notice(), self.notice()].map(options::time);
        Some(News::Above(format!(
            "nsdbg: nothing was typed for {quiet}: this session ends in {left} (--idle-limit)\n"
        )))
    }
}

fn now() -> Arc<Mutex<Instant>> {
    Arc::new(Mutex::new(Instant::now()))
}

/// Reads a line that begins with what was typed before, until there are news. A thread waits for them, since the editor
/// waits for keys alone; it is gone before anything is run. Not the editor's external printer: while it is in use, keys
/// that came together are taken one for each further key.
fn interruptible(
    editor: &mut Editor<Helper, MemHistory>,
    prompt: &str,
    (left, right): &Typed,
    session: &RefCell<Session>,
    idle: &mut Idle,
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
            let news = watch(target.as_fd(), until.as_fd(), shared, idle)?;
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

/// Waits for the target's end, for the end of the doctor's first look where that has found something, or until nothing was
/// typed for too long; none where the line is read before.
fn watch(
    target: BorrowedFd,
    until: BorrowedFd,
    checkup: &mut Option<Checkup>,
    idle: &mut Idle,
) -> Option<News> {
    loop {
        let mut waits = vec![PollFd::new(target, PollFlags::POLLIN), PollFd::new(until, PollFlags::POLLIN)];
        waits.extend(checkup.iter().flat_map(Checkup::fds));
        let of_checkup = checkup.as_ref().map(|checkup| Instant::now() + checkup.left());
        let limit = until_timeout(of_checkup.into_iter().chain([idle.next()]).min());
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
                return Some(News::Above(line));
            }
        }
        if let Some(news) = idle.news() {
            return Some(news);
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
        last_key: now(),
    }));
    // Ctrl-Z would stop the prompt and leave its processes.
    editor.bind_sequence(Event::from(KeyEvent::ctrl('Z')), EventHandler::Simple(Cmd::Noop));
    Ok(editor)
}
