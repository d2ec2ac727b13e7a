//! `close-wait`.

use std::collections::BTreeMap;

use super::{CLOSE_WAIT, endpoint, in_state};
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;

pub const CHECK: Check = Check {
    id: "close-wait",
    group: Group::Network,
    question: "Does the program leave connections open after its peers closed them?",
    is_slow: false,
    run: Run::Outside(run),
};

/// So many are no longer those that are about to be closed.
const SOME: usize = 10;

fn run(facts: &Facts) -> Vec<Found> {
    if facts.shares("net") {
        return vec![Found::skip("the container has the node's network: the connections may be others'")];
    }
    let mut by_port: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for socket in in_state(facts, CLOSE_WAIT) {
        by_port.entry(socket.local.1).or_default().push(endpoint(socket.remote));
    }
    // A server's share its port; a client's each have one of their own.
    let of_servers = by_port.iter().filter(|(_, peers)| peers.len() >= SOME);
    let mut found: Vec<Found> =
        of_servers.map(|(port, peers)| told(peers.len(), peers).about(format!("port {port}"))).collect();
    let others: Vec<String> = by_port.into_values().filter(|peers| peers.len() < SOME).flatten().collect();
    if others.len() >= SOME {
        found.push(told(others.len(), &others));
    }
    found
}

fn told(count: usize, peers: &[String]) -> Found {
    let some: Vec<&str> = peers.iter().take(5).map(String::as_str).collect();
    Found::warn(format!(
        "{count} connections are closed by their peers and not by the program: each keeps a descriptor"
    ))
    .seen(format!("CLOSE_WAIT from {}{}", some.join(", "), if count > some.len() { ", …" } else { "" }))
    .fix("the program has to close a connection after its end was read; netstat -tanp shows whose they are")
}
