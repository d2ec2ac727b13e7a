//! Sockets of the container's network namespace by their inodes.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::cmd::Watch;
use crate::sys::netlink::{self, diag};
use crate::sys::proc::Reader;

/// Sockets that are held; later ones are shown without addresses.
const HELD: usize = 500_000;
/// Most of `net/netlink` that is read.
const NETLINK_LIMIT: usize = 4 << 20;

/// TCP's states as the kernel numbers them from 1, by lsof's names.
pub const STATES: [&str; 13] = [
    "",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];

/// Protocols of netlink(7).
const NETLINKS: [(u32, &str); 12] = [
    (0, "ROUTE"),
    (2, "USERSOCK"),
    (4, "SOCK_DIAG"),
    (6, "XFRM"),
    (7, "SELINUX"),
    (9, "AUDIT"),
    (10, "FIB_LOOKUP"),
    (11, "CONNECTOR"),
    (12, "NETFILTER"),
    (15, "KOBJECT_UEVENT"),
    (16, "GENERIC"),
    (21, "CRYPTO"),
];

/// A socket of an internet protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inet {
    pub protocol: &'static str,
    pub v6: bool,
    pub local: (IpAddr, u16),
    pub remote: (IpAddr, u16),
    pub state: &'static str,
}

/// What is known of a socket.
#[derive(Debug, Clone)]
pub enum Socket {
    Inet(Inet),
    Unix(diag::Unix),
    Netlink(String),
}

/// All that there are.
#[derive(Default)]
pub struct Sockets {
    by_inode: HashMap<u64, Socket>,
    /// Connected internet sockets by their ends, as the peer has them.
    connected: HashMap<(IpAddr, u16, IpAddr, u16), u64>,
    /// What is to be told.
    pub notes: Vec<String>,
}

impl Sockets {
    /// Asks the kernel for all of them.
    pub fn list(watch: &Watch, reader: &mut Reader) -> Self {
        let mut all = Self::default();
        let mut left_out = 0usize;
        let mut buffer = Vec::new();
        for (name, v6, number) in [
            ("TCP", false, libc::IPPROTO_TCP),
            ("TCP", true, libc::IPPROTO_TCP),
            ("UDP", false, libc::IPPROTO_UDP),
            ("UDP", true, libc::IPPROTO_UDP),
            ("RAW", false, libc::IPPROTO_RAW),
            ("RAW", true, libc::IPPROTO_RAW),
        ] {
            let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
            let request = diag::inet_request(family as u8, number as u8, u32::MAX);
            let mut found = Vec::new();
            let asked = watch.sock_diag.as_ref().is_some_and(|socket| {
                netlink::dump(socket, diag::SOCK_DIAG_BY_FAMILY, &request, &mut buffer, &mut |_, body| {
                    found.extend(diag::inet(body));
                    if found.len() >= 1024 {
                        found.drain(..).for_each(|socket| all.inet(name, v6, &socket, &mut left_out));
                    }
                })
                .is_ok()
            });
            if !asked {
                let file = format!("{}{}", name.to_ascii_lowercase(), if v6 { "6" } else { "" });
                found = reader.inet(watch.target, &file).unwrap_or_default();
            }
            found.iter().for_each(|socket| all.inet(name, v6, socket, &mut left_out));
        }
        all.unix(watch, reader, &mut buffer, &mut left_out);
        all.netlink(watch, reader);
        if left_out > 0 {
            all.notes.push(format!("{left_out} more sockets are shown without addresses"));
        }
        all
    }

    /// What is known of a socket.
    pub fn of(&self, inode: u64) -> Option<&Socket> {
        self.by_inode.get(&inode)
    }

    /// All of the internet protocols, by their inodes.
    pub fn inet_sockets(&self) -> impl Iterator<Item = (u64, &Inet)> {
        self.by_inode.iter().filter_map(|(inode, socket)| match socket {
            Socket::Inet(inet) => Some((*inode, inet)),
            _ => None,
        })
    }

    /// The socket at the other end, in the same network namespace; 0 where there is none.
    pub fn peer(&self, socket: &Socket) -> u64 {
        match socket {
            Socket::Inet(inet) if inet.remote.1 != 0 => {
                let key = (inet.remote.0, inet.remote.1, inet.local.0, inet.local.1);
                self.connected.get(&key).copied().unwrap_or(0)
            }
            Socket::Unix(unix) => unix.peer,
            _ => 0,
        }
    }

    fn inet(&mut self, protocol: &'static str, v6: bool, socket: &diag::Inet, left_out: &mut usize) {
        if socket.inode == 0 {
            return;
        }
        if self.by_inode.len() >= HELD {
            *left_out += 1;
            return;
        }
        let connectionless = protocol != "TCP";
        let state =
            if connectionless { "" } else { STATES.get(usize::from(socket.state)).copied().unwrap_or("") };
        if socket.remote.1 != 0 {
            let key = (socket.local.0, socket.local.1, socket.remote.0, socket.remote.1);
            self.connected.insert(key, socket.inode);
        }
        let inet = Inet { protocol, v6, local: socket.local, remote: socket.remote, state };
        self.by_inode.insert(socket.inode, Socket::Inet(inet));
    }

    fn unix(&mut self, watch: &Watch, reader: &mut Reader, buffer: &mut Vec<u8>, left_out: &mut usize) {
        let request = diag::unix_request(u32::MAX);
        let mut add = |socket: diag::Unix| {
            if self.by_inode.len() >= HELD {
                *left_out += 1;
            } else {
                self.by_inode.insert(socket.inode, Socket::Unix(socket));
            }
        };
        let asked = watch.sock_diag.as_ref().is_some_and(|socket| {
            netlink::dump(socket, diag::SOCK_DIAG_BY_FAMILY, &request, buffer, &mut |_, body| {
                diag::unix(body).into_iter().for_each(&mut add);
            })
            .is_ok()
        });
        if !asked {
            reader.unix(watch.target).unwrap_or_default().into_iter().for_each(add);
        }
    }

    /// `sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode`, of which the second is the protocol.
    fn netlink(&mut self, watch: &Watch, reader: &mut Reader) {
        let text = reader.read_all(watch.target, "net/netlink", NETLINK_LIMIT).unwrap_or_default();
        for line in text.split(|byte| *byte == b'\n').skip(1) {
            let words: Vec<&str> =
                std::str::from_utf8(line).unwrap_or_default().split_ascii_whitespace().collect();
            let (Some(Ok(protocol)), Some(Ok(inode))) =
                (words.get(1).map(|w| w.parse::<u32>()), words.get(9).map(|w| w.parse::<u64>()))
            else {
                continue;
            };
            let name = NETLINKS.iter().find(|(number, _)| *number == protocol);
            let name = name.map_or_else(|| protocol.to_string(), |(_, name)| (*name).to_owned());
            if self.by_inode.len() < HELD {
                self.by_inode.insert(inode, Socket::Netlink(name));
            }
        }
    }
}
