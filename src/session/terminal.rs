//! The operator's terminal: which of the standard streams lead to it, its width, and its modes, which survive our end.

use std::io::IsTerminal;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};

use crate::enter::image::Startup;
use crate::out::filter;

/// What `--terminal` says of a terminal that nsdbg reaches only through pipes, as behind ssh or kubectl.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Stdout leads to it.
    Stdout,
    /// Stderr leads to it.
    Stderr,
    /// It shows colours.
    Color,
    /// It has this many columns.
    Columns(usize),
}

/// Parses one word of `--terminal`.
///
/// # Errors
/// The words that there are.
pub fn parse(word: &str) -> Result<Hint, String> {
    match word {
        "stdout" => Ok(Hint::Stdout),
        "stderr" => Ok(Hint::Stderr),
        "color" => Ok(Hint::Color),
        _ => word
            .strip_prefix("columns=")
            .and_then(|number| number.parse().ok())
            .filter(|columns| COLUMNS.contains(columns))
            .map(Hint::Columns)
            .ok_or_else(|| "it takes stdout, stderr, color and columns=N".to_owned()),
    }
}

/// The widths that are believed.
const COLUMNS: RangeInclusive<usize> = 1..=10_000;

/// What the standard streams are.
#[derive(Debug, Clone)]
pub struct Terminal {
    /// Whether stdin is a terminal.
    pub stdin: bool,
    /// Whether stdout is one, or leads to one.
    pub stdout: bool,
    /// Whether stderr is one, or leads to one.
    pub stderr: bool,
    /// Whether stderr is one itself: a line there can be drawn again and again.
    pub draws: bool,
    /// Whether colours are wanted: a terminal that is not dumb, and no NO_COLOR.
    pub color: bool,
    columns: Option<usize>,
}

/// The modes at our start, for the handler of signals that end us.
static MODES: OnceLock<libc::termios> = OnceLock::new();

nix::ioctl_read_bad!(window_size, libc::TIOCGWINSZ, libc::winsize);

impl Terminal {
    /// Looks at the standard streams, and takes the hints about them. Where stdin is a terminal its modes are kept, and
    /// put back when a signal ends us.
    pub fn open(startup: &Startup, hints: &[Hint]) -> Self {
        let stdin = std::io::stdin();
        let draws = std::io::stderr().is_terminal();
        let shows_color =
            hints.contains(&Hint::Color) || startup.var("TERM").is_some_and(|term| term != "dumb");
        let columns = hints.iter().find_map(|hint| match hint {
            Hint::Columns(columns) => Some(*columns),
            _ => None,
        });
        let terminal = Self {
            stdin: stdin.is_terminal(),
            stdout: hints.contains(&Hint::Stdout) || std::io::stdout().is_terminal(),
            stderr: hints.contains(&Hint::Stderr) || draws,
            draws,
            color: shows_color && startup.var("NO_COLOR").is_none(),
            columns: columns.or_else(|| startup.var("COLUMNS")?.to_str()?.parse().ok()),
        };
        if terminal.stdin
            && let Ok(modes) = tcgetattr(stdin.as_fd())
        {
            restore_when_ended(modes);
        }
        terminal
    }

    /// Columns of the terminal that stdout is, now; else those of the hints; else COLUMNS; else 80.
    pub fn width(&self) -> usize {
        let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the request fills the structure that it is given.
        let asked = unsafe { window_size(1, &raw mut size) };
        match asked {
            Ok(_) if size.ws_col > 0 => usize::from(size.ws_col),
            _ => self.columns.filter(|columns| COLUMNS.contains(columns)).unwrap_or(80),
        }
    }

    /// Text as it may go to a stream: filtered where that is a terminal.
    pub fn shown(&self, text: &[u8], to_terminal: bool) -> Vec<u8> {
        if to_terminal { filter::filtered(text) } else { text.to_vec() }
    }
}

/// Puts the modes back when SIGTERM, SIGHUP or SIGQUIT ends us, and keeps Ctrl-Z from stopping a session whose
/// processes would go on.
fn restore_when_ended(modes: Termios) {
    let _ = MODES.set(modes.into());
    let end = SigAction::new(SigHandler::Handler(put_back_and_end), SaFlags::empty(), SigSet::all());
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    for (signal, action) in [
        (Signal::SIGTERM, &end),
        (Signal::SIGHUP, &end),
        (Signal::SIGQUIT, &end),
        (Signal::SIGTSTP, &ignore),
        (Signal::SIGTTOU, &ignore),
    ] {
        // SAFETY: the handler calls only tcsetattr and write, which are async-signal-safe, and _exit.
        let _ = unsafe { sigaction(signal, action) };
    }
}

/// Has SIGINT do nothing between the editor's end and its being blocked again. What is blocked comes to its descriptor
/// all the same.
pub fn ignore_interrupts() {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is set.
    let _ = unsafe { sigaction(Signal::SIGINT, &ignore) };
}

extern "C" fn put_back_and_end(signal: libc::c_int) {
    discard_input();
    put_back();
    // After what was typed. A terminal that has hung up takes nothing.
    let message: &[u8] = match signal {
        libc::SIGTERM => b"\r\nnsdbg: ended by SIGTERM\n",
        libc::SIGQUIT => b"\r\nnsdbg: ended by SIGQUIT\n",
        _ => b"\r\nnsdbg: ended by SIGHUP\n",
    };
    let _ = nix::unistd::write(std::io::stderr(), message);
    crate::sys::syscall::exit_now(128u8.wrapping_add(signal as u8));
}

/// Throws away what was typed and not read: where a session ends by itself, that was meant for it, and the node's shell
/// would run it.
pub fn discard_input() {
    // SAFETY: tcflush(3) takes a descriptor and a number, and is safe in a signal handler.
    unsafe { libc::tcflush(libc::STDIN_FILENO, libc::TCIFLUSH) };
}

/// Puts the terminal's modes back as they were at our start.
pub fn put_back() {
    if let Some(modes) = MODES.get() {
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &Termios::from(*modes));
    }
}
