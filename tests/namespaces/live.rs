//! Running nsdbg: to its end, or held alive while the node looks at its processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::support::{LIMIT, Sandbox, patient, signal};

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    /// Exit status, 128+n where a signal ended it.
    pub status: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ran {
    /// Stdout as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Stdout of a run that must have succeeded quietly.
    pub fn ok(&self) -> String {
        assert_eq!((self.status, self.err.as_str()), (0, ""), "{self:?}");
        self.text()
    }

    /// Asserts the status, and that stderr holds these words.
    pub fn fails(&self, status: i32, words: &str) {
        assert!(self.status == status && self.err.contains(words), "wanted {status}, {words:?}: {self:?}");
    }
}

/// Runs to the end, killed after the limit.
pub fn run(command: &mut Command) -> Ran {
    run_with_input(command, b"")
}

/// Runs to the end with this stdin.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    end(child)
}

/// Waits for the end, killed after the limit.
pub fn end(mut child: Child) -> Ran {
    let out = child.stdout.take().map(collect);
    let err = child.stderr.take().map(collect);
    let status = wait(&mut child, LIMIT).unwrap_or_else(|| {
        let _ = child.kill();
        let _ = child.wait();
        panic!("nsdbg did not end within {LIMIT:?}");
    });
    let joined = |thread: Option<std::thread::JoinHandle<Vec<u8>>>| {
        thread.map(|t| t.join().unwrap()).unwrap_or_default()
    };
    Ran { status, out: joined(out), err: String::from_utf8_lossy(&joined(err)).into_owned() }
}

/// Reads to the end, in a thread.
pub fn collect(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// The exit status, if it comes within the limit.
pub fn wait(child: &mut Child, limit: Duration) -> Option<i32> {
    let mut status = None;
    within(limit, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.map(|status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

/// Whether something comes true within a limit.
pub fn within(limit: Duration, mut what: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patient(limit);
    loop {
        if what() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `nsdbg -- cat`, alive: its stdin stays open.
pub struct Live {
    pub nsdbg: Child,
    /// Held open, so that cat goes on.
    pub stdin: Option<ChildStdin>,
    /// The PID on the node of the process inside.
    pub child: i32,
    /// Launcher and worker.
    pub between: Vec<i32>,
}

impl Live {
    /// Starts it in a target.
    pub fn start(sandbox: &Sandbox, options: &[&str]) -> Self {
        Self::of(sandbox.nsdbg().args(options).args(["--", "cat"]))
    }

    /// Starts it and waits until cat has echoed a line: then it is all that it will be.
    pub fn of(command: &mut Command) -> Self {
        let mut nsdbg = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = nsdbg.stdin.take().unwrap();
        stdin.write_all(b"ready\n").unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(nsdbg.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let all = descendants(nsdbg.id() as i32);
        let (child, between) = all.split_last().expect("a process inside");
        Self { child: *child, between: between.to_vec(), stdin: Some(stdin), nsdbg }
    }

    /// `http`, alive in a target that is `mute 8080`: it waits for an answer, and reads no pipe.
    pub fn asking(target: &mut Sandbox, options: &[&str]) -> Self {
        let mut command = target.nsdbg();
        command.args(options).args(["--", "http", "get", "http://127.0.0.1:8080/"]);
        let mut nsdbg = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        assert_eq!(target.next_line(LIMIT).as_deref(), Some("connection"));
        let all = descendants(nsdbg.id() as i32);
        let (child, between) = all.split_last().expect("a process inside");
        Self { child: *child, between: between.to_vec(), stdin: nsdbg.stdin.take(), nsdbg }
    }

    /// Writes to cat's stdin.
    pub fn write(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    pub fn facts(&self) -> Facts {
        Facts::of(self.child)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.nsdbg.kill();
        let _ = self.nsdbg.wait();
    }
}

/// All processes below one, parents before their children.
pub fn descendants(of: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat[stat.rfind(')')? + 4..].split(' ').next()?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut all = vec![of];
    let mut at = 0;
    while at < all.len() {
        let parent = all[at];
        all.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    all.split_off(1)
}

/// What the node sees of a process: read by the test itself, from outside, so that tests compare facts and not what
/// nsdbg says of itself. What the container sees of it is told by a peer there (see `peer.rs`).
#[derive(Debug)]
pub struct Facts {
    pub status: BTreeMap<String, String>,
    pub fds: BTreeMap<i32, String>,
    pub namespaces: BTreeMap<String, String>,
    pub cmdline: Vec<u8>,
    pub environ: Vec<u8>,
    pub root: String,
}

pub const SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

impl Facts {
    pub fn of(pid: i32) -> Self {
        let link = |name: &str| {
            fs::read_link(format!("/proc/{pid}/{name}")).map(|p| p.to_string_lossy().into_owned())
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let names = |directory: &str| {
            fs::read_dir(format!("/proc/{pid}/{directory}"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect::<Vec<_>>()
        };
        Self {
            status: status
                .lines()
                .filter_map(|line| line.split_once(':'))
                .map(|(key, value)| (key.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
                .collect(),
            fds: names("fd")
                .into_iter()
                .filter_map(|fd| Some((fd.parse().ok()?, link(&format!("fd/{fd}")).ok()?)))
                .collect(),
            namespaces: names("ns")
                .into_iter()
                .filter_map(|name| Some((name.clone(), link(&format!("ns/{name}")).ok()?)))
                .collect(),
            cmdline: fs::read(format!("/proc/{pid}/cmdline")).unwrap(),
            environ: fs::read(format!("/proc/{pid}/environ")).unwrap(),
            root: link("root").unwrap(),
        }
    }

    pub fn get(&self, name: &str) -> &str {
        self.status.get(name).map_or("", String::as_str)
    }

    pub fn mask(&self, name: &str) -> u64 {
        u64::from_str_radix(self.get(name), 16).unwrap()
    }
}

/// A mount namespace of this thread's own, so that no other test mounts anything there: what is mounted in it.
pub fn own_mounts() -> BTreeSet<String> {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    mounts().into_keys().collect()
}

/// What is mounted for this thread and was not before. What is gone may be another test's: who removes a directory
/// unmounts everywhere what was on it.
pub fn new_mounts(before: &BTreeSet<String>) -> Vec<String> {
    mounts().into_iter().filter(|(which, _)| !before.contains(which)).map(|(_, line)| line).collect()
}

/// What is mounted for this thread: ID and place, and the whole line.
fn mounts() -> BTreeMap<String, String> {
    let all = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let which = |line: &str| line.split(' ').step_by(4).take(2).collect::<Vec<_>>().join(" ");
    all.lines().map(|line| (which(line), line.to_owned())).collect()
}

/// Whether a process is there and not a zombie.
pub fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat[stat.rfind(')').unwrap_or(0)..].starts_with(") Z"))
}

/// nsdbg and all its processes: ended by SIGKILL of the first alone.
pub fn kill_supervisor(live: &mut Live) {
    signal(live.nsdbg.id() as i32, libc::SIGKILL);
    let _ = live.nsdbg.wait();
}
