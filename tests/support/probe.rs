//! What a process can see of others: run inside, as another process of the container, it tells what a command's process
//! shows there; run on the node, all of it.

use std::fs;
use std::io::{BufRead, Read};
use std::os::unix::fs::MetadataExt;

use crate::system::say;

/// Files of procfs that anybody may read.
const OPEN: [&str; 4] = ["cmdline", "comm", "cgroup", "loginuid"];
/// Links, and files that are read by who may trace the process.
const LINKS: [&str; 11] = [
    "exe", "root", "cwd", "fd/0", "fd/1", "fd/2", "ns/mnt", "ns/pid", "ns/net", "ns/user", "ns/cgroup",
];
const TRACED: [&str; 6] = ["environ", "mem", "maps", "auxv", "io", "syscall"];

/// Prints a line for each of these of each process: the name, then its value or `refused`.
pub fn probe(pids: &[String]) {
    for pid in pids {
        let path = |name: &str| format!("/proc/{pid}/{name}");
        for line in fs::read_to_string(path("status")).unwrap_or_default().lines() {
            say(&format!("status {}", line.replace('\t', " ")));
        }
        for name in OPEN {
            tell(name, fs::read(path(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
        }
        for name in LINKS {
            tell(name, fs::read_link(path(name)).map(|link| link.display().to_string()));
            let opened = fs::File::open(path(name));
            tell(&format!("open {name}"), opened.map(|_| String::new()));
        }
        for name in TRACED {
            let mut byte = [0];
            // Nothing is mapped where this file begins: to open it is what counts.
            let read = |mut file: fs::File| if name == "mem" { Ok(0) } else { file.read(&mut byte) };
            tell(name, fs::File::open(path(name)).and_then(read).map(|count| count.to_string()));
        }
        // Root's, where the process is not dumpable.
        tell("owner", fs::metadata(path("environ")).map(|data| data.uid().to_string()));
        say("end");
    }
}

fn tell(name: &str, value: std::io::Result<String>) {
    match value {
        Ok(value) => say(&format!("{name} {}", value.escape_debug())),
        Err(error) => say(&format!("{name} refused {}", error.raw_os_error().unwrap_or(0))),
    }
}

/// Probes every process that a line of stdin names.
pub fn peer() -> ! {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        probe(&[line]);
    }
    std::process::exit(0)
}
