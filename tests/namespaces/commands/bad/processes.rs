//! Processes that end while they are looked at, and capabilities that are missing.

use super::super::family;
use super::super::network::script;
use super::*;
use crate::live::within;
use crate::support::{LIMIT, signal};

/// Lines whose processes come and go: none of those may be told as a fault.
const PASSING: &[(&str, i32)] = &[
    ("ps -eLf", 0),
    ("ps -e --json", 0),
    ("pstree -p", 0),
    ("proc --json", 0),
    ("lsof --json", 0),
    ("netstat -anp", 0),
    ("cgroup", 0),
    // PID 1 has no handler for SIGTERM.
    ("doctor process", 1),
    ("free", 0),
    ("info", 0),
    ("kill -0 1", 0),
    ("targets", 0),
];

const OTHERS: &[(&str, &str)] = &[
    (
        "looks at no process",
        "cat certs count df dns du echo env false file find first get grep head help history http ip",
    ),
    (
        "looks at no process",
        "last ls mounts nc ping put pwd readlink select sha1sum sha256sum sha512sum sleep sort",
    ),
    ("looks at no process", "sort-by stat tail tcp tls true uniq users wc where why"),
    ("looks at the one that is named, whose program has no libraries here: tests/broken", "ldd"),
    ("named by the node's number, which does not come round here", "who"),
];

// Seen to fail with `pstree` that gives up at a process that is gone.
#[test]
fn processes_that_end_meanwhile_are_no_fault() {
    needs_root!();
    let target = sandbox().mode(&["forks"]).start();
    covers(&target, PASSING.iter().map(|row| row.0), OTHERS);
    for (line, status) in PASSING {
        for _ in 0..8 {
            is(line, &target.run(&words(line)), *status, "");
        }
    }
    // Those of the container's own /proc that went are named, as with any file.
    for line in ["find /proc -maxdepth 2", "du -s /proc", "ls -R /proc"] {
        let ran = target.run(&words(line));
        assert!(
            ran.err.lines().all(|said| said.starts_with(&format!("{}: ", command(line)))),
            "{line}: {ran:?}"
        );
    }
}

/// The highest PID that there can be; nobody has it.
const LAST: i32 = (1 << 22) - 1;

// Seen to fail with `kill` that is silent about who is not there.
#[test]
fn a_process_that_went_is_named() {
    needs_root!();
    let target = sandbox().start();
    let node = format!("who: find process {}: no such process in nsdbg's PID namespace\n", LAST);
    let who = format!("who {LAST}");
    for (line, said) in [
        ("kill 399", "kill: signal 399: no such process\n"),
        ("kill nobody", "kill: signal nobody: no such process\n"),
        ("proc 399", "proc: find process 399: no such process in the container\n"),
        ("pstree 399", "pstree: find process 399: no such process in the container\n"),
        // As those of procps and lsof: nothing is listed, which the status tells.
        ("ps -p 399 -o pid=", ""),
        ("lsof -p 399", ""),
        (&who, &node),
    ] {
        is(line, &target.run(&words(line)), 1, said);
    }
    // Of several the rest is shown.
    assert!(target.run(&["proc", "399", "1", "--json"]).text().starts_with("{\"pid\":1,"));
    // The target itself.
    let pid = target.pid;
    signal(pid, libc::SIGKILL);
    assert!(within(LIMIT, || !fs::exists(format!("/proc/{pid}/root")).unwrap_or(true) || {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    }));
    for entry in ["ps", "cat", "ls", "cgroup", "free", "lsof", "echo"] {
        let ran = target.run(&[entry]);
        assert!(
            ran.status == 125 && ran.err.contains(&pid.to_string()) && ran.err.lines().count() == 1,
            "{ran:?}"
        );
    }
}

const CAPABLE: &[(&str, &str)] = &[
    (
        "opens files as cat does: files.rs has its hint",
        "certs ldd head tail wc uniq sha1sum sha256sum sha512sum file http tls",
    ),
    ("looks at files as stat does: files.rs has its hint", "readlink du df"),
    (
        "what it takes is nsdbg's own, without which it enters nothing",
        "cgroup doctor free info lsof netstat proc ps pstree",
    ),
    ("what it takes is nsdbg's own, without which it enters nothing", "targets who"),
    (
        "takes none",
        "count dns echo env false first help history ip last mounts pwd select sleep sort-by tcp true where",
    ),
    ("takes none", "users why"),
];

// Seen to fail without the hint of `nc`, and without `denied::explain`.
#[test]
fn a_missing_capability_is_named_with_the_option_that_gives_it() {
    needs_root!();
    let target = spoiled(sandbox());
    script(&target, "ip link set lo up; echo '1 0' > /proc/sys/net/ipv4/ping_group_range");
    let denied = |operation: &str, path: &str| {
        format!("{operation} {path}: permission denied (why {path}, or --cap-add DAC_OVERRIDE)")
    };
    let put = format!("put {} /data/put", target.root.join("data/few").display());
    let rows = [
        (
            "ping -c 1 127.0.0.1",
            2,
            "open ICMP socket: it takes CAP_NET_RAW, or group 65532 in net.ipv4.ping_group_range, which is 1 0 (--cap-add NET_RAW)".to_owned(),
            "NET_RAW",
        ),
        ("nc -l -w 1 80", 1, "bind 0.0.0.0:80: permission denied (--cap-add NET_BIND_SERVICE)".into(), ""),
        ("nc -lu -w 1 80", 1, "bind 0.0.0.0:80: permission denied (--cap-add NET_BIND_SERVICE)".into(), ""),
        ("nc -p 80 127.0.0.1 1", 1, "bind 0.0.0.0:80: permission denied (--cap-add NET_BIND_SERVICE)".into(), ""),
        ("cat /data/secret", 1, denied("open", "/data/secret"), "DAC_OVERRIDE"),
        ("ls /data/locked", 2, denied("open", "/data/locked"), "DAC_OVERRIDE"),
        ("ls /data/locked/x", 2, denied("stat", "/data/locked/x"), "DAC_OVERRIDE"),
        ("stat /data/locked/x", 1, denied("stat", "/data/locked/x"), "DAC_OVERRIDE"),
        ("find /data/locked -name x", 1, denied("open", "/data/locked"), "DAC_OVERRIDE"),
        ("grep -r one /data/locked", 2, denied("open", "/data/locked"), "DAC_OVERRIDE"),
        ("get /data/secret -", 1, denied("open", "/data/secret"), "DAC_OVERRIDE"),
        ("sort -o /data/sorted /data/few", 2, denied("open", "/data/sorted"), "DAC_OVERRIDE"),
        (&put, 1, denied("create", "/data/put"), "DAC_OVERRIDE"),
    ];
    covers(&target, rows.iter().map(|row| row.0).chain(["kill"]), CAPABLE);
    for (line, status, said, option) in rows {
        let said = format!("{}: {said}\n", command(line));
        is(line, &target.run(&words(line)), status, &said);
        if !option.is_empty() {
            let ran = target.run_with(&["--cap-add", option], &words(line));
            assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{line} with {option}: {ran:?}");
        }
    }
    // With the capability the port is bound, and nobody comes.
    let ran = target.run_with(&["--cap-add", "NET_BIND_SERVICE"], &["nc", "-l", "-w", "1", "80"]);
    is("nc", &ran, 1, "nc: accept 0.0.0.0 80: nobody came in time\n");
    // Once a command, where many files are closed to it; none where the capability is held, or would not help.
    let ran = target.run(&["cat", "/data/secret", "/data/locked/x"]);
    let said = "cat: open /data/secret: permission denied (why /data/secret, or --cap-add DAC_OVERRIDE)\n\
                cat: open /data/locked/x: permission denied\n";
    is("cat", &ran, 1, said);
    let ran = target.run(&["ls", "/proc/2/fd"]);
    assert!(ran.status != 0 && !ran.err.contains("DAC_OVERRIDE"), "{ran:?}");
    let ran = target.run_with(&["--json"], &["cat", "/data/secret"]);
    assert_ne!(ran.status, 0, "{ran:?}");
    let ran = target.run_with(&["--json"], &["stat", "/data/locked/x"]);
    assert!(ran.err.contains("\"hint\":\"why /data/locked/x, or --cap-add DAC_OVERRIDE\""), "{ran:?}");
}

// Seen to fail with the hint of `kill` taken out.
#[test]
fn a_process_of_another_user_is_refused_with_the_option_that_allows_it() {
    needs_root!();
    let target = family(sandbox().user(0, 0).caps(1 << 7), &["child=other:1000"]);
    let ran = target.run(&["kill", "-0", "other"]);
    assert!(
        ran.status == 1 && ran.err.starts_with("kill: signal ") && ran.err.lines().count() == 1,
        "{ran:?}"
    );
    assert!(ran.err.ends_with(" (other): operation not permitted (--root or --cap-add KILL)\n"), "{ran:?}");
    is("kill", &target.run_with(&["--cap-add", "KILL"], &["kill", "-0", "other"]), 0, "");
}
