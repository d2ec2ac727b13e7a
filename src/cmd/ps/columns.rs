//! The columns of `ps`: their names, headers, and what each needs to be read.

use std::cmp::Reverse;
use std::ops::BitOr;

use crate::out::{Align, Fault};

use super::Result;
use crate::takes::owned;

/// Files of a process beyond `stat` that columns need.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reads {
    pub owner: bool,
    pub args: bool,
    pub status: bool,
    pub wchan: bool,
    pub exe: bool,
    pub cgroup: bool,
    pub environment: bool,
    pub label: bool,
    pub namespaces: bool,
    pub oom: bool,
    pub shares: bool,
}

impl Reads {
    const NONE: Self = Self {
        owner: false,
        args: false,
        status: false,
        wchan: false,
        exe: false,
        cgroup: false,
        environment: false,
        label: false,
        namespaces: false,
        oom: false,
        shares: false,
    };
    const OWNER: Self = Self { owner: true, ..Self::NONE };
    const ARGS: Self = Self { args: true, ..Self::NONE };
    pub const STATUS: Self = Self { status: true, ..Self::NONE };
    /// What a JSON row holds.
    pub const FOR_JSON: Self = Self { owner: true, args: true, status: true, ..Self::NONE };
}

impl BitOr for Reads {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            owner: self.owner || other.owner,
            args: self.args || other.args,
            status: self.status || other.status,
            wchan: self.wchan || other.wchan,
            exe: self.exe || other.exe,
            cgroup: self.cgroup || other.cgroup,
            environment: self.environment || other.environment,
            label: self.label || other.label,
            namespaces: self.namespaces || other.namespaces,
            oom: self.oom || other.oom,
            shares: self.shares || other.shares,
        }
    }
}

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table of names says what they are")]
pub enum Column {
    Pid,
    Ppid,
    Pgid,
    Sid,
    Tid,
    Threads,
    User,
    RealUser,
    Uid,
    RealUid,
    Gid,
    RealGid,
    Group,
    RealGroup,
    Comm,
    Args,
    Cpu,
    CpuWhole,
    Memory,
    Rss,
    Size,
    Vsz,
    Pages,
    State,
    Marks,
    Tty,
    Time,
    BsdTime,
    Seconds,
    Elapsed,
    ElapsedSeconds,
    StartShort,
    Start,
    StartLong,
    Nice,
    Priority,
    LongPriority,
    RealtimePriority,
    Wchan,
    Processor,
    Class,
    Flags,
    Address,
    MinorFaults,
    MajorFaults,
    Exe,
    Cgroup,
    ForegroundGroup,
    Label,
    /// By its place in [`NAMESPACES`].
    Namespace(usize),
    OomAdjustment,
    OomScore,
    Proportional,
    Unshared,
}

/// The links of PID/ns that are columns.
pub const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// Names, header, alignment. The first name is the one that an error suggests.
type Spec = (Column, &'static [&'static str], &'static str, Align);

use Align::{Left, Right};

/// The names of all columns, for completion.
pub fn names() -> Vec<String> {
    owned(SPECS.iter().flat_map(|spec| spec.1).copied())
}

/// All columns.
pub const SPECS: &[Spec] = &[
    (Column::Pid, &["pid", "tgid"], "PID", Right),
    (Column::Ppid, &["ppid"], "PPID", Right),
    (Column::Pgid, &["pgid", "pgrp"], "PGID", Right),
    (Column::Sid, &["sid", "sess", "session"], "SID", Right),
    (Column::Tid, &["tid"], "TID", Right),
    (Column::Tid, &["lwp"], "LWP", Right),
    (Column::Tid, &["spid"], "SPID", Right),
    (Column::Threads, &["nlwp", "thcount"], "NLWP", Right),
    (Column::User, &["user", "uname"], "USER", Left),
    (Column::User, &["euser"], "EUSER", Left),
    (Column::RealUser, &["ruser"], "RUSER", Left),
    (Column::Uid, &["uid"], "UID", Right),
    (Column::Uid, &["euid"], "EUID", Right),
    (Column::RealUid, &["ruid"], "RUID", Right),
    (Column::Gid, &["gid"], "GID", Right),
    (Column::Gid, &["egid"], "EGID", Right),
    (Column::RealGid, &["rgid"], "RGID", Right),
    (Column::Group, &["group"], "GROUP", Left),
    (Column::Group, &["egroup"], "EGROUP", Left),
    (Column::RealGroup, &["rgroup"], "RGROUP", Left),
    (Column::Comm, &["comm", "ucmd", "ucomm"], "COMMAND", Left),
    (Column::Args, &["args", "command"], "COMMAND", Left),
    (Column::Args, &["cmd"], "CMD", Left),
    (Column::Cpu, &["%cpu", "pcpu"], "%CPU", Right),
    (Column::CpuWhole, &["c"], "C", Right),
    (Column::Memory, &["%mem", "pmem"], "%MEM", Right),
    (Column::Rss, &["rss", "rsz", "rssize"], "RSS", Right),
    (Column::Size, &["size"], "SIZE", Right),
    (Column::Vsz, &["vsz", "vsize"], "VSZ", Right),
    (Column::Pages, &["sz"], "SZ", Right),
    (Column::State, &["s", "state"], "S", Left),
    (Column::Marks, &["stat"], "STAT", Left),
    (Column::Tty, &["tty", "tt"], "TT", Left),
    (Column::Tty, &["tname"], "TTY", Left),
    (Column::Time, &["time", "cputime"], "TIME", Right),
    (Column::BsdTime, &["bsdtime"], "TIME", Right),
    (Column::Seconds, &["times", "cputimes"], "TIME", Right),
    (Column::Elapsed, &["etime", "elapsed"], "ELAPSED", Right),
    (Column::ElapsedSeconds, &["etimes"], "ELAPSED", Right),
    (Column::StartShort, &["stime"], "STIME", Left),
    (Column::StartShort, &["start_time", "bsdstart"], "START", Left),
    (Column::Start, &["start"], "STARTED", Right),
    (Column::StartLong, &["lstart", "started"], "STARTED", Right),
    (Column::Nice, &["nice", "ni"], "NI", Right),
    (Column::Priority, &["pri"], "PRI", Right),
    (Column::LongPriority, &["opri", "priority"], "PRI", Right),
    (Column::RealtimePriority, &["rtprio"], "RTPRIO", Right),
    (Column::Wchan, &["wchan", "wname"], "WCHAN", Left),
    (Column::Processor, &["psr", "cpuid"], "PSR", Right),
    (Column::Class, &["cls", "class", "policy"], "CLS", Left),
    (Column::Flags, &["f", "flags", "flag"], "F", Right),
    (Column::Address, &["addr"], "ADDR", Right),
    (Column::MinorFaults, &["min_flt", "minflt"], "MINFL", Right),
    (Column::MajorFaults, &["maj_flt", "majflt"], "MAJFL", Right),
    (Column::Exe, &["exe"], "EXE", Left),
    (Column::Cgroup, &["cgroup"], "CGROUP", Left),
    (Column::ForegroundGroup, &["tpgid"], "TPGID", Right),
    (Column::Label, &["label", "context"], "LABEL", Left),
    (Column::Namespace(0), &["cgroupns"], "CGROUPNS", Right),
    (Column::Namespace(1), &["ipcns"], "IPCNS", Right),
    (Column::Namespace(2), &["mntns"], "MNTNS", Right),
    (Column::Namespace(3), &["netns"], "NETNS", Right),
    (Column::Namespace(4), &["pidns"], "PIDNS", Right),
    (Column::Namespace(5), &["timens"], "TIMENS", Right),
    (Column::Namespace(6), &["userns"], "USERNS", Right),
    (Column::Namespace(7), &["utsns"], "UTSNS", Right),
    (Column::OomAdjustment, &["oomadj", "oom_score_adj"], "OOMADJ", Right),
    (Column::OomScore, &["oom", "oom_score"], "OOM", Right),
    (Column::Proportional, &["pss"], "PSS", Right),
    (Column::Unshared, &["uss"], "USS", Right),
];

impl Column {
    /// What is read for it.
    pub fn reads(self) -> Reads {
        match self {
            Self::User | Self::Uid | Self::Gid | Self::Group => Reads::OWNER,
            Self::RealUser | Self::RealUid | Self::RealGid | Self::RealGroup | Self::Marks => Reads::STATUS,
            Self::Memory | Self::Rss | Self::Size => Reads::STATUS,
            Self::Args => Reads::ARGS,
            Self::Wchan => Reads { wchan: true, ..Reads::NONE },
            Self::Exe => Reads { exe: true, ..Reads::NONE },
            Self::Cgroup => Reads { cgroup: true, ..Reads::NONE },
            Self::Label => Reads { label: true, ..Reads::NONE },
            Self::Namespace(_) => Reads { namespaces: true, ..Reads::NONE },
            Self::OomAdjustment | Self::OomScore => Reads { oom: true, ..Reads::NONE },
            Self::Proportional | Self::Unshared => Reads { shares: true, ..Reads::NONE },
            _ => Reads::NONE,
        }
    }
}

/// A column that was asked for.
#[derive(Debug)]
pub struct Chosen {
    pub column: Column,
    pub header: String,
    pub align: Align,
    /// How wide it is, where that was asked for.
    pub width: Option<usize>,
}

/// Adds the columns of a list (`pid,args`, `pid=X`, `cmd:50`). As in procps a new header is all that follows the `=` where that
/// column is the last, commas included.
///
/// # Errors
/// A usage fault for an unknown column, with the nearest one.
pub fn parse(list: &str, to: &mut Vec<Chosen>) -> Result<()> {
    for word in list.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
        let (name, header) = match word.split_once('=') {
            Some((name, header)) => (name, Some(header)),
            None => (word, None),
        };
        let (name, width) = match name.split_once(':') {
            Some((name, width)) => (name, Some(width_of(width)?)),
            None => (name, None),
        };
        let (column, _, usual, align) = find(name)?;
        to.push(Chosen {
            column: *column,
            header: crate::out::name::escape(header.unwrap_or(usual).as_bytes()),
            align: *align,
            width,
        });
    }
    if to.is_empty() { Err(Fault::usage("-o names no column")) } else { Ok(()) }
}

fn width_of(text: &str) -> Result<usize> {
    let width = text.parse::<u16>().ok().filter(|width| *width > 0);
    width.map(usize::from).ok_or_else(|| {
        Fault::usage(format!("'{}' is not a width", crate::out::name::escape(text.as_bytes())))
    })
}

/// How a column orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sorting {
    /// The smallest first.
    Up,
    /// The largest first.
    Down,
}

/// The columns of `--sort`: each may have a `+` or `-` before it.
///
/// # Errors
/// As [`parse`].
pub fn sorting(keys: &str) -> Result<Vec<(Column, Sorting)>> {
    keys.split(',')
        .filter(|key| !key.is_empty())
        .map(|key| {
            let (name, sorting) = match (key.strip_prefix('-'), key.strip_prefix('+')) {
                (Some(name), _) => (name, Sorting::Down),
                (_, Some(name)) => (name, Sorting::Up),
                _ => (key, Sorting::Up),
            };
            Ok((find(name)?.0, sorting))
        })
        .collect()
}

fn find(name: &str) -> Result<&'static Spec> {
    let lower = name.to_ascii_lowercase();
    if let Some(spec) = SPECS.iter().find(|spec| spec.1.contains(&lower.as_str())) {
        return Ok(spec);
    }
    let nearest = SPECS
        .iter()
        .flat_map(|spec| spec.1)
        .max_by_key(|known| (likeness(known, &lower), Reverse(known.len())));
    let shown = crate::out::name::escape(name.as_bytes());
    Err(Fault::usage(match nearest {
        Some(known) if likeness(known, &lower) * 2 > lower.len() => {
            format!("unknown column '{shown}'; the nearest is '{known}'")
        }
        _ => format!("unknown column '{shown}'; known are pid, ppid, user, args, %cpu, rss, stat and more"),
    }))
}

/// Letters at the start and the end that two names share.
fn likeness(a: &str, b: &str) -> usize {
    let start = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let end = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    (start + end).min(a.len()).min(b.len()).saturating_sub(a.len().abs_diff(b.len()) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_headers_and_unknown_names() {
        let mut all = Vec::new();
        parse("pid=,ppid=P,ARGS rss", &mut all).unwrap();
        let headers: Vec<_> = all.iter().map(|c| c.header.as_str()).collect();
        assert_eq!(headers, ["", "P", "COMMAND", "RSS"]);
        parse("cmd:50=X", &mut all).unwrap();
        assert_eq!(all.last().map(|c| (c.header.as_str(), c.width)), Some(("X", Some(50))));
        assert_eq!(parse("cmd:0", &mut all).unwrap_err().to_string(), "'0' is not a width");
        let fault = parse("pidd", &mut all).unwrap_err().to_string();
        assert_eq!(fault, "unknown column 'pidd'; the nearest is 'pid'");
        assert_eq!(sorting("-rss,+pid").unwrap(), [(Column::Rss, Sorting::Down), (Column::Pid, Sorting::Up)]);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = SPECS.iter().flat_map(|spec| spec.1).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
