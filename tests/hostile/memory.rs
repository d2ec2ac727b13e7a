//! Those who waste memory: one that takes all that its limit leaves it, and one that shows more than it has.

use std::ffi::c_ulong;
use std::fs;

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

/// Has so many mappings, each of another protection than the one beside it, which would be one with it.
pub fn mappings(count: usize) -> ! {
    for number in 0..count {
        // PROT_NONE or PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS.
        let from = unsafe { mmap(std::ptr::null_mut(), 4096, (number % 2) as i32, 0x22, -1, 0) };
        assert!(!from.is_null() && from as isize != -1, "mmap");
    }
    say("mapped");
    loop {
        unsafe { pause() };
    }
}

/// Shows so many bytes as its command line or its environment that nobody ever wrote: zeros, or a text again and again.
pub fn show(what: &str, bytes: &str, text: &str) -> ! {
    let length: usize = bytes.parse().unwrap();
    // PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE.
    let from = unsafe { mmap(std::ptr::null_mut(), length, 3, 0x4022, -1, 0) };
    assert!(!from.is_null() && from as isize != -1, "mmap");
    if !text.is_empty() {
        let space = unsafe { std::slice::from_raw_parts_mut(from, length) };
        for piece in space.chunks_mut(text.len()) {
            piece.copy_from_slice(&text.as_bytes()[..piece.len()]);
        }
        space.iter_mut().filter(|byte| **byte == b'|').for_each(|byte| *byte = 0);
    }
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<u64> =
        stat[stat.rfind(')').unwrap() + 4..].split(' ').map(|field| field.trim().parse().unwrap_or(0)).collect();
    // Fields are counted from 1 in proc(5), and the first of these is the fourth.
    let field = |number: usize| fields[number - 4];
    let (begin, end) = (from as u64, from as u64 + length as u64);
    let mut arguments = [field(48), field(49)];
    let mut environment = [field(50), field(51)];
    match what {
        "arguments" => arguments = [begin, end],
        _ => environment = [begin, end],
    }
    // struct prctl_mm_map: where code, data, heap, stack, arguments and environment are; no auxiliary vector, no program.
    let brk = unsafe { syscall(SYS_BRK, 0_u64) } as u64;
    let mut map = vec![field(26), field(27), field(45), field(46), field(47), brk, field(28)];
    map.extend(arguments.into_iter().chain(environment));
    map.extend([0, 0xffff_ffff_0000_0000]);
    // PR_SET_MM, PR_SET_MM_MAP.
    check(unsafe { prctl(35, 14 as c_ulong, map.as_ptr(), 8 * map.len(), 0 as c_ulong) }, "PR_SET_MM_MAP");
    say("set");
    loop {
        unsafe { pause() };
    }
}
