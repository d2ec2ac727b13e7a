//! Files whose size is not what stat(2) says: the kernel makes them up as they are read.

use std::collections::BTreeMap;
use std::fs;

use super::{Node, tar};
use crate::support::{count_skip, needs_root, sandbox};

/// A file of /proc that says it is empty and has megabytes.
const SYMBOLS: &str = "/proc/kallsyms";

/// What a tar's members are long, by their path.
fn sizes(bytes: &[u8]) -> BTreeMap<String, u64> {
    let listed = String::from_utf8(tar(&["tvf", "-"], bytes)).unwrap();
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[5].to_owned(), words[2].parse().unwrap())
    };
    listed.lines().map(row).collect()
}

// Seen to fail with files that are cut at 64 KiB.
#[test]
fn files_that_say_no_size_are_copied_whole() {
    needs_root!();
    // Files of sysfs, which say 4096.
    let target = sandbox().set("share", "/sys/devices/virtual/net/lo").start();
    // What the target's user sees of it: without addresses.
    let symbols = target.run(&["cat", SYMBOLS]).out;
    if symbols.len() < 1 << 20 {
        return count_skip("this kernel shows no symbols");
    }
    let node = Node::new("node");
    target.run(&["get", SYMBOLS, node.text()]).ok();
    assert!(fs::read(node.0.join("kallsyms")).unwrap() == symbols);
    // Between others in a tar, the sizes of its headers are right: GNU tar finds the members.
    let ran = target.run(&["get", "/proc/1/status", SYMBOLS, "/shared/mtu", "/etc/passwd", "-"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let sizes = sizes(&ran.out);
    assert_eq!((sizes.len(), sizes["kallsyms"], sizes["mtu"]), (4, symbols.len() as u64, 6));
    assert!(tar(&["xOf", "-", "kallsyms"], &ran.out) == symbols);
    assert_eq!(tar(&["xOf", "-", "passwd"], &ran.out), fs::read(target.root.join("etc/passwd")).unwrap());
}

// Seen to fail with directories whose files are cut at 64 KiB: the target's mappings have more.
#[test]
fn a_directory_of_files_that_say_no_size_is_copied_whole() {
    needs_root!();
    let mut target = sandbox().mode(&["mappings", "2000"]).start();
    assert_eq!(target.next_line(crate::support::LIMIT).as_deref(), Some("mapped"));
    let ran = target.run(&["get", "/proc/1/task/1", "-"]);
    // Memory, and what only root may read, are named.
    assert_eq!(ran.status, 1);
    let (smaps, maps) = (target.run(&["cat", "/proc/1/smaps"]).out, target.run(&["cat", "/proc/1/maps"]).out);
    assert!(smaps.len() > 1 << 20 && maps.len() > 64 << 10, "{} {}", smaps.len(), maps.len());
    assert!(tar(&["xOf", "-", "1/maps"], &ran.out) == maps);
    // Its numbers may change while it is read, its lines do not.
    let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines(&tar(&["xOf", "-", "1/smaps"], &ran.out)), lines(&smaps));
    assert!(sizes(&ran.out).contains_key("1/status"));
}

// Seen to fail with other limits, and with files that are cut at 64 KiB. It has 256 GiB.
#[test]
fn r26_a_file_that_says_no_size_and_does_not_end_is_cut() {
    needs_root!();
    let target = sandbox().start();
    let node = Node::new("node");
    let ran = target.run(&["get", "/proc/1/pagemap", node.text()]);
    ran.fails(1, "get: read /proc/1/pagemap: it does not say its size, and only its first 128M were copied");
    assert_eq!(fs::metadata(node.0.join("pagemap")).unwrap().len(), 128 << 20);
}
