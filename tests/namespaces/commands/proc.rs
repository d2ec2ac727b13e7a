//! `proc`.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{family, has_tool};
use crate::live::{Ran, run};
use crate::support::{NSDBG, Sandbox, needs_root, sandbox, skip};

fn facts(ran: &Ran) -> Value {
    serde_json::from_str(ran.text().lines().next().unwrap_or_default()).unwrap_or_else(|_| panic!("{ran:?}"))
}

/// A file of the target's directory in the node's procfs.
fn of_node(target: &Sandbox, name: &str) -> String {
    fs::read_to_string(format!("/proc/{}/{name}", target.pid)).unwrap()
}

#[test]
fn the_facts_are_those_of_the_nodes_procfs() {
    needs_root!();
    let target = family(
        sandbox()
            .caps(1 << 10 | 1)
            .set("groups", "2000,7")
            .set("nnp", "1")
            .set("cwd", "/tmp")
            .variable("PLAIN", "a=b c")
            .variable("STEERS", "x\u{1b}[2J\ny"),
        &["handle=10", "ignore=12", "threads=2"],
    );
    let facts = facts(&target.run(&["proc", "--json"]));
    let status = of_node(&target, "status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap_or_default().trim().to_owned()
    };
    assert_eq!((&facts["pid"], &facts["ppid"], &facts["parent"]), (&1.into(), &0.into(), &Value::Null));
    assert_eq!(facts["comm"], field("Name"));
    assert_eq!(facts["uids"]["real"], serde_json::json!({"id": 65532, "name": "web"}));
    assert_eq!(facts["groups"][1], serde_json::json!({"id": 2000, "name": "logs"}));
    assert_eq!(facts["groups"][0], serde_json::json!({"id": 7, "name": null}));
    assert_eq!(facts["capabilities"]["effective"], serde_json::json!(["CAP_CHOWN", "CAP_NET_BIND_SERVICE"]));
    let count = |set: &Value| set.as_array().unwrap().len() as u32;
    for (ours, theirs) in [
        (&facts["capabilities"]["bounding"], "CapBnd"),
        (&facts["capabilities"]["permitted"], "CapPrm"),
        (&facts["capabilities"]["inheritable"], "CapInh"),
        (&facts["signals"]["blocked"], "SigBlk"),
        (&facts["signals"]["ignored"], "SigIgn"),
        (&facts["signals"]["caught"], "SigCgt"),
    ] {
        let mask = u64::from_str_radix(&field(theirs), 16).unwrap();
        assert_eq!(count(ours), mask.count_ones(), "{theirs}: {ours}");
    }
    let has = |set: &Value, name: &str| set.as_array().unwrap().iter().any(|one| one == name);
    assert!(has(&facts["signals"]["ignored"], "USR2") && has(&facts["signals"]["caught"], "USR1"));
    assert_eq!((&facts["no_new_privs"], &facts["seccomp"]), (&true.into(), &"none".into()));
    assert_eq!((&facts["cwd"], &facts["thread_count"]), (&"/tmp".into(), &3.into()));
    assert_eq!(count(&facts["threads"]), 3);
    assert_eq!(facts["environment"][0], serde_json::json!({"name": "PLAIN", "value": "a=b c"}));
    let rss = facts["memory"]["rss"].as_u64().unwrap();
    assert!(rss > 0 && facts["memory"]["pss"].as_u64().unwrap() <= rss, "{}", facts["memory"]);
    let open = fs::read_dir(format!("/proc/{}/fd", target.pid)).unwrap().count();
    assert_eq!(facts["open_files"], open);
    for line in of_node(&target, "limits").lines().skip(1) {
        let (name, rest) = (line[..25].trim().trim_start_matches("Max "), &line[25..]);
        let ours = facts["limits"].as_array().unwrap().iter().find(|one| one["name"] == name).expect(name);
        let mut theirs = rest.split_whitespace();
        for bound in ["soft", "hard"] {
            let theirs = theirs.next().unwrap();
            let ours = ours[bound].as_u64().map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
            assert_eq!(ours, theirs, "{name} {bound}");
        }
        if name == "open files" {
            assert_eq!(ours["used"], open);
        }
    }
    for one in facts["namespaces"].as_array().unwrap() {
        let kind = one["kind"].as_str().unwrap();
        let link = fs::read_link(format!("/proc/{}/ns/{kind}", target.pid)).unwrap();
        assert_eq!(link.to_str().unwrap(), format!("{kind}:[{}]", one["inode"]), "{kind}");
        assert_eq!((&one["is_targets"], &one["is_first"]), (&true.into(), &true.into()));
    }
    let page = target.run(&["proc"]).ok();
    for words in [
        "\n  PLAIN=a=b c\n",
        "\n  STEERS=x\\x1b[2J\\ny\n",
        "\nuser           65532 (web)\n",
        "\ncapabilities   CAP_CHOWN CAP_NET_BIND_SERVICE\n",
        "\nconfinement    seccomp none, no_new_privs",
        "\nparent         outside of the container\n",
        "\n  open files ",
    ] {
        assert!(page.contains(words), "{words:?}: {page}");
    }
}

#[test]
fn ids_are_the_containers() {
    needs_root!();
    let target = family(sandbox().mapped(), &[]);
    let facts = facts(&target.run(&["proc", "1", "--json"]));
    assert_eq!(facts["uids"]["effective"], serde_json::json!({"id": 65532, "name": "web"}));
    assert_eq!(facts["gids"]["saved"], serde_json::json!({"id": 65532, "name": "web"}));
}

#[test]
fn odd_processes_are_told_of() {
    needs_root!();
    let target = family(sandbox(), &["name=1b5d300aff", "zombie", "child=a", "threads=1000"]);
    let page = target.run(&["proc"]).ok();
    assert!(page.contains("process        1 (\\x1b]0\\n\\xff)\n"), "{page}");
    assert!(page.ends_with("  and 969 more: ps -T -p 1 lists them\n"), "{page}");
    let whole = facts(&target.run(&["proc", "--json"]));
    assert_eq!(whole["threads"].as_array().unwrap().len(), 1001);
    let rows = target.run(&["ps", "--json"]).ok();
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let zombie = rows.iter().find(|row| row["state"] == "Z").unwrap()["pid"].to_string();
    let page = target.run(&["proc", &zombie]).ok();
    assert!(page.contains("state          Z (zombie") && page.contains("program        -\n"), "{page}");
    assert!(page.contains("arguments      none\n"), "{page}");
    // A thread, and what is not there; the rest is shown.
    let thread = whole["threads"][1]["tid"].to_string();
    target.run(&["proc", &thread]).fails(1, "that is a thread, no process (proc 1)");
    let ran = target.run(&["proc", "4000000", "1"]);
    ran.fails(1, "proc: find process 4000000: no such process in the container\n");
    assert!(ran.text().starts_with("process        1 "), "{ran:?}");
    for wrong in ["0", "-1", "x", "99999999999"] {
        target.run(&["proc", "--", wrong]).fails(2, wrong);
    }
}

#[test]
fn what_the_kernel_refuses_is_a_dash_and_one_note() {
    needs_root!();
    if !has_tool("setpriv") {
        skip!("no setpriv: apt-get install util-linux");
    }
    let target = family(sandbox().user(0, 0), &["child=a"]);
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-sys_ptrace", NSDBG, "--pid", &target.pid.to_string(), "--", "proc"]);
    let ran = run(&mut command);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(
        ran.err.lines().last().unwrap().contains("'-': the kernel refused it, since nsdbg lacks"),
        "{ran:?}"
    );
    for words in ["\nprogram        -\n", "\nenvironment    -\n", "\ndirectory      -\n"] {
        assert!(ran.text().contains(words), "{words:?}: {ran:?}");
    }
}

#[test]
fn a_kernel_thread_is_told_of() {
    needs_root!();
    if !fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
        skip!("the PID namespace has no kernel threads");
    }
    let target = family(sandbox().set("ns", "mnt,net,ipc,uts,cgroup"), &[]);
    let ran = target.run(&["proc", "2"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let page = ran.text();
    assert!(page.contains("process        2 (kthreadd)\n") && page.contains("memory         -\n"), "{page}");
}
