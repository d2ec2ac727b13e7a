//! Long sessions, and many short ones, in a target whose processes attack all the while.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::limits::Cgroup;
use crate::live::{descendants, run, wait, within};
use crate::prompt::Prompt;
use crate::support::{NSDBG, needs_root, new_directory, patient, sandbox, skip};

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

/// What each of the short ones does: one command on a file that the kernel has never seen, some that need none.
const COMMANDS: [&str; 6] = ["cat FILE", "ls -l FILE", "ps -ef", "cat < FILE", "wc FILE", "cat /etc/group"];

// Seen to hang with a file that is spliced into the supervisor's pipe, and without the process between the pipes of a
// target with CAP_SYS_PTRACE and the supervisor. NSDBG_TEST_SIEGE says how many commands, in place of 500.
#[test]
fn r22_r23_r31_many_commands_under_siege_each_on_a_fresh_file() {
    needs_root!();
    if !fs::exists("/dev/fuse").unwrap() {
        skip!("no FUSE can be mounted here");
    }
    let many = std::env::var("NSDBG_TEST_SIEGE").ok().and_then(|many| many.parse().ok()).unwrap_or(500);
    let builder = sandbox().user(0, 0).caps(RUNTIMES | 1 << 19).set("fuse", "bottomless");
    let mut target = builder.mode(&["siege"]).start();
    assert_eq!(target.next_line(SOON).as_deref(), Some("listening"));
    let freezers: Vec<Cgroup> = [Cgroup::new("freezer"), Cgroup::unified()].into_iter().flatten().collect();
    assert!(freezers.iter().all(Cgroup::freeze), "the cgroups do not freeze");
    let (next, over, pid) = (AtomicUsize::new(0), AtomicBool::new(false), target.pid.to_string());
    let (frozen, slowest) = (AtomicUsize::new(0), Mutex::new(Duration::ZERO));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // What a container could do that may write to the node's cgroups: one command in five or so freezes.
            while !over.load(Ordering::Relaxed) {
                let inside = inside_of(target.pid);
                if let (Some(pid), Some(freezer)) =
                    (inside.first(), freezers.get(frozen.load(Ordering::Relaxed) % freezers.len().max(1)))
                    && fs::write(freezer.path.join("cgroup.procs"), pid.to_string()).is_ok()
                {
                    frozen.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(700));
            }
        });
        let runners: Vec<_> = (0..12)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= many {
                            return;
                        }
                        let line =
                            COMMANDS[number % COMMANDS.len()].replace("FILE", &format!("/mnt/file{number}"));
                        let begun = Instant::now();
                        let arguments = ["--pid", &pid, "--timeout", "1", "-c", &line];
                        let ran = run(Command::new(NSDBG).args(arguments));
                        let mut slowest = slowest.lock().unwrap();
                        *slowest = begun.elapsed().max(*slowest);
                        assert!(!ran.out.contains(&0x1b), "{line}: {ran:?}");
                    }
                })
            })
            .collect();
        let done: Vec<_> = runners.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        assert!(done.iter().all(Result::is_ok));
    });
    let slowest = *slowest.lock().unwrap();
    println!("{many} commands, {} frozen, the slowest took {slowest:?}", frozen.load(Ordering::Relaxed));
    assert!(slowest < patient(SOON), "{slowest:?}");
    drop(freezers);
    let own: Vec<i32> = inside_of(target.pid);
    let (root, mounts) = (target.root.clone(), space(target.pid, "mnt"));
    // Workers are there, too.
    let left = || processes_named("nsdbg").into_iter().filter(|pid| space(*pid, "mnt") == mounts).count();
    // The attackers are stuck there too, and hold its daemon's end open.
    abort_fuse(target.pid);
    target.kill();
    // Whatever was stuck in the target's file system ends with it, and the processes outside end too.
    let gone = || own.iter().all(|pid| !fs::exists(format!("/proc/{pid}")).unwrap());
    assert!(within(SOON, gone), "{own:?}");
    assert!(mounts.is_some() && within(SOON, || left() == 0), "{}", left());
    drop(target);
    assert!(within(SOON, || !fs::exists(&root).unwrap()));
}

/// Ends the FUSE mounts of a target: who waits for an answer gets an error.
fn abort_fuse(target: i32) {
    let mounts = fs::read_to_string(format!("/proc/{target}/mountinfo")).unwrap();
    let devices = mounts.lines().filter(|line| line.contains(" - fuse "));
    let minors: Vec<&str> =
        devices.filter_map(|line| Some(line.split(' ').nth(2)?.split_once(':')?.1)).collect();
    let at = new_directory("fusectl");
    let none: Option<&str> = None;
    mount(none, &at, Some("fusectl"), MsFlags::empty(), none).unwrap();
    for minor in minors {
        fs::write(at.join(minor).join("abort"), "1").unwrap();
    }
    umount2(&at, MntFlags::MNT_DETACH).unwrap();
    fs::remove_dir(&at).unwrap();
}

/// The processes of nsdbg in the target's PID namespace.
fn inside_of(target: i32) -> Vec<i32> {
    let own = space(target, "pid");
    processes_named("nsdbg").into_iter().filter(|pid| own.is_some() && space(*pid, "pid") == own).collect()
}

/// The namespace of a process.
fn space(pid: i32, kind: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()
}

fn processes_named(name: &str) -> Vec<i32> {
    let of =
        |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name);
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(of).collect()
}
