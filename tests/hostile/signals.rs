//! The stopper and the killer: signals to every process that is not the target's own.

use crate::system::*;

/// From a line on stdin on: this signal to all that comes, every so many milliseconds.
pub fn all(signal: i32, every: u64) -> ! {
    let own = std::process::id() as i32;
    let mut line = String::new();
    say("ready");
    let _ = std::io::stdin().read_line(&mut line);
    loop {
        for pid in processes().into_iter().filter(|pid| *pid != own) {
            if unsafe { kill(pid, signal) } == 0 {
                say(&format!("signal {signal}"));
            }
        }
        pause_for(every);
    }
}

/// SIGSTOP and SIGKILL in turn to one process of nsdbg, about every so many milliseconds.
pub fn mixed(every: u64) -> ! {
    let mut turn = 0_u64;
    loop {
        let victims: Vec<i32> =
            processes().into_iter().filter(|pid| !super::is_own(*pid)).collect();
        if let Some(pid) = victims.last() {
            // Ends are cheap to come back from, a stop lasts until the time limit.
            let signal = if turn % 8 == 0 { 19 } else { 9 };
            if unsafe { kill(*pid, signal) } == 0 {
                say(&format!("signal {signal}"));
                turn += 1;
                pause_for(every + turn * 37 % every);
            }
        }
        pause_for(1);
    }
}
