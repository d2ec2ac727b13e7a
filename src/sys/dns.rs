//! A DNS client (RFC 1035): UDP first, TCP where an answer was cut. Facts only: what was asked, of whom, what came back.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{MsgFlags, recv, send};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, TYPE};

use super::resolv::Config;
use super::socket;

/// How many aliases are followed in one answer.
const MAX_ALIASES: usize = 16;
/// How many addresses of one answer are kept.
const MAX_RECORDS: usize = 64;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
}

/// What came of one question to one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Addresses, in the order of the answer.
    Addresses(Vec<IpAddr>),
    /// The name exists, but has none of that kind.
    NoData,
    /// NXDOMAIN: the name does not exist.
    NoName,
    /// Another response code: 2 is SERVFAIL, 5 is REFUSED.
    Code(u8),
    /// No answer within this time.
    Silent(Duration),
    /// The server could not be reached: an errno.
    Unreachable(i32),
    /// An answer that makes no sense.
    Garbled(&'static str),
}

impl Outcome {
    /// Whether the answer settles the question, so that no other server is asked.
    fn settles(&self) -> bool {
        matches!(self, Self::Addresses(_) | Self::NoData | Self::NoName)
    }
}

/// One question to one server, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The full name.
    pub name: String,
    /// What was asked for.
    pub kind: Kind,
    /// Who was asked.
    pub server: SocketAddr,
    /// What came back.
    pub outcome: Outcome,
}

/// What a lookup through the search list found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The addresses of the first name that has any, IPv6 first.
    pub addresses: Vec<IpAddr>,
    /// Every question, in order.
    pub asked: Vec<Asked>,
    /// Whether the caller's limit ended it.
    pub cut: bool,
}

/// Asks the servers of a [`Config`].
pub struct Client<'a> {
    config: &'a Config,
}

impl<'a> Client<'a> {
    /// A client for these settings.
    pub fn new(config: &'a Config) -> Self {
        Self { config }
    }

    /// Looks a name up, through the search list. A name that a server does not know or fails on leads to the next
    /// one; silence ends the search, since the next name would wait as long.
    pub fn lookup(&self, name: &str, kinds: &[Kind], until: Option<Instant>) -> Lookup {
        let mut lookup = Lookup::default();
        for candidate in self.config.candidates(name) {
            let asked = self.ask(&candidate, kinds, until);
            for one in &asked {
                if let Outcome::Addresses(found) = &one.outcome {
                    lookup.addresses.extend(found);
                }
            }
            let silent = asked.iter().rev().take(kinds.len()).any(|one| {
                matches!(one.outcome, Outcome::Silent(_) | Outcome::Unreachable(_) | Outcome::Garbled(_))
            });
            lookup.asked.extend(asked);
            lookup.cut = passed(until);
            if silent || lookup.cut || !lookup.addresses.is_empty() {
                break;
            }
        }
        lookup.addresses.sort_by_key(IpAddr::is_ipv4);
        lookup
    }

    /// Asks for one full name, all kinds at once, until each is settled or every attempt is used up.
    pub fn ask(&self, name: &str, kinds: &[Kind], until: Option<Instant>) -> Vec<Asked> {
        let mut asked = Vec::new();
        let mut open = kinds.to_vec();
        for _ in 0..self.config.attempts {
            for &server in &self.config.servers {
                // Servers that drop one kind are common: with addresses at hand it is not waited for again.
                let found = asked.iter().any(|one: &Asked| matches!(one.outcome, Outcome::Addresses(_)));
                if found || open.is_empty() || passed(until) {
                    return asked;
                }
                let wait = Instant::now() + self.config.timeout;
                let limit = until.map_or(wait, |until| until.min(wait));
                for (kind, outcome) in self.exchange(server, name, &open, limit) {
                    if outcome.settles() {
                        open.retain(|other| *other != kind);
                    }
                    asked.push(Asked { name: name.to_owned(), kind, server, outcome });
                }
            }
        }
        asked
    }

    /// Asks one server once.
    fn exchange(
        &self,
        server: SocketAddr,
        name: &str,
        kinds: &[Kind],
        until: Instant,
    ) -> Vec<(Kind, Outcome)> {
        let began = Instant::now();
        let mut queries = Vec::new();
        for &kind in kinds {
            match Query::new(name, kind) {
                Ok(query) => queries.push(query),
                Err(outcome) => return kinds.iter().map(|kind| (*kind, outcome.clone())).collect(),
            }
        }
        let result = if self.config.use_vc { Ok(()) } else { over_udp(server, &mut queries, until) };
        queries
            .into_iter()
            .map(|query| {
                let outcome = match (&query.outcome, &result) {
                    (Some(Reply::Settled(outcome)), _) => outcome.clone(),
                    (None, Err(error)) => failed(error, began),
                    (Some(Reply::Cut), _) | (None, Ok(())) => {
                        over_tcp(server, &query, until).unwrap_or_else(|error| failed(&error, began))
                    }
                };
                (query.kind, outcome)
            })
            .collect()
    }
}

fn passed(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() >= until)
}

fn failed(error: &io::Error, began: Instant) -> Outcome {
    match error.raw_os_error() {
        Some(errno) => Outcome::Unreachable(errno),
        None if error.kind() == io::ErrorKind::TimedOut => Outcome::Silent(began.elapsed()),
        None => Outcome::Garbled("the connection ended within the answer"),
    }
}

/// A question under way.
pub(crate) struct Query {
    /// Its number, which the reply repeats.
    pub id: u16,
    name: String,
    kind: Kind,
    packet: Vec<u8>,
    outcome: Option<Reply>,
}

/// What a reply says.
pub(crate) enum Reply {
    /// All there is to say.
    Settled(Outcome),
    /// Truncated: to be asked again over TCP.
    Cut,
}

impl Query {
    /// A question for a full name, with a number that cannot be guessed.
    ///
    /// # Errors
    /// What is settled before anyone is asked.
    pub fn new(name: &str, kind: Kind) -> Result<Self, Outcome> {
        let mut id = [0; 2];
        random(&mut id).map_err(|e| Outcome::Unreachable(e.raw_os_error().unwrap_or_default()))?;
        let id = u16::from_be_bytes(id);
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let labels = Name::new(name).map_err(|_| Outcome::Garbled("not a name that DNS can carry"))?;
        let qtype = match kind {
            Kind::A => TYPE::A,
            Kind::Aaaa => TYPE::AAAA,
        };
        packet.questions.push(Question::new(labels, QTYPE::TYPE(qtype), QCLASS::CLASS(CLASS::IN), false));
        let packet =
            packet.build_bytes_vec().map_err(|_| Outcome::Garbled("not a name that DNS can carry"))?;
        Ok(Self { id, name: name.to_owned(), kind, packet, outcome: None })
    }

    /// Reads a reply; `None` where it is not one to this question.
    pub fn reply(&self, bytes: &[u8]) -> Option<Reply> {
        let header: &[u8; 12] = bytes.first_chunk()?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        if word(0) != self.id || header[2] & 0x80 == 0 {
            return None;
        }
        // Records take 11 bytes or more: counts beyond that are a lie, and would be allocated for.
        let records: usize = [6, 8, 10].into_iter().map(|at| usize::from(word(at))).sum();
        let lie = word(4) != 1 || records * 11 > bytes.len();
        let cut = header[2] & 2 != 0;
        if lie && !cut {
            return None;
        }
        if cut {
            // A cut reply need not parse to its end; it is only believed as far as to ask again.
            return Some(Reply::Cut);
        }
        let packet = Packet::parse(bytes).ok()?;
        let question = packet.questions.first()?;
        let qtype = match self.kind {
            Kind::A => TYPE::A,
            Kind::Aaaa => TYPE::AAAA,
        };
        let mine = question.qtype == QTYPE::TYPE(qtype)
            && question.qclass == QCLASS::CLASS(CLASS::IN)
            && same(&question.qname, &self.name);
        mine.then(|| {
            Reply::Settled(match header[3] & 0x0f {
                0 => self.addresses(&packet),
                3 => Outcome::NoName,
                code => Outcome::Code(code),
            })
        })
    }

    /// Follows aliases from the question's name to the addresses.
    fn addresses(&self, packet: &Packet) -> Outcome {
        let mut name = self.name.clone();
        for _ in 0..=MAX_ALIASES {
            let mut found = Vec::new();
            let mut alias = None;
            for record in packet.answers.iter().filter(|r| r.class == CLASS::IN && same(&r.name, &name)) {
                match (&record.rdata, self.kind) {
                    (RData::A(a), Kind::A) => found.push(IpAddr::V4(Ipv4Addr::from(a.address))),
                    (RData::AAAA(a), Kind::Aaaa) => found.push(IpAddr::V6(Ipv6Addr::from(a.address))),
                    (RData::CNAME(to), _) => alias = Some(to.0.to_string()),
                    _ => {}
                }
            }
            found.truncate(MAX_RECORDS);
            match alias {
                _ if !found.is_empty() => return Outcome::Addresses(found),
                Some(next) => name = next,
                None => return Outcome::NoData,
            }
        }
        Outcome::Garbled("aliases that lead in a circle")
    }
}

/// Whether a name of a packet is this one; case does not matter.
fn same(name: &Name, text: &str) -> bool {
    name.to_string().eq_ignore_ascii_case(text)
}

/// Sends all questions and reads until each has its reply. Datagrams that are no reply are passed over: they may be
/// late, or forged.
fn over_udp(server: SocketAddr, queries: &mut [Query], until: Instant) -> io::Result<()> {
    let socket = socket::udp(server)?;
    for query in queries.iter() {
        send(socket.as_raw_fd(), &query.packet, MsgFlags::MSG_NOSIGNAL)?;
    }
    let mut buffer = vec![0; 65_535];
    while queries.iter().any(|query| query.outcome.is_none()) {
        if !socket::wait(socket.as_fd(), PollFlags::POLLIN, Some(until))? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                if let Some((query, reply)) = queries
                    .iter_mut()
                    .filter(|query| query.outcome.is_none())
                    .find_map(|query| query.reply(bytes).map(|reply| (query, reply)))
                {
                    query.outcome = Some(reply);
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Asks over TCP: a length in front of each message, RFC 1035 section 4.2.2.
fn over_tcp(server: SocketAddr, query: &Query, until: Instant) -> io::Result<Outcome> {
    let socket = socket::tcp(server, Some(until))?;
    let length = u16::try_from(query.packet.len()).unwrap_or(u16::MAX);
    let mut message = length.to_be_bytes().to_vec();
    message.extend_from_slice(&query.packet);
    let mut sent = 0;
    while let Some(rest) = message.get(sent..).filter(|rest| !rest.is_empty()) {
        match send(socket.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
            Ok(count) => sent += count,
            Err(Errno::EAGAIN) if socket::wait(socket.as_fd(), PollFlags::POLLOUT, Some(until))? => {}
            Err(Errno::EAGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let mut length = [0; 2];
    read_exact(&socket, &mut length, until)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    read_exact(&socket, &mut reply, until)?;
    Ok(match query.reply(&reply) {
        Some(Reply::Settled(outcome)) => outcome,
        Some(Reply::Cut) => Outcome::Garbled("an answer that is cut even over TCP"),
        None => Outcome::Garbled("a reply to another question"),
    })
}

fn read_exact(socket: &OwnedFd, buffer: &mut [u8], until: Instant) -> io::Result<()> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match recv(socket.as_raw_fd(), rest, MsgFlags::empty()) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(Errno::EAGAIN) if socket::wait(socket.as_fd(), PollFlags::POLLIN, Some(until))? => {}
            Err(Errno::EAGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Fills a small buffer from getrandom(2).
fn random(buffer: &mut [u8]) -> io::Result<()> {
    loop {
        // SAFETY: the pointer and length are those of one live, writable slice.
        let got = unsafe { libc::getrandom(buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        // Up to 256 bytes come whole or not at all, getrandom(2).
        match got {
            0.. => return Ok(()),
            _ if Errno::last() == Errno::EINTR => {}
            _ => return Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests;
