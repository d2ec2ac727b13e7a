//! `dns`.

mod ask;
mod differ;
mod explain;
mod words;

use super::{Command, Context, Example, Fault, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};
use crate::sys::dns;
use crate::takes::owned;

use words::Wanted;

/// Exit statuses of dig.
mod status {
    /// `--explain`: the name has no address.
    pub const NO_ADDRESS: u8 = 1;
    /// No server replied.
    pub const NO_REPLY: u8 = 9;
}

/// Ask name servers.
///
/// Names are asked as they are typed, of the servers in the container's resolv.conf, which also says how long and how
/// often; with +search through its search list. A cut answer is asked for again over TCP. The exit status is 0 where a
/// server replied, whatever it said, and 9 where none did; with --explain 1 where the name has no address.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Dns {
    /// Name, TYPE (A, MX, HTTPS, … or TYPEn), class (IN CH HS), @SERVER, and +short +search +tcp +norecurse +time=N +tries=N
    /// +retry=N +noall +question +[no]answer +[no]authority +[no]additional +[no]comments +[no]stats, in any order.
    #[arg(value_name = "WORD", add = Takes::Words(|| owned(dns::Kind::USUAL)))]
    words: Vec<String>,
    /// Ask for the name of an address.
    #[arg(short = 'x', value_name = "ADDRESS", action = clap::ArgAction::Append, add = Takes::Nothing)]
    reverse: Vec<String>,
    /// Ask for this type.
    #[arg(short = 't', value_name = "TYPE", value_parser = kind)]
    #[arg(add = Takes::Words(|| owned(dns::Kind::USUAL)))]
    kind: Option<dns::Kind>,
    /// Ask for this name, whatever it looks like.
    #[arg(short = 'q', value_name = "NAME", action = clap::ArgAction::Append, add = Takes::Nothing)]
    name: Vec<String>,
    /// Ask the server's port N.
    #[arg(short = 'p', value_name = "N", default_value_t = 53, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Ask servers with IPv4 addresses only.
    #[arg(short = '4', overrides_with = "ipv6")]
    ipv4: bool,
    /// Ask servers with IPv6 addresses only.
    #[arg(short = '6', overrides_with = "ipv4")]
    ipv6: bool,
    /// Show each step by which the container resolves a name, and what it costs.
    #[arg(long)]
    explain: bool,
}

fn kind(text: &str) -> std::result::Result<dns::Kind, String> {
    dns::Kind::parse(text).ok_or_else(|| format!("it is {}, … or TYPEn", dns::Kind::USUAL.join(", ")))
}

impl Command for Dns {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const REPLACES: &'static str = "dig, nslookup, host";
    const FIELDS: &'static [Field] = &[
        field("name", Kind::Text, "whose record it is; of a reply without records, what was asked for"),
        field("type", Kind::Text, "A, MX, …"),
        more("class", Kind::Text, "IN, CH or HS"),
        field("ttl", Kind::Seconds, "how long the record may be kept"),
        field(
            "data",
            Kind::Text,
            "the record's data in the form of zone files; null in a reply without records",
        ),
        more("section", Kind::Text, "answer, authority or additional"),
        field("status", Kind::Text, "NOERROR, NXDOMAIN, SERVFAIL, …; of a step: found, no data, no reply, …"),
        field("server", Kind::Text, "who replied: address and port; of a step that reads a file, its path"),
        field("time", Kind::Seconds, "from the question to its reply"),
        more("protocol", Kind::Text, "udp or tcp"),
        more("size", Kind::Bytes, "the reply's length"),
        more("flags", Kind::List, "qr, aa, tc, rd, ra, ad, cd"),
        more("step", Kind::Number, "--explain: which step it is"),
        more("source", Kind::Text, "--explain: files, dns, or verdict for the last row"),
        more("addresses", Kind::List, "--explain: what the step found"),
        more("verdict", Kind::Text, "--explain: what came of it, in words"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "dns --explain localhost", what: "each step of a lookup, and its cost" },
        Example {
            line: "dns kubernetes.default.svc.cluster.local +time=1 +tries=1",
            what: "ask for its address",
        },
        Example { line: "dns -x 10.96.0.1 +short +time=1 +tries=1", what: "the name of an address" },
        Example { line: "dns example.com MX @127.0.0.1 +time=1 +tries=1", what: "ask another server" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let wanted = Wanted::parse(&self.words, self.kind, &self.name, &self.reverse)?;
        if self.explain { explain::run(&self, &wanted, cx, out) } else { ask::run(&self, &wanted, cx, out) }
    }
}

/// A failed write of output.
fn wrote(error: std::io::Error) -> Fault {
    Fault::io("write", "standard output", &error)
}

/// Milliseconds for people.
fn millis(time: std::time::Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// A server as dig writes it: `10.0.0.10#53`.
fn server_text(server: std::net::SocketAddr) -> String {
    match server {
        std::net::SocketAddr::V6(v6) if v6.scope_id() != 0 => {
            let zone = nix::net::if_::if_indextoname(v6.scope_id());
            let zone = zone.map_or(v6.scope_id().to_string(), |name| name.to_string_lossy().into_owned());
            format!("{}%{}#{}", v6.ip(), crate::out::name::escape(zone.as_bytes()), v6.port())
        }
        other => format!("{}#{}", other.ip(), other.port()),
    }
}
