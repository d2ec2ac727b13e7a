//! `cgroup`.

mod facts;
mod page;
mod tree;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status};
use crate::out::field::{field, more};
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};
use crate::target::scan;

use facts::Gatherer;
use tree::Tree;

pub use facts::Facts;

/// Show what the target's cgroup uses and may use.
///
/// Processor time and throttling, memory and what it is made of, processes, io, and pressure, of cgroups of version 1, 2
/// or both, read from the node's file systems. A limit that a cgroup above sets, as that of a pod, is shown where it is
/// tighter, with the cgroup that sets it. Limits of processors are in cores: 0.25 cores are Kubernetes' 250m. The working
/// set is what the kubelet evicts by: what is in use without files that were not read for long.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Cgroup {
    /// Seconds over which the use of processors is measured; 0 does not measure it.
    #[arg(long, value_name = "SECONDS", default_value = "0.2", value_parser = seconds)]
    over: Duration,
}

fn seconds(word: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = word.parse().map_err(|_| "it is a number of seconds".to_owned())?;
    if (0.0..=60.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("it is from 0 to 60 seconds".to_owned())
    }
}

/// Looks for the target's cgroups.
fn gatherer(cx: &Context) -> Result<Gatherer<'_>> {
    let pid = cx.target.ok_or_else(|| Fault::say("there is no target"))?;
    let file = format!("/proc/{pid}/cgroup");
    let text = scan::cgroup_file(pid).map_err(|errno| Fault::errno("read", &file, errno))?;
    Ok(Gatherer::new(Tree::find(cx.host()?, &text)?))
}

fn shown(gatherer: &Gatherer) -> Result<Facts> {
    let none = "the node's cgroup file systems do not show the target's cgroup";
    gatherer.facts()?.ok_or_else(|| Fault::say(none))
}

/// What the target's cgroup uses and may use, for other commands.
///
/// # Errors
/// Where the node's cgroup file systems do not show it.
pub fn of_target(cx: &Context) -> Result<Facts> {
    shown(&gatherer(cx)?)
}

impl Command for Cgroup {
    type Row = NoRow;
    const PLACE: Place = Place::Node;
    const NEEDS: Needs = Needs { host: true, ..Needs::NONE };
    const REPLACES: &'static str = "docker stats, kubectl top, systemd-cgtop";
    const TAKES: &'static str = "the node's cgroup file systems";
    const FIELDS: &'static [Field] = &[
        field("path", Kind::Text, "the cgroup, as the node names it"),
        field("version", Kind::Text, "1, 2 or hybrid"),
        more("paths", Kind::Object, "a list of controllers, version, path: of hierarchies that differ"),
        field("frozen", Kind::Flag, "whether its processes are stopped by it"),
        field(
            "cpu",
            Kind::Object,
            "usage, user, system, throttled (seconds), cores (in use now), limit (cores), limit_set_by, quota, period (seconds), periods, throttled_periods, throttled_share (of 1), weight, shares, cpus",
        ),
        field(
            "memory",
            Kind::Object,
            "current, working_set, limit, limit_set_by, high, high_set_by, peak, anon, file, kernel, sock, shmem, swap, swap_limit (bytes), oom_kills, oom_events, limit_events, high_events (counts)",
        ),
        field("pids", Kind::Object, "current, limit, limit_set_by, peak, limit_events"),
        more("io", Kind::Object, "a list of device, name, read_bytes, write_bytes, reads, writes"),
        more(
            "pressure",
            Kind::Object,
            "cpu, memory, io: each some and full, of avg10, avg60, avg300 (percent), total (seconds)",
        ),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "cgroup", what: "use and limits" },
        Example { line: "cgroup --over 1", what: "the use of processors, measured over a second" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let gatherer = gatherer(cx)?;
        let before = gatherer.cpu_time().filter(|_| !self.over.is_zero()).map(|time| (time, Instant::now()));
        if before.is_some() {
            std::thread::sleep(self.over);
        }
        let mut facts = shown(&gatherer)?;
        if let (Some((then, at)), Some(now), Some(cpu)) = (before, gatherer.cpu_time(), &mut facts.cpu) {
            cpu.cores = Some(((now - then) / at.elapsed().as_secs_f64().max(1e-3)).max(0.0));
        }
        if out.is_json() {
            out.json(&facts).map_err(Fault::output)?;
        } else {
            out.bytes().write_all(page::page(&facts).as_bytes()).map_err(Fault::output)?;
        }
        if facts.paths.iter().all(|of| of.path == "/") {
            cx.note("the target is in the root cgroup: this is the whole node, without limits");
        }
        Ok(Status::OK)
    }
}
