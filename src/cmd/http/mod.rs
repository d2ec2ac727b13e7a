//! `http`: one request over HTTP/1.1, by the container's own names, routes and certificate authorities.

pub(crate) mod body;
pub(crate) mod connect;
mod fail;
mod fetch;
pub(crate) mod head;
mod proxy;
pub(crate) mod request;
mod sink;
pub(crate) mod stream;
mod upload;
pub(crate) mod url;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::time::Duration;

use super::net::trust::Ca;
use super::net::{host_path, seconds};
use super::{Command, Context, Example, Fault, HostFile, Needs, Place, Prints, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};
use crate::takes::owned;

use connect::Override;
use request::METHODS;

/// Send an HTTP request and print the response.
///
/// METHOD is get, head, post, put, patch, delete or options; left out it is get, or post where there is data. Names
/// are looked up as the container does: its hosts, nsswitch and resolv.conf. Certificates are checked against the
/// container's own authorities (SSL_CERT_FILE, SSL_CERT_DIR, the usual bundles), or built-in ones where it has none.
/// Exit statuses are curl's: 6 name, 7 connection, 18 body cut, 22 --fail, 23 write, 28 time limit, 35 TLS, 47
/// redirects, 52 no answer, 56 receive, 60 certificate, 63 --max-size. 60 s without a byte end a transfer.
#[derive(clap::Parser, Default)]
pub struct Http {
    /// Method, or the URL; without a scheme it is http://.
    #[arg(value_name = "METHOD", add = Takes::Words(|| owned(METHODS)))]
    method: OsString,
    /// URL.
    #[arg(value_name = "URL", add = Takes::Nothing)]
    url: Option<OsString>,
    /// As the method does, in curl's words.
    #[arg(short = 'X', long, value_name = "METHOD", add = Takes::Words(|| owned(METHODS)))]
    request: Option<OsString>,
    /// Ask for the head alone, as the method head.
    #[arg(short = 'I', long, conflicts_with_all = ["request", "data", "data_binary"])]
    head: bool,
    /// Leave out notes on a redirect and a status of 400 or more.
    #[arg(short, long)]
    silent: bool,
    /// Send a header; `Name:` removes one, `Name;` sends it empty.
    #[arg(short = 'H', long, value_name = "NAME: VALUE", add = Takes::Nothing)]
    header: Vec<OsString>,
    /// Send data, joined by &; @FILE, @host:FILE, @- lose line ends.
    #[arg(short, long, value_name = "DATA", allow_hyphen_values = true, add = Takes::Nothing)]
    data: Vec<OsString>,
    /// As -d, but files are sent as they are.
    #[arg(long, value_name = "DATA", allow_hyphen_values = true, conflicts_with = "data")]
    #[arg(add = Takes::Nothing)]
    data_binary: Vec<OsString>,
    /// Print the response's head too.
    #[arg(short, long)]
    include: bool,
    /// Write the body here; follows no link; @host:FILE is the node's, - stdout.
    #[arg(short, long, value_name = "FILE", add = Takes::Path)]
    output: Option<OsString>,
    /// Follow redirects; credentials stay with their host.
    #[arg(short = 'L', long)]
    location: bool,
    /// Follow so many redirects at most.
    #[arg(long, value_name = "N", default_value_t = 10)]
    max_redirs: u32,
    /// Accept any certificate.
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Trust only this file's certificates (or @host:FILE).
    #[arg(long, value_name = "FILE", add = Takes::Path)]
    cacert: Option<OsString>,
    /// Trust only these certificate authorities.
    #[arg(long, value_name = "WHICH", conflicts_with = "cacert")]
    ca: Option<Ca>,
    /// Use these addresses for a host.
    #[arg(long, value_name = "HOST:PORT:ADDRESS", value_parser = Override::parse)]
    resolve: Vec<Override>,
    /// Seconds for name, connection and TLS together.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    connect_timeout: Duration,
    /// Seconds for everything.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    max_time: Option<Duration>,
    /// End with 22, without the body, on status 400 or more.
    #[arg(short, long)]
    fail: bool,
    /// Connect to this Unix socket.
    #[arg(long, value_name = "PATH", add = Takes::Path)]
    unix_socket: Option<OsString>,
    /// Send basic credentials.
    #[arg(short, long, value_name = "NAME:PASSWORD", add = Takes::Nothing)]
    user: Option<OsString>,
    /// Show the connection and both heads on stderr.
    #[arg(short, long)]
    verbose: bool,
    /// Show how long each phase took, on stderr.
    #[arg(long)]
    timing: bool,
    /// Ask for a packed body (gzip, deflate); what comes packed is unpacked anyway.
    #[arg(long)]
    compressed: bool,
    /// Leave the body packed as it came.
    #[arg(long)]
    raw: bool,
    /// End with 63 where the unpacked body is larger (K, M, G).
    #[arg(long, value_name = "BYTES", value_parser = size)]
    max_size: Option<u64>,
    /// Use IPv4 only.
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Use IPv6 only.
    #[arg(short = '6', long)]
    ipv6: bool,
}

/// Bytes, with a unit of powers of 1024.
pub(crate) fn size(text: &str) -> std::result::Result<u64, String> {
    let (digits, unit) = match text.chars().last() {
        Some('K' | 'k') => (text.get(..text.len() - 1), 1 << 10),
        Some('M' | 'm') => (text.get(..text.len() - 1), 1 << 20),
        Some('G' | 'g') => (text.get(..text.len() - 1), 1 << 30),
        _ => (Some(text), 1),
    };
    digits
        .and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(unit))
        .ok_or_else(|| "it is a number of bytes, K, M or G behind it".to_owned())
}

impl Http {
    /// Method in capitals, and URL.
    fn what(&self) -> Result<(String, OsString)> {
        let option = self.request.as_deref().or(self.head.then_some("head".as_ref()));
        let (word, url) = match (option, &self.url) {
            (Some(option), None) => (option, Some(&self.method)),
            (Some(_), Some(_)) => return Err(Fault::usage("takes one method: -X, -I or the first word")),
            (None, url) => (self.method.as_os_str(), url.as_ref()),
        };
        let first = word.to_string_lossy().to_ascii_lowercase();
        let known = METHODS.contains(&first.as_str());
        match (url, known) {
            (Some(url), true) => Ok((first.to_ascii_uppercase(), url.clone())),
            (Some(_), false) => Err(Fault::usage(format!(
                "unknown method '{}': it is {}",
                crate::out::name::escape(first.as_bytes()),
                METHODS.join(", ")
            ))),
            (None, true) => Err(Fault::usage(format!("the URL is missing: http {first} URL"))),
            (None, false) if self.data.is_empty() && self.data_binary.is_empty() => {
                Ok(("GET".into(), self.method.clone()))
            }
            (None, false) => Ok(("POST".into(), self.method.clone())),
        }
    }
}

impl Command for Http {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs::STDIN;
    const PRINTS: Prints = Prints::BytesOrObject;
    const REPLACES: &'static str = "curl, wget";
    const FIELDS: &'static [Field] = &[
        field("status", Kind::Number, "the response's status"),
        more("reason", Kind::Text, "the words behind it"),
        more("version", Kind::Text, "HTTP/1.0 or HTTP/1.1"),
        field("url", Kind::Text, "the last URL, redirects followed"),
        field("remote_address", Kind::Text, "who answered"),
        more("headers", Kind::Object, "pairs of name and value, in their order"),
        more("timings", Kind::Object, "dns, connect, tls, first_byte, total: seconds"),
        more("tls", Kind::Object, "version, cipher, alpn, verified, store"),
        field("body_size", Kind::Bytes, "the body's length, unpacked"),
        more("redirects", Kind::Number, "how many were followed"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "http get localhost:8080/healthz", what: "ask the container's own port" },
        Example {
            line: "http get -v https://kubernetes.default",
            what: "where name, connection or TLS fail",
        },
        Example {
            line: "http post http://api/items -d '{}' -H 'Content-Type: application/json'",
            what: "send JSON",
        },
        Example { line: "http get http://api/dump -o @host:/tmp/dump", what: "keep the body on the node" },
    ];

    fn host_files(&self) -> Vec<HostFile> {
        let file =
            |word: &OsString, write| host_path(word).map(|path| HostFile { path: path.to_owned(), write });
        let read = self
            .data
            .iter()
            .chain(&self.data_binary)
            .chain(&self.cacert)
            .filter_map(|word| file(word, false));
        read.chain(self.output.iter().filter_map(|word| file(word, true))).collect()
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let stdout = std::io::stdout();
        let pipe = sink::stdout_pipe(&stdout);
        fetch::Fetch::new(&self, cx)?.run(cx, out, pipe)
    }
}
