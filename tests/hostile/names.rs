//! The name changer: processes whose names and numbers change while they are read.

use std::ffi::c_ulong;

use crate::system::*;

const NAMES: [&[u8; 16]; 6] = [
    b"\x1b]0;title\x07\0\0\0\0\0\0",
    b") Z 1 1 1 (x\0\0\0\0",
    b"\n\nnsdbg\n\n\0\0\0\0\0\0\0",
    b"\xff\xfe\x9b8m\0\0\0\0\0\0\0\0\0\0\0",
    b"attacker-nsdbg\0\0",
    b"attacker-%s%n\0\0\0",
];

/// Changes its own name for ever.
pub fn change() -> ! {
    let mut at = 0;
    loop {
        // PR_SET_NAME
        unsafe { prctl(15, NAMES[at % NAMES.len()].as_ptr() as c_ulong) };
        at += 1;
        pause_for(1);
    }
}
