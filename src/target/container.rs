//! Containers of the node: processes that belong together, and what the runtimes' files say of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use super::cgroup::Cgroup;
use super::host::Host;
use super::ports::{self, Listener, Port};
use super::runtime::Runtime;
use super::scan::{self, Look, Process, Scan, Spaces};
use super::state::{self, Hints, Known, Pod, States};
use crate::out::Fault;
use crate::sys::idmap::IdMap;
use crate::sys::proc::{Procfs, Reader};

/// Programs that start a container's own one and wait for it.
const INITS: [&[u8]; 7] =
    [b"tini", b"tini-static", b"dumb-init", b"catatonit", b"docker-init", b"podman-init", b"conmon"];

/// A container.
#[derive(Debug, Clone)]
pub struct Container {
    /// Its name as people know it.
    pub name: String,
    /// Its id, or empty.
    pub id: String,
    /// Who made it.
    pub runtime: Runtime,
    /// Its pod.
    pub pod: Option<Pod>,
    /// Its name within the pod.
    pub container: Option<String>,
    /// Its image.
    pub image: Option<String>,
    /// Its main process, on the node.
    pub pid: i32,
    /// The effective user of that, as the container counts.
    pub user: u32,
    /// `running`, `paused`, `stopped`, `vm`.
    pub state: &'static str,
    /// What listens in its network namespace, or is held by it where that is shared.
    pub ports: Vec<Port>,
    /// When its main process was started, in ticks after boot: with the PID, its identity.
    pub start: u64,
    /// Seconds since then.
    pub age: u64,
    /// Its processes.
    pub processes: Vec<i32>,
    /// The path of its cgroup.
    pub cgroup: String,
    /// Whether it is a pod's sandbox.
    pub is_sandbox: bool,
    /// The virtual machine that it runs in: `Kata`, `gVisor`, `Firecracker`.
    pub machine: Option<&'static str>,
    /// What could not be read of it.
    pub note: Option<String>,
    spaces: Spaces,
}

impl Container {
    /// `NAMESPACE/POD/CONTAINER`, as it can be typed; else its name.
    pub fn full_name(&self) -> String {
        match (&self.pod, &self.container) {
            (Some(pod), Some(container)) if !pod.namespace.is_empty() => {
                format!("{}/{}/{container}", pod.namespace, pod.name)
            }
            (Some(pod), Some(container)) => format!("{}/{container}", pod.name),
            _ => self.name.clone(),
        }
    }

    /// The first 12 digits of its id; a name that stands for an id whole.
    pub fn short_id(&self) -> &str {
        if self.id.len() == 64 { self.id.get(..12).unwrap_or(&self.id) } else { &self.id }
    }
}

/// All containers of a node.
#[derive(Debug, Default)]
pub struct Listing {
    /// By name.
    pub containers: Vec<Container>,
    /// What could not be read.
    pub notes: Vec<String>,
}

/// What holds the processes of a container together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Id(String),
    Name(String),
    /// The namespace by which they differ from the node: PID, else mount, else network.
    Space(u8, u64),
}

fn key_of(process: &Process, node: &Spaces) -> Key {
    match (&process.cgroup.id, &process.cgroup.name, &process.spaces) {
        (Some(id), ..) => Key::Id(id.clone()),
        (None, Some(name), _) => Key::Name(name.clone()),
        (.., Some(spaces)) if spaces.pid != node.pid => Key::Space(0, spaces.pid),
        (.., Some(spaces)) if spaces.mnt != node.mnt => Key::Space(1, spaces.mnt),
        (.., spaces) => Key::Space(2, spaces.map_or(0, |spaces| spaces.net)),
    }
}

/// Finds all containers of the node.
///
/// # Errors
/// Where /proc can't be read.
pub fn list(host: &Host) -> Result<Listing, Fault> {
    let scan = scan::scan()?;
    let live: BTreeSet<String> =
        scan.processes.iter().filter_map(|process| process.cgroup.id.clone()).collect();
    let procfs = Host::open(Path::new("/proc"))?;
    let hints = Hints { live: &live, shims: &scan.shims, procfs: &procfs, node: scan.node.mnt };
    let states = state::read(host, &hints);
    let groups = group(&scan, &states);
    let now = Procfs::new(&scan.procfs, None)
        .system()
        .map_err(|errno| Fault::errno("read", "/proc/stat and uptime", errno).with_status(125))?;
    let mut containers = Vec::new();
    let (low, high) = groups.split_at(groups.len() / 2);
    let make = |groups: &[(Option<Known>, Vec<Process>)]| {
        let mut reader = Procfs::new(&scan.procfs, None).reader();
        let one = |(known, processes): &(Option<Known>, Vec<Process>)| {
            container(host, &scan, &states, &mut reader, known.as_ref(), processes, &now)
        };
        groups.iter().filter_map(one).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| make(high));
        containers.extend(make(low));
        containers.extend(other.join().unwrap_or_default());
    });
    containers.extend(machines(&states, &containers));
    find_ports(&scan, &mut containers);
    containers.sort_by(|a, b| {
        let place = |c: &Container| {
            (c.pod.clone().map(|pod| (pod.namespace, pod.name)), !c.is_sandbox, c.name.clone(), c.pid)
        };
        place(a).cmp(&place(b))
    });
    Ok(Listing { containers, notes: states.notes })
}

/// Processes by container, and what is known of each.
fn group(scan: &Scan, states: &States) -> Vec<(Option<Known>, Vec<Process>)> {
    let mut groups: BTreeMap<Key, Vec<Process>> = BTreeMap::new();
    let mut key_by_pid: HashMap<i32, Key> = HashMap::new();
    for process in &scan.processes {
        let key = key_of(process, &scan.node);
        key_by_pid.insert(process.pid, key.clone());
        groups.entry(key).or_default().push(process.clone());
    }
    // What is in no cgroup of its own is found by the PID that its runtime has written down.
    let mut by_key: HashMap<Key, &Known> = HashMap::new();
    for known in states.known.values() {
        let own = Key::Id(known.id.clone());
        if groups.contains_key(&own) {
            by_key.insert(own, known);
        } else if let Some(key) = known.pid.and_then(|pid| key_by_pid.get(&pid))
            && !matches!(key, Key::Id(_))
        {
            by_key.entry(key.clone()).or_insert(known);
        }
    }
    groups
        .into_iter()
        .map(|(key, processes)| (by_key.get(&key).map(|known| (*known).clone()), processes))
        .collect()
}

/// The process that a container is about: the first that is neither a runtime's nor an init that only starts others.
fn main_process<'a>(
    scan: &Scan,
    reader: &mut Reader,
    processes: &'a [Process],
) -> Option<(&'a Process, Look)> {
    // The first process of a PID namespace is the first that was started: most containers need no look at the others.
    if let Some(first) = processes.iter().min_by_key(|process| process.pid)
        && is_first_inside(reader, first.pid)
        && let Ok(look) = Look::at(reader, first.pid)
        && !INITS.contains(&look.comm.as_slice())
    {
        return Some((first, look));
    }
    let mut ordered: Vec<(&Process, Look)> =
        processes.iter().filter_map(|process| Some((process, Look::at(reader, process.pid).ok()?))).collect();
    ordered.sort_by_key(|(process, look)| (look.start, process.pid));
    let is_inside = |process: &Process| {
        process
            .spaces
            .or_else(|| Spaces::read(&scan.procfs, process.pid).ok())
            .is_some_and(|s| s.mnt != scan.node.mnt)
    };
    let is_init = |look: &Look| INITS.contains(&look.comm.as_slice());
    // Those that share the node's mount namespace are runtimes at work, unless all of them do.
    let at = ordered
        .iter()
        .position(|(process, look)| !is_init(look) && is_inside(process))
        .or_else(|| ordered.iter().position(|(_, look)| !is_init(look)))
        .unwrap_or(0);
    (at < ordered.len()).then(|| ordered.swap_remove(at))
}

fn is_first_inside(reader: &mut Reader, pid: i32) -> bool {
    reader.read(pid, "status", 8192).is_ok_and(is_first_in)
}

/// Whether a status file is of a process that has the PID 1 in a namespace other than the node's.
pub(crate) fn is_first_in(status: &[u8]) -> bool {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"));
    let mut pids = line.unwrap_or_default().split(u8::is_ascii_whitespace).filter(|pid| !pid.is_empty());
    pids.next().is_some() && pids.next_back() == Some(b"1")
}

fn container(
    host: &Host,
    scan: &Scan,
    states: &States,
    reader: &mut Reader,
    known: Option<&Known>,
    processes: &[Process],
    now: &crate::sys::proc::System,
) -> Option<Container> {
    let (main, look) = main_process(scan, reader, processes)?;
    let spaces = Spaces::read(&scan.procfs, main.pid).ok()?;
    let cgroup = &main.cgroup;
    let (uid, _) = reader.owner(main.pid).ok()?;
    let users = reader.read(main.pid, "uid_map", 64 << 10).map(IdMap::parse).unwrap_or_default();
    let pod = known
        .and_then(|known| known.pod.clone())
        .or_else(|| cgroup.pod_uid.as_ref().map(|uid| pod_of(states, uid)));
    let container = known.and_then(|known| known.container.clone());
    let runtime = known.map(|known| known.runtime).or(cgroup.runtime).unwrap_or_else(|| runtime_of(cgroup));
    let id = known.map(|known| known.id.clone()).or_else(|| cgroup.id.clone()).unwrap_or_default();
    let is_sandbox =
        known.map_or(cgroup.pod_uid.is_some() && look.comm == b"pause", |known| known.is_sandbox);
    let name = known
        .and_then(|known| known.name.clone())
        .or_else(|| container.clone())
        .or_else(|| pod.as_ref().filter(|pod| is_sandbox && !pod.name.is_empty()).map(|pod| pod.name.clone()))
        .or_else(|| cgroup.name.clone())
        .or_else(|| id.get(..12).map(str::to_owned))
        .or_else(|| Some(id.clone()).filter(|id| !id.is_empty()))
        .or_else(|| cgroup.unit.clone().filter(|_| runtime == Runtime::Systemd))
        .unwrap_or_else(|| String::from_utf8_lossy(&look.comm).into_owned());
    let ticks = now.uptime - look.start as f64 / now.hz as f64;
    Some(Container {
        name,
        id,
        runtime,
        pod,
        container,
        image: known.and_then(|known| known.image.clone()),
        pid: main.pid,
        user: users.inside(uid),
        state: state_of(host, main, look.state, known),
        ports: Vec::new(),
        start: look.start,
        age: ticks.max(0.0) as u64,
        processes: processes.iter().map(|process| process.pid).collect(),
        cgroup: cgroup.path.clone(),
        is_sandbox,
        machine: known.and_then(|known| known.machine),
        note: known.and_then(|known| known.note.clone()),
        spaces,
    })
}

fn pod_of(states: &States, uid: &str) -> Pod {
    states.pods.get(uid).cloned().unwrap_or_else(|| Pod { uid: uid.to_owned(), ..Pod::default() })
}

fn runtime_of(cgroup: &Cgroup) -> Runtime {
    match (&cgroup.pod_uid, &cgroup.unit) {
        (Some(_), _) => Runtime::Kubernetes,
        (None, Some(unit)) if unit.ends_with(".service") && cgroup.name.is_none() => Runtime::Systemd,
        _ => Runtime::None,
    }
}

/// Whether it runs: a process that was stopped, or a cgroup that is frozen.
fn state_of(host: &Host, main: &Process, state: u8, known: Option<&Known>) -> &'static str {
    if known.is_some_and(|known| known.machine.is_some()) {
        return "vm";
    }
    let read = |path: String| host.read(Path::new(&path), 4096).unwrap_or_default();
    let path = &main.cgroup.path;
    let is_frozen = ["", "/unified"].iter().any(|base| {
        let events = read(format!("/sys/fs/cgroup{base}{path}/cgroup.events"));
        events.split(|byte| *byte == b'\n').any(|line| line == b"frozen 1")
    }) || read(format!("/sys/fs/cgroup/freezer{path}/freezer.state")).starts_with(b"FROZEN");
    match state {
        _ if is_frozen => "paused",
        b'T' | b't' => "stopped",
        _ => "running",
    }
}

/// Containers in virtual machines, of which the node has no process but those of the machine.
fn machines(states: &States, listed: &[Container]) -> Vec<Container> {
    let is_listed = |known: &Known| listed.iter().any(|container| container.id == known.id);
    let alone = states.known.values().filter(|known| known.machine.is_some() && !is_listed(known));
    let row = |known: &Known| Container {
        name: known.name.clone().or_else(|| known.container.clone()).unwrap_or_else(|| known.id.clone()),
        id: known.id.clone(),
        runtime: known.runtime,
        pod: known.pod.clone(),
        container: known.container.clone(),
        image: known.image.clone(),
        pid: known.pid.unwrap_or(0),
        user: 0,
        state: "vm",
        ports: Vec::new(),
        start: 0,
        age: 0,
        processes: Vec::new(),
        cgroup: String::new(),
        is_sandbox: known.is_sandbox,
        machine: known.machine,
        note: known.note.clone(),
        spaces: Spaces::default(),
    };
    alone.map(row).collect()
}

/// Finds the ports. Of containers that share a network namespace, with each other or with the node, each has those
/// that its own processes hold.
fn find_ports(scan: &Scan, containers: &mut [Container]) {
    let mut spaces: BTreeMap<u64, i32> = BTreeMap::new();
    let mut users: HashMap<u64, usize> = HashMap::new();
    for container in containers.iter().filter(|container| container.spaces.net != 0) {
        spaces.insert(container.spaces.net, container.pid);
        *users.entry(container.spaces.net).or_default() += 1;
    }
    let all = ports::listeners(scan.procfs.as_fd(), &spaces);
    let procfs = Procfs::new(&scan.procfs, None);
    // Of all together: one with millions of descriptors does not keep the list of the others waiting.
    let until = Instant::now() + ports::HOLDERS;
    for container in containers {
        let Some(listeners) = all.get(&container.spaces.net) else { continue };
        let is_shared = container.spaces.net == scan.node.net || users.get(&container.spaces.net) > Some(&1);
        container.ports = if is_shared {
            let inodes = listeners.iter().map(|(_, inode)| *inode).collect();
            let holders = procfs.holders(&container.processes, inodes, until);
            if holders.is_cut() {
                let cause = "its ports are not all known: there are too many descriptors";
                container.note.get_or_insert_with(|| cause.to_owned());
            }
            let held: Vec<Listener> =
                listeners.iter().filter(|(_, inode)| holders.of(*inode).is_some()).copied().collect();
            ports::numbers(&held)
        } else {
            ports::numbers(listeners)
        };
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A container of Docker's, as it is listed.
    pub fn container(name: &str, id: &str, image: Option<&str>) -> Container {
        Container {
            name: name.into(),
            id: id.into(),
            runtime: Runtime::Docker,
            pod: None,
            container: None,
            image: image.map(str::to_owned),
            pid: 1,
            user: 0,
            state: "running",
            ports: Vec::new(),
            start: 0,
            age: 0,
            processes: Vec::new(),
            cgroup: String::new(),
            is_sandbox: false,
            machine: None,
            note: None,
            spaces: Spaces::default(),
        }
    }

    /// A container of a pod.
    pub fn pod(namespace: &str, pod: &str, name: &str, id: &str) -> Container {
        Container {
            runtime: Runtime::Containerd,
            pod: Some(Pod { name: pod.into(), namespace: namespace.into(), uid: String::new() }),
            container: Some(name.into()),
            ..container(name, id, None)
        }
    }
}
