//! `default-route`.

use super::{LOOPBACK, UP, links};
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;
use crate::sys::netlink::{self, route};

pub const CHECK: Check = Check {
    id: "default-route",
    group: Group::Network,
    question: "Is there a route out of the container's own network?",
    is_slow: false,
    run: Run::Outside(run),
};

fn run(facts: &Facts) -> Vec<Found> {
    let Some(links) = links(facts) else { return vec![Found::skip("the interfaces can't be listed")] };
    if links.iter().all(|link| link.flags & LOOPBACK != 0 || link.flags & UP == 0) {
        return vec![
            Found::note("it has no network but its loopback, as may be meant")
                .fix("docker run --network, or the pod's CNI plugin: it may have failed"),
        ];
    }
    let Some(socket) = facts.watch().route.as_ref() else {
        return vec![Found::skip("the routes can't be listed")];
    };
    let request = route::route_request(libc::AF_UNSPEC as u8);
    let Ok(all) = netlink::collect(socket, route::RTM_GETROUTE, &request, 100_000, route::route) else {
        return vec![Found::skip("the routes can't be listed")];
    };
    // RTN_UNICAST: others refuse, or drop.
    let default = all.iter().find(|one| one.prefix == 0 && one.kind == 1 && !one.destination.is_multicast());
    match default {
        Some(default) => {
            let via = default.gateway.map_or_else(|| "without a gateway".to_owned(), |ip| format!("via {ip}"));
            let name = links.iter().find(|link| link.index == default.interface);
            let name = name.map_or_else(String::new, |link| format!(" dev {}", String::from_utf8_lossy(&link.name)));
            vec![Found::ok("there is one").seen(format!("default {via}{name}"))]
        }
        None => vec![
            Found::warn("there is no default route: only the networks of its own interfaces can be reached")
                .seen(format!("{} routes, none to 0.0.0.0/0 or ::/0", all.len()))
                .fix("ip route shows them; the network's gateway is set by the runtime or its CNI plugin (an --internal network has none by intention)"),
        ],
    }
}
