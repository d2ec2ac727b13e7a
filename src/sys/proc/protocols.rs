//! What the protocols of a network namespace have counted, and its members of multicast groups: text files of `PID/net`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::errno::Errno;

use super::Reader;

/// A counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// The protocol, as the kernel names it: `Tcp`, `TcpExt`, `Udp6`.
    pub protocol: String,
    /// Its name: `RetransSegs`.
    pub name: String,
    /// How often; some are no counters and may be negative.
    pub value: i128,
}

/// An interface's membership of a multicast group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The interface.
    pub interface: Vec<u8>,
    /// The group.
    pub group: IpAddr,
    /// How many ask for it.
    pub references: u32,
}

impl Reader<'_> {
    /// Counters of all protocols.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn counters(&mut self, pid: i32) -> nix::Result<Vec<Counter>> {
        let mut all = Vec::new();
        for name in ["snmp", "netstat"] {
            parse_pairs(&self.net(pid, name)?, &mut all);
        }
        match self.net(pid, "snmp6") {
            Ok(text) => parse_lines(&text, &mut all),
            // A kernel without IPv6.
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        Ok(all)
    }

    /// Memberships of multicast groups, first those of IPv4.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn memberships(&mut self, pid: i32) -> nix::Result<Vec<Membership>> {
        let mut all = Vec::new();
        for (name, parse) in [("igmp", parse_igmp as fn(&[u8], &mut Vec<Membership>)), ("igmp6", parse_igmp6)]
        {
            match self.net(pid, name) {
                Ok(text) => parse(&text, &mut all),
                // A kernel without multicast, or without IPv6.
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(all)
    }
}

/// Two lines each: `Tcp: NAME NAME`, `Tcp: 1 2`.
pub(crate) fn parse_pairs(text: &[u8], all: &mut Vec<Counter>) {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((protocol, names)), Some((_, values))) = (names.split_once(':'), values.split_once(':'))
        else {
            continue;
        };
        for (name, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
            if let Ok(value) = value.parse() {
                all.push(Counter { protocol: protocol.to_owned(), name: name.to_owned(), value });
            }
        }
    }
}

/// `Ip6InReceives 7`.
pub(crate) fn parse_lines(text: &[u8], all: &mut Vec<Counter>) {
    const PROTOCOLS: [&str; 4] = ["UdpLite6", "Icmp6", "Udp6", "Ip6"];
    for line in String::from_utf8_lossy(text).lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        let named = PROTOCOLS.iter().find_map(|protocol| Some((*protocol, name.strip_prefix(protocol)?)));
        if let (Some((protocol, name)), Ok(value)) = (named, value.parse()) {
            all.push(Counter { protocol: protocol.to_owned(), name: name.to_owned(), value });
        }
    }
}

/// A line for each interface, `1\tlo        :     1      V3`, then an indented one for each group: `\t\t\t\t010000E0     1`.
pub(crate) fn parse_igmp(text: &[u8], all: &mut Vec<Membership>) {
    let mut interface = Vec::new();
    for line in text.split(|byte| *byte == b'\n').skip(1) {
        let is_interface = line.first().is_some_and(u8::is_ascii_digit);
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let Some(first) = words.next() else { continue };
        if is_interface {
            let name = words.next().unwrap_or_default();
            interface = name.strip_suffix(b":").unwrap_or(name).to_vec();
            continue;
        }
        let text = |word: &'_ [u8]| std::str::from_utf8(word).ok().map(str::to_owned);
        // As it lies in memory.
        let group = text(first).and_then(|hex| u32::from_str_radix(&hex, 16).ok());
        let references = words.next().and_then(text).and_then(|number| number.parse().ok());
        if let (Some(group), Some(references)) = (group, references) {
            let group = IpAddr::V4(Ipv4Addr::from(group.to_ne_bytes()));
            all.push(Membership { interface: interface.clone(), group, references });
        }
    }
}

/// `1    lo              ff020000000000000000000000000001     1 0000000C 0`.
pub(crate) fn parse_igmp6(text: &[u8], all: &mut Vec<Membership>) {
    for line in text.split(|byte| *byte == b'\n') {
        let words: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        let [_, interface, group, references, ..] = words.as_slice() else { continue };
        let text = |word: &[u8]| std::str::from_utf8(word).ok().map(str::to_owned);
        let group = text(group).and_then(|hex| u128::from_str_radix(&hex, 16).ok());
        let references = text(references).and_then(|number| number.parse().ok());
        if let (Some(group), Some(references)) = (group, references) {
            let group = IpAddr::V6(Ipv6Addr::from(group));
            all.push(Membership { interface: interface.to_vec(), group, references });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_cut_at_any_length_never_panic() {
        let snmp = b"Tcp: MaxConn InSegs\nTcp: -1 7\nIcmpMsg: \nIcmpMsg: \n";
        let igmp = b"Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
            1\tlo        :     1      V3\n\t\t\t\t010000E0     2 0:00000000\t\t0\n";
        let igmp6 = b"1    lo              ff020000000000000000000000000001     3 0000000C 0\n";
        let all = |end: usize| {
            let (mut counters, mut members) = (Vec::new(), Vec::new());
            parse_pairs(&snmp[..end.min(snmp.len())], &mut counters);
            parse_lines(&b"UdpLite6InErrors 5\n"[..end.min(19)], &mut counters);
            parse_igmp(&igmp[..end.min(igmp.len())], &mut members);
            parse_igmp6(&igmp6[..end.min(igmp6.len())], &mut members);
            (counters, members)
        };
        for end in 0..igmp.len() {
            all(end);
        }
        let (counters, members) = all(igmp.len());
        let said: Vec<_> = counters.iter().map(|c| (c.protocol.as_str(), c.name.as_str(), c.value)).collect();
        assert_eq!(said, [("Tcp", "MaxConn", -1), ("Tcp", "InSegs", 7), ("UdpLite6", "InErrors", 5)]);
        let said: Vec<_> = members.iter().map(|m| (m.group.to_string(), m.references)).collect();
        #[cfg(target_endian = "little")]
        assert_eq!(said, [("224.0.0.1".to_owned(), 2), ("ff02::1".to_owned(), 3)]);
    }
}
