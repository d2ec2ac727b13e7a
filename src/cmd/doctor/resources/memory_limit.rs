//! `memory-limit`.

use super::{controller, percent};
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;
use crate::out::units::bytes;

pub const CHECK: Check = Check {
    id: "memory-limit",
    group: Group::Resources,
    question: "Is the container close to its memory limit?",
    is_slow: false,
    run: Run::Outside(run),
};

fn run(facts: &Facts) -> Vec<Found> {
    let memory = match controller(facts, "memory", |all| all.memory.as_ref()) {
        Ok(memory) => memory,
        Err(why) => return vec![Found::skip(why)],
    };
    let Some(limit) = memory.limit else {
        return vec![
            Found::note("it has no limit: it can take all the memory of the node")
                .fix("set one: docker run --memory, resources.limits.memory"),
        ];
    };
    // Of the files' pages those that were not used for long are given back when they are needed.
    let Some(used) = memory.working_set.or(memory.current) else {
        return vec![Found::skip("the cgroup does not say how much is used")];
    };
    let share = percent(used, limit).unwrap_or(0);
    let by =
        memory.limit_set_by.as_deref().filter(|_| memory.is_above).map(|path| format!(", set by {path}"));
    let seen =
        format!("working set {} of {}{} ({share}%)", bytes(used), bytes(limit), by.unwrap_or_default());
    let detail = "soon a process is killed for want of memory";
    let fix = "ps --sort -rss shows who takes it; raise the limit, or mend the leak";
    vec![match share {
        98.. => Found::fail(detail).seen(seen).fix(fix),
        90.. => Found::warn(detail).seen(seen).fix(fix),
        _ => Found::ok("there is room").seen(seen),
    }]
}
