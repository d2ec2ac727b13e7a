//! Sockets of `nc`: connected from an address of its own, or listening.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::sockopt::{ReuseAddr, SocketError};
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, accept4,
    bind, connect as connect_to, getpeername, getsockopt, listen, setsockopt, socket,
};

use crate::cmd::net::{Signals, timeout};
use crate::sys::socket as waiting;
use crate::sys::syscall::own_fd;

const FLAGS: SockFlag = SockFlag::SOCK_CLOEXEC.union(SockFlag::SOCK_NONBLOCK);

fn inet(address: SocketAddr, udp: bool) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    socket(family, if udp { SockType::Datagram } else { SockType::Stream }, FLAGS, None)
}

/// A socket to connect to an address, with an address and port of its own where they are given.
///
/// # Errors
/// As bind(2).
pub fn bound(to: SocketAddr, from: Option<SocketAddr>, udp: bool) -> nix::Result<OwnedFd> {
    let socket = inet(to, udp)?;
    if let Some(from) = from {
        setsockopt(&socket, ReuseAddr, &true)?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(from))?;
    }
    Ok(socket)
}

/// Connects a socket.
///
/// # Errors
/// `TimedOut` where `until` came first, else the kernel's.
pub fn connect(socket: OwnedFd, to: SocketAddr, until: Option<Instant>) -> io::Result<OwnedFd> {
    match connect_to(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) => return Ok(socket),
        Err(Errno::EINPROGRESS | Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    if !waiting::wait(socket.as_fd(), PollFlags::POLLOUT, until)? {
        return Err(io::ErrorKind::TimedOut.into());
    }
    match getsockopt(&socket, SocketError)? {
        0 => Ok(socket),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// A socket that waits for others. The file of a Unix socket goes with it.
pub struct Listener {
    /// The socket; of UDP it becomes the connection.
    pub socket: OwnedFd,
    /// Address and port, or path.
    pub name: String,
    file: Option<PathBuf>,
    is_datagram: bool,
}

/// What waiting came to.
pub enum Taken {
    /// A connection (none: it is the listener's own socket), and its other end.
    Connection(Option<OwnedFd>, String),
    /// A signal.
    Signal(u8),
    /// The time was up.
    Nothing,
}

impl Listener {
    /// On an address and port.
    ///
    /// # Errors
    /// As bind(2) and listen(2).
    pub fn inet(address: SocketAddr, udp: bool) -> nix::Result<Self> {
        let socket = inet(address, udp)?;
        setsockopt(&socket, ReuseAddr, &true)?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
        if !udp {
            listen(&socket, Backlog::new(5)?)?;
        }
        let name = format!("{} {}", address.ip(), address.port());
        Ok(Self { socket, name, file: None, is_datagram: udp })
    }

    /// On a path.
    ///
    /// # Errors
    /// As bind(2) and listen(2); EADDRINUSE where there is a file.
    pub fn unix(path: &OsStr) -> nix::Result<Self> {
        let socket = socket(AddressFamily::Unix, SockType::Stream, FLAGS, None)?;
        bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
        let name = crate::out::name::escape(path.as_encoded_bytes());
        let listener = Self { socket, name, file: Some(path.into()), is_datagram: false };
        listen(&listener.socket, Backlog::new(5)?)?;
        Ok(listener)
    }

    /// Waits for the next connection; of UDP for a datagram, whose sender becomes the only one.
    ///
    /// # Errors
    /// As accept4(2) and connect(2).
    pub fn take(&self, signals: Option<&Signals>, until: Option<Instant>) -> nix::Result<Taken> {
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Taken::Nothing);
            }
            let mut polled = vec![PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            polled.extend(signals.map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)));
            match poll(&mut polled, timeout(left)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
            if let Some(number) = signals.and_then(Signals::come) {
                return Ok(Taken::Signal(number));
            }
            let taken = if self.is_datagram { self.first_datagram() } else { self.accept() };
            match taken {
                Ok(taken) => return Ok(taken),
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNABORTED) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn accept(&self) -> nix::Result<Taken> {
        let number = accept4(self.socket.as_raw_fd(), FLAGS)?;
        let socket = own_fd(number)?;
        let peer =
            match getpeername::<SockaddrStorage>(socket.as_raw_fd()).ok().and_then(|peer| inet_of(&peer)) {
                Some(peer) => format!("{} {}", peer.ip(), peer.port()),
                None => self.name.clone(),
            };
        Ok(Taken::Connection(Some(socket), peer))
    }

    fn first_datagram(&self) -> nix::Result<Taken> {
        let number = self.socket.as_raw_fd();
        // A look that leaves it there: it is read when the other end is known.
        let (_, from) = peek::<SockaddrStorage>(number)?;
        let Some(from) = from else { return Err(Errno::EAGAIN) };
        connect_to(number, &from)?;
        let peer = inet_of(&from).map_or_else(String::new, |peer| format!("{} {}", peer.ip(), peer.port()));
        Ok(Taken::Connection(None, peer))
    }
}

/// recvfrom(2) without taking the datagram: nix's has no flags, recvmsg(2) has.
fn peek<S: SockaddrLike + Copy>(number: i32) -> nix::Result<(usize, Option<S>)> {
    let mut byte = [0; 1];
    let mut parts = [io::IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    let message = nix::sys::socket::recvmsg::<S>(number, &mut parts, None, flags)?;
    Ok((message.bytes, message.address))
}

fn inet_of(address: &SockaddrStorage) -> Option<SocketAddr> {
    address
        .as_sockaddr_in()
        .map(|v4| SocketAddr::V4((*v4).into()))
        .or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(path) = &self.file {
            // It may be gone already.
            let _ = std::fs::remove_file(path);
        }
    }
}
