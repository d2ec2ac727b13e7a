//! Which fault and which of curl's exit statuses an error of the network becomes.

use std::io;

use rustls::CertificateError as Bad;

use super::tls::is_authority;
use crate::cmd::Fault;
use crate::out::name::escape;
use crate::out::units::rfc3339;

/// curl's exit statuses.
pub mod status {
    /// The name was not resolved.
    pub const RESOLVE: u8 = 6;
    /// No connection.
    pub const CONNECT: u8 = 7;
    /// The body ended too early.
    pub const CUT: u8 = 18;
    /// `--fail` and a status of 400 or more.
    pub const HTTP: u8 = 22;
    /// The body could not be written.
    pub const WRITE: u8 = 23;
    /// The data to send could not be read.
    pub const DATA: u8 = 26;
    /// A time limit.
    pub const TIME: u8 = 28;
    /// TLS failed.
    pub const TLS: u8 = 35;
    /// Too many redirects.
    pub const REDIRECTS: u8 = 47;
    /// The request could not be sent.
    pub const SEND: u8 = 55;
    /// The response could not be read.
    pub const RECEIVE: u8 = 56;
    /// The certificate is not trusted.
    pub const CERTIFICATE: u8 = 60;
    /// The body cannot be unpacked.
    pub const CODING: u8 = 61;
    /// `--max-size`.
    pub const SIZE: u8 = 63;
    /// The file of certificates cannot be read.
    pub const CA_FILE: u8 = 77;
}

/// A failed connect.
pub fn connect_status(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::TimedOut { status::TIME } else { status::CONNECT }
}

/// A failed read of a head.
pub fn answer(address: &str, error: &io::Error) -> Fault {
    match error.kind() {
        // TLS that ends without its closing alert.
        io::ErrorKind::UnexpectedEof => {
            Fault::text("read", address, "the connection ended within the answer")
                .with_status(status::RECEIVE)
        }
        _ => receive(address, error),
    }
}

/// A failed read of a body.
pub fn receive(address: &str, error: &io::Error) -> Fault {
    let status = match error.kind() {
        io::ErrorKind::TimedOut => status::TIME,
        io::ErrorKind::ConnectionAborted if error.raw_os_error().is_none() => status::CUT,
        io::ErrorKind::InvalidInput if error.raw_os_error().is_none() => status::CODING,
        io::ErrorKind::UnexpectedEof => status::CODING,
        _ => status::RECEIVE,
    };
    match tls_error(error) {
        Some(inner) => {
            Fault::text("read", address, format!("tls: {}", tls_text(inner).0)).with_status(status::RECEIVE)
        }
        None if status == status::CODING => {
            Fault::text("read", address, format!("the body cannot be unpacked: {error}")).with_status(status)
        }
        None => Fault::io("read", address, error).with_status(status),
    }
}

/// A failed write of the request.
pub fn send(address: &str, error: &io::Error) -> Fault {
    let status = if error.kind() == io::ErrorKind::TimedOut { status::TIME } else { status::SEND };
    Fault::io("send", address, error).with_status(status)
}

/// A failed handshake.
pub fn handshake(host: &str, error: &io::Error) -> Fault {
    let Some(inner) = tls_error(error) else {
        let status = if error.kind() == io::ErrorKind::TimedOut { status::TIME } else { status::TLS };
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Fault::text("tls", host, "the server closed within the handshake").with_status(status)
            }
            _ => Fault::io("tls", host, error).with_status(status),
        };
    };
    let (text, hint) = tls_text(inner);
    let status = match inner {
        rustls::Error::InvalidCertificate(_) => status::CERTIFICATE,
        _ => status::TLS,
    };
    let fault = Fault::text("tls", host, text).with_status(status);
    match hint {
        Some(hint) => fault.with_hint(hint),
        None => fault,
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// The error in words, and what to type.
fn tls_text(error: &rustls::Error) -> (String, Option<&'static str>) {
    let date =
        |time: &rustls::pki_types::UnixTime| rfc3339(i64::try_from(time.as_secs()).unwrap_or(i64::MAX), 0);
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired => ("certificate expired".into(), None),
            Bad::ExpiredContext { not_after, .. } => {
                (format!("certificate expired on {}", date(not_after)), None)
            }
            Bad::NotValidYet => ("certificate not valid yet".into(), None),
            Bad::NotValidYetContext { not_before, .. } => {
                (format!("certificate not valid before {}", date(not_before)), None)
            }
            Bad::UnknownIssuer => (
                "certificate signed by an authority that is not trusted".into(),
                Some("--cacert FILE, or -k"),
            ),
            Bad::BadSignature => (
                "certificate is not signed by the authority that it names".into(),
                Some("--cacert FILE, or -k"),
            ),
            Bad::NotValidForName => ("certificate is for another name".into(), None),
            Bad::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                ("certificate is for another name: it names none".into(), None)
            }
            Bad::NotValidForNameContext { presented, .. } => {
                let more = if presented.len() > 8 { ", …" } else { "" };
                let names: Vec<String> = presented.iter().take(8).map(|name| plain(name)).collect();
                (format!("certificate is for another name: {}{more}", names.join(", ")), None)
            }
            _ if is_authority(error) => (
                "certificate is an authority's own (CA:TRUE) and not trusted itself".into(),
                Some("--cacert FILE, or -k"),
            ),
            other => (format!("certificate is not valid: {}", escape(format!("{other}").as_bytes())), None),
        },
        rustls::Error::AlertReceived(alert) => (format!("the server refused: alert {alert:?}"), None),
        rustls::Error::InvalidMessage(_) => ("the server's answer is not TLS".into(), None),
        other => (escape(other.to_string().as_bytes()), None),
    }
}

/// A name of a certificate as rustls debug-prints it (`DnsName("a.b")`), reduced to the name.
fn plain(presented: &str) -> String {
    let inner = presented
        .split_once('"')
        .and_then(|(_, rest)| rest.rsplit_once('"'))
        .map_or(presented, |(name, _)| name);
    escape(inner.get(..inner.len().min(255)).unwrap_or_default().as_bytes())
}
