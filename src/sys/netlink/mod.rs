//! Netlink dumps: one request, many answers, handed out record by record. netlink(7).

pub mod diag;
pub mod fib;
pub mod interface;
pub mod neighbour;
pub mod route;
pub mod rule;

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, NetlinkAddr, recv, sendto};

/// Bytes of a message's header, `struct nlmsghdr`.
const HEADER: usize = 16;
/// Answers are read through a buffer of this size: the kernel fills dumps of up to 32 KiB into one.
const BUFFER: usize = 256 * 1024;
/// A dump that changed while it was made is asked for again, so often.
const RETRIES: usize = 3;
/// How long the kernel may take for one buffer.
const PATIENCE_MS: u16 = 5000;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// How a dump ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dump {
    /// Whole.
    Whole,
    /// Changed while it was made: entries may be missing or there twice.
    Interrupted,
}

/// Asks for a dump and hands each answer (its type and what follows the header) to `each`.
///
/// # Errors
/// What the kernel says; ETIMEDOUT where it says nothing.
pub fn dump(
    socket: &impl AsFd,
    kind: u16,
    request: &[u8],
    buffer: &mut Vec<u8>,
    each: &mut dyn FnMut(u16, &[u8]),
) -> nix::Result<Dump> {
    exchange(socket, kind, NLM_F_REQUEST | NLM_F_DUMP, request, buffer, each)
}

/// Asks one question that has one answer.
///
/// # Errors
/// As [`dump`].
pub fn ask<T>(
    socket: &impl AsFd,
    kind: u16,
    request: &[u8],
    parse: fn(u16, &[u8]) -> Option<T>,
) -> nix::Result<Option<T>> {
    let mut answer = None;
    // The acknowledgement behind the answer ends the exchange, as the end of a dump does.
    let flags = NLM_F_REQUEST | NLM_F_ACK;
    exchange(socket, kind, flags, request, &mut Vec::new(), &mut |kind, body| {
        if answer.is_none() {
            answer = parse(kind, body);
        }
    })?;
    Ok(answer)
}

fn exchange(
    socket: &impl AsFd,
    kind: u16,
    flags: u16,
    request: &[u8],
    buffer: &mut Vec<u8>,
    each: &mut dyn FnMut(u16, &[u8]),
) -> nix::Result<Dump> {
    let sequence = next_sequence();
    let message = message(kind, flags, sequence, request);
    let fd = socket.as_fd();
    sendto(fd.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::MSG_NOSIGNAL)?;
    buffer.resize(BUFFER, 0);
    let mut ended = Dump::Whole;
    loop {
        let mut ready = [PollFd::new(fd, PollFlags::POLLIN)];
        match recv(fd.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(count) => match batch(buffer.get(..count).unwrap_or_default(), sequence, each)? {
                Batch { done: true, interrupted } => {
                    return Ok(if interrupted { Dump::Interrupted } else { ended });
                }
                Batch { interrupted: true, .. } => ended = Dump::Interrupted,
                _ => {}
            },
            Err(Errno::EAGAIN) => {
                if poll(&mut ready, PollTimeout::from(PATIENCE_MS))? == 0 {
                    return Err(Errno::ETIMEDOUT);
                }
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// As [`dump`], but records are collected, and asked for again where the dump was interrupted.
///
/// # Errors
/// As [`dump`].
pub fn collect<T>(
    socket: &impl AsFd,
    kind: u16,
    request: &[u8],
    limit: usize,
    parse: fn(u16, &[u8]) -> Option<T>,
) -> nix::Result<Vec<T>> {
    let mut buffer = Vec::new();
    let mut all = Vec::new();
    for _ in 0..RETRIES {
        all.clear();
        let ended = dump(socket, kind, request, &mut buffer, &mut |kind, body| {
            if all.len() < limit {
                all.extend(parse(kind, body));
            }
        })?;
        if ended == Dump::Whole {
            break;
        }
    }
    Ok(all)
}

/// A sequence number that no earlier request on an inherited socket has.
fn next_sequence() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0x6e73_0001);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend_from_slice(&((HEADER + body.len()) as u32).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&flags.to_ne_bytes());
    message.extend_from_slice(&sequence.to_ne_bytes());
    message.extend_from_slice(&0u32.to_ne_bytes());
    message.extend_from_slice(body);
    message
}

/// What a buffer of answers said of the dump.
pub(crate) struct Batch {
    /// It was the last.
    done: bool,
    /// The dump changed while it was made.
    interrupted: bool,
}

/// Walks the messages of one buffer. Messages of another sequence are passed over.
pub(crate) fn batch(mut bytes: &[u8], sequence: u32, each: &mut dyn FnMut(u16, &[u8])) -> nix::Result<Batch> {
    let mut batch = Batch { done: false, interrupted: false };
    while let (Some(length), Some(kind), Some(flags), Some(answers)) =
        (u32_at(bytes, 0), u16_at(bytes, 4), u16_at(bytes, 6), u32_at(bytes, 8))
    {
        let length = length as usize;
        let Some(body) = bytes.get(HEADER..length) else { break };
        if answers == sequence {
            batch.interrupted |= flags & NLM_F_DUMP_INTR != 0;
            match kind {
                NLMSG_DONE | NLMSG_ERROR => {
                    batch.done = true;
                    // Both begin with an errno, negative, or 0.
                    match u32_at(body, 0).map_or(0, |code| code as i32) {
                        0 => return Ok(batch),
                        code => return Err(Errno::from_raw(code.wrapping_neg())),
                    }
                }
                _ => each(kind, body),
            }
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(batch)
}

/// Appends an attribute to a request.
pub(crate) fn attribute(request: &mut Vec<u8>, kind: u16, value: &[u8]) {
    request.resize(request.len().next_multiple_of(4), 0);
    request.extend_from_slice(&((4 + value.len()) as u16).to_ne_bytes());
    request.extend_from_slice(&kind.to_ne_bytes());
    request.extend_from_slice(value);
    request.resize(request.len().next_multiple_of(4), 0);
}

/// An address of an attribute, by its length.
pub(crate) fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => array_at::<4>(value, 0).map(|bytes| IpAddr::V4(bytes.into())),
        16 => array_at::<16>(value, 0).map(|bytes| IpAddr::V6(bytes.into())),
        _ => None,
    }
}

/// A name of an attribute: what stands before its NUL.
pub(crate) fn name(value: &[u8]) -> Vec<u8> {
    value.split(|b| *b == 0).next().unwrap_or_default().to_vec()
}

/// The attributes of a message: type and value. The nested and byte-order flags are taken off the type.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)?;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & 0x3fff, value))
    })
}

pub(crate) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(array_at(bytes, at)?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(array_at(bytes, at)?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(array_at(bytes, at)?))
}

pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cut_at_any_length_never_panic() {
        let mut bytes = message(20, 0, 7, &[1; 21]);
        bytes.resize(40, 0);
        bytes.extend(message(NLMSG_DONE, 0, 7, &[0; 4]));
        for end in 0..=bytes.len() {
            let mut seen = 0;
            let done = batch(&bytes[..end], 7, &mut |_, body| seen += body.len()).unwrap().done;
            assert_eq!((done, seen), (end == bytes.len(), if end >= 37 { 21 } else { 0 }));
        }
        // A length of less than the header ends the walk.
        assert!(!batch(&[0; 64], 0, &mut |_, _| panic!()).unwrap().done);
    }

    #[test]
    fn errors_and_foreign_sequences() {
        let error = message(NLMSG_ERROR, 0, 7, &(-libc::EPERM).to_ne_bytes());
        assert_eq!(batch(&error, 7, &mut |_, _| ()).err(), Some(Errno::EPERM));
        assert!(!batch(&error, 8, &mut |_, _| ()).unwrap().done);
        let attribute = [8, 0, 2, 0x80, 1, 2, 3, 4, 5, 0, 3, 0, 9];
        for end in 0..attribute.len() {
            assert!(attributes(&attribute[..end]).count() <= 1);
        }
        assert_eq!(attributes(&attribute).collect::<Vec<_>>(), [(2, &[1, 2, 3, 4][..]), (3, &[9])]);
        assert_eq!(attributes(&[0; 8]).count(), 0);
    }
}
