//! The commands, one file each, and what holds for all of them.

mod bad;
mod cgroup;
mod copy;
mod dns;
mod file;
mod files;
mod find;
mod free;
mod grep;
mod head;
mod http;
mod instead;
mod ip;
mod kill;
mod ls;
mod lsof;
mod nc;
pub mod network;
mod nginx;
mod ping;
mod proc;
mod pstree;
mod rows;
mod sha256sum;
mod sort;
mod tail;
mod tcp;
mod text;
pub mod tls;
mod uniq;
mod wc;

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::live::run;
use crate::prompt::Prompt;
use crate::support::{Builder, LIMIT, Sandbox, needs_root, new_directory, sandbox};

/// A container that listens on 8080 and answers, with some files.
pub fn serving() -> Sandbox {
    let mut target = sandbox()
        .mode(&["serve", "8080"])
        .file("tmp/data", "one\ntwo\n")
        .file("etc/hosts", "127.0.0.1 localhost\n")
        .file("usr/lib/data", "")
        .start();
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("listening"));
    target
}

/// Whether the node has a tool; its absence is to be a skip.
fn has_tool(tool: &str) -> bool {
    std::process::Command::new(tool).arg("--version").output().is_ok()
}

/// A container whose first process has children, threads and signals, as these words say.
fn family(builder: Builder, words: &[&str]) -> Sandbox {
    let mut target = builder.mode(&[&["family"], words].concat()).start();
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("ready"));
    target
}

/// What the registry says of each command.
fn registry(target: &Sandbox) -> Vec<Value> {
    let said = target.run(&["help", "--json"]).ok();
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Examples whose status is not 0 where they are run here, and why.
const OTHER_STATUSES: &[(&str, i32)] = &[
    // The name is not known.
    ("http get -v https://kubernetes.default", 6),
    ("http post http://api/items -d '{}' -H 'Content-Type: application/json'", 6),
    ("http get http://api/dump -o @host:/tmp/dump", 6),
    // No server is there.
    ("dns kubernetes.default.svc.cluster.local +time=1 +tries=1", 9),
    ("dns -x 10.96.0.1 +short +time=1 +tries=1", 9),
    ("dns example.com MX @127.0.0.1 +time=1 +tries=1", 9),
    ("tls kubernetes.default", 6),
    ("tls registry:5000 --cacert /etc/ssl/ca.pem", 77),
    // Nobody listens, or speaks no TLS.
    ("tls localhost:8443 --sni api.example.com", 7),
    ("tls localhost:8080", 35),
    // Nobody of that name, nobody comes, no group may ping.
    ("tcp -w 1 db.prod:5432 cache:6379", 1),
    ("tcp 127.0.0.1 8080 8000-8010", 1),
    ("nc -w 1 -lv 9999", 1),
    ("ping -c 3 -i 0.2 127.0.0.1", 2),
    ("ping -c 1 -t 1 -W 1 127.0.0.1", 2),
    // `get /etc - > @host:/tmp/etc.tar` is run with --json last, which it refuses: what is left is empty.
    ("put - /tmp < @host:/tmp/etc.tar", 1),
    // The target's environment is empty.
    ("env PATH", 1),
    // Nothing is there of this name, or with this PID.
    ("kill -v -s USR1 nginx", 1),
    ("kill -0 7", 1),
    // Nothing is shown, and nothing is left.
    ("lsof /etc/hosts", 1),
    ("lsof +D /tmp", 1),
    ("lsof +L1", 1),
    ("lsof -t -c nginx", 1),
    ("ps | where user eq root and not command has kworker", 1),
    // Its program is no file of the container.
    ("ldd 1 | where status ne found", 1),
    // Nobody is an authority; nobody handles SIGTERM, and no name server is named.
    ("certs | where subject has ISRG", 1),
    ("certs /etc/ssl/server.pem", 1),
    ("doctor", 1),
    ("doctor image network", 1),
    ("doctor -v pid1-signals", 1),
];

// Seen to fail with an example that names an option that there is not, and with a field that is not documented.
#[test]
fn every_example_runs_and_every_field_is_documented() {
    needs_root!();
    let target = serving();
    let node = new_directory("examples");
    let others: BTreeMap<&str, i32> = OTHER_STATUSES.iter().copied().collect();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for command in registry(&target) {
        for example in command["examples"].as_array().unwrap() {
            let line = text(&example["line"]);
            let status = others.get(line.as_str()).copied().unwrap_or(0);
            // What is written on the node is written into a directory of the test's own.
            let (of_node, prefix) =
                if line.starts_with("get ") { ("/tmp", "") } else { ("@host:/tmp", "@host:") };
            let line = line.replace(of_node, &format!("{prefix}{}", node.display()));
            let ran = target.line(&line);
            assert_eq!(ran.status, status, "{line}: {ran:?}");
            if command["prints"] != "rows" || ran.status != 0 || line.contains('|') {
                continue;
            }
            let ran = run(target.nsdbg().args(["--json", "-c", &line]));
            let fields: Vec<String> =
                command["fields"].as_array().unwrap().iter().map(|f| text(&f["name"])).collect();
            for row in ran.text().lines() {
                let row: Value = serde_json::from_str(row).unwrap_or_else(|_| panic!("{line}: {row}"));
                for name in row.as_object().unwrap().keys() {
                    assert!(fields.contains(name), "{line}: the field {name} is not documented");
                }
            }
        }
    }
    fs::remove_dir_all(node).unwrap();
}

#[test]
fn every_command_names_an_option_that_it_does_not_have() {
    needs_root!();
    let target = sandbox().start();
    for command in registry(&target) {
        let name = command["name"].as_str().unwrap();
        if matches!(name, "echo" | "true" | "false") {
            continue;
        }
        let ran = target.run(&[name, "--no-such-option"]);
        assert_eq!((ran.status, ran.text().as_str()), (2, ""), "{name}: {ran:?}");
        let told = ran.err.starts_with(&format!("{name}: ")) && ran.err.contains("--no-such-option");
        assert!(told && ran.err.lines().count() == 1, "{name}: {ran:?}");
        let help = target.run(&[name, "--help"]).ok();
        assert!(help.contains("Usage:") && help.contains("Examples:"), "{name}: {help}");
    }
}

// Seen to fail with options completed as paths.
#[test]
fn every_command_completes_its_options_and_operands() {
    needs_root!();
    let target = serving();
    let commands = registry(&target);
    let mut prompt = Prompt::start(&target);
    prompt.sees("/$ ");
    for command in commands {
        let name = command["name"].as_str().unwrap();
        prompt.type_in(format!("{name} --hel\t").as_bytes());
        prompt.sees("--help ");
        prompt.type_in(b"\x03");
        prompt.sees("/$ ");
    }
    // Paths, where a command has no words of its own; else those.
    for (keys, seen) in [
        ("cat /etc/ho\t", "/etc/hosts "),
        ("why /etc/hosts wr\t", "write "),
        ("doctor pid1\t", "pid1-signals "),
        ("ldd /ser\t", "/server "),
        ("ps | where comm\t\t", "command"),
        ("dns localhost AAA\t", "AAAA "),
    ] {
        prompt.type_in(keys.as_bytes());
        prompt.sees(seen);
        prompt.type_in(b"\x03");
        prompt.sees("/$ ");
    }
}
