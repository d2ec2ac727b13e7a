//! Peers and mounts of the target that waste time and memory: name servers, and a FUSE without end.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::live::run;
use crate::prompt::Prompt;
use crate::support::{NSDBG, helper, needs_root, sandbox, skip};

const SOON: Duration = Duration::from_secs(8);
/// CAP_NET_BIND_SERVICE
const BIND: u64 = 1 << 10;

// Each seen to fail: silent, ids and junk without the limit on waiting for an answer by UDP, ids also without the look at
// a reply's number or at its name, circle without MAX_ALIASES, trickle without the limit on reading by TCP, or with one
// that begins anew at each read.
#[test]
fn r28_every_name_server_ends_within_the_limits() {
    needs_root!();
    for (how, words) in [
        ("silent", "no name server answered"),
        ("circle", "aliases that lead in a circle"),
        ("ids", "no name server answered"),
        ("trickle", "no name server answered"),
        ("junk", "no name server answered"),
    ] {
        let resolver = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";
        let builder = sandbox().file("etc/resolv.conf", resolver).caps(BIND).mode(&["dns", how]);
        let mut target = builder.start();
        assert_eq!(target.next_line(SOON).as_deref(), Some("listening"), "{how}");
        let begun = Instant::now();
        target.run(&["http", "get", "http://a.test/"]).fails(6, words);
        assert!(begun.elapsed() < SOON, "{how}: {:?}", begun.elapsed());
        let asked = target.lines(Duration::from_millis(100));
        assert!(asked.iter().any(|line| line == "asked by UDP"), "{how}: {asked:?}");
        assert_eq!(asked.iter().any(|line| line == "asked by TCP"), how == "trickle", "{how}: {asked:?}");
        // The operator's own limit comes first where it is shorter.
        if how != "circle" {
            let begun = Instant::now();
            let ran = target.run(&["http", "get", "--max-time", "0.5", "http://a.test/"]);
            assert!(ran.status == 28 && begun.elapsed() < Duration::from_secs(3), "{how}: {ran:?}");
        }
    }
}

// Seen to fail without the limit of `read_bounded` (ls -l), without --timeout (ls), and where more than one limit holds,
// without all of them: the glob without --timeout and GLOB_LIMIT, completion without its time limit, CANDIDATES_LIMIT
// and the number of entries that it looks at.
#[test]
fn r22_r26_a_mount_without_end_is_bounded() {
    needs_root!();
    if !fs::exists("/dev/fuse").unwrap() {
        skip!("no FUSE can be mounted here");
    }
    let target = sandbox().file("app/mine", "").set("fuse", "endless").start();
    for name in ["passwd", "group", "hosts"] {
        let path = target.root.join("etc").join(name);
        let _ = fs::remove_file(&path);
        symlink("/mnt/file", path).unwrap();
    }
    for (args, status, most) in [
        (&["ls", "-l", "/app"][..], 0, 64 << 10),
        (&["ls", "/mnt"], 124, 600 << 10),
        (&["http", "get", "http://a.test/"], 6, 64 << 10),
        (&["ps", "-ef"], 0, 64 << 10),
    ] {
        let mut command = Command::new(helper());
        command.arg("peak").arg(NSDBG).args(["--pid", &target.pid.to_string(), "--timeout", "3", "--"]);
        let begun = Instant::now();
        let ran = run(command.args(args));
        let (_, peak) = ran.err.trim_end().rsplit_once("peak ").expect("the peak");
        println!("{args:?}: {peak} KiB, {:?}", begun.elapsed());
        assert!(ran.status == status && begun.elapsed() < SOON, "{args:?}: {:?} {}", ran.status, ran.err);
        assert!(peak.parse::<u64>().unwrap() < most, "{args:?}: {peak}");
    }
    let ran = run(target.nsdbg().args(["--timeout", "10", "-c", "echo /mnt/*"]));
    assert!(ran.status != 0 && ran.out.is_empty(), "{} {}", ran.status, ran.err);
    let mut prompt = Prompt::start(&target);
    prompt.sees("/$ ");
    prompt.type_in(b"echo go''es on /mnt/name1\t");
    // Keys that come together are a paste, in which nothing is completed.
    prompt.sees("/mnt/name1");
    std::thread::sleep(Duration::from_millis(200));
    prompt.type_in(b"\r");
    prompt.sees("goes on /mnt/name1\r\n");
}
