//! Gathers sockets: streamed where nothing but the socket is shown, held where their processes are looked for.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::super::{Context, Fault, Result, Watch};
use super::text::{Printer, Shown};
use super::{CLOSE, ESTABLISHED, LISTEN};
use crate::cmd::elsewhere::{self, Owner};
use crate::out::Output;
use crate::out::table::NoRow;
use crate::sys::netlink::{self, diag};
use crate::sys::proc::fds::Holders;
use crate::sys::proc::{Procfs, Reader, why_refused};

/// Sockets that are held to look for their processes; later ones are shown without.
const HELD: usize = 500_000;

/// How long their holders are looked for.
const LIMIT: Duration = Duration::from_secs(3);

/// Kinds of sockets that are asked for.
pub struct Kinds {
    pub tcp: bool,
    pub udp: bool,
    pub raw: bool,
    pub unix: bool,
    pub v4: bool,
    pub v6: bool,
}

/// Sockets that are asked for.
pub struct Wanted {
    pub kinds: Kinds,
    /// Bits of `--state`.
    pub states: Option<u32>,
    pub listening: bool,
    pub all: bool,
    pub port: Option<u16>,
}

/// One socket of any kind.
pub enum Socket {
    Inet(&'static str, diag::Inet),
    Unix(diag::Unix),
}

impl Socket {
    /// Its inode, 0 where no process holds it.
    pub fn inode(&self) -> u64 {
        match self {
            Self::Inet(_, socket) => socket.inode,
            Self::Unix(socket) => socket.inode,
        }
    }
}

/// Who holds a socket.
#[derive(Clone, Copy)]
pub enum Holder<'a> {
    /// A process of the target's PID namespace, and its name.
    Inside(i32, &'a [u8]),
    /// One of another container, or of the node.
    Elsewhere(&'a Owner),
}

/// An internet protocol: its name, family and number.
type Protocol = (&'static str, i32, i32);

impl Wanted {
    fn protocols(&self) -> Vec<Protocol> {
        let kinds = &self.kinds;
        let (v4, v6) = (libc::AF_INET, libc::AF_INET6);
        [
            (kinds.tcp && kinds.v4, ("tcp", v4, libc::IPPROTO_TCP)),
            (kinds.tcp && kinds.v6, ("tcp6", v6, libc::IPPROTO_TCP)),
            (kinds.udp && kinds.v4, ("udp", v4, libc::IPPROTO_UDP)),
            (kinds.udp && kinds.v6, ("udp6", v6, libc::IPPROTO_UDP)),
            (kinds.raw && kinds.v4, ("raw", v4, libc::IPPROTO_RAW)),
            (kinds.raw && kinds.v6, ("raw6", v6, libc::IPPROTO_RAW)),
        ]
        .into_iter()
        .filter_map(|(is, protocol)| is.then_some(protocol))
        .collect()
    }

    /// The states that are asked for, a bit for each. UDP and raw sockets are closed (7) until they are connected;
    /// those are what `-l` shows of them.
    fn states(&self, connectionless: bool) -> u32 {
        const ALL: u32 = 0x1ffe;
        let waiting = if connectionless { 1 << CLOSE } else { 1 << LISTEN };
        match (self.states, self.listening, self.all) {
            (Some(states), ..) => states,
            (None, _, true) => ALL,
            (None, true, false) => waiting,
            // Closed TCP sockets that are only bound have no peer either.
            (None, false, false) if connectionless => 1 << ESTABLISHED,
            (None, false, false) => ALL & !(1 << LISTEN | 1 << CLOSE),
        }
    }

    /// Unix sockets without `-a` and `-l`: all but those that listen.
    fn unix_states(&self) -> u32 {
        match (self.states, self.listening, self.all) {
            (None, false, false) => !(1 << LISTEN),
            (None, true, false) => 1 << LISTEN,
            _ => self.states(false),
        }
    }

    fn takes(&self, socket: &diag::Inet, states: u32) -> bool {
        1u32.checked_shl(u32::from(socket.state)).is_some_and(|bit| states & bit != 0)
            && self.port.is_none_or(|port| socket.local.1 == port || socket.remote.1 == port)
    }
}

/// Prints the sockets that are asked for, and returns what is to be told of it.
pub fn list(
    cx: &Context,
    watch: &Watch,
    procfs: &Procfs,
    wanted: &Wanted,
    shown: &Shown,
    out: &mut Output<NoRow>,
) -> Result<Vec<String>> {
    let mut printer = Printer::new(shown, out);
    let mut source = Source { watch, reader: procfs.reader(), buffer: Vec::new(), notes: Vec::new() };
    if !shown.program {
        source.each(wanted, &mut |socket| printer.socket(&socket, None))?;
        printer.end(wanted)?;
        return Ok(source.notes);
    }
    let mut held = Vec::new();
    let mut more = 0u64;
    source.each(wanted, &mut |socket| if held.len() < HELD { held.push(socket) } else { more += 1 })?;
    if more > 0 {
        source.notes.push(format!("{more} more sockets are not shown with -p"));
    }
    let inodes = held.iter().map(Socket::inode).filter(|inode| *inode != 0).collect();
    let mut pids = procfs.pids().map_err(|e| Fault::errno("read", "/proc", e))?;
    pids.retain(|pid| !watch.own.contains(pid));
    let holders: Holders = procfs.holders(&pids, inodes, Instant::now() + LIMIT);
    let mut names = Names { reader: procfs.reader(), known: HashMap::new() };
    let is_unknown = |inode: &u64| *inode != 0 && holders.of(*inode).is_none();
    let unknown: Vec<u64> = held.iter().map(Socket::inode).filter(is_unknown).collect();
    let others = if unknown.is_empty() { HashMap::new() } else { elsewhere::owners(cx, watch, unknown) };
    for socket in &held {
        let inside = holders.of(socket.inode()).map(|pid| Holder::Inside(pid, names.of(pid)));
        printer.socket(socket, inside.or_else(|| others.get(&socket.inode()).map(Holder::Elsewhere)));
    }
    printer.end(wanted)?;
    if holders.is_cut() {
        let cause = "there are too many descriptors: '-' may stand for a process that was not looked at";
        source.notes.push(cause.to_owned());
    }
    if holders.refused() > 0 {
        source.notes.push(format!(
            "'-' may stand for one of {} processes whose descriptors the kernel refused, {}",
            holders.refused(),
            why_refused()
        ));
    }
    Ok(source.notes)
}

/// Names of processes: at most 16 bytes each, of processes that hold sockets.
struct Names<'a> {
    reader: Reader<'a>,
    known: HashMap<i32, Vec<u8>>,
}

impl Names<'_> {
    fn of(&mut self, pid: i32) -> &[u8] {
        self.known.entry(pid).or_insert_with(|| {
            let name = self.reader.read(pid, "comm", 64);
            name.map(|name| name.trim_ascii_end().to_vec()).unwrap_or_default()
        })
    }
}

struct Source<'a> {
    watch: &'a Watch,
    reader: Reader<'a>,
    buffer: Vec<u8>,
    notes: Vec<String>,
}

impl Source<'_> {
    fn each(&mut self, wanted: &Wanted, take: &mut dyn FnMut(Socket)) -> Result<()> {
        for (name, family, number) in wanted.protocols() {
            let states = wanted.states(number != libc::IPPROTO_TCP);
            let mut inet = |socket: diag::Inet| {
                if wanted.takes(&socket, states) {
                    take(Socket::Inet(name, socket));
                }
            };
            let request = diag::inet_request(family as u8, number as u8, states);
            if self.ask(&request, &mut |body| diag::inet(body).into_iter().for_each(&mut inet)) {
                continue;
            }
            match self.reader.inet(self.watch.target, name) {
                Ok(sockets) => sockets.into_iter().for_each(&mut inet),
                // A kernel without IPv6, or without raw sockets.
                Err(nix::errno::Errno::ENOENT) => {}
                Err(error) => return Err(Fault::errno("read", format!("/proc/net/{name}"), error)),
            }
        }
        if !wanted.kinds.unix || wanted.port.is_some() {
            return Ok(());
        }
        let states = wanted.unix_states();
        let mut unix = |socket: diag::Unix| {
            if 1u32.checked_shl(u32::from(socket.state)).is_some_and(|bit| states & bit != 0) {
                take(Socket::Unix(socket));
            }
        };
        let request = diag::unix_request(states);
        if !self.ask(&request, &mut |body| diag::unix(body).into_iter().for_each(&mut unix)) {
            match self.reader.unix(self.watch.target) {
                Ok(sockets) => sockets.into_iter().for_each(unix),
                Err(error) => return Err(Fault::errno("read", "/proc/net/unix", error)),
            }
        }
        Ok(())
    }

    /// Asks sock_diag; false where it does not know, before it has said anything. It does not mark socket dumps as
    /// interrupted on kernels up to 6.18; where one does, they are not asked for again, since they are shown already.
    fn ask(&mut self, request: &[u8], each: &mut dyn FnMut(&[u8])) -> bool {
        let Some(socket) = &self.watch.sock_diag else { return false };
        let mut any = false;
        let ended =
            netlink::dump(socket, diag::SOCK_DIAG_BY_FAMILY, request, &mut self.buffer, &mut |_, body| {
                any = true;
                each(body);
            });
        match ended {
            Ok(netlink::Dump::Whole) => true,
            Ok(netlink::Dump::Interrupted) => {
                self.notes.push("sockets changed while they were listed; some may be missing".to_owned());
                true
            }
            Err(error) if any => {
                self.notes.push(format!(
                    "the list of sockets ended early: {}",
                    crate::out::fault::errno_text(error as i32)
                ));
                true
            }
            Err(_) => false,
        }
    }
}
