//! How a server's certificate is checked against a store of authorities.

use std::collections::HashSet;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};

use super::fail::status;
use super::trust::Store;
use crate::cmd::tls::Certificate;
use crate::cmd::{Fault, Result};

/// The configuration of a client that trusts this store; nobody is checked where there is none.
///
/// # Errors
/// Those of rustls, which a build does not have.
pub fn config(store: Option<Store>) -> Result<Arc<ClientConfig>> {
    let trusted = store.map(Trusted::new).transpose()?;
    let mut config = client(Arc::new(Verifier::new(trusted)))?.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// The beginning of a client's configuration, with this verifier.
///
/// # Errors
/// As [`config`].
pub fn client(
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>> {
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier))
}

/// A version of TLS as people write it: `TLSv1.3`.
pub fn version_name(version: rustls::ProtocolVersion) -> Option<String> {
    version.as_str().map(|name| name.replace('_', "."))
}

fn fault(error: &dyn std::fmt::Display) -> Fault {
    Fault::say(format!("tls: {error}")).with_status(status::TLS)
}

/// Checks a server's certificate, and that the server holds its key.
#[derive(Debug)]
pub struct Verifier {
    /// What is trusted; with `-k` any certificate will do.
    trusted: Option<Trusted>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// One that trusts these, or anybody.
    pub fn new(trusted: Option<Trusted>) -> Self {
        Self { trusted, algorithms: ring::default_provider().signature_verification_algorithms }
    }
}

/// A chain to a trusted certificate, or a trusted certificate itself.
#[derive(Debug)]
pub struct Trusted {
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// A chain to one of these is as good as none, but has a reason.
    stale: Option<Arc<WebPkiServerVerifier>>,
    stale_certificates: Vec<CertificateDer<'static>>,
    own: HashSet<Vec<u8>>,
}

impl Trusted {
    /// The authorities of a store that has some.
    ///
    /// # Errors
    /// As [`config`].
    pub fn new(store: Store) -> Result<Self> {
        let verifier = |roots: RootCertStore| {
            if roots.is_empty() {
                return Ok(None);
            }
            let provider = Arc::new(ring::default_provider());
            let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.build().map(Some).map_err(|error| fault(&error))
        };
        Ok(Self {
            chain: verifier(store.roots)?,
            stale: verifier(store.stale)?,
            stale_certificates: store.stale_certificates,
            own: store.own,
        })
    }

    /// Checks a certificate and those that came with it, for a name, at a time.
    ///
    /// # Errors
    /// Why it is not trusted.
    pub fn check(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> std::result::Result<(), rustls::Error> {
        let chain = |verifier: &Option<Arc<WebPkiServerVerifier>>| match verifier {
            Some(verifier) => verifier.verify_server_cert(certificate, others, name, &[], now).map(drop),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        match chain(&self.chain) {
            // `openssl req -x509` marks what it makes as an authority. A server that shows just what is trusted is
            // trusted, as OpenSSL has it. That error comes after the dates were found good; the name was not looked at.
            Err(error) if is_authority(&error) && self.own.contains(certificate.as_ref()) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
            }
            // webpki takes no heed of an authority's dates; OpenSSL, Go, Java and all others do.
            Err(error) => match chain(&self.stale) {
                Ok(()) => Err(StaleAuthority::of(&self.stale_certificates, certificate, others).into()),
                Err(other) if is_of_dates(&other) || self.chain.is_none() => Err(other),
                Err(_) => Err(error),
            },
            Ok(()) => Ok(()),
        }
    }
}

fn is_of_dates(error: &rustls::Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let rustls::Error::InvalidCertificate(why) = error else { return false };
    matches!(why, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
}

/// The chain leads to an authority whose time is over, or has not come.
#[derive(Debug)]
pub struct StaleAuthority {
    /// Whose, where it is known.
    pub subject: String,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
}

impl StaleAuthority {
    /// The first of these authorities that signed a certificate of the chain, by its name.
    fn of(authorities: &[CertificateDer], own: &CertificateDer, others: &[CertificateDer]) -> Self {
        let issuers: Vec<Vec<u8>> =
            std::iter::once(own).chain(others).map(|der| Certificate::read(der).issuer_bytes).collect();
        let mut read = authorities.iter().map(|der| Certificate::read(der));
        let found = read.find(|one| issuers.contains(&one.subject_bytes)).unwrap_or_default();
        Self { subject: found.subject, not_before: found.not_before, not_after: found.not_after }
    }

    /// Whether an error is of this kind.
    pub fn in_error(error: &CertificateError) -> Option<&Self> {
        let CertificateError::Other(OtherError(inner)) = error else { return None };
        inner.downcast_ref()
    }
}

impl std::fmt::Display for StaleAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the authority {} is out of date", self.subject)
    }
}

impl std::error::Error for StaleAuthority {}

impl From<StaleAuthority> for rustls::Error {
    fn from(stale: StaleAuthority) -> Self {
        CertificateError::Other(OtherError(Arc::new(stale))).into()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        if let Some(trusted) = &self.trusted {
            trusted.check(certificate, others, name, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether a certificate was refused because it is an authority's, which rustls has no variant for.
pub fn is_authority(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))
        if other.to_string() == "CaUsedAsEndEntity")
}
