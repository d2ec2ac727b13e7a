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
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::fail::status;
use crate::cmd::{Context, Fault, Result};
use crate::sys::open::{Refused, read_bounded};

/// Larger bundles are not read.
pub const MAX_BUNDLE: usize = 8 << 20;
/// The most files of a directory that are read.
const MAX_FILES: usize = 1000;

/// Where distributions keep the bundle, in the order they are tried.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
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
        match self.roots.add(der) {
            Ok(()) => drop(self.own.insert(own)),
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
        if !store.roots.is_empty() {
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
        if store.roots.is_empty() {
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
                store.folder(OsStr::from_bytes(folder), &mut sources);
            }
        } else {
            for place in BUNDLES {
                store.bundle(OsStr::new(place), false, &mut sources);
                if !store.roots.is_empty() {
                    break;
                }
            }
            if store.roots.is_empty() {
                store.folder(OsStr::new(DIRECTORY), &mut sources);
            }
        }
        let names: Vec<_> = sources.iter().map(|source| source.to_string_lossy()).collect();
        store.source = format!("container {}", names.join(" "));
        store
    }

    fn bundle(&mut self, path: &OsStr, asked: bool, sources: &mut Vec<OsString>) {
        match read_bounded(path, MAX_BUNDLE) {
            Ok(pem) => {
                let before = self.roots.len();
                self.add(&pem);
                if self.roots.len() > before {
                    sources.push(path.to_owned());
                }
            }
            Err(Refused::Io(error)) if !asked && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(Refused::Io(error)) => self.notes.push(Fault::io("open", path, &error).to_string()),
            Err(Refused::Kind(kind)) => {
                self.notes.push(Fault::text("open", path, format!("it is {kind}")).to_string())
            }
        }
    }

    fn folder(&mut self, path: &OsStr, sources: &mut Vec<OsString>) {
        let Ok(entries) = std::fs::read_dir(Path::new(path)) else { return };
        let mut total = 0;
        let before = self.roots.len();
        for entry in entries.take(MAX_FILES).flatten() {
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
        if self.roots.len() > before {
            sources.push(path.to_owned());
        }
    }

    /// The certificates of the authorities, in DER, in no order; none of those that nsdbg was built with.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.own.iter().map(Vec::as_slice)
    }

    /// How many authorities there are.
    pub fn len(&self) -> usize {
        self.roots.len()
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
    chain: Arc<WebPkiServerVerifier>,
    own: HashSet<Vec<u8>>,
}

impl Trusted {
    /// The authorities of a store that has some.
    ///
    /// # Errors
    /// As [`config`].
    pub fn new(store: Store) -> Result<Self> {
        let chain = WebPkiServerVerifier::builder_with_provider(
            Arc::new(store.roots),
            Arc::new(ring::default_provider()),
        );
        Ok(Self { chain: chain.build().map_err(|error| fault(&error))?, own: store.own })
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
        match self.chain.verify_server_cert(certificate, others, name, &[], now) {
            // `openssl req -x509` marks what it makes as an authority. A server that shows just what is trusted is
            // trusted, as OpenSSL has it. That error comes after the dates were found good; the name was not looked at.
            Err(error) if is_authority(&error) && self.own.contains(certificate.as_ref()) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
            }
            other => other.map(drop),
        }
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
