//! The trapper: FIFOs, devices, sockets and huge files where a file is looked for, or where one was a moment ago.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use super::swap::exchange;
use crate::system::*;

const FIFO: u32 = 0o010_000;
const CHARACTERS: u32 = 0o020_000;
/// The endless /dev/zero: 1, 5.
const ZERO: u64 = 0x105;

fn make(kind: &str, path: &str) {
    let node = |what: u32, device: u64| {
        check(unsafe { mknod(c(path).as_ptr(), what | 0o666, device) }, "mknod");
        fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
    };
    let _ = fs::remove_file(path);
    match kind {
        "fifo" => node(FIFO, 0),
        "zero" => node(CHARACTERS, ZERO),
        "link-to-zero" => symlink("/dev/zero", path).unwrap(),
        // Listening for as long as the process lives.
        "socket" => std::mem::forget(UnixListener::bind(path).unwrap()),
        "gibibyte" => File::create(path).unwrap().set_len(1 << 30).unwrap(),
        _ => panic!("no trap: {kind}"),
    }
}

/// Sets traps `KIND:PATH`, says so, and stays.
pub fn set(traps: &[String]) -> ! {
    for trap in traps {
        let (kind, path) = trap.split_once(':').unwrap();
        make(kind, path);
    }
    say("set");
    loop {
        unsafe { pause() };
    }
}

/// A file with a line that changes places with a trap, all the time.
pub fn swap(kind: &str, path: &str) -> ! {
    let trap = format!("{path}.trap");
    make(kind, &trap);
    fs::write(path, "x\n").unwrap();
    say("set");
    exchange(path, &trap)
}
