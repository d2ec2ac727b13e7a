//! Real containers: images FROM scratch with one static program, run by podman and runc.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::live::{Ran, run};
use crate::support::{NSDBG, helper, needs_root, new_directory, skip};

const IMAGE: &str = "nsdbg-test-scratch";

/// What would provide what these tests need.
const PROVIDE: &str =
    "apt-get install podman runc conmon netavark aardvark-dns iptables nftables buildah catatonit";

/// Builds the image once; says why not where that can't be.
fn image() -> Result<(), String> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    BUILT.get_or_init(build).clone()
}

fn build() -> Result<(), String> {
    for tool in ["podman", "runc"] {
        Command::new(tool).arg("--version").output().map_err(|_| format!("no {tool}: {PROVIDE}"))?;
    }
    let context = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nsdbg-test-image");
    fs::create_dir_all(context.join("etc")).unwrap();
    fs::copy(helper(), context.join("server")).unwrap();
    fs::write(
        context.join("etc/passwd"),
        "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
    )
    .unwrap();
    fs::write(context.join("etc/group"), "root:x:0:\nnonroot:x:65532:\n").unwrap();
    fs::write(
        context.join("Containerfile"),
        "FROM scratch\nCOPY server /server\nCOPY etc /etc\nUSER 65532:65532\nENTRYPOINT [\"/server\", \"serve\", \"8080\"]\n",
    )
    .unwrap();
    let built = run(Command::new("podman").args(["build", "-q", "-t", IMAGE]).arg(&context));
    if built.status == 0 { Ok(()) } else { Err(format!("podman can't build here: {}", built.err)) }
}

/// Stdout of a run that succeeded.
fn text(ran: &Ran) -> String {
    assert_eq!(ran.status, 0, "{ran:?}");
    ran.text()
}

/// A running container; removed when dropped.
struct Container {
    name: String,
    pid: String,
}

impl Container {
    fn start(name: &str, options: &[&str]) -> Result<Self, String> {
        image()?;
        let name = format!("nsdbg-test-{name}-{}", std::process::id());
        let mut command = Command::new("podman");
        command.args(["run", "-d", "--name", &name, "--runtime", "runc", "--passwd=false"]);
        command.args(["--ulimit", "nofile=1024:4096", "--ulimit", "nproc=1000:1000"]);
        if !options.contains(&"none") {
            // No question leaves the machine.
            command.args(["--dns", "127.0.0.1"]);
        }
        let started = run(command.args(options).arg(IMAGE));
        let mut container = Self { name, pid: String::new() };
        if started.status != 0 {
            return Err(format!("podman can't run it here: {}", started.err));
        }
        let inspected =
            run(Command::new("podman").args(["inspect", "-f", "{{.State.Pid}}", &container.name]));
        container.pid = text(&inspected).trim().to_owned();
        for _ in 0..100 {
            if container.run(&["http", "get", "http://127.0.0.1:8080/"]).status == 0 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Ok(container)
    }

    fn run(&self, command: &[&str]) -> Ran {
        run(Command::new(NSDBG).args(["--pid", &self.pid, "--"]).args(command))
    }

    fn changes(&self) -> String {
        text(&run(Command::new("podman").args(["diff", &self.name])))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("podman").args(["rm", "-f", "-t", "0", &self.name]).output();
    }
}

macro_rules! container {
    ($name:expr, $options:expr) => {
        match Container::start($name, $options) {
            Ok(container) => container,
            Err(reason) => skip!("{reason}"),
        }
    };
}

#[test]
fn the_commands_look_into_an_image_from_scratch_and_change_nothing() {
    needs_root!();
    let container = container!("scratch", &[]);
    let before = container.changes();
    assert_eq!(
        text(&container.run(&["http", "get", "http://127.0.0.1:8080/"])),
        "hello from a container without a shell\n"
    );
    assert!(text(&container.run(&["ls", "-l", "/"])).contains(" server\n"));
    assert!(text(&container.run(&["cat", "/etc/passwd"])).contains("nonroot:x:65532"));
    let processes = text(&container.run(&["ps", "-o", "pid,user,args"]));
    let lines: Vec<&str> = processes.lines().collect();
    assert_eq!(lines.len(), 2, "{processes}");
    assert!(lines[1].contains("nonroot") && lines[1].contains("/server serve 8080"), "{processes}");
    let sockets = text(&container.run(&["netstat", "-tlnp"]));
    assert!(sockets.contains(":8080") && sockets.contains("1/server"), "{sockets}");
    let status = text(&container.run(&["cat", "/proc/self/status"]));
    assert!(status.contains("Uid:\t65532\t65532\t65532\t65532\n"), "{status}");
    assert!(status.contains("CapEff:\t0000000000000000\n"), "{status}");
    assert_eq!(container.changes(), before);
}

// Seen to fail with a command that panics on a root without files.
#[test]
fn every_command_runs_as_the_images_own_user_on_a_read_only_root() {
    needs_root!();
    let container = container!("every", &["--read-only"]);
    let node = new_directory("examples");
    let before = container.changes();
    let said = text(&container.run(&["help", "--json"]));
    let mut count = 0;
    for command in said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
        for example in command["examples"].as_array().unwrap() {
            let line = example["line"].as_str().unwrap();
            // What is written on the node is written into a directory of the test's own.
            let (of_node, prefix) =
                if line.starts_with("get ") { ("/tmp", "") } else { ("@host:/tmp", "@host:") };
            let line = &line.replace(of_node, &format!("{prefix}{}", node.display()));
            let ran = run(Command::new(NSDBG).args(["--pid", &container.pid, "--timeout", "15", "-c", line]));
            // A fault of the command is its own status and a message; no other end is one.
            assert!(ran.status < 124 && !ran.err.contains("internal error"), "{line}: {ran:?}");
            // The doctor's tells what it has found.
            assert!(ran.status < 3 || !ran.err.is_empty() || line.starts_with("doctor"), "{line}: {ran:?}");
            count += 1;
        }
    }
    assert!(count > 80, "{count}");
    container.run(&["ping", "-c", "1", "127.0.0.1"]).fails(2, "--cap-add NET_RAW");
    let ping = ["--pid", &container.pid, "--cap-add", "NET_RAW", "--", "ping", "-c", "1", "127.0.0.1"];
    assert!(text(&run(Command::new(NSDBG).args(ping))).contains("1 received"));
    container.run(&["put", "/etc/hostname", "/here"]).fails(1, "read-only file system");
    assert_eq!(container.changes(), before);
    fs::remove_dir_all(node).unwrap();
}

/// Starts a container so, and compares what a command is inside with what the target is.
fn same_identity(name: &str, options: &[&str]) -> Result<(), String> {
    let container = Container::start(name, options)?;
    let own = text(&container.run(&["cat", "/proc/self/status"]));
    let target = fs::read_to_string(format!("/proc/{}/status", container.pid)).unwrap();
    let field = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).map(|v| v.trim().to_owned()).expect("a field")
    };
    for (set, of) in [("CapEff:", "CapPrm:"), ("CapPrm:", "CapPrm:"), ("CapBnd:", "CapBnd:")] {
        assert_eq!(field(&own, set), field(&target, of), "{name} {set}");
    }
    for empty in ["CapInh:", "CapAmb:"] {
        assert_eq!(field(&own, empty), "0000000000000000", "{name} {empty}");
    }
    assert_eq!((field(&own, "NoNewPrivs:"), field(&own, "Seccomp:")), ("1".into(), "2".into()), "{name}");
    assert!(text(&container.run(&["ls", "/"])).contains("server"), "{name}");
    assert!(text(&container.run(&["ps"])).contains("/server serve 8080"), "{name}");
    assert!(text(&container.run(&["http", "get", "http://127.0.0.1:8080/"])).contains("hello"), "{name}");
    Ok(())
}

macro_rules! configuration {
    ($($test:ident: $options:expr;)*) => {
        $(
            #[test]
            fn $test() {
                needs_root!();
                if let Err(reason) = same_identity(stringify!($test), &$options) {
                    skip!("{reason}");
                }
            }
        )*
    };
}

configuration! {
    a_root_target: ["--user", "0:0"];
    a_target_in_a_user_namespace: ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"];
    a_root_target_in_a_user_namespace: ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", "--user", "0:0"];
    a_target_in_the_nodes_pid_namespace: ["--pid=host"];
    a_target_without_network_or_capabilities: ["--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
    a_target_with_a_read_only_root: ["--read-only"];
    a_privileged_target: ["--privileged", "--user", "0:0"];
    a_target_with_an_added_capability: ["--cap-add", "NET_ADMIN", "--user", "0:0"];
}
