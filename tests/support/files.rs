//! A process that has open files of every kind, and a child at the other ends of some.

use std::ffi::{OsStr, c_char, c_int, c_long};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use crate::system::*;

unsafe extern "C" {
    fn eventfd(count: u32, flags: c_int) -> c_int;
    fn epoll_create1(flags: c_int) -> c_int;
    fn epoll_ctl(epoll: c_int, operation: c_int, fd: c_int, event: *const u8) -> c_int;
    fn timerfd_create(clock: c_int, flags: c_int) -> c_int;
    fn memfd_create(name: *const c_char, flags: u32) -> c_int;
    fn flock(fd: c_int, operation: c_int) -> c_int;
}

const SYS_PIDFD_OPEN: c_long = 434;
const O_PATH: c_int = 0o10000000;

/// Opens them, says so, and stays.
pub fn open() -> ! {
    let mut read = File::open("/etc/passwd").unwrap();
    read.read_exact(&mut [0; 5]).unwrap();
    let mut log = File::create("/tmp/log").unwrap();
    log.write_all(&[b'x'; 1234]).unwrap();
    check(unsafe { flock(log.as_raw_fd(), 2) }, "flock");
    let mut gone = OpenOptions::new().read(true).write(true).create(true).open("/tmp/gone").unwrap();
    gone.write_all(&[b'x'; 40_000]).unwrap();
    fs::remove_file("/tmp/gone").unwrap();
    let odd = File::create(OsStr::from_bytes(b"/tmp/a\n\xff (deleted)")).unwrap();
    let looked_at = OpenOptions::new().read(true).custom_flags(O_PATH).open("/tmp").unwrap();
    let (read_end, write_end) = channel();
    let unix = UnixListener::bind("/tmp/s").unwrap();
    let unix_client = UnixStream::connect("/tmp/s").unwrap();
    let unix_server = unix.accept().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:7070").unwrap();
    let tcp_client = TcpStream::connect("127.0.0.1:7070").unwrap();
    let tcp_server = tcp.accept().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:7071").unwrap();
    let event = unsafe { eventfd(5, 0) };
    let epoll = unsafe { epoll_create1(0) };
    for fd in [read_end, event] {
        check(unsafe { epoll_ctl(epoll, 1, fd, [1_u8; 12].as_ptr()) }, "epoll_ctl");
    }
    let inotify = unsafe { inotify_init() };
    check(unsafe { inotify_add_watch(inotify, c("/tmp").as_ptr(), 2) }, "inotify");
    let timer = unsafe { timerfd_create(1, 0) };
    let memory = unsafe { memfd_create(c("scratch").as_ptr(), 0) };
    let process = unsafe { syscall(SYS_PIDFD_OPEN, std::process::id() as c_int, 0) } as c_int;
    check(process, "pidfd_open");
    let child = unsafe { fork() };
    if child == 0 {
        check(unsafe { prctl(1, 9_u64) }, "parent death signal");
        check(unsafe { prctl(15, c("writer").as_ptr()) }, "name");
        drop((read, log, gone, odd, looked_at, unix, unix_client, tcp, tcp_client, tcp_server, udp));
        for fd in [read_end, event, epoll, inotify, timer, memory, process] {
            unsafe { close(fd) };
        }
        // It holds the writing end of the pipe and the accepted end of the Unix socket.
        say("ready");
        let _held = unix_server;
        loop {
            unsafe { pause() };
        }
    }
    check(child, "fork");
    drop(unix_server);
    unsafe { close(write_end) };
    loop {
        unsafe { pause() };
    }
}
