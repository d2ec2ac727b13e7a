//! Which fault and which of curl's exit statuses an error of connecting becomes.

use std::io;

use rustls::{AlertDescription, CertificateError as Bad};

use super::verify::{StaleAuthority, is_authority};
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

/// A failed handshake.
pub fn handshake(host: &str, error: &io::Error) -> Fault {
    let Some(inner) = tls_error(error) else {
        let status = if error.kind() == io::ErrorKind::TimedOut { status::TIME } else { status::TLS };
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Fault::text("handshake", host, "the server closed within the handshake").with_status(status)
            }
            _ => Fault::io("handshake", host, error).with_status(status),
        };
    };
    let (text, hint) = tls_text(inner);
    let status = match inner {
        rustls::Error::InvalidCertificate(_) => status::CERTIFICATE,
        _ => status::TLS,
    };
    let fault = Fault::text("handshake", host, text).with_status(status);
    match hint {
        Some(hint) => fault.with_hint(hint),
        None => fault,
    }
}

/// The error of TLS within one of its connection.
pub fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// The error in words, and what to type.
pub fn tls_text(error: &rustls::Error) -> (String, Option<&'static str>) {
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
            _ if StaleAuthority::in_error(bad).is_some() => (stale_text(bad), Some("--cacert FILE, or -k")),
            _ if is_authority(error) => (
                "certificate is an authority's own (CA:TRUE) and not trusted itself".into(),
                Some("--cacert FILE, or -k"),
            ),
            other => (format!("certificate is not valid: {}", escape(format!("{other}").as_bytes())), None),
        },
        rustls::Error::AlertReceived(alert) => {
            (format!("the server refused: alert {}", alert_name(*alert)), None)
        }
        rustls::Error::InvalidMessage(_) => ("the server's answer is not TLS".into(), None),
        other => (escape(other.to_string().as_bytes()), None),
    }
}

/// The authority that a chain leads to, and since when or until when nothing that it signs counts.
fn stale_text(bad: &Bad) -> String {
    let Some(stale) = StaleAuthority::in_error(bad) else { return String::new() };
    let subject = escape(stale.subject.as_bytes());
    let now = i64::try_from(rustls::pki_types::UnixTime::now().as_secs()).unwrap_or(i64::MAX);
    if stale.not_before > now {
        format!("certificate of the authority {subject} is not valid before {}", rfc3339(stale.not_before, 0))
    } else {
        format!("certificate of the authority {subject} expired on {}", rfc3339(stale.not_after, 0))
    }
}

/// An alert as RFC 8446 section 6 names it: `handshake_failure`.
pub fn alert_name(alert: AlertDescription) -> String {
    let camel = format!("{alert:?}");
    let letters: Vec<char> = camel.chars().collect();
    let mut name = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| letters.get(at));
        let starts = before.is_some_and(char::is_ascii_lowercase)
            || (before.is_some() && letters.get(at + 1).is_some_and(char::is_ascii_lowercase));
        if letter.is_ascii_uppercase() && starts {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// A name of a certificate as rustls debug-prints it (`DnsName("a.b")`, `IpAddress(10.0.0.1)`), reduced to the name.
fn plain(presented: &str) -> String {
    let inner = presented
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .map(|inner| inner.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(inner))
        .unwrap_or(presented);
    escape(inner.as_bytes().get(..inner.len().min(255)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_the_names_of_the_protocol() {
        for (alert, name) in [
            (AlertDescription::HandshakeFailure, "handshake_failure"),
            (AlertDescription::UnknownCA, "unknown_ca"),
            (AlertDescription::UnknownPSKIdentity, "unknown_psk_identity"),
            (AlertDescription::CertificateRequired, "certificate_required"),
            (AlertDescription::ProtocolVersion, "protocol_version"),
        ] {
            assert_eq!(alert_name(alert), name);
        }
    }

    #[test]
    fn names_are_reduced_to_themselves() {
        for (presented, name) in [
            ("DnsName(\"a.b\")", "a.b"),
            ("IpAddress(10.0.0.1)", "10.0.0.1"),
            ("a.b", "a.b"),
            ("DnsName(\"\u{1b}\")", "\\x1b"),
        ] {
            assert_eq!(plain(presented), name);
        }
    }
}
