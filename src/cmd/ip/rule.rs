//! `ip rule`.

use std::fmt::Write;
use std::net::IpAddr;

use nix::errno::Errno;
use serde::Serialize;

use super::names::{PROTOCOLS, TABLES, TYPES, name, number};
use super::{Show, lost};
use crate::cmd::{Context, Fault, Result, Status};
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::out::{Name, Output};
use crate::sys::netlink;
use crate::sys::netlink::rule::{
    INPUT_DETACHED, INVERT, OUTPUT_DETACHED, RTM_GETRULE, Rule, UNRESOLVED, request, rule,
};

/// Rules that are held.
const RULES: usize = 100_000;

/// FR_ACT_TO_TBL, FR_ACT_GOTO, FR_ACT_NOP; the others are types of routes.
const LOOKUP: u8 = 1;
const GOTO: u8 = 2;
const NOP: u8 = 3;

/// RTPROT_KERNEL.
const KERNEL: u8 = 2;

/// Which rules are shown.
#[derive(Default)]
struct Filter {
    priority: Option<u32>,
    table: Option<u32>,
    input: Option<String>,
    output: Option<String>,
}

impl Filter {
    fn parse(words: &[String]) -> Result<Self> {
        let mut filter = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let missing = || Fault::usage(format!("a word is missing behind '{}'", escape(word.as_bytes())));
            let mut value = || words.next().ok_or_else(missing);
            let wrong = |value: &str| Fault::usage(format!("'{}' is not a {word}", escape(value.as_bytes())));
            match word.as_str() {
                "pref" | "preference" | "priority" | "order" => {
                    let value = value()?;
                    filter.priority = Some(value.parse().map_err(|_| wrong(value))?);
                }
                "table" | "lookup" => {
                    let value = value()?;
                    filter.table = Some(number(TABLES, value).ok_or_else(|| wrong(value))?);
                }
                "iif" | "dev" => filter.input = Some(value()?.clone()),
                "oif" => filter.output = Some(value()?.clone()),
                word => {
                    let word = escape(word.as_bytes());
                    return Err(Fault::usage(format!(
                        "unknown word '{word}': it is pref, table, iif or oif"
                    )));
                }
            }
        }
        Ok(filter)
    }

    fn has(&self, rule: &Rule) -> bool {
        let is = |wanted: &Option<String>, name: &Option<Vec<u8>>| {
            wanted.as_ref().is_none_or(|wanted| name.as_deref() == Some(wanted.as_bytes()))
        };
        self.priority.is_none_or(|priority| priority == rule.priority)
            && self.table.is_none_or(|table| table == rule.table)
            && is(&self.input, &rule.input)
            && is(&self.output, &rule.output)
    }
}

/// A rule as JSON.
#[derive(Serialize)]
struct Row {
    family: &'static str,
    priority: u32,
    inverted: bool,
    from: Option<String>,
    to: Option<String>,
    input: Option<Name>,
    output: Option<Name>,
    mark: Option<String>,
    tos: u8,
    users: Option<(u32, u32)>,
    ip_protocol: Option<u8>,
    source_ports: Option<(u16, u16)>,
    destination_ports: Option<(u16, u16)>,
    action: String,
    table: Option<String>,
    goto: Option<u32>,
    protocol: Option<String>,
}

/// Shows rules.
pub fn show(show: &Show, words: &[String], cx: &Context, out: &mut Output<NoRow>) -> Result<Status> {
    let socket = super::socket(cx)?;
    let filter = Filter::parse(words)?;
    let families = match show.family {
        Some(family) => vec![family],
        None if out.is_json() => vec![libc::AF_INET as u8, libc::AF_INET6 as u8],
        None => vec![libc::AF_INET as u8],
    };
    for family in families {
        let rules = match netlink::collect(socket, RTM_GETRULE, &request(family), RULES, rule) {
            // A kernel without rules, or without IPv6.
            Err(Errno::EOPNOTSUPP) if show.family.is_none() => Vec::new(),
            rules => rules.map_err(|errno| Fault::errno("list", "rules", errno))?,
        };
        for rule in rules.iter().filter(|rule| filter.has(rule)) {
            let written = if out.is_json() {
                out.json(&row(rule))
            } else {
                out.bytes().write_all(text(show, rule).as_bytes())
            };
            written.map_err(|e| lost(&e))?;
        }
    }
    Ok(Status::OK)
}

/// `10.0.0.0/8`; none where nothing is asked for.
fn prefix(
    rule: &Rule,
    (address, bits): (Option<IpAddr>, u8),
    paint: impl Fn(IpAddr) -> String,
) -> Option<String> {
    let all = if rule.v6 { 128 } else { 32 };
    match address {
        Some(address) if bits == all => Some(paint(address)),
        Some(address) => Some(format!("{}/{bits}", paint(address))),
        None if bits > 0 => Some(format!("0/{bits}")),
        None => None,
    }
}

fn text(show: &Show, rule: &Rule) -> String {
    let paint = |address: IpAddr| show.paint.address(address, &address.to_string());
    let mut text = format!("{}:\t", rule.priority);
    if rule.flags & INVERT != 0 {
        text.push_str("not ");
    }
    _ = write!(text, "from {}", prefix(rule, rule.from, paint).as_deref().unwrap_or("all"));
    if let Some(to) = prefix(rule, rule.to, paint) {
        _ = write!(text, " to {to}");
    }
    if rule.tos != 0 {
        _ = write!(text, " tos {:#04x}", rule.tos);
    }
    if let Some(mark) = mark(rule) {
        _ = write!(text, " fwmark {mark}");
    }
    for (word, name, detached) in
        [("iif", &rule.input, INPUT_DETACHED), ("oif", &rule.output, OUTPUT_DETACHED)]
    {
        if let Some(name) = name {
            _ = write!(text, " {word} {}", show.paint.name(&escape(name)));
            if rule.flags & detached != 0 {
                text.push_str(" [detached]");
            }
        }
    }
    if rule.is_vrf {
        text.push_str(" lookup [l3mdev-table]");
    }
    if let Some((first, last)) = rule.users {
        _ = write!(text, " uidrange {first}-{last}");
    }
    if let Some(protocol) = rule.ip_protocol {
        _ = write!(text, " ipproto {}", name(IP_PROTOCOLS, protocol.into()));
    }
    for (word, ports) in [("sport", rule.source_ports), ("dport", rule.destination_ports)] {
        match ports {
            Some((first, last)) if first == last => _ = write!(text, " {word} {first}"),
            Some((first, last)) => _ = write!(text, " {word} {first}-{last}"),
            None => {}
        }
    }
    if let Some(tunnel) = rule.tunnel {
        _ = write!(text, " tun_id {tunnel}");
    }
    if rule.table != 0 {
        _ = write!(text, " lookup {}", name(TABLES, rule.table));
        if let Some(bits) = rule.suppressed_prefix {
            _ = write!(text, " suppress_prefixlength {bits}");
        }
        if let Some(group) = rule.suppressed_group {
            _ = write!(text, " suppress_ifgroup {group}");
        }
    }
    match rule.realms {
        Some(realms) if realms >> 16 == 0 => _ = write!(text, " realms {realms}"),
        Some(realms) => _ = write!(text, " realms {}/{}", realms >> 16, realms & 0xffff),
        None => {}
    }
    match (rule.action, rule.goto) {
        (LOOKUP, _) => {}
        (GOTO, Some(goto)) => {
            _ = write!(text, " goto {goto}");
            if rule.flags & UNRESOLVED != 0 {
                text.push_str(" [unresolved]");
            }
        }
        (GOTO, None) => text.push_str(" goto none"),
        (NOP, _) => text.push_str(" nop"),
        (action, _) => _ = write!(text, " {}", name(TYPES, action.into())),
    }
    if let Some(protocol) = rule.protocol.filter(|own| show.details || !matches!(*own, 0 | KERNEL)) {
        _ = write!(text, " proto {}", name(PROTOCOLS, protocol.into()));
    }
    text.push('\n');
    text
}

/// Protocols by the names that people write in rules.
const IP_PROTOCOLS: super::names::Names =
    &[(1, "icmp"), (6, "tcp"), (17, "udp"), (33, "dccp"), (58, "ipv6-icmp"), (132, "sctp"), (136, "udplite")];

fn mark(rule: &Rule) -> Option<String> {
    let (mark, mask) = rule.mark?;
    // As printf's %#x, which has no 0x before 0.
    let hex = |number: u32| if number == 0 { "0".to_owned() } else { format!("{number:#x}") };
    Some(if mask == u32::MAX { hex(mark) } else { format!("{}/{}", hex(mark), hex(mask)) })
}

fn row(rule: &Rule) -> Row {
    let named = |name: &Option<Vec<u8>>| name.as_deref().map(Name::from);
    let action = match rule.action {
        LOOKUP => "lookup".to_owned(),
        GOTO => "goto".to_owned(),
        NOP => "nop".to_owned(),
        other => name(TYPES, other.into()),
    };
    Row {
        family: if rule.v6 { "inet6" } else { "inet" },
        priority: rule.priority,
        inverted: rule.flags & INVERT != 0,
        from: prefix(rule, rule.from, |address| address.to_string()),
        to: prefix(rule, rule.to, |address| address.to_string()),
        input: named(&rule.input),
        output: named(&rule.output),
        mark: mark(rule),
        tos: rule.tos,
        users: rule.users,
        ip_protocol: rule.ip_protocol,
        source_ports: rule.source_ports,
        destination_ports: rule.destination_ports,
        action,
        table: (rule.table != 0).then(|| name(TABLES, rule.table)),
        goto: rule.goto,
        protocol: rule.protocol.map(|protocol| name(PROTOCOLS, protocol.into())),
    }
}
