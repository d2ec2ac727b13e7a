//! What is sent: method, headers, data.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use super::url::Url;
use crate::cmd::net::fail::status;
use crate::cmd::{Context, Fault, Result};
use crate::sys::base64::base64;
use crate::sys::open::{Refused, regular};

/// The most data that is held in memory.
pub const MAX_DATA: usize = 16 << 20;

/// Methods, as they are typed.
pub const METHODS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "options"];

/// What is read of a file at once.
const PIECE: usize = 128 << 10;

/// Data to send, piece by piece.
#[derive(Default)]
pub struct Payload {
    parts: Vec<Part>,
    /// The part that is being sent, and how much of it is.
    at: usize,
    done: u64,
    /// What was read of a file and is not sent yet.
    read: Vec<u8>,
}

enum Part {
    Bytes(Vec<u8>),
    /// A file of the container, streamed: name and length.
    File(File, OsString, u64),
}

impl Payload {
    /// Collects `-d` (line ends of files are dropped, as curl does) or `--data-binary` (as they are).
    ///
    /// # Errors
    /// 26 for a file that cannot be read.
    pub fn collect(cx: &mut Context, words: &[OsString], binary: bool) -> Result<Option<Self>> {
        if words.is_empty() {
            return Ok(None);
        }
        let mut payload = Self::default();
        let mut held = 0;
        for (at, word) in words.iter().enumerate() {
            if at > 0 {
                payload.parts.push(Part::Bytes(b"&".to_vec()));
            }
            let part = part(cx, word, binary).map_err(|fault| fault.with_status(status::DATA))?;
            if let Part::Bytes(bytes) = &part {
                held += bytes.len();
            }
            if held > MAX_DATA {
                return Err(Fault::text("read", word, "the data is larger than 16 MiB")
                    .with_hint("--data-binary @FILE with a file of the container is sent in pieces")
                    .with_status(status::DATA));
            }
            payload.parts.push(part);
        }
        Ok(Some(payload))
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Bytes(bytes) => bytes.len() as u64,
                Part::File(_, _, length) => *length,
            })
            .sum()
    }

    /// Begins again at the first byte, for another request.
    pub fn rewind(&mut self) {
        (self.at, self.done) = (0, 0);
        self.read.clear();
    }

    /// The next bytes; empty at the end.
    ///
    /// # Errors
    /// Those of a file.
    pub fn piece(&mut self) -> Result<&[u8]> {
        while let Some(part) = self.parts.get(self.at) {
            let (file, name, length) = match part {
                Part::Bytes(bytes) if (bytes.len() as u64) > self.done => break,
                Part::File(file, name, length) if *length > self.done => (file, name, *length),
                Part::Bytes(_) | Part::File(..) => {
                    self.at += 1;
                    self.done = 0;
                    continue;
                }
            };
            if self.read.is_empty() {
                let fault = |error: &io::Error| Fault::io("read", name, error).with_status(status::DATA);
                let most = usize::try_from(length - self.done).unwrap_or(usize::MAX).min(PIECE);
                self.read.resize(most, 0);
                let count = file.read_at(&mut self.read, self.done).map_err(|e| fault(&e))?;
                self.read.truncate(count);
                if count == 0 {
                    let text = "the file became shorter while it was sent";
                    return Err(Fault::text("read", name, text).with_status(status::DATA));
                }
            }
            return Ok(&self.read);
        }
        Ok(match self.parts.get(self.at) {
            Some(Part::Bytes(bytes)) => {
                bytes.get(usize::try_from(self.done).unwrap_or(usize::MAX)..).unwrap_or_default()
            }
            _ => &[],
        })
    }

    /// So many bytes of the piece are sent.
    pub fn sent(&mut self, count: usize) {
        self.done += count as u64;
        self.read.drain(..count.min(self.read.len()));
    }
}

fn part(cx: &mut Context, word: &OsStr, binary: bool) -> Result<Part> {
    let Some(path) = word.as_bytes().strip_prefix(b"@").map(OsStr::from_bytes) else {
        return Ok(Part::Bytes(word.as_bytes().to_vec()));
    };
    let bytes = match path.as_bytes() {
        b"-" => read(&mut io::stdin().lock(), OsStr::new("standard input"))?,
        other => match other.strip_prefix(b"host:") {
            Some(path) => {
                let path = OsStr::from_bytes(path);
                read(&mut cx.host_file(path, false)?, path)?
            }
            None => {
                let (mut file, stat) = regular(path).map_err(|refused| match refused {
                    Refused::Io(error) => Fault::io("open", path, &error),
                    Refused::Kind(kind) => Fault::text("open", path, format!("it is {kind}")),
                })?;
                let length = u64::try_from(stat.st_size).unwrap_or_default();
                // Files of /proc say they are empty; they are read like a pipe.
                if binary && length > 0 {
                    return Ok(Part::File(file, path.to_owned(), length));
                }
                read(&mut file, path)?
            }
        },
    };
    let mut bytes = bytes;
    if !binary {
        bytes.retain(|b| !matches!(b, b'\r' | b'\n' | 0));
    }
    Ok(Part::Bytes(bytes))
}

fn read(from: &mut dyn Read, name: &OsStr) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_DATA as u64 + 1).read_to_end(&mut bytes).map_err(|e| Fault::io("read", name, &e))?;
    Ok(bytes)
}

/// One `-H`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    /// `None` removes one of ours.
    value: Option<Vec<u8>>,
}

impl Header {
    /// Parses `Name: value`; `Name:` removes one that would be sent, `Name;` sends an empty one.
    ///
    /// # Errors
    /// A usage fault.
    pub fn parse(word: &OsStr) -> Result<Self> {
        let bytes = word.as_bytes();
        let wrong = |why: &str| Err(Fault::usage(format!("-H '{}': {why}", crate::out::name::escape(bytes))));
        let (name, value) = match bytes.iter().position(|b| *b == b':') {
            Some(at) => {
                let value = bytes.get(at + 1..).unwrap_or_default().trim_ascii();
                (bytes.get(..at).unwrap_or_default(), (!value.is_empty()).then(|| value.to_vec()))
            }
            None => match bytes.strip_suffix(b";") {
                Some(name) => (name, Some(Vec::new())),
                None => return wrong("a header is 'Name: value'"),
            },
        };
        let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
        if name.is_empty() || !name.iter().all(token) {
            return wrong("not a header name");
        }
        if value.as_ref().is_some_and(|value| value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))) {
            return wrong("a value has no line ends");
        }
        Ok(Self { name: String::from_utf8_lossy(name).into_owned(), value })
    }

    /// Whether it must not follow a redirect to another place.
    pub fn is_secret(&self) -> bool {
        ["authorization", "cookie", "host", "proxy-authorization"]
            .iter()
            .any(|n| self.name.eq_ignore_ascii_case(n))
    }
}

/// A request without its data.
pub struct Request<'a> {
    /// `GET`.
    pub method: &'a str,
    /// Where to.
    pub url: &'a Url,
    /// The `-H` options that apply.
    pub headers: &'a [Header],
    /// `user:password`.
    pub user: Option<Vec<u8>>,
    /// Whether the body may come packed.
    pub compressed: bool,
    /// Length of the data and whether it is a form, where there is data.
    pub data: Option<u64>,
}

impl Request<'_> {
    /// The request's head as bytes.
    pub fn head(&self) -> Vec<u8> {
        let mut own: Vec<(&str, Vec<u8>)> = vec![("Host", self.url.authority().into_bytes())];
        if let Some(user) = &self.user {
            own.push(("Authorization", format!("Basic {}", base64(user)).into_bytes()));
        }
        own.push(("User-Agent", concat!("nsdbg/", env!("CARGO_PKG_VERSION")).into()));
        own.push(("Accept", b"*/*".to_vec()));
        if self.compressed {
            own.push(("Accept-Encoding", b"gzip, deflate".to_vec()));
        }
        if let Some(length) = self.data {
            own.push(("Content-Length", length.to_string().into_bytes()));
            if length > 0 {
                own.push(("Content-Type", b"application/x-www-form-urlencoded".to_vec()));
            }
        }
        own.push(("Connection", b"close".to_vec()));
        own.retain(|(name, _)| !self.headers.iter().any(|h| h.name.eq_ignore_ascii_case(name)));
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.url.target).into_bytes();
        let given = self.headers.iter().filter_map(|h| Some((h.name.as_str(), h.value.clone()?)));
        for (name, value) in own.into_iter().chain(given) {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(&value);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_set_removed_and_refused() {
        let headers: Vec<Header> = ["accept:", "X-A: b:c ", "X-E;", "user-agent: me"]
            .iter()
            .map(|h| Header::parse(h.as_ref()).unwrap())
            .collect();
        let url = Url::parse(b"http://h:81/p?q").unwrap();
        let request = Request {
            method: "POST",
            url: &url,
            headers: &headers,
            user: Some(b"a:b".to_vec()),
            compressed: true,
            data: Some(3),
        };
        let head = String::from_utf8(request.head()).unwrap();
        assert_eq!(
            head,
            "POST /p?q HTTP/1.1\r\nHost: h:81\r\nAuthorization: Basic YTpi\r\nAccept-Encoding: gzip, deflate\r\n\
             Content-Length: 3\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\
             X-A: b:c\r\nX-E: \r\nuser-agent: me\r\n\r\n"
        );
        for wrong in ["no colon", ": v", "a b: c", "X: a\r\nEvil: b", "X: \0"] {
            assert_eq!(Header::parse(wrong.as_ref()).unwrap_err().status, 2, "{wrong:?}");
        }
    }
}
