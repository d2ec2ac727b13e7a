//! Whether a chain is trusted, and in words why not.

use rustls::CertificateError as Bad;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate::Certificate;
use crate::cmd::Result;
use crate::cmd::net::fail::tls_text;
use crate::cmd::net::trust::Store;
use crate::cmd::net::verify::{StaleAuthority, Trusted};
use crate::out::name::escape;

/// What one store says of a chain.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Judgement {
    /// Which authorities: `container /etc/ssl/cert.pem`, a file, or `builtin`.
    pub store: String,
    /// Whether they vouch for it.
    pub verified: bool,
    /// One word for why not: `expired`, `not_yet_valid`, `wrong_name`, `self_signed`, `unknown_authority`,
    /// `missing_issuer`, `no_authorities`, `invalid`.
    pub why: Option<&'static str>,
    /// Why not.
    pub reason: Option<String>,
}

impl Judgement {
    /// Asks a store about a chain, at this moment. webpki decides; what is added are words.
    ///
    /// # Errors
    /// Those of a configuration, which a build does not have.
    pub fn of(
        store: Store,
        chain: &[CertificateDer<'static>],
        read: &[Certificate],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<Self> {
        let source = store.source.clone();
        let not = |why, reason: &str| Self {
            store: source.clone(),
            verified: false,
            why: Some(why),
            reason: Some(reason.to_owned()),
        };
        let Some((own, others)) = chain.split_first() else {
            return Ok(not("invalid", "the server sent no certificate"));
        };
        if store.len() == 0 {
            return Ok(not("no_authorities", "there are no certificate authorities"));
        }
        Ok(match Trusted::new(store)?.check(own, others, name, now) {
            Ok(()) => Self { store: source, verified: true, why: None, reason: None },
            Err(error) => {
                let (why, reason) = words(&error, read, i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
                not(why, &reason)
            }
        })
    }
}

fn words(error: &rustls::Error, chain: &[Certificate], now: i64) -> (&'static str, String) {
    let told = tls_text(error).0;
    let plain = told.strip_prefix("certificate ").unwrap_or(&told).to_owned();
    let rustls::Error::InvalidCertificate(bad) = error else { return ("invalid", plain) };
    match bad {
        Bad::Expired | Bad::ExpiredContext { .. } => {
            ("expired", plain + &which(chain, |one| one.not_after < now))
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            ("not_yet_valid", plain + &which(chain, |one| one.not_before > now))
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            let names = plain.strip_prefix("is for another name: ").unwrap_or(&plain);
            let is_for = if names.starts_with("it names") { "" } else { "it is for " };
            ("wrong_name", format!("wrong name: {is_for}{names}"))
        }
        Bad::UnknownIssuer => unknown(chain),
        _ if StaleAuthority::in_error(bad).is_some_and(|stale| stale.not_before > now) => {
            ("not_yet_valid", told)
        }
        _ if StaleAuthority::in_error(bad).is_some() => ("expired", told),
        Bad::Other(_) if chain.first().is_some_and(Certificate::is_self_issued) => unknown(chain),
        _ => ("invalid", plain),
    }
}

/// Names the first certificate behind the server's own that something holds for, where it does not for that.
fn which(chain: &[Certificate], test: impl Fn(&Certificate) -> bool) -> String {
    match chain.iter().position(test) {
        None | Some(0) => String::new(),
        Some(at) => {
            let subject = chain.get(at).map(|one| escape(one.subject.as_bytes())).unwrap_or_default();
            format!(" (certificate {at}, {subject})")
        }
    }
}

/// Goes up the chain from the server's certificate, as far as it was sent, and tells where it ends.
fn unknown(chain: &[Certificate]) -> (&'static str, String) {
    let mut left: Vec<&Certificate> = chain.iter().skip(1).collect();
    let Some(mut at) = chain.first() else { return ("invalid", "the server sent no certificate".to_owned()) };
    let mut steps = 0;
    loop {
        let issuer = escape(at.issuer.as_bytes());
        if at.error.is_some() {
            return ("invalid", "a certificate of the chain cannot be read".to_owned());
        }
        if at.is_self_issued() {
            return match steps {
                0 => ("self_signed", "self-signed, and not itself among the authorities".to_owned()),
                _ => ("unknown_authority", format!("unknown authority: {issuer}, which the server sent")),
            };
        }
        match left.iter().position(|one| one.subject_bytes == at.issuer_bytes) {
            Some(next) => at = left.swap_remove(next),
            None => {
                let at = at
                    .issuer_at
                    .as_deref()
                    .map(|url| format!("; it is said to be at {}", escape(url.as_bytes())));
                return (
                    "missing_issuer",
                    format!(
                        "unknown authority or incomplete chain: the issuer {issuer} is neither trusted nor sent{}",
                        at.unwrap_or_default()
                    ),
                );
            }
        }
        steps += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(subject: &str, issuer: &str) -> Certificate {
        Certificate {
            subject: subject.into(),
            issuer: issuer.into(),
            subject_bytes: subject.into(),
            issuer_bytes: issuer.into(),
            ..Certificate::default()
        }
    }

    #[test]
    fn the_end_of_a_chain_is_named() {
        for (chain, why, words) in [
            (vec![one("CN=a", "CN=a")], "self_signed", "self-signed"),
            (vec![one("CN=a", "CN=b")], "missing_issuer", "the issuer CN=b is neither"),
            (vec![one("CN=a", "CN=b"), one("CN=b", "CN=r")], "missing_issuer", "the issuer CN=r is neither"),
            (vec![one("CN=a", "CN=b"), one("CN=x", "CN=x")], "missing_issuer", "the issuer CN=b is neither"),
            (
                vec![one("CN=a", "CN=b"), one("CN=r", "CN=r"), one("CN=b", "CN=r")],
                "unknown_authority",
                "unknown authority: CN=r",
            ),
            // Two that name each other.
            (vec![one("CN=a", "CN=b"), one("CN=b", "CN=a")], "missing_issuer", "the issuer CN=a is neither"),
            (vec![], "invalid", "no certificate"),
        ] {
            let (told, reason) = unknown(&chain);
            assert!(told == why && reason.contains(words), "{told} {reason}");
        }
    }
}
