//! Interfaces and their addresses through rtnetlink(7), with all that `ip link` and `ip addr` show. Layouts from
//! linux/if_link.h and linux/if_addr.h.

use std::net::IpAddr;

use super::{address, attributes, name, u8_at, u16_at, u32_at, u64_at};

/// Asks for addresses.
pub const RTM_GETADDR: u16 = 22;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;

/// IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES, IFLA_GSO_MAX_SIZE, IFLA_GSO_MAX_SEGS, IFLA_TSO_MAX_SIZE, IFLA_TSO_MAX_SEGS,
/// IFLA_GRO_MAX_SIZE: those of [`Details::limits`].
const LIMITS: [u16; 7] = [31, 32, 41, 40, 59, 60, 58];

/// Other names of one interface that are kept.
const ALTERNATIVE_NAMES: usize = 64;

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Index.
    pub index: u32,
    /// Name, as raw bytes.
    pub name: Vec<u8>,
    /// ARPHRD_ number of its type.
    pub hardware: u16,
    /// IFF_ flags, netdevice(7).
    pub flags: u32,
    /// MTU.
    pub mtu: Option<u32>,
    /// Queueing discipline.
    pub qdisc: Option<Vec<u8>>,
    /// Index of the interface that it belongs to.
    pub master: Option<u32>,
    /// Index of the interface below or at the other end.
    pub link: Option<u32>,
    /// Which network namespace `link` counts in, as this one numbers them; -1 is unknown.
    pub link_netnsid: Option<i32>,
    /// IF_OPER_ number.
    pub state: u8,
    /// IF_LINK_MODE_ number.
    pub mode: u8,
    /// Group.
    pub group: Option<u32>,
    /// Length of its transmit queue.
    pub queue_length: u32,
    /// Hardware address.
    pub address: Vec<u8>,
    /// Broadcast address, or the peer of a point-to-point link.
    pub broadcast: Vec<u8>,
    /// The address that it was made with.
    pub permanent: Vec<u8>,
    /// What was written down about it.
    pub alias: Option<Vec<u8>>,
    /// Other names.
    pub names: Vec<Vec<u8>>,
    /// What it is: `veth`, `vlan`, `bridge`.
    pub kind: Option<Vec<u8>>,
    /// How often its carrier changed.
    pub carrier_changes: u32,
    /// The counters of `struct rtnl_link_stats64`, in its order.
    pub counters: [u64; 24],
    /// What is asked for seldom.
    pub details: Details,
}

/// Limits of an interface, and where it is attached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// How often it was made to take every packet.
    pub promiscuity: Option<u32>,
    /// How often it was made to take every multicast packet.
    pub all_multicast: Option<u32>,
    /// The smallest MTU that it can have.
    pub least_mtu: Option<u32>,
    /// The largest.
    pub most_mtu: Option<u32>,
    /// IN6_ADDR_GEN_MODE_ number: how it makes addresses of IPv6.
    pub address_mode: Option<u8>,
    /// Queues to send and to receive; sizes and segments of GSO; of TSO; size of GRO.
    pub limits: [Option<u32>; 7],
    /// The bus of its device.
    pub bus: Option<Vec<u8>>,
    /// The device there.
    pub device: Option<Vec<u8>>,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Index of its interface.
    pub interface: u32,
    /// Bits of the network.
    pub prefix: u8,
    /// RT_SCOPE_ number.
    pub scope: u8,
    /// IFA_F_ flags.
    pub flags: u32,
    /// The address.
    pub local: IpAddr,
    /// The other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// Broadcast address.
    pub broadcast: Option<IpAddr>,
    /// Anycast address.
    pub anycast: Option<IpAddr>,
    /// Label.
    pub label: Option<Vec<u8>>,
    /// Metric of the network's route.
    pub metric: Option<u32>,
    /// Seconds that it is valid; none is for ever.
    pub valid: Option<u32>,
    /// Seconds that it is preferred; none is for ever.
    pub preferred: Option<u32>,
}

/// The request for addresses of a family; 0 is all.
pub fn address_request(family: u8) -> Vec<u8> {
    vec![family, 0, 0, 0, 0, 0, 0, 0]
}

/// One answer about interfaces, `struct ifinfomsg` and its attributes.
pub fn interface(kind: u16, body: &[u8]) -> Option<Interface> {
    if kind != RTM_NEWLINK {
        return None;
    }
    let mut link = Interface {
        hardware: u16_at(body, 2)?,
        index: u32_at(body, 4)?,
        flags: u32_at(body, 8)?,
        ..Interface::default()
    };
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            1 => link.address = value.to_vec(),
            2 => link.broadcast = value.to_vec(),
            3 => link.name = name(value),
            4 => link.mtu = u32_at(value, 0),
            5 => link.link = u32_at(value, 0),
            6 => link.qdisc = Some(name(value)),
            10 => link.master = u32_at(value, 0),
            13 => link.queue_length = u32_at(value, 0)?,
            16 => link.state = u8_at(value, 0)?,
            17 => link.mode = u8_at(value, 0)?,
            18 => link.kind = attributes(value).find(|(kind, _)| *kind == 1).map(|(_, value)| name(value)),
            20 => link.alias = Some(name(value)),
            23 => {
                for (at, counter) in link.counters.iter_mut().enumerate() {
                    *counter = u64_at(value, at * 8).unwrap_or(0);
                }
            }
            26 => link.details.address_mode = address_mode(value),
            30 => link.details.promiscuity = u32_at(value, 0),
            50 => link.details.least_mtu = u32_at(value, 0),
            51 => link.details.most_mtu = u32_at(value, 0),
            56 => link.details.device = Some(name(value)),
            57 => link.details.bus = Some(name(value)),
            61 => link.details.all_multicast = u32_at(value, 0),
            27 => link.group = u32_at(value, 0),
            35 => link.carrier_changes = u32_at(value, 0)?,
            37 => link.link_netnsid = u32_at(value, 0).map(|id| id as i32),
            // IFLA_PROP_LIST holds IFLA_ALT_IFNAME, several.
            52 => {
                let names = attributes(value).filter(|(kind, _)| *kind == 53);
                link.names = names.map(|(_, value)| name(value)).take(ALTERNATIVE_NAMES).collect();
            }
            54 => link.permanent = value.to_vec(),
            other => {
                if let Some(at) = LIMITS.iter().position(|kind| *kind == other) {
                    link.details.limits[at] = u32_at(value, 0);
                }
            }
        }
    }
    Some(link)
}

/// IFLA_INET6_ADDR_GEN_MODE, which is nested in what IFLA_AF_SPEC holds for AF_INET6.
fn address_mode(value: &[u8]) -> Option<u8> {
    let (_, of_v6) = attributes(value).find(|(family, _)| i32::from(*family) == libc::AF_INET6)?;
    attributes(of_v6).find(|(kind, _)| *kind == 8).and_then(|(_, value)| u8_at(value, 0))
}

/// One answer about addresses, `struct ifaddrmsg` and its attributes.
pub fn address_of(kind: u16, body: &[u8]) -> Option<Address> {
    if kind != RTM_NEWADDR {
        return None;
    }
    let mut flags = u32::from(u8_at(body, 2)?);
    let (mut local, mut other) = (None, None);
    let (mut broadcast, mut anycast, mut label, mut metric) = (None, None, None, None);
    let (mut valid, mut preferred) = (None, None);
    let limited = |seconds: Option<u32>| seconds.filter(|seconds| *seconds != u32::MAX);
    for (kind, value) in attributes(body.get(8..)?) {
        match kind {
            1 => other = address(value),
            2 => local = address(value),
            3 => label = Some(name(value)),
            4 => broadcast = address(value),
            5 => anycast = address(value),
            6 => (preferred, valid) = (limited(u32_at(value, 0)), limited(u32_at(value, 4))),
            8 => flags = u32_at(value, 0)?,
            9 => metric = u32_at(value, 0),
            _ => {}
        }
    }
    Some(Address {
        interface: u32_at(body, 4)?,
        prefix: u8_at(body, 1)?,
        scope: u8_at(body, 3)?,
        flags,
        local: local.or(other)?,
        peer: other.filter(|other| local.is_some_and(|local| local != *other)),
        broadcast,
        anycast,
        label,
        metric,
        valid,
        preferred,
    })
}

#[cfg(test)]
mod tests {
    use super::super::attribute;
    use super::*;

    #[test]
    fn interfaces_and_addresses_cut_at_any_length_never_panic() {
        let mut body = vec![0, 0, 1, 0, 7, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        attribute(&mut body, 3, b"eth0\0");
        attribute(&mut body, 52, &[8, 0, 53, 0, b'a', b'b', b'c', 0]);
        attribute(&mut body, 18, &[9, 0, 1, 0, b'v', b'e', b't', b'h', 0]);
        attribute(&mut body, 37, &(-1i32).to_ne_bytes());
        for end in 0..body.len() {
            let _ = (interface(RTM_NEWLINK, &body[..end]), address_of(RTM_NEWADDR, &body[..end]));
        }
        let link = interface(RTM_NEWLINK, &body).unwrap();
        assert_eq!((link.index, link.hardware, link.name.as_slice()), (7, 1, &b"eth0"[..]));
        assert_eq!(
            (link.names, link.kind.unwrap(), link.link_netnsid),
            (vec![b"abc".to_vec()], b"veth".to_vec(), Some(-1))
        );
    }

    #[test]
    fn the_peer_of_an_address_is_told_from_itself() {
        let ends = |local: &[u8], other: &[u8]| {
            let mut body = vec![2, 32, 0x80, 0, 3, 0, 0, 0];
            attribute(&mut body, 1, other);
            attribute(&mut body, 2, local);
            attribute(&mut body, 6, &[100, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
            address_of(RTM_NEWADDR, &body).unwrap()
        };
        assert_eq!(ends(&[10, 0, 0, 1], &[10, 0, 0, 1]).peer, None);
        let address = ends(&[10, 0, 0, 1], &[10, 0, 0, 2]);
        assert_eq!(address.peer, Some([10, 0, 0, 2].into()));
        assert_eq!((address.preferred, address.valid, address.flags), (Some(100), None, 0x80));
    }
}
