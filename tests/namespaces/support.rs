//! Containers without a container runtime, nsdbg run with limits, and what the node sees of its processes.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::live::{Ran, run};

/// The longest that one run of nsdbg may take.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A limit, longer on a machine that `NSDBG_TEST_SLOW` says is so many times slower than others.
pub fn patient(limit: Duration) -> Duration {
    static FACTOR: OnceLock<u32> = OnceLock::new();
    let factor = || std::env::var("NSDBG_TEST_SLOW").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1);
    limit * *FACTOR.get_or_init(factor)
}

/// The program under test.
pub const NSDBG: &str = env!("CARGO_BIN_EXE_nsdbg");

/// Says that a test is skipped and why, counts it where `scripts/test` asked for that, and returns.
macro_rules! skip {
    ($($reason:tt)*) => {{
        crate::support::count_skip(&format!($($reason)*));
        return;
    }};
}
pub(crate) use skip;

/// Prints a skip, and appends it to the file that `NSDBG_TEST_SKIPS` names.
pub fn count_skip(reason: &str) {
    let line = format!("skipped: {}: {reason}", std::thread::current().name().unwrap_or("?"));
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("NSDBG_TEST_SKIPS") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// Skips a test where it is not run by root.
macro_rules! needs_root {
    () => {
        if !nix::unistd::geteuid().is_root() {
            crate::support::skip!("must run as root: sudo cargo test --test namespaces");
        }
    };
}
pub(crate) use needs_root;

/// The static program of the containers, compiled once for each version of its source.
pub fn helper() -> &'static Path {
    static HELPER: OnceLock<PathBuf> = OnceLock::new();
    HELPER.get_or_init(|| {
        let hash = sources().into_iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = directory.join(format!("nsdbg-test-helper-{hash:x}"));
        if !path.exists() {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/server.rs");
            let made = directory.join(format!("helper.{}", std::process::id()));
            let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
            let status = Command::new(rustc)
                .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-o"])
                .args([&made, &source])
                .status()
                .expect("rustc");
            assert!(status.success(), "the helper does not compile");
            fs::rename(&made, &path).unwrap();
        }
        path
    })
}

/// All that the program is made of.
fn sources() -> Vec<u8> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut paths: Vec<PathBuf> = ["support", "hostile"]
        .into_iter()
        .flat_map(|name| fs::read_dir(tests.join(name)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().flat_map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn the_helper_compiles() {
    assert!(helper().exists());
}

/// Where all directories of this process are; what is left of them is removed when it ends.
fn own_directory() -> &'static Path {
    static OWN: OnceLock<PathBuf> = OnceLock::new();
    extern "C" fn remove() {
        // A process that was forked for a test ends without this; what is still mounted stays.
        let _ = fs::remove_dir_all(own_directory());
    }
    OWN.get_or_init(|| {
        // SAFETY: the handler takes nothing and is there as long as the process.
        unsafe { libc::atexit(remove) };
        std::env::temp_dir().join(format!("nsdbg-test-{}", std::process::id()))
    })
}

/// A new directory that others may enter.
pub fn new_directory(name: &str) -> PathBuf {
    static NEXT: Mutex<u32> = Mutex::new(0);
    let mut next = NEXT.lock().unwrap();
    *next += 1;
    let path = own_directory().join(format!("{next}-{name}"));
    fs::create_dir_all(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// What a container shall be.
pub struct Builder {
    settings: Vec<(String, String)>,
    mode: Vec<String>,
    environment: Vec<(OsString, OsString)>,
    root: PathBuf,
}

/// All kinds of namespace but user.
const ALL: &str = "mnt,pid,net,ipc,uts,cgroup";

/// A container like a distroless image's: all namespaces, uid and gid 65532, no capability, its own /proc.
pub fn sandbox() -> Builder {
    let root = new_directory("root");
    fill(&root);
    Builder { settings: Vec::new(), mode: vec!["sleep".into()], environment: Vec::new(), root }
        .set("ns", ALL)
        .set("uid", "65532")
        .set("gid", "65532")
        .set("proc", "yes")
}

/// One that listens on port 8080 and never answers.
pub fn mute() -> Sandbox {
    let mut target = sandbox().mode(&["mute", "8080"]).start();
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("listening"));
    target
}

/// Makes the files of a container.
fn fill(root: &Path) {
    for name in ["proc", "etc", "tmp", "dev", "app"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/sbin/nologin\nweb:x:65532:65532::/app:/x\n")
        .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nweb:x:65532:\nlogs:x:2000:web\n").unwrap();
    fs::copy(helper(), root.join("server")).unwrap();
}

impl Builder {
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.retain(|(key, _)| key != name);
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn user(self, uid: u32, gid: u32) -> Self {
        self.set("uid", uid).set("gid", gid)
    }

    /// Permitted, effective and bounding sets.
    pub fn caps(self, mask: u64) -> Self {
        self.set("caps", format!("{mask:x}"))
    }

    /// A user namespace of its own: container 0 to 65535 are the node's 100000 to 165535.
    pub fn mapped(self) -> Self {
        self.set("uid_map", "0:100000:65536").set("gid_map", "0:100000:65536")
    }

    /// A variable of the target's environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// What the target does.
    pub fn mode(mut self, words: &[&str]) -> Self {
        self.mode = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        fs::create_dir_all(self.root.join(path).parent().unwrap()).unwrap();
        fs::write(self.root.join(path), content).unwrap();
        self
    }

    /// The root as this makes it, before anything runs in it.
    pub fn prepared(self, how: impl FnOnce(&Path)) -> Self {
        how(&self.root);
        self
    }

    /// A file or directory is this user's.
    pub fn owned(self, path: &str, uid: u32) -> Self {
        std::os::unix::fs::chown(self.root.join(path), Some(uid), None).unwrap();
        self
    }

    /// The server's program under this name too.
    pub fn program(self, path: &str) -> Self {
        fs::copy(helper(), self.root.join(path)).unwrap();
        self
    }

    /// The root is a tmpfs that the node has mounted.
    pub fn on_tmpfs(self) -> Self {
        mount(Some("nsdbg-test"), &self.root, Some("tmpfs"), MsFlags::empty(), Some("mode=755")).unwrap();
        fill(&self.root);
        self
    }

    /// The root becomes an overlay, whose lower part is what the root has; whether that could be mounted.
    pub fn over(self, upper: &str, work: &str) -> (Self, bool) {
        let options = format!("lowerdir={},upperdir={upper},workdir={work}", self.root.display());
        let done =
            mount(Some("nsdbg-test"), &self.root, Some("overlay"), MsFlags::empty(), Some(options.as_str()));
        (self, done.is_ok())
    }

    pub fn start(self) -> Sandbox {
        let mut command = Command::new(helper());
        command.arg("box").arg(format!("root={}", self.root.display()));
        for (key, value) in &self.settings {
            command.arg(format!("{key}={value}"));
        }
        command.arg("--").args(&self.mode).env_clear().envs(self.environment);
        let mut helper =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the helper starts");
        let stdin = helper.stdin.take();
        let lines = lines_of(helper.stdout.take().unwrap());
        let mut sandbox = Sandbox { pid: 0, root: self.root, helper, stdin, lines, early: Vec::new() };
        // What the target says may come before what the helper says of it.
        while sandbox.pid == 0 {
            let line = sandbox.next_line(LIMIT).expect("the sandbox starts");
            match line.strip_prefix("target ") {
                Some(pid) => sandbox.pid = pid.parse().unwrap(),
                None => sandbox.early.push(line),
            }
        }
        sandbox
    }
}

fn lines_of(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A running container.
pub struct Sandbox {
    /// The target's PID on the node.
    pub pid: i32,
    /// Its root directory on the node.
    pub root: PathBuf,
    helper: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    early: Vec<String>,
}

impl Sandbox {
    /// The next line that the target prints, within a limit.
    pub fn next_line(&mut self, limit: Duration) -> Option<String> {
        if self.pid != 0 && !self.early.is_empty() {
            return Some(self.early.remove(0));
        }
        self.lines.recv_timeout(patient(limit)).ok()
    }

    /// All lines that come until none came for so long.
    pub fn lines(&mut self, quiet: Duration) -> Vec<String> {
        let mut all = Vec::new();
        let end = Instant::now() + patient(LIMIT);
        while Instant::now() < end
            && let Some(line) = self.next_line(quiet)
        {
            all.push(line);
        }
        all
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub fn kill(&mut self) {
        signal(self.pid, libc::SIGKILL);
        let _ = self.helper.wait();
    }

    /// nsdbg with `--pid` of this target.
    pub fn nsdbg(&self) -> Command {
        let mut command = Command::new(NSDBG);
        command.arg("--pid").arg(self.pid.to_string());
        command
    }

    /// Runs `nsdbg --pid N -- ARGS`.
    pub fn run(&self, args: &[&str]) -> Ran {
        run(self.nsdbg().arg("--").args(args))
    }

    /// Runs `nsdbg --pid N OPTIONS -- ARGS`.
    pub fn run_with(&self, options: &[&str], args: &[&str]) -> Ran {
        run(self.nsdbg().args(options).arg("--").args(args))
    }

    /// Runs `nsdbg --pid N -c LINE`.
    pub fn line(&self, line: &str) -> Ran {
        run(self.nsdbg().arg("-c").arg(line))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stdin = None;
        if self.pid != 0 {
            signal(self.pid, libc::SIGKILL);
        }
        let _ = self.helper.kill();
        let _ = self.helper.wait();
        let _ = umount2(&self.root, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir_all(&self.root);
    }
}

pub fn signal(pid: i32, signal: i32) {
    let _ = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::try_from(signal).unwrap(),
    );
}
