//! How much memory nsdbg takes, whatever the container shows: no process of nsdbg takes more than a few times its usual.

use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::live::{end, run};
use crate::prompt::Prompt;
use crate::support::{LIMIT, NSDBG, Sandbox, helper, needs_root, patient, sandbox};

/// What no process of nsdbg may hold at once, in KiB.
const MEMORY: u64 = 64 << 10;

/// Runs nsdbg to its end; its status, length of stdout, and stderr, where memory stayed bounded.
pub fn bounded(target: &Sandbox, args: &[&str]) -> (i32, usize, String) {
    let mut command = Command::new(helper());
    command.arg("peak").arg(NSDBG).args(["--pid", &target.pid.to_string(), "--"]).args(args);
    let ran = run(&mut command);
    (ran.status, ran.out.len(), below_limit(&ran.err, &format!("{args:?}")))
}

/// What was said before the peak, which is below the limit.
fn below_limit(said: &str, what: &str) -> String {
    let (said, peak) = said.trim_end().rsplit_once("peak ").expect("the peak");
    let peak: u64 = peak.parse().unwrap();
    println!("{what}: {peak} KiB");
    assert!(peak > 1024 && peak < MEMORY, "{what} took {peak} KiB: {said}");
    said.to_owned()
}

/// A target that shows so many bytes as its command line or environment, of this text again and again.
fn shows(what: &str, bytes: u64, text: &str) -> Sandbox {
    let mut target = sandbox().mode(&["show", what, &bytes.to_string(), text]).start();
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("set"));
    target
}

// Seen to fail with a command line that `info` reads whole: 3 GB.
#[test]
fn r26_a_command_line_of_gigabytes_is_cut() {
    needs_root!();
    let target = shows("arguments", 3_000_000_000, "");
    for args in [&["info"][..], &["info", "--json"], &["ps", "-ef"], &["proc", "1"], &["pstree", "-a"]] {
        let (status, length, said) = bounded(&target, args);
        assert!(status == 0 && length < 300_000, "{args:?}: {status} {length} {said}");
        assert!(!args.contains(&"info") || said == "info: a long command line is cut\n", "{said}");
    }
}

// Seen to fail with an environment that is not cut at 32,768 variables: 120 MB.
#[test]
fn r26_an_environment_of_many_short_variables_is_cut() {
    needs_root!();
    // `|` is written as NUL.
    let target = shows("environment", 4 << 20, "a=|");
    for args in [&["true"][..], &["env"], &["info"], &["proc", "1"], &["proc", "--json", "1"]] {
        let (status, length, said) = bounded(&target, args);
        assert!(status == 0 && length < 2 << 20, "{args:?}: {status} {length} {said}");
        assert!(said.contains("the target's environment is too large"), "{args:?}: {said}");
    }
    assert_eq!(target.run(&["env"]).text().lines().count(), 1 << 15);
}

/// passwd and group of almost 4 MiB each: as many users as fit, each in a few of the groups.
fn many_users() -> Sandbox {
    let mut passwd = String::new();
    let mut users = 0;
    while passwd.len() < (4 << 20) - 64 {
        passwd.push_str(&format!("{users:x}:x:{users}:0:::\n"));
        users += 1;
    }
    let mut group = String::new();
    let mut number = 0;
    while group.len() < (4 << 20) - 8192 {
        let members: Vec<String> = (0..600).map(|at| format!("{:x}", (number * 500 + at) % users)).collect();
        let line = format!("g{number}:x:{number}:{}", members.join(","));
        group.push_str(&line[..line.len().min(4000)]);
        group.push('\n');
        number += 1;
    }
    sandbox().file("etc/passwd", passwd).file("etc/group", group).start()
}

// Seen to fail with records of strings of their own and a look at all groups for each user: 110 MB for `ls`, `ps` and
// the prompt; `users` did not end within a minute.
#[test]
fn r26_users_files_as_large_as_may_be_take_little() {
    needs_root!();
    let target = many_users();
    let begun = Instant::now();
    for args in [
        &["ls", "-l", "/"][..],
        &["stat", "/app"],
        &["ps", "-ef"],
        &["doctor", "--fast"],
        &["users"],
        &["users", "--json"],
        &["users", "-g"],
    ] {
        let (status, length, said) = bounded(&target, args);
        assert!((status == 0 || args[0] == "doctor") && length > 20, "{args:?}: {status} {said}");
    }
    let took = begun.elapsed();
    assert!(took < patient(Duration::from_secs(40)), "{took:?}");
    let mut prompt = Prompt::start(&target);
    prompt.sees("/$ ");
    prompt.type_in(b"ps -ef | count; echo e\"\"nd\r");
    prompt.sees("\nend\r\n");
    let status = fs::read_to_string(format!("/proc/{}/status", prompt.nsdbg.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let peak: u64 = peak.unwrap().trim().parse().unwrap();
    println!("prompt: {peak} KiB");
    assert!(peak < MEMORY, "the prompt took {peak} KiB");
}

/// nsdbg that reads its lines from this.
fn lines_from(target: &Sandbox, input: Stdio) -> std::process::Child {
    let mut command = Command::new(helper());
    command.arg("peak").arg(NSDBG).args(["--pid", &target.pid.to_string()]);
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

// Seen to fail without the limit in `run_lines`: 23 GB, then the kernel ends it.
#[test]
fn r26_a_line_without_end_is_refused() {
    needs_root!();
    let target = sandbox().start();
    let ran = end(lines_from(&target, File::open("/dev/zero").unwrap().into()));
    let said = below_limit(&ran.err, "/dev/zero");
    assert_eq!((ran.status, said.as_str()), (2, "nsdbg: a line has at most 1048576 bytes\n"));
    // The longest line is run; of one that is longer nothing is, nor what follows.
    for (length, out, status) in [(1 << 20, "before\nafter\n", 0), ((1 << 20) + 1, "before\n", 2)] {
        let mut nsdbg = lines_from(&target, Stdio::piped());
        let mut stdin = nsdbg.stdin.take().unwrap();
        let line = "#".repeat(length);
        // It may have ended before all was written.
        let _ = stdin.write_all(format!("echo before\n{line}\necho after\n").as_bytes());
        drop(stdin);
        let ran = end(nsdbg);
        assert_eq!((ran.text().as_str(), ran.status), (out, status), "{length}: {}", ran.err);
    }
}

// Seen to fail without the limit on the bytes of what matches.
#[test]
fn r26_a_glob_holds_no_more_than_it_gives() {
    needs_root!();
    let target = sandbox().start();
    let many = target.root.join("many");
    fs::create_dir(&many).unwrap();
    let name = |number: u32| many.join(format!("{number:0>250}"));
    for number in 0..80_000 {
        // Links are quicker made than files; ext4 takes 65,000 of one.
        if number % 20_000 == 0 {
            File::create(name(number)).unwrap();
        } else {
            fs::hard_link(name(number / 20_000 * 20_000), name(number)).unwrap();
        }
    }
    for (line, status, words) in [
        ("echo /many/*9999", 0, ""),
        ("echo /many/*", 1, "the names that match /many/* are longer than 16777216 bytes"),
        ("echo /many/x*", 1, "no match: /many/x*"),
    ] {
        let mut command = Command::new(helper());
        command.arg("peak").arg(NSDBG).args(["--pid", &target.pid.to_string(), "-c", line]);
        let ran = run(&mut command);
        let said = below_limit(&ran.err, line);
        assert!(ran.status == status && said.contains(words), "{line}: {} {said}", ran.status);
    }
}
