//! Nothing that the operator typed or has in the environment is where the target can read it.

use crate::live::{Facts, Live};
use crate::support::{needs_root, sandbox};

// Seen to fail without the scrubbed argv and environment.
#[test]
fn r37_arguments_and_environment_are_in_no_file_of_procfs() {
    needs_root!();
    let target = sandbox().start();
    let live =
        Live::of(target.nsdbg().env("NSDBG_TEST_TOKEN", "sesame").args(["-c", "cat # the token is sesame"]));
    let mut all = vec![live.nsdbg.id() as i32, live.child];
    all.extend(&live.between);
    assert!(all.len() >= 3, "{all:?}");
    for pid in all {
        let facts = Facts::of(pid);
        assert_eq!(facts.cmdline, b"nsdbg\0", "{facts:?}");
        assert_eq!(facts.environ, b"", "{facts:?}");
        assert!(!facts.get("Name").contains("sesame"), "{facts:?}");
    }
}

// Seen to fail without the child's close_range.
#[test]
fn r36_the_process_inside_holds_nothing_of_the_nodes() {
    needs_root!();
    let target = sandbox().start();
    let live = Live::start(&target, &[]);
    let facts = Facts::of(live.child);
    for (number, what) in &facts.fds {
        assert!(what.starts_with("pipe:"), "descriptor {number} is {what}: {facts:?}");
    }
}
