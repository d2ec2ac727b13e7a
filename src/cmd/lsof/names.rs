//! Names of sockets, as lsof writes them.

use std::net::{IpAddr, SocketAddr};

use super::sockets::Inet;
use crate::sys::netlink::diag;

/// `10.0.0.1:80`, `[::1]:80`, `*:80`.
pub fn endpoint((ip, port): (IpAddr, u16)) -> String {
    if ip.is_unspecified() { format!("*:{port}") } else { SocketAddr::new(ip, port).to_string() }
}

/// Both ends and the state.
pub fn inet_name(inet: &Inet) -> String {
    let mut name = endpoint(inet.local);
    if inet.remote.1 != 0 {
        name.push_str("->");
        name.push_str(&endpoint(inet.remote));
    }
    if !inet.state.is_empty() {
        name.push_str(&format!(" ({})", inet.state));
    }
    name
}

/// lsof's words for the type and state of a Unix socket.
pub fn unix_words(unix: &diag::Unix) -> (&'static str, &'static str) {
    let kind = match i32::from(unix.kind) {
        libc::SOCK_STREAM => "STREAM",
        libc::SOCK_DGRAM => "DGRAM",
        libc::SOCK_SEQPACKET => "SEQPACKET",
        _ => "unknown",
    };
    let state = match unix.state {
        1 => "CONNECTED",
        2 => "CONNECTING",
        10 => "LISTEN",
        _ => "UNCONNECTED",
    };
    (kind, state)
}
