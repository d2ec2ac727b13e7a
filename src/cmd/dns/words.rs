//! What is typed, as dig reads it: names, types, `@SERVER` and `+options` in any order.

use std::net::IpAddr;
use std::time::Duration;

use crate::cmd::{Fault, Result, nearest_of};
use crate::out::name::escape;
use crate::sys::dns::{Class, Kind, Section};

/// The most questions of one line.
const MAX_QUESTIONS: usize = 256;

/// What is to be shown of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Show {
    /// The question, as a comment.
    pub question: bool,
    /// Records of these sections.
    pub sections: [bool; 3],
    /// The line of status and flags.
    pub comments: bool,
    /// The line of time, server and size.
    pub stats: bool,
}

impl Show {
    /// Whether records of this section are shown.
    pub fn section(self, section: Section) -> bool {
        self.sections[match section {
            Section::Answer => 0,
            Section::Authority => 1,
            Section::Additional => 2,
        }]
    }
}

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Names and what is asked of each.
    pub questions: Vec<(String, Kind)>,
    /// In which class.
    pub class: Class,
    /// `@SERVER`.
    pub server: Option<String>,
    /// Data of answers alone.
    pub short: bool,
    /// TCP from the start; none leaves it to resolv.conf.
    pub tcp: Option<bool>,
    /// Names go through the search list.
    pub search: bool,
    /// The server is to ask others.
    pub recursive: bool,
    /// How long each try may take.
    pub time: Option<Duration>,
    /// How often all servers are tried.
    pub tries: Option<u32>,
    /// What is shown.
    pub show: Show,
}

/// The `+options`: whether each takes a value.
const OPTIONS: [(&str, bool); 16] = [
    ("additional", false),
    ("all", false),
    ("answer", false),
    ("authority", false),
    ("comments", false),
    ("question", false),
    ("rdflag", false),
    ("recurse", false),
    ("retry", true),
    ("search", false),
    ("short", false),
    ("stats", false),
    ("tcp", false),
    ("time", true),
    ("tries", true),
    ("vc", false),
];

impl Wanted {
    /// Reads the words. `kind` is `-t`, `names` are those of `-q`, `reverse` the addresses of `-x`.
    ///
    /// # Errors
    /// A usage fault.
    pub fn parse(words: &[String], kind: Option<Kind>, names: &[String], reverse: &[String]) -> Result<Self> {
        let show = Show { question: false, sections: [true; 3], comments: true, stats: true };
        let mut wanted = Self {
            questions: Vec::new(),
            class: Class::In,
            server: None,
            short: false,
            tcp: None,
            search: false,
            recursive: true,
            time: None,
            tries: None,
            show,
        };
        // A type stands before the first name, for all, or behind the name that it is for.
        let mut all = kind;
        let mut typed: Vec<(&str, Option<Kind>)> = Vec::new();
        let mut bare = Vec::new();
        for word in words {
            match (word.strip_prefix('@'), word.strip_prefix('+')) {
                (Some(""), _) => return Err(Fault::usage("the server is missing: @SERVER")),
                (Some(server), _) => wanted.server = Some(server.to_owned()),
                (None, Some(option)) => wanted.option(option)?,
                (None, None) => bare.push(word.as_str()),
            }
        }
        let is_name = |word: &&str| Kind::parse(word).is_none() && Class::parse(word).is_none();
        if !bare.is_empty() && !bare.iter().any(is_name) && names.is_empty() && reverse.is_empty() {
            // Where every word could be a type, the first is a name: a host may be called mx.
            typed.push((bare.remove(0), None));
        }
        for word in bare {
            if let Some(class) = Class::parse(word) {
                wanted.class = class;
                continue;
            }
            match (Kind::parse(word), typed.last_mut()) {
                (None, Some(_)) if is_like_a_type(word) => {
                    return Err(Fault::usage(format!("{word} is not a record type"))
                        .with_hint(format!("TYPEn takes any number; -q {word} asks for a name like that")));
                }
                (Some(kind), Some((_, own @ None))) => *own = Some(kind),
                (Some(kind), None) => all = Some(kind),
                _ => typed.push((word, None)),
            }
        }
        typed.extend(names.iter().map(|name| (name.as_str(), None)));
        let default = all.unwrap_or(Kind::A);
        wanted.questions =
            typed.into_iter().map(|(name, own)| (name.to_owned(), own.unwrap_or(default))).collect();
        for address in reverse {
            wanted.questions.push((reversed(address)?, all.unwrap_or(Kind::PTR)));
        }
        if wanted.questions.iter().any(|(_, kind)| kind.is_transfer()) {
            return Err(Fault::usage("dns transfers no zones: AXFR and IXFR are not supported"));
        }
        match wanted.questions.len() {
            0 => Err(Fault::usage("the name is missing: dns NAME [TYPE] [@SERVER]")),
            count if count > MAX_QUESTIONS => {
                Err(Fault::usage(format!("more than {MAX_QUESTIONS} names at a time")))
            }
            _ => Ok(wanted),
        }
    }

    fn option(&mut self, word: &str) -> Result<()> {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let name = if name == "timeout" { "time" } else { name };
        let (plain, is_on) = match known(name) {
            None => match name.strip_prefix("no").and_then(known) {
                Some((plain, false)) => ((plain, false), false),
                _ => return Err(unknown(name)),
            },
            Some(found) => (found, true),
        };
        let number = |least: u32, most: u32| {
            value
                .and_then(|value| value.parse::<u32>().ok())
                .filter(|number| (least..=most).contains(number))
                .ok_or_else(|| Fault::usage(format!("+{}=N takes a number from {least} to {most}", plain.0)))
        };
        if value.is_some() && !plain.1 {
            return Err(Fault::usage(format!("+{} takes no value", plain.0)));
        }
        match plain.0 {
            "additional" => self.show.sections[2] = is_on,
            "authority" => self.show.sections[1] = is_on,
            "answer" => self.show.sections[0] = is_on,
            "comments" => self.show.comments = is_on,
            "question" => self.show.question = is_on,
            "stats" => self.show.stats = is_on,
            "all" => {
                self.show = Show { question: is_on, sections: [is_on; 3], comments: is_on, stats: is_on };
            }
            "short" => self.short = is_on,
            "search" => self.search = is_on,
            "recurse" | "rdflag" => self.recursive = is_on,
            "time" => self.time = Some(Duration::from_secs(u64::from(number(1, 300)?))),
            "tries" => self.tries = Some(number(1, 10)?),
            "retry" => self.tries = Some(number(0, 9)? + 1),
            _ => self.tcp = Some(is_on),
        }
        Ok(())
    }
}

/// The option with this name, or with a name that begins so and no other does.
fn known(name: &str) -> Option<(&'static str, bool)> {
    if let Some(found) = OPTIONS.iter().find(|(option, _)| *option == name) {
        return Some(*found);
    }
    let mut beginning = OPTIONS.iter().filter(|(option, _)| name.len() > 2 && option.starts_with(name));
    match (beginning.next(), beginning.next()) {
        (Some(found), None) => Some(*found),
        _ => None,
    }
}

/// Whether a word behind a name is rather a type than a second name: in capitals, without a dot.
fn is_like_a_type(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-')
}

fn unknown(name: &str) -> Fault {
    let fault = Fault::usage(format!("unknown option '+{}'", escape(name.as_bytes())));
    let plain = name.strip_prefix("no").unwrap_or(name);
    let no = if plain == name { "" } else { "no" };
    match nearest_of(plain, OPTIONS.iter().map(|(option, _)| *option)) {
        Some(near) => fault.with_hint(format!("did you mean +{no}{near}?")),
        None => {
            let all: Vec<&str> = OPTIONS.iter().map(|(option, _)| *option).collect();
            fault.with_hint(format!("known are {}", all.join(", ")))
        }
    }
}

/// The name under which an address has its name: RFC 1035 section 3.5, RFC 3596 section 2.5. Part of an IPv4 address
/// stands for its network.
fn reversed(address: &str) -> Result<String> {
    if let Ok(IpAddr::V6(ip)) = address.parse() {
        let nibbles = ip.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
        return Ok(nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa.");
    }
    let parts: Option<Vec<u8>> = address
        .split('.')
        .map(|part| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten())
        .collect();
    match parts {
        Some(parts) if (1..=4).contains(&parts.len()) => {
            Ok(parts.iter().rev().map(|part| format!("{part}.")).collect::<String>() + "in-addr.arpa.")
        }
        _ => Err(Fault::usage(format!("-x {}: not an address", escape(address.as_bytes())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Wanted> {
        let words: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
        Wanted::parse(&words, None, &[], &[])
    }

    #[test]
    fn words_come_in_any_order() {
        let kind = |name: &str| Kind::parse(name).unwrap();
        let one = |name: &str, type_: &str| vec![(name.to_owned(), kind(type_))];
        for (line, questions) in [
            ("a.b", one("a.b", "A")),
            ("a.b mx", one("a.b", "MX")),
            ("TXT a.b", one("a.b", "TXT")),
            ("@10.0.0.1 a.b +short IN ns", one("a.b", "NS")),
            ("mx", one("mx", "A")),
            ("a.b HTTPS", one("a.b", "HTTPS")),
            ("a.b type65280", one("a.b", "TYPE65280")),
            ("web WEB.test", vec![("web".into(), Kind::A), ("WEB.test".into(), Kind::A)]),
            ("WEB", one("WEB", "A")),
            ("mx mx", one("mx", "MX")),
            (
                "ns x y mx z",
                vec![("x".into(), kind("NS")), ("y".into(), kind("MX")), ("z".into(), kind("NS"))],
            ),
        ] {
            assert_eq!(parse(line).unwrap().questions, questions, "{line}");
        }
        assert_eq!(parse("CH TXT version.bind").unwrap().class, Class::Ch);
        let wanted = parse("a +noall +ans +notcp +time=2 +retry=0 @x").unwrap();
        assert_eq!(wanted.show.sections, [true, false, false]);
        assert!(!wanted.show.stats && !wanted.show.comments);
        assert_eq!((wanted.tcp, wanted.time), (Some(false), Some(Duration::from_secs(2))));
        assert_eq!((wanted.tries, wanted.server.as_deref()), (Some(1), Some("x")));
    }

    #[test]
    fn wrong_words_are_told() {
        for (line, words) in [
            ("", "the name is missing"),
            ("a @", "the server is missing"),
            ("a +shrt", "unknown option '+shrt' (did you mean +short?)"),
            ("a +noanwser", "(did you mean +noanswer?)"),
            ("a +dnssec", "unknown option '+dnssec' (known are additional"),
            ("a +notime", "unknown option '+notime'"),
            ("a +time=x", "+time=N takes a number from 1 to 300"),
            ("a +tries=0", "+tries=N takes a number from 1 to 10"),
            ("a +short=1", "+short takes no value"),
            (
                "web FOO",
                "FOO is not a record type (TYPEn takes any number; -q FOO asks for a name like that)",
            ),
            ("a axfr", "AXFR and IXFR are not supported"),
        ] {
            let fault = parse(line).unwrap_err();
            assert!(fault.status == 2 && fault.to_string().contains(words), "{line}: {fault}");
        }
    }

    #[test]
    fn addresses_are_turned_round() {
        assert_eq!(reversed("10.1.2.3").unwrap(), "3.2.1.10.in-addr.arpa.");
        assert_eq!(reversed("10.1").unwrap(), "1.10.in-addr.arpa.");
        let v6 = reversed("2001:db8::1").unwrap();
        assert!(v6.starts_with("1.0.0.0.") && v6.ends_with(".8.b.d.0.1.0.0.2.ip6.arpa."), "{v6}");
        for wrong in ["", "a", "1.2.3.4.5", "256.1", "1..2", "+1"] {
            assert!(reversed(wrong).is_err(), "{wrong}");
        }
    }
}
