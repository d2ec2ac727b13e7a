//! podman: rootful, with a user namespace of its own, and a pod whose containers share namespaces.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use super::node::{archive, directory, image};
use super::{Known, fixture, is_ambiguous, list, name, needs, said, tag, text};
use crate::live::run;
use crate::support::NSDBG;

/// The containers of all tests.
pub struct Podman {
    web: Known,
    /// docker has a container of the same name.
    pub same: Known,
    /// Has a user namespace of its own.
    mapped: Known,
    /// Annotations say that it is CRI-O's, of another pod. An image's own reach the container the same way.
    annotated: Known,
    /// Two containers of one pod.
    pod: [Known; 2],
    /// The name of one that has ended.
    ended: String,
}

impl Podman {
    /// Those that run.
    pub fn all(&self) -> [&Known; 6] {
        [&self.web, &self.same, &self.mapped, &self.annotated, &self.pod[0], &self.pod[1]]
    }
}

/// Makes them once.
pub fn podman() -> Result<&'static Podman, String> {
    static STARTED: OnceLock<Result<Podman, String>> = OnceLock::new();
    STARTED.get_or_init(start).as_ref().map_err(Clone::clone)
}

fn start() -> Result<Podman, String> {
    const PACKAGES: &str = "podman runc conmon netavark catatonit";
    for tool in ["podman", "runc"] {
        needs(tool, PACKAGES)?;
    }
    said(podman_cli().args(["load", "-q", "-i"]).arg(archive()?))?;
    let alone = ["--network", "none"];
    let map = ["--network", "none", "--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"];
    let pod = name("podman-pod");
    said(podman_cli().args(["pod", "create", "--network", "none", "--name", &pod]))?;
    let in_pod = |kind: &str, port| {
        let known = container(kind, &["--pod", &pod], Some(port))?;
        Ok::<_, String>(Known { pod: Some(pod.clone()), ..known })
    };
    let made = Podman {
        web: container("podman-web", &alone, Some(18432))?,
        same: container("same", &alone, None)?,
        mapped: container("podman-mapped", &map, None)?,
        annotated: container("podman-annotated", &annotated(), None)?,
        pod: [in_pod("podman-app", 8081)?, in_pod("podman-sidecar", 8082)?],
        ended: name("podman-ended"),
    };
    container("podman-ended", &alone, None)?;
    said(podman_cli().args(["kill", "-s", "KILL", &made.ended]))?;
    Ok(made)
}

/// Options of a container that says it is another's.
fn annotated() -> Vec<&'static str> {
    let mut options = vec!["--network", "none"];
    for annotation in [
        "io.container.manager=cri-o",
        "io.kubernetes.cri-o.ContainerType=container",
        "io.kubernetes.pod.name=nsdbg-test-victim-0",
        "io.kubernetes.pod.namespace=nsdbg-test-prod",
        "io.kubernetes.container.name=app",
        "dev.gvisor.internal.x=y",
    ] {
        options.extend(["--annotation", annotation]);
    }
    options
}

/// podman with runc and with limits that root may set; a pod's infra container takes them from a file alone.
pub fn podman_cli() -> Command {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let file = directory().join("containers.conf");
        let limits = r#"default_ulimits = ["nofile=1024:4096", "nproc=1000:1000"]"#;
        fs::write(&file, format!("[containers]\n{limits}\n[engine]\nruntime = \"runc\"\n")).unwrap();
        file
    });
    let mut command = Command::new("podman");
    command.env("CONTAINERS_CONF", file);
    command
}

fn container(kind: &str, options: &[&str], port: Option<u16>) -> Result<Known, String> {
    let name = name(kind);
    let mut run = podman_cli();
    run.args(["run", "-d", "--name", &name, "--passwd=false"]).args(options).arg(image());
    match port {
        Some(port) => run.args(["serve", &port.to_string(), &name]),
        None => run.args(["sleep", &name]),
    };
    let id = said(&mut run)?.trim().to_owned();
    let pid = said(podman_cli().args(["inspect", "-f", "{{.State.Pid}}", &id]))?;
    let pid = pid.trim().parse().map_err(|_| format!("podman has no PID of {name}: {pid}"))?;
    let (name, image) = (Some(name), Some(image()));
    Ok(Known { runtime: "podman", name, id, pid, image, port, ..Known::default() }.mark())
}

// Seen to fail with the pod and the machine that annotations tell.
#[test]
fn r36_annotations_that_an_image_can_have_make_no_pod_of_a_container_of_podmans() {
    let annotated = &fixture!(podman()).annotated;
    annotated.is_listed();
    annotated.is_reached_by(annotated.name.as_deref().unwrap());
    let row = annotated.row();
    assert_eq!((&row["pod"], &row["namespace"]), (&Value::Null, &Value::Null), "{row:#}");
    for pod in ["nsdbg-test-prod/nsdbg-test-victim-0/app", "nsdbg-test-victim-0", "pod:nsdbg-test-victim-0"] {
        run(Command::new(NSDBG).args([pod, "--", "ls", "/"])).fails(125, "no container has this name");
    }
}

#[test]
fn containers_of_podman_are_listed_and_reached_by_name_id_and_prefix() {
    let podman = fixture!(podman());
    for known in [&podman.web, &podman.mapped, &podman.pod[0], &podman.pod[1]] {
        known.is_listed();
        let name = known.name.as_deref().unwrap();
        for target in [name, &format!("name:{name}"), &known.id, &known.id[..12]] {
            known.is_reached_by(target);
        }
    }
}

#[test]
fn the_list_agrees_with_podman_ps() {
    let podman = fixture!(podman());
    let filter = format!("name=-{}$", tag());
    let out = said(podman_cli().args(["ps", "--format", "json", "--filter", &filter])).unwrap();
    let shown: Vec<Value> = serde_json::from_str(&out).unwrap();
    let mut theirs: Vec<(String, String, String, i64)> = shown
        .iter()
        .map(|row| {
            let name = row["Names"][0].as_str().unwrap().to_owned();
            (text(row, "Id").to_owned(), name, text(row, "Image").to_owned(), row["Pid"].as_i64().unwrap())
        })
        .collect();
    let rows = list(&["--runtime", "podman"]);
    let mut ours: Vec<(String, String, String, i64)> = rows
        .iter()
        .filter(|row| text(row, "name").ends_with(&format!("-{}", tag())))
        .map(|row| {
            let [id, name, image] = ["id", "name", "image"].map(|field| text(row, field).to_owned());
            (id, name, image, row["pid"].as_i64().unwrap())
        })
        .collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs, "{rows:#?}");
    assert!(ours.iter().any(|row| row.0 == podman.web.id) && ours.len() >= 5, "{ours:?}");
}

#[test]
fn the_containers_of_a_podman_pod_are_told_apart_though_they_share_namespaces() {
    let podman = fixture!(podman());
    let [app, sidecar] = &podman.pod;
    for kind in ["net", "ipc", "uts"] {
        let inode = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_eq!(inode(app.pid), inode(sidecar.pid), "the fixture shares {kind}");
    }
    let pod = app.pod.as_deref().unwrap();
    is_ambiguous(&format!("pod:{pod}"), &[app, sidecar]);
    for known in [app, sidecar] {
        known.is_reached_by(&format!("pod:{pod}/{}", known.name.as_deref().unwrap()));
    }
    let listed = list(&["--pod", pod]);
    assert!(listed.iter().all(|row| text(row, "pod") == pod) && listed.len() >= 2, "{listed:#?}");
}

#[test]
fn a_container_of_podman_that_has_ended_is_no_target() {
    let podman = fixture!(podman());
    run(Command::new(NSDBG).args([&podman.ended, "--", "ls", "/"])).fails(125, &podman.ended);
    assert!(list(&[&podman.ended]).is_empty());
}
