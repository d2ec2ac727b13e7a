//! Sockets as lines, in net-tools' columns: fixed widths, so that they stream; what is wider pushes its line.

use std::io::{self, Write};
use std::net::IpAddr;

use super::super::{Fault, Result};
use super::json::Row;
use super::sockets::{Holder, Socket, Wanted};
use super::{CLOSE, ESTABLISHED, LISTEN, STATES};
use crate::cmd::elsewhere::Owner;
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::out::units::decimal;
use crate::out::{Name, Output};
use crate::sys::idmap::IdMap;
use crate::sys::netlink::diag::{Inet, Timer, Unix};
use crate::sys::passwd::Users;

/// What is shown of a socket.
pub struct Shown<'a> {
    pub extend: bool,
    pub program: bool,
    pub timers: bool,
    pub numeric: bool,
    pub uids: &'a IdMap,
    pub users: &'a Users,
    /// Which sockets, in words.
    pub scope: &'static str,
}

/// Lines are written out when so many bytes have gathered.
const FLUSH: usize = 32 * 1024;

/// Prints sockets. The first error of writing is kept and told at the end.
pub struct Printer<'a> {
    shown: &'a Shown<'a>,
    out: &'a mut Output<NoRow>,
    text: Vec<u8>,
    inet: bool,
    unix: bool,
    failed: Option<io::Error>,
}

impl<'a> Printer<'a> {
    pub fn new(shown: &'a Shown<'a>, out: &'a mut Output<NoRow>) -> Self {
        Self { shown, out, text: Vec::with_capacity(2 * FLUSH), inet: false, unix: false, failed: None }
    }

    /// Prints one socket and who holds it.
    pub fn socket(&mut self, socket: &Socket, holder: Option<Holder>) {
        if self.failed.is_some() {
            return;
        }
        let written = if self.out.is_json() {
            self.out.json(&Row::new(socket, holder, self.shown))
        } else {
            match socket {
                Socket::Inet(protocol, socket) => {
                    self.inet_header();
                    self.inet(protocol, socket, holder);
                }
                Socket::Unix(socket) => {
                    self.unix_header();
                    self.unix(socket, holder);
                }
            }
            if self.text.len() < FLUSH { Ok(()) } else { self.flush() }
        };
        self.failed = written.err();
    }

    /// Ends the list: headers of what was asked for are there even where nothing follows.
    pub fn end(mut self, wanted: &Wanted) -> Result<()> {
        if !self.out.is_json() {
            if wanted.kinds.tcp || wanted.kinds.udp || wanted.kinds.raw {
                self.inet_header();
            }
            if wanted.kinds.unix && wanted.port.is_none() {
                self.unix_header();
            }
        }
        let written = self.failed.take().map_or_else(|| self.flush(), Err);
        written.map_err(Fault::output)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.bytes().write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }

    fn inet_header(&mut self) {
        // Internet sockets come first; where Unix ones were printed, it is too late.
        if std::mem::replace(&mut self.inet, true) || self.unix {
            return;
        }
        let mut line = format!(
            "Active Internet connections ({})\nProto Recv-Q Send-Q Local Address           Foreign Address         State      ",
            self.shown.scope
        );
        if self.shown.extend {
            line.push_str(" User       Inode     ");
        }
        if self.shown.program {
            line.push_str(" PID/Program name    ");
        }
        if self.shown.timers {
            line.push_str(" Timer");
        }
        self.text.extend_from_slice(line.trim_end().as_bytes());
        self.text.push(b'\n');
    }

    fn unix_header(&mut self) {
        if std::mem::replace(&mut self.unix, true) {
            return;
        }
        let mut line = format!(
            "Active UNIX domain sockets ({})\nProto Recv-Q Send-Q Type       State         I-Node  ",
            self.shown.scope
        );
        if self.shown.extend {
            line.push_str(" User      ");
        }
        if self.shown.program {
            line.push_str(" PID/Program name    ");
        }
        line.push_str(" Path\n");
        self.text.extend_from_slice(line.as_bytes());
    }

    fn inet(&mut self, protocol: &str, socket: &Inet, holder: Option<Holder>) {
        let text = &mut self.text;
        // As BSD's netstat names them.
        let shown = match protocol {
            "tcp6" if takes_both(socket) => "tcp46",
            "udp6" if takes_both(socket) => "udp46",
            protocol => protocol,
        };
        left(text, 5, |to| to.extend_from_slice(shown.as_bytes()));
        text.push(b' ');
        right(text, 6, socket.recv_queue);
        text.push(b' ');
        right(text, 6, socket.send_queue);
        text.push(b' ');
        left(text, 23, |to| endpoint(socket.local, to));
        text.push(b' ');
        left(text, 23, |to| endpoint(socket.remote, to));
        text.push(b' ');
        let state = state(protocol, socket.state);
        left(text, 11, |to| to.extend_from_slice(state.as_bytes()));
        if self.shown.extend {
            text.push(b' ');
            left(text, 10, |to| user(socket.uid, self.shown, to));
            text.push(b' ');
            left(text, 10, |to| decimal(socket.inode, to));
        }
        if self.shown.program {
            text.push(b' ');
            left(text, 20, |to| program(holder, to));
        }
        if self.shown.timers {
            text.push(b' ');
            timer(socket.timer, text);
        }
        end_line(text);
    }

    fn unix(&mut self, socket: &Unix, holder: Option<Holder>) {
        let text = &mut self.text;
        text.extend_from_slice(b"unix  ");
        right(text, 6, socket.recv_queue);
        text.push(b' ');
        right(text, 6, socket.send_queue);
        text.push(b' ');
        left(text, 10, |to| to.extend_from_slice(unix_type(socket.kind).to_ascii_uppercase().as_bytes()));
        text.push(b' ');
        left(text, 13, |to| to.extend_from_slice(unix_state(socket.state).as_bytes()));
        text.push(b' ');
        left(text, 8, |to| decimal(socket.inode, to));
        if self.shown.extend {
            text.push(b' ');
            left(text, 10, |to| match socket.uid {
                Some(uid) => user(uid, self.shown, to),
                None => to.push(b'-'),
            });
        }
        if self.shown.program {
            text.push(b' ');
            left(text, 20, |to| program(holder, to));
        }
        text.push(b' ');
        text.extend_from_slice(escape(&path(&socket.name)).as_bytes());
        end_line(text);
    }
}

/// Whether IPv4 comes in through it, too.
fn takes_both(socket: &Inet) -> bool {
    socket.v6_only == Some(false) && socket.local.0.is_unspecified()
}

/// Ends a line without spaces at its end.
fn end_line(text: &mut Vec<u8>) {
    while text.last() == Some(&b' ') {
        text.pop();
    }
    text.push(b'\n');
}

fn left(text: &mut Vec<u8>, width: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let end = text.len() + width;
    write(text);
    if text.len() < end {
        text.resize(end, b' ');
    }
}

fn right(text: &mut Vec<u8>, width: usize, value: u32) {
    let digits = value.checked_ilog10().unwrap_or(0) as usize + 1;
    text.resize(text.len() + width.saturating_sub(digits), b' ');
    decimal(u64::from(value), text);
}

/// `127.0.0.1:80`, `:::80`, `0.0.0.0:*`.
pub fn endpoint((address, port): (IpAddr, u16), to: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    to.push(b'.');
                }
                decimal(u64::from(octet), to);
            }
        }
        // Writing to memory cannot fail.
        IpAddr::V6(address) => drop(write!(to, "{address}")),
    }
    to.push(b':');
    if port == 0 { to.push(b'*') } else { decimal(u64::from(port), to) }
}

/// The state as net-tools has it: UDP's is blank until it is connected, raw's is a number.
pub fn state(protocol: &str, state: u8) -> &'static str {
    match (protocol.as_bytes().first(), state) {
        (Some(b'u'), CLOSE) => "",
        (Some(b'r'), CLOSE) => "7",
        _ => STATES.get(usize::from(state)).copied().unwrap_or("UNKNOWN"),
    }
}

/// The type of a Unix socket.
pub fn unix_type(kind: u8) -> &'static str {
    match i32::from(kind) {
        libc::SOCK_STREAM => "stream",
        libc::SOCK_DGRAM => "dgram",
        libc::SOCK_SEQPACKET => "seqpacket",
        libc::SOCK_RAW => "raw",
        _ => "unknown",
    }
}

/// The state of a Unix socket.
pub fn unix_state(state: u8) -> &'static str {
    match state {
        ESTABLISHED => "CONNECTED",
        LISTEN => "LISTENING",
        2 => "CONNECTING",
        _ => "",
    }
}

/// The name of a Unix socket: an abstract one begins with `@` in place of its NUL.
pub fn path(name: &[u8]) -> Vec<u8> {
    match name.split_first() {
        Some((0, rest)) => [b"@", rest].concat(),
        _ => name.split(|b| *b == 0).next().unwrap_or_default().to_vec(),
    }
}

fn user(uid: u32, shown: &Shown, to: &mut Vec<u8>) {
    let uid = shown.uids.inside(uid);
    match shown.users.user(uid) {
        Some(user) if !shown.numeric => to.extend_from_slice(escape(user.name.as_bytes()).as_bytes()),
        _ => decimal(u64::from(uid), to),
    }
}

fn program(holder: Option<Holder>, to: &mut Vec<u8>) {
    let shown = |name: &[u8], to: &mut Vec<u8>| {
        if name.iter().all(|b| matches!(b, 0x20..=0x7e)) {
            to.extend_from_slice(name);
        } else {
            to.extend_from_slice(escape(name).as_bytes());
        }
    };
    match holder {
        None => to.push(b'-'),
        Some(Holder::Inside(pid, name)) => {
            decimal(u64::from(pid.unsigned_abs()), to);
            to.push(b'/');
            shown(name, to);
        }
        Some(Holder::Elsewhere(Owner { pid, name, container })) => {
            shown(name, to);
            match container {
                Some(container) => {
                    to.extend_from_slice(b" in ");
                    shown(container.as_bytes(), to);
                }
                // Writing to memory cannot fail.
                None => drop(write!(to, " (process {pid} of the node)")),
            }
        }
    }
}

/// What a timer waits for.
pub fn timer_kind(kind: u8) -> &'static str {
    match kind {
        1 => "on",
        2 => "keepalive",
        3 => "timewait",
        4 => "probe",
        _ => "unknown",
    }
}

/// `keepalive (7174.50/0/0)`: seconds left, retransmissions, probes.
fn timer(timer: Option<Timer>, to: &mut Vec<u8>) {
    let Some(Timer { kind, expires, retransmits }) = timer else {
        return to.extend_from_slice(b"off (0.00/0/0)");
    };
    let (seconds, hundredths) = (expires / 1000, expires % 1000 / 10);
    // The kernel counts probes in the same field.
    let (retransmits, probes) = if matches!(kind, 2 | 4) { (0, retransmits) } else { (retransmits, 0) };
    drop(write!(to, "{} ({seconds}.{hundredths:02}/{retransmits}/{probes})", timer_kind(kind)));
}

/// A path for JSON, where there is one.
pub fn path_name(name: &[u8]) -> Option<Name> {
    (!name.is_empty()).then(|| Name::from(path(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_and_timers_as_net_tools_writes_them() {
        for (address, port, text) in [
            ("127.0.0.1", 80, "127.0.0.1:80"),
            ("::", 22, ":::22"),
            ("0.0.0.0", 0, "0.0.0.0:*"),
            ("fe80::1", 1, "fe80::1:1"),
        ] {
            let mut to = Vec::new();
            endpoint((address.parse().unwrap(), port), &mut to);
            assert_eq!(String::from_utf8(to).unwrap(), text);
        }
        for (at, text) in [
            (None, "off (0.00/0/0)"),
            (Some(Timer { kind: 2, expires: 7_174_509, retransmits: 3 }), "keepalive (7174.50/0/3)"),
            (Some(Timer { kind: 1, expires: 200, retransmits: 1 }), "on (0.20/1/0)"),
        ] {
            let mut to = Vec::new();
            timer(at, &mut to);
            assert_eq!(String::from_utf8(to).unwrap(), text);
        }
        assert_eq!(path(b"\0x\0y"), b"@x\0y");
        assert_eq!(
            (state("udp", 7), state("raw6", 7), state("tcp", 10), state("tcp", 99)),
            ("", "7", "LISTEN", "UNKNOWN")
        );
    }
}
