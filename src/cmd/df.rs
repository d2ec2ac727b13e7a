//! `df`.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::mpsc;
use std::time::Duration;

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status};
use crate::out::field::{field, more};
use crate::out::name::escape;
use crate::out::table::{NoRow, Table};
use crate::out::{Align, Field, Kind, Name, Output, Scale, scale};
use crate::sys::mounts::{self, Mount};
use crate::sys::statx::{self, Space};

// Options of which the last one counts.
const SCALES: [&str; 5] = ["human", "si", "kilo", "mega", "block_size"];

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Column {
    /// What is mounted.
    Source,
    /// The type.
    Fstype,
    /// Inodes in all.
    Itotal,
    /// Used ones.
    Iused,
    /// Free ones.
    Iavail,
    /// The share of used ones.
    Ipcent,
    /// The size.
    Size,
    /// What is used.
    Used,
    /// What is left.
    Avail,
    /// The share that is used.
    Pcent,
    /// The operand.
    File,
    /// Where it is mounted.
    Target,
}

/// Show how much room file systems have.
///
/// Those of the operands, else all that are mounted and have a size; of several mounts of one file system the first. One
/// that does not answer within two seconds is named and left out.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Df {
    /// Units of 1024: 1.5G.
    #[arg(short = 'h', long = "human-readable", overrides_with_all = SCALES)]
    human: bool,
    /// Units of 1000: 1.6G.
    #[arg(short = 'H', long, overrides_with_all = SCALES)]
    si: bool,
    /// Blocks of 1024 bytes; that is the default.
    #[arg(short = 'k', overrides_with_all = SCALES)]
    kilo: bool,
    /// Blocks of 1048576 bytes.
    #[arg(short = 'm', overrides_with_all = SCALES)]
    mega: bool,
    /// Blocks of this size: 512, 4K, M, MB.
    #[arg(short = 'B', long, value_name = "SIZE", value_parser = scale::parse, overrides_with_all = SCALES)]
    block_size: Option<Scale>,
    /// Inodes in place of blocks.
    #[arg(short = 'i', long)]
    inodes: bool,
    /// The type of each.
    #[arg(short = 'T', long)]
    print_type: bool,
    /// Those without a size, and those that are mounted again, too.
    #[arg(short = 'a', long)]
    all: bool,
    /// These types only.
    #[arg(short = 't', long = "type", value_name = "TYPE", value_delimiter = ',')]
    only: Vec<String>,
    /// All but these types.
    #[arg(short = 'x', long, value_name = "TYPE", value_delimiter = ',')]
    exclude_type: Vec<String>,
    /// Not those of other machines.
    #[arg(short = 'l', long)]
    local: bool,
    /// These columns, or all.
    #[arg(long, value_name = "LIST", num_args = 0..=1, require_equals = true, value_delimiter = ',')]
    #[arg(conflicts_with_all = ["inodes", "portability", "print_type"])]
    #[arg(
        default_missing_value = "source,fstype,itotal,iused,iavail,ipcent,size,used,avail,pcent,file,target"
    )]
    output: Vec<Column>,
    /// POSIX's names of columns.
    #[arg(short = 'P', long)]
    portability: bool,
    /// A sum at the end.
    #[arg(long)]
    total: bool,
    /// Files; the file system that each is on.
    files: Vec<OsString>,
}

/// One file system in JSON.
#[derive(serde::Serialize)]
struct Row {
    source: Name,
    target: Name,
    #[serde(rename = "type")]
    kind: String,
    size: u64,
    used: u64,
    available: u64,
    used_percent: Option<u64>,
    inodes: u64,
    inodes_used: u64,
    inodes_free: u64,
    inodes_used_percent: Option<u64>,
    read_only: bool,
    file: Option<Name>,
}

/// One that does not answer is not waited for any longer.
const LIMIT: Duration = Duration::from_secs(2);

impl Command for Df {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs { mounts: true, ..Needs::NONE };
    const REPLACES: &'static str = "coreutils df";
    const FIELDS: &'static [Field] = &[
        field("source", Kind::Text, "what is mounted"),
        field("type", Kind::Text, "the type of the file system"),
        field("size", Kind::Bytes, "its size"),
        field("used", Kind::Bytes, "what is used"),
        field("available", Kind::Bytes, "what other users than root may still use"),
        field("used_percent", Kind::Number, "the share of it that is used, rounded up"),
        more("inodes", Kind::Number, "how many inodes it may have; 0 where it does not say"),
        more("inodes_used", Kind::Number, "how many are used"),
        more("inodes_free", Kind::Number, "how many are free"),
        more("inodes_used_percent", Kind::Number, "the share of them that is used"),
        more("read_only", Kind::Flag, "whether the mount or the file system is read-only"),
        field("target", Kind::Text, "where it is mounted"),
        more("file", Kind::Text, "the operand that it was asked for"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "df -h", what: "all of them" },
        Example { line: "df -i /tmp", what: "the inodes of one" },
        Example { line: "df -a | where used_percent ge 0 | select target,type", what: "as rows" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let mounts = cx.mounts.as_deref().map(mounts::parse).unwrap_or_default();
        let mut rows = Vec::new();
        if self.files.is_empty() {
            let mut seen = HashSet::new();
            for mount in mounts::visible(&mounts) {
                if !self.wants(mount) || (!self.all && !seen.insert(mount.device)) {
                    continue;
                }
                match space(OsStr::from_bytes(&mount.target)) {
                    Ok(space) if space.blocks == 0 && !self.all => {}
                    Ok(space) => rows.push(row(mount, &space, None)),
                    // What the target's user may not reach is not worth a message unless it was asked for.
                    Err(fault) if fault.raw_errno() == Some(libc::EACCES) => {}
                    Err(fault) => cx.report(&fault),
                }
            }
        } else {
            for file in &self.files {
                match of_file(file, &mounts) {
                    Ok((mount, space)) if self.wants(&mount) => rows.push(row(&mount, &space, Some(file))),
                    Ok(_) => {}
                    Err(fault) => cx.report(&fault),
                }
            }
        }
        if out.is_json() {
            for row in &rows {
                out.json(row).map_err(Fault::output)?;
            }
        } else if !rows.is_empty() {
            self.print(&rows, cx.tty, out).map_err(Fault::output)?;
        } else if !cx.failed() {
            return Err(Fault::say("no file system is left to show"));
        }
        Ok(Status::OK)
    }
}

/// statfs(2) of what may never answer, in a thread that is left behind then.
fn space(path: &OsStr) -> Result<Space> {
    space_within(path, LIMIT)
}

/// The same within another limit.
///
/// # Errors
/// What the kernel says; that it does not answer.
pub fn space_within(path: &OsStr, limit: Duration) -> Result<Space> {
    let (sender, receiver) = mpsc::channel();
    let asked = path.to_owned();
    let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(move || {
        let _ = sender.send(statx::space(&asked));
    });
    thread.map_err(|error| Fault::io("start a thread for", path, &error))?;
    match receiver.recv_timeout(limit) {
        Ok(space) => space.map_err(|errno| Fault::errno("statfs", path, errno)),
        Err(_) => Err(Fault::text("statfs", path, "it does not answer")),
    }
}

/// The file system that a file is on, and the mount that leads to it.
fn of_file(file: &OsStr, mounts: &[Mount]) -> Result<(Mount, Space)> {
    let space = space(file)?;
    let fault = |errno| Fault::errno("stat", file, errno);
    let device = statx::facts(None, file, true).map_err(fault)?.device;
    let path = std::fs::canonicalize(file).map_err(|error| Fault::io("stat", file, &error))?;
    let path = path.as_os_str().as_bytes();
    let holding = mounts.iter().filter(|mount| mount.holds(path));
    // Where a file system has several devices (btrfs), the nearest mount is right; where a mount is hidden, the device.
    let nearest =
        holding.clone().filter(|mount| mount.device == device).max_by_key(|mount| mount.target.len());
    let mount = nearest.or_else(|| holding.max_by_key(|mount| mount.target.len())).cloned();
    let unknown = || Mount {
        id: 0,
        parent: 0,
        device,
        root: b"/".to_vec(),
        target: b"-".to_vec(),
        options: String::new(),
        propagation: String::new(),
        kind: "-".to_owned(),
        source: b"-".to_vec(),
        super_options: String::new(),
    };
    Ok((mount.unwrap_or_else(unknown), space))
}

fn row(mount: &Mount, space: &Space, file: Option<&OsString>) -> Row {
    let bytes = |blocks: u64| blocks.saturating_mul(space.fragment);
    let used = space.blocks.saturating_sub(space.free);
    let files_used = space.files.saturating_sub(space.files_free);
    Row {
        source: mount.source.clone().into(),
        target: mount.target.clone().into(),
        kind: mount.kind.clone(),
        size: bytes(space.blocks),
        used: bytes(used),
        available: bytes(space.available),
        used_percent: percent(used, used.saturating_add(space.available)),
        inodes: space.files,
        inodes_used: files_used,
        inodes_free: space.files_free,
        inodes_used_percent: percent(files_used, space.files),
        read_only: mount.is_read_only(),
        file: file.map(|file| Name::from(file.as_os_str())),
    }
}

/// A share in percent, rounded up; none of nothing.
fn percent(part: u64, whole: u64) -> Option<u64> {
    (whole > 0).then(|| (u128::from(part) * 100).div_ceil(u128::from(whole)) as u64)
}

/// The file systems of other machines whose sources do not tell, as coreutils knows them.
const REMOTE: [&str; 10] =
    ["acfs", "afs", "auristorfs", "coda", "fhgfs", "gpfs", "ibrix", "ocfs2", "vxfs", "lustre"];

fn is_remote(mount: &Mount) -> bool {
    let is_share =
        mount.source.starts_with(b"//") && ["smbfs", "smb3", "cifs"].contains(&mount.kind.as_str());
    mount.source.contains(&b':')
        || is_share
        || mount.source == b"-hosts"
        || REMOTE.contains(&mount.kind.as_str())
}

impl Df {
    fn wants(&self, mount: &Mount) -> bool {
        let kind = &mount.kind;
        (self.only.is_empty() || self.only.contains(kind))
            && !self.exclude_type.contains(kind)
            && !(self.local && is_remote(mount))
    }

    fn scale(&self) -> Scale {
        match (self.human, self.si, self.mega) {
            (true, ..) => Scale::Human,
            (_, true, _) => Scale::Si,
            (.., true) => Scale::Units { bytes: 1 << 20, suffix: "" },
            _ => self.block_size.unwrap_or(Scale::KIBIBYTES),
        }
    }

    fn columns(&self) -> Vec<Column> {
        if !self.output.is_empty() {
            return self.output.clone();
        }
        let numbers = if self.inodes {
            [Column::Itotal, Column::Iused, Column::Iavail, Column::Ipcent]
        } else {
            [Column::Size, Column::Used, Column::Avail, Column::Pcent]
        };
        let kind = self.print_type.then_some(Column::Fstype);
        let columns = [Column::Source].into_iter().chain(kind).chain(numbers);
        columns.chain([Column::Target]).collect()
    }

    fn head(&self, column: Column) -> String {
        let scale = self.scale();
        let short = !self.output.is_empty() || matches!(scale, Scale::Human | Scale::Si);
        match column {
            Column::Source => "Filesystem".into(),
            Column::Fstype => "Type".into(),
            Column::Itotal => "Inodes".into(),
            Column::Iused => "IUsed".into(),
            Column::Iavail => "IFree".into(),
            Column::Ipcent => "IUse%".into(),
            Column::Size => match scale {
                Scale::Units { bytes, .. } if self.portability => format!("{bytes}-blocks"),
                Scale::Units { bytes, .. } => format!("{}-blocks", unit_name(bytes)),
                Scale::Human | Scale::Si => "Size".into(),
            },
            Column::Used => "Used".into(),
            Column::Avail if short => "Avail".into(),
            Column::Avail => "Available".into(),
            Column::Pcent if self.portability => "Capacity".into(),
            Column::Pcent => "Use%".into(),
            Column::File => "File".into(),
            Column::Target => "Mounted on".into(),
        }
    }

    fn print(&self, rows: &[Row], tty: bool, out: &mut Output<NoRow>) -> std::io::Result<()> {
        let columns = self.columns();
        let heads: Vec<(String, Align)> = (columns.iter())
            .map(|column| {
                let is_text =
                    matches!(column, Column::Source | Column::Fstype | Column::File | Column::Target);
                (self.head(*column), if is_text { Align::Left } else { Align::Right })
            })
            .collect();
        let heads: Vec<(&str, Align)> = heads.iter().map(|(head, align)| (head.as_str(), *align)).collect();
        let mut table = Table::new(&heads, tty);
        let mut sum = Row::total(&columns);
        for row in rows {
            sum.add(row);
            table.row(columns.iter().map(|column| self.cell(row, *column, tty)).collect(), out.bytes())?;
        }
        if self.total {
            table.row(columns.iter().map(|column| self.cell(&sum, *column, tty)).collect(), out.bytes())?;
        }
        table.finish(out.bytes())
    }

    fn cell(&self, row: &Row, column: Column, tty: bool) -> String {
        let name = |name: &Name| if tty { escape(name.spelled().as_bytes()) } else { name.spelled() };
        let share = |share: Option<u64>| share.map_or_else(|| "-".to_owned(), |share| format!("{share}%"));
        match column {
            Column::Source => name(&row.source),
            Column::Fstype => row.kind.clone(),
            Column::Itotal => self.count(row.inodes),
            Column::Iused => self.count(row.inodes_used),
            Column::Iavail => self.count(row.inodes_free),
            Column::Ipcent => share(percent(row.inodes_used, row.inodes)),
            Column::Size => self.scale().text(row.size),
            Column::Used => self.scale().text(row.used),
            Column::Avail => self.scale().text(row.available),
            // What is kept for root counts neither as used nor as available.
            Column::Pcent => share(percent(row.used, row.used.saturating_add(row.available))),
            Column::File => row.file.as_ref().map_or_else(|| "-".to_owned(), name),
            Column::Target => name(&row.target),
        }
    }

    fn count(&self, count: u64) -> String {
        match self.scale() {
            scale @ (Scale::Human | Scale::Si) => scale.text(count),
            Scale::Units { .. } => count.to_string(),
        }
    }
}

impl Row {
    /// The sum at the end, of nothing yet. It is named in the first column that has a name.
    fn total(columns: &[Column]) -> Self {
        let (source, target) =
            if columns.contains(&Column::Source) { ("total", "-") } else { ("-", "total") };
        Self {
            source: source.as_bytes().into(),
            target: target.as_bytes().into(),
            kind: "-".to_owned(),
            size: 0,
            used: 0,
            available: 0,
            used_percent: None,
            inodes: 0,
            inodes_used: 0,
            inodes_free: 0,
            inodes_used_percent: None,
            read_only: false,
            file: None,
        }
    }

    fn add(&mut self, row: &Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.size, row.size);
        add(&mut self.used, row.used);
        add(&mut self.available, row.available);
        add(&mut self.inodes, row.inodes);
        add(&mut self.inodes_used, row.inodes_used);
        add(&mut self.inodes_free, row.inodes_free);
    }
}

/// A number of bytes as the head of a column names it: `1K`, `4M`, `1MB`, `512B`.
fn unit_name(bytes: u64) -> String {
    let name = |base: u64, units: [&str; 5]| {
        let mut number = bytes;
        let mut unit = units[0];
        for next in &units[1..] {
            if !number.is_multiple_of(base) {
                break;
            }
            number /= base;
            unit = next;
        }
        format!("{number}{unit}")
    };
    let is_decimal = bytes.is_multiple_of(1000) && !bytes.is_multiple_of(1024);
    if is_decimal { name(1000, ["B", "kB", "MB", "GB", "TB"]) } else { name(1024, ["B", "K", "M", "G", "T"]) }
}
