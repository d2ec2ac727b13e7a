//! Targets that take a command's process over, or hold what it has, and mean the supervisor.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::faults::filtered;
use crate::live::{Live, Ran, descendants, end, run, run_with_input, wait, within};
use crate::prompt::Prompt;
use crate::support::{Builder, NSDBG, Sandbox, needs_root, patient, sandbox, signal, skip};

const SOON: Duration = Duration::from_secs(8);
const QUIET: Duration = Duration::from_millis(300);
/// CAP_SYS_PTRACE with what reading and killing need.
const PTRACE: u64 = SYS_PTRACE | 1 << 1 | 1 << 2 | 1 << 5;
const SYS_PTRACE: u64 = 1 << 19;
/// Once a line, when the prompt reads keys.
const READS: &str = "\x1b[?2004h";

fn attacked(builder: Builder, caps: u64, mode: &str) -> Sandbox {
    let mut target = builder.user(0, 0).caps(caps).mode(&[mode]).start();
    assert_eq!(target.next_line(SOON).as_deref(), Some("attacking"));
    target
}

/// How many rounds, of those that are run where time is no matter.
fn rounds(few: usize) -> usize {
    std::env::var("NSDBG_TEST_TAKEOVERS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(few)
}

// Seen to fail with a process inside that makes the context of a procfs, of which the supervisor creates it.
#[cfg(target_arch = "x86_64")]
#[test]
fn r36_no_file_system_is_made_of_what_a_process_inside_gave() {
    needs_root!();
    for (caps, rounds) in [(PTRACE, rounds(60)), (PTRACE & !SYS_PTRACE, 20)] {
        let mut target = attacked(sandbox(), caps, "take-procfs");
        for _ in 0..rounds {
            // Kernels before 6.17 can't be told the PID namespace.
            let ran = run(filtered(&["431:1=5:22"], &target).args(["--", "ps", "-eo", "pid,args"]));
            assert!(ran.status == 0 && ran.text().contains("take-procfs"), "{ran:?}");
        }
        let said = target.lines(QUIET);
        let took_over = said.iter().any(|line| line == "took over");
        assert_eq!(took_over, caps & SYS_PTRACE != 0, "the attacker is not as wanted: {said:?}");
        assert!(!said.iter().any(|line| line.contains("devtmpfs") || line.starts_with("got ")), "{said:?}");
    }
}

/// A target whose files below /mnt can be opened, and never read to an end; none where FUSE is not to be had.
fn bottomless(builder: Builder) -> Option<Builder> {
    fs::exists("/dev/fuse").unwrap().then(|| builder.set("fuse", "bottomless"))
}

/// Ends within its time limit, though it is stuck.
fn assert_given_up(begun: Instant, ran: &Ran) {
    assert!(ran.status == 124 && begun.elapsed() < patient(SOON), "{:?} {ran:?}", begun.elapsed());
}

// Seen to fail with a file that is spliced into the supervisor's pipe: it waits in the kernel, beyond SIGKILL. Each command
// has a file that the kernel has not seen: the second read of one is not waited for.
#[test]
fn r22_a_file_that_is_opened_and_never_read_holds_nobody_up() {
    needs_root!();
    let Some(builder) = bottomless(sandbox()) else { skip!("no FUSE can be mounted here") };
    let target = builder.start();
    let mut fresh = (1..).map(|number| format!("/mnt/file{number}"));
    let mut file = || fresh.next().unwrap();
    let lines = [
        "cat FILE",
        "cat FILE | cat",
        "cat < FILE | wc",
        "cat -n FILE",
        "head FILE",
        "tail FILE",
        "wc FILE",
        "grep x FILE",
        "sort FILE",
        "sha256sum FILE",
        "get FILE -",
        "ps > FILE",
        "ps < FILE",
    ]
    .map(|line| line.replace("FILE", &file()));
    let (next, pid) = (AtomicUsize::new(0), target.pid.to_string());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let arguments = ["--pid", &pid, "--timeout", "1", "-c", line];
                    let ran = run(Command::new(NSDBG).args(arguments));
                    assert!([0, 1, 124].contains(&ran.status), "{line}: {ran:?}");
                    assert!(begun.elapsed() < patient(SOON), "{line}: {:?} {ran:?}", begun.elapsed());
                }
            });
        }
    });
    for _ in 0..4 {
        let begun = Instant::now();
        assert_given_up(begun, &target.run_with(&["--timeout", "1"], &["cat", &file()]));
    }
    let mut prompt = Prompt::start(&target);
    prompt.sees(READS);
    for _ in 0..2 {
        prompt.type_in(format!("cat {}\r", file()).as_bytes());
        std::thread::sleep(QUIET);
        prompt.type_in(b"\x03");
        prompt.sees("cat: given up: it does not end");
        prompt.sees(READS);
    }
    prompt.type_in(b"exit\r");
    assert!(wait(&mut prompt.nsdbg, SOON).is_some(), "exit leaves");
}

// Seen to fail without the process between the pipes of a target with CAP_SYS_PTRACE and the supervisor.
#[cfg(target_arch = "x86_64")]
#[test]
fn r22_r23_a_taken_over_command_that_holds_its_pipe_holds_nobody_up() {
    needs_root!();
    let Some(builder) = bottomless(sandbox()) else { skip!("no FUSE can be mounted here") };
    let mut target = attacked(builder, PTRACE, "stall");
    for _ in 0..5 {
        let mut command = target.nsdbg();
        command.args(["--timeout", "2", "--", "cat"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let begun = Instant::now();
        let ran = end(child);
        drop(stdin);
        assert!(begun.elapsed() < patient(SOON), "{:?} {ran:?}", begun.elapsed());
        assert_ne!(ran.status, 0, "{ran:?}");
    }
    let said = target.lines(QUIET);
    for way in ["stalled 0", "stalled 1"] {
        assert!(said.iter().any(|line| line == way), "the attacker is not as wanted: {said:?}");
    }
}

// Seen to fail with reports that are believed as they come: a target that has ended, text that the target chose.
#[cfg(target_arch = "x86_64")]
#[test]
fn r04_r23_reports_that_the_target_forges_are_not_believed() {
    needs_root!();
    let mut target = attacked(sandbox(), PTRACE, "forge");
    let (mut undisturbed, all) = (0, 60);
    for _ in 0..all {
        let ran = run_with_input(target.nsdbg().args(["--", "cat"]), b"x\n");
        undisturbed += usize::from((ran.status, ran.text().as_str()) == (0, "x\n"));
        for lie in ["forged", "the target has ended", "process 1 "] {
            assert!(!ran.err.contains(lie), "{ran:?}");
        }
    }
    assert!(undisturbed > all * 9 / 10, "{undisturbed} of {all}");
    let said = target.lines(QUIET);
    assert!(said.iter().any(|line| line == "forged"), "the attacker is not as wanted: {said:?}");
}

// Seen to fail with an end that comes only when nobody holds the output.
#[cfg(target_arch = "x86_64")]
#[test]
fn r23_an_output_that_is_held_open_is_not_waited_for() {
    needs_root!();
    let mut target = attacked(sandbox(), PTRACE, "keep");
    let mut kept = 0;
    for _ in 0..10 {
        let begun = Instant::now();
        let ran = run_with_input(target.nsdbg().args(["--", "cat"]), b"x\n");
        assert!(ran.status == 0 && ran.text() == "x\n", "{ran:?}");
        assert!(begun.elapsed() < patient(SOON), "{:?}", begun.elapsed());
        kept += usize::from(ran.err.contains("still holds its output open"));
    }
    assert!(kept > 0, "{:?}", target.lines(QUIET));
}

// Seen to fail with signals that travel through the worker: stopped itself, it leaves the command and itself behind.
#[test]
fn r23_r30_a_worker_that_is_stopped_leaves_nothing_behind() {
    needs_root!();
    // It shares the node's PID namespace, and has the worker's user: it may stop both.
    let target = sandbox().set("ns", "mnt,net,ipc,uts,cgroup").start();
    let mut live = Live::start(&target, &["--timeout", "1"]);
    let all: Vec<i32> = descendants(live.nsdbg.id() as i32);
    let own = |pid: &&i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains("Uid:\t65532")
    };
    let stopped: Vec<i32> = all.iter().filter(own).copied().collect();
    assert!(stopped.len() >= 2, "{all:?}");
    stopped.iter().for_each(|pid| signal(*pid, libc::SIGSTOP));
    let begun = Instant::now();
    assert_eq!(wait(&mut live.nsdbg, SOON), Some(124));
    assert!(begun.elapsed() < patient(SOON));
    let gone = || all.iter().all(|pid| !fs::exists(format!("/proc/{pid}")).unwrap());
    assert!(
        within(SOON, gone),
        "{all:?} {:?}",
        all.iter().map(|pid| fs::read_to_string(format!("/proc/{pid}/status"))).collect::<Vec<_>>()
    );
}
