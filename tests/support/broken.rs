//! Targets with a fault that a process has to make, for the doctor's tests.

use std::ffi::{c_char, c_int, c_ulong};
use std::fs::{self, File};
use std::io::{BufRead, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};

use crate::system::*;

unsafe extern "C" {
    fn sigprocmask(how: c_int, set: *const [u64; 16], old: *mut [u64; 16]) -> c_int;
    fn memfd_create(name: *const c_char, flags: u32) -> c_int;
    fn fallocate(fd: c_int, mode: c_int, from: i64, length: i64) -> c_int;
    fn listen(fd: c_int, backlog: c_int) -> c_int;
    fn mmap(at: *mut u8, length: usize, protection: c_int, flags: c_int, fd: c_int, from: i64) -> *mut u8;
}

const SERVER: &str = "127.0.0.1:9000";

/// Makes the fault of this name, says so, and stays.
pub fn broken(words: &[String]) -> ! {
    let argument = words.get(1).map_or("", String::as_str);
    let number = || argument.parse::<usize>().unwrap();
    // Kept for as long as the process lives.
    let mut files = Vec::new();
    let mut streams = Vec::new();
    let mut held = Vec::new();
    match words[0].as_str() {
        // SIGTERM, as who waits for it by signalfd(2) has it.
        "block" => {
            let mut set = [0; 16];
            set[0] = 1 << 14;
            check(unsafe { sigprocmask(0, &set, std::ptr::null_mut()) }, "sigprocmask");
        }
        "zombies" => parent_of_zombies(number()),
        "memfd" => {
            let fd = unsafe { memfd_create(c("program").as_ptr(), 0) };
            check(fd, "memfd_create");
            let mut program = unsafe { File::from_raw_fd(fd) };
            program.write_all(&fs::read("/server").unwrap()).unwrap();
            // It can't be started while it can be written to.
            let read = File::open(format!("/proc/self/fd/{fd}")).unwrap();
            drop(program);
            let again = unsafe { dup(read.as_raw_fd()) };
            say("ready");
            run(&[format!("/proc/self/fd/{again}"), "sleep".to_owned()]);
        }
        // So many MiB of memory, from a line on stdin on.
        "hold" => {
            say("waiting");
            wait_for_line();
            held = vec![1_u8; number() << 20];
        }
        "spin" => {
            say("ready");
            loop {
                std::hint::spin_loop();
            }
        }
        // A child for each line on stdin.
        "fork" => fork_by_line(),
        // So many further open files, and for each line on stdin that limit on their number, or on that of processes.
        "limit-files" | "limit-processes" => {
            // RLIMIT_NOFILE, RLIMIT_NPROC.
            let resource = if words[0] == "limit-files" { 7 } else { 6 };
            files.extend((0..argument.parse().unwrap_or(0)).map(|_| File::open("/etc/passwd").unwrap()));
            say("ready");
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                let limit = [line.parse::<u64>().unwrap(), 1000];
                check(unsafe { setrlimit(resource, &limit) }, "setrlimit");
                say("limited");
            }
        }
        // A file of so many bytes that has no name any more.
        "deleted" => {
            let file = File::create("/tmp/log").unwrap();
            check(unsafe { fallocate(file.as_raw_fd(), 0, 0, number() as i64) }, "fallocate");
            fs::remove_file("/tmp/log").unwrap();
            files.push(file);
        }
        // The same, that is mapped and not open, beside shared memory that has no name.
        "deleted-mapped" => {
            let file = File::create_new("/tmp/map").unwrap();
            check(unsafe { fallocate(file.as_raw_fd(), 0, 0, number() as i64) }, "fallocate");
            let file = File::open("/tmp/map").unwrap();
            // PROT_READ; MAP_SHARED, MAP_SHARED and MAP_ANONYMOUS.
            let of_file = unsafe { mmap(std::ptr::null_mut(), number(), 1, 1, file.as_raw_fd(), 0) };
            let nameless = unsafe { mmap(std::ptr::null_mut(), 1 << 30, 1, 0x21, -1, 0) };
            assert!(of_file as isize != -1 && nameless as isize != -1);
            fs::remove_file("/tmp/map").unwrap();
        }
        // Connections are not accepted.
        "backlog" => {
            let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
            check(unsafe { listen(listener.as_raw_fd(), number() as c_int) }, "listen");
            std::mem::forget(listener);
        }
        // So many connections that the clients have closed, or the server.
        "close-wait" | "leaks" => {
            let listener = TcpListener::bind(SERVER).unwrap();
            for _ in 0..number() {
                let client = TcpStream::connect(SERVER).unwrap();
                let (server, _) = listener.accept().unwrap();
                streams.push(if words[0] == "leaks" { client } else { server });
            }
            std::mem::forget(listener);
        }
        // A connection from a line on stdin on.
        "connect" => {
            say("waiting");
            wait_for_line();
            say("ready");
            streams.extend(TcpStream::connect(argument));
        }
        name => panic!("no such fault: {name}"),
    }
    say("ready");
    loop {
        std::hint::black_box((&files, &streams, &held));
        unsafe { pause() };
    }
}

fn wait_for_line() {
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// A child with so many children that have ended.
fn parent_of_zombies(count: usize) {
    let (ready, done) = channel();
    if unsafe { fork() } == 0 {
        set_name("careless");
        check(unsafe { prctl(1, 9 as c_ulong) }, "parent death signal");
        for _ in 0..count {
            if unsafe { fork() } == 0 {
                std::process::exit(0);
            }
        }
        tell(done, 0);
        loop {
            unsafe { pause() };
        }
    }
    hear(ready);
}

fn fork_by_line() -> ! {
    say("ready");
    for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
        let child = unsafe { fork() };
        if child == 0 {
            unsafe { prctl(1, 9 as c_ulong) };
            loop {
                unsafe { pause() };
            }
        }
        say(if child > 0 { "forked" } else { "refused" });
    }
    std::process::exit(0)
}
