//! `pid1-signals`.

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;

pub const CHECK: Check = Check {
    id: "pid1-signals",
    group: Group::Process,
    question: "Does PID 1 end on SIGTERM, or is it killed after the grace period?",
    is_slow: false,
    run: Run::Outside(run),
};

/// Bit of SIGTERM in the masks of /proc/PID/status.
const TERM: u64 = 1 << (libc::SIGTERM - 1);

fn run(facts: &Facts) -> Vec<Found> {
    let Some(first) = facts.process(1) else { return vec![Found::skip("PID 1 can't be seen")] };
    if facts.shares("pid") {
        return vec![Found::skip("the container has the node's PID 1")];
    }
    let Some(status) = facts.status(1) else { return vec![Found::skip("PID 1's status can't be read")] };
    let mask = |name| status.mask(name).unwrap_or(0);
    let (caught, ignored, blocked) = (mask("SigCgt"), mask("SigIgn"), mask("SigBlk"));
    if caught & TERM != 0 {
        return vec![Found::ok("it has a handler for SIGTERM").about(first.subject())];
    }
    // What waits by sigwait(3), signalfd(2) or a runtime of its own has it blocked.
    if blocked & TERM != 0 {
        return vec![Found::ok("it blocks SIGTERM to wait for it").about(first.subject())];
    }
    let cause = if ignored & TERM != 0 {
        "ignores SIGTERM"
    } else {
        "has no handler for SIGTERM, and as PID 1 no default action"
    };
    let detail = format!("it {cause}: stopping the container waits for the grace period and then kills it");
    vec![
        Found::warn(detail)
            .about(first.subject())
            .seen(format!("SigCgt {caught:016x}, SigIgn {ignored:016x}, SigBlk {blocked:016x}"))
            .fix("handle SIGTERM, or start it below an init: docker run --init, shareProcessNamespace, tini or dumb-init in the image"),
    ]
}
