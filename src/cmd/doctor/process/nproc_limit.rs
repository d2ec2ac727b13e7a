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
    let all = Counted {
        uid,
        ours: &facts.watch().own,
        user_namespace: own,
        pid_namespace: facts.link(target, "ns/pid").ok().map(PathBuf::from),
    };
    let (count, inside) = all.threads();
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

/// A user's processes. Since 5.14 the kernel counts those of each user namespace for itself.
struct Counted<'a> {
    uid: u32,
    user_namespace: Option<PathBuf>,
    /// The target's.
    pid_namespace: Option<PathBuf>,
    /// PIDs in there that are nsdbg's own, which has the target's user as well.
    ours: &'a [i32],
}

impl Counted<'_> {
    /// How many threads they have: on the whole node, and those in the target's PID namespace.
    fn threads(&self) -> (u64, u64) {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten().take(PROCESSES);
        let processes =
            entries.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
        let found = processes.filter_map(|entry| self.look(&entry.path()));
        found.fold((0, 0), |(all, inside), (threads, is_inside)| {
            (all + threads, inside + if is_inside { threads } else { 0 })
        })
    }

    /// The threads of a process that counts, and whether it is in the target's PID namespace.
    fn look(&self, place: &Path) -> Option<(u64, bool)> {
        let mut text = Vec::new();
        File::open(place.join("status")).ok()?.take(STATUS).read_to_end(&mut text).ok()?;
        let status = Status::new(text);
        if status.numbers("Uid").first() != Some(&self.uid) {
            return None;
        }
        let threads = status.field("Threads")?.parse().ok()?;
        let link = |name: &str| std::fs::read_link(place.join("ns").join(name)).ok();
        if self.user_namespace.as_ref().is_some_and(|own| link("user").is_some_and(|other| other != *own)) {
            return None;
        }
        let is_inside = self.pid_namespace.is_some() && link("pid") == self.pid_namespace;
        let pid = status.numbers("NSpid").last().and_then(|pid| i32::try_from(*pid).ok());
        let is_ours = is_inside && pid.is_some_and(|pid| self.ours.contains(&pid));
        (!is_ours).then_some((threads, is_inside))
    }
}
