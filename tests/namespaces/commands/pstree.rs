//! `pstree`.

use std::process::Command;

use serde_json::Value;

use super::{family, has_tool};
use crate::live::run;
use crate::prompt::Prompt;
use crate::support::{Sandbox, needs_root, sandbox, skip};

const FAMILY: &[&str] = &[
    "name=696e6974",
    "child=web",
    "pair=shell",
    "child=worker",
    "pair=shell",
    "child=worker",
    "child=worker",
    "threads=3",
];

fn pid_of(target: &Sandbox, name: &str) -> String {
    let said = target.run(&["ps", "-o", "pid=", "-C", name]).ok();
    said.lines().next().unwrap().trim().to_owned()
}

#[test]
fn the_tree_is_psmiscs() {
    needs_root!();
    if !has_tool("pstree") {
        skip!("no pstree: apt-get install psmisc");
    }
    let target = family(sandbox(), FAMILY);
    let web = pid_of(&target, "web");
    let pid = target.pid.to_string();
    for options in
        ["-A", "-Ap", "-AT", "-An", "-Ac", "-At", "-U", "-Anp", "-Aa", "-Aap", "-AaT", "-Asp", "-UcT"]
    {
        let root = if options.contains('s') { web.as_str() } else { "1" };
        let mut theirs = Command::new("nsenter");
        theirs.args(["-t", &pid, "-p", "--", "unshare", "-m", "--mount-proc", "pstree", "-l", options, root]);
        let theirs = run(theirs.env("LC_ALL", "C.UTF-8"));
        assert_eq!(theirs.status, 0, "{theirs:?}");
        let ours = target.run(&["pstree", options, root]).ok();
        assert_eq!(ours, theirs.text(), "pstree {options} {root}");
    }
    let drawn = target.run(&["pstree"]).ok();
    assert!(drawn.contains("-2*[shell---2*[leaf]]\n") && drawn.contains("|-3*[worker]\n"), "{drawn}");
    assert!(drawn.contains("-3*[{init}]\n"), "{drawn}");
}

#[test]
fn a_process_or_a_user_is_a_root() {
    needs_root!();
    let setuid = 1 << 7;
    let target = family(sandbox().user(0, 0).caps(setuid), &["child=a:65532", "child=b:65532", "child=c"]);
    assert_eq!(target.run(&["pstree", "web"]).ok(), "a\n\nb\n");
    let drawn = target.run(&["pstree", "-u"]).ok();
    assert!(drawn.contains("-+-a(web)\n") && drawn.ends_with("`-c\n"), "{drawn}");
    let c = pid_of(&target, "c");
    assert_eq!(target.run(&["pstree", "-p", &c]).ok(), format!("c({c})\n"));
    target.run(&["pstree", "4000000"]).fails(1, "find process 4000000: no such process in the container");
    target.run(&["pstree", "99999999999999"]).fails(1, "no such process");
    target.run(&["pstree", "nosuch"]).fails(1, "find user nosuch: the container has no such user");
    let rows = target.run(&["pstree", "--json", "-s", &c]).ok();
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!((&rows[0]["pid"], &rows[0]["depth"], &rows[0]["ppid"]), (&1.into(), &0.into(), &0.into()));
    assert_eq!(
        (&rows[1]["comm"], &rows[1]["depth"], &rows[1]["user"]),
        (&"c".into(), &1.into(), &"root".into())
    );
}

#[test]
fn names_steer_no_terminal_and_threads_are_counted() {
    needs_root!();
    let target = family(sandbox(), &["name=1b5b324a0aff", "threads=1000", "zombie"]);
    let drawn = target.run(&["pstree"]).ok();
    assert!(drawn.contains("1000*[{\\x1b[2J\\n\\xff}]"), "{drawn}");
    assert!(!drawn.contains('\u{1b}') && drawn.lines().count() == 2, "{drawn}");
    let each = target.run(&["pstree", "-pt"]).ok();
    assert_eq!(each.lines().count(), 1001, "{each}");
    assert_eq!(target.run(&["pstree", "-T"]).ok().lines().count(), 1);
    let row: Value =
        serde_json::from_str(target.run(&["pstree", "--json"]).ok().lines().next().unwrap()).unwrap();
    assert_eq!((&row["threads"], &row["comm"]), (&1001.into(), &"$'\\x1b[2J\\n\\xff'".into()));
}

#[test]
fn on_a_terminal_lines_are_drawn_and_cut() {
    needs_root!();
    let target = family(sandbox(), &["name=61616161", "child=bbb", "child=ccc"]);
    let mut prompt = Prompt::start(&target);
    prompt.sees("web:/$ ");
    prompt.type_in(b"pstree\r");
    prompt.sees("aaaa─┬─bbb");
    prompt.sees("└─ccc");
}

#[test]
fn orphans_and_kernel_threads_have_their_places() {
    needs_root!();
    // Shares the node's PID namespace, whose second process is kthreadd.
    let target = family(sandbox().set("ns", "mnt,net,ipc,uts,cgroup"), &["child=web"]);
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
        let drawn = target.run_with(&[], &["pstree", "-a", "2"]).text();
        assert!(drawn.starts_with("(kthreadd)\n  |-("), "{drawn}");
    }
    let drawn = target.run(&["pstree", "-s", &target.pid.to_string()]);
    assert!(drawn.status == 0 && drawn.text().contains("---web"), "{drawn:?}");
}
