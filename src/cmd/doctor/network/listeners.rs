//! `listeners`.

use super::{LISTEN, endpoint, in_state, is_loopback};
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;

pub const CHECK: Check = Check {
    id: "listeners",
    group: Group::Network,
    question: "Is anything listening, reachable from outside, and accepting in time?",
    is_slow: false,
    run: Run::Outside(run),
};

/// How full a backlog is.
#[derive(Debug, PartialEq, Eq)]
enum Fill {
    Room,
    Nearly,
    Full,
}

/// The kernel queues one connection more than the backlog, `sk_acceptq_is_full()` of include/net/sock.h. A short backlog
/// is nearly full too soon for a warning.
fn fill(waiting: u32, backlog: u32) -> Fill {
    let (waiting, backlog) = (u64::from(waiting), u64::from(backlog));
    match () {
        () if waiting > backlog => Fill::Full,
        () if backlog >= 8 && waiting * 10 >= backlog * 8 => Fill::Nearly,
        () => Fill::Room,
    }
}

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
        let Some(backlog) = socket.backlog else { continue };
        let waiting = socket.recv_queue;
        let seen = match waiting {
            1 => format!("1 connection waits, backlog {backlog}"),
            _ => format!("{waiting} connections wait, backlog {backlog}"),
        };
        let fix = "the program accepts too slowly: see what its threads do (proc PID), raise the backlog of listen(2) and net.core.somaxconn";
        let row = match fill(waiting, backlog) {
            Fill::Full => Found::fail("its backlog is full: new connections are dropped"),
            Fill::Nearly => Found::warn("its backlog is nearly full"),
            Fill::Room => continue,
        };
        found.push(row.about(endpoint(socket.local)).seen(seen).fix(fix));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_is_nearly_full_at_four_fifths() {
        for (backlog, nearly, full) in [
            (8, 7, 9),
            (9, 8, 10),
            (10, 8, 11),
            (19, 16, 20),
            (128, 103, 129),
            (u32::MAX - 1, 3_435_973_836, u32::MAX),
        ] {
            assert_eq!(fill(0, backlog), Fill::Room, "{backlog}");
            assert_eq!(fill(nearly - 1, backlog), Fill::Room, "{backlog}");
            assert_eq!(fill(nearly, backlog), Fill::Nearly, "{backlog}");
            assert_eq!(fill(full - 1, backlog), Fill::Nearly, "{backlog}");
            assert_eq!(fill(full, backlog), Fill::Full, "{backlog}");
        }
        for backlog in 0..8 {
            assert_eq!(fill(backlog, backlog), Fill::Room);
            assert_eq!(fill(backlog + 1, backlog), Fill::Full);
        }
    }
}
