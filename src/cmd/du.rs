//! `du`.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;

use super::ls::{Clock, Style, Time, TimeWord, Times, times};
use super::{Command, Context, Example, Fault, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::name::shell_quoted;
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Name, Output, Scale, scale};
use crate::sys::dir::Stat;
use crate::sys::fnmatch::Fnmatch;
use crate::sys::walk::{Step, Walk};

/// Files with several links that are remembered: 16 MiB each million.
const MAX_LINKS: usize = 8_000_000;

// Options of which the last one counts.
const SCALES: [&str; 6] = ["human", "si", "kilo", "mega", "bytes", "block_size"];

/// A size with its sign: `1M`, `-4K`.
fn threshold(text: &str) -> std::result::Result<i64, String> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    if text == "0" && sign > 0 {
        return Ok(0);
    }
    match scale::parse(text)? {
        Scale::Units { bytes, .. } => Ok(sign * i64::try_from(bytes).unwrap_or(i64::MAX)),
        Scale::Human | Scale::Si => Err("a size is wanted: 512, 4K, 1M".into()),
    }
}

/// As `ls` has it, but `iso` is a date alone.
fn style(text: &str) -> std::result::Result<Style, String> {
    times::parse(if text == "iso" { "+%Y-%m-%d" } else { text })
}

/// Sum up what files take.
///
/// Of each operand, and of each directory below it; a file with several hard links counts once. Symbolic links are counted
/// and not followed, unless -L is given.
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
    #[arg(short = 'h', long = "human-readable", overrides_with_all = SCALES)]
    human: bool,
    /// Units of 1000: 1.6G.
    #[arg(long, overrides_with_all = SCALES)]
    si: bool,
    /// Blocks of 1024 bytes; that is the default.
    #[arg(short = 'k', overrides_with_all = SCALES)]
    kilo: bool,
    /// Blocks of 1048576 bytes.
    #[arg(short = 'm', overrides_with_all = SCALES)]
    mega: bool,
    /// The lengths of files, in bytes.
    #[arg(short = 'b', long, overrides_with_all = SCALES)]
    bytes: bool,
    /// Blocks of this size: 512, 4K, M, MB.
    #[arg(short = 'B', long, value_name = "SIZE", value_parser = scale::parse, overrides_with_all = SCALES)]
    block_size: Option<Scale>,
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
    /// Not files whose name, or path, matches this pattern.
    #[arg(long, value_name = "PATTERN", add = Takes::Nothing)]
    exclude: Vec<OsString>,
    /// Only what takes at least this; with `-` before it, at most.
    #[arg(short, long, value_name = "[-]SIZE", value_parser = threshold, allow_hyphen_values = true)]
    threshold: Option<i64>,
    /// The newest time of the files: of their content, or the one that is named.
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "mtime")]
    time: Option<TimeWord>,
    /// How times are shown: long-iso, full-iso, iso, or +FORMAT as date(1) has it.
    #[arg(long, value_name = "STYLE", value_parser = style)]
    time_style: Option<Style>,
    /// Follow every link; one that leads back to a directory above it is left out.
    #[arg(short = 'L', long, overrides_with_all = ["dereference_args", "no_dereference"])]
    dereference: bool,
    /// Follow no link; that is the default.
    #[arg(short = 'P', long, overrides_with_all = ["dereference_args", "dereference"])]
    no_dereference: bool,
    /// Follow links that are operands.
    #[arg(short = 'D', short_alias = 'H', long, overrides_with_all = ["no_dereference", "dereference"])]
    dereference_args: bool,
    /// End lines with NUL instead of a newline.
    #[arg(short = '0', long)]
    null: bool,
    /// Files and directories; without any, the current directory.
    #[arg(add = Takes::Path)]
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
    newest: Option<Time>,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.taken = self.taken.saturating_add(other.taken);
        self.length = self.length.saturating_add(other.length);
        self.files = self.files.saturating_add(other.files);
        self.newest = self.newest.max(other.newest);
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
        let excluded: Vec<_> =
            self.exclude.iter().map(|pattern| Fnmatch::new(pattern.as_bytes(), false)).collect();
        let mut links =
            Links { seen: HashSet::new(), is_full: false, all: files.len() > 1 || self.dereference };
        let mut total = Sum::default();
        for file in &files {
            total.add(self.one(file, &excluded, &mut links, cx, out)?);
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
    /// One operand may hold another, or a link lead to what was counted: then every file is remembered.
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

/// Whether a pattern matches a path, or what is behind one of its slashes.
fn is_excluded(pattern: &Fnmatch, path: &[u8]) -> bool {
    let parts = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
    std::iter::once(0).chain(parts).any(|from| path.get(from..).is_some_and(|part| pattern.matches(part)))
}

impl Du {
    fn one(
        &self,
        file: &OsStr,
        excluded: &[Fnmatch],
        links: &mut Links,
        cx: &mut Context,
        out: &mut Output<NoRow>,
    ) -> Result<Sum> {
        let clock = self.time.map(TimeWord::clock);
        let mask =
            libc::STATX_TYPE | libc::STATX_NLINK | libc::STATX_SIZE | libc::STATX_BLOCKS | libc::STATX_INO;
        let mask = mask | clock.map_or(0, Clock::mask);
        let mut walk = Walk::new(file, self.dereference_args, self.one_file_system);
        if self.dereference {
            walk = walk.follow_links();
        }
        // One sum for each directory on the way, the operand's first.
        let mut sums: Vec<Sum> = Vec::new();
        let mut whole = Sum::default();
        // The directories on the way.
        let mut above: Vec<(u64, u64)> = Vec::new();
        while let Some(step) = walk.step() {
            let depth = walk.depth();
            above.truncate(depth);
            match step {
                Step::Found => {
                    if excluded.iter().any(|pattern| is_excluded(pattern, walk.path())) {
                        if walk.is_directory() {
                            walk.skip();
                            sums.push(Sum { files: u64::MAX, ..Sum::default() });
                        }
                        continue;
                    }
                    let is_dangling = self.dereference && walk.kind() == libc::DT_LNK;
                    let facts = if is_dangling { Err(Errno::ENOENT) } else { walk.statx(mask) };
                    let (stat, newest) = match facts {
                        Ok(facts) => (Stat::from(&facts), clock.and_then(|clock| clock.of(&facts))),
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
                    // A mount may lead back to a directory above it.
                    let leads_back = is_directory && above.contains(&(stat.on_device, stat.inode));
                    let counts = !leads_back && (!is_remembered || links.is_new(&stat));
                    if is_directory && !counts {
                        walk.skip();
                        sums.push(Sum { files: u64::MAX, ..Sum::default() });
                        continue;
                    }
                    let own = if counts {
                        Sum { taken: stat.blocks.saturating_mul(512), length: stat.size, files: 1, newest }
                    } else {
                        Sum::default()
                    };
                    if is_directory {
                        above.resize(depth, (0, 0));
                        above.push((stat.on_device, stat.inode));
                        sums.push(own);
                        continue;
                    }
                    if counts && (depth == 0 || self.all && self.shows(depth)) && self.passes(&own) {
                        self.print(walk.path(), "file", own, cx.tty, out)?;
                    }
                    sums.last_mut().unwrap_or(&mut whole).add(own);
                }
                Step::Failed(_) if walk.is_loop() => {}
                // A link that can't be followed.
                Step::Failed(errno) if depth > 0 && walk.kind() == libc::DT_LNK => {
                    cx.report(&Fault::errno("stat", OsStr::from_bytes(walk.path()), errno));
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
                    if self.shows(depth) && self.passes(&sum) {
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

    fn scale(&self) -> Scale {
        match () {
            () if self.human => Scale::Human,
            () if self.si => Scale::Si,
            () if self.bytes => Scale::BYTES,
            () if self.mega => Scale::Units { bytes: 1 << 20, suffix: "" },
            () => self.block_size.unwrap_or(Scale::KIBIBYTES),
        }
    }

    /// What is counted.
    fn amount(&self, sum: &Sum) -> u64 {
        match (self.bytes || self.apparent_size, self.inodes) {
            (_, true) => sum.files,
            (true, _) => sum.length,
            _ => sum.taken,
        }
    }

    /// Whether a sum is large, or small, enough for a line.
    fn passes(&self, sum: &Sum) -> bool {
        let amount = i64::try_from(self.amount(sum)).unwrap_or(i64::MAX);
        self.threshold.is_none_or(|limit| if limit < 0 { amount <= -limit } else { amount >= limit })
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
        let amount = self.amount(&sum);
        let amount = match () {
            () if self.inodes && !self.human && !self.si => amount.to_string(),
            () => self.scale().text(amount),
        };
        let time = match sum.newest.filter(|_| self.time.is_some()) {
            Some(time) => {
                let mut text = b"\t".to_vec();
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let now = (now.as_secs() as i64, now.subsec_nanos());
                let style = self.time_style.as_ref().unwrap_or(&Style::LongIso);
                Times::new(style, now).add(&mut text, time);
                text
            }
            None => Vec::new(),
        };
        let name = if tty { shell_quoted(path).into_bytes() } else { path.to_vec() };
        let end: &[u8] = if self.null { b"\0" } else { b"\n" };
        out.bytes().write_all(&[amount.as_bytes(), &time, b"\t", &name, end].concat()).map_err(Fault::output)
    }
}
