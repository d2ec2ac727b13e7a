//! `nproc-limit`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;
use crate::cmd::proc::limits::{self, Used};
use crate::sys::proc::Status;

pub const CHECK: Check = Check {
    id: "nproc-limit",
    group: Group::Process,
    question: "Is the user close to RLIMIT_NPROC, counted over the node?",
    is_slow: false,
    run: Run::Outside(run),
};

/// CAP_SYS_ADMIN and CAP_SYS_RESOURCE: who has one of them on the node is not held to the limit.
const EXEMPT: u64 = 1 << 21 | 1 << 24;
/// The most processes of the node that are looked at.
const PROCESSES: usize = 200_000;
/// Most of a status file.
const STATUS: u64 = 64 << 10;

fn run(facts: &Facts) -> Vec<Found> {
    let target = facts.target();
    let (Some(status), Some(file)) = (facts.status(target), facts.file(target, "limits", 16 << 10)) else {
        return vec![Found::skip("the kernel does not show the target's limits")];
    };
    let all = limits::parse(&file, &status, Used::default());
    let Some(soft) = all.iter().find(|limit| limit.name == "processes").and_then(|limit| limit.soft) else {
        return vec![Found::ok("it has no limit")];
    };
    let uid = status.numbers("Uid").first().copied();
    let own = facts.link(target, "ns/user").ok().map(PathBuf::from);
    let is_nodes = own.is_none() || own == std::fs::read_link("/proc/self/ns/user").ok();
    let is_exempt =
        uid == Some(0) || status.mask("CapEff").is_some_and(|capabilities| capabilities & EXEMPT != 0);
    if is_nodes && is_exempt {
        return vec![Found::ok("the target is not held to it")];
    }
    // Where the whole node has fewer, nobody need be counted.
    if of_node().is_some_and(|tasks| tasks.saturating_mul(10) < soft.saturating_mul(9)) {
        return vec![Found::ok(format!("the limit is {soft}: the whole node has fewer"))];
    }
    let Some(uid) = uid else { return vec![Found::skip("the kernel does not show the target's user")] };
    let of = |pid: i32| threads(&facts.status(pid)?, uid);
    let inside: u64 = facts.processes().iter().filter_map(|process| of(process.pid)).sum();
    // Our own process inside has this user as well.
    let ours: u64 = facts.watch().own.iter().filter_map(|pid| of(*pid)).sum();
    let count = threads_of(uid, own.as_deref()).saturating_sub(ours);
    let detail = match count {
        _ if count >= soft => "its user can start no further process or thread: fork fails with EAGAIN",
        _ if count.saturating_mul(10) >= soft.saturating_mul(9) => {
            "its user can start few further processes and threads"
        }
        _ => return vec![Found::ok(format!("user {uid} has {count} of {soft} processes and threads"))],
    };
    let found = if count >= soft { Found::fail(detail) } else { Found::warn(detail) };
    let others = count.saturating_sub(inside);
    vec![
        found
            .seen(format!(
                "user {uid} has {count} of {soft} processes and threads (RLIMIT_NPROC), {others} of them outside of the container"
            ))
            .fix("the kernel counts a user's processes on the whole node: give each container a user of its own, or raise the limit (docker run --ulimit nproc=…)"),
    ]
}

/// How many threads the node has.
fn of_node() -> Option<u64> {
    // `0.20 0.18 0.12 1/80 11206`: running and all.
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').nth(3)?.split_once('/')?.1.parse().ok()
}

/// How many threads a user has in a user namespace: since 5.14 each is counted for itself.
fn threads_of(uid: u32, namespace: Option<&Path>) -> u64 {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten().take(PROCESSES);
    let processes =
        entries.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    let of = |place: &Path| {
        let mut text = Vec::new();
        File::open(place.join("status")).ok()?.take(STATUS).read_to_end(&mut text).ok()?;
        let threads = threads(&Status::new(text), uid)?;
        let is_other = |own| std::fs::read_link(place.join("ns/user")).is_ok_and(|other| other != own);
        (!namespace.is_some_and(is_other)).then_some(threads)
    };
    processes.filter_map(|entry| of(&entry.path())).sum()
}

/// The threads of a process, if its real user is this one.
fn threads(status: &Status, uid: u32) -> Option<u64> {
    (status.numbers("Uid").first() == Some(&uid)).then(|| status.field("Threads")?.parse().ok()).flatten()
}
