//! Those that fork: noise of short-lived processes, whose numbers come round again, a bomb, and many with one table of
//! descriptors.

use std::ffi::{c_int, c_long, c_ulong};

use crate::system::*;

/// Forks processes that end at once, so that the numbers of PIDs go round. Where it may, it has few of them.
pub fn noise() -> ! {
    set_name("attacker-forks");
    // Before 6.14 there is one for the whole node, and the tests run out of PIDs, too.
    if kernel() >= (6, 14) {
        let _ = std::fs::write("/proc/sys/kernel/pid_max", "400");
    }
    loop {
        let child = unsafe { fork() };
        if child == 0 {
            std::process::exit(0);
        }
        unsafe { waitpid(child, std::ptr::null_mut(), 0) };
        pause_for(3);
    }
}

/// The kernel's version. None that can be read counts as old.
fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// From a line on stdin on: forks until no more may be forked, tells how many there are, and tries on for ever.
pub fn bomb() -> ! {
    let mut line = String::new();
    say("ready");
    let _ = std::io::stdin().read_line(&mut line);
    let mut count = 0;
    let mut told = false;
    loop {
        let child = unsafe { fork() };
        if child == 0 {
            unsafe { prctl(1, 9 as c_ulong) };
            loop {
                unsafe { pause() };
            }
        }
        if child > 0 {
            count += 1;
        } else if !told {
            told = true;
            say(&format!("full {count}"));
        } else {
            pause_for(1);
        }
        // Without a limit around it this must not be the node's end.
        if count >= 2000 {
            std::process::exit(1);
        }
    }
}

/// So many descriptors, in a table that so many processes share: the kernel shows it for each of them.
pub fn descriptors(descriptors: i32, processes: usize) -> ! {
    let limit = [descriptors as u64 + 64; 2];
    // RLIMIT_NOFILE.
    check(unsafe { setrlimit(7, &limit) }, "setrlimit");
    let (read, _) = channel();
    let mut last = read;
    while last < descriptors {
        last = unsafe { dup(read) };
        check(last, "dup");
    }
    const FILES_AND_SIGCHLD: c_long = 0x400 | 17;
    for _ in 1..processes {
        let child = unsafe { syscall(SYS_CLONE, FILES_AND_SIGCHLD, 0_i64, 0_i64, 0_i64, 0_i64) };
        if child == 0 {
            unsafe { prctl(1, 9 as c_ulong) };
            loop {
                unsafe { pause() };
            }
        }
        check(child as c_int, "clone");
    }
    say("open");
    loop {
        unsafe { pause() };
    }
}
