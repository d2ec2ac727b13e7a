//! The thief: takes descriptors by pidfd_getfd(2), opens them anew through /proc/PID/fd, and reads memory, environment
//! and the maps that lead to more.

use std::ffi::c_int;
use std::fs;
use std::io::Read;

use super::{Attack, Told};
use crate::system::*;

pub struct Thief;

/// Numbers that a process of nsdbg may have: pipes, job, directory, files of the node, report.
const NUMBERS: std::ops::Range<i64> = 0..20;

impl Attack for Thief {
    fn on(&mut self, pid: i32, told: &mut Told) {
        // Root may list the numbers of a process's descriptors, without any right; what they are it may not know.
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        for fd in fds {
            // Without a wait for the other end of a pipe.
            let opened = std::os::unix::fs::OpenOptionsExt::custom_flags(fs::OpenOptions::new().read(true), 0o4000)
                .open(fd.path());
            if opened.is_ok() {
                told.say("got fd".into());
            }
        }
        for name in ["mem", "environ", "maps", "auxv", "map_files", "cwd", "root", "ns/net"] {
            let path = format!("/proc/{pid}/{name}");
            let got = match name {
                "environ" | "maps" | "auxv" => fs::read(path).is_ok_and(|bytes| !bytes.is_empty()),
                // Older kernels open it of a process that has no memory any more, and then it is empty.
                "mem" => fs::File::open(path).is_ok_and(|mut mem| !matches!(mem.read(&mut [0; 1]), Ok(0))),
                _ => fs::read_link(&path).is_ok() || fs::read_dir(&path).is_ok_and(|mut all| all.next().is_some_and(|e| e.is_ok())),
            };
            if got {
                told.say(format!("got {name}"));
            }
        }
        let pidfd = unsafe { syscall(434, i64::from(pid), 0_i64) };
        for number in NUMBERS {
            let taken = unsafe { syscall(438, pidfd, number, 0_i64) };
            if taken >= 0 {
                told.say("got pidfd_getfd".into());
                let link = fs::read_link(format!("/proc/self/fd/{taken}")).unwrap_or_default();
                let kind = link.display().to_string().replace(|c: char| c.is_ascii_digit(), "");
                told.say(format!("took {kind}"));
                unsafe { close(taken as c_int) };
            }
        }
        unsafe { close(pidfd as c_int) };
    }
}
