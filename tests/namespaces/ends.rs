//! Sessions in a terminal end well: the terminal is as before, and nothing of them is left.

use std::fs;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::live::{descendants, is_alive, new_mounts, own_mounts, wait, within};
use crate::prompt::Prompt;
use crate::support::{NSDBG, Sandbox, needs_root, new_directory, sandbox, signal};

const SOON: Duration = Duration::from_secs(8);

/// What a session is at when it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The prompt waits for keys.
    Prompt,
    /// A command of the prompt runs inside.
    Command,
    /// One that runs outside.
    Outside,
    /// One command runs, and there is no prompt.
    OneShot,
}

const ALL: [At; 4] = [At::Prompt, At::Command, At::Outside, At::OneShot];

/// A session in a terminal of its own.
struct Session {
    prompt: Prompt,
    /// All its processes, nsdbg itself first.
    processes: Vec<i32>,
}

impl Session {
    fn start(target: &Sandbox, at: At) -> Self {
        let mut command = target.nsdbg();
        command.arg("--no-doctor");
        if at == At::OneShot {
            command.args(["--", "cat"]);
        }
        let mut prompt = Prompt::with_doctor(command);
        let nsdbg = prompt.nsdbg.id() as i32;
        if at != At::OneShot {
            prompt.sees("web:/$ ");
        }
        match at {
            At::Command => prompt.type_in(b"cat\r"),
            At::Outside => prompt.type_in(b"sleep 60\r"),
            At::Prompt | At::OneShot => {}
        }
        // The launcher, which becomes the worker of the one command; a worker; a child.
        let count = match at {
            At::Prompt => 1,
            At::Command => 3,
            At::Outside | At::OneShot => 2,
        };
        let mut below = Vec::new();
        assert!(
            within(SOON, || {
                below = descendants(nsdbg);
                below.len() == count && is_asleep(below[count - 1])
            }),
            "{at:?}: {below:?}"
        );
        let processes = [&[nsdbg][..], &below].concat();
        Self { prompt, processes }
    }

    /// Waits for its end, and that nothing is left of it.
    fn ends(&mut self, at: At, status: i32) {
        let ended = wait(&mut self.prompt.nsdbg, SOON);
        // The command reads the terminal: that has ended too, and on a slow machine is seen first.
        let by_its_input = at == At::OneShot && status == 128 + libc::SIGHUP && ended == Some(0);
        assert!(ended == Some(status) || by_its_input, "{at:?}: {ended:?}");
        let mut left = self.processes.clone();
        within(SOON, || {
            left.retain(|pid| is_alive(*pid));
            left.is_empty()
        });
        assert!(left.is_empty(), "{at:?}: left: {left:?}");
    }

    fn is_put_back(&self, at: At) {
        assert!(self.prompt.modes() == self.prompt.before, "{at:?}: the terminal's modes");
    }
}

/// Whether a process waits, so that it is all that it will be.
fn is_asleep(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") S "))
}

// Seen to fail without the handler's message, without the modes put back in it, and where launcher and worker do not
// look at the supervisor's end.
#[test]
fn r29_r30_sigterm_ends_a_session_with_a_message_and_leaves_nothing() {
    needs_root!();
    let before = own_mounts();
    for at in ALL {
        let target = sandbox().start();
        let mut session = Session::start(&target, at);
        signal(session.processes[0], libc::SIGTERM);
        session.ends(at, 143);
        session.prompt.sees("nsdbg: ended by SIGTERM\r\n");
        session.is_put_back(at);
    }
    assert_eq!(new_mounts(&before), Vec::<String>::new());
}

// Seen to fail with SIGHUP ignored.
#[test]
fn r30_a_terminal_that_hangs_up_ends_a_session() {
    needs_root!();
    for at in ALL {
        let target = sandbox().start();
        let mut session = Session::start(&target, at);
        session.prompt.hang_up();
        session.ends(at, 129);
    }
}

// Seen to fail with SIGHUP ignored.
#[test]
fn r23_r30_a_terminal_that_hangs_up_ends_a_session_whose_command_is_stuck() {
    needs_root!();
    // PTRACE_O_TRACEEXIT: it does not even end by SIGKILL.
    const PTRACE: u64 = 1 << 19 | 1 << 1 | 1 << 2 | 1 << 5;
    let mut target = sandbox().user(0, 0).caps(PTRACE).mode(&["hold", "64"]).start();
    assert_eq!(target.next_line(SOON).as_deref(), Some("ready"));
    let mut prompt = Prompt::start(&target);
    prompt.sees("root:/# ");
    target.say("");
    prompt.type_in(b"cat\r");
    assert_eq!(target.next_line(SOON).as_deref(), Some("held"));
    let nsdbg = prompt.nsdbg.id() as i32;
    let below = descendants(nsdbg);
    prompt.hang_up();
    assert_eq!(wait(&mut prompt.nsdbg, SOON), Some(129));
    // The child is the tracer's to let go.
    let (child, ours) = below.split_last().unwrap();
    assert!(within(SOON, || !ours.iter().any(|pid| is_alive(*pid))), "{ours:?} live on");
    target.kill();
    assert!(within(SOON, || !is_alive(*child)), "{child} lives on");
}

// Seen to fail without the launcher's parent death signal, and the launcher's and the worker's look at the supervisor's
// end of their sockets (all three).
#[test]
fn r30_the_supervisors_end_leaves_nothing_of_a_session() {
    needs_root!();
    let before = own_mounts();
    for at in ALL {
        let target = sandbox().start();
        let mut session = Session::start(&target, at);
        signal(session.processes[0], libc::SIGKILL);
        session.ends(at, 137);
    }
    assert_eq!(new_mounts(&before), Vec::<String>::new());
}

// Seen to fail without the worker's look at the target after a kill.
#[test]
fn r29_r31_the_targets_end_ends_a_session() {
    needs_root!();
    let before = own_mounts();
    for at in ALL {
        let mut target = sandbox().start();
        let mut session = Session::start(&target, at);
        target.kill();
        session.ends(at, 125);
        session.prompt.sees("the target has ended");
        session.is_put_back(at);
    }
    assert_eq!(new_mounts(&before), Vec::<String>::new());
}

// Seen to fail with what was typed meanwhile left to the node's shell.
#[test]
fn what_was_typed_for_a_session_that_ended_by_itself_is_thrown_away() {
    needs_root!();
    let mut target = sandbox().start();
    let mut prompt = Prompt::start(&target);
    prompt.sees("web:/$ ");
    prompt.type_in(b"sleep 30\r");
    prompt.sees("\x1b[?2004l");
    std::thread::sleep(Duration::from_millis(300));
    prompt.type_in(b"rm -rf nothing\r");
    target.kill();
    assert!(wait(&mut prompt.nsdbg, SOON).is_some());
    prompt.sees("the target has ended");
    assert_eq!(prompt.left_to_read(), 0);
}

// Seen to fail where the launcher does not tell of a fork that failed.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_node_without_pids_is_named_and_the_prompt_goes_on() {
    use crate::trace::Traced;

    needs_root!();
    let target = sandbox().start();
    let mut prompt = Prompt::start(&target);
    prompt.sees("web:/$ ");
    let launcher = descendants(prompt.nsdbg.id() as i32)[0];
    let mut traced = Traced::seize(launcher);
    prompt.type_in(b"echo one; echo two\r");
    // Both of its forks.
    for _ in 0..2 {
        while !traced.next_call().is_some_and(|call| call.number == libc::SYS_clone && call.result.is_none())
        {
        }
        let mut registers = traced.registers();
        registers.orig_rax = u64::MAX;
        traced.set_registers(&registers);
        traced.next_call();
        let mut registers = traced.registers();
        registers.rax = -i64::from(libc::EAGAIN) as u64;
        traced.set_registers(&registers);
    }
    traced.detach();
    prompt.sees("nsdbg: fork worker: try again (no more processes: ");
    prompt.sees("web:/$ ");
    prompt.type_in(b"echo th\"\"ree\r");
    prompt.sees("\nthree\r\n");
    // Where not even the launcher can be forked, the same is said.
    let mut filtered = crate::faults::filtered(&["56:11"], &target);
    crate::live::run(filtered.args(["--", "true"]))
        .fails(125, "nsdbg: fork launcher: try again (no more processes: ");
}

// Seen to fail with the file kept after the failure: then it is said for each line.
#[test]
fn a_full_disk_for_the_history_is_said_once() {
    needs_root!();
    let target = sandbox().start();
    let state = new_directory("full");
    mount(Some("nsdbg-test"), &state, Some("tmpfs"), MsFlags::empty(), Some("size=4k")).unwrap();
    fs::create_dir(state.join("nsdbg")).unwrap();
    fs::write(state.join("nsdbg/history"), "#\n".repeat(2048)).unwrap();
    let mut command = std::process::Command::new(NSDBG);
    command.arg("--pid").arg(target.pid.to_string());
    let mut prompt = Prompt::with_state(command, state.clone());
    let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        prompt.sees("web:/$ ");
        prompt.type_in(b"echo o\"\"ne\r");
        prompt.sees("nsdbg: write history: no space left on device");
        prompt.sees("\none\r\n");
        prompt.sees("web:/$ ");
        prompt.type_in(b"echo t\"\"wo\r");
        prompt.sees("\ntwo\r\n");
        prompt.sees("web:/$ ");
        String::from_utf8_lossy(prompt.said()).into_owned()
    }));
    drop(prompt);
    umount2(&state, MntFlags::MNT_DETACH).unwrap();
    fs::remove_dir(&state).unwrap();
    assert!(!said.unwrap().contains("history"));
}

// Seen to fail with the sentence for each error: in a container with a read-only root each prompt began with it.
#[test]
fn a_history_on_a_read_only_file_system_is_not_complained_about() {
    needs_root!();
    let target = sandbox().start();
    let state = new_directory("read-only");
    mount(Some("nsdbg-test"), &state, Some("tmpfs"), MsFlags::MS_RDONLY, Some("size=4k")).unwrap();
    let mut prompt = Prompt::with_state(target.nsdbg(), state.clone());
    let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        prompt.sees("web:/$ ");
        let said = String::from_utf8_lossy(prompt.said()).into_owned();
        prompt.type_in(b"echo o\"\"ne\r");
        prompt.sees("\none\r\n");
        prompt.sees("web:/$ ");
        // It has one as long as it lasts.
        prompt.type_in(b"\x1b[A\r");
        prompt.sees("\none\r\n");
        said + &String::from_utf8_lossy(prompt.said())
    }));
    drop(prompt);
    umount2(&state, MntFlags::MNT_DETACH).unwrap();
    fs::remove_dir(&state).unwrap();
    let said = said.unwrap();
    assert!(!said.contains("read-only") && !said.contains("history"), "{said}");
}
