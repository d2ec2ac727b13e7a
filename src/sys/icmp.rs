//! What ICMP says of a socket's packets: the error queue, ip(7) and ipv6(7).

use std::io::IoSliceMut;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use nix::Result;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};

/// What is kept of the packet that a notice is about.
const PACKET: usize = 512;

/// SO_EE_ORIGIN_ICMP and SO_EE_ORIGIN_ICMP6.
const ORIGINS: [u8; 2] = [2, 3];

/// A notice of the error queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What the kernel makes of it.
    pub errno: i32,
    /// ICMP's type and code, and who sent it; none where the kernel itself could not send.
    pub icmp: Option<Icmp>,
    /// More: the MTU where a packet is too large.
    pub info: u32,
    /// The packet that it is about, from the socket's own protocol on.
    pub packet: Vec<u8>,
}

/// An ICMP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp {
    /// Whether it is ICMPv6.
    pub v6: bool,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Who sent it.
    pub from: Option<IpAddr>,
}

/// Asks for notices of a socket.
///
/// # Errors
/// As setsockopt(2).
pub fn want(socket: &impl AsFd, v6: bool) -> Result<()> {
    if v6 { setsockopt(socket, Ipv6RecvErr, &true) } else { setsockopt(socket, Ipv4RecvErr, &true) }
}

/// The next notice, if there is one. Reading it clears the socket's error.
pub fn next(socket: &impl AsFd) -> Option<Notice> {
    let mut packet = vec![0; PACKET];
    let mut control = nix::cmsg_space!([u8; 256]);
    let mut parts = [IoSliceMut::new(&mut packet)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_fd().as_raw_fd(), &mut parts, Some(&mut control), flags).ok()?;
    let length = message.bytes;
    let mut found = None;
    for control in message.cmsgs().ok()? {
        let (error, from) = match control {
            ControlMessageOwned::Ipv4RecvErr(error, from) => {
                (error, from.map(|from| IpAddr::from(u32::from_be(from.sin_addr.s_addr).to_be_bytes())))
            }
            ControlMessageOwned::Ipv6RecvErr(error, from) => {
                (error, from.map(|from| IpAddr::from(from.sin6_addr.s6_addr)))
            }
            _ => continue,
        };
        let icmp = ORIGINS.contains(&error.ee_origin).then(|| Icmp {
            v6: error.ee_origin == ORIGINS[1],
            kind: error.ee_type,
            code: error.ee_code,
            from,
        });
        found = Some((error.ee_errno as i32, icmp, error.ee_info));
    }
    let (errno, icmp, info) = found?;
    packet.truncate(length);
    Some(Notice { errno, icmp, info, packet })
}
