//! A DNS client (RFC 1035): UDP first, TCP where an answer was cut. Facts only: what was asked, of whom, what came back.

mod kind;
pub(crate) mod query;
mod rdata;
mod record;
mod transport;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::resolv::{Config, Ends};
use super::socket;

pub use kind::{Class, Kind};
pub use query::Query;
pub use record::{Message, Record, Section, Value, code_name};
pub use transport::{Exchange, exchange};

/// How many aliases are followed in one answer.
const MAX_ALIASES: usize = 16;
/// How many addresses of one answer are kept.
const MAX_RECORDS: usize = 64;

/// What came of one question for addresses to one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Addresses, in the order of the answer.
    Addresses(Vec<IpAddr>),
    /// The name exists, but has none of that kind.
    NoData,
    /// NXDOMAIN: the name does not exist.
    NoName,
    /// Another response code: 2 is SERVFAIL, 5 is REFUSED.
    Code(u8),
    /// No answer within this time.
    Silent(Duration),
    /// The server could not be reached: an errno.
    Unreachable(i32),
    /// An answer that makes no sense.
    Garbled(&'static str),
}

impl Outcome {
    /// Whether the answer settles the question, so that no other server is asked.
    fn settles(&self) -> bool {
        matches!(self, Self::Addresses(_) | Self::NoData | Self::NoName)
    }

    /// Whether no server said what there is: glibc's TRY_AGAIN, and nsswitch's UNAVAIL.
    pub fn failed(&self) -> bool {
        !self.settles()
    }

    /// What a reply says of the addresses of a name.
    fn of(message: &Message, query: &Query) -> Self {
        match message.code {
            0 => addresses(message, query),
            3 => Self::NoName,
            code => Self::Code(code),
        }
    }
}

/// Follows aliases from the question's name to the addresses.
fn addresses(message: &Message, query: &Query) -> Outcome {
    let mut name = query.name.as_str();
    for _ in 0..=MAX_ALIASES {
        let mut found = Vec::new();
        let mut alias = None;
        let here = |record: &&Record| record.class == "IN" && record.name.eq_ignore_ascii_case(name);
        for record in message.section(Section::Answer).filter(here) {
            match &record.value {
                Value::Address(ip) if ip.is_ipv4() == (query.kind == Kind::A) => found.push(*ip),
                Value::Alias(to) => alias = Some(to),
                Value::Address(_) | Value::Other => {}
            }
        }
        found.truncate(MAX_RECORDS);
        match alias {
            _ if !found.is_empty() => return Outcome::Addresses(found),
            Some(next) => name = next,
            None => return Outcome::NoData,
        }
    }
    Outcome::Garbled("aliases that lead in a circle")
}

/// One question to one server, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The full name.
    pub name: String,
    /// What was asked for.
    pub kind: Kind,
    /// Who was asked.
    pub server: SocketAddr,
    /// What came back.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// What a lookup through the search list found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The addresses of the first name that has any, IPv6 first.
    pub addresses: Vec<IpAddr>,
    /// Every question, in order.
    pub asked: Vec<Asked>,
    /// Whether the caller's limit ended it.
    pub cut: bool,
}

impl Lookup {
    /// Whether no further source is asked after this, by nsswitch.conf(5).
    pub fn ends(&self, ends: Ends) -> bool {
        match self.addresses.is_empty() {
            false => ends.found,
            true if self.asked.iter().any(|one| one.outcome.failed()) => ends.failed,
            true => ends.missing,
        }
    }
}

/// Asks the servers of a [`Config`].
pub struct Client<'a> {
    config: &'a Config,
}

impl<'a> Client<'a> {
    /// A client for these settings.
    pub fn new(config: &'a Config) -> Self {
        Self { config }
    }

    /// Looks a name up, through the search list, as glibc 2.36 does: a name that is not there or has no address leads to
    /// the next one, and so does SERVFAIL. Any other failure ends the list, and the name as it is comes last. Where no
    /// server can be reached nothing more is asked.
    pub fn lookup(&self, name: &str, kinds: &[Kind], until: Option<Instant>) -> Lookup {
        let mut lookup = Lookup::default();
        let bare = name.strip_suffix('.').unwrap_or(name);
        let mut is_over = false;
        for candidate in self.config.candidates(name) {
            if is_over && candidate != bare {
                continue;
            }
            let asked = self.ask(&candidate, kinds, until);
            for one in &asked {
                if let Outcome::Addresses(found) = &one.outcome {
                    lookup.addresses.extend(found);
                }
            }
            let last = || asked.iter().rev().take(kinds.len()).map(|one| &one.outcome);
            let unreachable = last().any(|outcome| matches!(outcome, Outcome::Unreachable(_)));
            is_over |= last().any(|outcome| outcome.failed() && *outcome != Outcome::Code(2));
            lookup.asked.extend(asked);
            lookup.cut = passed(until);
            if unreachable || lookup.cut || !lookup.addresses.is_empty() {
                break;
            }
        }
        lookup.addresses.sort_by_key(IpAddr::is_ipv4);
        lookup
    }

    /// Asks for one full name, all kinds at once, until each is settled or every attempt is used up.
    pub fn ask(&self, name: &str, kinds: &[Kind], until: Option<Instant>) -> Vec<Asked> {
        let mut asked = Vec::new();
        let mut open = kinds.to_vec();
        for _ in 0..self.config.attempts {
            for &server in &self.config.servers {
                // Servers that drop one kind are common: with addresses at hand it is not waited for again.
                let found = asked.iter().any(|one: &Asked| matches!(one.outcome, Outcome::Addresses(_)));
                if found || open.is_empty() || passed(until) {
                    return asked;
                }
                let wait = Instant::now() + self.config.timeout;
                let limit = until.map_or(wait, |until| until.min(wait));
                for (kind, outcome, took) in self.exchange(server, name, &open, limit) {
                    if outcome.settles() {
                        open.retain(|other| *other != kind);
                    }
                    asked.push(Asked { name: name.to_owned(), kind, server, outcome, took });
                }
            }
        }
        asked
    }

    /// Asks one server once.
    fn exchange(
        &self,
        server: SocketAddr,
        name: &str,
        kinds: &[Kind],
        until: Instant,
    ) -> Vec<(Kind, Outcome, Duration)> {
        let each = |outcome: Outcome| {
            kinds.iter().map(|kind| (*kind, outcome.clone(), Duration::ZERO)).collect::<Vec<_>>()
        };
        let queries: Result<Vec<Query>, _> =
            kinds.iter().map(|kind| Query::new(name, *kind, Class::In, true)).collect();
        let Ok(queries) = queries else { return each(Outcome::Garbled("not a name that DNS can carry")) };
        let came = transport::exchange(server, &queries, self.config.use_vc, until);
        let told = queries.iter().zip(came).map(|(query, exchange)| {
            let outcome = match &exchange.result {
                Ok(message) => Outcome::of(message, query),
                Err(outcome) => outcome.clone(),
            };
            (query.kind, outcome, exchange.took)
        });
        told.collect()
    }
}

fn passed(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() >= until)
}

#[cfg(test)]
mod tests;
