//! What `-i` takes: `[46][tcp|udp|raw][@ADDRESS][:PORTS]`, and what `-s` takes: `TCP:LISTEN,^CLOSE`.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::sockets::{Inet, STATES};
use crate::cmd::{Fault, Result};
use crate::out::name::escape;

/// Internet sockets that are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    v6: Option<bool>,
    protocol: Option<&'static str>,
    /// Any of them; all where there is none.
    addresses: Vec<IpAddr>,
    ports: Vec<RangeInclusive<u16>>,
}

impl Address {
    /// Parses the word.
    ///
    /// # Errors
    /// A usage fault that says what is wrong with it.
    pub fn parse(word: &str) -> Result<Self> {
        let mut address = Self::default();
        let mut rest = word;
        for (digit, v6) in [('4', false), ('6', true)] {
            if address.v6.is_none()
                && let Some(after) = rest.strip_prefix(digit)
            {
                (address.v6, rest) = (Some(v6), after);
            }
        }
        let end = rest.find(['@', ':']).unwrap_or(rest.len());
        let (protocol, mut rest) = rest.split_at(end);
        address.protocol = match protocol.to_ascii_lowercase().as_str() {
            "" => None,
            "tcp" => Some("TCP"),
            "udp" => Some("UDP"),
            "raw" => Some("RAW"),
            _ => return Err(wrong(word, "it is [46][tcp|udp|raw][@ADDRESS][:PORTS]")),
        };
        if let Some(after) = rest.strip_prefix('@') {
            let (host, after) = match after.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
                Some((host, after)) => (host, after),
                None => after.split_at(after.find(':').unwrap_or(after.len())),
            };
            address.addresses = match (host, host.parse()) {
                (_, Ok(ip)) => vec![ip],
                ("localhost", _) => {
                    vec![IpAddr::from([127, 0, 0, 1]), "::1".parse().unwrap_or(IpAddr::from([127, 0, 0, 1]))]
                }
                _ => {
                    return Err(wrong(
                        word,
                        "names are not looked up: give an address, an IPv6 one in brackets",
                    ));
                }
            };
            rest = after;
        }
        if let Some(ports) = rest.strip_prefix(':') {
            for part in ports.split(',') {
                let (from, to) = part.split_once('-').unwrap_or((part, part));
                match (from.parse(), to.parse()) {
                    (Ok(from), Ok(to)) if from <= to => address.ports.push(from..=to),
                    _ => {
                        return Err(wrong(word, "a port is a number, a range 8000-8010, or a list of those"));
                    }
                }
            }
        } else if !rest.is_empty() {
            return Err(wrong(word, "it is [46][tcp|udp|raw][@ADDRESS][:PORTS]"));
        }
        Ok(address)
    }

    /// Whether a socket, or its peer, is what is asked for.
    pub fn takes(&self, socket: &Inet) -> bool {
        let ends = [socket.local, socket.remote];
        // The same end has both, the address and the port.
        let end = |(ip, port): &(IpAddr, u16)| {
            (self.addresses.is_empty() || self.addresses.contains(&plain(*ip)))
                && (self.ports.is_empty() || self.ports.iter().any(|range| range.contains(port)))
        };
        self.v6.is_none_or(|v6| v6 == socket.v6)
            && self.protocol.is_none_or(|protocol| protocol == socket.protocol)
            && ends.iter().any(end)
    }
}

/// An IPv4 address that an IPv6 socket has, as IPv4.
fn plain(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

fn wrong(word: &str, why: &str) -> Fault {
    Fault::usage(format!("-i {}: {why}", escape(word.as_bytes())))
}

/// States of `-s`: those that are asked for, and those that are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct States {
    only: Vec<&'static str>,
    not: Vec<&'static str>,
}

impl States {
    /// Parses `TCP:LISTEN,ESTABLISHED` or `TCP:^LISTEN`.
    ///
    /// # Errors
    /// A usage fault that names the state, or the form.
    pub fn parse(words: &[String]) -> Result<Self> {
        let mut states = Self::default();
        for word in words {
            let Some((protocol, list)) = word.split_once(':') else {
                return Err(Fault::usage("-s takes a protocol and its states, as TCP:LISTEN"));
            };
            if !protocol.eq_ignore_ascii_case("tcp") {
                return Err(Fault::usage("-s knows states of TCP alone, as TCP:LISTEN"));
            }
            for name in list.split(',') {
                let (bare, to) = match name.strip_prefix('^') {
                    Some(bare) => (bare, &mut states.not),
                    None => (name, &mut states.only),
                };
                let known = STATES.iter().find(|state| state.eq_ignore_ascii_case(bare) && !state.is_empty());
                to.push(known.ok_or_else(|| {
                    let known: Vec<&str> = STATES.iter().copied().filter(|state| !state.is_empty()).collect();
                    Fault::usage(format!(
                        "unknown state '{}'; known are {}",
                        escape(bare.as_bytes()),
                        known.join(", ")
                    ))
                })?);
            }
        }
        Ok(states)
    }

    /// Whether a socket is in one of them. Only TCP has states.
    pub fn takes(&self, socket: &Inet) -> bool {
        socket.protocol != "TCP"
            || ((self.only.is_empty() || self.only.contains(&socket.state))
                && !self.not.contains(&socket.state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(local: &str, remote: &str) -> Inet {
        let end = |text: &str| {
            let address: std::net::SocketAddr = text.parse().unwrap();
            (address.ip(), address.port())
        };
        let (local, remote) = (end(local), end(remote));
        Inet { protocol: "TCP", v6: local.0.is_ipv6(), local, remote, state: "LISTEN" }
    }

    #[test]
    fn addresses_as_fingers_know_them() {
        let server = socket("10.0.0.1:8080", "10.0.0.2:4312");
        let six = socket("[::ffff:10.0.0.1]:80", "[::]:0");
        for (word, four, v6) in [
            ("", true, true),
            (":8080", true, false),
            ("tcp", true, true),
            ("TCP:80", false, true),
            ("udp", false, false),
            ("4", true, false),
            ("6tcp", false, true),
            ("@10.0.0.1", true, true),
            ("@10.0.0.1:4312", false, false),
            ("@10.0.0.2:4312", true, false),
            ("4tcp@10.0.0.2:1-5,4000-5000", true, false),
            ("@[::1]", false, false),
        ] {
            let address = Address::parse(word).unwrap();
            assert_eq!((address.takes(&server), address.takes(&six)), (four, v6), "{word}");
        }
        for (word, why) in [
            ("sctp", "[46][tcp|udp|raw]"),
            (":http", "a port is a number"),
            (":9-1", "a port"),
            (":", "a port"),
            ("@example.com", "not looked up"),
            ("@1.2.3.4x", "not looked up"),
            ("@[::1]x", "[46]"),
            (":70000", "a port"),
        ] {
            assert!(Address::parse(word).unwrap_err().to_string().contains(why), "{word}");
        }
    }

    #[test]
    fn states_are_wanted_or_not() {
        let listening = socket("10.0.0.1:8080", "0.0.0.0:0");
        let takes = |word: &str| States::parse(&[word.to_owned()]).map(|states| states.takes(&listening));
        assert_eq!(takes("TCP:listen"), Ok(true));
        assert_eq!(takes("tcp:ESTABLISHED"), Ok(false));
        assert_eq!(takes("TCP:^LISTEN"), Ok(false));
        assert!(takes("TCP:OPEN").unwrap_err().to_string().contains("known are ESTABLISHED"));
        assert!(takes("LISTEN").is_err() && takes("UDP:Idle").is_err());
    }
}
