//! nsdbg and all that it forks, held by ptrace(2): every system call is seen, and one of them is made to fail.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::live::{Facts, Ran, collect, is_alive};
use crate::support::signal;
use crate::trace::{Call, ptrace, syscall_stop};

const SHORT: Duration = Duration::from_millis(1);
/// What is left of it ends within this time after the first process.
const AFTER: Duration = Duration::from_secs(5);
const OPTIONS: i32 = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_EXITKILL;

/// One system call of one process: found again in the next run by how often that process has made it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// Which process: 0 is nsdbg itself, the others are counted as they are forked.
    pub process: usize,
    pub number: i64,
    /// Counted from 1.
    pub occurrence: u32,
}

/// What a run came to.
#[derive(Debug)]
pub struct Held {
    pub ran: Ran,
    /// Every system call with the place at which it was made, in order.
    pub calls: Vec<(Site, Call)>,
    /// Whether the call that was to fail came.
    pub reached: bool,
    /// What the node saw of each process in another PID namespace, when that was forked, and which one it was.
    pub inside: Vec<(usize, Seen)>,
    /// It took longer than its limit, and was killed.
    pub hung: bool,
    /// Processes that went on when nsdbg had ended.
    pub left: Vec<i32>,
}

/// A process inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Lines of its status file: ids, capabilities, no_new_privs, seccomp.
    pub status: Vec<(String, String)>,
    pub namespaces: BTreeMap<String, String>,
    pub root: String,
    /// Who owns its files in procfs: root, where it is not dumpable.
    pub owner: u32,
}

impl Seen {
    fn of(pid: i32) -> Self {
        let facts = Facts::of(pid);
        const LINES: [&str; 10] = [
            "Uid",
            "Gid",
            "Groups",
            "CapInh",
            "CapPrm",
            "CapEff",
            "CapBnd",
            "CapAmb",
            "NoNewPrivs",
            "Seccomp",
        ];
        Self {
            status: LINES.iter().map(|name| ((*name).to_owned(), facts.get(name).to_owned())).collect(),
            namespaces: facts.namespaces,
            root: facts.root,
            owner: fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid(),
        }
    }
}

/// A process that is held.
#[derive(Default)]
struct Process {
    /// None where it has stopped before its parent told of it: it waits for that, else what it forks would be counted
    /// before it.
    place: Option<usize>,
    counts: BTreeMap<i64, u32>,
    /// The call that it is in: where it is told, and the errno with which it is to fail.
    call: Option<(usize, Option<i32>)>,
    /// What was there before it was replaced.
    first_argument: u64,
}

/// All of them.
struct Family {
    processes: BTreeMap<i32, Process>,
    next: usize,
    fail: Option<(Site, i32)>,
    refuse: Refuse,
    held: Held,
}

/// The errno that a call answers each time, where it does.
pub type Refuse = fn(&Call) -> Option<i32>;

/// Runs nsdbg to its end within a limit; `fail` names a call and the errno that it answers instead of being made, beside
/// what is refused each time. To be called by a thread that has no other children.
pub fn hold(command: &mut Command, fail: Option<(Site, i32)>, refuse: Refuse, limit: Duration) -> Held {
    // SAFETY: one system call between fork and exec.
    unsafe {
        command.pre_exec(|| ptrace(libc::PTRACE_TRACEME, 0, 0, 0).map(drop));
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (out, err) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
    let first = child.id() as i32;
    let ran = Ran { status: -1, out: Vec::new(), err: String::new() };
    let held =
        Held { ran, calls: Vec::new(), reached: false, inside: Vec::new(), hung: false, left: Vec::new() };
    let mut family = Family { processes: BTreeMap::new(), next: 1, fail, refuse, held };
    family.processes.insert(first, Process { place: Some(0), ..Process::default() });
    family.follow(first, limit);
    // It has been waited for.
    drop(child);
    let mut held = family.held;
    held.ran.out = out.join().unwrap();
    held.ran.err = String::from_utf8_lossy(&err.join().unwrap()).into_owned();
    held
}

impl Family {
    fn follow(&mut self, first: i32, limit: Duration) {
        let begun = Instant::now();
        let mut end = begun + limit;
        while !self.processes.is_empty() {
            let mut status = 0;
            // SAFETY: the status is ours. Other threads' children are not asked for.
            let pid =
                unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::__WNOTHREAD | libc::WNOHANG) };
            if pid == -1 {
                break;
            }
            if pid == 0 {
                if Instant::now() >= end {
                    self.held.hung |= self.processes.contains_key(&first);
                    self.held.left = self.processes.keys().copied().filter(|pid| is_alive(*pid)).collect();
                    self.held.left.iter().for_each(|pid| signal(*pid, libc::SIGKILL));
                    end = Instant::now() + AFTER;
                }
                // Most stops are a moment away.
                if begun.elapsed() < SHORT {
                    std::thread::yield_now()
                } else {
                    std::thread::sleep(SHORT / 20)
                }
                continue;
            }
            if libc::WIFSTOPPED(status) {
                self.stopped(pid, status >> 8);
                continue;
            }
            self.processes.remove(&pid);
            // Of a parent that was killed nothing comes any more.
            let waiting: Vec<i32> =
                self.processes.iter().filter(|(_, one)| one.place.is_none()).map(|(pid, _)| *pid).collect();
            waiting.into_iter().for_each(|pid| self.begin(pid));
            if pid == first {
                self.held.ran.status = if libc::WIFEXITED(status) {
                    libc::WEXITSTATUS(status)
                } else {
                    128 + libc::WTERMSIG(status)
                };
                end = Instant::now() + AFTER;
            }
        }
    }

    fn stopped(&mut self, pid: i32, stop: i32) {
        let mut pass = 0;
        match (stop & 0xff, stop >> 8) {
            (number, 0) if number == libc::SIGTRAP | 0x80 => self.at_call(pid),
            (libc::SIGTRAP, event) if is_fork(event) => {
                let mut child: libc::c_ulong = 0;
                if ptrace(libc::PTRACE_GETEVENTMSG, pid, 0, (&raw mut child) as usize).is_ok() {
                    match self.processes.contains_key(&(child as i32)) {
                        true => self.begin(child as i32),
                        false => self.number(child as i32),
                    }
                }
            }
            (libc::SIGTRAP, 0) => {
                let _ = ptrace(libc::PTRACE_SETOPTIONS, pid, 0, OPTIONS as usize);
            }
            (libc::SIGTRAP, _) => {}
            // The first stop of one that was forked; it may come before its parent's.
            (libc::SIGSTOP, _) if self.processes.contains_key(&pid) => return self.begin(pid),
            (libc::SIGSTOP, _) => return drop(self.processes.insert(pid, Process::default())),
            (number, _) => pass = number,
        }
        let _ = ptrace(libc::PTRACE_SYSCALL, pid, 0, pass as usize);
    }

    fn number(&mut self, pid: i32) {
        let process = self.processes.entry(pid).or_default();
        if process.place.is_none() {
            process.place = Some(self.next);
            self.next += 1;
        }
    }

    /// Lets go on what was forked and has stopped.
    fn begin(&mut self, pid: i32) {
        self.number(pid);
        let pids = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let pids = pids.lines().find_map(|line| line.strip_prefix("NSpid:").map(str::trim));
        if let Some(place) = self.processes[&pid].place
            && pids.is_some_and(|pids| pids.contains('\t'))
        {
            self.held.inside.push((place, Seen::of(pid)));
        }
        let _ = ptrace(libc::PTRACE_SYSCALL, pid, 0, 0);
    }

    fn at_call(&mut self, pid: i32) {
        let Some(stop) = syscall_stop(pid) else { return };
        let process = self.processes.entry(pid).or_default();
        match stop.result {
            None => {
                let occurrence = process.counts.entry(stop.number).or_default();
                *occurrence += 1;
                let site = Site {
                    process: process.place.unwrap_or_default(),
                    number: stop.number,
                    occurrence: *occurrence,
                };
                let errno = self.fail.filter(|(wanted, _)| *wanted == site).map(|(_, errno)| errno);
                self.held.reached |= errno.is_some();
                let errno = errno.or_else(|| (self.refuse)(&stop));
                process.call = Some((self.held.calls.len(), errno));
                self.held.calls.push((site, stop));
                let mut registers = registers(pid);
                process.first_argument = registers.rdi;
                match stop.number {
                    _ if errno.is_none() => return,
                    // A close that fails has closed all the same.
                    libc::SYS_close => return,
                    // It has no error: what it answers is the old end.
                    libc::SYS_brk => registers.rdi = 0,
                    _ => registers.orig_rax = u64::MAX,
                }
                set_registers(pid, &registers);
            }
            Some(result) => {
                let Some((at, errno)) = process.call.take() else { return };
                self.held.calls[at].1.result = Some(result);
                if let Some(errno) = errno {
                    let mut registers = registers(pid);
                    if self.held.calls[at].0.number == libc::SYS_brk {
                        registers.rdi = process.first_argument;
                        return set_registers(pid, &registers);
                    }
                    registers.rax = -i64::from(errno) as u64;
                    set_registers(pid, &registers);
                    self.held.calls[at].1.result = Some(-i64::from(errno));
                }
            }
        }
    }
}

fn is_fork(event: i32) -> bool {
    [libc::PTRACE_EVENT_FORK, libc::PTRACE_EVENT_VFORK, libc::PTRACE_EVENT_CLONE].contains(&event)
}

fn registers(pid: i32) -> libc::user_regs_struct {
    // SAFETY: zeros are a value of this structure.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    let _: io::Result<i64> = ptrace(libc::PTRACE_GETREGS, pid, 0, (&raw mut registers) as usize);
    registers
}

fn set_registers(pid: i32, registers: &libc::user_regs_struct) {
    let _: io::Result<i64> = ptrace(libc::PTRACE_SETREGS, pid, 0, (&raw const *registers) as usize);
}
