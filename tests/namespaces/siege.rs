//! One long session in a target whose processes attack all the while.

use std::fs;
use std::time::{Duration, Instant};

use crate::live::{descendants, wait, within};
use crate::prompt::Prompt;
use crate::support::{needs_root, sandbox};

const SOON: Duration = Duration::from_secs(8);
/// Once a line, when the prompt reads keys.
const READS: &str = "\x1b[?2004h";
/// All of a runtime's capabilities, and CAP_SYS_ADMIN, which sets how many PIDs there are.
const RUNTIMES: u64 = 0xa804_25fb | 1 << 21;
const LINES: usize = 1000;
/// What memory may grow by in the second half, in KiB.
const GROWTH: u64 = 256;

/// Keys, and what is seen of them where nobody hinders.
const KEYS: [(&str, &str); 11] = [
    ("ls -l /etc\r", "passwd"),
    ("cat /etc/group\r", "logs:x:2000"),
    ("ps -ef\r", "siege"),
    ("netstat -tln\r", "8080"),
    ("http get http://127.0.0.1:8080/\r", "hello"),
    ("echo h''i\r", "\nhi"),
    ("cat /etc/passwd | cat | cat\r", "web:x:65532"),
    ("echo /e*/*\r", "/etc/group /etc/passwd"),
    ("cat /missing\r", "no such file or directory"),
    ("cat /etc/pa\t\r", "web:x:65532"),
    ("exti\r", "did you mean"),
];

/// What the kernel shows of any process to who has CAP_SYS_ADMIN, as to CAP_PERFMON (perfmon_capable in mm_access):
/// addresses alone.
const LAYOUT: [&str; 3] = ["got maps", "got auxv", "got map_files"];

/// What is held by a process: descriptors, and anonymous memory in KiB. Pages of the image are left out: they come and go
/// with the page cache, and a share of them (PSS) changes with every other process of the same image.
fn held(pid: i32) -> (usize, u64) {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let own = memory.lines().find_map(|line| line.strip_prefix("Anonymous:")?.trim().strip_suffix(" kB"));
    (fds, own.unwrap().trim().parse().unwrap())
}

// Seen to fail where each pipeline leaves a descriptor open in the supervisor.
#[test]
fn r23_r26_a_thousand_commands_under_siege() {
    needs_root!();
    let begun = Instant::now();
    let mut target = sandbox().user(0, 0).caps(RUNTIMES).mode(&["siege"]).start();
    assert_eq!(target.next_line(SOON).as_deref(), Some("listening"));
    let mut command = target.nsdbg();
    command.args(["--timeout", "1"]);
    let mut prompt = Prompt::with_doctor(command);
    prompt.sees(READS);
    let nsdbg = prompt.nsdbg.id() as i32;
    let launcher = descendants(nsdbg)[0];
    let mut idle = Vec::new();
    let mut as_wanted = 0;
    for number in 0..LINES {
        let (keys, seen) = KEYS[number % KEYS.len()];
        prompt.type_in(keys.as_bytes());
        prompt.sees(READS);
        let said = prompt.said();
        as_wanted += usize::from(said.windows(seen.len()).any(|window| window == seen.as_bytes()));
        assert!(!said.windows(4).any(|four| four == b"\x1b]0;"), "{}", said.escape_ascii());
        if [LINES / 10, LINES / 2, LINES - 1].contains(&number) {
            assert!(within(SOON, || descendants(nsdbg) == [launcher]), "{:?}", descendants(nsdbg));
            idle.push([held(nsdbg), held(launcher)]);
        }
    }
    println!("{as_wanted} of {LINES} undisturbed, {:?}, idle: {idle:?}", begun.elapsed());
    assert!(as_wanted > LINES * 7 / 10, "only {as_wanted} commands were not hindered");
    for (early, late) in idle[0].iter().zip(&idle[2]) {
        assert_eq!(early.0, late.0, "descriptors: {idle:?}");
    }
    for (middle, late) in idle[1].iter().zip(&idle[2]) {
        assert!(late.1 <= middle.1 + GROWTH, "memory: {idle:?}");
    }
    prompt.type_in(b"exit\r");
    assert!(wait(&mut prompt.nsdbg, SOON).is_some(), "exit leaves");
    let said = target.lines(Duration::from_millis(100));
    let got: Vec<&String> =
        said.iter().filter(|line| line.starts_with("got ") && !LAYOUT.contains(&line.as_str())).collect();
    assert!(got.is_empty(), "{got:?}");
    for signal in ["signal 9", "signal 19"] {
        assert!(said.iter().any(|line| line == signal), "the siege is none: no {signal}");
    }
}
