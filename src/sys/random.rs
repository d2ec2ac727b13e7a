//! Random numbers of the kernel.

use std::hash::RandomState;

use nix::errno::Errno;

/// Fills a buffer of at most 256 bytes from getrandom(2).
///
/// # Errors
/// As getrandom(2): where a filter of system calls refuses it.
pub fn fill(buffer: &mut [u8]) -> nix::Result<()> {
    loop {
        // SAFETY: the pointer and length are those of one live, writable slice.
        let got = unsafe { libc::getrandom(buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        // Up to 256 bytes come whole or not at all, getrandom(2).
        match Errno::result(got) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}

/// A number.
///
/// # Errors
/// As [`fill`].
pub fn number() -> nix::Result<u64> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Draws the keys of this thread's hash maps, where there are random numbers: std panics without, or opens /dev/urandom,
/// which inside is the container's. Once drawn, they are kept across fork(2).
///
/// # Errors
/// As [`fill`].
pub fn draw_keys() -> nix::Result<()> {
    number()?;
    let _ = RandomState::new();
    Ok(())
}
