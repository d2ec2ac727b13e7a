//! `ip link` and `ip addr`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::net::IpAddr;

use serde::Serialize;

use super::names::{
    ADDRESS_MODES, HARDWARE, MODES, SCOPES, STATES, address_flags, hardware_address, known, link_flags, name,
    number,
};
use super::{ADDRESSES, Devices, Show, lost};
use crate::cmd::{Context, Fault, Result, Status};
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::out::{Name, Output};
use crate::sys::netlink::interface::{Address, Details, Interface};
use crate::sys::netlink::{self, interface, route};

/// Names of [`Details::limits`].
const LIMITS: [&str; 7] = [
    "numtxqueues",
    "numrxqueues",
    "gso_max_size",
    "gso_max_segs",
    "tso_max_size",
    "tso_max_segs",
    "gro_max_size",
];

/// Which interfaces are shown.
#[derive(Default)]
struct Filter {
    device: Option<u32>,
    is_up: bool,
    master: Option<u32>,
    kind: Option<String>,
    scope: Option<u32>,
}

impl Filter {
    fn parse(words: &[String], devices: &Devices, addresses: bool) -> Result<Self> {
        let mut filter = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value =
                || words.next().ok_or_else(|| Fault::usage(format!("a word is missing behind '{word}'")));
            match word.as_str() {
                "up" => filter.is_up = true,
                "master" => filter.master = Some(devices.index(value()?)?),
                "type" => filter.kind = Some(value()?.clone()),
                "scope" if addresses => {
                    let scope = value()?;
                    let wrong = || Fault::usage(format!("'{}' is not a scope", escape(scope.as_bytes())));
                    filter.scope = Some(number(SCOPES, scope).ok_or_else(wrong)?);
                }
                _ => {
                    let device = if word == "dev" { value()? } else { word };
                    if filter.device.replace(devices.index(device)?).is_some() {
                        return Err(Fault::usage("takes one interface"));
                    }
                }
            }
        }
        Ok(filter)
    }

    fn has(&self, link: &Interface) -> bool {
        self.device.is_none_or(|index| index == link.index)
            && (!self.is_up || link.flags & 1 != 0)
            && self.master.is_none_or(|master| link.master == Some(master))
            && self.kind.as_ref().is_none_or(|kind| link.kind.as_deref() == Some(kind.as_bytes()))
    }
}

/// An address as JSON.
#[derive(Serialize)]
struct AddressRow {
    family: &'static str,
    address: String,
    prefix: u8,
    peer: Option<String>,
    broadcast: Option<String>,
    scope: String,
    flags: Vec<String>,
    label: Option<Name>,
    valid_seconds: Option<u32>,
    preferred_seconds: Option<u32>,
}

/// An interface as JSON.
#[derive(Serialize)]
struct LinkRow {
    index: u32,
    interface: Name,
    link: Option<Name>,
    link_netnsid: Option<i32>,
    flags: Vec<String>,
    mtu: Option<u32>,
    qdisc: Option<Name>,
    master: Option<Name>,
    state: String,
    group: Option<String>,
    queue_length: u32,
    type_of_link: String,
    kind: Option<Name>,
    address: Option<String>,
    broadcast: Option<String>,
    alias: Option<Name>,
    other_names: Vec<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<Vec<AddressRow>>,
    rx_bytes: u64,
    rx_packets: u64,
    rx_errors: u64,
    rx_dropped: u64,
    rx_missed: u64,
    rx_multicast: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_errors: u64,
    tx_dropped: u64,
    tx_carrier: u64,
    collisions: u64,
}

/// Shows interfaces, with their addresses where `addresses` asks for that.
pub fn show(
    show: &Show,
    words: &[String],
    addresses: bool,
    cx: &Context,
    out: &mut Output<NoRow>,
) -> Result<Status> {
    let socket = super::socket(cx)?;
    let links = netlink::collect(
        socket,
        route::RTM_GETLINK,
        &route::link_request(),
        super::LINKS,
        interface::interface,
    )
    .map_err(|errno| Fault::errno("list", "interfaces", errno))?;
    let devices = Devices::of(&links);
    let filter = Filter::parse(words, &devices, addresses)?;
    let mut by_index: BTreeMap<u32, Vec<Address>> = BTreeMap::new();
    if addresses {
        let request = interface::address_request(show.family.unwrap_or(0));
        let all =
            netlink::collect(socket, interface::RTM_GETADDR, &request, ADDRESSES, interface::address_of)
                .map_err(|errno| Fault::errno("list", "addresses", errno))?;
        let wanted = |address: &Address| filter.scope.is_none_or(|scope| scope == u32::from(address.scope));
        for address in all.into_iter().filter(wanted) {
            by_index.entry(address.interface).or_default().push(address);
        }
    }
    let selective = addresses && (show.family.is_some() || filter.scope.is_some());
    for link in links.iter().filter(|link| filter.has(link)) {
        let own = by_index.get(&link.index).map(Vec::as_slice).unwrap_or_default();
        if selective && own.is_empty() {
            continue;
        }
        if out.is_json() {
            out.json(&row(link, &devices, addresses.then_some(own))).map_err(|e| lost(&e))?;
            continue;
        }
        let text = match () {
            () if show.is_brief => brief(show, link, &devices, addresses.then_some(own)),
            () if addresses && show.is_oneline => one_line(show, link, own),
            () => long(show, link, &devices, addresses.then_some(own)),
        };
        let text = if show.is_oneline && !show.is_brief && !addresses { joined(&text) } else { text };
        out.bytes().write_all(text.as_bytes()).map_err(|e: io::Error| lost(&e))?;
    }
    Ok(Status::OK)
}

/// Lines made one: `\` stands for each line's end.
fn joined(text: &str) -> String {
    format!("{}\n", text.trim_end_matches('\n').replace('\n', "\\"))
}

/// The interface and, behind an @, what it is linked to.
fn title(link: &Interface, devices: &Devices) -> String {
    let own = escape(&link.name);
    match (link.link, link.link_netnsid) {
        (Some(0), _) => format!("{own}@NONE"),
        (Some(index), Some(_)) => format!("{own}@if{index}"),
        (Some(index), None) => format!("{own}@{}", devices.name(index)),
        (None, _) => own,
    }
}

fn flags(link: &Interface, devices: &Devices) -> String {
    let mut flags = link_flags(link.flags);
    let below = link.link.filter(|index| *index != 0 && link.link_netnsid.is_none());
    if below.is_some_and(|index| devices.is_down(index)) {
        flags.push("M-DOWN".to_owned());
    }
    format!("<{}>", flags.join(","))
}

fn state(link: &Interface) -> String {
    known(STATES, link.state.into()).map_or_else(|| format!("{:#x}", link.state), str::to_owned)
}

fn group(group: u32) -> String {
    if group == 0 { "default".to_owned() } else { group.to_string() }
}

fn hardware(link: &Interface) -> String {
    known(HARDWARE, link.hardware.into()).map_or_else(|| format!("[{}]", link.hardware), str::to_owned)
}

fn address_of(link: &Interface) -> String {
    hardware_address(&link.address, link.hardware)
}

fn brief(show: &Show, link: &Interface, devices: &Devices, addresses: Option<&[Address]>) -> String {
    let mut text = show.paint.name(&format!("{:<16} ", title(link, devices)));
    text.push_str(&show.paint.state(&format!("{:<14} ", state(link))));
    match addresses {
        None => {
            if !link.address.is_empty() {
                text.push_str(&show.paint.hardware(&format!("{} ", address_of(link))));
            }
            _ = write!(text, "{} ", flags(link, devices));
        }
        Some(addresses) => addresses.iter().for_each(|address| _ = write!(text, "{} ", ends(show, address))),
    }
    text.push('\n');
    text
}

/// `10.0.0.1/24`, `10.0.0.1 peer 10.0.0.2/32`.
fn ends(show: &Show, address: &Address) -> String {
    let shown = |ip: IpAddr| show.paint.address(ip, &ip.to_string());
    let local = shown(address.local);
    match address.peer {
        Some(peer) => format!("{local} peer {}/{}", shown(peer), address.prefix),
        None => format!("{local}/{}", address.prefix),
    }
}

fn one_line(show: &Show, link: &Interface, addresses: &[Address]) -> String {
    let mut text = String::new();
    for address in addresses {
        let about = of_address(show, address);
        _ = write!(text, "{}: {}{}", link.index, escape(&link.name), joined(&about));
    }
    text
}

/// The lines of an address.
fn of_address(show: &Show, address: &Address) -> String {
    let v6 = address.local.is_ipv6();
    let mut text = format!("    {} {} ", if v6 { "inet6" } else { "inet" }, ends(show, address));
    if let Some(metric) = address.metric {
        _ = write!(text, "metric {metric} ");
    }
    if let Some(broadcast) = address.broadcast {
        _ = write!(text, "brd {}", show.paint.address(broadcast, &format!("{broadcast} ")));
    }
    if let Some(anycast) = address.anycast {
        _ = write!(text, "any {anycast} ");
    }
    _ = write!(text, "scope {} ", name(SCOPES, address.scope.into()));
    for flag in address_flags(address.flags, v6) {
        _ = write!(text, "{flag} ");
    }
    if let Some(label) = &address.label {
        text.push_str(&escape(label));
    }
    let seconds = |time: Option<u32>| time.map_or_else(|| "forever".to_owned(), |time| format!("{time}sec"));
    _ = writeln!(
        text,
        "\n       valid_lft {} preferred_lft {}",
        seconds(address.valid),
        seconds(address.preferred)
    );
    text
}

fn long(show: &Show, link: &Interface, devices: &Devices, addresses: Option<&[Address]>) -> String {
    let title = show.paint.name(&format!("{}: ", title(link, devices)));
    let mut text = format!("{}: {title}{} ", link.index, flags(link, devices));
    if let Some(mtu) = link.mtu {
        _ = write!(text, "mtu {mtu} ");
    }
    // iproute2 asks for interfaces of IPv6 another question, whose answer has less.
    let is_whole = addresses.is_none() || show.family != Some(libc::AF_INET6 as u8);
    if is_whole {
        if let Some(qdisc) = &link.qdisc {
            _ = write!(text, "qdisc {} ", escape(qdisc));
        }
        if let Some(master) = link.master {
            _ = write!(text, "master {} ", devices.name(master));
        }
    }
    _ = write!(text, "state {}", show.paint.state(&format!("{} ", state(link))));
    if addresses.is_none() {
        _ = write!(text, "mode {} ", name(MODES, link.mode.into()));
    }
    if let Some(number) = link.group.filter(|_| is_whole) {
        _ = write!(text, "group {} ", group(number));
    }
    if link.queue_length > 0 {
        _ = write!(text, "qlen {}", link.queue_length);
    }
    text.push('\n');
    if addresses.is_none() || show.family.is_none() {
        hardware_line(show, link, &mut text);
        if show.details {
            details(link, addresses.is_none(), &mut text);
        }
        text.push('\n');
    }
    if let Some(alias) = link.alias.as_ref().filter(|_| addresses.is_none()) {
        _ = writeln!(text, "    alias {}", escape(alias));
    }
    if addresses.is_none() && show.stats > 0 {
        counters(show, link, &mut text);
    }
    if is_whole {
        link.names.iter().for_each(|name| _ = writeln!(text, "    altname {}", escape(name)));
    }
    if let Some(addresses) = addresses {
        addresses.iter().for_each(|address| text.push_str(&of_address(show, address)));
        if show.stats > 0 {
            counters(show, link, &mut text);
        }
    }
    text
}

/// Limits, and what the interface is.
fn details(link: &Interface, with_mode: bool, text: &mut String) {
    let Details { promiscuity, all_multicast, least_mtu, most_mtu, address_mode, .. } = &link.details;
    let mut number = |before: &str, value: &Option<u32>| {
        value.iter().for_each(|value| _ = write!(text, "{before} {value} "));
    };
    number(" promiscuity", promiscuity);
    number(" allmulti", all_multicast);
    number("minmtu", least_mtu);
    number("maxmtu", most_mtu);
    if let Some(kind) = &link.kind {
        _ = write!(text, "\n    {} ", escape(kind));
    }
    if let Some(mode) = address_mode.filter(|_| with_mode) {
        _ = write!(text, "addrgenmode {} ", name(ADDRESS_MODES, mode.into()));
    }
    for (name, value) in LIMITS.iter().zip(link.details.limits) {
        value.iter().for_each(|value| _ = write!(text, "{name} {value} "));
    }
    for (name, value) in [("parentbus", &link.details.bus), ("parentdev", &link.details.device)] {
        value.iter().for_each(|value| _ = write!(text, "{name} {} ", escape(value)));
    }
}

fn hardware_line(show: &Show, link: &Interface, text: &mut String) {
    const POINTOPOINT: u32 = 0x10;
    let address = show.paint.hardware(&address_of(link));
    _ = write!(text, "    link/{} {address}", hardware(link));
    if !link.broadcast.is_empty() {
        let word = if link.flags & POINTOPOINT != 0 { "peer" } else { "brd" };
        let address = hardware_address(&link.broadcast, link.hardware);
        _ = write!(text, " {word} {}", show.paint.hardware(&address));
    }
    if !link.permanent.is_empty() && link.permanent != link.address {
        _ = write!(text, " permaddr {}", hardware_address(&link.permanent, link.hardware));
    }
    match link.link_netnsid {
        Some(id @ 0..) => _ = write!(text, " link-netnsid {id}"),
        Some(_) => text.push_str(" link-netnsid unknown"),
        None => {}
    }
}

/// The counters as columns, as wide as their widest number. Twice -s: the kinds of errors too.
fn counters(show: &Show, link: &Interface, text: &mut String) {
    const RX: [(&str, usize); 7] = [
        ("bytes", 2),
        ("packets", 0),
        ("errors", 4),
        ("dropped", 6),
        ("missed", 15),
        ("mcast", 8),
        ("compressed", 21),
    ];
    const TX: [(&str, usize); 7] = [
        ("bytes", 3),
        ("packets", 1),
        ("errors", 5),
        ("dropped", 7),
        ("carrier", 17),
        ("collsns", 9),
        ("compressed", 22),
    ];
    const RX_ERRORS: [(&str, usize); 5] =
        [("length", 10), ("crc", 12), ("frame", 13), ("fifo", 14), ("overrun", 11)];
    const TX_ERRORS: [(&str, usize); 5] =
        [("aborted", 16), ("fifo", 18), ("window", 20), ("heartbt", 19), ("transns", 24)];
    let value = |at: usize| link.counters.get(at).copied().unwrap_or(link.carrier_changes.into());
    // The titles of the widest table set the least widths.
    let mut widths = [10, 7, 6, 7, 7, 7, 10];
    let mut widen = |columns: &[(&str, usize)], from: usize| {
        for (width, (_, at)) in widths.iter_mut().skip(from).zip(columns) {
            *width = (*width).max(value(*at).to_string().len());
        }
    };
    widen(&RX, 0);
    widen(&TX, 0);
    if show.stats > 1 {
        widen(&RX_ERRORS, 1);
        widen(&TX_ERRORS, 1);
    }
    for (title, columns, errors) in [("RX", RX, RX_ERRORS), ("TX", TX, TX_ERRORS)] {
        let is_packed = value(columns[6].1) > 0;
        _ = write!(text, "    {title}: {:>1$}", columns[0].0, widths[0] - 4);
        for (at, (name, _)) in columns.iter().enumerate().skip(1) {
            let name = if at < 6 || is_packed { name } else { "" };
            _ = write!(text, " {name:>0$}", widths[at]);
        }
        text.push_str("\n    ");
        for (at, (_, counter)) in columns.iter().enumerate().take(if is_packed { 7 } else { 6 }) {
            _ = write!(text, "{:>1$} ", value(*counter), widths[at]);
        }
        text.push('\n');
        if show.stats > 1 {
            _ = write!(text, "    {title} errors:");
            for (at, (name, _)) in errors.iter().enumerate() {
                _ = write!(text, " {name:>0$}", widths[at + 1]);
            }
            _ = write!(text, "\n    {:1$}", "", widths[0] + 1);
            for (at, (_, counter)) in errors.iter().enumerate() {
                _ = write!(text, "{:>1$} ", value(*counter), widths[at + 1]);
            }
            text.push('\n');
        }
    }
}

fn row(link: &Interface, devices: &Devices, addresses: Option<&[Address]>) -> LinkRow {
    let filled = |bytes: &[u8]| (!bytes.is_empty()).then(|| hardware_address(bytes, link.hardware));
    let named = |name: &Option<Vec<u8>>| name.as_deref().map(Name::from);
    let counter = |at: usize| link.counters.get(at).copied().unwrap_or(0);
    LinkRow {
        index: link.index,
        interface: Name::from(link.name.as_slice()),
        link: link.link.filter(|index| *index != 0).map(|index| match link.link_netnsid {
            Some(_) => Name::from(format!("if{index}").as_str()),
            None => Name::from(devices.raw_name(index)),
        }),
        link_netnsid: link.link_netnsid,
        flags: link_flags(link.flags),
        mtu: link.mtu,
        qdisc: named(&link.qdisc),
        master: link.master.map(|index| Name::from(devices.raw_name(index))),
        state: state(link),
        group: link.group.map(group),
        queue_length: link.queue_length,
        type_of_link: hardware(link),
        kind: named(&link.kind),
        address: filled(&link.address),
        broadcast: filled(&link.broadcast),
        alias: named(&link.alias),
        other_names: link.names.iter().map(|name| Name::from(name.as_slice())).collect(),
        addresses: addresses.map(|all| all.iter().map(address_row).collect()),
        rx_bytes: counter(2),
        rx_packets: counter(0),
        rx_errors: counter(4),
        rx_dropped: counter(6),
        rx_missed: counter(15),
        rx_multicast: counter(8),
        tx_bytes: counter(3),
        tx_packets: counter(1),
        tx_errors: counter(5),
        tx_dropped: counter(7),
        tx_carrier: counter(17),
        collisions: counter(9),
    }
}

fn address_row(address: &Address) -> AddressRow {
    let v6 = address.local.is_ipv6();
    AddressRow {
        family: if v6 { "inet6" } else { "inet" },
        address: address.local.to_string(),
        prefix: address.prefix,
        peer: address.peer.map(|peer| peer.to_string()),
        broadcast: address.broadcast.map(|broadcast| broadcast.to_string()),
        scope: name(SCOPES, address.scope.into()),
        flags: address_flags(address.flags, v6),
        label: address.label.as_deref().map(Name::from),
        valid_seconds: address.valid,
        preferred_seconds: address.preferred,
    }
}
