//! containerd of the tests' own, and a container that ctr makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::node::{archive, daemon, directory, image};
use super::{Known, fixture, list, name, needs, said, soon, table, text};
use crate::live::run;

/// Where plugins of CNI are.
const PLUGINS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// Gives a pod an address without touching the node: it says so, and does nothing.
const PLUGIN: &str = r#"#!/bin/sh
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "0.4.0", "supportedVersions": ["0.3.1", "0.4.0"]}' ;;
ADD) echo '{"cniVersion": "0.4.0", "interfaces": [{"name": "eth0", "sandbox": "'"$CNI_NETNS"'"}],
    "ips": [{"version": "4", "address": "192.0.2.2/24", "interface": 0}]}' ;;
esac
"#;

const CONFLIST: &str =
    r#"{"cniVersion": "0.4.0", "name": "nsdbg-test", "plugins": [{"type": "nsdbg-test"}]}"#;

/// A running containerd.
pub struct Containerd {
    pub socket: PathBuf,
}

/// Starts it once.
pub fn containerd() -> Result<&'static Containerd, String> {
    static STARTED: OnceLock<Result<Containerd, String>> = OnceLock::new();
    STARTED.get_or_init(start).as_ref().map_err(Clone::clone)
}

fn start() -> Result<Containerd, String> {
    needs("containerd", "containerd")?;
    needs("ctr", "containerd")?;
    needs("runc", "runc")?;
    let directory = directory();
    let socket = directory.join("containerd.sock");
    network(directory)?;
    let at = |name: &str| directory.join(name).display().to_string();
    let config = format!(
        r#"version = 2
root = "{root}"
state = "{state}"
# Makes /opt/containerd.
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{image}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{networks}"
"#,
        root = at("root"),
        state = at("state"),
        socket = socket.display(),
        image = image(),
        plugins = at("cni"),
        networks = at("networks"),
    );
    fs::write(directory.join("containerd.toml"), config).unwrap();
    daemon(
        Command::new("containerd").arg("--config").arg(directory.join("containerd.toml")),
        "containerd.log",
    )?;
    let containerd = Containerd { socket };
    soon(Duration::from_secs(10), || said(containerd.ctr("default").arg("version")))?;
    for namespace in ["default", "k8s.io"] {
        let mut import = containerd.ctr(namespace);
        said(import.args(["images", "import", "--snapshotter", "native"]).arg(archive()?))?;
        let managed = ["images", "label", &image(), "io.cri-containerd.image=managed"];
        said(containerd.ctr(namespace).args(managed))?;
    }
    Ok(containerd)
}

fn network(directory: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let loopback = PLUGINS
        .iter()
        .map(|plugins| Path::new(plugins).join("loopback"))
        .find(|path| path.exists())
        .ok_or("no CNI plugins: apt-get install containernetworking-plugins")?;
    for name in ["cni", "networks"] {
        fs::create_dir(directory.join(name)).unwrap();
    }
    let plugin = directory.join("cni/nsdbg-test");
    fs::write(&plugin, PLUGIN).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(loopback, directory.join("cni/loopback")).unwrap();
    fs::write(directory.join("networks/10-nsdbg-test.conflist"), CONFLIST).unwrap();
    Ok(())
}

impl Containerd {
    /// ctr for a namespace of containerd.
    pub fn ctr(&self, namespace: &str) -> Command {
        let mut command = Command::new("ctr");
        command.arg("-a").arg(&self.socket).args(["-n", namespace]);
        command
    }

    /// Ids and PIDs of the running tasks of a namespace, as ctr shows them.
    pub fn tasks(&self, namespace: &str) -> Result<Vec<(String, i32)>, String> {
        let out = said(self.ctr(namespace).args(["tasks", "ls"]))?;
        Ok(table(&out)
            .into_iter()
            .filter(|row| row.get(2).is_some_and(|state| state == "RUNNING"))
            .map(|row| (row[0].clone(), row[1].parse().unwrap()))
            .collect())
    }
}

/// A container that `ctr run` made, once.
fn ctr_run() -> Result<&'static Known, String> {
    static MADE: OnceLock<Result<Known, String>> = OnceLock::new();
    MADE.get_or_init(|| {
        let containerd = containerd()?;
        let id = name("ctr");
        let mut run = containerd.ctr("default");
        run.args(["run", "-d", "--null-io", "--snapshotter", "native", &image(), &id]);
        said(run.args(["/server", "serve", "18433", &id]))?;
        let tasks = containerd.tasks("default")?;
        let (_, pid) = tasks.iter().find(|(task, _)| *task == id).ok_or("ctr does not show it")?;
        Ok(Known { runtime: "containerd", id, pid: *pid, port: Some(18433), ..Known::default() }.mark())
    })
    .as_ref()
    .map_err(Clone::clone)
}

#[test]
fn a_container_of_ctr_is_listed_and_reached_by_its_name() {
    let container = fixture!(ctr_run());
    container.is_listed();
    container.is_reached_by(&container.id);
    container.is_reached_by(&format!("id:{}", container.id));
}

#[test]
fn the_list_agrees_with_ctr_tasks_ls() {
    fixture!(ctr_run());
    // Pods too, where they can be made.
    let sandboxes = super::cri::pods().map(|pods| pods.sandboxes()).unwrap_or_default();
    let containerd = containerd().unwrap();
    for namespace in ["default", "k8s.io"] {
        let mut theirs = containerd.tasks(namespace).unwrap();
        theirs.retain(|(id, _)| !sandboxes.contains(id));
        let rows = list(&["--runtime", "containerd"]);
        let mut ours: Vec<(String, i32)> = rows
            .iter()
            .map(|row| (text(row, "id").to_owned(), row["pid"].as_i64().unwrap() as i32))
            .filter(|(_, pid)| is_shim_of(*pid, containerd, namespace))
            .filter(|(id, _)| !sandboxes.contains(id))
            .collect();
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs, "{namespace}: {rows:#?}");
    }
}

/// Whether a container is of this containerd's and of this namespace: its parent's arguments say so.
fn is_shim_of(pid: i32, containerd: &Containerd, namespace: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)).unwrap_or_default();
    let line = fs::read(format!("/proc/{parent}/cmdline")).unwrap_or_default();
    let words: Vec<&str> =
        line.split(|byte| *byte == 0).filter_map(|w| std::str::from_utf8(w).ok()).collect();
    let follows = |option: &str, value: &str| words.windows(2).any(|pair| pair == [option, value]);
    follows("-address", containerd.socket.to_str().unwrap()) && follows("-namespace", namespace)
}

#[test]
fn a_stopped_task_is_no_target() {
    fixture!(containerd());
    let containerd = containerd().unwrap();
    let id = name("ended");
    let mut run_it = containerd.ctr("default");
    run_it.args(["run", "-d", "--null-io", "--snapshotter", "native", &image(), &id, "/server", "sleep"]);
    said(&mut run_it).unwrap();
    said(containerd.ctr("default").args(["tasks", "kill", "-s", "KILL", &id])).unwrap();
    soon(Duration::from_secs(5), || {
        let tasks = containerd.tasks("default")?;
        if tasks.iter().any(|(task, _)| *task == id) { Err("it still runs".into()) } else { Ok(()) }
    })
    .unwrap();
    run(Command::new(crate::support::NSDBG).args([&id, "--", "ls", "/"])).fails(125, &id);
}
