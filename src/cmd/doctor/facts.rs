//! The container as the checks outside see it: processes, mounts, cgroup, sockets; each read once, when first asked for.

use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;

use crate::cmd::cgroup;
use crate::cmd::{Context, Watch};
use crate::sys::idmap::IdMap;
use crate::sys::netlink::{self, diag};
use crate::sys::proc::files::Mapped;
use crate::sys::proc::{Reader, Stat, Status};

/// Processes that are looked at; of more the rest is left out, and said.
const PROCESSES: usize = 20_000;
/// Sockets that are looked at.
const SOCKETS: usize = 200_000;
/// Most of a status file.
const STATUS: usize = 1 << 20;

/// One process of the container.
pub struct Process {
    /// Its PID, as the container counts.
    pub pid: i32,
    /// What the kernel's `stat` says of it.
    pub stat: Stat,
}

impl Process {
    /// `PID (NAME)`, as subjects name it.
    pub fn subject(&self) -> String {
        format!("{} ({})", self.pid, String::from_utf8_lossy(&self.stat.comm))
    }

    /// Whether it has ended, and waits to be reaped.
    pub fn is_zombie(&self) -> bool {
        self.stat.state == b'Z'
    }
}

/// A TCP socket.
pub type Socket = diag::Inet;

/// What checks outside are given.
pub struct Facts<'a> {
    cx: &'a Context,
    watch: &'a Watch,
    reader: RefCell<Reader<'a>>,
    processes: OnceCell<Vec<Process>>,
    cgroup: OnceCell<Result<cgroup::Facts, String>>,
    tcp: OnceCell<Vec<Socket>>,
}

impl<'a> Facts<'a> {
    /// Of what a watcher was given; none where it was not given a procfs.
    pub fn of(cx: &'a Context) -> Option<Self> {
        let watch = cx.watch.as_ref()?;
        Some(Self {
            cx,
            watch,
            reader: RefCell::new(watch.procfs().reader()),
            processes: OnceCell::new(),
            cgroup: OnceCell::new(),
            tcp: OnceCell::new(),
        })
    }

    /// The target's PID, as the container counts.
    pub fn target(&self) -> i32 {
        self.watch.target
    }

    /// What it is watched through.
    pub fn watch(&self) -> &'a Watch {
        self.watch
    }

    /// `/proc/PID/NAME`, bounded; none where the process is gone or the kernel refuses it.
    pub fn file(&self, pid: i32, name: &str, limit: usize) -> Option<Vec<u8>> {
        self.reader.borrow_mut().read_all(pid, name, limit).ok()
    }

    /// `/proc/PID/status`.
    pub fn status(&self, pid: i32) -> Option<Status> {
        self.file(pid, "status", STATUS).map(Status::new)
    }

    /// Where a link of `/proc/PID` points.
    pub fn link(&self, pid: i32, name: &str) -> nix::Result<std::ffi::OsString> {
        self.reader.borrow_mut().link(pid, name)
    }

    /// Whether the target is in the node's namespace of this kind.
    pub fn shares(&self, kind: &str) -> bool {
        let name = format!("ns/{kind}");
        let own = |process: &str| std::fs::read_link(format!("/proc/{process}/{name}")).ok();
        // Where nsdbg runs in a container itself, the node's are those of its first process.
        let nodes = own("1").or_else(|| own("self"));
        let targets = self.link(self.target(), &name).ok().map(std::path::PathBuf::from);
        targets.is_some() && targets == nodes
    }

    /// What a process has mapped; none where the kernel refuses it.
    pub fn mapped(&self, pid: i32) -> Vec<Mapped> {
        self.reader.borrow_mut().mapped(pid).map(|(all, _)| all).unwrap_or_default()
    }

    /// The devices of the target's mounts.
    pub fn mounted_devices(&self) -> HashSet<(u32, u32)> {
        self.reader.borrow_mut().mounted_devices(self.target()).unwrap_or_default()
    }

    /// Who runs a process, as the container counts: effective user and group.
    pub fn owner(&self, pid: i32) -> Option<(u32, u32)> {
        let (uid, gid) = self.reader.borrow_mut().owner(pid).ok()?;
        let map = |name| self.file(self.target(), name, 64 << 10).map(|text| IdMap::parse(&text));
        Some((map("uid_map")?.inside(uid), map("gid_map")?.inside(gid)))
    }

    /// The container's processes, by PID, without nsdbg's own; bounded. Where it has the node's PID namespace, those in
    /// its mount namespace, and the zombies that they have not reaped.
    pub fn processes(&self) -> &[Process] {
        self.processes.get_or_init(|| {
            let pids = self.watch.procfs().pids().unwrap_or_default();
            let own = &self.watch.own;
            let mut all: Vec<Process> = pids
                .into_iter()
                .filter(|pid| !own.contains(pid))
                .take(PROCESSES)
                .filter_map(|pid| {
                    let stat = Stat::parse(self.reader.borrow_mut().read(pid, "stat", 4096).ok()?)?;
                    (!stat.is_kernel()).then_some(Process { pid, stat })
                })
                .collect();
            if self.shares("pid") {
                let mounts = self.link(self.target(), "ns/mnt").ok();
                let is_inside = |pid: i32| mounts.is_some() && self.link(pid, "ns/mnt").ok() == mounts;
                let inside: Vec<i32> = all.iter().map(|one| one.pid).filter(|pid| is_inside(*pid)).collect();
                all.retain(|one| {
                    inside.contains(&one.pid) || (one.is_zombie() && inside.contains(&one.stat.ppid))
                });
            }
            all
        })
    }

    /// One of them.
    pub fn process(&self, pid: i32) -> Option<&Process> {
        self.processes().iter().find(|process| process.pid == pid)
    }

    /// What the target's cgroup uses and may use.
    ///
    /// # Errors
    /// The reason, where the node's cgroup file systems do not show it.
    pub fn cgroup(&self) -> Result<&cgroup::Facts, String> {
        let facts = self.cgroup.get_or_init(|| cgroup::of_target(self.cx).map_err(|fault| fault.to_string()));
        facts.as_ref().map_err(Clone::clone)
    }

    /// TCP sockets of the container's network namespace, of both families; bounded.
    pub fn tcp(&self) -> &[Socket] {
        self.tcp.get_or_init(|| {
            let mut all: Vec<Socket> = Vec::new();
            let mut buffer = Vec::new();
            for (family, file) in [(libc::AF_INET, "tcp"), (libc::AF_INET6, "tcp6")] {
                let request = diag::inet_request(family as u8, libc::IPPROTO_TCP as u8, u32::MAX);
                let before = all.len();
                let asked = self.watch.sock_diag.as_ref().is_some_and(|socket| {
                    netlink::dump(socket, diag::SOCK_DIAG_BY_FAMILY, &request, &mut buffer, &mut |_, body| {
                        if all.len() < SOCKETS {
                            all.extend(diag::inet(body));
                        }
                    })
                    .is_ok()
                });
                if !asked {
                    all.truncate(before);
                    let read = self.reader.borrow_mut().inet(self.target(), file);
                    all.extend(read.unwrap_or_default().into_iter().take(SOCKETS));
                }
            }
            all
        })
    }
}
