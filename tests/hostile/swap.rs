//! The swapper: a directory is a link the next moment, and a directory again.

use std::os::unix::fs::symlink;

use crate::system::*;

/// Swaps a directory against a link to another one, all the time.
pub fn swap(directory: &str, other: &str) -> ! {
    let link = format!("{directory}.link");
    // As soon as it may.
    while symlink(other, &link).is_err() {}
    exchange(directory, &link)
}

/// Has two files change places, all the time.
pub fn exchange(one: &str, other: &str) -> ! {
    let (one, other) = (c(one), c(other));
    loop {
        // RENAME_EXCHANGE, both from the working directory.
        unsafe { syscall(SYS_RENAMEAT2, -100_i64, one.as_ptr(), -100_i64, other.as_ptr(), 2_i64) };
    }
}
