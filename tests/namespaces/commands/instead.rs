//! Names of other tools, and lines that mean something else than they say.

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::live::run_with_input;
use crate::support::{needs_root, sandbox};

#[test]
fn names_that_fingers_know_run_what_they_mean() {
    needs_root!();
    let target = sandbox().file("data/a", "one\ntwo+\n").start();
    assert_eq!(target.run(&["egrep", "one|three", "/data/a"]).ok(), "one\n");
    assert_eq!(target.run(&["fgrep", "o+", "/data/a"]).ok(), "two+\n");
    assert_eq!(target.run(&["egrep", "-c", "t.*", "/data/a"]).ok(), "1\n");
    assert_eq!(target.line("ll /data/a").ok(), target.line("ls -l /data/a").ok());
    for line in ["man ls", "help ls"] {
        assert!(target.line(line).ok().contains("Usage: ls"), "{line}");
    }
    assert_eq!(target.line("?").ok(), target.line("help").ok());
    assert_eq!(target.run(&["?"]).ok(), target.line("help").ok());
    assert!(target.line("help egrep").ok().contains("Usage: grep"));
}

#[test]
fn a_command_that_there_is_not_gets_an_answer_of_its_own() {
    needs_root!();
    let target = sandbox().start();
    let pid = target.pid;
    for (args, said) in [
        (&["strace", "ls"][..], format!("on the node: strace -f -p {pid}")),
        (&["tcpdump"], format!("nsenter -t {pid} -n tcpdump")),
        (&["cut", "-f1"], "select FIELD".to_owned()),
        (&["ls | wc -l"], "a line is run by -c 'ls | wc -l'".to_owned()),
        (&["time", "ls"], "-c 'time COMMAND'".to_owned()),
        (&["nestat"], "did you mean netstat?".to_owned()),
        (&["zzzzz"], "help lists them".to_owned()),
    ] {
        target.run(args).fails(127, &said);
    }
    for (line, said) in [("clear", "Ctrl-L"), ("..", "cd .."), ("id", "users"), ("logs", "kubectl logs")] {
        target.line(line).fails(127, said);
    }
}

// Seen to make the file 5.
#[test]
fn a_comparison_by_a_sign_that_redirects_makes_no_file() {
    needs_root!();
    let target = sandbox().user(0, 0).start();
    for (line, said) in [
        ("cd /tmp; ps | where rss > 5", "'>' redirects to a file; gt compares (where rss gt 5)"),
        ("cd /tmp; ps | where rss >= 5", "ge compares"),
        (
            "cd /tmp; ps | where user eq root and rss < 5M",
            "'<' redirects to a file; lt compares (where rss lt 5M)",
        ),
    ] {
        target.line(line).fails(2, said);
    }
    assert_eq!(target.line("ls /tmp").ok(), "");
    target.line("cd /tmp; ps | where rss gt 5 > 5").ok();
    assert_eq!(target.line("ls /tmp").ok(), "5\n");
}

#[test]
fn an_unknown_option_has_no_tip_that_misleads() {
    needs_root!();
    let target = sandbox().start();
    let ran = target.run(&["stat", "--color-x", "/"]);
    assert!(ran.status == 2 && !ran.err.contains("tip: to pass") && ran.err.contains("--color"), "{ran:?}");
    target.run(&["kill", "-FOO", "1"]).fails(1, "send FOO: no such signal (kill -l lists them)");
}

#[test]
fn env_prints_what_is_named_and_leaves_out_what_is_unset() {
    needs_root!();
    let target = sandbox().start();
    let line = |line: &str| target.line(&format!("export A=1; export B=2; {line}"));
    assert_eq!(line("env A").ok(), "1\n");
    assert_eq!(line("printenv B A").ok(), "2\n1\n");
    assert_eq!((line("env A NONE").status, line("env A NONE").text()), (1, "1\n".to_owned()));
    assert_eq!(line("env -i X=3").ok(), "X=3\n");
    let unset = line("env -u A").ok();
    assert!(unset.contains("B=2\n") && !unset.contains("A=1"), "{unset}");
    line("env X=3 ls").fails(2, "it runs no command (export NAME=VALUE, then the command)");
}

// Seen to fail with /dev/stdin opened by its path: it is a FIFO.
#[test]
fn dev_stdin_is_standard_input() {
    needs_root!();
    let target = sandbox().start();
    for line in ["echo a | cat -n /dev/stdin", "echo a | cat /dev/stdin | cat -n"] {
        assert_eq!(target.line(line).ok(), "     1\ta\n", "{line}");
    }
    assert_eq!(target.line("echo a | grep -c a /dev/stdin").ok(), "1\n");
    let typed = run_with_input(target.nsdbg().args(["--", "cat", "-n", "/dev/stdin"]), b"b\n");
    assert_eq!(typed.ok(), "     1\tb\n");
}

#[test]
fn dev_null_is_read_as_an_empty_file() {
    needs_root!();
    let target = sandbox().file("data/a", "x\n").start();
    let all = Mode::from_bits_truncate(0o666);
    for (name, kind, minor) in
        [("null", SFlag::S_IFCHR, 3), ("zero", SFlag::S_IFCHR, 5), ("disk", SFlag::S_IFBLK, 3)]
    {
        mknod(&target.root.join("data").join(name), kind, all, makedev(1, minor)).unwrap();
    }
    assert_eq!(target.run(&["grep", "x", "/data/a", "/data/null"]).ok(), "/data/a:x\n");
    assert_eq!(target.run(&["cat", "/data/null"]).ok(), "");
    target.run(&["cat", "/data/zero"]).fails(1, "a character device");
    // A disk by the same numbers.
    target.run(&["cat", "/data/disk"]).fails(1, "a block device");
    target.line("echo x > /data/disk").fails(1, "a block device");
}
