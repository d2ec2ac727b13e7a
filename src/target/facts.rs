//! Facts of a process, read through its directory in the node's procfs and consistent with each other.

use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::namespace::{self, KINDS};
use crate::out::Fault;
use crate::sys::capability;

/// Most of a target's environment that is read: the kernel's own limit is larger, a program's use is not.
const ENVIRONMENT_LIMIT: u64 = 1 << 20;

/// Most variables of it: each takes some hundred bytes here, and a target can show as many as three bytes hold.
const VARIABLES: usize = 1 << 15;

/// Most of a small file of procfs that is read.
const FILE_LIMIT: u64 = 64 << 10;

/// PF_KTHREAD of linux/sched.h, in field 9 of /proc/PID/stat.
const PF_KTHREAD: u64 = 0x0020_0000;

/// CAP_SYS_PTRACE and CAP_SYS_ADMIN, without which nobody enters.
const NEEDED: u64 = 1 << 19 | 1 << 21;

/// The five capability sets of a process, bit n for capability n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// CapInh.
    pub inheritable: u64,
    /// CapPrm.
    pub permitted: u64,
    /// CapEff.
    pub effective: u64,
    /// CapBnd.
    pub bounding: u64,
    /// CapAmb.
    pub ambient: u64,
}

/// What is known of a process. Ids are the node's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Its command name, at most 15 bytes, as the kernel shows it.
    pub name: String,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Capability sets.
    pub capabilities: Capabilities,
    /// Its PID in its own PID namespace.
    pub pid_inside: i32,
    /// Ticks after boot at which it started: with the PID, its identity.
    pub start_time: u64,
    /// Inodes of its namespaces, in the order of [`KINDS`]; `None` for a kind that the kernel lacks.
    pub namespaces: [Option<u64>; KINDS.len()],
    /// The security label of its attr/current; empty without one.
    pub label: String,
    /// Its environment at its start.
    pub environment: Vec<(OsString, OsString)>,
    /// Whether it has more of that.
    pub environment_is_cut: bool,
}

impl Facts {
    /// Reads the facts of the process behind `proc`, its directory in procfs. The user namespace and the start time
    /// are compared before and after, since a target can unshare meanwhile to look more capable than it was.
    ///
    /// # Errors
    /// A fault with status 125 for a zombie, a kernel thread, one that changes or ends, or what can't be read.
    pub fn read(proc: &OwnedFd, pid: i32) -> Result<Self, Fault> {
        let fault =
            |cause: &'static str| Fault::text("find process", pid.to_string(), cause).with_status(125);
        for _ in 0..5 {
            let before = Identity::read(proc, pid)?;
            if before.kernel_thread {
                return Err(fault("it is a kernel thread"));
            }
            if matches!(before.state, 'Z' | 'X') {
                return Err(fault("it is a zombie: it has ended and waits for its parent"));
            }
            let mut facts = Self::parse_status(&text(proc, c"status", pid)?)
                .ok_or_else(|| fault("its status file is not as the kernel writes it"))?;
            facts.start_time = before.start_time;
            for (slot, kind) in facts.namespaces.iter_mut().zip(&KINDS) {
                *slot = match namespace::inode(proc, kind.path) {
                    Ok(inode) => Some(inode),
                    Err(Errno::ENOENT) if kind.name != "user" && kind.name != "mnt" => None,
                    Err(errno) => return Err(open_fault(pid, kind.path, errno)),
                };
            }
            facts.label = label(proc).map_err(|errno| open_fault(pid, c"attr/current", errno))?;
            (facts.environment, facts.environment_is_cut) = environment(proc);
            if Identity::read(proc, pid)? == before {
                return Ok(facts);
            }
        }
        Err(fault("it keeps changing its user namespace"))
    }

    /// The inode of one of its namespaces.
    pub fn namespace(&self, name: &str) -> Option<u64> {
        KINDS.iter().zip(self.namespaces).find(|(kind, _)| kind.name == name).and_then(|(_, inode)| inode)
    }

    /// Takes what /proc/PID/status says.
    pub(crate) fn parse_status(status: &str) -> Option<Self> {
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
        };
        let mask = |name: &str| u64::from_str_radix(field(name)?, 16).ok();
        // Real, effective, saved, file system.
        let effective = |name: &str| field(name)?.split_ascii_whitespace().nth(1)?.parse().ok();
        Some(Self {
            name: field("Name")?.to_owned(),
            uid: effective("Uid")?,
            gid: effective("Gid")?,
            groups: field("Groups")?
                .split_ascii_whitespace()
                .map(str::parse)
                .collect::<Result<_, _>>()
                .ok()?,
            capabilities: Capabilities {
                inheritable: mask("CapInh")?,
                permitted: mask("CapPrm")?,
                effective: mask("CapEff")?,
                bounding: mask("CapBnd")?,
                ambient: mask("CapAmb")?,
            },
            pid_inside: field("NSpid")?.split_ascii_whitespace().last()?.parse().ok()?,
            ..Self::default()
        })
    }
}

/// What must not change while the facts are read.
#[derive(PartialEq, Eq)]
struct Identity {
    start_time: u64,
    user_namespace: Option<u64>,
    state: char,
    kernel_thread: bool,
}

impl Identity {
    fn read(proc: &OwnedFd, pid: i32) -> Result<Self, Fault> {
        let stat = text(proc, c"stat", pid)?;
        let (state, flags, start_time) = parse_stat(&stat).ok_or_else(|| {
            Fault::text("find process", pid.to_string(), "its stat file is not as the kernel writes it")
                .with_status(125)
        })?;
        let kernel_thread = flags & PF_KTHREAD != 0;
        let dead = matches!(state, 'Z' | 'X');
        let user_namespace = match namespace::inode(proc, c"ns/user") {
            Ok(inode) => Some(inode),
            // A process that has ended has no namespaces.
            Err(_) if dead || kernel_thread => None,
            Err(errno) => return Err(open_fault(pid, c"ns/user", errno)),
        };
        // Whether it runs or sleeps may differ from moment to moment.
        let state = if dead { state } else { 'R' };
        Ok(Self { start_time, user_namespace, state, kernel_thread })
    }
}

/// State, flags and start time out of /proc/PID/stat. The name may hold spaces and parentheses.
pub(crate) fn parse_stat(stat: &str) -> Option<(char, u64, u64)> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(5)?.parse().ok()?, fields.nth(12)?.parse().ok()?))
}

/// The fault of a file of /proc/PID that can't be read.
pub fn open_fault(pid: i32, name: &CStr, errno: Errno) -> Fault {
    let path = format!("/proc/{pid}/{}", name.to_string_lossy());
    match errno {
        Errno::ESRCH | Errno::ENOENT => {
            Fault::text("find process", pid.to_string(), "it ended while it was looked at")
        }
        Errno::EACCES | Errno::EPERM => {
            let may_look = capability::own().is_ok_and(|own| own & NEEDED == NEEDED);
            Fault::errno("open", path, errno).with_hint(if may_look {
                "a security module of the kernel refuses it, since nsdbg holds CAP_SYS_PTRACE"
            } else {
                "nsdbg must run as root with CAP_SYS_PTRACE and CAP_SYS_ADMIN"
            })
        }
        _ => Fault::errno("open", path, errno),
    }
    .with_status(125)
}

/// A file of a process' directory, up to `limit` bytes.
///
/// # Errors
/// As openat(2) and read(2).
pub fn bytes(proc: impl AsFd, name: &CStr, limit: u64) -> nix::Result<Vec<u8>> {
    let file = openat(proc, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    // Room for most of these files, so that one call reads them whole and as of one moment.
    let mut bytes = Vec::with_capacity(4096);
    File::from(file)
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    Ok(bytes)
}

fn text(proc: &OwnedFd, name: &CStr, pid: i32) -> Result<String, Fault> {
    let bytes = bytes(proc, name, FILE_LIMIT).map_err(|errno| open_fault(pid, name, errno))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The label, without the newline; empty where there is no security module.
fn label(proc: &OwnedFd) -> nix::Result<String> {
    let bytes = match bytes(proc, c"attr/current", 4096) {
        // The kernel has no such file, or no security module that answers.
        Err(Errno::ENOENT | Errno::EINVAL) => Vec::new(),
        result => result?,
    };
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\0']).to_owned())
}

/// The environment, and whether it is cut.
fn environment(proc: &OwnedFd) -> (Vec<(OsString, OsString)>, bool) {
    let bytes = bytes(proc, c"environ", ENVIRONMENT_LIMIT).unwrap_or_default();
    let is_cut = bytes.len() as u64 >= ENVIRONMENT_LIMIT;
    // Where it was cut, a variable may have been.
    let whole = if is_cut { bytes.iter().rposition(|byte| *byte == 0).unwrap_or(0) } else { bytes.len() };
    let mut variables = variables(&bytes[..whole]);
    let has_more = variables.len() > VARIABLES;
    variables.truncate(VARIABLES);
    (variables, is_cut || has_more)
}

/// Names and values out of /proc/PID/environ, which the process can write over: at most one more than are kept.
pub(crate) fn variables(environ: &[u8]) -> Vec<(OsString, OsString)> {
    environ
        .split(|byte| *byte == 0)
        .filter_map(|entry| {
            let at = entry.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
            Some((OsString::from_vec(entry[..at].to_vec()), OsString::from_vec(entry[at + 1..].to_vec())))
        })
        .take(VARIABLES + 1)
        .collect()
}

/// The process that a PID is, or whose thread a TID is.
pub fn thread_of(id: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_name_with_parentheses() {
        let tail = "S 1 2 3 4 5 4194560 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(parse_stat(&format!("7 (a) b (c)) {tail}")), Some(('S', 4_194_560, 4242)));
        assert_eq!(parse_stat("7 (a"), None);
        assert_eq!(parse_stat("7 (a) S 1"), None);
    }

    #[test]
    fn status_gives_effective_ids_and_the_innermost_pid() {
        let status = "Name:\tweb\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nNSpid:\t4242\t7\nCapInh:\t0\nCapPrm:\t1\nCapEff:\t2\nCapBnd:\t1ff\nCapAmb:\t0\n";
        let facts = Facts::parse_status(status).unwrap();
        assert_eq!((facts.uid, facts.gid, facts.groups, facts.pid_inside), (2, 6, vec![9, 10], 7));
        assert_eq!(facts.capabilities.bounding, 0x1ff);
        assert_eq!(Facts::parse_status("Name:\tx\n"), None);
    }
}
