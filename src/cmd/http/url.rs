//! URLs of `http` and `https`, as far as a request needs them (RFC 3986).

use std::fmt::{self, Write};
use std::net::IpAddr;

use crate::cmd::net::host_and_port;

/// Longer URLs are refused.
const MAX_LENGTH: usize = 64 << 10;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// TLS or not.
    pub https: bool,
    /// `user` and `password` of the authority, percent-decoded.
    pub user: Option<(Vec<u8>, Vec<u8>)>,
    /// Name or address in lower case, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query as they are sent; begins with `/`.
    pub target: String,
}

impl Url {
    /// Parses a URL; without a scheme it is `http://`. The fragment is dropped. Blanks and bytes outside ASCII in path
    /// and query are percent-encoded.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err("longer than 64 KiB".into());
        }
        let (https, rest) = match find(text, b"://") {
            Some(at) if is_scheme(&text[..at]) => {
                let https = match text[..at].to_ascii_lowercase().as_slice() {
                    b"http" => false,
                    b"https" => true,
                    other => {
                        let scheme = String::from_utf8_lossy(other).into_owned();
                        return Err(format!("scheme {scheme} is not supported, only http and https"));
                    }
                };
                (https, &text[at + 3..])
            }
            _ => (false, text),
        };
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, place) = match authority.iter().rposition(|b| *b == b'@') {
            Some(at) => (Some(userinfo(&authority[..at])), &authority[at + 1..]),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place)?;
        let port = port.unwrap_or(if https { 443 } else { 80 });
        Ok(Self { https, user, host, port, target: target(path) })
    }

    /// The URL that a `Location` leads to from this one, RFC 3986 section 5.2.
    ///
    /// # Errors
    /// As [`Url::parse`].
    pub fn join(&self, location: &[u8]) -> Result<Self, String> {
        let head = location.iter().take_while(|b| !matches!(b, b'/' | b'?' | b'#')).count();
        if let Some(colon) = location[..head].iter().position(|b| *b == b':')
            && is_scheme(&location[..colon])
        {
            return match find(location, b"://") {
                Some(at) if at == colon => Self::parse(location),
                _ => Err("not an http URL".into()),
            };
        }
        if let Some(rest) = location.strip_prefix(b"//") {
            let scheme: &[u8] = if self.https { b"https://" } else { b"http://" };
            return Self::parse(&[scheme, rest].concat());
        }
        let path = self.target.split('?').next().unwrap_or("/");
        let full = match location.first() {
            None | Some(b'#') => self.target.clone().into_bytes(),
            Some(b'/') => location.to_vec(),
            Some(b'?') => [path.as_bytes(), location].concat(),
            Some(_) => {
                let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
                [folder.as_bytes(), location].concat()
            }
        };
        if full.len() > MAX_LENGTH {
            return Err("longer than 64 KiB".into());
        }
        Ok(Self { user: None, target: without_dots(&target(&full)), ..self.clone() })
    }

    /// Host as it stands in a URL: IPv6 in brackets.
    pub fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    /// Host, and port where it is not the scheme's own: what `Host` carries.
    pub fn authority(&self) -> String {
        let usual = if self.https { 443 } else { 80 };
        if self.port == usual { self.bracketed() } else { format!("{}:{}", self.bracketed(), self.port) }
    }

    /// The host's address, where it is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether credentials for this URL may go to another: same scheme, host and port.
    pub fn same_place(&self, other: &Self) -> bool {
        (self.https, &self.host, self.port) == (other.https, &other.host, other.port)
    }
}

/// Without user and password, so that no message shows them.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.https { "https" } else { "http" }, self.authority(), self.target)
    }
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

fn userinfo(text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut parts = text.splitn(2, |b| *b == b':');
    let mut part = || percent_decoded(parts.next().unwrap_or_default());
    (part(), part())
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = if first == b'%' {
            tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok())
        } else {
            None
        };
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    bytes
}

/// Path and query as they are sent: blanks, controls and bytes outside ASCII encoded, the fragment dropped.
fn target(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len() + 1);
    if path.first() != Some(&b'/') {
        text.push('/');
    }
    for &byte in path.iter().take_while(|b| **b != b'#') {
        match byte {
            0x21..=0x7e if !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`') => {
                text.push(char::from(byte))
            }
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

/// Removes `.` and `..` from the path, RFC 3986 section 5.2.4.
fn without_dots(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        match *segment {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_they_are_typed() {
        for (text, shown, host, port, target) in [
            ("example.com", "http://example.com/", "example.com", 80, "/"),
            ("HTTPS://Example.COM", "https://example.com/", "example.com", 443, "/"),
            ("localhost:8080/healthz", "http://localhost:8080/healthz", "localhost", 8080, "/healthz"),
            ("http://u:p%40w@h:80/a b?q=é#frag", "http://h/a%20b?q=%C3%A9", "h", 80, "/a%20b?q=%C3%A9"),
            ("http://[::1]:81?x", "http://[::1]:81/?x", "::1", 81, "/?x"),
            ("[0:0::1]/", "http://[::1]/", "::1", 80, "/"),
            ("h:/p", "http://h/p", "h", 80, "/p"),
            ("h/?next=http://other/", "http://h/?next=http://other/", "h", 80, "/?next=http://other/"),
            ("http://a_b.svc./%41%zz", "http://a_b.svc./%41%zz", "a_b.svc.", 80, "/%41%zz"),
        ] {
            let url = Url::parse(text.as_bytes()).unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
            assert_eq!((url.host.as_str(), url.port, url.target.as_str()), (host, port, target), "{text}");
        }
        let url = Url::parse(b"http://u:p%40w@h/").unwrap();
        assert_eq!(url.user, Some((b"u".to_vec(), b"p@w".to_vec())));
    }

    #[test]
    fn wrong_urls_say_what_is_wrong() {
        for (text, part) in [
            ("", "missing"),
            ("http://", "missing"),
            ("ftp://h/", "scheme ftp"),
            ("http://h:99999/", "65535"),
            ("http://h:x/", "port"),
            ("http://h:0/", "65535"),
            ("http://[::1/", "bracket"),
            ("http://[x]/", "IPv6"),
            ("http://::1/", "brackets"),
            ("http://bücher.de/", "IDN"),
            ("http://a b/", "' '"),
            ("http://a\r\nb/", "\\r"),
            ("http://a\0b", "\\x00"),
        ] {
            let error = Url::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(Url::parse(&vec![b'a'; 70_000]).is_err());
        assert!(Url::parse(b"http://\xff/").is_err());
    }

    #[test]
    fn locations_are_relative_to_where_they_came_from() {
        let base = Url::parse(b"http://u:p@h:81/a/b/c?q").unwrap();
        for (location, to) in [
            ("https://x/y", "https://x/y"),
            ("//x:82/y", "http://x:82/y"),
            ("/y", "http://h:81/y"),
            ("y", "http://h:81/a/b/y"),
            ("../y", "http://h:81/a/y"),
            ("../../../../y/.", "http://h:81/y/"),
            ("?z", "http://h:81/a/b/c?z"),
            ("", "http://h:81/a/b/c?q"),
            ("/x y\r\nEvil: 1", "http://h:81/x%20y%0D%0AEvil:%201"),
            ("y?u=http://x", "http://h:81/a/b/y?u=http://x"),
        ] {
            assert_eq!(base.join(location.as_bytes()).unwrap().to_string(), to, "{location}");
        }
        assert!(base.join(b"file:///etc/passwd").is_err() && base.join(b"mailto:x").is_err());
    }
}
