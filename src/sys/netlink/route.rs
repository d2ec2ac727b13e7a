//! Routes and interfaces through rtnetlink(7). Layouts from linux/rtnetlink.h and linux/if_link.h.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{address, attributes, name, u8_at, u16_at, u32_at, u64_at};

/// Asks for interfaces.
pub const RTM_GETLINK: u16 = 18;
/// Asks for routes.
pub const RTM_GETROUTE: u16 = 26;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWROUTE: u16 = 24;

/// The main table.
pub const TABLE_MAIN: u32 = 254;

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whether it is one of IPv6.
    pub v6: bool,
    /// Where to; the unspecified address for the default.
    pub destination: IpAddr,
    /// Bits of the destination that count.
    pub prefix: u8,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// Index of the interface.
    pub interface: u32,
    /// Metric: lower is preferred.
    pub metric: u32,
    /// Routing table.
    pub table: u32,
    /// RTN_UNICAST (1), RTN_LOCAL (2), RTN_UNREACHABLE (7) …
    pub kind: u8,
    /// RTPROT_REDIRECT (1), RTPROT_KERNEL (2) …
    pub protocol: u8,
}

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Index.
    pub index: u32,
    /// Name, as raw bytes.
    pub name: Vec<u8>,
    /// IFF_ flags, netdevice(7).
    pub flags: u32,
    /// MTU.
    pub mtu: u32,
    /// Hardware address.
    pub address: Vec<u8>,
    /// Counters since it was made.
    pub counters: Counters,
}

/// The counters of an interface that `netstat -i` shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs, reason = "rtnl_link_stats64's own names")]
pub struct Counters {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
    pub rx_overruns: u64,
    pub tx_overruns: u64,
}

/// The request for the routes of a family.
pub fn route_request(family: u8) -> Vec<u8> {
    let mut request = vec![family];
    request.resize(12, 0);
    request
}

/// The request for all interfaces.
pub fn link_request() -> Vec<u8> {
    vec![0; 16]
}

/// One answer about routes, `struct rtmsg` and its attributes. Of a route with several next hops the first is shown.
pub fn route(kind: u16, body: &[u8]) -> Option<Route> {
    if kind != RTM_NEWROUTE {
        return None;
    }
    let v6 = match i32::from(u8_at(body, 0)?) {
        libc::AF_INET => false,
        libc::AF_INET6 => true,
        _ => return None,
    };
    let any = if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let mut route = Route {
        v6,
        destination: any,
        prefix: u8_at(body, 1)?,
        gateway: None,
        interface: 0,
        metric: 0,
        table: u32::from(u8_at(body, 4)?),
        protocol: u8_at(body, 5)?,
        kind: u8_at(body, 7)?,
    };
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            1 => route.destination = address(value)?,
            4 => route.interface = u32_at(value, 0)?,
            5 => route.gateway = address(value),
            6 => route.metric = u32_at(value, 0)?,
            // RTA_MULTIPATH: struct rtnexthop and its attributes, several.
            9 => {
                route.interface = u32_at(value, 4)?;
                let length = usize::from(u16_at(value, 0)?);
                let hop = attributes(value.get(8..length)?).find(|(kind, _)| *kind == 5);
                route.gateway = hop.and_then(|(_, value)| address(value));
            }
            15 => route.table = u32_at(value, 0)?,
            // RTA_VIA: the family, then an address.
            18 => route.gateway = address(value.get(2..)?),
            _ => {}
        }
    }
    Some(route)
}

/// One answer about interfaces, `struct ifinfomsg` and its attributes.
pub fn link(kind: u16, body: &[u8]) -> Option<Link> {
    if kind != RTM_NEWLINK {
        return None;
    }
    let mut link = Link { index: u32_at(body, 4)?, flags: u32_at(body, 8)?, ..Link::default() };
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            1 => link.address = value.to_vec(),
            3 => link.name = name(value),
            4 => link.mtu = u32_at(value, 0)?,
            23 => {
                let counter = |at: usize| u64_at(value, at * 8).unwrap_or(0);
                link.counters = Counters {
                    rx_packets: counter(0),
                    tx_packets: counter(1),
                    rx_bytes: counter(2),
                    tx_bytes: counter(3),
                    rx_errors: counter(4),
                    tx_errors: counter(5),
                    rx_dropped: counter(6),
                    tx_dropped: counter(7),
                    rx_overruns: counter(14),
                    tx_overruns: counter(18),
                };
            }
            _ => {}
        }
    }
    Some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_and_links_cut_at_any_length_never_panic() {
        let mut body = vec![2, 24, 0, 0, 254, 2, 0, 1, 0, 0, 0, 0];
        body.extend_from_slice(&[8, 0, 1, 0, 10, 0, 0, 0, 8, 0, 4, 0, 3, 0, 0, 0, 8, 0, 5, 0, 10, 0, 0, 1]);
        for end in 0..body.len() {
            let _ = (route(RTM_NEWROUTE, &body[..end]), link(RTM_NEWLINK, &body[..end]));
        }
        let route = route(RTM_NEWROUTE, &body).unwrap();
        assert_eq!((route.destination, route.prefix), (Ipv4Addr::new(10, 0, 0, 0).into(), 24));
        assert_eq!((route.gateway, route.interface), (Some(Ipv4Addr::new(10, 0, 0, 1).into()), 3));
    }
}
