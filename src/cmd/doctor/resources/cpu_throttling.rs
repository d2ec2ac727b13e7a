//! `cpu-throttling`.

use super::controller;
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;

pub const CHECK: Check = Check {
    id: "cpu-throttling",
    group: Group::Resources,
    question: "Is the container throttled by its CPU limit?",
    is_slow: false,
    run: Run::Outside(run),
};

/// Periods, mostly of a tenth of a second, before a share says anything.
const ENOUGH: u64 = 50;

fn run(facts: &Facts) -> Vec<Found> {
    let cpu = match controller(facts, "cpu", |all| all.cpu.as_ref()) {
        Ok(cpu) => cpu,
        Err(why) => return vec![Found::skip(why)],
    };
    let Some(limit) = cpu.limit else { return vec![Found::ok("it has no limit of processor time")] };
    let (Some(periods), Some(throttled)) = (cpu.periods, cpu.throttled_periods) else {
        return vec![Found::skip("the cgroup does not count throttling")];
    };
    let share = throttled as f64 / (periods.max(1)) as f64 * 100.0;
    let waited = cpu.throttled.map(|seconds| format!(", {seconds:.1} s in all")).unwrap_or_default();
    let seen =
        format!("limit {limit} cores; throttled in {throttled} of {periods} periods ({share:.0}%){waited}");
    let detail = "it wants more processor time than it may have, and stands still for the rest of a period";
    let fix = "raise the limit (docker run --cpus, resources.limits.cpu), or use fewer threads: GOMAXPROCS, workers, the runtime's pools";
    vec![match share {
        _ if periods < ENOUGH => Found::ok("it was seldom at its limit").seen(seen),
        25.0.. => Found::warn(detail).seen(seen).fix(fix),
        5.0.. => Found::note(detail).seen(seen).fix(fix),
        _ => Found::ok("it is seldom at its limit").seen(seen),
    }]
}
