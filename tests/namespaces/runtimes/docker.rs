//! Docker of the tests' own, without any network of the node.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::containerd::containerd;
use super::node::{archive, daemon, directory, image};
use super::{Known, MARKER, fixture, list, name, needs, said, soon, text};
use crate::live::run;
use crate::support::NSDBG;

/// A running Docker with its containers.
pub struct Docker {
    socket: PathBuf,
    /// Serves a port in a network namespace of its own.
    pub web: Known,
    /// podman has a container of the same name.
    pub same: Known,
    /// The name of one that has ended.
    pub ended: String,
}

/// Starts it once.
pub fn docker() -> Result<&'static Docker, String> {
    static STARTED: OnceLock<Result<Docker, String>> = OnceLock::new();
    STARTED.get_or_init(start).as_ref().map_err(Clone::clone)
}

fn start() -> Result<Docker, String> {
    for tool in ["docker", "dockerd"] {
        needs(tool, "docker.io")?;
    }
    let containerd = containerd()?;
    let at = |name: &str| directory().join(name);
    let socket = at("docker.sock");
    let config = serde_json::json!({"deprecated-key-path": at("docker-key.json")});
    fs::write(at("docker.json"), config.to_string()).unwrap();
    let mut command = Command::new("dockerd");
    command.arg("--config-file").arg(at("docker.json"));
    command.arg("--containerd").arg(&containerd.socket);
    command.arg("--data-root").arg(at("docker-data")).arg("--exec-root").arg(at("docker-exec"));
    command.arg("--pidfile").arg(at("docker.pid"));
    command.arg("-H").arg(format!("unix://{}", socket.display()));
    command.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]);
    command.args(["--ip-masq=false", "--userland-proxy=false", "--oom-score-adjust=0"]);
    daemon(&mut command, "docker.log")?;
    let mut docker =
        Docker { socket, web: Known::default(), same: Known::default(), ended: name("docker-ended") };
    soon(Duration::from_secs(15), || said(docker.cli().arg("version")))?;
    said(docker.cli().args(["load", "-q", "-i"]).arg(archive()?))?;
    docker.web = docker.run("docker-web", Some(18431))?;
    docker.same = docker.run("same", None)?;
    docker.run("docker-ended", None)?;
    said(docker.cli().args(["kill", &docker.ended]))?;
    Ok(docker)
}

impl Docker {
    /// Its address.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    pub fn cli(&self) -> Command {
        let mut command = Command::new("docker");
        command.arg("-H").arg(self.host());
        command
    }

    fn run(&self, kind: &str, port: Option<u16>) -> Result<Known, String> {
        let name = name(kind);
        let mut run = self.cli();
        run.args(["run", "-d", "--name", &name, "--network", "none", &image()]);
        match port {
            Some(port) => run.args(["serve", &port.to_string(), &name]),
            None => run.args(["sleep", &name]),
        };
        let id = said(&mut run)?.trim().to_owned();
        let pid = said(self.cli().args(["inspect", "-f", "{{.State.Pid}}", &id]))?;
        let pid = pid.trim().parse().map_err(|_| format!("docker has no PID of {name}: {pid}"))?;
        let (name, image) = (Some(name), Some(image()));
        Ok(Known { runtime: "docker", name, id, pid, image, port, ..Known::default() }.mark())
    }

    /// Ids, names and images as docker shows them.
    fn ps(&self) -> Vec<[String; 3]> {
        let format = "{{.ID}} {{.Names}} {{.Image}}";
        let out = said(self.cli().args(["ps", "--no-trunc", "--format", format])).unwrap();
        let row = |line: &str| {
            let mut words = line.split(' ').map(str::to_owned);
            [(); 3].map(|()| words.next().unwrap())
        };
        out.lines().map(row).collect()
    }
}

#[test]
fn a_container_of_docker_is_listed_and_reached_by_name_id_and_prefix() {
    let docker = fixture!(docker());
    let web = &docker.web;
    web.is_listed();
    let name = web.name.as_deref().unwrap();
    for target in [name, &format!("name:{name}"), &web.id, &web.id[..12], &format!("id:{}", &web.id[..16])] {
        web.is_reached_by(target);
    }
    web.is_reached_by(&web.pid.to_string());
    web.is_reached_by(&format!("pid:{}", web.pid));
}

#[test]
fn the_list_agrees_with_docker_ps() {
    let docker = fixture!(docker());
    let mut theirs = docker.ps();
    let rows = list(&["--runtime", "docker"]);
    let mut ours: Vec<[String; 3]> = rows
        .iter()
        .map(|row| ["id", "name", "image"].map(|field| text(row, field).to_owned()))
        .filter(|[_, name, _]| name.ends_with(&format!("-{}", super::tag())))
        .collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs, "{rows:#?}");
    assert!(ours.len() >= 2);
}

#[test]
fn a_container_of_docker_that_has_ended_is_no_target() {
    let docker = fixture!(docker());
    run(Command::new(NSDBG).args([&docker.ended, "--", "ls", "/"])).fails(125, &docker.ended);
    assert!(list(&[&docker.ended]).is_empty());
}

#[test]
fn a_port_and_a_command_line_lead_to_a_container() {
    let docker = fixture!(docker());
    let web = &docker.web;
    let port = web.port.unwrap().to_string();
    let line = format!("serve {port} {}", web.name.as_deref().unwrap());
    for by in [["--port", &port], ["--match", &line]] {
        let ran = run(Command::new(NSDBG).args(by).args(["--", "cat", MARKER]));
        assert_eq!((ran.status, ran.text()), (0, web.marker()), "{by:?}: {ran:?}");
    }
    run(Command::new(NSDBG).args(["--port", "18439", "--", "ls", "/"])).fails(125, "18439");
}

#[test]
fn a_command_runs_in_all_containers_of_a_runtime() {
    let docker = fixture!(docker());
    // Another Docker's containers on this machine are not looked into: the name is this run's.
    let tag = super::tag();
    let filters = ["--all", "--runtime", "docker", "--match", &tag];
    let ran = run(Command::new(NSDBG).args(filters).args(["--", "cat", MARKER]));
    assert_eq!(ran.status, 0, "{ran:?}");
    let lines = ran.text();
    for container in [&docker.web, &docker.same] {
        let mine: Vec<&str> =
            lines.lines().filter(|line| line.ends_with(container.marker().trim())).collect();
        assert_eq!(mine.len(), 1, "{container:?}: {lines}");
        assert!(mine[0].contains(container.name.as_deref().unwrap()), "{container:?}: {lines}");
    }
}
