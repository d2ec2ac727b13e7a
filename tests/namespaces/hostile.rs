//! Targets that attack nsdbg, or hide what it looks at.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::live::{Live, end, run, run_with_input};
use crate::support::{NSDBG, Sandbox, helper, needs_root, sandbox};

const QUIET: Duration = Duration::from_millis(300);
/// CAP_SYS_PTRACE with what reading and killing need.
const PTRACE: u64 = 1 << 19 | 1 << 1 | 1 << 2 | 1 << 5;

/// nsdbg under system calls that fail; see the helper's `filter`.
fn filtered(rules: &[&str], target: &Sandbox) -> Command {
    let mut command = Command::new(helper());
    command.arg("filter").args(rules).arg("--").arg(NSDBG).args(["--pid", &target.pid.to_string()]);
    command
}

/// open_tree, as a container runtime's filter and an old kernel refuse it.
const OPEN_TREE: [&str; 3] = ["", "428:1", "428:38"];

#[test]
fn r01_the_running_image_can_not_be_written() {
    needs_root!();
    for rule in OPEN_TREE {
        let mut target = sandbox().user(0, 0).caps(PTRACE).mode(&["attack"]).start();
        assert_eq!(target.next_line(Duration::from_secs(5)).as_deref(), Some("attacking"));
        // A copy, so that a success harms no other test.
        let program = target.root.join("app/nsdbg");
        fs::copy(NSDBG, &program).unwrap();
        let before = fs::read(&program).unwrap();
        let rules: Vec<&str> = [rule].into_iter().filter(|rule| !rule.is_empty()).collect();
        let mut last = String::new();
        for _ in 0..3 {
            let mut command = Command::new(helper());
            command.arg("filter").args(&rules).arg("--").arg(&program);
            // The attacker kills what it can trace.
            command.args(["--pid", &target.pid.to_string(), "--", "cat"]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let stdin = child.stdin.take();
            std::thread::sleep(Duration::from_millis(100));
            drop(stdin);
            let ran = end(child);
            last = format!("{ran:?}");
        }
        let got = target.lines(QUIET);
        assert!(got.iter().any(|line| line == "got exe"), "the attacker is not as wanted: {got:?}, {last}");
        assert!(!got.iter().any(|line| line.contains("written: true")), "{rule}: {got:?}");
        assert!(fs::read(&program).unwrap() == before, "{rule}: the program was overwritten");
    }
}

#[test]
fn r04_r06_without_ptrace_nothing_of_a_child_is_had() {
    needs_root!();
    for target in [
        sandbox(),
        sandbox().user(0, 0).caps(0xa804_25fb),
        sandbox().mapped().user(0, 0).caps(0x1ff_ffff_ffff),
    ] {
        let mut target = target.mode(&["attack"]).start();
        assert_eq!(target.next_line(Duration::from_secs(5)).as_deref(), Some("attacking"));
        for _ in 0..20 {
            let ran = run_with_input(target.nsdbg().args(["--", "cat"]), b"x\n");
            assert_eq!((ran.status, ran.text().as_str()), (0, "x\n"), "{ran:?}");
        }
        assert_eq!(target.lines(QUIET), Vec::<String>::new());
    }
}

#[test]
fn r07_r37_a_target_sees_one_child_and_no_word_of_the_operator() {
    needs_root!();
    let mut target = sandbox().user(0, 0).caps(PTRACE).mode(&["watch"]).start();
    let argument = "nsdbg-test-argument-token";
    for _ in 0..5 {
        let mut command = target.nsdbg();
        command.args(["--", "cat", "-", argument]).env("TOKEN", "nsdbg-test-variable-token");
        run_with_input(&mut command, b"x\n");
        let live = Live::start(&target, &[]);
        assert_eq!(fs::read(format!("/proc/{}/cmdline", live.child)).unwrap(), b"nsdbg\0");
        std::thread::sleep(Duration::from_millis(50));
        drop(live);
        run(target.nsdbg().args(["--", "ps", "-ef"]));
    }
    let said = target.lines(QUIET);
    assert!(said.iter().any(|line| line == "seen 1"), "the watcher is not as wanted: {said:?}");
    for line in &said {
        assert!(line != "seen 3" && !line.contains("-token"), "{line}");
        assert!(!line.starts_with("environ ") || line == "environ ", "{line}");
    }
}

#[test]
fn r14_the_unshare_race_never_yields_capabilities() {
    needs_root!();
    let rounds: u32 =
        std::env::var("NSDBG_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(150);
    let mut target = sandbox().set("ns", "mnt").mode(&["racers"]).start();
    for round in 0..rounds {
        target.say(&(u64::from(round * 7919 % 20_000)).to_string());
        let line = target.next_line(Duration::from_secs(5)).unwrap();
        let racer = line.strip_prefix("racer ").unwrap().to_owned();
        let ran = run(Command::new(NSDBG).args([
            "--pid",
            &racer,
            "--",
            "cat",
            "/proc/self/status",
            "/proc/self/uid_map",
        ]));
        let text = ran.text();
        // Capabilities are had only in a user namespace of its own, which maps nobody.
        if ran.status == 0 && text.lines().last().is_some_and(|map| map.ends_with(" 4294967295")) {
            assert!(text.contains("CapEff:\t0000000000000000"), "round {round}: {text}");
        }
        target.say("");
    }
}

#[test]
fn r16_a_chrooted_target_shows_its_own_root() {
    needs_root!();
    let target = sandbox().file("app/mine", "").set("how", "chroot").start();
    assert_eq!(target.run(&["ls", "/app"]).ok(), "mine\n");
    assert_eq!(target.line("cd /../..; pwd; ls app").ok(), "/\nmine\n");
}

#[test]
fn r17_a_deleted_working_directory_is_left_for_the_root() {
    needs_root!();
    let target = sandbox().set("cwd", "deleted").start();
    let ran = target.run(&["pwd"]);
    assert_eq!((ran.status, ran.text().as_str()), (0, "/\n"), "{ran:?}");
    let target = sandbox().set("cwd", "/app").start();
    assert_eq!(target.run(&["pwd"]).ok(), "/app\n");
}

#[test]
fn r18_ps_is_right_whatever_proc_shows() {
    needs_root!();
    // fsconfig's SET_FD, as kernels before 6.17 refuse it.
    for rules in [&[][..], &["431:1=5:22"]] {
        for proc in ["yes", "none", "tmpfs", "hidepid", "masked"] {
            let target = sandbox().set("proc", proc).start();
            let ran = run(filtered(rules, &target).args(["--", "ps", "-eo", "pid,args"]));
            let lines: Vec<&str> = std::str::from_utf8(&ran.out).unwrap().lines().skip(1).collect();
            assert_eq!((ran.status, lines.len()), (0, 1), "{proc} {rules:?}: {ran:?}");
            assert!(lines[0].trim_start().starts_with("1 "), "{proc} {rules:?}: {ran:?}");
        }
    }
}

#[test]
fn r35_the_fallbacks_of_old_kernels_enter_all_the_same() {
    needs_root!();
    // setns with other flags than one namespace's, close_range, openat2, mount_setattr; all of them.
    let setns = |errno: &str| {
        format!("308:1!128,131072,33554432,67108864,134217728,268435456,536870912,1073741824:{errno}")
    };
    let sets: Vec<Vec<String>> = ["1", "22", "38"]
        .into_iter()
        .flat_map(|errno| {
            let all: Vec<String> = std::iter::once(setns(errno))
                .chain([436, 437, 442].map(|number| format!("{number}:{errno}")))
                .collect();
            all.iter().map(|rule| vec![rule.clone()]).chain([all.clone()]).collect::<Vec<_>>()
        })
        .collect();
    for target in [sandbox().start(), sandbox().mapped().start()] {
        for rules in &sets {
            let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
            let ran = run(filtered(&rules, &target).args(["--", "cat", "/etc/group"]));
            assert!(ran.status == 0 && ran.text().contains("logs"), "{rules:?}: {ran:?}");
        }
    }
}

#[test]
fn r35_a_step_that_fails_is_named_and_ends_it() {
    needs_root!();
    let target = sandbox().start();
    for (rule, step) in [
        ("116:1", "setgroups"),
        ("117:1", "setresuid"),
        ("119:1", "setresgid"),
        ("308:1", "setns"),
        ("161:1", "chroot"),
        ("126:1", "capset"),
        ("157:0=38:22", "no_new_privs"),
    ] {
        let ran = run(filtered(&[rule], &target).args(["--", "echo", "inside"]));
        assert!(ran.status == 125 && ran.out.is_empty() && ran.err.contains(step), "{rule}: {ran:?}");
    }
}
