//! What the options come to: each question has one answer here.

use std::os::unix::ffi::OsStrExt;

use super::Ls;
use super::listing::Order;
use super::look::{Indicator, Look, Quoting};
use super::times::{Clock, Style};
use crate::cmd::Context;
use crate::cmd::color::When;
use crate::out::Scale;
use crate::sys::fnmatch::Fnmatch;

/// A value of --format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FormWord {
    /// -l
    #[value(alias = "verbose")]
    Long,
    /// -1
    SingleColumn,
    /// -C
    Vertical,
    /// -x
    #[value(alias = "horizontal")]
    Across,
    /// -m
    Commas,
}

/// A value of --sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SortWord {
    /// As without options.
    Name,
    /// -U
    None,
    /// -S
    Size,
    /// -t
    Time,
    /// -v
    Version,
    /// -X
    Extension,
    /// By the columns that names take.
    Width,
}

/// A value of --time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TimeWord {
    /// -u
    #[value(aliases = ["access", "use"])]
    Atime,
    /// -c
    #[value(alias = "status")]
    Ctime,
    /// As without options.
    #[value(alias = "modification")]
    Mtime,
    /// When they were made.
    #[value(alias = "creation")]
    Birth,
}

impl TimeWord {
    /// Which time it names.
    pub fn clock(self) -> Clock {
        match self {
            Self::Atime => Clock::Accessed,
            Self::Ctime => Clock::Changed,
            Self::Mtime => Clock::Modified,
            Self::Birth => Clock::Born,
        }
    }
}

/// How files stand on lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One line each, with facts.
    Long,
    /// One name a line.
    One,
    /// Columns, from top to bottom.
    Down,
    /// Columns, from left to right.
    Across,
    /// Commas between names.
    Commas,
}

/// Which links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// None.
    Never,
    /// Operands that lead to a directory.
    OperandDirectories,
    /// Operands.
    Operands,
    /// All.
    Always,
}

/// What precedes names in every form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frills {
    /// The inode.
    pub inodes: bool,
    /// What the file takes.
    pub blocks: bool,
    /// The label.
    pub context: bool,
}

/// What `ls` is to do.
pub struct Plan {
    /// How files stand on lines.
    pub form: Form,
    /// By what they are sorted.
    pub order: Order,
    /// The other way round.
    pub reverse: bool,
    /// Directories first.
    pub directories_first: bool,
    /// Which time is shown and sorted by.
    pub clock: Clock,
    /// How times are shown.
    pub style: Style,
    /// How names look.
    pub look: Look,
    /// What precedes them.
    pub frills: Frills,
    /// What lengths are counted in.
    pub lengths: Scale,
    /// What blocks are counted in.
    pub blocks: Scale,
    /// The owner's column.
    pub owner: bool,
    /// The group's column.
    pub group: bool,
    /// Ids for names.
    pub numeric: bool,
    /// The longest line; 0 without a limit.
    pub width: usize,
    /// Which links are followed.
    pub follow: Follow,
    /// Directories themselves.
    pub directory: bool,
    /// Directories below.
    pub recursive: bool,
    shown: Shown,
}

/// Which names are shown.
struct Shown {
    dots: bool,
    hidden: bool,
    backups: bool,
    /// Patterns, and whether they begin with a dot.
    not: Vec<(Fnmatch, bool)>,
}

impl Plan {
    /// Reads the options; rows of JSON need all facts, and are as long ones.
    pub fn new(ls: &Ls, cx: &Context, is_json: bool) -> Self {
        let form = if is_json { Form::Long } else { form(ls, cx.tty) };
        let clock = clock(ls);
        let is_timed = ls.accessed || ls.changed || ls.time.is_some();
        // Without the long form such a time would show nowhere.
        let default = if is_timed && form != Form::Long { Order::Time } else { Order::Name };
        let hides_dots = !ls.all && !ls.almost_all;
        let mut not = ls.ignore.clone();
        if hides_dots {
            not.extend(ls.hide.iter().cloned());
        }
        Self {
            form,
            order: order(ls).unwrap_or(default),
            reverse: ls.reverse,
            directories_first: ls.group_directories_first,
            clock,
            style: if ls.full_time { Style::FullIso } else { ls.time_style.clone().unwrap_or(Style::Locale) },
            look: Look {
                quoting: quoting(ls, cx.tty),
                // On a terminal what can't be printed is not sent.
                question_marks: ls.hide_control_chars || cx.tty,
                color: !is_json && cx.color,
                indicator: indicator(ls, cx.tty),
            },
            frills: Frills { inodes: ls.inode, blocks: ls.size, context: ls.context },
            lengths: scale(ls).unwrap_or(Scale::BYTES),
            blocks: scale(ls).unwrap_or(Scale::KIBIBYTES),
            owner: !ls.no_owner,
            group: !ls.no_group && !ls.group_left_out,
            numeric: ls.numeric,
            width: ls.width.unwrap_or(cx.width),
            follow: follow(ls, form),
            directory: ls.directory,
            recursive: ls.recursive && !ls.directory,
            shown: Shown {
                dots: ls.all,
                hidden: !hides_dots,
                backups: !ls.ignore_backups,
                not: not.iter().map(|pattern| ignored(pattern.as_bytes())).collect(),
            },
        }
    }

    /// Whether a name of a directory is left out.
    pub fn hides(&self, name: &[u8]) -> bool {
        let shown = &self.shown;
        let by_dot = match name {
            b"." | b".." => !shown.dots,
            _ => name.first() == Some(&b'.') && !shown.hidden,
        };
        by_dot
            || (!shown.backups && name.ends_with(b"~"))
            || shown.not.iter().any(|(pattern, dot)| {
                // A pattern must name the dot that begins a hidden name.
                (*dot || name.first() != Some(&b'.')) && pattern.matches(name)
            })
    }

    /// What must be known of a file beyond its name and what the directory says of it, of `STATX_*`.
    pub fn mask(&self, is_json: bool) -> u32 {
        let kind = libc::STATX_TYPE | libc::STATX_MODE;
        let mut mask = match self.order {
            Order::Time => kind | self.clock.mask(),
            Order::Size => kind | libc::STATX_SIZE,
            _ => 0,
        };
        if self.form == Form::Long {
            mask |= libc::STATX_BASIC_STATS & !(libc::STATX_ATIME | libc::STATX_CTIME | libc::STATX_MTIME);
            mask |= self.clock.mask();
        }
        if is_json {
            mask |= libc::STATX_MTIME;
        }
        // The inode that a directory names may be hidden by a mount: so it is asked for.
        if self.frills.inodes {
            mask |= kind | libc::STATX_INO;
        }
        if self.frills.blocks {
            mask |= kind | libc::STATX_BLOCKS;
        }
        if self.look.color || self.frills.context {
            mask |= kind;
        }
        mask
    }
}

fn ignored(pattern: &[u8]) -> (Fnmatch, bool) {
    (Fnmatch::new(pattern, false), pattern.starts_with(b".") || pattern.starts_with(b"\\."))
}

fn form(ls: &Ls, tty: bool) -> Form {
    match ls {
        Ls { long: true, .. }
        | Ls { no_owner: true, .. }
        | Ls { group_left_out: true, .. }
        | Ls { numeric: true, .. }
        | Ls { full_time: true, .. }
        | Ls { form: Some(FormWord::Long), .. } => Form::Long,
        Ls { one: true, .. } | Ls { form: Some(FormWord::SingleColumn), .. } => Form::One,
        Ls { down: true, .. } | Ls { form: Some(FormWord::Vertical), .. } => Form::Down,
        Ls { across: true, .. } | Ls { form: Some(FormWord::Across), .. } => Form::Across,
        Ls { commas: true, .. } | Ls { form: Some(FormWord::Commas), .. } => Form::Commas,
        _ if tty => Form::Down,
        _ => Form::One,
    }
}

fn order(ls: &Ls) -> Option<Order> {
    Some(match (ls, ls.sort) {
        (Ls { by_time: true, .. }, _) | (_, Some(SortWord::Time)) => Order::Time,
        (Ls { by_size: true, .. }, _) | (_, Some(SortWord::Size)) => Order::Size,
        (Ls { unsorted: true, .. }, _) | (_, Some(SortWord::None)) => Order::Directory,
        (Ls { by_version: true, .. }, _) | (_, Some(SortWord::Version)) => Order::Version,
        (Ls { by_extension: true, .. }, _) | (_, Some(SortWord::Extension)) => Order::Extension,
        (_, Some(SortWord::Width)) => Order::Width,
        (_, Some(SortWord::Name)) => Order::Name,
        _ => return None,
    })
}

fn clock(ls: &Ls) -> Clock {
    match ls {
        Ls { accessed: true, .. } => Clock::Accessed,
        Ls { changed: true, .. } => Clock::Changed,
        _ => ls.time.map_or(Clock::Modified, TimeWord::clock),
    }
}

fn indicator(ls: &Ls, tty: bool) -> Indicator {
    match ls {
        Ls { slash: true, .. } => Indicator::Slash,
        Ls { file_type: true, .. } => Indicator::FileType,
        Ls { classify: Some(when), .. } if when.holds(tty) => Indicator::Classify,
        Ls { indicator_style: Some(style), .. } => *style,
        _ => Indicator::None,
    }
}

fn quoting(ls: &Ls, tty: bool) -> Quoting {
    match ls {
        Ls { escapes: true, .. } => Quoting::Escape,
        Ls { literal: true, .. } => Quoting::Literal,
        Ls { quotes: true, .. } => Quoting::C,
        Ls { quoting_style: Some(style), .. } => *style,
        _ if tty => Quoting::Shell,
        _ => Quoting::Literal,
    }
}

fn scale(ls: &Ls) -> Option<Scale> {
    match ls {
        Ls { human: true, .. } => Some(Scale::Human),
        Ls { si: true, .. } => Some(Scale::Si),
        _ => ls.block_size,
    }
}

/// A link to a directory is that directory, unless the link itself is to be shown.
fn follow(ls: &Ls, form: Form) -> Follow {
    match ls {
        Ls { dereference: true, .. } => Follow::Always,
        Ls { dereference_command_line: true, .. } => Follow::Operands,
        Ls { directory: true, .. } | Ls { classify: Some(When::Always), .. } => Follow::Never,
        Ls { indicator_style: Some(Indicator::Classify), .. } => Follow::Never,
        _ if form == Form::Long => Follow::Never,
        _ => Follow::OperandDirectories,
    }
}
