//! What a message of DNS says (RFC 1035 section 4), in the text form of section 5.1: each record one line, with every
//! byte that is not printable ASCII as `\DDD`.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::{RData, TXT};
use simple_dns::{CLASS, Label, Name, Packet, ResourceRecord};

use super::kind::Kind;
use super::rdata;

/// A name has at most so many bytes on the wire, RFC 1035 section 2.3.4.
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;

/// Where in a message a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who is responsible.
    Authority,
    /// What may help.
    Additional,
}

impl Section {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Authority => "authority",
            Self::Additional => "additional",
        }
    }
}

/// What a lookup of addresses acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An address.
    Address(IpAddr),
    /// Another name of the same host, in text form.
    Alias(String),
    /// Something else.
    Other,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stood.
    pub section: Section,
    /// Whose it is, with its trailing dot.
    pub name: String,
    /// Seconds that it may be kept.
    pub ttl: u32,
    /// `IN`.
    pub class: &'static str,
    /// `A`, or `TYPE65280`.
    pub kind: String,
    /// Its data in text form.
    pub data: String,
    /// Its data, where that is an address or an alias.
    pub value: Value,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The response code: 0 is NOERROR, 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED.
    pub code: u8,
    /// `qr`, `aa`, `tc`, `rd`, `ra`, `ad`, `cd`.
    pub flags: Vec<&'static str>,
    /// All records, section by section.
    pub records: Vec<Record>,
    /// Its length in bytes.
    pub size: usize,
}

/// The name of a response code, RFC 6895 section 2.3.
pub fn code_name(code: u8) -> String {
    const NAMES: [&str; 11] = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
        "NOTAUTH", "NOTZONE",
    ];
    NAMES.get(usize::from(code)).map_or_else(|| format!("RCODE{code}"), |name| (*name).to_owned())
}

impl Message {
    /// Reads all records of a packet that came as these bytes.
    pub(super) fn of(packet: &Packet, bytes: &[u8]) -> Self {
        let sections = [
            (Section::Answer, &packet.answers),
            (Section::Authority, &packet.name_servers),
            (Section::Additional, &packet.additional_records),
        ];
        let records = sections
            .into_iter()
            .flat_map(|(section, all)| all.iter().map(move |one| Record::of(section, one)));
        let header = [bytes.get(2).copied().unwrap_or_default(), bytes.get(3).copied().unwrap_or_default()];
        let flags = [
            (header[0] & 0x80, "qr"),
            (header[0] & 4, "aa"),
            (header[0] & 2, "tc"),
            (header[0] & 1, "rd"),
            (header[1] & 0x80, "ra"),
            (header[1] & 0x20, "ad"),
            (header[1] & 0x10, "cd"),
        ];
        Self {
            code: header[1] & 0x0f,
            flags: flags.into_iter().filter(|(bit, _)| *bit != 0).map(|(_, name)| name).collect(),
            records: records.collect(),
            size: bytes.len(),
        }
    }

    /// The records of one section.
    pub fn section(&self, section: Section) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| record.section == section)
    }
}

impl Record {
    fn of(section: Section, record: &ResourceRecord) -> Self {
        let (data, value) = data(record);
        Self {
            section,
            name: name_text(&record.name),
            ttl: record.ttl,
            class: match record.class {
                CLASS::IN => "IN",
                CLASS::CS => "CS",
                CLASS::CH => "CH",
                CLASS::HS => "HS",
                CLASS::NONE => "NONE",
            },
            kind: Kind::of_code(u16::from(record.rdata.type_code())).name(),
            data,
            value,
        }
    }
}

/// The data of a record in text form.
fn data(record: &ResourceRecord) -> (String, Value) {
    let text = match &record.rdata {
        RData::A(a) => {
            let address = IpAddr::V4(Ipv4Addr::from(a.address));
            return (address.to_string(), Value::Address(address));
        }
        RData::AAAA(a) => {
            let address = IpAddr::V6(Ipv6Addr::from(a.address));
            return (address.to_string(), Value::Address(address));
        }
        RData::CNAME(to) => {
            let to = name_text(&to.0);
            return (to.clone(), Value::Alias(to));
        }
        RData::NS(to) => name_text(&to.0),
        RData::PTR(to) => name_text(&to.0),
        RData::MX(mx) => format!("{} {}", mx.preference, name_text(&mx.exchange)),
        RData::SRV(srv) => {
            format!("{} {} {} {}", srv.priority, srv.weight, srv.port, name_text(&srv.target))
        }
        RData::SOA(soa) => format!(
            "{} {} {} {} {} {} {}",
            name_text(&soa.mname),
            name_text(&soa.rname),
            soa.serial,
            // The parser has these signed; they are not, RFC 1035 section 3.3.13.
            soa.refresh as u32,
            soa.retry as u32,
            soa.expire as u32,
            soa.minimum
        ),
        RData::CAA(caa) => {
            // The tag's bytes cannot be had; what is not UTF-8 in it shows as U+FFFD, escaped.
            format!("{} {} {}", caa.flag, escape(caa.tag.to_string().as_bytes(), b""), quoted(&caa.value))
        }
        RData::TXT(txt) => strings(txt),
        RData::NULL(code, null) => {
            let bytes = null.get_data();
            rdata::text(*code, bytes).unwrap_or_else(|| generic(bytes))
        }
        RData::Empty(_) => generic(b""),
        other => {
            let bytes = raw(record);
            rdata::text(u16::from(other.type_code()), &bytes).unwrap_or_else(|| generic(&bytes))
        }
    };
    (text, Value::Other)
}

/// The strings of a TXT record, each in quotes.
fn strings(txt: &TXT) -> String {
    // The parser gives no strings, but their parts before and behind the first `=`.
    let each = txt.iter_raw().map(|(key, value)| match value {
        Some(value) => quoted(&[key, b"=".as_slice(), value].concat()),
        None => quoted(key),
    });
    each.collect::<Vec<_>>().join(" ")
}

/// `\# 4 0A000001`: data without a text form of its own, RFC 3597 section 5.
fn generic(bytes: &[u8]) -> String {
    let mut text = format!("\\# {}", bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        let _ = write!(text, "{}{byte:02X}", if at == 0 { " " } else { "" });
    }
    text
}

/// The data of a record as bytes: it is written again, alone in a packet, with no name packed.
fn raw(record: &ResourceRecord) -> Vec<u8> {
    const HEADER: usize = 12;
    // Type, class, TTL and length.
    const FIXED: usize = 10;
    let name: usize = record.name.as_bytes().map(|label| label.len() + 1).sum::<usize>() + 1;
    let mut packet = Packet::new_reply(0);
    packet.answers.push(record.clone());
    let bytes = packet.build_bytes_vec().unwrap_or_default();
    bytes.get(HEADER + name + FIXED..).unwrap_or_default().to_vec()
}

/// A name of a packet, with its trailing dot; the root is `.`.
pub(super) fn name_text(name: &Name) -> String {
    let mut text = String::new();
    for label in name.as_bytes() {
        // What means something in a zone file: RFC 1035 section 5.1.
        text.push_str(&escape(label, b".\\\"();@$"));
        text.push('.');
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

pub(super) fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    // Blanks need no escape within quotes.
    for part in bytes.split_inclusive(|byte| *byte == b' ') {
        match part.split_last() {
            Some((b' ', before)) => {
                text.push_str(&escape(before, b"\"\\"));
                text.push(' ');
            }
            _ => text.push_str(&escape(part, b"\"\\")),
        }
    }
    text.push('"');
    text
}

/// Bytes as printable ASCII: those of `special` behind a backslash, others as `\DDD`.
pub(super) fn escape(bytes: &[u8], special: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            _ if special.contains(&byte) => {
                text.push('\\');
                text.push(char::from(byte));
            }
            0x21..=0x7e => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:03}");
            }
        }
    }
    text
}

/// The labels of a name in text form; `\.` and `\DDD` stand for a byte within one. The root has none.
///
/// # Errors
/// A sentence that says why DNS can't carry it.
pub(super) fn labels(text: &str) -> Result<Vec<Label<'static>>, &'static str> {
    if !text.is_ascii() {
        return Err("DNS names are ASCII: other letters go as xn--…");
    }
    let (mut labels, mut label, mut total) = (Vec::new(), Vec::new(), 1);
    let mut take = |label: &mut Vec<u8>| {
        total += label.len() + 1;
        match label.len() {
            0 => Err("it has an empty label: two dots in a row, or a dot in front"),
            len if len > MAX_LABEL => Err("a label is longer than 63 bytes"),
            _ if total > MAX_NAME => Err("it is longer than 255 bytes"),
            _ => {
                labels.push(Label::new_unchecked(std::mem::take(label)));
                Ok(())
            }
        }
    };
    let mut rest = if text == "." { b"" } else { text.as_bytes() };
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match (first, behind) {
            (b'\\', [a @ b'0'..=b'2', b @ b'0'..=b'9', c @ b'0'..=b'9', behind @ ..]) => {
                let number =
                    [a, b, c].into_iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
                label.push(u8::try_from(number).map_err(|_| "\\DDD is at most \\255")?);
                rest = behind;
            }
            (b'\\', [other, behind @ ..]) => {
                label.push(*other);
                rest = behind;
            }
            (b'\\', []) => return Err("a backslash stands alone at its end"),
            (b'.', _) => take(&mut label)?,
            (other, _) => label.push(*other),
        }
    }
    if !label.is_empty() {
        take(&mut label)?;
    }
    if text.is_empty() {
        return Err("it is empty");
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, &'static str> {
        labels(text).map(|labels| name_text(&Name::new_with_labels(&labels)))
    }

    #[test]
    fn names_are_read_and_written_alike() {
        for (typed, written) in [
            (".", "."),
            ("a.b", "a.b."),
            ("a.b.", "a.b."),
            ("*._tcp.A-b.", "*._tcp.A-b."),
            ("a\\.b.c", "a\\.b.c."),
            ("a\\027\\255.c", "a\\027\\255.c."),
            ("a b\\\\.c", "a\\032b\\\\.c."),
            ("\\097.c", "a.c."),
        ] {
            assert_eq!(shown(typed).as_deref(), Ok(written), "{typed}");
            assert_eq!(shown(written).as_deref(), Ok(written), "{written}");
        }
        for wrong in ["", "..", "a..b", ".a", "é.de", "\\256.a", "a\\", &"a".repeat(64), &"a.".repeat(128)] {
            assert!(labels(wrong).is_err(), "{wrong}");
        }
        assert!(labels(&"a.".repeat(127)).is_ok());
    }

    #[test]
    fn texts_are_one_line_of_printable_ascii() {
        assert_eq!(
            quoted(b"v=spf1 \"x\" \\ \x1b[8m\n\xff;"),
            "\"v=spf1 \\\"x\\\" \\\\ \\027[8m\\010\\255;\""
        );
        assert_eq!(generic(&[10, 0, 0xff]), "\\# 3 0A00FF");
        assert_eq!(code_name(3), "NXDOMAIN");
        assert_eq!(code_name(15), "RCODE15");
    }
}
