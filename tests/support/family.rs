//! A target with children, threads and signals of its own.

use std::ffi::{c_int, c_ulong};

use crate::system::*;

/// What each word adds: `name=HEX` the target's own name, `child=NAME[:UID]` a child, `pair=NAME` one with two children
/// of its own, `zombie` one that has ended, `threads=N`, `ignore=N` and `handle=N` a signal.
pub fn family(words: &[String]) -> ! {
    let mut threads = 0;
    for word in words {
        let (what, value) = word.split_once('=').unwrap_or((word, ""));
        match what {
            "name" => set_name(&bytes(value)),
            "child" => {
                let (name, uid) = value.split_once(':').unwrap_or((value, ""));
                child(name, uid, 0);
            }
            "pair" => child(value, "", 2),
            "zombie" => {
                if unsafe { fork() } == 0 {
                    std::process::exit(0);
                }
            }
            "threads" => threads = value.parse().unwrap(),
            "ignore" => drop(unsafe { signal(value.parse().unwrap(), 1) }),
            "handle" => drop(unsafe { signal(value.parse().unwrap(), told as *const () as usize) }),
            _ => panic!("no such word: {word}"),
        }
    }
    for _ in 0..threads {
        let started = std::thread::Builder::new().stack_size(64 << 10).spawn(|| {
            loop {
                unsafe { pause() };
            }
        });
        started.expect("a thread");
    }
    say("ready");
    loop {
        unsafe { pause() };
    }
}

extern "C" fn told(number: c_int) {
    say(&format!("got {number}"));
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// PR_SET_NAME.
fn set_name(name: &[u8]) {
    let name = [name, b"\0"].concat();
    check(unsafe { prctl(15, name.as_ptr()) }, "name");
}

fn child(name: &str, uid: &str, children: usize) {
    let (ready, done) = channel();
    if unsafe { fork() } == 0 {
        set_name(name.as_bytes());
        for _ in 0..children {
            child("leaf", "", 0);
        }
        if let Ok(uid) = uid.parse::<u32>() {
            check(unsafe { setresuid(uid, uid, uid) }, "setresuid");
        }
        check(unsafe { prctl(1, 9 as c_ulong) }, "parent death signal");
        tell(done, 0);
        loop {
            unsafe { pause() };
        }
    }
    hear(ready);
    unsafe {
        close(ready);
        close(done);
    }
}
