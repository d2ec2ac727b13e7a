//! `mounts`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status};
use crate::out::field::{field, more};
use crate::out::{Align, Column, Field, Kind, Name, Output, Row};
use crate::sys::mounts::{Mount, parse};

/// List what is mounted in the container.
///
/// In the order in which it was mounted, as the kernel tells it, so that a missing or faked /proc changes nothing. Operands
/// keep what is mounted at them or below.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Mounts {
    /// These types of file systems, as `tmpfs,overlay`; `noproc,sysfs` is all but these.
    #[arg(short = 't', long = "types", value_name = "LIST")]
    types: Option<String>,
    /// Mounts with these options, as `ro` or `nosuid,nodev`.
    #[arg(short = 'o', short_alias = 'O', long, value_name = "LIST")]
    options: Option<String>,
    /// Paths; without any, everything.
    paths: Vec<OsString>,
}

/// One mount.
#[derive(serde::Serialize)]
pub struct MountRow {
    target: Name,
    source: Name,
    #[serde(rename = "type")]
    kind: String,
    options: String,
    propagation: String,
    root: Name,
    super_options: String,
    id: u32,
    parent: u32,
    device: String,
}

impl Row for MountRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column { header: "TARGET", align: Align::Left, cell: |row| row.target.spelled() },
        Column { header: "SOURCE", align: Align::Left, cell: |row| row.shown_source() },
        Column { header: "TYPE", align: Align::Left, cell: |row| row.kind.clone() },
        Column { header: "PROPAGATION", align: Align::Left, cell: |row| row.propagation.clone() },
        Column { header: "OPTIONS", align: Align::Left, cell: |row| row.shown_options() },
    ];
}

impl MountRow {
    fn new(mount: Mount) -> Self {
        Self {
            target: mount.target.into(),
            source: mount.source.into(),
            kind: mount.kind,
            options: mount.options,
            propagation: mount.propagation,
            root: mount.root.into(),
            super_options: mount.super_options,
            id: mount.id,
            parent: mount.parent,
            device: format!("{}:{}", mount.device.0, mount.device.1),
        }
    }

    /// As findmnt: what part of a file system it is stands in brackets.
    fn shown_source(&self) -> String {
        let (source, root) = (self.source.spelled(), self.root.spelled());
        if root == "/" { source } else { format!("{source}[{root}]") }
    }

    /// Both sets of options, without those that overlay needs to find its own layers.
    fn shown_options(&self) -> String {
        let mut all: Vec<&str> = self.options.split(',').collect();
        let layers =
            |option: &&str| ["lowerdir", "upperdir", "workdir"].iter().any(|name| option.starts_with(name));
        // The file system is read-only only where its own options say so.
        let of_super = self.super_options.split(',').filter(|option| !layers(option) && !option.is_empty());
        for option in of_super {
            if !all.contains(&option) && option != "rw" {
                all.push(option);
            }
        }
        all.join(",")
    }
}

impl Command for Mounts {
    type Row = MountRow;
    const PLACE: Place = Place::Node;
    const NEEDS: Needs = Needs { mounts: true, ..Needs::NONE };
    const REPLACES: &'static str = "mount, findmnt";
    const FIELDS: &'static [Field] = &[
        field("target", Kind::Text, "where it is mounted"),
        field("source", Kind::Text, "what is mounted"),
        field("type", Kind::Text, "the type of the file system"),
        field("propagation", Kind::Text, "private, shared:N, master:N, unbindable"),
        field("options", Kind::Text, "the mount's own options"),
        more("super_options", Kind::Text, "the file system's options"),
        more("root", Kind::Text, "which directory of the file system it shows"),
        more("id", Kind::Number, "its id"),
        more("parent", Kind::Number, "the id of the mount that it is on"),
        more("device", Kind::Text, "the file system's device, major:minor"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "mounts", what: "everything" },
        Example { line: "mounts -t tmpfs,proc", what: "these types" },
        Example {
            line: "mounts | where options has ro | select target,source",
            what: "what can't be written",
        },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<MountRow>) -> Result<Status> {
        let text = cx.mounts.as_ref().ok_or_else(|| Fault::say("the target's mounts could not be read"))?;
        if let Some(path) = self.paths.iter().find(|path| !path.as_bytes().starts_with(b"/")) {
            return Err(Fault::text("find mount", path, "the path does not begin with /").with_status(2));
        }
        let types = self.types.as_deref().map(|list| match list.strip_prefix("no") {
            Some(rest) => (rest.split(',').collect::<Vec<_>>(), false),
            None => (list.split(',').collect(), true),
        });
        let mut any = false;
        for mount in parse(text) {
            let is_of_type = types.as_ref().is_none_or(|(list, wanted)| {
                list.iter().any(|name| name.strip_prefix("no").unwrap_or(name) == mount.kind) == *wanted
            });
            let has = |option: &str| {
                mount.options.split(',').chain(mount.super_options.split(',')).any(|one| one == option)
            };
            let has_options = self.options.as_deref().is_none_or(|list| list.split(',').all(has));
            let is_below = self.paths.is_empty()
                || self.paths.iter().any(|path| mount.is_below(trimmed(path.as_bytes())));
            if is_of_type && has_options && is_below {
                any = true;
                out.row(&MountRow::new(mount)).map_err(Fault::output)?;
            }
        }
        // As findmnt: 1 where nothing was found.
        Ok(Status(u8::from(!any)))
    }
}

/// A path without slashes at its end.
fn trimmed(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(1, |at| at + 1);
    path.get(..end).unwrap_or(path)
}
