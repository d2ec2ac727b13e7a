//! `df`.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::name::escape;
use crate::out::table::{NoRow, Table};
use crate::out::{Align, Field, Kind, Name, Narrow, Output, Scale, scale};
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
/// Those of the operands, else all that are mounted and have a size; of several mounts of one file system the first. All
/// are asked at once. One that does not answer within two seconds, or whose server is gone, is a row without numbers.
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
    #[arg(short = 't', long = "type", value_name = "TYPE", value_delimiter = ',', add = Takes::Nothing)]
    only: Vec<String>,
    /// All but these types.
    #[arg(short = 'x', long, value_name = "TYPE", value_delimiter = ',', add = Takes::Nothing)]
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
    #[arg(add = Takes::Path)]
    files: Vec<OsString>,
}

/// One file system in JSON.
#[derive(serde::Serialize)]
struct Row {
    source: Name,
    target: Name,
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    room: Room,
    read_only: bool,
    file: Option<Name>,
    error: Option<String>,
}

/// What statfs(2) says; nothing where it fails.
#[derive(Default, serde::Serialize)]
struct Room {
    size: Option<u64>,
    used: Option<u64>,
    available: Option<u64>,
    used_percent: Option<u64>,
    inodes: Option<u64>,
    inodes_used: Option<u64>,
    inodes_free: Option<u64>,
    inodes_used_percent: Option<u64>,
}

/// One that does not answer is not waited for any longer.
const LIMIT: Duration = Duration::from_secs(2);
/// The most that are asked at once; so many that do not answer leave no thread for the rest.
const THREADS: usize = 32;

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
        more("error", Kind::Text, "why it has no numbers: it does not answer, or what statfs(2) says"),
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
            let mut asked = mounts::visible(&mounts);
            asked.retain(|mount| self.wants(mount) && (self.all || seen.insert(mount.device)));
            let paths: Vec<&OsStr> = asked.iter().map(|mount| OsStr::from_bytes(&mount.target)).collect();
            for (mount, space) in asked.into_iter().zip(spaces_within(&paths, LIMIT)) {
                match space {
                    Ok(space) if space.blocks == 0 && !self.all => {}
                    // What the target's user may not reach is not worth a message unless it was asked for.
                    Err(fault) if fault.raw_errno() == Some(libc::EACCES) => {}
                    Ok(space) => rows.push(row(mount, Ok(&space), None)),
                    Err(fault) => {
                        cx.report(&fault);
                        rows.push(row(mount, Err(fault.cause.to_string()), None));
                    }
                }
            }
        } else {
            for file in &self.files {
                match of_file(file, &mounts) {
                    Ok((mount, space)) if self.wants(&mount) => {
                        rows.push(row(&mount, Ok(&space), Some(file)))
                    }
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
            self.print(&rows, cx.screen(), out).map_err(Fault::output)?;
        } else if !cx.failed() {
            return Err(Fault::say("no file system is left to show"));
        }
        Ok(Status::OK)
    }
}

/// statfs(2) of one that may never answer.
///
/// # Errors
/// What the kernel says; that it does not answer.
pub fn space_within(path: &OsStr, limit: Duration) -> Result<Space> {
    let unasked = || Err(Fault::text("statfs", path, "it was not asked"));
    spaces_within(&[path], limit).pop().unwrap_or_else(unasked)
}

/// statfs(2) of several that may never answer, all at once. A thread that gets no answer is left behind.
///
/// # Errors
/// Of each what the kernel says; that it does not answer; that no thread was left to ask it.
pub fn spaces_within(paths: &[&OsStr], limit: Duration) -> Vec<Result<Space>> {
    let next = Arc::new(AtomicUsize::new(0));
    let all: Arc<Vec<OsString>> = Arc::new(paths.iter().map(|path| (*path).to_owned()).collect());
    let (sender, receiver) = mpsc::channel();
    let mut answers: Vec<Option<nix::Result<Space>>> = vec![None; paths.len()];
    let mut failed = None;
    for _ in 0..paths.len().min(THREADS) {
        let (sender, next, all) = (sender.clone(), Arc::clone(&next), Arc::clone(&all));
        let ask = move || {
            while let Some((at, path)) =
                Some(next.fetch_add(1, Relaxed)).and_then(|at| Some((at, all.get(at)?)))
            {
                if sender.send((at, statx::space(path))).is_err() {
                    break;
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().stack_size(64 << 10).spawn(ask) {
            failed = Some(error);
            break;
        }
    }
    drop(sender);
    let end = Instant::now() + limit;
    while let Ok((at, space)) = receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
        answers[at] = Some(space);
    }
    // Those from here on nobody has begun with.
    let begun = next.load(Relaxed);
    let answer =
        |(at, (path, answer)): (usize, (&&OsStr, Option<nix::Result<Space>>))| match (answer, &failed) {
            (Some(space), _) => space.map_err(|errno| Fault::errno("statfs", path, errno)),
            (None, Some(error)) if at >= begun => Err(Fault::io("start a thread for", path, error)),
            (None, _) if at >= begun => {
                Err(Fault::text("statfs", path, "not asked: too many others do not answer"))
            }
            (None, _) => Err(Fault::text("statfs", path, "it does not answer")),
        };
    paths.iter().zip(answers).enumerate().map(answer).collect()
}

/// The file system that a file is on, and the mount that leads to it.
fn of_file(file: &OsStr, mounts: &[Mount]) -> Result<(Mount, Space)> {
    let space = space_within(file, LIMIT)?;
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

fn row(mount: &Mount, space: std::result::Result<&Space, String>, file: Option<&OsString>) -> Row {
    Row {
        source: mount.source.clone().into(),
        target: mount.target.clone().into(),
        kind: mount.kind.clone(),
        room: space.as_ref().map(|space| room(space)).unwrap_or_default(),
        read_only: mount.is_read_only(),
        file: file.map(|file| Name::from(file.as_os_str())),
        error: space.err(),
    }
}

fn room(space: &Space) -> Room {
    let bytes = |blocks: u64| Some(blocks.saturating_mul(space.fragment));
    let used = space.blocks.saturating_sub(space.free);
    let files_used = space.files.saturating_sub(space.files_free);
    Room {
        size: bytes(space.blocks),
        used: bytes(used),
        available: bytes(space.available),
        used_percent: percent(used, used.saturating_add(space.available)),
        inodes: Some(space.files),
        inodes_used: Some(files_used),
        inodes_free: Some(space.files_free),
        inodes_used_percent: percent(files_used, space.files),
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

    fn print(&self, rows: &[Row], screen: Option<usize>, out: &mut Output<NoRow>) -> std::io::Result<()> {
        let columns = self.columns();
        let heads: Vec<(String, Align, Narrow)> = (columns.iter())
            .map(|column| {
                let (align, narrow) = match column {
                    Column::Source => (Align::Left, Narrow::shorten(12)),
                    Column::File | Column::Target => (Align::Left, Narrow::shorten(16).keep("/")),
                    Column::Fstype => (Align::Left, Narrow::WHOLE),
                    _ => (Align::Right, Narrow::WHOLE),
                };
                (self.head(*column), align, narrow)
            })
            .collect();
        let heads: Vec<_> =
            heads.iter().map(|(head, align, narrow)| (head.as_str(), *align, *narrow)).collect();
        let mut table = Table::new(&heads, screen);
        let tty = screen.is_some();
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
        let dash = || "-".to_owned();
        let count = |number: Option<u64>| number.map_or_else(dash, |number| self.count(number));
        let amount = |bytes: Option<u64>| bytes.map_or_else(dash, |bytes| self.scale().text(bytes));
        let room = &row.room;
        match column {
            Column::Source => name(&row.source),
            Column::Fstype => row.kind.clone(),
            Column::Itotal => count(room.inodes),
            Column::Iused => count(room.inodes_used),
            Column::Iavail => count(room.inodes_free),
            Column::Ipcent => share(room.inodes_used_percent),
            Column::Size => amount(room.size),
            Column::Used => amount(room.used),
            Column::Avail => amount(room.available),
            Column::Pcent => share(room.used_percent),
            Column::File => row.file.as_ref().map_or_else(dash, name),
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
            room: Room::default(),
            read_only: false,
            file: None,
            error: None,
        }
    }

    fn add(&mut self, row: &Self) {
        let add = |sum: &mut Option<u64>, more: Option<u64>| {
            *sum = more.map_or(*sum, |more| Some(sum.unwrap_or(0).saturating_add(more)));
        };
        let (sum, room) = (&mut self.room, &row.room);
        add(&mut sum.size, room.size);
        add(&mut sum.used, room.used);
        add(&mut sum.available, room.available);
        add(&mut sum.inodes, room.inodes);
        add(&mut sum.inodes_used, room.inodes_used);
        add(&mut sum.inodes_free, room.inodes_free);
        // What is kept for root counts neither as used nor as available.
        let share = |part: Option<u64>, whole: Option<u64>| percent(part?, whole?);
        let usable = sum.used.zip(sum.available).map(|(used, left)| used.saturating_add(left));
        sum.used_percent = share(sum.used, usable);
        sum.inodes_used_percent = share(sum.inodes_used, sum.inodes);
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
