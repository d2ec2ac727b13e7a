//! Routes through rtnetlink(7), with all that `ip route` shows. Layouts from linux/rtnetlink.h.

use std::net::IpAddr;

use super::{address, attribute, attributes, name, u8_at, u16_at, u32_at};

const RTM_NEWROUTE: u16 = 24;
/// Next hops of one route that are kept.
const HOPS: usize = 1024;
/// Metrics of a route that are known: RTAX_FASTOPEN_NO_COOKIE is the last.
const METRICS: u16 = 17;
/// The metric that is a name: RTAX_CC_ALGO.
const CONGESTION: u16 = 16;

/// This route was looked up, or copied for one destination.
pub const RTM_F_CLONED: u32 = 0x200;
/// A question for the table that decides.
const RTM_F_LOOKUP_TABLE: u32 = 0x1000;

/// Where a route leads next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hop {
    /// Address of the gateway.
    pub gateway: Option<IpAddr>,
    /// Index of the interface; 0 is none.
    pub interface: u32,
    /// RTNH_F_ flags.
    pub flags: u32,
    /// Share among several, from 1.
    pub weight: u32,
}

/// A metric of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// RTAX_ number.
    pub kind: u16,
    /// Its value.
    pub value: u32,
    /// The algorithm, of congestion control.
    pub text: Option<Vec<u8>>,
    /// Whether the kernel leaves it as it is.
    pub locked: bool,
}

/// A route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// Whether it is one of IPv6.
    pub v6: bool,
    /// Where to; none is all addresses of `prefix` bits.
    pub destination: Option<IpAddr>,
    /// Bits of the destination that count.
    pub prefix: u8,
    /// From where, and how many bits of it count.
    pub from: Option<(Option<IpAddr>, u8)>,
    /// Type of service.
    pub tos: u8,
    /// Routing table.
    pub table: u32,
    /// RTPROT_ number.
    pub protocol: u8,
    /// RT_SCOPE_ number.
    pub scope: u8,
    /// RTN_ number.
    pub kind: u8,
    /// RTM_F_ and RTNH_F_ flags.
    pub flags: u32,
    /// Where it leads, if it has one next hop.
    pub hop: Hop,
    /// Where it leads, if it has several.
    pub hops: Vec<Hop>,
    /// The next hop object.
    pub object: Option<u32>,
    /// The address that is taken as source.
    pub source: Option<IpAddr>,
    /// Priority: lower is preferred.
    pub priority: Option<u32>,
    /// Firewall mark that was asked for.
    pub mark: Option<u32>,
    /// User that was asked for.
    pub uid: Option<u32>,
    /// The interface that was asked for.
    pub input: Option<u32>,
    /// Metrics, by number.
    pub metrics: Vec<Metric>,
    /// Hundredths of a second until it expires.
    pub expires: Option<i32>,
    /// An errno, negative, that those get who use it.
    pub error: u32,
    /// ICMPV6_ROUTER_PREF_ number.
    pub preference: Option<u8>,
}

/// What a route is looked up for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Where to.
    pub to: Option<IpAddr>,
    /// From where.
    pub from: Option<IpAddr>,
    /// Index of the interface that it leaves by.
    pub output: Option<u32>,
    /// Index of the interface that it came by.
    pub input: Option<u32>,
    /// Firewall mark.
    pub mark: Option<u32>,
    /// Who sends it.
    pub uid: Option<u32>,
}

impl Question {
    /// The request.
    pub fn request(&self) -> Vec<u8> {
        let v6 = self.to.is_some_and(|to| to.is_ipv6());
        let bits = if v6 { 128 } else { 32 };
        let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
        let mut request = vec![family as u8, bits, if self.from.is_some() { bits } else { 0 }, 0];
        request.resize(8, 0);
        request.extend_from_slice(&RTM_F_LOOKUP_TABLE.to_ne_bytes());
        for (kind, ip) in [(1, self.to), (2, self.from)] {
            match ip {
                Some(IpAddr::V4(ip)) => attribute(&mut request, kind, &ip.octets()),
                Some(IpAddr::V6(ip)) => attribute(&mut request, kind, &ip.octets()),
                None => {}
            }
        }
        for (kind, number) in [(3, self.input), (4, self.output), (16, self.mark), (25, self.uid)] {
            if let Some(number) = number {
                attribute(&mut request, kind, &number.to_ne_bytes());
            }
        }
        request
    }
}

/// One answer about routes, `struct rtmsg` and its attributes.
pub fn route(kind: u16, body: &[u8]) -> Option<Route> {
    if kind != RTM_NEWROUTE {
        return None;
    }
    let v6 = match i32::from(u8_at(body, 0)?) {
        libc::AF_INET => false,
        libc::AF_INET6 => true,
        _ => return None,
    };
    let mut route = Route {
        v6,
        prefix: u8_at(body, 1)?,
        tos: u8_at(body, 3)?,
        table: u32::from(u8_at(body, 4)?),
        protocol: u8_at(body, 5)?,
        scope: u8_at(body, 6)?,
        kind: u8_at(body, 7)?,
        flags: u32_at(body, 8)?,
        ..Route::default()
    };
    let from = u8_at(body, 2)?;
    if from > 0 {
        route.from = Some((None, from));
    }
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            1 => route.destination = address(value),
            2 => route.from = Some((address(value), from)),
            3 => route.input = u32_at(value, 0),
            4 => route.hop.interface = u32_at(value, 0)?,
            5 => route.hop.gateway = address(value),
            6 => route.priority = u32_at(value, 0),
            7 => route.source = address(value),
            8 => route.metrics = metrics(value),
            9 => route.hops = hops(value),
            // struct rta_cacheinfo.
            12 => {
                route.expires = u32_at(value, 8).map(|ticks| ticks as i32).filter(|ticks| *ticks != 0);
                route.error = u32_at(value, 12).unwrap_or(0);
            }
            15 => route.table = u32_at(value, 0)?,
            16 => route.mark = u32_at(value, 0),
            // RTA_VIA: the family, then an address.
            18 => route.hop.gateway = address(value.get(2..)?),
            20 => route.preference = u8_at(value, 0),
            25 => route.uid = u32_at(value, 0),
            30 => route.object = u32_at(value, 0),
            _ => {}
        }
    }
    Some(route)
}

/// RTA_MULTIPATH: `struct rtnexthop` and its attributes, several.
fn hops(mut bytes: &[u8]) -> Vec<Hop> {
    let mut hops = Vec::new();
    while let (Some(length), Some(flags), Some(weight), Some(interface)) =
        (u16_at(bytes, 0), u8_at(bytes, 2), u8_at(bytes, 3), u32_at(bytes, 4))
    {
        let length = usize::from(length);
        let Some(rest) = bytes.get(8..length).filter(|_| hops.len() < HOPS) else { break };
        let mut hop = Hop { gateway: None, interface, flags: flags.into(), weight: u32::from(weight) + 1 };
        for (kind, value) in attributes(rest) {
            match kind {
                5 => hop.gateway = address(value),
                18 => hop.gateway = value.get(2..).and_then(address),
                _ => {}
            }
        }
        hops.push(hop);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

fn metrics(value: &[u8]) -> Vec<Metric> {
    let all = || attributes(value).filter(|(kind, _)| (1..=METRICS).contains(kind));
    let lock = all().find(|(kind, _)| *kind == 1).and_then(|(_, value)| u32_at(value, 0)).unwrap_or(0);
    let mut metrics: Vec<Metric> = all()
        .filter(|(kind, _)| *kind > 1)
        .map(|(kind, value)| Metric {
            kind,
            value: u32_at(value, 0).unwrap_or(0),
            text: (kind == CONGESTION).then(|| name(value)),
            locked: lock & 1 << kind != 0,
        })
        .take(usize::from(METRICS))
        .collect();
    metrics.sort_by_key(|metric| metric.kind);
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_cut_at_any_length_never_panic() {
        let mut body = vec![2, 24, 0, 0, 254, 2, 0, 1, 0, 0, 0, 0];
        attribute(&mut body, 1, &[10, 0, 0, 0]);
        let mut two = Vec::new();
        for last in [7, 8] {
            two.extend_from_slice(&[16, 0, 0, last, 3, 0, 0, 0, 8, 0, 5, 0, 10, 0, 0, last]);
        }
        attribute(&mut body, 9, &two);
        let mut metrics = Vec::new();
        attribute(&mut metrics, 2, &1400u32.to_ne_bytes());
        attribute(&mut metrics, 1, &4u32.to_ne_bytes());
        attribute(&mut body, 8, &metrics);
        for end in 0..body.len() {
            let _ = route(RTM_NEWROUTE, &body[..end]);
        }
        let route = route(RTM_NEWROUTE, &body).unwrap();
        assert_eq!(route.destination, Some([10, 0, 0, 0].into()));
        let hops: Vec<_> =
            route.hops.iter().map(|hop| (hop.gateway.unwrap().to_string(), hop.weight)).collect();
        assert_eq!(hops, [("10.0.0.7".to_owned(), 8), ("10.0.0.8".to_owned(), 9)]);
        assert_eq!(route.metrics, [Metric { kind: 2, value: 1400, text: None, locked: true }]);
        // A next hop that is shorter than its own header ends the list.
        assert!(super::hops(&[4, 0, 0, 0, 0, 0, 0, 0]).is_empty());
    }

    #[test]
    fn a_question_is_a_whole_message() {
        let question = Question { to: Some([10, 0, 0, 2].into()), uid: Some(7), ..Question::default() };
        let request = question.request();
        assert_eq!(request.get(..3), Some(&[2, 32, 0][..]));
        let attributes: Vec<_> = attributes(&request[12..]).collect();
        assert_eq!(attributes, [(1, &[10, 0, 0, 2][..]), (25, &[7, 0, 0, 0][..])]);
    }
}
