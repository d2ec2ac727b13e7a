//! ICMP echo: a datagram socket where the container's groups may have one, else a raw one. icmp(7), RFC 792, RFC 4443.

use std::ffi::OsStr;
use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv4RecvTtl, Ipv4Ttl, Ipv6RecvHopLimit, Ipv6Ttl, RcvBuf};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recvmsg,
    sendto, setsockopt, socket,
};

use crate::cmd::{Fault, Result};
use crate::sys::icmp::{self, Notice};
use crate::sys::open::read_bounded;
use crate::sys::random;
use crate::sys::socket::{Fragments, From, bind_to, set_fragments};

/// Type, code, checksum, identifier, sequence number.
pub const HEADER: usize = 8;
/// The largest message that fits into a packet.
const LARGEST: usize = 65_535;
/// What marks our requests, where there is room for it.
const COOKIE: usize = 8;

/// A socket for echo requests to one address.
pub struct Echo {
    socket: OwnedFd,
    to: SocketAddr,
    is_raw: bool,
    id: u16,
    cookie: [u8; COOKIE],
    buffer: Vec<u8>,
}

/// How requests are sent.
pub struct How {
    /// Their time to live.
    pub ttl: Option<u8>,
    /// Where they leave from.
    pub from: Option<From>,
    /// Whether they may be fragmented.
    pub fragments: Option<Fragments>,
}

/// An answer.
pub struct Reply {
    /// Its sequence number.
    pub sequence: u16,
    /// Who sent it.
    pub from: IpAddr,
    /// What was left of its time to live.
    pub ttl: Option<u8>,
    /// Its length, with the header.
    pub length: usize,
}

impl Echo {
    /// Opens a socket, set up as asked for.
    ///
    /// # Errors
    /// A fault that says what is missing, with status 2.
    pub fn open(to: SocketAddr, how: &How) -> Result<Self> {
        let failed = |op: &'static str| move |errno| Fault::errno(op, "ICMP socket", errno).with_status(2);
        let (socket, is_raw) = open(to.is_ipv6())?;
        icmp::want(&socket, to.is_ipv6()).map_err(failed("setsockopt"))?;
        if to.is_ipv6() {
            setsockopt(&socket, Ipv6RecvHopLimit, &true)
        } else {
            setsockopt(&socket, Ipv4RecvTtl, &true)
        }
        .map_err(failed("setsockopt"))?;
        if let Some(from) = &how.from {
            bind_to(&socket, from).map_err(failed("bind"))?;
        }
        if let Some(fragments) = how.fragments {
            set_fragments(&socket, to.is_ipv6(), fragments).map_err(failed("setsockopt"))?;
        }
        if let Some(ttl) = how.ttl {
            let ttl = i32::from(ttl);
            if to.is_ipv6() {
                setsockopt(&socket, Ipv6Ttl, &ttl)
            } else {
                setsockopt(&socket, Ipv4Ttl, &ttl)
            }
            .map_err(failed("setsockopt"))?;
        }
        // Room for bursts; where it is refused the usual room must do.
        let _ = setsockopt(&socket, RcvBuf, &(1 << 20));
        let mut bytes = [0; COOKIE + 2];
        random::fill(&mut bytes).map_err(failed("getrandom"))?;
        let [first, second, cookie @ ..] = bytes;
        let id = u16::from_be_bytes([first, second]);
        Ok(Self { socket, to, is_raw, id, cookie, buffer: vec![0; LARGEST] })
    }

    /// Sends a request with so many bytes behind the header.
    ///
    /// # Errors
    /// As sendto(2).
    pub fn send(&self, sequence: u16, size: usize) -> nix::Result<()> {
        let kind = if self.to.is_ipv6() { 128 } else { 8 };
        let mut packet = vec![kind, 0, 0, 0];
        packet.extend_from_slice(&self.id.to_be_bytes());
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend((0..size).map(|at| self.cookie.get(at).copied().unwrap_or(at as u8)));
        if !self.to.is_ipv6() {
            // Of IPv6 the kernel does it, since addresses are part of it.
            let sum = checksum(&packet).to_be_bytes();
            packet[2..4].copy_from_slice(&sum);
        }
        let mut to = self.to;
        to.set_port(0);
        loop {
            match sendto(self.socket.as_raw_fd(), &packet, &SockaddrStorage::from(to), MsgFlags::MSG_NOSIGNAL)
            {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// The next answer to a request of ours; `None` where nothing is there. What belongs to others is passed over.
    ///
    /// # Errors
    /// As recvmsg(2).
    pub fn receive(&mut self) -> nix::Result<Option<Reply>> {
        loop {
            let mut control = nix::cmsg_space!(i32, [u8; 64]);
            let mut parts = [IoSliceMut::new(&mut self.buffer)];
            let number = self.socket.as_raw_fd();
            let flags = MsgFlags::MSG_DONTWAIT;
            let message = match recvmsg::<SockaddrStorage>(number, &mut parts, Some(&mut control), flags) {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno),
            };
            let length = message.bytes;
            let from = message.address.and_then(|address| ip_of(&address));
            let mut ttl = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) => {
                    u8::try_from(ttl).ok()
                }
                _ => None,
            });
            let mut packet = self.buffer.get(..length).unwrap_or_default();
            if self.is_raw && !self.to.is_ipv6() {
                // The packet's own header is in front.
                ttl = ttl.or_else(|| packet.get(8).copied());
                let header = packet.first().map_or(0, |first| usize::from(first & 0xf) * 4);
                packet = packet.get(header..).unwrap_or_default();
            }
            if let (Some(from), Some(sequence)) = (from, self.answered(packet)) {
                return Ok(Some(Reply { sequence, from, ttl, length: packet.len() }));
            }
        }
    }

    /// The sequence number of a packet that answers us.
    fn answered(&self, packet: &[u8]) -> Option<u16> {
        let kind = if self.to.is_ipv6() { 129 } else { 0 };
        let (sequence, id) = numbers(packet)?;
        let payload = packet.get(HEADER..)?;
        let marked = payload.len().min(COOKIE);
        // A datagram socket is only given its own.
        let is_ours = packet.first() == Some(&kind)
            && (!self.is_raw || id == self.id)
            && payload.get(..marked) == self.cookie.get(..marked);
        is_ours.then_some(sequence)
    }

    /// The next notice about a request of ours: what it says, and its sequence number where it is about one.
    pub fn notice(&self) -> Option<(Notice, Option<u16>)> {
        loop {
            let notice = icmp::next(&self.socket)?;
            if notice.icmp.is_none() {
                return Some((notice, None));
            }
            let kind = if self.to.is_ipv6() { 128 } else { 8 };
            if let Some((sequence, id)) = numbers(&notice.packet)
                && notice.packet.first() == Some(&kind)
                && (!self.is_raw || id == self.id)
            {
                return Some((notice, Some(sequence)));
            }
        }
    }
}

impl AsFd for Echo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sequence number and identifier.
fn numbers(packet: &[u8]) -> Option<(u16, u16)> {
    let header: &[u8; HEADER] = packet.first_chunk()?;
    Some((u16::from_be_bytes([header[6], header[7]]), u16::from_be_bytes([header[4], header[5]])))
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

/// A datagram socket, else a raw one; whether it is raw.
fn open(v6: bool) -> Result<(OwnedFd, bool)> {
    let family = if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let protocol = if v6 { SockProtocol::IcmpV6 } else { SockProtocol::Icmp };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    if let Ok(socket) = socket(family, SockType::Datagram, flags, protocol) {
        return Ok((socket, false));
    }
    match socket(family, SockType::Raw, flags, protocol) {
        Ok(socket) => Ok((socket, true)),
        Err(Errno::EPERM | Errno::EACCES) => {
            let group = nix::unistd::getegid();
            let path = OsStr::new("/proc/sys/net/ipv4/ping_group_range");
            let range = read_bounded(path, 64).unwrap_or_default();
            let range =
                String::from_utf8_lossy(&range).split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            let now = if range.is_empty() { String::new() } else { format!(", which is {range}") };
            let cause = format!("it takes CAP_NET_RAW, or group {group} in net.ipv4.ping_group_range{now}");
            Err(Fault::text("open", "ICMP socket", cause).with_hint("--cap-add NET_RAW").with_status(2))
        }
        Err(errno) => Err(Fault::errno("open", "ICMP socket", errno).with_status(2)),
    }
}

/// The internet checksum, RFC 1071.
fn checksum(packet: &[u8]) -> u16 {
    let sum: u32 = packet
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_add_up() {
        // The example of RFC 1071 section 3.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!((checksum(&[]), checksum(&[1])), (0xffff, !0x0100));
    }

    #[test]
    fn packets_cut_at_any_length_never_panic() {
        let packet = [8, 0, 0, 0, 1, 2, 3, 4, 5];
        for end in 0..HEADER {
            assert_eq!(numbers(&packet[..end]), None);
        }
        assert_eq!(numbers(&packet), Some((0x0304, 0x0102)));
    }
}
