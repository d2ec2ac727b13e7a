//! `who`: whose process a PID of the node is; `nsdbg --who` is the same.

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status};
use crate::out::field::{field, more};
use crate::out::{Align, Column, Field, Kind, Narrow, Output, Row};
use crate::target::container::{Container, Listing, short_id};
use crate::target::hierarchies::Hierarchies;
use crate::target::{facts, scan};

/// Tell which container a PID of the node is in.
#[derive(clap::Parser)]
pub struct Who {
    /// PIDs, or ids of threads
    #[arg(required = true, value_parser = clap::value_parser!(i32).range(1..=0x3f_ffff))]
    pids: Vec<i32>,
}

/// Whose process it is.
#[derive(serde::Serialize)]
pub struct Owner {
    pid: i32,
    /// The process, where the id is a thread's.
    process: i32,
    /// `NAMESPACE/POD/CONTAINER`, or the container's name; null for a process of the node itself.
    target: Option<String>,
    pod: Option<String>,
    namespace: Option<String>,
    container: Option<String>,
    runtime: Option<&'static str>,
    id: Option<String>,
    unit: Option<String>,
    cgroup: String,
}

fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

impl Row for Owner {
    const COLUMNS: &'static [Column<Self>] = &[
        Column { header: "PID", align: Align::Right, narrow: Narrow::WHOLE, cell: |row| row.pid.to_string() },
        Column {
            header: "PROCESS",
            align: Align::Right,
            narrow: Narrow::drop(1),
            cell: |row| row.process.to_string(),
        },
        Column {
            header: "TARGET",
            align: Align::Left,
            narrow: Narrow::shorten(20).keep("@/"),
            cell: |row| row.target.clone().unwrap_or_else(|| "(the node)".to_owned()),
        },
        Column {
            header: "RUNTIME",
            align: Align::Left,
            narrow: Narrow::drop(2),
            cell: |row| or_dash(row.runtime),
        },
        Column {
            header: "ID",
            align: Align::Left,
            narrow: Narrow::shorten(12).keep("@").or_drop(3),
            cell: |row| or_dash(row.id.as_deref().map(short_id).as_deref()),
        },
        Column {
            header: "UNIT",
            align: Align::Left,
            narrow: Narrow::shorten(12).or_drop(4),
            cell: |row| or_dash(row.unit.as_deref()),
        },
        Column {
            header: "CGROUP",
            align: Align::Left,
            narrow: Narrow::shorten(16).or_drop(5),
            cell: |row| or_dash(Some(&row.cgroup)),
        },
    ];
}

impl Command for Who {
    type Row = Owner;
    const PLACE: Place = Place::Node;
    const NEEDS: Needs = Needs { host: true, ..Needs::NONE };
    const REPLACES: &'static str = "systemd-cgls, crictl inspect";
    const FIELDS: &'static [Field] = &[
        field("pid", Kind::Number, "what was asked for"),
        more("process", Kind::Number, "its process, where that is a thread"),
        field("target", Kind::Text, "the container; null for the node itself"),
        more("pod", Kind::Text, "its pod"),
        more("namespace", Kind::Text, "the pod's Kubernetes namespace"),
        more("container", Kind::Text, "its name in the pod"),
        field("runtime", Kind::Text, "docker, containerd, podman, …"),
        more("id", Kind::Text, "the container's id"),
        field("unit", Kind::Text, "its systemd unit"),
        field("cgroup", Kind::Text, "its cgroup"),
    ];
    const EXAMPLES: &'static [Example] = &[Example { line: "who 1", what: "the node's first process" }];

    fn run(self, cx: &mut Context, out: &mut Output<Owner>) -> Result<Status> {
        let listing = cx.listing()?;
        let hierarchies = Hierarchies::find(cx.host()?);
        for pid in self.pids {
            match owner(&listing, &hierarchies, pid) {
                Ok(owner) => out.row(&owner).map_err(Fault::output)?,
                Err(fault) => cx.report(&fault),
            }
        }
        Ok(Status::OK)
    }
}

fn owner(listing: &Listing, hierarchies: &Hierarchies, pid: i32) -> Result<Owner> {
    let gone = || Fault::text("find process", pid.to_string(), "no such process in nsdbg's PID namespace");
    let process = facts::thread_of(pid).ok_or_else(gone)?;
    let cgroup = scan::cgroup_of(hierarchies, process).map_err(|_| gone())?;
    let found = listing.of(process);
    let pod = found.and_then(|container| container.pod.as_ref());
    Ok(Owner {
        pid,
        process,
        target: found.map(Container::full_name),
        pod: pod.map(|pod| pod.name.clone()),
        namespace: pod.map(|pod| pod.namespace.clone()),
        container: found.and_then(|container| container.container.clone()),
        runtime: found.map(|container| container.runtime.name()),
        id: found.map(|container| container.id.clone()).filter(|id| !id.is_empty()),
        unit: cgroup.unit,
        cgroup: cgroup.path,
    })
}
