//! Sockets through sock_diag(7): TCP, UDP, raw and Unix. Layouts from linux/inet_diag.h and linux/unix_diag.h.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{array_at, attributes, u8_at, u32_at};

/// Message type of a request and of its answers.
pub const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// INET_DIAG_SKV6ONLY.
const SKV6ONLY: u16 = 11;

/// A timer of a TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    /// 1 retransmit, 2 keepalive, 3 TIME_WAIT, 4 zero window probe.
    pub kind: u8,
    /// Milliseconds until it expires.
    pub expires: u32,
    /// Retransmissions so far.
    pub retransmits: u8,
}

/// A socket of an internet protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inet {
    /// AF_INET or AF_INET6.
    pub v6: bool,
    /// TCP_ESTABLISHED (1) to TCP_NEW_SYN_RECV (12), for other protocols too.
    pub state: u8,
    /// Local address and port.
    pub local: (IpAddr, u16),
    /// Peer's address and port.
    pub remote: (IpAddr, u16),
    /// Bytes to be read; of a listening socket: connections to be accepted.
    pub recv_queue: u32,
    /// Bytes to be acknowledged; of a listening socket: how many connections may wait.
    pub send_queue: u32,
    /// How many connections may wait, of a listening TCP socket; None where it is not known.
    pub backlog: Option<u32>,
    /// Owner, as the reader counts.
    pub uid: u32,
    /// Inode; 0 of a socket that no process holds.
    pub inode: u64,
    /// Its timer.
    pub timer: Option<Timer>,
    /// Of one of IPv6 that listens or is not connected: whether it takes no IPv4 (IPV6_V6ONLY). None where it is not known.
    pub v6_only: Option<bool>,
}

/// A Unix socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unix {
    /// SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET.
    pub kind: u8,
    /// TCP's numbers: 1 established, 7 closed, 10 listening.
    pub state: u8,
    /// Inode.
    pub inode: u64,
    /// Its name: a path, or what follows a NUL of an abstract name.
    pub name: Vec<u8>,
    /// Inode of its peer, 0 for none.
    pub peer: u64,
    /// As of [`Inet`].
    pub recv_queue: u32,
    /// As of [`Inet`].
    pub send_queue: u32,
    /// As of [`Inet`].
    pub backlog: Option<u32>,
    /// Owner, as the reader counts (kernel 5.3 on).
    pub uid: Option<u32>,
}

/// The request for all sockets of one family and protocol in these states (a bit for each).
pub fn inet_request(family: u8, protocol: u8, states: u32) -> Vec<u8> {
    let mut request = vec![family, protocol, 0, 0];
    request.extend_from_slice(&states.to_ne_bytes());
    // struct inet_diag_sockid: empty.
    request.resize(56, 0);
    request
}

/// The request for all Unix sockets in these states, with name, peer, queues and owner.
pub fn unix_request(states: u32) -> Vec<u8> {
    const SHOW: u32 = 1 | 4 | 0x10 | 0x40;
    let mut request = vec![libc::AF_UNIX as u8, 0, 0, 0];
    request.extend_from_slice(&states.to_ne_bytes());
    request.extend_from_slice(&0u32.to_ne_bytes());
    request.extend_from_slice(&SHOW.to_ne_bytes());
    request.resize(24, 0);
    request
}

/// One answer, `struct inet_diag_msg`.
pub fn inet(body: &[u8]) -> Option<Inet> {
    let v6 = i32::from(u8_at(body, 0)?) == libc::AF_INET6;
    let address = |at| {
        Some(if v6 {
            IpAddr::V6(Ipv6Addr::from(array_at::<16>(body, at)?))
        } else {
            IpAddr::V4(Ipv4Addr::from(array_at::<4>(body, at)?))
        })
    };
    let port = |at| array_at(body, at).map(u16::from_be_bytes);
    let (state, send_queue) = (u8_at(body, 1)?, u32_at(body, 60)?);
    let (kind, retransmits) = (u8_at(body, 2)?, u8_at(body, 3)?);
    let expires = u32_at(body, 52)?;
    Some(Inet {
        v6,
        state,
        local: (address(8)?, port(4)?),
        remote: (address(24)?, port(6)?),
        recv_queue: u32_at(body, 56)?,
        send_queue,
        backlog: (state == 10).then_some(send_queue),
        uid: u32_at(body, 64)?,
        inode: u64::from(u32_at(body, 68)?),
        timer: (kind != 0).then_some(Timer { kind, expires, retransmits }),
        v6_only: attributes(body.get(72..).unwrap_or_default())
            .find(|(kind, _)| *kind == SKV6ONLY)
            .and_then(|(_, value)| u8_at(value, 0))
            .map(|is| is != 0),
    })
}

/// One answer, `struct unix_diag_msg` and its attributes.
pub fn unix(body: &[u8]) -> Option<Unix> {
    let mut socket = Unix {
        kind: u8_at(body, 1)?,
        state: u8_at(body, 2)?,
        inode: u64::from(u32_at(body, 4)?),
        ..Unix::default()
    };
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            0 => socket.name = value.to_vec(),
            2 => socket.peer = u64::from(u32_at(value, 0)?),
            4 => {
                (socket.recv_queue, socket.send_queue) = (u32_at(value, 0)?, u32_at(value, 4)?);
                socket.backlog = (socket.state == 10).then_some(socket.send_queue);
            }
            7 => socket.uid = u32_at(value, 0),
            _ => {}
        }
    }
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_cut_at_any_length_never_panic() {
        let mut body = vec![2, 10, 2, 1, 0x1f, 0x90, 0, 0, 127, 0, 0, 1];
        body.resize(52, 0);
        for field in [1500u32, 3, 128, 65_532, 4242] {
            body.extend_from_slice(&field.to_ne_bytes());
        }
        for end in 0..body.len() {
            assert_eq!(inet(&body[..end]), None);
        }
        let socket = inet(&body).unwrap();
        assert_eq!((socket.local, socket.state), ((Ipv4Addr::LOCALHOST.into(), 8080), 10));
        assert_eq!((socket.recv_queue, socket.send_queue, socket.uid, socket.inode), (3, 128, 65_532, 4242));
        assert_eq!(socket.timer, Some(Timer { kind: 2, expires: 1500, retransmits: 1 }));
        body[0] = 10;
        assert!(inet(&body).unwrap().v6);
        assert_eq!(inet(&body).unwrap().v6_only, None);
        body.extend_from_slice(&[5, 0, 11, 0, 1, 0, 0, 0]);
        assert_eq!(inet(&body).unwrap().v6_only, Some(true));
        for end in 72..body.len() {
            let _ = inet(&body[..end]);
        }
    }

    #[test]
    fn unix_names_and_attributes() {
        let mut body = vec![1, 1, 10, 0, 9, 0, 0, 0];
        body.resize(16, 0);
        body.extend_from_slice(&[8, 0, 0, 0, 0, b'a', 0xff, b'\n', 8, 0, 2, 0, 5, 0, 0, 0]);
        for end in 0..body.len() {
            let _ = unix(&body[..end]);
        }
        let socket = unix(&body).unwrap();
        assert_eq!((socket.kind, socket.state, socket.inode, socket.peer), (1, 10, 9, 5));
        assert_eq!(socket.name, b"\0a\xff\n");
    }
}
