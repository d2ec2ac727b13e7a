//! TLS: which certificates are trusted, and how a server's is checked.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};

use super::fail::status;
use crate::cmd::tls::{Certificate, validity};
use crate::cmd::{Context, Fault, Result};
use crate::out::name::escape;
use crate::sys::open::{Refused, read_bounded};

/// Larger bundles are not read.
pub const MAX_BUNDLE: usize = 8 << 20;
/// The most files of a directory that are read.
const MAX_FILES: usize = 1000;

/// Where distributions keep the bundle, in the order they are tried.
pub(super) const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const DIRECTORY: &str = "/etc/ssl/certs";

/// Which certificates are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Ca {
    /// The container's, as its program would find them.
    Container,
    /// Those that nsdbg was built with (Mozilla's).
    Builtin,
}

/// Authorities that are trusted, and where they came from.
pub struct Store {
    roots: RootCertStore,
    /// Those whose time is over, or has not come: clients take nothing that they sign.
    stale: RootCertStore,
    /// The same as certificates.
    stale_certificates: Vec<CertificateDer<'static>>,
    /// The certificates themselves, where a server may use one as its own.
    own: HashSet<Vec<u8>>,
    /// For messages and `--json`: `container /etc/ssl/cert.pem`, `builtin`.
    pub source: String,
    /// How many were broken and are left out.
    pub broken: usize,
    /// What was there and could not be read.
    pub notes: Vec<String>,
}

impl Store {
    /// One that trusts nobody.
    pub fn empty() -> Self {
        Self {
            roots: RootCertStore::empty(),
            stale: RootCertStore::empty(),
            stale_certificates: Vec::new(),
            own: HashSet::new(),
            source: String::new(),
            broken: 0,
            notes: Vec::new(),
        }
    }

    /// Adds the certificates of a PEM bundle.
    pub fn add(&mut self, pem: &[u8]) {
        for item in CertificateDer::pem_slice_iter(pem) {
            match item {
                Ok(der) => self.trust(der),
                Err(_) => self.broken += 1,
            }
        }
    }

    fn trust(&mut self, der: CertificateDer<'_>) {
        let own = der.to_vec();
        let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
        let is_stale = validity(&own).is_some_and(|(from, to)| now < from || to < now);
        match if is_stale { &mut self.stale } else { &mut self.roots }.add(der) {
            Ok(()) => {
                if is_stale {
                    self.stale_certificates.push(own.clone().into());
                }
                self.own.insert(own);
            }
            Err(_) => self.broken += 1,
        }
    }

    /// The certificates that nsdbg was built with.
    pub fn builtin() -> Self {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Self { roots, source: "builtin".into(), ..Self::empty() }
    }

    /// Loads what the options ask for.
    ///
    /// # Errors
    /// 77 for a `--cacert` without certificates, and for a container without any where only its own are wanted.
    pub fn load(cx: &mut Context, file: Option<&OsStr>, ca: Option<Ca>) -> Result<Self> {
        if let Some(file) = file {
            return Self::of_file(cx, file);
        }
        if ca == Some(Ca::Builtin) {
            return Ok(Self::builtin());
        }
        let store = Self::of_container(cx);
        if store.len() > 0 {
            return Ok(store);
        }
        if ca == Some(Ca::Container) {
            return Err(Fault::say("the container has no certificate authorities")
                .with_hint("--ca builtin")
                .with_status(status::CA_FILE));
        }
        cx.note("the container has no certificate authorities, using those built in");
        Ok(Self { broken: store.broken, ..Self::builtin() })
    }

    /// The certificates of a file, the node's where it is `@host:/path`.
    ///
    /// # Errors
    /// 77 where it cannot be read or has none.
    pub fn of_file(cx: &mut Context, file: &OsStr) -> Result<Self> {
        let pem = match file.as_bytes().strip_prefix(b"@host:") {
            Some(path) => {
                use std::io::Read;
                let path = OsStr::from_bytes(path);
                let mut pem = Vec::new();
                cx.host_file(path, false)?
                    .take(MAX_BUNDLE as u64)
                    .read_to_end(&mut pem)
                    .map(|_| pem)
                    .map_err(|e| Fault::io("read", path, &e))
            }
            None => read_bounded(file, MAX_BUNDLE).map_err(|refused| match refused {
                Refused::Io(error) => Fault::io("open", file, &error),
                Refused::Kind(kind) => Fault::text("open", file, format!("it is {kind}")),
            }),
        };
        let mut store = Self::empty();
        store.add(&pem.map_err(|fault| fault.with_status(status::CA_FILE))?);
        store.source = file.to_string_lossy().into_owned();
        if store.len() == 0 {
            return Err(Fault::text("read", file, "no certificate in it").with_status(status::CA_FILE));
        }
        Ok(store)
    }

    /// As [`Store::found_by`], with the session's variables; what could not be read is told.
    pub fn of_container(cx: &Context) -> Self {
        let store = Self::found_by(|name| cx.var(name));
        store.notes.iter().for_each(|note| cx.note(note));
        store
    }

    /// SSL_CERT_FILE and SSL_CERT_DIR where the target has them, as OpenSSL and Go do; else the first bundle that
    /// there is; else the directory.
    pub fn found_by<'a>(var: impl Fn(&str) -> Option<&'a OsStr>) -> Self {
        let file = var("SSL_CERT_FILE").filter(|value| !value.is_empty());
        let folders = var("SSL_CERT_DIR").filter(|value| !value.is_empty());
        let mut store = Self::empty();
        let mut sources: Vec<OsString> = Vec::new();
        if file.is_some() || folders.is_some() {
            if let Some(file) = file {
                store.bundle(file, true, &mut sources);
            }
            for folder in folders.into_iter().flat_map(|list| list.as_bytes().split(|b| *b == b':')).take(16)
            {
                store.folder(OsStr::from_bytes(folder), |_| true, &mut sources);
            }
        } else {
            for place in BUNDLES {
                store.bundle(OsStr::new(place), false, &mut sources);
                if store.len() > 0 {
                    break;
                }
            }
            if store.len() == 0 {
                store.folder(OsStr::new(DIRECTORY), |_| true, &mut sources);
            }
        }
        let names: Vec<_> = sources.iter().map(|source| source.to_string_lossy()).collect();
        store.source = format!("container {}", names.join(" "));
        store
    }

    /// Adds the certificates of a file, and notes what is odd about it; one that was not asked for need not be there.
    pub(super) fn bundle(&mut self, path: &OsStr, asked: bool, sources: &mut Vec<OsString>) {
        let mut odd = |why: String| self.notes.push(Fault::text("read", path, why).to_string());
        match read_bounded(path, MAX_BUNDLE) {
            Ok(pem) => {
                let plain = pem.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&pem);
                if plain.len() < pem.len() {
                    odd("it begins with a byte order mark: Go passes over its first certificate".to_owned());
                }
                match plain {
                    [] => odd("it is empty".to_owned()),
                    // A sequence with a length of two bytes, as any certificate is.
                    [0x30, 0x82, ..] => {
                        odd("it is DER, and clients read PEM: openssl x509 -inform der converts it"
                            .to_owned());
                    }
                    _ => {}
                }
                let before = self.len();
                self.add(plain);
                if self.len() > before {
                    sources.push(path.to_owned());
                }
            }
            Err(Refused::Io(error)) if !asked && error.kind() == std::io::ErrorKind::NotFound => {
                if let Ok(to) = std::fs::read_link(path) {
                    odd(format!("it is a link to {}, which is not there", escape(to.as_os_str().as_bytes())));
                }
            }
            Err(Refused::Io(error)) => self.notes.push(Fault::io("open", path, &error).to_string()),
            Err(Refused::Kind(kind)) => {
                self.notes.push(Fault::text("open", path, format!("it is {kind}")).to_string())
            }
        }
    }

    /// Adds the certificates of those files of a directory whose names will do.
    pub(super) fn folder(
        &mut self,
        path: &OsStr,
        will_do: impl Fn(&OsStr) -> bool,
        sources: &mut Vec<OsString>,
    ) {
        let Ok(entries) = std::fs::read_dir(Path::new(path)) else { return };
        let mut total = 0;
        let before = self.len();
        for entry in entries.take(MAX_FILES).flatten().filter(|entry| will_do(&entry.file_name())) {
            let Ok(pem) = read_bounded(entry.path().as_os_str(), MAX_BUNDLE) else { continue };
            total += pem.len();
            if total > MAX_BUNDLE {
                break;
            }
            for item in CertificateDer::pem_slice_iter(&pem) {
                match item {
                    // The directory holds each file under its name and under its hash.
                    Ok(der) if self.own.contains(der.as_ref()) => {}
                    Ok(der) => self.trust(der),
                    Err(_) => self.broken += 1,
                }
            }
        }
        if self.len() > before {
            sources.push(path.to_owned());
        }
    }

    /// The certificates of the authorities, in DER, in no order; none of those that nsdbg was built with.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.own.iter().map(Vec::as_slice)
    }

    /// How many authorities there are.
    pub fn len(&self) -> usize {
        self.roots.len() + self.stale.len()
    }

    /// Those whose time is over, or has not come.
    pub fn stale(&self) -> &[CertificateDer<'static>] {
        &self.stale_certificates
    }
}

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
