//! Which descriptors a process keeps, and how they travel between our processes.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, recvmsg,
    sendmsg, socketpair,
};

use crate::sys::syscall::{close_range, dup_to};

/// Descriptors that one message can carry: SCM_MAX_FD of the kernel. With less room, those that do not fit would be
/// dropped, and those that do be left open by a parser that answers with an error.
const MAX_FDS: usize = 253;

/// The longest message of a pipe: PIPE_BUF of linux/limits.h.
const MAX_TOLD: usize = 4096;

/// The longest message. Longer data travels in a memfd.
const MAX_MESSAGE: usize = 64 * 1024;

/// A pair of connected SOCK_SEQPACKET sockets, close-on-exec.
///
/// # Errors
/// As socketpair(2).
pub fn channel() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// Sends one message with descriptors.
///
/// # Errors
/// As sendmsg(2); EPIPE where the peer is gone.
pub fn send(socket: BorrowedFd, message: &[u8], fds: &[RawFd]) -> nix::Result<()> {
    let rights = [ControlMessage::ScmRights(fds)];
    let control: &[ControlMessage] = if fds.is_empty() { &[] } else { &rights };
    loop {
        match sendmsg::<UnixAddr>(
            socket.as_raw_fd(),
            &[IoSlice::new(message)],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        ) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}

/// Receives one message with descriptors, within a limit. An empty message is the end.
///
/// # Errors
/// As recvmsg(2); EMSGSIZE for a truncated message, EAGAIN where none came in time.
pub fn receive(socket: BorrowedFd, limit: PollTimeout) -> nix::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut polled = [PollFd::new(socket, PollFlags::POLLIN)];
    loop {
        match poll(&mut polled, limit) {
            Ok(0) => return Err(Errno::EAGAIN),
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    let mut buffer = vec![0; MAX_MESSAGE];
    let mut control = cmsg_space!([RawFd; MAX_FDS]);
    let mut was_reset = false;
    let (length, fds, flags) = loop {
        let mut slices = [IoSliceMut::new(&mut buffer)];
        match recvmsg::<UnixAddr>(
            socket.as_raw_fd(),
            &mut slices,
            Some(&mut control),
            MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT,
        ) {
            Err(Errno::EINTR) => {}
            // The peer ended with something unread; what it has sent comes after this error.
            Err(Errno::ECONNRESET) if !was_reset => was_reset = true,
            Err(errno) => return Err(errno),
            Ok(message) => {
                let mut fds = Vec::new();
                for part in message.cmsgs()? {
                    if let ControlMessageOwned::ScmRights(raw) = part {
                        // SAFETY: the kernel has just installed these descriptors for us.
                        fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
                    }
                }
                break (message.bytes, fds, message.flags);
            }
        }
    };
    if flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
        return Err(Errno::EMSGSIZE);
    }
    buffer.truncate(length);
    Ok((buffer, fds))
}

/// A pipe for messages, close-on-exec: each write is one, of at most 4096 bytes. The end to read, the end to write. A
/// security module that refuses the target all sockets has nothing against it. Neither end blocks: who has taken the
/// other over and reads nothing holds nobody up.
///
/// # Errors
/// As pipe2(2).
pub fn messages() -> nix::Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_DIRECT | OFlag::O_NONBLOCK)
}

/// Writes one message, into a pipe or a socket.
///
/// # Errors
/// As write(2); EPIPE where nobody reads any more.
pub fn tell(to: BorrowedFd, message: &[u8]) -> nix::Result<()> {
    loop {
        match nix::unistd::write(to, message) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}

/// Reads one message from a pipe. An empty message is the end.
///
/// # Errors
/// As read(2).
pub fn hear(from: BorrowedFd) -> nix::Result<Vec<u8>> {
    let mut buffer = vec![0; MAX_TOLD];
    loop {
        match nix::unistd::read(from, &mut buffer) {
            Err(Errno::EINTR) => {}
            result => {
                buffer.truncate(result?);
                return Ok(buffer);
            }
        }
    }
}

/// Moves the given descriptors to 0, 1, 2, … in their order and closes every other one. What is moved must be owned
/// by nobody in this process any more.
///
/// # Errors
/// As dup2(2), or of closing.
pub fn keep_only(fds: &[RawFd]) -> nix::Result<()> {
    let count = fds.len() as RawFd;
    // First above all the wanted places, so that no move overwrites a descriptor that is still to be moved.
    let mut high = Vec::with_capacity(fds.len());
    for &fd in fds {
        // SAFETY: F_DUPFD only makes a new descriptor.
        high.push(Errno::result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, count) })?);
    }
    for (place, fd) in high.into_iter().enumerate() {
        dup_to(fd, place as RawFd)?;
    }
    close_from(count)
}

/// Closes every descriptor from `first` on.
///
/// # Errors
/// Where /proc/self/fd can't be listed on a kernel without close_range(2).
pub fn close_from(first: RawFd) -> nix::Result<()> {
    match close_range(first as u32, u32::MAX) {
        Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL) => close_listed(first),
        result => result,
    }
}

/// Closes the descriptors from `first` to `last`, of which some may be closed. Nothing of /proc is asked: inside, that is
/// the container's.
pub fn close_between(first: RawFd, last: RawFd) {
    if close_range(first as u32, last as u32).is_err() {
        for number in first..=last {
            let _ = nix::unistd::close(number);
        }
    }
}

/// The fallback: every descriptor that /proc/self/fd lists. Host side only, where /proc is the host's own.
fn close_listed(first: RawFd) -> nix::Result<()> {
    let numbers: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&fd| fd >= first)
        .collect();
    for fd in numbers {
        // The listing's own descriptor is among them and is closed already.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    // Seen to fail where ECONNRESET is an error: a command that ended just before Ctrl-C was a worker that was lost.
    #[test]
    fn what_a_peer_said_is_heard_though_it_left_with_a_message_unread() {
        let (ours, theirs) = channel().unwrap();
        send(theirs.as_fd(), b"ended", &[]).unwrap();
        send(ours.as_fd(), b"signal", &[]).unwrap();
        drop(theirs);
        assert_eq!(receive(ours.as_fd(), PollTimeout::NONE).unwrap().0, b"ended");
        assert_eq!(receive(ours.as_fd(), PollTimeout::NONE).unwrap().0, b"");
    }
}
