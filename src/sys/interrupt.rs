//! SIGINT as a question, for who must tidy up before ending.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static CAME: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT does not end this process: calls that wait answer EINTR, and [`came`] says so.
///
/// # Errors
/// As sigaction(2).
pub fn watch() -> nix::Result<()> {
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler stores into an atomic, and nothing else.
    unsafe { sigaction(Signal::SIGINT, &action) }.map(drop)
}

/// Whether it came.
pub fn came() -> bool {
    CAME.load(Ordering::Relaxed)
}

extern "C" fn note(_: libc::c_int) {
    CAME.store(true, Ordering::Relaxed);
}
