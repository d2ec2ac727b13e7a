//! Lines: pasted, typed ahead, without a newline at their end, and what ends them.

use std::fs;
use std::time::{Duration, Instant};

use crate::live::{descendants, run, within};
use crate::prompt::Prompt;
use crate::support::{Sandbox, needs_root, patient, sandbox, signal};

const SOON: Duration = Duration::from_secs(8);
const QUIET: Duration = Duration::from_millis(300);
/// Once a line, when the prompt reads keys.
const READS: &str = "\x1b[?2004h";
/// Around what is pasted.
const PASTED: (&str, &str) = ("\x1b[200~", "\x1b[201~");

fn prompt(target: &Sandbox) -> Prompt {
    let mut prompt = Prompt::start(target);
    prompt.sees(READS);
    prompt
}

// Seen to fail without the mark: the prompt clears its line.
#[test]
fn output_without_a_newline_stays_above_the_prompt() {
    needs_root!();
    let target = sandbox().file("app/token", "s3cret").start();
    let mut prompt = prompt(&target);
    for (line, wanted) in [
        ("cat /app/token", "s3cret\x1b[2m⏎\x1b[0m\r\n"),
        ("echo -n abc", "abc\x1b[2m⏎\x1b[0m\r\n"),
        // A message begins on a line of its own.
        ("cat /app/token /missing; echo", "s3cret"),
    ] {
        prompt.type_in(format!("{line}\r").as_bytes());
        prompt.sees(wanted);
        prompt.sees(READS);
    }
    prompt.type_in(b"echo whole\r");
    prompt.sees("whole\r\n");
    prompt.sees(READS);
    assert!(!String::from_utf8_lossy(prompt.said()).contains('⏎'));
}

// Seen to fail with a newline that is a blank: one command of all lines.
#[test]
fn each_line_that_is_pasted_is_a_command_and_stands_in_the_history() {
    needs_root!();
    let target = sandbox().start();
    let mut prompt = prompt(&target);
    let lines: Vec<String> = (0..200).map(|number| format!("echo line {number}")).collect();
    let pasted = format!("{}{}\n{}\r", PASTED.0, lines.join("\n"), PASTED.1);
    prompt.type_in(pasted.as_bytes());
    prompt.sees_within(Duration::from_secs(60), "echo line 199\r\nline 199\r\n");
    prompt.sees(READS);
    let history = fs::read_to_string(prompt.state.join("nsdbg/history")).unwrap();
    assert_eq!(history.lines().filter(|line| line.starts_with("echo line")).count(), 200, "{history}");
}

// Seen to fail without the feature of the line editor that keeps what it has read: only the first line runs.
#[test]
fn lines_that_are_typed_ahead_run_one_after_the_other() {
    needs_root!();
    let target = sandbox().start();
    let mut prompt = prompt(&target);
    // At once, without brackets; then while a command runs.
    prompt.type_in(b"echo o''ne\recho t''wo\recho t''hree\r");
    for word in ["one\r\n", "two\r\n", "three\r\n"] {
        prompt.sees(word);
    }
    prompt.sees(READS);
    prompt.type_in(b"sleep 1\r");
    std::thread::sleep(QUIET);
    prompt.type_in(b"echo f''our\recho f''ive\r");
    prompt.sees("four\r\n");
    prompt.sees("five\r\n");
}

// Seen to fail with a newline that is a blank: the second line is lost in a comment.
#[test]
fn a_newline_ends_a_command_in_a_line_option_too() {
    needs_root!();
    let target = sandbox().start();
    assert_eq!(target.line("echo a # x\necho b").ok(), "a\nb\n");
    assert_eq!(target.line("echo 'a\nb'\necho c \\\n d\n").ok(), "a\nb\nc d\n");
    let ran = target.line("cat /missing\necho b");
    assert_eq!((ran.status, ran.text().as_str()), (0, "b\n"), "{ran:?}");
    let ran = run(target.nsdbg().args(["-e", "-c", "cat /missing\necho b"]));
    assert_eq!((ran.status, ran.text().as_str()), (1, ""), "{ran:?}");
}

// Seen to fail with the time taken before the wait: SIGKILL came with SIGINT, and the command was given up at once.
#[test]
fn ctrl_c_after_a_quiet_while_leaves_a_command_its_grace() {
    needs_root!();
    let target = sandbox().start();
    let mut prompt = prompt(&target);
    prompt.type_in(b"sleep 100\r");
    std::thread::sleep(Duration::from_millis(3500));
    let begun = Instant::now();
    prompt.type_in(b"\x03");
    prompt.sees(READS);
    let said = String::from_utf8_lossy(prompt.said()).into_owned();
    assert!(!said.contains("given up") && !said.contains("killed"), "{said}");
    assert!(begun.elapsed() < patient(Duration::from_secs(1)), "{:?}", begun.elapsed());
}

// Seen to fail with a handler of SIGQUIT that ends the session.
#[test]
fn ctrl_backslash_ends_the_command_and_not_the_session() {
    needs_root!();
    let target = sandbox().start();
    let mut prompt = prompt(&target);
    prompt.type_in(b"sleep 100\r");
    std::thread::sleep(QUIET);
    prompt.type_in(b"\x1c");
    prompt.sees(READS);
    prompt.type_in(b"echo st''ill here\r");
    prompt.sees("still here\r\n");
}

// Seen to fail with stages of which only the last counts.
#[test]
fn a_stage_that_is_killed_is_named_and_the_status_is_its() {
    needs_root!();
    let target = sandbox().start();
    let mut command = target.nsdbg();
    let child = command
        .args(["-c", "sleep 50 | wc -l"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let nsdbg = child.id() as i32;
    let sleeps = || {
        let inside = descendants(nsdbg).into_iter().filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|at| at.contains("nanosleep"))
        });
        inside.min()
    };
    assert!(within(SOON, || sleeps().is_some()));
    std::thread::sleep(QUIET);
    signal(sleeps().unwrap(), libc::SIGKILL);
    let ran = crate::live::end(child);
    assert_eq!((ran.status, ran.text().trim()), (137, "0"), "{ran:?}");
    assert!(ran.err.contains("sleep: it was killed by SIGKILL: not by nsdbg"), "{ran:?}");
}
