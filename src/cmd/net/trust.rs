//! Which certificates are trusted: a store of authorities, and where a container keeps them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};

use super::fail::status;
use crate::cmd::tls::validity;
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
    pub(super) roots: RootCertStore,
    /// Those whose time is over, or has not come: clients take nothing that they sign.
    pub(super) stale: RootCertStore,
    /// The same as certificates.
    pub(super) stale_certificates: Vec<CertificateDer<'static>>,
    /// The certificates themselves, where a server may use one as its own.
    pub(super) own: HashSet<Vec<u8>>,
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

    pub(super) fn trust(&mut self, der: CertificateDer<'_>) {
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

    /// Notes what is wrong with a file.
    pub(super) fn odd(&mut self, path: &OsStr, why: impl Into<Cow<'static, str>>) {
        self.notes.push(Fault::text("read", path, why).to_string());
    }

    /// Notes that a file can't be read.
    pub(super) fn refused(&mut self, path: &OsStr, refused: Refused) {
        let fault = match refused {
            Refused::Io(error) => Fault::io("open", path, &error),
            Refused::Kind(kind) => Fault::text("open", path, format!("it is {kind}")),
        };
        self.notes.push(fault.to_string());
    }

    /// Adds the certificates of a file, and notes what is odd about it; one that was not asked for need not be there.
    pub(super) fn bundle(&mut self, path: &OsStr, asked: bool, sources: &mut Vec<OsString>) {
        match read_bounded(path, MAX_BUNDLE) {
            Ok(pem) => {
                let plain = pem.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&pem);
                if plain.len() < pem.len() {
                    self.odd(path, "it begins with a byte order mark: Go passes over its first certificate");
                }
                match plain {
                    [] => self.odd(path, "it is empty"),
                    // A sequence with a length of two bytes, as any certificate is.
                    [0x30, 0x82, ..] => {
                        self.odd(
                            path,
                            "it is DER, and clients read PEM: openssl x509 -inform der converts it",
                        );
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
                    self.odd(
                        path,
                        format!("it is a link to {}, which is not there", escape(to.as_os_str().as_bytes())),
                    );
                }
            }
            Err(refused) => self.refused(path, refused),
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
