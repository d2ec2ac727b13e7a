//! Hosts, ports, times and files as they are typed.

use std::ffi::OsStr;
use std::net::Ipv6Addr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// Splits `host:port`, `[::1]:port`; the port is missing where it is empty.
///
/// # Errors
/// A sentence.
pub fn host_and_port(text: &[u8]) -> Result<(String, Option<u16>), String> {
    let text = std::str::from_utf8(text).map_err(|_| "the host is not ASCII".to_owned())?;
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) =
                rest.split_once(']').ok_or("the bracket of the IPv6 address is not closed")?;
            let (address, zone) = inner.split_once('%').map_or((inner, ""), |(a, z)| (a, z));
            if !zone.is_empty() {
                return Err("an IPv6 address with a zone is not supported".into());
            }
            let address: Ipv6Addr = address.parse().map_err(|_| "no IPv6 address in the brackets")?;
            (address.to_string(), port)
        }
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (host.to_ascii_lowercase(), port)
        }
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(
            digits.parse::<u16>().ok().filter(|p| *p != 0).ok_or("the port is not between 1 and 65535")?,
        ),
        _ if text.matches(':').count() > 1 => {
            return Err("an IPv6 address stands in brackets: [::1]".into());
        }
        _ => return Err("the port is not a number".into()),
    };
    check_host(&host)?;
    Ok((host, port))
}

fn check_host(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("the host is missing".into());
    }
    if !host.is_ascii() {
        return Err("names outside ASCII (IDN) are not supported, write it in its xn-- form".into());
    }
    if host.len() > 254 {
        return Err("the host is longer than 254 characters".into());
    }
    match host.bytes().find(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':'))) {
        Some(byte) => Err(format!("the host holds '{}'", byte.escape_ascii())),
        None => Ok(()),
    }
}

/// The node's file of a `@host:` word.
pub fn host_path(word: &OsStr) -> Option<&OsStr> {
    word.as_bytes().strip_prefix(b"@host:").map(OsStr::from_bytes)
}

/// A positive number of seconds, at most a year.
///
/// # Errors
/// A sentence.
pub fn seconds(text: &str) -> std::result::Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .filter(|s| *s > 0.0 && *s <= 31_536_000.0)
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "it is a positive number of seconds".to_owned())
}
