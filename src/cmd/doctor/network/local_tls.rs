//! `local-tls`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType};
use rustls::pki_types::ServerName;

use super::LISTEN;
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::cmd::net::Sock;
use crate::cmd::tls::{Certificate, Offer, probe};
use crate::out::name::escape;
use crate::out::units::rfc3339;
use crate::sys::netlink::{self, diag};
use crate::sys::socket;

pub const CHECK: Check = Check {
    id: "local-tls",
    group: Group::Network,
    question: "Are the certificates on the container's own TLS ports valid, and for which names?",
    is_slow: true,
    run: Run::Inside(run),
};

/// Ports that are tried.
const PORTS: usize = 12;
/// How long one is waited for: one that speaks no TLS may say nothing at all. All are tried at the same time.
const LIMIT: Duration = Duration::from_millis(900);
/// Days before its end at which a certificate should be a new one.
const SOON: i64 = 14;

fn run(_: &Container) -> Vec<Found> {
    let Ok(ports) = listeners() else { return vec![Found::skip("the listening sockets can't be listed")] };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
    let found: Vec<Found> = std::thread::scope(|scope| {
        let threads: Vec<_> = ports
            .iter()
            .take(PORTS)
            .map(|address| std::thread::Builder::new().spawn_scoped(scope, || certificate(*address)))
            .collect();
        let certificates =
            threads.into_iter().map(|thread| thread.ok().and_then(|thread| thread.join().ok()).flatten());
        ports
            .iter()
            .zip(certificates)
            .filter_map(|(address, read)| Some(judge(*address, &read?, now)))
            .collect()
    });
    if found.is_empty() { vec![Found::ok("no port of the container speaks TLS")] } else { found }
}

/// Where somebody listens in the network namespace that this process is in: one address a port. Not where connections
/// wait already: who accepts none speaks no TLS either, and one more could be one too many.
fn listeners() -> nix::Result<Vec<SocketAddr>> {
    let asks = nix::sys::socket::socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    let mut all: Vec<SocketAddr> = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let request = diag::inet_request(family as u8, libc::IPPROTO_TCP as u8, 1 << LISTEN);
        netlink::dump(&asks, diag::SOCK_DIAG_BY_FAMILY, &request, &mut Vec::new(), &mut |_, body| {
            let accepts = |found: &diag::Inet| found.state == LISTEN && found.recv_queue == 0;
            let Some(found) = diag::inet(body).filter(accepts) else { return };
            let ip = match found.local.0 {
                IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                ip => ip,
            };
            if all.iter().all(|known| known.port() != found.local.1) {
                all.push(SocketAddr::new(ip, found.local.1));
            }
        })?;
    }
    Ok(all)
}

/// The certificate that a port shows; none where it speaks no TLS.
fn certificate(address: SocketAddr) -> Option<Certificate> {
    let end = Instant::now() + LIMIT;
    let fd = socket::tcp(address, Some(end)).ok()?;
    let sock = Sock::new(fd, Some(end), Some(end), LIMIT);
    let name = ServerName::IpAddress(address.ip().into());
    let offer = Offer { name, sends_name: false, alpn: Vec::new() };
    let probe = probe(sock, &offer, end).ok()?;
    probe.chain.first().map(|der| Certificate::read(der))
}

fn judge(address: SocketAddr, certificate: &Certificate, now: i64) -> Found {
    let days = certificate.days_left(now);
    let names = if certificate.names.is_empty() {
        format!("no names, subject {}", escape(certificate.subject.as_bytes()))
    } else {
        let some: Vec<String> =
            certificate.names.iter().take(8).map(|name| escape(name.as_bytes())).collect();
        format!("names {}", some.join(", "))
    };
    let ends =
        format!("valid from {} to {}", rfc3339(certificate.not_before, 0), rfc3339(certificate.not_after, 0));
    let fix = "renew it and have the program load it; where it was renewed already, the program still has the old one: start it again";
    let about = address.to_string();
    let found = match days {
        _ if certificate.error.is_some() => Found::warn("its certificate can't be read"),
        _ if certificate.not_after < now => {
            Found::fail("its certificate has expired: clients refuse it").fix(fix)
        }
        _ if certificate.not_before > now => Found::fail("its certificate is not valid yet")
            .fix("see the clocks of this node and of the authority"),
        ..=SOON => Found::warn(format!("its certificate expires in {days} days")).fix(fix),
        _ if certificate.names.is_empty() => {
            Found::warn("its certificate has no names: clients look at subjectAltName alone, and refuse it")
                .fix("make one with a subjectAltName")
        }
        _ => Found::ok(format!("its certificate is valid for {days} days")),
    };
    found.about(about).seen(ends).seen(names)
}
