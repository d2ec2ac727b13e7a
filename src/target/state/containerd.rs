//! containerd: the bundles of its tasks, STATE/io.containerd.runtime.v2.task/NAMESPACE/ID.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::files::{FILE, Reader, Spec, Texts, WORD, Wrong, id, option, parse_json, program, toml_text};
use super::{Known, Pod, machine};
use crate::target::runtime::Runtime;

/// Where the bundles are below a state directory; the second before containerd 1.7.
const TASKS: [&str; 2] = ["io.containerd.runtime.v2.task", "io.containerd.runtime.v1.linux"];

/// The annotations of containerd's CRI plugin. Source: internal/cri/annotations.
const CRI: &str = "io.kubernetes.cri.";

/// Reads the tasks of every containerd.
pub fn read(reader: &mut Reader) {
    for state in states(reader) {
        for tasks in TASKS {
            let tasks = state.join(tasks);
            for namespace in reader.ids(&tasks) {
                for id in reader.ids(&tasks.join(&namespace)) {
                    task(reader, &tasks.join(&namespace).join(&id), &namespace, id);
                }
            }
        }
    }
    // A bundle that can't be found has its shim's arguments still.
    for shim in reader.shims.clone() {
        let name = program(&shim.args);
        if !name.starts_with("containerd-shim") {
            continue;
        }
        let id = option(&shim.args, &["-id"]).and_then(|text| id(text.to_owned()));
        // A shim may outlive its task.
        if let Some(id) = id.filter(|id| machine::named(name).is_some() || reader.hints.live.contains(id)) {
            let runtime = runtime(option(&shim.args, &["-namespace"]).unwrap_or_default());
            reader.known.entry(id.clone()).or_insert_with(|| Known::new(&id, runtime));
        }
    }
}

fn runtime(namespace: &str) -> Runtime {
    if namespace == "moby" { Runtime::Docker } else { Runtime::Containerd }
}

/// The state directories of all containerds.
fn states(reader: &mut Reader) -> BTreeSet<PathBuf> {
    let mut states = BTreeSet::from(["/run/containerd".into(), "/run/k3s/containerd".into()]);
    // Docker's own containerd, where the node has no other.
    states.insert("/run/docker/containerd/daemon".into());
    for shim in reader.shims.clone() {
        let name = program(&shim.args);
        if name.starts_with("containerd-shim") {
            // A shim works in the bundle that it was started for.
            let Some(bundle) = reader.of_process(shim.pid, "cwd") else { continue };
            let mut above = bundle.ancestors().skip(2);
            let tasks = above.next().and_then(Path::file_name);
            if tasks.is_some_and(|name| TASKS.iter().any(|tasks| name == *tasks)) {
                states.extend(above.next().map(Path::to_owned));
            }
        } else if name == "containerd" {
            if let Some(state) = option(&shim.args, &["--state"]) {
                states.extend(reader.absolute(shim, state));
            }
            let file = option(&shim.args, &["--config", "-c"]).unwrap_or("/etc/containerd/config.toml");
            if file == "/dev/null" {
                continue;
            }
            if let Some(text) = reader.absolute(shim, file).and_then(|file| reader.text(&file, FILE)) {
                states.extend(toml_text(&text, "state").map(PathBuf::from).filter(|path| path.is_absolute()));
            }
        }
    }
    states
}

fn task(reader: &mut Reader, bundle: &Path, namespace: &str, id: String) {
    let pid = reader.pid(&bundle.join("init.pid"));
    let machine = ["shim-binary-path", "runtime"].into_iter().find_map(|file| {
        let bytes = reader.bytes(&bundle.join(file), WORD).ok()??;
        machine::named(String::from_utf8_lossy(&bytes).trim())
    });
    // What runs in a virtual machine has no process here.
    if machine.is_none() && !reader.lives(&id, pid) {
        return;
    }
    if let Some(known) = reader.known.get_mut(&id).filter(|known| known.runtime == runtime(namespace)) {
        known.pid = known.pid.or(pid);
        known.machine = known.machine.or(machine);
        return;
    }
    let mut known = Known::new(&id, runtime(namespace));
    known.pid = pid;
    known.machine = machine;
    let path = bundle.join("config.json");
    match reader.bytes(&path, FILE) {
        Ok(None) => {}
        Ok(Some(bytes)) => {
            if let Some(sandbox) = parse(&mut known, &bytes, &path) {
                reader.sandboxes.insert(id.clone(), sandbox);
            }
        }
        Err(sentence) => known.note = Some(sentence),
    }
    // ctr shows the id, which it let the operator choose.
    if known.runtime == Runtime::Containerd
        && known.pod.is_none()
        && known.note.is_none()
        && known.name.is_none()
    {
        known.name = Some(id.clone());
    }
    reader.known.entry(id).or_insert(known);
}

/// Fills in what a bundle's config.json says; returns the sandbox that the container is in.
pub fn parse(known: &mut Known, bytes: &[u8], path: &Path) -> Option<String> {
    let mut wrong = Wrong::default();
    let sandbox = match parse_json::<Spec>(bytes, path) {
        Ok(spec) => {
            let annotations = spec.annotations.take("annotations", &mut wrong).unwrap_or_default();
            fill(known, &annotations)
        }
        Err(sentence) => {
            known.note = Some(sentence);
            return None;
        }
    };
    known.note = wrong.sentence(path);
    sandbox
}

/// Fills in what annotations tell; returns the sandbox that the container is in.
fn fill(known: &mut Known, annotations: &Texts) -> Option<String> {
    let cri = |key: &str| annotations.get(&format!("{CRI}{key}"));
    let kind = cri("container-type");
    known.is_sandbox = kind.as_deref() == Some("sandbox");
    known.image = cri("image-name");
    known.pod = cri("sandbox-name").map(|name| Pod {
        name,
        namespace: cri("sandbox-namespace").unwrap_or_default(),
        uid: cri("sandbox-uid").unwrap_or_default(),
    });
    if !known.is_sandbox {
        known.container = cri("container-name");
    }
    // nerdctl passes its labels on as annotations.
    known.name = known.container.clone().or_else(|| annotations.get("nerdctl/name"));
    known.machine = known.machine.or_else(|| machine::annotated(annotations));
    cri("sandbox-id").filter(|_| !known.is_sandbox)
}
