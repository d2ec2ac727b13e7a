//! Sockets as lines, in net-tools' columns. In a pipe, and with -W, their widths are fixed, so that lines stream; what is
//! wider pushes its line. On a terminal they are a table that fits it.

use std::io::{self, Write};
use std::net::IpAddr;

use super::super::{Fault, Result};
use super::json::Row;
use super::sockets::{Holder, Socket, Wanted};
use super::{CLOSE, ESTABLISHED, LISTEN, STATES};
use crate::cmd::elsewhere::Owner;
use crate::out::name::escape;
use crate::out::table::{Head, NoRow, Table, ellipsis};
use crate::out::units::decimal;
use crate::out::{Align, Name, Narrow, Output};
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
    /// The columns of the terminal that lines must fit.
    pub screen: Option<usize>,
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
    table: Option<Table>,
    inet: bool,
    unix: bool,
    failed: Option<io::Error>,
}

impl<'a> Printer<'a> {
    pub fn new(shown: &'a Shown<'a>, out: &'a mut Output<NoRow>) -> Self {
        Self {
            shown,
            out,
            text: Vec::with_capacity(2 * FLUSH),
            table: None,
            inet: false,
            unix: false,
            failed: None,
        }
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
                Socket::Inet(..) => self.inet_header(),
                Socket::Unix(_) => self.unix_header(),
            }
            let written = match (&mut self.table, socket) {
                (Some(table), _) => table.row(cells(socket, holder, self.shown), &mut self.text),
                (None, Socket::Inet(protocol, socket)) => {
                    self.inet(protocol, socket, holder);
                    Ok(())
                }
                (None, Socket::Unix(socket)) => {
                    self.unix(socket, holder);
                    Ok(())
                }
            };
            written.and_then(|()| if self.text.len() < FLUSH { Ok(()) } else { self.flush() })
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
        self.end_table();
        let written = self.failed.take().map_or_else(|| self.flush(), Err);
        written.map_err(Fault::output)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.bytes().write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }

    /// Begins a table under a title, where lines must fit a terminal; whether it did.
    fn begin_table(&mut self, title: &str, columns: &[(bool, Head)]) -> bool {
        let Some(width) = self.shown.screen else { return false };
        self.end_table();
        let title = format!("{title} ({})", self.shown.scope);
        self.text.extend_from_slice(ellipsis(&title, width).as_bytes());
        self.text.push(b'\n');
        let shown: Vec<Head> = columns.iter().filter(|column| column.0).map(|column| column.1).collect();
        self.table = Some(Table::new(&shown, self.shown.screen));
        true
    }

    fn end_table(&mut self) {
        if let Some(mut table) = self.table.take() {
            // Writing to memory cannot fail.
            drop(table.finish(&mut self.text));
        }
    }

    fn inet_header(&mut self) {
        // Internet sockets come first; where Unix ones were printed, it is too late.
        if std::mem::replace(&mut self.inet, true) || self.unix {
            return;
        }
        let Shown { extend, program, timers, .. } = *self.shown;
        let address = Narrow::shorten(21).keep(":");
        let columns = [
            (true, ("Proto", Align::Left, Narrow::WHOLE)),
            (true, ("Recv-Q", Align::Right, Narrow::drop(2))),
            (true, ("Send-Q", Align::Right, Narrow::drop(1))),
            (true, ("Local Address", Align::Left, address)),
            (true, ("Foreign Address", Align::Left, address.or_drop(6))),
            (true, ("State", Align::Left, Narrow::WHOLE.or_drop(7))),
            (extend, ("User", Align::Left, Narrow::shorten(8).or_drop(4))),
            (extend, ("Inode", Align::Left, Narrow::drop(3))),
            (program, ("PID/Program name", Align::Left, Narrow::shorten(14))),
            (timers, ("Timer", Align::Left, Narrow::drop(5))),
        ];
        if self.begin_table("Active Internet connections", &columns) {
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
        let Shown { extend, program, .. } = *self.shown;
        let columns = [
            (true, ("Proto", Align::Left, Narrow::WHOLE.or_drop(4))),
            (true, ("Recv-Q", Align::Right, Narrow::drop(2))),
            (true, ("Send-Q", Align::Right, Narrow::drop(1))),
            (true, ("Type", Align::Left, Narrow::WHOLE.or_drop(6))),
            (true, ("State", Align::Left, Narrow::WHOLE.or_drop(7))),
            (true, ("I-Node", Align::Left, Narrow::drop(5))),
            (extend, ("User", Align::Left, Narrow::shorten(8).or_drop(3))),
            (program, ("PID/Program name", Align::Left, Narrow::shorten(14))),
            (true, ("Path", Align::Left, Narrow::shorten(16))),
        ];
        if self.begin_table("Active UNIX domain sockets", &columns) {
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

    fn inet(&mut self, protocol: &'static str, socket: &Inet, holder: Option<Holder>) {
        let text = &mut self.text;
        left(text, 5, |to| to.extend_from_slice(family(protocol, socket).as_bytes()));
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
            left(text, 10, |to| unix_user(socket, self.shown, to));
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

/// The cells of a socket's row, in the order of the headers.
fn cells(socket: &Socket, holder: Option<Holder>, shown: &Shown) -> Vec<String> {
    let Shown { extend, program: with_program, timers, .. } = *shown;
    let cell = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut text = Vec::new();
        write(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    let all = match socket {
        Socket::Inet(protocol, socket) => vec![
            (true, family(protocol, socket).to_owned()),
            (true, socket.recv_queue.to_string()),
            (true, socket.send_queue.to_string()),
            (true, cell(&|to| endpoint(socket.local, to))),
            (true, cell(&|to| endpoint(socket.remote, to))),
            (true, state(protocol, socket.state).to_owned()),
            (extend, cell(&|to| user(socket.uid, shown, to))),
            (extend, socket.inode.to_string()),
            (with_program, cell(&|to| program(holder, to))),
            (timers, cell(&|to| timer(socket.timer, to))),
        ],
        Socket::Unix(socket) => vec![
            (true, "unix".to_owned()),
            (true, socket.recv_queue.to_string()),
            (true, socket.send_queue.to_string()),
            (true, unix_type(socket.kind).to_ascii_uppercase()),
            (true, unix_state(socket.state).to_owned()),
            (true, socket.inode.to_string()),
            (extend, cell(&|to| unix_user(socket, shown, to))),
            (with_program, cell(&|to| program(holder, to))),
            (true, escape(&path(&socket.name))),
        ],
    };
    all.into_iter().filter_map(|(is_shown, cell)| is_shown.then_some(cell)).collect()
}

/// The protocol, as BSD's netstat names it where IPv4 comes in, too.
fn family(protocol: &'static str, socket: &Inet) -> &'static str {
    match protocol {
        "tcp6" if takes_both(socket) => "tcp46",
        "udp6" if takes_both(socket) => "udp46",
        protocol => protocol,
    }
}

fn unix_user(socket: &Unix, shown: &Shown, to: &mut Vec<u8>) {
    match socket.uid {
        Some(uid) => user(uid, shown, to),
        None => to.push(b'-'),
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
