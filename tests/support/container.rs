//! A container without a runtime, and the program that it runs: one static file, built by rustc alone.
//!
//!     container contain --root DIR --uid N --gid N --pid-file FILE -- PROGRAM [ARG]...
//!     container serve PORT
//!
//! `contain` makes namespaces, makes DIR the root, becomes the user and runs PROGRAM there; it ends with its parent's
//! SIGTERM. `serve` answers every HTTP request with a greeting.

use std::ffi::{CString, c_char, c_int, c_long, c_ulong, c_void};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt;

unsafe extern "C" {
    fn unshare(flags: c_int) -> c_int;
    fn mount(source: *const c_char, target: *const c_char, kind: *const c_char, flags: c_ulong, data: *const c_void) -> c_int;
    fn umount2(target: *const c_char, flags: c_int) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn fork() -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn chdir(path: *const c_char) -> c_int;
    fn setgroups(count: usize, groups: *const u32) -> c_int;
    fn setresgid(r: u32, e: u32, s: u32) -> c_int;
    fn setresuid(r: u32, e: u32, s: u32) -> c_int;
    fn prctl(option: c_int, ...) -> c_int;
    fn execv(path: *const c_char, argv: *const *const c_char) -> c_int;
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
}

#[cfg(target_arch = "x86_64")]
const SYS_PIVOT_ROOT: c_long = 155;
#[cfg(target_arch = "aarch64")]
const SYS_PIVOT_ROOT: c_long = 41;

/// CLONE_NEWNS, CGROUP, UTS, IPC, PID, NET.
const NAMESPACES: c_int = 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x2000_0000 | 0x4000_0000;
const MS_NOSUID_NODEV_NOEXEC: c_ulong = 2 | 4 | 8;
const MS_BIND: c_ulong = 4096;
const MS_REC_PRIVATE: c_ulong = 16384 | (1 << 18);
const MNT_DETACH: c_int = 2;
const PR_SET_PDEATHSIG: c_int = 1;
const SIGKILL: c_ulong = 9;

fn check(step: &str, result: c_int) {
    if result < 0 {
        eprintln!("container: {step}: {}", io::Error::last_os_error());
        std::process::exit(125);
    }
}

fn text(value: &str) -> CString {
    CString::new(value).expect("no NUL")
}

fn main() {
    let args: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|arg| String::from_utf8(arg.into_vec()).expect("arguments are UTF-8"))
        .collect();
    match args.first().map(String::as_str) {
        Some("contain") => contain(&args[1..]),
        Some("serve") => serve(args.get(1).map_or("8080", String::as_str)),
        _ => {
            eprintln!("usage: container contain|serve …");
            std::process::exit(2);
        }
    }
}

fn contain(args: &[String]) {
    let end = args.iter().position(|arg| arg == "--").expect("-- PROGRAM");
    let (options, program) = (&args[..end], &args[end + 1..]);
    let option = |name: &str| {
        let at = options.iter().position(|arg| arg == name).unwrap_or_else(|| panic!("{name} is missing"));
        options[at + 1].as_str()
    };
    let (root, pid_file) = (option("--root"), option("--pid-file"));
    let uid: u32 = option("--uid").parse().expect("--uid");
    let gid: u32 = option("--gid").parse().expect("--gid");
    // SAFETY: plain system calls with valid arguments, in a process with one thread.
    unsafe {
        // The parent's root is about to change too.
        let mut pid_file = std::fs::File::create(pid_file).expect("the PID file");
        let (mut running, not_running) = io::pipe().expect("a pipe");
        check("unshare", unshare(NAMESPACES));
        let none = std::ptr::null();
        check("mount /", mount(none, c"/".as_ptr(), none, MS_REC_PRIVATE, std::ptr::null()));
        let child = fork();
        check("fork", child);
        if child > 0 {
            // The pipe is closed by the exec: from then on it is the container's program.
            drop(not_running);
            let _ = running.read(&mut [0]);
            writeln!(pid_file, "{child}").expect("the PID file");
            let mut status = 0;
            waitpid(child, &raw mut status, 0);
            std::process::exit(if status & 0x7f == 0 { status >> 8 & 0xff } else { 128 + (status & 0x7f) });
        }
        let path = text(root);
        check("bind", mount(path.as_ptr(), path.as_ptr(), none, MS_BIND, std::ptr::null()));
        check("chdir", chdir(path.as_ptr()));
        check("mount proc", mount(c"proc".as_ptr(), c"proc".as_ptr(), c"proc".as_ptr(), MS_NOSUID_NODEV_NOEXEC, std::ptr::null()));
        check("pivot_root", syscall(SYS_PIVOT_ROOT, c".".as_ptr(), c".".as_ptr()) as c_int);
        check("umount", umount2(c".".as_ptr(), MNT_DETACH));
        check("chdir", chdir(c"/".as_ptr()));
        loopback_up();
        check("setgroups", setgroups(0, std::ptr::null()));
        check("setresgid", setresgid(gid, gid, gid));
        check("setresuid", setresuid(uid, uid, uid));
        check("prctl", prctl(PR_SET_PDEATHSIG, SIGKILL));
        let words: Vec<CString> = program.iter().map(|word| text(word)).collect();
        let mut argv: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
        argv.push(std::ptr::null());
        check("exec", execv(argv[0], argv.as_ptr()));
    }
}

/// SIOCGIFFLAGS and SIOCSIFFLAGS on `lo`: netdevice(7).
fn loopback_up() {
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    // SAFETY: `request` is as large as struct ifreq.
    unsafe {
        let fd = socket(2, 2, 0);
        check("socket", fd);
        check("SIOCGIFFLAGS", ioctl(fd, 0x8913, request.as_mut_ptr()));
        request[16] |= 1;
        check("SIOCSIFFLAGS", ioctl(fd, 0x8914, request.as_mut_ptr()));
    }
}

fn serve(port: &str) {
    let listener = TcpListener::bind(("0.0.0.0".parse::<std::net::Ipv4Addr>().expect("address"), port.parse().expect("port")))
        .expect("bind");
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let _ = stream.set_read_timeout(Some(std::time::Duration::from_secs(5)));
        let mut head = [0; 4096];
        let _ = stream.read(&mut head);
        let body = "hello from a container without a shell\n";
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
    }
}
