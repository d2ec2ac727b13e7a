//! Targets that look at nsdbg, attack it, or hold it up.

use std::ffi::{c_int, c_ulong};
use std::fs;
use std::io::Write;

use crate::system::*;

/// Tells what the target itself sees: every process in its /proc, and all that it can read of each.
pub fn watch() -> ! {
    let own = std::process::id() as i32;
    let mut most = 0;
    loop {
        let others: Vec<i32> = processes().into_iter().filter(|pid| *pid != own).collect();
        if others.len() > most {
            most = others.len();
            say(&format!("seen {most}"));
        }
        for pid in others {
            for name in ["cmdline", "environ", "comm", "cgroup"] {
                if let Ok(bytes) = fs::read(format!("/proc/{pid}/{name}")) {
                    say(&format!("{name} {}", String::from_utf8_lossy(&bytes).escape_debug()));
                }
            }
        }
    }
}

/// Tries to write the program of every new process, and to take its memory and descriptors; tells what it got.
pub fn attack() -> ! {
    let own = std::process::id() as i32;
    let mut exes: Vec<fs::File> = Vec::new();
    let mut told = std::collections::HashSet::new();
    say("attacking");
    loop {
        for pid in processes().into_iter().filter(|pid| *pid != own) {
            let got = |what: &str| format!("got {what}");
            let mut tell = |line: String| {
                if told.insert(line.clone()) {
                    say(&line);
                }
            };
            if let Ok(exe) = fs::File::open(format!("/proc/{pid}/exe")) {
                tell(got("exe"));
                if exes.len() < 8 {
                    exes.push(exe);
                }
            }
            for (name, path) in
                [("fd", format!("/proc/{pid}/fd/1")), ("environ", format!("/proc/{pid}/environ"))]
            {
                if fs::metadata(&path).is_ok() && fs::File::open(&path).is_ok() {
                    tell(got(name));
                }
            }
            if fs::File::open(format!("/proc/{pid}/mem")).is_ok() {
                tell(got("mem"));
            }
            let pidfd = unsafe { syscall(434, pid as i64, 0_i64) };
            let taken = unsafe { syscall(438, pidfd, 1_i64, 0_i64) };
            if taken >= 0 {
                tell(got("pidfd_getfd"));
            }
            unsafe {
                close(taken as c_int);
                close(pidfd as c_int);
            }
            let ptrace = unsafe { ptrace(PTRACE_SEIZE, pid, 0_i64, 0_i64) };
            if ptrace == 0 {
                tell(got("ptrace"));
                let mut status = 0;
                unsafe {
                    kill(pid, 9);
                    // __WALL: its exit is ours to let go.
                    waitpid(pid, &mut status, 0x4000_0000);
                }
            }
        }
        for exe in &exes {
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(exe));
            if let Ok(mut file) = fs::OpenOptions::new().write(true).open(path) {
                let written = file.write_all(b"#!/overwritten").is_ok();
                let line = format!("opened exe for writing, written: {written}");
                if told.insert(line.clone()) {
                    say(&line);
                }
            }
        }
    }
}

/// Swaps a directory against a link to another one, all the time.
pub fn swap(directory: &str, other: &str) -> ! {
    let link = format!("{directory}.link");
    // As soon as it may.
    while std::os::unix::fs::symlink(other, &link).is_err() {}
    let (one, two) = (c(directory), c(&link));
    loop {
        // RENAME_EXCHANGE, both from the working directory.
        unsafe { syscall(SYS_RENAMEAT2, -100_i64, one.as_ptr(), -100_i64, two.as_ptr(), 2_i64) };
    }
}

/// From a line on stdin on: traces every new process with these options, and never lets its exit go on.
pub fn hold(options: i64) -> ! {
    let own = std::process::id() as i32;
    let mut line = String::new();
    say("ready");
    let _ = std::io::stdin().read_line(&mut line);
    loop {
        for pid in processes().into_iter().filter(|pid| *pid != own) {
            if unsafe { ptrace(PTRACE_SEIZE, pid, 0_i64, options) } == 0 {
                say("held");
            }
        }
    }
}

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
