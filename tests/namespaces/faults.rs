//! Steps of entering that fail, each in its turn: who enters is who was meant, or nobody is.

use std::process::Command;

use crate::live::{Live, run};
use crate::support::{Builder, NSDBG, Sandbox, helper, needs_root, sandbox};

/// nsdbg under system calls that fail; see the helper's `filter`.
pub fn filtered(rules: &[&str], target: &Sandbox) -> Command {
    let mut command = Command::new(helper());
    command.arg("filter").args(rules).arg("--").arg(NSDBG).args(["--pid", &target.pid.to_string()]);
    command
}

// Seen to fail without each fallback: setns one by one, the user namespace late, close by /proc/self/fd, the memfd.
#[test]
fn r35_the_fallbacks_of_old_kernels_enter_all_the_same() {
    needs_root!();
    // setns with other flags than one namespace's, close_range, openat2, mount_setattr, fsconfig's SET_FD, by which a
    // procfs is told its PID namespace; all of them.
    let setns = |errno: &str| {
        format!("308:1!128,131072,33554432,67108864,134217728,268435456,536870912,1073741824:{errno}")
    };
    let sets: Vec<Vec<String>> = ["1", "22", "38"]
        .into_iter()
        .flat_map(|errno| {
            let all: Vec<String> = std::iter::once(setns(errno))
                .chain([436, 437, 442].map(|number| format!("{number}:{errno}")))
                .chain([format!("431:1=5:{errno}")])
                .collect();
            all.iter().map(|rule| vec![rule.clone()]).chain([all.clone()]).collect::<Vec<_>>()
        })
        .collect();
    // The last one's network namespace is not its user namespace's.
    let outer = sandbox().mapped().set("ns", "outer-net,mnt,pid,ipc,uts,cgroup");
    for target in [sandbox(), sandbox().mapped(), outer].map(Builder::start) {
        for rules in &sets {
            let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
            let ran = run(filtered(&rules, &target).args(["--", "cat", "/etc/group"]));
            assert!(ran.status == 0 && ran.text().contains("logs"), "{rules:?}: {ran:?}");
            let ran = run(filtered(&rules, &target).args(["--", "ps", "-eo", "pid,args"]));
            assert!(ran.status == 0 && ran.text().lines().count() == 2, "{rules:?}: {ran:?}");
        }
    }
}

// Seen to fail without the end at each of these failures (capset: of all its calls).
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
        ("157:0=4:22", ""),
        ("157:0=1:22", ""),
        ("157:0=22:22", "seccomp allowlist"),
        ("157:0=24:1", "bounding set"),
        ("157:0=28:1", "securebits"),
        ("157:0=47:1", "ambient"),
        ("250:13", "session keyring"),
        ("81:1", "the target's root"),
        ("112:1", ""),
        ("436:9", ""),
        ("434:24", "pidfd_open"),
    ] {
        let ran = run(filtered(&[rule], &target).args(["--", "echo", "inside"]));
        assert!(ran.status == 125 && ran.out.is_empty() && ran.err.contains(step), "{rule}: {ran:?}");
    }
}

// Seen to fail without `draw_keys` at the start: a panic of std, status 134 or 125, or /dev/urandom of the container opened.
#[test]
fn r35_without_random_numbers_nothing_is_entered() {
    needs_root!();
    let target = sandbox().start();
    let pid = target.pid.to_string();
    for (errno, cause) in
        [("38", "function not implemented"), ("1", "operation not permitted"), ("5", "I/O error")]
    {
        let nsdbg = |args: &[&str]| {
            let mut command = Command::new(helper());
            let rule = format!("{}:{errno}", libc::SYS_getrandom);
            run(command.args(["filter", &rule, "--"]).arg(NSDBG).args(args))
        };
        for args in [
            &["--list"][..],
            &["--who", "1"],
            &["--pid", &pid, "--", "ls", "/"],
            &["--pid", &pid, "--", "ps"],
            &["--pid", &pid, "--audit", "/dev/null", "--", "true"],
            &["--pid", &pid, "-c", "dns localhost"],
        ] {
            let ran = nsdbg(args);
            assert_eq!((ran.status, ran.err), (125, format!("nsdbg: getrandom: {cause}\n")), "{args:?}");
        }
        assert!(nsdbg(&["--help"]).ok().contains("Usage: nsdbg"));
    }
}

// Seen to fail with what /proc/self/fd lists closed instead: inside, that is the container's to fake.
#[test]
fn r02_r35_without_close_range_a_child_has_its_pipes_alone() {
    needs_root!();
    for proc in ["yes", "none", "tmpfs"] {
        let target = sandbox().file("proc/self/fd/0", "").set("proc", proc).start();
        let live = Live::of(filtered(&["436:38"], &target).args(["--", "cat"]));
        let fds = live.facts().fds;
        assert!(fds.keys().eq(&[0, 1, 2]), "{proc}: {fds:?}");
    }
}

#[test]
#[cfg(not(target_arch = "x86_64"))]
fn r35_each_system_call_of_entry_fails_once() {
    crate::support::skip!("registers are set on x86_64 alone");
}
