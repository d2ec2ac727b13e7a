//! `info`: what the session is in.

use std::ffi::CStr;

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status};
use crate::out::field::{field, more};
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::out::units::elapsed;
use crate::out::{Field, Kind, Output};
use crate::sys::{capability, mounts};
use crate::target::Target;
use crate::target::container::Container;
use crate::target::hierarchies::Hierarchies;
use crate::target::namespace::KINDS;
use crate::target::scan::{self, CMDLINE_LIMIT};

/// Most of `status` that is read: it lists at most 65536 groups.
const STATUS_LIMIT: usize = 1 << 20;

/// Show what the session is in.
///
/// Runtime, ids, identity, namespaces that differ from the node's, cgroup, root file system and confinement of the
/// target, as the node sees them.
#[derive(clap::Parser)]
pub struct Info {}

/// The facts in JSON.
#[derive(serde::Serialize)]
struct Facts {
    name: String,
    pid: i32,
    pid_inside: i32,
    command: String,
    #[serde(skip)]
    is_cut: bool,
    runtime: Option<&'static str>,
    id: Option<String>,
    image: Option<String>,
    pod: Option<String>,
    namespace: Option<String>,
    container: Option<String>,
    state: Option<String>,
    /// Seconds.
    age: Option<u64>,
    processes: Option<usize>,
    ports: Vec<String>,
    machine: Option<String>,
    /// As the node counts.
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    /// As the container counts.
    user: Option<u32>,
    capabilities: Vec<String>,
    bounding: Vec<String>,
    /// Of the target's namespaces those that are not the node's.
    namespaces: Vec<&'static str>,
    shared: Vec<&'static str>,
    cgroup: String,
    root: Option<String>,
    root_type: Option<String>,
    root_options: Option<String>,
    seccomp: Option<&'static str>,
    no_new_privs: Option<bool>,
    label: Option<String>,
}

impl Command for Info {
    type Row = NoRow;
    const PLACE: Place = Place::Node;
    const NEEDS: Needs = Needs { host: true, ..Needs::NONE };
    const REPLACES: &'static str = "docker inspect, crictl inspect";
    const FIELDS: &'static [Field] = &[
        field("name", Kind::Text, "the target's name"),
        field("pid", Kind::Number, "its process, a PID of the node"),
        more("pid_inside", Kind::Number, "the same as the container counts"),
        field("command", Kind::Text, "its command line"),
        field("runtime", Kind::Text, "docker, containerd, podman, …"),
        more("id", Kind::Text, "the container's id"),
        more("image", Kind::Text, "its image"),
        more("pod", Kind::Text, "its pod"),
        more("namespace", Kind::Text, "the pod's Kubernetes namespace"),
        more("container", Kind::Text, "its name in the pod"),
        field("state", Kind::Text, "running, paused, …"),
        field("age", Kind::Seconds, "since it was started"),
        field("processes", Kind::Number, "how many it has"),
        more("ports", Kind::List, "where it listens"),
        more("machine", Kind::Text, "what runs it in a virtual machine"),
        more("uid", Kind::Number, "its user, as the node counts"),
        more("gid", Kind::Number, "its group, as the node counts"),
        more("groups", Kind::List, "its further groups"),
        field("user", Kind::Number, "its user, as the container counts"),
        more("capabilities", Kind::List, "its effective set"),
        more("bounding", Kind::List, "its bounding set"),
        more("namespaces", Kind::List, "those that are not the node's"),
        more("shared", Kind::List, "those that are the node's"),
        more("cgroup", Kind::Text, "its cgroup"),
        more("root", Kind::Text, "what is mounted as its root"),
        more("root_type", Kind::Text, "that file system"),
        more("root_options", Kind::Text, "its options"),
        more("seccomp", Kind::Text, "none, strict, filter"),
        more("no_new_privs", Kind::Flag, "whether it can gain no privilege"),
        more("label", Kind::Text, "its security label"),
    ];
    const EXAMPLES: &'static [Example] = &[Example { line: "info", what: "the target and its confinement" }];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let pid = cx.target.ok_or_else(|| Fault::say("there is no target"))?;
        let listing = cx.listing()?;
        let facts = gather(&Hierarchies::find(cx.host()?), pid, listing.of(pid))?;
        if facts.is_cut {
            cx.note("a long command line is cut");
        }
        if out.is_json() {
            out.json(&facts).map_err(Fault::output)?;
        } else {
            for (name, value) in lines(&facts) {
                let value = if cx.tty { escape(value.as_bytes()) } else { value };
                writeln!(out.bytes(), "{name:<14} {value}").map_err(Fault::output)?;
            }
        }
        Ok(Status::OK)
    }
}

fn gather(hierarchies: &Hierarchies, pid: i32, found: Option<&Container>) -> Result<Facts> {
    let target = Target::open(pid)?;
    let own = Target::open(std::process::id() as i32).map(|own| own.facts.namespaces);
    let own = own.unwrap_or([None; KINDS.len()]);
    let facts = &target.facts;
    let (mut differ, mut shared) = (Vec::new(), Vec::new());
    for ((kind, theirs), ours) in KINDS.iter().zip(facts.namespaces).zip(own) {
        if theirs.is_some() {
            if theirs == ours { shared.push(kind.name) } else { differ.push(kind.name) }
        }
    }
    let read = |name: &CStr, limit: usize| {
        let bytes = target.read(name, limit as u64).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let status = read(c"status", STATUS_LIMIT);
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let mounts = target.mountinfo().map(|text| mounts::parse(&text)).unwrap_or_default();
    let root = mounts.into_iter().rfind(|mount| mount.target == b"/");
    let names = |mask: u64| {
        capability::set(mask)
            .into_iter()
            .map(|c| c.to_string())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect()
    };
    let pod = found.and_then(|container| container.pod.as_ref());
    let command = read(c"cmdline", CMDLINE_LIMIT);
    Ok(Facts {
        name: found.map_or_else(|| facts.name.clone(), Container::full_name),
        pid,
        pid_inside: facts.pid_inside,
        is_cut: command.len() >= CMDLINE_LIMIT,
        command: command.trim_end_matches('\0').replace('\0', " "),
        runtime: found.map(|container| container.runtime.name()),
        id: found.map(|container| container.id.clone()).filter(|id| !id.is_empty()),
        image: found.and_then(|container| container.image.clone()),
        pod: pod.map(|pod| pod.name.clone()),
        namespace: pod.map(|pod| pod.namespace.clone()),
        container: found.and_then(|container| container.container.clone()),
        state: found.map(|container| container.state.to_string()),
        age: found.map(|container| container.age),
        processes: found.map(|container| container.processes.len()),
        ports: found.map(|c| c.ports.iter().map(ToString::to_string).collect()).unwrap_or_default(),
        machine: found.and_then(|container| container.machine.as_ref().map(ToString::to_string)),
        uid: facts.uid,
        gid: facts.gid,
        groups: facts.groups.clone(),
        user: found.map(|container| container.user),
        capabilities: names(facts.capabilities.effective),
        bounding: names(facts.capabilities.bounding),
        namespaces: differ,
        shared,
        cgroup: scan::cgroup_of(hierarchies, pid).map(|cgroup| cgroup.path).unwrap_or_default(),
        root: root.as_ref().map(|root| String::from_utf8_lossy(&root.source).into_owned()),
        root_type: root.as_ref().map(|root| root.kind.clone()),
        root_options: root.map(|root| root.options),
        seccomp: field("Seccomp").map(|mode| match mode {
            "0" => "none",
            "1" => "strict",
            _ => "filter",
        }),
        no_new_privs: field("NoNewPrivs").map(|set| set == "1"),
        label: Some(facts.label.clone()).filter(|label| !label.is_empty()),
    })
}

fn lines(facts: &Facts) -> Vec<(&'static str, String)> {
    let mut lines = vec![("name", facts.name.clone())];
    let mut add = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
    let list = |all: &[String]| if all.is_empty() { "none".to_owned() } else { all.join(" ") };
    add("runtime", facts.runtime.map(str::to_owned));
    add("id", facts.id.clone());
    add("image", facts.image.clone());
    add(
        "machine",
        facts.machine.as_ref().map(|machine| format!("{machine}: the workload is in a virtual machine")),
    );
    add("process", Some(format!("{} ({} inside): {}", facts.pid, facts.pid_inside, facts.command)));
    let count = |n: usize| format!("{n} process{}", if n == 1 { "" } else { "es" });
    add(
        "state",
        facts
            .state
            .as_ref()
            .zip(facts.age)
            .zip(facts.processes)
            .map(|((state, age), processes)| format!("{state} for {}, {}", elapsed(age), count(processes))),
    );
    add("listens", Some(facts.ports.join(" ")).filter(|ports| !ports.is_empty()));
    let groups: Vec<String> = facts.groups.iter().map(ToString::to_string).collect();
    let inside = match facts.user {
        Some(user) if user != facts.uid => format!(" (uid {user} inside)"),
        _ => String::new(),
    };
    add("identity", Some(format!("uid {}{inside}, gid {}, groups {}", facts.uid, facts.gid, list(&groups))));
    add("capabilities", Some(list(&facts.capabilities)));
    if facts.bounding != facts.capabilities {
        add("bounding set", Some(list(&facts.bounding)));
    }
    let words = |all: &[&str]| if all.is_empty() { "none".to_owned() } else { all.join(" ") };
    add(
        "namespaces",
        Some(format!("its own: {}; the node's: {}", words(&facts.namespaces), words(&facts.shared))),
    );
    add("cgroup", Some(facts.cgroup.clone()));
    add(
        "root",
        facts
            .root
            .as_ref()
            .zip(facts.root_type.as_ref())
            .zip(facts.root_options.as_ref())
            .map(|((source, kind), options)| format!("{source}, {kind}, {options}")),
    );
    let privileges = if facts.no_new_privs == Some(true) { ", no_new_privs" } else { "" };
    let label = facts.label.as_ref().map(|label| format!(", label {label}")).unwrap_or_default();
    add("confinement", facts.seccomp.map(|seccomp| format!("seccomp {seccomp}{privileges}{label}")));
    lines
}
