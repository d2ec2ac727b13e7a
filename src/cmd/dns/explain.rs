//! `--explain`: the steps by which the container resolves a name, and what each costs.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::words::Wanted;
use super::{Dns, ask, differ, millis, server_text, status, wrote};
use crate::cmd::net::{Names, what_was_passed_over, why_not};
use crate::cmd::{Context, Fault, Result, Status};
use crate::out::fault::errno_text;
use crate::out::name::escape;
use crate::out::table::{NoRow, Table};
use crate::out::{Align, Narrow, Output};
use crate::sys::dns::{Asked, Client, Kind, Outcome, code_name};
use crate::sys::resolv::{Config, Ends, Order, Source};

/// One step, or the verdict.
#[derive(serde::Serialize)]
struct Step {
    step: usize,
    source: &'static str,
    name: String,
    r#type: Option<String>,
    server: Option<String>,
    status: String,
    addresses: Vec<IpAddr>,
    time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<String>,
    /// As people read it.
    #[serde(skip)]
    shown_server: String,
}

/// Resolves one name in the order that nsswitch.conf says, and tells each step.
pub fn run(dns: &Dns, wanted: &Wanted, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
    let [(name, _)] = wanted.questions.as_slice() else {
        return Err(Fault::usage("--explain takes one name"));
    };
    let config = ask::config(dns, wanted)?;
    let names = Names::read();
    let began = Instant::now();
    let mut steps = Vec::new();
    let mut asked = Vec::new();
    let mut found: Vec<IpAddr> = name.parse().into_iter().collect();
    let mut by = name.clone();
    let literal = !found.is_empty();
    for (source, ends) in names.order.0.iter().filter(|_| !literal) {
        let is_last = match source {
            Source::Files => {
                let started = Instant::now();
                found = names.hosts.lookup(name);
                let status = if found.is_empty() { "no entry" } else { "found" };
                steps.push(step("files", name, "/etc/hosts", status, &found, started.elapsed()));
                if found.is_empty() { ends.missing } else { ends.found }
            }
            Source::Dns => {
                let lookup = Client::new(&config).lookup(name, &[Kind::A, Kind::AAAA], None);
                steps.extend(lookup.asked.iter().map(of_question));
                let is_last = lookup.ends(*ends);
                by = lookup.asked.last().map_or(by, |one| one.name.clone());
                (found, asked) = (lookup.addresses, lookup.asked);
                is_last
            }
        };
        if is_last {
            break;
        }
    }
    let took = began.elapsed();
    let verdict = if literal {
        format!("{name} is an address: nothing is looked up")
    } else {
        let lookup = differ::Lookup { typed: name, by: &by, found: &found, asked: &asked };
        let differs = differ::all(&lookup, &names, &config);
        verdict(name, &by, &found, &config, &asked, took) + &differs
    };
    for (at, step) in steps.iter_mut().enumerate() {
        step.step = at + 1;
    }
    if out.is_json() {
        let status = if found.is_empty() { "not found" } else { "found" };
        let mut last = step("verdict", &by, "", status, &found, took);
        last.step = steps.len() + 1;
        last.verdict = Some(verdict);
        for row in steps.iter().chain([&last]) {
            out.json(row).map_err(wrote)?;
        }
    } else {
        print(cx, &names, &config, &steps, &verdict, out)?;
    }
    let silent = !asked.is_empty()
        && asked.iter().all(|one| {
            matches!(one.outcome, Outcome::Silent(_) | Outcome::Unreachable(_) | Outcome::Garbled(_))
        });
    Ok(match (found.is_empty(), silent) {
        (false, _) => Status::OK,
        (true, true) => Status(status::NO_REPLY),
        (true, false) => Status(status::NO_ADDRESS),
    })
}

fn step(
    source: &'static str,
    name: &str,
    server: &str,
    status: &str,
    addresses: &[IpAddr],
    took: Duration,
) -> Step {
    Step {
        step: 0,
        source,
        name: name.to_owned(),
        r#type: None,
        server: (!server.is_empty()).then(|| server.to_owned()),
        status: status.to_owned(),
        addresses: addresses.to_vec(),
        time: took.as_secs_f64(),
        verdict: None,
        shown_server: server.to_owned(),
    }
}

fn of_question(asked: &Asked) -> Step {
    let (status, addresses) = match &asked.outcome {
        Outcome::Addresses(found) => ("found".to_owned(), found.as_slice()),
        Outcome::NoData => ("no data".to_owned(), [].as_slice()),
        Outcome::NoName => ("NXDOMAIN".to_owned(), [].as_slice()),
        Outcome::Code(code) => (code_name(*code), [].as_slice()),
        Outcome::Silent(_) => ("no reply".to_owned(), [].as_slice()),
        Outcome::Unreachable(errno) => (errno_text(*errno), [].as_slice()),
        Outcome::Garbled(why) => ((*why).to_owned(), [].as_slice()),
    };
    let mut step = step("dns", &asked.name, &asked.server.to_string(), &status, addresses, asked.took);
    step.r#type = Some(asked.kind.name());
    step.shown_server = server_text(asked.server);
    step
}

fn print(
    cx: &Context,
    names: &Names,
    config: &Config,
    steps: &[Step],
    verdict: &str,
    out: &mut Output<NoRow>,
) -> Result<()> {
    let to = out.bytes();
    let search: Vec<String> = config
        .search
        .iter()
        .map(|domain| if domain.is_empty() { ".".to_owned() } else { escape(domain.as_bytes()) })
        .collect();
    let servers: Vec<String> =
        config.servers.iter().map(|server: &SocketAddr| server_text(*server)).collect();
    writeln!(
        to,
        ";; hosts: {}; servers {}; search {}; ndots:{} timeout:{} attempts:{}{}",
        order(&names.order),
        servers.join(" "),
        if search.is_empty() { "-".to_owned() } else { search.join(" ") },
        config.ndots,
        config.timeout.as_secs(),
        config.attempts,
        what_was_passed_over()
    )
    .map_err(wrote)?;
    for (line, why) in &config.odd {
        writeln!(to, ";; /etc/resolv.conf: '{}' {}", escape(line.as_bytes()), why.text()).map_err(wrote)?;
    }
    let columns = [
        ("STEP", Align::Right, Narrow::WHOLE),
        ("ASKED", Align::Left, Narrow::shorten(20)),
        ("TYPE", Align::Left, Narrow::drop(2)),
        ("SERVER", Align::Left, Narrow::shorten(11)),
        ("TIME", Align::Right, Narrow::drop(1)),
        ("ANSWER", Align::Left, Narrow::shorten(16)),
    ];
    let mut table = Table::new(&columns, cx.screen());
    for step in steps {
        let answer = if step.addresses.is_empty() {
            step.status.clone()
        } else {
            step.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let cells = vec![
            step.step.to_string(),
            escape(step.name.as_bytes()),
            step.r#type.clone().unwrap_or_else(|| "-".to_owned()),
            if step.shown_server.is_empty() { "-".to_owned() } else { step.shown_server.clone() },
            millis(Duration::from_secs_f64(step.time)),
            answer,
        ];
        table.row(cells, to).map_err(wrote)?;
    }
    table.finish(to).map_err(wrote)?;
    writeln!(to, "{verdict}").map_err(wrote)
}

/// What came of it in a sentence: what was found, after how many questions, and which of them could be saved.
fn verdict(
    typed: &str,
    by: &str,
    found: &[IpAddr],
    config: &Config,
    asked: &[Asked],
    took: Duration,
) -> String {
    let count = match asked.len() {
        0 => "no question".to_owned(),
        1 => "1 question".to_owned(),
        many => format!("{many} questions"),
    };
    if found.is_empty() {
        return format!("{}: {} after {count}, {}", escape(typed.as_bytes()), why_not(asked), millis(took));
    }
    let addresses: Vec<String> = found.iter().map(ToString::to_string).collect();
    let mut text =
        format!("{} {} after {count}, {}", escape(by.as_bytes()), addresses.join(" "), millis(took));
    let earlier = asked.iter().filter(|one| one.name != by).count();
    if earlier > 0 {
        text.push_str(&format!("; {earlier} of them {}", why_earlier(typed, by, config)));
    }
    let silent = asked.iter().filter(|one| matches!(one.outcome, Outcome::Silent(_))).count();
    if silent > 0 {
        text.push_str(&format!("; {silent} had no reply"));
    }
    text
}

/// Why other names were asked for before the one that was found, and what would save that.
fn why_earlier(typed: &str, by: &str, config: &Config) -> String {
    let dots = typed.matches('.').count();
    let (typed, by) = (escape(typed.as_bytes()), escape(by.as_bytes()));
    if by != typed {
        return match dots >= config.ndots {
            true => format!(
                "asked for {typed} as it is, since it has {dots} dots and ndots is {}: {by}. would save them",
                config.ndots
            ),
            false => format!("went to earlier names of the search list: {by}. would save them"),
        };
    }
    let fewer = if dots > 0 { format!(", or ndots:{dots},") } else { String::new() };
    format!("came of ndots:{}: a trailing dot{fewer} would save them", config.ndots)
}

/// The sources as nsswitch.conf has them.
fn order(order: &Order) -> String {
    let each = order.0.iter().map(|(source, ends)| {
        let name = match source {
            Source::Files => "files",
            Source::Dns => "dns",
        };
        let Ends { found, missing, failed } = *ends;
        let said = [(!found, "SUCCESS=continue"), (missing, "NOTFOUND=return"), (failed, "UNAVAIL=return")];
        let said: Vec<&str> = said.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
        if said.is_empty() { name.to_owned() } else { format!("{name} [{}]", said.join(" ")) }
    });
    each.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, outcome: Outcome) -> Asked {
        let server = SocketAddr::from(([10, 0, 0, 10], 53));
        Asked { name: name.into(), kind: Kind::A, server, outcome, took: Duration::ZERO }
    }

    #[test]
    fn the_verdict_names_what_could_be_saved() {
        let ip: IpAddr = "10.0.0.1".parse().unwrap();
        let config = |ndots| Config { search: vec!["a.x".into(), "x".into()], ndots, ..Config::default() };
        let found = || Outcome::Addresses(vec![ip]);
        let none = || Outcome::NoName;
        let say = |typed: &str, ndots, steps: Vec<(&str, Outcome)>| {
            let by = steps.last().unwrap().0.to_owned();
            let asked: Vec<Asked> = steps.into_iter().map(|(name, outcome)| asked(name, outcome)).collect();
            verdict(typed, &by, &[ip], &config(ndots), &asked, Duration::from_millis(12))
        };
        assert_eq!(
            say("api.y", 5, vec![("api.y.a.x", none()), ("api.y.x", none()), ("api.y", found())]),
            "api.y 10.0.0.1 after 3 questions, 12.0 ms; 2 of them came of ndots:5: a trailing dot, or ndots:1, would save \
             them"
        );
        assert_eq!(
            say("api", 1, vec![("api.a.x", none()), ("api.x", found())]),
            "api.x 10.0.0.1 after 2 questions, 12.0 ms; 1 of them went to earlier names of the search list: api.x. would \
             save them"
        );
        assert_eq!(say("api.", 1, vec![("api", found())]), "api 10.0.0.1 after 1 question, 12.0 ms");
    }
}
