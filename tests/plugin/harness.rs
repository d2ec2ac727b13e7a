//! A cluster of files, and the plugin run against it by each shell that there is.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};

/// The longest that one run may take.
pub const LIMIT: Duration = Duration::from_secs(30);

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub fn plugin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kubectl-nsdbg")
}

/// Says that a test is skipped and why, counts it where `scripts/test` asked for that, and returns.
macro_rules! skip {
    ($($reason:tt)*) => {{
        crate::harness::count_skip(&format!($($reason)*));
        return;
    }};
}
pub(crate) use skip;

pub fn count_skip(reason: &str) {
    let line = format!("skipped: {}: {reason}", std::thread::current().name().unwrap_or("?"));
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("NSDBG_TEST_SKIPS") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// What steers a terminal or hides text.
pub const HOSTILE: &str = "\x1b]0;t\x07\x1b[8m\u{9b}8m\u{202e}\u{2066}";

/// The characters that may not reach a terminal, and the bytes that are not UTF-8.
pub fn steering(said: &[u8]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for chunk in said.utf8_chunks() {
        for ch in chunk.valid().chars().filter(|ch| !matches!(ch, '\n' | '\r' | '\t')) {
            let hides = matches!(u32::from(ch), 0x61c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f);
            if ch.is_control() || hides {
                found.insert(format!("U+{:04X}", u32::from(ch)));
            }
        }
        found.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    found
}

/// A terminal of 132 columns: its two ends.
pub fn terminal() -> (fs::File, OwnedFd) {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let mut options = fs::File::options();
    options.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
    let end = options.open(ptsname_r(&master).unwrap()).unwrap();
    let sized =
        Command::new("stty").args(["rows", "24", "cols", "132"]).stdin(end.try_clone().unwrap()).status();
    assert!(sized.unwrap().success(), "stty");
    (OwnedFd::from(master).into(), end.into())
}

/// A program that is a script.
pub fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A line as the plugin's templates print it: a tag, and values in Go's quotes.
pub fn line(tag: &str, values: &[&str]) -> String {
    let values: String = values.iter().map(|value| format!("\t\"{value}\"")).collect();
    format!("{tag}{values}\n")
}

/// A pod's lines: two containers, the first one named `app`.
pub fn pod(name: &str, node: &str, phase: &str, default: &str) -> String {
    let running = |name: &str| {
        line("C", &[name, &format!("containerd://{name}0123456789ab"), "2026-01-01T00:00:00Z", "", ""])
    };
    [
        line("P", &["prod", name, node, phase, default]),
        line("S", &["app"]),
        line("S", &["sidecar"]),
        running("app"),
        running("sidecar"),
        line(".", &[]),
    ]
    .concat()
}

/// nsdbg's pod on a node.
pub fn helper(node: &str) -> String {
    line("H", &[node, &format!("nsdbg-{node}"), "Running", "True", VERSION, "", ""])
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        let status = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap());
        Self { status, out: output.stdout, err: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

/// A cluster: pod prod/web-0 on node n1, where nsdbg is, too.
pub struct Cluster {
    pub files: PathBuf,
    /// The shell that runs the plugin.
    pub shell: Vec<&'static str>,
}

/// One for each shell that this machine has.
pub fn clusters() -> Vec<Cluster> {
    let shells = [&["dash"][..], &["bash", "--posix"], &["busybox", "sh"]];
    let is_there = |shell: &&[&str]| {
        Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", ":"])
            .output()
            .is_ok_and(|ran| ran.status.success())
    };
    let found: Vec<Cluster> =
        shells.into_iter().filter(is_there).map(|shell| Cluster::new(shell.to_vec())).collect();
    assert!(!found.is_empty(), "no shell");
    found
}

/// One, run by sh.
pub fn cluster() -> Cluster {
    Cluster::new(vec!["sh"])
}

impl Cluster {
    fn new(shell: Vec<&'static str>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nsdbg-test-plugin-{}-{number}", std::process::id());
        let files = std::env::temp_dir().join(name);
        fs::create_dir_all(files.join("bin")).unwrap();
        fs::create_dir(files.join("tmp")).unwrap();
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plugin/kubectl");
        std::os::unix::fs::symlink(fake, files.join("bin/kubectl")).unwrap();
        if shell[0] == "busybox" {
            // With the tools of a machine that has no others.
            for tool in [
                "awk", "chmod", "cut", "find", "grep", "head", "mkfifo", "mv", "readlink", "sed", "stty",
                "tail", "tar", "tr",
            ] {
                script(&files.join("bin").join(tool), &format!("#!/bin/sh\nexec busybox {tool} \"$@\"\n"));
            }
        }
        let cluster = Self { files, shell };
        cluster.has("pod", &pod("web-0", "n1", "Running", ""));
        cluster.has("helpers", &helper("n1"));
        cluster.has("exec", "true");
        cluster
    }

    /// A file of the fake kubectl.
    pub fn has(&self, name: &str, content: &str) -> &Self {
        fs::write(self.files.join(name), content).unwrap();
        self
    }

    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.files.join(name)).unwrap_or_default()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.shell[0]);
        let path = std::env::var("PATH").unwrap_or_default();
        command.args(&self.shell[1..]).arg(plugin()).args(args);
        command.env("PATH", format!("{}:{path}", self.files.join("bin").display()));
        command.env("FAKE", &self.files).env("TMPDIR", self.files.join("tmp"));
        for name in ["NSDBG_REASON", "NSDBG_IMAGE", "NSDBG_NAMESPACE", "NSDBG_POD_NAMESPACE"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.end(self.command(args).process_group(0).spawn().unwrap())
    }

    /// Runs a command with stdout and stderr on a terminal, and nothing on stdin: its status, and what the terminal got.
    pub fn on_terminal(&self, mut command: Command) -> Ran {
        let (mut master, end) = terminal();
        command.stdin(Stdio::null()).stdout(end.try_clone().unwrap()).stderr(end).process_group(0);
        let child = command.spawn().unwrap();
        // Its copies of the terminal.
        drop(command);
        let pid = child.id() as i32;
        let reader = std::thread::spawn(move || {
            let mut said = Vec::new();
            // EIO where nobody has the other end any more.
            let _ = master.read_to_end(&mut said);
            said
        });
        let mut ran = self.end(child);
        ran.out = reader.join().unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        while !in_group(pid).is_empty() {
            assert!(Instant::now() < end, "processes are left: {:?}", in_group(pid));
            std::thread::sleep(Duration::from_millis(5));
        }
        ran
    }

    /// Waits for the end, within the limit.
    pub fn end(&self, child: Child) -> Ran {
        self.end_within(child, LIMIT)
    }

    /// The same within another limit.
    pub fn end_within(&self, child: Child, limit: Duration) -> Ran {
        let pid = child.id() as i32;
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        match receiver.recv_timeout(limit) {
            Ok(output) => Ran::of(output.unwrap()),
            Err(_) => {
                let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
                panic!("it did not end within {limit:?}");
            }
        }
    }

    /// The words of each call of kubectl, the first one first.
    pub fn calls(&self) -> Vec<Vec<String>> {
        let count = self.file("count").trim().parse().unwrap_or(0);
        let call = |number| self.file(&format!("said.{number}")).lines().map(str::to_owned).collect();
        (1..=count).map(call).collect()
    }

    /// The words of the calls whose verb this is.
    pub fn calls_of(&self, verb: &str) -> Vec<Vec<String>> {
        self.calls().into_iter().filter(|call| call.iter().any(|word| word == verb)).collect()
    }

    /// What it has left behind in its directory for passing files.
    pub fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.files.join("tmp")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Asserts that no process has this cluster's environment: those of the scripts, and all that they started.
    pub fn assert_no_process_left(&self) {
        let own = format!("FAKE={}", self.files.display());
        let entries = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        let has_it = |path: &PathBuf| {
            let environment = fs::read(path.join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == own.as_bytes())
        };
        let left: Vec<PathBuf> = entries.filter(has_it).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// Waits until a file of the fake kubectl is there.
    pub fn waits_for(&self, name: &str) {
        let end = Instant::now() + LIMIT;
        while !self.files.join(name).exists() {
            assert!(Instant::now() < end, "no {name}: {:?}", self.calls());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The processes of a group.
pub fn in_group(group: i32) -> Vec<i32> {
    let stat = |pid: i32| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_member = |pid: &i32| {
        let stat = stat(*pid)?;
        // After the name, which may hold anything: state, parent, group.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        Some(fields[0] != "Z" && fields[2] == group.to_string())
    };
    pids.filter(|pid| is_member(pid).unwrap_or(false)).collect()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.files);
    }
}
