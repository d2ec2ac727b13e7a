//! `nsdbg --idle`, what a DaemonSet's container runs: it takes next to nothing, prints the audit, and ends when it is told.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::audit::{audited, place};
use crate::live::{descendants, run, wait, within};
use crate::support::{LIMIT, NSDBG, needs_root, sandbox, signal};

const SOON: Duration = Duration::from_secs(2);

/// One that serves an audit socket.
struct Idle {
    nsdbg: Child,
    socket: PathBuf,
    lines: Receiver<String>,
}

impl Idle {
    fn start() -> Self {
        let socket = place("socket");
        let mut command = Command::new(NSDBG);
        command.args(["--idle", "--serve-audit"]).arg(&socket);
        let mut nsdbg = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(nsdbg.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        assert!(within(LIMIT, || mode(&socket) == Some(0o600)), "a socket for root alone");
        Self { nsdbg, socket, lines }
    }

    fn line(&self) -> Option<String> {
        self.lines.recv_timeout(crate::support::patient(SOON)).ok()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.nsdbg.kill();
        let _ = self.nsdbg.wait();
    }
}

fn mode(path: &PathBuf) -> Option<u32> {
    fs::metadata(path).ok().map(|facts| facts.permissions().mode() & 0o7777)
}

/// A number of a file of procfs: KiB, or ticks.
fn number(pid: u32, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let line =
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    line.trim().split(' ').next().unwrap().parse().unwrap()
}

/// Whether it waits, so that it is all that it will be.
fn is_at_rest(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") S "))
        && fs::read_to_string(format!("/proc/{pid}/syscall"))
            .is_ok_and(|call| call.starts_with(&format!("{} ", libc::SYS_ppoll)) || call.starts_with("7 "))
}

/// Ticks of processor time, and how often it was given a processor.
fn use_of(pid: u32) -> (u64, u64) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<u64> =
        stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2).map(|n| n.parse().unwrap()).collect();
    (fields.iter().sum(), number(pid, "status", "voluntary_ctxt_switches:"))
}

// Seen to fail without the code given back (5 MiB).
#[test]
fn it_takes_less_than_three_mebibytes_and_no_processor() {
    needs_root!();
    let idle = Idle::start();
    let pid = idle.nsdbg.id();
    assert!(within(LIMIT, || is_at_rest(pid)));
    for field in ["Rss:", "Pss:"] {
        let kib = number(pid, "smaps_rollup", field);
        assert!(kib < 3 << 10, "{field} {kib} KiB");
    }
    // What the start has forked is gone, too.
    assert!(within(LIMIT, || descendants(pid as i32).is_empty()));
    assert_eq!(fs::read_dir(format!("/proc/{pid}/task")).unwrap().count(), 1);
    let before = use_of(pid);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(use_of(pid), before, "ticks and switches in 3 s");
}

// Seen to fail with one signal left out.
#[test]
fn it_ends_at_once_when_it_is_told() {
    needs_root!();
    for number in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let mut idle = Idle::start();
        let begun = Instant::now();
        signal(idle.nsdbg.id() as i32, number);
        assert_eq!(wait(&mut idle.nsdbg, LIMIT), Some(0), "{number}");
        assert!(
            begun.elapsed() < crate::support::patient(Duration::from_millis(500)),
            "{:?}",
            begun.elapsed()
        );
    }
}

// Seen to fail without `reap`.
#[test]
fn as_the_first_process_of_a_pid_namespace_it_reaps_what_is_left_to_it() {
    needs_root!();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", NSDBG, "--idle"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Ended with the test: its first process is, too, then.
    let outer = Idle { nsdbg: command.spawn().unwrap(), socket: PathBuf::new(), lines: channel().1 };
    let below = || descendants(outer.nsdbg.id() as i32);
    assert!(within(LIMIT, || below().len() == 1), "{:?}", below());
    let idle = below()[0];
    assert!(within(LIMIT, || is_at_rest(idle as u32)));
    let line = "for i in 1 2 3 4 5; do (sleep 0.5 >/dev/null 2>&1 &) ; done";
    let ran = run(Command::new("nsenter").args(["--pid", "--target", &idle.to_string(), "sh", "-c", line]));
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(within(LIMIT, || descendants(idle).len() == 5), "they are left to it: {:?}", descendants(idle));
    assert!(within(LIMIT, || descendants(idle).is_empty()), "{:?} are not reaped", descendants(idle));
}

// Seen to fail with whatever comes printed, and with 64 KiB for a line.
#[test]
fn it_prints_each_line_of_an_audit_and_nothing_else() {
    needs_root!();
    let target = sandbox().start();
    let idle = Idle::start();
    let to = format!("unix:{}", idle.socket.display());
    assert_eq!(run(audited(&target, &to).args(["--", "echo", "hi"])).ok(), "hi\n");
    for event in ["begin", "end"] {
        let line: Value = serde_json::from_str(&idle.line().expect("a line")).unwrap();
        assert_eq!((&line["event"], &line["command"]), (&event.into(), &"echo hi".into()));
    }
    let sender = UnixDatagram::unbound().unwrap();
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(150 << 10));
    for text in ["", "no JSON", "[1]", "{\"a\":\n1}", "{}{}", "{\"a\":1}\n", &long] {
        sender.send_to(text.as_bytes(), &idle.socket).unwrap();
    }
    assert_eq!(idle.line(), Some(long));
    assert_eq!(idle.line(), None);
}

// Seen to fail with a file replaced.
#[test]
fn a_socket_of_an_earlier_start_is_replaced_and_anything_else_is_not() {
    needs_root!();
    let mut idle = Idle::start();
    let _ = idle.nsdbg.kill();
    let _ = idle.nsdbg.wait();
    let mut again = Command::new(NSDBG).args(["--idle", "--serve-audit"]).arg(&idle.socket).spawn().unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    assert!(within(LIMIT, || sender.send_to(b"x", &idle.socket).is_ok()));
    signal(again.id() as i32, libc::SIGTERM);
    assert_eq!(wait(&mut again, LIMIT), Some(0));
    // Seen to fail without the look for who receives: the second took the first one's lines.
    let idle = Idle::start();
    let second = run(Command::new(NSDBG).args(["--idle", "--serve-audit"]).arg(&idle.socket));
    second.fails(125, "another process receives there");
    sender.send_to(b"{\"a\":1}", &idle.socket).unwrap();
    assert_eq!(idle.line().as_deref(), Some("{\"a\":1}"));
    let file = place("file");
    fs::write(&file, "kept").unwrap();
    run(Command::new(NSDBG).args(["--idle", "--serve-audit"]).arg(&file)).fails(125, "bind");
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
}

// Seen to fail with an output that blocks.
#[test]
fn a_log_that_nobody_reads_refuses_commands_and_keeps_no_signal_back() {
    needs_root!();
    let target = sandbox().start();
    let socket = place("socket");
    let mut command = Command::new(NSDBG);
    command.args(["--idle", "--serve-audit"]).arg(&socket).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut nsdbg = Idle { nsdbg: command.spawn().unwrap(), socket: socket.clone(), lines: channel().1 };
    assert!(within(LIMIT, || mode(&socket) == Some(0o600)));
    let line = format!("{{\"a\":\"{}\"}}", "x".repeat(1000));
    // A sender has a limit of its own; the pipe and the socket's queue are full when a new one can't send.
    let send = |_| {
        let sender = UnixDatagram::unbound().unwrap();
        sender.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        (0..).take_while(|_| sender.send_to(line.as_bytes(), &socket).is_ok()).count()
    };
    let sent: usize = (0..1000).map(send).take_while(|count| *count > 0).sum();
    assert!((60..100_000).contains(&sent), "{sent} lines were taken");
    let to = format!("unix:{}", socket.display());
    run(audited(&target, to).args(["--", "true"])).fails(125, "timed out");
    signal(nsdbg.nsdbg.id() as i32, libc::SIGTERM);
    assert_eq!(wait(&mut nsdbg.nsdbg, SOON), Some(0));
}

#[test]
fn it_goes_with_nothing_else() {
    for args in [
        &["--idle", "web"][..],
        &["--idle", "--", "ls"],
        &["--idle", "--list"],
        &["--serve-audit", "/x", "--list"],
    ] {
        let ran = run(Command::new(NSDBG).args(args));
        assert_eq!(ran.status, 2, "{args:?}: {ran:?}");
    }
}
