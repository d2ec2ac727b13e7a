//! `pids-limit`.

use super::{controller, percent};
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;

pub const CHECK: Check = Check {
    id: "pids-limit",
    group: Group::Resources,
    question: "Is the container close to its limit of processes and threads?",
    is_slow: false,
    run: Run::Outside(run),
};

fn run(facts: &Facts) -> Vec<Found> {
    let pids = match controller(facts, "pids", |all| all.pids.as_ref()) {
        Ok(pids) => pids,
        Err(why) => return vec![Found::skip(why)],
    };
    let (Some(current), Some(limit)) = (pids.current, pids.limit) else {
        return vec![Found::ok("it has no limit of processes")];
    };
    let share = percent(current, limit).unwrap_or(0);
    let refused = pids.limit_events.unwrap_or(0);
    let seen = format!("{current} of {limit} ({share}%); forks that were refused: {refused}");
    let fix = "pstree -t shows who has them; raise the limit (docker run --pids-limit, the kubelet's podPidsLimit), or bound the pools";
    vec![match share {
        100.. => Found::fail("no further process or thread can be made").seen(seen).fix(fix),
        90.. => Found::warn("few further processes and threads can be made").seen(seen).fix(fix),
        _ if refused > 0 => Found::warn("processes or threads were refused to it before").seen(seen).fix(fix),
        _ => Found::ok("there is room").seen(seen),
    }]
}
