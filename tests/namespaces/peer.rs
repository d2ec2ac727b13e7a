//! What another process of the container sees of a command's process.

use std::collections::BTreeMap;
use std::process::Command;

use crate::live::{Facts, Live, run};
use crate::support::{Builder, LIMIT, Sandbox, helper, needs_root, sandbox};

/// What the probe told, by name.
type Told = BTreeMap<String, String>;

fn told(lines: impl IntoIterator<Item = String>) -> Told {
    let named = |line: String| {
        let status = line.strip_prefix("status ");
        let (name, value) = status.map_or_else(|| line.split_once(' '), |status| status.split_once(':'))?;
        let (name, value) = match (name, value.split_once(' ')) {
            ("open", Some((of, value))) => (format!("open {of}"), value),
            _ => (name.to_owned(), value),
        };
        Some((name, value.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    lines
        .into_iter()
        .map_while(|line| if line == "end" { None } else { Some(named(line)) })
        .flatten()
        .collect()
}

/// What the target's first process is shown of another one there.
fn inside(target: &mut Sandbox, pid: &str) -> Told {
    target.say(pid);
    told(std::iter::from_fn(|| target.next_line(LIMIT)))
}

/// What root of the node is shown of a process, by the same program.
fn on_the_node(pid: i32) -> Told {
    told(run(Command::new(helper()).arg("probe").arg(pid.to_string())).ok().lines().map(str::to_owned))
}

fn targets() -> [Builder; 3] {
    [sandbox(), sandbox().user(0, 0).caps(0xa804_25fb), sandbox().mapped().user(0, 0).caps(0x1ff_ffff_ffff)]
}

const REFUSED: [&str; 28] = [
    "exe",
    "root",
    "cwd",
    "fd/0",
    "fd/1",
    "fd/2",
    "ns/mnt",
    "ns/pid",
    "ns/net",
    "ns/user",
    "ns/cgroup",
    "open exe",
    "open root",
    "open cwd",
    "open fd/0",
    "open fd/1",
    "open fd/2",
    "open ns/mnt",
    "open ns/pid",
    "open ns/net",
    "open ns/user",
    "open ns/cgroup",
    "environ",
    "mem",
    "maps",
    "auxv",
    "io",
    "syscall",
];

// Seen to fail with PR_SET_DUMPABLE 1 at the end: exe is shown then, and more.
#[test]
fn r02_r05_r06_a_peer_of_the_container_is_refused_what_a_child_holds() {
    needs_root!();
    for target in targets() {
        let mut target = target.mode(&["peer"]).start();
        let live = Live::start(&target, &[]);
        let number = live.facts().get("NSpid").rsplit(' ').next().unwrap().to_owned();
        let seen = inside(&mut target, &number);
        for name in REFUSED {
            assert!(seen[name].starts_with("refused "), "{name}: {seen:?}");
        }
        // The probe is right: what may be seen is shown to itself, and all of it to the node.
        let itself = inside(&mut target, "self");
        let outside = on_the_node(live.child);
        for name in REFUSED.into_iter().filter(|name| !name.starts_with("open fd")) {
            assert!(!itself[name].starts_with("refused "), "{name}: {itself:?}");
            assert!(!outside[name].starts_with("refused "), "{name}: {outside:?}");
        }
    }
}

// Seen to fail with the group ids kept: without setresgid.
#[test]
fn r07_r08_r11_a_peer_of_the_container_sees_its_own_identity_and_a_plain_name() {
    needs_root!();
    for target in targets() {
        let mut target = target.mode(&["peer"]).start();
        let live = Live::start(&target, &[]);
        let facts: Facts = live.facts();
        let number = facts.get("NSpid").rsplit(' ').next().unwrap().to_owned();
        let (seen, itself) = (inside(&mut target, &number), inside(&mut target, "self"));
        for name in ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(seen[name], itself[name], "{name}");
        }
        assert_eq!((seen["NoNewPrivs"].as_str(), seen["Seccomp"].as_str()), ("1", "2"));
        // One PID alone: that of the namespace in which it is looked at.
        assert_eq!((seen["NSpid"].as_str(), seen["PPid"].as_str()), (number.as_str(), "0"));
        assert_eq!((seen["cmdline"].as_str(), seen["Name"].as_str()), ("nsdbg\\0", "nsdbg"));
        // As SECURITY.md says.
        assert!(
            !seen["cgroup"].starts_with("refused") && !seen["loginuid"].starts_with("refused"),
            "{seen:?}"
        );
    }
}
