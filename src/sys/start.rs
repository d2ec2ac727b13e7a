//! What a program's start owes to the rest of it, in place of the standard library's own start: that reads
//! /proc/self/maps and sets handlers up, which every one-shot command would pay for.

#[cfg(not(test))]
use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
#[cfg(not(test))]
use std::os::unix::ffi::OsStrExt;

use nix::fcntl::{OFlag, open};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::Mode;

/// The arguments that libc gives `main`, the program's name first.
///
/// # Safety
/// `argv` holds `argc` pointers to C strings that live as long as the process.
#[cfg(not(test))]
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    (0..usize::try_from(argc).unwrap_or(0))
        .map(|at| {
            // SAFETY: by the contract above.
            let text = unsafe { CStr::from_ptr(*argv.add(at)) };
            OsStr::from_bytes(text.to_bytes()).to_owned()
        })
        .collect()
}

/// Opens the standard streams that are closed, so that no other file takes their numbers; output for reading alone, so that
/// writing is EBADF all the same. Has writing to a closed pipe answer EPIPE.
///
/// # Errors
/// As open(2) and sigaction(2).
pub fn prepare() -> nix::Result<()> {
    for number in 0..3 {
        // SAFETY: F_GETFD has no effect.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
            // The lowest free number is this one.
            let null = open("/dev/null", OFlag::O_RDONLY, Mode::empty())?;
            let _ = std::os::fd::IntoRawFd::into_raw_fd(null);
        }
    }
    // SAFETY: to ignore a signal runs no code of ours.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }.map(drop)
}
