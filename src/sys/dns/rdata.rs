//! Text forms of records that the parser of packets has none for, from their bytes with no name packed.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::kind::Kind;
use super::record::{escape, quoted};
use crate::sys::base64::base64;

/// Keys of service parameters, RFC 9460 section 14.3.2.
const PARAMETERS: [&str; 7] = ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint"];

/// The data of a record of this type; none for types without a text form here, and for data that is not of its type.
pub fn text(code: u16, bytes: &[u8]) -> Option<String> {
    let mut from = Bytes(bytes);
    let text = match Kind::of_code(code).name().as_str() {
        "DNAME" => from.name()?,
        "DS" | "CDS" => format!("{} {} {} {}", from.two()?, from.one()?, from.one()?, hex(from.rest())),
        "DNSKEY" | "CDNSKEY" => {
            format!("{} {} {} {}", from.two()?, from.one()?, from.one()?, base64(from.rest()))
        }
        "TLSA" | "SMIMEA" => format!("{} {} {} {}", from.one()?, from.one()?, from.one()?, hex(from.rest())),
        "SSHFP" => format!("{} {} {}", from.one()?, from.one()?, hex(from.rest())),
        "NAPTR" => {
            let (order, preference) = (from.two()?, from.two()?);
            let (flags, services, regexp) = (from.string()?, from.string()?, from.string()?);
            format!(
                "{order} {preference} {} {} {} {}",
                quoted(flags),
                quoted(services),
                quoted(regexp),
                from.name()?
            )
        }
        "SVCB" | "HTTPS" => service(&mut from)?,
        _ => return None,
    };
    from.0.is_empty().then_some(text)
}

/// `1 . alpn="h2,h3" port=443`, RFC 9460 section 2.1.
fn service(from: &mut Bytes) -> Option<String> {
    let mut text = format!("{} {}", from.two()?, from.name()?);
    while !from.0.is_empty() {
        let (key, length) = (from.two()?, usize::from(from.two()?));
        let mut value = Bytes(from.take(length)?);
        text.push(' ');
        match PARAMETERS.get(usize::from(key)) {
            Some(name) => text.push_str(name),
            None => write!(text, "key{key}").ok()?,
        }
        let mut each = Vec::new();
        match key {
            0 => {
                while !value.0.is_empty() {
                    let key = value.two()?;
                    let name = PARAMETERS.get(usize::from(key));
                    each.push(name.map_or_else(|| format!("key{key}"), |name| (*name).to_owned()));
                }
            }
            // Commas within a name are escaped once as such, and the backslash again in quotes: RFC 9460 appendix A.1.
            1 => {
                let mut list = Vec::new();
                while !value.0.is_empty() {
                    if !list.is_empty() {
                        list.push(b',');
                    }
                    for byte in value.string()? {
                        list.extend(matches!(byte, b',' | b'\\').then_some(b'\\'));
                        list.push(*byte);
                    }
                }
                each.push(quoted(&list));
            }
            2 => {}
            3 => each.push(value.two()?.to_string()),
            4 => {
                while !value.0.is_empty() {
                    each.push(Ipv4Addr::from(*value.take(4)?.first_chunk::<4>()?).to_string());
                }
            }
            6 => {
                while !value.0.is_empty() {
                    each.push(Ipv6Addr::from(*value.take(16)?.first_chunk::<16>()?).to_string());
                }
            }
            5 => each.push(base64(value.rest())),
            _ => each.push(quoted(value.rest())),
        }
        if !value.0.is_empty() {
            return None;
        }
        if !each.is_empty() {
            write!(text, "={}", each.join(",")).ok()?;
        }
    }
    Some(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// What is left of a record's data.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn one(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn two(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// A length and so many bytes.
    fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.one()?;
        self.take(usize::from(length))
    }

    /// A name that is not packed.
    fn name(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.string()? {
                [] if text.is_empty() => return Some(".".to_owned()),
                [] => return Some(text),
                label if label.len() > 63 => return None,
                label => {
                    // What means something in a zone file: RFC 1035 section 5.1.
                    text.push_str(&escape(label, b".\\\"();@$"));
                    text.push('.');
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_is_not_of_its_type_has_no_text_form() {
        for code in [35, 39, 43, 48, 52, 64, 65] {
            for bytes in
                [&b""[..], b"\0", b"\0\x01\xff", b"\0\x01\0\0\x01\0\x05a", b"\0\x01\0\0\x04\0\x03abc"]
            {
                let _ = text(code, bytes);
            }
        }
        assert_eq!(text(65, b"\0\x01\0\0\x04\0\x03abc"), None);
        assert_eq!(text(65, b"\0\x01\0\0\x02\0\0").unwrap(), "1 . no-default-alpn");
        assert_eq!(text(1, b"\x0a\0\0\x01"), None);
    }
}
