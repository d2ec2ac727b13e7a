//! `ls`.

mod columns;
mod listing;
mod long;
mod row;

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status};
use crate::out::Output;
use crate::sys::dir::{self, Acls, Dir};
use listing::{Listing, kind_of};
use row::Entry;

/// List directory contents.
///
/// Names are sorted bytewise; times are UTC. Exit status: 1 where something within a directory could not be asked,
/// 2 where an operand could not.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
#[allow(clippy::struct_excessive_bools)]
pub struct Ls {
    /// Show names that begin with a dot.
    #[arg(short, long, overrides_with = "almost_all")]
    all: bool,
    /// The same, without . and ..
    #[arg(short = 'A', long, overrides_with = "all")]
    almost_all: bool,
    /// Show mode, links, owner, group, size and time.
    #[arg(short)]
    l: bool,
    /// Print one name per line.
    #[arg(short = '1')]
    one: bool,
    /// Show directories themselves, not what is in them.
    #[arg(short, long)]
    directory: bool,
    /// Show sizes as 1.5K, 12M.
    #[arg(short = 'h', long)]
    human_readable: bool,
    /// Show inode numbers.
    #[arg(short, long)]
    inode: bool,
    /// Show ids of owner and group, as -l does names.
    #[arg(short, long)]
    numeric_uid_gid: bool,
    /// Mark directories /, links @, programs *, FIFOs |, sockets =.
    #[arg(short = 'F', long)]
    classify: bool,
    /// List directories within directories too; links are not followed.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Reverse the order.
    #[arg(short, long)]
    reverse: bool,
    /// Sort by time, newest first.
    #[arg(short, overrides_with_all = ["size", "unsorted"])]
    time: bool,
    /// Sort by size, largest first.
    #[arg(short = 'S', overrides_with_all = ["time", "unsorted"])]
    size: bool,
    /// Do not sort: the order of the directory.
    #[arg(short = 'U', overrides_with_all = ["time", "size"])]
    unsorted: bool,
    /// Files and directories; none is the working directory.
    files: Vec<OsString>,
}

impl Command for Ls {
    type Row = Entry;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs { users: true, ..Needs::NONE };
    const EXAMPLES: &'static [Example] = &[
        Example { line: "ls -la /", what: "everything, with owners and times" },
        Example { line: "ls -lS /etc", what: "the largest first" },
        Example { line: "ls --json /etc", what: "one JSON object a line" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<Entry>) -> Result<Status> {
        let mut lister = Lister { ls: Options::new(&self, cx, out.is_json()), status: 0, printed: false };
        let here = [OsString::from(".")];
        let operands = if self.files.is_empty() { &here[..] } else { &self.files };
        lister.operands(operands, cx, out)?;
        Ok(Status(lister.status))
    }
}

/// The order of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Name,
    Time,
    Size,
    None,
}

/// What is to be shown and how.
#[allow(clippy::struct_excessive_bools)]
struct Options {
    hidden: Hidden,
    long: bool,
    columns: bool,
    directory: bool,
    human: bool,
    inode: bool,
    numeric: bool,
    classify: bool,
    recursive: bool,
    reverse: bool,
    sort: Sort,
    json: bool,
    color: bool,
    quote: bool,
    width: usize,
}

/// Which hidden names are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hidden {
    No,
    ButDots,
    All,
}

impl Options {
    fn new(ls: &Ls, cx: &Context, json: bool) -> Self {
        let long = ls.l || ls.numeric_uid_gid;
        Self {
            hidden: match (ls.all, ls.almost_all) {
                (true, _) => Hidden::All,
                (_, true) => Hidden::ButDots,
                _ => Hidden::No,
            },
            long,
            columns: cx.tty && !ls.one && !long && !json,
            directory: ls.directory,
            human: ls.human_readable,
            inode: ls.inode,
            numeric: ls.numeric_uid_gid,
            classify: ls.classify,
            recursive: ls.recursive && !ls.directory,
            reverse: ls.reverse,
            sort: match (ls.time, ls.size, ls.unsorted) {
                (true, ..) => Sort::Time,
                (_, true, _) => Sort::Size,
                (_, _, true) => Sort::None,
                _ => Sort::Name,
            },
            json,
            color: cx.color && !json,
            quote: cx.tty,
            width: cx.width,
        }
    }

    /// Whether every file has to be asked by statx; otherwise the type that the directory gives may do.
    fn needs_stat(&self) -> bool {
        self.long || self.json || matches!(self.sort, Sort::Time | Sort::Size)
    }

    /// Whether a file of this type has to be asked for its mark or colour.
    fn needs_mode(&self, kind: u8) -> bool {
        match kind {
            libc::DT_UNKNOWN => self.classify || self.color || self.recursive || self.inode,
            libc::DT_REG => self.classify || self.color,
            // Where something is mounted, the directory entry holds the inode that is covered.
            libc::DT_DIR => self.color || self.inode,
            _ => false,
        }
    }

    /// Whether a name of a directory is shown.
    fn shows(&self, name: &[u8]) -> bool {
        match self.hidden {
            Hidden::All => true,
            Hidden::ButDots => name != b"." && name != b"..",
            Hidden::No => !name.starts_with(b"."),
        }
    }
}

/// Directories that -R still has to visit may take this many bytes.
const PENDING: usize = 64 << 20;

struct Lister {
    ls: Options,
    status: u8,
    /// Whether something was printed, so that a blank line goes before the next directory.
    printed: bool,
}

impl Lister {
    fn fail(&mut self, fault: &Fault, status: u8, cx: &mut Context) {
        cx.report(fault);
        self.status = self.status.max(status);
    }

    fn operands(&mut self, operands: &[OsString], cx: &mut Context, out: &mut Output<Entry>) -> Result<()> {
        let mut files = Listing::default();
        let mut dirs = Listing::default();
        // As GNU: a link to a directory is followed unless the link itself is to be shown.
        let follow = !(self.ls.long || self.ls.classify || self.ls.directory) || self.ls.json;
        for operand in operands {
            let Ok(path) = CString::new(operand.as_bytes()) else {
                self.fail(&Fault::text("stat", operand, "the path holds a NUL byte"), 2, cx);
                continue;
            };
            let own = match dir::stat(None, &path, false) {
                Ok(stat) => stat,
                Err(error) => {
                    self.fail(&Fault::io("stat", operand, &error), 2, cx);
                    continue;
                }
            };
            let target = if follow && !self.ls.directory { dir::stat(None, &path, true).ok() } else { None };
            let dir = target.filter(|stat| kind_of(stat.mode) == libc::DT_DIR);
            let is_dir = !self.ls.directory && (dir.is_some() || kind_of(own.mode) == libc::DT_DIR);
            let list = if is_dir { &mut dirs } else { &mut files };
            let mut stat = dir.unwrap_or(own);
            if self.ls.long && kind_of(stat.mode) != libc::DT_LNK {
                stat.acl = Acls::new(None).has(&path, kind_of(stat.mode) == libc::DT_DIR);
            }
            list.add(operand.as_bytes(), stat);
        }
        files.sort(&self.ls);
        dirs.sort(&self.ls);
        if !files.is_empty() {
            self.print(&files, None, b"", cx, out)?;
            self.printed = true;
        }
        let headed = operands.len() > 1 || self.ls.recursive;
        let mut pending: Vec<(Vec<u8>, bool)> =
            dirs.names().rev().map(|name| (name.to_vec(), true)).collect();
        let mut held = 0;
        while let Some((path, operand)) = pending.pop() {
            if !operand {
                held -= path.len();
            }
            let from = pending.len();
            let mut room = PENDING.saturating_sub(held);
            let mut cut = 0u64;
            self.directory(&path, operand, headed, cx, out, &mut |name| {
                let mut below = path.clone();
                if !below.ends_with(b"/") {
                    below.push(b'/');
                }
                below.extend_from_slice(name);
                if below.len() > room {
                    cut += 1;
                    return;
                }
                room -= below.len();
                held += below.len();
                pending.push((below, false));
            })?;
            if let Some(new) = pending.get_mut(from..) {
                new.reverse();
            }
            if cut > 0 {
                cx.note(&format!("{cut} directories are left out: too many are waiting to be listed"));
                self.status = self.status.max(1);
            }
        }
        Ok(())
    }

    /// Lists one directory, and hands the directories in it to `below` where they are to be listed too.
    fn directory(
        &mut self,
        path: &[u8],
        operand: bool,
        headed: bool,
        cx: &mut Context,
        out: &mut Output<Entry>,
        below: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        let name = OsStr::from_bytes(path);
        let bad = if operand { 2 } else { 1 };
        let mut dir = match Dir::open(name, operand) {
            Ok(dir) => dir,
            Err(error) => {
                self.fail(&Fault::io("open", name, &error), bad, cx);
                return Ok(());
            }
        };
        if headed && !self.ls.json {
            let shown =
                if self.ls.quote { crate::out::name::shell_quoted(path).into_bytes() } else { path.to_vec() };
            let parts: [&[u8]; 3] = [if self.printed { b"\n" } else { b"" }, &shown, b":\n"];
            write(out, &parts.concat())?;
        }
        self.printed = true;
        let streams = self.ls.sort == Sort::None && !self.ls.long && !self.ls.columns && !self.ls.inode;
        loop {
            let mut listing = Listing::default();
            let end = match listing.read(&mut dir, path, &self.ls, streams) {
                Ok(end) => end,
                Err(error) => {
                    self.fail(&Fault::io("read", name, &error), bad, cx);
                    true
                }
            };
            for (name, error) in listing.failed() {
                let slash: &[u8] = if path.ends_with(b"/") { b"" } else { b"/" };
                let full = [path, slash, name].concat();
                let error = io::Error::from_raw_os_error(error);
                self.fail(&Fault::io("stat", OsStr::from_bytes(&full), &error), 1, cx);
            }
            listing.sort(&self.ls);
            self.print(&listing, Some(&dir), path, cx, out)?;
            if self.ls.recursive {
                listing.directories().for_each(&mut *below);
            }
            if listing.cut > 0 {
                let shown = crate::out::name::escape(path);
                cx.note(&format!("{shown}: {} names are left out (-U lists all)", listing.cut));
                self.status = self.status.max(1);
            }
            if end {
                return Ok(());
            }
        }
    }

    fn print(
        &mut self,
        listing: &Listing,
        dir: Option<&Dir>,
        path: &[u8],
        cx: &Context,
        out: &mut Output<Entry>,
    ) -> Result<()> {
        let done = if self.ls.json {
            row::print(listing, dir, path, cx, out)
        } else if self.ls.long {
            long::print(listing, dir, &self.ls, cx, out.bytes())
        } else {
            columns::print(listing, dir, &self.ls, out.bytes())
        };
        done.map_err(|error| Fault::io("write", "standard output", &error))
    }
}

fn write(out: &mut Output<Entry>, bytes: &[u8]) -> Result<()> {
    out.bytes().write_all(bytes).map_err(|error| Fault::io("write", "standard output", &error))
}
