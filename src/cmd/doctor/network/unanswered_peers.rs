//! `unanswered-peers`.

use std::collections::BTreeMap;

use super::{SYN_SENT, endpoint, in_state};
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;

pub const CHECK: Check = Check {
    id: "unanswered-peers",
    group: Group::Network,
    question: "Is the program trying to connect to a peer that does not answer?",
    is_slow: false,
    run: Run::Outside(run),
};

fn run(facts: &Facts) -> Vec<Found> {
    if facts.shares("net") {
        return vec![Found::skip("the container has the node's network: the connections may be others'")];
    }
    let mut by_peer: BTreeMap<String, (usize, u8)> = BTreeMap::new();
    for socket in in_state(facts, SYN_SENT) {
        let (count, tries) = by_peer.entry(endpoint(socket.remote)).or_default();
        *count += 1;
        *tries = (*tries).max(socket.timer.map_or(0, |timer| timer.retransmits));
    }
    by_peer
        .into_iter()
        .map(|(peer, (count, tries))| {
            let seen = format!("SYN_SENT: {count}, sent again {tries} times");
            // The first second is no sign of anything.
            let one = match tries {
                0 => Found::note("a connection is being made"),
                _ => Found::warn("it does not answer: a connection is not made"),
            };
            one.about(&peer).seen(seen).fix(format!(
                "tcp {peer} tries it: filtered is mostly a firewall or a NetworkPolicy, or the address is nobody's"
            ))
        })
        .collect()
}
