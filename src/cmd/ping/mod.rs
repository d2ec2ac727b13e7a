//! `ping`.

mod echo;
mod tally;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use serde::Serialize;

use super::net::{Resolver, Signals, icmp, seconds, timeout, with_port};
use super::{Command, Context, Example, Fault, Place, Result, Status, Takes};
use crate::out::fault::errno_text;
use crate::out::field::{field, more};
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};
use crate::sys::socket::{self, Fragments, From};
use crate::takes::owned;

use echo::{Echo, HEADER, How};
use tally::{Heard, Tally, milliseconds};

/// Wrong names, routes and sockets.
const FAILED: u8 = 2;
/// A request can be no larger.
const LARGEST: u16 = 65_507;
/// How long -f waits for an answer before it sends the next request.
const FLOOD: Duration = Duration::from_millis(10);
/// Between two requests of who is not uid 0, as in iputils.
const LEAST: Duration = Duration::from_millis(2);
/// Ports that nobody listens on: to learn whether there is a route nothing is sent.
const NO_PORT: u16 = 1025;

/// Ask a host for an echo.
///
/// Goes on until Ctrl-C, unless -c or -w ends it. Takes an ICMP socket: of the container's group in
/// net.ipv4.ping_group_range, else CAP_NET_RAW. The status is 0 where there was an answer, 1 where there was none (or,
/// with -c and -w, fewer than asked for), 2 for other errors. Addresses are shown as numbers.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Ping {
    /// End after so many requests.
    #[arg(short, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Seconds between requests, 0.002 at least; 1 without this.
    #[arg(short, value_name = "SECONDS", value_parser = interval)]
    interval: Option<Duration>,
    /// Send the next request with each answer, and after 0.01 seconds without one; a dot for each of those. Without
    /// uid 0 no more than 500 a second.
    #[arg(short)]
    flood: bool,
    /// Send from this address, or by this interface.
    #[arg(short = 'I', value_name = "ADDRESS|INTERFACE", value_parser = from, add = Takes::Interface)]
    from: Option<From>,
    /// Fragments: never (do), here alone (want), on the way too (dont), or never and whatever the way's MTU is known to be
    /// (probe).
    #[arg(short = 'M', value_name = "HOW", value_parser = fragments, add = Takes::Words(|| owned(["do", "want", "dont", "probe"])))]
    fragments: Option<Fragments>,
    /// Seconds to wait for the last answer, where there was none before.
    #[arg(short = 'W', value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    wait: Duration,
    /// Seconds until it ends, whatever was sent.
    #[arg(short = 'w', value_name = "SECONDS", value_parser = seconds)]
    deadline: Option<Duration>,
    /// Bytes of data.
    #[arg(short, value_name = "BYTES", default_value_t = 56, value_parser = clap::value_parser!(u16).range(0..=i64::from(LARGEST)))]
    size: u16,
    /// Time to live.
    #[arg(short, value_name = "TTL", value_parser = clap::value_parser!(u8).range(1..))]
    ttl: Option<u8>,
    /// IPv4 only.
    #[arg(short = '4')]
    ipv4: bool,
    /// IPv6 only.
    #[arg(short = '6', conflicts_with = "ipv4")]
    ipv6: bool,
    /// Numbers; addresses always are.
    #[arg(short)]
    numeric: bool,
    /// The first line and the statistics only.
    #[arg(short)]
    quiet: bool,
    /// Name or address.
    #[arg(add = Takes::Nothing)]
    host: String,
}

fn interval(text: &str) -> std::result::Result<Duration, String> {
    let interval = seconds(text)?;
    if interval < LEAST { Err("it is 0.002 at least".to_owned()) } else { Ok(interval) }
}

fn from(text: &str) -> std::result::Result<From, String> {
    match text.parse() {
        Ok(ip) => Ok(From::Address(ip)),
        Err(_) if text.is_empty() || text.len() >= libc::IFNAMSIZ => {
            Err("it is an address or the name of an interface".to_owned())
        }
        Err(_) => Ok(From::Interface(text.into())),
    }
}

fn fragments(word: &str) -> std::result::Result<Fragments, String> {
    match word {
        "do" => Ok(Fragments::Never),
        "want" => Ok(Fragments::Here),
        "dont" => Ok(Fragments::Allowed),
        "probe" => Ok(Fragments::Probe),
        _ => Err("it is do, want, dont or probe".to_owned()),
    }
}

/// An answer, an error or silence as JSON.
#[derive(Serialize)]
struct Row {
    seq: u16,
    from: Option<String>,
    bytes: Option<usize>,
    ttl: Option<u8>,
    time: Option<f64>,
    duplicate: bool,
    error: Option<String>,
}

impl Ping {
    fn interval(&self) -> Duration {
        let usual = if self.flood { FLOOD } else { Duration::from_secs(1) };
        self.interval.unwrap_or(usual)
    }
}

impl Command for Ping {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const REPLACES: &'static str = "iputils ping";
    const TAKES: &'static str = "net.ipv4.ping_group_range, or CAP_NET_RAW";
    const FIELDS: &'static [Field] = &[
        field("seq", Kind::Number, "which request, from 1"),
        field("from", Kind::Text, "who answered, or who sent the error"),
        more("bytes", Kind::Bytes, "length of the answer"),
        field("ttl", Kind::Number, "what was left of the answer's time to live"),
        field("time", Kind::Seconds, "from request to answer"),
        more("duplicate", Kind::Flag, "whether it was answered before"),
        field("error", Kind::Text, "what came in place of an answer; 'no answer' after -W seconds"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "ping -c 3 -i 0.2 127.0.0.1", what: "three requests" },
        Example { line: "ping -c 1 -t 1 -W 1 127.0.0.1", what: "how far one hop is" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let family = match &self.from {
            Some(From::Address(ip)) => Some(ip.is_ipv6()),
            _ => None,
        };
        let resolver = Resolver::read(self.ipv4 || family == Some(false), self.ipv6 || family == Some(true));
        let failed = |fault: Fault| fault.with_status(FAILED);
        let mut to = resolver.addresses(&self.host, None).map_err(failed)?[0];
        if let (Some(From::Interface(name)), SocketAddr::V6(to)) = (&self.from, &mut to)
            && to.scope_id() == 0
            && to.ip().is_unicast_link_local()
        {
            let index = nix::net::if_::if_nametoindex(name.as_os_str());
            to.set_scope_id(index.map_err(|errno| failed(Fault::errno("find interface", name, errno)))?);
        }
        // iputils, too, learns first whether there is a route.
        let unreached = |error: std::io::Error| failed(Fault::io("connect", to.ip().to_string(), &error));
        let source = match &self.from {
            None => socket::udp(with_port(to, NO_PORT)).map(|_| None).map_err(unreached)?,
            Some(from) => Some(socket::source(with_port(to, NO_PORT), from).map_err(|error| match from {
                From::Interface(name) if error.raw_os_error() == Some(libc::ENODEV) => {
                    failed(Fault::io("bind to", name, &error))
                }
                From::Address(ip) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => {
                    failed(Fault::io("bind to", ip.to_string(), &error))
                }
                _ => unreached(error),
            })?),
        };
        let how = How { ttl: self.ttl, from: self.from.clone(), fragments: self.fragments };
        let echo = Echo::open(to, &how)?;
        let signals = Signals::hold().map_err(|errno| failed(Fault::of("signalfd", errno)))?;
        let rest = if nix::unistd::geteuid().is_root() { Duration::ZERO } else { LEAST };
        let run = Run { options: &self, to, source, echo, tally: Tally::default(), signals, rest };
        run.run(cx, out)
    }
}

struct Run<'a> {
    options: &'a Ping,
    to: SocketAddr,
    /// With -I: the address that requests come from.
    source: Option<IpAddr>,
    echo: Echo,
    tally: Tally,
    signals: Signals,
    /// The least time between two requests.
    rest: Duration,
}

fn lost(error: std::io::Error) -> Fault {
    Fault::io("write", "standard output", &error)
}

impl Run<'_> {
    fn run(mut self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let options = self.options;
        let host = escape(options.host.as_bytes());
        let (ip, size) = (self.to.ip(), options.size);
        let from = match (&options.from, self.source) {
            (Some(From::Interface(name)), Some(source)) => {
                format!(" from {source} {}:", escape(name.as_bytes()))
            }
            (_, Some(source)) => format!(" from {source} :"),
            _ => String::new(),
        };
        let head = match ip {
            IpAddr::V4(_) => {
                let whole = usize::from(size) + HEADER + 20;
                format!("PING {host} ({ip}){from} {size}({whole}) bytes of data.\n")
            }
            IpAddr::V6(_) => format!("PING {host}({ip}){from} {size} data bytes\n"),
        };
        self.say(&head, out)?;
        let began = Instant::now();
        let end = options.deadline.map(|deadline| began + deadline);
        let (mut next, mut sent) = (began, began);
        loop {
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                break;
            }
            let all_sent = options.count.is_some_and(|count| {
                if end.is_some() { self.tally.received >= count } else { self.tally.transmitted >= count }
            });
            if !all_sent && now >= next {
                if options.flood && self.tally.transmitted > self.tally.received + self.tally.errors {
                    self.say(".", out)?;
                }
                self.send(now, cx);
                // Behind time, as after a stop, nothing is made up for.
                next = (next + options.interval()).max(now);
                sent = now;
            }
            let is_complete =
                options.count.is_some_and(|count| self.tally.received + self.tally.errors >= count);
            if is_complete || end.is_some() && self.tally.errors > 0 {
                break;
            }
            let all_sent =
                options.count.is_some_and(|count| end.is_none() && self.tally.transmitted >= count);
            let last_chance = all_sent.then(|| sent + self.patience());
            if last_chance.is_some_and(|last| Instant::now() >= last) {
                break;
            }
            let until = if all_sent { last_chance } else { Some(next) };
            let until = [until, end].into_iter().flatten().min();
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let mut polled = [
                PollFd::new(self.echo.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut polled, timeout(left)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Fault::of("poll", errno).with_status(FAILED)),
            }
            let heard = self.tally.received + self.tally.errors;
            self.hear(out)?;
            if options.flood && options.interval.is_none() && self.tally.received + self.tally.errors > heard
            {
                next = next.min(sent + self.rest);
            }
            self.tell_silence(options.wait, out)?;
            if self.signals.come().is_some() {
                break;
            }
        }
        self.tell_silence(Duration::ZERO, out)?;
        if options.flood {
            self.say("\n", out)?;
        }
        let statistics = self.tally.statistics(&host);
        if !out.is_json() {
            self.say(&statistics, out)?;
        }
        let too_few =
            options.deadline.is_some() && options.count.is_some_and(|count| self.tally.received < count);
        Ok(Status(u8::from(self.tally.received == 0 || too_few)))
    }

    /// How long the last answer is waited for.
    fn patience(&self) -> Duration {
        if self.tally.received > 0 {
            (self.tally.most * 2).max(self.options.interval())
        } else {
            self.options.wait
        }
    }

    fn say(&self, text: &str, out: &mut Output<NoRow>) -> Result<()> {
        if out.is_json() {
            return Ok(());
        }
        let to: &mut dyn Write = out.bytes();
        to.write_all(text.as_bytes()).and_then(|()| to.flush()).map_err(lost)
    }

    fn tell(&self, row: &Row, line: &str, out: &mut Output<NoRow>) -> Result<()> {
        if out.is_json() {
            return out.json(row).and_then(|()| out.bytes().flush()).map_err(lost);
        }
        if self.options.quiet || self.options.flood { Ok(()) } else { self.say(line, out) }
    }

    fn send(&mut self, now: Instant, cx: &mut Context) {
        let sequence = self.tally.send(now);
        match self.echo.send(sequence, self.options.size.into()) {
            Ok(()) => {}
            // Its notice says the MTU.
            Err(Errno::EMSGSIZE) => {}
            // The error of an earlier request, told by its notice; this one is sent again.
            Err(_) if self.echo.send(sequence, self.options.size.into()).is_ok() => {}
            Err(errno) => {
                self.tally.fail(Some(sequence));
                cx.report(&Fault::errno("send", self.to.ip().to_string(), errno));
            }
        }
    }

    /// Reads all that has come.
    fn hear(&mut self, out: &mut Output<NoRow>) -> Result<()> {
        while let Some((notice, sequence)) = self.echo.notice() {
            if !self.tally.fail(sequence) {
                continue;
            }
            let (from, words) = match &notice.icmp {
                Some(message) => (message.from, icmp(message, notice.info)),
                None if notice.errno == libc::EMSGSIZE => {
                    (None, format!("local error: message too long, mtu: {}", notice.info))
                }
                None => (None, errno_text(notice.errno)),
            };
            let sequence = sequence.unwrap_or(self.tally.transmitted as u16);
            let line = match from {
                Some(from) => format!("From {from} icmp_seq={sequence} {words}\n"),
                None => format!("ping: {words}\n"),
            };
            let row = Row {
                seq: sequence,
                from: from.map(|from| from.to_string()),
                bytes: None,
                ttl: None,
                time: None,
                duplicate: false,
                error: Some(words),
            };
            self.tell(&row, &line, out)?;
        }
        loop {
            let reply = match self.echo.receive() {
                Ok(Some(reply)) => reply,
                Ok(None) => return Ok(()),
                // The error of a request, whose notice says more.
                Err(_) => return Ok(()),
            };
            let (took, duplicate) = match self.tally.hear(reply.sequence, Instant::now()) {
                Heard::First(took) => (took, false),
                Heard::Again(took) => (took, true),
                Heard::Foreign => continue,
            };
            let ttl = reply.ttl.map(|ttl| format!(" ttl={ttl}")).unwrap_or_default();
            let line = format!(
                "{} bytes from {}: icmp_seq={}{ttl} time={} ms{}\n",
                reply.length,
                reply.from,
                reply.sequence,
                milliseconds(took),
                if duplicate { " (DUP!)" } else { "" }
            );
            let row = Row {
                seq: reply.sequence,
                from: Some(reply.from.to_string()),
                bytes: Some(reply.length),
                ttl: reply.ttl,
                time: Some(took.as_secs_f64()),
                duplicate,
                error: None,
            };
            self.tell(&row, &line, out)?;
        }
    }

    /// In JSON, silence is a row of its own.
    fn tell_silence(&mut self, limit: Duration, out: &mut Output<NoRow>) -> Result<()> {
        if !out.is_json() {
            return Ok(());
        }
        while let Some(seq) = self.tally.silent(Instant::now(), limit) {
            let error = Some("no answer".to_owned());
            let row = Row { seq, from: None, bytes: None, ttl: None, time: None, duplicate: false, error };
            self.tell(&row, "", out)?;
        }
        Ok(())
    }
}
