//! Containers in which nothing is wrong: as distroless images have it, unpacked from Debian's packages, with a network, a
//! memory limit, and a name server that answers.

use std::fs;
use std::io::Read;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;

use super::Report;
use crate::live::{run, within};
use crate::support::{LIMIT, NSDBG, needs_root, patient, skip};

/// What would provide what these tests need.
const PROVIDE: &str =
    "apt-get install podman runc conmon netavark iptables gcc libc6-dev musl-tools, and apt-get update";
/// What every such image has.
const BASE: [&str; 4] = ["base-files", "netbase", "tzdata", "ca-certificates"];
/// What its packages depend on, and a container does not need.
const LEFT_OUT: [&str; 2] = ["dpkg", "tar"];
/// The longest that doctor may take.
const SOON: Duration = Duration::from_secs(2);

/// A server in C that ends on SIGTERM.
const C: &str = r#"
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
static void end(int number) { (void)number; _exit(0); }
int main(void) {
    signal(SIGTERM, end);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(8080) };
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128)) return 1;
    for (;;) {
        int one = accept(listener, 0, 0);
        if (write(one, "hello\n", 6) < 0) return 1;
        close(one);
    }
}
"#;

const PYTHON: &str = r#"
import signal, socket, sys
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
listener = socket.create_server(("", 8080), backlog=128)
while True:
    one, _ = listener.accept()
    one.sendall(b"hello\n")
    one.close()
"#;

const NODE: &str = r#"
process.on("SIGTERM", () => process.exit(0));
require("net").createServer((one) => one.end("hello\n")).listen(8080);
"#;

/// What a command prints, where it succeeds.
fn said(command: &mut Command) -> Result<String, String> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let ran = command.output().map_err(|_| format!("no {tool}: {PROVIDE}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if ran.status.success() { Ok(text(&ran.stdout)) } else { Err(format!("{tool}: {}", text(&ran.stderr))) }
}

/// These packages, and all that they depend on.
fn closure(packages: &[&str]) -> Result<Vec<String>, String> {
    let mut command = Command::new("apt-cache");
    command.args([
        "depends",
        "--recurse",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
        "--no-breaks",
    ]);
    let listed = said(command.args(["--no-replaces", "--no-enhances"]).args(packages))?;
    let mut names: Vec<String> = packages.iter().map(|name| (*name).to_owned()).collect();
    let is_new = |name: &&str| packages.iter().all(|known| known.split('/').next() != Some(*name));
    let is_package = |line: &&str| line.starts_with(|c: char| c.is_ascii_alphanumeric());
    let further = listed.lines().filter(is_package).filter(is_new).filter(|name| !LEFT_OUT.contains(name));
    names.extend(further.map(str::to_owned));
    names.sort();
    names.dedup();
    Ok(names)
}

/// A root of these packages, unpacked once into the build's own directory.
fn unpacked(kind: &str, packages: &[&str]) -> Result<PathBuf, String> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("debian-{kind}"));
    if target.exists() {
        return Ok(target);
    }
    let made = target.with_extension(std::process::id().to_string());
    let filled = fill(&made, packages);
    if filled.is_ok() {
        fs::rename(made.join("root"), &target).unwrap();
    }
    fs::remove_dir_all(&made).unwrap();
    filled.map(|()| target)
}

fn fill(made: &Path, packages: &[&str]) -> Result<(), String> {
    let (archives, root) = (made.join("archives"), made.join("root"));
    fs::create_dir_all(&archives).unwrap();
    let mut names: Vec<String> = BASE.map(str::to_owned).to_vec();
    if !packages.is_empty() {
        names.extend(closure(packages)?);
    }
    said(Command::new("apt-get").current_dir(&archives).args(["-q", "download"]).args(&names))?;
    for archive in fs::read_dir(&archives).unwrap() {
        said(Command::new("dpkg").arg("-x").arg(archive.unwrap().path()).arg(&root))?;
    }
    finish(&root);
    Ok(())
}

/// What the packages' scripts would have made, and distroless images have.
fn finish(root: &Path) {
    let authorities = root.join("usr/share/ca-certificates/mozilla");
    let bundle: Vec<u8> = fs::read_dir(authorities)
        .unwrap()
        .flat_map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    fs::create_dir_all(root.join("etc/ssl/certs")).unwrap();
    fs::write(root.join("etc/ssl/certs/ca-certificates.crt"), bundle).unwrap();
    let users =
        "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n";
    fs::write(root.join("etc/passwd"), users).unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nnonroot:x:65532:\n").unwrap();
    let home = root.join("home/nonroot");
    fs::create_dir_all(&home).unwrap();
    chown(&home, Some(65532), Some(65532)).unwrap();
    fs::create_dir_all(root.join("tmp")).unwrap();
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
}

/// The server in C, in a root.
fn compiled(root: &Path, compiler: &str, options: &[&str]) -> Result<(), String> {
    let (from, to) = (root.join("server.c"), root.join("server"));
    fs::write(&from, C).unwrap();
    said(Command::new(compiler).args(options).arg("-o").arg(&to).arg(&from)).map(drop)
}

/// A container that runs; removed when dropped.
struct Container {
    name: String,
    pid: String,
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("podman").args(["rm", "-f", "-t", "0", &self.name]).output();
    }
}

impl Container {
    /// Runs a program in a root, which is left as it is.
    fn start(kind: &str, root: &Path, program: &[&str]) -> Result<Self, String> {
        Self::start_with(&[], kind, root, program)
    }

    /// The same, with options of podman.
    fn start_with(options: &[&str], kind: &str, root: &Path, program: &[&str]) -> Result<Self, String> {
        let name = format!("nsdbg-test-healthy-{kind}-{}", std::process::id());
        let mut command = Command::new("podman");
        command.args(["run", "-d", "--name", &name, "--runtime", "runc", "--passwd=false"]);
        command.args(["--ulimit", "nofile=1024:4096", "--ulimit", "nproc=1000:1000"]);
        command.args(["--user", "65532:65532", "--memory", "256m", "--dns", "127.0.0.1"]);
        command.args(options).args(["--env", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", "--rootfs"]);
        let mut container = Self { name, pid: String::new() };
        said(command.arg(format!("{}:O", root.display())).args(program))?;
        let inspect = ["inspect", "-f", "{{.State.Pid}} {{.NetworkSettings.IPAddress}}", &container.name];
        let inspected = said(Command::new("podman").args(inspect))?;
        let (pid, address) = inspected.trim().split_once(' ').unwrap();
        container.pid = pid.to_owned();
        serve_names(pid)?;
        let mut greeting = String::new();
        let serves = || {
            let stream = TcpStream::connect((address, 8080));
            stream.and_then(|mut stream| stream.read_to_string(&mut greeting)).is_ok_and(|count| count > 0)
        };
        if !within(LIMIT, serves) {
            let log = Command::new("podman").args(["logs", &container.name]).output().unwrap();
            panic!("it does not serve: {log:?}");
        }
        assert_eq!(greeting, "hello\n");
        Ok(container)
    }

    /// All of doctor, which must be quick, and what it says outside of the security group.
    fn is_healthy(&self) {
        let began = Instant::now();
        let ran = run(Command::new(NSDBG).args(["--pid", &self.pid, "--json", "--", "doctor"]));
        let took = began.elapsed();
        assert!(ran.err.is_empty(), "{ran:?}");
        let rows = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let report = Report { rows, status: ran.status };
        for row in report.rows.iter().filter(|row| row["group"] != "security") {
            assert!(row["status"] != "warn" && row["status"] != "fail", "{row:#}");
            // Where everything can be looked at, it was.
            assert!(row["status"] != "skip", "{row:#}");
        }
        report.nothing_else_is_broken(&[]);
        assert!(report.rows.len() > 30, "{:#?}", report.rows);
        assert!(took < patient(SOON), "{took:?}");
    }
}

/// A name server on the container's loopback, which knows no name; it ends with the test.
fn serve_names(pid: &str) -> Result<(), String> {
    let namespace = open(format!("/proc/{pid}/ns/net").as_str(), OFlag::O_RDONLY, Mode::empty());
    let namespace = namespace.map_err(|errno| errno.to_string())?;
    let thread = std::thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        UdpSocket::bind("127.0.0.1:53").unwrap()
    });
    let socket = thread.join().unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut packet) {
            // A response, recursion available, NXDOMAIN; the question as it came, and no additional record.
            (packet[2], packet[3]) = (0x81, 0x83);
            packet[6..12].fill(0);
            let end = packet[12..length].iter().position(|byte| *byte == 0).map_or(length, |at| 12 + at + 5);
            let _ = socket.send_to(&packet[..end.min(length)], peer);
        }
    });
    Ok(())
}

/// Starts a container, or skips the test.
macro_rules! container {
    ($started:expr) => {
        match $started {
            Ok(container) => container,
            Err(reason) => skip!("{reason}"),
        }
    };
}

// Seen to fail without the handler of SIGTERM.
#[test]
fn a_static_server_is_healthy() {
    needs_root!();
    let start = || {
        let root = unpacked("static", &[])?;
        compiled(&root, "gcc", &["-static"])?;
        Container::start("static", &root, &["/server"])
    };
    container!(start()).is_healthy();
}

// Seen to fail with a home directory that can't be written to taken for a fault.
#[test]
fn a_server_on_a_read_only_root_without_capabilities_is_healthy() {
    needs_root!();
    let options =
        ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
    let start = || {
        let root = unpacked("hardened", &[])?;
        compiled(&root, "gcc", &["-static"])?;
        Container::start_with(&options, "hardened", &root, &["/server"])
    };
    container!(start()).is_healthy();
}

// Seen to fail with the directories that the loader was built with left out.
#[test]
fn a_server_on_glibc_is_healthy() {
    needs_root!();
    let start = || {
        let root = unpacked("glibc", &["libc6"])?;
        compiled(&root, "gcc", &[])?;
        Container::start("glibc", &root, &["/server"])
    };
    container!(start()).is_healthy();
}

// Seen to fail without the handler of SIGTERM.
#[test]
fn a_server_on_musl_is_healthy() {
    needs_root!();
    let start = || {
        let root = unpacked("musl", &["musl"])?;
        compiled(&root, "musl-gcc", &[])?;
        Container::start("musl", &root, &["/server"])
    };
    container!(start()).is_healthy();
}

// Seen to fail with scripts that need a shell taken for broken.
#[test]
fn a_server_in_python_is_healthy() {
    needs_root!();
    let start = || {
        let root = unpacked("python", &["python3-minimal"])?;
        fs::write(root.join("server.py"), PYTHON).unwrap();
        Container::start("python", &root, &["/usr/bin/python3", "/server.py"])
    };
    container!(start()).is_healthy();
}

// Seen to fail with scripts that need env taken for broken.
#[test]
fn a_server_in_node_is_healthy() {
    needs_root!();
    let start = || {
        // Debian's own, where the machine has it from elsewhere.
        let release = fs::read_to_string("/etc/os-release").map_err(|error| error.to_string())?;
        let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let package = format!("nodejs/{}", codename.ok_or("no Debian")?);
        let root = unpacked("node", &[&package])?;
        fs::write(root.join("server.js"), NODE).unwrap();
        Container::start("node", &root, &["/usr/bin/node", "/server.js"])
    };
    container!(start()).is_healthy();
}
