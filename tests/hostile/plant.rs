//! The planter: files that a program's libraries would load or read unasked, and the socket of a name service cache. It
//! tells who opens or connects to any of them.

use std::ffi::c_int;
use std::fs;
use std::os::unix::net::UnixListener;

use crate::system::*;

const BAIT: [&str; 22] = [
    "/etc/ld.so.preload",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/terminfo/x/xterm",
    "/usr/share/terminfo/x/xterm",
    "/lib/terminfo/x/xterm",
    "/usr/share/zoneinfo/UTC",
    "/etc/ssl/openssl.cnf",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/inputrc",
    "/app/.inputrc",
    "/usr/lib/locale/locale-archive",
    "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache",
    "/usr/lib/debug/nsdbg.debug",
    "/lib/x86_64-linux-gnu/libnss_files.so.2",
    "/lib/x86_64-linux-gnu/libnss_evil.so.2",
    "/app/.netrc",
];

/// Here glibc looks for nscd.
const CACHE: &str = "/var/run/nscd/socket";

fn parent(path: &str) -> &str {
    path.rsplit_once('/').unwrap().0
}

/// Plants them, says so, and stays to tell who takes the bait.
pub fn plant() -> ! {
    const IN_OPEN: u32 = 0x20;
    let inotify = unsafe { inotify_init() };
    check(inotify, "inotify");
    let mut watched: Vec<(c_int, &str)> = Vec::new();
    for path in BAIT {
        fs::create_dir_all(parent(path)).unwrap();
        fs::write(path, "/lib/x86_64-linux-gnu/libnss_evil.so.2\n").unwrap();
        let number = unsafe { inotify_add_watch(inotify, c(path).as_ptr(), IN_OPEN) };
        check(number, "inotify_add_watch");
        watched.push((number, path));
    }
    // Read for the order of hosts, so not watched.
    fs::write("/etc/nsswitch.conf", "passwd: evil\ngroup: evil\nhosts: files dns\n").unwrap();
    fs::create_dir_all(parent(CACHE)).unwrap();
    let cache = UnixListener::bind(CACHE).unwrap();
    std::thread::spawn(move || cache.incoming().for_each(|_| say(&format!("connected {CACHE}"))));
    say("planted");
    let mut event = [0; 4096];
    loop {
        // struct inotify_event: which watch, mask, cookie, length of a name; 16 bytes for a file.
        let length = unsafe { read(inotify, event.as_mut_ptr(), event.len()) };
        for event in event[..length.max(0) as usize].chunks(16) {
            let number = c_int::from_ne_bytes(event[..4].try_into().unwrap());
            let path = watched.iter().find(|(of, _)| *of == number).map_or("?", |(_, path)| path);
            say(&format!("opened {path}"));
        }
    }
}
