//! The memory hog: takes all that its limit leaves it.

use crate::system::*;

/// From a line on stdin on: touches a page after the other, as long as there is one. A child does, and is done anew
/// when the kernel ends it for want of memory.
pub fn hog() -> ! {
    let mut line = String::new();
    say("ready");
    let _ = std::io::stdin().read_line(&mut line);
    loop {
        let child = unsafe { fork() };
        if child == 0 {
            let mut held: Vec<Vec<u8>> = Vec::new();
            // At most a GiB, should there be no limit.
            while held.len() < 1024 {
                held.push(vec![1; 1 << 20]);
            }
            std::process::exit(0);
        }
        let mut status = 0;
        unsafe { waitpid(child, &mut status, 0) };
        // Ended by SIGKILL: the limit is reached.
        say(if status & 0x7f == 9 { "out of memory" } else { "no limit" });
    }
}
