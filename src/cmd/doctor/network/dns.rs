//! `dns`.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::out::fault::errno_text;
use crate::sys::dns::{Class, Kind, Outcome, Query, code_name, exchange};
use crate::sys::open::read_bounded;
use crate::sys::resolv::{self, Config};

pub const CHECK: Check = Check {
    id: "dns",
    group: Group::Network,
    question: "Does every name server answer, and how many queries does an external name cost?",
    is_slow: true,
    run: Run::Inside(run),
};

/// How long one server is waited for; all are asked at the same time.
const LIMIT: Duration = Duration::from_millis(1200);
const PATH: &str = "/etc/resolv.conf";
/// A server answers this itself, RFC 6761: nothing goes further than it.
const NAME: &str = "localhost";

fn run(_: &Container) -> Vec<Found> {
    let file = read_bounded(OsStr::new(PATH), resolv::LIMIT).unwrap_or_default();
    let config = Config::parse(&file);
    // Whom resolvers ask then, resolv-conf tells.
    if config.named == 0 {
        return vec![Found::skip(format!("{PATH} names no server"))];
    }
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = config
            .servers
            .iter()
            .map(|server| {
                let (server, tcp) = (*server, config.use_vc);
                (server, std::thread::Builder::new().spawn_scoped(scope, move || ask(server, tcp)))
            })
            .collect();
        let end = |thread: std::io::Result<std::thread::ScopedJoinHandle<_>>| thread.ok()?.join().ok();
        threads.into_iter().map(|(server, thread)| (server, end(thread))).collect()
    });
    let is_one_well = answers.iter().any(|(_, answer)| matches!(answer, Some((Ok(()), _))));
    let mut found = Vec::new();
    for (server, answer) in answers {
        let server = server.ip().to_string();
        let Some((result, took)) = answer else {
            found.push(Found::skip("there are no more threads to ask it").about(&server));
            continue;
        };
        let took = format!("{:.1} ms", took.as_secs_f64() * 1e3);
        found.push(match result {
            Ok(()) => Found::ok("it answers").about(&server).seen(format!("{NAME} A: answered after {took}")),
            Err(why) => {
                let seen = format!("{NAME} A: {why} after {took}");
                let fix = format!("dns example.com @{server} asks it again; see the firewall, a NetworkPolicy, and whether the server runs");
                // Where another one answers, names are found after a time limit.
                let one = if is_one_well { Found::warn("it does not answer: names are found late") } else { Found::fail("it does not answer: names are not found") };
                one.about(&server).seen(seen).fix(fix)
            }
        });
    }
    found.extend(cost(&config));
    found
}

/// What the search list makes of a name of the kind that most programs look up.
fn cost(config: &Config) -> Option<Found> {
    let name = "api.example.com";
    let before = config.candidates(name).iter().position(|candidate| candidate == name)?;
    (before > 0).then(|| {
        Found::note(format!(
            "a name outside with fewer than {} dots is asked for {before} times in vain before it is asked for as it is",
            config.ndots
        ))
        .seen(format!("ndots:{}, search {}", config.ndots, config.search.join(" ")))
        .fix("write such names with a dot at their end, or set ndots to 1 or 2 (the pod's dnsConfig.options)")
    })
}

/// Asks one server. Any answer will do, but a refusal to serve.
fn ask(server: std::net::SocketAddr, tcp: bool) -> (Result<(), String>, Duration) {
    let began = Instant::now();
    let query = match Query::new(NAME, Kind::A, Class::In, true) {
        Ok(query) => query,
        Err(why) => return (Err(why.to_owned()), Duration::ZERO),
    };
    let answer = exchange(server, &[query], tcp, began + LIMIT).into_iter().next();
    let result = match answer.map(|exchange| exchange.result) {
        None => Err("no reply".to_owned()),
        Some(Ok(message)) => match message.code {
            // NOERROR, NXDOMAIN: it works, whatever it says of that name.
            0 | 3 => Ok(()),
            code => Err(code_name(code)),
        },
        Some(Err(Outcome::Silent(_))) => Err("no reply".to_owned()),
        Some(Err(Outcome::Unreachable(errno))) => Err(errno_text(errno)),
        Some(Err(Outcome::Garbled(why))) => Err(why.to_owned()),
        Some(Err(Outcome::Code(code))) => Err(code_name(code)),
        Some(Err(_)) => Ok(()),
    };
    (result, began.elapsed())
}
