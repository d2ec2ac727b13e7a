//! `netstat -s` and `netstat -g`.

use serde::Serialize;

use super::super::{Fault, Result, Status, Watch};
use super::Netstat;
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::out::{Name, Output};

/// A counter as JSON.
#[derive(Serialize)]
struct CounterRow<'a> {
    protocol: &'a str,
    name: &'a str,
    value: i128,
}

/// A membership as JSON.
#[derive(Serialize)]
struct GroupRow {
    interface: Name,
    group: String,
    references: u32,
}

/// Which options ask for a protocol's counters.
fn is_wanted(options: &Netstat, protocol: &str) -> bool {
    let is_v6 = protocol.ends_with('6');
    let family = !(options.v4 || options.v6) || if is_v6 { options.v6 } else { options.v4 };
    let kind = match protocol {
        "Tcp" | "TcpExt" | "MPTcpExt" => options.tcp,
        "Udp" | "UdpLite" | "Udp6" | "UdpLite6" => options.udp,
        _ => options.raw,
    };
    family && (kind || options.any_kind())
}

/// Prints counters by their protocols; those that are 0 only where all are asked for.
pub fn counters(options: &Netstat, watch: &Watch, out: &mut Output<NoRow>) -> Result<Status> {
    let mut reader = watch.procfs().reader();
    let all = reader.counters(watch.target).map_err(|errno| Fault::errno("read", "/proc/net/snmp", errno))?;
    let mut protocol = "";
    for counter in all.iter().filter(|counter| is_wanted(options, &counter.protocol)) {
        let is_shown = counter.value != 0 || options.all;
        let written = match (out.is_json(), protocol == counter.protocol) {
            (true, _) if is_shown => out.json(&CounterRow {
                protocol: &counter.protocol,
                name: &counter.name,
                value: counter.value,
            }),
            (false, false) => writeln!(out.bytes(), "{}:", escape(counter.protocol.as_bytes())),
            _ => Ok(()),
        };
        written.map_err(Fault::output)?;
        protocol = &counter.protocol;
        if is_shown && !out.is_json() {
            let name = escape(counter.name.as_bytes());
            writeln!(out.bytes(), "    {name}: {}", counter.value).map_err(Fault::output)?;
        }
    }
    Ok(Status::OK)
}

/// Prints memberships of multicast groups.
pub fn groups(options: &Netstat, watch: &Watch, out: &mut Output<NoRow>) -> Result<Status> {
    let mut reader = watch.procfs().reader();
    let all =
        reader.memberships(watch.target).map_err(|errno| Fault::errno("read", "/proc/net/igmp", errno))?;
    if !out.is_json() {
        out.bytes()
            .write_all(
                b"IPv6/IPv4 Group Memberships\n\
                Interface       RefCnt Group\n\
                --------------- ------ ---------------------\n",
            )
            .map_err(Fault::output)?;
    }
    let is_wanted = |v6: bool| !(options.v4 || options.v6) || if v6 { options.v6 } else { options.v4 };
    for member in all.iter().filter(|member| is_wanted(member.group.is_ipv6())) {
        let written = if out.is_json() {
            out.json(&GroupRow {
                interface: Name::from(member.interface.as_slice()),
                group: member.group.to_string(),
                references: member.references,
            })
        } else {
            let (interface, group) = (escape(&member.interface), member.group);
            writeln!(out.bytes(), "{interface:<15} {:<6} {group}", member.references)
        };
        written.map_err(Fault::output)?;
    }
    Ok(Status::OK)
}
