//! Sockets, routes and interfaces from the text files of `PID/net`, where netlink cannot be asked.
//! They say less: no backlog of a listening socket, no timers, no owner of a Unix socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::errno::Errno;
use procfs_core::net::{InterfaceDeviceStatus, RouteEntries, TcpNetEntries, UdpNetEntries};
use procfs_core::{ExplicitSystemInfo, FromBufRead, FromBufReadSI};

use super::Reader;
use crate::sys::netlink::diag::{Inet, Unix};
use crate::sys::netlink::route::{Counters, Link, Route, TABLE_MAIN};

/// A file of sockets is read up to this: some 200,000 of them.
const LIMIT: usize = 32 << 20;

impl Reader<'_> {
    /// Sockets of `tcp`, `tcp6`, `udp`, `udp6`, `raw` or `raw6` as the network namespace of `pid` has them.
    ///
    /// # Errors
    /// What the kernel says; EINVAL where the file reads otherwise than the kernel writes it.
    pub fn inet(&mut self, pid: i32, protocol: &str) -> nix::Result<Vec<Inet>> {
        parse_inet(&self.net(pid, protocol)?, protocol.starts_with("udp"))
    }

    /// Unix sockets. By hand, since procfs-core drops the flags that tell a listening one, and cuts paths at spaces.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn unix(&mut self, pid: i32) -> nix::Result<Vec<Unix>> {
        Ok(parse_unix(&self.net(pid, "unix")?))
    }

    /// Routes of IPv4.
    ///
    /// # Errors
    /// As [`Reader::inet`].
    pub fn routes(&mut self, pid: i32) -> nix::Result<Vec<(Route, Vec<u8>)>> {
        parse_routes(&self.net(pid, "route")?)
    }

    /// Routes of IPv6, those of the local table left out.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn routes6(&mut self, pid: i32) -> nix::Result<Vec<(Route, Vec<u8>)>> {
        Ok(parse_routes6(&self.net(pid, "ipv6_route")?))
    }

    /// Interfaces with their counters; index, flags and MTU are 0.
    ///
    /// # Errors
    /// As [`Reader::inet`].
    pub fn links(&mut self, pid: i32) -> nix::Result<Vec<Link>> {
        parse_links(&self.net(pid, "dev")?)
    }

    /// A file of `PID/net`, whole lines of it.
    pub(super) fn net(&mut self, pid: i32, name: &str) -> nix::Result<Vec<u8>> {
        let mut text = self.read_all(pid, &format!("net/{name}"), LIMIT)?;
        let end = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        text.truncate(end);
        Ok(text)
    }
}

/// The sockets of a file `tcp`, `udp` or the like.
///
/// # Errors
/// EINVAL where it reads otherwise than the kernel writes it.
pub(crate) fn parse_inet(text: &[u8], is_udp: bool) -> nix::Result<Vec<Inet>> {
    let facts = ExplicitSystemInfo {
        boot_time_secs: 0,
        ticks_per_second: 100,
        page_size: 4096,
        is_little_endian: cfg!(target_endian = "little"),
    };
    let socket = |local: SocketAddr, remote: SocketAddr, state, recv_queue, send_queue, uid, inode| Inet {
        v6: local.is_ipv6(),
        state,
        local: (local.ip(), local.port()),
        remote: (remote.ip(), remote.port()),
        recv_queue,
        send_queue,
        backlog: None,
        uid,
        inode,
        timer: None,
        v6_only: None,
    };
    if is_udp {
        let all = UdpNetEntries::from_buf_read(text, &facts).map_err(|_| Errno::EINVAL)?;
        let each = |e: procfs_core::net::UdpNetEntry| {
            let state = e.state.to_u8();
            socket(e.local_address, e.remote_address, state, e.rx_queue, e.tx_queue, e.uid, e.inode)
        };
        return Ok(all.0.into_iter().map(each).collect());
    }
    let all = TcpNetEntries::from_buf_read(text, &facts).map_err(|_| Errno::EINVAL)?;
    let each = |e: procfs_core::net::TcpNetEntry| {
        let state = e.state.to_u8();
        socket(e.local_address, e.remote_address, state, e.rx_queue, e.tx_queue, e.uid, e.inode)
    };
    Ok(all.0.into_iter().map(each).collect())
}

/// The sockets of the file `unix`.
pub(crate) fn parse_unix(text: &[u8]) -> Vec<Unix> {
    text.split(|b| *b == b'\n').skip(1).filter_map(unix_line).collect()
}

/// The routes of the file `route`.
///
/// # Errors
/// As [`parse_inet`].
pub(crate) fn parse_routes(text: &[u8]) -> nix::Result<Vec<(Route, Vec<u8>)>> {
    let all = RouteEntries::from_buf_read(text).map_err(|_| Errno::EINVAL)?;
    let each = |e: procfs_core::net::RouteEntry| {
        let route = Route {
            v6: false,
            destination: IpAddr::V4(e.destination),
            prefix: u32::from(e.mask).count_ones() as u8,
            gateway: (e.gateway != Ipv4Addr::UNSPECIFIED).then_some(IpAddr::V4(e.gateway)),
            interface: 0,
            metric: e.metrics,
            table: TABLE_MAIN,
            kind: if e.flags & libc::RTF_REJECT == 0 { 1 } else { 7 },
            protocol: 0,
        };
        (route, e.iface.into_bytes())
    };
    Ok(all.0.into_iter().map(each).collect())
}

/// The routes of the file `ipv6_route`.
pub(crate) fn parse_routes6(text: &[u8]) -> Vec<(Route, Vec<u8>)> {
    text.split(|b| *b == b'\n').filter_map(route6_line).collect()
}

/// The interfaces of the file `dev`.
///
/// # Errors
/// As [`parse_inet`].
pub(crate) fn parse_links(text: &[u8]) -> nix::Result<Vec<Link>> {
    let all = InterfaceDeviceStatus::from_buf_read(text).map_err(|_| Errno::EINVAL)?;
    let each = |e: procfs_core::net::DeviceStatus| Link {
        name: e.name.into_bytes(),
        counters: Counters {
            rx_packets: e.recv_packets,
            tx_packets: e.sent_packets,
            rx_bytes: e.recv_bytes,
            tx_bytes: e.sent_bytes,
            rx_errors: e.recv_errs,
            tx_errors: e.sent_errs,
            rx_dropped: e.recv_drop,
            tx_dropped: e.sent_drop,
            rx_overruns: e.recv_fifo,
            tx_overruns: e.sent_fifo,
        },
        ..Link::default()
    };
    let mut links: Vec<Link> = all.0.into_values().map(each).collect();
    links.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(links)
}

/// `Num RefCount Protocol Flags Type St Inode Path`.
fn unix_line(line: &[u8]) -> Option<Unix> {
    const ACCEPTS: u64 = 0x1_0000;
    let mut rest = line.trim_ascii_start();
    let mut word = || {
        let end = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end)?;
        rest = after.trim_ascii_start();
        std::str::from_utf8(word).ok()
    };
    let (_, _, _) = (word()?, word()?, word()?);
    let flags = u64::from_str_radix(word()?, 16).ok()?;
    let kind = u8::from_str_radix(word()?, 16).ok()?;
    let state = u8::from_str_radix(word()?, 16).ok()?;
    let inode = word()?.parse().ok()?;
    let mut name = rest.to_vec();
    if let Some(first @ b'@') = name.first_mut() {
        *first = 0;
    }
    // As sock_diag: connected is 1, listening 10, else closed.
    let state = match state {
        3 => 1,
        _ if flags & ACCEPTS != 0 => 10,
        _ => 7,
    };
    Some(Unix { kind, state, inode, name, ..Unix::default() })
}

/// Destination, its length, source, its length, next hop, metric, references, use, flags, interface.
fn route6_line(line: &[u8]) -> Option<(Route, Vec<u8>)> {
    const LOCAL: u32 = 0x8000_0000;
    const REJECT: u32 = 0x200;
    let words: Vec<&str> = std::str::from_utf8(line).ok()?.split_ascii_whitespace().collect();
    let [destination, prefix, _, _, gateway, metric, _, _, flags, interface] = words.as_slice() else {
        return None;
    };
    let address = |hex: &str| u128::from_str_radix(hex, 16).ok().map(Ipv6Addr::from);
    let flags = u32::from_str_radix(flags, 16).ok()?;
    if flags & LOCAL != 0 {
        return None;
    }
    let gateway = address(gateway)?;
    let route = Route {
        v6: true,
        destination: IpAddr::V6(address(destination)?),
        prefix: u8::from_str_radix(prefix, 16).ok()?,
        gateway: (!gateway.is_unspecified()).then_some(IpAddr::V6(gateway)),
        interface: 0,
        metric: u32::from_str_radix(metric, 16).ok()?,
        table: TABLE_MAIN,
        kind: if flags & REJECT == 0 { 1 } else { 7 },
        protocol: 0,
    };
    Some((route, interface.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_lines() {
        let line = b"ffff888: 00000002 00000000 00010000 0001 01 4242 /run/a b.sock";
        let socket = unix_line(line).unwrap();
        assert_eq!((socket.kind, socket.state, socket.inode), (1, 10, 4242));
        assert_eq!(socket.name, b"/run/a b.sock");
        assert_eq!(unix_line(b"f: 3 0 0 2 3 7 @x").unwrap().name, b"\0x");
        for end in 0..line.len() {
            let _ = unix_line(&line[..end]);
        }
        assert_eq!(unix_line(b""), None);
    }

    #[test]
    fn routes_of_ipv6() {
        let line = b"fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0";
        let (route, name) = route6_line(line).unwrap();
        assert_eq!(
            (route.destination.to_string(), route.prefix, route.metric),
            ("fe80::".to_owned(), 64, 256)
        );
        assert_eq!((route.gateway, name.as_slice()), (None, &b"eth0"[..]));
        for end in 0..line.len() {
            let _ = route6_line(&line[..end]);
        }
    }
}
