//! `host-namespaces`.

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;

pub const CHECK: Check = Check {
    id: "host-namespaces",
    group: Group::Security,
    question: "Which namespaces are shared with the node?",
    is_slow: false,
    run: Run::Outside(run),
};

const KINDS: [(&str, &str, &str); 4] = [
    ("pid", "it sees the node's processes, and with its own uid signals them", "--pid=host, hostPID"),
    (
        "net",
        "it reaches what listens on the node's loopback, and can listen for the node",
        "--network=host, hostNetwork",
    ),
    ("ipc", "it reaches the node's shared memory and queues", "--ipc=host, hostIPC"),
    ("mnt", "it has the node's files", "a container has a mount namespace of its own"),
];

fn run(facts: &Facts) -> Vec<Found> {
    let shared = KINDS.iter().filter(|(kind, ..)| facts.shares(kind));
    shared
        .map(|(kind, allows, by)| {
            let link = facts.link(facts.target(), &format!("ns/{kind}")).unwrap_or_default();
            Found::warn(*allows)
                .about(kind)
                .seen(format!("{} is the node's", link.to_string_lossy()))
                .fix(format!("leave it out where it is not needed: {by}"))
        })
        .collect()
}
