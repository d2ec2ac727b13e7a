//! What the runtimes' state files say of containers: names, images, pods. Read defensively: a file that is too large,
//! broken or unreadable is a note, and the container is listed without what it would have said.

pub(crate) mod containerd;
mod crio;
pub(crate) mod docker;
pub(crate) mod files;
pub(crate) mod kubelet;
pub(crate) mod machine;
pub(crate) mod oci;
pub(crate) mod podman;
#[cfg(test)]
mod tests;
pub(crate) mod users;

use std::collections::{BTreeMap, BTreeSet};

use files::Reader;
use users::Reading;

use super::host::Host;
use super::runtime::Runtime;

/// A pod of Kubernetes, or of podman.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its namespace; empty for podman's.
    pub namespace: String,
    /// Its UID, with dashes, or podman's id of it; empty where it is not known.
    pub uid: String,
}

/// What is known of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its id: 64 hexadecimal digits, or the name that was given to runc, crun or ctr.
    pub id: String,
    /// Who made it.
    pub runtime: Runtime,
    /// Its name as the runtime's own tools show it (`docker ps`, `podman ps`).
    pub name: Option<String>,
    /// Its image's name.
    pub image: Option<String>,
    /// Its pod.
    pub pod: Option<Pod>,
    /// Its name within the pod.
    pub container: Option<String>,
    /// Whether it is a pod's sandbox, which only holds namespaces.
    pub is_sandbox: bool,
    /// What it runs in where that is a virtual machine: `Kata`, `gVisor`, `Firecracker`.
    pub machine: Option<&'static str>,
    /// Its main process on the node, if a file says so. It may have ended since; but it is not another's.
    pub pid: Option<i32>,
    /// What could not be read of it, as a sentence.
    pub note: Option<String>,
}

/// A process of a runtime that tells where its files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shim {
    /// Its PID on the node.
    pub pid: i32,
    /// Its arguments, the program first.
    pub args: Vec<String>,
}

/// Ids that users have given to cgroups of theirs.
pub type Claims = BTreeMap<u32, BTreeSet<String>>;

/// What the processes of the node have told before files are read.
pub struct Hints<'a> {
    /// Ids of containers that root has given to cgroups. What is in no cgroup is still found where a file names a live PID.
    pub live: &'a BTreeSet<String>,
    /// The same of ordinary users.
    pub claims: &'a Claims,
    /// Whether a process is in a cgroup that root has given this id.
    pub is_in: &'a dyn Fn(i32, &str) -> bool,
    /// Processes of the runtimes: containerd-shim-*, conmon, dockerd, containerd.
    pub shims: &'a [Shim],
    /// The procfs in which these PIDs are.
    pub procfs: &'a Host,
    /// Inode of the node's own mount namespace.
    pub node: u64,
    /// Who made the user namespace of a process in that procfs; 0 where it is the node's.
    pub owner: fn(&Host, i32) -> Option<u32>,
}

/// What all state files say.
#[derive(Debug, Default)]
pub struct States {
    /// Root's, by id.
    pub known: BTreeMap<String, Known>,
    /// Those of ordinary users, by user and id.
    pub of_users: BTreeMap<(u32, String), Known>,
    /// Pods by UID, as the kubelet has them.
    pub pods: BTreeMap<String, Pod>,
    /// What could not be read, each said once: `open /run/containerd: permission denied`.
    pub notes: Vec<String>,
}

impl Known {
    /// A container of which nothing but the id is known.
    pub(crate) fn new(id: &str, runtime: Runtime) -> Self {
        Self {
            id: id.to_owned(),
            runtime,
            name: None,
            image: None,
            pod: None,
            container: None,
            is_sandbox: false,
            machine: None,
            pid: None,
            note: None,
        }
    }
}

/// Reads the state files of every runtime.
pub fn read(host: &Host, hints: &Hints) -> States {
    let users = Reading::start(host, hints);
    let mut reader = Reader::new(host, hints);
    // In this order: who comes first has the say on an id that two of them know.
    docker::read(&mut reader);
    containerd::read(&mut reader);
    podman::read(&mut reader);
    oci::read(&mut reader);
    let pods = kubelet::read(&mut reader);
    machine::mark(&mut reader);
    complete(&mut reader);
    verify(&mut reader);
    let (known, mut notes) = reader.finish();
    let (of_users, more) = users.finish();
    notes.extend(more);
    States { known, of_users, pods, notes }
}

/// A file may be older than the process that has its PID by now. Where that is not in a cgroup to which root has given the
/// container's id, the start time tells that runc and crun write down; where there is none, the process is at least not in
/// a user namespace that a user has made.
fn verify(reader: &mut Reader) {
    let is_in = reader.hints.is_in;
    let doubtful = |known: &Known| known.pid.filter(|pid| !is_in(*pid, &known.id));
    let doubtful: Vec<(String, i32)> =
        reader.known.values().filter_map(|known| Some((known.id.clone(), doubtful(known)?))).collect();
    for (id, pid) in doubtful {
        let is_same = match oci::main_process_of(reader, &id) {
            Some(process) => process == Some(pid),
            None => reader.owner(pid) == Some(0),
        };
        if let Some(known) = reader.known.get_mut(&id).filter(|_| !is_same) {
            known.pid = None;
        }
    }
}

/// What containers have from the sandbox they are in: its pod, and its virtual machine.
fn complete(reader: &mut Reader) {
    for (id, sandbox) in &reader.sandboxes {
        let Some(Known { pod, machine, runtime, .. }) = reader.known.get(sandbox).cloned() else { continue };
        if let Some(known) = reader.known.get_mut(id).filter(|known| known.runtime == runtime) {
            known.pod = match (known.pod.take(), pod) {
                // Podman's containers know only the id of their pod.
                (Some(own), Some(pod)) if own.uid == pod.uid => Some(pod),
                (own, pod) => own.or(pod),
            };
            known.machine = known.machine.or(machine);
        }
    }
}
