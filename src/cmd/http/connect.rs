//! From a URL to a connection: name, address, TLS.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::stream::Stream;
use super::url::Url;
use crate::cmd::net::fail::{connect_status, handshake, status};
use crate::cmd::net::{Families, Names, Sock, connect_any, host_and_port, sort_by_route};
use crate::cmd::{Fault, Result};
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
            bare.parse().map_err(|_| format!("{bare} is not an address"))
        });
        Ok(Self {
            host,
            port: port.ok_or(FORM)?,
            addresses: addresses.collect::<std::result::Result<_, _>>()?,
        })
    }
}

/// How connections are made.
pub struct Connector {
    /// Names that are not looked up.
    pub overrides: Vec<Override>,
    /// A Unix socket in place of any address.
    pub unix: Option<OsString>,
    /// Which addresses are wanted.
    pub families: Families,
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
    /// `TLSv1.3`.
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
        let addresses = match self.overrides.iter().rev().find(|o| o.host == url.host && o.port == url.port) {
            Some(found) => found.addresses.clone(),
            None => match url.address() {
                Some(ip) => vec![ip],
                None => names().look_up(&url.host, self.families, limit)?,
            },
        };
        let mut sockets: Vec<SocketAddr> = addresses
            .into_iter()
            .filter(|ip| self.families.take(ip))
            .map(|ip| SocketAddr::new(ip, url.port))
            .collect();
        if sockets.is_empty() {
            let family = if self.families.v4 { "IPv4" } else { "IPv6" };
            return Err(Fault::text("resolve", &url.host, format!("no {family} address"))
                .with_status(status::RESOLVE));
        }
        sort_by_route(&mut sockets);
        Ok(sockets)
    }

    /// Connects to the Unix socket, or the first address that answers.
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
        let (fd, address) = connect_any(host, addresses, limit, say)?;
        Ok((Sock::new(fd, self.deadline, Some(limit), self.idle), address.to_string()))
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
            Fault::text("verify", &url.host, "this name cannot stand in a certificate")
                .with_status(status::TLS)
        })?;
        let mut client = rustls::ClientConnection::new(config, name).map_err(|error| {
            Fault::text("handshake", &url.host, error.to_string()).with_status(status::TLS)
        })?;
        while client.is_handshaking() {
            client.complete_io(&mut sock).map_err(|error| handshake(&url.host, &error))?;
        }
        sock.phase = None;
        phases.tls = Some(lap());
        let session = Session {
            version: client.protocol_version().and_then(crate::cmd::net::verify::version_name),
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
}
