//! nsdbg as its DaemonSet runs it: the image that scripts/image makes, with what scripts/daemonset.yaml says, in a container
//! of podman's. From there the node's other containers are listed and entered.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cri::pods;
use super::podman_pods::{podman, podman_cli};
use super::{Known, MARKER, fixture, name, needs, said, tag, text};
use crate::live::{Ran, run, run_with_input, wait};
use crate::prompt::Prompt;
use crate::support::{LIMIT, NSDBG};

/// What the manifest says of the one container.
struct Manifest(String);

impl Manifest {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/daemonset.yaml");
        let text = fs::read_to_string(path).unwrap();
        Self(text[text.find("kind: DaemonSet").unwrap()..].to_owned())
    }

    /// The lines of a list whose key this is, as deep as the first one.
    fn list(&self, key: &str) -> Vec<&str> {
        let mut lines = self.0.lines().skip_while(|line| line.trim() != key).skip(1);
        let lines = lines.by_ref().map(str::trim).filter(|line| !line.starts_with('#'));
        lines.map_while(|line| line.strip_prefix("- ")).collect()
    }

    fn value(&self, key: &str) -> &str {
        let mut lines = self.0.lines().map(|line| line.trim().trim_start_matches("- "));
        lines
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
            .unwrap_or_else(|| panic!("no {key}"))
    }

    /// Names and values of the environment.
    fn environment(&self) -> Vec<String> {
        let lines: Vec<&str> = self.0.lines().map(str::trim).collect();
        let pairs = lines
            .windows(2)
            .filter_map(|two| Some((two[0].strip_prefix("- name: ")?, two[1].strip_prefix("value: ")?)));
        pairs.map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// What podman is told to run it so.
    fn options(&self) -> Vec<String> {
        assert_eq!((self.value("hostPID"), self.value("readOnlyRootFilesystem")), ("true", "true"));
        assert_eq!((self.value("privileged"), self.value("runAsUser")), ("false", "0"));
        assert_eq!(self.value("drop"), "[\"ALL\"]");
        let added = self.list("add:");
        assert!(added.len() > 6, "{added:?}");
        let fixed = [
            "--pid=host",
            "--read-only",
            "--read-only-tmpfs=false",
            "--cap-drop=ALL",
            "--security-opt=seccomp=unconfined",
            // As where the unified hierarchy is.
            "--cgroupns=private",
            "--network=none",
            "--passwd=false",
        ];
        let mut options: Vec<String> = fixed.map(str::to_owned).to_vec();
        options.extend(added.iter().map(|name| format!("--cap-add={name}")));
        options.push(format!("--tmpfs={}:rw,size=16m,mode=755", self.value("mountPath")));
        options.extend(self.environment().into_iter().map(|pair| format!("--env={pair}")));
        options
    }

    fn arguments(&self) -> Vec<String> {
        serde_json::from_str(self.value("args")).unwrap()
    }
}

/// A running pod of the DaemonSet's, so to speak.
struct Daemon {
    name: String,
    pid: i32,
}

fn daemon() -> Result<&'static Daemon, String> {
    static STARTED: OnceLock<Result<Daemon, String>> = OnceLock::new();
    STARTED.get_or_init(|| start("daemonset")).as_ref().map_err(Clone::clone)
}

fn start(kind: &str) -> Result<Daemon, String> {
    for tool in ["podman", "runc"] {
        needs(tool, "podman runc conmon")?;
    }
    let image = format!("localhost/nsdbg-test-image:{}-nsdbg", tag());
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let build = || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/image");
        said(Command::new(script).args(["--tool", "podman", "--tag", &image, "--binary", NSDBG])).map(drop)
    };
    BUILT.get_or_init(build).clone()?;
    let (manifest, name) = (Manifest::read(), name(kind));
    let mut run = podman_cli();
    run.args(["run", "-d", "--name", &name]).args(manifest.options()).arg(&image).args(manifest.arguments());
    said(&mut run)?;
    let pid = said(podman_cli().args(["inspect", "-f", "{{.State.Pid}}", &name]))?;
    let pid = pid.trim().parse().map_err(|_| format!("podman has no PID: {pid}"))?;
    let daemon = Daemon { name, pid };
    let socket = format!("/proc/{pid}/root/run/nsdbg/audit.sock");
    super::soon(Duration::from_secs(5), || {
        fs::metadata(&socket).map(drop).map_err(|error| error.to_string())
    })?;
    Ok(daemon)
}

impl Daemon {
    /// As `kubectl exec` runs it.
    fn command(&self, options: &[&str], args: &[&str]) -> Command {
        let mut command = podman_cli();
        command.arg("exec").args(options).args([&self.name, "/nsdbg"]).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        run(&mut self.command(&[], args))
    }

    /// What was printed of the audit.
    fn audit(&self) -> Vec<Value> {
        let log = said(podman_cli().args(["logs", &self.name])).unwrap();
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

/// All that is looked into, and the names that lead there.
fn targets() -> Result<Vec<(&'static Known, Vec<String>)>, String> {
    let mut all = Vec::new();
    for known in podman()?.all() {
        all.push((known, vec![known.name.clone().unwrap(), format!("id:{}", known.id)]));
    }
    for known in pods()?.containers() {
        let [namespace, pod, container] =
            [&known.namespace, &known.pod, &known.container].map(|name| name.as_deref().unwrap());
        all.push((known, vec![format!("pod:{namespace}/{pod}/{container}"), format!("id:{}", known.id)]));
    }
    Ok(all)
}

// Seen to fail with our own namespaces taken for the node's where its first process can't be looked at.
#[test]
fn the_daemonsets_pod_lists_the_nodes_containers_by_their_names() {
    let daemon = fixture!(daemon());
    let targets = fixture!(targets());
    let ran = daemon.run(&["--list", "--json"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let rows: Vec<Value> = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (known, _) in &targets {
        let row = rows
            .iter()
            .find(|row| text(row, "id") == known.id)
            .unwrap_or_else(|| panic!("{known:?} in {rows:#?}"));
        assert_eq!(row["pid"], known.pid, "{row:#}");
        let names = [
            ("pod", &known.pod),
            ("namespace", &known.namespace),
            ("container", &known.container),
            ("image", &known.image),
        ];
        for (field, value) in names.into_iter().filter_map(|(field, value)| Some((field, value.as_ref()?))) {
            assert_eq!(text(row, field), value, "{row:#}");
        }
        if let Some(port) = known.port {
            assert!(row["ports"].to_string().contains(&port.to_string()), "{row:#}");
        }
    }
    // As the node itself shows it, nsdbg's own processes and paths seen from its cgroup included.
    let here = super::list(&[]);
    let mine = |rows: &[Value]| {
        let of_this_run = |row: &&Value| targets.iter().any(|(known, _)| text(row, "id") == known.id);
        rows.iter()
            .filter(of_this_run)
            .map(|row| (row["id"].clone(), row["cgroup"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(mine(&rows), mine(&here));
}

// Seen to fail without CAP_SYS_CHROOT in the manifest; without each of the other five nothing can be entered, either.
#[test]
fn the_daemonsets_pod_enters_the_nodes_containers_as_the_node_does() {
    let daemon = fixture!(daemon());
    for (known, names) in fixture!(targets()) {
        for target in names {
            let ran = daemon.run(&[&target, "--", "cat", MARKER]);
            assert_eq!((ran.status, ran.text()), (0, known.marker()), "{target}: {ran:?}");
        }
        let id = format!("id:{}", known.id);
        // The same commands from the node itself say the same.
        for command in
            [&["cat", "/proc/self/status"][..], &["ps", "-o", "args="], &["ls", "-ln", "/etc"], &["env"]]
        {
            // All of the node's processes, which come and go.
            let spaces = ["self", &known.pid.to_string()]
                .map(|pid| fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap());
            if command[0] == "ps" && spaces[0] == spaces[1] {
                continue;
            }
            let own = |text: String| {
                let keeps = |line: &&str| {
                    ["Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp:"]
                        .iter()
                        .any(|key| line.starts_with(key))
                };
                if command[0] == "cat" {
                    text.lines().filter(keeps).collect::<Vec<_>>().join("\n")
                } else {
                    text
                }
            };
            let there = daemon.run(&[&[&id[..], "--"], command].concat());
            let here = run(Command::new(NSDBG).args([&id, "--"]).args(command));
            assert_eq!(
                (there.status, own(there.text())),
                (here.status, own(here.text())),
                "{command:?}: {there:?}"
            );
        }
    }
}

// Seen to fail without CAP_KILL and CAP_DAC_READ_SEARCH in the manifest, and in a cgroup namespace that is kept.
#[test]
fn in_the_daemonsets_pod_limits_sockets_cgroups_and_copies_work() {
    let daemon = fixture!(daemon());
    let pods = fixture!(pods());
    let known = pods.containers().find(|known| known.port.is_some()).unwrap();
    let id = format!("id:{}", known.id);
    let ended = daemon.run(&["--timeout", "500ms", &id, "--", "sleep", "60"]);
    assert!(ended.status == 124 && !ended.err.contains("given up"), "{ended:?}");
    let sockets = daemon.run(&[&id, "--", "netstat", "-tlnp"]).text();
    assert!(sockets.contains("1/server"), "{sockets}");
    let cgroup = daemon.run(&["--json", &id, "--", "cgroup"]);
    assert_eq!(cgroup.status, 0, "{cgroup:?}");
    assert!(daemon.run(&[&id, "--", "lsof"]).text().contains("LISTEN"));
    let copy = daemon.run(&[&id, "--", "get", MARKER, "-"]);
    let marker = known.marker();
    assert!(
        copy.status == 0 && copy.out.windows(marker.len()).any(|part| part == marker.as_bytes()),
        "{copy:?}"
    );
    let back =
        run_with_input(&mut daemon.command(&["-i"], &["--root", &id, "--", "put", "-", "/etc"]), &copy.out);
    assert_eq!(back.status, 0, "{back:?}");
    let put = fs::read_to_string(format!("/proc/{}/root/etc{MARKER}", known.pid)).unwrap();
    assert_eq!(put, marker);
    daemon.run(&[&id, "--", "get", MARKER, "/here"]).fails(1, "read-only file system");
}

// Seen to fail without the environment of the manifest.
#[test]
fn in_the_daemonsets_pod_audit_and_history_are_where_they_are_documented() {
    let daemon = fixture!(daemon());
    let podman = fixture!(podman());
    // Docker may have one of this name, too.
    let (name, id) = (podman.same.name.as_deref().unwrap(), &podman.same.id[..]);
    let word = format!("nsdbg-test-word-{}", tag());
    assert_eq!(daemon.run(&[id, "--", "echo", &word]).ok(), format!("{word}\n"));
    let of_word = |line: &&Value| text(line, "command") == format!("echo {word}");
    let said_so = || daemon.audit().iter().filter(of_word).count() == 2;
    assert!(crate::live::within(LIMIT, said_so), "{:#?}", daemon.audit());
    for line in daemon.audit().iter().filter(of_word) {
        assert_eq!((text(&line["target"], "name"), text(&line["target"], "container")), (name, id));
    }
    let mut prompt = Prompt::of(daemon.command(&["-it"], &["--no-doctor", id]));
    prompt.sees("nonroot:/$ ");
    prompt.type_in(format!("echo his{word}\r").as_bytes());
    prompt.sees(&format!("\nhis{word}"));
    prompt.type_in(b"exit\r");
    assert_eq!(wait(&mut prompt.nsdbg, LIMIT), Some(0));
    let history = format!("/proc/{}/root/run/nsdbg/nsdbg/history", daemon.pid);
    assert!(fs::read_to_string(&history).unwrap().contains(&format!("echo his{word}\n")));
    assert_eq!(fs::metadata(&history).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_daemonsets_pod_takes_little_and_ends_at_once() {
    fixture!(daemon());
    let daemon = fixture!(start("daemonset-ended"));
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", daemon.pid)).unwrap();
    let rss =
        rollup.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap().trim().split(' ').next().unwrap();
    assert!(rss.parse::<u64>().unwrap() < 3 << 10, "{rollup}");
    let begun = Instant::now();
    said(podman_cli().args(["stop", "-t", "10", &daemon.name])).unwrap();
    assert!(begun.elapsed() < crate::support::patient(Duration::from_secs(4)), "{:?}", begun.elapsed());
    let status = said(podman_cli().args(["inspect", "-f", "{{.State.ExitCode}}", &daemon.name])).unwrap();
    assert_eq!(status.trim(), "0");
}

// Seen to fail with archives that tell the time of their making.
#[test]
fn two_builds_of_the_image_are_one_whatever_tool_takes_it() {
    crate::support::needs_root!();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/image");
    let directory = super::node::directory();
    let tag_of = format!("localhost/nsdbg-test-image:{}-twice", tag());
    let binary = directory.join("nsdbg-copy");
    let build = |more: &[&str], umask: &str| {
        // Another time, another umask, another name of the binary's.
        let line = format!("umask {umask}; exec \"$@\"");
        let mut command = Command::new("bash");
        command
            .args(["-c", &line, "bash"])
            .arg(&script)
            .args(["--tag", &tag_of, "--binary"])
            .arg(&binary)
            .args(more);
        if let Ok(docker) = super::docker::docker() {
            command.env("DOCKER_HOST", docker.host());
        }
        said(&mut command)
    };
    // Small: what it holds makes no difference.
    fs::copy(crate::support::helper(), &binary).unwrap();
    let [one, two] = ["one.tar", "two.tar"].map(|name| directory.join(name).display().to_string());
    let digest = build(&["--oci", &one], "022").unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    fs::copy(crate::support::helper(), &binary).unwrap();
    assert_eq!(build(&["--oci", &two], "077").unwrap(), digest);
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "the archives differ");
    let id = digest.lines().nth(1).unwrap().strip_prefix("id sha256:").unwrap();
    let manifest = digest.lines().next().unwrap().strip_prefix("digest ").unwrap();
    for tool in ["podman", "buildah", "docker"] {
        if let Err(reason) = needs(tool, "podman buildah docker.io") {
            crate::support::skip!("{reason}");
        }
        if tool == "docker"
            && let Err(reason) = super::docker::docker()
        {
            crate::support::skip!("{reason}");
        }
        assert_eq!(build(&["--tool", tool], "022").unwrap(), digest, "{tool}");
    }
    let known = said(podman_cli().args(["inspect", "-f", "{{.Id}} {{.Digest}}", &tag_of])).unwrap();
    assert_eq!(known.trim(), format!("{id} {manifest}"));
    let docker = super::docker::docker().unwrap();
    let known =
        said(docker.cli().args(["inspect", "-f", "{{.Id}} {{.Config.Entrypoint}} {{.Config.Cmd}}", &tag_of]))
            .unwrap();
    assert_eq!(known.trim(), format!("sha256:{id} [/nsdbg] [--idle]"));
}

#[test]
fn an_image_that_could_not_run_is_not_made() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/image");
    let sh = fs::canonicalize("/bin/sh").unwrap().display().to_string();
    for (args, status, words) in [
        (&["--binary", "/nonexistent"][..], 1, "no such file"),
        (&["--binary", "/etc/hostname"], 1, "no ELF program"),
        (&["--binary", &sh], 1, "needs a loader"),
        (&["--tag", "a\"b:1"], 1, "no image's name"),
        (&["--tag", "no-tag"], 1, "no image's name"),
        (&["--tool", "make"], 1, "no tool of that name"),
        (&["--frob"], 2, "usage"),
        (&["--oci"], 2, "takes a value"),
    ] {
        run(Command::new(&script).args(args)).fails(status, words);
    }
}
