//! `listeners`.

use super::{LISTEN, endpoint, in_state, is_loopback};
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;

pub const CHECK: Check = Check {
    id: "listeners",
    group: Group::Network,
    question: "Does somebody listen, can it be reached from outside, does it accept in time?",
    is_slow: false,
    run: Run::Outside(run),
};

fn run(facts: &Facts) -> Vec<Found> {
    let all: Vec<_> = in_state(facts, LISTEN).collect();
    if facts.shares("net") {
        return vec![Found::skip("the container has the node's network: the listeners may be others'")];
    }
    if all.is_empty() {
        return vec![
            Found::note("nobody listens on a TCP port")
                .fix("where it should serve, see its log: it may not have come so far, or listen on a socket of another kind (netstat -lx)"),
        ];
    }
    let mut found = Vec::new();
    for socket in &all {
        // The kernel takes one more than the backlog; what comes then is dropped.
        let (waiting, backlog) = (socket.recv_queue, socket.backlog.unwrap_or(0));
        let seen = format!("{waiting} connections wait, backlog {backlog}");
        let fix = "the program accepts too slowly: see what its threads do (proc PID), raise the backlog of listen(2) and net.core.somaxconn";
        if waiting > backlog && backlog > 0 {
            let detail = "its backlog is full: new connections are dropped";
            found.push(Found::fail(detail).about(endpoint(socket.local)).seen(seen).fix(fix));
        } else if backlog >= 8 && waiting >= backlog / 10 * 8 {
            found.push(
                Found::warn("its backlog is nearly full").about(endpoint(socket.local)).seen(seen).fix(fix),
            );
        }
    }
    let shown: Vec<String> = all.iter().take(16).map(|socket| endpoint(socket.local)).collect();
    if all.iter().all(|socket| is_loopback(&socket.local.0)) {
        found.push(
            Found::note("all listen on loopback: nobody outside of the container can connect")
                .seen(shown.join(", "))
                .fix("where others shall, have the program listen on 0.0.0.0 or ::"),
        );
    }
    if found.is_empty() {
        found.push(Found::ok("connections are accepted").seen(shown.join(", ")));
    }
    found
}
