//! What ends with what, and what is left behind.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};

use crate::live::{Facts, Live, descendants, is_alive, kill_supervisor, wait, within};
use crate::prompt::Prompt;
use crate::support::{Sandbox, mute, needs_root, sandbox, skip};

const SOON: Duration = Duration::from_secs(3);
/// What a process takes to end.
const AT_ONCE: Duration = Duration::from_millis(500);

// Seen to fail without close_range in the launcher and the worker (both).
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

// Seen to fail without not being dumpable: with PR_SET_DUMPABLE 1 at the end.
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

// Seen to fail without PR_SET_DUMPABLE after the change of ids.
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

// Seen to fail without the worker's look at the supervisor's end of its socket.
#[test]
fn r30_the_supervisors_end_ends_worker_and_child() {
    needs_root!();
    for options in [&[][..], &["--ns", "-pid"]] {
        // What reads its standard input would end with that.
        let mut target = mute();
        let mut live = Live::asking(&mut target, options);
        let all: Vec<i32> = live.between.iter().copied().chain([live.child]).collect();
        assert!(all.len() > 1 && all.iter().all(|pid| is_alive(*pid)));
        kill_supervisor(&mut live);
        assert!(within(SOON, || all.iter().all(|pid| !is_alive(*pid))), "{all:?} live on");
    }
}

// Seen to fail without the launcher's parent death signal and its look at its socket's end (both).
#[test]
fn r30_the_supervisors_end_ends_the_launcher() {
    needs_root!();
    let target = sandbox().start();
    let mut prompt = Prompt::start(&target);
    prompt.sees("web:/$ ");
    let nsdbg = prompt.nsdbg.id() as i32;
    let mut all = Vec::new();
    assert!(within(SOON, || {
        all = descendants(nsdbg);
        all.len() == 1
    }));
    prompt.nsdbg.kill().unwrap();
    prompt.nsdbg.wait().unwrap();
    assert!(within(SOON, || !is_alive(all[0])), "{all:?} lives on");
}

// Seen to fail without the launcher's letting go of the directory.
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
        // It waits for no further line.
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

// Seen to fail without the worker's look at the target, or at the target after a kill.
#[test]
fn r31_a_command_ends_with_its_target() {
    needs_root!();
    // Its end takes all in its PID namespace along, and nobody outside of it.
    for options in [&[][..], &["--ns", "-pid"]] {
        let mut target = sandbox().start();
        let mut command = target.nsdbg();
        let mut live = Live::of(command.args(options).args(["--", "cat"]).stderr(Stdio::piped()));
        let begun = Instant::now();
        target.kill();
        assert_eq!(wait(&mut live.nsdbg, SOON), Some(125), "{options:?} after {:?}", begun.elapsed());
        let mut err = String::new();
        live.nsdbg.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(err.contains("the target has ended"), "{err}");
        assert!(!is_alive(live.child));
    }
}

// Seen to fail without the launcher's letting go of the directory.
#[test]
fn r31_the_targets_root_can_be_unmounted_while_the_prompt_is_open() {
    needs_root!();
    // In the node's mount namespace, or in one of its own.
    for how in ["node", "pivot"] {
        for line in ["ps", "cd /tmp"] {
            let mut target = sandbox().on_tmpfs().set("how", how);
            if how == "node" {
                target = target.set("ns", "pid,net,ipc,uts,cgroup").set("proc", "none");
            }
            let mut target = target.start();
            let unmounted = Unmounted::watch(&target.root);
            let mut prompt = Prompt::start(&target);
            prompt.sees("web:/$ ");
            prompt.type_in(format!("{line}\r").as_bytes());
            prompt.sees(if line == "ps" { "web:/$ " } else { "web:/tmp$ " });
            target.kill();
            let mut answer = Ok(());
            let done = within(AT_ONCE, || {
                answer = umount2(&target.root, MntFlags::empty());
                answer.is_ok()
            });
            assert!(done, "{how}, {line}: {answer:?}");
            assert!(within(AT_ONCE, || unmounted.came()), "{how}, {line}: it is still mounted somewhere");
        }
    }
}

/// Hears of the end of a file system, whichever mount namespaces it was mounted in, without holding it.
struct Unmounted(File);

impl Unmounted {
    fn watch(path: &Path) -> Self {
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: the path is a C string, and the descriptor is new and owned by nobody else.
        unsafe {
            let fd = libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK);
            assert!(libc::inotify_add_watch(fd, path.as_ptr(), libc::IN_DELETE_SELF) >= 0);
            Self(File::from(OwnedFd::from_raw_fd(fd)))
        }
    }

    fn came(&self) -> bool {
        let mut event = [0; 16];
        let mask = match (&self.0).read(&mut event) {
            Ok(16) => u32::from_ne_bytes(event[4..8].try_into().unwrap()),
            _ => 0,
        };
        mask & libc::IN_UNMOUNT != 0
    }
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

// Seen to fail without restraint: with a file written, or a directory made, by the child.
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

// Seen to fail without the new session keyring.
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
