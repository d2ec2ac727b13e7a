//! `hosts-file`.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::net::IpAddr;

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::out::Name;
use crate::sys::open::{Refused, read_bounded};
use crate::sys::resolv;

pub const CHECK: Check = Check {
    id: "hosts-file",
    group: Group::Network,
    question: "Does /etc/hosts have localhost, and is every line valid?",
    is_slow: false,
    run: Run::Inside(run),
};

const PATH: &str = "/etc/hosts";

fn run(_: &Container) -> Vec<Found> {
    let fix = "the runtime writes it when a container is started; without one, put \"127.0.0.1 localhost\" into the image";
    let bytes = match read_bounded(OsStr::new(PATH), resolv::HOSTS_LIMIT) {
        Ok(bytes) => bytes,
        Err(Refused::Io(error)) if error.kind() == ErrorKind::NotFound => {
            let detail = "there is none: localhost is asked of a name server by some resolvers";
            return vec![Found::warn(detail).about(PATH).fix(fix)];
        }
        Err(Refused::Io(error)) => {
            let seen =
                format!("open {PATH}: {}", crate::out::fault::errno_text(error.raw_os_error().unwrap_or(0)));
            return vec![Found::warn("it can't be read").about(PATH).seen(seen).fix(fix)];
        }
        Err(Refused::Kind(kind)) => return vec![Found::fail(format!("it is {kind}")).about(PATH).fix(fix)],
    };
    let text = String::from_utf8_lossy(&bytes);
    let (mut local, mut wrong) = (None, Vec::new());
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        let names: Vec<&str> = words.collect();
        // A zone may follow an address.
        match first.split('%').next().unwrap_or_default().parse::<IpAddr>() {
            Ok(ip) if names.contains(&"localhost") => local = local.filter(IpAddr::is_loopback).or(Some(ip)),
            Ok(_) if !names.is_empty() => {}
            _ => wrong.push(line.trim().to_owned()),
        }
    }
    let mut found = Vec::new();
    match local {
        None => found.push(
            Found::warn("it does not know localhost: some resolvers ask a name server for it")
                .about(PATH)
                .fix(fix),
        ),
        Some(ip) if !ip.is_loopback() => found.push(
            Found::warn("localhost is not a loopback address")
                .about(PATH)
                .seen(format!("{ip} localhost"))
                .fix(fix),
        ),
        Some(_) => {}
    }
    for line in wrong.iter().take(3) {
        let detail = "a line is passed over: it has no address with a name";
        found.push(Found::note(detail).about(PATH).seen(Name::from(line.as_str()).spelled()));
    }
    found
}
