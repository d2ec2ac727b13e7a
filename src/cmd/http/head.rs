//! The head of a response, and how its body is framed (RFC 9112).

use std::io;

use super::stream::Conn;
use crate::cmd::{Fault, Result};
use crate::out::name::escape;

/// The most that a head may be, all interim responses together.
pub const MAX_HEAD: usize = 64 << 10;
/// The most header lines in a head.
const MAX_LINES: usize = 256;

/// Status line and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub version: &'static str,
    /// Status code.
    pub status: u16,
    /// What stands behind it.
    pub reason: String,
    /// Name as sent, value as sent.
    pub headers: Vec<(String, Vec<u8>)>,
    /// All of it as it came.
    pub raw: Vec<u8>,
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// The end of the connection.
    Close,
}

/// How a body is packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// gzip.
    Gzip,
    /// zlib, or bare deflate.
    Deflate,
    /// One that we cannot unpack.
    Other(String),
}

/// Reads one head. What follows it stays in the connection's buffer.
///
/// # Errors
/// 52 where nothing came, 56 for a head that is cut, too large or no HTTP; those of the stream.
pub fn read(conn: &mut Conn, address: &str, budget: &mut usize) -> Result<Head> {
    let fault = |text: String| Fault::text("read", address, text).with_status(56);
    let mut searched = 0;
    loop {
        let held = conn.held();
        if let Some(end) = end_of_head(held, searched) {
            if end > *budget {
                return Err(fault(format!("the response's head is larger than {} KiB", MAX_HEAD >> 10)));
            }
            *budget -= end;
            let head = parse(&held[..end]).map_err(fault)?;
            conn.used(end);
            return Ok(head);
        }
        searched = held.len().saturating_sub(3);
        if held.len() >= *budget {
            return Err(fault(format!("the response's head is larger than {} KiB", MAX_HEAD >> 10)));
        }
        if !b"HTTP/1.".iter().zip(held).all(|(a, b)| a == b) {
            return Err(fault(not_http(held)));
        }
        match conn.more() {
            Ok(0) if conn.held().is_empty() => {
                return Err(
                    Fault::text("read", address, "the server closed without an answer").with_status(52)
                );
            }
            Ok(0) => return Err(fault("the connection ended within the response's head".into())),
            Ok(_) => {}
            Err(error) => return Err(super::fail::answer(address, &error)),
        }
    }
}

fn not_http(held: &[u8]) -> String {
    match held {
        [0x15 | 0x16, 3, ..] => "the server speaks TLS here: try https://".into(),
        [b'H', b'T', b'T', b'P', b'/', ..] => "the answer is not HTTP/1".into(),
        _ => {
            format!("the answer is not HTTP: {}", escape(held.get(..held.len().min(32)).unwrap_or_default()))
        }
    }
}

/// Where a head ends: behind its first empty line.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(newline) = bytes.get(at..)?.iter().position(|b| *b == b'\n') {
        at += newline + 1;
        match bytes.get(at..) {
            Some([b'\n', ..]) => return Some(at + 1),
            Some([b'\r', b'\n', ..]) => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Parses a whole head.
fn parse(bytes: &[u8]) -> std::result::Result<Head, String> {
    let mut lines = vec![httparse::EMPTY_HEADER; MAX_LINES];
    let mut response = httparse::Response::new(&mut lines);
    let mut config = httparse::ParserConfig::default();
    // What curl and browsers bear too: servers that get it wrong are what a debugger is pointed at.
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true);
    match config.parse_response(&mut response, bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err("the response's head is cut".into()),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(format!("the response has over {MAX_LINES} headers"));
        }
        Err(error) => return Err(format!("the response's head is wrong: {error}")),
    }
    let headers = response.headers.iter().map(|h| (h.name.to_owned(), h.value.to_vec())).collect();
    Ok(Head {
        version: if response.version == Some(0) { "HTTP/1.0" } else { "HTTP/1.1" },
        status: response.code.unwrap_or_default(),
        reason: response.reason.unwrap_or_default().to_owned(),
        headers,
        raw: bytes.to_vec(),
    })
}

impl Head {
    /// The values of a header.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_slice())
    }

    /// The first value of a header.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_slice())
    }

    /// The words of a header that lists them, in lower case.
    fn words(&self, name: &str) -> Vec<String> {
        self.all(name)
            .flat_map(|value| value.split(|b| *b == b','))
            .map(|word| String::from_utf8_lossy(word.trim_ascii()).to_ascii_lowercase())
            .filter(|word| !word.is_empty())
            .collect()
    }

    /// How the body ends, RFC 9112 section 6.3.
    ///
    /// # Errors
    /// A sentence for lengths that contradict each other and for codings that nobody can end.
    pub fn framing(&self, method: &str) -> io::Result<Framing> {
        let wrong = |text: String| Err(io::Error::new(io::ErrorKind::InvalidData, text));
        if method == "HEAD" || self.status < 200 || matches!(self.status, 204 | 304) {
            return Ok(Framing::Empty);
        }
        match self.words("transfer-encoding").as_slice() {
            [] => {}
            [one] if one == "chunked" => return Ok(Framing::Chunked),
            [one] if one == "identity" => {}
            other => {
                return wrong(format!(
                    "transfer coding {} is not supported",
                    escape(other.join(", ").as_bytes())
                ));
            }
        }
        let lengths = self.words("content-length");
        let Some(first) = lengths.first() else { return Ok(Framing::Close) };
        let digits = first.bytes().all(|b| b.is_ascii_digit()) && lengths.iter().all(|other| other == first);
        match first.parse() {
            Ok(length) if digits => Ok(Framing::Length(length)),
            _ => wrong(format!("content-length {} is not a length", escape(lengths.join(", ").as_bytes()))),
        }
    }

    /// How the body is packed.
    pub fn coding(&self) -> Coding {
        match self.words("content-encoding").as_slice() {
            [] => Coding::Identity,
            [one] => match one.as_str() {
                "identity" => Coding::Identity,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                other => Coding::Other(other.to_owned()),
            },
            more => Coding::Other(more.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_head_ends_at_its_first_empty_line() {
        for (text, end) in [
            ("HTTP/1.1 200 OK\r\n\r\nbody", Some(19)),
            ("HTTP/1.1 200 OK\n\nbody", Some(17)),
            ("HTTP/1.1 200 OK\r\nA: b\r\n", None),
            ("", None),
            ("\r", None),
        ] {
            assert_eq!(end_of_head(text.as_bytes(), 0), end, "{text:?}");
        }
    }

    #[test]
    fn names_are_kept_as_sent() {
        let head = head(
            "HTTP/1.0 404 Not Found\r\nX-oDD:  v \r\nBad Name: x\r\nset-cookie: a\r\nSet-Cookie: é\r\n\r\n",
        );
        assert_eq!((head.version, head.status, head.reason.as_str()), ("HTTP/1.0", 404, "Not Found"));
        assert_eq!(head.headers[0], ("X-oDD".to_owned(), b"v".to_vec()));
        assert_eq!(head.all("SET-COOKIE").count(), 2);
    }

    #[test]
    fn framing_follows_the_rfc() {
        use Framing::{Chunked, Close, Empty, Length};
        for (method, headers, framing) in [
            ("GET", "Content-Length: 5", Some(Length(5))),
            ("GET", "Content-Length: 5\r\nContent-Length: 5", Some(Length(5))),
            ("GET", "Content-Length: 5\r\nContent-Length: 6", None),
            ("GET", "Content-Length: +5", None),
            ("GET", "Content-Length: 99999999999999999999", None),
            ("GET", "Content-Length: 5\r\nTransfer-Encoding: Chunked", Some(Chunked)),
            ("GET", "Transfer-Encoding: gzip, chunked", None),
            ("GET", "A: b", Some(Close)),
            ("HEAD", "Content-Length: 5", Some(Empty)),
        ] {
            let head = head(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n"));
            assert_eq!(head.framing(method).ok(), framing, "{headers}");
        }
        assert_eq!(head("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n").framing("GET").unwrap(), Empty);
    }

    #[test]
    fn codings_are_told_apart() {
        let coding =
            |value: &str| head(&format!("HTTP/1.1 200 OK\r\nContent-Encoding: {value}\r\n\r\n")).coding();
        assert_eq!(coding("X-Gzip"), Coding::Gzip);
        assert_eq!(coding("deflate"), Coding::Deflate);
        assert_eq!(coding("br"), Coding::Other("br".into()));
        assert_eq!(coding("gzip, gzip"), Coding::Other("gzip, gzip".into()));
    }
}
