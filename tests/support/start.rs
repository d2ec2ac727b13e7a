//! What nsdbg is started under: system calls that fail, stray descriptors, capabilities that are inherited.

use std::ffi::c_ulong;
use std::fs;

use crate::system::*;

/// `NUMBER:ERRNO`, `NUMBER:ARGUMENT=VALUE:ERRNO` or `NUMBER:ARGUMENT!VALUE,…:ERRNO` (none of the values), then `--`
/// and a program.
pub fn filter(args: &[String]) {
    let split = args.iter().position(|arg| arg == "--").unwrap();
    // code, jump if true, jump if false, value
    let mut program: Vec<(u16, u8, u8, u32)> = Vec::new();
    for rule in &args[..split] {
        let parts: Vec<&str> = rule.split(':').collect();
        let errno: u32 = parts[parts.len() - 1].parse().unwrap();
        let refuse = (0x06, 0, 0, 0x0005_0000 | errno);
        let mut block = Vec::new();
        if parts.len() == 3 {
            let none_of = parts[1].contains('!');
            let (argument, values) = parts[1].split_once(['=', '!']).unwrap();
            let values: Vec<u32> = values.split(',').map(|v| v.parse().unwrap()).collect();
            block.push((0x20, 0, 0, 16 + 8 * argument.parse::<u32>().unwrap()));
            let count = values.len();
            for (at, value) in values.into_iter().enumerate() {
                let left = (count - at - 1) as u8;
                // Any of them: to the refusal after them, else past it; none of them: the other way round.
                block.push(if none_of {
                    (0x15, left + 1, 0, value)
                } else {
                    (0x15, left, u8::from(left == 0), value)
                });
            }
        }
        block.push(refuse);
        program.push((0x20, 0, 0, 0));
        program.push((0x15, 0, block.len() as u8, parts[0].parse().unwrap()));
        program.extend(block);
    }
    program.push((0x06, 0, 0, 0x7fff_0000));
    let bytes: Vec<[u8; 8]> = program
        .iter()
        .map(|(code, yes, no, value)| {
            let (c, v) = (code.to_le_bytes(), value.to_le_bytes());
            [c[0], c[1], *yes, *no, v[0], v[1], v[2], v[3]]
        })
        .collect();
    #[repr(C)]
    struct Program(u16, *const [u8; 8]);
    let whole = Program(bytes.len() as u16, bytes.as_ptr());
    check(unsafe { prctl(22, 2 as c_ulong, &whole as *const Program) }, "seccomp");
    run(&args[split + 1..])
}

/// Descriptors 3 to 50 of a file, open across exec, then a program.
pub fn strays(args: &[String]) {
    let file = std::os::fd::IntoRawFd::into_raw_fd(fs::File::open(&args[0]).unwrap());
    while unsafe { dup(file) } < 50 {}
    run(&args[2..])
}

/// All capabilities inheritable and ambient, then a program.
pub fn inheritable(args: &[String]) {
    let mut data = [[0_u32; 3]; 2];
    check(unsafe { capget(CAPABILITIES.as_ptr(), data.as_mut_ptr()) }, "capget");
    for half in &mut data {
        half[2] = half[1];
    }
    check(unsafe { capset(CAPABILITIES.as_ptr(), data.as_ptr()) }, "capset");
    for number in 0..64_u64 {
        unsafe { prctl(47, 2 as c_ulong, number, 0, 0) };
    }
    run(&args[1..])
}

/// Runs a program, then says on stderr how much memory the largest of all its processes held at once, in KiB.
pub fn peak(args: &[String]) -> ! {
    // PR_SET_CHILD_SUBREAPER: what it leaves behind is waited for too.
    check(unsafe { prctl(36, 1 as c_ulong) }, "subreaper");
    let status = std::process::Command::new(&args[0]).args(&args[1..]).status().unwrap();
    while unsafe { waitpid(-1, std::ptr::null_mut(), 0) } > 0 {}
    let mut usage = [0; 18];
    // RUSAGE_CHILDREN, of which ru_maxrss follows two times of two words each.
    check(unsafe { getrusage(-1, &mut usage) }, "getrusage");
    eprintln!("peak {}", usage[4]);
    std::process::exit(status.code().unwrap_or(255))
}
