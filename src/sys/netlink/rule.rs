//! Rules of routing through rtnetlink(7): which table is asked for which packets. Layouts from linux/fib_rules.h.

use std::net::IpAddr;

use super::{address, attributes, name, u8_at, u16_at, u32_at, u64_at};

/// Asks for rules.
pub const RTM_GETRULE: u16 = 34;
const RTM_NEWRULE: u16 = 32;

/// FIB_RULE_INVERT: it is for packets that it does not match.
pub const INVERT: u32 = 2;
/// FIB_RULE_UNRESOLVED: there is no rule where it goes to.
pub const UNRESOLVED: u32 = 4;
/// FIB_RULE_IIF_DETACHED: the interface is not there.
pub const INPUT_DETACHED: u32 = 8;
/// FIB_RULE_OIF_DETACHED: as for the other one.
pub const OUTPUT_DETACHED: u32 = 16;

/// A rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Whether it is one of IPv6.
    pub v6: bool,
    /// Lower comes first.
    pub priority: u32,
    /// FIB_RULE_ flags.
    pub flags: u32,
    /// FR_ACT_ number.
    pub action: u8,
    /// For packets from there: the address, and bits of it that count.
    pub from: (Option<IpAddr>, u8),
    /// For packets to there.
    pub to: (Option<IpAddr>, u8),
    /// Type of service.
    pub tos: u8,
    /// Firewall mark, and which bits of it count.
    pub mark: Option<(u32, u32)>,
    /// The interface that packets came by.
    pub input: Option<Vec<u8>>,
    /// The interface that a socket is bound to.
    pub output: Option<Vec<u8>>,
    /// The table is that of the interface's VRF.
    pub is_vrf: bool,
    /// The first and the last user, as the network namespace counts.
    pub users: Option<(u32, u32)>,
    /// Protocol of IP.
    pub ip_protocol: Option<u8>,
    /// The first and the last port.
    pub source_ports: Option<(u16, u16)>,
    /// The first and the last port.
    pub destination_ports: Option<(u16, u16)>,
    /// The tunnel.
    pub tunnel: Option<u64>,
    /// The table that is asked.
    pub table: u32,
    /// Routes with a prefix of at most so many bits do not count.
    pub suppressed_prefix: Option<u32>,
    /// Routes by an interface of this group do not count.
    pub suppressed_group: Option<u32>,
    /// Two realms, in the upper and the lower half.
    pub realms: Option<u32>,
    /// The rule at which to go on.
    pub goto: Option<u32>,
    /// RTPROT_ number: who made it.
    pub protocol: Option<u8>,
}

/// The request for the rules of a family.
pub fn request(family: u8) -> Vec<u8> {
    let mut request = vec![family];
    request.resize(12, 0);
    request
}

/// One answer about rules, `struct fib_rule_hdr` and its attributes.
pub fn rule(kind: u16, body: &[u8]) -> Option<Rule> {
    if kind != RTM_NEWRULE {
        return None;
    }
    let mut rule = Rule {
        v6: i32::from(u8_at(body, 0)?) == libc::AF_INET6,
        to: (None, u8_at(body, 1)?),
        from: (None, u8_at(body, 2)?),
        tos: u8_at(body, 3)?,
        table: u8_at(body, 4)?.into(),
        action: u8_at(body, 7)?,
        flags: u32_at(body, 8)?,
        ..Rule::default()
    };
    let (mut mark, mut mask) = (None, None);
    // 0xffffffff says that nothing is suppressed.
    let limit = |value: &[u8]| u32_at(value, 0).filter(|limit| *limit != u32::MAX);
    let ports = |value: &[u8]| u16_at(value, 0).zip(u16_at(value, 2));
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            1 => rule.to.0 = address(value),
            2 => rule.from.0 = address(value),
            3 => rule.input = Some(name(value)),
            4 => rule.goto = u32_at(value, 0),
            6 => rule.priority = u32_at(value, 0)?,
            10 => mark = u32_at(value, 0),
            11 => rule.realms = u32_at(value, 0).filter(|realms| *realms != 0),
            // In network byte order.
            12 => rule.tunnel = u64_at(value, 0).map(u64::from_be),
            13 => rule.suppressed_group = limit(value),
            14 => rule.suppressed_prefix = limit(value),
            15 => rule.table = u32_at(value, 0)?,
            16 => mask = u32_at(value, 0),
            17 => rule.output = Some(name(value)),
            19 => rule.is_vrf = u8_at(value, 0).is_some_and(|is| is != 0),
            20 => rule.users = u32_at(value, 0).zip(u32_at(value, 4)),
            21 => rule.protocol = u8_at(value, 0),
            22 => rule.ip_protocol = u8_at(value, 0),
            23 => rule.source_ports = ports(value),
            24 => rule.destination_ports = ports(value),
            _ => {}
        }
    }
    if mark.is_some() || mask.is_some() {
        rule.mark = Some((mark.unwrap_or(0), mask.unwrap_or(u32::MAX)));
    }
    Some(rule)
}

#[cfg(test)]
mod tests {
    use super::super::attribute;
    use super::*;

    #[test]
    fn rules_cut_at_any_length_never_panic() {
        let mut body = vec![2, 0, 16, 0, 254, 0, 0, 1, 2, 0, 0, 0];
        attribute(&mut body, 2, &[10, 1, 0, 0]);
        attribute(&mut body, 6, &300u32.to_ne_bytes());
        attribute(&mut body, 14, &u32::MAX.to_ne_bytes());
        attribute(&mut body, 16, &0xffu32.to_ne_bytes());
        attribute(&mut body, 24, &[80, 0, 90, 0]);
        for end in 0..body.len() {
            let _ = rule(RTM_NEWRULE, &body[..end]);
        }
        let rule = rule(RTM_NEWRULE, &body).unwrap();
        assert_eq!((rule.priority, rule.flags, rule.suppressed_prefix), (300, INVERT, None));
        assert_eq!((rule.from, rule.mark), ((Some([10, 1, 0, 0].into()), 16), Some((0, 0xff))));
        assert!(super::rule(24, &body).is_none());
    }
}
