//! Names from the container: raw bytes that need not be UTF-8 and may hold anything.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::{Serialize, Serializer};

/// A file name, path or argument as raw bytes.
///
/// In JSON it is a string. Where the bytes are not UTF-8, or begin with `$'`, it is spelled `$'…'` with `\xHH` for
/// each byte that is not printable ASCII, `\\` and `\'`: one spelling a name, and the prompt reads it back as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name(Vec<u8>);

impl Name {
    /// The bytes themselves.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The JSON spelling, as a string.
    pub fn spelled(&self) -> String {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.starts_with("$'") => text.to_owned(),
            _ => dollar_quoted(&self.0),
        }
    }
}

impl From<Vec<u8>> for Name {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Name {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<OsString> for Name {
    fn from(text: OsString) -> Self {
        Self(text.into_vec())
    }
}

impl From<&OsStr> for Name {
    fn from(text: &OsStr) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.spelled())
    }
}

/// `$'…'` with every byte outside printable ASCII as `\xHH` (newline and tab as `\n`, `\t`).
pub fn dollar_quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 8);
    text.push_str("$'");
    for &byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b'\'' => text.push_str("\\'"),
            0x20..=0x7e => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text.push('\'');
    text
}

/// The bytes as one line of printable text: UTF-8 as it is, control characters, bidi overrides and bytes that are not
/// UTF-8 as `\xHH`, `\n`, `\t`, `\u{202e}`.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for ch in chunk.valid().chars() {
            match ch {
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                _ if is_unprintable(ch) => match u32::from(ch) {
                    code @ 0..=0x7f => text.push_str(&format!("\\x{code:02x}")),
                    code => text.push_str(&format!("\\u{{{code:x}}}")),
                },
                _ => text.push(ch),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// How a shell would be given the name: as it is where that is safe, else in quotes; control characters and bytes that
/// are not UTF-8 in `$'…'`. What `ls` shows on a terminal; the prompt reads it back.
pub fn shell_quoted(bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else { return dollar_quoted(bytes) };
    if text.chars().any(|ch| is_unprintable(ch) || is_odd_space(ch)) {
        return dollar_quoted(bytes);
    }
    let plain = |c: char| {
        c.is_alphanumeric()
            || matches!(c, '_' | '-' | '.' | '/' | ',' | ':' | '@' | '%' | '+' | '=' | ']' | '^')
    };
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else if !text.contains('\'') {
        format!("'{text}'")
    } else if !text.contains(['"', '$', '`', '\\', '!']) {
        format!("\"{text}\"")
    } else {
        dollar_quoted(bytes)
    }
}

/// Characters that could steer a terminal or hide text, of Unicode 16: controls and format characters (general categories
/// Cc and Cf), line and paragraph separators (Zl, Zp), all with the property Default_Ignorable_Code_Point, and letters and
/// symbols that are blank.
const UNPRINTABLE: [(u32, u32); 31] = [
    (0x0000, 0x001f),
    (0x007f, 0x009f),
    (0x00ad, 0x00ad),
    (0x034f, 0x034f),
    (0x0600, 0x0605),
    (0x061c, 0x061c),
    (0x06dd, 0x06dd),
    (0x070f, 0x070f),
    (0x0890, 0x0891),
    (0x08e2, 0x08e2),
    // Hangul fillers, and the vowels of Khmer that are not written.
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x206f),
    // The blank pattern of Braille, another filler, the variation selectors.
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0x110bd, 0x110bd),
    (0x110cd, 0x110cd),
    // Formats and blanks of hieroglyphs, a filler of Khitan, formats of shorthand, a notehead without ink.
    (0x13430, 0x1343f),
    (0x13441, 0x13442),
    (0x16fe4, 0x16fe4),
    (0x1bca0, 0x1bca3),
    (0x1d159, 0x1d159),
    (0x1d173, 0x1d17a),
    (0xe0000, 0xe0fff),
];

/// Whether a character could steer a terminal or hide text.
pub fn is_unprintable(ch: char) -> bool {
    let code = u32::from(ch);
    // Most are ASCII.
    if matches!(code, 0x20..=0x7e) {
        return false;
    }
    let at = UNPRINTABLE.partition_point(|(_, last)| *last < code);
    UNPRINTABLE.get(at).is_some_and(|(first, _)| *first <= code)
}

/// Whether a character looks like a space and is another: in a name it is spelled, so that it can be typed.
fn is_odd_space(ch: char) -> bool {
    matches!(u32::from(ch), 0xa0 | 0x1680 | 0x2000..=0x200a | 0x202f | 0x205f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_spelling_is_unambiguous() {
        for (bytes, spelled) in [
            (&b"plain"[..], "plain"),
            (b"two\nlines", "two\nlines"),
            (b"\xff\x1b'", "$'\\xff\\x1b\\''"),
            (b"$'x'", "$'$\\'x\\''"),
            ("é".as_bytes(), "é"),
        ] {
            assert_eq!(Name::from(bytes).spelled(), spelled);
        }
    }

    #[test]
    fn escape_leaves_no_control_character() {
        assert_eq!(escape(b"a\x1b[0m\n\xff\xe2\x80\xae."), "a\\x1b[0m\\n\\xff\\u{202e}.");
    }

    // The oracle: the tables of Unicode in crate regex.
    #[test]
    fn r24_every_character_that_can_not_be_seen_is_unprintable() {
        let hidden = r"[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{Zl}\p{Zp}]";
        let (hidden, odd) =
            [hidden, r"[\p{Zs}--[ \x{3000}]]"].map(|of| regex::Regex::new(of).unwrap()).into();
        let blank = [0x2800, 0x13441, 0x13442, 0x16fe4, 0x1d159];
        let mut text = [0; 4];
        for ch in '\0'..=char::MAX {
            let wanted = hidden.is_match(ch.encode_utf8(&mut text)) || blank.contains(&u32::from(ch));
            assert_eq!(is_unprintable(ch), wanted, "U+{:04X}", u32::from(ch));
            let is_odd = odd.is_match(ch.encode_utf8(&mut text));
            assert_eq!(is_odd_space(ch), is_odd, "U+{:04X}", u32::from(ch));
            if wanted || is_odd {
                let name = format!("a{ch}b");
                assert!(shell_quoted(name.as_bytes()).starts_with("$'"), "U+{:04X}", u32::from(ch));
                assert!(!wanted || !escape(name.as_bytes()).contains(ch), "U+{:04X}", u32::from(ch));
            }
        }
    }

    #[test]
    fn quoting_is_only_where_needed() {
        for (name, quoted) in [
            ("a.txt", "a.txt"),
            ("a b", "'a b'"),
            ("it's", "\"it's\""),
            ("a\nb", "$'a\\nb'"),
            ("", "''"),
            ("~a", "'~a'"),
        ] {
            assert_eq!(shell_quoted(name.as_bytes()), quoted);
        }
    }
}
