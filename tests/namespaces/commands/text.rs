//! What the tests of commands on text share: their data, and GNU's tools on the same.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use nix::mount::{MsFlags, mount};

use crate::live::{Ran, run, run_with_input};
use crate::support::{NSDBG, Sandbox, helper, needs_root, sandbox};

/// Files of many kinds below /data.
pub fn data() -> Sandbox {
    let many: String = (1..=3000).map(|n| format!("{} line {n}\n", n * 7919 % 1000)).collect();
    let long = [b"x".repeat(300_000), b"\n".to_vec(), b"y".repeat(10)].concat();
    let target = sandbox()
        .file("data/many", many)
        .file("data/long", long)
        .file("data/few", "one\ntwo\nthree\n")
        .file("data/cut", "one\n\n two  three\tfour\nno newline")
        .file("data/nul", b"a\0b\0\0c\nd\0e")
        .file("data/bytes", b"\xff\xfe\n\x80 \xc3\xa9\x01\x1b[31m\r\n\x00\x7f")
        .file("data/utf8", "é 漢字 a\u{a0}b\u{3000}c\n\u{2003}x\r\nüü\x0c\tz\n")
        .file("data/empty", "")
        .file("data/newline", "\n")
        .file("data/secret", "secret\n")
        .start();
    let inside = target.root.join("data");
    symlink("nowhere", inside.join("broken")).unwrap();
    symlink("loop", inside.join("loop")).unwrap();
    fs::set_permissions(inside.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    nix::unistd::mkfifo(&inside.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    target
}

/// Runs a line in /data, and what GNU's tool says there.
pub fn both(target: &Sandbox, args: &[&str], locale: &str) -> (Ran, Ran) {
    both_with_input(target, args, locale, b"")
}

/// As [`both`], with this standard input.
pub fn both_with_input(target: &Sandbox, args: &[&str], locale: &str, input: &[u8]) -> (Ran, Ran) {
    let quoted: Vec<String> = args.iter().map(|arg| format!("'{}'", arg.replace('\'', "'\\''"))).collect();
    let line = format!("cd /data; {}", quoted.join(" "));
    let ours = run_with_input(target.nsdbg().args(["-c", &line]), input);
    let mut theirs = Command::new(args[0]);
    theirs.args(&args[1..]).current_dir(target.root.join("data")).env("LC_ALL", locale);
    (ours, run_with_input(&mut theirs, input))
}

/// The same bytes and the same status as GNU's tool, for each line of words.
pub fn same(target: &Sandbox, lines: &[&str], locale: &str) {
    for line in lines {
        let args: Vec<&str> = line.split(' ').collect();
        let (ours, theirs) = both(target, &args, locale);
        assert_eq!(
            (ours.status, ours.text(), ours.out),
            (theirs.status, theirs.text(), theirs.out),
            "{line}: {} {}",
            ours.err,
            theirs.err
        );
    }
}

/// The same with standard input.
pub fn same_of_input(target: &Sandbox, lines: &[&str], input: &[u8]) {
    for line in lines {
        let args: Vec<&str> = line.split(' ').collect();
        let (ours, theirs) = both_with_input(target, &args, "C", input);
        assert_eq!((ours.status, ours.out), (theirs.status, theirs.out), "{line}: {}", ours.err);
    }
}

/// What can't be read is named, the rest goes on.
pub fn names_what_it_can_not_read(target: &Sandbox, command: &str, status: i32) {
    for (path, words) in [
        ("none", "open none: no such file or directory"),
        ("/data", "open /data: is a directory"),
        ("broken", "open broken: no such file or directory"),
        ("loop", "open loop: too many symbolic links encountered"),
        ("fifo", "open fifo: a FIFO"),
        ("secret", "open secret: permission denied"),
    ] {
        let ran = target.line(&format!("cd /data; {command} {path} few"));
        ran.fails(status, words);
        if status == 1 {
            assert!(!ran.out.is_empty(), "{command}: {ran:?}");
        }
    }
}

/// A closed pipe is no fault, and says nothing.
pub fn ends_with_its_reader(target: &Sandbox, line: &str) {
    let ran = target.line(line);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{line}: {ran:?}");
}

/// A sparse file of ten gigabytes that ends in some lines.
pub fn make_vast(target: &Sandbox, end: &[u8]) {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = File::create(target.root.join("data/vast")).unwrap();
    file.seek(SeekFrom::Start(10 << 30)).unwrap();
    file.write_all(end).unwrap();
}

/// Runs a command; what it came to, and the peak of its memory in KiB.
pub fn peak(target: &Sandbox, args: &[&str]) -> (Ran, u64) {
    let mut command = Command::new(helper());
    command.arg("peak").arg(NSDBG).args(["--pid", &target.pid.to_string(), "--"]).args(args);
    let mut ran = run(&mut command);
    let (said, peak) = ran.err.trim_end().rsplit_once("peak ").expect("the peak");
    let peak = peak.parse().unwrap();
    println!("{args:?}: {peak} KiB");
    ran.err = said.to_owned();
    (ran, peak)
}

#[test]
fn lines_of_ten_megabytes_are_as_gnus() {
    needs_root!();
    let target = data();
    let huge = [b"z".repeat(10 << 20), b"\n".to_vec(), b"z".repeat(10 << 20), b"\na\nb".to_vec()].concat();
    fs::write(target.root.join("data/huge"), huge).unwrap();
    let lines = [
        "head -n 1 huge",
        "head -n -3 huge",
        "tail -n 3 huge",
        "tail -n +2 huge",
        "wc huge",
        "sort huge",
        "sort -u huge",
        "uniq -c huge",
        "sha256sum huge",
    ];
    same(&target, &lines, "C.UTF-8");
    assert_eq!(target.line("file -b /data/huge").ok(), "ASCII text, with very long lines (524288)\n");
}

// Seen to fail where the length that sysfs claims, a page, was believed: tail printed nothing, wc -c 4096.
#[test]
fn files_that_claim_a_length_which_they_do_not_have_are_read() {
    needs_root!();
    let target = sandbox()
        .on_tmpfs()
        .prepared(|root| {
            fs::create_dir(root.join("sys")).unwrap();
            fs::create_dir(root.join("data")).unwrap();
            mount(Some("sysfs"), &root.join("sys"), Some("sysfs"), MsFlags::MS_RDONLY, None::<&str>).unwrap();
        })
        .start();
    let mut lines = Vec::new();
    for file in ["/sys/class/net/lo/mtu", "/sys/class/net/lo/uevent", "/proc/sys/kernel/ostype"] {
        for command in [
            "tail -n 1",
            "tail -n +1",
            "tail -c 3",
            "tail -c +3",
            "tail -n 1 -s 9",
            "head -n 1",
            "head -n -1",
            "head -c 3",
            "head -c -3",
            "cat",
            "cat -n",
            "wc",
            "wc -c",
            "wc -lc",
            "sort",
            "uniq",
            "sha256sum",
        ] {
            lines.push(format!("{command} {file}"));
        }
    }
    same(&target, &lines.iter().map(String::as_str).collect::<Vec<_>>(), "C");
}

// Seen to fail where `sort -t=` had no separator and `head -n=5` was 5 lines.
#[test]
fn options_are_read_as_getopt_reads_them() {
    needs_root!();
    let target = data();
    fs::write(target.root.join("data/pairs"), "b=1\na=2\n=x\nc=0\n").unwrap();
    let lines = [
        "sort -t= -k2 pairs",
        "sort -k2 -t = pairs",
        "grep -e=x pairs",
        "grep -e -t= pairs",
        "head --lines=2 few",
        "head --li=2 few",
        "head --by 3 few",
        "tail --lin=1 few",
        "wc --max few",
        "wc --lin few",
        "sort --rev few",
        "uniq --cou few",
        "sha256sum --ta few",
        "cat --number-n few",
    ];
    same(&target, &lines, "C");
    target.line("head -n=5 /data/few").fails(2, "a number is wanted");
    target.line("cat --show /data/few").fails(2, "--show");
}

#[test]
fn echo_prints_what_gnu_echo_prints() {
    needs_root!();
    let target = data();
    let lines = [
        "echo a b",
        "echo -n a",
        "echo -e a\\tb\\n",
        "echo -ne a\\tb",
        "echo -e -n x\\cy z",
        "echo -E a\\tb",
        "echo -e -E a\\tb",
        "echo -E -e a\\tb",
        "echo -eE \\t",
        "echo -e \\a\\b\\e\\f\\r\\v\\\\\\q\\x\\x4\\x41B\\0101\\101\\0\\0777\\9\\",
        "echo -x \\t",
        "echo -ex \\t",
        "echo -- -n",
        "echo - -n",
        "echo a -n --help",
        "echo -n -",
    ];
    same(&target, &lines, "C");
    assert_eq!(
        target.run(&["echo", "--version"]).ok(),
        target.run(&["ls", "--version"]).ok().replace("ls", "echo")
    );
    assert!(target.run(&["ls", "--vers", "/nowhere"]).ok().starts_with("ls (nsdbg) "));
}
