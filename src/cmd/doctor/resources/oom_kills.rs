//! `oom-kills`.

use super::controller;
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;
use crate::out::units::bytes;

pub const CHECK: Check = Check {
    id: "oom-kills",
    group: Group::Resources,
    question: "Has the kernel OOM-killed processes of the container?",
    is_slow: false,
    run: Run::Outside(run),
};

fn run(facts: &Facts) -> Vec<Found> {
    let memory = match controller(facts, "memory", |all| all.memory.as_ref()) {
        Ok(memory) => memory,
        Err(why) => return vec![Found::skip(why)],
    };
    match memory.oom_kills {
        None => vec![Found::skip("the cgroup does not count them")],
        Some(0) => vec![Found::ok("none was killed")],
        Some(count) => {
            let processes =
                if count == 1 { "1 process was".to_owned() } else { format!("{count} processes were") };
            let peak = memory.peak.map(|peak| format!(", peak {}", bytes(peak))).unwrap_or_default();
            let limit = memory
                .limit
                .map_or_else(|| "no limit of its own".to_owned(), |l| format!("limit {}", bytes(l)));
            vec![
                Found::warn(format!(
                    "{processes} killed since the container was started: what they did is lost"
                ))
                .seen(format!("oom_kill {count}, {limit}{peak}"))
                .fix("raise the memory limit, or bound what the program holds (heap size, workers, caches)"),
            ]
        }
    }
}
