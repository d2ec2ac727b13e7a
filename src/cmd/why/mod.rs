//! `why`.

mod opening;
mod program;
mod walk;
mod words;

use std::ffi::OsString;

use nix::unistd::AccessFlags;

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::name::escape;
use crate::out::{Align, Column, Field, Kind, Name, Narrow, Output, Row};
use crate::sys::permission::{EXECUTE, READ, WRITE};
use crate::takes::owned;

use walk::Walk;

/// Say why a file can or can't be read, written or started
///
/// Walks the path as the target's user, through its links, and says of each component what decides: its mode, its ACL, a
/// capability, its mount, or that it is not there. Without a word it is about reading. A program is followed to its
/// script's interpreter and its loader, as execve(2) does; to write is open(2) with O_WRONLY and O_CREAT, as a shell's `>`
/// does. /proc/self, /dev/stdout and /dev/fd are the target's. The status is 0 where it may be done, 1 where not. The kernel
/// has the last word: where it refuses what modes and ACLs allow, that is said.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Why {
    /// The file
    #[arg(value_name = "PATH", add = Takes::Path)]
    path: OsString,
    /// What is wanted of it: read, write, or exec; of a directory to list it, to change what is in it, to go through it
    #[arg(value_name = "read|write|exec", value_parser = wanted)]
    #[arg(add = Takes::Words(|| owned(["read", "write", "exec"])))]
    what: Option<What>,
    /// Accepted and ignored, as -m, -o and -v: modes and owners always show
    #[arg(short = 'l', long, short_aliases = ['m', 'o', 'v'], aliases = ["modes", "owners", "vertical"])]
    #[arg(action = clap::ArgAction::Count)]
    long: u8,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Read,
    Write,
    Exec,
}

fn wanted(word: &str) -> std::result::Result<What, String> {
    match word {
        "read" | "r" => Ok(What::Read),
        "write" | "w" => Ok(What::Write),
        "exec" | "x" | "execute" => Ok(What::Exec),
        _ => Err("it is one of read, write, exec".to_owned()),
    }
}

impl What {
    fn bit(self) -> u16 {
        match self {
            Self::Read => READ,
            Self::Write => WRITE,
            Self::Exec => EXECUTE,
        }
    }

    fn flag(self) -> AccessFlags {
        match self {
            Self::Read => AccessFlags::R_OK,
            Self::Write => AccessFlags::W_OK,
            Self::Exec => AccessFlags::X_OK,
        }
    }
}

/// One component of the path.
#[derive(Debug, Default, serde::Serialize)]
pub struct Component {
    path: Name,
    r#type: &'static str,
    mode: String,
    owner: String,
    group: String,
    target: Option<Name>,
    needs: &'static str,
    allowed: bool,
    by: String,
    fix: Option<String>,
    /// Whether it is refused for what access(2) does not look at.
    #[serde(skip)]
    is_more_than_mode: bool,
}

impl Row for Component {
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            header: "",
            align: Align::Left,
            narrow: Narrow::WHOLE,
            cell: |row| if row.allowed { "yes" } else { "NO" }.to_owned(),
        },
        Column {
            header: "NEEDS",
            align: Align::Left,
            narrow: Narrow::WHOLE,
            cell: |row| row.needs.to_owned(),
        },
        Column { header: "MODE", align: Align::Left, narrow: Narrow::WHOLE, cell: |row| row.mode.clone() },
        Column {
            header: "OWNER",
            align: Align::Left,
            narrow: Narrow::shorten(8).or_drop(2),
            cell: |row| row.owner.clone(),
        },
        Column {
            header: "GROUP",
            align: Align::Left,
            narrow: Narrow::shorten(8).or_drop(1),
            cell: |row| row.group.clone(),
        },
        Column {
            header: "PATH",
            align: Align::Left,
            narrow: Narrow::shorten(16),
            cell: Component::shown_path,
        },
        Column { header: "BY", align: Align::Left, narrow: Narrow::shorten(24), cell: |row| row.by.clone() },
    ];
}

impl Component {
    fn shown_path(&self) -> String {
        match &self.target {
            Some(target) => format!("{} -> {}", self.path.spelled(), target.spelled()),
            None => self.path.spelled(),
        }
    }
}

impl Command for Why {
    type Row = Component;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs { program: true, mounts: true, ..Needs::NONE };
    const REPLACES: &'static str = "namei -l, getfacl, test -r, and guessing";
    const FIELDS: &'static [Field] = &[
        field("path", Kind::Text, "the component, from the root, without links before it"),
        more("type", Kind::Text, "directory, regular file, symbolic link, …; empty where it is not there"),
        field("mode", Kind::Text, "as ls shows it"),
        field("owner", Kind::Text, "its owner"),
        field("group", Kind::Text, "its group"),
        more("target", Kind::Text, "of a link: where it leads"),
        field("needs", Kind::Text, "search, follow, read, write, exec, create"),
        field("allowed", Kind::Flag, "whether that may be done"),
        field("by", Kind::Text, "what decides that"),
        more("fix", Kind::Text, "what to do, where it may not be done"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "why /etc/passwd", what: "what lets it be read" },
        Example { line: "why /tmp/new write", what: "whether it can be made or written" },
        Example { line: "why /server exec", what: "whether it can be started" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<Component>) -> Result<Status> {
        let what = self.what.unwrap_or(What::Read);
        let mut walk = Walk::new(cx);
        if let Some(path) = walk.judge(&self.path, what)?
            && what == What::Exec
        {
            walk.program(path)?;
        }
        let components = walk.components;
        let last = components.last().map(|last| (last.allowed, last.fix.clone()));
        components.iter().try_for_each(|row| out.row(row)).map_err(Fault::output)?;
        let (allowed, fix) = last.unwrap_or((false, None));
        if let Some(fix) = fix.filter(|_| !allowed && !out.is_json()) {
            // Behind the table, which is held back until its end.
            let fix = if cx.tty { escape(fix.as_bytes()) } else { fix };
            out.finish().and_then(|()| writeln!(out.bytes(), "fix: {fix}")).map_err(Fault::output)?;
        }
        Ok(Status(u8::from(!allowed)))
    }
}
