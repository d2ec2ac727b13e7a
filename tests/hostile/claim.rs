//! The impostor: gives its cgroup, or itself, the name of another container.

use std::fs;

use crate::system::*;

/// Waits for a line on stdin; then makes a cgroup of this name below a directory that it may write to, and moves there.
pub fn cgroup(directory: &str, name: &str) -> ! {
    let _ = std::io::stdin().read_line(&mut String::new());
    let path = format!("{directory}/{name}");
    let moved = fs::create_dir_all(&path).and_then(|()| fs::write(format!("{path}/cgroup.procs"), "0"));
    match moved {
        Ok(()) => say("claimed"),
        Err(error) => say(&format!("{path}: {error}")),
    }
    stay()
}

/// Takes a name of its own, given in hexadecimal digits: it need not be text.
pub fn process(name: &str) -> ! {
    let digits: Vec<u8> = name.bytes().map(|digit| (digit as char).to_digit(16).unwrap() as u8).collect();
    let mut bytes: Vec<u8> = digits.chunks(2).map(|two| two[0] << 4 | two[1]).collect();
    bytes.push(0);
    // PR_SET_NAME
    check(unsafe { prctl(15, bytes.as_ptr()) }, "name");
    say("claimed");
    stay()
}

fn stay() -> ! {
    loop {
        unsafe { pause() };
    }
}
