//! What a certificate says (RFC 5280). Whether that is so, and still so, is not judged here.

use std::fmt::Write;
use std::net::IpAddr;

use x509_cert::certificate::Certificate as Parsed;
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier, UintRef};
use x509_cert::der::oid::db::DB;
use x509_cert::der::{Decode, Encode, Reader, SliceReader, Tagged};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AuthorityInfoAccessSyntax, BasicConstraints, SubjectAltName};
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::Validity;

/// RFC 5280 section 4.2.2.1: where the issuer's certificate can be had.
const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// One certificate. What could not be read is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Certificate {
    /// Whom it is for, as RFC 4514 writes it.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The same, byte by byte, to be compared.
    pub subject_bytes: Vec<u8>,
    /// As the subject's.
    pub issuer_bytes: Vec<u8>,
    /// DNS names and addresses, and other names with their kind in front.
    pub names: Vec<String>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// `RSA`, `ECDSA P-256`, `Ed25519`.
    pub key: String,
    /// Bits of the key.
    pub key_bits: Option<u32>,
    /// `sha256WithRSAEncryption`.
    pub signature: String,
    /// In hexadecimal digits.
    pub serial: String,
    /// Of the whole certificate, in hexadecimal digits.
    pub sha256: String,
    /// Whether it is an authority's.
    pub is_authority: bool,
    /// Where it says its issuer's certificate is.
    pub issuer_at: Option<String>,
    /// Why it could not be read.
    pub error: Option<String>,
}

impl Certificate {
    /// Reads a certificate. Any bytes will do: what is wrong with them is said in `error`.
    pub fn read(der: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, der);
        let mut read = Self { sha256: hex(digest.as_ref()), ..Self::default() };
        match Parsed::from_der(der) {
            Ok(parsed) => read.take(&parsed),
            Err(error) => read.error = Some(format!("it cannot be read: {error}")),
        }
        read
    }

    fn take(&mut self, parsed: &Parsed) {
        let inner = &parsed.tbs_certificate;
        self.subject = text(&inner.subject);
        self.issuer = text(&inner.issuer);
        self.subject_bytes = inner.subject.to_der().unwrap_or_default();
        self.issuer_bytes = inner.issuer.to_der().unwrap_or_default();
        let seconds = |time: x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        self.not_before = seconds(inner.validity.not_before);
        self.not_after = seconds(inner.validity.not_after);
        (self.key, self.key_bits) = key(&inner.subject_public_key_info);
        self.signature = oid_name(&parsed.signature_algorithm.oid);
        self.serial = hex(inner.serial_number.as_bytes());
        // An extension that cannot be read, or is there twice, is as good as none here; the check is webpki's.
        if let Ok(Some((_, alternatives))) = inner.get::<SubjectAltName>() {
            self.names = alternatives.0.iter().map(general_name).collect();
        }
        if let Ok(Some((_, constraints))) = inner.get::<BasicConstraints>() {
            self.is_authority = constraints.ca;
        }
        if let Ok(Some((_, access))) = inner.get::<AuthorityInfoAccessSyntax>() {
            self.issuer_at = access.0.iter().find_map(|one| match &one.access_location {
                GeneralName::UniformResourceIdentifier(url) if one.access_method == CA_ISSUERS => {
                    Some(url.as_str().to_owned())
                }
                _ => None,
            });
        }
    }

    /// Whether its subject and its issuer are the same.
    pub fn is_self_issued(&self) -> bool {
        self.error.is_none() && self.subject_bytes == self.issuer_bytes
    }

    /// Whole days until it ends; negative once it has ended.
    pub fn days_left(&self, now: i64) -> i64 {
        self.not_after.saturating_sub(now).div_euclid(86_400)
    }
}

/// From when and until when a certificate is valid, in seconds since 1970, without reading the rest of it: a store has
/// some hundred.
pub fn validity(der: &[u8]) -> Option<(i64, i64)> {
    let outer = AnyRef::from_der(der).ok()?;
    let inner = AnyRef::decode(&mut SliceReader::new(outer.value()).ok()?).ok()?;
    let mut reader = SliceReader::new(inner.value()).ok()?;
    let mut next = || AnyRef::decode(&mut reader).ok();
    // Version 1 has no field for its version.
    if next()?.tag().is_context_specific() {
        let _serial = next()?;
    }
    let (_algorithm, _issuer) = (next()?, next()?);
    let validity = Validity::decode(&mut reader).ok()?;
    let seconds = |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).ok();
    Some((seconds(validity.not_before)?, seconds(validity.not_after)?))
}

/// Text of what may refuse to be written.
fn text(value: &dyn std::fmt::Display) -> String {
    let mut text = String::new();
    if write!(text, "{value}").is_err() {
        text.push('…');
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn oid_name(oid: &ObjectIdentifier) -> String {
    // The names of these are not in the crate's list.
    match oid.to_string().as_str() {
        "1.3.101.112" => "Ed25519".to_owned(),
        "1.3.101.113" => "Ed448".to_owned(),
        number => DB.by_oid(oid).unwrap_or(number).to_owned(),
    }
}

/// The kind of a key and its bits.
fn key(info: &SubjectPublicKeyInfoOwned) -> (String, Option<u32>) {
    let oid = info.algorithm.oid;
    if oid == RSA {
        return ("RSA".to_owned(), info.subject_public_key.as_bytes().and_then(modulus_bits));
    }
    if oid == EC {
        let curve =
            info.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
        let Some(curve) = curve else { return ("ECDSA".to_owned(), None) };
        let (name, bits) = match curve.to_string().as_str() {
            "1.2.840.10045.3.1.7" => ("P-256".to_owned(), Some(256)),
            "1.3.132.0.34" => ("P-384".to_owned(), Some(384)),
            "1.3.132.0.35" => ("P-521".to_owned(), Some(521)),
            _ => (oid_name(&curve), None),
        };
        return (format!("ECDSA {name}"), bits);
    }
    let name = oid_name(&oid);
    let bits = match name.as_str() {
        "Ed25519" => Some(256),
        "Ed448" => Some(456),
        _ => None,
    };
    (name, bits)
}

/// The length of an RSA key: its modulus comes first, RFC 8017 appendix A.1.1.
fn modulus_bits(bytes: &[u8]) -> Option<u32> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let bits = reader.sequence(|inner| {
        let modulus = UintRef::decode(inner)?;
        let _exponent = UintRef::decode(inner)?;
        let first = modulus.as_bytes().first().map_or(8, |byte| byte.leading_zeros());
        Ok((modulus.as_bytes().len() * 8).saturating_sub(first as usize))
    });
    u32::try_from(bits.ok()?).ok()
}

fn general_name(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(name) => name.as_str().to_owned(),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let ip = <[u8; 4]>::try_from(bytes)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
            ip.map_or_else(|_| format!("address:{}", hex(bytes)), |ip| ip.to_string())
        }
        GeneralName::Rfc822Name(name) => format!("email:{}", name.as_str()),
        GeneralName::UniformResourceIdentifier(name) => format!("uri:{}", name.as_str()),
        GeneralName::DirectoryName(name) => format!("directory:{}", text(name)),
        GeneralName::RegisteredId(oid) => format!("oid:{oid}"),
        GeneralName::OtherName(other) => format!("other:{}", other.type_id),
        GeneralName::EdiPartyName(_) => "edi-party".to_owned(),
    }
}

/// A distinguished name as it comes on the wire; its bytes in hexadecimal digits where it cannot be read.
pub fn distinguished_name(der: &[u8]) -> String {
    x509_cert::name::Name::from_der(der).map_or_else(|_| hex(der), |name| text(&name))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, IsCa, KeyPair, SanType, date_time_ymd};

    use super::*;

    fn made() -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["web.test".to_owned(), "10.0.0.1".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::URI("spiffe://a/b".try_into().unwrap()));
        params.distinguished_name.push(DnType::CommonName, "evil\n\u{1b}[8m, x");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 2, 3);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_is_told_on_one_line_each() {
        let read = Certificate::read(&made());
        assert_eq!(read.error, None);
        assert!(read.subject.contains("evil\\0a\\1b[8m\\, x"), "{}", read.subject);
        assert_eq!(read.names, ["web.test", "10.0.0.1", "uri:spiffe://a/b"]);
        assert_eq!((read.key.as_str(), read.key_bits), ("ECDSA P-256", Some(256)));
        assert_eq!(read.signature, "ecdsa-with-SHA256");
        assert!(read.is_authority && read.is_self_issued());
        assert_eq!(read.days_left(read.not_after - 86_400), 1);
        assert_eq!(read.days_left(read.not_after + 1), -1);
        assert_eq!(crate::out::units::rfc3339(read.not_after, 0), "2021-02-03T00:00:00Z");
        assert_eq!(read.sha256.len(), 64);
        assert_eq!(validity(&made()), Some((read.not_before, read.not_after)));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic() {
        let right = made();
        for end in 0..right.len() {
            assert!(Certificate::read(&right[..end]).error.is_some(), "cut at {end}");
        }
        for at in 0..right.len() {
            for value in [0, 1, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut bytes = right.clone();
                bytes[at] = value;
                let _ = Certificate::read(&bytes);
                let _ = validity(&bytes);
            }
        }
        assert_eq!(distinguished_name(&[0xff]), "ff");
    }
}
