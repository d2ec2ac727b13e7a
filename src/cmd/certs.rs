//! `certs`.

use std::ffi::{OsStr, OsString};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::input::refusal;
use super::net::trust::{MAX_BUNDLE, Store};
use super::tls::Certificate;
use super::{Command, Context, Example, Fault, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::units::rfc3339;
use crate::out::{Align, Column, Field, Kind, Name, Narrow, Output, Row};
use crate::sys::open::{Refused, read_bounded};

/// Show the certificates of files, or those that the container trusts
///
/// Of a file each certificate that is in it, in PEM or DER. Without one the container's own store of authorities, as its
/// programs find it: SSL_CERT_FILE and SSL_CERT_DIR, else the first bundle where distributions keep it. What ends first
/// comes first. The status is 1 where one has ended, or can't be read.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Certs {
    /// Only those that end within so many days, or have ended
    #[arg(short, long, value_name = "DAYS")]
    within: Option<i64>,
    /// Files of the container, with certificates in PEM or DER
    #[arg(value_name = "FILE", add = Takes::Path)]
    files: Vec<OsString>,
}

/// One certificate.
#[derive(serde::Serialize)]
pub struct CertificateRow {
    file: Name,
    subject: String,
    issuer: String,
    names: Vec<String>,
    not_before: String,
    not_after: String,
    days: i64,
    key: String,
    key_bits: Option<u32>,
    signature: String,
    is_authority: bool,
    serial: String,
    sha256: String,
    error: Option<String>,
}

impl Row for CertificateRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            header: "DAYS",
            align: Align::Right,
            narrow: Narrow::WHOLE,
            cell: |row| if row.error.is_none() { row.days.to_string() } else { "-".to_owned() },
        },
        Column {
            header: "UNTIL",
            align: Align::Left,
            narrow: Narrow::WHOLE,
            cell: |row| row.not_after.get(..10).unwrap_or("-").to_owned(),
        },
        Column {
            header: "KEY",
            align: Align::Left,
            narrow: Narrow::drop(1),
            cell: CertificateRow::shown_key,
        },
        Column {
            header: "CA",
            align: Align::Left,
            narrow: Narrow::drop(2),
            cell: |row| if row.is_authority { "yes" } else { "no" }.to_owned(),
        },
        Column {
            header: "SUBJECT",
            align: Align::Left,
            narrow: Narrow::shorten(20),
            cell: CertificateRow::shown_subject,
        },
        Column {
            header: "FILE",
            align: Align::Left,
            narrow: Narrow::shorten(20),
            cell: |row| row.file.spelled(),
        },
    ];
}

impl CertificateRow {
    fn new(file: &OsStr, der: &[u8], now: i64) -> Self {
        let read = Certificate::read(der);
        let is_read = read.error.is_none();
        let time = |seconds: i64| if is_read { rfc3339(seconds, 0) } else { String::new() };
        Self {
            file: file.into(),
            not_before: time(read.not_before),
            not_after: time(read.not_after),
            days: if is_read { read.days_left(now) } else { 0 },
            subject: read.subject,
            issuer: read.issuer,
            names: read.names,
            key: read.key,
            key_bits: read.key_bits,
            signature: read.signature,
            is_authority: read.is_authority,
            serial: read.serial,
            sha256: read.sha256,
            error: read.error,
        }
    }

    fn shown_key(&self) -> String {
        match self.key_bits {
            Some(bits) if self.key == "RSA" => format!("RSA {bits}"),
            _ => self.key.clone(),
        }
    }

    /// The common name alone where there is one: subjects are long.
    fn shown_subject(&self) -> String {
        match &self.error {
            Some(error) => error.clone(),
            None if self.is_authority || self.names.is_empty() => self.subject.clone(),
            None => self.names.join(" "),
        }
    }
}

impl Command for Certs {
    type Row = CertificateRow;
    const PLACE: Place = Place::Inside;
    const REPLACES: &'static str = "openssl x509 -text, openssl crl2pkcs7";
    const FIELDS: &'static [Field] = &[
        field("days", Kind::Number, "whole days until it ends; below 0 once it has"),
        field("not_after", Kind::Time, "when it ends"),
        field("subject", Kind::Text, "whom it is for, as RFC 4514 writes it"),
        field("is_authority", Kind::Flag, "whether it is an authority's"),
        field("file", Kind::Text, "the file; of the container's store, where that was found"),
        more("issuer", Kind::Text, "who signed it"),
        more("names", Kind::List, "DNS names and addresses that it is for"),
        more("not_before", Kind::Time, "when it begins"),
        more("key", Kind::Text, "RSA, ECDSA P-256, Ed25519, …"),
        more("key_bits", Kind::Number, "bits of the key"),
        more("signature", Kind::Text, "how it is signed"),
        more("serial", Kind::Text, "its number, in hexadecimal digits"),
        more("sha256", Kind::Text, "the digest of the whole certificate"),
        more("error", Kind::Text, "why it can't be read"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "certs --within 30 | count", what: "authorities that end within a month" },
        Example { line: "certs | where subject has ISRG", what: "whether one is trusted" },
        Example { line: "certs /etc/ssl/server.pem", what: "what a file holds" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<CertificateRow>) -> Result<Status> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
        let mut rows = Vec::new();
        if self.files.is_empty() {
            let store = Store::of_container(cx);
            if store.len() == 0 {
                return Err(
                    Fault::say("the container has no certificate authorities").with_hint("doctor ca-bundle")
                );
            }
            let source = OsString::from(store.source.trim_start_matches("container "));
            rows.extend(store.certificates().map(|der| CertificateRow::new(&source, der, now)));
        }
        for file in &self.files {
            match certificates(file) {
                Ok(all) => rows.extend(all.iter().map(|der| CertificateRow::new(file, der, now))),
                Err(fault) => cx.report(&fault),
            }
        }
        rows.sort_by(|one, other| (one.days, &one.subject).cmp(&(other.days, &other.subject)));
        let is_wrong = rows.iter().any(|row| row.error.is_some() || row.days < 0);
        let is_wanted = |row: &&CertificateRow| self.within.is_none_or(|days| row.days <= days);
        rows.iter().filter(is_wanted).try_for_each(|row| out.row(row)).map_err(Fault::output)?;
        Ok(Status(u8::from(is_wrong)))
    }
}

/// The certificates in a file: PEM, whatever is between them, or one in DER.
fn certificates(file: &OsStr) -> Result<Vec<Vec<u8>>> {
    let bytes = read_bounded(file, MAX_BUNDLE).map_err(|refused| match refused {
        Refused::Io(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            Fault::text("read", file, format!("it is larger than {} MiB", MAX_BUNDLE >> 20))
        }
        other => refusal(file, other),
    })?;
    // A sequence with a length of two bytes, X.690.
    if bytes.starts_with(&[0x30, 0x82]) {
        return Ok(vec![bytes]);
    }
    let mut all = Vec::new();
    for item in CertificateDer::pem_slice_iter(&bytes) {
        match item {
            Ok(der) => all.push(der.to_vec()),
            Err(error) => return Err(Fault::text("read", file, format!("not PEM: {error}"))),
        }
    }
    if all.is_empty() { Err(Fault::text("read", file, "no certificate in it")) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_certificate_has_no_days() {
        let row = CertificateRow::new("broken".as_ref(), b"\x30\x00", 0);
        let days = CertificateRow::COLUMNS.iter().find(|column| column.header == "DAYS").unwrap();
        assert!(row.error.is_some());
        assert_eq!((days.cell)(&row), "-");
    }
}
