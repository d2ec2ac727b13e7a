//! `ps`.

mod args;
mod cells;
pub(crate) mod collect;
mod columns;
mod forest;
mod json;
mod print;

use std::collections::HashSet;
use std::ffi::OsString;

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};
use crate::sys::idmap::IdMap;

use collect::{Collector, Process};
use columns::{Chosen, Column, Sorting};

/// List the processes of the container.
///
/// All of them, by the PIDs that the container counts, read from outside: neither a hidden nor a faked /proc of the
/// container changes it. nsdbg's own processes are left out. Users are the container's; an id that it does not map is
/// shown as the host counts it. Times are UTC, RSS is in units for people unless columns are asked for (then KiB, as
/// procps). BSD's words are taken too: `ps aux`, `ps axf`, `ps axo pid,args`.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Ps {
    /// All processes; that is the default.
    #[arg(short = 'e', short_alias = 'A')]
    every: bool,
    /// Columns UID PID PPID C STIME TTY TIME CMD.
    #[arg(short = 'f')]
    full: bool,
    /// Columns UID PID PPID C SZ RSS PSR STIME TTY TIME CMD.
    #[arg(short = 'F')]
    extra_full: bool,
    /// Columns PID PGID SID TTY TIME CMD; with -f those of -f, and PGID and SID.
    #[arg(short = 'j')]
    jobs: bool,
    /// Columns of `ps j`: PPID PID PGID SID TTY TPGID STAT UID TIME COMMAND.
    #[arg(long = "bsd-jobs", hide = true)]
    bsd_jobs: bool,
    /// A first column with the security label.
    #[arg(short = 'Z', short_alias = 'M')]
    context: bool,
    /// The environment after the command, as `ps e`. It may hold secrets.
    #[arg(long = "environment", hide = true)]
    environment: bool,
    /// Columns F S UID PID PPID C PRI NI ADDR SZ WCHAN TTY TIME CMD.
    #[arg(short = 'l')]
    long: bool,
    /// Columns of `ps aux`: USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND.
    #[arg(long = "bsd-user", hide = true)]
    bsd_user: bool,
    /// Columns, as `pid,ppid,args`; `pid=X` names the header, `pid=` leaves it out, `args:50` sets the width.
    #[arg(short = 'o', long = "format", value_name = "LIST")]
    #[arg(add = Takes::List(&Takes::Words(columns::names)))]
    format: Vec<String>,
    /// These PIDs, as `1,7`.
    #[arg(short = 'p', long = "pid", value_name = "LIST", add = Takes::List(&Takes::Pid))]
    pid: Vec<String>,
    /// Children of these PIDs.
    #[arg(long, value_name = "LIST", add = Takes::List(&Takes::Pid))]
    ppid: Vec<String>,
    /// Processes of this name (the kernel's, 15 letters).
    #[arg(short = 'C', value_name = "NAME", add = Takes::List(&Takes::ProcessName))]
    command: Vec<String>,
    /// Processes of these users, names or ids.
    #[arg(short = 'u', long = "user", value_name = "LIST", add = Takes::List(&Takes::User))]
    user: Vec<String>,
    /// Processes that these users have started, names or ids.
    #[arg(short = 'U', value_name = "LIST", add = Takes::List(&Takes::User))]
    real_user: Vec<String>,
    /// Processes on these terminals, as `pts/0`; `-` is none.
    #[arg(short = 't', long = "tty", value_name = "LIST", allow_hyphen_values = true, add = Takes::Nothing)]
    tty: Vec<String>,
    /// All but the processes that are selected.
    #[arg(short = 'N', long = "deselect")]
    deselect: bool,
    /// Order by columns, as `-rss,pid`: `-` is largest first.
    #[arg(long, value_name = "KEYS", allow_hyphen_values = true)]
    #[arg(add = Takes::List(&Takes::Words(columns::names)))]
    sort: Option<String>,
    /// Children below their parents.
    #[arg(long, short = 'H')]
    forest: bool,
    /// Threads, with a column SPID.
    #[arg(short = 'T')]
    threads: bool,
    /// Threads, with columns LWP and NLWP.
    #[arg(short = 'L')]
    lwp: bool,
    /// Wide: 132 columns on a terminal, twice is unlimited.
    #[arg(short = 'w', action = clap::ArgAction::Count)]
    wide: u8,
    /// Print no header.
    #[arg(short = 'h', long = "no-headers", alias = "no-header", alias = "noheaders")]
    no_headers: bool,
    /// PIDs, as with -p.
    #[arg(value_name = "PID", add = Takes::List(&Takes::Pid))]
    pids: Vec<String>,
}

impl Command for Ps {
    type Row = NoRow;
    const PLACE: Place = Place::Watch;
    const NEEDS: Needs = Needs { users: true, ..Needs::NONE };
    const REPLACES: &'static str = "procps ps";
    const TAKES: &'static str = "of nsdbg CAP_SYS_PTRACE, for WCHAN";
    const FIELDS: &'static [Field] = &[
        field("user", Kind::Text, "its effective user, by name where the container has one"),
        field("pid", Kind::Number, "its PID, as the container counts"),
        field("ppid", Kind::Number, "its parent's PID"),
        more("pgid", Kind::Number, "its process group"),
        more("sid", Kind::Number, "its session"),
        more("tid", Kind::Number, "the thread; only where threads are listed"),
        more("uid", Kind::Number, "its effective user, as the container counts"),
        more("gid", Kind::Number, "its effective group"),
        field("state", Kind::Text, "one letter: R, S, D, Z, T, t, I, X"),
        more("tty", Kind::Text, "its terminal"),
        field("cpu_percent", Kind::Number, "its share of one processor over its life"),
        more("mem_percent", Kind::Number, "its share of the node's memory"),
        field("rss", Kind::Bytes, "resident memory"),
        more("vsz", Kind::Bytes, "virtual memory"),
        more("cpu_time", Kind::Seconds, "time on processors"),
        more("started", Kind::Time, "when it was started"),
        field("elapsed", Kind::Seconds, "how long ago that was"),
        more("threads", Kind::Number, "how many threads it has"),
        more("nice", Kind::Number, "its nice value"),
        more("comm", Kind::Text, "the kernel's name for it, 15 bytes"),
        field("command", Kind::Text, "its command line, else its name in brackets"),
        more("args", Kind::List, "its arguments"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "ps", what: "every process, whole command lines in a pipe" },
        Example { line: "ps --sort -rss", what: "the largest first" },
        Example { line: "ps -o pid,stat,wchan,args --forest", what: "who waits where, as a tree" },
        Example { line: "ps -eLf", what: "threads" },
    ];

    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        args::rewrite(args)
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let columns = self.columns()?;
        let sorting = self.sort.as_deref().map(columns::sorting).transpose()?.unwrap_or_default();
        let only = self.only(cx)?;
        let Some(watch) = &cx.watch else {
            return Err(Fault::say("the container's processes are not open to this command"));
        };
        let procfs = watch.procfs();
        let system = procfs.system().map_err(|e| Fault::errno("read", "/proc/stat and uptime", e))?;
        let mut reader = procfs.reader();
        let map = |file: &[u8]| IdMap::parse(file);
        let uids = reader.read(watch.target, "uid_map", 64 * 1024).map(map).unwrap_or_default();
        let gids = reader.read(watch.target, "gid_map", 64 * 1024).map(map).unwrap_or_default();

        let mut pids = match only.pids_alone() {
            Some(pids) => pids,
            None => procfs.pids().map_err(|e| Fault::errno("read", "/proc", e))?,
        };
        pids.retain(|pid| !watch.own.contains(pid));
        let needs = if out.is_json() {
            columns::Reads::FOR_JSON
        } else {
            columns
                .iter()
                .map(|c| c.column)
                .chain(sorting.iter().map(|s| s.0))
                .fold(columns::Reads::default(), |all, column| all | column.reads())
                | only.reads()
        };
        let needs = columns::Reads { environment: self.environment, ..needs };
        let collector = Collector {
            procfs,
            system,
            uids,
            gids,
            users: cx.users(),
            needs,
            threads: self.threads || self.lwp,
            only: &only,
            budget: collect::Budget::default(),
        };
        let layout = print::Layout {
            columns: &columns,
            header: !self.no_headers && columns.iter().any(|c| !c.header.is_empty()),
            limit: match (cx.tty, self.wide) {
                (true, 0) => cx.width,
                (true, 1) => cx.width.max(132),
                _ => usize::MAX,
            },
        };
        let shown = if sorting.is_empty() && !self.forest {
            print::streamed(&collector, &pids, &layout, out)
        } else {
            print::held(&collector, &pids, &layout, &sorting, self.forest, out)
        }
        .map_err(Fault::output)?;
        for sentence in collector.budget.sentences() {
            cx.note(&sentence);
        }
        // procps' status: 1 where nothing was selected.
        Ok(if shown == 0 { Status(1) } else { Status::OK })
    }
}

impl Ps {
    fn columns(&self) -> Result<Vec<Chosen>> {
        if !self.format.is_empty() {
            let mut all = Vec::new();
            for list in &self.format {
                columns::parse(list, &mut all)?;
            }
            return Ok(all);
        }
        let list = match (self.long, self.full, self.bsd_user) {
            _ if self.extra_full => "uname=UID,pid,ppid,c,sz,rss,psr,stime,tname,time,cmd",
            _ if self.bsd_jobs => "ppid,pid,pgid,sid,tname,tpgid,stat,uid,bsdtime,args",
            (false, true, _) if self.jobs => "uname=UID,pid,ppid,pgid,sid,c,stime,tname,time,cmd",
            (false, ..) if self.jobs => "pid,pgid,sid,tname,time,comm=CMD",
            (true, _, _) if self.lwp => {
                "f,s,uid,pid,ppid,lwp,c,opri=PRI,ni,addr,sz,wchan,tname,time,comm=CMD"
            }
            (true, true, _) => "f,s,uname=UID,pid,ppid,c,opri=PRI,ni,addr,sz,wchan,stime,tname,time,cmd",
            (true, ..) => "f,s,uid,pid,ppid,c,opri=PRI,ni,addr,sz,wchan,tname,time,comm=CMD",
            (_, true, _) if self.lwp => "uname=UID,pid,ppid,lwp,c,nlwp,stime,tname,time,cmd",
            (_, true, _) if self.threads => "uname=UID,pid,spid,ppid,c,stime,tname,time,cmd",
            (_, true, _) => "uname=UID,pid,ppid,c,stime,tname,time,cmd",
            (_, _, true) => "user,pid,%cpu,%mem,vsz,rss,tname,stat,start_time=START,bsdtime,args",
            _ if self.lwp => "user,pid,lwp,nlwp,%cpu,time,comm",
            _ if self.threads => "user,pid,spid,%cpu,time,comm",
            _ => "user,pid,ppid,%cpu,size=RSS,elapsed,args",
        };
        let mut all = Vec::new();
        if self.context {
            columns::parse("label", &mut all)?;
        }
        columns::parse(list, &mut all)?;
        Ok(all)
    }

    fn only(&self, cx: &Context) -> Result<Only> {
        let mut only = Only::default();
        for word in words(&self.pid).chain(words(&self.pids)) {
            only.pids.insert(number(word, "PID")?);
        }
        for word in words(&self.ppid) {
            only.ppids.insert(number(word, "PID")?);
        }
        let uid = |word: &str| match word.parse() {
            Ok(uid) => Ok(uid),
            Err(_) => cx.users().user_named(word).map(|user| user.uid).ok_or_else(|| {
                Fault::usage(format!("the container has no user {}", escape(word.as_bytes())))
            }),
        };
        only.uids = words(&self.user).map(uid).collect::<Result<_>>()?;
        only.real_uids = words(&self.real_user).map(uid).collect::<Result<_>>()?;
        let terminal = |word: &str| match word.strip_prefix("/dev/").unwrap_or(word) {
            "-" => "?".to_owned(),
            name => name.to_owned(),
        };
        only.terminals = words(&self.tty).map(terminal).collect();
        only.is_inverted = self.deselect;
        only.names
            .extend(self.command.iter().flat_map(|list| list.split(',')).map(|n| n.as_bytes().to_vec()));
        Ok(only)
    }
}

fn words(lists: &[String]) -> impl Iterator<Item = &str> {
    lists.iter().flat_map(|list| list.split([',', ' '])).filter(|word| !word.is_empty())
}

fn number(word: &str, what: &str) -> Result<i32> {
    let number = word.parse().ok().filter(|n| *n > 0);
    number.ok_or_else(|| {
        Fault::usage(format!("'{}' is not a {what}", crate::out::name::escape(word.as_bytes())))
    })
}

/// Which processes are asked for: any that one of the sets names; all where all are empty.
#[derive(Debug, Default)]
pub struct Only {
    pids: HashSet<i32>,
    ppids: HashSet<i32>,
    uids: HashSet<u32>,
    real_uids: HashSet<u32>,
    terminals: Vec<String>,
    names: Vec<Vec<u8>>,
    /// Those that no set names.
    is_inverted: bool,
}

impl Only {
    fn everything(&self) -> bool {
        self.pids.is_empty() && self.names_no_more()
    }

    /// Whether PIDs alone are asked for, or nothing.
    fn names_no_more(&self) -> bool {
        self.ppids.is_empty()
            && self.uids.is_empty()
            && self.real_uids.is_empty()
            && self.terminals.is_empty()
            && self.names.is_empty()
    }

    /// The PIDs, ascending, where nothing else is asked for: then the others need not be read.
    fn pids_alone(&self) -> Option<Vec<i32>> {
        let alone = !self.pids.is_empty() && self.names_no_more() && !self.is_inverted;
        alone.then(|| {
            let mut pids: Vec<_> = self.pids.iter().copied().collect();
            pids.sort_unstable();
            pids
        })
    }

    fn reads(&self) -> columns::Reads {
        let status =
            if self.real_uids.is_empty() { columns::Reads::default() } else { columns::Reads::STATUS };
        status | columns::Reads { owner: !self.uids.is_empty(), ..columns::Reads::default() }
    }

    fn takes(&self, process: &Process) -> bool {
        // The kernel keeps 15 bytes of a name.
        let named = |name: &Vec<u8>| {
            *name == process.stat.comm || name.len() > 15 && name.get(..15) == Some(&process.stat.comm)
        };
        let is_named = self.pids.contains(&process.pid)
            || self.ppids.contains(&process.stat.ppid)
            || self.uids.contains(&process.uid)
            || self.real_uids.contains(&process.ruid)
            || (!self.terminals.is_empty() && self.terminals.contains(&process.tty()))
            || self.names.iter().any(named);
        self.everything() || is_named != self.is_inverted
    }
}

/// Columns that order and how: see [`columns::sorting`].
type Order = [(Column, Sorting)];
