//! A cluster of files, and the plugin run against it by each shell that there is.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The longest that one run may take.
pub const LIMIT: Duration = Duration::from_secs(30);

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub fn plugin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kubectl-nsdbg")
}

/// A pod's lines, as jsonpath prints them: two containers, the first one named `app`.
pub fn pod(name: &str, node: &str, phase: &str, default: &str) -> String {
    let running = |name: &str| format!("C|{name}|containerd://{name}0123456789ab|2026-01-01T00:00:00Z||\n");
    format!(
        "P|prod|{name}|{node}|{phase}|True||{default}\nS|app sidecar\n{}{}",
        running("app"),
        running("sidecar")
    )
}

/// nsdbg's pod on a node.
pub fn helper(node: &str) -> String {
    format!("{node}|nsdbg-{node}|Running|True|{VERSION}||\n")
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

    /// Waits for the end, within the limit.
    pub fn end(&self, child: Child) -> Ran {
        let pid = child.id() as i32;
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        match receiver.recv_timeout(LIMIT) {
            Ok(output) => Ran::of(output.unwrap()),
            Err(_) => {
                let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
                panic!("it did not end within {LIMIT:?}");
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

    /// Waits until a file of the fake kubectl is there.
    pub fn waits_for(&self, name: &str) {
        let end = Instant::now() + LIMIT;
        while !self.files.join(name).exists() {
            assert!(Instant::now() < end, "no {name}: {:?}", self.calls());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.files);
    }
}
