//! `where`, `select`, `sort-by`, `first`, `last`, `count`.

use serde_json::Value;

use super::serving;
use crate::live::{run, run_with_input};
use crate::prompt::Prompt;
use crate::support::{needs_root, sandbox};

#[test]
fn rows_are_kept_sorted_and_shown() {
    needs_root!();
    let target = sandbox()
        .file("app/small", "x")
        .file("app/large", vec![b'x'; 300_000])
        .file("app/middle", vec![b'x'; 5000])
        .start();
    let names = |line: &str| {
        let shown = target.line(line).ok();
        shown.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("ls -l /app | sort-by -r size | select name"), ["NAME", "large", "middle", "small"]);
    assert_eq!(
        names("ls -l /app | sort-by size | select name,size"),
        ["NAME    SIZE", "small      1", "middle  4.9K", "large   293K"]
    );
    assert_eq!(names("ls -l /app | where size gt 1K and size lt 100K | select name"), ["NAME", "middle"]);
    assert_eq!(names("ls -l /app | where name matches '^.*l$' or size ge 300000 | count"), ["2"]);
    assert_eq!(names("ls /app | sort-by name | first 2 | select name"), ["NAME", "large", "middle"]);
    assert_eq!(names("ls /app | sort-by name | last | select name"), ["NAME", "small"]);
    assert_eq!(
        names("ls -l / /app | count type"),
        ["TYPE       COUNT", "directory      5", "file           4"]
    );
    target.line("ls /app | where size gt 1G").fails(1, "");
    assert_eq!(names("ps | where rss gt 1K and command has sleep | count"), ["1"]);
}

#[test]
fn rows_are_json_where_that_is_asked_for_or_read_from_a_file() {
    needs_root!();
    let target = serving();
    let ran = run(target.nsdbg().args([
        "--json",
        "-c",
        "netstat -tln | where local_port eq 8080 | select state,local_port",
    ]));
    assert_eq!(
        serde_json::from_str::<Value>(&ran.ok()).unwrap(),
        serde_json::json!({"state": "LISTEN", "local_port": 8080})
    );
    assert_eq!(target.line("netstat -tln | select local_port --json").ok(), "{\"local_port\":8080}\n");
    let rows = b"{\"a\":1,\"b\":{\"c\":\"x\"}}\n\n{\"a\":2,\"b\":null}\n";
    let ran = run_with_input(target.nsdbg().args(["--", "where", "b.c", "eq", "x"]), rows);
    assert_eq!(ran.ok(), "A  B\n1  {\"c\":\"x\"}\n");
    // The lines of standard input are the session's, not the filter's.
    let ran = run_with_input(&mut target.nsdbg(), b"ls / | count\necho on\nps | where pid eq 1 | count\n");
    assert_eq!(ran.ok(), "7\non\n1\n");
    run_with_input(target.nsdbg().args(["--", "count"]), b"{\"a\":1}\nnothing\n")
        .fails(1, "read line 2: the row is not JSON");
    run_with_input(target.nsdbg().args(["--", "count"]), b"[1]\n").fails(1, "a row is a JSON object");
}

#[test]
fn what_can_not_be_done_with_rows_is_said() {
    needs_root!();
    let target = serving();
    for (line, words) in [
        ("cat /etc/passwd | where a eq 1", "cat prints bytes, not rows: where can't work on them"),
        ("ps | where rsss gt 1", "the rows of ps have no field 'rsss' (did you mean rss?)"),
        ("ps | select pid,nothing", "have no field 'nothing' (user, pid,"),
        ("ps | where rss gt lots", "rss is compared with a number of bytes: 512, 100M, 1.5G, not 'lots'"),
        ("ps | where rss bigger 1", "'bigger' is not an operator: eq, ne"),
        ("ps | sort-by ''", "a field is missing"),
        (
            "ps | first 99999999999999999999",
            "invalid value '99999999999999999999' for '[COUNT]': out of range",
        ),
        ("ps | first x", "invalid value 'x' for '[COUNT]': not a number"),
    ] {
        target.line(line).fails(2, words);
    }
    // A fault of the first stage is told for people.
    let ran = target.line("ls -l /none | where size gt 1");
    assert_eq!(ran.err, "ls: stat /none: no such file or directory\n", "{ran:?}");
    // Much is ended early.
    assert_eq!(target.line("ps | first 0").ok(), "");
}

#[test]
fn tab_completes_the_fields_of_the_command_before() {
    needs_root!();
    let target = serving();
    let mut prompt = Prompt::start(&target);
    prompt.sees("web:/$ ");
    prompt.type_in(b"ps | where elap\t");
    prompt.sees("elapsed ");
    prompt.type_in(b"ge 0 | select pid,comman\t");
    prompt.sees("pid,command ");
    prompt.type_in(b"\r");
    prompt.sees("\nPID  COMMAND\r\n  1  /");
}
