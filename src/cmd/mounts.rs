//! `mounts`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::table::Table;
use crate::out::{Align, Column, Field, Kind, Name, Narrow, Output, Row};
use crate::sys::mounts::{Mount, parse, visible};
use crate::takes::owned;

/// List what is mounted in the container.
///
/// In the order in which it was mounted, as the kernel tells it, so that a missing or faked /proc changes nothing. Operands
/// keep what is mounted at them or below.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Mounts {
    /// These types of file systems, as `tmpfs,overlay`; `noproc,sysfs` is all but these.
    #[arg(short = 't', long = "types", value_name = "LIST", add = Takes::List(&Takes::Words(usual_types)))]
    types: Option<String>,
    /// Mounts with these options, as `ro` or `nosuid,nodev`.
    #[arg(short = 'O', long, value_name = "LIST", add = Takes::Nothing)]
    options: Option<String>,
    /// These columns: TARGET, SOURCE, FSTYPE, OPTIONS, VFS-OPTIONS, FS-OPTIONS, FSROOT, PROPAGATION, ID, PARENT, MAJ:MIN.
    #[arg(short = 'o', long, value_name = "LIST", value_delimiter = ',', value_parser = column)]
    #[arg(add = Takes::List(&Takes::Words(names_of_columns)))]
    output: Vec<&'static Column<MountRow>>,
    /// No names of columns.
    #[arg(short, long)]
    noheadings: bool,
    /// Shorten nothing and leave no column out where the terminal is too narrow.
    #[arg(short = 'u', long)]
    notruncate: bool,
    /// The mount that a path is on, by the path's names; links are not followed.
    #[arg(short = 'T', long, value_name = "PATH", conflicts_with = "paths", add = Takes::Path)]
    target: Option<OsString>,
    /// Paths; without any, everything.
    #[arg(add = Takes::Path)]
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

const TARGET: Column<MountRow> = Column {
    header: "TARGET",
    align: Align::Left,
    narrow: Narrow::shorten(36).keep("/"),
    cell: |row| row.target.spelled(),
};
const SOURCE: Column<MountRow> = Column {
    header: "SOURCE",
    align: Align::Left,
    narrow: Narrow::shorten(12).keep("/").or_drop(3),
    cell: |row| row.shown_source(),
};
const PROPAGATION: Column<MountRow> = Column {
    header: "PROPAGATION",
    align: Align::Left,
    narrow: Narrow::drop(1),
    cell: |row| row.propagation.clone(),
};
const OPTIONS: Column<MountRow> = Column {
    header: "OPTIONS",
    align: Align::Left,
    narrow: Narrow::shorten(12).or_drop(5),
    cell: |row| row.shown_options(),
};

impl Row for MountRow {
    const COLUMNS: &'static [Column<Self>] = &[
        TARGET,
        SOURCE,
        Column {
            header: "TYPE",
            align: Align::Left,
            narrow: Narrow::WHOLE.or_drop(4),
            cell: |row| row.kind.clone(),
        },
        PROPAGATION,
        OPTIONS,
    ];
}

/// The columns that -o takes, by findmnt's names.
const CHOICE: &[Column<MountRow>] = &[
    TARGET,
    SOURCE,
    Column { header: "FSTYPE", align: Align::Left, narrow: Narrow::WHOLE, cell: |row| row.kind.clone() },
    OPTIONS,
    Column {
        header: "VFS-OPTIONS",
        align: Align::Left,
        narrow: Narrow::shorten(16),
        cell: |row| row.options.clone(),
    },
    Column {
        header: "FS-OPTIONS",
        align: Align::Left,
        narrow: Narrow::shorten(16),
        cell: |row| row.shown_super_options().join(","),
    },
    Column {
        header: "FSROOT",
        align: Align::Left,
        narrow: Narrow::shorten(12),
        cell: |row| row.root.spelled(),
    },
    PROPAGATION,
    Column { header: "ID", align: Align::Right, narrow: Narrow::WHOLE, cell: |row| row.id.to_string() },
    Column {
        header: "PARENT",
        align: Align::Right,
        narrow: Narrow::WHOLE,
        cell: |row| row.parent.to_string(),
    },
    Column { header: "MAJ:MIN", align: Align::Left, narrow: Narrow::WHOLE, cell: |row| row.device.clone() },
];

/// Types that containers and nodes usually have.
fn usual_types() -> Vec<String> {
    let types = "overlay ext4 xfs btrfs tmpfs proc sysfs devpts mqueue cgroup2 cgroup nfs nfs4 cifs fuse vfat squashfs";
    owned(types.split(' '))
}

fn names_of_columns() -> Vec<String> {
    CHOICE.iter().map(|column| column.header.to_owned()).collect()
}

/// Reads the name of a column.
fn column(name: &str) -> std::result::Result<&'static Column<MountRow>, String> {
    let known = CHOICE.iter().find(|column| column.header.eq_ignore_ascii_case(name));
    known.ok_or_else(|| {
        format!(
            "no such column: {} are known, and -O keeps mounts with an option",
            names_of_columns().join(", ")
        )
    })
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

    /// The file system's options, without those that overlay needs to find its own layers.
    fn shown_super_options(&self) -> Vec<&str> {
        let layers = ["lowerdir", "upperdir", "workdir"];
        let is_shown =
            |option: &&str| !option.is_empty() && !layers.iter().any(|layer| option.starts_with(layer));
        self.super_options.split(',').filter(is_shown).collect()
    }

    /// Both sets of options, without those that overlay needs to find its own layers.
    fn shown_options(&self) -> String {
        let mut all: Vec<&str> = self.options.split(',').collect();
        // The file system is read-only only where its own options say so.
        for option in self.shown_super_options() {
            if !all.contains(&option) && option != "rw" {
                all.push(option);
            }
        }
        all.join(",")
    }
}

impl Mounts {
    fn print(
        &self,
        rows: &[MountRow],
        screen: Option<usize>,
        out: &mut Output<MountRow>,
    ) -> std::io::Result<()> {
        let all: Vec<_> = MountRow::COLUMNS.iter().collect();
        let columns = if self.output.is_empty() { &all } else { &self.output };
        let head = |column: &Column<MountRow>| if self.noheadings { "" } else { column.header };
        // What was asked for is not left out.
        let narrow = |column: &Column<MountRow>| {
            if self.output.is_empty() { column.narrow } else { column.narrow.never_dropped() }
        };
        let heads: Vec<_> =
            columns.iter().map(|column| (head(column), column.align, narrow(column))).collect();
        let screen = if self.notruncate { screen.map(|_| usize::MAX) } else { screen };
        let mut table = Table::new(&heads, screen);
        for row in rows {
            table.row(columns.iter().map(|column| (column.cell)(row)).collect(), out.bytes())?;
        }
        table.finish(out.bytes())
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
        Example { line: "findmnt -no FSTYPE -T /etc/hosts", what: "what a file is on" },
        Example {
            line: "mounts | where options has ro | select target,source",
            what: "what can't be written",
        },
    ];

    /// findmnt's -J among other letters.
    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        let mut made = Vec::with_capacity(args.len());
        for arg in args {
            match arg.to_str() {
                Some("-J") => made.push("--json".into()),
                Some("-nJ" | "-Jn") => made.extend(["--json".into(), "-n".into()]),
                _ => made.push(arg),
            }
        }
        made
    }

    fn run(self, cx: &mut Context, out: &mut Output<MountRow>) -> Result<Status> {
        let text = cx.mounts.as_ref().ok_or_else(|| Fault::say("the target's mounts could not be read"))?;
        if let Some(path) =
            self.paths.iter().chain(&self.target).find(|path| !path.as_bytes().starts_with(b"/"))
        {
            return Err(Fault::text("find mount", path, "the path does not begin with /").with_status(2));
        }
        let types = self.types.as_deref().map(|list| match list.strip_prefix("no") {
            Some(rest) => (rest.split(',').collect::<Vec<_>>(), false),
            None => (list.split(',').collect(), true),
        });
        let mut rows = Vec::new();
        let mounts = parse(text);
        let nearest = self.target.as_ref().map(|path| {
            let holding = visible(&mounts).into_iter().filter(|mount| mount.holds(path.as_bytes()));
            holding.max_by_key(|mount| mount.target.len()).map(|mount| mount.id)
        });
        for mount in mounts {
            let is_of_type = types.as_ref().is_none_or(|(list, wanted)| {
                list.iter().any(|name| name.strip_prefix("no").unwrap_or(name) == mount.kind) == *wanted
            });
            let has = |option: &str| {
                mount.options.split(',').chain(mount.super_options.split(',')).any(|one| one == option)
            };
            let has_options = self.options.as_deref().is_none_or(|list| list.split(',').all(has));
            let is_below = self.paths.is_empty()
                || self.paths.iter().any(|path| mount.is_below(trimmed(path.as_bytes())));
            let is_nearest = nearest.is_none_or(|nearest| nearest == Some(mount.id));
            if is_of_type && has_options && is_below && is_nearest {
                rows.push(MountRow::new(mount));
            }
        }
        if out.is_json() {
            rows.iter().try_for_each(|row| out.row(row)).map_err(Fault::output)?;
        } else if !rows.is_empty() {
            self.print(&rows, cx.screen(), out).map_err(Fault::output)?;
        }
        // As findmnt: 1 where nothing was found.
        Ok(Status(u8::from(rows.is_empty())))
    }
}

/// A path without slashes at its end.
fn trimmed(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(1, |at| at + 1);
    path.get(..end).unwrap_or(path)
}
