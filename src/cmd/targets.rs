//! `targets`: the containers of the node; `nsdbg --list` is the same.

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::table::{Head, NoRow, Table};
use crate::out::units::elapsed;
use crate::out::{Align, Field, Kind, Narrow, Output};
use crate::target::container::Container;
use crate::target::filter::Filter;

/// List the containers of the node.
///
/// What they are is read from /proc and from the runtimes' files; no runtime is asked. A name of the list is a target:
/// nsdbg NAME, or switch NAME at the prompt. NAME@1000 is what the user 1000 calls a container of theirs, NAME@OTHER what
/// the container OTHER calls one in it; where there is no name, that of the main process is in parentheses.
#[derive(clap::Parser)]
pub struct Targets {
    /// Only what has this in its name, pod or image, or an id that begins so
    #[arg(add = Takes::Target)]
    text: Option<String>,
    /// Show containers, images, cgroups and whole ids, and sandboxes of pods; shorten nothing on a narrow terminal
    #[arg(long)]
    wide: bool,
    #[command(flatten)]
    filter: Filter,
}

/// A container in JSON. Fields that are not known are null.
#[derive(serde::Serialize)]
struct Object<'a> {
    name: Option<&'a str>,
    owner: Option<&'a str>,
    pod: Option<&'a str>,
    namespace: Option<&'a str>,
    pod_uid: Option<&'a str>,
    container: Option<&'a str>,
    runtime: &'static str,
    image: Option<&'a str>,
    id: Option<&'a str>,
    pid: Option<i32>,
    user: u32,
    state: &'a str,
    ports: Vec<String>,
    /// Seconds.
    age: u64,
    processes: usize,
    sandbox: bool,
    machine: Option<&'a str>,
    cgroup: &'a str,
    note: Option<&'a str>,
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn object(container: &Container) -> Object<'_> {
    let pod = container.pod.as_ref();
    Object {
        name: Some(container.name.as_str()).filter(|_| container.is_named),
        owner: container.owner.as_deref(),
        pod: pod.and_then(|pod| filled(&pod.name)),
        namespace: pod.and_then(|pod| filled(&pod.namespace)),
        pod_uid: pod.and_then(|pod| filled(&pod.uid)),
        container: container.container.as_deref(),
        runtime: container.runtime.name(),
        image: container.image.as_deref(),
        id: filled(&container.id),
        pid: Some(container.pid).filter(|pid| *pid != 0),
        user: container.user,
        state: &container.state,
        ports: container.ports.iter().map(ToString::to_string).collect(),
        age: container.age,
        processes: container.processes.len(),
        sandbox: container.is_sandbox,
        machine: container.machine.as_deref(),
        cgroup: &container.cgroup,
        note: container.note.as_deref(),
    }
}

const COLUMNS: [Head; 11] = [
    // Who named it stays, and what tells a pod from others of its deployment.
    ("NAME", Align::Left, Narrow::shorten(28).keep("@")),
    ("POD", Align::Left, Narrow::shorten(20).keep("@-").or_drop(8)),
    ("NAMESPACE", Align::Left, Narrow::shorten(9).or_drop(7)),
    ("RUNTIME", Align::Left, Narrow::drop(3)),
    ("ID", Align::Left, Narrow::shorten(12).keep("@").or_drop(9)),
    ("PID", Align::Right, Narrow::WHOLE),
    ("USER", Align::Right, Narrow::drop(2)),
    ("STATE", Align::Left, Narrow::WHOLE.or_drop(5)),
    ("PORTS", Align::Left, Narrow::shorten(9).or_drop(6)),
    ("AGE", Align::Right, Narrow::drop(4)),
    ("PROCS", Align::Right, Narrow::drop(1)),
];
const WIDE: [Head; 3] = [
    ("CONTAINER", Align::Left, Narrow::WHOLE),
    ("IMAGE", Align::Left, Narrow::WHOLE),
    ("CGROUP", Align::Left, Narrow::WHOLE),
];

/// More ports of one container are only counted.
const PORTS: usize = 6;

fn cells(container: &Container, wide: bool) -> Vec<String> {
    let or_dash = |text: Option<&str>| text.and_then(filled).unwrap_or("-").to_owned();
    let pod = container.pod.as_ref();
    let mut ports: Vec<String> = container.ports.iter().take(PORTS).map(ToString::to_string).collect();
    if container.ports.len() > PORTS {
        ports.push(format!("+{}", container.ports.len() - PORTS));
    }
    let id = if wide { container.id.clone() } else { container.short_id() };
    let mut cells = vec![
        container.name.clone(),
        or_dash(pod.map(|pod| pod.name.as_str())),
        or_dash(pod.map(|pod| pod.namespace.as_str())),
        container.runtime.name().to_owned(),
        or_dash(Some(&id)),
        if container.pid == 0 { "-".to_owned() } else { container.pid.to_string() },
        container.user.to_string(),
        container.machine.as_ref().map_or(container.state.to_string(), |machine| format!("vm ({machine})")),
        or_dash(Some(&ports.join(","))),
        elapsed(container.age),
        container.processes.len().to_string(),
    ];
    if wide {
        cells.push(or_dash(container.container.as_deref()));
        cells.push(or_dash(container.image.as_deref()));
        cells.push(or_dash(Some(&container.cgroup)));
    }
    cells
}

impl Command for Targets {
    type Row = NoRow;
    const PLACE: Place = Place::Node;
    const NEEDS: Needs = Needs { host: true, ..Needs::NONE };
    const REPLACES: &'static str = "docker ps, crictl ps, podman ps";
    const FIELDS: &'static [Field] = &[
        field("name", Kind::Text, "its name, a target; null where it has none"),
        more("owner", Kind::Text, "who named it, where not root: a user's id, or the container around it"),
        field("pod", Kind::Text, "its pod"),
        field("namespace", Kind::Text, "the pod's Kubernetes namespace"),
        more("pod_uid", Kind::Text, "the pod's uid"),
        more("container", Kind::Text, "its name in the pod"),
        field("runtime", Kind::Text, "docker, containerd, podman, …"),
        more("image", Kind::Text, "its image"),
        more("id", Kind::Text, "its id"),
        field("pid", Kind::Number, "its main process, a PID of the node"),
        field("user", Kind::Number, "that process's user, as the container counts"),
        field("state", Kind::Text, "running, paused, …"),
        field("ports", Kind::List, "where it listens"),
        field("age", Kind::Seconds, "since it was started"),
        field("processes", Kind::Number, "how many it has"),
        more("sandbox", Kind::Flag, "whether it is a pod's sandbox"),
        more("machine", Kind::Text, "what runs it in a virtual machine"),
        more("cgroup", Kind::Text, "its cgroup"),
        more("note", Kind::Text, "what is odd about it"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "targets", what: "every container of the node" },
        Example { line: "targets --port 8080", what: "who listens there" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let listing = cx.listing()?;
        for note in &listing.notes {
            cx.note(note);
        }
        let shown: Vec<&Container> = listing
            .containers
            .iter()
            .filter(|container| self.filter.takes(container, self.text.as_deref()))
            .collect();
        if out.is_json() {
            for container in shown {
                out.json(&object(container)).map_err(Fault::output)?;
            }
            return Ok(Status::OK);
        }
        let columns = if self.wide { [&COLUMNS[..], &WIDE].concat() } else { COLUMNS.to_vec() };
        let screen = if self.wide { cx.screen().map(|_| usize::MAX) } else { cx.screen() };
        let mut table = Table::new(&columns, screen);
        for container in shown.iter().filter(|container| self.wide || !container.is_sandbox) {
            table.row(cells(container, self.wide), out.bytes()).map_err(Fault::output)?;
            if let Some(note) = &container.note {
                cx.note(&format!("{}: {note}", container.full_name()));
            }
        }
        table.finish(out.bytes()).map_err(Fault::output)?;
        Ok(Status::OK)
    }
}
