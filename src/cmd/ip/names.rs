//! Numbers of rtnetlink as iproute2 names them. Sources: linux/rtnetlink.h, linux/if_addr.h, linux/if_arp.h.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Pairs of a number and its name.
pub type Names = &'static [(u32, &'static str)];

/// RT_SCOPE_.
pub const SCOPES: Names = &[(0, "global"), (200, "site"), (253, "link"), (254, "host"), (255, "nowhere")];

/// Routing tables with names.
pub const TABLES: Names = &[(0, "unspec"), (253, "default"), (254, "main"), (255, "local")];

/// RTPROT_.
pub const PROTOCOLS: Names = &[
    (0, "unspec"),
    (1, "redirect"),
    (2, "kernel"),
    (3, "boot"),
    (4, "static"),
    (8, "gated"),
    (9, "ra"),
    (10, "mrt"),
    (11, "zebra"),
    (12, "bird"),
    (13, "dnrouted"),
    (14, "xorp"),
    (15, "ntk"),
    (16, "dhcp"),
    (18, "keepalived"),
    (42, "babel"),
    (99, "openr"),
    (186, "bgp"),
    (187, "isis"),
    (188, "ospf"),
    (189, "rip"),
    (192, "eigrp"),
];

/// RTN_.
pub const TYPES: Names = &[
    (0, "none"),
    (1, "unicast"),
    (2, "local"),
    (3, "broadcast"),
    (4, "anycast"),
    (5, "multicast"),
    (6, "blackhole"),
    (7, "unreachable"),
    (8, "prohibit"),
    (9, "throw"),
    (10, "nat"),
    (11, "xresolve"),
];

/// RTNH_F_ and RTM_F_ flags of a route, in the order in which they are shown.
pub const ROUTE_FLAGS: Names = &[
    (0x1, "dead"),
    (0x4, "onlink"),
    (0x2, "pervasive"),
    (0x8, "offload"),
    (0x40, "trap"),
    (0x100, "notify"),
    (0x10, "linkdown"),
    (0x20, "unresolved"),
    (0x4000, "rt_offload"),
    (0x8000, "rt_trap"),
];

/// RTCF_ flags of a route that was looked up.
pub const CACHE_FLAGS: Names = &[
    (0x8000_0000, "local"),
    (0x4000_0000, "reject"),
    (0x2000_0000, "mc"),
    (0x1000_0000, "brd"),
    (0x0800_0000, "dst-nat"),
    (0x0080_0000, "src-nat"),
    (0x0040_0000, "masq"),
    (0x0002_0000, "dst-direct"),
    (0x0400_0000, "src-direct"),
    (0x0004_0000, "redirected"),
    (0x0100_0000, "redirect"),
    (0x0020_0000, "fastroute"),
    (0x0001_0000, "notify"),
    (0x0008_0000, "proxy"),
];

/// RTAX_ metrics.
pub const METRICS: Names = &[
    (2, "mtu"),
    (3, "window"),
    (4, "rtt"),
    (5, "rttvar"),
    (6, "ssthresh"),
    (7, "cwnd"),
    (8, "advmss"),
    (9, "reordering"),
    (10, "hoplimit"),
    (11, "initcwnd"),
    (12, "features"),
    (13, "rto_min"),
    (14, "initrwnd"),
    (15, "quickack"),
    (16, "congctl"),
    (17, "fastopen_no_cookie"),
];

/// ICMPV6_ROUTER_PREF_.
pub const PREFERENCES: Names = &[(0, "medium"), (1, "high"), (3, "low")];

/// IN6_ADDR_GEN_MODE_.
pub const ADDRESS_MODES: Names = &[(0, "eui64"), (1, "none"), (2, "stable_secret"), (3, "random")];

/// IF_OPER_.
pub const STATES: Names = &[
    (0, "UNKNOWN"),
    (1, "NOTPRESENT"),
    (2, "DOWN"),
    (3, "LOWERLAYERDOWN"),
    (4, "TESTING"),
    (5, "DORMANT"),
    (6, "UP"),
];

/// IF_LINK_MODE_.
pub const MODES: Names = &[(0, "DEFAULT"), (1, "DORMANT")];

/// ARPHRD_.
pub const HARDWARE: Names = &[
    (1, "ether"),
    (32, "infiniband"),
    (280, "can"),
    (512, "ppp"),
    (519, "rawip"),
    (768, "ipip"),
    (769, "tunnel6"),
    (772, "loopback"),
    (776, "sit"),
    (778, "gre"),
    (779, "pimreg"),
    (801, "ieee802.11"),
    (802, "ieee802.11/prism"),
    (803, "ieee802.11/radiotap"),
    (804, "ieee802.15.4"),
    (823, "gre6"),
    (824, "netlink"),
    (825, "6lowpan"),
    (826, "vsockmon"),
    (0xfffe, "none"),
    (0xffff, "void"),
];

/// IFF_ flags, in the order in which they are shown. IFF_RUNNING is told by its absence.
pub const LINK_FLAGS: Names = &[
    (0x8, "LOOPBACK"),
    (0x2, "BROADCAST"),
    (0x10, "POINTOPOINT"),
    (0x1000, "MULTICAST"),
    (0x80, "NOARP"),
    (0x200, "ALLMULTI"),
    (0x100, "PROMISC"),
    (0x400, "MASTER"),
    (0x800, "SLAVE"),
    (0x4, "DEBUG"),
    (0x8000, "DYNAMIC"),
    (0x4000, "AUTOMEDIA"),
    (0x2000, "PORTSEL"),
    (0x20, "NOTRAILERS"),
    (0x1, "UP"),
    (0x1_0000, "LOWER_UP"),
    (0x2_0000, "DORMANT"),
    (0x4_0000, "ECHO"),
];

/// IFA_F_ flags, in the order in which they are shown. IFA_F_PERMANENT is told by its absence.
pub const ADDRESS_FLAGS: Names = &[
    (0x1, "secondary"),
    (0x2, "nodad"),
    (0x4, "optimistic"),
    (0x8, "dadfailed"),
    (0x10, "home"),
    (0x20, "deprecated"),
    (0x40, "tentative"),
    (0x80, "dynamic"),
    (0x100, "mngtmpaddr"),
    (0x200, "noprefixroute"),
    (0x400, "autojoin"),
    (0x800, "stable-privacy"),
];

/// NUD_ states.
pub const NEIGHBOUR_STATES: Names = &[
    (0x1, "INCOMPLETE"),
    (0x2, "REACHABLE"),
    (0x4, "STALE"),
    (0x8, "DELAY"),
    (0x10, "PROBE"),
    (0x20, "FAILED"),
    (0x40, "NOARP"),
    (0x80, "PERMANENT"),
];

/// NTF_ flags of a neighbour.
pub const NEIGHBOUR_FLAGS: Names =
    &[(0x80, "router"), (0x8, "proxy"), (0x10, "extern_learn"), (0x20, "offload")];

/// The name of a number, or the number.
pub fn name(names: Names, number: u32) -> String {
    known(names, number).map_or_else(|| number.to_string(), str::to_owned)
}

/// The name of a number, where it has one.
pub fn known(names: Names, number: u32) -> Option<&'static str> {
    names.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

/// The number of a name, or of a number in digits.
pub fn number(names: Names, text: &str) -> Option<u32> {
    names.iter().find(|(_, name)| *name == text).map(|(number, _)| *number).or_else(|| text.parse().ok())
}

/// The names of the bits that are set; what has no name, as a hexadecimal number.
pub fn bits(names: Names, set: u32) -> Vec<String> {
    let mut all: Vec<String> =
        names.iter().filter(|(bit, _)| set & bit != 0).map(|(_, name)| (*name).to_owned()).collect();
    let rest = names.iter().fold(set, |rest, (bit, _)| rest & !bit);
    if rest != 0 {
        all.push(format!("{rest:x}"));
    }
    all
}

/// The flags of an interface as they are shown: without IFF_RUNNING, which is told by NO-CARRIER.
pub fn link_flags(flags: u32) -> Vec<String> {
    const UP: u32 = 1;
    const RUNNING: u32 = 0x40;
    let mut all = bits(LINK_FLAGS, flags & !RUNNING);
    if flags & UP != 0 && flags & RUNNING == 0 {
        all.insert(0, "NO-CARRIER".to_owned());
    }
    all
}

/// The flags of an address as they are shown.
pub fn address_flags(flags: u32, v6: bool) -> Vec<String> {
    const PERMANENT: u32 = 0x80;
    let mut all = bits(ADDRESS_FLAGS, flags ^ PERMANENT);
    if let Some(first) = all.first_mut().filter(|first| v6 && *first == "secondary") {
        *first = "temporary".to_owned();
    }
    all
}

/// A hardware address; of a tunnel it is an IP address.
pub fn hardware_address(bytes: &[u8], hardware: u16) -> String {
    if let (768 | 776 | 778, Ok(v4)) = (hardware, <[u8; 4]>::try_from(bytes)) {
        return Ipv4Addr::from(v4).to_string();
    }
    if let (769 | 823, Ok(v6)) = (hardware, <[u8; 16]>::try_from(bytes)) {
        return Ipv6Addr::from(v6).to_string();
    }
    bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// `10.0.0.0/8`, `default`, or an address.
pub fn prefix(text: &str) -> Option<(Option<IpAddr>, u8)> {
    if matches!(text, "default" | "any" | "all") {
        return Some((None, 0));
    }
    let (address, bits) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = if bits.is_empty() && !text.contains('/') { most } else { bits.parse().ok()? };
    (bits <= most).then_some((Some(address), bits))
}

/// Whether the first `bits` of two addresses of one family are the same.
pub fn same_bits(a: IpAddr, b: IpAddr, bits: u8) -> bool {
    let (a, b): (Vec<u8>, Vec<u8>) = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.octets().into(), b.octets().into()),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.octets().into(), b.octets().into()),
        _ => return false,
    };
    a.iter().zip(&b).enumerate().all(|(at, (a, b))| {
        let left = u32::from(bits).saturating_sub(at as u32 * 8).min(8);
        (a ^ b) & 0xffu8.checked_shl(8 - left).unwrap_or(0) == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_read_as_iproute2_writes_them() {
        assert_eq!(link_flags(0x1_1043), ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"]);
        assert_eq!(link_flags(0x1003), ["NO-CARRIER", "BROADCAST", "MULTICAST", "UP"]);
        assert_eq!(link_flags(0x8000_0000), ["80000000"]);
        assert_eq!(address_flags(0x80, false), Vec::<String>::new());
        assert_eq!(address_flags(0x1, true), ["temporary", "dynamic"]);
        assert_eq!((name(TABLES, 254), name(TABLES, 100)), ("main".into(), "100".into()));
        assert_eq!((number(TABLES, "local"), number(TABLES, "x")), (Some(255), None));
    }

    #[test]
    fn prefixes_cover_addresses() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (a, b, bits, same) in [
            ("10.5.1.1", "10.5.0.0", 16, true),
            ("10.5.1.1", "10.5.0.0", 24, false),
            ("10.5.1.1", "11.0.0.0", 0, true),
            ("10.5.1.1", "10.5.1.2", 31, false),
            ("fd00::1", "fd00::", 127, true),
            ("fd00::1", "fd00::", 128, false),
            ("10.0.0.1", "fd00::", 0, false),
        ] {
            assert_eq!(same_bits(ip(a), ip(b), bits), same, "{a} {b}/{bits}");
        }
        assert_eq!(prefix("default"), Some((None, 0)));
        assert_eq!(prefix("10.0.0.1"), Some((Some(ip("10.0.0.1")), 32)));
        for wrong in ["", "/8", "10.0.0.0/33", "10.0.0.0/", "fd00::/129", "x", "10.0.0.0/-1"] {
            assert_eq!(prefix(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hardware_addresses_of_tunnels_are_ip_addresses() {
        assert_eq!(hardware_address(&[2, 0, 0, 0, 0, 9], 1), "02:00:00:00:00:09");
        assert_eq!(hardware_address(&[10, 0, 0, 1], 768), "10.0.0.1");
        assert_eq!(hardware_address(&[10, 0, 0, 1], 1), "0a:00:00:01");
    }
}
