//! `zombies`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::{Facts, Process};
use crate::sys::proc::Stat;

pub const CHECK: Check = Check {
    id: "zombies",
    group: Group::Process,
    question: "Are there zombies that nobody reaps?",
    is_slow: false,
    run: Run::Outside(run),
};

/// A process is a zombie for a moment whenever one ends.
const MOMENT: Duration = Duration::from_millis(150);
/// So many of one parent are more than it leaves for later.
const MANY: usize = 5;

fn run(facts: &Facts) -> Vec<Found> {
    if !facts.processes().iter().any(Process::is_zombie) {
        return vec![Found::ok("every process that ended was reaped")];
    }
    std::thread::sleep(MOMENT);
    let stays = |process: &&Process| {
        let now = facts.file(process.pid, "stat", 4096).and_then(|text| Stat::parse(&text));
        now.is_some_and(|now| now.state == b'Z' && now.starttime == process.stat.starttime)
    };
    let mut by_parent: BTreeMap<i32, Vec<&Process>> = BTreeMap::new();
    for process in facts.processes().iter().filter(|process| process.is_zombie()).filter(stays) {
        by_parent.entry(process.stat.ppid).or_default().push(process);
    }
    by_parent.into_iter().map(|(parent, zombies)| of_parent(facts, parent, &zombies)).collect()
}

/// The most processes of the node that are looked at for one.
const OF_NODE: usize = 200_000;

/// The parent of a zombie whose parent is outside of the container: its PID on the node, and its name.
fn outside(zombie: &Process) -> Option<(i32, String)> {
    let read = |pid: &str, name: &str| {
        let mut text = Vec::new();
        let file = std::fs::File::open(format!("/proc/{pid}/{name}")).ok()?;
        std::io::Read::read_to_end(&mut std::io::Read::take(file, 64 << 10), &mut text).ok()?;
        Some(text)
    };
    let pids = std::fs::read_dir("/proc").ok()?.take(OF_NODE).flatten();
    let pids = pids.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).find_map(|pid| {
        let stat = Stat::parse(&read(&pid, "stat")?)?;
        if stat.state != b'Z' || stat.starttime != zombie.stat.starttime || stat.comm != zombie.stat.comm {
            return None;
        }
        let status = String::from_utf8_lossy(&read(&pid, "status")?).into_owned();
        let inner =
            status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_ascii_whitespace().last()?;
        if inner.parse() != Ok(zombie.pid) {
            return None;
        }
        let name = read(&stat.ppid.to_string(), "comm").unwrap_or_default();
        Some((stat.ppid, String::from_utf8_lossy(name.trim_ascii_end()).into_owned()))
    })
}

fn of_parent(facts: &Facts, parent: i32, zombies: &[&Process]) -> Found {
    let of_node = zombies.first().filter(|_| parent == 0).and_then(|zombie| outside(zombie));
    let subject = match &of_node {
        Some((pid, name)) => format!("{pid} ({name}) of the node"),
        None if parent == 0 => "a process outside of the container".to_owned(),
        None => facts.process(parent).map_or_else(|| parent.to_string(), Process::subject),
    };
    let count = zombies.len();
    let what = if count == 1 { "1 ended child".to_owned() } else { format!("{count} ended children") };
    let detail = format!("it does not reap {what}: each keeps its PID");
    let names: Vec<String> = zombies.iter().take(8).map(|process| process.subject()).collect();
    let more = if count > names.len() { format!(" and {} more", count - names.len()) } else { String::new() };
    // Whoever lost its parent is PID 1's: what it does not reap now, it never will.
    let (found, fix) = if parent == 1 {
        let fix = "start the program below an init that reaps: docker run --init, shareProcessNamespace, tini or dumb-init in the image";
        (Found::warn(detail), fix)
    } else if parent == 0 {
        let fix = "its parent entered the container from outside (docker exec, kubectl exec, a health check, the runtime): end that one on the node";
        (if count >= MANY { Found::warn(detail) } else { Found::note(detail) }, fix)
    } else if count >= MANY {
        (Found::warn(detail), "the program has to wait for its children: waitpid(2), or SIGCHLD ignored")
    } else {
        (Found::note(detail), "the program may wait for them later; look again")
    };
    found.about(subject).seen(format!("zombies: {}{more}", names.join(", "))).fix(fix)
}
