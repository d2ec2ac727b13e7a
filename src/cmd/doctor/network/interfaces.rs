//! `interfaces`.

use super::{LOOPBACK, RUNNING, UP, links};
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;
use crate::out::Name;
use crate::sys::netlink::route::Link;

pub const CHECK: Check = Check {
    id: "interfaces",
    group: Group::Network,
    question: "Are the network interfaces up, and free of errors?",
    is_slow: false,
    run: Run::Outside(run),
};

/// One of so many packets that are lost is worth a word.
const PART: u64 = 1000;

fn run(facts: &Facts) -> Vec<Found> {
    let Some(links) = links(facts) else { return vec![Found::skip("the interfaces can't be listed")] };
    let nodes = facts.shares("net");
    links.iter().filter(|link| !nodes || link.flags & LOOPBACK != 0).filter_map(of_link).collect()
}

fn of_link(link: &Link) -> Option<Found> {
    let about = |found: Found| found.about(Name::from(link.name.as_slice()).spelled());
    if link.flags & LOOPBACK != 0 {
        return (link.flags & UP == 0).then(|| {
            about(Found::fail("the loopback interface is down: 127.0.0.1 and ::1 can't be reached"))
                .seen(format!("flags {:#x}", link.flags))
                .fix("whatever made the network namespace has to set it up: ip link set lo up")
        });
    }
    // Tunnels that the kernel makes in every namespace are down until somebody wants them.
    let is_ethernet = link.address.len() == 6;
    if is_ethernet && link.flags & UP == 0 {
        return Some(
            about(Found::warn("it is down"))
                .seen(format!("flags {:#x}", link.flags))
                .fix("ip addr shows it; the runtime or its CNI plugin sets it up"),
        );
    }
    if is_ethernet && link.flags & RUNNING == 0 {
        return Some(
            about(Found::warn("it is up, but its other end is not there or down"))
                .seen(format!("flags {:#x}", link.flags))
                .fix("on the node, look for the other end of the pair and the bridge: it may have been removed"),
        );
    }
    let all = &link.counters;
    let lost = all.rx_errors.saturating_add(all.tx_errors);
    let carried = all.rx_packets.saturating_add(all.tx_packets);
    (lost > carried / PART).then(|| {
        about(Found::note(format!("of {carried} packets {lost} had errors")))
            .seen(format!("received {}, sent {}", all.rx_errors, all.tx_errors))
            .fix("netstat -i and ip -s link show them")
    })
}
