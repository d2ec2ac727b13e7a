//! Ports on which containers listen, asked of each network namespace by netlink.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use nix::sys::stat::Mode;

use crate::sys::netlink::{diag, dump};
use crate::sys::proc::Procfs;

/// States of TCP, as bits: listening.
const LISTEN: u32 = 1 << 10;
/// Of UDP: bound, and with no peer.
const UNCONNECTED: u32 = 1 << 7;
/// More sockets of one namespace are not looked at.
const LIMIT: usize = 10_000;

/// How long holders of sockets are looked for.
pub const HOLDERS: Duration = Duration::from_secs(2);

/// A port on which something listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// UDP, not TCP.
    pub is_udp: bool,
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.number, if self.is_udp { "/udp" } else { "" })
    }
}

/// A listening socket: its port and inode.
pub type Listener = (Port, u64);

/// What listens in each of these network namespaces, by the inode of the namespace; each is named by a process in it.
/// Two threads of its own join them one after the other, and are gone then. What can't be asked is left out.
pub fn listeners(procfs: BorrowedFd, spaces: &BTreeMap<u64, i32>) -> BTreeMap<u64, Vec<Listener>> {
    std::thread::scope(|scope| {
        let ask = |half: usize| {
            scope.spawn(move || {
                let mut buffer = Vec::new();
                let mine = spaces.iter().skip(half).step_by(2);
                mine.filter_map(|(inode, pid)| Some((*inode, of_process(procfs, *pid, &mut buffer).ok()?)))
                    .collect::<BTreeMap<_, _>>()
            })
        };
        let (even, odd) = (ask(0), ask(1));
        let mut all = even.join().unwrap_or_default();
        all.extend(odd.join().unwrap_or_default());
        all
    })
}

fn of_process(procfs: BorrowedFd, pid: i32, buffer: &mut Vec<u8>) -> nix::Result<Vec<Listener>> {
    let space: OwnedFd =
        openat(procfs, format!("{pid}/ns/net").as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    setns(&space, CloneFlags::CLONE_NEWNET)?;
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    let mut found = Vec::new();
    for (protocol, states) in [(libc::IPPROTO_TCP, LISTEN), (libc::IPPROTO_UDP, UNCONNECTED)] {
        for family in [libc::AF_INET, libc::AF_INET6] {
            let request = diag::inet_request(family as u8, protocol as u8, states);
            let is_udp = protocol == libc::IPPROTO_UDP;
            let each = &mut |_, body: &[u8]| {
                let socket = diag::inet(body).filter(|_| found.len() < LIMIT);
                found.extend(socket.map(|socket| (Port { number: socket.local.1, is_udp }, socket.inode)));
            };
            match dump(&netlink, diag::SOCK_DIAG_BY_FAMILY, &request, buffer, each) {
                // A kernel without IPv6 has no such sockets.
                Ok(_) | Err(Errno::ENOENT | Errno::EINVAL | Errno::EAFNOSUPPORT) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(found)
}

/// A process that listens on a port in our own network namespace.
pub fn node_holder(port: u16) -> Option<i32> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open("/proc", flags, Mode::empty()).ok()?;
    let own = BTreeMap::from([(0, std::process::id() as i32)]);
    let found = listeners(root.as_fd(), &own);
    let inodes: Vec<u64> =
        found.get(&0)?.iter().filter(|(at, _)| at.number == port).map(|(_, inode)| *inode).collect();
    let procfs = Procfs::new(&root, None);
    let holders = procfs.holders(&procfs.pids().ok()?, inodes.clone(), Instant::now() + HOLDERS);
    inodes.iter().find_map(|inode| holders.of(*inode))
}

/// The ports alone, each once.
pub fn numbers(listeners: &[Listener]) -> Vec<Port> {
    listeners.iter().map(|(port, _)| *port).collect::<BTreeSet<_>>().into_iter().collect()
}
