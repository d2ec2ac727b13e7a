//! Sockets with time limits: every wait ends, and a signal does not cut one short.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{SocketError, TcpNoDelay};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, connect, getsockopt,
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
