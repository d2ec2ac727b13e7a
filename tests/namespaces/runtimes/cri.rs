//! Real pods, made through containerd's CRI as a kubelet makes them: a sandbox and two containers, each with its own PID
//! namespace; the same with the pod's; one container with the node's.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::containerd::containerd;
use super::node::image;
use super::{Known, fixture, is_ambiguous, list, name, needs, said, tag, text};
use crate::audit::{lines, place};
use crate::live::run;
use crate::support::NSDBG;

/// A pod's PID namespace, and a number that makes its UID.
const OWN: (&str, u8) = ("container", 1);
const SHARED: (&str, u8) = ("pod", 2);
const NODE: (&str, u8) = ("node", 3);

/// A running pod.
#[derive(Debug)]
pub struct Pod {
    name: String,
    namespace: &'static str,
    uid: String,
    sandbox: String,
    containers: Vec<Known>,
}

impl Pod {
    fn start(
        kind: &str,
        namespace: &'static str,
        pid: (&str, u8),
        containers: &[(&str, Option<u16>)],
    ) -> Result<Self, String> {
        const PYTHON: &str = "/usr/bin/python3";
        needs(PYTHON, "python3-grpcio")?;
        said(Command::new(PYTHON).args(["-c", "import grpc"]))
            .map_err(|_| "no gRPC for Python: apt-get install python3-grpcio".to_owned())?;
        let containerd = containerd()?;
        let name = name(kind);
        let uid = format!("9f3c51b4-{:04}-4b7e-8a21-{:0>12}", pid.1, tag());
        let arguments = |container: &str, port: Option<u16>| match port {
            Some(port) => json!(["serve", port.to_string(), container]),
            None => json!(["sleep", container]),
        };
        let pod = json!({
            "name": name, "namespace": namespace, "uid": uid, "pid": pid.0, "image": image(),
            "containers": containers
                .iter()
                .map(|(name, port)| json!({"name": name, "args": arguments(name, *port)}))
                .collect::<Value>(),
        });
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/cri.py");
        let mut client = Command::new(PYTHON);
        let made = said(client.arg(script).arg(&containerd.socket).arg(pod.to_string()))?;
        let made: Value = serde_json::from_str(&made).map_err(|error| error.to_string())?;
        let tasks = containerd.tasks("k8s.io")?;
        let containers = containers.iter().map(|(container, port)| {
            let id = text(&made["containers"], container).to_owned();
            let (_, pid) = tasks.iter().find(|(task, _)| *task == id).expect("a task");
            Known {
                runtime: "containerd",
                name: None,
                pid: *pid,
                id,
                image: Some(image()),
                pod: Some(name.clone()),
                namespace: Some(namespace.to_owned()),
                container: Some((*container).to_owned()),
                port: *port,
            }
            .mark()
        });
        let containers = containers.collect();
        Ok(Self { containers, sandbox: text(&made, "sandbox").to_owned(), name, namespace, uid })
    }

    fn container(&self, name: &str) -> &Known {
        self.containers.iter().find(|known| known.container.as_deref() == Some(name)).unwrap()
    }
}

/// The pods of all tests.
pub struct Pods {
    /// Two containers, each with a PID namespace of its own.
    own: Pod,
    /// Two containers that share the sandbox's PID namespace.
    shared: Pod,
    /// One container in the node's PID namespace, its pod named like the first in another namespace.
    node: Pod,
}

impl Pods {
    fn all(&self) -> [&Pod; 3] {
        [&self.own, &self.shared, &self.node]
    }

    /// The containers of all of them.
    pub fn containers(&self) -> impl Iterator<Item = &Known> {
        self.all().into_iter().flat_map(|pod| &pod.containers)
    }

    /// Ids of the sandboxes.
    pub fn sandboxes(&self) -> Vec<String> {
        self.all().map(|pod| pod.sandbox.clone()).to_vec()
    }
}

/// Makes them once.
pub fn pods() -> Result<&'static Pods, String> {
    static MADE: OnceLock<Result<Pods, String>> = OnceLock::new();
    let two = [("app", Some(8081)), ("sidecar", Some(8082))];
    MADE.get_or_init(|| {
        Ok(Pods {
            own: Pod::start("web", "nsdbg-test-prod", OWN, &two)?,
            shared: Pod::start("shared", "nsdbg-test-prod", SHARED, &two)?,
            node: Pod::start("web", "nsdbg-test-dev", NODE, &[("app", None)])?,
        })
    })
    .as_ref()
    .map_err(Clone::clone)
}

#[test]
fn a_pods_containers_are_listed_with_their_pod() {
    let pods = fixture!(pods());
    for container in pods.all().iter().flat_map(|pod| &pod.containers) {
        container.is_listed();
    }
    let pod = &pods.own;
    let rows = list(&["--pod", &pod.name, "--namespace", pod.namespace]);
    let mut ids: Vec<&str> = rows.iter().map(|row| text(row, "id")).filter(|id| *id != pod.sandbox).collect();
    ids.sort_unstable();
    let mut expected: Vec<&str> = pod.containers.iter().map(|known| known.id.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected, "{rows:#?}");
    assert!(list(&["--namespace", "nsdbg-test-nowhere"]).is_empty());
}

#[test]
fn a_pods_container_is_reached_by_namespace_pod_and_container() {
    let pods = fixture!(pods());
    for pod in pods.all() {
        for container in &pod.containers {
            let name = container.container.as_deref().unwrap();
            container.is_reached_by(&format!("{}/{}/{name}", pod.namespace, pod.name));
            container.is_reached_by(&format!("pod:{}/{}/{name}", pod.namespace, pod.name));
            container.is_reached_by(&container.id);
            container.is_reached_by(&container.id[..12]);
            container.is_reached_by(&format!("id:{}", &container.id[..16]));
        }
    }
}

#[test]
fn a_pod_with_one_container_is_that_container_and_not_its_sandbox() {
    let pods = fixture!(pods());
    let pod = &pods.node;
    pod.container("app").is_reached_by(&format!("{}/{}", pod.namespace, pod.name));
    // That has a name of its own.
    let file = place("audit");
    let sandbox = format!("pod:{}/{}/POD", pod.namespace, pod.name);
    let ran = run(Command::new(NSDBG).arg("--audit").arg(&file).args([&*sandbox, "--", "true"]));
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(lines(&file)[0]["target"]["container"], pod.sandbox);
}

#[test]
fn a_pod_with_two_containers_and_two_pods_of_one_name_are_ambiguous() {
    let pods = fixture!(pods());
    let all: Vec<&Known> = pods.shared.containers.iter().collect();
    let ran = is_ambiguous(&format!("pod:{}", pods.shared.name), &all);
    assert!(!format!("{}{}", ran.err, ran.text()).contains(&pods.shared.sandbox[..12]), "{ran:?}");
    // The pod of this name in the other namespace has an `app` too.
    let named = format!("pod:{}/app", pods.own.name);
    is_ambiguous(&named, &[pods.own.container("app"), pods.node.container("app")]);
}

#[test]
fn in_a_shared_pid_namespace_each_container_is_its_own_main_process() {
    let pods = fixture!(pods());
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap();
    let [app, sidecar] = ["app", "sidecar"].map(|name| pods.shared.container(name));
    assert_eq!(namespace(app.pid), namespace(sidecar.pid), "the fixture shares it");
    let shown = run(Command::new(NSDBG).args([&app.id[..], "--", "ps", "-o", "args="])).ok();
    assert!(shown.contains("serve 8081 app") && shown.contains("serve 8082 sidecar"), "{shown}");
    for container in [app, sidecar] {
        assert_eq!(container.row()["processes"], 1, "{:#}", container.row());
    }
    let [app, sidecar] = ["app", "sidecar"].map(|name| pods.own.container(name));
    assert_ne!(namespace(app.pid), namespace(sidecar.pid), "the fixture has two");
    let shown = run(Command::new(NSDBG).args([&app.id[..], "--", "ps", "-o", "args="])).ok();
    assert_eq!(shown.lines().count(), 1, "{shown}");
}

#[test]
fn a_pids_container_and_pod_are_told() {
    let pods = fixture!(pods());
    for pod in pods.all() {
        for container in &pod.containers {
            let pid = container.pid.to_string();
            let told = run(Command::new(NSDBG).args(["--who", &pid, "--json"]));
            assert_eq!(told.status, 0, "{told:?}");
            let row: Value = serde_json::from_str(told.text().trim()).unwrap();
            assert_eq!((text(&row, "id"), text(&row, "pod")), (&container.id[..], &pod.name[..]), "{row:#}");
        }
    }
}

#[test]
fn a_pod_is_in_the_cgroup_of_its_uid() {
    let pods = fixture!(pods());
    for pod in pods.all() {
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", pod.containers[0].pid)).unwrap();
        let expected = format!("/kubepods/burstable/pod{}/{}", pod.uid, pod.containers[0].id);
        assert!(groups.contains(&expected), "the fixture is as a kubelet's: {groups}");
    }
}
