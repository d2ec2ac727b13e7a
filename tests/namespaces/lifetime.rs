//! What ends with what, and what is left behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::live::{Facts, Live, descendants, is_alive, kill_supervisor, wait, within};
use crate::support::{Sandbox, needs_root, sandbox, skip};

const SOON: Duration = Duration::from_secs(3);

#[test]
fn r03_stray_descriptors_are_closed_before_entering() {
    needs_root!();
    let target = sandbox().file("secret", "x").start();
    let secret = target.root.join("secret");
    let mut command = std::process::Command::new(crate::support::helper());
    command.arg("strays").arg(&secret).arg("--").arg(crate::support::NSDBG);
    let live = Live::of(command.args(["--pid", &target.pid.to_string(), "--", "cat"]));
    let supervisor = Facts::of(live.nsdbg.id() as i32);
    let strays = |facts: &Facts| facts.fds.values().filter(|file| file.ends_with("/secret")).count();
    assert!(strays(&supervisor) > 40, "the strays are not as wanted: {:?}", supervisor.fds);
    for pid in live.between.iter().chain([&live.child]) {
        let facts = Facts::of(*pid);
        assert_eq!(strays(&facts), 0, "{:?}", facts.fds);
    }
}

#[test]
fn r05_a_child_is_not_dumpable() {
    needs_root!();
    for target in [sandbox().start(), sandbox().mapped().start()] {
        let live = Live::start(&target, &[]);
        assert_not_dumpable(&live, &target);
    }
}

/// Files of a process that is not dumpable are those of the root of the user namespace in which its program started:
/// the node's.
fn assert_not_dumpable(live: &Live, target: &Sandbox) {
    let owner = |pid: i32| fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid();
    assert_ne!(owner(target.pid), 0, "the sandbox is not as wanted");
    for pid in live.between.iter().chain([&live.child]) {
        assert_eq!(owner(*pid), 0, "process {pid}");
    }
}

#[test]
fn r05_nor_with_fs_suid_dumpable() {
    needs_root!();
    const FILE: &str = "/proc/sys/fs/suid_dumpable";
    if std::env::var_os("NSDBG_TEST_SYSCTL").is_none() {
        skip!("changes the node's fs.suid_dumpable for a moment: NSDBG_TEST_SYSCTL=1 allows that");
    }
    let before = fs::read_to_string(FILE).unwrap();
    fs::write(FILE, "1").unwrap();
    let target = sandbox().start();
    let live = std::panic::catch_unwind(|| Live::start(&target, &[]));
    fs::write(FILE, before).unwrap();
    assert_not_dumpable(&live.unwrap(), &target);
}

#[test]
fn r30_the_supervisors_end_ends_worker_and_child() {
    needs_root!();
    for options in [&[][..], &["--ns", "-pid"]] {
        let target = sandbox().start();
        let mut live = Live::start(&target, options);
        let all: Vec<i32> = live.between.iter().copied().chain([live.child]).collect();
        assert!(all.len() > 1 && all.iter().all(|pid| is_alive(*pid)));
        kill_supervisor(&mut live);
        assert!(within(SOON, || all.iter().all(|pid| !is_alive(*pid))), "{all:?} live on");
    }
}

#[test]
fn r31_the_targets_end_is_told_and_nothing_stays_pinned() {
    needs_root!();
    for with_cd in [false, true] {
        let mut target = sandbox().set("tmpfs", "yes").set("proc", "none").start();
        let device = fs::metadata(format!("/proc/{}/root", target.pid)).unwrap().dev();
        let mut command = target.nsdbg();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Lines on stdin, so that the session goes on after the command.
        let line = if with_cd { "cd /tmp\necho there\n" } else { "echo there\n" };
        stdin.write_all(line.as_bytes()).unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        out.read_line(&mut said).unwrap();
        assert_eq!(said, "there\n");
        assert!(within(SOON, || descendants(child.id() as i32).len() == 1), "only the launcher is left");
        target.kill();
        let mut held = Vec::new();
        assert!(
            within(SOON, || {
                held = holders(child.id() as i32, device);
                held.is_empty()
            }),
            "with cd {with_cd}: held: {held:?}"
        );
        stdin.write_all(b"echo more\n").unwrap();
        assert_eq!(wait(&mut child, SOON), Some(125));
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(err.contains("the target has ended"), "{err}");
    }
}

/// Which of nsdbg's processes hold something on a device.
fn holders(nsdbg: i32, device: u64) -> Vec<String> {
    let mut held = Vec::new();
    for pid in descendants(nsdbg).into_iter().chain([nsdbg]) {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let links = ["root", "cwd"].map(|name| Path::new("/proc").join(pid.to_string()).join(name));
        for path in fds.map(|fd| fd.path()).chain(links) {
            if fs::metadata(&path).is_ok_and(|file| file.dev() == device) {
                held.push(format!("{} -> {:?}", path.display(), fs::read_link(&path)));
            }
        }
    }
    held
}

#[test]
fn r31_a_command_ends_with_its_target() {
    needs_root!();
    let mut target = sandbox().start();
    let mut command = target.nsdbg();
    let mut live = Live::of(command.args(["--", "cat"]).stderr(Stdio::piped()));
    let begun = Instant::now();
    target.kill();
    assert_eq!(wait(&mut live.nsdbg, SOON), Some(125), "after {:?}", begun.elapsed());
    let mut err = String::new();
    live.nsdbg.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(err.contains("the target has ended"), "{err}");
}

type Tree = BTreeMap<String, (u32, u32, u32, i64, u64, Option<Vec<u8>>)>;

/// Mode, owner, group, times and content of everything below.
fn tree(path: &Path, into: &mut Tree) {
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        let data = fs::symlink_metadata(&path).unwrap();
        let content = data.is_file().then(|| fs::read(&path).unwrap());
        let known = (data.mode(), data.uid(), data.gid(), data.mtime_nsec(), data.size(), content);
        into.insert(path.display().to_string(), known);
        if data.is_dir() {
            tree(&path, into);
        }
    }
}

#[test]
fn r32_the_target_and_the_nodes_devices_are_unchanged() {
    needs_root!();
    let target = sandbox().user(0, 0).caps(0xa804_25fb).start();
    let look = || {
        let mut files = Tree::new();
        tree(&target.root, &mut files);
        let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", target.pid)).unwrap();
        let null = fs::metadata("/dev/null").unwrap();
        let facts = Facts::of(target.pid);
        let limits = (read("mountinfo"), read("cgroup"), read("limits"), read("oom_score_adj"));
        (files, limits, (null.mode(), null.uid(), null.gid()), facts.namespaces, facts.fds)
    };
    let before = look();
    for line in ["echo hi", "cat /etc/passwd", "ps -ef", "netstat -an", "ls -l /", "env", "cd /tmp; pwd"] {
        assert_eq!(target.line(line).status, 0, "{line}");
    }
    assert_eq!(before, look());
}

#[test]
fn r33_the_session_keyring_is_not_the_operators() {
    needs_root!();
    // Of this test's thread, and so of the nsdbg that it starts. Only who possesses the key can see it.
    // SAFETY: strings that end, and numbers: KEYCTL_JOIN_SESSION_KEYRING 1, KEYCTL_SETPERM 5, session keyring -3.
    let key = unsafe {
        libc::syscall(libc::SYS_keyctl, 1, c"nsdbg-test-operator".as_ptr());
        let key = libc::syscall(
            libc::SYS_add_key,
            c"user".as_ptr(),
            c"nsdbg-test-key".as_ptr(),
            c"x".as_ptr(),
            1,
            -3,
        );
        libc::syscall(libc::SYS_keyctl, 5, key, 0x3f00_0000);
        key
    };
    if key < 0 {
        skip!("the kernel has no keys: {}", std::io::Error::last_os_error());
    }
    assert!(fs::read_to_string("/proc/keys").unwrap().contains("nsdbg-test-key"));
    let target = sandbox().user(0, 0).start();
    let keys = target.run(&["cat", "/proc/keys"]);
    assert!(!keys.text().contains("nsdbg-test-key"), "{}", keys.text());
    assert!(keys.text().contains("_ses"), "{keys:?}");
}

#[test]
fn a_time_limit_ends_a_waiting_command() {
    needs_root!();
    let target = sandbox().start();
    let begun = Instant::now();
    let mut command = target.nsdbg();
    let mut live = Live::of(command.args(["--timeout", "0.5", "--", "cat"]));
    assert_eq!(wait(&mut live.nsdbg, Duration::from_secs(5)), Some(124));
    assert!(begun.elapsed() >= Duration::from_millis(500));
}
