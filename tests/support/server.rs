//! The one static program of the tests' containers. `box` makes a container out of namespaces and becomes a target in
//! it; `filter` starts a program under system calls that fail as on an old kernel. It is compiled with rustc alone, so
//! what it needs of libc is declared here.

use std::ffi::{CString, c_char, c_int, c_long, c_ulong, c_void};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn unshare(flags: c_int) -> c_int;
    fn mount(from: *const c_char, to: *const c_char, kind: *const c_char, flags: c_ulong, data: *const c_void)
    -> c_int;
    fn umount2(path: *const c_char, flags: c_int) -> c_int;
    fn chroot(path: *const c_char) -> c_int;
    fn setgroups(count: usize, groups: *const u32) -> c_int;
    fn setresgid(real: u32, effective: u32, saved: u32) -> c_int;
    fn setresuid(real: u32, effective: u32, saved: u32) -> c_int;
    fn prctl(option: c_int, ...) -> c_int;
    fn fork() -> c_int;
    fn pipe(ends: *mut c_int) -> c_int;
    fn read(fd: c_int, to: *mut u8, length: usize) -> isize;
    fn write(fd: c_int, from: *const u8, length: usize) -> isize;
    fn close(fd: c_int) -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
    fn pause() -> c_int;
}

const NEWTIME: c_int = 0x80;
const NEWNS: c_int = 0x2_0000;
const NEWCGROUP: c_int = 0x200_0000;
const NEWUTS: c_int = 0x400_0000;
const NEWIPC: c_int = 0x800_0000;
const NEWUSER: c_int = 0x1000_0000;
const NEWPID: c_int = 0x2000_0000;
const NEWNET: c_int = 0x4000_0000;

fn main() {
    let mut args = std::env::args().skip(1);
    let mode = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    match mode.as_str() {
        "box" => make_box(&rest),
        "filter" => filter(&rest),
        "strays" => strays(&rest),
        "inheritable" => inheritable(&rest),
        _ => panic!("no such mode: {mode}"),
    }
}

fn check(result: c_int, what: &str) {
    if result < 0 {
        eprintln!("nsdbg-test-helper: {what}: {}", std::io::Error::last_os_error());
        std::process::exit(99);
    }
}

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn mounted(from: &str, to: &str, kind: &str, flags: c_ulong, data: &str) {
    let (from, target, kind, data) = (c(from), c(to), c(kind), c(data));
    let result =
        unsafe { mount(from.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) };
    check(result, &format!("mount {to}"));
}

fn channel() -> (c_int, c_int) {
    let mut ends = [0; 2];
    check(unsafe { pipe(ends.as_mut_ptr()) }, "pipe");
    (ends[0], ends[1])
}

fn tell(fd: c_int, value: i32) {
    unsafe { write(fd, value.to_le_bytes().as_ptr(), 4) };
}

fn hear(fd: c_int) -> i32 {
    let mut bytes = [0; 4];
    if unsafe { read(fd, bytes.as_mut_ptr(), 4) } != 4 {
        std::process::exit(99);
    }
    i32::from_le_bytes(bytes)
}

/// What `box` is told, as NAME=VALUE.
struct Settings(Vec<(String, String)>);

impl Settings {
    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
    fn number(&self, name: &str) -> u32 {
        self.get(name).parse().unwrap_or(0)
    }
    fn mask(&self, name: &str) -> Option<u64> {
        Some(self.get(name)).filter(|v| !v.is_empty()).map(|v| u64::from_str_radix(v, 16).unwrap())
    }
}

/// Prints `target PID` when the target is what it should be, then waits for it.
fn make_box(args: &[String]) {
    let split = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let pairs = args[..split].iter().map(|arg| arg.split_once('=').unwrap());
    let settings = Settings(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect());
    let mode = args.get(split + 1..).unwrap_or_default().to_vec();
    let (up_read, up) = channel();
    let (down, down_write) = channel();
    let inner = unsafe { fork() };
    check(inner, "fork");
    if inner == 0 {
        unsafe {
            close(up_read);
            close(down_write);
        }
        namespaces(&settings, &mode, up, down);
    }
    unsafe {
        close(up);
        close(down);
    }
    if !settings.get("uid_map").is_empty() {
        hear(up_read);
        if settings.get("setgroups") == "deny" {
            fs::write(format!("/proc/{inner}/setgroups"), "deny").unwrap();
        }
        for map in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{inner}/{map}"), settings.get(map).replace(',', "\n").replace(':', " "))
                .unwrap();
        }
        tell(down_write, 0);
    }
    let target = hear(up_read);
    println!("target {}", if target == 0 { inner } else { target });
    let mut status = 0;
    unsafe { waitpid(inner, &mut status, 0) };
}

fn namespaces(settings: &Settings, mode: &[String], up: c_int, down: c_int) -> ! {
    check(unsafe { prctl(1, 9 as c_ulong) }, "parent death signal");
    let mut flags = 0;
    for name in settings.get("ns").split(',') {
        flags |= match name {
            "mnt" => NEWNS,
            "pid" => NEWPID,
            "net" => NEWNET,
            "ipc" => NEWIPC,
            "uts" => NEWUTS,
            "cgroup" => NEWCGROUP,
            "time" => NEWTIME,
            "outer-net" => {
                check(unsafe { unshare(NEWNET) }, "unshare net");
                0
            }
            "" => 0,
            _ => panic!("no namespace: {name}"),
        };
    }
    if !settings.get("uid_map").is_empty() {
        check(unsafe { unshare(NEWUSER) }, "unshare user");
        tell(up, 0);
        hear(down);
        check(unsafe { setresgid(0, 0, 0) }, "setresgid 0");
        check(unsafe { setresuid(0, 0, 0) }, "setresuid 0");
    }
    check(unsafe { unshare(flags) }, "unshare");
    if flags & (NEWPID | NEWTIME) != 0 {
        let (ready, done) = channel();
        let target = unsafe { fork() };
        check(target, "fork");
        if target == 0 {
            unsafe { close(up) };
            become_target(settings, mode, done);
        }
        unsafe { close(done) };
        hear(ready);
        tell(up, target);
        unsafe { close(up) };
        let mut status = 0;
        unsafe { waitpid(target, &mut status, 0) };
        std::process::exit(0);
    }
    become_target(settings, mode, up)
}

fn become_target(settings: &Settings, mode: &[String], done: c_int) -> ! {
    if settings.get("ns").split(',').any(|name| name.ends_with("net")) {
        loopback_up();
    }
    root(settings);
    let groups: Vec<u32> =
        settings.get("groups").split(',').filter(|g| !g.is_empty()).map(|g| g.parse().unwrap()).collect();
    let caps = settings.mask("caps").unwrap_or(0);
    for number in 0..64 {
        let kept = settings.mask("bounding").unwrap_or(caps);
        if kept & (1 << number) == 0 && unsafe { prctl(24, number as c_ulong, 0, 0, 0) } < 0 {
            break;
        }
    }
    check(unsafe { prctl(8, 1 as c_ulong, 0, 0, 0) }, "keepcaps");
    if settings.get("setgroups") != "deny" {
        check(unsafe { setgroups(groups.len(), groups.as_ptr()) }, "setgroups");
    }
    let (uid, gid) = (settings.number("uid"), settings.number("gid"));
    check(unsafe { setresgid(gid, gid, gid) }, "setresgid");
    check(unsafe { setresuid(uid, uid, uid) }, "setresuid");
    let inheritable = settings.mask("inheritable").unwrap_or(0);
    let half = |at: u32| [caps, caps, inheritable].map(|mask| (mask >> at) as u32);
    let header: [u32; 2] = [0x2008_0522, 0];
    let data = [half(0), half(32)];
    check(unsafe { syscall(126, header.as_ptr(), data.as_ptr()) } as c_int, "capset");
    if inheritable != 0 {
        for number in 0..41_u64 {
            if inheritable & caps & (1 << number) != 0 {
                check(unsafe { prctl(47, 2 as c_ulong, number, 0, 0) }, "ambient");
            }
        }
    }
    if settings.get("nnp") == "1" {
        check(unsafe { prctl(38, 1 as c_ulong, 0, 0, 0) }, "no_new_privs");
    }
    check(unsafe { prctl(4, 1 as c_ulong, 0, 0, 0) }, "dumpable");
    check(unsafe { prctl(1, 9 as c_ulong) }, "parent death signal");
    if settings.get("cwd") == "deleted" {
        fs::create_dir("/tmp/gone").unwrap();
        std::env::set_current_dir("/tmp/gone").unwrap();
        fs::remove_dir("/tmp/gone").unwrap();
    } else if !matches!(settings.get("cwd"), "" | "outside") {
        std::env::set_current_dir(settings.get("cwd")).unwrap();
    }
    tell(done, 0);
    unsafe { close(done) };
    act(mode)
}

/// Makes the root directory the root: `pivot`, or only `chroot`, which setns(2) does not see.
fn root(settings: &Settings) {
    let root = settings.get("root");
    if root.is_empty() {
        return;
    }
    if settings.get("how") == "node" {
        // The node's own mounts, seen from a directory.
        check(unsafe { chroot(c(root).as_ptr()) }, "chroot");
        return std::env::set_current_dir("/").unwrap();
    }
    const BIND: c_ulong = 0x1000;
    const REC_PRIVATE: c_ulong = 0x4_4000;
    mounted("none", "/", "none", REC_PRIVATE, "");
    if settings.get("tmpfs") == "yes" {
        mounted("nsdbg-test", root, "tmpfs", 0, "mode=755");
        fs::create_dir_all(format!("{root}/tmp")).unwrap();
    } else {
        mounted(root, root, "none", BIND | 0x4000, "");
    }
    let proc = format!("{root}/proc");
    match settings.get("proc") {
        "" | "none" => {}
        "tmpfs" => mounted("tmpfs", &proc, "tmpfs", 0, ""),
        // The node's, as a container may be given it.
        "node" => mounted("/proc", &proc, "none", BIND | 0x4000, ""),
        "hidepid" => mounted("proc", &proc, "proc", 0, "hidepid=2"),
        "masked" => {
            mounted("proc", &proc, "proc", 0, "");
            mounted("tmpfs", &format!("{proc}/1"), "tmpfs", 0, "");
        }
        _ => mounted("proc", &proc, "proc", 0, ""),
    }
    if settings.get("readonly") == "1" {
        mounted("none", root, "none", BIND | 0x21, "");
    }
    let path = c(root);
    std::env::set_current_dir(root).unwrap();
    if settings.get("cwd") == "outside" {
        std::env::set_current_dir("/").unwrap();
        return check(unsafe { chroot(path.as_ptr()) }, "chroot");
    }
    if settings.get("how") == "chroot" {
        check(unsafe { chroot(path.as_ptr()) }, "chroot");
    } else {
        let dot = c(".");
        check(unsafe { syscall(155, dot.as_ptr(), dot.as_ptr()) } as c_int, "pivot_root");
        check(unsafe { umount2(dot.as_ptr(), 2) }, "umount");
    }
    std::env::set_current_dir("/").unwrap();
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// What the target does, told by its mode.
fn act(mode: &[String]) -> ! {
    let argument = mode.get(1).map_or("", |a| a.as_str());
    match mode.first().map_or("", |m| m.as_str()) {
        "serve" => serve(argument.parse().unwrap()),
        "mute" => mute(argument.parse().unwrap()),
        "watch" => watch(),
        "attack" => attack(),
        "racers" => racers(),
        "hold" => hold(argument.parse().unwrap()),
        _ => loop {
            unsafe { pause() };
        },
    }
}

fn serve(port: u16) -> ! {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    say("listening");
    loop {
        let Ok((mut stream, _)) = listener.accept() else { continue };
        say("connection");
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n");
    }
}

/// Takes connections and never answers.
fn mute(port: u16) -> ! {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    say("listening");
    let mut held = Vec::new();
    loop {
        held.extend(listener.accept());
        say("connection");
    }
}

/// A new network namespace's loopback is down.
fn loopback_up() {
    let socket = unsafe { syscall(41, 2, 2, 0) };
    let mut request = [0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = 0x41;
    unsafe { syscall(16, socket, 0x8914, request.as_ptr()) };
    unsafe { close(socket as c_int) };
}

fn processes() -> Vec<i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// Tells what the target itself sees: every process in its /proc, and all that it can read of each.
fn watch() -> ! {
    let own = std::process::id() as i32;
    let mut most = 0;
    loop {
        let others: Vec<i32> = processes().into_iter().filter(|pid| *pid != own).collect();
        if others.len() > most {
            most = others.len();
            say(&format!("seen {most}"));
        }
        for pid in others {
            for name in ["cmdline", "environ", "comm", "cgroup"] {
                if let Ok(bytes) = fs::read(format!("/proc/{pid}/{name}")) {
                    say(&format!("{name} {}", String::from_utf8_lossy(&bytes).escape_debug()));
                }
            }
        }
    }
}

/// Tries to write the program of every new process, and to take its memory and descriptors; tells what it got.
fn attack() -> ! {
    let own = std::process::id() as i32;
    let mut exes: Vec<fs::File> = Vec::new();
    let mut told = std::collections::HashSet::new();
    say("attacking");
    loop {
        for pid in processes().into_iter().filter(|pid| *pid != own) {
            let got = |what: &str| format!("got {what}");
            let mut tell = |line: String| {
                if told.insert(line.clone()) {
                    say(&line);
                }
            };
            if let Ok(exe) = fs::File::open(format!("/proc/{pid}/exe")) {
                tell(got("exe"));
                if exes.len() < 8 {
                    exes.push(exe);
                }
            }
            for (name, path) in
                [("fd", format!("/proc/{pid}/fd/1")), ("environ", format!("/proc/{pid}/environ"))]
            {
                if fs::metadata(&path).is_ok() && fs::File::open(&path).is_ok() {
                    tell(got(name));
                }
            }
            if fs::File::open(format!("/proc/{pid}/mem")).is_ok() {
                tell(got("mem"));
            }
            let pidfd = unsafe { syscall(434, pid as i64, 0_i64) };
            let taken = unsafe { syscall(438, pidfd, 1_i64, 0_i64) };
            if taken >= 0 {
                tell(got("pidfd_getfd"));
            }
            unsafe {
                close(taken as c_int);
                close(pidfd as c_int);
            }
            let ptrace = unsafe { syscall(101, 0x4206_i64, pid as i64, 0_i64, 0_i64) };
            if ptrace == 0 {
                tell(got("ptrace"));
                let mut status = 0;
                unsafe {
                    kill(pid, 9);
                    // __WALL: its exit is ours to let go.
                    waitpid(pid, &mut status, 0x4000_0000);
                }
            }
        }
        for exe in &exes {
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(exe));
            if let Ok(mut file) = fs::OpenOptions::new().write(true).open(path) {
                let written = file.write_all(b"#!/overwritten").is_ok();
                let line = format!("opened exe for writing, written: {written}");
                if told.insert(line.clone()) {
                    say(&line);
                }
            }
        }
    }
}

/// From a line on stdin on: traces every new process with these options, and never lets its exit go on.
fn hold(options: i64) -> ! {
    let own = std::process::id() as i32;
    let mut line = String::new();
    say("ready");
    let _ = std::io::stdin().read_line(&mut line);
    loop {
        for pid in processes().into_iter().filter(|pid| *pid != own) {
            if unsafe { syscall(101, 0x4206_i64, pid as i64, 0_i64, options) } == 0 {
                say("held");
            }
        }
    }
}

/// For every line `TIMES MICROSECONDS` on stdin: a child that unshares its user namespace once, or once before its PID
/// is told and once more, the last time after so long.
fn racers() -> ! {
    let mut line = String::new();
    loop {
        line.clear();
        if std::io::stdin().read_line(&mut line).unwrap_or(0) == 0 {
            std::process::exit(0);
        }
        let (times, delay) = line.trim().split_once(' ').unwrap();
        let (twice, delay): (bool, u64) = (times == "2", delay.parse().unwrap());
        let (ready, done) = channel();
        let child = unsafe { fork() };
        if child == 0 {
            unsafe { prctl(1, 9 as c_ulong) };
            if twice {
                check(unsafe { unshare(NEWUSER) }, "unshare user");
                // Who is not mapped makes no further one.
                for (file, map) in [("setgroups", "deny"), ("uid_map", "0 65532 1"), ("gid_map", "0 65532 1")] {
                    fs::write(format!("/proc/self/{file}"), map).unwrap();
                }
            }
            tell(done, 0);
            let until = std::time::Instant::now() + std::time::Duration::from_micros(delay);
            while std::time::Instant::now() < until {}
            check(unsafe { unshare(NEWUSER) }, "unshare user");
            loop {
                unsafe { pause() };
            }
        }
        hear(ready);
        unsafe {
            close(ready);
            close(done);
        }
        // In a namespace of the node's PIDs, so the number is the node's.
        say(&format!("racer {child}"));
        let mut next = String::new();
        let _ = std::io::stdin().read_line(&mut next);
        let mut status = 0;
        unsafe {
            kill(child, 9);
            waitpid(child, &mut status, 0);
        }
    }
}

/// `NUMBER:ERRNO`, `NUMBER:ARGUMENT=VALUE:ERRNO` or `NUMBER:ARGUMENT!VALUE,…:ERRNO` (none of the values), then `--`
/// and a program.
fn filter(args: &[String]) {
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
fn strays(args: &[String]) {
    let file = c(&args[0]);
    while unsafe { syscall(2, file.as_ptr(), 0, 0) } < 50 {}
    run(&args[2..])
}

/// All capabilities inheritable and ambient, then a program.
fn inheritable(args: &[String]) {
    let header: [u32; 2] = [0x2008_0522, 0];
    let mut data = [[0_u32; 3]; 2];
    check(unsafe { syscall(125, header.as_ptr(), data.as_mut_ptr()) } as c_int, "capget");
    for half in &mut data {
        half[2] = half[1];
    }
    check(unsafe { syscall(126, header.as_ptr(), data.as_ptr()) } as c_int, "capset");
    for number in 0..64_u64 {
        unsafe { prctl(47, 2 as c_ulong, number, 0, 0) };
    }
    run(&args[1..])
}

fn run(command: &[String]) {
    let error = std::process::Command::new(&command[0]).args(&command[1..]).exec();
    panic!("{}: {error}", command[0]);
}
