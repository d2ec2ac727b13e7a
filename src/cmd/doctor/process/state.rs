//! `state`.

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::{Facts, Process};

pub const CHECK: Check = Check {
    id: "state",
    group: Group::Process,
    question: "Is a process frozen, stopped or traced?",
    is_slow: false,
    run: Run::Outside(run),
};

fn run(facts: &Facts) -> Vec<Found> {
    // A cgroup that can't be read is told of by the checks of its limits.
    if let Some(cgroup) = facts.cgroup().ok().filter(|cgroup| cgroup.frozen == Some(true)) {
        return vec![
            Found::fail("the container is paused: no process of it runs")
                .seen(format!("the cgroup {} is frozen", cgroup.path))
                .fix("on the node: docker unpause, podman unpause, nerdctl unpause; or whoever froze the cgroup thaws it"),
        ];
    }
    facts.processes().iter().filter_map(|process| held(facts, process)).collect()
}

/// What holds a process back, if anything does.
fn held(facts: &Facts, process: &Process) -> Option<Found> {
    // Without the first process or the target the program does not work; others a shell may have stopped.
    let is_main = process.pid == 1 || process.pid == facts.target();
    let found = match process.stat.state {
        b'T' => {
            let detail = "it is stopped by a signal, and does not run";
            let found = if is_main { Found::fail(detail) } else { Found::note(detail) };
            found.fix(format!("kill -CONT {}", process.pid))
        }
        b't' => {
            let tracer = facts.status(process.pid)?.field("TracerPid").map(str::to_owned)?;
            // 0 also where the tracer is in no PID namespace of the container.
            let tracer = if tracer == "0" { "a process outside of the container".to_owned() } else { tracer };
            let found = Found::warn("its debugger has stopped it, and it does not run");
            found.seen(format!("traced by {tracer}")).fix("let it go on in the debugger, or end the debugger")
        }
        _ => return None,
    };
    Some(found.about(process.subject()).seen(format!("state {}", char::from(process.stat.state))))
}
