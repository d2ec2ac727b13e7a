//! A target with CAP_SYS_PTRACE that takes from a command's process what it can, and one that looks for a terminal.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::live::{descendants, run_with_input, within};
use crate::prompt::Prompt;
use crate::support::{needs_root, sandbox};

const QUIET: Duration = Duration::from_millis(300);
const SOON: Duration = Duration::from_secs(8);
/// CAP_SYS_PTRACE with what reading and killing need.
const PTRACE: u64 = 1 << 19 | 1 << 1 | 1 << 2 | 1 << 5;

// Seen to fail with the worker's and the child's closing of the node's descriptors taken out (both).
#[test]
fn r04_r36_with_ptrace_a_thief_gets_one_commands_pipes_and_nothing_of_the_nodes() {
    needs_root!();
    let mut target = sandbox().user(0, 0).caps(PTRACE).mode(&["thief"]).start();
    assert_eq!(target.next_line(SOON).as_deref(), Some("attacking"));
    for _ in 0..30 {
        let ran = run_with_input(target.nsdbg().args(["--", "cat"]), b"x\n");
        assert_eq!((ran.status, ran.text().as_str()), (0, "x\n"), "{ran:?}");
    }
    let said = target.lines(QUIET);
    let took: BTreeSet<&str> = said.iter().filter_map(|line| line.strip_prefix("took ")).collect();
    assert!(took.contains("pipe:[]"), "the thief is not as wanted: {said:?}");
    // Its stdio, its job, its own directory; in its first moment the worker's report of it and the target's pidfd.
    let own = ["pipe:[]", "/memfd:job (deleted)", "/", "socket:[]", "anon_inode:[pidfd]"];
    assert!(took.iter().all(|kind| own.contains(kind)), "{took:?}");
}

// With the operator's terminal itself given to the command in place of a pipe it does not end: it was stopped by hand.
#[test]
fn r29_who_looks_for_a_terminal_finds_none() {
    needs_root!();
    // What the operator's terminal must never show.
    const TYPED: &[u8] = b"typed-by-the-target";
    for caps in [PTRACE, 0xa804_25fb] {
        let builder = sandbox().user(0, 0).caps(caps).mode(&["terminal"]);
        let mut target = builder.start();
        mknod(&target.root.join("dev/tty"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(5, 0))
            .unwrap();
        assert_eq!(target.next_line(SOON).as_deref(), Some("attacking"));
        let mut prompt = Prompt::start(&target);
        prompt.sees("root:/# ");
        let nsdbg = prompt.nsdbg.id() as i32;
        let mut all = prompt.said().to_vec();
        for line in ["cat", "cat | cat", "cat - /etc/group"] {
            prompt.type_in(format!("{line}\r").as_bytes());
            assert!(within(SOON, || descendants(nsdbg).len() >= 3), "{line}");
            prompt.type_in(b"a line\r");
            prompt.sees("a line\r\na line\r\n");
            std::thread::sleep(QUIET);
            all.extend_from_slice(prompt.said());
            prompt.type_in(b"\x03");
            prompt.sees("root:/# ");
            all.extend_from_slice(prompt.said());
        }
        let said = target.lines(QUIET);
        if caps == PTRACE {
            let opened = "opened pidfd_getfd: no terminal";
            assert!(said.iter().any(|line| line == opened), "the attacker is not as wanted: {said:?}");
        }
        assert!(!said.iter().any(|line| line.contains("got a terminal")), "{said:?}");
        assert!(!all.windows(TYPED.len()).any(|window| window == TYPED), "{}", all.escape_ascii());
    }
}
