//! `du`.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{Command, Context, Example, Fault, Place, Result, Status};
use crate::out::field::{field, more};
use crate::out::name::shell_quoted;
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Name, Output, units};
use crate::sys::dir::Stat;
use crate::sys::walk::{Step, Walk};

/// Files with several links that are remembered: 16 MiB each million.
const MAX_LINKS: usize = 8_000_000;

/// Sum up what files take.
///
/// Of each operand, and of each directory below it; a file with several hard links counts once. Symbolic links are counted
/// and not followed.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Du {
    /// Files, too.
    #[arg(short, long, conflicts_with = "summarize")]
    all: bool,
    /// The operands alone.
    #[arg(short, long)]
    summarize: bool,
    /// Units of 1024: 1.5G.
    #[arg(short = 'h', long = "human-readable", overrides_with_all = ["kilo", "mega", "bytes", "si"])]
    human: bool,
    /// Units of 1000: 1.6G.
    #[arg(long, overrides_with_all = ["kilo", "mega", "bytes", "human"])]
    si: bool,
    /// Blocks of 1024 bytes; that is the default.
    #[arg(short = 'k', overrides_with_all = ["human", "mega", "bytes", "si"])]
    kilo: bool,
    /// Blocks of 1048576 bytes.
    #[arg(short = 'm', overrides_with_all = ["human", "kilo", "bytes", "si"])]
    mega: bool,
    /// The lengths of files, in bytes.
    #[arg(short = 'b', long, overrides_with_all = ["human", "kilo", "mega", "si"])]
    bytes: bool,
    /// The lengths of files rather than what they take.
    #[arg(long)]
    apparent_size: bool,
    /// How many files rather than what they take.
    #[arg(long, conflicts_with_all = ["bytes", "apparent_size"])]
    inodes: bool,
    /// A sum at the end.
    #[arg(short = 'c', long)]
    total: bool,
    /// Directories down to this depth; 0 is as -s.
    #[arg(short = 'd', long, value_name = "N", conflicts_with = "summarize")]
    max_depth: Option<usize>,
    /// Enter no other file system.
    #[arg(short = 'x', long)]
    one_file_system: bool,
    /// Count each hard link.
    #[arg(short = 'l', long)]
    count_links: bool,
    /// Of each directory without those below it.
    #[arg(short = 'S', long)]
    separate_dirs: bool,
    /// Follow links that are operands.
    #[arg(short = 'D', short_alias = 'H', long)]
    dereference_args: bool,
    /// End lines with NUL instead of a newline.
    #[arg(short = '0', long)]
    null: bool,
    /// Files and directories; without any, the current directory.
    files: Vec<OsString>,
}

/// One sum in JSON.
#[derive(serde::Serialize)]
struct Row {
    path: Name,
    size: u64,
    apparent_size: u64,
    files: u64,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// What is summed up.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    taken: u64,
    length: u64,
    files: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.taken = self.taken.saturating_add(other.taken);
        self.length = self.length.saturating_add(other.length);
        self.files = self.files.saturating_add(other.files);
    }
}

impl Command for Du {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const REPLACES: &'static str = "coreutils du";
    const FIELDS: &'static [Field] = &[
        field("size", Kind::Bytes, "what it takes on its file system, and all below it"),
        more("apparent_size", Kind::Bytes, "the lengths of its files"),
        more("files", Kind::Number, "how many files and directories"),
        more("type", Kind::Text, "directory, file, or total"),
        field("path", Kind::Text, "what it is the sum of"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "du -sh /etc /tmp", what: "one sum each" },
        Example { line: "du -xh -d 1 /", what: "what takes the room" },
        Example { line: "du / -x 2>/dev/null | sort-by -size | first 5", what: "the five largest" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let files = if self.files.is_empty() { vec![OsString::from(".")] } else { self.files.clone() };
        let mut links = Links { seen: HashSet::new(), is_full: false, all: files.len() > 1 };
        let mut total = Sum::default();
        for file in &files {
            total.add(self.one(file, &mut links, cx, out)?);
        }
        if self.total {
            self.print(b"total", "total", total, cx.tty, out)?;
        }
        if links.is_full {
            cx.note("there are too many hard links to remember: some files may be counted more than once");
        }
        Ok(Status::OK)
    }
}

/// Files with several links that were counted.
struct Links {
    seen: HashSet<(u64, u64)>,
    is_full: bool,
    /// One operand may hold another: then every file is remembered.
    all: bool,
}

impl Links {
    /// Whether a file is to be counted: it is the first time that it is seen.
    fn is_new(&mut self, stat: &Stat) -> bool {
        let file = (stat.on_device, stat.inode);
        if self.seen.len() >= MAX_LINKS {
            let is_new = !self.seen.contains(&file);
            self.is_full |= is_new;
            return is_new;
        }
        self.seen.insert(file)
    }
}

impl Du {
    fn one(&self, file: &OsStr, links: &mut Links, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Sum> {
        let mask =
            libc::STATX_TYPE | libc::STATX_NLINK | libc::STATX_SIZE | libc::STATX_BLOCKS | libc::STATX_INO;
        let mut walk = Walk::new(file, self.dereference_args, self.one_file_system);
        // One sum for each directory on the way, the operand's first.
        let mut sums: Vec<Sum> = Vec::new();
        let mut whole = Sum::default();
        while let Some(step) = walk.step() {
            let depth = walk.depth();
            match step {
                Step::Found => {
                    let stat = match walk.stat(mask) {
                        Ok(stat) => stat,
                        Err(errno) => {
                            cx.report(&Fault::errno("stat", OsStr::from_bytes(walk.path()), errno));
                            if walk.is_directory() {
                                walk.skip();
                                sums.push(Sum::default());
                            }
                            continue;
                        }
                    };
                    let is_directory = stat.mode & libc::S_IFMT == libc::S_IFDIR;
                    if self.one_file_system && walk.is_on_another(stat.on_device) {
                        // As du: neither entered nor counted.
                        if is_directory {
                            walk.skip();
                            sums.push(Sum { files: u64::MAX, ..Sum::default() });
                        }
                        continue;
                    }
                    let is_remembered = !self.count_links && (links.all || !is_directory && stat.nlink > 1);
                    let counts = !is_remembered || links.is_new(&stat);
                    if is_directory && !counts {
                        walk.skip();
                        sums.push(Sum { files: u64::MAX, ..Sum::default() });
                        continue;
                    }
                    let own = if counts {
                        Sum { taken: stat.blocks.saturating_mul(512), length: stat.size, files: 1 }
                    } else {
                        Sum::default()
                    };
                    if is_directory {
                        sums.push(own);
                        continue;
                    }
                    if counts && (depth == 0 || self.all && self.shows(depth)) {
                        self.print(walk.path(), "file", own, cx.tty, out)?;
                    }
                    sums.last_mut().unwrap_or(&mut whole).add(own);
                }
                Step::Left | Step::Failed(_) => {
                    if let Step::Failed(errno) = step {
                        // Of the operand itself its facts could not be had.
                        let op = if sums.is_empty() { "stat" } else { "open" };
                        cx.report(&Fault::errno(op, OsStr::from_bytes(walk.path()), errno));
                    }
                    let Some(sum) = sums.pop() else { continue };
                    if sum.files == u64::MAX {
                        continue;
                    }
                    if self.shows(depth) {
                        self.print(walk.path(), "directory", sum, cx.tty, out)?;
                    }
                    match sums.last_mut() {
                        Some(above) if !self.separate_dirs => above.add(sum),
                        // The sum at the end has all of them.
                        _ => whole.add(sum),
                    }
                }
            }
        }
        Ok(whole)
    }

    /// Whether what is at this depth has a line of its own.
    fn shows(&self, depth: usize) -> bool {
        let most = if self.summarize { 0 } else { self.max_depth.unwrap_or(usize::MAX) };
        depth <= most
    }

    fn print(
        &self,
        path: &[u8],
        kind: &'static str,
        sum: Sum,
        tty: bool,
        out: &mut Output<NoRow>,
    ) -> Result<()> {
        if out.is_json() {
            let (path, size) = (Name::from(path), sum.taken);
            return out
                .json(&Row { path, size, apparent_size: sum.length, files: sum.files, kind })
                .map_err(Fault::output);
        }
        let amount = match (self.bytes || self.apparent_size, self.inodes) {
            (_, true) => sum.files,
            (true, _) => sum.length,
            _ => sum.taken,
        };
        let amount = match () {
            () if self.human => units::bytes(amount),
            () if self.si => units::decimal_bytes(amount),
            () if self.bytes || self.inodes => amount.to_string(),
            () if self.mega => amount.div_ceil(1 << 20).to_string(),
            () => amount.div_ceil(1024).to_string(),
        };
        let name = if tty { shell_quoted(path).into_bytes() } else { path.to_vec() };
        let end: &[u8] = if self.null { b"\0" } else { b"\n" };
        out.bytes().write_all(&[amount.as_bytes(), b"\t", &name, end].concat()).map_err(Fault::output)
    }
}
