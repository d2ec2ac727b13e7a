//! Names to addresses, as the container finds them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::fail::status;
use crate::cmd::{Fault, Result};
use crate::out::fault::errno_text;
use crate::out::name::escape;
use crate::sys::dns::{Asked, Client, Kind, Outcome, code_name};
use crate::sys::open::Refused;
use crate::sys::resolv::{Config, Hosts, Order, Source, localhost, passed_over};

/// Which kinds of address are wanted: all, or those of one kind alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Families {
    /// IPv4 only.
    pub v4: bool,
    /// IPv6 only.
    pub v6: bool,
}

impl Families {
    /// Whether an address is of a wanted kind.
    pub fn take(self, ip: &IpAddr) -> bool {
        (!self.v4 || ip.is_ipv4()) && (!self.v6 || ip.is_ipv6())
    }
}

/// What the container knows of names.
pub struct Names {
    /// resolv.conf.
    pub config: Config,
    /// hosts.
    pub hosts: Hosts,
    /// nsswitch.conf.
    pub order: Order,
}

impl Names {
    /// Reads the container's files.
    pub fn read() -> Self {
        Self { config: Config::read(), hosts: Hosts::read(), order: Order::read() }
    }
    /// The addresses of a name, by the container's hosts, nsswitch and resolv.conf.
    ///
    /// # Errors
    /// 6 where there are none, 28 where the time was up.
    pub fn look_up(&self, host: &str, families: Families, limit: Instant) -> Result<Vec<IpAddr>> {
        if host.is_empty() || host.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control()) {
            return Err(Fault::text("resolve", host, "not a host name").with_status(status::RESOLVE));
        }
        let wanted = |ip: &IpAddr| families.take(ip);
        let mut asked = Vec::new();
        for (source, ends) in &self.order.0 {
            match source {
                Source::Files => {
                    let mut found = self.hosts.lookup(host);
                    found.retain(wanted);
                    match found.is_empty() {
                        true if ends.missing => break,
                        false if ends.found => return Ok(found),
                        _ => {}
                    }
                }
                // As curl and browsers have it.
                Source::Dns if localhost(host).is_some() => {}
                Source::Dns => {
                    let mut kinds = Vec::new();
                    if !families.v4 {
                        kinds.push(Kind::AAAA);
                    }
                    if !families.v6 {
                        kinds.push(Kind::A);
                    }
                    let lookup = Client::new(&self.config).lookup(host, &kinds, Some(limit));
                    if !lookup.addresses.is_empty() && ends.found {
                        return Ok(lookup.addresses);
                    }
                    let cut = lookup.cut;
                    let is_last = lookup.ends(*ends);
                    asked.extend(lookup.asked);
                    if cut {
                        let text = format!(
                            "the time limit has passed{}{}",
                            who_was_asked(&asked),
                            what_was_passed_over()
                        );
                        return Err(Fault::text("resolve", host, text).with_status(status::TIME));
                    }
                    if is_last {
                        break;
                    }
                }
            }
        }
        if let Some(loopback) = localhost(host) {
            return Ok(loopback.into_iter().filter(wanted).collect());
        }
        let text = format!("{}{}{}", why_not(&asked), who_was_asked(&asked), what_was_passed_over());
        Err(Fault::text("resolve", host, text).with_status(status::RESOLVE))
    }
}

/// Why no address was found, from the worst that a server said.
pub fn why_not(asked: &[Asked]) -> &'static str {
    let any = |test: fn(&Outcome) -> bool| asked.iter().any(|one| test(&one.outcome));
    if asked.is_empty() {
        "no such name in /etc/hosts"
    } else if any(|o| matches!(o, Outcome::NoData)) {
        "the name has no address"
    } else if any(|o| matches!(o, Outcome::Silent(_) | Outcome::Unreachable(_))) {
        "no name server answered"
    } else if any(|o| matches!(o, Outcome::Code(_) | Outcome::Garbled(_))) {
        "the name server failed"
    } else {
        "no such name"
    }
}

/// `; /etc/resolv.conf is a FIFO`: files that say nothing, though they are there.
pub fn what_was_passed_over() -> String {
    let each = passed_over().into_iter().map(|(path, why)| match why {
        Refused::Kind(kind) => format!("; {path} is {kind}"),
        Refused::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            format!("; {path} is too large")
        }
        Refused::Io(error) => format!("; {path}: {}", errno_text(error.raw_os_error().unwrap_or(libc::EIO))),
    });
    each.collect()
}

/// ` (asked 10.0.0.10: NXDOMAIN for a.b, a.b.c; 10.0.0.11: no answer in 5 s)`.
fn who_was_asked(asked: &[Asked]) -> String {
    let mut groups: Vec<(SocketAddr, String, Vec<&str>)> = Vec::new();
    for one in asked {
        let what = match &one.outcome {
            Outcome::Addresses(_) => continue,
            Outcome::NoData => "no address".to_owned(),
            Outcome::NoName => "NXDOMAIN".to_owned(),
            Outcome::Code(code) => code_name(*code),
            Outcome::Silent(time) => format!("no answer in {:.1} s", time.as_secs_f64()),
            Outcome::Unreachable(errno) => errno_text(*errno),
            Outcome::Garbled(why) => (*why).to_owned(),
        };
        match groups.iter_mut().find(|(server, known, _)| *server == one.server && *known == what) {
            Some((_, _, names)) if names.contains(&one.name.as_str()) => {}
            Some((_, _, names)) => names.push(&one.name),
            None => groups.push((one.server, what, vec![&one.name])),
        }
    }
    if groups.is_empty() {
        return String::new();
    }
    let texts: Vec<String> = groups
        .iter()
        .map(|(server, what, names)| {
            let server = if server.port() == 53 { server.ip().to_string() } else { server.to_string() };
            let names: Vec<String> = names.iter().map(|name| escape(name.as_bytes())).collect();
            format!("{server}: {what} for {}", names.join(", "))
        })
        .collect();
    format!(" (asked {})", texts.join("; "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_servers_said_is_told_apart() {
        let one = |name: &str, outcome| Asked {
            name: name.into(),
            kind: Kind::A,
            server: "10.0.0.10:53".parse().unwrap(),
            outcome,
            took: Duration::ZERO,
        };
        let asked = [one("a.b", Outcome::NoName), one("a", Outcome::NoName), one("a", Outcome::Code(2))];
        assert_eq!(
            who_was_asked(&asked),
            " (asked 10.0.0.10: NXDOMAIN for a.b, a; 10.0.0.10: SERVFAIL for a)"
        );
        assert_eq!(why_not(&asked), "the name server failed");
        assert_eq!(why_not(&asked[..2]), "no such name");
    }
}
