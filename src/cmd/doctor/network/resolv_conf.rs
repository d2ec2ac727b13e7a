//! `resolv-conf`.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::net::SocketAddr;

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::out::Name;
use crate::sys::open::{Refused, read_bounded};
use crate::sys::resolv::{self, Config};

pub const CHECK: Check = Check {
    id: "resolv-conf",
    group: Group::Network,
    question: "Does /etc/resolv.conf name servers, and do resolvers understand every line?",
    is_slow: false,
    run: Run::Inside(run),
};

const PATH: &str = "/etc/resolv.conf";
/// What libc reads of it, resolv.conf(5).
const SERVERS: usize = 3;
const OLD_SEARCH: usize = 6;

/// Whether it is an address that means nothing without an interface, and has none.
fn is_without_interface(server: &SocketAddr) -> bool {
    matches!(server, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0)
}

fn run(_: &Container) -> Vec<Found> {
    let none = "resolvers ask 127.0.0.1, where mostly nobody answers";
    let fix = "the runtime writes it: docker run --dns, the pod's dnsPolicy and dnsConfig";
    let bytes = match read_bounded(OsStr::new(PATH), resolv::LIMIT) {
        Ok(bytes) => bytes,
        Err(Refused::Io(error)) if error.kind() == ErrorKind::NotFound => {
            return vec![Found::warn(format!("there is none: {none}")).about(PATH).fix(fix)];
        }
        Err(Refused::Io(error)) => {
            let seen =
                format!("open {PATH}: {}", crate::out::fault::errno_text(error.raw_os_error().unwrap_or(0)));
            return vec![Found::warn(format!("it can't be read: {none}")).about(PATH).seen(seen).fix(fix)];
        }
        Err(Refused::Kind(kind)) => {
            return vec![Found::fail(format!("it is {kind}: {none}")).about(PATH).fix(fix)];
        }
    };
    let config = Config::parse(&bytes);
    let mut found = Vec::new();
    for (line, why) in &config.odd {
        let shown = Name::from(line.as_str()).spelled();
        found.push(Found::warn(format!("a line {}", why.text())).about(PATH).seen(shown).fix(fix));
    }
    if config.named == 0 {
        found.push(Found::warn(format!("it names no server: {none}")).about(PATH).fix(fix));
    }
    for server in config.servers.iter().filter(|server| is_without_interface(server)) {
        let detail = "a nameserver line has a link-local address without an interface of this container: nothing can be sent there";
        found.push(
            Found::warn(detail).about(PATH).seen(server.ip().to_string()).fix("write it as fe80::1%eth0"),
        );
    }
    if config.named > SERVERS {
        let detail = format!("it names {} servers: only the first {SERVERS} are ever asked", config.named);
        found.push(Found::note(detail).about(PATH).fix("leave out those that are not needed"));
    }
    let text = String::from_utf8_lossy(&bytes);
    let is_list = |line: &&str| {
        ["search ", "search\t", "domain ", "domain\t"].iter().any(|word| line.starts_with(word))
    };
    if text.lines().filter(is_list).count() > 1 {
        let detail = "it has several lines search and domain: only the last one counts";
        found.push(Found::note(detail).about(PATH).seen(config.search.join(" ")));
    }
    if config.search.len() > OLD_SEARCH {
        let detail =
            format!("its search list has {} domains: older resolvers take {OLD_SEARCH}", config.search.len());
        found.push(Found::note(detail).about(PATH).seen(config.search.join(" ")));
    }
    if found.is_empty() {
        let servers: Vec<String> = config.servers.iter().map(|server| server.ip().to_string()).collect();
        let seen = format!(
            "servers {}; search {}; ndots:{}",
            servers.join(" "),
            config.search.join(" "),
            config.ndots
        );
        found.push(Found::ok("it can be read").about(PATH).seen(seen));
    }
    found
}
