//! Text: its encoding, its lines, and what it is written in.

use super::sample::Sample;
use super::{What, script};

/// A line longer than this is worth saying.
const LONG: usize = 300;

/// How characters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Ascii,
    Utf8,
    Utf8Marked,
    Utf16Little,
    Utf16Big,
    Latin,
    ExtendedAscii,
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Self::Ascii => "ASCII text",
            Self::Utf8 => "Unicode text, UTF-8 text",
            Self::Utf8Marked => "Unicode text, UTF-8 (with BOM) text",
            Self::Utf16Little => "Unicode text, UTF-16, little-endian text",
            Self::Utf16Big => "Unicode text, UTF-16, big-endian text",
            Self::Latin => "ISO-8859 text",
            Self::ExtendedAscii => "Non-ISO extended-ASCII text",
        }
    }

    fn charset(self) -> &'static str {
        match self {
            Self::Ascii => "us-ascii",
            Self::Utf8 | Self::Utf8Marked => "utf-8",
            Self::Utf16Little => "utf-16le",
            Self::Utf16Big => "utf-16be",
            Self::Latin => "iso-8859-1",
            Self::ExtendedAscii => "unknown-8bit",
        }
    }
}

/// What a text is; `data` where it is none.
pub fn look(sample: &Sample) -> What {
    let Some(encoding) = encoding(sample) else {
        return What::binary("data", "application/octet-stream");
    };
    let text = plain(&sample.head, encoding);
    let (kind, mime) = script::written_in(&text, sample.is_whole);
    let name = match kind {
        Some(script::Kind::Document(name)) => format!("{name}, {}", encoding.name()),
        Some(script::Kind::Script(name)) => format!("{name}, {} executable", encoding.name()),
        // Its encoding says nothing.
        Some(script::Kind::Data(name)) => name,
        None => encoding.name().to_owned(),
    };
    let description = match kind_says_all(&name) {
        true => name,
        false => name + &lines(&text, sample.is_whole),
    };
    What { description, mime: mime.into(), ..What::default() }
}

/// The character set of a file whatever it is: a PDF may be text as well.
pub fn charset(sample: &Sample) -> &'static str {
    encoding(sample).map_or("binary", Encoding::charset)
}

/// JSON has no lines that matter.
fn kind_says_all(name: &str) -> bool {
    name.ends_with("text data")
}

fn encoding(sample: &Sample) -> Option<Encoding> {
    let bytes = &sample.head[..];
    if let Some(rest) = bytes.strip_prefix(b"\xff\xfe") {
        return is_utf16(rest, u16::from_le_bytes).then_some(Encoding::Utf16Little);
    }
    if let Some(rest) = bytes.strip_prefix(b"\xfe\xff") {
        return is_utf16(rest, u16::from_be_bytes).then_some(Encoding::Utf16Big);
    }
    let is_text = |byte: u8| matches!(byte, 7..=13 | 27 | 0x20..=0x7e | 0x80..);
    if !bytes.iter().all(|byte| is_text(*byte)) {
        return None;
    }
    if bytes.is_ascii() {
        return Some(Encoding::Ascii);
    }
    let is_utf8 = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        // The last character may be cut.
        Err(error) => !sample.is_whole && error.error_len().is_none(),
    };
    if is_utf8 {
        let is_marked = bytes.starts_with(b"\xef\xbb\xbf");
        return Some(if is_marked { Encoding::Utf8Marked } else { Encoding::Utf8 });
    }
    let is_latin = bytes.iter().all(|byte| !matches!(byte, 0x80..=0x84 | 0x86..=0x9f));
    Some(if is_latin { Encoding::Latin } else { Encoding::ExtendedAscii })
}

fn is_utf16(bytes: &[u8], number: fn([u8; 2]) -> u16) -> bool {
    let units = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).map(number);
    char::decode_utf16(units)
        .all(|char| char.is_ok_and(|char| !char.is_control() || matches!(char, '\x07'..='\r' | '\x1b')))
}

/// The text with characters above ASCII as they come; those of UTF-16 that are not ASCII as `?`.
fn plain(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    let ascii = |pair: [u8; 2]| if pair[0] == 0 && pair[1] < 0x80 { pair[1] } else { b'?' };
    let pairs = bytes.get(2..).unwrap_or_default().chunks_exact(2);
    match encoding {
        Encoding::Utf16Little => pairs.map(|pair| ascii([pair[1], pair[0]])).collect(),
        Encoding::Utf16Big => pairs.map(|pair| ascii([pair[0], pair[1]])).collect(),
        Encoding::Utf8Marked => bytes.get(3..).unwrap_or_default().to_vec(),
        _ => bytes.to_vec(),
    }
}

/// What is unusual about its lines.
fn lines(text: &[u8], is_whole: bool) -> String {
    let mut said = String::new();
    let mut longest = 0;
    let (mut lf, mut crlf, mut cr) = (0, 0, 0);
    let mut start = 0;
    for (at, byte) in text.iter().enumerate() {
        let is_end = match byte {
            b'\n' if at > 0 && text.get(at - 1) == Some(&b'\r') => {
                crlf += 1;
                true
            }
            b'\n' => {
                lf += 1;
                true
            }
            b'\r' if text.get(at + 1) != Some(&b'\n') => {
                cr += 1;
                true
            }
            _ => false,
        };
        if is_end {
            longest = longest.max(at - start);
            start = at + 1;
        }
    }
    longest = longest.max(text.len() - start);
    if longest > LONG {
        said.push_str(&format!(", with very long lines ({longest})"));
    }
    let ends: Vec<&str> = [(crlf, "CRLF"), (cr, "CR"), (lf, "LF")]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(_, name)| *name)
        .collect();
    if ends.is_empty() && is_whole {
        said.push_str(", with no line terminators");
    } else if crlf + cr > 0 {
        said.push_str(&format!(", with {} line terminators", ends.join(", ")));
    }
    if text.contains(&0x1b) {
        said.push_str(", with escape sequences");
    }
    if text.contains(&8) {
        said.push_str(", with overstriking");
    }
    said
}
