//! The unshare racer: leaves its user namespace while it is looked at.

use std::ffi::c_ulong;
use std::fs;

use crate::system::*;

/// For every line `TIMES MICROSECONDS` on stdin: a child that unshares its user namespace once, or once before its PID
/// is told and once more, the last time after so long.
pub fn racers() -> ! {
    let mut line = String::new();
    loop {
        line.clear();
        if std::io::stdin().read_line(&mut line).unwrap_or(0) == 0 {
            std::process::exit(0);
        }
        let (times, delay) = line.trim().split_once(' ').unwrap();
        let (twice, delay): (bool, u64) = (times == "2", delay.parse().unwrap());
        let (ready, done) = channel();
        let child = unsafe { fork() };
        if child == 0 {
            unsafe { prctl(1, 9 as c_ulong) };
            if twice {
                check(unsafe { unshare(NEWUSER) }, "unshare user");
                // Who is not mapped makes no further one.
                for (file, map) in [("setgroups", "deny"), ("uid_map", "0 65532 1"), ("gid_map", "0 65532 1")]
                {
                    fs::write(format!("/proc/self/{file}"), map).unwrap();
                }
            }
            tell(done, 0);
            let until = std::time::Instant::now() + std::time::Duration::from_micros(delay);
            while std::time::Instant::now() < until {}
            check(unsafe { unshare(NEWUSER) }, "unshare user");
            loop {
                unsafe { pause() };
            }
        }
        hear(ready);
        unsafe {
            close(ready);
            close(done);
        }
        // In a namespace of the node's PIDs, so the number is the node's.
        say(&format!("racer {child}"));
        let mut next = String::new();
        let _ = std::io::stdin().read_line(&mut next);
        let mut status = 0;
        unsafe {
            kill(child, 9);
            waitpid(child, &mut status, 0);
        }
    }
}
