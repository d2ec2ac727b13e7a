//! Nothing where something is wanted: an empty word, no operand and no input, and nobody who reads what is printed.

use std::process::{Command, Stdio};

use super::*;
use crate::live::{end, run_with_input};
use crate::support::NSDBG;

/// Lines whose last word is empty: status, and what is said.
const WORDS: &[(&str, i32, &str)] = &[
    ("cat ''", 1, "open '': no such file or directory"),
    ("certs ''", 1, "open '': no such file or directory"),
    ("cgroup ''", 2, "unexpected argument '' found"),
    ("count ''", 0, ""),
    ("df ''", 1, "statfs '': no such file or directory"),
    ("dns ''", 2, "ask for '': it is empty"),
    ("dns localhost @", 2, "the server is missing: @SERVER"),
    ("doctor ''", 2, "find check '': no such check or group (doctor --list)"),
    ("du ''", 1, "stat '': no such file or directory"),
    ("echo ''", 0, ""),
    ("env ''", 1, ""),
    ("false ''", 1, ""),
    ("file ''", 1, "stat '': no such file or directory"),
    ("find ''", 1, "stat '': no such file or directory"),
    ("first ''", 2, "invalid value '' for '[COUNT]': not a number"),
    ("free ''", 2, "unexpected argument '' found"),
    ("get /data/few ''", 1, "open '': no such file or directory"),
    ("grep ''", 1, ""),
    ("grep one ''", 2, "open '': no such file or directory"),
    ("head ''", 1, "open '': no such file or directory"),
    ("help ''", 1, "'': no such command (nsdbg runs its own commands only: help lists them)"),
    ("history ''", 2, "invalid value '' for '[COUNT]': not a number"),
    ("http get ''", 2, "URL '': the host is missing"),
    ("info ''", 2, "unexpected argument '' found"),
    ("ip ''", 2, "there is no object '': it is addr, link, route, rule or neigh"),
    ("kill ''", 1, "signal '': no PID and no name"),
    ("last ''", 2, "invalid value '' for '[COUNT]': not a number"),
    ("ldd ''", 1, "open '': no such file or directory"),
    ("ls ''", 2, "stat '': no such file or directory"),
    ("lsof ''", 1, "find '': a path must begin with '/' here"),
    ("mounts ''", 2, "find mount '': the path does not begin with /"),
    ("nc ''", 2, "the host is empty"),
    ("netstat ''", 2, "unexpected argument '' found"),
    ("ping ''", 2, "resolve '': not a host name"),
    ("proc ''", 2, "invalid value '' for '[PID]...': not a number"),
    ("ps ''", 0, ""),
    ("pstree ''", 1, "find user '': the container has no such user (a PID or a user's name)"),
    ("put '' /tmp", 1, "open '': no such file or directory"),
    ("pwd ''", 2, "unexpected argument '' found"),
    ("readlink -v ''", 1, "read link '': no such file or directory"),
    ("select ''", 2, "a field is missing"),
    ("sha1sum ''", 1, "open '': no such file or directory"),
    ("sha256sum ''", 1, "open '': no such file or directory"),
    ("sha512sum ''", 1, "open '': no such file or directory"),
    ("sleep ''", 2, "invalid value '' for '<TIMES>...': not a time"),
    ("sort ''", 2, "open '': no such file or directory"),
    ("sort-by ''", 2, "a field is missing"),
    ("stat ''", 1, "stat '': no such file or directory"),
    ("tail ''", 1, "open '': no such file or directory"),
    ("targets ''", 0, ""),
    ("tcp ''", 2, "the host is empty"),
    ("tls ''", 2, "'': the host is missing"),
    ("true ''", 0, ""),
    ("uniq ''", 1, "open '': no such file or directory"),
    ("users ''", 1, "find user '': /etc/passwd has none of that name or id"),
    ("wc ''", 1, "open '': no such file or directory"),
    ("where ''", 1, ""),
    ("who ''", 2, "invalid value '' for '<PIDS>...': not a number"),
    ("why ''", 1, "walk '': no such file or directory"),
];

// Seen to fail with an empty operand left out of messages, and with `who` left out of WORDS.
#[test]
fn an_empty_word_is_shown_as_one() {
    needs_root!();
    let target = spoiled(sandbox());
    covers(&target, WORDS.iter().map(|row| row.0), &[]);
    for (line, status, said) in WORDS {
        let said = if said.is_empty() { String::new() } else { format!("{}: {said}\n", command(line)) };
        is(line, &target.run(&words(line)), *status, &said);
    }
}

/// What is missing where a command is typed alone; the rest prints what there is, and ends with 0.
const ALONE: &[(&str, i32, &str)] = &[
    ("certs", 1, "the container has no certificate authorities (doctor ca-bundle)"),
    // What it found: there are no certificate authorities.
    ("doctor", 1, ""),
    ("dns", 2, "the name is missing: dns NAME [TYPE] [@SERVER]"),
    ("false", 1, ""),
    ("file", 2, "the following required arguments were not provided: <FILES>..."),
    ("get", 2, "the following required arguments were not provided: <PATH>..."),
    ("grep", 2, "a pattern is missing (grep PATTERN FILE)"),
    ("http", 2, "the following required arguments were not provided: <METHOD>"),
    ("ip", 2, "what to show is missing: it is addr, link, route, rule or neigh"),
    ("kill", 2, "wants a PID or the name of a process"),
    ("ldd", 2, "the following required arguments were not provided: <FILE|PID>..."),
    ("nc", 2, "takes a host and a port (nc HOST PORT)"),
    ("ping", 2, "the following required arguments were not provided: <HOST>"),
    ("put", 2, "the following required arguments were not provided: <PATH>..."),
    ("readlink", 2, "the following required arguments were not provided: <PATHS>..."),
    ("select", 2, "the following required arguments were not provided: <FIELDS>..."),
    ("sleep", 2, "the following required arguments were not provided: <TIMES>..."),
    ("sort-by", 2, "the following required arguments were not provided: <FIELDS>..."),
    ("stat", 2, "the following required arguments were not provided: <FILES>..."),
    ("tcp", 2, "the following required arguments were not provided: <HOST:PORT>..."),
    ("tls", 2, "the following required arguments were not provided: <HOST[:PORT]>"),
    ("where", 2, "the following required arguments were not provided: <CONDITION>..."),
    ("who", 2, "the following required arguments were not provided: <PIDS>..."),
    ("why", 2, "the following required arguments were not provided: <PATH>"),
];

/// Lines that read standard input, or an empty file, of which there is nothing: status, what is printed, what is said.
const EMPTY: &[(&str, i32, &str, &str)] = &[
    ("cat", 0, "", ""),
    ("cat /data/empty", 0, "", ""),
    ("head /data/empty", 0, "", ""),
    ("tail /data/empty", 0, "", ""),
    ("wc /data/empty", 0, "0 0 0 /data/empty\n", ""),
    ("wc", 0, "      0       0       0\n", ""),
    ("sort /data/empty", 0, "", ""),
    ("uniq /data/empty", 0, "", ""),
    ("sha1sum", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709  -\n", ""),
    ("sha1sum /data/empty", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709  /data/empty\n", ""),
    ("sha256sum --check", 1, "", "read -: there is no line of a list of digests in it"),
    ("sha512sum --check /data/empty", 1, "", "read /data/empty: there is no line of a list of digests in it"),
    ("grep one", 1, "", ""),
    ("grep one /data/empty", 1, "", ""),
    ("file /data/empty", 0, "/data/empty: empty\n", ""),
    ("du -b /data/empty", 0, "0\t/data/empty\n", ""),
    ("put - /tmp", 1, "", "the stream ended before its end: the copy is not complete"),
    ("count", 0, "0\n", ""),
    ("first", 0, "", ""),
    ("last", 0, "", ""),
    ("select a", 0, "", ""),
    ("sort-by a", 0, "", ""),
    ("where a", 1, "", ""),
];

// Seen to fail with `:; <FILES>` in the sentence.
#[test]
fn a_command_alone_says_what_is_missing_or_takes_empty_input() {
    needs_root!();
    let target = spoiled(sandbox());
    for entry in registry(&target) {
        let name = entry["name"].as_str().unwrap();
        let ran = target.line(&format!("cd /data/dir; {name}"));
        match ALONE.iter().find(|row| row.0 == name) {
            Some((_, status, "")) => is(name, &ran, *status, ""),
            Some((_, status, said)) => is(name, &ran, *status, &format!("{name}: {said}\n")),
            None => is(name, &ran, 0, ""),
        }
    }
    for (line, status, out, said) in EMPTY {
        let ran = target.run(&words(line));
        let said = if said.is_empty() { String::new() } else { format!("{}: {said}\n", command(line)) };
        is(line, &ran, *status, &said);
        assert_eq!(ran.text(), *out, "{line}");
    }
}

/// Lines that print something, and the status that they have where all of it is read.
const PRINTING: &[(&str, i32)] = &[
    ("cat /data/huge", 0),
    ("cgroup", 0),
    ("count", 0),
    ("df", 0),
    ("dns --explain localhost", 0),
    // What it found.
    ("doctor -v", 1),
    ("du -a /data/dir", 0),
    ("echo x", 0),
    ("env", 0),
    ("false", 1),
    ("file /data/few", 0),
    ("find /data/dir", 0),
    ("first", 0),
    ("free", 0),
    ("get /data/huge -", 0),
    ("grep z /data/huge", 0),
    ("head -c 3000000 /data/huge", 0),
    ("help", 0),
    ("history", 0),
    ("http get http://127.0.0.1:8080/", 0),
    ("info", 0),
    ("ip addr", 0),
    ("kill -l", 0),
    ("last", 0),
    ("ls -l /data", 0),
    ("lsof", 0),
    ("mounts", 0),
    ("nc -N 127.0.0.1 8080", 0),
    ("netstat -a", 0),
    ("ping -c 1 127.0.0.1", 0),
    ("proc", 0),
    ("ps", 0),
    ("pstree", 0),
    ("pwd", 0),
    ("readlink /data/broken", 0),
    ("select a", 0),
    ("sha1sum /data/few", 0),
    ("sha256sum /data/few", 0),
    ("sha512sum /data/few", 0),
    ("sleep 0", 0),
    ("sort /data/huge", 0),
    ("sort-by a", 0),
    ("stat /data/few", 0),
    ("tail -c 3000000 /data/huge", 0),
    ("targets", 0),
    ("tcp 127.0.0.1:8080", 0),
    ("true", 0),
    ("uniq /data/huge", 0),
    ("users", 0),
    ("wc /data/few", 0),
    ("where a", 0),
    ("who 1", 0),
    ("why /data/few", 0),
];

// Seen to fail without the silence of EPIPE in `execute`.
#[test]
fn a_closed_pipe_is_quiet_for_every_command() {
    needs_root!();
    let from = sandbox()
        .mode(&["serve", "8080"])
        .file("data/huge", [b"z".repeat(99), vec![b'\n']].concat().repeat(1 << 15));
    let target = spoiled(from);
    super::super::network::script(
        &target,
        "ip link set lo up; echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range",
    );
    let others = [
        ("it prints nothing unless it is asked for progress", "put"),
        ("there is nothing here that it would print: tests/broken has it", "certs ldd"),
        ("what is wrong with the peer is said, whoever reads: tls.rs has one that is right", "tls"),
    ];
    covers(&target, PRINTING.iter().map(|row| row.0), &others);
    let rows = b"{\"a\":1}\n".repeat(100_000);
    for (line, status) in PRINTING {
        let mut nsdbg = target.nsdbg();
        nsdbg.arg("--").args(words(line));
        let mut child =
            nsdbg.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().unwrap();
        // A server that was sent more than it reads resets the connection.
        let input = if command(line) == "nc" { b"x\n".to_vec() } else { rows.clone() };
        let feeder = std::thread::spawn(move || drop(std::io::Write::write_all(&mut stdin, &input)));
        let ran = end(child);
        feeder.join().unwrap();
        // What fits into a pipe may be written before its end is seen.
        assert!(ran.status == *status || ran.status == 141, "{line}: {ran:?}");
        assert_eq!(ran.err, "", "{line}");
        if matches!(command(line), "count" | "first" | "last" | "select" | "sort-by" | "where" | "nc") {
            continue;
        }
        let ran = target.line(&format!("{line} | head -c 1"));
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{line}: {ran:?}");
    }
    // Rows go to a filter, or to what prints them.
    for line in ["first 3", "last 3", "select a", "sort-by a", "where a", "count a"] {
        let ran = run_with_input(target.nsdbg().args(["-c", &format!("{line} | head -n 1")]), &rows);
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{line}: {ran:?}");
    }
}

/// What nsdbg prints itself.
fn own_pages(target: &Sandbox) -> Vec<Vec<String>> {
    let pid = target.pid.to_string();
    let mut pages: Vec<Vec<String>> = [
        &["--help"][..],
        &["-h"],
        &["--version"],
        &["--list"],
        &["--list", "--json"],
        &["--who", &pid],
        &["--pid", &pid, "-c", "export A=b; export"],
        &["--pid", &pid, "--", "ls", "--help"],
    ]
    .into_iter()
    .map(|words| words.iter().map(|word| (*word).to_owned()).collect())
    .collect();
    for builtin in ["cd", "exit", "export", "quit", "switch", "unset"] {
        pages.push(["--pid", &pid, "--", builtin, "--help"].map(str::to_owned).into());
    }
    pages
}

// Seen to fail without the look at what writing came to in `run`, `Session::print` and `end`: status 0.
#[test]
fn output_that_can_not_be_written_fails() {
    needs_root!();
    let from = sandbox()
        .mode(&["serve", "8080"])
        .file("data/huge", [b"z".repeat(99), vec![b'\n']].concat().repeat(1 << 15));
    let target = spoiled(from);
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let fails = |nsdbg: &mut Command, what: &str| {
        let child = nsdbg.stdin(Stdio::null()).stdout(full()).stderr(Stdio::piped()).spawn().unwrap();
        let ran = end(child);
        assert!(ran.status != 0 && ran.err.contains("no space left on device"), "{what}: {ran:?}");
    };
    for (line, _) in PRINTING {
        let nsdbg = || {
            let mut nsdbg = target.nsdbg();
            nsdbg.arg("--").args(words(line));
            nsdbg
        };
        if !run(&mut nsdbg()).out.is_empty() {
            fails(&mut nsdbg(), line);
        }
    }
    for page in own_pages(&target) {
        let nsdbg = || {
            let mut nsdbg = Command::new(NSDBG);
            nsdbg.args(&page);
            nsdbg
        };
        fails(&mut nsdbg(), &page.join(" "));
        let mut child =
            nsdbg().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ran = end(child);
        assert!(matches!(ran.status, 0 | 141) && ran.err.is_empty(), "{page:?}: {ran:?}");
    }
}
