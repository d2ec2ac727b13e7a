//! `fd-limit`.

use std::time::{Duration, Instant};

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;
use crate::cmd::proc::limits::{self, Used};

pub const CHECK: Check = Check {
    id: "fd-limit",
    group: Group::Process,
    question: "Is a process close to its open-file limit?",
    is_slow: false,
    run: Run::Outside(run),
};

/// Processes that are looked at, and how long: before 6.2 the kernel does not say how many descriptors they have.
const PROCESSES: usize = 2000;
const LIMIT: Duration = Duration::from_secs(1);

fn run(facts: &Facts) -> Vec<Found> {
    let (mut found, mut refused) = (Vec::new(), 0);
    let begun = Instant::now();
    for (at, process) in facts.processes().iter().filter(|process| !process.is_zombie()).enumerate() {
        if at == PROCESSES || begun.elapsed() >= LIMIT {
            found.push(Found::note(format!("only the first {at} processes were looked at")));
            break;
        }
        let Ok(open) = facts.watch().procfs().descriptor_count(process.pid) else {
            refused += 1;
            continue;
        };
        let (Some(file), Some(status)) =
            (facts.file(process.pid, "limits", 16 << 10), facts.status(process.pid))
        else {
            continue;
        };
        let all = limits::parse(&file, &status, Used::default());
        let Some(limit) = all.iter().find(|limit| limit.name == "open files") else { continue };
        let Some(soft) = limit.soft else { continue };
        let open = open as u64;
        // What was open when the limit was lowered may be more.
        let detail = match open {
            _ if open >= soft => "it can open no further file",
            _ if open.saturating_mul(10) >= soft.saturating_mul(9) => "it can open few further files",
            _ => continue,
        };
        let one = if open >= soft { Found::fail(detail) } else { Found::warn(detail) };
        let hard = limit.hard.map_or_else(|| "unlimited".to_owned(), |hard| hard.to_string());
        found.push(
            one.about(process.subject())
                .seen(format!("{open} open, limit {soft} (hard limit {hard})"))
                .fix("lsof -p PID shows what is open: a leak is mended in the program, else raise the limit (docker run --ulimit nofile=…, LimitNOFILE= of the runtime's unit)"),
        );
    }
    if found.is_empty() && refused > 0 {
        return vec![Found::skip(format!("the descriptors of {refused} processes can't be counted"))];
    }
    found
}
