//! Questions and their replies, as dig shows them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::words::Wanted;
use super::{Dns, millis, server_text, status, wrote};
use crate::cmd::net::{Families, Names, what_was_passed_over};
use crate::cmd::{Context, Fault, Result, Status};
use crate::out::fault::errno_text;
use crate::out::name::escape;
use crate::out::table::{NoRow, Table};
use crate::out::{Align, Narrow, Output};
use crate::sys::dns::{Exchange, Kind, Message, Outcome, Query, Record, Section, code_name, exchange};
use crate::sys::resolv::{Config, server};

/// How long the server's own name may take.
const SERVER_NAME: Duration = Duration::from_secs(10);

/// One record, or a reply that has none.
#[derive(serde::Serialize)]
struct Row<'a> {
    name: &'a str,
    r#type: &'a str,
    class: &'a str,
    ttl: Option<u32>,
    data: Option<&'a str>,
    section: Option<&'static str>,
    status: String,
    server: String,
    time: f64,
    protocol: &'static str,
    size: usize,
    flags: &'a [&'static str],
}

/// A reply, and who gave it.
struct Reply {
    query: Query,
    message: Message,
    server: SocketAddr,
    took: Duration,
    is_tcp: bool,
}

/// Asks and prints all questions.
pub fn run(dns: &Dns, wanted: &Wanted, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
    let config = config(dns, wanted)?;
    let mut last = Status::OK;
    for (number, (name, kind)) in wanted.questions.iter().enumerate() {
        if name.parse::<std::net::IpAddr>().is_ok() {
            cx.note(&format!("{name} is an address; -x {name} asks for its name"));
        }
        match ask(cx, wanted, &config, name, *kind) {
            Ok(reply) if out.is_json() => rows(&reply, wanted, out)?,
            Ok(reply) => {
                if number > 0 && !wanted.short && wanted.show.stats {
                    out.bytes().write_all(b"\n").map_err(wrote)?;
                }
                print(cx, &reply, wanted, out)?;
            }
            Err(fault) if wanted.questions.len() == 1 => return Err(fault),
            Err(fault) => {
                last = Status(fault.status);
                cx.report(&fault);
            }
        }
    }
    Ok(last)
}

/// The servers to ask, and how long and how often.
///
/// # Errors
/// 9 where there is no such server.
pub fn config(dns: &Dns, wanted: &Wanted) -> Result<Config> {
    let families = Families { v4: dns.ipv4, v6: dns.ipv6 };
    let mut config = Config::read();
    if let Some(word) = &wanted.server {
        config.servers = match server(word) {
            Some(address) => vec![address],
            None => {
                let found = Names::read().look_up(word, families, Instant::now() + SERVER_NAME);
                let found = found.map_err(|fault| fault.with_status(status::NO_REPLY))?;
                found.into_iter().map(|ip| SocketAddr::new(ip, 53)).collect()
            }
        };
    }
    config.servers.retain(|server| families.take(&server.ip()));
    if config.servers.is_empty() {
        let family = if dns.ipv4 { "IPv4" } else { "IPv6" };
        return Err(
            Fault::say(format!("no name server has an {family} address")).with_status(status::NO_REPLY)
        );
    }
    for server in &mut config.servers {
        server.set_port(dns.port);
    }
    config.timeout = wanted.time.unwrap_or(config.timeout);
    config.attempts = wanted.tries.unwrap_or(config.attempts);
    config.use_vc = wanted.tcp.unwrap_or(config.use_vc);
    Ok(config)
}

/// Asks one question: through the search list where that is wanted, until one name has an answer.
fn ask(cx: &Context, wanted: &Wanted, config: &Config, name: &str, kind: Kind) -> Result<Reply> {
    let names = if wanted.search { config.candidates(name) } else { vec![name.to_owned()] };
    let mut last = None;
    for full in &names {
        let query = Query::new(full, kind, wanted.class, wanted.recursive)
            .map_err(|why| Fault::text("ask for", full, why).with_status(Status::USAGE.0))?;
        let reply = ask_servers(cx, wanted, config, query)?;
        let found = reply.message.section(Section::Answer).next().is_some();
        last = Some(reply);
        if found {
            break;
        }
    }
    last.ok_or_else(|| Fault::text("ask for", name, "it is too long").with_status(Status::USAGE.0))
}

/// Asks the servers in turn until one replies, whatever it says.
fn ask_servers(cx: &Context, wanted: &Wanted, config: &Config, query: Query) -> Result<Reply> {
    let mut failures: Vec<(SocketAddr, String, u32)> = Vec::new();
    for _ in 0..config.attempts {
        for &server in &config.servers {
            let until = Instant::now() + config.timeout;
            let asked = exchange(server, std::slice::from_ref(&query), config.use_vc, until).pop();
            let Some(Exchange { result, is_tcp, took, passed_over }) = asked else { continue };
            let odd = match passed_over {
                0 => String::new(),
                1 => "a datagram that was no reply to this question was passed over".to_owned(),
                count => format!("{count} datagrams that were no reply to this question were passed over"),
            };
            match result {
                Ok(message) => {
                    for (server, why, tries) in &failures {
                        cx.note(&format!("{}: {why}{}", server_text(*server), times(*tries)));
                    }
                    if !odd.is_empty() {
                        cx.note(&format!("{}: {odd}", server_text(server)));
                    }
                    return Ok(Reply { query, message, server, took, is_tcp });
                }
                Err(outcome) => {
                    let mut why = in_words(&outcome, config.timeout);
                    if !odd.is_empty() {
                        why = format!("{why}; {odd}");
                    }
                    match failures.iter_mut().find(|(other, known, _)| *other == server && *known == why) {
                        Some((_, _, tries)) => *tries += 1,
                        None => failures.push((server, why, 1)),
                    }
                }
            }
        }
    }
    let files = if wanted.server.is_none() { what_was_passed_over() } else { String::new() };
    let fault = match failures.as_slice() {
        [(server, why, tries)] => {
            Fault::text("ask", server_text(*server), format!("{why}{}{files}", times(*tries)))
        }
        several => {
            let each: Vec<String> = several
                .iter()
                .map(|(server, why, tries)| format!("{}: {why}{}", server_text(*server), times(*tries)))
                .collect();
            Fault::text("ask for", &query.name, format!("{}{files}", each.join("; ")))
        }
    };
    Err(fault.with_status(status::NO_REPLY))
}

fn times(tries: u32) -> String {
    if tries == 1 { String::new() } else { format!(" ({tries} times)") }
}

/// Why there is no reply.
fn in_words(outcome: &Outcome, limit: Duration) -> String {
    match outcome {
        Outcome::Silent(_) => format!("no reply in {} s", limit.as_secs_f64()),
        Outcome::Unreachable(errno) => errno_text(*errno),
        Outcome::Garbled(why) => (*why).to_owned(),
        // A reply's own outcomes are shown as records.
        _ => String::new(),
    }
}

/// One JSON row a record; one without data where there is none.
fn rows(reply: &Reply, wanted: &Wanted, out: &mut Output<NoRow>) -> Result<()> {
    let Reply { query, message, server, took, is_tcp } = reply;
    let empty = Record {
        section: Section::Answer,
        name: query.name.clone(),
        ttl: 0,
        class: query.class.name(),
        kind: query.kind.name(),
        data: String::new(),
        value: crate::sys::dns::Value::Other,
    };
    let has_none = message.records.is_empty();
    let shown = message.records.iter().filter(|record| {
        wanted.show.section(record.section) && (!wanted.short || record.section == Section::Answer)
    });
    for record in shown.chain(has_none.then_some(&empty)) {
        let row = Row {
            name: &record.name,
            r#type: &record.kind,
            class: record.class,
            ttl: (!has_none).then_some(record.ttl),
            data: (!has_none).then_some(&record.data),
            section: (!has_none).then_some(record.section.name()),
            status: code_name(message.code),
            server: server.to_string(),
            time: took.as_secs_f64(),
            protocol: if *is_tcp { "tcp" } else { "udp" },
            size: message.size,
            flags: &message.flags,
        };
        out.json(&row).map_err(wrote)?;
    }
    Ok(())
}

/// A reply for people: records in columns, and two lines of what else is known.
fn print(cx: &Context, reply: &Reply, wanted: &Wanted, out: &mut Output<NoRow>) -> Result<()> {
    let Reply { query, message, server, took, is_tcp } = reply;
    let to = out.bytes();
    if wanted.short {
        for record in message.section(Section::Answer) {
            writeln!(to, "{}", record.data).map_err(wrote)?;
        }
        return Ok(());
    }
    let show = wanted.show;
    if show.question {
        writeln!(to, ";{}  {}  {}", query.name, query.class.name(), query.kind.name()).map_err(wrote)?;
    }
    let mut any = false;
    for section in [Section::Answer, Section::Authority, Section::Additional] {
        if !show.section(section) || message.section(section).next().is_none() {
            continue;
        }
        if section != Section::Answer && show.comments {
            writeln!(to, ";; {}", section.name()).map_err(wrote)?;
        }
        // As dig: a record is whole, however long it is.
        let columns = [Align::Left, Align::Right, Align::Left, Align::Left, Align::Left];
        let mut table = Table::new(&columns.map(|align| ("", align, Narrow::WHOLE)), cx.screen());
        for record in message.section(section) {
            let cells = vec![
                record.name.clone(),
                record.ttl.to_string(),
                record.class.to_owned(),
                record.kind.clone(),
                record.data.clone(),
            ];
            table.row(cells, to).map_err(wrote)?;
        }
        table.finish(to).map_err(wrote)?;
        any = true;
    }
    if any && (show.comments || show.stats) {
        writeln!(to).map_err(wrote)?;
    }
    if show.comments {
        let count = |section| message.section(section).count();
        writeln!(
            to,
            ";; {} for {} {}, flags {}: {} answer, {} authority, {} additional",
            code_name(message.code),
            escape(query.name.as_bytes()),
            query.kind.name(),
            message.flags.join(" "),
            count(Section::Answer),
            count(Section::Authority),
            count(Section::Additional),
        )
        .map_err(wrote)?;
    }
    if show.stats {
        let protocol = match (is_tcp, wanted.tcp) {
            (false, _) => "udp",
            (true, Some(true)) => "tcp",
            (true, _) => "tcp, cut over udp",
        };
        writeln!(to, ";; {} ({protocol}), {}, {} bytes", server_text(*server), millis(*took), message.size)
            .map_err(wrote)?;
    }
    Ok(())
}
