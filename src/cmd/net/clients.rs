//! Which authorities clients trust that look elsewhere than where the bundle is. Node has Mozilla's list built in, as
//! nsdbg has, and Java a file of its own.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::trust::{BUNDLES, Store};

/// What OpenSSL may have been built to look at: Debian's, Red Hat's, and Alpine's or SUSE's.
const OPENSSL: [&str; 3] = ["/usr/lib/ssl", "/etc/pki/tls", "/etc/ssl"];
/// The directories that Go reads besides a bundle, crypto/x509/root_linux.go.
const GO: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// The store of OpenSSL and of what is built on it, as Python: one file, and of a directory those files alone that are
/// named by the hash of whom they are for, openssl-rehash(1).
pub fn openssl<'a>(var: impl Fn(&str) -> Option<&'a OsStr>) -> Store {
    let home = OPENSSL.iter().find(|path| Path::new(path).is_dir()).unwrap_or(&OPENSSL[0]);
    let file = set(&var, "SSL_CERT_FILE").unwrap_or_else(|| format!("{home}/cert.pem").into());
    let folders = set(&var, "SSL_CERT_DIR").unwrap_or_else(|| format!("{home}/certs").into());
    let (mut store, mut sources) = (Store::empty(), Vec::new());
    store.bundle(&file, false, &mut sources);
    for folder in folders.as_bytes().split(|b| *b == b':').take(16) {
        store.folder(OsStr::from_bytes(folder), is_hash, &mut sources);
    }
    named(store, "OpenSSL, Python", &sources)
}

/// The store of Go: a bundle, and every file of the directories.
pub fn go<'a>(var: impl Fn(&str) -> Option<&'a OsStr>) -> Store {
    let file = set(&var, "SSL_CERT_FILE")
        .or_else(|| BUNDLES.iter().find(|path| Path::new(path).exists()).map(OsString::from));
    let folders = set(&var, "SSL_CERT_DIR").unwrap_or_else(|| GO.join(":").into());
    let (mut store, mut sources) = (Store::empty(), Vec::new());
    if let Some(file) = file {
        store.bundle(&file, false, &mut sources);
    }
    for folder in folders.as_bytes().split(|b| *b == b':').take(16) {
        store.folder(OsStr::from_bytes(folder), |_| true, &mut sources);
    }
    named(store, "Go", &sources)
}

fn set<'a>(var: &impl Fn(&str) -> Option<&'a OsStr>, name: &str) -> Option<OsString> {
    var(name).filter(|value| !value.is_empty()).map(OsStr::to_owned)
}

/// `1a2b3c4d.0`.
fn is_hash(name: &OsStr) -> bool {
    let (hash, number) = name.as_bytes().split_at_checked(8).unwrap_or_default();
    let is_number =
        matches!(number, [b'.', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit));
    is_number && hash.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn named(mut store: Store, clients: &str, sources: &[OsString]) -> Store {
    let places: Vec<_> = sources.iter().map(|source| source.to_string_lossy()).collect();
    store.source = format!("{clients} {}", places.join(" ")).trim_end().to_owned();
    store
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_told_from_other_names() {
        for (name, is) in [
            ("1a2b3c4d.0", true),
            ("1a2b3c4d.12", true),
            ("1a2b3c4d.", false),
            ("1A2B3C4D.0", false),
            ("a.0", false),
        ] {
            assert_eq!(is_hash(OsStr::new(name)), is, "{name}");
        }
    }
}
