//! Podman and CRI-O: the containers of their storage. GRAPH/DRIVER-containers/containers.json lists them,
//! RUN/DRIVER-containers/ID/userdata/pidfile has the main process, and userdata/config.json the OCI bundle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::files::{
    FILE, INDEX, Loose, Reader, Spec, Texts, Wrong, clean, id, option, parse_json, program, toml_text,
};
use super::{Known, Pod, crio, kubelet};
use crate::target::runtime::Runtime;

const DRIVERS: [&str; 4] = ["overlay-containers", "vfs-containers", "btrfs-containers", "zfs-containers"];

/// A container in containers.json.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// Of the container.
    pub id: Loose<String>,
    /// The first is its name.
    pub names: Loose<Vec<Loose<String>>>,
    /// JSON in a text.
    pub metadata: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Metadata {
    image_name: Loose<String>,
    name: Loose<String>,
}

/// Directories with one subdirectory per container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// In the storage that stays.
    graph: PathBuf,
    /// In the one that a boot clears.
    run: PathBuf,
    /// The user whose they are, if not root's.
    user: Option<u32>,
}

/// A conmon, which lives as long as its container.
#[derive(Default)]
struct Monitor {
    name: Option<String>,
    pidfile: Option<PathBuf>,
}

/// Reads the containers of root.
pub fn read(reader: &mut Reader) {
    let (mut graphs, mut runs) = (Vec::new(), Vec::new());
    for file in ["/etc/containers/storage.conf", "/usr/share/containers/storage.conf"] {
        if let Some(text) = reader.text(Path::new(file), FILE) {
            graphs.extend(toml_text(&text, "graphroot").map(PathBuf::from));
            runs.extend(toml_text(&text, "runroot").map(PathBuf::from));
        }
    }
    graphs.push("/var/lib/containers/storage".into());
    runs.push("/run/containers/storage".into());
    let mut places = places(&graphs, &runs, None);
    let mut monitors = BTreeMap::new();
    for shim in reader.shims.clone() {
        if program(&shim.args) != "conmon" {
            continue;
        }
        let Some(id) = option(&shim.args, &["-c", "--cid"]).and_then(|text| id(text.to_owned())) else {
            continue;
        };
        let absolute = |names: &[&str]| reader.absolute(shim, option(&shim.args, names)?);
        let pidfile = absolute(&["-p", "--container-pidfile"]);
        // PLACE/ID/userdata/pidfile, PLACE/ID/userdata.
        let run = pidfile.as_deref().and_then(|path| path.ancestors().nth(3).map(Path::to_owned));
        let graph =
            absolute(&["-b", "--bundle"]).and_then(|path| path.ancestors().nth(2).map(Path::to_owned));
        if let (Some(graph), Some(run)) = (graph, run) {
            places.push(Place { graph, run, user: None });
        }
        let name = option(&shim.args, &["-n", "--name"]).and_then(|name| clean(name.to_owned()));
        monitors.insert(id, Monitor { name, pidfile });
    }
    places.sort_unstable();
    places.dedup();
    for place in places {
        read_place(reader, &place, &monitors);
    }
    // What its storage does not tell, conmon's arguments do.
    for (id, monitor) in monitors {
        if !reader.known.contains_key(&id) {
            let mut known = Known::new(&id, Runtime::Podman);
            known.pid = monitor.pidfile.and_then(|path| reader.pid(&path));
            known.name = monitor.name;
            reader.known.insert(id, known);
        }
    }
}

/// Reads the containers of an ordinary user, who can write anything there.
pub fn read_of_user(reader: &mut Reader, user: u32, home: &Path) {
    let graph = home.join(".local/share/containers/storage");
    let run = Path::new("/run/user").join(user.to_string()).join("containers");
    for place in places(&[graph], &[run], Some(user)) {
        read_place(reader, &place, &BTreeMap::new());
    }
}

fn places(graphs: &[PathBuf], runs: &[PathBuf], user: Option<u32>) -> Vec<Place> {
    let place = |graph: &PathBuf, run: &PathBuf, driver: &str| Place {
        graph: graph.join(driver),
        run: run.join(driver),
        user,
    };
    let pairs = graphs.iter().flat_map(|graph| runs.iter().map(move |run| (graph, run)));
    pairs.flat_map(|(graph, run)| DRIVERS.map(|driver| place(graph, run, driver))).collect()
}

fn read_place(reader: &mut Reader, place: &Place, monitors: &BTreeMap<String, Monitor>) {
    let mut listed = BTreeMap::new();
    for file in ["containers.json", "volatile-containers.json"] {
        // The second is in the run directory from containers/storage 1.46 on.
        for directory in [&place.graph, &place.run] {
            let path = directory.join(file);
            for entry in reader.setting::<Vec<Entry>>(&path, INDEX).unwrap_or_default() {
                let mut wrong = Wrong::default();
                if let Some(id) = entry.id.take("id", &mut wrong).and_then(id) {
                    listed.entry(id).or_insert((entry.names, entry.metadata, path.clone()));
                }
            }
        }
    }
    for id in reader.ids(&place.run).into_iter().chain(reader.ids(&place.graph)) {
        listed.entry(id).or_default();
    }
    for (id, (names, metadata, path)) in listed {
        let pidfile = place.run.join(&id).join("userdata/pidfile");
        let is_monitored = monitors.contains_key(&id);
        // A file of a user's may name any process.
        let pid = reader.pid(&pidfile);
        let pid = pid.filter(|pid| place.user.is_none_or(|user| reader.owner(*pid) == Some(user)));
        if reader.known.contains_key(&id) || !(is_monitored || reader.lives(&id, pid)) {
            continue;
        }
        let mut known = Known::new(&id, Runtime::Podman);
        known.pid = pid;
        let mut wrong = Wrong::default();
        describe(&mut known, names, metadata, &mut wrong);
        known.note = wrong.sentence(&path);
        if known.name.is_none() {
            known.name = monitors.get(&id).and_then(|monitor| monitor.name.clone());
        }
        bundle(reader, place, &mut known);
        reader.known.insert(id, known);
    }
}

/// Fills in what containers.json says.
pub fn describe(
    known: &mut Known,
    names: Loose<Vec<Loose<String>>>,
    metadata: Loose<String>,
    wrong: &mut Wrong,
) {
    let mut names = names.take("names", wrong).unwrap_or_default().into_iter();
    known.name = names.find_map(|name| name.take("names", wrong).and_then(clean));
    let Some(text) = metadata.take("metadata", wrong) else { return };
    match serde_json::from_str::<Metadata>(&text) {
        Ok(metadata) => {
            known.image = metadata.image_name.take("image-name", wrong).and_then(clean);
            known.name = known.name.take().or(metadata.name.take("name", wrong).and_then(clean));
        }
        Err(_) => wrong.add("metadata"),
    }
}

/// What the container's bundle tells of its pod, and whose it is.
fn bundle(reader: &mut Reader, place: &Place, known: &mut Known) {
    // CRI-O writes it to both, podman to the one that stays.
    for directory in [&place.run, &place.graph] {
        let path = directory.join(&known.id).join("userdata/config.json");
        match reader.bytes(&path, FILE) {
            Ok(Some(bytes)) => {
                if let Some(sandbox) = parse_bundle(known, &bytes, &path) {
                    reader.sandboxes.insert(known.id.clone(), sandbox);
                }
            }
            Ok(None) => continue,
            Err(sentence) => known.note = Some(sentence),
        }
        return;
    }
}

/// Fills in what a bundle's config.json says; returns the sandbox that the container is in.
pub fn parse_bundle(known: &mut Known, bytes: &[u8], path: &Path) -> Option<String> {
    let spec = match parse_json::<Spec>(bytes, path) {
        Ok(spec) => spec,
        Err(sentence) => {
            known.note = Some(sentence);
            return None;
        }
    };
    let mut wrong = Wrong::default();
    let annotations = spec.annotations.take("annotations", &mut wrong).unwrap_or_default();
    // Podman passes on what an image's annotations say, so that of a pod is taken from the name that CRI-O gave.
    let of_kubelet = known.name.as_deref().and_then(kubelet::named);
    let is_crios = annotations.get("io.container.manager").as_deref() == Some("cri-o");
    let sandbox = if let Some(named) = of_kubelet.filter(|_| is_crios) {
        crio::fill(known, &annotations, named)
    } else {
        let linux = spec.linux.take("linux", &mut wrong).unwrap_or_default();
        let cgroup = linux.cgroups_path.take("linux.cgroupsPath", &mut wrong);
        let host_name = spec.hostname.take("hostname", &mut wrong).and_then(clean);
        in_pod(known, &annotations, cgroup.as_deref().and_then(pod_of), host_name)
    };
    known.note = wrong.sentence(path).or(known.note.take());
    sandbox
}

/// The id of podman's pod in the cgroup of a container: `/libpod_parent/POD/libpod-ID` or
/// `machine-libpod_pod_POD.slice:libpod:ID`.
fn pod_of(cgroup: &str) -> Option<&str> {
    let is_id = |text: &&str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(pod) = cgroup.split("libpod_pod_").nth(1) {
        return pod.split('.').next().filter(is_id);
    }
    cgroup.rsplit('/').nth(1).filter(is_id)
}

/// Podman keeps a pod's name only in its database; the host name of the pod's infra container is that name unless
/// `podman pod create --hostname` gave another.
fn in_pod(
    known: &mut Known,
    annotations: &Texts,
    pod: Option<&str>,
    host_name: Option<String>,
) -> Option<String> {
    let pod = pod?;
    // These two keys are podman's as well, in every container of a pod but its infra container.
    let sandbox = annotations.get("io.kubernetes.cri-o.SandboxID");
    let is_member = annotations.get("io.kubernetes.cri-o.ContainerType").as_deref() == Some("container");
    known.is_sandbox = !is_member && sandbox.is_none() && host_name.is_some();
    let short = pod.get(..12).unwrap_or(pod).to_owned();
    let name = host_name.filter(|_| known.is_sandbox).unwrap_or(short);
    known.pod = Some(Pod { name, namespace: String::new(), uid: pod.to_owned() });
    if !known.is_sandbox {
        known.container.clone_from(&known.name);
    }
    sandbox
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pod_of_podman_is_in_the_cgroup_of_both_drivers() {
        let pod = "4fc4a829b877947e905a2f3f2cbfa97ae200b6e7e327a5264fdc4cf10839798a";
        for (cgroup, expected) in [
            (format!("/libpod_parent/{pod}/libpod-1"), Some(pod)),
            (format!("machine-libpod_pod_{pod}.slice:libpod:1"), Some(pod)),
            (format!("/libpod_parent/libpod-{pod}"), None),
            ("machine.slice:libpod:1".into(), None),
            (String::new(), None),
        ] {
            assert_eq!(pod_of(&cgroup), expected, "{cgroup}");
        }
    }
}
