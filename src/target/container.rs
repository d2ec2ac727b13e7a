//! Containers of the node: processes that belong together, and what the runtimes' files say of them.
//!
//! A name or an id that somebody other than root has given is shown as `NAME@OWNER`, and is only found as that: it never
//! stands for a container of root's.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::cgroup::Cgroup;
use super::host::Host;
use super::namespace;
use super::ports::{self, Listener, Port};
use super::runtime::Runtime;
use super::scan::{self, Look, Process, Scan, Spaces};
use super::state::{self, Claims, Hints, Known, Pod, States};
use crate::out::Fault;
use crate::sys::idmap::IdMap;
use crate::sys::proc::{Procfs, Reader};

/// Programs that start a container's own one and wait for it.
const INITS: [&[u8]; 7] =
    [b"tini", b"tini-static", b"dumb-init", b"catatonit", b"docker-init", b"podman-init", b"conmon"];

/// How a process's directory is opened.
const PROCESS: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// A container.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Container {
    /// Its name as people know it; where it has none, its main process's in parentheses.
    pub name: String,
    /// Whether it has a name, which can be typed: a process chooses its own.
    pub is_named: bool,
    /// Its id, or empty.
    pub id: String,
    /// Who named it where that was not root: a user's id, or the container that it is in.
    pub owner: Option<String>,
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
    pub state: Cow<'static, str>,
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
    pub machine: Option<Cow<'static, str>>,
    /// What could not be read of it.
    pub note: Option<String>,
    #[serde(skip)]
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

    /// Its id as [`short_id`].
    pub fn short_id(&self) -> String {
        short_id(&self.id)
    }

    /// Marks what somebody other than root has said of it.
    fn belongs_to(&mut self, owner: String) {
        let of = |text: &str| if text.is_empty() { String::new() } else { format!("{text}@{owner}") };
        (self.name, self.id) = (of(&self.name), of(&self.id));
        self.pod = self.pod.take().map(|pod| Pod { name: of(&pod.name), ..Pod::default() });
        (self.container, self.owner) = (None, Some(owner));
    }
}

/// An id as it can be typed: the first 12 digits; a name that stands for an id whole.
pub fn short_id(id: &str) -> String {
    match id.split_once('@') {
        Some((id, owner)) => format!("{}@{owner}", short(id)),
        None => short(id).to_owned(),
    }
}

fn short(id: &str) -> &str {
    if id.len() == 64 { id.get(..12).unwrap_or(id) } else { id }
}

/// All containers of a node.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Listing {
    /// By name.
    pub containers: Vec<Container>,
    /// What could not be read.
    pub notes: Vec<String>,
}

impl Listing {
    /// The container that a process is in; the inner one where another is around it.
    pub fn of(&self, pid: i32) -> Option<&Container> {
        let is_in = |container: &&Container| container.processes.contains(&pid);
        self.containers.iter().filter(is_in).min_by_key(|container| container.processes.len())
    }
}

/// Who says what a container is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Namer {
    Root,
    User(u32),
    /// A container of root's, by its id or name, of something in it.
    Container(String),
    /// The cgroups could not be looked at.
    Unknown,
}

/// What holds the processes of a container together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Id(String),
    Name(String),
    /// What others than root call it.
    Claim(Namer, String),
    /// The namespace by which they differ from the node: PID, else mount, else network.
    Space(u8, u64),
}

impl Key {
    fn of(process: &Process, node: &Spaces) -> Self {
        let cgroup = &process.cgroup;
        if let Some(id) = &cgroup.id {
            return Self::Id(id.clone());
        }
        if let Some(name) = &cgroup.name {
            return Self::Name(name.clone());
        }
        Self::claimed(cgroup).unwrap_or_else(|| match &process.spaces {
            Some(spaces) if spaces.pid != node.pid => Self::Space(0, spaces.pid),
            Some(spaces) if spaces.mnt != node.mnt => Self::Space(1, spaces.mnt),
            spaces => Self::Space(2, spaces.map_or(0, |spaces| spaces.net)),
        })
    }

    fn claimed(cgroup: &Cgroup) -> Option<Self> {
        let claim = cgroup.claim.as_ref()?;
        let namer = match (cgroup.id.as_ref().or(cgroup.name.as_ref()), cgroup.owner) {
            (Some(around), _) => Namer::Container(around.clone()),
            (None, Some(user)) => Namer::User(user),
            (None, None) => Namer::Unknown,
        };
        Some(Self::Claim(namer, claim.text.clone()))
    }
}

/// Processes that belong together, and what is known of them, by whom.
struct Group {
    key: Key,
    known: Option<(Namer, Known)>,
    processes: Vec<Process>,
}

/// Finds all containers of the node.
///
/// # Errors
/// Where /proc can't be read.
pub fn list(host: &Host) -> Result<Listing, Fault> {
    let scan = scan::scan(host)?;
    let (mut live, mut claims) = (BTreeSet::new(), Claims::new());
    let by_pid: HashMap<i32, &Process> =
        scan.processes.iter().map(|process| (process.pid, process)).collect();
    for cgroup in scan.processes.iter().map(|process| &process.cgroup) {
        live.extend(cgroup.id.clone());
        if let Some(Key::Claim(Namer::User(user), id)) = Key::claimed(cgroup) {
            claims.entry(user).or_default().insert(id);
        }
    }
    let procfs = Host::open(Path::new("/proc"))?;
    let (shims, node) = (&scan.shims, scan.node.mnt);
    let is_in = &|pid: i32, id: &str| {
        by_pid.get(&pid).is_some_and(|process| process.cgroup.id.as_deref() == Some(id))
    };
    let hints = Hints { live: &live, claims: &claims, is_in, shims, procfs: &procfs, node, owner };
    let states = state::read(host, &hints);
    let groups = group(&scan, &by_pid, &states);
    let now = Procfs::new(&scan.procfs, None)
        .system()
        .map_err(|errno| Fault::errno("read", "/proc/stat and uptime", errno).with_status(125))?;
    let mut containers = Vec::new();
    let (low, high) = groups.split_at(groups.len() / 2);
    let make = |groups: &[Group]| {
        let mut reader = Procfs::new(&scan.procfs, None).reader();
        let one = |group: &Group| container(host, &scan, &states, &mut reader, group, &now);
        groups.iter().filter_map(one).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| make(high));
        found.extend(make(low));
        found.extend(other.join().unwrap_or_default());
    });
    let names: HashMap<String, String> = found.iter().filter_map(around).collect();
    for (mut container, namer) in found {
        match namer {
            Namer::User(user) => container.belongs_to(user.to_string()),
            Namer::Container(id) => {
                container.belongs_to(names.get(&id).cloned().unwrap_or_else(|| short(&id).to_owned()));
            }
            Namer::Root | Namer::Unknown => {}
        }
        containers.push(container);
    }
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

/// Who made the user namespace of a process.
fn owner(procfs: &Host, pid: i32) -> Option<u32> {
    namespace::owner(procfs.directory(Path::new(&pid.to_string())).ok()?).ok()
}

/// What root's containers are found by in cgroups, and what they are called.
fn around((container, namer): &(Container, Namer)) -> Option<(String, String)> {
    let key = if container.id.is_empty() { &container.name } else { &container.id };
    (*namer == Namer::Root).then(|| (key.clone(), container.full_name()))
}

/// Processes by container, and what is known of each.
fn group(scan: &Scan, by_pid: &HashMap<i32, &Process>, states: &States) -> Vec<Group> {
    let mut groups: BTreeMap<Key, Vec<Process>> = BTreeMap::new();
    for process in &scan.processes {
        groups.entry(Key::of(process, &scan.node)).or_default().push(process.clone());
        // What claims to be a container in another is listed as well.
        if let Some(claimed) = Key::claimed(&process.cgroup).filter(|_| process.cgroup.is_container()) {
            groups.entry(claimed).or_default().push(process.clone());
        }
    }
    let mut by_key: HashMap<Key, (Namer, &Known)> = HashMap::new();
    for known in states.known.values() {
        let own = Key::Id(known.id.clone());
        // The process that its runtime has written down goes before the id of a cgroup.
        let written = known.pid.and_then(|pid| by_pid.get(&pid)).map(|process| {
            let is_claimed = process.cgroup.claim.as_ref().is_some_and(|claim| claim.text == known.id);
            let claimed = Key::claimed(&process.cgroup).filter(|_| is_claimed);
            claimed.unwrap_or_else(|| Key::of(process, &scan.node))
        });
        let key = written.filter(|key| *key == own || !matches!(key, Key::Id(_))).unwrap_or(own);
        by_key.entry(key).or_insert((Namer::Root, known));
    }
    for ((user, id), known) in &states.of_users {
        let claimed = Key::Claim(Namer::User(*user), id.clone());
        let process = known.pid.and_then(|pid| by_pid.get(&pid));
        let key = Some(claimed).filter(|key| groups.contains_key(key));
        let key = key.or_else(|| process.map(|process| Key::of(process, &scan.node)));
        if let Some(key) = key.filter(|key| !matches!(key, Key::Id(_) | Key::Name(_))) {
            by_key.entry(key).or_insert((Namer::User(*user), known));
        }
    }
    let known = |key: &Key| by_key.get(key).map(|(namer, known)| (namer.clone(), (*known).clone()));
    groups.into_iter().map(|(key, processes)| Group { known: known(&key), key, processes }).collect()
}

/// The process that a container is about: the one that its runtime has written down, unless that is an init which only
/// starts others; else the first that is neither such a one nor a runtime's.
fn main_process<'a>(
    scan: &Scan,
    reader: &mut Reader,
    processes: &'a [Process],
    written: Option<i32>,
) -> Option<(&'a Process, Look)> {
    let is_init = |look: &Look| INITS.contains(&look.comm.as_slice());
    let written = written.and_then(|pid| processes.iter().find(|process| process.pid == pid));
    // The first process of a PID namespace is the first that was started: most containers need no look at the others.
    let first = written.or_else(|| {
        let first = processes.iter().min_by_key(|process| process.pid)?;
        is_first_inside(reader, first.pid).then_some(first)
    });
    if let Some(first) = first
        && let Ok(look) = Look::at(reader, first.pid)
        && !is_init(&look)
    {
        return Some((first, look));
    }
    let mut ordered: Vec<(&Process, Look)> =
        processes.iter().filter_map(|process| Some((process, Look::at(reader, process.pid).ok()?))).collect();
    ordered.sort_by_key(|(process, look)| (look.start, process.pid));
    let spaces = |process: &Process| process.spaces.or_else(|| Spaces::read(&scan.procfs, process.pid).ok());
    let home = written.and_then(spaces);
    // Those that share the node's mount namespace are runtimes at work, unless all of them do.
    let is_inside = |process: &Process| {
        spaces(process)
            .is_some_and(|own| own.mnt != scan.node.mnt && home.is_none_or(|home| own.pid == home.pid))
    };
    let at = ordered
        .iter()
        .position(|(process, look)| !is_init(look) && is_inside(process))
        .or_else(|| ordered.iter().position(|(process, _)| Some(process.pid) == written.map(|one| one.pid)))
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
    group: &Group,
    now: &crate::sys::proc::System,
) -> Option<(Container, Namer)> {
    let known = group.known.as_ref().map(|(_, known)| known);
    let written = known.and_then(|known| known.pid);
    let (main, look) = main_process(scan, reader, &group.processes, written)?;
    let spaces =
        Spaces::read(&scan.procfs, main.pid).ok().filter(|now| scan.still_finds(reader, main, *now))?;
    let (called, namer) = called(scan, states, group, main, &look)?;
    if namer != Namer::Root && spaces == scan.node {
        // Anybody can call a cgroup so, and be in no container.
        return None;
    }
    let (uid, _) = reader.owner(main.pid).ok()?;
    let users = reader.read(main.pid, "uid_map", 64 << 10).map(IdMap::parse).unwrap_or_default();
    let ticks = now.uptime - look.start as f64 / now.hz as f64;
    let container = Container {
        image: known.and_then(|known| known.image.clone()),
        pid: main.pid,
        user: users.inside(uid),
        state: state_of(host, main, look.state, known).into(),
        start: look.start,
        age: ticks.max(0.0) as u64,
        processes: group.processes.iter().map(|process| process.pid).collect(),
        cgroup: main.cgroup.path.clone(),
        machine: known.and_then(|known| known.machine).map(Cow::Borrowed),
        note: known.and_then(|known| known.note.clone()),
        spaces,
        ..called
    };
    Some((container, namer))
}

/// What a container is called, and by whom.
fn called(
    scan: &Scan,
    states: &States,
    group: &Group,
    main: &Process,
    look: &Look,
) -> Option<(Container, Namer)> {
    let cgroup = &main.cgroup;
    let claim = cgroup.claim.as_ref().filter(|_| matches!(group.key, Key::Claim(..)));
    let namer = match (&group.known, &group.key) {
        (Some((namer, _)), _) => namer.clone(),
        (None, Key::Id(_) | Key::Name(_)) => Namer::Root,
        (None, Key::Claim(namer @ (Namer::User(_) | Namer::Container(_)), _)) => namer.clone(),
        (None, _) => {
            let process = openat(&scan.procfs, main.pid.to_string().as_str(), PROCESS, Mode::empty()).ok()?;
            match namespace::owner(process).ok()? {
                0 => Namer::Root,
                user => Namer::User(user),
            }
        }
    };
    let mut found = Container::default();
    let mut name = None;
    if let Some((_, known)) = &group.known {
        (found.id, found.runtime) = (known.id.clone(), known.runtime);
        (found.pod, found.container) = (known.pod.clone(), known.container.clone());
        found.is_sandbox = known.is_sandbox;
        name = known.name.clone().or_else(|| known.container.clone());
    } else {
        found.runtime = claim.map_or_else(|| runtime_of(cgroup), |claim| claim.runtime.unwrap_or_default());
        let in_pod = cgroup.pod_uid.is_some() || claim.is_some_and(|claim| claim.in_pod);
        found.is_sandbox = in_pod && look.comm == b"pause";
        match (&group.key, claim) {
            (Key::Id(id), _) => found.id.clone_from(id),
            // Of a user's only that user's files tell.
            (Key::Claim(Namer::Container(_), text), Some(_)) if text.len() == 64 => found.id.clone_from(text),
            (Key::Claim(Namer::Container(_), text), Some(_)) => name = Some(text.clone()),
            _ if found.runtime == Runtime::Systemd => name.clone_from(&cgroup.unit),
            _ => {}
        }
    }
    if namer == Namer::Root && claim.is_none() && found.pod.is_none() {
        found.pod = cgroup.pod_uid.as_ref().map(|uid| pod_of(states, uid));
    }
    if let Key::Name(of) = &group.key {
        name = name.or_else(|| Some(of.clone()));
    }
    let of_pod = found.pod.as_ref().filter(|pod| found.is_sandbox && !pod.name.is_empty());
    let name = name
        .or_else(|| of_pod.map(|pod| pod.name.clone()))
        .or_else(|| Some(short(&found.id).to_owned()).filter(|id| !id.is_empty()));
    found.is_named = name.is_some();
    found.name = name.unwrap_or_else(|| format!("({})", String::from_utf8_lossy(&look.comm)));
    Some((found, namer))
}

fn pod_of(states: &States, uid: &str) -> Pod {
    states.pods.get(uid).cloned().unwrap_or_else(|| Pod { uid: uid.to_owned(), ..Pod::default() })
}

/// What made a cgroup, as far as its path tells.
pub fn runtime_of(cgroup: &Cgroup) -> Runtime {
    match (cgroup.runtime, &cgroup.pod_uid, &cgroup.unit) {
        (Some(runtime), ..) => runtime,
        (None, Some(_), _) => Runtime::Kubernetes,
        // Whatever a user runs in their part of a service is not that service.
        (None, None, Some(unit))
            if unit.ends_with(".service") && cgroup.name.is_none() && cgroup.owner.is_none() =>
        {
            Runtime::Systemd
        }
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
        is_named: true,
        id: known.id.clone(),
        runtime: known.runtime,
        pod: known.pod.clone(),
        container: known.container.clone(),
        image: known.image.clone(),
        pid: known.pid.unwrap_or(0),
        state: "vm".into(),
        is_sandbox: known.is_sandbox,
        machine: known.machine.map(Cow::Borrowed),
        note: known.note.clone(),
        ..Container::default()
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
            is_named: true,
            id: id.into(),
            runtime: Runtime::Docker,
            image: image.map(str::to_owned),
            pid: 1,
            state: "running".into(),
            ..Container::default()
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
