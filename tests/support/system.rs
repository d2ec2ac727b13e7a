//! What the helper needs of libc, and small parts that its modes share.

use std::ffi::{CString, c_char, c_int, c_long, c_ulong, c_void};
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;

unsafe extern "C" {
    pub fn syscall(number: c_long, ...) -> c_long;
    pub fn unshare(flags: c_int) -> c_int;
    pub fn mount(
        from: *const c_char,
        to: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        data: *const c_void,
    ) -> c_int;
    pub fn umount2(path: *const c_char, flags: c_int) -> c_int;
    pub fn chroot(path: *const c_char) -> c_int;
    pub fn setgroups(count: usize, groups: *const u32) -> c_int;
    pub fn setresgid(real: u32, effective: u32, saved: u32) -> c_int;
    pub fn setresuid(real: u32, effective: u32, saved: u32) -> c_int;
    pub fn prctl(option: c_int, ...) -> c_int;
    pub fn fork() -> c_int;
    pub fn pipe(ends: *mut c_int) -> c_int;
    pub fn read(fd: c_int, to: *mut u8, length: usize) -> isize;
    pub fn write(fd: c_int, from: *const u8, length: usize) -> isize;
    pub fn close(fd: c_int) -> c_int;
    pub fn getrusage(who: c_int, to: *mut [c_long; 18]) -> c_int;
    pub fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    pub fn kill(pid: c_int, signal: c_int) -> c_int;
    pub fn pause() -> c_int;
    pub fn mmap(at: *mut u8, length: usize, protection: c_int, flags: c_int, fd: c_int, from: i64) -> *mut u8;
    pub fn signal(number: c_int, handler: usize) -> usize;
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    pub fn mknod(path: *const c_char, mode: u32, device: u64) -> c_int;
    pub fn inotify_init() -> c_int;
    pub fn inotify_add_watch(fd: c_int, path: *const c_char, mask: u32) -> c_int;
    pub fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
    pub fn dup(fd: c_int) -> c_int;
    pub fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    pub fn ptrace(request: c_int, ...) -> c_long;
    pub fn capget(header: *const u32, data: *mut [u32; 3]) -> c_int;
    pub fn capset(header: *const u32, data: *const [u32; 3]) -> c_int;
}

#[cfg(target_arch = "x86_64")]
pub const SYS_PIVOT_ROOT: c_long = 155;
#[cfg(target_arch = "aarch64")]
pub const SYS_PIVOT_ROOT: c_long = 41;
#[cfg(target_arch = "x86_64")]
pub const SYS_BRK: c_long = 12;
#[cfg(target_arch = "aarch64")]
pub const SYS_BRK: c_long = 214;
#[cfg(target_arch = "x86_64")]
pub const SYS_RENAMEAT2: c_long = 316;
#[cfg(target_arch = "aarch64")]
pub const SYS_RENAMEAT2: c_long = 276;
/// _LINUX_CAPABILITY_VERSION_3, and this process.
pub const CAPABILITIES: [u32; 2] = [0x2008_0522, 0];
pub const PTRACE_SEIZE: c_int = 0x4206;

pub const NEWTIME: c_int = 0x80;
pub const NEWNS: c_int = 0x2_0000;
pub const NEWCGROUP: c_int = 0x200_0000;
pub const NEWUTS: c_int = 0x400_0000;
pub const NEWIPC: c_int = 0x800_0000;
pub const NEWUSER: c_int = 0x1000_0000;
pub const NEWPID: c_int = 0x2000_0000;
pub const NEWNET: c_int = 0x4000_0000;

pub fn check(result: c_int, what: &str) {
    if result < 0 {
        eprintln!("nsdbg-test-helper: {what}: {}", std::io::Error::last_os_error());
        std::process::exit(99);
    }
}

pub fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

pub fn mounted(from: &str, to: &str, kind: &str, flags: c_ulong, data: &str) {
    let (from, target, kind, data) = (c(from), c(to), c(kind), c(data));
    let result = unsafe { mount(from.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) };
    check(result, &format!("mount {to}"));
}

pub fn channel() -> (c_int, c_int) {
    let mut ends = [0; 2];
    check(unsafe { pipe(ends.as_mut_ptr()) }, "pipe");
    (ends[0], ends[1])
}

pub fn tell(fd: c_int, value: i32) {
    unsafe { write(fd, value.to_le_bytes().as_ptr(), 4) };
}

pub fn hear(fd: c_int) -> i32 {
    let mut bytes = [0; 4];
    if unsafe { read(fd, bytes.as_mut_ptr(), 4) } != 4 {
        std::process::exit(99);
    }
    i32::from_le_bytes(bytes)
}

pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

pub fn processes() -> Vec<i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// PR_SET_NAME, at most 15 bytes.
pub fn set_name(name: &str) {
    unsafe { prctl(15, c(name).as_ptr()) };
}

pub fn pause_for(milliseconds: u64) {
    std::thread::sleep(std::time::Duration::from_millis(milliseconds));
}

/// A new network namespace's loopback is down.
pub fn loopback_up() {
    let fd = unsafe { socket(2, 2, 0) };
    let mut request = [0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = 0x41;
    unsafe { ioctl(fd, 0x8914, request.as_ptr()) };
    unsafe { close(fd) };
}

pub fn run(command: &[String]) -> ! {
    const ETXTBSY: i32 = 26;
    loop {
        let error = std::process::Command::new(&command[0]).args(&command[1..]).exec();
        // The test that has written the program may have forked meanwhile, and that process may not have exec'd yet.
        assert!(error.raw_os_error() == Some(ETXTBSY), "{}: {error}", command[0]);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
