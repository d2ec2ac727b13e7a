//! The words behind `ip`: objects and commands may be shortened as iproute2 lets.

use std::ffi::OsString;

use super::super::{Fault, Result};
use crate::out::name::escape;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// Interfaces with their addresses.
    Address,
    /// Interfaces.
    Link,
    /// Routes.
    Route,
    /// Neighbours.
    Neighbour,
    /// Rules of routing.
    Rule,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// All are shown.
    Show,
    /// One is looked up.
    Get,
}

/// iproute2's objects in its order: the first one that begins with what was typed is meant.
const OBJECTS: &[(&str, Option<Object>)] = &[
    ("address", Some(Object::Address)),
    ("addrlabel", None),
    ("maddress", None),
    ("route", Some(Object::Route)),
    ("rule", Some(Object::Rule)),
    ("neighbor", Some(Object::Neighbour)),
    ("neighbour", Some(Object::Neighbour)),
    ("ntable", None),
    ("link", Some(Object::Link)),
    ("macsec", None),
    ("tunnel", None),
    ("tuntap", None),
    ("tcp_metrics", None),
    ("monitor", None),
    ("xfrm", None),
    ("mroute", None),
    ("mrule", None),
    ("netns", None),
    ("netconf", None),
    ("vrf", None),
    ("nexthop", None),
];

/// What a word behind an object does.
#[derive(Clone, Copy)]
enum Does {
    Shows,
    Gets,
    Changes,
}

use Does::{Changes, Gets, Shows};

const ADDRESS: &[(&str, Does)] = &[
    ("add", Changes),
    ("change", Changes),
    ("chg", Changes),
    ("replace", Changes),
    ("delete", Changes),
    ("show", Shows),
    ("list", Shows),
    ("lst", Shows),
    ("flush", Changes),
];
const LINK: &[(&str, Does)] = &[
    ("add", Changes),
    ("set", Changes),
    ("change", Changes),
    ("replace", Changes),
    ("delete", Changes),
    ("show", Shows),
    ("list", Shows),
    ("lst", Shows),
    ("property", Changes),
];
const ROUTE: &[(&str, Does)] = &[
    ("list", Shows),
    ("show", Shows),
    ("lst", Shows),
    ("get", Gets),
    ("add", Changes),
    ("append", Changes),
    ("change", Changes),
    ("chg", Changes),
    ("delete", Changes),
    ("flush", Changes),
    ("prepend", Changes),
    ("replace", Changes),
];
const NEIGHBOUR: &[(&str, Does)] = &[
    ("add", Changes),
    ("append", Changes),
    ("change", Changes),
    ("chg", Changes),
    ("replace", Changes),
    ("delete", Changes),
    ("show", Shows),
    ("list", Shows),
    ("lst", Shows),
    ("flush", Changes),
];

const RULE: &[(&str, Does)] = &[
    ("list", Shows),
    ("lst", Shows),
    ("show", Shows),
    ("save", Changes),
    ("restore", Changes),
    ("add", Changes),
    ("delete", Changes),
    ("flush", Changes),
];

impl Object {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "addr",
            Self::Link => "link",
            Self::Route => "route",
            Self::Neighbour => "neigh",
            Self::Rule => "rule",
        }
    }

    fn verbs(self) -> &'static [(&'static str, Does)] {
        match self {
            Self::Address => ADDRESS,
            Self::Link => LINK,
            Self::Route => ROUTE,
            Self::Neighbour => NEIGHBOUR,
            Self::Rule => RULE,
        }
    }
}

/// Object, command, and the words behind.
///
/// # Errors
/// A usage fault: nothing is typed, there is no such object or command, or it would change something.
pub fn parse(words: &[OsString]) -> Result<(Object, Verb, Vec<String>)> {
    const KNOWN: &str = "it is addr, link, route, rule or neigh";
    let mut words = words.iter().map(|word| word.to_string_lossy().into_owned());
    let Some(object) = words.next() else {
        return Err(Fault::usage(format!("what to show is missing: {KNOWN}")));
    };
    let found = OBJECTS.iter().find(|(name, _)| !object.is_empty() && name.starts_with(&object));
    let object = match found {
        Some((_, Some(object))) => *object,
        Some((name, None)) => return Err(Fault::usage(format!("{name} is not shown: {KNOWN}"))),
        None => {
            let object = escape(object.as_bytes());
            return Err(Fault::usage(format!("there is no object '{object}': {KNOWN}")));
        }
    };
    let Some(verb) = words.next() else { return Ok((object, Verb::Show, Vec::new())) };
    let found = object.verbs().iter().find(|(name, _)| !verb.is_empty() && name.starts_with(&verb));
    let verb = match found {
        Some((_, Shows)) => Verb::Show,
        Some((_, Gets)) => Verb::Get,
        Some((name, Changes)) => {
            let name = format!("ip {} {name}", object.name());
            return Err(Fault::usage(format!("'{name}' would change the container: nsdbg only looks")));
        }
        None => {
            let verb = escape(verb.as_bytes());
            let known = if object == Object::Route { "show or get" } else { "show" };
            return Err(Fault::usage(format!("ip {} has no command '{verb}': it is {known}", object.name())));
        }
    };
    Ok((object, verb, words.collect()))
}

/// iproute2's options begin with one dash, stand before the object, and may be shortened: `-br`, `-stats`, `-4`.
pub fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
    // In iproute2's order; what clap knows them as.
    const OPTIONS: &[(&str, &str)] = &[
        ("color", "--color"),
        ("family", "--family"),
        ("details", "--details"),
        ("statistics", "--stats"),
        ("stats", "--stats"),
        ("oneline", "--oneline"),
        ("brief", "--brief"),
        ("json", "--json"),
    ];
    args.into_iter()
        .map(|arg| {
            let Some(word) = arg.to_str().and_then(|arg| arg.strip_prefix('-')) else { return arg };
            if let Some((name, when)) = word.split_once('=')
                && !name.is_empty()
                && "color".starts_with(name)
            {
                return format!("--color={when}").into();
            }
            let is_short = word == "br" || word.len() > 2 || matches!(word, "j" | "st" | "c" | "co" | "de");
            let found = OPTIONS.iter().find(|(name, _)| name.starts_with(word));
            match found {
                Some((_, option)) if is_short => (*option).into(),
                _ => arg,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn objects_and_commands_may_be_shortened() {
        use Object::{Address, Link, Neighbour, Route, Rule};
        for (line, object, verb) in [
            ("a", Address, Verb::Show),
            ("addr s", Address, Verb::Show),
            ("ad list", Address, Verb::Show),
            ("l", Link, Verb::Show),
            ("link sh", Link, Verb::Show),
            ("r", Route, Verb::Show),
            ("ro g 1.1.1.1", Route, Verb::Get),
            ("ru", Rule, Verb::Show),
            ("rule list", Rule, Verb::Show),
            ("n", Neighbour, Verb::Show),
            ("neighbour lst", Neighbour, Verb::Show),
        ] {
            let (found, did, _) = parse(&words(line)).unwrap();
            assert_eq!((found, did), (object, verb), "{line}");
        }
        for (line, said) in [
            ("", "what to show is missing"),
            ("ru d pref 5", "'ip rule delete' would change"),
            ("ma", "maddress is not shown"),
            ("zz", "no object 'zz'"),
            ("a add 1.1.1.1/8 dev lo", "'ip addr add' would change the container"),
            ("l s eth0 up", "'ip link set' would change"),
            ("r d default", "'ip route delete' would change"),
            ("n f", "'ip neigh flush' would change"),
            ("a eth0", "ip addr has no command 'eth0': it is show"),
        ] {
            assert!(parse(&words(line)).unwrap_err().to_string().contains(said), "{line}");
        }
    }

    #[test]
    fn long_options_have_one_dash() {
        let after =
            rewrite(words("-br -4 -s -stat -o -j -fam inet -brief --brief -x -c -c=auto -col -d -det"));
        let after: Vec<_> = after.iter().map(|w| w.to_str().unwrap()).collect();
        assert_eq!(
            after,
            [
                "--brief",
                "-4",
                "-s",
                "--stats",
                "-o",
                "--json",
                "--family",
                "inet",
                "--brief",
                "--brief",
                "-x",
                "--color",
                "--color=auto",
                "--color",
                "-d",
                "--details"
            ]
        );
    }
}
