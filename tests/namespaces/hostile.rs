//! Targets that attack nsdbg, or hide what it looks at.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::faults::filtered;
use crate::live::{Facts, Live, descendants, end, run, run_with_input, wait, within};
use crate::prompt::Prompt;
use crate::support::{Builder, NSDBG, Sandbox, helper, needs_root, new_directory, sandbox};

const QUIET: Duration = Duration::from_millis(300);
/// CAP_SYS_PTRACE with what reading and killing need.
const PTRACE: u64 = 1 << 19 | 1 << 1 | 1 << 2 | 1 << 5;

/// open_tree, as a container runtime's filter and an old kernel refuse it.
const OPEN_TREE: [&str; 3] = ["", "428:1", "428:38"];

// Seen to fail without the clone's read-only mount, or the memfd's seals (and then the second start's look at either).
#[test]
fn r01_the_running_image_can_not_be_written() {
    needs_root!();
    for rule in OPEN_TREE {
        let mut target = sandbox().user(0, 0).caps(PTRACE).mode(&["attack"]).start();
        assert_eq!(target.next_line(Duration::from_secs(5)).as_deref(), Some("attacking"));
        // A copy, so that a success harms no other test.
        let program = target.root.join("app/nsdbg");
        fs::copy(NSDBG, &program).unwrap();
        let before = fs::read(&program).unwrap();
        let rules: Vec<&str> = [rule].into_iter().filter(|rule| !rule.is_empty()).collect();
        let mut last = String::new();
        for _ in 0..3 {
            let mut command = Command::new(helper());
            command.arg("filter").args(&rules).arg("--").arg(&program);
            // The attacker kills what it can trace.
            command.args(["--pid", &target.pid.to_string(), "--", "cat"]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let stdin = child.stdin.take();
            std::thread::sleep(Duration::from_millis(100));
            drop(stdin);
            let ran = end(child);
            last = format!("{ran:?}");
        }
        let got = target.lines(QUIET);
        assert!(got.iter().any(|line| line == "got exe"), "the attacker is not as wanted: {got:?}, {last}");
        assert!(!got.iter().any(|line| line.contains("written: true")), "{rule}: {got:?}");
        assert!(fs::read(&program).unwrap() == before, "{rule}: the program was overwritten");
    }
}

// Seen to fail without not being dumpable: with PR_SET_DUMPABLE 1 at the end.
#[test]
fn r04_without_ptrace_a_target_of_the_same_user_gets_nothing_of_a_child() {
    needs_root!();
    assert_nothing_is_got(sandbox());
}

// Seen to fail without not being dumpable: with PR_SET_DUMPABLE 1 at the end.
#[test]
fn r06_root_with_a_runtimes_capabilities_gets_nothing_of_a_child() {
    needs_root!();
    assert_nothing_is_got(sandbox().user(0, 0).caps(0xa804_25fb));
}

// Seen to fail without not being dumpable: with PR_SET_DUMPABLE 1 at the end.
#[test]
fn r06_root_of_a_user_namespace_gets_nothing_of_a_child() {
    needs_root!();
    assert_nothing_is_got(sandbox().mapped().user(0, 0).caps(0x1ff_ffff_ffff));
}

fn assert_nothing_is_got(target: Builder) {
    let mut target = target.mode(&["attack"]).start();
    assert_eq!(target.next_line(Duration::from_secs(5)).as_deref(), Some("attacking"));
    for _ in 0..20 {
        let ran = run_with_input(target.nsdbg().args(["--", "cat"]), b"x\n");
        assert_eq!((ran.status, ran.text().as_str()), (0, "x\n"), "{ran:?} {:?}", target.lines(QUIET));
    }
    assert_eq!(target.lines(QUIET), Vec::<String>::new());
}

// Seen to fail without the worker's place outside (one more process inside), or the scrubbed argv and environment.
#[test]
fn r07_r37_a_target_sees_one_child_and_no_word_of_the_operator() {
    needs_root!();
    let argument = "nsdbg-test-argument-token";
    for line in ["cat", "cat | cat | cat"] {
        let stages = line.split('|').count();
        let mut target = sandbox().user(0, 0).caps(PTRACE).mode(&["watch"]).start();
        let own = namespaces_of_pids(std::process::id() as i32);
        for _ in 0..5 {
            let mut command = target.nsdbg();
            command.args(["--", "cat", "-", argument]).env("TOKEN", "nsdbg-test-variable-token");
            run_with_input(&mut command, b"x\n");
            let live = Live::of(target.nsdbg().args(["-c", line]));
            assert_eq!(fs::read(format!("/proc/{}/cmdline", live.child)).unwrap(), b"nsdbg\0");
            let all = descendants(live.nsdbg.id() as i32);
            let inside: Vec<i32> = all.iter().copied().filter(|pid| namespaces_of_pids(*pid) > own).collect();
            // The launcher, and for each child a worker, and the process before its pipes.
            assert_eq!((all.len(), inside.len()), (1 + 3 * stages, stages), "{all:?} {inside:?}");
            std::thread::sleep(Duration::from_millis(50));
            drop(live);
            let gone = |pid: &i32| !fs::exists(format!("/proc/{pid}")).unwrap();
            assert!(within(Duration::from_secs(3), || inside.iter().all(gone)));
            run(target.nsdbg().args(["--", "ps", "-ef"]));
        }
        let said = target.lines(QUIET);
        let seen: Vec<&String> = said.iter().filter(|line| line.starts_with("seen ")).collect();
        assert_eq!(seen.last().copied(), Some(&format!("seen {stages}")), "{seen:?}");
        for line in &said {
            assert!(!line.contains("-token"), "{line}");
            assert!(!line.starts_with("environ ") || line == "environ ", "{line}");
        }
    }
}

/// In how many PID namespaces a process is.
fn namespaces_of_pids(pid: i32) -> usize {
    Facts::of(pid).get("NSpid").split(' ').count()
}

// Seen to fail without the note.
#[test]
fn r07_of_a_shared_pid_namespace_the_person_is_told() {
    needs_root!();
    const TOLD: &str = "the target shares the node's PID namespace: it can see nsdbg's processes";
    let target = sandbox().set("ns", "mnt,net,ipc,uts,cgroup").start();
    let ran = target.run(&["echo", "hi"]);
    assert_eq!(
        (ran.status, ran.text().as_str(), ran.err.trim_end()),
        (0, "hi\n", &*format!("nsdbg: {TOLD}"))
    );
    let live = Live::of(target.nsdbg().args(["-c", "cat"]).stderr(Stdio::null()));
    assert_eq!(namespaces_of_pids(live.child), namespaces_of_pids(std::process::id() as i32));
    // Where it is not so, nothing is said.
    assert_eq!(sandbox().start().run(&["true"]).err, "");
}

/// What became of one round of the race.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Round {
    /// Entered the user namespace that the target left meanwhile.
    Before,
    /// Entered its new user namespace.
    After,
    /// Refused, since its user namespace changed meanwhile.
    Refused,
}

/// Looks for the delay at which nsdbg and the racer meet.
struct Search {
    near: u64,
    step: u64,
    last: Round,
    /// How often a round came out otherwise than the one before it: the moment lay between their delays.
    crossings: u32,
}

impl Search {
    fn next(&self, spread: u64) -> u64 {
        self.near + spread * self.step / 1000
    }

    fn came(&mut self, round: Round) {
        match round {
            Round::Before => self.near = self.near.saturating_sub(self.step),
            Round::After => self.near += self.step,
            Round::Refused => {}
        }
        self.step = (self.step * 3 / 4).max(40);
        self.crossings += u32::from(round != self.last);
        self.last = round;
    }
}

// Seen to fail without the second look at the user namespace and status read before it (both), or the inodes compared.
#[test]
fn r14_the_unshare_race_never_yields_capabilities() {
    needs_root!();
    let rounds: u32 =
        std::env::var("NSDBG_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(300);
    let mut target = sandbox().set("ns", "mnt").mode(&["racers"]).start();
    // A delay for which nsdbg is always quicker. In microseconds.
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(race(&mut target, 1, 10_000_000), Round::Before);
    }
    let whole = begun.elapsed().as_micros() as u64 / 5;
    let search = || Search { near: whole / 2, step: whole / 4, last: Round::After, crossings: 0 };
    // Of a racer with its first user namespace, when its facts are read; with its second one, when it is joined.
    let (mut facts, mut joining) = (search(), search());
    let mut counts: BTreeMap<(u32, Round), u32> = BTreeMap::new();
    for round in 0..rounds {
        let spread = u64::from(round) * 7919 % 1000;
        let (times, came) = match round % 4 {
            0 | 2 => {
                let came = race(&mut target, 1, facts.next(spread));
                facts.came(came);
                (1, came)
            }
            1 => {
                let came = race(&mut target, 2, joining.next(spread));
                joining.came(came);
                (2, came)
            }
            _ => (1, race(&mut target, 1, whole * spread / 1000)),
        };
        *counts.entry((times, came)).or_default() += 1;
    }
    let crossings = (facts.crossings, joining.crossings);
    println!("{rounds} rounds, {whole} µs each: {counts:?}, crossings: {crossings:?}");
    // On an emulated machine the moment moves too much to be met often: there it is enough that no round yields more.
    let is_slow = std::env::var_os("NSDBG_TEST_SLOW").is_some();
    for (what, least) in [
        ((1, Round::Before), rounds / 10),
        ((1, Round::After), rounds / 10),
        ((2, Round::Refused), rounds / 100),
    ] {
        let count = counts.get(&what).copied().unwrap_or(0);
        assert!(count >= least || is_slow, "{what:?} is too rare: {counts:?}");
    }
    assert!(crossings.0 >= rounds / 20 || is_slow, "the moment is hit too rarely: {crossings:?}, {counts:?}");
}

/// Enters a racer that unshares its user namespace the last of so many times after so many microseconds.
fn race(target: &mut Sandbox, times: u32, delay: u64) -> Round {
    target.say(&format!("{times} {delay}"));
    let line = target.next_line(Duration::from_secs(5)).unwrap();
    let racer = line.strip_prefix("racer ").unwrap().to_owned();
    let command = ["--pid", &racer, "--", "cat", "/proc/self/uid_map", "/proc/self/status"];
    let ran = run(Command::new(NSDBG).args(command));
    target.say("");
    let text = ran.text();
    if ran.status != 0 {
        assert!(ran.status == 125 && ran.err.contains("user namespace"), "{ran:?}");
        return Round::Refused;
    }
    // Its new user namespace maps nobody.
    if text.starts_with("Name:") {
        return Round::After;
    }
    if times == 2 {
        return Round::Before;
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(text.contains(&format!("{set}:\t0000000000000000\n")), "after {delay} µs: {text}");
    }
    Round::Before
}

// Seen to fail without WNOHANG in waitpid, or the limit on reaping.
#[test]
fn r23_a_target_that_holds_a_childs_exit_back_holds_nobody_up() {
    needs_root!();
    // Nothing but the wait for it, and PTRACE_O_TRACEEXIT.
    for (options, limit, status) in [("0", "60", 137), ("64", "1", 124)] {
        let target = || {
            let mut target = sandbox().user(0, 0).caps(PTRACE).mode(&["hold", options]).start();
            assert_eq!(target.next_line(Duration::from_secs(5)).as_deref(), Some("ready"));
            target
        };
        let is_held = |target: &mut Sandbox| {
            assert_eq!(target.next_line(Duration::from_secs(5)).as_deref(), Some("held"), "{options}");
        };
        let mut one = target();
        one.say("");
        let mut live = Live::start(&one, &["--timeout", limit]);
        is_held(&mut one);
        drop(live.stdin.take());
        assert_eq!(wait(&mut live.nsdbg, Duration::from_secs(6)), Some(status), "{options}");
        drop(live);

        let mut other = target();
        let mut prompt = Prompt::start(&other);
        prompt.sees("root:/# ");
        other.say("");
        prompt.type_in(b"cat\r");
        is_held(&mut other);
        prompt.type_in(b"\x03");
        prompt.sees("root:/# ");
        // The prompt goes on when the target lets go.
        other.kill();
    }
}

// Seen to fail without chroot.
#[test]
fn r16_a_chrooted_target_shows_its_own_root() {
    needs_root!();
    let target = sandbox().file("app/mine", "").set("how", "chroot").start();
    assert_eq!(target.run(&["ls", "/app"]).ok(), "mine\n");
    assert_eq!(target.line("cd /../..; pwd; ls app").ok(), "/\nmine\n");
}

// Seen to fail without the way to the root.
#[test]
fn r17_a_deleted_working_directory_is_left_for_the_root() {
    needs_root!();
    let target = sandbox().set("cwd", "deleted").start();
    let ran = target.run(&["pwd"]);
    assert_eq!((ran.status, ran.text().as_str()), (0, "/\n"), "{ran:?}");
    let target = sandbox().set("cwd", "/app").start();
    assert_eq!(target.run(&["pwd"]).ok(), "/app\n");
}

// Seen to fail without the way to the root, or chroot.
#[test]
fn r17_a_working_directory_outside_of_the_root_is_left_for_the_root() {
    needs_root!();
    let target = sandbox().file("app/mine", "").set("how", "chroot").set("cwd", "outside").start();
    let of_target = format!("/proc/{}", target.pid);
    let link = |name: &str| fs::metadata(format!("{of_target}/{name}")).unwrap().ino();
    assert_ne!(link("cwd"), link("root"), "the sandbox is not as wanted");
    let ran = target.run(&["pwd"]);
    assert_eq!((ran.status, ran.text().as_str()), (0, "/\n"), "{ran:?}");
    assert_eq!(target.line("ls app").text(), "mine\n");
    let live = Live::start(&target, &[]);
    assert_eq!(fs::metadata(format!("/proc/{}/cwd", live.child)).unwrap().ino(), link("root"));
}

// Seen to fail without care: with a getcwd at the start that must succeed.
#[test]
fn r17_nsdbg_starts_from_a_deleted_working_directory() {
    needs_root!();
    let target = sandbox().start();
    let gone = new_directory("gone");
    let mut command = target.nsdbg();
    command.args(["--", "pwd"]).stdin(Stdio::null());
    let directory = CString::new(gone.as_os_str().as_bytes()).unwrap();
    // SAFETY: system calls alone between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::chdir(directory.as_ptr());
            libc::rmdir(directory.as_ptr());
            Ok(())
        });
    }
    assert_eq!(run(&mut command).ok(), "/\n");
    assert!(!gone.exists());
}

/// What may be in place of a target's /proc: nothing, plain files, a procfs with things over it, the node's own, and a
/// FUSE that makes another target and another process up.
const FAKES: [&str; 10] =
    ["yes", "none", "tmpfs", "hidepid", "masked", "overmounted", "node", "bind", "link", "fuse"];

/// Whether this kernel is told the PID namespace of a procfs: Linux 6.17 and later.
fn makes_a_procfs_from_outside() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6_u32, 17_u32)
}

/// Of these the target's mount namespace has a procfs of its PID namespace, if only under something else.
const WITH_PROCFS: [&str; 4] = ["yes", "hidepid", "masked", "overmounted"];

// Seen to fail without a procfs of our own, the checks of the target's, or openat for openat2; with what is mounted over a
// process's files read from there, and without the look at mountinfo; without the copy of the mounts in which those over
// a procfs are taken off.
#[test]
fn r18_ps_is_right_whatever_proc_shows() {
    needs_root!();
    // fsconfig's SET_FD, as kernels before 6.17 refuse it; fsopen; with openat2.
    let refusals: [&[&str]; 5] =
        [&[], &["431:1=5:22"], &["430:1"], &["430:1", "437:1"], &["430:38", "437:38"]];
    for rules in refusals {
        let is_refused = !rules.is_empty() || !makes_a_procfs_from_outside();
        for proc in FAKES {
            if proc == "fuse" && !fs::exists("/dev/fuse").unwrap() {
                continue;
            }
            let target = sandbox().file("proc/1/stat", "1 (x) S 0").set("proc", proc).start();
            let mounts = || fs::read(format!("/proc/{}/mountinfo", target.pid)).unwrap();
            let before = mounts();
            let ran = run(filtered(rules, &target).args(["--", "ps", "-eo", "user,pid,args"]));
            assert_eq!(before, mounts(), "{proc} {rules:?}");
            if ran.status == 125 && is_refused && !WITH_PROCFS.contains(&proc) {
                assert!(ran.out.is_empty(), "{proc} {rules:?}: {ran:?}");
                ran.fails(125, "find a procfs of the target's PID namespace among its mounts: ");
                continue;
            }
            let lines: Vec<&str> = std::str::from_utf8(&ran.out).unwrap().lines().skip(1).collect();
            assert_eq!((ran.status, lines.len()), (0, 1), "{proc} {rules:?}: {ran:?}");
            let line = lines[0].trim_start();
            assert!(
                line.starts_with("web    1 /") && line.ends_with(" -- sleep"),
                "{proc} {rules:?}: {ran:?}"
            );
        }
    }
}
