//! `nc`: standard input and output on the network.

mod open;
mod relay;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{MsgFlags, recv, send};

use super::net::{Resolver, Signals, literal, ports, seconds, with_port};
use super::{Command, Completion, Context, Example, Fault, Needs, Place, Prints, Result, Status, Takes};
use crate::out::Output;
use crate::out::fault::errno_text;
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::sys::socket;

use open::Listener;
use relay::{Ended, Limits, Relay};

/// How long a port is waited for that UDP was sent to, with -z.
const UDP_ANSWER: Duration = Duration::from_secs(1);

/// Connect standard input and output to the network.
///
/// `nc HOST PORT`, `nc -l PORT`, `nc -l ADDRESS PORT`, `nc -lp PORT`, `nc -U PATH`; PORT may be a list or a range. Bytes go both ways as
/// they are. At the end of standard input the sending side stays open, unless -N or -q asks otherwise. The status is 1
/// where a connection fails. Addresses and ports are shown as numbers.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Nc {
    /// IPv4 only.
    #[arg(short = '4')]
    ipv4: bool,
    /// IPv6 only.
    #[arg(short = '6', conflicts_with = "ipv4")]
    ipv6: bool,
    /// Listen for a connection.
    #[arg(short)]
    listen: bool,
    /// With -l: for one after the other.
    #[arg(short, requires = "listen", conflicts_with = "udp")]
    keep: bool,
    /// Shut the sending side down at the end of standard input.
    #[arg(short = 'N')]
    shutdown: bool,
    /// Addresses as numbers only: names are refused.
    #[arg(short)]
    numeric: bool,
    /// Port to connect from, or to listen on.
    #[arg(short, value_name = "PORT", value_parser = port)]
    port: Option<u16>,
    /// End so many seconds after standard input; negative is never; else as -N.
    #[arg(short, value_name = "SECONDS", allow_negative_numbers = true)]
    quit: Option<i64>,
    /// Address to connect from.
    #[arg(short, value_name = "ADDRESS", add = Takes::Nothing)]
    source: Option<String>,
    /// Unix socket.
    #[arg(short = 'U', conflicts_with_all = ["udp", "port", "source"])]
    unix: bool,
    /// UDP.
    #[arg(short)]
    udp: bool,
    /// Say who is connected, on stderr.
    #[arg(short)]
    verbose: bool,
    /// Seconds to connect, and of silence that end it.
    #[arg(short, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,
    /// Only try whether ports accept connections.
    #[arg(short, conflicts_with_all = ["listen", "unix"])]
    zero: bool,
    /// Host and port, port, or path.
    #[arg(num_args = 0..=2, value_name = "HOST", add = Takes::Nothing)]
    operands: Vec<OsString>,
}

fn port(text: &str) -> std::result::Result<u16, String> {
    match ports(text).ok().as_deref() {
        Some([port]) => Ok(*port),
        _ => Err("a port is 1 to 65535".to_owned()),
    }
}

impl Command for Nc {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs::STDIN;
    const PRINTS: Prints = Prints::Bytes;
    const REPLACES: &'static str = "netcat-openbsd nc";
    const EXAMPLES: &'static [Example] = &[
        Example { line: "nc -zv localhost 8080", what: "whether somebody listens" },
        Example { line: "echo PING | nc -N -w 2 127.0.0.1 8080", what: "send a line, print the answer" },
        Example { line: "nc -w 1 -lv 9999", what: "listen, and say who comes" },
    ];

    fn reads_stdin(&self) -> bool {
        !self.zero
    }

    fn complete(at: &Completion) -> Option<Takes> {
        let is_unix = at.words.iter().any(|word| word.starts_with('-') && word.contains('U'));
        is_unix.then_some(Takes::Path)
    }

    fn run(self, cx: &mut Context, _: &mut Output<NoRow>) -> Result<Status> {
        let stdin = std::io::stdin();
        let stdout = std::io::stdout();
        let mut relay = Relay::new(stdin.as_fd(), stdout.as_fd(), self.limits());
        if self.unix { self.over_unix(cx, &mut relay) } else { self.over_network(cx, &mut relay) }
    }
}

impl Nc {
    fn limits(&self) -> Limits {
        let after_input = self.quit.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let shuts_down = self.shutdown || after_input.is_some();
        Limits {
            idle: self.wait.filter(|_| !self.listen),
            after_input,
            shuts_down,
            ends_with_peer: self.listen && (self.keep || !shuts_down),
            is_datagram: self.udp,
        }
    }

    fn until(&self) -> Option<Instant> {
        self.wait.map(|wait| Instant::now() + wait)
    }

    fn over_unix(&self, cx: &mut Context, relay: &mut Relay) -> Result<Status> {
        let [path] = self.operands.as_slice() else { return Err(Fault::usage("-U takes one path")) };
        if !self.listen {
            let socket = socket::unix(path, self.until()).map_err(|e| Fault::io("connect", path, &e))?;
            return self.relay(relay, &socket, None);
        }
        cx.writes("bind", path)?;
        // The socket's file is removed even where Ctrl-C ends it.
        let signals = Signals::hold().map_err(|errno| Fault::of("signalfd", errno))?;
        let listener = Listener::unix(path).map_err(|errno| Fault::errno("bind", path, errno))?;
        self.listen(cx, relay, &listener, Some(&signals))
    }

    fn over_network(&self, cx: &mut Context, relay: &mut Relay) -> Result<Status> {
        let text = |word: &OsString| {
            word.to_str().map(str::to_owned).ok_or_else(|| Fault::usage("a host is text, a port is digits"))
        };
        let words = self.operands.iter().map(text).collect::<Result<Vec<_>>>()?;
        let (host, list) = match (words.as_slice(), self.listen, self.port) {
            ([host, list], _, _) => (Some(host.as_str()), ports(list)?),
            ([host], true, Some(port)) => (Some(host.as_str()), vec![port]),
            ([], true, Some(port)) => (None, vec![port]),
            ([list], true, None) => (None, ports(list)?),
            ([host], ..) if host.is_empty() => return Err(Fault::usage("the host is empty")),
            ([host], ..) => {
                let host = escape(host.as_bytes());
                return Err(Fault::usage(format!("the port of {host} is missing: nc {host} PORT")));
            }
            _ => return Err(Fault::usage("takes a host and a port").with_hint("nc HOST PORT")),
        };
        if self.numeric && host.is_some_and(|host| literal(host).is_none()) {
            return Err(Fault::text("resolve", host.unwrap_or_default(), "it is a name, and -n takes none"));
        }
        let resolver = Resolver::read(self.ipv4, self.ipv6);
        let any = if self.ipv6 { "::" } else { "0.0.0.0" };
        let addresses = resolver.addresses(host.unwrap_or(any), self.until())?;
        if self.listen {
            let [port] = list[..] else { return Err(Fault::usage("-l takes one port")) };
            let address = with_port(addresses[0], port);
            let listener = Listener::inet(address, self.udp).map_err(|errno| not_bound(address, errno))?;
            return self.listen(cx, relay, &listener, None);
        }
        let source = match &self.source {
            Some(source) => Some(resolver.addresses(source, self.until())?[0]),
            None => None,
        };
        let mut status = Status(1);
        for port in list {
            match self.connect(&addresses, port, source) {
                Ok((socket, address)) => {
                    let protocol = if self.udp { "udp" } else { "tcp" };
                    if self.verbose && (!self.udp || !self.zero || is_open(&socket)) {
                        let (host, ip) =
                            (escape(host.unwrap_or_default().as_bytes()), address.ip().to_string());
                        let shown = if self.numeric || host == ip { host } else { format!("{host} ({ip})") };
                        self.say(&format!("Connection to {shown} {port} port [{protocol}/*] succeeded!"));
                    }
                    match (self.zero, self.udp) {
                        (true, true) if !is_open(&socket) => {}
                        (true, _) => status = Status::OK,
                        (false, _) => status = self.relay(relay, &socket, None)?,
                    }
                }
                Err(fault) if self.zero && !self.verbose => drop(fault),
                // Another port may do: the status tells whether one did.
                Err(fault) => cx.note(&fault.to_string()),
            }
        }
        Ok(status)
    }

    /// Connects to the first address that accepts.
    fn connect(
        &self,
        addresses: &[SocketAddr],
        port: u16,
        source: Option<SocketAddr>,
    ) -> Result<(OwnedFd, SocketAddr)> {
        let mut failed = Vec::new();
        for address in addresses {
            let to = with_port(*address, port);
            let from = match (source, self.port) {
                (None, None) => None,
                (source, own) => {
                    let any =
                        if to.is_ipv4() { [0, 0, 0, 0].into() } else { std::net::IpAddr::from([0u8; 16]) };
                    let source = source.unwrap_or_else(|| SocketAddr::new(any, 0));
                    Some(with_port(source, own.unwrap_or(0)))
                }
            };
            let bound = match (open::bound(to, from, self.udp), from) {
                // It is as much for the other addresses.
                (Err(Errno::EACCES), Some(from)) => return Err(not_bound(from, Errno::EACCES)),
                (bound, _) => bound.map_err(std::io::Error::from),
            };
            match bound.and_then(|socket| open::connect(socket, to, self.until())) {
                Ok(socket) => return Ok((socket, to)),
                Err(error) => {
                    let words = match error.raw_os_error() {
                        Some(errno) => errno_text(errno),
                        None => "no answer in time".to_owned(),
                    };
                    failed.push((to, words));
                }
            }
        }
        Err(match failed.as_slice() {
            [(to, words)] => Fault::text("connect", format!("{} port {port}", to.ip()), words.clone()),
            all => {
                let each: Vec<String> =
                    all.iter().map(|(to, words)| format!("{} {words}", to.ip())).collect();
                Fault::text("connect", format!("port {port}"), each.join(", "))
            }
        })
    }

    fn listen(
        &self,
        cx: &mut Context,
        relay: &mut Relay,
        listener: &Listener,
        signals: Option<&Signals>,
    ) -> Result<Status> {
        if self.verbose {
            self.say(&format!("{} on {}", if self.udp { "Bound" } else { "Listening" }, listener.name));
        }
        loop {
            let taken = listener.take(signals, self.until().filter(|_| self.wait.is_some()));
            let (socket, peer) = match taken.map_err(|errno| Fault::errno("accept", &listener.name, errno))? {
                open::Taken::Connection(socket, peer) => (socket, peer),
                open::Taken::Signal(number) => return Ok(Status(128u8.wrapping_add(number))),
                open::Taken::Nothing => {
                    return Err(Fault::text("accept", &listener.name, "nobody came in time"));
                }
            };
            if self.verbose {
                self.say(&format!("Connection received on {peer}"));
            }
            let ended = self.relay(relay, socket.as_ref().unwrap_or(&listener.socket), signals);
            match ended {
                Ok(status) if !self.keep || status.0 >= 128 => return Ok(status),
                Ok(_) => {}
                // The next one may be better.
                Err(fault) if self.keep && fault.op != "write" => cx.report(&fault),
                Err(fault) => return Err(fault),
            }
        }
    }

    fn relay(&self, relay: &mut Relay, socket: &OwnedFd, signals: Option<&Signals>) -> Result<Status> {
        match relay.run(socket, signals)? {
            Ended::Done => Ok(Status::OK),
            Ended::Signal(number) => Ok(Status(128u8.wrapping_add(number))),
        }
    }

    /// OpenBSD's words, which people look for.
    fn say(&self, words: &str) {
        use std::io::Write;
        // Where stderr is gone there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{words}");
    }
}

/// Why a socket got no address. Ports below net.ipv4.ip_unprivileged_port_start, which is 1024 where nobody changed it,
/// take CAP_NET_BIND_SERVICE.
fn not_bound(address: SocketAddr, errno: Errno) -> Fault {
    let fault = Fault::errno("bind", address.to_string(), errno);
    if errno == Errno::EACCES { fault.with_hint("--cap-add NET_BIND_SERVICE") } else { fault }
}

/// Whether nothing says that a port of UDP is closed.
fn is_open(socket: &OwnedFd) -> bool {
    for _ in 0..2 {
        match send(socket.as_raw_fd(), b"X", MsgFlags::MSG_NOSIGNAL) {
            Ok(_) | Err(Errno::EAGAIN) => {}
            Err(_) => return false,
        }
        let until = Instant::now() + UDP_ANSWER / 2;
        let borrowed: BorrowedFd = socket.as_fd();
        if matches!(socket::wait(borrowed, PollFlags::POLLIN, Some(until)), Ok(true)) {
            // Any answer will do, and a refusal is an error.
            return recv(socket.as_raw_fd(), &mut [0; 1], MsgFlags::MSG_DONTWAIT).is_ok();
        }
    }
    true
}
