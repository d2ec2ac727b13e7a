//! `ip`: interfaces, addresses, routes and neighbours, as iproute2 shows them.

mod link;
mod names;
mod neighbour;
mod paint;
mod route;
mod rule;
mod words;

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;

use super::{Command, Completion, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};
use crate::sys::netlink::interface::{Interface, interface};
use crate::sys::netlink::{self, route as rtnetlink};
use crate::takes::owned;

use paint::Paint;
use words::{Object, Verb};

/// Interfaces that are held.
const LINKS: usize = 65_536;
/// Addresses that are held.
const ADDRESSES: usize = 1_000_000;
/// What is said where the kernel's answer is not of one moment.
const CHANGED: &str = "it changed while it was read: lines may be missing or there twice";

/// Show interfaces, addresses, routes, rules and neighbours.
///
/// `ip addr`, `ip link`, `ip route`, `ip route get ADDRESS`, `ip rule`, `ip neigh`; each may be shortened. Asked of the kernel in
/// the container's network namespace, from outside; nothing is changed. addr and link take [dev] NAME, up, master NAME,
/// type KIND, addr scope SCOPE too; route takes table TABLE or all, dev, proto, scope, type, via, src, PREFIX, root,
/// match and exact PREFIX; route get takes from, dev, iif, mark, uid; rule takes pref, table, iif, oif; neigh takes dev, nud STATE, proxy. Tables,
/// protocols and groups have iproute2's built-in names: nobody's /etc/iproute2 is read.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Ip {
    /// IPv4 only.
    #[arg(short = '4')]
    v4: bool,
    /// IPv6 only.
    #[arg(short = '6', conflicts_with = "v4")]
    v6: bool,
    /// inet or inet6, as -4 and -6.
    #[arg(short, long, value_name = "FAMILY", value_parser = ["inet", "inet6"], conflicts_with_all = ["v4", "v6"])]
    family: Option<String>,
    /// A line each, in columns.
    #[arg(long, visible_alias = "br")]
    brief: bool,
    /// Counters too; twice, those of errors.
    #[arg(short, long, action = clap::ArgAction::Count)]
    stats: u8,
    /// More: the limits of interfaces, what is usual of routes and rules.
    #[arg(short, long)]
    details: bool,
    /// A line each, \ for line ends.
    #[arg(short, long)]
    oneline: bool,
    /// addr, link, route, rule or neigh, and what to show of it.
    #[arg(value_name = "OBJECT", add = Takes::Nothing)]
    words: Vec<OsString>,
}

/// Whether the words are about interfaces, or what each of them has.
fn is_of_devices(words: &[String]) -> bool {
    let object = words.iter().find(|word| !word.starts_with('-'));
    object.is_some_and(|object| ["a", "l", "n"].iter().any(|first| object.starts_with(first)))
}

/// How it is shown.
struct Show {
    /// AF_INET or AF_INET6, where one was asked for.
    family: Option<u8>,
    is_brief: bool,
    stats: u8,
    is_oneline: bool,
    details: bool,
    paint: Paint,
}

impl Command for Ip {
    type Row = NoRow;
    const PLACE: Place = Place::Watch;
    const NEEDS: Needs = Needs { netlink: true, ..Needs::NONE };
    const COLORS: bool = true;
    const REPLACES: &'static str = "iproute2 ip, ifconfig";
    const FIELDS: &'static [Field] = &[
        more("index", Kind::Number, "of an interface: its index"),
        field("interface", Kind::Text, "the interface; of a route or neighbour the one that it is on"),
        more("link", Kind::Text, "of an interface: the one below, or the other end"),
        more("link_netnsid", Kind::Number, "of an interface: the network namespace of link; -1 is unknown"),
        field("state", Kind::Text, "of an interface: UP, DOWN, …; of a neighbour: REACHABLE, STALE, …"),
        field("flags", Kind::List, "of each: words"),
        field("mtu", Kind::Bytes, "of an interface"),
        more("qdisc", Kind::Text, "of an interface: its queueing discipline"),
        more("master", Kind::Text, "of an interface: the one that it belongs to"),
        more("group", Kind::Text, "of an interface"),
        more("queue_length", Kind::Number, "of an interface: packets that may wait"),
        more("type_of_link", Kind::Text, "of an interface: ether, loopback, …"),
        more("kind", Kind::Text, "of an interface: veth, bridge, …"),
        field("address", Kind::Text, "of an interface: its hardware address"),
        more("broadcast", Kind::Text, "of an interface: its hardware's, or the peer's"),
        more("alias", Kind::Text, "of an interface: what was written down about it"),
        more("other_names", Kind::List, "of an interface"),
        field(
            "addresses",
            Kind::Object,
            "with addr: family, address, prefix, peer, broadcast, scope, flags, label, valid_seconds, \
             preferred_seconds; no seconds are for ever",
        ),
        more("rx_bytes", Kind::Bytes, "of an interface: received"),
        more("rx_packets", Kind::Number, "received"),
        more("rx_errors", Kind::Number, "received and broken"),
        more("rx_dropped", Kind::Number, "received and dropped"),
        more("rx_missed", Kind::Number, "lost since the device's queue was full"),
        more("rx_multicast", Kind::Number, "received for many"),
        more("tx_bytes", Kind::Bytes, "sent"),
        more("tx_packets", Kind::Number, "sent"),
        more("tx_errors", Kind::Number, "not sent"),
        more("tx_dropped", Kind::Number, "dropped before they were sent"),
        more("tx_carrier", Kind::Number, "lost without a carrier"),
        more("collisions", Kind::Number, "collisions"),
        more("family", Kind::Text, "of a route: inet or inet6"),
        more("type_of_route", Kind::Text, "of a route: unicast, local, unreachable, …"),
        field("destination", Kind::Text, "of a route or a neighbour"),
        field("prefix", Kind::Number, "of a route: how many bits of the destination count"),
        more("from", Kind::Text, "of a route: for packets from there"),
        field("gateway", Kind::Text, "of a route; null is on the link"),
        more("table", Kind::Text, "of a route"),
        more("protocol", Kind::Text, "of a route or a neighbour: who made it"),
        more("scope", Kind::Text, "of a route"),
        field("source", Kind::Text, "of a route: the address that is taken as source"),
        field("metric", Kind::Number, "of a route: lower is preferred"),
        more("metrics", Kind::Object, "of a route: mtu, advmss, …; times in milliseconds"),
        more("expires_seconds", Kind::Seconds, "of a route"),
        more("preference", Kind::Text, "of a route of IPv6: low, medium, high"),
        more("nexthops", Kind::Object, "of a route with several: gateway, interface, weight, flags"),
        field("priority", Kind::Number, "of a rule: lower comes first"),
        more("inverted", Kind::Flag, "of a rule: it is for packets that it does not match"),
        field("to", Kind::Text, "of a rule: for packets to there"),
        more("input", Kind::Text, "of a rule: for packets that came by this interface"),
        more("output", Kind::Text, "of a rule: for sockets that are bound to this interface"),
        more(
            "mark",
            Kind::Text,
            "of a rule: for packets with this firewall mark, and which bits of it count",
        ),
        more("tos", Kind::Number, "of a rule: for packets with this type of service"),
        more("users", Kind::List, "of a rule: for sockets of these users, the first and the last"),
        more("ip_protocol", Kind::Number, "of a rule: for packets of this protocol"),
        more("source_ports", Kind::List, "of a rule: for packets from these ports, the first and the last"),
        more("destination_ports", Kind::List, "of a rule: for packets to these ports"),
        field("action", Kind::Text, "of a rule: lookup, goto, nop, blackhole, …"),
        more("goto", Kind::Number, "of a rule: where the rules go on"),
        field("link_address", Kind::Text, "of a neighbour: its hardware address"),
        more("probes", Kind::Number, "of a neighbour: questions that were sent"),
        more("used_seconds", Kind::Seconds, "of a neighbour: since it was used"),
        more("confirmed_seconds", Kind::Seconds, "of a neighbour: since it answered"),
        more("updated_seconds", Kind::Seconds, "of a neighbour: since it changed"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "ip a", what: "interfaces and addresses" },
        Example { line: "ip -br link", what: "interfaces, a line each" },
        Example { line: "ip route show table all", what: "every route" },
        Example { line: "ip route get 127.0.0.1", what: "which route is taken" },
        Example { line: "ip rule", what: "which routing table is taken when" },
        Example { line: "ip neigh", what: "who was seen on the link" },
    ];

    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        words::rewrite(args)
    }

    fn complete(at: &Completion) -> Option<Takes> {
        Some(match (at.operands, at.words.last().map(String::as_str)) {
            (0, _) => Takes::Words(|| owned(["addr", "link", "route", "rule", "neigh"])),
            (_, Some("dev" | "master" | "oif" | "iif")) => Takes::Interface,
            (_, Some("table" | "scope" | "proto" | "get" | "via" | "from" | "to")) => Takes::Nothing,
            // `ip link show NAME`, and neighbours alike; a route takes a prefix there.
            (_, Some("show" | "list" | "ls")) if is_of_devices(at.words) => {
                Takes::Any(&[Takes::Interface, Takes::Words(|| owned(["dev", "up", "master"]))])
            }
            (1, _) => Takes::Words(|| owned(["show", "get"])),
            _ => Takes::Words(|| owned(["dev", "table", "up", "master", "scope", "proto"])),
        })
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let (object, verb, words) = words::parse(&self.words)?;
        let v6 = self.v6 || self.family.as_deref() == Some("inet6");
        let family =
            (v6 || self.v4 || self.family.is_some())
                .then_some(if v6 { libc::AF_INET6 } else { libc::AF_INET } as u8);
        let show = Show {
            family,
            is_brief: self.brief,
            stats: self.stats,
            is_oneline: self.oneline,
            details: self.details,
            paint: Paint(cx.color),
        };
        match (object, verb) {
            (Object::Route, Verb::Get) => route::get(&show, &words, cx, out),
            (Object::Route, Verb::Show) => route::show(&show, &words, cx, out),
            (Object::Rule, _) => rule::show(&show, &words, cx, out),
            (Object::Neighbour, _) => neighbour::show(&show, &words, cx, out),
            (Object::Link, _) => link::show(&show, &words, false, cx, out),
            (Object::Address, _) => link::show(&show, &words, true, cx, out),
        }
    }
}

fn socket(cx: &Context) -> Result<&OwnedFd> {
    let socket = cx.watch.as_ref().and_then(|watch| watch.route.as_ref());
    socket.ok_or_else(|| Fault::text("open", "netlink", "the container's network namespace can't be asked"))
}

/// The target's user, as the node counts: rules of routing may ask for it.
fn user(cx: &Context) -> Option<u32> {
    let watch = cx.watch.as_ref()?;
    let mut reader = watch.procfs().reader();
    let status = String::from_utf8_lossy(reader.read(watch.target, "status", 1 << 16).ok()?).into_owned();
    // Real, effective, saved, and of the file system.
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn lost(error: &std::io::Error) -> Fault {
    Fault::io("write", "standard output", error)
}

/// Names of interfaces.
struct Devices {
    all: HashMap<u32, Device>,
}

struct Device {
    name: Vec<u8>,
    others: Vec<Vec<u8>>,
    hardware: u16,
    is_up: bool,
}

impl Devices {
    fn of(links: &[Interface]) -> Self {
        let device = |link: &Interface| Device {
            name: link.name.clone(),
            others: link.names.clone(),
            hardware: link.hardware,
            is_up: link.flags & 1 != 0,
        };
        Self { all: links.iter().map(|link| (link.index, device(link))).collect() }
    }

    fn read(socket: &OwnedFd) -> Result<Self> {
        let request = rtnetlink::link_request();
        netlink::collect(socket, rtnetlink::RTM_GETLINK, &request, LINKS, interface)
            .map(|links| Self::of(&links))
            .map_err(|errno| Fault::errno("list", "interfaces", errno))
    }

    /// The name of an index, `if7` where it is not known.
    fn raw_name(&self, index: u32) -> Vec<u8> {
        self.all.get(&index).map_or_else(|| format!("if{index}").into_bytes(), |device| device.name.clone())
    }

    fn name(&self, index: u32) -> String {
        escape(&self.raw_name(index))
    }

    fn hardware(&self, index: u32) -> u16 {
        self.all.get(&index).map_or(0, |device| device.hardware)
    }

    fn is_down(&self, index: u32) -> bool {
        self.all.get(&index).is_some_and(|device| !device.is_up)
    }

    /// The index of a name.
    fn index(&self, name: &str) -> Result<u32> {
        let is = |device: &Device| {
            device.name == name.as_bytes() || device.others.iter().any(|other| other == name.as_bytes())
        };
        let found = self.all.iter().find(|(_, device)| is(device)).map(|(index, _)| *index);
        found.ok_or_else(|| Fault::text("", name, "no such interface"))
    }
}
