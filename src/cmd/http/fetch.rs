//! The run of one command: request, redirects, body, report.

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::Http;
use super::body::{Body, Unpacked};
use super::connect::{Connector, Opened, Phases, Session};
use super::fail::{answer, receive, send};
use super::head::{self, Coding, Framing, Head, MAX_HEAD};
use super::proxy;
use super::request::{Header, Payload, Request};
use super::sink::{Sink, Terms, create, may_create, too_large, transfer};
use super::stream::Conn;
use super::upload::Upload;
use super::url::Url;
use crate::cmd::net::fail::status;
use crate::cmd::net::trust::Store;
use crate::cmd::net::verify::config;
use crate::cmd::net::{Families, IDLE, Names, host_path};
use crate::cmd::{Context, Fault, Result, Status};
use crate::out::Output;
use crate::out::name::{Name, escape};
use crate::out::table::NoRow;

/// The most interim (1xx) responses before the final one.
const MAX_INTERIM: usize = 16;

/// A command under way.
pub struct Fetch<'a> {
    http: &'a Http,
    method: String,
    url: Url,
    headers: Vec<Header>,
    user: Option<Vec<u8>>,
    payload: Option<Payload>,
    connector: Connector,
    /// Names that tests bring along.
    pub names: Option<fn() -> Names>,
    tls: Option<(Arc<ClientConfig>, Option<String>)>,
    began: Instant,
    redirects: u32,
}

/// The object of `--json`.
#[derive(serde::Serialize)]
struct Report {
    status: u16,
    reason: Name,
    version: &'static str,
    url: String,
    remote_address: Name,
    headers: Vec<(String, Name)>,
    timings: Timings,
    tls: Option<Session>,
    body_size: u64,
    redirects: u32,
}

/// Seconds: each phase by itself, `first_byte` from the request sent, `total` from the start.
#[derive(Debug, Clone, Copy, serde::Serialize)]
struct Timings {
    dns: Option<f64>,
    connect: Option<f64>,
    tls: Option<f64>,
    first_byte: f64,
    total: f64,
}

/// One exchange, up to the head of its response.
struct Answer {
    conn: Conn,
    head: Head,
    address: String,
    phases: Phases,
    session: Option<Session>,
    first_byte: Duration,
}

/// Whether a status leads to another URL, RFC 9110 section 15.4.
fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

impl<'a> Fetch<'a> {
    /// Checks the options and reads the data.
    ///
    /// # Errors
    /// 2 for what cannot be sent, 26 for data that cannot be read.
    pub fn new(http: &'a Http, cx: &mut Context) -> Result<Self> {
        let began = Instant::now();
        let (method, text) = http.what()?;
        let url = Url::parse(text.as_bytes()).map_err(|why| Fault::text("URL", text, why).with_status(2))?;
        let headers = http.header.iter().map(|word| Header::parse(word)).collect::<Result<_>>()?;
        let user = match (&http.user, &url.user) {
            (Some(user), _) if !user.as_bytes().contains(&b':') => {
                return Err(Fault::usage("--user is NAME:PASSWORD"));
            }
            (Some(user), _) => Some(user.as_bytes().to_vec()),
            (None, Some((name, password))) => Some([name, b":".as_slice(), password].concat()),
            (None, None) => None,
        };
        if cx.format == crate::out::Format::Json && http.output.as_deref() == Some(OsStr::new("-")) {
            return Err(Fault::usage("--json and -o - cannot both have stdout"));
        }
        if let Some(word) = http.output.as_deref().filter(|word| *word != "-" && host_path(word).is_none()) {
            may_create(cx, word)?;
        }
        let (words, binary) =
            if http.data.is_empty() { (&http.data_binary, true) } else { (&http.data, false) };
        let mut payload = Payload::collect(cx, words, binary)?;
        if payload.is_none() && matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
            payload = Some(Payload::default());
        }
        let connector = Connector {
            overrides: http.resolve.clone(),
            unix: http.unix_socket.clone(),
            families: Families { v4: http.ipv4, v6: http.ipv6 },
            connect_timeout: http.connect_timeout,
            deadline: http.max_time.map(|limit| began + limit),
            idle: IDLE,
        };
        let (names, tls, redirects) = (None, None, 0);
        Ok(Self { http, method, url, headers, user, payload, connector, names, tls, began, redirects })
    }

    /// For tests: a shorter silence.
    #[cfg(test)]
    pub fn set_idle(&mut self, idle: Duration) {
        self.connector.idle = idle;
    }

    /// Runs it. `pipe` is the pipe that `out` ends in, where it is one.
    ///
    /// # Errors
    /// Those of the layer that failed, with curl's status.
    pub fn run(
        mut self,
        cx: &mut Context,
        out: &mut Output<NoRow>,
        pipe: Option<BorrowedFd>,
    ) -> Result<Status> {
        self.mention_proxy(cx);
        let answer = loop {
            let answer = self.ask(cx)?;
            if !out.is_json() && self.shows_head() {
                print_head(cx, out, &answer.head)?;
            }
            if !self.redirected(&answer.head)? {
                break answer;
            }
        };
        let failed = self.http.fail && answer.head.status >= 400;
        let size = if failed {
            0
        } else {
            self.take_body(cx, out, pipe, &answer.head, answer.conn, &answer.address)?
        };
        let seconds = |time: Duration| time.as_secs_f64();
        let timings = Timings {
            dns: answer.phases.dns.map(seconds),
            connect: answer.phases.connect.map(seconds),
            tls: answer.phases.tls.map(seconds),
            first_byte: seconds(answer.first_byte),
            total: seconds(self.began.elapsed()),
        };
        if self.http.timing {
            show_timings(&timings);
        }
        let error = (answer.head.status >= 400).then(|| {
            let text = format!("{} {}", answer.head.status, answer.head.reason);
            let text = escape(text.trim_end().as_bytes());
            Fault::text(self.method.to_ascii_lowercase(), self.url.to_string(), text)
        });
        let redirect = self.left_redirect(&answer.head);
        let is_seen = out.is_json() || self.shows_head() || self.http.verbose || self.http.silent;
        if out.is_json() {
            let report = Report {
                status: answer.head.status,
                reason: answer.head.reason.as_str().into(),
                version: answer.head.version,
                url: self.url.to_string(),
                remote_address: answer.address.as_str().into(),
                headers: answer.head.headers.into_iter().map(|(name, value)| (name, value.into())).collect(),
                timings,
                tls: answer.session,
                body_size: size,
                redirects: self.redirects,
            };
            out.json(&report).map_err(Fault::output)?;
        }
        if let Some(fault) = error {
            if failed {
                return Err(fault.with_status(status::HTTP));
            }
            if !is_seen {
                // Behind the body, which may look like any other.
                out.bytes().flush().map_err(Fault::output)?;
                cx.note(&format!("{fault} (-f to fail)"));
            }
        } else if let Some(note) = redirect.filter(|_| !is_seen) {
            out.bytes().flush().map_err(Fault::output)?;
            cx.note(&note);
        }
        Ok(Status::OK)
    }

    /// What is said of a redirect that is not followed.
    fn left_redirect(&self, head: &Head) -> Option<String> {
        let location = head.first("location").filter(|_| is_redirect(head.status))?;
        let (method, status) = (self.method.to_ascii_lowercase(), head.status);
        let reason = escape(format!("{status} {}", head.reason).trim_end().as_bytes());
        Some(format!("{method} {}: {reason}, to {} (-L follows)", self.url, escape(location)))
    }

    fn shows_head(&self) -> bool {
        self.http.include || self.method == "HEAD"
    }

    /// Says that a proxy which the target's programs may use is not used: the environment is the target's to set.
    fn mention_proxy(&self, cx: &Context) {
        let variable = proxy::variable(&self.url, |name| cx.var(name));
        if let Some(name) = variable.filter(|_| self.http.unix_socket.is_none()) {
            cx.note(&format!(
                "{name} is set in the target's environment, and its programs may go through that proxy; this request goes direct"
            ));
        }
    }

    fn say(&self, mark: char, text: &[u8]) {
        if self.http.verbose {
            // Where stderr is gone there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "{mark} {}", escape(text));
        }
    }

    fn say_head(&self, mark: char, head: &[u8]) {
        for line in head.split_inclusive(|b| *b == b'\n') {
            self.say(mark, line.trim_ascii_end());
        }
    }

    /// Sends the request and reads the head of the final response.
    fn ask(&mut self, cx: &mut Context) -> Result<Answer> {
        if self.url.https && self.tls.is_none() {
            self.tls = Some(self.trust(cx)?);
        }
        let tls = self.tls.clone().filter(|_| self.url.https);
        let names = self.names.unwrap_or(Names::read);
        let opened = self.connector.open(&self.url, names, tls, &|text| self.say('*', text.as_bytes()))?;
        let Opened { stream, address, phases, session } = opened;
        let request = Request {
            method: &self.method,
            url: &self.url,
            headers: &self.headers,
            user: self.user.clone(),
            compressed: self.http.compressed,
            data: self.payload.as_ref().map(Payload::length),
        };
        let bytes = request.head();
        self.say_head('>', &bytes);
        let mut conn = Conn::new(stream);
        let sent = conn.stream().write_all(&bytes).and_then(|()| conn.stream().flush());
        let head_failed = match &sent {
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => return Err(send(&address, error)),
            Err(error) => Some(send(&address, error)),
            Ok(()) => None,
        };
        if let Some(payload) = self.payload.take().filter(|_| head_failed.is_none()) {
            conn.upload(Upload::new(payload, &address));
        }
        // A server may answer and close before it has read everything: then its answer says more than the error.
        let mut budget = MAX_HEAD;
        let first = conn.more();
        let first_byte = conn.sent_at().elapsed();
        let failed = |conn: &Conn| head_failed.clone().or_else(|| conn.send_failed());
        match (failed(&conn), &first) {
            (Some(fault), Ok(0) | Err(_)) => return Err(fault),
            (None, Err(error)) => return Err(answer(&address, error)),
            _ => {}
        }
        for _ in 0..MAX_INTERIM {
            let head = head::read(&mut conn, &address, &mut budget)
                .map_err(|fault| failed(&conn).unwrap_or(fault))?;
            self.say_head('<', &head.raw);
            if head.status >= 200 || head.status == 101 {
                // Who refuses or sends elsewhere reads no more of it: curl ends there too.
                if head.status >= 300 {
                    self.payload = conn.end_upload();
                }
                return Ok(Answer { conn, head, address, phases, session, first_byte });
            }
        }
        Err(Fault::text("read", &address, format!("over {MAX_INTERIM} interim responses"))
            .with_status(status::RECEIVE))
    }

    /// Loads the certificate authorities.
    fn trust(&self, cx: &mut Context) -> Result<(Arc<ClientConfig>, Option<String>)> {
        if self.http.insecure {
            return Ok((config(None)?, None));
        }
        let store = Store::load(cx, self.http.cacert.as_deref(), self.http.ca)?;
        let source = store.source.clone();
        let broken =
            if store.broken > 0 { format!(", {} broken ones left out", store.broken) } else { String::new() };
        self.say('*', format!("{} certificate authorities: {source}{broken}", store.len()).as_bytes());
        Ok((config(Some(store))?, Some(source)))
    }

    /// Whether the response leads elsewhere and is to be followed; then the next request is made ready.
    fn redirected(&mut self, head: &Head) -> Result<bool> {
        let Some(location) = head.first("location") else { return Ok(false) };
        if !self.http.location || !is_redirect(head.status) {
            return Ok(false);
        }
        if self.redirects >= self.http.max_redirs {
            let text = format!("more than {} redirects", self.http.max_redirs);
            return Err(Fault::text("follow", self.url.to_string(), text).with_status(status::REDIRECTS));
        }
        self.redirects += 1;
        let next = self.url.join(location).map_err(|why| {
            Fault::text("follow", OsStr::from_bytes(location), why).with_status(Status::USAGE.0)
        })?;
        // What curl does, and browsers: RFC 9110 section 15.4 allows it.
        let becomes_get = match head.status {
            303 => self.method != "HEAD",
            301 | 302 => self.method == "POST",
            _ => false,
        };
        if becomes_get {
            self.method = "GET".into();
            self.payload = None;
        }
        if !next.same_place(&self.url) {
            self.user = None;
            self.headers.retain(|header| !header.is_secret());
        }
        if let Some((name, password)) = &next.user {
            self.user = Some([name, b":".as_slice(), password].concat());
        }
        self.url = next;
        Ok(true)
    }

    /// Reads the body into its sink; its size.
    fn take_body(
        &self,
        cx: &mut Context,
        out: &mut Output<NoRow>,
        pipe: Option<BorrowedFd>,
        head: &Head,
        mut conn: Conn,
        address: &str,
    ) -> Result<u64> {
        let framing = head.framing(&self.method).map_err(|e| receive(address, &e))?;
        let coding = if self.http.raw { Coding::Identity } else { head.coding() };
        if let Coding::Other(name) = &coding {
            cx.note(&format!("content coding {} is left as it is", escape(name.as_bytes())));
        }
        if let (Framing::Length(length), Some(max), Coding::Identity) = (framing, self.http.max_size, &coding)
            && length > max
        {
            return Err(too_large(max));
        }
        let output = self.http.output.as_deref();
        let json = out.is_json();
        let mut sink = match output.filter(|path| *path != "-") {
            Some(word) => match host_path(word) {
                Some(path) => Sink::File(cx.host_file(path, true)?, path.to_owned()),
                None => create(cx, word)?,
            },
            None if json => Sink::Nowhere,
            None => Sink::Out(out.bytes(), pipe),
        };
        let terms =
            Terms { max: self.http.max_size, refuse_binary: cx.tty && output.is_none() && !json, address };
        let body = Unpacked::new(Body::new(&mut conn, framing), &coding).map_err(|e| receive(address, &e))?;
        let size = transfer(body, &mut sink, &terms)?;
        conn.finish_upload();
        Ok(size)
    }
}

/// `-i`: the head as it came; on a terminal without what could steer it.
fn print_head(cx: &Context, out: &mut Output<NoRow>, head: &Head) -> Result<()> {
    let shown = if cx.tty {
        let lines =
            head.raw.split(|b| *b == b'\n').map(|line| escape(line.strip_suffix(b"\r").unwrap_or(line)));
        lines.collect::<Vec<_>>().join("\n").into_bytes()
    } else {
        head.raw.clone()
    };
    out.bytes().write_all(&shown).map_err(|error| Fault::output(error).with_status(status::WRITE))
}

/// `--timing`.
fn show_timings(timings: &Timings) {
    let rows = [
        ("dns", timings.dns),
        ("connect", timings.connect),
        ("tls", timings.tls),
        ("first byte", Some(timings.first_byte)),
        ("total", Some(timings.total)),
    ];
    for (name, time) in rows {
        let text = time.map_or("-".to_owned(), |time| format!("{:.1} ms", time * 1000.0));
        let _ = writeln!(std::io::stderr(), "{name:<10} {text:>11}");
    }
}
