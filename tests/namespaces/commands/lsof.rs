//! `lsof`: a container with open files of every kind, against Debian's lsof, and what is hidden or hostile.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::serving;
use crate::live::{Ran, run};
use crate::prompt::Prompt;
use crate::support::{Builder, LIMIT, Sandbox, needs_root, sandbox, skip};

/// A container whose process has open files of every kind.
fn opened(from: Builder) -> Sandbox {
    let mut target = from.mode(&["files"]).start();
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("ready"));
    target
}

fn rows(ran: &Ran) -> Vec<Value> {
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{ran:?}");
    ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn list(target: &Sandbox, args: &[&str]) -> Vec<Value> {
    rows(&target.run_with(&["--json"], &[&["lsof"], args].concat()))
}

/// The last column of lines, without the first.
fn names(ran: &Ran) -> Vec<String> {
    assert_eq!(ran.status, 0, "{ran:?}");
    ran.text().lines().skip(1).map(|line| line.split("  ").last().unwrap().trim().to_owned()).collect()
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or("")
}

#[test]
fn every_kind_of_file_says_what_it_is() {
    needs_root!();
    let target = opened(sandbox());
    let all = list(&target, &["-p", "1"]);
    let named = |begin: &str| {
        let found: Vec<_> = all.iter().filter(|row| text(row, "name").starts_with(begin)).collect();
        assert_eq!(found.len(), 1, "{begin}: {all:#?}");
        found[0].clone()
    };
    let read = named("/etc/passwd");
    assert_eq!((text(&read, "mode"), text(&read, "type"), &read["position"]), ("read", "REG", &5.into()));
    assert_eq!((text(&read, "user"), &read["uid"]), ("web", &65532.into()));
    let log = named("/tmp/log");
    assert_eq!((text(&log, "mode"), text(&log, "lock"), &log["size"]), ("write", "W", &1234.into()));
    let gone = named("/tmp/gone");
    assert_eq!((&gone["deleted"], &gone["links"], &gone["size"]), (&true.into(), &0.into(), &40_000.into()));
    // Its name only ends as that of a deleted one.
    let odd = named("$'/tmp/a\\n\\xff (deleted)'");
    assert_eq!((&odd["deleted"], &odd["links"]), (&false.into(), &1.into()));
    let folder = all.iter().find(|row| text(row, "mode") == "path").unwrap();
    assert_eq!((text(folder, "path"), text(folder, "type")), ("/tmp", "DIR"));
    assert_eq!(named("[eventfd: 5]")["about"]["count"], 5);
    let fd = |row: &Value| text(row, "fd").parse::<u64>().unwrap();
    let pipe = all.iter().find(|row| text(row, "name").contains("/writer ")).unwrap();
    let watched = &named("[eventpoll: ")["about"]["watches"];
    for wanted in [fd(pipe), fd(&named("[eventfd: 5]"))] {
        assert!(watched.as_array().unwrap().contains(&wanted.into()), "{watched}");
    }
    let folder_inode = named("[inotify: ")["about"]["watches"][0]["inode"].clone();
    assert_eq!(folder_inode, folder["inode"]);
    assert!(text(&named("[timerfd: monotonic"), "type") == "a_inode");
    assert_eq!(named("memfd:scratch")["deleted"], false);
    assert_eq!(text(&named("[pidfd: 1/"), "type"), "a_inode");
    let ends = [("cwd", "DIR"), ("rtd", "DIR"), ("txt", "REG")];
    for (fd, kind) in ends {
        assert!(all.iter().any(|row| text(row, "fd") == fd && text(row, "type") == kind), "{fd}");
    }
}

#[test]
fn fields_for_programs_are_those_of_lsof() {
    needs_root!();
    let target = opened(sandbox());
    let pid = target.pid.to_string();
    if Command::new("lsof").arg("-v").output().is_err() {
        skip!("no lsof: apt-get install lsof");
    }
    // Of files with paths, whose names are those that the node has, behind the container's root.
    for (ours, theirs) in [("fatDsik", "fatDsik"), ("falt", "falt"), ("pfn", "fn")] {
        let mine = target.run(&["lsof", &format!("-F{ours}"), "-a", "-p", "1", "-d", "cwd,rtd,txt"]).ok();
        let arguments = [&format!("-F{theirs}"), "-a", "-p", &pid, "-d", "cwd,rtd,txt"];
        let theirs = run(Command::new("lsof").args(arguments).env("LC_ALL", "C")).text();
        let root = target.root.to_str().unwrap().to_owned();
        let plain = |text: &str| {
            let lines = text.lines().filter(|line| !line.starts_with('p'));
            let named = |line: &str| match line.strip_prefix('n') {
                Some(path) => format!("n/{}", path.trim_start_matches(&root).trim_start_matches('/')),
                None => line.to_owned(),
            };
            lines.map(named).collect::<Vec<_>>()
        };
        assert_eq!(plain(&mine), plain(&theirs), "{ours}");
    }
    let all = target.run(&["lsof", "-F", "-p", "1"]).ok();
    assert!(all.starts_with("p1\nc") && all.contains("\nuLweb\n".replace("uL", "L").as_str()), "{all}");
    assert!(all.contains("\ntIPv4\n") && all.contains("\nn127.0.0.1:7070\nPTCP\nTST=LISTEN\n"), "{all}");
    let null = target.run(&["lsof", "-Fpf0", "-a", "-p", "1", "-d", "cwd,rtd"]).ok();
    assert_eq!(null, "p1\0\nfcwd\0\nfrtd\0\n");
    target.run(&["lsof", "-Fq"]).fails(2, "there is no field 'q'");
    target.run(&["lsof", "-F", "--json"]).fails(2, "-F prints no rows");
}

#[test]
fn files_are_listed_again_and_again() {
    needs_root!();
    let target = opened(sandbox());
    let twice = target.run(&["lsof", "-r1c2", "-a", "-p", "1", "-d", "cwd"]).ok();
    let lines: Vec<&str> = twice.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(
        (lines.len(), lines[0], lines[2], lines[3], lines[5]),
        (6, "COMMAND", "=======", "COMMAND", "=======")
    );
    let fields = target.run(&["lsof", "-r", "1c2", "-Ff", "-a", "-p", "1", "-d", "cwd"]).ok();
    assert_eq!(fields, "p1\nfcwd\nm\np1\nfcwd\nm\n");
    // Nothing is open: +r ends with the first list, and its status.
    let ran = target.run(&["lsof", "+r1", "-p", "4242"]);
    assert_eq!((ran.status, ran.text().as_str()), (1, "=======\n"), "{ran:?}");
    target.run(&["lsof", "-r0"]).fails(2, "a number of seconds");
}

#[test]
fn pipes_and_sockets_name_who_is_at_their_other_end() {
    needs_root!();
    let target = opened(sandbox());
    let all = list(&target, &[]);
    let find = |pid: u64, is: &dyn Fn(&Value) -> bool| {
        let found: Vec<_> = all.iter().filter(|row| row["pid"] == pid && is(row)).collect();
        assert_eq!(found.len(), 1, "{all:#?}");
        found[0].clone()
    };
    let writer = find(2, &|row| text(row, "type") == "FIFO" && text(row, "name").contains(" → 1/"));
    let peered = |name: &str| find(1, &|row| text(row, "name").contains(name));
    let pipe = find(1, &|row| text(row, "type") == "FIFO" && row["peers"][0]["pid"] == 2);
    assert_eq!((text(&pipe["peers"][0], "command"), text(&pipe["peers"][0], "mode")), ("writer", "write"));
    assert!(text(&pipe, "name").starts_with("pipe:[") && text(&pipe, "name").ends_with('w'), "{pipe}");
    assert_eq!((&writer["peers"][0]["pid"], text(&writer["peers"][0], "mode")), (&1.into(), "read"));
    let client = peered("type=STREAM (CONNECTED) → /tmp/s 2/writer ");
    assert_eq!((text(&client, "remote"), text(&client, "state")), ("/tmp/s", "CONNECTED"));
    let listener = find(1, &|row| text(row, "state") == "LISTEN" && text(row, "type") == "IPv4");
    assert_eq!(
        (text(&listener, "local"), text(&listener, "name")),
        ("127.0.0.1:7070", "127.0.0.1:7070 (LISTEN)")
    );
    let tcp: Vec<_> = all.iter().filter(|row| text(row, "state") == "ESTABLISHED").collect();
    assert_eq!(tcp.len(), 2);
    assert_eq!(tcp[0]["local"], tcp[1]["remote"]);
    assert_eq!(text(tcp[0], "fd"), tcp[1]["peers"][0]["fd"].to_string());
    // Its standard streams lead out of the container.
    let input = find(1, &|row| text(row, "fd") == "0");
    assert!(text(&input, "name").ends_with("(no other end in the container)"), "{input}");
}

#[test]
fn files_are_selected_as_lsof_does() {
    needs_root!();
    let target = opened(sandbox());
    let shown = |line: &str| names(&target.line(line));
    assert_eq!(shown("lsof /tmp/log"), ["/tmp/log"]);
    // By its inode, through a link of the container that is absolute.
    std::os::unix::fs::symlink("/tmp/log", target.root.join("tmp/link")).unwrap();
    fs::hard_link(target.root.join("tmp/log"), target.root.join("tmp/hard")).unwrap();
    assert_eq!(shown("lsof /tmp/link"), ["/tmp/log"]);
    assert_eq!(shown("lsof /tmp/hard"), ["/tmp/log"]);
    assert_eq!(shown("lsof -a -p 2 -d cwd,rtd"), ["/", "/"]);
    assert_eq!(shown("lsof -nP -iTCP -sTCP:LISTEN"), ["127.0.0.1:7070 (LISTEN)"]);
    assert_eq!(shown("lsof -i udp"), ["127.0.0.1:7071"]);
    assert_eq!(shown("lsof -i :7070").len(), 3);
    assert_eq!(shown("lsof -i@127.0.0.1:7071").len(), 1);
    assert_eq!(shown("lsof -U").len(), 3);
    assert_eq!(shown("lsof -a -U -p 2").len(), 1);
    assert_eq!(shown("lsof +d /tmp").len(), shown("lsof +D /tmp").len());
    assert!(shown("lsof +D /").contains(&"/etc/passwd".to_owned()));
    assert!(!shown("lsof +d /").contains(&"/etc/passwd".to_owned()));
    assert_eq!(target.line("lsof -t -c writer").ok(), "2\n");
    assert_eq!(target.line("lsof -t -u web").ok(), "1\n2\n");
    assert_eq!(target.line("lsof -t -p ^1").ok(), "2\n");
    assert_eq!(target.line("fds -t /tmp/log --json").ok(), "{\"pid\":1}\n");
    let deleted = target.line("lsof +L1");
    assert_eq!(names(&deleted), ["/tmp/gone (deleted)", "memfd:scratch"]);
    assert!(deleted.err.contains("2 files hold 40K that is not freed"), "{deleted:?}");
    assert!(target.line("lsof -o -a -p 1 -d 0-30 /tmp/log").ok().contains(" 0t1234 "));
}

#[test]
fn wrong_operands_are_said_and_the_rest_goes_on() {
    needs_root!();
    let target = opened(sandbox());
    let ran = target.line("lsof /none /tmp/log");
    assert_eq!((ran.status, ran.err.as_str()), (1, "lsof: find /none: no such file or directory\n"));
    assert!(ran.text().contains("/tmp/log"), "{ran:?}");
    std::os::unix::fs::symlink("loop", target.root.join("tmp/loop")).unwrap();
    target.line("lsof /tmp/loop").fails(1, "lsof: find /tmp/loop: ");
    target.line("lsof +D /tmp/log").fails(1, "lsof: find /tmp/log: not a directory");
    target.line("lsof tmp").fails(1, "a path must begin with '/'");
    target.line("lsof -p 99").fails(1, "");
    for (line, words) in [
        ("lsof -p x", "'x' is not a PID"),
        ("lsof -u nobody", "the container has no user nobody"),
        ("lsof -i :http", "a port is a number"),
        ("lsof -i @example.com", "names are not looked up"),
        ("lsof -s LISTEN", "-s takes a protocol and its states"),
        ("lsof -d x", "'x' is not a descriptor"),
        ("lsof +L", "a value is required"),
    ] {
        target.line(line).fails(2, words);
    }
    // Much is ended early.
    assert_eq!(target.line("lsof | first 0").ok(), "");
}

// Seen to fail without the strip of the root's own path, and without the look at the mounts.
#[test]
fn paths_are_those_of_the_container_whatever_its_root_is() {
    needs_root!();
    for from in [
        sandbox(),
        // Only chroot(2): the kernel writes the node's paths.
        sandbox().set("how", "chroot"),
        sandbox().set("how", "node").set("ns", "pid,net,ipc,uts,cgroup").set("proc", "none"),
        sandbox().mapped(),
        sandbox().set("proc", "overmounted"),
        sandbox().set("proc", "tmpfs"),
        sandbox().on_tmpfs(),
    ] {
        let target = opened(from);
        let root = target.root.to_str().unwrap().to_owned();
        let all = list(&target, &["-a", "-p", "1", "-d", "cwd,rtd,3-99"]);
        let paths: Vec<&str> = all.iter().map(|row| text(row, "path")).collect();
        for wanted in ["/", "/etc/passwd", "/tmp/log", "/tmp/gone", "/tmp"] {
            assert!(paths.contains(&wanted), "{root}: {wanted}: {paths:?}");
        }
        let inside = all.iter().filter(|row| row["outside"] == false);
        assert!(inside.clone().all(|row| !text(row, "path").starts_with(&root)), "{all:#?}");
        // What was open before is in the node's mounts alone.
        let node = fs::File::open("/dev/null").unwrap();
        drop(node);
        let program = list(&target, &["-a", "-p", "1", "-d", "txt"]);
        assert_eq!(program[0]["outside"], true, "{program:?}");
        let shown = target.run(&["lsof", "-a", "-p", "1", "-d", "txt"]).ok();
        assert!(shown.contains(" (not in the container's mounts)"), "{shown}");
        assert_eq!(list(&target, &["/tmp/log"]).len(), 1);
    }
}

/// A root that is an overlay, as containers have it.
#[test]
fn an_overlay_is_seen_as_the_container_sees_it() {
    needs_root!();
    let below = crate::support::new_directory("overlay");
    let part = |name: &str| {
        let path = below.join(name);
        fs::create_dir(&path).unwrap();
        path.display().to_string()
    };
    let (upper, work) = (part("upper"), part("work"));
    let from = sandbox().file("lower", "as the image has it");
    let (target, mounted) = from.over(&upper, &work);
    if !mounted {
        let _ = fs::remove_dir_all(&below);
        skip!("this machine mounts no overlay there");
    }
    let mut target = target.mode(&["files"]).start();
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("ready"));
    let all = list(&target, &["-p", "1"]);
    let find =
        |path: &str| all.iter().find(|row| text(row, "path") == path).unwrap_or_else(|| panic!("{all:#?}"));
    assert_eq!(
        (&find("/etc/passwd")["outside"], &find("/tmp/log")["outside"]),
        (&false.into(), &false.into())
    );
    assert_eq!(find("/tmp/gone")["deleted"], true);
    assert_eq!(list(&target, &["/etc/passwd"]).len(), 1);
    assert_eq!(names(&target.run(&["lsof", "+L1"]))[0], "/tmp/gone (deleted)");
    drop(target);
    // A file of the lower layer keeps its link when it is deleted.
    let from = sandbox().program("lower").file("odd (deleted)", "");
    let target = from.over(&upper, &work).0.mode(&["exec", "/lower", "sleep"]).start();
    assert!(crate::live::within(LIMIT, || {
        fs::read_link(format!("/proc/{}/exe", target.pid)).is_ok_and(|exe| exe.ends_with("lower"))
    }));
    fs::remove_file(target.root.join("lower")).unwrap();
    assert_eq!(names(&target.run(&["lsof", "+L1"]))[0], "/lower (deleted)");
    let rows = list(&target, &["-a", "-p", "1", "-d", "txt"]);
    assert_eq!((&rows[0]["deleted"], &rows[0]["links"]), (&true.into(), &1.into()), "{rows:#?}");
    let ran = target.run(&["doctor", "deleted-exe", "--json"]);
    assert!(ran.text().contains("it still runs what /lower was"), "{ran:?}");
    drop(target);
    let _ = fs::remove_dir_all(&below);
}

/// What Debian's lsof says of a process: by descriptor its mode, type and name.
fn oracle(target: &Sandbox) -> Option<BTreeMap<String, (String, String, String)>> {
    let pid = target.pid.to_string();
    // In the network namespace of the process, else it knows no addresses.
    let said = Command::new("nsenter")
        .args(["-n", "-t", &pid, "--", "lsof", "-nP", "-w", "-F", "fatn", "-p", &pid])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let mut all = BTreeMap::new();
    let mut fd = String::new();
    for line in text.lines() {
        let (kind, value) = line.split_at_checked(1)?;
        let entry: &mut (String, String, String) = match kind {
            "f" => {
                fd = value.to_owned();
                all.entry(fd.clone()).or_default()
            }
            _ => all.entry(fd.clone()).or_default(),
        };
        match kind {
            "a" => entry.0 = value.trim().to_owned(),
            "t" => entry.1 = value.to_owned(),
            "n" => entry.2 = value.to_owned(),
            _ => {}
        }
    }
    all.remove("");
    (!all.is_empty()).then_some(all)
}

#[test]
fn descriptors_are_those_of_lsof() {
    needs_root!();
    let target = opened(sandbox());
    let Some(theirs) = oracle(&target) else { skip!("there is no lsof, or no nsenter, on this machine") };
    let ours = list(&target, &["-p", "1"]);
    let fds = |of: &mut dyn Iterator<Item = String>| {
        let mut all: Vec<String> = of.filter(|fd| fd != "mem").collect();
        all.sort();
        all
    };
    assert_eq!(
        fds(&mut ours.iter().map(|row| text(row, "fd").to_owned())),
        fds(&mut theirs.keys().cloned()),
        "{theirs:#?}"
    );
    for row in &ours {
        let Some((mode, kind, name)) = theirs.get(text(row, "fd")) else { continue };
        let our_mode = match text(row, "mode") {
            "read" => "r",
            "write" => "w",
            // lsof does not know O_PATH.
            "read-write" | "path" => "u",
            _ => "",
        };
        assert_eq!((our_mode, text(row, "type")), (mode.as_str(), kind.as_str()), "{row}");
        let our_name = text(row, "name");
        let bare = our_name.split(" → ").next().unwrap().split(" (no other").next().unwrap();
        let same = match kind.as_str() {
            "FIFO" => name == "pipe" && bare.starts_with("pipe:["),
            // lsof has a word and no numbers of some.
            "a_inode" => {
                let word = |text: &str| text.trim_matches(['[', ']']).split(':').next().unwrap().to_owned();
                word(name) == word(bare)
            }
            // States are told by a field of their own there.
            "IPv4" | "IPv6" | "unix" => bare.starts_with(name.as_str()),
            _ if bare.starts_with("memfd:") => *name == format!("/{bare} (deleted)"),
            // It escapes other bytes than ours.
            _ if bare.contains("\\xff") => name.starts_with("/tmp/a\\n"),
            _ if row["deleted"] == true => *name == format!("{bare} (deleted)"),
            _ => name == bare,
        };
        assert!(same, "{name:?} and {row}");
    }
}

// Seen to fail where the two links are followed by name in the container's own /proc.
#[test]
fn a_proc_that_is_hidden_or_faked_changes_nothing() {
    needs_root!();
    for proc in ["hidepid", "masked", "overmounted", "tmpfs"] {
        let mut target = sandbox().set("proc", proc).mode(&["serve", "8080"]).start();
        assert_eq!(target.next_line(LIMIT).as_deref(), Some("listening"), "{proc}");
        let listens = names(&target.run(&["lsof", "-i", ":8080"]));
        assert_eq!(listens, ["127.0.0.1:8080 (LISTEN)"], "{proc}");
    }
}

#[test]
fn tab_completes_paths_but_not_values() {
    needs_root!();
    let target = serving();
    let mut prompt = Prompt::start(&target);
    prompt.sees("web:/$ ");
    prompt.type_in(b"lsof /etc/pas\t");
    prompt.sees("/etc/passwd ");
    prompt.type_in(b"\r");
    prompt.sees("web:/$ ");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn an_old_kernel_finds_files_by_their_names() {
    needs_root!();
    let target = opened(sandbox());
    // openat2(2) answers ENOSYS, as before 5.6.
    let ran = run(Command::new(crate::support::helper())
        .args(["filter", "437:38", "--", crate::support::NSDBG, "--pid"])
        .arg(target.pid.to_string())
        .args(["-c", "lsof /tmp/log; lsof -t +D /etc"]));
    let lines: Vec<String> = ran.ok().lines().map(str::to_owned).collect();
    assert!(lines[1].ends_with("/tmp/log") && lines[2] == "1" && lines.len() == 3, "{lines:?}");
}

// Seen to fail where a link that is refused is passed over as one that was closed.
#[cfg(target_arch = "x86_64")]
#[test]
fn what_the_kernel_refuses_is_counted() {
    needs_root!();
    let target = sandbox().start();
    // readlinkat(2) answers EACCES, as the links of a process do without CAP_SYS_PTRACE over it.
    let ran = run(Command::new(crate::support::helper())
        .args(["filter", "267:13", "--", crate::support::NSDBG, "--pid"])
        .arg(target.pid.to_string())
        .args(["--", "lsof", "-i"]));
    assert_eq!(ran.status, 1, "{ran:?}");
    let told =
        "lsof: open files of 1 process are not shown: the kernel refused them, in spite of CAP_SYS_PTRACE";
    assert!(ran.err.starts_with(told) && ran.err.lines().count() == 1, "{ran:?}");
}
