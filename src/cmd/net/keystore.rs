//! Java's key stores: the certificates that one trusts. There are two formats, both of which Java reads whatever the file's
//! name: JKS, as sun.security.provider.JavaKeyStore writes it, and PKCS #12 (RFC 7292), which is cacerts' own since 18.

use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode, Reader, SliceReader, Tag, Tagged};

/// The first bytes of a JKS.
const JKS: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
/// The kind of a JKS's entry that is a trusted certificate.
const TRUSTED: u32 = 2;
/// pkcs7-data.
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
/// pkcs7-encryptedData.
const ENCRYPTED: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
/// certBag.
const CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");
/// x509Certificate.
const X509: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");
/// Oracle's trustedKeyUsage: Java trusts the certificates that have it.
const JAVA_TRUSTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.113894.746875.1.1");

/// The trusted certificates of a key store, in DER.
///
/// # Errors
/// Why it can't be read, as in `it is encrypted`.
pub fn certificates(store: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    match store.strip_prefix(&JKS) {
        Some(rest) => jks(rest).ok_or("it is a broken JKS"),
        None => pkcs12(store),
    }
}

fn jks(mut rest: &[u8]) -> Option<Vec<&[u8]>> {
    let version = number(&mut rest)?;
    let count = number(&mut rest)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let kind = number(&mut rest)?;
        // A name and a time, which do not matter here.
        short(&mut rest)?;
        take(&mut rest, 8)?;
        if kind != TRUSTED {
            // A key, with its chain.
            long(&mut rest)?;
            for _ in 0..number(&mut rest)? {
                jks_certificate(&mut rest, version)?;
            }
            continue;
        }
        found.push(jks_certificate(&mut rest, version)?);
    }
    Some(found)
}

fn jks_certificate<'a>(rest: &mut &'a [u8], version: u32) -> Option<&'a [u8]> {
    if version > 1 {
        // `X.509`.
        short(rest)?;
    }
    long(rest)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    take(rest, 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// Bytes behind their count of 16 bits.
fn short<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let count = take(rest, 2)?.try_into().ok().map(u16::from_be_bytes)?;
    take(rest, count.into())
}

/// Bytes behind their count of 32 bits.
fn long<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let count = number(rest)?;
    take(rest, usize::try_from(count).ok()?)
}

fn pkcs12(store: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    const BROKEN: &str = "it is neither a JKS nor a PKCS #12 key store";
    let (mut found, mut is_encrypted) = (Vec::new(), false);
    // PFX: version, authSafe, macData.
    let file = one(store).and_then(|file| parts(file.value())).ok_or(BROKEN)?;
    let contents = file.get(1).and_then(|safe| data(*safe)).and_then(|safe| parts(one(safe)?.value()));
    for content in contents.ok_or(BROKEN)? {
        let Some(bags) = data(content) else {
            is_encrypted |= is_a(content, ENCRYPTED);
            continue;
        };
        for bag in one(bags).and_then(|bags| parts(bags.value())).ok_or(BROKEN)? {
            found.extend(trusted(bag));
        }
    }
    if found.is_empty() && is_encrypted { Err("its certificates are encrypted") } else { Ok(found) }
}

/// The certificate of a SafeBag that Java trusts.
fn trusted(bag: AnyRef<'_>) -> Option<&[u8]> {
    let bag = parts(bag.value())?;
    let [kind, value, attributes] = bag.as_slice() else { return None };
    let attributes = parts(attributes.value())?;
    if oid(*kind)? != CERTIFICATE || !attributes.iter().any(|attribute| is_a(*attribute, JAVA_TRUSTS)) {
        return None;
    }
    let certificate = parts(one(value.value())?.value())?;
    let [kind, value] = certificate.as_slice() else { return None };
    (oid(*kind)? == X509).then(|| octets(one(value.value())?)).flatten()
}

/// The bytes in a ContentInfo that is plain data.
fn data(content: AnyRef<'_>) -> Option<&[u8]> {
    let fields = parts(content.value())?;
    let [kind, value] = fields.as_slice() else { return None };
    (oid(*kind)? == DATA).then(|| octets(one(value.value())?)).flatten()
}

/// Whether the first field is this identifier.
fn is_a(sequence: AnyRef<'_>, wanted: ObjectIdentifier) -> bool {
    let first = parts(sequence.value()).and_then(|fields| fields.first().and_then(|field| oid(*field)));
    first == Some(wanted)
}

fn oid(field: AnyRef<'_>) -> Option<ObjectIdentifier> {
    field.decode_as().ok()
}

fn octets(field: AnyRef<'_>) -> Option<&[u8]> {
    (field.tag() == Tag::OctetString).then(|| field.value())
}

fn one(bytes: &[u8]) -> Option<AnyRef<'_>> {
    AnyRef::from_der(bytes).ok()
}

/// What stands in a sequence or set, of which these are the bytes.
fn parts(bytes: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(AnyRef::decode(&mut reader).ok()?);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    const JKS_FILE: &[u8] = include_bytes!("../../../tests/fixtures/keystores/cacerts.jks");
    const PKCS12_FILE: &[u8] = include_bytes!("../../../tests/fixtures/keystores/cacerts.p12");

    // Made by keytool(1) of OpenJDK 17: `-importcert -storetype JKS`; the same of PKCS12, with
    // -J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE as cacerts is made, and without.
    #[test]
    fn what_keytool_writes_is_read() {
        let pem = include_bytes!("../../../tests/fixtures/keystores/ca.pem");
        let der = CertificateDer::from_pem_slice(pem).unwrap();
        for store in [JKS_FILE, PKCS12_FILE] {
            assert_eq!(certificates(store), Ok(vec![der.as_ref()]));
        }
        let encrypted = include_bytes!("../../../tests/fixtures/keystores/encrypted.p12");
        assert_eq!(certificates(encrypted), Err("its certificates are encrypted"));
    }

    #[test]
    fn broken_ones_are_refused() {
        for store in [JKS_FILE, PKCS12_FILE] {
            for end in 0..store.len() - 25 {
                assert!(certificates(&store[..end]).is_err(), "{end}");
            }
            for at in 0..store.len() {
                let mut broken = store.to_vec();
                broken[at] ^= 0xff;
                let _ = certificates(&broken);
            }
        }
        assert_eq!(
            certificates(b"-----BEGIN CERTIFICATE-----"),
            Err("it is neither a JKS nor a PKCS #12 key store")
        );
    }
}
