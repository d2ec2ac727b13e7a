//! What commands that talk on the network share: names, addresses, ports, times, and ICMP in words.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::{Fault, Result};
use crate::out::name::escape;
use crate::sys::dns::{Client, Kind, Outcome};
use crate::sys::icmp::Icmp;
use crate::sys::resolv::{Config, Hosts, Order, Source, localhost};

/// Looks names up as the container does: hosts, nsswitch and resolv.conf.
pub struct Resolver {
    config: Config,
    hosts: Hosts,
    order: Order,
    v4: bool,
    v6: bool,
}

impl Resolver {
    /// Reads the container's files. `v4` and `v6` ask for addresses of one family.
    pub fn read(v4: bool, v6: bool) -> Self {
        Self { config: Config::read(), hosts: Hosts::read(), order: Order::read(), v4, v6 }
    }

    fn wants(&self, address: &IpAddr) -> bool {
        (!self.v4 || address.is_ipv4()) && (!self.v6 || address.is_ipv6())
    }

    fn none(&self, host: &str) -> Fault {
        let family = if self.v4 { "IPv4" } else { "IPv6" };
        Fault::text("resolve", host, format!("no {family} address"))
    }

    /// The addresses of a name or of an address (an IPv6 one may name its interface, `fe80::1%eth0`), at least one.
    ///
    /// # Errors
    /// A fault that says why there is none.
    pub fn addresses(&self, host: &str, until: Option<Instant>) -> Result<Vec<SocketAddr>> {
        if let Some(address) = literal(host) {
            return if self.wants(&address.ip()) { Ok(vec![address]) } else { Err(self.none(host)) };
        }
        if host.is_empty() || host.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control()) {
            return Err(Fault::text("resolve", host, "that is no name of a host"));
        }
        let mut found = self.look_up(host, until)?;
        found.retain(|address| self.wants(address));
        if found.is_empty() {
            return Err(self.none(host));
        }
        let mut found: Vec<SocketAddr> = found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
        if found.len() > 1 {
            // Those without a route last.
            found.sort_by_key(|address| crate::sys::socket::udp(SocketAddr::new(address.ip(), 9)).is_err());
        }
        Ok(found)
    }

    fn look_up(&self, host: &str, until: Option<Instant>) -> Result<Vec<IpAddr>> {
        let mut why = "no such name in /etc/hosts".to_owned();
        for source in &self.order.0 {
            match source {
                Source::Files => {
                    let mut found = self.hosts.lookup(host);
                    found.retain(|address| self.wants(address));
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
                Source::Dns if localhost(host).is_some() => {}
                Source::Dns => {
                    let kinds: &[Kind] = match (self.v4, self.v6) {
                        (true, _) => &[Kind::A],
                        (_, true) => &[Kind::Aaaa],
                        _ => &[Kind::Aaaa, Kind::A],
                    };
                    let lookup = Client::new(&self.config).lookup(host, kinds, until);
                    if !lookup.addresses.is_empty() {
                        return Ok(lookup.addresses);
                    }
                    let said = |test: fn(&Outcome) -> bool| lookup.asked.iter().any(|one| test(&one.outcome));
                    why = if lookup.cut || said(|o| matches!(o, Outcome::Silent(_))) {
                        "no name server answered in time"
                    } else if said(|o| matches!(o, Outcome::Unreachable(_))) {
                        "no name server can be reached"
                    } else if said(|o| matches!(o, Outcome::NoData)) {
                        "the name has no address"
                    } else if said(|o| matches!(o, Outcome::Code(_) | Outcome::Garbled(_))) {
                        "the name server failed"
                    } else {
                        "no such name"
                    }
                    .to_owned();
                    let mut servers: Vec<String> =
                        lookup.asked.iter().map(|one| one.server.ip().to_string()).collect();
                    servers.dedup();
                    if !servers.is_empty() {
                        why.push_str(&format!(" (asked {})", servers.join(", ")));
                    }
                }
            }
        }
        match localhost(host) {
            Some(loopback) => Ok(loopback.to_vec()),
            None => Err(Fault::text("resolve", host, why)),
        }
    }
}

/// An address in digits.
pub fn literal(host: &str) -> Option<SocketAddr> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, 0));
    }
    let (ip, zone) = host.split_once('%')?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    let index = match zone.parse() {
        Ok(index) => index,
        Err(_) => nix::net::if_::if_nametoindex(zone).ok()?,
    };
    Some(SocketAddrV6::new(ip, 0, 0, index).into())
}

/// An address with a port.
pub fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

/// A port, or several: `80`, `8000-8010`, `80,443`.
///
/// # Errors
/// A usage fault: a port is 1 to 65535.
pub fn ports(text: &str) -> Result<Vec<u16>> {
    let port = |word: &str| {
        let wrong = || Fault::usage(format!("'{}' is no port: it is 1 to 65535", escape(word.as_bytes())));
        if !word.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        word.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)
    };
    let mut all = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (port(first)?, port(last)?);
                if first > last {
                    return Err(Fault::usage(format!("the range '{part}' ends before it begins")));
                }
                all.extend(first..=last);
            }
            None => all.push(port(part)?),
        }
    }
    Ok(all)
}

/// A positive number of seconds, at most a year: for clap.
///
/// # Errors
/// A sentence.
pub fn seconds(text: &str) -> std::result::Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .filter(|s| *s > 0.0 && *s <= 31_536_000.0)
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "it is a positive number of seconds".to_owned())
}

/// What an ICMP message says, in ping's words. `info` is the MTU where a packet is too large.
pub fn icmp(message: &Icmp, info: u32) -> String {
    let words = match (message.v6, message.kind, message.code) {
        (false, 3, 0) => "Destination Net Unreachable",
        (false, 3, 1) => "Destination Host Unreachable",
        (false, 3, 2) => "Destination Protocol Unreachable",
        (false, 3, 3) => "Destination Port Unreachable",
        (false, 3, 4) => return format!("Frag needed and DF set (mtu = {info})"),
        (false, 3, 5) => "Source Route Failed",
        (false, 3, 6) => "Destination Net Unknown",
        (false, 3, 7) => "Destination Host Unknown",
        (false, 3, 8) => "Source Host Isolated",
        (false, 3, 9) => "Destination Net Prohibited",
        (false, 3, 10) => "Destination Host Prohibited",
        (false, 3, 11) => "Destination Net Unreachable for Type of Service",
        (false, 3, 12) => "Destination Host Unreachable for Type of Service",
        (false, 3, 13) => "Packet filtered",
        (false, 3, 14) => "Precedence Violation",
        (false, 3, 15) => "Precedence Cutoff",
        (false, 4, _) => "Source Quench",
        (false, 11, 0) => "Time to live exceeded",
        (false, 11, _) => "Frag reassembly time exceeded",
        (false, 12, _) => "Parameter problem",
        (true, 1, 0) => "Destination unreachable: No route",
        (true, 1, 1) => "Destination unreachable: Administratively prohibited",
        (true, 1, 2) => "Destination unreachable: Beyond scope of source address",
        (true, 1, 3) => "Destination unreachable: Address unreachable",
        (true, 1, 4) => "Destination unreachable: Port unreachable",
        (true, 1, 5) => "Destination unreachable: Source address failed ingress/egress policy",
        (true, 1, 6) => "Destination unreachable: Reject route to destination",
        (true, 2, _) => return format!("Packet too big: mtu={info}"),
        (true, 3, 0) => "Time exceeded: Hop limit",
        (true, 3, _) => "Time exceeded: Defragmentation failure",
        (true, 4, _) => "Parameter problem",
        (_, kind, code) => return format!("ICMP type {kind} code {code}"),
    };
    words.to_owned()
}

/// Signals that are waited for in place of ending the process.
pub struct Signals(SignalFd);

impl Signals {
    /// Holds SIGINT, SIGTERM and SIGHUP back.
    ///
    /// # Errors
    /// As signalfd(2).
    pub fn hold() -> nix::Result<Self> {
        let mut set = SigSet::empty();
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().for_each(|signal| set.add(signal));
        set.thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map(Self)
    }

    /// The number of one that has come.
    pub fn come(&self) -> Option<u8> {
        self.0.read_signal().ok().flatten().map(|signal| signal.ssi_signo as u8)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A limit for poll(2), rounded up.
pub fn timeout(left: Option<Duration>) -> PollTimeout {
    left.map_or(PollTimeout::NONE, |left| {
        let millis = (left + Duration::from_micros(999)).as_millis();
        PollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_lists_and_ranges() {
        assert_eq!(ports("80").unwrap(), [80]);
        assert_eq!(ports("80,443,8000-8002").unwrap(), [80, 443, 8000, 8001, 8002]);
        assert_eq!(ports("65535-65535").unwrap(), [65535]);
        for wrong in ["", "0", "65536", "x", "-1", "+5", "9-8", "1-", "80,", "99999999999999999999"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_may_name_an_interface() {
        assert_eq!(literal("10.0.0.1").unwrap().to_string(), "10.0.0.1:0");
        assert_eq!(literal("fe80::1%7").unwrap().to_string(), "[fe80::1%7]:0");
        for wrong in ["", "web", "10.0.0", "1.2.3.4%1", "fe80::1%no-such-interface"] {
            assert!(literal(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn icmp_in_pings_words() {
        let said = |v6, kind, code| icmp(&Icmp { v6, kind, code, from: None }, 1400);
        assert_eq!(said(false, 3, 13), "Packet filtered");
        assert_eq!(said(true, 1, 1), "Destination unreachable: Administratively prohibited");
        assert_eq!(said(true, 2, 0), "Packet too big: mtu=1400");
        assert_eq!(said(false, 99, 1), "ICMP type 99 code 1");
    }
}
