//! What a command needs that runs outside, and the first entry of a prompt: each system call made to fail.

#![allow(non_upper_case_globals, reason = "the names that libc gives")]

use libc::*;

use crate::family::{Held, Site};
use crate::faults_each::{Role, Scenario, at_most, each, may_fail, role};
use crate::support::{LIMIT, Sandbox, needs_root, sandbox};
use crate::trace::Call;

const PS: &[&str] = &["--", "ps", "-p", "1", "-o", "user,pid,args"];
const NETSTAT: &[&str] = &["--", "netstat", "-tln"];

/// FSCONFIG_SET_FD, by which a procfs is told its PID namespace.
const SET_FD: u64 = 5;

/// One with a socket.
fn serving(proc: &str) -> Sandbox {
    let mut target = sandbox().set("proc", proc).mode(&["serve", "8080"]).start();
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("listening"));
    target
}

/// From the launcher's beginning on; of a process outside until it is confined.
fn entry(whole: &Held, at: usize) -> bool {
    let place = whole.calls[at].0.process;
    let last = || {
        let is_confined = |(site, call): &(Site, Call)| site.process == place && is_confined(call);
        whole.calls.iter().rposition(is_confined)
    };
    whole.calls[..=at].iter().any(|(site, _)| site.process > 0)
        && (role(whole, place) != Role::Outside || last().is_some_and(|last| at <= last))
}

fn is_confined(call: &Call) -> bool {
    call.number == SYS_prctl && call.arguments[0] as i32 == PR_SET_SECCOMP
}

/// A kernel before 6.17: a worker finds a procfs among the target's mounts.
fn old(call: &Call) -> Option<i32> {
    (call.number == SYS_fsconfig && call.arguments[1] == SET_FD).then_some(EINVAL)
}

/// Whether a command outside may run all the same.
fn may_watch(role: Role, call: &Call) -> bool {
    may_fail(role, call)
        || match (role, call.number) {
            // The process inside that is asked for users alone: in which directory it starts, and what it can't read.
            (Role::Child, _) => true,
            (Role::Launcher, SYS_openat) => call.arguments[0] as i32 != AT_FDCWD,
            // Whether the PID namespace is the node's: then the procfs that is made is the node's too.
            (Role::Supervisor, SYS_newfstatat) => true,
            // The target's own /proc, which spares time alone.
            (Role::Supervisor, SYS_capget | SYS_openat2 | SYS_readlinkat) => true,
            // What an old kernel refuses anyway.
            (Role::Supervisor, SYS_fsopen) => true,
            (Role::Supervisor, SYS_fsconfig) => call.arguments[1] == SET_FD,
            // Which PID namespace is its own: that counts where it is the target's too.
            (Role::Outside, SYS_statx) => true,
            (Role::Outside, _) => may_fail(Role::Launcher, call),
            _ => false,
        }
}

// Seen to fail without the ends at setgroups and PR_SET_DUMPABLE in the watcher, and at setresgid in a worker; with a
// worker's failure to send sockets, or the watcher's lost status, not told; with another errno of the process that makes
// a procfs, and the target's own /proc named in place of the step that failed; with users that are left out unsaid.
#[test]
fn r35_each_system_call_of_watching_fails_once() {
    needs_root!();
    // Whose own /proc can't be read for another.
    let covered = serving("overmounted");
    let mut found = Scenario::new(covered.pid, PS, "ps");
    (found.refuse, found.part, found.may_fail) = (old, entry, may_watch);
    each(&found, at_most(1));

    let target = serving("yes");
    let mut outside = Scenario::new(target.pid, PS, "ps");
    outside.part = |whole, at| entry(whole, at) && role(whole, whole.calls[at].0.process) == Role::Supervisor;
    outside.may_fail =
        |role, call| may_watch(role, call) || call.number == SYS_fsconfig || call.number == SYS_fsmount;
    each(&outside, at_most(1));

    let mut sockets = Scenario::new(target.pid, NETSTAT, "netstat");
    sockets.part = |whole, at| {
        let place = whole.calls[at].0.process;
        let makes = |(site, call): &(Site, Call)| site.process == place && call.number == SYS_socket;
        entry(whole, at)
            && match role(whole, place) {
                Role::Outside => true,
                Role::Launcher => whole.calls.iter().any(makes),
                _ => false,
            }
    };
    sockets.may_fail = may_watch;
    each(&sockets, at_most(1));
}

// Seen to fail with a prompt that opens where entering has failed.
#[test]
fn r35_each_system_call_of_a_prompts_first_entry_fails_once() {
    needs_root!();
    let target = serving("yes");
    let mut prompt = Scenario::new(target.pid, &[], "");
    prompt.keys = Some("exit\n");
    prompt.part = |whole, at| (1..=3).contains(&whole.calls[at].0.process);
    prompt.may_fail = may_watch;
    each(&prompt, at_most(1));
}
