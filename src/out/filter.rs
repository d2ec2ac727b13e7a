//! The filter in front of the terminal: no byte of the container steers it.

use super::name::is_unprintable;

/// Escapes a stream chunk by chunk: printable text, tab and newline pass; every other control character is shown as
/// `^[`, bidi overrides as `<U+202E>`, bytes that are not UTF-8 as `\xHH`.
#[derive(Debug, Default)]
pub struct TerminalFilter {
    /// Whether SGR sequences (colours) pass; conceal never does.
    sgr: bool,
    /// The start of a sequence or character whose end has not arrived.
    pending: Vec<u8>,
}

/// The longest SGR sequence that passes: `ESC [ … m`.
const SGR_MAX: usize = 32;

impl TerminalFilter {
    /// `sgr`: let colours pass. For rendered output only, never for a file's bytes.
    pub fn new(sgr: bool) -> Self {
        Self { sgr, pending: Vec::new() }
    }

    /// Filters the next bytes of the stream into `to`.
    pub fn push(&mut self, bytes: &[u8], to: &mut Vec<u8>) {
        let joined;
        let bytes = if self.pending.is_empty() {
            bytes
        } else {
            self.pending.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.pending);
            &joined
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.step(rest, to) {
                0 => {
                    self.pending = rest.to_vec();
                    return;
                }
                used => rest = &rest[used..],
            }
        }
    }

    /// Ends the stream: what is held back is shown escaped.
    pub fn finish(&mut self, to: &mut Vec<u8>) {
        for byte in std::mem::take(&mut self.pending) {
            show_byte(byte, to);
        }
    }

    /// Handles the head of `bytes` and says how many bytes it took; 0 asks for more input.
    fn step(&self, bytes: &[u8], to: &mut Vec<u8>) -> usize {
        let plain = bytes.iter().take_while(|b| matches!(b, 0x20..=0x7e | b'\n' | b'\t')).count();
        if plain > 0 {
            to.extend_from_slice(&bytes[..plain]);
            return plain;
        }
        match bytes[0] {
            0x1b if self.sgr => match sgr_length(bytes) {
                Sgr::Passes(length) => {
                    to.extend_from_slice(&bytes[..length]);
                    length
                }
                Sgr::Unfinished => 0,
                Sgr::No => {
                    show_byte(0x1b, to);
                    1
                }
            },
            first @ (0..=0x1f | 0x7f) => {
                // CR LF is how much text of networks ends its lines; it moves the cursor nowhere new.
                match bytes.get(1) {
                    Some(b'\n') if first == b'\r' => 1,
                    None if first == b'\r' => 0,
                    _ => {
                        show_byte(first, to);
                        1
                    }
                }
            }
            _ => character(bytes, to),
        }
    }
}

enum Sgr {
    Passes(usize),
    Unfinished,
    No,
}

/// Whether `bytes` begin with an SGR sequence of digits and semicolons whose parameters do not conceal (8).
fn sgr_length(bytes: &[u8]) -> Sgr {
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        match (at, byte) {
            (1, b'[') => {}
            (1, _) => return Sgr::No,
            (_, b'0'..=b'9' | b';') if at < SGR_MAX => {}
            (_, b'm') => {
                let parameters = &bytes[2..at];
                return if conceals(parameters) { Sgr::No } else { Sgr::Passes(at + 1) };
            }
            _ => return Sgr::No,
        }
    }
    Sgr::Unfinished
}

/// Whether an SGR parameter list hides text: 8, also with leading zeros, unless it is part of a 38;5;8 colour.
fn conceals(parameters: &[u8]) -> bool {
    let mut numbers = parameters
        .split(|b| *b == b';')
        .map(|p| p.iter().fold(0u32, |n, d| n.saturating_mul(10).saturating_add(u32::from(d - b'0'))));
    while let Some(number) = numbers.next() {
        match number {
            8 => return true,
            38 | 48 => match numbers.next() {
                Some(5) => drop(numbers.next()),
                Some(2) => drop((numbers.next(), numbers.next(), numbers.next())),
                _ => return true,
            },
            _ => {}
        }
    }
    false
}

/// One character beyond ASCII, or one byte that is not UTF-8; 0 where its end has not arrived.
fn character(bytes: &[u8], to: &mut Vec<u8>) -> usize {
    let width = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let head = &bytes[..width.min(bytes.len())];
    match std::str::from_utf8(head) {
        Ok(text) => {
            for ch in text.chars() {
                if is_unprintable(ch) && !is_emojis(ch, to) {
                    to.extend_from_slice(format!("<U+{:04X}>", u32::from(ch)).as_bytes());
                } else {
                    to.extend_from_slice(text.as_bytes());
                }
            }
            head.len()
        }
        Err(error) if error.error_len().is_none() && head.len() < width => 0,
        Err(_) => {
            show_byte(bytes[0], to);
            1
        }
    }
}

/// Whether a character chooses between the two forms of the one before it, as after many an emoji. What it could hide
/// is no word: those before it are not of ASCII.
fn is_emojis(ch: char, to: &[u8]) -> bool {
    matches!(ch, '\u{fe0e}' | '\u{fe0f}')
        && to.last().is_some_and(|last| !last.is_ascii())
        && !to.ends_with("\u{fe0e}".as_bytes())
        && !to.ends_with("\u{fe0f}".as_bytes())
}

/// `^[` for a control character, `\xHH` for a byte above ASCII, anything else as it is.
fn show_byte(byte: u8, to: &mut Vec<u8>) {
    match byte {
        0..=0x1f => to.extend_from_slice(&[b'^', byte + 0x40]),
        0x7f => to.extend_from_slice(b"^?"),
        0x80.. => to.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        _ => to.push(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(sgr: bool, chunks: &[&[u8]]) -> String {
        let mut filter = TerminalFilter::new(sgr);
        let mut out = Vec::new();
        for chunk in chunks {
            filter.push(chunk, &mut out);
        }
        filter.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_text_tab_and_newline_pass() {
        assert_eq!(
            filtered(false, &[b"a\tb\n\x1b[31mx\x07\r\x9b\xc2\x9b"]),
            "a\tb\n^[[31mx^G^M\\x9b<U+009B>"
        );
        assert_eq!(filtered(false, &["x\u{202e}y é 漢".as_bytes()]), "x<U+202E>y é 漢");
        let hidden = "a\u{3164}b\u{2800}\u{fe0f}⚠\u{fe0f}\u{fe0f}";
        assert_eq!(filtered(false, &[hidden.as_bytes()]), "a<U+3164>b<U+2800><U+FE0F>⚠\u{fe0f}<U+FE0F>");
        assert_eq!(filtered(false, &[b"HTTP\r\nx\r"]), "HTTP\nx^M");
    }

    #[test]
    fn colours_pass_where_allowed_but_conceal_never() {
        assert_eq!(filtered(true, &[b"\x1b[1;34mdir\x1b[0m"]), "\x1b[1;34mdir\x1b[0m");
        assert_eq!(filtered(true, &[b"\x1b[38;5;8mgrey"]), "\x1b[38;5;8mgrey");
        for bad in [
            &b"\x1b[8mx"[..],
            b"\x1b[08mx",
            b"\x1b[1;8mx",
            b"\x1b[2J",
            b"\x1b]0;t\x07",
            b"\x1b[38;8mx",
            b"\x1b[?8m",
        ] {
            assert!(!filtered(true, &[bad]).contains('\x1b'), "{bad:?}");
        }
    }

    #[test]
    fn sequences_and_characters_split_between_chunks() {
        assert_eq!(filtered(true, &[b"\x1b", b"[3", b"1mx"]), "\x1b[31mx");
        assert_eq!(filtered(true, &[b"\x1b", b"[3"]), "^[[3");
        assert_eq!(filtered(false, &[b"\xe6\xbc", b"\xa2"]), "漢");
        assert_eq!(filtered(false, &[b"\xe6\xbc"]), "\\xe6\\xbc");
        assert_eq!(filtered(false, &[b"\xe6x"]), "\\xe6x");
    }
}
