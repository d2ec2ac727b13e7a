//! The tracer: PTRACE_SEIZE on every process, and its end where that is granted.

use super::{Attack, Told};
use crate::system::*;

pub struct Seizer;

impl Attack for Seizer {
    fn on(&mut self, pid: i32, told: &mut Told) {
        if unsafe { ptrace(PTRACE_SEIZE, pid, 0_i64, 0_i64) } == 0 {
            told.say("got ptrace".into());
            let mut status = 0;
            unsafe {
                kill(pid, 9);
                // __WALL: its exit is ours to let go.
                waitpid(pid, &mut status, 0x4000_0000);
            }
        }
    }
}
