//! Routes and interfaces.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use super::super::{Fault, Result, Status, Watch};
use crate::out::name::escape;
use crate::out::table::{Head, NoRow, Table, ellipsis};
use crate::out::{Align, Name, Narrow, Output};
use crate::sys::netlink::{self, route};

/// Routes that are held.
const ROUTES: usize = 1_000_000;
/// Interfaces that are held.
const LINKS: usize = 65_536;

/// A route as JSON. No gateway: the destination is on the link.
#[derive(Serialize)]
struct RouteRow {
    family: &'static str,
    destination: String,
    prefix: u8,
    gateway: Option<String>,
    flags: String,
    metric: u32,
    interface: Name,
}

/// An interface as JSON, counters in packets and bytes since it was made.
#[derive(Serialize)]
struct LinkRow {
    interface: Name,
    mtu: Option<u32>,
    address: Option<String>,
    flags: String,
    #[serde(flatten)]
    counters: route::Counters,
}

/// Prints the main routing table; of IPv4, unless `v6` asks for that or both.
pub fn routes(
    watch: &Watch,
    v4: bool,
    v6: bool,
    screen: Option<usize>,
    out: &mut Output<NoRow>,
) -> Result<Status> {
    let mut families = Vec::new();
    if v4 || !v6 {
        families.push(libc::AF_INET);
    }
    if v6 || out.is_json() && !v4 {
        families.push(libc::AF_INET6);
    }
    for family in families {
        let v6 = family == libc::AF_INET6;
        let routes = read_routes(watch, family)?;
        print_routes(&routes, v6, screen, out).map_err(Fault::output)?;
    }
    Ok(Status::OK)
}

/// Routes and the names of their interfaces: by netlink, else from procfs.
fn read_routes(watch: &Watch, family: i32) -> Result<Vec<(route::Route, Vec<u8>)>> {
    if let Some(socket) = &watch.route {
        let request = route::route_request(family as u8);
        let routes = netlink::collect(socket, route::RTM_GETROUTE, &request, ROUTES, route::route);
        let links = netlink::collect(socket, route::RTM_GETLINK, &route::link_request(), LINKS, route::link);
        if let (Ok(routes), Ok(links)) = (routes, links) {
            let name = |index| links.iter().find(|l| l.index == index).map(|l| l.name.clone());
            let named = routes.into_iter().filter(|r| r.table == route::TABLE_MAIN);
            return Ok(named
                .map(|r| (name(r.interface).unwrap_or_else(|| b"*".to_vec()), r))
                .map(|(n, r)| (r, n))
                .collect());
        }
    }
    let mut reader = watch.procfs().reader();
    let (name, routes) = if family == libc::AF_INET {
        ("/proc/net/route", reader.routes(watch.target))
    } else {
        ("/proc/net/ipv6_route", reader.routes6(watch.target))
    };
    match routes {
        // A kernel without IPv6.
        Err(nix::errno::Errno::ENOENT) if family == libc::AF_INET6 => Ok(Vec::new()),
        routes => routes.map_err(|e| Fault::errno("read", name, e)),
    }
}

/// U up, G by a gateway, H to a host, ! refused, D and M redirected, as route(8).
fn route_flags(route: &route::Route) -> String {
    const REDIRECT: u8 = 1;
    let host = if route.v6 { 128 } else { 32 };
    let refused = matches!(route.kind, 6..=9);
    [
        (if refused { '!' } else { 'U' }, true),
        ('G', route.gateway.is_some()),
        ('H', route.prefix == host),
        ('D', route.protocol == REDIRECT),
    ]
    .into_iter()
    .filter_map(|(letter, is)| is.then_some(letter))
    .collect()
}

fn print_routes(
    routes: &[(route::Route, Vec<u8>)],
    v6: bool,
    screen: Option<usize>,
    out: &mut Output<NoRow>,
) -> io::Result<()> {
    if out.is_json() {
        for (route, name) in routes {
            out.json(&RouteRow {
                family: if v6 { "inet6" } else { "inet" },
                destination: route.destination.to_string(),
                prefix: route.prefix,
                gateway: route.gateway.map(|g| g.to_string()),
                flags: route_flags(route),
                metric: route.metric,
                interface: Name::from(name.as_slice()),
            })?;
        }
        return Ok(());
    }
    let to = out.bytes();
    if screen.is_some() {
        return table_of_routes(routes, v6, screen, to);
    }
    if v6 {
        writeln!(to, "Kernel IPv6 routing table")?;
        writeln!(
            to,
            "{:<30} {:<26} {:<4} {:<6} {:<3} {:>4} Iface",
            "Destination", "Gateway", "Flags", "Metric", "Ref", "Use"
        )?;
    } else {
        writeln!(to, "Kernel IP routing table")?;
        writeln!(to, "Destination     Gateway         Genmask         Flags Metric Ref    Use Iface")?;
    }
    for (route, name) in routes {
        let (flags, name) = (route_flags(route), escape(name));
        if v6 {
            let (destination, gateway) =
                (format!("{}/{}", route.destination, route.prefix), gateway(route).to_string());
            writeln!(
                to,
                "{destination:<30} {gateway:<26} {flags:<5} {:<6} {:<3} {:>4} {name}",
                route.metric, 0, 0
            )?;
        } else {
            let (destination, gateway) = (route.destination.to_string(), gateway(route).to_string());
            let mask = mask(route).to_string();
            let metric = route.metric;
            writeln!(
                to,
                "{destination:<15} {gateway:<15} {mask:<15} {flags:<5} {metric:<6} {:<3} {:>6} {name}",
                0, 0
            )?;
        }
    }
    Ok(())
}

/// On the link where there is none.
fn gateway(route: &route::Route) -> IpAddr {
    let none = if route.v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    route.gateway.unwrap_or(none)
}

fn mask(route: &route::Route) -> Ipv4Addr {
    u32::MAX.checked_shl(32 - u32::from(route.prefix.min(32))).unwrap_or(0).into()
}

/// Routes for a terminal.
fn table_of_routes(
    routes: &[(route::Route, Vec<u8>)],
    v6: bool,
    screen: Option<usize>,
    to: &mut dyn io::Write,
) -> io::Result<()> {
    let title = if v6 { "Kernel IPv6 routing table" } else { "Kernel IP routing table" };
    writeln!(to, "{}", ellipsis(title, screen.unwrap_or(usize::MAX)))?;
    let address = if v6 { Narrow::shorten(16).keep("/") } else { Narrow::WHOLE };
    let mut columns = vec![("Destination", Align::Left, address), ("Gateway", Align::Left, address)];
    if !v6 {
        columns.push(("Genmask", Align::Left, Narrow::WHOLE));
    }
    columns.extend([
        ("Flags", Align::Left, Narrow::drop(4)),
        ("Metric", Align::Right, Narrow::drop(3)),
        // Not counted by kernels since 3.6.
        ("Ref", Align::Right, Narrow::drop(1)),
        ("Use", Align::Right, Narrow::drop(2)),
        ("Iface", Align::Left, Narrow::WHOLE),
    ]);
    let mut table = Table::new(&columns, screen);
    for (route, name) in routes {
        let mut cells = vec![route.destination.to_string(), gateway(route).to_string()];
        if v6 {
            cells[0] += &format!("/{}", route.prefix);
        } else {
            cells.push(mask(route).to_string());
        }
        let zero = || "0".to_owned();
        cells.extend([route_flags(route), route.metric.to_string(), zero(), zero(), escape(name)]);
        table.row(cells, to)?;
    }
    table.finish(to)
}

/// Prints interfaces and their counters: those that are up, or `all`.
pub fn interfaces(
    watch: &Watch,
    all: bool,
    screen: Option<usize>,
    out: &mut Output<NoRow>,
) -> Result<Status> {
    let links = watch.route.as_ref().and_then(|socket| {
        netlink::collect(socket, route::RTM_GETLINK, &route::link_request(), LINKS, route::link).ok()
    });
    // procfs does not say which are up.
    let (links, known) = match links {
        Some(links) => (links, true),
        None => {
            let links = watch.procfs().reader().links(watch.target);
            (links.map_err(|e| Fault::errno("read", "/proc/net/dev", e))?, false)
        }
    };
    let shown = links.iter().filter(|link| all || !known || link.flags & libc::IFF_UP as u32 != 0);
    print_interfaces(shown, known, screen, out).map_err(Fault::output)?;
    Ok(Status::OK)
}

fn print_interfaces<'a>(
    links: impl Iterator<Item = &'a route::Link>,
    known: bool,
    screen: Option<usize>,
    out: &mut Output<NoRow>,
) -> io::Result<()> {
    let is_json = out.is_json();
    let mut table = screen.map(|_| Table::new(&INTERFACES, screen));
    if !is_json {
        writeln!(out.bytes(), "{}", ellipsis("Kernel Interface table", screen.unwrap_or(usize::MAX)))?;
    }
    if !is_json && table.is_none() {
        let names = INTERFACES.map(|(name, ..)| name.to_owned());
        writeln!(out.bytes(), "{}", interface_line(&names))?;
    }
    for link in links {
        let flags = if known { link_flags(link.flags) } else { String::new() };
        if out.is_json() {
            let hex: Vec<_> = link.address.iter().take(32).map(|b| format!("{b:02x}")).collect();
            out.json(&LinkRow {
                interface: Name::from(link.name.as_slice()),
                mtu: known.then_some(link.mtu),
                address: (!hex.is_empty()).then(|| hex.join(":")),
                flags,
                counters: link.counters,
            })?;
            continue;
        }
        let c = &link.counters;
        let counters = [
            c.rx_packets,
            c.rx_errors,
            c.rx_dropped,
            c.rx_overruns,
            c.tx_packets,
            c.tx_errors,
            c.tx_dropped,
            c.tx_overruns,
        ];
        let or_dash = |text: String| if known { text } else { "-".to_owned() };
        let mut cells = vec![escape(&link.name), or_dash(link.mtu.to_string())];
        cells.extend(counters.map(|count| count.to_string()));
        cells.push(or_dash(flags));
        match &mut table {
            Some(table) => table.row(cells, out.bytes())?,
            None => writeln!(out.bytes(), "{}", interface_line(&cells))?,
        }
    }
    table.map_or(Ok(()), |mut table| table.finish(out.bytes()))
}

/// The columns of interfaces.
const INTERFACES: [Head; 11] = [
    ("Iface", Align::Left, Narrow::WHOLE),
    ("MTU", Align::Right, Narrow::drop(3)),
    ("RX-OK", Align::Right, Narrow::WHOLE),
    ("RX-ERR", Align::Right, Narrow::drop(7)),
    ("RX-DRP", Align::Right, Narrow::drop(5)),
    ("RX-OVR", Align::Right, Narrow::drop(1)),
    ("TX-OK", Align::Right, Narrow::drop(8)),
    ("TX-ERR", Align::Right, Narrow::drop(6)),
    ("TX-DRP", Align::Right, Narrow::drop(4)),
    ("TX-OVR", Align::Right, Narrow::drop(2)),
    ("Flg", Align::Left, Narrow::drop(9)),
];

/// The same in net-tools' widths.
fn interface_line(cells: &[String]) -> String {
    const WIDTHS: [usize; 11] = [15, 5, 8, 6, 6, 6, 8, 6, 6, 6, 0];
    let cells = cells.iter().zip(WIDTHS).enumerate().map(|(at, (cell, width))| match at {
        0 => format!("{cell:<width$}"),
        _ => format!("{cell:>width$}"),
    });
    cells.collect::<Vec<_>>().join(" ")
}

/// netdevice(7)'s flags as net-tools abbreviates them: `BMRU`.
fn link_flags(flags: u32) -> String {
    [
        (libc::IFF_ALLMULTI, 'A'),
        (libc::IFF_BROADCAST, 'B'),
        (libc::IFF_DEBUG, 'D'),
        (libc::IFF_LOOPBACK, 'L'),
        (libc::IFF_MULTICAST, 'M'),
        (libc::IFF_PROMISC, 'P'),
        (libc::IFF_NOARP, 'O'),
        (libc::IFF_POINTOPOINT, 'P'),
        (libc::IFF_SLAVE, 's'),
        (libc::IFF_MASTER, 'm'),
        (libc::IFF_RUNNING, 'R'),
        (libc::IFF_UP, 'U'),
    ]
    .into_iter()
    .filter_map(|(bit, letter)| (flags & bit as u32 != 0).then_some(letter))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_read_as_net_tools_writes_them() {
        assert_eq!(link_flags(0x1043), "BMRU");
        assert_eq!(link_flags(0x49), "LRU");
    }
}
