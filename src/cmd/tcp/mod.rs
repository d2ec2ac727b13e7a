//! `tcp`: whether ports can be connected to, many at once.

mod probe;
mod targets;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::net::{Resolver, literal, seconds};
use super::{Command, Context, Example, Fault, Place, Result, Status, Takes};
use crate::out::field::field;
use crate::out::table::{Align, Column, Narrow, Row};
use crate::out::{Field, Kind, Output};

use probe::{Outcome, Verdict};

/// Names that are looked up at the same time.
const LOOKUPS: usize = 16;

/// Test whether TCP ports accept connections.
///
/// `tcp HOST:PORT…` or `tcp HOST PORT…`; a port may be a list or a range: 80,443,8000-8010. All are tried at once. The
/// result is connected; refused, by the host itself; filtered, nothing came back in time; unreachable, a router, a
/// firewall or the container's own routes said so, and the error names which; no-name; error. Of a host with several
/// addresses one that connects is enough. The status is 0 where all are connected, else 1.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Tcp {
    /// Seconds for a name, and again for each connection.
    #[arg(short = 'w', long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    timeout: Duration,
    /// IPv4 only.
    #[arg(short = '4', long)]
    ipv4: bool,
    /// IPv6 only.
    #[arg(short = '6', long, conflicts_with = "ipv4")]
    ipv6: bool,
    /// HOST:PORT, or HOST and its ports.
    #[arg(required = true, value_name = "HOST:PORT", add = Takes::Nothing)]
    targets: Vec<OsString>,
}

/// What came of one port.
#[derive(Serialize)]
pub struct Tested {
    host: String,
    port: u16,
    address: Option<String>,
    result: &'static str,
    name_time: Option<f64>,
    time: Option<f64>,
    error: Option<String>,
}

/// Milliseconds for people.
fn shown(time: Option<f64>) -> String {
    time.map_or_else(|| "-".to_owned(), |seconds| format!("{:.1} ms", seconds * 1000.0))
}

impl Row for Tested {
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            header: "HOST",
            align: Align::Left,
            narrow: Narrow::shorten(16),
            cell: |row| row.host.clone(),
        },
        Column {
            header: "PORT",
            align: Align::Right,
            narrow: Narrow::WHOLE,
            cell: |row| row.port.to_string(),
        },
        Column {
            header: "ADDRESS",
            align: Align::Left,
            narrow: Narrow::shorten(15),
            cell: |row| row.address.clone().unwrap_or_else(|| "-".to_owned()),
        },
        Column {
            header: "RESULT",
            align: Align::Left,
            narrow: Narrow::WHOLE,
            cell: |row| row.result.to_owned(),
        },
        Column {
            header: "NAME",
            align: Align::Right,
            narrow: Narrow::drop(1),
            cell: |row| shown(row.name_time),
        },
        Column { header: "TIME", align: Align::Right, narrow: Narrow::WHOLE, cell: |row| shown(row.time) },
        Column {
            header: "ERROR",
            align: Align::Left,
            narrow: Narrow::shorten(16),
            cell: |row| row.error.clone().unwrap_or_default(),
        },
    ];
}

impl Command for Tcp {
    type Row = Tested;
    const PLACE: Place = Place::Inside;
    const REPLACES: &'static str = "nc -zv, nmap -sT";
    const FIELDS: &'static [Field] = &[
        field("host", Kind::Text, "as it was typed"),
        field("port", Kind::Number, "its port"),
        field("address", Kind::Text, "the address that was tried last"),
        field("result", Kind::Text, "connected, refused, filtered, unreachable, no-name, error"),
        field("name_time", Kind::Seconds, "for the name; null of an address"),
        field("time", Kind::Seconds, "until it was connected or failed"),
        field("error", Kind::Text, "what is known beyond the result, of each address that failed"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "tcp localhost:8080", what: "whether somebody listens" },
        Example { line: "tcp -w 1 db.prod:5432 cache:6379", what: "several, a second each" },
        Example { line: "tcp 127.0.0.1 8080 8000-8010", what: "many ports of one host" },
    ];

    fn run(self, _: &mut Context, out: &mut Output<Tested>) -> Result<Status> {
        let targets = targets::parse(&self.targets)?;
        let mut names: BTreeMap<&str, Option<Named>> = BTreeMap::new();
        for (host, _) in &targets {
            names.insert(host, None);
        }
        self.look_up(&mut names);
        let nowhere = Named { took: None, addresses: Ok(Vec::new()) };
        let named = |host: &str| names.get(host).and_then(Option::as_ref).unwrap_or(&nowhere);
        let wanted = targets.iter().map(|(host, port)| {
            let addresses = named(host).addresses.as_ref().map_or(&[][..], Vec::as_slice);
            (addresses, *port)
        });
        let mut all_connected = true;
        let lost = Fault::output;
        probe::all(wanted.collect(), self.timeout, &mut |at, outcomes| {
            let Some((host, port)) = targets.get(at) else { return Ok(()) };
            let row = tested(host, *port, named(host), outcomes);
            all_connected &= row.result == Verdict::Connected.name();
            out.row(&row)
        })
        .map_err(lost)?;
        Ok(Status(u8::from(!all_connected)))
    }
}

/// The addresses of a host, or why there are none.
struct Named {
    took: Option<Duration>,
    addresses: std::result::Result<Vec<SocketAddr>, String>,
}

impl Tcp {
    /// Looks all names up, several at a time.
    fn look_up(&self, names: &mut BTreeMap<&str, Option<Named>>) {
        let resolver = Resolver::read(self.ipv4, self.ipv6);
        let places: Vec<_> = names.iter_mut().map(|(host, place)| Mutex::new((*host, place))).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                // Each is taken by one thread alone.
                let Ok(mut place) = place.lock() else { return };
                let began = Instant::now();
                let found = resolver.addresses(place.0, Some(began + self.timeout));
                *place.1 = Some(Named {
                    took: literal(place.0).is_none().then(|| began.elapsed()),
                    addresses: found.map_err(|fault| fault.cause.to_string()),
                });
            }
        };
        std::thread::scope(|scope| {
            // Where no thread can be made, this one does all of it.
            for _ in 1..LOOKUPS.min(places.len()) {
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
    }
}

fn tested(host: &str, port: u16, named: &Named, outcomes: &[Outcome]) -> Tested {
    let last = outcomes.last();
    let several = outcomes.len() > 1;
    let errors: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| match (&outcome.error, several) {
            (Some(error), true) => Some(format!("{}: {error}", outcome.address.ip())),
            (None, true) if outcome.verdict != Verdict::Connected => {
                Some(format!("{}: {}", outcome.address.ip(), outcome.verdict.name()))
            }
            (error, _) => error.clone(),
        })
        .collect();
    let (result, error) = match (&named.addresses, last) {
        (Err(why), _) => ("no-name", Some(why.clone())),
        (Ok(_), Some(last)) => (last.verdict.name(), (!errors.is_empty()).then(|| errors.join("; "))),
        (Ok(_), None) => (Verdict::Error.name(), Some("it was not tried".to_owned())),
    };
    Tested {
        host: host.to_owned(),
        port,
        address: last.map(|last| last.address.ip().to_string()),
        result,
        name_time: named.took.map(|took| took.as_secs_f64()),
        time: last.map(|last| last.took.as_secs_f64()),
        error,
    }
}
