//! `proc`.

pub mod limits;
mod page;
mod read;

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};
use crate::sys::proc::why_refused;

/// Show all that the kernel tells of a process.
///
/// Program, arguments, environment, identity, capabilities, signals, namespaces, limits and their use, memory, threads.
/// Read from outside, so that a hidden or faked /proc of the container changes nothing. The environment may hold
/// secrets: it is shown as it is. Without a PID the target's process is shown. Ids are the container's, times are UTC.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Proc {
    /// PIDs, as the container counts
    #[arg(value_name = "PID", value_parser = clap::value_parser!(i32).range(1..=0x3f_ffff), add = Takes::Pid)]
    pids: Vec<i32>,
}

impl Command for Proc {
    type Row = NoRow;
    const PLACE: Place = Place::Watch;
    const NEEDS: Needs = Needs { users: true, ..Needs::NONE };
    const REPLACES: &'static str = "cat /proc/PID/*, procps pwdx, pmap -x";
    const TAKES: &'static str = "of nsdbg CAP_SYS_PTRACE, for links, environment, descriptors and namespaces";
    const FIELDS: &'static [Field] = &[
        field("pid", Kind::Number, "its PID, as the container counts"),
        field("ppid", Kind::Number, "its parent's PID; 0 where that is outside"),
        more("parent", Kind::Text, "the kernel's name for its parent"),
        field("comm", Kind::Text, "the kernel's name for it, 15 bytes"),
        field("state", Kind::Text, "one letter: R, S, D, Z, T, t, I, X"),
        more("started", Kind::Time, "when it was started"),
        field("elapsed", Kind::Seconds, "how long ago that was"),
        field("cpu_time", Kind::Seconds, "time on processors"),
        field("exe", Kind::Text, "its program; null where the kernel refused it, or there is none"),
        more("cwd", Kind::Text, "its working directory"),
        more("root", Kind::Text, "its root directory"),
        more("args", Kind::List, "its arguments"),
        more("environment", Kind::Object, "objects of name and value; null where the kernel refused it"),
        more("uids", Kind::Object, "real, effective, saved and file_system, each with id and name"),
        more("gids", Kind::Object, "the same of its group"),
        more("groups", Kind::Object, "its further groups, objects of id and name"),
        more("capabilities", Kind::Object, "lists: effective, permitted, inheritable, bounding, ambient"),
        more("signals", Kind::Object, "lists: pending, pending_shared, blocked, ignored, caught"),
        more(
            "namespaces",
            Kind::Object,
            "objects of kind, inode, is_targets and is_first: whether it is PID 1's",
        ),
        more("seccomp", Kind::Text, "none, strict, filter"),
        more("no_new_privs", Kind::Flag, "whether it can gain no privilege"),
        more("label", Kind::Text, "its security label"),
        more(
            "limits",
            Kind::Object,
            "objects of name, unit, used, soft and hard; null is unlimited or not known",
        ),
        more("memory", Kind::Object, "bytes: virtual, rss, peak, anonymous, file, shared, pss, swap, locked"),
        more("oom_score", Kind::Number, "how likely the kernel ends it when memory is short"),
        more("oom_score_adj", Kind::Number, "what is added to that"),
        more("cgroup", Kind::Text, "its cgroups, as the node names them"),
        field("open_files", Kind::Number, "how many descriptors it has open"),
        field("thread_count", Kind::Number, "how many threads it has"),
        more("threads", Kind::Object, "objects of tid, comm, state and wchan, at most 10,000"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "proc", what: "the target's process" },
        Example { line: "proc 1 --json", what: "one object, for a program" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let Some(watch) = &cx.watch else {
            return Err(Fault::say("the container's processes are not open to this command"));
        };
        let pids = if self.pids.is_empty() { vec![watch.target] } else { self.pids };
        let threads = if out.is_json() { read::THREADS } else { page::THREADS };
        let (mut faults, mut notes) = (Vec::new(), Vec::new());
        let mut shown = 0;
        for pid in pids {
            match read::read(pid, threads, watch, cx.users()) {
                Err(fault) => faults.push(fault),
                Ok((facts, lost)) => {
                    if out.is_json() {
                        out.json(&facts).map_err(Fault::output)?;
                    } else {
                        if shown > 0 {
                            writeln!(out.bytes()).map_err(Fault::output)?;
                        }
                        page::write(&facts, out.bytes()).map_err(Fault::output)?;
                    }
                    shown += 1;
                    notes.push(lost);
                }
            }
        }
        for fault in &faults {
            cx.report(fault);
        }
        if notes.iter().any(|lost| lost.refused) {
            cx.note(&format!("'-': the kernel refused it, {}", why_refused()));
        }
        if notes.iter().any(|lost| lost.cut) {
            cx.note("long arguments or environments are cut");
        }
        Ok(Status::OK)
    }
}
