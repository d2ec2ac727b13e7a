//! The operands of `tcp`: hosts and ports in the forms that people type.

use std::ffi::OsString;
use std::net::Ipv6Addr;

use crate::cmd::net::ports;
use crate::cmd::{Fault, Result};
use crate::out::name::escape;

/// So many connections are tried at most in one run.
const LIMIT: usize = 200_000;

/// Pairs of a host and a port, in the order in which they were typed.
///
/// # Errors
/// A usage fault that names the operand.
pub fn parse(operands: &[OsString]) -> Result<Vec<(String, u16)>> {
    let mut all = Vec::new();
    let mut host: Option<String> = None;
    let mut has_ports = true;
    for operand in operands {
        let word = operand.to_str().ok_or_else(|| Fault::usage("a host is text"))?;
        if word.is_empty() {
            return Err(Fault::usage("the host is empty"));
        }
        let looks_like_ports = word.bytes().all(|b| b.is_ascii_digit() || matches!(b, b',' | b'-'));
        let (own, list) = match (&host, looks_like_ports) {
            (Some(host), true) => (host.clone(), ports(word)?),
            (None, true) => return Err(Fault::usage(format!("the host of port {word} is missing"))),
            (_, false) => match split(word)? {
                (own, Some(list)) => (own, list),
                (own, None) => {
                    require(&host, has_ports)?;
                    (host, has_ports) = (Some(own), false);
                    continue;
                }
            },
        };
        if looks_like_ports {
            has_ports = true;
        } else {
            require(&host, has_ports)?;
            (host, has_ports) = (Some(own.clone()), true);
        }
        if all.len() + list.len() > LIMIT {
            return Err(Fault::usage(format!("more than {LIMIT} ports at once")));
        }
        all.extend(list.into_iter().map(|port| (own.clone(), port)));
    }
    require(&host, has_ports)?;
    Ok(all)
}

fn require(host: &Option<String>, has_ports: bool) -> Result<()> {
    match host {
        Some(host) if !has_ports => {
            let host = escape(host.as_bytes());
            Err(Fault::usage(format!("the port of {host} is missing: {host}:PORT, or {host} PORT")))
        }
        _ => Ok(()),
    }
}

/// `HOST:PORTS`, `[ADDRESS]:PORTS`, or a host alone; an IPv6 address without brackets has no port.
fn split(word: &str) -> Result<(String, Option<Vec<u16>>)> {
    if let Some(rest) = word.strip_prefix('[') {
        let wrong = || Fault::usage(format!("'{}' is not [ADDRESS]:PORT", escape(word.as_bytes())));
        let (address, rest) = rest.split_once(']').ok_or_else(wrong)?;
        return match rest.strip_prefix(':') {
            Some(list) => Ok((address.to_owned(), Some(ports(list)?))),
            None if rest.is_empty() => Ok((address.to_owned(), None)),
            None => Err(wrong()),
        };
    }
    let bare = word.split('%').next().unwrap_or_default();
    if bare.parse::<Ipv6Addr>().is_ok() {
        return Ok((word.to_owned(), None));
    }
    match word.rsplit_once(':') {
        Some((host, list)) => Ok((host.to_owned(), Some(ports(list)?))),
        None => Ok((word.to_owned(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<String> {
        let operands: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let all = parse(&operands)?;
        Ok(all.iter().map(|(host, port)| format!("{host}/{port}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn hosts_and_ports_in_all_forms() {
        for (line, pairs) in [
            ("web:80", "web/80"),
            ("web 80 443", "web/80 web/443"),
            ("web:80 443 db 1-2", "web/80 web/443 db/1 db/2"),
            ("[::1]:80,81", "::1/80 ::1/81"),
            ("::1 80 [fe80::1%eth0]:1", "::1/80 fe80::1%eth0/1"),
            ("a:1 b:2", "a/1 b/2"),
        ] {
            assert_eq!(parsed(line).unwrap(), pairs, "{line}");
        }
        for (line, words) in [
            ("web", "the port of web is missing"),
            ("web db 80", "the port of web is missing"),
            ("a:1 db", "the port of db is missing"),
            ("80", "the host of port 80 is missing"),
            ("web:0", "'0' is not a port: it is 1 to 65535"),
            ("web:65536", "'65536' is not a port"),
            ("web 65536", "'65536' is not a port"),
            ("web:http", "'http' is not a port"),
            ("web:", "'' is not a port"),
            ("[::1", "is not [ADDRESS]:PORT"),
            ("a:1-65535 b:1-65535 c:1-65535 d:1-65535", "more than 200000 ports"),
        ] {
            assert!(parsed(line).unwrap_err().to_string().contains(words), "{line}");
        }
    }
}
