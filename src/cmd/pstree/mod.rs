//! `pstree`.

mod draw;
mod tree;

use std::ffi::OsString;

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};

use draw::{ASCII, Drawing, UTF8};
use tree::Tree;

/// Show the container's processes as a tree.
///
/// Read from outside, as ps does: neither a hidden nor a faked /proc of the container changes it, and nsdbg's own
/// processes are left out. Equal branches are drawn once, `3*[worker]`; threads are in braces. A process whose parent is
/// outside of the container is a root of its own.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Pstree {
    /// Show PIDs, each process by itself
    #[arg(short = 'p', long = "show-pids")]
    pids: bool,
    /// Show arguments, each process on a line of its own
    #[arg(short = 'a', long = "arguments")]
    arguments: bool,
    /// Show the user where it is not the parent's
    #[arg(short = 'u', long = "uid-changes")]
    users: bool,
    /// Leave out threads
    #[arg(short = 'T', long = "hide-threads")]
    no_threads: bool,
    /// Show threads by their own names
    #[arg(short = 't', long = "thread-names")]
    thread_names: bool,
    /// Order by PID, not by name
    #[arg(short = 'n', long = "numeric-sort")]
    by_pid: bool,
    /// Draw equal branches each
    #[arg(short = 'c', long = "compact-not")]
    each: bool,
    /// Let lines be longer than the terminal is wide
    #[arg(short = 'l', long = "long")]
    long: bool,
    /// Show the parents of the process too
    #[arg(short = 's', long = "show-parents")]
    parents: bool,
    /// Draw lines in ASCII; the default in a pipe
    #[arg(short = 'A', long = "ascii", overrides_with = "unicode")]
    ascii: bool,
    /// Draw lines in UTF-8; the default on a terminal
    #[arg(short = 'U', long = "unicode", overrides_with = "ascii")]
    unicode: bool,
    /// A PID, or a user whose processes are shown
    #[arg(value_name = "PID|USER", add = Takes::Any(&[Takes::Pid, Takes::User]))]
    root: Option<OsString>,
}

impl Command for Pstree {
    type Row = NoRow;
    const PLACE: Place = Place::Watch;
    const NEEDS: Needs = Needs { users: true, ..Needs::NONE };
    const REPLACES: &'static str = "psmisc pstree";
    const FIELDS: &'static [Field] = &[
        field("pid", Kind::Number, "its PID, as the container counts"),
        field("ppid", Kind::Number, "its parent's PID; 0 where that is outside"),
        field("depth", Kind::Number, "how many of its ancestors are shown"),
        field("user", Kind::Text, "its effective user, by name where the container has one"),
        field("comm", Kind::Text, "the kernel's name for it, 15 bytes"),
        more("command", Kind::Text, "its command line, else its name in brackets"),
        field("threads", Kind::Number, "how many threads it has"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "pstree", what: "the tree, equal branches drawn once" },
        Example { line: "pstree -apu", what: "with arguments, PIDs and changes of user" },
        Example { line: "pstree -sp 1", what: "a process, its parents and its children" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let wants = tree::Wants {
            arguments: self.arguments || out.is_json(),
            threads: !self.no_threads && !out.is_json(),
            // Their ids are told, or order them.
            each_thread: self.pids || self.thread_names || self.by_pid,
            thread_names: self.thread_names,
            by_pid: self.by_pid || out.is_json(),
        };
        let tree = Tree::read(cx, &wants)?;
        let roots = self.roots(&tree, cx)?;
        let only = if self.parents { tree.chain(&roots) } else { None };
        let from = only.as_ref().and_then(|chain| chain.first()).map_or(roots, |first| vec![*first]);
        if out.is_json() {
            tree.rows(&from, only.as_deref(), cx, |row| out.json(row)).map_err(Fault::output)?;
        } else {
            let drawing = Drawing {
                tree: &tree,
                symbols: if self.unicode || cx.tty && !self.ascii { &UTF8 } else { &ASCII },
                pids: self.pids,
                arguments: self.arguments,
                users: self.users.then(|| cx.users()),
                merges: !self.each && !self.pids,
                width: if cx.tty && !self.long { cx.width } else { draw::LONGEST },
                only: only.as_deref(),
            };
            drawing.draw(&from, self.root.is_some(), out.bytes()).map_err(Fault::output)?;
        }
        for sentence in tree.notes() {
            cx.note(sentence);
        }
        Ok(Status::OK)
    }
}

impl Pstree {
    /// Where drawing begins.
    fn roots(&self, tree: &Tree, cx: &Context) -> Result<Vec<usize>> {
        let Some(operand) = &self.root else { return Ok(tree.roots().to_vec()) };
        let text = operand.to_str().unwrap_or_default();
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let found = text.parse().ok().and_then(|pid| tree.find(pid));
            return found
                .map(|at| vec![at])
                .ok_or_else(|| Fault::text("find process", operand, "no such process in the container"));
        }
        let user = cx.users().user_named(text).ok_or_else(|| {
            Fault::text("find user", operand, "the container has no such user")
                .with_hint("a PID or a user's name")
        })?;
        let roots = tree.topmost_of(user.uid);
        if roots.is_empty() {
            return Err(Fault::text("find user", operand, "no process of this user"));
        }
        Ok(roots)
    }
}
