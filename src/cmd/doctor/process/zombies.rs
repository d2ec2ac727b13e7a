//! `zombies`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::{Facts, Process};
use crate::sys::proc::Stat;

pub const CHECK: Check = Check {
    id: "zombies",
    group: Group::Process,
    question: "Are there ended processes that nobody reaps?",
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

fn of_parent(facts: &Facts, parent: i32, zombies: &[&Process]) -> Found {
    let subject = facts.process(parent).map_or_else(|| parent.to_string(), Process::subject);
    let count = zombies.len();
    let what = if count == 1 { "1 ended child".to_owned() } else { format!("{count} ended children") };
    let detail = format!("it does not reap {what}: each keeps its PID");
    let names: Vec<String> = zombies.iter().take(8).map(|process| process.subject()).collect();
    let more = if count > names.len() { format!(" and {} more", count - names.len()) } else { String::new() };
    // Whoever lost its parent is PID 1's: what it does not reap now, it never will.
    let (found, fix) = if parent == 1 {
        let fix = "start the program below an init that reaps: docker run --init, shareProcessNamespace, tini or dumb-init in the image";
        (Found::warn(detail), fix)
    } else if count >= MANY {
        (Found::warn(detail), "the program has to wait for its children: waitpid(2), or SIGCHLD ignored")
    } else {
        (Found::note(detail), "the program may wait for them later; look again")
    };
    found.about(subject).seen(format!("zombies: {}{more}", names.join(", "))).fix(fix)
}
