//! `dns`, against a name server of the tests' own in the container's network namespace; dig as oracle.

mod resolvers;
mod server;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use server::serve;

use crate::live::{Ran, run};
use crate::prompt::Prompt;
use crate::shown::controls;
use crate::support::{Sandbox, needs_root, sandbox, skip};

/// A container whose resolv.conf has these lines, and its name server.
fn resolving(lines: &str) -> Sandbox {
    let target = sandbox()
        .file("etc/resolv.conf", format!("nameserver 127.0.0.1\n{lines}"))
        .file("etc/hosts", "127.0.0.1 localhost ns\n10.0.0.9 inhosts\n")
        .file("etc/nsswitch.conf", "hosts: files dns\n")
        .start();
    serve(&target);
    target
}

fn words(text: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.retain(|line| !line.is_empty() && !line.starts_with(';'));
    lines.sort();
    lines
}

/// dig in the target's network namespace; nothing where it is not installed.
fn dig(target: &Sandbox, args: &[&str]) -> Option<Ran> {
    Command::new("dig").arg("-v").output().ok()?;
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/proc/{}/ns/net", target.pid))
        .args(["dig", "@127.0.0.1", "+noedns"])
        .args(args);
    Some(run(&mut command))
}

// Seen to fail with `\DDD` for blanks in quotes, and with signed numbers in SOA.
#[test]
fn records_are_those_that_dig_shows() {
    needs_root!();
    let target = resolving("");
    for kind in [
        "A",
        "AAAA",
        "CAA",
        "MX",
        "NS",
        "PTR",
        "SOA",
        "SRV",
        "TXT",
        "ANY",
        "NAPTR",
        "DS",
        "DNSKEY",
        "TLSA",
        "SVCB",
        "HTTPS",
        "TYPE65",
        "TYPE65282",
    ] {
        // dig asks for all over TCP, and breaks long data with blanks.
        let args = ["all.test", kind, "+noall", "+answer", "+tcp"];
        let Some(theirs) = dig(&target, &[&args[..], &["+nosplit"]].concat()) else {
            skip!("dig is missing: apt install bind9-dnsutils")
        };
        let ours = target.run(&[&["dns"], &args[..]].concat()).ok();
        assert_eq!(words(&ours), words(&theirs.text()), "{kind}: {theirs:?}");
        assert!(!words(&ours).is_empty(), "{kind}");
    }
    for args in [
        &["alias.test", "+short"][..],
        &["alias.test", "CNAME", "+noall", "+answer"],
        &["-x", "10.0.0.1", "+short"],
        &["-t", "txt", "all.test", "+short"],
        &["cut.test", "+noall", "+answer"],
        &["nodata.test", "+noall", "+authority"],
        &["nx.test", "+noall", "+authority"],
        &["all.test", "MX", "alias.test", "A", "+short"],
        &["steering.test", "TXT", "+noall", "+answer"],
        &["+short", "ns", "all.test"],
        &["CH", "TXT", "version.bind", "+noall", "+answer"],
        &["version.bind", "txt", "ch", "+short"],
    ] {
        let theirs = dig(&target, args).unwrap();
        assert_eq!(words(&target.run(&[&["dig"], args].concat()).ok()), words(&theirs.text()), "{args:?}");
    }
}

#[test]
fn a_reply_is_shown_with_its_status_and_who_gave_it() {
    needs_root!();
    let target = resolving("options timeout:1 attempts:1\n");
    let shown = target.run(&["dns", "alias.test"]).ok();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(
        &lines[..3],
        ["alias.test.  300  IN  CNAME  all.test.", "all.test.    300  IN  A      10.0.0.1", ""]
    );
    assert_eq!(
        lines[3],
        ";; NOERROR for alias.test. A, flags qr aa rd ra: 2 answer, 0 authority, 0 additional"
    );
    assert!(
        lines[4].starts_with(";; 127.0.0.1#53 (udp), ") && lines[4].ends_with(" ms, 74 bytes"),
        "{shown}"
    );
    let shown = target.run(&["dns", "cut.test", "+noanswer"]).ok();
    assert!(shown.contains(";; 127.0.0.1#53 (tcp, cut over udp), "), "{shown}");
    let shown = target.run(&["dns", "all.test", "+tcp", "+question", "+noanswer"]).ok();
    assert!(shown.starts_with(";all.test.  IN  A\n") && shown.contains("#53 (tcp), "), "{shown}");
    // Any status is an answer.
    for (name, status) in [
        ("nx.test", "NXDOMAIN"),
        ("servfail.test", "SERVFAIL"),
        ("refused.test", "REFUSED"),
        ("formerr.test", "FORMERR"),
        ("nodata.test", "NOERROR"),
        ("loop.test", "NOERROR"),
    ] {
        let shown = target.run(&["dns", name]).ok();
        assert!(shown.contains(&format!(";; {status} for {name}. A, ")), "{shown}");
    }
    // The search list only where it is asked for.
    let searching = resolving("search a.test svc.test\n");
    assert!(searching.run(&["dns", "api"]).ok().contains("NXDOMAIN"));
    assert_eq!(searching.run(&["dns", "api", "+search", "+short"]).ok(), "10.0.0.5\n");
    // A server by its name in hosts.
    assert_eq!(target.run(&["dns", "all.test", "@ns", "+short"]).ok(), "10.0.0.1\n10.0.0.2\n");
    target
        .run(&["dns", "10.0.0.1", "+short"])
        .fails(0, "10.0.0.1 is an address; -x 10.0.0.1 asks for its name");
}

// Seen to fail without the check of the question, and of the id.
#[test]
fn a_server_that_lies_or_is_silent_ends_within_the_limit() {
    needs_root!();
    let target = resolving("");
    let asks = |name: &str, more: &[&str]| {
        let begun = Instant::now();
        let ran = target.run(&[&["dns", name, "+time=1", "+tries=1"], more].concat());
        assert!(begun.elapsed() < Duration::from_secs(4), "{name}: {:?}", begun.elapsed());
        ran
    };
    let forged = asks("forged.test", &["+short"]);
    assert_eq!((forged.status, forged.text().as_str()), (0, "10.0.0.7\n"), "{forged:?}");
    assert!(
        forged.err.contains("127.0.0.1#53: 4 datagrams that were no reply to this question"),
        "{forged:?}"
    );
    for (name, words) in [
        ("other.test", "no reply in 1 s; 4 datagrams that were no reply"),
        ("silent.test", "dns: ask 127.0.0.1#53: no reply in 1 s"),
        ("garbage.test", "no reply in 1 s; a datagram that was no reply"),
        ("late.test", "no reply in 1 s"),
        ("junk.test", "a reply to another question"),
        ("trickle.test", "no reply in 1 s"),
        ("close.test", "the connection ended within the answer"),
        ("twice.test", "an answer that is cut even over TCP"),
    ] {
        let ran = asks(name, &[]);
        assert_eq!(ran.text(), "", "{name}");
        ran.fails(9, words);
        assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
    }
    asks("all.test", &["@127.0.0.1", "-p", "54"]).fails(9, "ask 127.0.0.1#54: connection refused");
    asks("all.test", &["@127.0.0.1", "-p", "54", "+tcp"]).fails(9, "connection refused");
    asks("all.test", &["-6"]).fails(9, "no name server has an IPv6 address");
    asks("all.test", &["@nobody"]).fails(9, "resolve nobody: no such name");
    // One bad name is reported, and the rest go on.
    let both = asks("silent.test", &["all.test", "+short"]);
    assert_eq!((both.status, both.text().as_str()), (9, "10.0.0.1\n10.0.0.2\n"), "{both:?}");
    // A silent server is told where the next one replies.
    let target = resolving("");
    fs::write(target.root.join("etc/resolv.conf"), "nameserver 127.0.0.2\nnameserver 127.0.0.1\n").unwrap();
    let ran = target.run(&["dns", "all.test", "+short", "+time=1"]);
    assert_eq!((ran.status, ran.text().as_str()), (0, "10.0.0.1\n10.0.0.2\n"), "{ran:?}");
    assert!(ran.err.contains("dns: 127.0.0.2#53: connection refused"), "{ran:?}");
}

#[test]
fn rows_have_the_facts_of_the_reply() {
    needs_root!();
    let target = resolving("");
    let rows = |args: &[&str]| -> Vec<Value> {
        let said = target.run(&[&["dns", "--json"], args].concat()).ok();
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = rows(&["all.test", "TXT"]);
    assert_eq!(all.len(), 2);
    let row = &all[1];
    assert_eq!(row["data"], "\"\\027]0;title\\007\\1558m\\226\\128\\174\\027[8m\\010\"");
    for (field, value) in [
        ("name", "all.test."),
        ("type", "TXT"),
        ("class", "IN"),
        ("section", "answer"),
        ("status", "NOERROR"),
        ("server", "127.0.0.1:53"),
        ("protocol", "udp"),
    ] {
        assert_eq!(row[field], value, "{row}");
    }
    assert_eq!(row["ttl"], 300);
    assert!(
        row["time"].as_f64().unwrap() > 0.0 && row["flags"] == serde_json::json!(["qr", "aa", "rd", "ra"])
    );
    let none = rows(&["servfail.test"]);
    assert_eq!((none.len(), &none[0]["status"], &none[0]["data"]), (1, &"SERVFAIL".into(), &Value::Null));
    let ran =
        target.line("dns all.test alias.test | where type eq A and data eq 10.0.0.2 | select name,data");
    assert_eq!(ran.ok(), "NAME       DATA\nall.test.  10.0.0.2\n");
}

#[test]
fn the_steps_of_a_lookup_are_explained() {
    needs_root!();
    let target = resolving("search a.test nodata.test svc.test\noptions ndots:5 timeout:1 attempts:1\n");
    let ran = target.run(&["dns", "--explain", "all.test"]);
    let lines: Vec<String> = ran.ok().lines().map(str::to_owned).collect();
    assert_eq!(
        lines[0],
        ";; hosts: files dns; servers 127.0.0.1#53; search a.test nodata.test svc.test; ndots:5 timeout:1 attempts:1"
    );
    let asked: Vec<Vec<&str>> =
        lines[2..lines.len() - 1].iter().map(|line| line.split_ascii_whitespace().collect()).collect();
    let names: Vec<&str> = asked.iter().map(|line| line[1]).collect();
    assert_eq!(
        names,
        [
            "all.test",
            "all.test.a.test",
            "all.test.a.test",
            "all.test.nodata.test",
            "all.test.nodata.test",
            "all.test.svc.test",
            "all.test.svc.test",
            "all.test",
            "all.test"
        ]
    );
    assert_eq!(
        (asked[0][3], asked[1][3], asked[1].last()),
        ("/etc/hosts", "127.0.0.1#53", Some(&"NXDOMAIN"))
    );
    let verdict = lines.last().unwrap();
    assert!(verdict.starts_with("all.test 2001:db8::1 10.0.0.1 10.0.0.2 after 8 questions, "), "{verdict}");
    assert!(
        verdict.ends_with("; 6 of them came of ndots:5: a trailing dot, or ndots:1, would save them"),
        "{verdict}"
    );
    let dotted = target.run(&["dns", "--explain", "all.test."]).ok();
    assert!(dotted.contains(" after 2 questions, ") && !dotted.contains("of them"), "{dotted}");
    let short = target.run(&["dns", "--explain", "api"]).ok();
    assert!(
        short.contains("musl does not find it: it stops at api.nodata.test, which exists without"),
        "{short}"
    );
    let known = target.run(&["dns", "--explain", "inhosts"]).ok();
    assert!(known.contains("inhosts 10.0.0.9 after no question, ") && known.lines().count() == 4, "{known}");
    let rows = target.run(&["dns", "--explain", "--json", "inhosts"]).ok();
    let last: Value = serde_json::from_str(rows.lines().last().unwrap()).unwrap();
    assert_eq!((&last["source"], &last["step"]), (&"verdict".into(), &2.into()));
    assert!(target.run(&["dns", "--explain", "10.0.0.1"]).ok().contains("nothing is looked up"));
    let none = target.run(&["dns", "--explain", "nowhere"]);
    assert!(none.status == 1 && none.text().contains("nowhere: no such name after "), "{none:?}");
    let none = target.run(&["dns", "--explain", "silent.test."]);
    assert!(
        none.status == 9 && none.text().contains("no name server answered after 2 questions"),
        "{none:?}"
    );
}

#[test]
fn wrong_words_are_told() {
    needs_root!();
    let target = resolving("");
    for (args, words) in [
        (&["dns"][..], "the name is missing"),
        (&["dns", "a", "+shrt"], "unknown option '+shrt' (did you mean +short?)"),
        (&["dns", "a", "-t", "FOO"], "it is A, AAAA, ANY"),
        (
            &["dns", "all.test", "FOO"],
            "FOO is not a record type (TYPEn takes any number; -q FOO asks for a name",
        ),
        (&["dns", "all.test", "AXFR"], "AXFR and IXFR are not supported"),
        (&["dns", "a..b"], "ask for a..b: it has an empty label"),
        (&["dns", "é.test"], "go as xn--"),
        (&["dns", "-x", "web"], "-x web: not an address"),
        (&["dns", "a", "-p", "0"], "0 is not in 1..=65535"),
        (&["dns", "--explain", "x", "y"], "--explain takes one name"),
    ] {
        target.run(args).fails(2, words);
    }
    // A special file in the place of resolv.conf is no server, and is told.
    fs::remove_file(target.root.join("etc/resolv.conf")).unwrap();
    nix::unistd::mkfifo(&target.root.join("etc/resolv.conf"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let ran = target.run(&["dns", "silent.test", "+time=1", "+tries=1"]);
    ran.fails(9, "no reply in 1 s; /etc/resolv.conf is a FIFO");
    // A closed pipe is quiet.
    let mut command = Command::new("sh");
    let line = format!("{} --pid {} -- dns cut.test @127.0.0.1 | head -1", crate::support::NSDBG, target.pid);
    assert_eq!(run(command.args(["-c", &line])).err, "");
}

// Seen to fail with names and texts that are shown as they came.
#[test]
fn r24_records_do_not_steer_the_terminal() {
    needs_root!();
    let target = resolving("search test\n");
    let session = |name: &str| {
        let mut prompt = Prompt::start(&target);
        prompt.sees("/$ ");
        let mut all = prompt.said().to_vec();
        for line in [
            format!("dns {name} TXT"),
            format!("dns {name} TXT +short"),
            format!("dns {name} TXT --json"),
            format!("dns {name} TXT | where type eq TXT"),
            format!("dns --explain {name}"),
        ] {
            prompt.type_in(format!("{line}; echo e\"\"nd\r").as_bytes());
            prompt.sees("\nend\r\n");
            prompt.sees("/$ ");
            all.extend_from_slice(prompt.said());
        }
        all
    };
    let (plain, hostile) = (session("plain.test"), session("steering.test"));
    let more: Vec<String> = controls(&hostile).difference(&controls(&plain)).cloned().collect();
    assert!(more.is_empty(), "{more:?}: {}", hostile.escape_ascii());
    let text = String::from_utf8(hostile).unwrap();
    assert!(text.contains("\\027]0\\;title\\007") && text.contains("\"\\027]0;title"), "{text}");
}
