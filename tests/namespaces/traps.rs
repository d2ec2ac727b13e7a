//! Files of a container that wait, act or are too large: nsdbg opens none of them unasked, and reads none whole.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use crate::live::{run, run_with_input};
use crate::memory::bounded;
use crate::prompt::Prompt;
use crate::support::{LIMIT, Sandbox, needs_root, patient, sandbox, skip};

/// Within this a mount is given up, of which a second is the limit asked for.
const SOON: Duration = Duration::from_secs(8);
/// CAP_MKNOD
const MKNOD: u64 = 1 << 27;

/// A container whose root sets traps from inside, and has done so.
fn trapped(mode: &[&str]) -> Sandbox {
    let mut target = sandbox().user(0, 0).caps(MKNOD).file("app/mine", "").mode(mode).start();
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("set"));
    target
}

// Seen to fail without the look at an O_PATH descriptor, O_NONBLOCK and the second look (all).
#[test]
fn r21_what_is_no_file_is_named_and_not_opened() {
    needs_root!();
    let target = trapped(&["traps", "fifo:/tmp/fifo", "zero:/tmp/zero", "socket:/tmp/socket"]);
    for (name, kind) in [("fifo", "a FIFO"), ("zero", "a character device"), ("socket", "a socket")] {
        let path = format!("/tmp/{name}");
        let words = format!("open {path}: {kind}");
        target.run(&["cat", &path]).fails(1, &words);
        target.line(&format!("cat < {path}")).fails(1, &words);
        let ran = target.run(&["http", "get", "--cacert", &path, "https://127.0.0.1:8080/"]);
        assert!(ran.status != 0 && ran.out.is_empty() && ran.err.contains(kind), "{ran:?}");
        // What can be read of many is read.
        let ran = target.run(&["cat", &path, "/etc/group"]);
        assert!(ran.status == 1 && ran.text().contains("logs"), "{ran:?}");
    }
}

// Seen to fail without the look at an O_PATH descriptor, O_NONBLOCK and the second look (all).
#[test]
fn r21_a_users_file_that_is_a_fifo_holds_nobody_up() {
    needs_root!();
    let target = trapped(&["traps", "fifo:/etc/passwd", "fifo:/etc/group"]);
    for command in [&["ls", "-l", "/app"][..], &["ps", "-ef"], &["true"]] {
        assert_eq!(target.run(command).status, 0, "{command:?}");
    }
    target.run(&["cat", "/etc/passwd"]).fails(1, "open /etc/passwd: a FIFO");
}

// Seen to fail without the look at an O_PATH descriptor, O_NONBLOCK and the second look (all).
#[test]
fn r21_a_resolvers_file_that_is_a_fifo_holds_nobody_up() {
    needs_root!();
    for name in ["resolv.conf", "hosts", "nsswitch.conf"] {
        let target = trapped(&["traps", &format!("fifo:/etc/{name}")]);
        let ran = target.run(&["http", "get", "http://nsdbg.test/"]);
        let words = format!("; /etc/{name} is a FIFO");
        assert!(ran.status != 0 && ran.err.contains("nsdbg.test") && ran.err.contains(&words), "{ran:?}");
        target.run(&["cat", &format!("/etc/{name}")]).fails(1, &format!("open /etc/{name}: a FIFO"));
    }
}

// Seen to fail without O_NONBLOCK, with the look at an O_PATH descriptor; and without the second look.
#[test]
fn r21_a_file_swapped_for_a_trap_while_it_is_opened_holds_nobody_up() {
    needs_root!();
    let paths = vec!["/tmp/race"; 50];
    for (kind, what) in [("fifo", "a FIFO"), ("zero", "a character device")] {
        let target = trapped(&["swap-trap", kind, "/tmp/race"]);
        let (mut read, mut refused, mut swapped) = (0, 0, 0);
        for _ in 0..100 {
            let ran = run(target.nsdbg().args(["--", "cat"]).args(&paths));
            let text = ran.text();
            assert!(text.lines().all(|line| line == "x"), "{ran:?}");
            assert_eq!(text.lines().count() + ran.err.lines().count(), paths.len(), "{ran:?}");
            for line in ran.err.lines() {
                assert!(line.contains(&format!("/tmp/race: {what}")) || line.contains("swapped"), "{ran:?}");
                swapped += u32::from(line.contains("swapped"));
            }
            read += text.lines().count();
            refused += ran.err.lines().count();
        }
        println!("{kind}: {read} read, {refused} refused, {swapped} of them swapped for a file");
        assert!(read >= 100 && refused >= 100, "the race is none: {kind} {read} {refused}");
    }
}

// Seen to fail without the limit of `read_bounded`.
#[test]
fn r26_a_resolvers_file_of_a_gibibyte_is_not_held() {
    needs_root!();
    for name in ["resolv.conf", "hosts", "nsswitch.conf"] {
        let target = trapped(&["traps", &format!("gibibyte:/etc/{name}")]);
        let (status, length, said) = bounded(&target, &["http", "get", "http://nsdbg.test/"]);
        let words = format!("; /etc/{name} is too large");
        assert!(status != 0 && length == 0 && said.contains(&words), "{status} {length} {said}");
    }
}

// Seen to fail without the limit of `read_bounded`.
#[test]
fn r26_a_users_file_of_a_gibibyte_is_not_held() {
    needs_root!();
    let target = trapped(&["traps", "gibibyte:/etc/passwd", "gibibyte:/etc/group"]);
    for args in [&["ls", "-l", "/app"][..], &["ps", "-ef"]] {
        let (status, length, said) = bounded(&target, args);
        assert!(status == 0 && (20..2000).contains(&length), "{args:?}: {status} {length} {said}");
    }
}

// Seen to fail without the limit of `read_bounded` and the look at what the file is (both).
#[test]
fn r26_a_hosts_file_without_end_is_not_read() {
    needs_root!();
    let target = trapped(&["traps", "zero:/dev/zero", "link-to-zero:/etc/hosts"]);
    let (status, length, said) = bounded(&target, &["http", "get", "http://nsdbg.test/"]);
    let words = "; /etc/hosts is a character device";
    assert!(status != 0 && length == 0 && said.contains(words), "{status} {length} {said}");
}

// Seen to fail with an arena that holds 1 KiB more for each name.
#[test]
fn r26_a_directory_of_200_000_entries_is_listed() {
    needs_root!();
    let target = sandbox().start();
    let many = target.root.join("many");
    fs::create_dir(&many).unwrap();
    let first = many.join(format!("{:016}", 0));
    File::create(&first).unwrap();
    for number in 1..200_000 {
        let name = many.join(format!("{number:016}"));
        // Links are quicker made than files; ext4 takes 65,000 of one.
        if number % 10_000 == 0 {
            File::create(name).unwrap();
        } else {
            fs::hard_link(many.join(format!("{:016}", number / 10_000 * 10_000)), name).unwrap();
        }
    }
    for args in [&["ls", "/many"][..], &["ls", "-l", "/many"]] {
        let (status, length, said) = bounded(&target, args);
        assert!(status == 0 && length >= 200_000 * 17, "{args:?}: {status} {length} {said}");
    }
}

// Seen to fail with a limit of 64 MiB for a command line.
#[test]
fn r26_a_command_line_of_a_mebibyte_is_cut() {
    needs_root!();
    // The kernel takes 128 KiB in one argument, and ps as much of all; JSON has it as a list too.
    let word = "x".repeat(120_000);
    let words = vec![word.as_str(); 9];
    let mode: Vec<&str> = ["sleep"].into_iter().chain(words).collect();
    let target = sandbox().mode(&mode).start();
    for args in [&["ps", "-ef"][..], &["ps", "-eo", "args"], &["ps", "-e", "--json"]] {
        let (status, length, said) = bounded(&target, args);
        assert!(status == 0 && length < 300_000, "{args:?}: {status} {length} {said}");
    }
}

// Seen to fail without giving up a command that does not end: with `Ending::advance` that is always false.
#[test]
fn r22_a_mount_that_never_answers_is_given_up() {
    needs_root!();
    if !fs::exists("/dev/fuse").unwrap() {
        skip!("no FUSE can be mounted here");
    }
    for daemon in ["unread", "silent"] {
        let takes_requests = daemon == "silent";
        let target = sandbox().set("fuse", daemon).start();
        let begun = Instant::now();
        let ran = target.run_with(&["--timeout", "1"], &["ls", "/mnt"]);
        assert!(
            ran.status == 124 && begun.elapsed() < patient(SOON),
            "{daemon}: {:?} {ran:?}",
            begun.elapsed()
        );
        assert_eq!(ran.err.contains("ls: given up: it does not end"), takes_requests, "{ran:?}");

        let begun = Instant::now();
        let ran = run_with_input(target.nsdbg().args(["--timeout", "1"]), b"ls /mnt\necho on\n");
        assert!(begun.elapsed() < patient(SOON) && ran.text() == "on\n", "{daemon}: {ran:?}");

        let mut prompt = Prompt::start(&target);
        prompt.sees("web:/$ ");
        prompt.type_in(b"ls /mnt\r");
        std::thread::sleep(Duration::from_millis(500));
        prompt.type_in(b"\x03");
        if takes_requests {
            prompt.sees("ls: given up: it does not end");
        }
        prompt.sees("web:/$ ");
        prompt.type_in(b"echo o''n\r");
        prompt.sees("on");
    }
}
