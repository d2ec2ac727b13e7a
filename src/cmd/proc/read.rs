//! What procfs tells of one process, as facts.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;

use super::limits::{self, Limit, Used};
use crate::cmd::{Fault, Result, Watch};
use crate::out::{Name, units};
use crate::sys::idmap::IdMap;
use crate::sys::passwd::Users;
use crate::sys::proc::{Procfs, Reader, Stat, Status};
use crate::sys::{capability, signal};
use crate::target::namespace::KINDS;

/// Threads that are told in JSON.
pub const THREADS: usize = 10_000;
/// Most of the arguments, and of the environment.
const TEXT_LIMIT: usize = 1 << 20;
/// Most of their strings.
const STRINGS: usize = 1 << 15;
/// Most of a status file: a process may have 65,536 groups.
const STATUS_LIMIT: usize = 1 << 20;
/// Processes that are looked at to count those of a user.
const COUNTED: usize = 20_000;

/// All that is told. Ids are the container's.
#[derive(Debug, serde::Serialize)]
pub struct Facts {
    pub pid: i32,
    pub ppid: i32,
    pub parent: Option<Name>,
    pub comm: Name,
    pub state: char,
    pub started: String,
    pub elapsed: u64,
    pub cpu_time: f64,
    pub exe: Option<Name>,
    pub cwd: Option<Name>,
    pub root: Option<Name>,
    pub args: Vec<Name>,
    pub environment: Option<Vec<Variable>>,
    pub uids: Option<Ids>,
    pub gids: Option<Ids>,
    pub groups: Vec<Id>,
    pub capabilities: Capabilities,
    pub signals: Signals,
    pub namespaces: Vec<Namespace>,
    pub seccomp: Option<&'static str>,
    pub no_new_privs: Option<bool>,
    pub label: Option<Name>,
    pub limits: Vec<Limit>,
    pub memory: Memory,
    pub oom_score: Option<i64>,
    pub oom_score_adj: Option<i64>,
    pub cgroup: Option<Name>,
    pub open_files: Option<u64>,
    pub thread_count: i64,
    pub threads: Vec<Thread>,
}

/// A variable of the environment that it was started with.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct Variable {
    pub name: Name,
    pub value: Name,
}

/// A user or group.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Id {
    pub id: u32,
    pub name: Option<String>,
}

/// The four ids of a process.
#[derive(Debug, serde::Serialize)]
pub struct Ids {
    pub real: Id,
    pub effective: Id,
    pub saved: Id,
    pub file_system: Id,
}

/// Capability sets by name.
#[derive(Debug, serde::Serialize)]
pub struct Capabilities {
    pub effective: Vec<String>,
    pub permitted: Vec<String>,
    pub inheritable: Vec<String>,
    pub bounding: Vec<String>,
    pub ambient: Vec<String>,
}

/// Signals by name.
#[derive(Debug, serde::Serialize)]
pub struct Signals {
    pub pending: Vec<String>,
    pub pending_shared: Vec<String>,
    pub blocked: Vec<String>,
    pub ignored: Vec<String>,
    pub caught: Vec<String>,
}

/// One of its namespaces.
#[derive(Debug, serde::Serialize)]
pub struct Namespace {
    pub kind: &'static str,
    /// Null where the kernel refused it.
    pub inode: Option<u64>,
    pub is_targets: Option<bool>,
    pub is_first: Option<bool>,
}

/// Bytes.
#[derive(Debug, serde::Serialize)]
pub struct Memory {
    #[serde(rename = "virtual")]
    pub size: Option<u64>,
    pub rss: Option<u64>,
    pub peak: Option<u64>,
    pub anonymous: Option<u64>,
    pub file: Option<u64>,
    pub shared: Option<u64>,
    pub pss: Option<u64>,
    pub swap: Option<u64>,
    pub locked: Option<u64>,
}

/// One thread.
#[derive(Debug, serde::Serialize)]
pub struct Thread {
    pub tid: i32,
    pub comm: Name,
    pub state: char,
    pub wchan: Option<Name>,
}

/// What could not be told.
#[derive(Debug, Default, Clone, Copy)]
pub struct Lost {
    pub refused: bool,
    pub cut: bool,
}

struct Look<'a> {
    pid: i32,
    reader: Reader<'a>,
    lost: Lost,
}

impl Look<'_> {
    /// What was read; none where the kernel refuses it or has none.
    fn seen<T>(&mut self, result: nix::Result<T>) -> Option<T> {
        if matches!(result, Err(Errno::EACCES | Errno::EPERM)) {
            self.lost.refused = true;
        }
        result.ok()
    }

    fn link(&mut self, name: &str) -> Option<Name> {
        let link = self.reader.link(self.pid, name);
        self.seen(link).map(|path: OsString| Name::from(path.into_vec()))
    }

    fn text(&mut self, name: &str, limit: usize) -> Option<Vec<u8>> {
        let text = self.reader.read_all(self.pid, name, limit);
        let text = self.seen(text)?;
        self.lost.cut |= text.len() >= limit;
        Some(text)
    }

    /// The strings of a file, each ended by NUL: each takes some hundred bytes here, and hardly any there.
    fn strings<T>(&mut self, text: &[u8], of: impl Fn(&[u8]) -> T) -> Vec<T> {
        let mut strings = strings(text);
        let all = strings.by_ref().take(STRINGS).map(of).collect();
        self.lost.cut |= strings.next().is_some();
        all
    }

    fn number(&mut self, name: &str) -> Option<i64> {
        std::str::from_utf8(&self.text(name, 64)?).ok()?.trim().parse().ok()
    }

    /// The inode of a namespace of a process.
    fn namespace(&mut self, pid: i32, name: &str) -> nix::Result<u64> {
        let link = self.reader.link(pid, &format!("ns/{name}"))?;
        let digits = link.to_str().and_then(|text| text.split_once('[')?.1.strip_suffix(']'));
        digits.and_then(|digits| digits.parse().ok()).ok_or(Errno::EINVAL)
    }
}

/// Reads a process.
///
/// # Errors
/// Where there is no such process, or it ends meanwhile.
pub fn read(pid: i32, max_threads: usize, watch: &Watch, users: &Users) -> Result<(Facts, Lost)> {
    let gone = |cause: &'static str| Fault::text("find process", pid.to_string(), cause);
    let procfs = watch.procfs();
    let system = procfs.system().map_err(|e| Fault::errno("read", "/proc/stat and uptime", e))?;
    let mut look = Look { pid, reader: procfs.reader(), lost: Lost::default() };
    let stat = |look: &mut Look| Stat::parse(look.reader.read(pid, "stat", 4096).ok()?);
    let none = "no such process in the container";
    let before = stat(&mut look).ok_or_else(|| gone(none))?;
    let status = Status::new(look.reader.read_all(pid, "status", STATUS_LIMIT).map_err(|_| gone(none))?);
    if let Some(process) = status.field("Tgid").filter(|id| *id != pid.to_string()) {
        let fault = gone("that is a thread, no process");
        return Err(fault.with_hint(format!("proc {process}")));
    }
    if watch.own.contains(&pid) {
        return Err(gone("that is nsdbg's own"));
    }
    let names = Names::new(watch.target, &mut look.reader, users);
    let open_files = procfs.descriptor_count(pid);
    let open_files = look.seen(open_files).map(|count| count as u64);
    let used =
        Used { open_files, processes: Some(processes_of_the_same_user(pid, &procfs, &mut look.reader)) };
    let parent = look.reader.read(before.ppid, "stat", 4096).ok().and_then(Stat::parse);
    let args = look.text("cmdline", TEXT_LIMIT).unwrap_or_default();
    let pss = look.text("smaps_rollup", 8192).and_then(|text| Status::new(text).bytes("Pss"));
    let sets = |name: &str| capabilities(status.mask(name).unwrap_or(0));
    let masks = |name: &str| signal::names(status.mask(name).unwrap_or(0));
    let facts = Facts {
        pid,
        ppid: before.ppid,
        parent: parent.map(|parent| Name::from(parent.comm)),
        comm: Name::from(before.comm.as_slice()),
        state: char::from(before.state),
        started: units::rfc3339(
            system.boot.saturating_add(i64::try_from(before.starttime / system.hz).unwrap_or(0)),
            0,
        ),
        elapsed: (system.uptime - before.starttime as f64 / system.hz as f64).max(0.0) as u64,
        cpu_time: before.utime.saturating_add(before.stime) as f64 / system.hz as f64,
        exe: look.link("exe"),
        cwd: look.link("cwd"),
        root: look.link("root"),
        args: look.strings(&args, |arg| Name::from(arg)),
        environment: look.text("environ", TEXT_LIMIT).map(|text| look.strings(&text, variable)),
        uids: names.ids(&status.numbers("Uid"), Names::user),
        gids: names.ids(&status.numbers("Gid"), Names::group),
        groups: status.numbers("Groups").into_iter().map(|gid| names.group(gid)).collect(),
        capabilities: Capabilities {
            effective: sets("CapEff"),
            permitted: sets("CapPrm"),
            inheritable: sets("CapInh"),
            bounding: sets("CapBnd"),
            ambient: sets("CapAmb"),
        },
        signals: Signals {
            pending: masks("SigPnd"),
            pending_shared: masks("ShdPnd"),
            blocked: masks("SigBlk"),
            ignored: masks("SigIgn"),
            caught: masks("SigCgt"),
        },
        namespaces: namespaces(watch.target, &mut look),
        seccomp: status.field("Seccomp").map(|mode| match mode {
            "0" => "none",
            "1" => "strict",
            _ => "filter",
        }),
        no_new_privs: status.field("NoNewPrivs").map(|set| set == "1"),
        // EINVAL where there is no security module.
        label: look
            .reader
            .read(pid, "attr/current", 4096)
            .ok()
            .map(|label| Name::from(trimmed(label)))
            .filter(|label| *label != Name::default()),
        limits: look
            .text("limits", 16 * 1024)
            .map(|text| limits::parse(&text, &status, used))
            .unwrap_or_default(),
        memory: Memory {
            size: status.bytes("VmSize"),
            rss: status.bytes("VmRSS"),
            peak: status.bytes("VmHWM"),
            anonymous: status.bytes("RssAnon"),
            file: status.bytes("RssFile"),
            shared: status.bytes("RssShmem"),
            pss,
            swap: status.bytes("VmSwap"),
            locked: status.bytes("VmLck"),
        },
        oom_score: look.number("oom_score"),
        oom_score_adj: look.number("oom_score_adj"),
        cgroup: look.text("cgroup", 16 * 1024).map(|text| {
            let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
            Name::from(lines.join(&b','))
        }),
        open_files,
        thread_count: before.num_threads,
        threads: threads(max_threads, &procfs, &mut look),
    };
    match stat(&mut look) {
        Some(after) if after.starttime == before.starttime => Ok((facts, look.lost)),
        _ => Err(gone("it ended while it was looked at")),
    }
}

/// Names of ids, as the container has them.
struct Names<'a> {
    users: &'a Users,
    uids: IdMap,
    gids: IdMap,
}

impl<'a> Names<'a> {
    fn new(target: i32, reader: &mut Reader, users: &'a Users) -> Self {
        let mut map = |name| reader.read(target, name, 64 * 1024).map(IdMap::parse).unwrap_or_default();
        let (uids, gids) = (map("uid_map"), map("gid_map"));
        Self { users, uids, gids }
    }

    fn user(&self, outside: u32) -> Id {
        let id = self.uids.inside(outside);
        Id { id, name: self.users.user(id).map(|user| user.name.to_owned()) }
    }

    fn group(&self, outside: u32) -> Id {
        let id = self.gids.inside(outside);
        Id { id, name: self.users.group(id).map(|group| group.name.to_owned()) }
    }

    fn ids(&self, four: &[u32], name: fn(&Self, u32) -> Id) -> Option<Ids> {
        let [real, effective, saved, file_system] = *four else { return None };
        Some(Ids {
            real: name(self, real),
            effective: name(self, effective),
            saved: name(self, saved),
            file_system: name(self, file_system),
        })
    }
}

fn capabilities(mask: u64) -> Vec<String> {
    let names = capability::names(mask);
    names.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn namespaces(target: i32, look: &mut Look) -> Vec<Namespace> {
    let mut all = Vec::new();
    for kind in &KINDS {
        let own = look.namespace(look.pid, kind.name);
        // A kind that the kernel does not have; all, of a process that has ended.
        if own == Err(Errno::ENOENT) {
            continue;
        }
        let inode = look.seen(own);
        let mut same = |pid| Some(look.namespace(pid, kind.name).ok()? == inode?);
        all.push(Namespace { kind: kind.name, inode, is_targets: same(target), is_first: same(1) });
    }
    all
}

/// What counts for RLIMIT_NPROC: threads of processes of the same user, as far as the PID namespace shows them.
fn processes_of_the_same_user(pid: i32, procfs: &Procfs, reader: &mut Reader) -> u64 {
    let Ok(owner) = reader.owner(pid) else { return 0 };
    let mut count = 0;
    for other in procfs.pids().unwrap_or_default().into_iter().take(COUNTED) {
        if reader.owner(other).is_ok_and(|(uid, _)| uid == owner.0)
            && let Some(stat) = reader.read(other, "stat", 4096).ok().and_then(Stat::parse)
        {
            count += u64::try_from(stat.num_threads).unwrap_or(0);
        }
    }
    count
}

fn threads(most: usize, procfs: &Procfs, look: &mut Look) -> Vec<Thread> {
    let mut all = Vec::new();
    for tid in procfs.threads(look.pid).unwrap_or_default().into_iter().take(most) {
        let Some(stat) =
            look.reader.read(look.pid, &format!("task/{tid}/stat"), 4096).ok().and_then(Stat::parse)
        else {
            continue;
        };
        let wchan = look.reader.read(look.pid, &format!("task/{tid}/wchan"), 256).map(<[u8]>::to_vec);
        let wchan = look.seen(wchan).filter(|name| !matches!(name.as_slice(), b"" | b"0"));
        all.push(Thread {
            tid,
            comm: Name::from(stat.comm),
            state: char::from(stat.state),
            wchan: wchan.map(Name::from),
        });
    }
    all
}

/// Strings that each end with NUL.
fn strings(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    bytes.split(|b| *b == 0).filter(|_| !bytes.is_empty())
}

fn variable(entry: &[u8]) -> Variable {
    let at = entry.iter().position(|b| *b == b'=').unwrap_or(entry.len());
    let value = entry.get(at + 1..).unwrap_or_default();
    Variable { name: Name::from(entry.get(..at).unwrap_or_default()), value: Name::from(value) }
}

fn trimmed(label: &[u8]) -> &[u8] {
    let end = label.iter().rposition(|b| !matches!(b, 0 | b'\n')).map_or(0, |at| at + 1);
    label.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_variables_are_taken_apart() {
        for (bytes, parts) in [
            (&b"a\0b c\0"[..], vec![&b"a"[..], b"b c"]),
            (b"a\0\0", vec![b"a", b""]),
            (b"a", vec![b"a"]),
            (b"", vec![]),
        ] {
            assert_eq!(strings(bytes).collect::<Vec<_>>(), parts, "{bytes:?}");
        }
        let named = |name: &str, value: &str| Variable { name: Name::from(name), value: Name::from(value) };
        assert_eq!(variable(b"A=b=c"), named("A", "b=c"));
        assert_eq!(variable(b"none"), named("none", ""));
        assert_eq!(trimmed(b"docker-default (enforce)\n\0"), b"docker-default (enforce)");
    }
}
