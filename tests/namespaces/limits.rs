//! Targets at the limits of their cgroup, and frozen ones: nsdbg does not join it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::live::within;
use crate::prompt::Prompt;
use crate::support::{Sandbox, needs_root, sandbox, signal, skip};

const SOON: Duration = Duration::from_secs(8);

/// A cgroup of a test's own, of one controller.
pub struct Cgroup {
    pub path: PathBuf,
    pub is_unified: bool,
}

impl Cgroup {
    /// None where there is no such controller to be had.
    pub fn new(controller: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nsdbg-test-{}-{controller}-{number}", std::process::id());
        let old = Path::new("/sys/fs/cgroup").join(controller);
        for (root, is_unified) in [
            (old.as_path(), false),
            (Path::new("/sys/fs/cgroup"), true),
            (Path::new("/sys/fs/cgroup/unified"), true),
        ] {
            let path = root.join(&name);
            let has_it = if is_unified {
                // Freezing is no controller of its own there.
                let controllers = fs::read_to_string(root.join("cgroup.subtree_control"));
                controllers.is_ok_and(|all| controller == "freezer" || all.contains(controller))
            } else {
                fs::exists(root.join("cgroup.procs")).unwrap()
            };
            if has_it && fs::create_dir(&path).is_ok() {
                return Some(Self { path, is_unified });
            }
        }
        None
    }

    /// One of the unified hierarchy, where there is one beside another.
    pub fn unified() -> Option<Self> {
        let path = PathBuf::from(format!("/sys/fs/cgroup/unified/nsdbg-test-{}", std::process::id()));
        fs::create_dir(&path).is_ok().then_some(Self { path, is_unified: true })
    }

    /// Writes one file or, where the hierarchy is the unified one, the other.
    pub fn set(&self, old: (&str, &str), unified: (&str, &str)) -> bool {
        let (file, value) = if self.is_unified { unified } else { old };
        fs::write(self.path.join(file), value).is_ok()
    }

    pub fn take(&self, target: &Sandbox) {
        fs::write(self.path.join("cgroup.procs"), target.pid.to_string()).unwrap();
    }

    pub fn freeze(&self) -> bool {
        let is_frozen = || {
            let (file, word) =
                if self.is_unified { ("cgroup.events", "frozen 1") } else { ("freezer.state", "FROZEN") };
            fs::read_to_string(self.path.join(file)).is_ok_and(|text| text.contains(word))
        };
        self.set(("freezer.state", "FROZEN"), ("cgroup.freeze", "1")) && within(SOON, is_frozen)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.set(("freezer.state", "THAWED"), ("cgroup.freeze", "0"));
        let path = self.path.clone();
        within(SOON, || {
            let members = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
            members.lines().filter_map(|pid| pid.parse().ok()).for_each(|pid| signal(pid, libc::SIGKILL));
            fs::remove_dir(&path).is_ok()
        });
    }
}

/// A command, the processes, and a prompt with a command.
fn assert_works(target: &Sandbox, processes: usize, what: &str) {
    let begun = Instant::now();
    assert_eq!(target.run(&["ls", "/app"]).ok(), "mine\n", "{what}");
    let listed = target.run(&["ps", "-eo", "pid"]).ok().lines().count() - 1;
    assert!(listed >= processes, "{what}: {listed} processes");
    let mut prompt = Prompt::start(target);
    prompt.sees("web:/$ ");
    prompt.type_in(b"cat /etc/group | cat\r");
    prompt.sees("logs:x:2000");
    prompt.sees("web:/$ ");
    assert!(begun.elapsed() < SOON, "{what}: {:?}", begun.elapsed());
}

// Seen to fail with a worker that joins the target's cgroup before it forks.
#[test]
fn r23_a_fork_bomb_at_its_limit_is_looked_at() {
    needs_root!();
    let Some(cgroup) = Cgroup::new("pids") else { skip!("no cgroup with a limit on processes can be made") };
    let mut target = sandbox().file("app/mine", "").mode(&["bomb"]).start();
    assert_eq!(target.next_line(SOON).as_deref(), Some("ready"));
    assert!(cgroup.set(("pids.max", "40"), ("pids.max", "40")));
    cgroup.take(&target);
    target.say("");
    assert_eq!(target.next_line(SOON).as_deref(), Some("full 39"));
    assert_works(&target, 40, "fork bomb");
    drop(cgroup);
}

// Not seen to fail: even a worker that joins the target's cgroup is not the one that the kernel ends.
#[test]
fn r23_a_memory_hog_at_its_limit_is_looked_at() {
    needs_root!();
    let Some(cgroup) = Cgroup::new("memory") else { skip!("no cgroup with a limit on memory can be made") };
    let mut target = sandbox().file("app/mine", "").mode(&["hog"]).start();
    assert_eq!(target.next_line(SOON).as_deref(), Some("ready"));
    assert!(cgroup.set(("memory.limit_in_bytes", "16M"), ("memory.max", "16M")));
    cgroup.set(("memory.swappiness", "0"), ("memory.swap.max", "0"));
    cgroup.take(&target);
    target.say("");
    assert_eq!(target.next_line(SOON).as_deref(), Some("out of memory"));
    assert_works(&target, 1, "memory hog");
    drop(cgroup);
}

// Seen to fail with a worker that joins the target's cgroup before it forks.
#[test]
fn r23_a_frozen_target_is_looked_at() {
    needs_root!();
    let Some(cgroup) = Cgroup::new("freezer") else { skip!("no cgroup that can be frozen can be made") };
    let mut target = sandbox().file("app/mine", "").mode(&["serve", "8080"]).start();
    assert_eq!(target.next_line(SOON).as_deref(), Some("listening"));
    cgroup.take(&target);
    if !cgroup.freeze() {
        skip!("the cgroup does not freeze");
    }
    assert_works(&target, 1, "frozen");
    let begun = Instant::now();
    let ran = target.run(&["http", "get", "--max-time", "1", "http://127.0.0.1:8080/"]);
    assert!(ran.status == 28 && begun.elapsed() < SOON, "{:?} {ran:?}", begun.elapsed());
    drop(cgroup);
}
