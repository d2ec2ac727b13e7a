//! `tls`.

pub(crate) mod certificate;
mod judge;
mod probe;
mod show;

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustls::AlertDescription as Alert;
use rustls::pki_types::{ServerName, UnixTime};

use super::net::fail::{alert_name, handshake, status, tls_error};
use super::net::trust::Store;
use super::net::{
    Families, IDLE, Names, Sock, clients, connect_any, host_and_port, host_path, seconds, sort_by_route,
};
use super::{Command, Context, Example, Fault, HostFile, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};

pub use certificate::{Certificate, validity};
pub use probe::{Offer, probe};

use certificate::distinguished_name;
use judge::Judgement;
use probe::Probe;

/// The port of HTTPS.
const PORT: u16 = 443;

/// Show a server's certificates and whether the container trusts them.
///
/// HOST[:PORT], port 443 unless it says another. Connects as the container does, offers TLS 1.2 and 1.3, and shows what is
/// agreed on and each certificate that the server sends. They are checked against the container's own authorities (or those
/// of --cacert): its bundle, which curl reads, what OpenSSL and Python read, and what Go reads; where there is Java or Node,
/// Java's key store and Node's own list; and against those built in, Mozilla's. The bundle decides. The exit status is
/// curl's: 0 where the container trusts the server, 6 name, 7 connection, 28 time limit, 35 handshake, 60 not trusted, 77
/// --cacert.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Tls {
    /// Host and port.
    #[arg(value_name = "HOST[:PORT]", add = Takes::Nothing)]
    host: String,
    /// Send this name, and check the certificate for it.
    #[arg(long, value_name = "NAME", overrides_with = "no_sni", add = Takes::Nothing)]
    sni: Option<String>,
    /// Send no name.
    #[arg(long, overrides_with = "sni")]
    no_sni: bool,
    /// Offer these protocols, with commas: h2,http/1.1.
    #[arg(long, value_name = "LIST", add = Takes::Nothing)]
    alpn: Option<String>,
    /// Check against this file's authorities (or @host:FILE), not the container's.
    #[arg(long, value_name = "FILE", add = Takes::Path)]
    cacert: Option<OsString>,
    /// Seconds for name, connection and handshake together.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    connect_timeout: Duration,
    /// Print the certificates as PEM, and nothing else.
    #[arg(long)]
    pem: bool,
    /// Use IPv4 only.
    #[arg(short = '4', long, overrides_with = "ipv6")]
    ipv4: bool,
    /// Use IPv6 only.
    #[arg(short = '6', long, overrides_with = "ipv4")]
    ipv6: bool,
}

/// A connection, its handshake, and what is thought of it.
struct Found {
    /// As it was typed, with its port.
    host: String,
    /// Who answered.
    server: SocketAddr,
    /// The name that was sent.
    sni: Option<String>,
    probe: Probe,
    certificates: Vec<Certificate>,
    /// The container's authorities first.
    judgements: Vec<Judgement>,
    /// Seconds since 1970.
    now: i64,
    dns: Option<Duration>,
    connect: Duration,
    handshake: Duration,
}

impl Command for Tls {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const COLORS: bool = true;
    const REPLACES: &'static str = "openssl s_client";
    const FIELDS: &'static [Field] = &[
        field("position", Kind::Number, "0 is the server's own certificate; a row each"),
        field("subject", Kind::Text, "whom it is for, as RFC 4514 writes it"),
        field("issuer", Kind::Text, "who signed it"),
        more("names", Kind::List, "its DNS names and addresses"),
        more("not_before", Kind::Time, "valid from"),
        field("not_after", Kind::Time, "valid to"),
        field("days_left", Kind::Number, "whole days until then; negative once it has ended"),
        field("key", Kind::Text, "RSA, ECDSA P-256, Ed25519, …"),
        more("key_bits", Kind::Number, "the key's length"),
        more("signature", Kind::Text, "how it is signed"),
        more("serial", Kind::Text, "in hexadecimal digits"),
        more("sha256", Kind::Text, "its fingerprint"),
        more("authority", Kind::Flag, "whether it is an authority's"),
        more("issuer_at", Kind::Text, "where it says its issuer's certificate is"),
        more("error", Kind::Text, "why it could not be read"),
        more("host", Kind::Text, "of the connection, as all below: what was asked for, with its port"),
        more("server", Kind::Text, "who answered: address and port"),
        more("sni", Kind::Text, "the name that was sent"),
        more("protocol", Kind::Text, "TLSv1.2 or TLSv1.3"),
        more("cipher", Kind::Text, "cipher suite"),
        more("group", Kind::Text, "how the key was agreed on"),
        more("alpn", Kind::Text, "the protocol inside that was agreed on"),
        more("client_certificate", Kind::Text, "not asked, asked, or demanded"),
        field(
            "verified",
            Kind::Flag,
            "whether the container's authorities, or those of --cacert, vouch for the chain",
        ),
        more(
            "why",
            Kind::Text,
            "why not, in a word: expired, not_yet_valid, wrong_name, self_signed, unknown_authority, missing_issuer, no_authorities, invalid",
        ),
        more("reason", Kind::Text, "why not"),
        more("judgements", Kind::Object, "a list: what each store says: store, verified, why, reason"),
        more("timings", Kind::Object, "dns, connect, tls: seconds"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "tls kubernetes.default", what: "whether the container trusts the API server" },
        Example {
            line: "tls localhost:8443 --sni api.example.com",
            what: "ask one server for another's name",
        },
        Example {
            line: "tls registry:5000 --cacert /etc/ssl/ca.pem",
            what: "check against another authority",
        },
        Example { line: "tls localhost:8080", what: "what a port without TLS says" },
    ];

    fn host_files(&self) -> Vec<HostFile> {
        let path = self.cacert.as_deref().and_then(host_path);
        path.map(|path| HostFile { path: path.to_owned(), write: false }).into_iter().collect()
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        if self.pem && out.is_json() {
            return Err(Fault::usage("--pem and --json cannot both have stdout"));
        }
        let stores = match &self.cacert {
            Some(file) => vec![Store::of_file(cx, file)?, Store::builtin()],
            None => {
                let mut stores = vec![
                    Store::of_container(cx),
                    clients::openssl(|name| cx.var(name)),
                    clients::go(|name| cx.var(name)),
                ];
                let others = [clients::java(|name| cx.var(name)), clients::node(|name| cx.var(name))];
                for store in others.into_iter().flatten() {
                    store.notes.iter().for_each(|note| cx.note(note));
                    stores.push(store);
                }
                stores.push(Store::builtin());
                stores
            }
        };
        let found = self.find(stores)?;
        show::show(cx, &found, self.pem, out)?;
        if let Some(error) = &found.probe.failed {
            return Err(failure(&found.host, &found.probe, error));
        }
        match found.judgements.first() {
            Some(first) if !first.verified => {
                let reason = first.reason.clone().unwrap_or_default();
                Err(Fault::text("verify", &found.host, reason).with_status(status::CERTIFICATE))
            }
            _ => Ok(Status::OK),
        }
    }
}

impl Tls {
    /// Connects, shakes hands and asks the stores.
    fn find(&self, stores: Vec<Store>) -> Result<Found> {
        let (host, port) = self.place()?;
        let shown = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let (name, sends_name) = self.name(&host)?;
        let families = Families { v4: self.ipv4, v6: self.ipv6 };
        let began = Instant::now();
        let limit = began + self.connect_timeout;
        let literal: Option<IpAddr> = host.parse().ok();
        let addresses = match literal {
            Some(ip) => vec![ip],
            None => Names::read().look_up(&host, families, limit)?,
        };
        let mut sockets: Vec<SocketAddr> = addresses
            .into_iter()
            .filter(|ip| families.take(ip))
            .map(|ip| SocketAddr::new(ip, port))
            .collect();
        if sockets.is_empty() {
            let family = if self.ipv4 { "IPv4" } else { "IPv6" };
            let fault = Fault::text("resolve", &host, format!("no {family} address"));
            return Err(fault.with_status(status::RESOLVE));
        }
        sort_by_route(&mut sockets);
        let resolved = began.elapsed();
        let (fd, server) = connect_any(&host, &sockets, limit, &|_| {})?;
        let connected = began.elapsed();
        let alpn = self.alpn.iter().flat_map(|list| list.split(',')).map(|name| name.as_bytes().to_vec());
        let offer = Offer { name: name.clone(), sends_name, alpn: alpn.collect() };
        let probe = probe(Sock::new(fd, None, Some(limit), IDLE), &offer, limit)?;
        let handshake = began.elapsed() - connected;
        let certificates: Vec<Certificate> = probe.chain.iter().map(|der| Certificate::read(der)).collect();
        let now = UnixTime::now();
        let judgements = if probe.chain.is_empty() {
            Vec::new()
        } else {
            let each =
                stores.into_iter().map(|store| Judgement::of(store, &probe.chain, &certificates, &name, now));
            each.collect::<Result<_>>()?
        };
        Ok(Found {
            host: shown,
            server,
            sni: match &name {
                ServerName::DnsName(name) if sends_name => Some(name.as_ref().to_owned()),
                _ => None,
            },
            probe,
            certificates,
            judgements,
            now: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
            dns: literal.is_none().then_some(resolved),
            connect: connected - resolved,
            handshake,
        })
    }

    /// Host and port of what was typed; an IPv6 address may stand without brackets where no port follows.
    fn place(&self) -> Result<(String, u16)> {
        let shown = || escape(self.host.as_bytes());
        if self.host.contains("://") {
            return Err(Fault::usage(format!("{} is a URL; it is tls HOST[:PORT]", shown())));
        }
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok((ip.to_string(), PORT));
        }
        let (host, port) = host_and_port(self.host.as_bytes())
            .map_err(|why| Fault::text("", &self.host, why).with_status(2))?;
        Ok((host, port.unwrap_or(PORT)))
    }

    /// The name that the certificate is checked for, and whether it is sent: addresses never are, RFC 6066 section 3.
    fn name(&self, host: &str) -> Result<(ServerName<'static>, bool)> {
        let typed = self.sni.as_deref().unwrap_or(host).trim_end_matches('.').to_owned();
        for protocol in self.alpn.iter().flat_map(|list| list.split(',')) {
            if protocol.is_empty() || protocol.len() > 255 {
                return Err(Fault::usage("--alpn is a list of names with commas between them"));
            }
        }
        let name = ServerName::try_from(typed.clone()).map_err(|_| {
            let text = "this name cannot stand in a certificate";
            Fault::text("verify", typed, text).with_status(status::TLS)
        })?;
        let sends = !self.no_sni && matches!(name, ServerName::DnsName(_));
        Ok((name, sends))
    }
}

/// Why there is no connection, from what the server said.
fn failure(host: &str, probe: &Probe, error: &std::io::Error) -> Fault {
    let fault = |text: String| Fault::text("handshake", host, text).with_status(status::TLS);
    let asks = "the server asks for a client certificate";
    match tls_error(error) {
        Some(rustls::Error::AlertReceived(alert)) => {
            let more = match (alert, &probe.asked) {
                (_, Some(_)) => "; it demands a client certificate",
                (Alert::ProtocolVersion, _) => "; TLS 1.2 and 1.3 were offered",
                (Alert::UnrecognisedName, _) => "; --sni NAME sends another name",
                (Alert::NoApplicationProtocol, _) => "; it speaks none of the protocols of --alpn",
                _ => "",
            };
            fault(format!("the server refused: alert {}{more}", alert_name(*alert)))
        }
        Some(rustls::Error::InvalidMessage(_)) if !is_tls(&probe.first_words) => {
            let words = escape(first_line(&probe.first_words));
            let fault = fault(format!("the server speaks no TLS: its answer begins with '{words}'"));
            if probe.first_words.starts_with(b"HTTP/") {
                fault.with_hint(format!("http get http://{host}/"))
            } else {
                fault
            }
        }
        None if error.kind() == std::io::ErrorKind::TimedOut && probe.first_words.is_empty() => {
            fault("the server is connected and says nothing; the time limit has passed".to_owned())
                .with_status(status::TIME)
        }
        None if probe.asked.is_some() && error.kind() != std::io::ErrorKind::TimedOut => {
            fault(format!("{asks}, and closed without one"))
        }
        None if error.kind() == std::io::ErrorKind::UnexpectedEof && probe.first_words.is_empty() => {
            fault("the server closed without an answer; it may speak no TLS".to_owned())
        }
        _ => handshake(host, error),
    }
}

/// Whether the first byte is one of TLS's content types, RFC 8446 section 5.1.
fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=23, 3, ..])
}

fn first_line(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default()
}

/// Whose certificates the server accepts, at most so many.
fn accepted(probe: &Probe, most: usize) -> Vec<String> {
    let names = probe.asked.iter().flatten().take(most);
    names.map(|der| escape(distinguished_name(der).as_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn tls(args: &[&str]) -> Tls {
        Tls::try_parse_from(std::iter::once(&"tls").chain(args)).unwrap()
    }

    #[test]
    fn hosts_and_ports_are_taken_apart() {
        for (typed, host, port) in [
            ("web", "web", 443),
            ("Web.test:8443", "web.test", 8443),
            ("::1", "::1", 443),
            ("[::1]:1", "::1", 1),
            ("10.0.0.1", "10.0.0.1", 443),
        ] {
            assert_eq!(tls(&[typed]).place().unwrap(), (host.to_owned(), port));
        }
        for wrong in ["https://web/", "", ":443", "a:b", "a:0", "a:65536", "a b"] {
            assert_eq!(tls(&[wrong]).place().unwrap_err().status, 2, "{wrong}");
        }
    }

    #[test]
    fn names_are_sent_and_addresses_are_not() {
        assert!(tls(&["x"]).name("web.test.").unwrap().1);
        assert!(!tls(&["x"]).name("10.0.0.1").unwrap().1);
        assert!(!tls(&["x", "--no-sni"]).name("web.test").unwrap().1);
        assert!(tls(&["x", "--sni", "a.b"]).name("10.0.0.1").unwrap().1);
        assert_eq!(tls(&["x", "--sni", "a b"]).name("web").unwrap_err().status, 35);
        assert_eq!(tls(&["x", "--alpn", "h2,,x"]).name("web").unwrap_err().status, 2);
    }

    #[test]
    fn what_is_no_tls_is_told_by_its_first_words() {
        let probe = |words: &[u8]| Probe { first_words: words.to_vec(), ..Probe::default() };
        let error = |inner: rustls::Error| std::io::Error::new(std::io::ErrorKind::InvalidData, inner);
        let wrong = error(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType));
        let told = failure("web:80", &probe(b"HTTP/1.1 400 Bad\r\nX: \x1b"), &wrong).to_string();
        assert!(told.ends_with("begins with 'HTTP/1.1 400 Bad' (http get http://web:80/)"), "{told}");
        let told = failure("web:22", &probe(b"SSH-2.0\x1b[8m\n"), &wrong).to_string();
        assert!(told.ends_with("begins with 'SSH-2.0\\x1b[8m'"), "{told}");
        let alert = error(rustls::Error::AlertReceived(Alert::ProtocolVersion));
        let told = failure("web:1", &probe(b""), &alert).to_string();
        assert!(told.contains("alert protocol_version; TLS 1.2 and 1.3"), "{told}");
    }
}
