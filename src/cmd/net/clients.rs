//! Which authorities clients trust that look elsewhere than where the bundle is.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::trust::{BUNDLES, Store};
use crate::sys::open::read_bounded;

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
    named_by(store, "OpenSSL, Python", &sources)
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
    named_by(store, "Go", &sources)
}

/// Java's key stores below its home, the first that there is, as sun.security.ssl.TrustStoreManager does.
const KEY_STORES: [&str; 4] = [
    "lib/security/jssecacerts",
    "lib/security/cacerts",
    "jre/lib/security/jssecacerts",
    "jre/lib/security/cacerts",
];
/// Homes of Java, where JAVA_HOME does not say: the official images', and below those that end in `/` each directory.
const JAVA_HOMES: [&str; 4] = ["/opt/java/openjdk", "/usr/lib/jvm/", "/usr/java/", "/opt/"];
/// More directories are not looked into.
const HOMES: usize = 100;
/// Where programs that run JavaScript are in images that have Node.
const NODES: [&str; 3] = ["/usr/local/bin/node", "/nodejs/bin/node", "/usr/bin/node"];
/// Larger key stores are not read.
const MAX_KEY_STORE: usize = 8 << 20;

/// The store of Java: the one that its options name, else that of the first Java there is. None without Java.
pub fn java<'a>(var: impl Fn(&str) -> Option<&'a OsStr>) -> Option<Store> {
    let named = ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"].iter().find_map(|name| trust_store(var(name)?));
    let home = set(&var, "JAVA_HOME").map(PathBuf::from).into_iter();
    let path = named.or_else(|| home.chain(java_homes()).find_map(|home| key_store(&home)))?;
    let mut store = Store::empty();
    match read_bounded(path.as_os_str(), MAX_KEY_STORE) {
        Ok(bytes) => match super::keystore::certificates(&bytes) {
            Ok(certificates) => certificates.into_iter().for_each(|der| store.trust(der.into())),
            Err(why) => store.odd(path.as_os_str(), why),
        },
        Err(refused) => store.refused(path.as_os_str(), refused),
    }
    Some(named_by(store, "Java", &[path.into_os_string()]))
}

/// What `-Djavax.net.ssl.trustStore=PATH` among a variable's options names.
fn trust_store(options: &OsStr) -> Option<PathBuf> {
    let mut words = options.as_bytes().split(u8::is_ascii_whitespace);
    let path = words.find_map(|word| word.strip_prefix(b"-Djavax.net.ssl.trustStore="))?;
    Some(PathBuf::from(OsStr::from_bytes(path)))
}

fn key_store(home: &Path) -> Option<PathBuf> {
    KEY_STORES.iter().map(|file| home.join(file)).find(|path| path.exists())
}

fn java_homes() -> impl Iterator<Item = PathBuf> {
    JAVA_HOMES.iter().flat_map(|home| {
        if !home.ends_with('/') {
            return vec![PathBuf::from(home)];
        }
        let entries = std::fs::read_dir(home).into_iter().flatten().flatten().take(HOMES);
        let mut homes: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        homes.sort();
        homes
    })
}

/// The store of Node: its own list, which is Mozilla's as of its release, and what NODE_EXTRA_CA_CERTS adds; or OpenSSL's,
/// where its options say so. None where there is no sign of Node.
pub fn node<'a>(var: impl Fn(&str) -> Option<&'a OsStr>) -> Option<Store> {
    let signs = ["NODE_VERSION", "NODE_OPTIONS", "NODE_ENV", "NODE_EXTRA_CA_CERTS"];
    if !signs.iter().any(|name| var(name).is_some()) && !NODES.iter().any(|path| Path::new(path).exists()) {
        return None;
    }
    let options = var("NODE_OPTIONS").unwrap_or_default().as_bytes();
    if options.split(u8::is_ascii_whitespace).any(|word| word == b"--use-openssl-ca") {
        let mut store = openssl(var);
        store.source = store.source.replacen("OpenSSL, Python", "Node (--use-openssl-ca)", 1);
        return Some(store);
    }
    let (mut store, mut sources) = (Store::builtin(), vec!["(Mozilla's list)".into()]);
    if let Some(file) = set(&var, "NODE_EXTRA_CA_CERTS") {
        store.bundle(&file, true, &mut sources);
    }
    Some(named_by(store, "Node", &sources))
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

fn named_by(mut store: Store, clients: &str, sources: &[OsString]) -> Store {
    let places: Vec<_> = sources.iter().map(|source| source.to_string_lossy()).collect();
    store.source = format!("{clients} {}", places.join(" ")).trim_end().to_owned();
    store
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_options_name_its_key_store() {
        for (options, path) in [
            ("-Xmx1g -Djavax.net.ssl.trustStore=/a/b -Dx=y", Some("/a/b")),
            ("-Djavax.net.ssl.trustStorePassword=x", None),
            ("", None),
        ] {
            assert_eq!(trust_store(OsStr::new(options)).as_deref(), path.map(Path::new), "{options}");
        }
    }

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
