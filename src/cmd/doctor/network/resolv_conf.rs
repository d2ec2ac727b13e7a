//! `resolv-conf`.

use std::ffi::OsStr;
use std::io::ErrorKind;

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::out::Name;
use crate::sys::open::{Refused, read_bounded};
use crate::sys::resolv::{self, Config};

pub const CHECK: Check = Check {
    id: "resolv-conf",
    group: Group::Network,
    question: "Do resolvers find name servers in /etc/resolv.conf, and take all that it says?",
    is_slow: false,
    run: Run::Inside(run),
};

const PATH: &str = "/etc/resolv.conf";
/// What libc reads of it, resolv.conf(5).
const SERVERS: usize = 3;
const OLD_SEARCH: usize = 6;

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
    let text = String::from_utf8_lossy(&bytes);
    let words = |name: &str| {
        text.lines()
            .map(|line| {
                line.split_ascii_whitespace()
                    .take_while(|word| !word.starts_with(['#', ';']))
                    .collect::<Vec<_>>()
            })
            .filter(|words| words.first() == Some(&name))
            .collect::<Vec<_>>()
    };
    let servers = words("nameserver");
    let good = |words: &Vec<&str>| words.get(1).is_some_and(|word| resolv::server(word).is_some());
    let mut found = Vec::new();
    for wrong in servers.iter().filter(|words| !good(words)) {
        let shown = Name::from(wrong.join(" ").as_str()).spelled();
        found.push(Found::warn("a nameserver line has no address").about(PATH).seen(shown).fix(fix));
    }
    if !servers.iter().any(good) {
        found.push(Found::warn(format!("it names no server: {none}")).about(PATH).fix(fix));
    }
    if servers.len() > SERVERS {
        let detail = format!("it names {} servers: only the first {SERVERS} are ever asked", servers.len());
        found.push(Found::note(detail).about(PATH).fix("leave out those that are not needed"));
    }
    let config = Config::parse(&bytes);
    if words("search").len() + words("domain").len() > 1 {
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
