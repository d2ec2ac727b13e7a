//! The one static program of the containers, of tests, demo and benchmark: the container's own program, and what makes
//! a container.
//!
//!     server serve PORT                       answers every HTTP request with a greeting
//!     server sleep                            does nothing
//!     server box NAME=VALUE... -- MODE...     makes a container out of namespaces and becomes a target in it, which
//!                                             does what MODE says: `exec PROGRAM...` runs a program
//!     server probe PID...                     tells what can be seen of processes; `box`'s mode `peer` does it inside
//!     server filter RULE... -- PROGRAM...     starts a program under system calls that fail as on an old kernel
//!
//! It is compiled with rustc alone, so what it needs of libc is declared in `system.rs`.

mod broken;
mod family;
mod files;
#[path = "../hostile/mod.rs"]
mod hostile;
mod probe;
mod start;
mod system;

use std::ffi::{c_int, c_ulong};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use hostile::{Daemon, Serving};
use system::*;

fn main() {
    let mut args = std::env::args().skip(1);
    let mode = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    match mode.as_str() {
        "box" => make_box(&rest),
        "http" => hostile::become_attacker(&mode, &rest),
        "serve" => serve(Ipv4Addr::UNSPECIFIED, &rest[0], "hello from a container without a shell\n"),
        "sleep" => act(&[]),
        "filter" => start::filter(&rest),
        "strays" => start::strays(&rest),
        "peak" => start::peak(&rest),
        "probe" => probe::probe(&rest),
        "inheritable" => start::inheritable(&rest),
        _ => panic!("no such mode: {mode}"),
    }
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
    // Not the terminal of whoever runs the tests: an attacker would type into it.
    check(unsafe { setsid() }, "setsid");
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
    let mut daemons = Vec::new();
    root(settings, &mut daemons);
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
    let data = [half(0), half(32)];
    check(unsafe { capset(CAPABILITIES.as_ptr(), data.as_ptr()) }, "capset");
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
    // A thread of the target's, as small as it.
    daemons.into_iter().for_each(Daemon::start);
    if !settings.get("profile").is_empty() {
        fs::write("/proc/self/attr/current", format!("changeprofile {}", settings.get("profile"))).unwrap();
    }
    tell(done, 0);
    unsafe { close(done) };
    act(mode)
}

/// Makes the root directory the root: `pivot`, or only `chroot`, which setns(2) does not see.
fn root(settings: &Settings, daemons: &mut Vec<Daemon>) {
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
        "overmounted" => {
            mounted("proc", &proc, "proc", 0, "");
            for (fake, name) in [("uptime", "stat"), ("uptime", "cmdline"), ("fs", "task"), ("fs", "fd")] {
                mounted(&format!("{proc}/{fake}"), &format!("{proc}/1/{name}"), "none", BIND, "");
            }
        }
        "bind" => hostile::bind_fake(root),
        "link" => hostile::link_fake(root),
        "fuse" => daemons.push(Daemon::mount(&proc, Serving::Proc)),
        _ => mounted("proc", &proc, "proc", 0, ""),
    }
    let serving = match settings.get("fuse") {
        "silent" => Some(Serving::Silence),
        "unread" => Some(Serving::Nothing),
        "endless" => Some(Serving::Endless),
        "bottomless" => Some(Serving::Bottomless),
        _ => None,
    };
    if serving.is_some() || settings.get("fuse") == "dead" {
        fs::create_dir_all(format!("{root}/mnt")).unwrap();
    }
    // Its daemon is gone at once.
    if settings.get("fuse") == "dead" {
        drop(Daemon::mount(&format!("{root}/mnt"), Serving::Silence));
    }
    if let Some(serving) = serving {
        daemons.push(Daemon::mount(&format!("{root}/mnt"), serving));
    }
    if !settings.get("share").is_empty() {
        // A directory, or a file, which becomes a mount point as runtimes make one of /etc/hosts.
        if fs::metadata(settings.get("share")).unwrap().is_file() {
            fs::write(format!("{root}/shared"), "").unwrap();
        } else {
            fs::create_dir_all(format!("{root}/shared")).unwrap();
        }
        mounted(settings.get("share"), &format!("{root}/shared"), "none", BIND, "");
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
        check(unsafe { syscall(SYS_PIVOT_ROOT, dot.as_ptr(), dot.as_ptr()) } as c_int, "pivot_root");
        check(unsafe { umount2(dot.as_ptr(), 2) }, "umount");
    }
    std::env::set_current_dir("/").unwrap();
}

/// What the target does, told by its mode.
fn act(mode: &[String]) -> ! {
    let argument = mode.get(1).map_or("", |a| a.as_str());
    match mode.first().map_or("", |m| m.as_str()) {
        "serve" => serve(Ipv4Addr::LOCALHOST, argument, "hello\n"),
        "exec" => run(&mode[1..]),
        "mute" => mute(Ipv4Addr::LOCALHOST, argument),
        "mute-any" => mute(Ipv4Addr::UNSPECIFIED, argument),
        "broken" => broken::broken(&mode[1..]),
        "files" => files::open(),
        "family" => family::family(&mode[1..]),
        "peer" => probe::peer(),
        name => hostile::become_attacker(name, &mode[1.min(mode.len())..]),
    }
    loop {
        unsafe { pause() };
    }
}

fn listen(address: Ipv4Addr, port: &str) -> TcpListener {
    let listener = TcpListener::bind((address, port.parse().unwrap())).unwrap();
    say("listening");
    listener
}

fn serve(address: Ipv4Addr, port: &str, greeting: &str) -> ! {
    let listener = listen(address, port);
    loop {
        let Ok((mut stream, _)) = listener.accept() else { continue };
        say("connection");
        let _ = stream.set_read_timeout(Some(std::time::Duration::from_secs(5)));
        let _ = stream.read(&mut [0; 4096]);
        let length = greeting.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}");
        let _ = write!(stream, "{head}\r\nConnection: close\r\n\r\n{greeting}");
    }
}

/// Takes connections and never answers.
fn mute(address: Ipv4Addr, port: &str) -> ! {
    let listener = listen(address, port);
    let mut held = Vec::new();
    loop {
        held.extend(listener.accept());
        say("connection");
    }
}
