//! `lsof`.

mod address;
mod args;
mod deleted;
mod ends;
mod fields;
mod gather;
mod names;
mod root;
mod row;
mod select;
mod sockets;

use std::collections::{HashMap, HashSet};
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes, Watch, elsewhere};
use crate::out::field::{field, more};
use crate::out::units::bytes;
use crate::out::{Field, Kind, Output};
use crate::sys::idmap::IdMap;
use crate::sys::proc::{Procfs, why_refused};

use deleted::Deleted;
use fields::Fields;
use gather::{Gatherer, Hidden};
use root::Root;
use row::OpenFile;
use select::{How, Selection, Wanted};
use sockets::{Inet, Sockets};

/// List open files.
///
/// Of all the container's processes, read from outside, by the PIDs and paths that the container knows. What is given is
/// joined by "or": files of these processes, and these files of any process; -a joins by "and". `^` before a PID, user,
/// command or descriptor leaves it out. Addresses, ports and inodes are always numbers: -n and -P are taken and change
/// nothing. A file is found by its inode, whatever name it was opened by; a directory is itself, and with +D all below
/// it; one that a file system is mounted on is all of that file system. A path is marked where it is not in a mount
/// that the container's root reaches.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Lsof {
    /// Processes, as `1,7`.
    #[arg(short = 'p', value_name = "PIDS", add = Takes::List(&Takes::Pid))]
    pids: Vec<String>,
    /// Processes whose names begin so.
    #[arg(short = 'c', value_name = "NAMES", add = Takes::List(&Takes::ProcessName))]
    commands: Vec<String>,
    /// Processes of these users, names or ids.
    #[arg(short = 'u', value_name = "USERS", add = Takes::List(&Takes::User))]
    users: Vec<String>,
    /// Descriptors: cwd, rtd, txt, mem, 3, 0-9.
    #[arg(short = 'd', value_name = "FDS", add = Takes::Nothing)]
    fds: Vec<String>,
    /// Internet sockets: `-i`, `-i :80`, `-i tcp`, `-i 6udp:53`, `-i @10.0.0.1:8000-8010`. Those of other containers of
    /// the pod are told on standard error.
    #[arg(short = 'i', long, value_name = "ADDRESS", add = Takes::Nothing)]
    inet: Vec<String>,
    /// TCP sockets in these states alone, as `TCP:LISTEN` or `TCP:^ESTABLISHED`.
    #[arg(short = 's', value_name = "TCP:STATES", add = Takes::Nothing)]
    states: Vec<String>,
    /// Unix sockets.
    #[arg(short = 'U')]
    unix: bool,
    /// What is in this directory: also `+d DIRECTORY`.
    #[arg(long = "in", value_name = "DIRECTORY", add = Takes::Directory)]
    inside: Vec<OsString>,
    /// What is anywhere below this directory: also `+D DIRECTORY`.
    #[arg(long, value_name = "DIRECTORY", add = Takes::Directory)]
    under: Vec<OsString>,
    /// Files with fewer links than this: `+L1` is those that were deleted and still take space.
    #[arg(long, value_name = "N")]
    links_below: Option<u32>,
    /// Only what all options ask for, not what any does.
    #[arg(short = 'a')]
    and: bool,
    /// A field a line for programs, as `-Fpcn`: p PID, c command, u user, L its name, f descriptor, a mode, l lock, t type,
    /// D device, s size, o position, r device of a device, i inode, k links, n name, P protocol, T state; 0 ends them in NUL.
    #[arg(short = 'F', long, value_name = "LETTERS", conflicts_with = "terse")]
    fields: Option<Fields>,
    /// List again after so many seconds, 15 without a number, as `-r 2`, or `-r2c5` for five lists; until Ctrl-C.
    #[arg(short = 'r', long, value_name = "SECONDS[cN]")]
    repeat: Option<Repeat>,
    /// The same until nothing is open any more: also `+r`.
    #[arg(long, value_name = "SECONDS[cN]", conflicts_with = "repeat")]
    repeat_while: Option<Repeat>,
    /// PIDs alone.
    #[arg(short = 't')]
    terse: bool,
    /// Positions in place of sizes.
    #[arg(short = 'o')]
    offset: bool,
    /// Users as numbers.
    #[arg(short = 'l')]
    numbers: bool,
    /// Addresses as numbers; they always are.
    #[arg(short = 'n')]
    numeric: bool,
    /// Ports as numbers; they always are.
    #[arg(short = 'P')]
    ports: bool,
    /// Files, by absolute paths of the container.
    #[arg(value_name = "FILE", add = Takes::Path)]
    files: Vec<OsString>,
}

/// How often files are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Repeat {
    after: Duration,
    most: Option<u64>,
}

impl std::str::FromStr for Repeat {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        const WRONG: &str = "it is a number of seconds, and cN for N lists";
        let (seconds, count) = text.split_once('c').map_or((text, None), |(s, count)| (s, Some(count)));
        let number = |digits: &str| {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u64>().ok().filter(|number| is_number && (1..=31_536_000).contains(number))
        };
        let seconds = if seconds.is_empty() { 15 } else { number(seconds).ok_or(WRONG)? };
        let most = count.map(|count| number(count).ok_or(WRONG)).transpose()?;
        Ok(Self { after: Duration::from_secs(seconds), most })
    }
}

/// The most sockets of others that are told one by one.
const ELSEWHERE: usize = 20;

impl Command for Lsof {
    type Row = OpenFile;
    const PLACE: Place = Place::Watch;
    const NEEDS: Needs = Needs { users: true, netlink: true, host: true, ..Needs::NONE };
    const REPLACES: &'static str = "lsof, fuser";
    const TAKES: &'static str = "of nsdbg CAP_SYS_PTRACE";
    const FIELDS: &'static [Field] = &[
        field("command", Kind::Text, "the process's name"),
        field("pid", Kind::Number, "its PID, as the container counts"),
        more("uid", Kind::Number, "its user, as the container counts"),
        field("user", Kind::Text, "that user's name"),
        field("fd", Kind::Text, "a number, or cwd, rtd, txt, mem"),
        field("mode", Kind::Text, "read, write, read-write, or path (O_PATH)"),
        more("lock", Kind::Text, "R or W: a lock on the whole file; r or w: on a part"),
        field("type", Kind::Text, "REG, DIR, CHR, BLK, FIFO, IPv4, IPv6, unix, netlink, sock, a_inode"),
        more("device", Kind::Text, "major,minor: of a device its own, else that of the file system"),
        field("size", Kind::Bytes, "its length"),
        more("allocated", Kind::Bytes, "the space that it takes"),
        more("position", Kind::Number, "where the next read or write is"),
        more("inode", Kind::Number, "its inode"),
        more(
            "links",
            Kind::Number,
            "hard links; 0 once it was deleted, but for files of an overlay's lower layers",
        ),
        more("path", Kind::Text, "its path in the container"),
        more("deleted", Kind::Flag, "whether it was deleted"),
        more("outside", Kind::Flag, "whether it is in no mount that the container's root reaches"),
        more("protocol", Kind::Text, "of a socket: TCP, UDP, RAW, UNIX, NETLINK-ROUTE, …"),
        more("local", Kind::Text, "of an internet socket: address and port"),
        more("remote", Kind::Text, "its peer's address and port; of a unix socket the path of its peer"),
        more("state", Kind::Text, "LISTEN, ESTABLISHED, CONNECTED, …"),
        more("peers", Kind::Object, "who holds the other end: a list of pid, command, fd, mode"),
        more(
            "about",
            Kind::Object,
            "of what has no path: count (eventfd), watches (epoll, inotify), process (pidfd), …",
        ),
        field("name", Kind::Text, "what it is, for people"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "lsof -p 1", what: "the open files of the first process" },
        Example { line: "lsof -i :8080", what: "who has port 8080" },
        Example { line: "lsof -nP -iTCP -sTCP:LISTEN", what: "who listens" },
        Example { line: "lsof /etc/hosts", what: "who uses this file" },
        Example { line: "lsof +D /tmp", what: "what is open below this directory" },
        Example { line: "lsof +L1", what: "deleted files that still take space" },
        Example { line: "lsof -t -c nginx", what: "PIDs of processes of this name that have open files" },
    ];

    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        args::rewrite(args)
    }

    fn run(self, cx: &mut Context, out: &mut Output<OpenFile>) -> Result<Status> {
        if self.fields.is_some() && out.is_json() {
            return Err(Fault::usage("-F prints no rows: it can't be had with --json"));
        }
        Selection::of(&self, cx.users())?;
        // Taken out, so that faults can be reported meanwhile.
        let Some(watch) = cx.watch.take() else {
            return Err(Fault::say("the container's processes are not open to this command"));
        };
        let repeat = self.repeat.or(self.repeat_while);
        let mut lists = 0;
        loop {
            let shown = self.list(&watch, cx, out)?;
            lists += 1;
            // lsof's status: 1 where nothing was found.
            let status = if shown == 0 { Status(1) } else { Status::OK };
            let Some(Repeat { after, most }) = repeat else { return Ok(status) };
            if !out.is_json() {
                out.finish().map_err(Fault::output)?;
                match &self.fields {
                    Some(fields) => fields.marker(out.bytes()),
                    None => out.bytes().write_all(b"=======\n"),
                }
                .map_err(Fault::output)?;
            }
            out.finish().map_err(Fault::output)?;
            if most == Some(lists) || self.repeat_while.is_some() && shown == 0 {
                return Ok(status);
            }
            std::thread::sleep(after);
        }
    }
}

impl Lsof {
    /// Lists once; how many files were shown.
    fn list(&self, watch: &Watch, cx: &mut Context, out: &mut Output<OpenFile>) -> Result<u64> {
        let mut selection = Selection::of(self, cx.users())?;
        // Links are followed here: one that the target may have mounted over is not.
        let procfs = Procfs::new(watch.clean_procfs.as_ref().unwrap_or(&watch.procfs), None);
        let mut reader = procfs.reader();
        let root = Root::of(&procfs, &mut reader, watch.target);
        selection.files = self.wanted(cx, &procfs, watch.target, &root)?;
        let uids = reader.read(watch.target, "uid_map", 64 * 1024).map(IdMap::parse).unwrap_or_default();
        let mut all = procfs.pids().map_err(|e| Fault::errno("read", "/proc", e))?;
        all.retain(|pid| !watch.own.contains(pid));
        let pids = selection.pids_alone().unwrap_or_else(|| all.clone());
        let mut gatherer = Gatherer {
            watch,
            procfs,
            reader,
            root,
            uids,
            users: cx.users(),
            selection: &selection,
            positions: self.offset,
            numbers: self.numbers,
            pids: &all,
            sockets: None,
            held: HashSet::new(),
            ends: None,
            hidden: Hidden::default(),
            peers: !self.terse && self.fields.is_none(),
        };
        let mut shown = 0u64;
        let mut deleted = Deleted::default();
        let mut written = Ok(());
        for pid in pids {
            let (terse, mut is_first) = (self.terse, true);
            let goes_on = gatherer.process(pid, &mut |file| {
                shown += 1;
                if selection.asks_for_deleted() {
                    deleted.add(&file);
                }
                let is_first = std::mem::take(&mut is_first);
                written = match (terse, out.is_json()) {
                    (false, _) => match &self.fields {
                        Some(fields) => fields.print(&file, is_first, out.bytes()),
                        None => out.row(&file),
                    },
                    (true, true) => out.json(&serde_json::json!({"pid": pid})),
                    (true, false) => writeln!(out.bytes(), "{pid}"),
                };
                // One line is enough of a process whose PID alone is shown.
                written.is_ok() && !terse
            });
            if !goes_on && (written.is_err() || !self.terse) {
                break;
            }
        }
        written.map_err(Fault::output)?;
        let mut notes = Vec::new();
        if selection.asks_whose_sockets() && !self.terse {
            notes = held_elsewhere(cx, &mut gatherer);
        }
        notes.extend(gatherer.sockets.take().map(|sockets| sockets.notes).unwrap_or_default());
        notes.extend(told(&gatherer));
        if deleted.count > 0 && !self.terse {
            let files = if deleted.count == 1 {
                "1 file holds".to_owned()
            } else {
                format!("{} files hold", deleted.count)
            };
            notes.push(format!("{files} {} that is not freed before they are closed", bytes(deleted.bytes)));
        }
        drop(gatherer);
        for note in notes {
            cx.note(&note);
        }
        Ok(shown)
    }
}

/// Sockets that are asked for and that another container of the pod holds, or the node.
fn held_elsewhere(cx: &Context, gatherer: &mut Gatherer) -> Vec<String> {
    let sockets = match gatherer.sockets.take() {
        Some(sockets) => sockets,
        None => Sockets::list(gatherer.watch, &mut gatherer.reader),
    };
    let is_wanted = |(inode, socket): &(u64, &Inet)| {
        !gatherer.held.contains(inode) && gatherer.selection.takes_inet(socket)
    };
    let wanted: Vec<(u64, &Inet)> = sockets.inet_sockets().filter(is_wanted).collect();
    let owners = if wanted.is_empty() {
        HashMap::new()
    } else {
        elsewhere::owners(cx, gatherer.watch, wanted.iter().map(|(inode, _)| *inode).collect())
    };
    let told = |(inode, socket): &(u64, &Inet)| {
        let owner = owners.get(inode)?;
        Some(format!("{} {} is held by {}", socket.protocol, names::inet_name(socket), owner.spelled()))
    };
    let mut notes: Vec<String> = wanted.iter().filter_map(told).collect();
    gatherer.sockets = Some(sockets);
    notes.sort_unstable();
    let more = notes.len().saturating_sub(ELSEWHERE);
    notes.truncate(ELSEWHERE);
    if more > 0 {
        notes.push(format!("{more} more sockets are held by processes outside of the container"));
    }
    notes
}

/// What is to be told of what could not be seen.
fn told(gatherer: &Gatherer) -> Vec<String> {
    let mut notes = Vec::new();
    let Hidden { refused, cut } = gatherer.hidden;
    if refused > 0 {
        let processes = if refused == 1 { "1 process".to_owned() } else { format!("{refused} processes") };
        notes.push(format!(
            "open files of {processes} are not shown: the kernel refused them, {}",
            why_refused()
        ));
    }
    if cut > 0 {
        notes.push(format!("not all files of {cut} processes are shown: they have too many"));
    }
    if let Some(ends) = &gatherer.ends {
        if ends.is_cut {
            notes.push("there are too many descriptors: not all were looked at for the other ends of pipes and sockets".to_owned());
        }
        if ends.is_partial && refused == 0 {
            notes.push("other ends may be held by processes that the kernel did not show".to_owned());
        }
    }
    notes
}

impl Lsof {
    /// The files that are asked for. One that is not there is reported; the others are looked for.
    fn wanted(
        &self,
        cx: &mut Context,
        procfs: &Procfs,
        target: i32,
        root: &Root,
    ) -> Result<Option<Vec<Wanted>>> {
        let given = [(&self.files, How::Itself), (&self.inside, How::In), (&self.under, How::Under)];
        let mut all = Vec::new();
        for (path, how) in given.iter().flat_map(|(paths, how)| paths.iter().map(move |path| (path, *how))) {
            match find(procfs, target, path, how, root) {
                Ok(wanted) => all.push(wanted),
                Err(fault) => cx.report(&fault),
            }
        }
        let asked = given.iter().any(|(paths, _)| !paths.is_empty());
        Ok(asked.then_some(all))
    }
}

fn find(procfs: &Procfs, target: i32, path: &OsStr, how: How, root: &Root) -> Result<Wanted> {
    if !path.as_bytes().starts_with(b"/") {
        return Err(Fault::text("find", path, "a path must begin with '/' here").with_status(2));
    }
    let name = CString::new(path.as_bytes()).map_err(|_| Fault::text("find", path, "it has a NUL"))?;
    let (facts, link) = match procfs.resolve(target, &name) {
        Ok(found) => found,
        // Before 5.6 no path can be followed without leaving the container's root: names are compared.
        Err(nix::errno::Errno::ENOSYS) => {
            return Ok(Wanted {
                path: path.as_bytes().to_vec(),
                device: (u32::MAX, u32::MAX),
                inode: u64::MAX,
                how,
            });
        }
        Err(error) => return Err(Fault::errno("find", path, error)),
    };
    let is_directory = facts.mode & libc::S_IFMT == libc::S_IFDIR;
    if how != How::Itself && !is_directory {
        return Err(Fault::errno("find", path, nix::errno::Errno::ENOTDIR));
    }
    let how = if how == How::Itself && is_directory && facts.is_mount_root { How::FileSystem } else { how };
    Ok(Wanted { path: root.shown(link, facts.mount).0, device: facts.device, inode: facts.inode, how })
}
