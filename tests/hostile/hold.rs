//! The holder: traces every new process and never lets its end be heard of.

use crate::system::*;

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
