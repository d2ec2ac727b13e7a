//! State files of real runtimes, taken from a machine on which they ran (tests/fixtures/state/node), and trees that
//! are written here, for what could not be run and for what is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;

/// Reads the files below a root, with the procfs that is in there.
fn read_of(root: &Path, live: &BTreeSet<String>, claims: &Claims, shims: &[Shim]) -> States {
    let procfs = Host::open(&root.join("proc")).or_else(|_| Host::open(root)).unwrap();
    // In place of the kernel, a process's own user tells who made its user namespace.
    let owner = |procfs: &Host, pid: i32| {
        let status = procfs.read(&Path::new(&pid.to_string()).join("status"), 4096).ok()?;
        files::status_field(&status, "Uid")?.split_ascii_whitespace().next()?.parse().ok()
    };
    let is_in = &|_, id: &str| live.contains(id);
    read(&Host::open(root).unwrap(), &Hints { live, claims, is_in, shims, procfs: &procfs, node: 1, owner })
}

const POD: &str = "4fc4a829b877947e905a2f3f2cbfa97ae200b6e7e327a5264fdc4cf10839798a";
const BUNDLES: &str = "run/containerd/io.containerd.runtime.v2.task";
const STORAGE: &str = "var/lib/containers/storage/overlay-containers";
const RUN: &str = "run/containers/storage/overlay-containers";

/// A node's root that ends with the test.
struct Node {
    root: PathBuf,
    live: BTreeSet<String>,
    claims: Claims,
    shims: Vec<Shim>,
}

impl Node {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = PathBuf::from(format!("/tmp/nsdbg-test-state-{}-{number}", std::process::id()));
        fs::create_dir_all(root.join("proc/1/ns")).unwrap();
        symlink("mnt:[1]", root.join("proc/1/ns/mnt")).unwrap();
        Self { root, live: BTreeSet::new(), claims: Claims::new(), shims: Vec::new() }
    }

    fn path(&self, path: &str) -> PathBuf {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn put(&self, path: &str, text: &str) -> &Self {
        fs::write(self.path(path), text).unwrap();
        self
    }

    fn process(&self, pid: i32, start: u64, uid: u32) -> &Self {
        let zeros = "0 ".repeat(18);
        self.put(&format!("proc/{pid}/stat"), &format!("{pid} (a) b) S {zeros}{start} 0\n"));
        self.put(&format!("proc/{pid}/status"), &format!("Name:\ta\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n"))
    }

    fn live(&mut self, id: &str) -> &mut Self {
        self.live.insert(id.into());
        self
    }

    fn claim(&mut self, user: u32, id: &str) -> &mut Self {
        self.claims.entry(user).or_default().insert(id.into());
        self
    }

    fn shim(&mut self, pid: i32, namespace: &str, args: &str) -> &mut Self {
        self.process(pid, 1, 0).put(&format!("proc/{pid}/exe"), "");
        symlink(namespace, self.path(&format!("proc/{pid}/ns/mnt"))).unwrap();
        self.shims.push(Shim { pid, args: args.split(' ').map(str::to_owned).collect() });
        self
    }

    fn read(&self) -> States {
        read_of(&self.root, &self.live, &self.claims, &self.shims)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn annotations(pairs: &[(&str, &str)]) -> String {
    let pairs: BTreeMap<_, _> = pairs.iter().copied().collect();
    serde_json::json!({"ociVersion": "1.1.0", "annotations": pairs}).to_string()
}

/// runtime, name, image, pod, container, sandbox, machine.
fn row(states: &States, id: &str) -> String {
    states.known.values().find(|known| known.id.starts_with(id)).map_or("none".into(), shown)
}

/// The same of a user's.
fn row_of(states: &States, user: u32, id: &str) -> String {
    states.of_users.get(&(user, id.into())).map_or("none".into(), shown)
}

fn shown(known: &Known) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or("-".into());
    let pod =
        known.pod.as_ref().map_or("-".into(), |pod| format!("{}/{}/{}", pod.namespace, pod.name, pod.uid));
    format!(
        "{} {} {} {pod} {} {} {} {}",
        known.runtime.name(),
        text(&known.name),
        text(&known.image),
        text(&known.container),
        if known.is_sandbox { "sandbox" } else { "container" },
        known.machine.unwrap_or("-"),
        known.pid.unwrap_or(0),
    )
}

#[test]
fn real_files_of_docker_containerd_podman_and_runc() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/state/node");
    let shims: BTreeMap<i32, Vec<String>> =
        serde_json::from_slice(&fs::read(root.join("shims.json")).unwrap()).unwrap();
    let shims: Vec<_> = shims.into_iter().map(|(pid, args)| Shim { pid, args }).collect();
    let states = read_of(&root, &BTreeSet::new(), &Claims::new(), &shims);
    let image = "localhost/nsdbg-test-state:latest";
    let pod = format!("/nsdbg-test-state-pod/{POD}");
    for (id, expected) in [
        // It has a label that says that it is of a pod.
        ("eb00", "docker nsdbg-test-state-web nsdbg-test-state - - container - 21181".into()),
        ("e069", "docker nsdbg-test-state-plain nsdbg-test-state - - container - 21245".into()),
        ("nsdbg-test-ctr", "containerd lab - - - container - 22571".into()),
        ("3974", format!("podman nsdbg-test-state-a {image} - - container - 20929")),
        ("af80", format!("podman nsdbg-test-state-ro {image} - - container - 20961")),
        ("a402", format!("podman nsdbg-test-state-podinfra {image} {pod} - sandbox - 21431")),
        (
            "fbcb",
            format!("podman nsdbg-test-state-inpod {image} {pod} nsdbg-test-state-inpod container - 21454"),
        ),
        ("nsdbg-test-runc", "runc nsdbg-test-runc - - - container - 22714".into()),
    ] {
        assert_eq!(row(&states, id), expected, "{id}");
    }
    assert_eq!(states.known.len(), 8);
    assert_eq!(states.notes, Vec::<String>::new());
    assert!(states.known.values().all(|known| known.note.is_none()));
}

#[test]
fn pods_of_containerd_and_k3s() {
    let mut node = Node::new();
    let pod = [("io.kubernetes.cri.sandbox-id", "s1"), ("io.kubernetes.cri.sandbox-name", "web-0")];
    let sandbox =
        [("io.kubernetes.cri.container-type", "sandbox"), ("io.kubernetes.cri.sandbox-namespace", "prod")];
    let uid = ("io.kubernetes.cri.sandbox-uid", "1-2");
    let container = [
        ("io.kubernetes.cri.container-type", "container"),
        ("io.kubernetes.cri.container-name", "app"),
        ("io.kubernetes.cri.sandbox-id", "s1"),
        ("io.kubernetes.cri.image-name", "registry/app:1"),
    ];
    node.put(
        &format!("{BUNDLES}/k8s.io/s1/config.json"),
        &annotations(&[&pod[..], &sandbox, &[uid]].concat()),
    );
    // Before containerd 1.6 a container has only the id of its sandbox.
    node.put(&format!("{BUNDLES}/k8s.io/c1/config.json"), &annotations(&container));
    node.put(&format!("{BUNDLES}/k8s.io/c1/init.pid"), "77\n").process(77, 5, 0);
    let k3s = BUNDLES.replace("containerd/", "k3s/containerd/");
    node.put(&format!("{k3s}/k8s.io/c2/config.json"), &annotations(&container[..2]));
    node.put(&format!("{BUNDLES}/k8s.io/dead/config.json"), &annotations(&container));
    node.put(&format!("{BUNDLES}/k8s.io/dead/init.pid"), "78");
    node.put(&format!("{BUNDLES}/default/n1/config.json"), &annotations(&[("nerdctl/name", "web")]));
    node.live("s1").live("c2").live("n1");
    node.shim(90, "mnt:[1]", "/usr/bin/containerd-shim-kata-v2 -namespace k8s.io -address a -id s1");
    let states = node.read();
    for (id, expected) in [
        ("s1", "containerd - - prod/web-0/1-2 - sandbox Kata 0"),
        ("c1", "containerd app registry/app:1 prod/web-0/1-2 app container Kata 77"),
        ("c2", "containerd app - - app container - 0"),
        ("n1", "containerd web - - - container - 0"),
        ("dead", "none"),
    ] {
        assert_eq!(row(&states, id), expected, "{id}");
    }
    assert_eq!(states.pods.get("1-2").unwrap().name, "web-0");
}

#[test]
fn cri_o_in_the_storage_that_podman_shares() {
    let mut node = Node::new();
    // What a pod's author has written counts for nothing.
    let pod = [
        ("io.container.manager", "cri-o"),
        ("io.kubernetes.pod.name", "other"),
        ("io.kubernetes.pod.namespace", "other"),
        ("io.kubernetes.cri-o.SandboxID", "s1"),
    ];
    let sandbox = [("io.kubernetes.cri-o.ContainerType", "sandbox")];
    let container = [
        ("io.kubernetes.cri-o.ContainerType", "container"),
        ("io.kubernetes.container.name", "app"),
        ("io.kubernetes.cri-o.ImageName", "registry/app:1"),
        ("io.kubernetes.cri-o.RuntimeHandler", "runsc"),
    ];
    node.put(&format!("{RUN}/s1/userdata/config.json"), &annotations(&[&pod[..], &sandbox].concat()));
    node.put(&format!("{RUN}/c1/userdata/config.json"), &annotations(&[&pod[..], &container].concat()));
    node.put(&format!("{RUN}/c1/userdata/pidfile"), "77").process(77, 5, 0);
    node.live("s1");
    node.put(
        &format!("{STORAGE}/containers.json"),
        r#"[{"id":"c1","names":["k8s_app_web-0_prod_1-2_0"],"metadata":"{\"image-name\":\"x\"}"},
            {"id":"s1","names":["k8s_POD_web-0_prod_1-2_0"]}]"#,
    );
    let states = node.read();
    assert_eq!(row(&states, "s1"), "cri-o - - prod/web-0/1-2 - sandbox - 0");
    assert_eq!(row(&states, "c1"), "cri-o app registry/app:1 prod/web-0/1-2 app container gVisor 77");
}

#[test]
fn pids_of_runc_and_crun_are_believed_only_with_their_start_time() {
    let mut node = Node::new();
    node.process(77, 5, 0).process(78, 6, 1000);
    node.put("run/runc/good/state.json", r#"{"id":"good","init_process_pid":77,"init_process_start":5}"#);
    node.put("run/runc/stale/state.json", r#"{"id":"stale","init_process_pid":77,"init_process_start":4}"#);
    node.put("run/runc/kept/state.json", r#"{"id":"kept","init_process_pid":77,"init_process_start":4}"#);
    node.put("run/crun/c/status", r#"{"pid":77,"process-start-time":5,"bundle":"/b","owner":"root"}"#);
    node.put("run/crun/gone/status", r#"{"pid":99,"process-start-time":5}"#);
    node.put("run/user/1000/runc/own/state.json", r#"{"init_process_pid":78,"init_process_start":6}"#);
    node.put("run/user/1000/crun/claims/status", r#"{"pid":77,"process-start-time":5}"#);
    node.live("kept");
    let states = node.read();
    for (id, expected) in [
        ("good", "runc good - - - container - 77"),
        ("stale", "none"),
        ("kept", "runc kept - - - container - 0"),
        ("c", "crun c - - - container - 77"),
        ("gone", "none"),
        ("own", "none"),
    ] {
        assert_eq!(row(&states, id), expected, "{id}");
    }
    assert_eq!(row_of(&states, 1000, "own"), "runc own - - - container - 78");
    assert_eq!(row_of(&states, 1000, "claims"), "none");
}

// Seen to fail without verify().
#[test]
fn pids_of_other_files_are_believed_only_where_something_else_tells() {
    let mut node = Node::new();
    node.process(77, 5, 0).process(78, 6, 1000);
    let docker = |id: &str, pid: i32| {
        let text = format!(r#"{{"Name":"/{id}","State":{{"Running":true,"Pid":{pid}}}}}"#);
        node.put(&format!("var/lib/docker/containers/{id}/config.v2.json"), &text);
    };
    let runtimes = |id: &str, text: &str| {
        node.put(&format!("run/docker/runtime-runc/moby/{id}/state.json"), text);
    };
    docker("plain", 77);
    docker("recycled", 78);
    docker("live", 78);
    docker("same", 77);
    runtimes("same", r#"{"init_process_pid":77,"init_process_start":5}"#);
    docker("stale", 77);
    runtimes("stale", r#"{"init_process_pid":77,"init_process_start":4}"#);
    docker("other", 77);
    runtimes("other", r#"{"init_process_pid":78,"init_process_start":6}"#);
    node.put(&format!("{BUNDLES}/k8s.io/ctr/init.pid"), "77");
    node.put(
        "run/containerd/runc/k8s.io/ctr/state.json",
        r#"{"init_process_pid":77,"init_process_start":4}"#,
    );
    node.live("live");
    let states = node.read();
    let pids: Vec<(&str, Option<i32>)> = states.known.values().map(|k| (k.id.as_str(), k.pid)).collect();
    let wanted = [
        ("ctr", None),
        ("live", Some(78)),
        ("other", None),
        ("plain", Some(77)),
        ("recycled", None),
        ("same", Some(77)),
        ("stale", None),
    ];
    assert_eq!(pids, wanted);
}

// Seen to fail with the effective user alone, and without a look at the program.
#[test]
fn a_setuid_program_by_the_name_of_a_runtimes_is_not_believed() {
    for (ids, mode, expected) in [
        ("0\t0\t0\t0", 0o755, "docker n - - - container - 0"),
        ("1000\t0\t0\t0", 0o755, "none"),
        ("0\t0\t0\t0", 0o4755, "none"),
        ("0\t0\t0\t0", 0o2755, "none"),
    ] {
        let mut node = Node::new();
        node.put("home/u/d/containers/c1/config.v2.json", r#"{"Name":"/n"}"#);
        node.live("c1").shim(90, "mnt:[1]", "dockerd -g /home/u/d");
        node.put("proc/90/status", &format!("Name:\tdockerd\nUid:\t{ids}\n"));
        fs::set_permissions(node.path("proc/90/exe"), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(row(&node.read(), "c1"), expected, "{ids} {mode:o}");
    }
}

// Seen to fail with the pod that labels and annotations tell.
#[test]
fn an_image_names_no_pod_and_no_machine() {
    let mut node = Node::new();
    let labels = r#"{"io.kubernetes.pod.name":"web-0","io.kubernetes.pod.namespace":"prod"}"#;
    node.put(
        "var/lib/docker/containers/d1/config.v2.json",
        &format!(r#"{{"Name":"/evil","Config":{{"Labels":{labels}}}}}"#),
    );
    node.put(&format!("{STORAGE}/containers.json"), r#"[{"id":"p1","names":["evil"]}]"#);
    let of_image = [
        ("io.container.manager", "cri-o"),
        ("io.kubernetes.pod.name", "web-0"),
        ("io.kubernetes.pod.namespace", "prod"),
        ("io.kubernetes.container.name", "app"),
        ("dev.gvisor.internal.x", "y"),
    ];
    node.put(&format!("{STORAGE}/p1/userdata/config.json"), &annotations(&of_image));
    node.live("d1").live("p1");
    let states = node.read();
    assert_eq!(row(&states, "d1"), "docker evil - - - container - 0");
    assert_eq!(row(&states, "p1"), "podman evil - - - container - 0");
}

#[test]
fn a_user_adds_containers_but_changes_none() {
    let mut node = Node::new();
    node.put("etc/passwd", "root:x:0:0::/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n");
    let home = "home/u/.local/share/containers/storage/overlay-containers";
    node.put(
        &format!("{home}/containers.json"),
        r#"[{"id":"mine","names":["m"]},{"id":"c1","names":["evil"]}]"#,
    );
    node.put("run/user/1000/containers/overlay-containers/mine/userdata/pidfile", "1");
    node.put(&format!("{STORAGE}/containers.json"), r#"[{"id":"c1","names":["good"]}]"#);
    node.process(1, 1, 0).process(78, 6, 1000);
    node.put("run/user/1000/runc/c1/state.json", r#"{"init_process_pid":78,"init_process_start":6}"#);
    node.put("run/user/1000/runc/c2/state.json", r#"{"init_process_pid":78,"init_process_start":6}"#);
    node.live("c1").live("c2").claim(1000, "mine").claim(1000, "c1").claim(1001, "theirs");
    let states = node.read();
    assert_eq!(row(&states, "c1"), "podman good - - - container - 0");
    assert_eq!(states.known.keys().collect::<Vec<_>>(), ["c1"]);
    assert_eq!(row_of(&states, 1000, "mine"), "podman m - - - container - 0");
    assert_eq!(row_of(&states, 1000, "c1"), "podman evil - - - container - 78");
    assert_eq!(row_of(&states, 1000, "c2"), "runc c2 - - - container - 78");
    assert_eq!(states.of_users.len(), 3);
}

#[test]
fn only_processes_of_the_node_tell_where_files_are() {
    for (namespace, expected) in [("mnt:[1]", "docker n - - - container - 0"), ("mnt:[2]", "none")] {
        for args in ["/usr/bin/dockerd --data-root d", "dockerd --data-root=/srv/d -D", "dockerd -g /srv/d"] {
            let mut node = Node::new();
            node.put("srv/d/containers/c1/config.v2.json", r#"{"Name":"/n"}"#);
            node.live("c1").shim(90, namespace, args);
            symlink("/srv", node.path("proc/90/cwd")).unwrap();
            assert_eq!(row(&node.read(), "c1"), expected, "{namespace} {args}");
        }
    }
    let mut node = Node::new();
    node.put("etc/docker/daemon.json", r#"{"data-root":"/srv/d","log-level":7}"#);
    node.put("srv/d/containers/c1/config.v2.json", r#"{"Name":"/n"}"#)
        .put("srv/d/containers/c1/hostconfig.json", r#"{"Runtime":"runsc"}"#);
    node.live("c1");
    assert_eq!(row(&node.read(), "c1"), "docker n - - - container gVisor 0");
}

#[test]
fn the_kubelet_names_what_no_runtime_does() {
    let mut node = Node::new();
    let (live, dead) = ("3f".repeat(32), "4f".repeat(32));
    node.put("var/log/pods/prod_web-0_1-2/app/0.log", "").put("var/lib/kubelet/pods/3-4/x", "");
    for id in [&live, &dead] {
        symlink("/nowhere", node.path(&format!("var/log/containers/web-0_prod_app-{id}.log"))).unwrap();
    }
    node.live(&live);
    let states = node.read();
    assert_eq!(row(&states, &live), "kubernetes app - prod/web-0/1-2 app container - 0");
    assert_eq!(row(&states, &dead), "none");
    assert_eq!(states.pods.keys().collect::<Vec<_>>(), ["1-2", "3-4"]);
}

#[test]
fn broken_files_are_a_note_on_their_container() {
    let huge = " ".repeat(files::FILE + 1);
    let deep = format!("{{\"Name\":{}", "[".repeat(100_000));
    let long = format!(r#"{{"Name":"/{}"}}"#, "n".repeat(5000));
    for (text, name, note) in [
        (
            r#"{"Name":"/n","State":{"Pid":"x","Running":1}}"#,
            Some("n"),
            "State.Running, State.Pid is not of the type",
        ),
        (
            r#"{"Name":"/n","State":5,"Config":{"Labels":null,"Image":3}}"#,
            Some("n"),
            "State, Config.Image is not",
        ),
        (r#"{"Name":7,"Config":{"Labels":{"a":1}}}"#, None, "Name is not of the type expected"),
        (r#"{"Name":"/n","State":{"Pid":99999999999}}"#, Some("n"), "State.Pid is not"),
        (r#"{"Name":"/n"#, None, "not the JSON expected, line 1 column 11"),
        (r#"{"Name":"/n"} x"#, None, "not the JSON expected"),
        ("", None, "not the JSON expected"),
        ("[]", None, ""),
        ("\u{feff}{}", None, "not the JSON expected"),
        (&huge, None, "larger than 4194304 bytes"),
        (&deep, None, "not the JSON expected"),
        (&long, None, ""),
        (r#"{"Name":"/a\u0000b"}"#, None, ""),
        (r#"{"Name":"/\u001b[2J ü\n"}"#, Some("\u{1b}[2J ü\n"), ""),
    ] {
        let mut node = Node::new();
        node.put("var/lib/docker/containers/c1/config.v2.json", text);
        node.live("c1");
        let states = node.read();
        let shown = text.get(..40).unwrap_or(text);
        let known = states.known.get("c1").expect(shown);
        assert_eq!(known.name.as_deref(), name, "{shown}");
        let said = known.note.clone().unwrap_or_default();
        assert!(said.contains(note) && said.is_empty() == note.is_empty(), "{shown}: {said}");
        assert!(states.notes.is_empty(), "{shown}");
    }
}

#[test]
fn what_stands_where_a_file_should_does_not_stop_or_lead_out() {
    type Make<'a> = &'a dyn Fn(&Path);
    let outside = Node::new();
    outside.put("secret", r#"{"Name":"/leak"}"#);
    let leak = outside.root.join("secret");
    let file = "var/lib/docker/containers/c1/config.v2.json";
    let make: [(&str, Make); 5] = [
        ("it is a directory", &|path| fs::create_dir(path).unwrap()),
        ("it is a FIFO", &|path| mkfifo(path, Mode::S_IRWXU).unwrap()),
        ("too many symbolic links", &|path| symlink("config.v2.json", path).unwrap()),
        ("none", &|path| symlink(&leak, path).unwrap()),
        ("none", &|path| symlink("../../../../../../../../../../../etc/passwd", path).unwrap()),
    ];
    for (expected, make) in make {
        let mut node = Node::new();
        make(&node.path(file));
        node.live("c1");
        let states = node.read();
        let note = states.known.get("c1").map_or("none".into(), |known| known.note.clone().unwrap());
        assert!(note.contains(expected), "{expected}: {note}");
    }
}

#[test]
fn broken_lists_and_settings_are_said_once_and_the_rest_is_read() {
    let mut node = Node::new();
    node.put(&format!("{STORAGE}/containers.json"), "[{");
    node.put(&format!("{RUN}/c1/userdata/pidfile"), "not a number");
    node.live("c1");
    node.put("etc/docker/daemon.json", "{").put("run/runc/c2/state.json", "{");
    node.live("c2");
    fs::create_dir_all(node.path("etc/containers/storage.conf/x")).unwrap();
    node.put("run/runc/loop", "").put("etc/passwd", "x:y\nu:x:1000");
    let states = node.read();
    assert_eq!(row(&states, "c1"), "podman - - - - container - 0");
    assert_eq!(row(&states, "c2"), "runc c2 - - - container - 0");
    assert!(states.known.get("c2").unwrap().note.is_some());
    assert_eq!(states.notes.len(), 3, "{:?}", states.notes);
}

#[test]
fn a_directory_that_cannot_be_read_is_said_once() {
    let mut node = Node::new();
    symlink("runc", node.path("run/runc")).unwrap();
    node.shim(90, "mnt:[1]", "runc --root /run/runc create x");
    let notes = node.read().notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes.iter().all(|note| note.starts_with("open /run/runc: ")), "{notes:?}");
}

#[test]
fn entries_of_a_list_stand_alone() {
    let mut node = Node::new();
    node.put(
        &format!("{STORAGE}/containers.json"),
        r#"[{"id":"../../etc","names":["x"]},{"id":5},{"id":"c1","names":[3,"n"],"metadata":"{"},
            {"id":"c2","names":"n2","metadata":"{\"name\":\"n3\",\"image-name\":[]}"}]"#,
    );
    node.live("../../etc").live("c1").live("c2");
    let states = node.read();
    assert_eq!(states.known.keys().collect::<Vec<_>>(), ["c1", "c2"]);
    assert_eq!(row(&states, "c1"), "podman n - - - container - 0");
    assert_eq!(row(&states, "c2"), "podman n3 - - - container - 0");
    assert!(states.known.values().all(|known| known.note.is_some()));
}

#[test]
fn machines_by_name() {
    for (name, expected) in [
        ("containerd-shim-kata-v2", Some("Kata")),
        ("/opt/kata/bin/containerd-shim-kata-qemu-v2", Some("Kata")),
        ("containerd-shim-runsc-v1", Some("gVisor")),
        ("io.containerd.runsc.v1", Some("gVisor")),
        ("containerd-shim-aws-firecracker", Some("Firecracker")),
        ("kata-fc", Some("Kata")),
        ("/opt/kata/bin/runc", None),
        ("containerd-shim-runc-v2", None),
        ("", None),
    ] {
        assert_eq!(machine::named(name), expected, "{name}");
    }
}
