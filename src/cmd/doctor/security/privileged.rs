//! `privileged`.

use super::Powers;
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;
use crate::sys::capability;

pub const CHECK: Check = Check {
    id: "privileged",
    group: Group::Security,
    question: "Is the container privileged: every capability and no confinement?",
    is_slow: false,
    run: Run::Outside(run),
};

fn run(facts: &Facts) -> Vec<Found> {
    let Some(powers) = Powers::of(facts) else {
        return vec![Found::skip("the target's status can't be read")];
    };
    let known = capability::known();
    // What nsdbg itself was not given, nobody here has.
    let wanted = known & ceiling().unwrap_or(known);
    let is_privileged = powers.bounding & wanted == wanted && !powers.is_filtered;
    if !is_privileged {
        return vec![Found::ok("it is confined")];
    }
    if powers.is_mapped {
        return vec![Found::note(
            "it has every capability and no seccomp filter, in a user namespace of its own",
        )];
    }
    vec![
        Found::warn("it is privileged: who is root in it is root of the node")
            .seen(format!("CapBnd {:016x}, no seccomp filter", powers.bounding))
            .fix("in place of --privileged or privileged: true, give it the capabilities and devices that it needs"),
    ]
}

/// The bounding set of the node's first process: what anybody can have.
fn ceiling() -> Option<u64> {
    let own =
        std::fs::read_to_string("/proc/1/status").or_else(|_| std::fs::read_to_string("/proc/self/status"));
    let own = own.ok()?;
    let mask = own.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}
