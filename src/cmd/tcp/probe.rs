//! Many connections at once, each with a limit, and what their ends say.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::sockopt::SocketError;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getsockopt, socket};

use crate::cmd::net::{icmp, with_port};
use crate::out::fault::errno_text;
use crate::sys::icmp as notices;

/// Connections that are tried at the same time.
const AT_ONCE: usize = 512;

/// What became of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stands.
    Connected,
    /// The host itself says that nobody listens.
    Refused,
    /// Nothing came back.
    Filtered,
    /// A router, a firewall or the container's own routes say that it can't be reached.
    Unreachable,
    /// Something else.
    Error,
}

impl Verdict {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Refused => "refused",
            Self::Filtered => "filtered",
            Self::Unreachable => "unreachable",
            Self::Error => "error",
        }
    }
}

/// What became of one address.
pub struct Outcome {
    /// The address and port.
    pub address: SocketAddr,
    /// What became of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
    /// More, in words.
    pub error: Option<String>,
}

/// A connection under way.
struct Under {
    target: usize,
    address: SocketAddr,
    socket: OwnedFd,
    began: Instant,
}

/// Tries every target (its addresses one after the other, until one connects) and hands the outcomes over in the order
/// of the targets.
///
/// # Errors
/// What `each` returns.
pub fn all(
    targets: Vec<(&[SocketAddr], u16)>,
    limit: Duration,
    each: &mut dyn FnMut(usize, &[Outcome]) -> io::Result<()>,
) -> io::Result<()> {
    let mut run = Run { limit, at_once: room(), under: Vec::new(), done: BTreeMap::new() };
    let mut waiting: VecDeque<usize> = (0..targets.len()).collect();
    let mut next = 0;
    let address = |target: usize, tried: usize| {
        let (addresses, port) = targets.get(target)?;
        Some(with_port(*addresses.get(tried)?, *port))
    };
    while next < targets.len() {
        while run.under.len() < run.at_once
            && let Some(target) = waiting.pop_front()
        {
            let tried = run.done.entry(target).or_default().len();
            // A target without addresses is done at once.
            let Some(address) = address(target, tried) else { continue };
            if run.begin(target, address) {
                if run.is_settled(target, targets[target].0.len()) {
                    continue;
                }
                if !run.under.iter().any(|under| under.target == target) {
                    waiting.push_front(target);
                }
            } else {
                waiting.push_front(target);
                break;
            }
        }
        for target in run.step()? {
            if !run.is_settled(target, targets[target].0.len()) {
                waiting.push_front(target);
            }
        }
        while next < targets.len() && run.is_settled(next, targets[next].0.len()) {
            each(next, &run.done.remove(&next).unwrap_or_default())?;
            next += 1;
        }
    }
    Ok(())
}

/// How many sockets there may be at once: the limit of open files is raised as far as it may be.
fn room() -> usize {
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return AT_ONCE / 4 };
    let wanted = hard.min(AT_ONCE as u64 + 64);
    let got = getrlimit(Resource::RLIMIT_NOFILE).map_or(64, |(soft, _)| soft);
    if got < wanted {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard);
    }
    AT_ONCE.min(usize::try_from(got.max(wanted)).unwrap_or(AT_ONCE).saturating_sub(32).max(1))
}

struct Run {
    limit: Duration,
    at_once: usize,
    under: Vec<Under>,
    done: BTreeMap<usize, Vec<Outcome>>,
}

impl Run {
    /// Whether nothing more is tried of a target.
    fn is_settled(&self, target: usize, addresses: usize) -> bool {
        self.done.get(&target).is_some_and(|outcomes| {
            outcomes.len() >= addresses
                || outcomes.last().is_some_and(|outcome| outcome.verdict == Verdict::Connected)
        })
    }

    fn settle(
        &mut self,
        target: usize,
        address: SocketAddr,
        began: Instant,
        (verdict, error): (Verdict, Option<String>),
    ) {
        let outcome = Outcome { address, verdict, took: began.elapsed(), error };
        self.done.entry(target).or_default().push(outcome);
    }

    /// Begins a connection; false where there is no room for its socket, but will be.
    fn begin(&mut self, target: usize, address: SocketAddr) -> bool {
        let began = Instant::now();
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = match socket(family, SockType::Stream, flags, None) {
            Ok(socket) => socket,
            Err(Errno::EMFILE | Errno::ENFILE) if !self.under.is_empty() => return false,
            Err(errno) => {
                self.settle(target, address, began, (Verdict::Error, Some(errno_text(errno as i32))));
                return true;
            }
        };
        // Without notices the errno alone says what it was.
        let _ = notices::want(&socket, address.is_ipv6());
        match connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
            Ok(()) => self.settle(target, address, began, (Verdict::Connected, None)),
            Err(Errno::EINPROGRESS | Errno::EINTR) => {
                self.under.push(Under { target, address, socket, began });
            }
            Err(errno) => self.settle(target, address, began, at_once(errno)),
        }
        true
    }

    /// Waits until something happens; the targets to which it did.
    fn step(&mut self) -> io::Result<Vec<usize>> {
        let Some(first) = self.under.iter().map(|under| under.began).min() else { return Ok(Vec::new()) };
        let left = (first + self.limit).saturating_duration_since(Instant::now());
        let millis = u16::try_from((left + Duration::from_micros(999)).as_millis()).unwrap_or(u16::MAX);
        let mut polled: Vec<PollFd> =
            self.under.iter().map(|under| PollFd::new(under.socket.as_fd(), PollFlags::POLLOUT)).collect();
        match poll(&mut polled, PollTimeout::from(millis)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> =
            polled.iter().map(|polled| polled.revents().is_some_and(|events| !events.is_empty())).collect();
        let now = Instant::now();
        let mut touched = Vec::new();
        let mut left = Vec::new();
        for (under, ready) in std::mem::take(&mut self.under).into_iter().zip(ready) {
            if !ready && now < under.began + self.limit {
                left.push(under);
                continue;
            }
            let end = if ready {
                end(&under.socket)
            } else {
                (Verdict::Filtered, Some(format!("no answer in {} s", self.limit.as_secs_f64())))
            };
            touched.push(under.target);
            self.settle(under.target, under.address, under.began, end);
        }
        self.under = left;
        Ok(touched)
    }
}

/// What an errno says that comes at once: the container's own routes and filters have decided.
fn at_once(errno: Errno) -> (Verdict, Option<String>) {
    let words = match errno {
        Errno::ECONNREFUSED => return (Verdict::Refused, None),
        Errno::ENETUNREACH => "no route".to_owned(),
        Errno::EHOSTUNREACH => "a route of the container says unreachable".to_owned(),
        Errno::EACCES => "a route of the container says prohibited".to_owned(),
        Errno::EINVAL => "a route of the container is a blackhole".to_owned(),
        Errno::EPERM => "a packet filter of the container refuses it".to_owned(),
        errno => return (Verdict::Error, Some(errno_text(errno as i32))),
    };
    (Verdict::Unreachable, Some(words))
}

/// What a socket says that was waited for.
fn end(socket: &OwnedFd) -> (Verdict, Option<String>) {
    let notice = notices::next(socket);
    let errno = getsockopt(socket, SocketError).unwrap_or(0);
    let errno = notice.as_ref().map_or(errno, |notice| notice.errno);
    if let Some((message, info)) = notice.as_ref().and_then(|notice| Some((notice.icmp?, notice.info))) {
        let from = message.from.map(|from| format!(", says {from}")).unwrap_or_default();
        return (Verdict::Unreachable, Some(format!("{}{from}", icmp(&message, info))));
    }
    match Errno::from_raw(errno) {
        _ if errno == 0 => (Verdict::Connected, None),
        Errno::ECONNREFUSED => (Verdict::Refused, None),
        Errno::ETIMEDOUT => (Verdict::Filtered, Some("no answer".to_owned())),
        Errno::EHOSTUNREACH => {
            (Verdict::Unreachable, Some("nobody on the link answers for the address".to_owned()))
        }
        Errno::ENETUNREACH | Errno::EACCES | Errno::EPERM | Errno::ENOPROTOOPT => {
            (Verdict::Unreachable, Some(errno_text(errno)))
        }
        _ => (Verdict::Error, Some(errno_text(errno))),
    }
}
