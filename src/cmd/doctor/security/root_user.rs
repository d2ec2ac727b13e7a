//! `root-user`.

use super::Powers;
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;

pub const CHECK: Check = Check {
    id: "root-user",
    group: Group::Security,
    question: "Does the main program run as root?",
    is_slow: false,
    run: Run::Outside(run),
};

fn run(facts: &Facts) -> Vec<Found> {
    let (Some((uid, _)), Some(powers)) = (facts.owner(facts.target()), Powers::of(facts)) else {
        return vec![Found::skip("the target's ids can't be read")];
    };
    let subject = facts.process(facts.target()).map_or_else(String::new, |process| process.subject());
    vec![match uid {
        0 if powers.is_mapped => {
            Found::ok("it is root of a user namespace of its own, and nobody on the node").about(subject)
        }
        0 => Found::note("it runs as root: an attacker who takes it over is one exploit closer to the node")
            .about(subject)
            .fix("USER 65532 in the image, runAsNonRoot and runAsUser, or a user namespace (hostUsers: false, podman --userns)"),
        _ => Found::ok(format!("it runs as uid {uid}")).about(subject),
    }]
}
