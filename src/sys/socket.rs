//! Sockets with time limits: every wait ends, and a signal does not cut one short.

use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{BindToDevice, SocketError, TcpNoDelay};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, bind, connect, getsockopt,
    setsockopt, socket,
};

/// Waits until `fd` is ready for `events`; false where `until` came first.
///
/// # Errors
/// Those of poll(2), save EINTR.
pub fn wait(fd: BorrowedFd, events: PollFlags, until: Option<Instant>) -> io::Result<bool> {
    loop {
        let timeout = match until {
            None => PollTimeout::NONE,
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(false);
                }
                // Rounded up, so that the last millisecond is not spent spinning.
                let millis = (left + Duration::from_micros(999)).as_millis();
                PollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(&mut [PollFd::new(fd, events)], timeout) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A TCP connection, non-blocking, that sends at once: with Nagle's algorithm a second small message waits for the
/// peer's delayed acknowledgement, 40 ms.
///
/// # Errors
/// `TimedOut` where `until` came first, else the kernel's.
pub fn tcp(to: SocketAddr, until: Option<Instant>) -> io::Result<OwnedFd> {
    let socket = stream(family(to), &SockaddrStorage::from(to), until)?;
    setsockopt(&socket, TcpNoDelay, &true)?;
    Ok(socket)
}

/// A connection to a Unix socket, non-blocking. `EAGAIN` says that its backlog is full.
///
/// # Errors
/// As [`tcp`]; `ENAMETOOLONG` for a path over 107 bytes.
pub fn unix(path: &OsStr, until: Option<Instant>) -> io::Result<OwnedFd> {
    stream(AddressFamily::Unix, &UnixAddr::new(path)?, until)
}

/// A UDP socket that only takes datagrams from `to`, non-blocking. The kernel picks its port at random.
///
/// # Errors
/// The kernel's, `ENETUNREACH` among them.
pub fn udp(to: SocketAddr) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family(to), SockType::Datagram, flags, None)?;
    connect(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
    Ok(socket)
}

/// IP_MTU_DISCOVER and IPV6_MTU_DISCOVER: whether packets may be fragmented, ip(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragments {
    /// IP_PMTUDISC_DONT: by whoever wants to.
    Allowed = 0,
    /// IP_PMTUDISC_WANT: here, never on the way.
    Here = 1,
    /// IP_PMTUDISC_DO: by nobody.
    Never = 2,
    /// IP_PMTUDISC_PROBE: by nobody, whatever is known of the way.
    Probe = 3,
}

/// Sets whether packets of a socket may be fragmented.
///
/// # Errors
/// As setsockopt(2).
pub fn set_fragments(socket: &impl AsFd, v6: bool, how: Fragments) -> nix::Result<()> {
    let (level, name) = match v6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
        false => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
    };
    let value = how as libc::c_int;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer and length are those of one int that outlives the call; the descriptor is borrowed for it.
    let set = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const value).cast(), length)
    };
    Errno::result(set).map(drop)
}

/// Where packets leave from: an interface, or an own address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// By this interface.
    Interface(std::ffi::OsString),
    /// With this address as their source.
    Address(IpAddr),
}

/// Binds a socket to where its packets leave from.
///
/// # Errors
/// As setsockopt(2) and bind(2).
pub fn bind_to(socket: &impl AsFd, from: &From) -> nix::Result<()> {
    match from {
        From::Interface(name) => setsockopt(socket, BindToDevice, name),
        From::Address(ip) => {
            bind(socket.as_fd().as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(*ip, 0)))
        }
    }
}

/// The address that packets to `to` have as their source. Nothing is sent.
///
/// # Errors
/// The kernel's, `ENETUNREACH` among them.
pub fn source(to: SocketAddr, from: &From) -> io::Result<IpAddr> {
    let socket = socket(family(to), SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    bind_to(&socket, from)?;
    connect(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
    Ok(std::net::UdpSocket::from(socket).local_addr()?.ip())
}

fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn stream(family: AddressFamily, to: &dyn SockaddrLike, until: Option<Instant>) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Stream, flags, None)?;
    match connect(socket.as_raw_fd(), to) {
        Ok(()) => return Ok(socket),
        // An interrupted connect goes on in the kernel, connect(2).
        Err(Errno::EINPROGRESS | Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    if !wait(socket.as_fd(), PollFlags::POLLOUT, until)? {
        return Err(io::ErrorKind::TimedOut.into());
    }
    match getsockopt(&socket, SocketError)? {
        0 => Ok(socket),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_end_at_their_limit() {
        let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let fd = tcp(listener.local_addr().unwrap(), None).unwrap();
        let until = Instant::now() + Duration::from_millis(30);
        assert!(!wait(fd.as_fd(), PollFlags::POLLIN, Some(until)).unwrap());
        assert!(Instant::now() >= until);
    }

    #[test]
    fn refusal_is_the_kernels_errno() {
        let address =
            std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap().local_addr().unwrap();
        assert_eq!(tcp(address, None).unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED));
    }
}
