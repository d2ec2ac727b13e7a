//! What nsdbg answers: statuses, errors, options, lines.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::live::{end, run, run_with_input, wait, within};
use crate::support::{LIMIT, NSDBG, needs_root, sandbox};

#[test]
fn one_command_prints_and_ends_with_its_status() {
    needs_root!();
    let target = sandbox().file("app/config", "port = 8080\n").start();
    assert_eq!(target.run(&["echo", "$HOME", "*"]).ok(), "$HOME *\n");
    assert_eq!(target.run(&["cat", "/app/config"]).ok(), "port = 8080\n");
    assert_eq!(target.run(&["ls", "/app"]).ok(), "config\n");
    assert_eq!(target.run(&["false"]).status, 1);
    target.run(&["cat", "/nope"]).fails(1, "cat: open /nope: no such file or directory");
}

#[test]
fn wrong_use_is_status_2() {
    needs_root!();
    for (args, words) in [
        (&[][..], "which container"),
        (&["--nope"], "--nope"),
        (&["--pid"], "--pid"),
        (&["0"], "PIDs begin at 1"),
        (&["--pid", "-1"], "no PID"),
        (&["--pid", "99999999999"], "no PID"),
        (&["pid:web-0"], "no PID"),
        (&["1", "--timeout", "soon", "--", "true"], "--timeout"),
        (&["web-0", "ls", "/"], "nsdbg web-0 -- ls /"),
    ] {
        run(Command::new(NSDBG).args(args)).fails(2, words);
    }
    let target = sandbox().start();
    target.run(&["cat", "--nope"]).fails(2, "cat: ");
    target.line("echo 'open").fails(2, "");
    target.line("echo $(pwd)").fails(2, "column");
    target.line("echo a & echo b").fails(2, "column");
}

#[test]
fn what_can_not_be_entered_is_status_125() {
    needs_root!();
    // Above the kernel's highest PID, or free.
    run(Command::new(NSDBG).args(["--pid", "4194303", "--", "true"])).fails(125, "no such process");
    let mut zombie = Command::new("/bin/true").spawn().unwrap();
    let pid = zombie.id().to_string();
    assert!(within(Duration::from_secs(5), || {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z")
    }));
    run(Command::new(NSDBG).args(["--pid", &pid, "--", "true"])).fails(125, "zombie");
    zombie.wait().unwrap();
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
        run(Command::new(NSDBG).args(["--pid", "2", "--", "true"])).fails(125, "kernel thread");
    }
    // This test runs in a thread.
    let thread = nix::unistd::gettid().to_string();
    let process = std::process::id();
    run(Command::new(NSDBG).args(["--pid", &thread, "--", "true"]))
        .fails(125, &format!("it is a thread of process {process} (nsdbg --pid {process})"));
}

#[test]
fn an_unknown_command_is_status_127_and_gets_an_answer() {
    needs_root!();
    let target = sandbox().start();
    for (name, words) in
        [("sl", ""), ("caat", "cat"), ("curl", "http get"), ("sh", "nsdbg"), ("ss", "netstat")]
    {
        target.run(&[name]).fails(127, words);
        target.line(name).fails(127, words);
    }
}

#[test]
fn without_root_one_line_says_so() {
    needs_root!();
    let target = sandbox().start();
    let copy = target.root.join("app/nsdbg");
    std::fs::copy(NSDBG, &copy).unwrap();
    let ran = run(Command::new(&copy).args(["--pid", "1", "--", "true"]).uid(65534).gid(65534));
    ran.fails(125, "must run as root");
    assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
}

#[test]
fn the_nodes_own_first_process_is_a_target() {
    needs_root!();
    // A node in little: nsdbg and its target share every namespace, and the target is PID 1.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]);
    command.arg("\"$0\" --pid 1 -- ps -o pid,args && \"$0\" 1 -- ls -d /etc").arg(NSDBG);
    let ran = run(&mut command);
    let text = ran.text();
    assert!(ran.status == 0 && text.contains("\n  1 sh -c ") && text.ends_with("/etc\n"), "{ran:?}");
    assert!(ran.err.contains("shares the node's PID namespace"), "{ran:?}");
}

#[test]
fn lines_of_stdin_run_one_after_the_other() {
    needs_root!();
    let target = sandbox().start();
    let lines =
        b"cd /etc\npwd\n# nothing\n\nfalse\necho $?\nexport A=b\necho \"$A\"; env | cat | cat >/tmp/env\n";
    let ran = run_with_input(&mut target.nsdbg(), lines);
    assert_eq!((ran.status, ran.text().as_str()), (0, "/etc\n1\nb\n"), "{ran:?}");
    let env = std::fs::read_to_string(target.root.join("tmp/env")).unwrap();
    assert!(env.contains("A=b\n"), "{env}");

    let ran = run_with_input(target.nsdbg().arg("-e"), b"echo one\ncat /nope\necho two\n");
    assert_eq!((ran.status, ran.text().as_str()), (1, "one\n"));
    let ran = run_with_input(&mut target.nsdbg(), b"cat /nope\necho two\n");
    assert_eq!((ran.status, ran.text().as_str()), (0, "two\n"));
    let ran = run_with_input(&mut target.nsdbg(), b"echo one\nexit 7\necho two\n");
    assert_eq!((ran.status, ran.text().as_str()), (7, "one\n"));
    // In this mode stdin is nobody's.
    let ran = run_with_input(&mut target.nsdbg(), b"cat\necho two\n");
    assert_eq!((ran.status, ran.text().as_str()), (0, "two\n"));
    // The end comes within a quote.
    let ran = run_with_input(&mut target.nsdbg(), b"echo one\necho 'two");
    assert_eq!((ran.status, ran.text().as_str()), (2, "one\n"), "{ran:?}");
    assert!(!ran.err.is_empty());
}

#[test]
fn redirections_are_opened_inside_as_the_targets_user() {
    needs_root!();
    let target = sandbox().file("etc/owned", "x\n").start();
    target.line("echo a > /tmp/f; echo b >> /tmp/f; cat < /tmp/f").ok();
    let file = target.root.join("tmp/f");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\nb\n");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&file).unwrap()), 65532);
    target.line("echo a > /etc/owned").fails(1, "open /etc/owned: permission denied");
    let ran = run(target.nsdbg().args(["--read-only", "-c", "echo a > /tmp/g"]));
    ran.fails(1, "--read-only");
    assert!(!target.root.join("tmp/g").exists());
}

#[test]
fn a_read_only_session_can_not_write_even_as_root() {
    needs_root!();
    let mut target = sandbox().user(0, 0).caps(0xa804_25fb).mode(&["serve", "8080"]).start();
    assert_eq!(target.next_line(Duration::from_secs(5)).as_deref(), Some("listening"));
    let get = ["http", "get", "-o", "/tmp/x", "http://127.0.0.1:8080/"];
    target.run_with(&["--read-only"], &get).fails(1, "the session is --read-only");
    assert!(!target.root.join("tmp/x").exists());
    // Nor is anything asked for.
    assert_eq!(target.next_line(Duration::from_millis(300)), None);
    target.run(&get).ok();
    assert_eq!(target.next_line(Duration::from_secs(5)).as_deref(), Some("connection"));
    assert_eq!(std::fs::read_to_string(target.root.join("tmp/x")).unwrap(), "hello\n");
    // What reads goes on.
    let ran = run(target.nsdbg().args(["--read-only", "--", "cat", "/etc/group"]));
    assert!(ran.ok().contains("root"));
}

#[test]
fn arguments_are_bytes() {
    needs_root!();
    let target = sandbox().start();
    let odd = OsStr::from_bytes(b"\xff\xfe \n\t'\"\\");
    let ran = run(target.nsdbg().args(["--", "echo", "-n"]).arg(odd));
    assert_eq!(ran.out, odd.as_bytes());
    let ran = run(target.nsdbg().args(["-c", r"echo -n $'\xff' > $'/tmp/\xfe'; cat $'/tmp/\xfe'"]));
    assert_eq!((ran.status, ran.out.as_slice()), (0, &b"\xff"[..]), "{ran:?}");
    let ran = run(target.nsdbg().arg("-c").arg(OsStr::from_bytes(b"echo -n \xff")));
    assert_eq!(ran.out, b"\xff");
    assert!(target.root.join(OsStr::from_bytes(b"tmp/\xfe")).exists());
}

#[test]
fn long_lines_are_whole() {
    needs_root!();
    let target = sandbox().start();
    let word = "x".repeat(100_000);
    let ran = run_with_input(&mut target.nsdbg(), format!("echo {word}\n").as_bytes());
    assert_eq!((ran.status, ran.out.len(), ran.err.as_str()), (0, 100_001, ""));
    let ran = run(target.nsdbg().arg("-c").arg(format!("echo {word} | cat | cat")));
    assert_eq!((ran.status, ran.out.len()), (0, 100_001));
}

#[test]
fn a_closed_pipe_is_quiet() {
    needs_root!();
    let target = sandbox().file("big", vec![b'x'; 8 << 20]).start();
    let mut child = target
        .nsdbg()
        .args(["--", "cat", "/big"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran = end(child);
    assert_eq!(ran.err, "");
}

// Seen to fail with splice(2), which gave each message a page of its own.
#[test]
fn many_messages_fit_into_a_pipe_that_is_read_late() {
    needs_root!();
    let target = sandbox().start();
    let mut command = target.nsdbg();
    let names: Vec<String> = (0..100).map(|n| format!("/none/{n}")).collect();
    let mut nsdbg = command.args(["--", "cat"]).args(names).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(wait(&mut nsdbg, LIMIT), Some(1));
    let mut said = String::new();
    nsdbg.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said.lines().count(), 100, "{said}");
}

#[test]
fn much_goes_through_unchanged() {
    needs_root!();
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let target = sandbox().file("big", &bytes).start();
    assert_eq!(target.run(&["cat", "/big"]).out, bytes);
    assert_eq!(target.line("cat /big | cat | cat > /tmp/copy; cat < /tmp/copy").out, bytes);
    assert_eq!(run_with_input(target.nsdbg().args(["--", "cat"]), &bytes).out, bytes);
}

#[test]
fn the_containers_server_answers() {
    needs_root!();
    let mut target = sandbox().mode(&["serve", "8080"]).start();
    assert_eq!(target.next_line(Duration::from_secs(5)).as_deref(), Some("listening"));
    assert_eq!(target.run(&["http", "get", "http://127.0.0.1:8080/"]).ok(), "hello\n");
    let listening = target.run(&["netstat", "-tln"]).ok();
    assert!(listening.contains("127.0.0.1:8080"), "{listening}");
    assert_ne!(target.run_with(&["--ns", "-net"], &["http", "get", "http://127.0.0.1:8080/"]).status, 0);
}

// Seen to succeed, and to print nothing.
#[test]
fn output_that_is_closed_is_an_error_for_who_writes() {
    needs_root!();
    let target = sandbox().start();
    let with = |redirection: &str, command: &str| {
        let line = format!("exec {NSDBG} --pid {} -- {command} {redirection}", target.pid);
        run(Command::new("sh").args(["-c", &line]))
    };
    for command in ["ls /", "ps", "find /etc", "cat /etc/group"] {
        let ran = with(">&-", command);
        assert!(ran.status != 0 && ran.err.contains("bad file number"), "{command}: {ran:?}");
    }
    // Who does not use it is not disturbed.
    assert_eq!(with("<&-", "echo here").ok(), "here\n");
    assert_eq!(with("<&- 2>&-", "true").status, 0);
}

// Seen to print text.
#[test]
fn what_can_not_be_begun_is_an_object_of_json_where_that_is_asked_for() {
    needs_root!();
    for args in [
        &["--json", "nsdbg-test-nobody", "--", "ls"][..],
        &["--json", "--timeout", "x", "1", "--", "ls"],
        &["--pid", "x", "--json", "--", "ls"],
    ] {
        let ran = run(Command::new(NSDBG).args(args));
        let object: serde_json::Value = serde_json::from_str(&ran.err).unwrap_or_else(|_| panic!("{ran:?}"));
        assert!(ran.status != 0 && object["error"].is_string(), "{object}");
    }
}
