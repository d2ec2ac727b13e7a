//! Addresses to a connection.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

use super::fail::{connect_status, status};
use crate::cmd::{Fault, Result};
use crate::out::fault::errno_text;
use crate::sys::socket;

/// Puts addresses without a route last.
pub fn sort_by_route(addresses: &mut [SocketAddr]) {
    if addresses.len() > 1 {
        addresses.sort_by_key(|address| socket::udp(*address).is_err());
    }
}

/// Connects to the first address that answers. While there are more, each gets half of the time that is left.
///
/// # Errors
/// 7, or 28 where the time was up, with each address and its cause.
pub fn connect_any(
    host: &str,
    addresses: &[SocketAddr],
    limit: Instant,
    say: &dyn Fn(&str),
) -> Result<(OwnedFd, SocketAddr)> {
    let mut failures: Vec<(SocketAddr, io::Error)> = Vec::new();
    for (at, address) in addresses.iter().enumerate() {
        let left = limit.saturating_duration_since(Instant::now());
        let last = at + 1 == addresses.len();
        let until = if last { limit } else { Instant::now() + left / 2 };
        match socket::tcp(*address, Some(until)) {
            Ok(fd) => {
                return Ok((fd, *address));
            }
            Err(error) => {
                say(&format!("connect {address}: {}", in_words(&error)));
                failures.push((*address, error));
            }
        }
    }
    let named = |address: &SocketAddr| {
        if address.ip().to_string() == host { address.to_string() } else { format!("{address} ({host})") }
    };
    Err(match failures.as_slice() {
        [(address, error)] if error.kind() == io::ErrorKind::TimedOut => {
            Fault::text("connect", named(address), "no answer in time").with_status(status::TIME)
        }
        [(address, error)] => Fault::io("connect", named(address), error).with_status(connect_status(error)),
        several => {
            let each: Vec<String> = several.iter().map(|(a, e)| format!("{a} {}", in_words(e))).collect();
            let status = several.last().map_or(status::CONNECT, |(_, error)| connect_status(error));
            Fault::text("connect", host, each.join(", ")).with_status(status)
        }
    })
}

fn in_words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(errno) => errno_text(errno),
        None if error.kind() == io::ErrorKind::TimedOut => "no answer in time".into(),
        None => error.to_string(),
    }
}
