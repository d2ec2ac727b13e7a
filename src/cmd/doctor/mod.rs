//! `doctor`: looks for what is known to go wrong in containers, and says how to mend it.
//!
//! Two processes do it, as with `get`: one inside looks at files and asks the network as the target's user, and writes
//! rows into a pipe; one outside looks at processes, sockets, mounts and cgroups, takes those rows, and reports. A check is
//! one file, in the folder of its group, and a line in `registry.rs`.

mod check;
mod container;
mod facts;
pub(crate) mod finding;
mod registry;
mod report;

pub(crate) mod image;
mod network;
mod process;
mod resources;
mod security;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::table::{NoRow, Table};
use crate::out::{Align, Field, Kind, Narrow, Output};
use crate::takes::owned;

use check::{Check, Run};
use container::Container;
use finding::Finding;

pub use report::Report;

/// How long the checks inside may take, all of them together.
const LIMIT: Duration = Duration::from_millis(1700);

/// What is typed.
#[derive(clap::Args, Debug, Clone)]
pub struct Options {
    /// List the checks, and what each asks
    #[arg(short, long)]
    list: bool,
    /// Show also what is well
    #[arg(short, long)]
    verbose: bool,
    /// Leave out the checks that ask the network or walk through many files
    #[arg(short, long)]
    fast: bool,
    /// Checks, or groups of them [default: all]
    #[arg(value_name = "GROUP|CHECK", add = Takes::Words(names))]
    checks: Vec<String>,
}

impl Options {
    /// The checks that are asked for.
    ///
    /// # Errors
    /// Wrong use, where a word is neither a check nor a group.
    fn chosen(&self) -> Result<Vec<&'static Check>> {
        if let Some(word) = self.checks.iter().find(|word| !registry::is_known(word)) {
            let names = registry::CHECKS.iter().map(|check| check.id);
            let names = names.chain(registry::GROUPS.iter().map(|group| group.name()));
            let fault = Fault::text("find check", word, "no such check or group").with_status(2);
            return Err(match super::nearest_of(word, names) {
                Some(near) => fault.with_hint(format!("doctor {near}")),
                None => fault.with_hint("doctor --list"),
            });
        }
        let is_named = |check: &Check| {
            self.checks.is_empty()
                || self.checks.iter().any(|word| word == check.id || word == check.group.name())
        };
        let chosen = registry::CHECKS.iter().copied();
        Ok(chosen.filter(|check| is_named(check) && !(self.fast && check.is_slow)).collect())
    }
}

/// Look for what is known to go wrong in containers
///
/// Each check has a name, and a verdict: fail is broken, warn will break, a note is unusual and may be meant, skip could
/// not be looked at. What was seen is shown with it, and what to do. Without --verbose what is well is only counted. The
/// status is 0 where nothing is above a note, 1 for a warning, 3 for a failure.
#[derive(clap::Parser)]
#[command(args_override_self = true, override_usage = "doctor [OPTIONS] [GROUP|CHECK]...")]
pub struct Doctor {
    #[command(flatten)]
    options: Options,
}

/// A check, as --list shows it.
#[derive(serde::Serialize)]
struct Listed {
    check: &'static str,
    group: &'static str,
    question: &'static str,
}

impl Command for Doctor {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs { program: true, mounts: true, ..Needs::NONE };
    const COLORS: bool = true;
    const REPLACES: &'static str = "kubectl describe, docker inspect, dive, and guessing";
    const TAKES: &'static str = "of nsdbg CAP_SYS_PTRACE; the node's cgroup file systems";
    const FIELDS: &'static [Field] = &[
        field("status", Kind::Text, "fail, warn, note, skip, ok"),
        field("check", Kind::Text, "the check's name"),
        field("group", Kind::Text, "image, process, resources, network, security"),
        field("subject", Kind::Text, "what it is about: a path, a process, an address"),
        field("detail", Kind::Text, "a sentence"),
        more("evidence", Kind::List, "what was seen"),
        more("fix", Kind::Text, "what to do"),
        more("question", Kind::Text, "of --list alone: what the check asks"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "doctor", what: "all checks" },
        Example { line: "doctor image network", what: "those of two groups" },
        Example { line: "doctor -v pid1-signals", what: "one, also where it is well" },
        Example { line: "doctor --list", what: "what is looked for" },
        Example { line: "doctor --fast | where status eq fail | select check,subject,fix", what: "as rows" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        if self.options.list {
            return list(cx, out);
        }
        let chosen = self.options.chosen()?;
        let container = Arc::new(Container::of(cx));
        let end = Instant::now() + LIMIT;
        let (sender, receiver) = channel();
        for check in chosen {
            let Run::Inside(run) = check.run else { continue };
            let (to, seen) = (sender.clone(), Arc::clone(&container));
            // A file system that never answers holds one check alone.
            let thread = std::thread::Builder::new().spawn(move || to.send((check, run(&seen))));
            if thread.is_err() {
                // There are no more threads: the rest is done one after the other.
                let _ = sender.send((check, run(&container)));
            }
        }
        drop(sender);
        while let Ok((check, found)) = receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            for finding in Finding::all(check, found) {
                out.json(&finding).map_err(Fault::output)?;
            }
            out.bytes().flush().map_err(Fault::output)?;
        }
        Ok(Status::OK)
    }
}

/// Of groups and checks.
fn names() -> Vec<String> {
    let checks = registry::CHECKS.iter().map(|check| check.id);
    owned(checks.chain(registry::GROUPS.iter().map(|group| group.name())))
}

fn list(cx: &Context, out: &mut Output<NoRow>) -> Result<Status> {
    let all = registry::CHECKS.iter();
    let all =
        all.map(|check| Listed { check: check.id, group: check.group.name(), question: check.question });
    if out.is_json() {
        let mut all = all;
        return all.try_for_each(|row| out.json(&row)).map(|()| Status::OK).map_err(Fault::output);
    }
    let columns = [
        ("CHECK", Align::Left, Narrow::WHOLE),
        ("GROUP", Align::Left, Narrow::drop(1)),
        ("QUESTION", Align::Left, Narrow::shorten(30)),
    ];
    let mut table = Table::new(&columns, cx.screen());
    for row in all {
        let cells = [row.check, row.group, row.question].map(str::to_owned).to_vec();
        table.row(cells, out.bytes()).map_err(Fault::output)?;
    }
    table.finish(out.bytes()).map(|()| Status::OK).map_err(Fault::output)
}
