//! `kill`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{family, has_tool};
use crate::live::{end, run, within};
use crate::support::{LIMIT, NSDBG, Sandbox, needs_root, sandbox, signal, skip};

const SETUID: u64 = 1 << 7;

/// PID and state of the children of this name, as the container counts.
fn states(target: &Sandbox, name: &str) -> Vec<(String, String)> {
    let said = target.run(&["ps", "-o", "pid=,state=", "-C", name]);
    let mut all: Vec<_> = said
        .text()
        .lines()
        .filter_map(|line| line.trim().split_once(' ').map(|(a, b)| (a.to_owned(), b.trim().to_owned())))
        .collect();
    all.sort();
    all
}

fn pid_of(target: &Sandbox, name: &str) -> String {
    states(target, name).first().unwrap_or_else(|| panic!("no {name}")).0.clone()
}

fn is_dead(target: &Sandbox, pid: &str) -> bool {
    within(LIMIT, || target.run(&["ps", "-o", "state=", "-p", pid]).text().trim() == "Z")
}

#[test]
fn signals_are_spelled_in_every_way_and_reach_their_process() {
    needs_root!();
    let mut target = family(sandbox().set("proc", "none"), &["handle=10", "handle=1", "child=a"]);
    for form in [
        vec!["kill", "-USR1", "1"],
        vec!["kill", "-SIGUSR1", "1"],
        vec!["kill", "-10", "1"],
        vec!["kill", "-s", "USR1", "1"],
        vec!["kill", "-susr1", "1"],
        vec!["kill", "--signal=USR1", "--", "1"],
    ] {
        assert_eq!(target.run(&form).ok(), "", "{form:?}");
        assert_eq!(target.next_line(LIMIT).as_deref(), Some("got 10"), "{form:?}");
    }
    assert_eq!(target.run(&["kill", "-1", "1"]).ok(), "");
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("got 1"));
    assert_eq!(target.run(&["kill", "-0", "1"]).ok(), "");
    let child = pid_of(&target, "a");
    let row: Value = serde_json::from_str(&target.run(&["kill", "--json", &child]).ok()).unwrap();
    assert_eq!(row["pid"].to_string(), child);
    assert_eq!((&row["name"], &row["signal"], &row["number"]), (&"a".into(), &"TERM".into(), &15.into()));
    assert!(is_dead(&target, &child));
}

#[test]
fn names_mean_all_processes_that_have_them() {
    needs_root!();
    let words = ["child=worker", "child=worker", "child=work", "child=fifteenletters1", "pair=shell"];
    let target = family(sandbox(), &words);
    let workers = states(&target, "worker");
    assert_eq!(workers.len(), 2);
    let told: String = workers.iter().map(|(pid, _)| format!("{pid} (worker): TERM\n")).collect();
    assert_eq!(target.run(&["kill", "-v", "worker", &workers[0].0]).ok(), told);
    assert!(workers.iter().all(|(pid, _)| is_dead(&target, pid)));
    // Nobody else was, and the dead have no name any more.
    assert_eq!(states(&target, "work")[0].1, "S");
    target.run(&["kill", "worker"]).fails(1, "signal worker: no such process");
    target.run(&["kill", "orke"]).fails(1, "no such process");
    // One that is wrong, the rest is signalled.
    let ran = target.run(&["kill", "-KILL", "nosuch", "fifteenletters1"]);
    assert_eq!((ran.status, ran.err.as_str()), (1, "kill: signal nosuch: no such process\n"));
    let ended = states(&target, "fifteenletters1");
    assert!(is_dead(&target, &ended[0].0));
    // A process group: all of the target's are in one.
    let leaf = states(&target, "leaf");
    let group = target.run(&["ps", "-o", "pgid=", "-p", &leaf[0].0]).ok();
    if group.trim() != "0" {
        let ran = target.run(&["kill", "-0", "-v", "--", &format!("-{}", group.trim())]).ok();
        assert!(ran.contains("(leaf): 0") && ran.contains("(shell): 0"), "{ran}");
    }
}

#[test]
fn the_program_has_a_name_too() {
    needs_root!();
    let target = sandbox().program("server").mode(&["exec", "/server", "sleep"]).start();
    assert!(within(LIMIT, || target.run(&["kill", "-0", "server"]).status == 0));
    assert!(target.run(&["kill", "-0", "-v", "server"]).ok().starts_with("1 ("));
}

#[test]
fn what_the_user_may_not_signal_is_refused_with_a_hint() {
    needs_root!();
    let target = family(sandbox().user(0, 0).caps(SETUID), &["child=other:1000"]);
    let pid = pid_of(&target, "other");
    target
        .run(&["kill", &pid])
        .fails(1, &format!("signal {pid} (other): operation not permitted (--root or --cap-add KILL)"));
    target.run(&["kill", "other"]).fails(1, "operation not permitted");
    assert_eq!(states(&target, "other")[0].1, "S");
    assert_eq!(target.run_with(&["--cap-add", "KILL"], &["kill", "other"]).ok(), "");
    assert!(is_dead(&target, &pid));
}

#[test]
fn what_has_no_effect_is_told() {
    needs_root!();
    let target = family(sandbox(), &["ignore=12", "handle=10", "zombie", "child=a"]);
    let told = |args: &[&str]| {
        let ran = target.run(args);
        assert_eq!((ran.status, ran.text().as_str()), (0, ""), "{args:?}: {ran:?}");
        ran.err
    };
    assert!(told(&["kill", "1"]).contains("does not get TERM: the first process of a container"));
    assert!(told(&["kill", "-9", "1"]).contains("does not get KILL"));
    assert!(told(&["kill", "-12", "1"]).contains("ignores USR2"));
    assert_eq!(told(&["kill", "-10", "1"]), "");
    let zombie = target.run(&["ps", "--json"]).ok();
    let zombie = zombie.lines().map(|row| serde_json::from_str::<Value>(row).unwrap());
    let zombie = zombie.into_iter().find(|row| row["state"] == "Z").unwrap()["pid"].to_string();
    assert!(told(&["kill", "-9", &zombie]).contains("is a zombie"));
    assert_eq!(states(&target, "a")[0].1, "S");
}

// Seen to fail without the list of nsdbg's own processes in lookup.rs (nsdbg signalled itself), without
// PidNamespace::LeftOut (the node's first process was signalled, and refused it), and with -99 taken for a process group
// (the PID beside it got TERM).
#[test]
fn what_must_not_be_signalled_is_not() {
    needs_root!();
    let target = family(sandbox(), &["child=a"]);
    let pid = pid_of(&target, "a");
    for (args, status, words) in [
        (&["kill", "0"][..], 1, "signal 0: that would be nsdbg's own process group"),
        (&["kill", "--", "-1"], 1, "signal -1: that would be every process"),
        (&["kill", "-9", "-1"], 1, "that would be every process"),
        (&["kill", "4000000"], 1, "signal 4000000: no such process"),
        (&["kill", "99999999999"], 1, "no such process"),
        (&["kill", ""], 1, "no PID and no name"),
        (&["kill", "-FOO", "1"], 1, "send FOO: no such signal (kill -l lists them)"),
        (&["kill", "-s", "FOO", "1"], 1, "send FOO: no such signal (kill -l lists them)"),
        (&["kill", "-s", "65", "1"], 1, "no such signal"),
        (&["kill", "-99", "a"], 1, "send 99: no such signal"),
        (&["kill", "-65", "a"], 1, "send 65: no such signal"),
        (&["kill", "-99", &pid], 1, "send 99: no such signal"),
        (&["kill", &pid, "-99"], 1, "send 99: no such signal"),
        (&["kill", "-99999999999", &pid], 1, "send 99999999999: no such signal"),
        (&["kill", "-s", "99", &pid], 1, "send 99: no such signal"),
        (&["kill", "-99", "--", &format!("-{pid}")], 1, "send 99: no such signal"),
        (&["kill", "-0", "--", "-4000000"], 1, "signal -4000000: no such process"),
        (&["kill", "-0", "-4000000"], 1, "signal -4000000: no such process"),
        (&["kill"], 2, "wants a PID or the name of a process"),
        (&["kill", "nsdbg"], 1, "no such process"),
    ] {
        target.run(args).fails(status, words);
    }
    target.run_with(&["--read-only"], &["kill", "a"]).fails(1, "signal a: the session is --read-only");
    assert_eq!(target.run_with(&["--read-only"], &["kill", "-0", "a"]).ok(), "");
    // Without the PID namespace the numbers would be the node's.
    target.run_with(&["--ns", "-pid"], &["kill", "1"]).fails(1, "--ns leaves it out");
    assert_eq!(states(&target, "a")[0].1, "S");
    // In a pipeline, too, nobody hits nsdbg.
    target.line("sleep 1 | kill -KILL nsdbg").fails(1, "signal nsdbg: no such process");
}

// Seen to fail without PidNamespace::Shared.
#[test]
fn a_shared_pid_namespace_takes_no_names() {
    needs_root!();
    let target = family(sandbox().set("ns", "mnt,net,ipc,uts,cgroup"), &["child=nsdbg-test-a"]);
    let ran = target.run(&["kill", "nsdbg-test-a"]);
    ran.fails(1, "the target shares the node's PID namespace, where the name may be another container's");
    let pid = fs::read_to_string(format!("/proc/{0}/task/{0}/children", target.pid)).unwrap();
    let pid = pid.trim();
    target.run(&["kill", "--", &format!("-{pid}")]).fails(1, "name the PIDs that are meant");
    assert_eq!(target.run(&["kill", pid]).status, 0);
    let state = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert!(within(LIMIT, || state().contains(") Z ")), "{}", state());
    // The node's first process is root's.
    target.run(&["kill", "-0", "1"]).fails(1, "operation not permitted");
}

/// Whether a process is held where it calls pidfd_open(2) for this PID.
fn opens(pid: i32) -> bool {
    let call = format!("{} {pid:#x} 0x0 ", libc::SYS_pidfd_open);
    let files = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path().join("syscall"));
    files.into_iter().any(|file| fs::read_to_string(file).is_ok_and(|text| text.starts_with(&call)))
}

// Seen to fail without the comparison of start times: then the signal went to the new process, and was refused.
#[test]
fn a_recycled_pid_is_not_hit() {
    needs_root!();
    if Command::new("strace").arg("-V").output().is_err() {
        skip!("no strace: apt-get install strace");
    }
    if !Path::new("/proc/sys/kernel/ns_last_pid").exists() {
        skip!("the kernel lets nobody choose a PID");
    }
    // SIGCHLD is ignored: who has ended leaves no zombie, and its PID is free.
    let target = family(sandbox(), &["ignore=17", "child=worker"]);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", target.pid)).unwrap();
    let victim: i32 = children.trim().parse().unwrap();
    let pid: i32 = pid_of(&target, "worker").parse().unwrap();
    let mut held = Command::new("strace");
    held.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=pidfd_open", "-e", "signal=none"])
        .args(["-e", "inject=pidfd_open:delay_enter=1500000", NSDBG, "--pid", &target.pid.to_string()])
        .args(["--", "kill", "worker"]);
    held.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let held = held.spawn().unwrap();
    assert!(within(LIMIT, || opens(pid)), "kill opens no pidfd");
    signal(victim, libc::SIGKILL);
    assert!(within(LIMIT, || !Path::new(&format!("/proc/{victim}")).exists()));
    let line = format!(
        "echo {} > /proc/sys/kernel/ns_last_pid; sleep 30 < /dev/null > /dev/null 2>&1 & echo $!",
        pid - 1
    );
    let other = run(Command::new("nsenter").args(["-t", &target.pid.to_string(), "-p", "sh", "-c", &line]));
    let ran = end(held);
    if other.text().trim() != pid.to_string() {
        skip!("the PID could not be chosen: {other:?}");
    }
    ran.fails(1, &format!("kill: signal {pid} (worker): no such process\n"));
}

// Seen to fail without the supervisor in the list of nsdbg's own processes.
#[test]
fn nsdbg_is_not_signalled_where_it_can_be_seen() {
    needs_root!();
    const KILL: u64 = 1 << 5;
    let target = sandbox().user(0, 0).caps(KILL).set("ns", "mnt,net,ipc,uts,cgroup").start();
    let mut nsdbg =
        target.nsdbg().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = nsdbg.id();
    let lines = format!("kill {pid}\nkill -9 {pid}\necho alive\n");
    nsdbg.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let ran = end(nsdbg);
    assert_eq!((ran.status, ran.text().as_str()), (0, "alive\n"), "{ran:?}");
    assert_eq!(ran.err.matches(&format!("kill: signal {pid}: no such process\n")).count(), 2, "{ran:?}");
}

#[test]
fn signals_are_listed_as_procps_does() {
    needs_root!();
    if !has_tool("/bin/kill") {
        skip!("no kill: apt-get install procps");
    }
    let target = sandbox().start();
    for args in [&["-l"][..], &["-L"], &["-l", "9"], &["-l", "KILL"], &["-l", "31"]] {
        let theirs = run(Command::new("/bin/kill").args(args));
        let ours = target.run(&[&["kill"], args].concat()).ok();
        let trimmed = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(trimmed(&ours), trimmed(&theirs.text()), "kill {args:?}");
    }
    assert_eq!(target.run(&["kill", "-l", "137"]).ok(), "KILL\n");
    target.run(&["kill", "-l", "FOO"]).fails(1, "FOO: no such signal");
    let rows = target.run(&["kill", "-l", "--json"]).ok();
    assert_eq!(rows.lines().next(), Some("{\"signal\":\"HUP\",\"number\":1}"));
}
