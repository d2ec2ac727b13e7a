//! What the processes do.

use std::fs;

use super::doctor;
use super::inside::{first, plain, started};
use crate::limits::Cgroup;
use crate::live::within;
use crate::support::{LIMIT, Sandbox, needs_root, signal, skip};

// Seen to fail with the bit of the next signal.
#[test]
fn pid1_signals() {
    needs_root!();
    let target = started(plain(), &["broken", "block"]);
    doctor(&target, &["process"]).says("pid1-signals", "ok", &first(&target));
    for (word, status, words) in [
        ("handle=15", "ok", "it has a handler"),
        ("ignore=15", "warn", "it ignores SIGTERM"),
        ("threads=1", "warn", "no handler for SIGTERM, and as PID 1 no default action"),
    ] {
        let target = started(plain(), &["family", word]);
        let report = doctor(&target, &[]);
        let row = report.says("pid1-signals", status, &first(&target));
        assert!(row["detail"].as_str().unwrap().contains(words), "{row}");
        assert_eq!(row["fix"].is_string(), status == "warn");
        report.nothing_else_is_broken(&[]);
    }
    // What is said is so.
    let target = started(plain(), &["family", "threads=1"]);
    signal(target.pid, libc::SIGTERM);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(crate::live::is_alive(target.pid));
}

// Seen to fail without the look at who the parent is.
#[test]
fn zombies() {
    needs_root!();
    let target = started(plain(), &["family", "zombie"]);
    let report = doctor(&target, &[]);
    let row = report.says("zombies", "warn", &first(&target));
    assert!(row["fix"].as_str().unwrap().contains("--init"), "{row}");
    report.nothing_else_is_broken(&[]);
    for (count, status, words) in [("6", "warn", "6 ended children"), ("2", "note", "2 ended children")] {
        let target = started(plain(), &["broken", "zombies", count]);
        let report = doctor(&target, &["zombies"]);
        let row = report.says("zombies", status, "2 (careless)");
        assert!(row["detail"].as_str().unwrap().contains(words), "{row}");
        assert_eq!((report.rows.len(), report.status), (1, i32::from(status == "warn")));
    }
    let target = started(plain(), &["broken", "zombies", "0"]);
    doctor(&target, &["zombies"]).says("zombies", "ok", "");
}

/// A zombie in the container's PID namespace, whose parent is a process of the node.
fn zombie_from_outside(target: &Sandbox) -> i32 {
    let namespace = fs::File::open(format!("/proc/{}/ns/pid", target.pid)).unwrap();
    // SAFETY: system calls alone in the children.
    let parent = unsafe { libc::fork() };
    if parent == 0 {
        // SAFETY: as above.
        unsafe {
            libc::prctl(libc::PR_SET_NAME, c"negligent".as_ptr());
            libc::setns(std::os::fd::AsRawFd::as_raw_fd(&namespace), libc::CLONE_NEWPID);
            if libc::fork() == 0 {
                libc::_exit(0);
            }
            loop {
                libc::pause();
            }
        }
    }
    assert!(parent > 0);
    parent
}

// Seen to fail where nothing but the container's own processes was looked at.
#[test]
fn a_parent_outside_of_the_container_is_named() {
    needs_root!();
    let target = started(plain(), &["family"]);
    let parent = zombie_from_outside(&target);
    let children = format!("/proc/{parent}/task/{parent}/children");
    assert!(crate::live::within(LIMIT, || fs::read_to_string(&children).is_ok_and(|all| !all.is_empty())));
    let report = doctor(&target, &["zombies"]);
    signal(parent, libc::SIGKILL);
    // SAFETY: no status is wanted.
    unsafe { libc::waitpid(parent, std::ptr::null_mut(), 0) };
    let row = report.says("zombies", "note", &format!("{parent} (negligent) of the node"));
    assert!(row["fix"].as_str().unwrap().contains("on the node"), "{row}");
}

// Seen to fail with the hard limit in the place of the soft one.
#[test]
fn fd_limit() {
    needs_root!();
    let mut target = started(plain(), &["broken", "limit-files"]);
    let open = fs::read_dir(format!("/proc/{}/fd", target.pid)).unwrap().count();
    for (soft, status, words) in [
        (100, "ok", "nothing is wrong"),
        (open + 1, "ok", "nothing is wrong"),
        (open, "fail", "no further file"),
        (open - 1, "fail", "no further file"),
    ] {
        limit_files(&mut target, soft);
        let report = doctor(&target, &[]);
        let subject = if status == "ok" { String::new() } else { first(&target) };
        let row = report.says("fd-limit", status, &subject);
        assert!(row["detail"].as_str().unwrap().contains(words), "{row}");
        if status == "fail" {
            assert_eq!(row["evidence"][0], format!("{open} open, limit {soft} (hard limit 1000)"));
        }
        report.nothing_else_is_broken(&["fd-limit"]);
    }
    let mut target = started(plain(), &["broken", "limit-files", "40"]);
    let open = fs::read_dir(format!("/proc/{}/fd", target.pid)).unwrap().count();
    for (soft, status) in [(open + 3, "warn"), (open + 10, "ok")] {
        limit_files(&mut target, soft);
        let report = doctor(&target, &["fd-limit"]);
        report.says("fd-limit", status, "");
        assert_eq!((report.rows.len(), report.status), (1, i32::from(status == "warn")));
    }
}

/// Has the target let itself have so many open files.
fn limit_files(target: &mut Sandbox, soft: usize) {
    target.say(&soft.to_string());
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("limited"));
}

// Seen to fail with any path that ends in ` (deleted)`.
#[test]
fn deleted_exe() {
    needs_root!();
    let target = started(plain().program("odd (deleted)"), &["exec", "/odd (deleted)", "serve", "8080"]);
    doctor(&target, &["deleted-exe"]).says("deleted-exe", "ok", "");
    let target = started(plain(), &["exec", "/server", "serve", "8080"]);
    doctor(&target, &["deleted-exe"]).says("deleted-exe", "ok", "");
    // As an upgrade does: another file of that name.
    let (new, old) = (target.root.join("new"), target.root.join("server"));
    fs::copy(&old, &new).unwrap();
    fs::rename(&new, &old).unwrap();
    let report = doctor(&target, &[]);
    let row = report.says("deleted-exe", "warn", "1 (server)");
    assert!(row["detail"].as_str().unwrap().contains("what /server was"), "{row}");
    assert_eq!(row["evidence"][0], "exe /server (deleted)");
    report.nothing_else_is_broken(&[]);
    // What was started out of memory may be meant.
    let target = started(plain(), &["broken", "memfd"]);
    assert!(crate::live::within(LIMIT, || {
        fs::read_link(format!("/proc/{}/exe", target.pid))
            .is_ok_and(|exe| exe.starts_with("/memfd:program (deleted)"))
    }));
    let report = doctor(&target, &["deleted-exe"]);
    report.says("deleted-exe", "note", &first(&target));
    assert_eq!(report.status, 0);
}

// Seen to fail without the look at the cgroup, and with `t` taken for `T`.
#[test]
fn state() {
    needs_root!();
    let target = started(plain(), &["family"]);
    doctor(&target, &["state"]).says("state", "ok", "");
    signal(target.pid, libc::SIGSTOP);
    let report = doctor(&target, &["state"]);
    assert_eq!(report.says("state", "fail", &first(&target))["fix"], "kill -CONT 1");
    signal(target.pid, libc::SIGCONT);
    // SAFETY: no request of these reads or writes memory.
    let trace = |request| assert_eq!(unsafe { libc::ptrace(request, target.pid, 0, 0) }, 0);
    trace(libc::PTRACE_SEIZE);
    trace(libc::PTRACE_INTERRUPT);
    assert!(within(LIMIT, || doctor(&target, &["state"]).of("state")[0]["status"] == "warn"));
    let report = doctor(&target, &["state"]);
    let row = report.says("state", "warn", &first(&target));
    assert!(row["evidence"][0].as_str().unwrap().contains("outside of the container"), "{row}");
    trace(libc::PTRACE_DETACH);
    let Some(freezer) = Cgroup::new("freezer") else { skip!("no cgroup that can be frozen can be made") };
    freezer.take(&target);
    assert!(freezer.freeze());
    let report = doctor(&target, &[]);
    assert!(report.says("state", "fail", "")["detail"].as_str().unwrap().contains("paused"));
    report.nothing_else_is_broken(&["state"]);
    drop((freezer, target));
}

// Seen to fail with the processes of the container alone.
#[test]
fn nproc_limit() {
    needs_root!();
    // No other process of this machine has this user.
    let user = 71_306;
    let other = started(plain().user(user, user), &["family", "threads=7"]);
    let mut target = started(plain().user(user, user), &["broken", "limit-processes"]);
    let mut limited = |soft: u64| {
        target.say(&soft.to_string());
        assert_eq!(target.next_line(LIMIT).as_deref(), Some("limited"));
        doctor(&target, &["nproc-limit"])
    };
    let count = 1 + tasks(other.pid);
    assert!(tasks(other.pid) > 5);
    for (soft, status) in [(999, "ok"), (count * 2, "ok"), (count + 1, "warn"), (count, "fail")] {
        let report = limited(soft);
        let row = report.says("nproc-limit", status, "");
        if status != "ok" {
            let seen = format!("user {user} has {count} of {soft} ");
            let evidence = row["evidence"][0].as_str().unwrap();
            assert!(evidence.starts_with(&seen), "{row}");
            assert!(
                evidence.ends_with(&format!("{} of them outside of the container", tasks(other.pid))),
                "{row}"
            );
        }
    }
    let root = started(plain().user(0, 0), &["family"]);
    doctor(&root, &["nproc-limit"]).says("nproc-limit", "ok", "");
}

fn tasks(pid: i32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/task")).unwrap().count() as u64
}
