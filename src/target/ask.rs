//! The list of containers, made by a process of its own: files of the node may be on a file system that never answers,
//! and some of them are written by ordinary users.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2, read};

use super::container::{self, Listing};
use super::host::Host;
use crate::out::Fault;
use crate::sys::syscall::{dup_to, exit_now, fork, own_fd, prctl, reap};

/// How long the list may take.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Most of an answer that is read.
const LIMIT: usize = 256 << 20;

/// How long an end by SIGKILL may take.
const END: Duration = Duration::from_millis(200);

/// Lists the containers. `confine` is run in the process that does: it has its answer's pipe for 0, 1 and 2, since it may
/// never end, and who waits for the end of the operator's would wait for that.
///
/// # Errors
/// Where the node's root can't be opened or /proc can't be read, as that process says; 125 where it does not answer in
/// time.
pub fn list(
    host_root: Option<&Path>,
    limit: Duration,
    confine: impl FnOnce() -> Result<(), Fault>,
) -> Result<Listing, Fault> {
    let fault = |step: &'static str| move |errno: Errno| Fault::of(step, errno).with_status(125);
    let (from, to) = pipe2(OFlag::O_CLOEXEC).map_err(fault("pipe"))?;
    let until = Instant::now() + limit;
    let Some(pid) = fork().map_err(fault("fork"))? else {
        drop(from);
        exit_now(answer(host_root, to, confine));
    };
    drop(to);
    let answer = receive(&from, until);
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    let has_ended = ends(pid);
    match answer {
        Ok(Some(bytes)) => serde_json::from_slice::<Result<Listing, Fault>>(&bytes).unwrap_or_else(|_| {
            Err(Fault::say("the process that lists containers has ended").with_status(125))
        }),
        Ok(None) => {
            let root = host_root.unwrap_or(Path::new("/"));
            let cause = format!("no answer within {} s", limit.as_secs_f64());
            let fault = Fault::text("list containers below", root, cause).with_status(125);
            Err(match has_ended {
                true => fault,
                false => fault.with_hint(format!("process {pid} is stuck there, beyond SIGKILL")),
            })
        }
        Err(errno) => Err(fault("read")(errno)),
    }
}

/// The process that lists: what it says is as long as its first eight bytes tell.
fn answer(host_root: Option<&Path>, to: OwnedFd, confine: impl FnOnce() -> Result<(), Fault>) -> u8 {
    let to = to.into_raw_fd();
    let is_ready = (0..=2).all(|number| dup_to(to, number).is_ok())
        && prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0).is_ok();
    let Some(Ok(to)) = is_ready.then(|| own_fd(0)) else { return 125 };
    let listed = confine().and_then(|()| Host::find(host_root)).and_then(|host| container::list(&host));
    let bytes = serde_json::to_vec(&listed).unwrap_or_default();
    let mut to = File::from(to);
    let written = to.write_all(&(bytes.len() as u64).to_ne_bytes()).and_then(|()| to.write_all(&bytes));
    if written.is_ok() { 0 } else { 125 }
}

/// An answer; none where it does not come in time.
fn receive(from: &OwnedFd, until: Instant) -> nix::Result<Option<Vec<u8>>> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let length = bytes.first_chunk().map(|length| u64::from_ne_bytes(*length) as usize);
        if length.is_some_and(|length| bytes.len() - 8 >= length) || bytes.len() > LIMIT {
            bytes.drain(..8);
            return Ok(Some(bytes));
        }
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left.as_millis() as i32).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if left.is_zero() => return Ok(None),
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(errno),
        }
        match read(from, &mut buffer) {
            Ok(0) => return Ok(Some(bytes)),
            Ok(count) => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Waits for the process's end, not for long: what waits for a file system may not end at all.
fn ends(pid: i32) -> bool {
    let until = Instant::now() + END;
    loop {
        match reap(pid) {
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
            Ok(None) => return false,
            _ => return true,
        }
    }
}
