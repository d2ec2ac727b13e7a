//! Reads processes, only the files that the columns need, in two threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::errno::Errno;

use super::Only;
use super::columns::{NAMESPACES, Reads};
use crate::sys::idmap::IdMap;
use crate::sys::passwd::Users;
use crate::sys::proc::{Procfs, Reader, Stat, System, why_refused};

/// A command line is read up to this.
const ARGS_LIMIT: usize = 128 * 1024;
/// All command lines that are held together; later ones are read up to [`ARGS_SHORT`].
const ARGS_BUDGET: usize = 64 << 20;
const ARGS_SHORT: usize = 4096;
/// PIDs that a thread takes at a time.
const CHUNK: usize = 64;
/// Threads of one process that are listed.
const THREADS: usize = 100_000;

/// One process or thread. Ids are the container's.
#[derive(Debug, Default)]
pub struct Process {
    /// PID: of a thread, its process'.
    pub pid: i32,
    /// The thread, where threads are listed; else the PID.
    pub tid: i32,
    pub stat: Stat,
    pub uid: u32,
    pub gid: u32,
    pub ruid: u32,
    pub rgid: u32,
    /// Memory is locked (`L` of STAT).
    pub locked: bool,
    /// Resident memory in bytes, of status: the kernel calls that of stat inaccurate.
    pub rss: u64,
    /// Arguments as the kernel has them: each ends with NUL.
    pub args: Vec<u8>,
    pub wchan: Vec<u8>,
    /// None where the kernel refused it.
    pub exe: Option<Vec<u8>>,
    pub cgroup: Vec<u8>,
    /// As `args`; shown after them.
    pub environment: Vec<u8>,
    pub label: Vec<u8>,
    /// Inodes in the order of [`NAMESPACES`]; 0 where the kernel refused one.
    pub namespaces: [u64; NAMESPACES.len()],
    pub oom_adjustment: i64,
    pub oom_score: i64,
    /// Resident memory in KiB: what others share is divided by their number, or left out.
    pub shares: Shares,
    /// How deep in the forest, as text before the command.
    pub branch: String,
}

/// Of smaps_rollup.
#[derive(Debug, Default, Clone, Copy)]
pub struct Shares {
    pub proportional: u64,
    pub unshared: u64,
}

/// What was left out.
#[derive(Debug, Default)]
pub struct Budget {
    held: AtomicUsize,
    holding: AtomicBool,
    pub cut: AtomicBool,
    pub refused: AtomicBool,
    pub many: AtomicBool,
}

impl Budget {
    /// From now on what is read stays in memory.
    pub fn hold(&self) {
        self.holding.store(true, Ordering::Relaxed);
    }

    fn args_limit(&self) -> usize {
        if self.held.load(Ordering::Relaxed) < ARGS_BUDGET { ARGS_LIMIT } else { ARGS_SHORT }
    }

    fn take(&self, bytes: usize, limit: usize) {
        if self.holding.load(Ordering::Relaxed) {
            self.held.fetch_add(bytes, Ordering::Relaxed);
        }
        if bytes >= limit {
            self.cut.store(true, Ordering::Relaxed);
        }
    }

    /// What to tell of it.
    pub fn sentences(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.refused.load(Ordering::Relaxed) {
            all.push(format!("not all of EXE, WCHAN, namespaces, memory or environment is known: the kernel refused it, {}", why_refused()));
        }
        if self.cut.load(Ordering::Relaxed) {
            all.push("long command lines are cut".to_owned());
        }
        if self.many.load(Ordering::Relaxed) {
            all.push("there are more processes than are sorted; the rest is left out".to_owned());
        }
        all
    }
}

/// Reads processes.
pub struct Collector<'a> {
    pub procfs: Procfs<'a>,
    pub system: System,
    pub uids: IdMap,
    pub gids: IdMap,
    pub users: &'a Users,
    pub needs: Reads,
    pub threads: bool,
    pub only: &'a Only,
    pub budget: Budget,
}

impl Collector<'_> {
    /// Reads these PIDs in two threads and makes something of each process there (rendering it counts as much as
    /// reading it). The threads take a chunk at a time, so that neither waits long for the other where a core is
    /// busy. The results are in the order of `pids`.
    pub fn map<T: Send + Default>(
        &self,
        pids: &[i32],
        make: impl Fn(&Self, Process, &mut T) + Sync,
    ) -> Vec<T> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut reader = self.procfs.reader();
            let mut all = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(chunk) = pids.chunks(CHUNK).nth(at) else { return all };
                let mut made = T::default();
                for pid in chunk {
                    self.process(*pid, &mut reader, &mut |process| make(self, process, &mut made));
                }
                all.push((at, made));
            }
        };
        let mut all = if pids.len() <= CHUNK {
            work()
        } else {
            std::thread::scope(|scope| {
                let other = scope.spawn(work);
                let mut mine = work();
                // A panic of the other thread aborts, as one here does.
                mine.extend(other.join().unwrap_or_default());
                mine
            })
        };
        all.sort_unstable_by_key(|(at, _)| *at);
        all.into_iter().map(|(_, made)| made).collect()
    }

    /// One process, or its threads; nothing where it is gone or not asked for.
    fn process(&self, pid: i32, reader: &mut Reader, made: &mut dyn FnMut(Process)) {
        let Some(mut process) = self.read(pid, pid, "", reader) else { return };
        if !self.only.takes(&process) {
            return;
        }
        if self.needs.args && !process.stat.is_kernel() {
            let limit = self.budget.args_limit();
            if let Ok(args) = reader.read(pid, "cmdline", limit) {
                self.budget.take(args.len(), limit);
                process.args = args.to_vec();
            }
        }
        if self.needs.environment && !process.stat.is_kernel() {
            let limit = self.budget.args_limit();
            match reader.read_all(pid, "environ", limit) {
                Ok(environment) => {
                    self.budget.take(environment.len(), limit);
                    process.environment = environment;
                }
                Err(error) => self.refused(error),
            }
        }
        if !self.threads {
            made(process);
            return;
        }
        for tid in self.procfs.threads(pid).unwrap_or_default().into_iter().take(THREADS) {
            if let Some(mut thread) = self.read(pid, tid, &format!("task/{tid}/"), reader) {
                thread.args.clone_from(&process.args);
                made(thread);
            }
        }
    }

    fn read(&self, pid: i32, tid: i32, folder: &str, reader: &mut Reader) -> Option<Process> {
        let stat = if folder.is_empty() {
            reader.read(pid, "stat", 4096)
        } else {
            reader.read(pid, &format!("{folder}stat"), 4096)
        };
        let stat = Stat::parse(stat.ok()?)?;
        let mut process = Process { pid, tid, stat, ..Process::default() };
        if self.needs.owner {
            let (uid, gid) = reader.owner(pid).ok()?;
            (process.uid, process.gid) = (self.uids.inside(uid), self.gids.inside(gid));
        }
        if self.needs.status {
            let status = reader.read(pid, &format!("{folder}status"), 16 * 1024).ok()?;
            self.status(status, &mut process);
        }
        if self.needs.wchan {
            match reader.read(pid, &format!("{folder}wchan"), 256) {
                Ok(name) => process.wchan = name.to_vec(),
                Err(error) => self.refused(error),
            }
        }
        if self.needs.exe && !process.stat.is_kernel() {
            match reader.link(pid, "exe") {
                Ok(path) => process.exe = Some(std::os::unix::ffi::OsStringExt::into_vec(path)),
                Err(error) => self.refused(error),
            }
        }
        if self.needs.label {
            let label = reader.read(pid, &format!("{folder}attr/current"), 4096).unwrap_or_default();
            process.label =
                label.trim_ascii_end().split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        }
        if self.needs.namespaces {
            for (kind, inode) in NAMESPACES.iter().zip(&mut process.namespaces) {
                match reader.link(pid, &format!("{folder}ns/{kind}")) {
                    Ok(link) => *inode = number_in(link.as_encoded_bytes()).unwrap_or(0),
                    Err(error) => self.refused(error),
                }
            }
        }
        if self.needs.oom {
            let mut number = |name: &str| {
                let text = reader.read(pid, name, 64).ok()?;
                std::str::from_utf8(text).ok()?.trim().parse().ok()
            };
            process.oom_adjustment = number("oom_score_adj").unwrap_or(0);
            process.oom_score = number("oom_score").unwrap_or(0);
        }
        if self.needs.shares && !process.stat.is_kernel() {
            match reader.read(pid, "smaps_rollup", 4096) {
                Ok(text) => process.shares = parse_shares(text),
                Err(error) => self.refused(error),
            }
        }
        if self.needs.cgroup {
            process.cgroup = reader.read_all(pid, "cgroup", 16 * 1024).unwrap_or_default();
        }
        Some(process)
    }

    fn refused(&self, error: Errno) {
        if matches!(error, Errno::EACCES | Errno::EPERM) {
            self.budget.refused.store(true, Ordering::Relaxed);
        }
    }

    fn status(&self, status: &[u8], process: &mut Process) {
        let status = parse_status(status);
        if let Some(uid) = status.uid {
            process.ruid = self.uids.inside(uid);
        }
        if let Some(gid) = status.gid {
            process.rgid = self.gids.inside(gid);
        }
        process.locked |= status.locked;
        process.rss = status.rss;
    }
}

/// What is taken of /proc/PID/status. Ids are the reader's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RealIds {
    uid: Option<u32>,
    gid: Option<u32>,
    /// Whether memory is locked.
    locked: bool,
    /// Resident memory in bytes; 0 for what has none.
    rss: u64,
}

/// The real ids, locked and resident memory. By hand: procfs-core's status wants every one of its 50 lines to read as
/// it expects.
pub(crate) fn parse_status(status: &[u8]) -> RealIds {
    let first = |rest: &[u8]| {
        let word = rest.trim_ascii_start().split(|b| b.is_ascii_whitespace()).next().unwrap_or_default();
        std::str::from_utf8(word).ok().and_then(|w| w.parse::<u32>().ok())
    };
    let mut found = RealIds::default();
    // The name is the first line, its newlines escaped by the kernel, so that no line below is forged.
    for line in status.split(|b| *b == b'\n').skip(1) {
        if let Some(uid) = line.strip_prefix(b"Uid:").and_then(first) {
            found.uid = Some(uid);
        } else if let Some(gid) = line.strip_prefix(b"Gid:").and_then(first) {
            found.gid = Some(gid);
        } else if let Some(locked) = line.strip_prefix(b"VmLck:").and_then(first) {
            found.locked = locked > 0;
        } else if let Some(rss) = line.strip_prefix(b"VmRSS:").and_then(first) {
            found.rss = u64::from(rss) * 1024;
            break;
        }
    }
    found
}

/// The number in `net:[4026531833]`.
fn number_in(link: &[u8]) -> Option<u64> {
    let (_, rest) = std::str::from_utf8(link).ok()?.split_once('[')?;
    rest.strip_suffix(']')?.parse().ok()
}

/// Of smaps_rollup, proc_pid_smaps(5).
fn parse_shares(text: &[u8]) -> Shares {
    let kib = |name: &[u8]| {
        let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
        std::str::from_utf8(line).ok()?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    };
    let private = [&b"Private_Clean:"[..], b"Private_Dirty:", b"Private_Hugetlb:"];
    let unshared = private.into_iter().filter_map(kib).fold(0, u64::saturating_add);
    Shares { proportional: kib(b"Pss:").unwrap_or(0), unshared }
}

impl Process {
    /// CPU time in ticks.
    pub fn ticks(&self) -> u64 {
        self.stat.utime.saturating_add(self.stat.stime)
    }

    /// Seconds since it was started.
    pub fn elapsed(&self, system: &System) -> f64 {
        (system.uptime - self.stat.starttime as f64 / system.hz as f64).max(0.0)
    }

    /// When it was started, seconds since 1970.
    pub fn started(&self, system: &System) -> i64 {
        system.boot.saturating_add(i64::try_from(self.stat.starttime / system.hz).unwrap_or(0))
    }

    /// CPU time over time since the start, in percent, as procps counts.
    pub fn cpu_percent(&self, system: &System) -> f64 {
        let seconds = self.elapsed(system);
        if seconds < 0.01 { 0.0 } else { self.ticks() as f64 / system.hz as f64 * 100.0 / seconds }
    }

    /// Resident memory as a share of the node's.
    pub fn mem_percent(&self, system: &System) -> f64 {
        if system.memory == 0 { 0.0 } else { self.rss as f64 * 100.0 / system.memory as f64 }
    }

    /// Whether it has ended and nobody has asked for its status.
    pub fn is_zombie(&self) -> bool {
        self.stat.state == b'Z'
    }

    /// The arguments without the NUL at the end.
    pub fn args(&self) -> &[u8] {
        let end = self.args.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
        self.args.get(..end).unwrap_or_default()
    }

    /// The command line as it is shown: arguments and a space between them, else the name in brackets.
    pub fn command(&self, to: &mut Vec<u8>) {
        if !self.args().is_empty() && !self.is_zombie() {
            to.extend(self.args().iter().map(|b| if *b == 0 { b' ' } else { *b }));
            for variable in self.environment.split(|byte| *byte == 0).filter(|one| !one.is_empty()) {
                to.push(b' ');
                to.extend_from_slice(variable);
            }
            return;
        }
        to.push(b'[');
        to.extend_from_slice(&self.stat.comm);
        to.push(b']');
        if self.is_zombie() {
            to.extend_from_slice(b" <defunct>");
        }
    }

    /// The terminal: `pts/0`, `tty1`, `?`. Majors after the kernel's devices.txt.
    pub fn tty(&self) -> String {
        let device = self.stat.tty_nr as u32;
        let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00);
        match major {
            0 => "?".to_owned(),
            4 if minor < 64 => format!("tty{minor}"),
            4 => format!("ttyS{}", minor - 64),
            5 if minor == 1 => "console".to_owned(),
            136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
            204 if (64..80).contains(&minor) => format!("ttyAMA{}", minor - 64),
            229 => format!("hvc{minor}"),
            _ => format!("{major}:{minor}"),
        }
    }

    /// procps' STAT: the state and its marks.
    pub fn marks(&self) -> String {
        let stat = &self.stat;
        let mut text = String::from(char::from(stat.state));
        for (mark, is) in [
            ('<', stat.nice < 0),
            ('N', stat.nice > 0),
            ('L', self.locked),
            ('s', stat.session == self.pid),
            ('l', stat.num_threads > 1),
            ('+', stat.tpgid > 0 && stat.tpgid == stat.pgrp),
        ] {
            if is {
                text.push(mark);
            }
        }
        text
    }
}
