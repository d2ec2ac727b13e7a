//! What hosts are reached by: names, and addresses in digits.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use super::names::{Families, Names};
use crate::cmd::{Fault, Result};

/// Looking a name up takes no longer.
const LIMIT: Duration = Duration::from_secs(60);

/// Looks names up as the container does: hosts, nsswitch and resolv.conf.
pub struct Resolver {
    names: Names,
    families: Families,
}

impl Resolver {
    /// Reads the container's files. `v4` and `v6` ask for addresses of one family.
    pub fn read(v4: bool, v6: bool) -> Self {
        Self { names: Names::read(), families: Families { v4, v6 } }
    }

    fn none(&self, host: &str) -> Fault {
        let family = if self.families.v4 { "IPv4" } else { "IPv6" };
        Fault::text("resolve", host, format!("no {family} address"))
    }

    /// The addresses of a name or of an address (an IPv6 one may name its interface, `fe80::1%eth0`), at least one.
    ///
    /// # Errors
    /// A fault that says why there is none.
    pub fn addresses(&self, host: &str, until: Option<Instant>) -> Result<Vec<SocketAddr>> {
        if let Some(address) = literal(host) {
            return if self.families.take(&address.ip()) { Ok(vec![address]) } else { Err(self.none(host)) };
        }
        let until = until.unwrap_or_else(|| Instant::now() + LIMIT);
        let mut found =
            self.names.look_up(host, self.families, until).map_err(|fault| fault.with_status(1))?;
        found.retain(|address: &IpAddr| self.families.take(address));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_name_an_interface() {
        assert_eq!(literal("10.0.0.1").unwrap().to_string(), "10.0.0.1:0");
        assert_eq!(literal("fe80::1%7").unwrap().to_string(), "[fe80::1%7]:0");
        for wrong in ["", "web", "10.0.0", "1.2.3.4%1", "fe80::1%no-such-interface"] {
            assert!(literal(wrong).is_none(), "{wrong}");
        }
    }
}
