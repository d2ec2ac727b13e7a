//! `netstat`.

mod counters;
mod json;
mod sockets;
mod tables;
mod text;

pub use text::path as unix_path;

use std::time::Duration;

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};
use crate::sys::idmap::IdMap;

/// List sockets, routes, interfaces or counters of the container.
///
/// Asked of the kernel in the container's network namespace, from outside. Without -t, -u, -w, -x all four kinds;
/// without -a or -l those that are connected. Numbers are never looked up. Of a listening socket Recv-Q is how many
/// connections wait to be accepted, and Send-Q how many may. tcp46 and udp46 are sockets of IPv6 that take IPv4 too; tcp6
/// and udp6 that listen on :: do not. Users are the container's; an id that it does not map is
/// shown as the host counts it.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Netstat {
    /// TCP.
    #[arg(short)]
    tcp: bool,
    /// UDP.
    #[arg(short)]
    udp: bool,
    /// Raw.
    #[arg(short = 'w')]
    raw: bool,
    /// Unix.
    #[arg(short = 'x')]
    unix: bool,
    /// Listening sockets only: Recv-Q is how many connections wait, Send-Q how many may.
    #[arg(short)]
    listening: bool,
    /// Listening sockets too; with -i, interfaces that are down too; with -s, counters that are 0 too.
    #[arg(short)]
    all: bool,
    /// Users as numbers; addresses and ports always are.
    #[arg(short)]
    numeric: bool,
    /// PID and program that hold the socket; of another container of the pod, the program and the container.
    #[arg(short, long = "program")]
    program: bool,
    /// Owner and inode too.
    #[arg(short)]
    extend: bool,
    /// Timers too.
    #[arg(short = 'o')]
    timers: bool,
    /// IPv4 only.
    #[arg(short = '4')]
    v4: bool,
    /// IPv6 only.
    #[arg(short = '6')]
    v6: bool,
    /// Wide: on a terminal, too, nothing is shortened or left out.
    #[arg(short = 'W')]
    wide: bool,
    /// Sockets in these states, as `established,close-wait`.
    #[arg(long, value_name = "LIST", add = Takes::List(&Takes::Words(names_of_states)))]
    state: Option<String>,
    /// Sockets with this local or remote port.
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// The main routing table.
    #[arg(short, long, group = "table")]
    route: bool,
    /// Interfaces and their counters.
    #[arg(short, long, group = "table")]
    interfaces: bool,
    /// What the protocols have counted, by the kernel's names; with -t, -u, -w theirs alone.
    #[arg(short, long, group = "table")]
    statistics: bool,
    /// Multicast groups that interfaces are members of.
    #[arg(short, long, group = "table")]
    groups: bool,
    /// Again each second, until Ctrl-C.
    #[arg(short, long)]
    continuous: bool,
}

/// TCP's states as the kernel numbers them from 1, and as netstat writes them.
const STATES: [&str; 13] = [
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
    "SYN_RECV",
];
const ESTABLISHED: u8 = 1;
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

impl Command for Netstat {
    type Row = NoRow;
    const PLACE: Place = Place::Watch;
    const NEEDS: Needs = Needs { users: true, netlink: true, host: true, ..Needs::NONE };
    const REPLACES: &'static str = "net-tools netstat, ss";
    const TAKES: &'static str = "of nsdbg CAP_SYS_PTRACE, for -p";
    const FIELDS: &'static [Field] = &[
        field("proto", Kind::Text, "tcp, tcp6, udp, udp6, raw, raw6, unix"),
        field("state", Kind::Text, "LISTEN, ESTABLISHED, …"),
        field("local_address", Kind::Text, "its own address"),
        field("local_port", Kind::Number, "its own port"),
        field("remote_address", Kind::Text, "its peer's address"),
        field("remote_port", Kind::Number, "its peer's port; 0 is any"),
        more("v6_only", Kind::Flag, "of one of IPv6 that listens: whether it takes no connections of IPv4"),
        field("recv_queue", Kind::Number, "bytes not read yet; of a listening socket connections that wait"),
        field("send_queue", Kind::Number, "bytes not acknowledged yet"),
        more("backlog", Kind::Number, "of a listening socket: how many connections may wait"),
        more("uid", Kind::Number, "its owner, as the container counts"),
        more("user", Kind::Text, "the owner's name"),
        more("inode", Kind::Number, "its inode"),
        field("pid", Kind::Number, "with -p: a process that holds it"),
        field("program", Kind::Text, "with -p: that process's name"),
        more(
            "container",
            Kind::Text,
            "with -p: where that process is in another container, its name; else null",
        ),
        more(
            "node_pid",
            Kind::Number,
            "with -p: where that process is not in this container, its PID on the node",
        ),
        more("timer", Kind::Object, "kind, expires_seconds, retransmits"),
        field("path", Kind::Text, "of a unix socket"),
        more("type", Kind::Text, "of a unix socket: STREAM, DGRAM, SEQPACKET"),
        field("protocol", Kind::Text, "of a counter: Ip, Tcp, TcpExt, …"),
        field("name", Kind::Text, "of a counter, as the kernel has it: RetransSegs, …"),
        field("value", Kind::Number, "of a counter"),
        field("group", Kind::Text, "of a membership: the multicast address"),
        field("references", Kind::Number, "of a membership: how many ask for it"),
        field("family", Kind::Text, "of a route: inet or inet6"),
        field("destination", Kind::Text, "of a route"),
        field("prefix", Kind::Number, "of a route: how many bits of the destination count"),
        field("gateway", Kind::Text, "of a route; null is on the link"),
        field("interface", Kind::Text, "of a route or a membership, or the interface itself"),
        field("flags", Kind::Text, "of a route or an interface"),
        field("metric", Kind::Number, "of a route"),
        field("mtu", Kind::Bytes, "of an interface"),
        field("address", Kind::Text, "of an interface: its hardware address"),
        field("rx_packets", Kind::Number, "of an interface, as the next ones"),
        field("tx_packets", Kind::Number, "sent"),
        field("rx_bytes", Kind::Bytes, "received"),
        field("tx_bytes", Kind::Bytes, "sent"),
        field("rx_errors", Kind::Number, "received and broken"),
        field("tx_errors", Kind::Number, "not sent"),
        field("rx_dropped", Kind::Number, "received and dropped"),
        field("tx_dropped", Kind::Number, "dropped before they were sent"),
        more("rx_overruns", Kind::Number, "lost since the device's queue was full"),
        more("tx_overruns", Kind::Number, "lost since the device's queue was full"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "netstat -tlpn", what: "who listens where" },
        Example { line: "netstat -tan --state close-wait", what: "connections that were not closed" },
        Example { line: "netstat -r", what: "routes" },
        Example { line: "netstat -st", what: "what TCP has counted: RetransSegs, ListenOverflows" },
        Example { line: "netstat -i", what: "packets, errors and drops" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        loop {
            let status = self.list(cx, out)?;
            if !self.continuous {
                return Ok(status);
            }
            out.finish().map_err(Fault::output)?;
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

/// TCP's states as `--state` takes them.
fn names_of_states() -> Vec<String> {
    let mut all: Vec<String> =
        STATES.iter().skip(1).map(|name| name.to_ascii_lowercase().replace('_', "-")).collect();
    all.sort_unstable();
    all.dedup();
    all
}

impl Netstat {
    fn list(&self, cx: &Context, out: &mut Output<NoRow>) -> Result<Status> {
        let states = self.states()?;
        let Some(watch) = &cx.watch else {
            return Err(Fault::say("the container's network is not open to this command"));
        };
        let screen = cx.screen().filter(|_| !self.wide);
        if self.route {
            return tables::routes(watch, self.v4, self.v6, screen, out);
        }
        if self.statistics {
            return counters::counters(self, watch, out);
        }
        if self.groups {
            return counters::groups(self, watch, out);
        }
        if self.interfaces {
            return tables::interfaces(watch, self.all, screen, out);
        }
        let procfs = watch.procfs();
        let uids =
            procfs.reader().read(watch.target, "uid_map", 64 * 1024).map(IdMap::parse).unwrap_or_default();
        let kinds = sockets::Kinds {
            tcp: self.tcp || self.any_kind(),
            udp: self.udp || self.any_kind(),
            raw: self.raw || self.any_kind(),
            unix: self.unix || self.any_kind() && !self.v4 && !self.v6,
            v4: self.v4 || !self.v6,
            v6: self.v6 || !self.v4,
        };
        let wanted =
            sockets::Wanted { kinds, states, listening: self.listening, all: self.all, port: self.port };
        let shown = text::Shown {
            extend: self.extend,
            program: self.program,
            timers: self.timers,
            numeric: self.numeric,
            uids: &uids,
            users: cx.users(),
            screen,
            scope: match (self.state.is_some(), self.listening, self.all) {
                (true, ..) => "by state",
                (_, true, false) => "only servers",
                (_, _, true) => "servers and established",
                _ => "w/o servers",
            },
        };
        let notes = sockets::list(cx, watch, &procfs, &wanted, &shown, out)?;
        for note in notes {
            cx.note(&note);
        }
        Ok(Status::OK)
    }

    fn any_kind(&self) -> bool {
        !(self.tcp || self.udp || self.raw || self.unix)
    }

    /// The bits of the states that `--state` names.
    fn states(&self) -> Result<Option<u32>> {
        let Some(list) = &self.state else { return Ok(None) };
        let mut bits = 0;
        for word in list.split(',').filter(|word| !word.is_empty()) {
            let plain = |name: &str| name.to_ascii_lowercase().replace(['-', '_'], "");
            let wanted = match plain(word).as_str() {
                "synreceived" => "synrecv".to_owned(),
                "listening" => "listen".to_owned(),
                "closed" => "close".to_owned(),
                other => other.to_owned(),
            };
            let matching = STATES.iter().enumerate().skip(1).filter(|(_, name)| plain(name) == wanted);
            let named = matching.fold(0, |bits, (at, _)| bits | 1 << at);
            if named == 0 {
                let known = names_of_states().join(", ");
                let shown = crate::out::name::escape(word.as_bytes());
                return Err(Fault::usage(format!("unknown state '{shown}'; known are {known}")));
            }
            bits |= named;
        }
        Ok(Some(bits))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn states_are_known_by_their_names() {
        let states = |list| Netstat::parse_from(["netstat", "--state", list]).states();
        assert_eq!(states("established,LISTEN").unwrap(), Some(1 << 1 | 1 << 10));
        assert_eq!(states("syn-recv,close_wait").unwrap(), Some(1 << 3 | 1 << 12 | 1 << 8));
        assert!(states("open").unwrap_err().to_string().contains("unknown state 'open'"));
    }

    #[test]
    fn clusters_that_fingers_know_are_taken() {
        for cluster in ["-tulpn", "-plant", "-tan", "-anop", "-rn", "-in", "-tW46", "-st", "-gn", "-tc"] {
            assert!(Netstat::try_parse_from(["netstat", cluster]).is_ok(), "{cluster}");
        }
    }
}
