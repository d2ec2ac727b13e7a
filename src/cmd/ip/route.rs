//! `ip route`.

use std::fmt::Write;
use std::net::IpAddr;

use nix::errno::Errno;
use serde::Serialize;

use super::names::{
    CACHE_FLAGS, METRICS, PREFERENCES, PROTOCOLS, ROUTE_FLAGS, SCOPES, TABLES, TYPES, bits, known, name,
    number, prefix, same_bits,
};
use super::{Devices, Show, lost};
use crate::cmd::{Context, Fault, Result, Status};
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::out::{Name, Output};
use crate::sys::netlink::fib::{Hop, Question, RTM_F_CLONED, Route, route};
use crate::sys::netlink::route::{RTM_GETROUTE, TABLE_MAIN, route_request};
use crate::sys::netlink::{self, Dump};

/// RTPROT_BOOT: nothing was said about the protocol.
const BOOT: u8 = 3;
const UNICAST: u8 = 1;
/// The kernel's answer to a question was an error: iproute2's status.
const REFUSED: u8 = 2;

/// How a destination is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    /// The route's own destination.
    Exact,
    /// Routes within a prefix.
    Root,
    /// Routes that cover a prefix.
    Covers,
}

/// Which routes are shown, and what need not be said of each since it was asked for.
struct Filter {
    /// None is all.
    table: Option<u32>,
    device: Option<u32>,
    protocol: Option<u32>,
    scope: Option<u32>,
    kind: Option<u32>,
    via: Option<IpAddr>,
    source: Option<IpAddr>,
    destination: Option<(Match, Option<IpAddr>, u8)>,
}

impl Filter {
    fn parse(words: &[String], devices: &Devices) -> Result<Self> {
        let mut filter = Self {
            table: Some(TABLE_MAIN),
            device: None,
            protocol: None,
            scope: None,
            kind: None,
            via: None,
            source: None,
            destination: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let missing = || Fault::usage(format!("a word is missing behind '{}'", escape(word.as_bytes())));
            let mut value = || words.next().ok_or_else(missing);
            let known = |names, value: &String| {
                let wrong = || Fault::usage(format!("'{}' is not a {word}", escape(value.as_bytes())));
                number(names, value).ok_or_else(wrong)
            };
            match word.as_str() {
                "table" => {
                    let table = value()?;
                    filter.table = if table == "all" { None } else { Some(known(TABLES, table)?) };
                }
                "dev" | "oif" => filter.device = Some(devices.index(value()?)?),
                "proto" | "protocol" => filter.protocol = Some(known(PROTOCOLS, value()?)?),
                "scope" => filter.scope = Some(known(SCOPES, value()?)?),
                "type" => filter.kind = Some(known(TYPES, value()?)?),
                "via" => filter.via = Some(address(value()?)?),
                "src" => filter.source = Some(address(value()?)?),
                "to" => {}
                "root" => filter.destination = Some(destination(Match::Root, value()?)?),
                "match" => filter.destination = Some(destination(Match::Covers, value()?)?),
                "exact" => filter.destination = Some(destination(Match::Exact, value()?)?),
                _ => filter.destination = Some(destination(Match::Exact, word)?),
            }
        }
        Ok(filter)
    }

    /// The families to ask for: what was wanted, or said by an address; else IPv4, of all tables both.
    fn families(&self, wanted: Option<u8>) -> Vec<u8> {
        let said = self.destination.and_then(|(_, address, _)| address).or(self.via).or(self.source);
        match (wanted, said) {
            (Some(family), _) => vec![family],
            (None, Some(address)) if address.is_ipv6() => vec![libc::AF_INET6 as u8],
            (None, None) if self.table.is_none() => vec![libc::AF_INET as u8, libc::AF_INET6 as u8],
            _ => vec![libc::AF_INET as u8],
        }
    }

    fn has(&self, route: &Route) -> bool {
        let hops = || std::iter::once(&route.hop).chain(&route.hops);
        let destination = match self.destination {
            None => true,
            Some((Match::Exact, address, bits)) => address_is(route, address) && route.prefix == bits,
            Some((Match::Root, address, bits)) => {
                route.prefix >= bits && (bits == 0 || covers(address, route.destination, bits))
            }
            Some((Match::Covers, address, bits)) => {
                route.prefix <= bits
                    && (route.prefix == 0 || covers(address, route.destination, route.prefix))
            }
        };
        destination
            && route.flags & RTM_F_CLONED == 0
            && self.table.is_none_or(|table| table == route.table)
            && self.device.is_none_or(|device| hops().any(|hop| hop.interface == device))
            && self.protocol.is_none_or(|protocol| protocol == u32::from(route.protocol))
            && self.scope.is_none_or(|scope| scope == u32::from(route.scope))
            && self.kind.is_none_or(|kind| kind == u32::from(route.kind))
            && self.via.is_none_or(|via| hops().any(|hop| hop.gateway == Some(via)))
            && self.source.is_none_or(|source| route.source == Some(source))
    }
}

fn covers(a: Option<IpAddr>, b: Option<IpAddr>, bits: u8) -> bool {
    matches!((a, b), (Some(a), Some(b)) if same_bits(a, b, bits))
}

fn address_is(route: &Route, wanted: Option<IpAddr>) -> bool {
    let own = route.destination.filter(|own| !own.is_unspecified());
    own == wanted.filter(|wanted| !wanted.is_unspecified())
}

fn address(word: &str) -> Result<IpAddr> {
    word.parse().map_err(|_| Fault::usage(format!("'{}' is not an address", escape(word.as_bytes()))))
}

fn destination(how: Match, word: &str) -> Result<(Match, Option<IpAddr>, u8)> {
    let wrong =
        || Fault::usage(format!("'{}' is not a prefix, an address or default", escape(word.as_bytes())));
    prefix(word).map(|(address, bits)| (how, address, bits)).ok_or_else(wrong)
}

/// A next hop as JSON.
#[derive(Serialize)]
struct HopRow {
    gateway: Option<String>,
    interface: Option<Name>,
    weight: u32,
    flags: Vec<String>,
}

/// A route as JSON.
#[derive(Serialize)]
struct Row {
    family: &'static str,
    type_of_route: String,
    destination: String,
    prefix: u8,
    from: Option<String>,
    gateway: Option<String>,
    interface: Option<Name>,
    table: String,
    protocol: String,
    scope: String,
    source: Option<String>,
    metric: Option<u32>,
    flags: Vec<String>,
    metrics: serde_json::Map<String, serde_json::Value>,
    expires_seconds: Option<i32>,
    preference: Option<String>,
    nexthops: Vec<HopRow>,
}

/// Shows routes.
pub fn show(show: &Show, words: &[String], cx: &Context, out: &mut Output<NoRow>) -> Result<Status> {
    let socket = super::socket(cx)?;
    let devices = Devices::read(socket)?;
    let filter = Filter::parse(words, &devices)?;
    for family in filter.families(show.family) {
        let mut written = Ok(());
        let request = route_request(family);
        let ended = netlink::dump(socket, RTM_GETROUTE, &request, &mut Vec::new(), &mut |kind, body| {
            let Some(found) = route(kind, body).filter(|found| filter.has(found)) else { return };
            if written.is_ok() {
                written = print(show, &filter, &found, &devices, out);
            }
        });
        written.map_err(|e| lost(&e))?;
        match ended {
            Ok(Dump::Whole) => {}
            Ok(Dump::Interrupted) => cx.note(super::CHANGED),
            // A kernel without IPv6.
            Err(Errno::EOPNOTSUPP) if show.family.is_none() => {}
            Err(errno) => return Err(Fault::errno("list", "routes", errno)),
        }
    }
    Ok(Status::OK)
}

/// Looks up the route to an address, as the target's user would take it.
pub fn get(show: &Show, words: &[String], cx: &Context, out: &mut Output<NoRow>) -> Result<Status> {
    let socket = super::socket(cx)?;
    let devices = Devices::read(socket)?;
    let mut question = Question { uid: super::user(cx), ..Question::default() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let missing = || Fault::usage(format!("a word is missing behind '{}'", escape(word.as_bytes())));
        let mut value = || words.next().ok_or_else(missing);
        let digits = |value: &String| {
            let wrong = || Fault::usage(format!("'{}' is not a number", escape(value.as_bytes())));
            value.parse().map(Some).map_err(|_| wrong())
        };
        match word.as_str() {
            "to" => {}
            "from" => question.from = Some(address(value()?)?),
            "dev" | "oif" => question.output = Some(devices.index(value()?)?),
            "iif" => question.input = Some(devices.index(value()?)?),
            "mark" => question.mark = digits(value()?)?,
            "uid" => question.uid = digits(value()?)?,
            _ if question.to.is_none() => question.to = Some(address(word)?),
            _ => return Err(Fault::usage("takes one address")),
        }
    }
    let Some(to) = question.to else {
        return Err(Fault::usage("the address is missing: ip route get ADDRESS"));
    };
    if question.from.is_some_and(|from| from.is_ipv6() != to.is_ipv6()) {
        return Err(Fault::usage("both addresses are of one family"));
    }
    let found = netlink::ask(socket, RTM_GETROUTE, &question.request(), route)
        .map_err(|errno| Fault::errno("route to", to.to_string(), errno).with_status(REFUSED))?
        .ok_or_else(|| Fault::text("route to", to.to_string(), "no answer").with_status(REFUSED))?;
    let filter = Filter::parse(&[], &devices)?;
    print(show, &filter, &found, &devices, out).map_err(|e| lost(&e))?;
    Ok(Status::OK)
}

fn print(
    show: &Show,
    filter: &Filter,
    route: &Route,
    devices: &Devices,
    out: &mut Output<NoRow>,
) -> std::io::Result<()> {
    if out.is_json() {
        return out.json(&row(route, devices));
    }
    let text = text(show, filter, route, devices);
    let text = if show.is_oneline { text.replace('\n', "\\") } else { text };
    out.bytes().write_all(text.as_bytes())?;
    out.bytes().write_all(b"\n")
}

fn with_bits(address: Option<IpAddr>, bits: u8, all: u8) -> String {
    match address {
        Some(address) if bits == all => address.to_string(),
        Some(address) => format!("{address}/{bits}"),
        None if bits > 0 => format!("0/{bits}"),
        None => "default".to_owned(),
    }
}

fn text(show: &Show, filter: &Filter, route: &Route, devices: &Devices) -> String {
    let all = if route.v6 { 128 } else { 32 };
    let mut text = String::new();
    if route.kind != UNICAST || show.details {
        _ = write!(text, "{} ", name(TYPES, route.kind.into()));
    }
    let prefix = |address: Option<IpAddr>, bits| {
        let shown = format!("{} ", with_bits(address, bits, all));
        address.map_or_else(|| shown.clone(), |address| show.paint.address(address, &shown))
    };
    text.push_str(&prefix(route.destination, route.prefix));
    if let Some((from, bits)) = route.from {
        _ = write!(text, "from {}", prefix(from, bits));
    }
    if route.tos != 0 {
        _ = write!(text, "tos {:#04x} ", route.tos);
    }
    if let Some(object) = route.object {
        _ = write!(text, "nhid {object} ");
    }
    if filter.via.is_none() {
        gateway(show, &route.hop, route.v6, &mut text);
    }
    if route.hop.interface != 0 && filter.device.is_none() {
        _ = write!(text, "dev {}", show.paint.name(&format!("{} ", devices.name(route.hop.interface))));
    }
    let is_looked_up = route.flags & RTM_F_CLONED != 0;
    let is_asked_for = filter.table == Some(route.table) && !is_looked_up;
    if route.table != 0 && (route.table != TABLE_MAIN || show.details) && !is_asked_for {
        _ = write!(text, "table {} ", name(TABLES, route.table));
    }
    if !is_looked_up {
        if (route.protocol != BOOT || show.details) && filter.protocol.is_none() {
            _ = write!(text, "proto {} ", name(PROTOCOLS, route.protocol.into()));
        }
        if (route.scope != 0 || show.details) && filter.scope.is_none() {
            _ = write!(text, "scope {} ", name(SCOPES, route.scope.into()));
        }
    }
    if let Some(source) = route.source.filter(|_| filter.source.is_none()) {
        _ = write!(text, "src {}", show.paint.address(source, &format!("{source} ")));
    }
    if let Some(metric) = route.priority {
        _ = write!(text, "metric {metric} ");
    }
    bits(ROUTE_FLAGS, route.flags & SHOWN_FLAGS).iter().for_each(|flag| _ = write!(text, "{flag} "));
    match route.mark {
        Some(mark @ 16..) => _ = write!(text, "mark {mark:#x} "),
        Some(mark) if mark != 0 => _ = write!(text, "mark {mark} "),
        _ => {}
    }
    if let Some(uid) = route.uid {
        _ = write!(text, "uid {uid} ");
    }
    if route.flags & RTM_F_CLONED != 0 && !route.v6 {
        text.push_str("\n    cache ");
        let flags = bits(CACHE_FLAGS, route.flags & !0xffff);
        if !flags.is_empty() {
            _ = write!(text, "<{}> ", flags.join(","));
        }
    }
    if let Some(ticks) = route.expires {
        _ = write!(text, "expires {}sec ", ticks / 100);
    }
    if route.error != 0 && (route.flags & RTM_F_CLONED != 0 || route.expires.is_some()) {
        _ = write!(text, "error {} ", route.error);
    }
    metrics(route, &mut text);
    if let Some(input) = route.input {
        _ = write!(text, "iif {} ", devices.name(input));
    }
    if let Some(preference) = route.preference {
        _ = write!(text, "pref {}", name(PREFERENCES, preference.into()));
    }
    for hop in &route.hops {
        text.push_str("\n\tnexthop ");
        gateway(show, hop, route.v6, &mut text);
        _ = write!(text, "dev {} weight {} ", devices.name(hop.interface), hop.weight);
        bits(ROUTE_FLAGS, hop.flags & SHOWN_FLAGS).iter().for_each(|flag| _ = write!(text, "{flag} "));
    }
    text
}

/// The flags that have names in [`ROUTE_FLAGS`].
const SHOWN_FLAGS: u32 = 0xc17f;

fn gateway(show: &Show, hop: &Hop, v6: bool, text: &mut String) {
    let Some(gateway) = hop.gateway else { return };
    let family = if gateway.is_ipv6() && !v6 { "inet6 " } else { "" };
    _ = write!(text, "via {family}{}", show.paint.address(gateway, &format!("{gateway} ")));
}

fn metrics(route: &Route, text: &mut String) {
    for metric in &route.metrics {
        _ = write!(text, "{} ", name(METRICS, metric.kind.into()));
        if metric.locked {
            text.push_str("lock ");
        }
        match (&metric.text, metric.kind) {
            (Some(algorithm), _) => _ = write!(text, "{} ", escape(algorithm)),
            (None, 4 | 5 | 13) => {
                let milliseconds = milliseconds(metric.kind, metric.value);
                if milliseconds >= 1000 {
                    _ = write!(text, "{}s ", f64::from(milliseconds) / 1000.0);
                } else {
                    _ = write!(text, "{milliseconds}ms ");
                }
            }
            (None, 12) if metric.value & 1 != 0 => text.push_str("ecn "),
            (None, _) => _ = write!(text, "{} ", metric.value),
        }
    }
}

/// The kernel holds eighths of the round trip time, and quarters of its deviation.
fn milliseconds(kind: u16, value: u32) -> u32 {
    match kind {
        4 => value / 8,
        5 => value / 4,
        _ => value,
    }
}

fn row(route: &Route, devices: &Devices) -> Row {
    let interface = |index: u32| (index != 0).then(|| Name::from(devices.raw_name(index)));
    let any = if route.v6 { "::" } else { "0.0.0.0" };
    let all = if route.v6 { 128 } else { 32 };
    let mut metrics = serde_json::Map::new();
    for metric in &route.metrics {
        let value = match &metric.text {
            Some(text) => String::from_utf8_lossy(text).into(),
            None => milliseconds(metric.kind, metric.value).into(),
        };
        metrics.insert(name(METRICS, metric.kind.into()), value);
    }
    Row {
        family: if route.v6 { "inet6" } else { "inet" },
        type_of_route: name(TYPES, route.kind.into()),
        destination: route.destination.map_or_else(|| any.to_owned(), |address| address.to_string()),
        prefix: route.prefix,
        from: route.from.map(|(from, bits)| with_bits(from, bits, all)),
        gateway: route.hop.gateway.map(|gateway| gateway.to_string()),
        interface: interface(route.hop.interface),
        table: name(TABLES, route.table),
        protocol: name(PROTOCOLS, route.protocol.into()),
        scope: name(SCOPES, route.scope.into()),
        source: route.source.map(|source| source.to_string()),
        metric: route.priority,
        flags: bits(ROUTE_FLAGS, route.flags & SHOWN_FLAGS),
        metrics,
        expires_seconds: route.expires.map(|ticks| ticks / 100),
        preference: route.preference.map(|p| known(PREFERENCES, p.into()).unwrap_or("unknown").to_owned()),
        nexthops: route
            .hops
            .iter()
            .map(|hop| HopRow {
                gateway: hop.gateway.map(|gateway| gateway.to_string()),
                interface: interface(hop.interface),
                weight: hop.weight,
                flags: bits(ROUTE_FLAGS, hop.flags & SHOWN_FLAGS),
            })
            .collect(),
    }
}
