//! Where programs that are linked with musl, or built by Go without cgo, find something else than those with glibc,
//! whose way the steps are. Measured with glibc 2.36, musl 1.2.3 and Go 1.19.

use std::net::IpAddr;

use crate::cmd::net::Names;
use crate::out::name::escape;
use crate::sys::dns::{Asked, Kind, Outcome, code_name};
use crate::sys::resolv::{Config, localhost};

/// A lookup as glibc does it, and what it found.
pub struct Lookup<'a> {
    /// The name as it was typed.
    pub typed: &'a str,
    /// The name that was found, or the last one that was asked for.
    pub by: &'a str,
    /// Its addresses.
    pub found: &'a [IpAddr],
    /// Every question.
    pub asked: &'a [Asked],
}

/// The differences, each with `; ` in front.
pub fn all(lookup: &Lookup, names: &Names, config: &Config) -> String {
    let local = localhost(lookup.typed).filter(|_| !lookup.asked.is_empty());
    let told = [
        local.map(|_| "curl, browsers and nsdbg's own http take loopback for it, and ask nobody".to_owned()),
        glibc_waits(lookup, config),
        musl(lookup, names, config),
        go(lookup, names, config),
    ];
    told.into_iter().flatten().map(|text| format!("; {text}")).collect()
}

/// The last outcome of each kind for one name.
fn outcomes<'a>(asked: &'a [Asked], name: &'a str) -> impl Iterator<Item = (Kind, &'a Outcome)> {
    [Kind::A, Kind::AAAA].into_iter().filter_map(move |kind| {
        let one = asked.iter().rev().find(|one| one.name == name && one.kind == kind)?;
        Some((kind, &one.outcome))
    })
}

/// glibc asks thrice for a kind that is never answered, in three ways, before it goes without.
fn glibc_waits(lookup: &Lookup, config: &Config) -> Option<String> {
    let mut silent =
        outcomes(lookup.asked, lookup.by).filter(|(_, outcome)| matches!(outcome, Outcome::Silent(_)));
    let (kind, _) = silent.next().filter(|_| !lookup.found.is_empty())?;
    let wait = 3 * config.timeout.as_secs();
    Some(format!("glibc waits {wait} s for {} before it goes without", kind.name()))
}

/// musl reads hosts first whatever nsswitch.conf says, does not search for names with `ndots` dots, and ends its search
/// at the first name that exists without an address, or that it has no good answer for, be it for one kind alone.
fn musl(lookup: &Lookup, names: &Names, config: &Config) -> Option<String> {
    let Lookup { typed, by, found, asked } = *lookup;
    let hosts = names.hosts.lookup(typed);
    if !hosts.is_empty() {
        let differs = hosts.iter().any(|ip| !found.contains(ip));
        return differs
            .then(|| format!("musl finds {} in /etc/hosts, which it always reads first", addresses(&hosts)));
    }
    if asked.is_empty() {
        return (found.is_empty())
            .then(|| "musl asks the name servers, whatever nsswitch.conf says".to_owned());
    }
    if found.is_empty() {
        return None;
    }
    if typed.matches('.').count() >= config.ndots && by != typed.trim_end_matches('.') {
        return Some(format!(
            "musl does not find it: it does not search for a name with {} or more dots",
            config.ndots
        ));
    }
    let mut before = None;
    for one in asked.iter().filter(|one| before.replace(one.name.as_str()) != Some(one.name.as_str())) {
        let name = one.name.as_str();
        let all: Vec<_> = outcomes(asked, name).collect();
        let is_any = |test: fn(&Outcome) -> bool| all.iter().find(|(_, outcome)| test(outcome));
        let shown = escape(name.as_bytes());
        if let Some((kind, outcome)) = is_any(Outcome::failed) {
            let what = match outcome {
                Outcome::Code(code) => code_name(*code),
                _ => "no answer".to_owned(),
            };
            return Some(format!("musl does not find it: it stops at {what} for {shown} {}", kind.name()));
        }
        if let Some((kind, _)) = is_any(|outcome| matches!(outcome, Outcome::NoName)) {
            if name == by {
                return Some(format!(
                    "musl does not find it: NXDOMAIN for {shown} {} ends that name",
                    kind.name()
                ));
            }
        } else if is_any(|outcome| matches!(outcome, Outcome::Addresses(_))).is_some() {
            return None;
        } else {
            return Some(format!(
                "musl does not find it: it stops at {shown}, which exists without an address"
            ));
        }
    }
    None
}

/// Go goes on with the search list whatever a server says, and passes over a dot behind a name in hosts.
fn go(lookup: &Lookup, names: &Names, config: &Config) -> Option<String> {
    let bare = lookup.typed.trim_end_matches('.');
    let hosts = names.hosts.lookup(bare);
    if bare != lookup.typed && !hosts.is_empty() {
        return Some(format!("Go finds {} in /etc/hosts: it passes over the dot", addresses(&hosts)));
    }
    let was_asked = |name: &String| lookup.asked.iter().any(|one| one.name == *name);
    let candidates = config.candidates(lookup.typed);
    let end = candidates.iter().position(|name| name == lookup.by).filter(|_| !lookup.found.is_empty());
    let skipped: Vec<String> = candidates
        .iter()
        .take(end.unwrap_or(candidates.len()))
        .filter(|name| !was_asked(name))
        .map(|name| escape(name.as_bytes()))
        .collect();
    let [first, more @ ..] = skipped.as_slice() else { return None };
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    (!lookup.asked.is_empty())
        .then(|| format!("Go asks for {first}{more} too, which glibc passes over after a failure"))
}

fn addresses(all: &[IpAddr]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
