//! The faker of /proc: plain files in its place, told by no look at a single name.

use std::ffi::c_ulong;
use std::fs;

use crate::system::*;

/// Files of a /proc in which the target is another and a process is there that is none.
pub const FILES: [(&str, &str); 9] = [
    ("1/stat", "1 (innocent) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0\n"),
    ("1/cmdline", "/bin/innocent\0"),
    ("1/status", "Name:\tinnocent\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n"),
    ("666/stat", "666 (made-up) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0\n"),
    ("666/cmdline", "/bin/made-up\0"),
    ("666/status", "Name:\tmade-up\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n"),
    ("stat", "btime 1\n"),
    ("uptime", "1.00 1.00\n"),
    ("meminfo", "MemTotal: 1 kB\n"),
];

/// Makes them below a directory.
pub fn fake_files(directory: &str) {
    for (path, text) in FILES {
        let path = format!("{directory}/{path}");
        fs::create_dir_all(path.rsplit_once('/').unwrap().0).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// A /proc that is a directory of plain files, bound there.
pub fn bind_fake(root: &str) {
    const BIND: c_ulong = 0x1000;
    let files = format!("{root}/app/proc");
    fake_files(&files);
    mounted(&files, &format!("{root}/proc"), "none", BIND, "");
}

/// A /proc that is a link to such a directory.
pub fn link_fake(root: &str) {
    fake_files(&format!("{root}/app/proc"));
    fs::remove_dir_all(format!("{root}/proc")).unwrap();
    std::os::unix::fs::symlink("/app/proc", format!("{root}/proc")).unwrap();
}
