//! Sessions end when nobody is there any more: nothing is typed, standard input is closed, or the target has ended.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::audit::{audited, lines, place};
use crate::live::{collect, end, is_alive, run, run_with_input, wait, within};
use crate::prompt::Prompt;
use crate::support::{LIMIT, needs_root, patient, sandbox};

const SOON: Duration = Duration::from_secs(3);

// Seen to fail without the limit, without the warning, and with keys that do not count.
#[test]
fn a_prompt_warns_and_then_ends_when_nothing_is_typed() {
    needs_root!();
    let target = sandbox().start();
    let file = place("audit");
    let mut command = audited(&target, &file);
    command.args(["--idle-limit", "4"]);
    let mut prompt = Prompt::of(command);
    prompt.sees("web:/$ ");
    let begun = Instant::now();
    // Each key begins it anew.
    for _ in 0..5 {
        std::thread::sleep(Duration::from_secs(1));
        prompt.type_in(b"x");
    }
    assert!(begun.elapsed() > Duration::from_secs(4));
    prompt.type_in(b"\x15echo hal");
    prompt.sees("nsdbg: nothing was typed for 3s: this session ends in 1s (--idle-limit)\r\n");
    // What was typed is there still.
    prompt.type_in(b"lo\r");
    prompt.sees("\nhallo\r\n");
    prompt.sees("this session ends in 1s (--idle-limit)\r\n");
    prompt.sees("the session has ended: nothing was typed for 4s (--idle-limit TIME)");
    assert_eq!(wait(&mut prompt.nsdbg, LIMIT), Some(124));
    assert_eq!(prompt.modes(), prompt.before);
    let all = lines(&file);
    let close = all.last().unwrap();
    assert_eq!((&close["event"], &close["status"]), (&"close".into(), &124.into()), "{close:#}");
    assert!(close["duration"].as_f64() > Some(8.0), "{close:#}");
}

// Seen to fail with a read that waits for the input alone.
#[test]
fn lines_that_do_not_come_end_with_the_limit_and_with_the_target() {
    needs_root!();
    let target = sandbox().start();
    let start = |options: &[&str]| {
        let mut command = target.nsdbg();
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Half a line is none yet.
        stdin.write_all(b"echo one\necho tw").unwrap();
        (child, stdin)
    };
    let (child, _stdin) = start(&["--idle-limit", "1"]);
    end(child).fails(124, "the session has ended: nothing was typed for 1s");
    let (child, mut stdin) = start(&["--idle-limit", "1s"]);
    stdin.write_all(b"o").unwrap();
    drop(stdin);
    assert_eq!(end(child).ok(), "one\ntwo\n");

    let mut target = sandbox().start();
    let mut command = target.nsdbg();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _stdin = child.stdin.take().unwrap();
    let begun = Instant::now();
    std::thread::sleep(Duration::from_millis(300));
    target.kill();
    end(child).fails(125, "the target has ended: process");
    assert!(begun.elapsed() < patient(SOON), "{:?}", begun.elapsed());
}

// Seen to fail without the look at standard input: the command runs on.
#[test]
fn r30_a_command_ends_with_who_holds_its_standard_input_open() {
    needs_root!();
    let target = sandbox().start();
    for words in
        [&["--", "sleep", "60"][..], &["-c", "sleep 60; echo more"], &["--", "tail", "-f", "/etc/passwd"]]
    {
        let mut command = target.nsdbg();
        command.arg("--end-with-stdin").args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let (out, err) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
        // What is written to it ends nothing, and goes nowhere.
        stdin.write_all(b"written\n").unwrap();
        let nsdbg = child.id() as i32;
        assert!(!within(Duration::from_millis(700), || !is_alive(nsdbg)), "{words:?}");
        let below = crate::live::descendants(nsdbg);
        let begun = Instant::now();
        drop(stdin);
        assert_eq!(wait(&mut child, LIMIT), Some(129), "{words:?}");
        assert!(begun.elapsed() < patient(SOON), "{words:?}: {:?}", begun.elapsed());
        let said = String::from_utf8(err.join().unwrap()).unwrap();
        assert!(said.contains("ended: standard input was closed"), "{said}");
        assert!(!String::from_utf8(out.join().unwrap()).unwrap().contains("more"));
        assert!(!below.is_empty() && within(SOON, || !below.iter().any(|pid| is_alive(*pid))), "{below:?}");
    }
    // Its end alone is no reason: a command that reads nothing goes on, as ever.
    let mut command = target.nsdbg();
    let mut child = command.args(["--", "sleep", "60"]).stdin(Stdio::piped()).spawn().unwrap();
    drop(child.stdin.take());
    assert!(!within(Duration::from_millis(700), || !is_alive(child.id() as i32)));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut command = target.nsdbg();
    let ran = run_with_input(command.args(["--end-with-stdin", "--timeout", "5", "--", "cat"]), b"written\n");
    assert!(ran.text().is_empty() && ran.status != 124, "{ran:?}");
    run(target.nsdbg().arg("--end-with-stdin")).fails(2, "goes with a command");
    run(target.nsdbg().args(["--idle-limit", "0", "--", "true"])).fails(2, "--idle-limit");
}

// Seen to fail with the FIFO opened anew whoever had left it: nsdbg waited for ever.
#[test]
fn a_fifo_whose_writer_has_gone_has_an_end() {
    needs_root!();
    let target = sandbox().start();
    let fifo = place("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let writer = std::thread::spawn({
        let fifo = fifo.clone();
        move || std::fs::write(fifo, "written\n").unwrap()
    });
    let input = std::fs::File::open(&fifo).unwrap();
    writer.join().unwrap();
    let mut command = target.nsdbg();
    command.args(["--", "cat"]).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    assert_eq!(end(command.spawn().unwrap()).ok(), "written\n");
}
