//! From a URL to a connection: name, address, TLS.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::fail::{connect_status, handshake, status};
use super::stream::{Sock, Stream};
use super::url::{Url, host_and_port};
use crate::cmd::{Fault, Result};
use crate::out::fault::errno_text;
use crate::sys::dns::{Asked, Client, Kind, Outcome};
use crate::sys::open::Refused;
use crate::sys::resolv::{Config, Hosts, Order, Source, localhost, passed_over};
use crate::sys::socket;

/// One `--resolve`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    host: String,
    port: u16,
    addresses: Vec<IpAddr>,
}

impl Override {
    /// Parses `HOST:PORT:ADDRESS[,ADDRESS]...`.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        const FORM: &str = "it is HOST:PORT:ADDRESS[,ADDRESS]...";
        // An IPv6 host stands in brackets, with colons of its own.
        let split = if text.starts_with('[') { text.find(']').ok_or(FORM)? } else { 0 };
        let port = split + text.get(split..).and_then(|rest| rest.find(':')).ok_or(FORM)?;
        let address = port + 1 + text.get(port + 1..).and_then(|rest| rest.find(':')).ok_or(FORM)?;
        let (host, port) = host_and_port(text.get(..address).unwrap_or_default().as_bytes())?;
        let addresses = text.get(address + 1..).unwrap_or_default().split(',').map(|word| {
            let bare = word.strip_prefix('[').and_then(|w| w.strip_suffix(']')).unwrap_or(word);
            bare.parse().map_err(|_| format!("{bare} is no address"))
        });
        Ok(Self {
            host,
            port: port.ok_or(FORM)?,
            addresses: addresses.collect::<std::result::Result<_, _>>()?,
        })
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
}

/// How connections are made.
pub struct Connector {
    /// Names that are not looked up.
    pub overrides: Vec<Override>,
    /// A Unix socket in place of any address.
    pub unix: Option<OsString>,
    /// IPv4 only.
    pub v4: bool,
    /// IPv6 only.
    pub v6: bool,
    /// For name, connection and TLS together.
    pub connect_timeout: Duration,
    /// End of the whole run.
    pub deadline: Option<Instant>,
    /// Longest silence.
    pub idle: Duration,
}

/// How long each phase took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Phases {
    /// Looking the name up.
    pub dns: Option<Duration>,
    /// Connecting.
    pub connect: Option<Duration>,
    /// The handshake.
    pub tls: Option<Duration>,
}

/// What TLS agreed on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Session {
    /// `TLSv1_3`.
    pub version: Option<String>,
    /// Cipher suite.
    pub cipher: Option<String>,
    /// Protocol inside.
    pub alpn: Option<String>,
    /// Whether the certificate was checked.
    pub verified: bool,
    /// Which authorities were trusted.
    pub store: Option<String>,
}

impl Connector {
    /// The point in time at which connecting has taken too long.
    fn limit(&self) -> Instant {
        let limit = Instant::now() + self.connect_timeout;
        self.deadline.map_or(limit, |deadline| deadline.min(limit))
    }

    /// The addresses of a URL's host, those without a route last.
    ///
    /// # Errors
    /// 6 where there are none, 28 where the time was up.
    pub fn resolve(
        &self,
        url: &Url,
        names: impl FnOnce() -> Names,
        limit: Instant,
    ) -> Result<Vec<SocketAddr>> {
        let wanted = |ip: &IpAddr| (!self.v4 || ip.is_ipv4()) && (!self.v6 || ip.is_ipv6());
        let addresses = match self.overrides.iter().rev().find(|o| o.host == url.host && o.port == url.port) {
            Some(found) => found.addresses.clone(),
            None => match url.address() {
                Some(ip) => vec![ip],
                None => self.look_up(&url.host, &names(), limit)?,
            },
        };
        let mut sockets: Vec<SocketAddr> =
            addresses.into_iter().filter(wanted).map(|ip| SocketAddr::new(ip, url.port)).collect();
        if sockets.is_empty() {
            let family = if self.v4 { "IPv4" } else { "IPv6" };
            return Err(Fault::text("resolve", &url.host, format!("no {family} address"))
                .with_status(status::RESOLVE));
        }
        if sockets.len() > 1 {
            sockets.sort_by_key(|address| socket::udp(*address).is_err());
        }
        Ok(sockets)
    }

    fn look_up(&self, host: &str, names: &Names, limit: Instant) -> Result<Vec<IpAddr>> {
        let wanted = |ip: &IpAddr| (!self.v4 || ip.is_ipv4()) && (!self.v6 || ip.is_ipv6());
        let mut asked = Vec::new();
        for source in &names.order.0 {
            match source {
                Source::Files => {
                    let mut found = names.hosts.lookup(host);
                    found.retain(wanted);
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
                Source::Dns if localhost(host).is_some() => {}
                Source::Dns => {
                    let mut kinds = Vec::new();
                    if !self.v4 {
                        kinds.push(Kind::Aaaa);
                    }
                    if !self.v6 {
                        kinds.push(Kind::A);
                    }
                    let lookup = Client::new(&names.config).lookup(host, &kinds, Some(limit));
                    if !lookup.addresses.is_empty() {
                        return Ok(lookup.addresses);
                    }
                    let cut = lookup.cut;
                    asked.extend(lookup.asked);
                    if cut {
                        let text = format!(
                            "the time limit has passed{}{}",
                            who_was_asked(&asked),
                            what_was_passed_over()
                        );
                        return Err(Fault::text("resolve", host, text).with_status(status::TIME));
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

    /// Connects to the first address that answers. While there are more, each gets half of the time that is left.
    ///
    /// # Errors
    /// 7, or 28 where the time was up, with each address and its cause.
    pub fn connect(
        &self,
        host: &str,
        addresses: &[SocketAddr],
        limit: Instant,
        say: &dyn Fn(&str),
    ) -> Result<(Sock, String)> {
        if let Some(path) = &self.unix {
            let fd = socket::unix(path, Some(limit))
                .map_err(|e| Fault::io("connect", path, &e).with_status(connect_status(&e)))?;
            let sock = Sock::new(fd, self.deadline, Some(limit), self.idle);
            return Ok((sock, path.to_string_lossy().into_owned()));
        }
        let mut failures: Vec<(SocketAddr, io::Error)> = Vec::new();
        for (at, address) in addresses.iter().enumerate() {
            let left = limit.saturating_duration_since(Instant::now());
            let last = at + 1 == addresses.len();
            let until = if last { limit } else { Instant::now() + left / 2 };
            match socket::tcp(*address, Some(until)) {
                Ok(fd) => {
                    return Ok((Sock::new(fd, self.deadline, Some(limit), self.idle), address.to_string()));
                }
                Err(error) => {
                    say(&format!("connect {address}: {}", in_words(&error)));
                    failures.push((*address, error));
                }
            }
        }
        let named = |address: &SocketAddr| {
            if address.ip().to_string() == host { address.to_string() } else { format!("{address} ({host})") }
        };
        Err(match failures.as_slice() {
            [(address, error)] if error.kind() == io::ErrorKind::TimedOut => {
                Fault::text("connect", named(address), "no answer in time").with_status(status::TIME)
            }
            [(address, error)] => {
                Fault::io("connect", named(address), error).with_status(connect_status(error))
            }
            several => {
                let each: Vec<String> = several.iter().map(|(a, e)| format!("{a} {}", in_words(e))).collect();
                let status = several.last().map_or(status::CONNECT, |(_, error)| connect_status(error));
                Fault::text("connect", host, each.join(", ")).with_status(status)
            }
        })
    }

    /// Connects, and puts TLS over it for https.
    ///
    /// # Errors
    /// 6, 7, 28, 35 and 60, by the layer that failed.
    pub fn open(
        &self,
        url: &Url,
        names: impl FnOnce() -> Names,
        tls: Option<(Arc<ClientConfig>, Option<String>)>,
        say: &dyn Fn(&str),
    ) -> Result<Opened> {
        let limit = self.limit();
        let mut phases = Phases::default();
        let mut began = Instant::now();
        let mut lap = || {
            let now = Instant::now();
            let took = now - began;
            began = now;
            took
        };
        let addresses = if self.unix.is_some() { Vec::new() } else { self.resolve(url, names, limit)? };
        if url.address().is_none() && self.unix.is_none() {
            phases.dns = Some(lap());
            let list: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
            say(&format!("{} is {}", url.host, list.join(", ")));
        }
        let (mut sock, address) = self.connect(&url.host, &addresses, limit, say)?;
        phases.connect = Some(lap());
        say(&format!("connected to {address}"));
        let Some((config, store)) = tls else {
            sock.phase = None;
            return Ok(Opened { stream: Stream::Plain(sock), address, phases, session: None });
        };
        let name = ServerName::try_from(url.host.trim_end_matches('.').to_owned()).map_err(|_| {
            Fault::text("tls", &url.host, "this name cannot stand in a certificate").with_status(status::TLS)
        })?;
        let mut client = rustls::ClientConnection::new(config, name)
            .map_err(|error| Fault::text("tls", &url.host, error.to_string()).with_status(status::TLS))?;
        while client.is_handshaking() {
            client.complete_io(&mut sock).map_err(|error| handshake(&url.host, &error))?;
        }
        sock.phase = None;
        phases.tls = Some(lap());
        let session = Session {
            version: client.protocol_version().and_then(|v| v.as_str()).map(str::to_owned),
            cipher: client.negotiated_cipher_suite().and_then(|s| s.suite().as_str()).map(str::to_owned),
            alpn: client.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned()),
            verified: store.is_some(),
            store,
        };
        say(&format!(
            "{} {}, certificate {}",
            session.version.as_deref().unwrap_or("TLS"),
            session.cipher.as_deref().unwrap_or_default(),
            if session.verified { "verified" } else { "not checked (-k)" }
        ));
        let stream = Stream::Tls(Box::new(rustls::StreamOwned::new(client, sock)));
        Ok(Opened { stream, address, phases, session: Some(session) })
    }
}

/// A connection that is ready for a request.
pub struct Opened {
    /// The connection.
    pub stream: Stream,
    /// The other side: address and port, or the path of a socket.
    pub address: String,
    /// How long it took.
    pub phases: Phases,
    /// TLS, where there is.
    pub session: Option<Session>,
}

fn in_words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(errno) => errno_text(errno),
        None if error.kind() == io::ErrorKind::TimedOut => "no answer in time".into(),
        None => error.to_string(),
    }
}

/// Why no address was found, from the worst that a server said.
fn why_not(asked: &[Asked]) -> &'static str {
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
fn what_was_passed_over() -> String {
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
            Outcome::Code(2) => "SERVFAIL".to_owned(),
            Outcome::Code(5) => "REFUSED".to_owned(),
            Outcome::Code(code) => format!("response code {code}"),
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
            format!("{server}: {what} for {}", names.join(", "))
        })
        .collect();
    format!(" (asked {})", texts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_are_host_port_address() {
        let parsed = Override::parse("Web:80:127.0.0.1,[::1]").unwrap();
        assert_eq!((parsed.host.as_str(), parsed.port, parsed.addresses.len()), ("web", 80, 2));
        assert_eq!(Override::parse("[::1]:80:::2").unwrap().addresses, ["::2".parse::<IpAddr>().unwrap()]);
        for wrong in ["", "a", "a:80", "a:80:x", "a::1.2.3.4", ":80:1.2.3.4"] {
            assert!(Override::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_servers_said_is_told_apart() {
        let one = |name: &str, outcome| Asked {
            name: name.into(),
            kind: Kind::A,
            server: "10.0.0.10:53".parse().unwrap(),
            outcome,
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
