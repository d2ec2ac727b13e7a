//! Who can be reached, and can reach.

pub mod close_wait;
pub mod default_route;
pub mod dns;
pub mod hosts_file;
pub mod interfaces;
pub mod listeners;
pub mod local_tls;
pub mod resolv_conf;
pub mod unanswered_peers;

use std::net::{IpAddr, SocketAddr};

use crate::cmd::doctor::facts::{Facts, Socket};
use crate::sys::netlink::{self, route};

/// States of TCP sockets, net/tcp_states.h.
const SYN_SENT: u8 = 2;
const CLOSE_WAIT: u8 = 8;
const LISTEN: u8 = 10;

/// Flags of interfaces, linux/if.h.
const UP: u32 = 1;
const LOOPBACK: u32 = 8;
const RUNNING: u32 = 0x40;

/// The container's interfaces; none where the kernel does not tell.
fn links(facts: &Facts) -> Option<Vec<route::Link>> {
    let socket = facts.watch().route.as_ref()?;
    netlink::collect(socket, route::RTM_GETLINK, &route::link_request(), 10_000, route::link).ok()
}

/// What is loopback alone, or an IPv4 address of it written as IPv6.
fn is_loopback(ip: &IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn endpoint((ip, port): (IpAddr, u16)) -> String {
    SocketAddr::new(ip.to_canonical(), port).to_string()
}

/// The sockets in a state.
fn in_state<'a>(facts: &'a Facts, state: u8) -> impl Iterator<Item = &'a Socket> {
    facts.tcp().iter().filter(move |socket| socket.state == state)
}
