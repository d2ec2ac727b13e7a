//! Questions and replies on the network: UDP first, TCP where an answer was cut. Every wait has a limit.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{MsgFlags, recv, send};

use super::query::{Query, Reply};
use super::record::Message;
use super::{Outcome, socket};

/// What came of one question to one server.
#[derive(Debug)]
pub struct Exchange {
    /// The reply, or why there is none.
    pub result: Result<Message, Outcome>,
    /// Whether it came over TCP, or was asked for so at last.
    pub is_tcp: bool,
    /// How long it took.
    pub took: Duration,
    /// Datagrams that came from the server and were no reply: late, forged or broken.
    pub passed_over: u32,
}

/// A question under way.
struct Pending<'a> {
    query: &'a Query,
    reply: Option<Reply>,
    took: Duration,
}

/// Asks one server all questions at once.
pub fn exchange(server: SocketAddr, queries: &[Query], tcp: bool, until: Instant) -> Vec<Exchange> {
    let began = Instant::now();
    let mut pending: Vec<Pending> =
        queries.iter().map(|query| Pending { query, reply: None, took: Duration::ZERO }).collect();
    let mut passed_over = 0;
    let sent = if tcp { Ok(()) } else { over_udp(server, &mut pending, began, until, &mut passed_over) };
    let each = pending.into_iter().map(|one| {
        let (result, is_tcp) = match (one.reply, &sent) {
            (Some(Reply::Message(message)), _) => {
                return Exchange { result: Ok(message), is_tcp: false, took: one.took, passed_over };
            }
            (None, Err(error)) => (Err(failed(error, began)), false),
            (Some(Reply::Cut), _) | (None, Ok(())) => {
                (over_tcp(server, one.query, until).unwrap_or_else(|error| Err(failed(&error, began))), true)
            }
        };
        Exchange { result, is_tcp, took: began.elapsed(), passed_over }
    });
    each.collect()
}

fn failed(error: &io::Error, began: Instant) -> Outcome {
    match error.raw_os_error() {
        Some(errno) => Outcome::Unreachable(errno),
        None if error.kind() == io::ErrorKind::TimedOut => Outcome::Silent(began.elapsed()),
        None => Outcome::Garbled("the connection ended within the answer"),
    }
}

/// Sends all questions and reads until each has its reply. Datagrams that are no reply are passed over: they may be
/// late, or forged.
fn over_udp(
    server: SocketAddr,
    queries: &mut [Pending],
    began: Instant,
    until: Instant,
    passed_over: &mut u32,
) -> io::Result<()> {
    let socket = socket::udp(server)?;
    for one in queries.iter() {
        send(socket.as_raw_fd(), &one.query.packet, MsgFlags::MSG_NOSIGNAL)?;
    }
    let mut buffer = vec![0; 65_535];
    while queries.iter().any(|one| one.reply.is_none()) {
        if !socket::wait(socket.as_fd(), PollFlags::POLLIN, Some(until))? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                let open = queries.iter_mut().filter(|one| one.reply.is_none());
                let found = open.into_iter().find_map(|one| one.query.reply(bytes).map(|reply| (one, reply)));
                match found {
                    Some((one, reply)) => {
                        one.reply = Some(reply);
                        one.took = began.elapsed();
                    }
                    None => *passed_over = passed_over.saturating_add(1),
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Asks over TCP: a length in front of each message, RFC 1035 section 4.2.2.
fn over_tcp(server: SocketAddr, query: &Query, until: Instant) -> io::Result<Result<Message, Outcome>> {
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
        Some(Reply::Message(message)) => Ok(message),
        Some(Reply::Cut) => Err(Outcome::Garbled("an answer that is cut even over TCP")),
        None => Err(Outcome::Garbled("a reply to another question")),
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
