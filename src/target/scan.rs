//! One pass over the node's processes: who is in which container. Processes that vanish meanwhile are passed over.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, openat};
use nix::sys::stat::Mode;

use super::cgroup::Cgroup;
use super::hierarchies::{Hierarchies, Owners};
use super::host::{self, Host};
use super::namespace;
use super::state::Shim;
use super::tree;
use crate::out::Fault;
use crate::sys::proc::{Procfs, Reader, Stat};

/// Most of a process's cgroup file that is read.
pub const CGROUP_LIMIT: usize = 16 << 10;
/// Most of a command line that is read.
pub const CMDLINE_LIMIT: usize = 128 << 10;

/// The namespaces that tell a container from the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spaces {
    /// Inode of the mount namespace.
    pub mnt: u64,
    /// Of the PID namespace.
    pub pid: u64,
    /// Of the network namespace.
    pub net: u64,
}

impl Spaces {
    /// Reads those of a process.
    ///
    /// # Errors
    /// ENOENT or ESRCH where it is gone; EACCES without ptrace rights.
    pub fn read(procfs: impl AsFd, pid: i32) -> nix::Result<Self> {
        let inode = |kind: &str| {
            let path = CString::new(format!("{pid}/ns/{kind}")).map_err(|_| Errno::EINVAL)?;
            namespace::inode(procfs.as_fd(), &path)
        };
        Ok(Self { mnt: inode("mnt")?, pid: inode("pid")?, net: inode("net")? })
    }
}

/// A process that is in a container, or in namespaces other than the node's.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its PID on the node.
    pub pid: i32,
    /// Its cgroup.
    pub cgroup: Arc<Cgroup>,
    /// Its namespaces, unless its cgroup has told what it is in.
    pub spaces: Option<Spaces>,
}

/// What only a closer look at a process tells.
#[derive(Debug, Clone)]
pub struct Look {
    /// When it was started: ticks after boot.
    pub start: u64,
    /// `R`, `S`, `T`, `Z` and so on.
    pub state: u8,
    /// Its name, at most 15 bytes.
    pub comm: Vec<u8>,
}

impl Look {
    /// Looks at a process.
    ///
    /// # Errors
    /// ENOENT or ESRCH where it is gone or has ended.
    pub fn at(reader: &mut Reader, pid: i32) -> nix::Result<Self> {
        let stat = Stat::parse(reader.read(pid, "stat", 4096)?).ok_or(Errno::EINVAL)?;
        match stat.state {
            b'Z' | b'X' => Err(Errno::ESRCH),
            state => Ok(Self { start: stat.starttime, state, comm: stat.comm }),
        }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Scan {
    /// The procfs that was read.
    pub procfs: OwnedFd,
    /// The node's own namespaces.
    pub node: Spaces,
    /// Processes of containers, by PID.
    pub processes: Vec<Process>,
    /// Processes of the runtimes.
    pub shims: Vec<Shim>,
    hierarchies: Hierarchies,
}

impl Scan {
    /// Whether a process is still in the cgroup and the namespaces that it was found in: its PID may be another's by now.
    /// `spaces` are its namespaces of now.
    pub fn still_finds(&self, reader: &mut Reader, process: &Process, spaces: Spaces) -> bool {
        if process.spaces.is_some_and(|before| before != spaces) {
            return false;
        }
        let path = process.cgroup.path.as_str();
        // In a cgroup namespace that can't be left, what procfs writes is not the path in the hierarchy.
        path.is_empty()
            || tree::holds(&self.hierarchies, path, process.pid).unwrap_or_else(|| {
                let text = reader.read(process.pid, "cgroup", CGROUP_LIMIT).unwrap_or_default();
                let mut lines = text.split(|byte| *byte == b'\n');
                lines.any(|line| line.splitn(3, |byte| *byte == b':').nth(2) == Some(path.as_bytes()))
            })
    }
}

/// Looks at every process, in two threads.
///
/// # Errors
/// Where /proc can't be read.
pub fn scan(host: &Host) -> Result<Scan, Fault> {
    let fault = |errno| Fault::errno("open", "/proc", errno).with_status(125);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open("/proc", flags, Mode::empty()).map_err(fault)?;
    let procfs = Procfs::new(&root, None);
    // The node's are those of the first process; where that can't be looked at, of the first of the kernel's threads; and
    // where there is none, we are of the node.
    let of_kernel = || Spaces::read(&root, 2).ok().filter(|spaces| spaces.pid == host::FIRST_PID_NAMESPACE);
    let node = Spaces::read(&root, 1)
        .or_else(|errno| of_kernel().ok_or(errno))
        .or_else(|_| Spaces::read(&root, std::process::id() as i32))
        .map_err(|errno| Fault::errno("open", "/proc/self/ns", errno).with_status(125))?;
    let hierarchies = Hierarchies::find(host);
    let (pids, members) = std::thread::scope(|scope| {
        let members = scope.spawn(|| tree::members(&hierarchies));
        (procfs.pids(), members.join().unwrap_or_default())
    });
    let pids = pids.map_err(fault)?;
    let (low, high) = pids.split_at(pids.len() / 2);
    let look = |pids: &[i32]| {
        let (reader, owners, known) = (procfs.reader(), Owners::new(&hierarchies), HashMap::new());
        Pass { members: &members, root: root.as_fd(), reader, node, owners, known }.at(pids)
    };
    let (mut found, more) = std::thread::scope(|scope| {
        let other = scope.spawn(|| look(high));
        let mine = look(low);
        (mine, other.join().unwrap_or_default())
    });
    found.0.extend(more.0);
    found.1.extend(more.1);
    Ok(Scan { processes: found.0, shims: found.1, node, procfs: root, hierarchies })
}

/// Whether a name is that of a runtime's process which knows where its files are.
fn is_runtime(comm: &[u8]) -> bool {
    [&b"containerd-shim"[..], b"conmon", b"dockerd", b"containerd"].iter().any(|name| comm.starts_with(name))
}

struct Pass<'a> {
    members: &'a HashMap<i32, Arc<Cgroup>>,
    root: std::os::fd::BorrowedFd<'a>,
    reader: Reader<'a>,
    node: Spaces,
    owners: Owners<'a>,
    /// Cgroups that were parsed: many processes share one.
    known: HashMap<Vec<u8>, Arc<Cgroup>>,
}

impl Pass<'_> {
    fn at(mut self, pids: &[i32]) -> (Vec<Process>, Vec<Shim>) {
        let mut found = (Vec::new(), Vec::new());
        for pid in pids {
            // One that is gone, or can't be looked at, is none of ours.
            if let Ok(process) = self.process(*pid, &mut found.1) {
                found.0.extend(process);
            }
        }
        found
    }

    fn process(&mut self, pid: i32, shims: &mut Vec<Shim>) -> nix::Result<Option<Process>> {
        if let Some(cgroup) = self.members.get(&pid) {
            return Ok(Some(Process { pid, cgroup: Arc::clone(cgroup), spaces: None }));
        }
        let spaces = Spaces::read(self.root, pid)?;
        let comm = self.reader.read(pid, "comm", 64)?.trim_ascii_end().to_vec();
        if is_runtime(&comm) {
            let args = arguments(&self.reader.read_all(pid, "cmdline", CMDLINE_LIMIT)?);
            shims.push(Shim { pid, args });
            return Ok(None);
        }
        if spaces == self.node {
            return Ok(None);
        }
        // kdevtmpfs has a mount namespace of its own.
        if Stat::parse(self.reader.read(pid, "stat", 4096)?).is_some_and(|stat| stat.is_kernel()) {
            return Ok(None);
        }
        let cgroup = self.cgroup(pid)?;
        let is_contained = cgroup.is_container() || cgroup.claim.is_some();
        if cgroup.is_shim {
            return Ok(None);
        }
        Ok(Some(Process { pid, cgroup, spaces: Some(spaces).filter(|_| !is_contained) }))
    }

    fn cgroup(&mut self, pid: i32) -> nix::Result<Arc<Cgroup>> {
        let text = self.reader.read(pid, "cgroup", CGROUP_LIMIT)?;
        if let Some(known) = self.known.get(text) {
            return Ok(Arc::clone(known));
        }
        let text = text.to_vec();
        let cgroup = Arc::new(Cgroup::parse(&text, |controllers, path| self.owners.of(controllers, path)));
        self.known.insert(text, Arc::clone(&cgroup));
        Ok(cgroup)
    }
}

/// Arguments out of a cmdline file.
pub fn arguments(cmdline: &[u8]) -> Vec<String> {
    let cmdline = cmdline.strip_suffix(b"\0").unwrap_or(cmdline);
    cmdline.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The cgroup of one process or thread.
///
/// # Errors
/// As open(2).
pub fn cgroup_of(hierarchies: &Hierarchies, id: i32) -> nix::Result<Cgroup> {
    let mut owners = Owners::new(hierarchies);
    cgroup_file(id).map(|text| Cgroup::parse(&text, |controllers, path| owners.of(controllers, path)))
}

/// The same as the kernel writes it: a line for each hierarchy.
///
/// # Errors
/// As open(2).
pub fn cgroup_file(id: i32) -> nix::Result<Vec<u8>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = openat(AT_FDCWD, "/proc", flags, Mode::empty())?;
    Procfs::new(&root, None).reader().read_all(id, "cgroup", CGROUP_LIMIT)
}
