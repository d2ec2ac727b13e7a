//! Keys and certificates: PEM, DER, and public keys of SSH.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::What;
use super::sample::Sample;
use crate::out::name::escape;
use crate::out::units::rfc3339;

/// The longest certificate that is decoded.
const CERTIFICATE: usize = 64 << 10;

/// Text before the first block that is passed over.
const BEFORE: usize = 16 << 10;

/// `openssh-key-v1`, NUL, and the cipher `none`, as base64 spells them.
const OPENSSH_WITHOUT_PASSPHRASE: &[u8] = b"b3BlbnNzaC1rZXktdjEAAAAABG5v";

/// What a key or a certificate is.
pub fn look(sample: &Sample) -> Option<What> {
    pem(sample).or_else(|| der(sample)).or_else(|| ssh(sample))
}

fn pem(sample: &Sample) -> Option<What> {
    let text = &sample.head[..];
    let before = text.get(..text.len().min(BEFORE))?;
    let at = memchr::memmem::find(before, b"-----BEGIN ")?;
    // A shell script may hold a key: then it is a script. Some tools write what a certificate says before it.
    if text.contains(&0) || text.starts_with(b"#!") || (at > 0 && text.get(at - 1) != Some(&b'\n')) {
        return None;
    }
    let label = text.get(at + 11..)?;
    let label = label.get(..memchr::memmem::find(label, b"-----")?)?;
    let body = text.get(at + 11 + label.len() + 5..)?.trim_ascii_start();
    let is_encrypted = body.starts_with(b"Proc-Type: 4,ENCRYPTED");
    let (name, kind) = match label {
        b"CERTIFICATE" | b"X509 CERTIFICATE" | b"TRUSTED CERTIFICATE" => return Some(certificates(text)),
        b"CERTIFICATE REQUEST" | b"NEW CERTIFICATE REQUEST" => ("PEM certificate request", "request"),
        b"X509 CRL" => ("PEM certificate revocation list", "revocation list"),
        b"RSA PRIVATE KEY" => ("PEM RSA private key", "private key"),
        b"EC PRIVATE KEY" => ("PEM EC private key", "private key"),
        b"DSA PRIVATE KEY" => ("PEM DSA private key", "private key"),
        b"PRIVATE KEY" => ("PEM private key", "private key"),
        b"ENCRYPTED PRIVATE KEY" => ("PEM private key, encrypted", "private key"),
        b"OPENSSH PRIVATE KEY" if !body.starts_with(OPENSSH_WITHOUT_PASSPHRASE) => {
            ("OpenSSH private key, encrypted", "private key")
        }
        b"OPENSSH PRIVATE KEY" => ("OpenSSH private key (no password)", "private key"),
        b"PUBLIC KEY" => ("PEM public key", "public key"),
        b"RSA PUBLIC KEY" => ("PEM RSA public key", "public key"),
        b"EC PARAMETERS" if memchr::memmem::find(text, b"-----BEGIN EC PRIVATE KEY").is_some() => {
            ("PEM EC private key", "private key")
        }
        b"EC PARAMETERS" => ("PEM EC parameters", "parameters"),
        b"DH PARAMETERS" => ("PEM DH parameters", "parameters"),
        b"PKCS7" => ("PEM PKCS#7 data", "message"),
        b"PGP PUBLIC KEY BLOCK" => {
            return Some(textual("PGP public key block", "application/pgp-keys", "public key"));
        }
        b"PGP PRIVATE KEY BLOCK" => {
            return Some(textual("PGP private key block", "application/pgp-keys", "private key"));
        }
        b"PGP MESSAGE" => return Some(textual("PGP message", "application/pgp", "message")),
        b"PGP SIGNATURE" => return Some(textual("PGP signature", "application/pgp-signature", "signature")),
        _ => return None,
    };
    let mut what = textual(name, "text/plain", kind);
    let is_encrypted = is_encrypted || name.ends_with(", encrypted");
    if is_encrypted && !name.ends_with(", encrypted") {
        what.description.push_str(", encrypted");
    }
    if kind == "private key" {
        what.detail("is_encrypted", is_encrypted);
    }
    Some(what)
}

fn textual(name: &str, mime: &'static str, kind: &str) -> What {
    let mut what =
        What { description: name.to_owned(), mime: mime.into(), charset: "us-ascii", ..What::default() };
    what.detail("kind", kind);
    what
}

/// One certificate, or how many; the subject and the end are those of the first.
fn certificates(text: &[u8]) -> What {
    let mut what = textual("PEM certificate", "text/plain", "certificate");
    let found = CertificateDer::pem_slice_iter(text).take(1000).map_while(Result::ok);
    let mut count = 0_u64;
    for certificate in found {
        if count == 0 {
            describe(&certificate, &mut what);
        }
        count += 1;
    }
    if count > 1 {
        what.description.push_str(&format!(", the first of {count}"));
        what.detail("certificates", count);
    }
    what
}

/// Adds what a certificate says; whether it is one.
fn describe(bytes: &[u8], what: &mut What) -> bool {
    if bytes.len() > CERTIFICATE {
        return false;
    }
    let Ok(certificate) = Certificate::from_der(bytes) else { return false };
    let tbs = &certificate.tbs_certificate;
    let subject = escape(tbs.subject.to_string().as_bytes());
    let issuer = escape(tbs.issuer.to_string().as_bytes());
    let end = tbs.validity.not_after.to_unix_duration().as_secs();
    let end = rfc3339(i64::try_from(end).unwrap_or(i64::MAX), 0);
    what.description.push_str(&format!(", {subject}, not after {end}"));
    what.detail("subject", subject);
    what.detail("issuer", issuer);
    what.detail("not_after", end);
    true
}

fn der(sample: &Sample) -> Option<What> {
    // A sequence that begins with a sequence, both of long form.
    if !(sample.is_whole && sample.has(0, b"\x30\x82") && sample.has(4, b"\x30")) {
        return None;
    }
    let mut what = What::binary("DER certificate", "application/pkix-cert");
    what.detail("kind", "certificate");
    describe(&sample.head, &mut what).then_some(what)
}

fn ssh(sample: &Sample) -> Option<What> {
    const KINDS: [(&[u8], &str); 4] = [
        (b"ssh-rsa AAAA", "OpenSSH RSA public key"),
        (b"ssh-ed25519 AAAA", "OpenSSH ED25519 public key"),
        (b"ecdsa-sha2-nistp", "OpenSSH ECDSA public key"),
        (b"ssh-dss AAAA", "OpenSSH DSA public key"),
    ];
    let (_, name) = KINDS.iter().find(|(begin, _)| sample.has(0, begin))?;
    Some(textual(name, "text/plain", "public key"))
}
