//! `nsdbg --idle`: what a DaemonSet's container runs, so that there is one to enter with `kubectl exec`. It sleeps, reaps,
//! and prints what sessions in the same pod send to its audit socket.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::out::Fault;
use crate::sys::syscall::Program;

/// The longest line that is taken: more than a datagram holds, so none comes cut.
const LINE: usize = 256 << 10;

/// Sleeps until SIGTERM or SIGINT. `socket`: where lines for the audit are received.
///
/// # Errors
/// 125 where signals or the socket can't be had.
pub fn run(socket: Option<&Path>) -> Result<u8, Fault> {
    let fault = |step: &'static str| move |errno| Fault::of(step, errno).with_status(125);
    let mut wanted = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD] {
        wanted.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&wanted), None).map_err(fault("sigprocmask"))?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let signals = SignalFd::with_flags(&wanted, flags).map_err(fault("signalfd"))?;
    let socket =
        socket.map(|path| bind(path).map_err(|error| Fault::io("bind", path, &error).with_status(125)));
    let socket = socket.transpose()?;
    let stdout = io::stdout();
    let stdout = stdout.as_fd();
    // A log that nobody reads must not keep SIGTERM from being heard.
    let before = fcntl(stdout, FcntlArg::F_GETFL).map_err(fault("fcntl"))?;
    let _ = fcntl(stdout, FcntlArg::F_SETFL(OFlag::from_bits_retain(before) | OFlag::O_NONBLOCK));
    let mut pending: Vec<u8> = Vec::new();
    // Who has ended before signals were looked for: the launcher, which had nothing to launch.
    reap();
    let program = Program::of(&fs::read_to_string("/proc/self/maps").unwrap_or_default());
    loop {
        let mut waits = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if !pending.is_empty() {
            waits.push(PollFd::new(stdout, PollFlags::POLLOUT));
        } else if let Some(socket) = &socket {
            waits.push(PollFd::new(socket.as_fd(), PollFlags::POLLIN));
        }
        // Options and their help are most of it, and were only for the start.
        program.forget();
        match poll(&mut waits, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(fault("poll")(errno)),
        }
        while let Ok(Some(signal)) = signals.read_signal() {
            if signal.ssi_signo == Signal::SIGCHLD as u32 {
                reap();
            } else {
                return Ok(0);
            }
        }
        if pending.is_empty()
            && let Some(socket) = &socket
        {
            pending = receive(socket);
        }
        write(stdout, &mut pending);
    }
}

/// A socket for root alone. One that nobody receives from, of an earlier start, is replaced, anything else is not.
fn bind(path: &Path) -> io::Result<UnixDatagram> {
    if fs::symlink_metadata(path).is_ok_and(|facts| facts.file_type().is_socket()) {
        match UnixDatagram::unbound()?.connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            _ => return Err(io::Error::other("another process receives there")),
        }
    }
    let socket = UnixDatagram::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
    }
}

/// One line, where it is one: an object of JSON, which has no line breaks of its own.
fn receive(socket: &UnixDatagram) -> Vec<u8> {
    let mut line = vec![0; LINE];
    let count = socket.recv(&mut line).unwrap_or(0);
    line.truncate(count);
    let is_object = serde_json::from_slice::<serde_json::Value>(&line).is_ok_and(|value| value.is_object());
    if !is_object || line.contains(&b'\n') {
        return Vec::new();
    }
    line.push(b'\n');
    line
}

fn write(to: BorrowedFd, pending: &mut Vec<u8>) {
    if pending.is_empty() {
        return;
    }
    match nix::unistd::write(to, pending) {
        Ok(count) => drop(pending.drain(..count)),
        Err(Errno::EAGAIN | Errno::EINTR) => {}
        // Nobody will ever read it.
        Err(_) => pending.clear(),
    }
}
