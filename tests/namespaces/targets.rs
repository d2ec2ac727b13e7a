//! Targets by name, without a runtime: sandboxes, and state files in a root directory of the test's own.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use serde_json::Value;

use crate::live::{Ran, descendants, end, run, within};
use crate::prompt::Prompt;
use crate::support::{LIMIT, NSDBG, Sandbox, needs_root, new_directory, patient, sandbox, skip};

/// A node's root that holds nothing but Docker's state.
pub struct Root(pub PathBuf);

impl Root {
    pub fn new() -> Self {
        Self(new_directory("host"))
    }

    /// Says that a container runs.
    pub fn docker(&self, id: &str, name: &str, pid: i32) {
        let state = serde_json::json!({
            "ID": id, "Name": format!("/{name}"), "Image": "sha256:0", "Config": {"Image": "nsdbg-test-image:1", "Labels": {}},
            "State": {"Running": true, "Pid": pid},
        });
        let folder = self.0.join("var/lib/docker/containers").join(id);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.v2.json"), state.to_string()).unwrap();
    }

    pub fn nsdbg(&self) -> Command {
        let mut command = Command::new(NSDBG);
        command.arg("--host-root").arg(&self.0);
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        run(self.nsdbg().args(args))
    }

    pub fn list(&self) -> Vec<Value> {
        rows(&self.run(&["--list", "--json"]))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn rows(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.status, 0, "{ran:?}");
    ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An id that no other container of this machine has.
pub fn id(of: char) -> String {
    let own = format!("{of}{of}{of}{of}{:08x}", std::process::id());
    own + &of.to_string().repeat(52)
}

/// What is in the command line of these tests' sandboxes alone.
pub fn own() -> String {
    format!("--match=nsdbg-test-{}/", std::process::id())
}

fn row_of(rows: &[Value], target: &Sandbox) -> Value {
    let found: Vec<_> = rows.iter().filter(|row| row["pid"] == target.pid).collect();
    assert_eq!(found.len(), 1, "{rows:?}");
    found[0].clone()
}

#[test]
fn namespaces_that_nobody_known_has_made_are_listed() {
    needs_root!();
    let target = sandbox().mode(&["serve", "8080"]).start();
    let mapped = sandbox().mapped().start();
    let all = Root::new().list();
    let row = row_of(&all, &target);
    assert_eq!(
        (&row["runtime"], &row["user"], &row["state"]),
        (&"-".into(), &65532.into(), &"running".into())
    );
    assert_eq!((&row["id"], &row["processes"]), (&Value::Null, &1.into()), "{row}");
    assert_eq!(row["ports"], serde_json::json!(["8080"]), "{row}");
    // As the container counts.
    assert_eq!(row_of(&all, &mapped)["user"], 65532);
    // The node's own processes are none.
    let own = std::process::id();
    assert!(all.iter().all(|row| row["pid"] != own && row["pid"] != 1), "{all:?}");
    // Nor are threads of the kernel, of which one may have a mount namespace of its own.
    let is_program = |row: &Value| fs::read_link(format!("/proc/{}/exe", row["pid"])).is_ok();
    assert!(all.iter().all(is_program), "{all:?}");
}

#[test]
fn a_name_an_id_and_a_port_reach_the_container_that_has_them() {
    needs_root!();
    let first = sandbox().file("app/first", "").mode(&["serve", "7001"]).start();
    let second = sandbox().file("app/second", "").mode(&["serve", "7002"]).start();
    let root = Root::new();
    root.docker(&id('a'), "solo-1", first.pid);
    root.docker(&id('b'), "solo-2", second.pid);
    let row = row_of(&root.list(), &first);
    assert_eq!((&row["name"], &row["runtime"]), (&"solo-1".into(), &"docker".into()));
    assert_eq!((&row["id"], &row["image"]), (&id('a').into(), &"nsdbg-test-image:1".into()));
    for words in [
        &["solo-1"][..],
        &["name:solo-1"],
        &[&id('a')[..14]],
        &[&format!("id:{}", id('a').to_uppercase())],
        &["--port", "7001"],
        &["--port", "7001", "solo-1"],
        &["--runtime", "docker", "--match", "serve 7001"],
    ] {
        let ran = root.run(&[words, &["--", "ls", "/app"]].concat());
        assert_eq!((ran.status, ran.text().as_str()), (0, "first\n"), "{words:?} {ran:?}");
    }
    root.run(&["solo", "--", "ls"]).fails(125, "solo-1, solo-2?");
    root.run(&["--port", "7001", "solo-2", "--", "ls"]).fails(125, "no container listens there");
    root.run(&["--runtime", "docker", &own(), "--", "ls"]).fails(2, "2 containers match");
    root.run(&["solo-1", "ls", "/"]).fails(2, "-- ls /");
    // Of the list, too.
    let text = root.run(&["--list", "solo-2"]).text();
    assert!(text.lines().count() == 2 && text.contains("solo-2") && text.contains(&id('b')[..12]), "{text}");
    let wide = root.run(&["--list", "--wide", "--port", "7001"]).text();
    assert!(
        wide.contains(&id('a')) && wide.contains("nsdbg-test-image:1") && !wide.contains("solo-2"),
        "{wide}"
    );
}

#[test]
fn two_of_one_name_are_told_apart_by_their_ids() {
    needs_root!();
    let (first, second) = (sandbox().start(), sandbox().file("app/second", "").start());
    let root = Root::new();
    root.docker(&id('a'), "solo", first.pid);
    root.docker(&id('b'), "solo", second.pid);
    let ran = root.run(&["solo", "--", "ls"]);
    ran.fails(2, "2 containers match");
    assert!(ran.err.contains(&id('a')[..12]) && ran.err.contains(&id('b')[..12]), "{ran:?}");
    assert_eq!(root.run(&[&format!("id:{}", &id('b')[..12]), "--", "ls", "/app"]).ok(), "second\n");
}

// Seen to fail with names before ids.
#[test]
fn what_is_a_name_and_an_id_is_ambiguous() {
    needs_root!();
    let (first, second) = (sandbox().start(), sandbox().file("app/second", "").start());
    let root = Root::new();
    root.docker(&id('a'), "solo", first.pid);
    // Eight digits of the first one's id.
    root.docker(&id('b'), &id('a')[..8], second.pid);
    let ran = root.run(&[&id('a')[..8], "--", "ls"]);
    ran.fails(2, "is ambiguous: 2 containers match");
    assert!(ran.err.contains(&id('a')[..12]) && ran.err.contains(&id('b')[..12]), "{ran:?}");
    assert_eq!(root.run(&[&format!("name:{}", &id('a')[..8]), "--", "ls", "/app"]).ok(), "second\n");
    assert_eq!(root.run(&[&format!("id:{}", &id('a')[..8]), "--", "ls", "/app"]).ok(), "");
    // So many digits are an id, whatever has them as its name.
    root.docker(&id('b'), &id('a')[..12], second.pid);
    assert_eq!(root.run(&[&id('a')[..12], "--", "ls", "/app"]).ok(), "");
}

// Seen to fail with the node's files opened by nsdbg's first process.
#[test]
fn a_host_root_that_never_answers_is_given_up() {
    needs_root!();
    if !fs::exists("/dev/fuse").unwrap() {
        skip!("no /dev/fuse");
    }
    let target = sandbox().set("fuse", "silent").start();
    let dead = format!("/proc/{}/root/mnt", target.pid);
    let pid = target.pid.to_string();
    let line = |words: &[&str]| {
        let mut command = Command::new(NSDBG);
        command.args(["--host-root", &dead]).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let begun = Instant::now();
    let at_target = |line| ["--pid", &pid, "-c", line];
    let (targets, switch) = (at_target("targets"), at_target("switch some-name"));
    let all = [
        &["--list"][..],
        &["--who", "1"],
        &["some-name", "--", "true"],
        &["--all", "--", "true"],
        &targets,
        &switch,
    ];
    let running = all.map(|words| (words, line(words)));
    for (words, child) in running {
        let ran = end(child);
        assert!(ran.status != 0 && ran.out.is_empty(), "{words:?}: {ran:?}");
        assert!(ran.err.contains("no answer within 5 s"), "{words:?}: {ran:?}");
    }
    assert!(begun.elapsed() < patient(Duration::from_secs(12)), "{:?}", begun.elapsed());
}

#[test]
fn stale_broken_and_odd_state_files_harm_nobody() {
    needs_root!();
    let mut gone = sandbox().start();
    let target = sandbox().start();
    let root = Root::new();
    root.docker(&id('a'), "gone", gone.pid);
    gone.kill();
    // A PID that is the node's own by now.
    root.docker(&id('b'), "recycled", std::process::id() as i32);
    let odd = "a\u{1b}[8m\nb";
    root.docker(&id('c'), odd, target.pid);
    let containers = root.0.join("var/lib/docker/containers");
    for (name, content) in [("d", "{"), ("e", "[]"), ("f", "{\"Name\": 7}")] {
        let folder = containers.join(id(name.chars().next().unwrap()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.v2.json"), content).unwrap();
    }
    fs::create_dir_all(containers.join(id('0')).join("config.v2.json")).unwrap();
    fs::create_dir_all(containers.join(id('1'))).unwrap();
    symlink("/etc/passwd", containers.join(id('1')).join("config.v2.json")).unwrap();
    let all = root.list();
    assert_eq!(row_of(&all, &target)["name"], odd);
    assert!(all.iter().all(|row| row["name"] != "gone" && row["name"] != "recycled"), "{all:?}");
    root.run(&["gone", "--", "ls"]).fails(125, "no container has this name");
    root.run(&["recycled", "--", "ls"]).fails(125, "no container has this name");
}

#[test]
fn a_command_runs_in_all_that_the_filters_let_through() {
    needs_root!();
    let (first, second) = (sandbox().file("app/one", "").start(), sandbox().start());
    let root = Root::new();
    root.docker(&id('a'), "solo-1", first.pid);
    root.docker(&id('b'), "solo-2", second.pid);
    let own = own();
    let all = ["--all", "--runtime", "docker", &own];
    let ran = root.run(&[&all[..], &["--", "ls", "/app"]].concat());
    assert_eq!((ran.status, ran.text().as_str()), (0, "solo-1: one\n"), "{ran:?}");
    // The worst status, and errors by their container.
    let ran = root.run(&[&all[..], &["--max", "1", "--", "cat", "/app/one"]].concat());
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(ran.err.trim_end(), "solo-2: cat: open /app/one: no such file or directory");
    let ran = root.run(&[&all[..], &["--json", "-c", "ps"]].concat());
    let mut targets: Vec<String> =
        rows(&ran).iter().map(|row| row["in_target"].as_str().unwrap().to_owned()).collect();
    targets.sort();
    assert_eq!(targets, ["solo-1", "solo-2"], "{ran:?}");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut nsdbg = root.nsdbg();
    nsdbg.args(all).args(["--", "ls", "/"]).stdin(Stdio::null()).stdout(full).stderr(Stdio::piped());
    end(nsdbg.spawn().unwrap()).fails(1, "write standard output: no space left on device");
    root.run(&["--all", "--runtime", "podman", "--match", "nothing", "--", "ls"])
        .fails(125, "no container matches");
    root.run(&["--all", "--runtime", "docker"]).fails(2, "--all runs a command");
}

// Seen to fail without the refusal: both wrote the one file, and the tar had their names before its bytes.
#[test]
fn a_file_is_copied_from_one_container_at_a_time() {
    needs_root!();
    let (first, second) = (sandbox().file("app/a", "1").start(), sandbox().file("app/a", "2").start());
    let root = Root::new();
    root.docker(&id('a'), "solo-1", first.pid);
    root.docker(&id('b'), "solo-2", second.pid);
    let own = own();
    let to = crate::support::new_directory("copies");
    let words =
        "get: with --all every container would write the same files: copy from one container at a time";
    for arguments in [
        &["--", "get", "/app/a", to.to_str().unwrap()][..],
        &["--", "get", "/app/a", "-"],
        &["-c", &format!("get /app/a {}/b", to.display())],
    ] {
        let ran = root.run(&[&["--all", "--runtime", "docker", &own], arguments].concat());
        for name in ["solo-1", "solo-2"] {
            ran.fails(2, &format!("{name}: {words}"));
        }
        assert_eq!(ran.text(), "");
    }
    // Redirections and options that write a file of the node do the same; lines can be appended.
    let at = |line: &str| root.run(&["--all", "--runtime", "docker", &own, "-c", line]);
    for line in ["cat /app/a > @host:DIR/c", "http get http://127.0.0.1:1/ -o @host:DIR/c"] {
        let line = line.replace("DIR", to.to_str().unwrap());
        at(&line).fails(2, "with --all every container would write ");
    }
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
    at(&format!("cat /app/a >> @host:{}/d", to.display())).ok();
    assert_eq!(fs::read(to.join("d")).unwrap().len(), 2);
    fs::remove_dir_all(to).unwrap();
}

// Seen to fail with the container's name in a field `target`: then a link's own came after it, and was what a reader saw.
#[test]
fn r24_no_row_of_a_container_says_that_it_is_another_containers() {
    needs_root!();
    let (first, second) = (sandbox().start(), sandbox().start());
    for target in [&first, &second] {
        symlink("solo-2", target.root.join("app/target")).unwrap();
    }
    let root = Root::new();
    root.docker(&id('a'), "solo-1", first.pid);
    root.docker(&id('b'), "solo-2", second.pid);
    let own = own();
    let all = ["--all", "--runtime", "docker", "--json", &own];
    for line in ["ls -l /app", "stat /app/target", "find /app", "mounts", "df"] {
        let ran = root.run(&[&all[..], &["-c", line]].concat());
        let text = ran.text();
        assert!(ran.status == 0 && text.lines().count() >= 2, "{ran:?}");
        let mut seen = BTreeSet::new();
        for row in text.lines() {
            let (head, rest) = row.split_once(',').unwrap();
            assert!(row.contains("\"target\":") && !rest.contains("in_target"), "{line}: {row}");
            seen.insert(head.to_owned());
        }
        assert_eq!(
            seen,
            ["solo-1", "solo-2"].map(|name| format!("{{\"in_target\":\"{name}\"")).into(),
            "{line}"
        );
    }
    let ran = root.run(&[&all[..], &["-c", "cat /nothing"]].concat());
    assert!(ran.err.lines().all(|line| line.starts_with("{\"in_target\":\"solo-")), "{ran:?}");
}

#[test]
fn who_tells_whose_process_a_pid_is() {
    needs_root!();
    let target = sandbox().start();
    let root = Root::new();
    root.docker(&id('a'), "solo-1", target.pid);
    let who = |pid: &str| rows(&root.run(&["--json", "--who", pid]));
    let row = &who(&target.pid.to_string())[0];
    assert_eq!((&row["target"], &row["runtime"]), (&"solo-1".into(), &"docker".into()), "{row}");
    let row = &who(&std::process::id().to_string())[0];
    assert_eq!(row["target"], Value::Null, "{row}");
    // A thread of this process.
    let tid = nix::unistd::gettid().as_raw();
    assert_eq!(who(&tid.to_string())[0]["process"], std::process::id());
    root.run(&["--who", "4194303"]).fails(1, "no such process");
    root.run(&["--who", "web"]).fails(2, "web");
}

// Seen to fail without watch::confine_lister, and without the seccomp filter in it.
#[test]
fn the_list_is_made_as_nobody_and_behind_a_filter() {
    needs_root!();
    let target = sandbox().start();
    // A pipe that is full: whoever writes to it stays.
    let (reader, writer) = nix::unistd::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    nix::unistd::write(&writer, &[b'x'; 4096]).unwrap();
    let pid = target.pid.to_string();
    for args in [&["--list"][..], &["--who", "1"], &["--pid", &pid, "--", "targets"]] {
        let mut nsdbg = Command::new(NSDBG).args(args).stdout(writer.try_clone().unwrap()).spawn().unwrap();
        let own = nsdbg.id() as i32;
        let lister = || descendants(own).pop().filter(|_| args.len() > 2).unwrap_or(own);
        let confined = || {
            let status = fs::read_to_string(format!("/proc/{}/status", lister())).unwrap_or_default();
            let fact = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
                line.split_whitespace().next().unwrap_or_default().to_owned()
            };
            let capabilities = u64::from_str_radix(&fact("CapEff:"), 16).unwrap_or(u64::MAX);
            // CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_SYS_ADMIN.
            let few = capabilities & !(1 << 2 | 1 << 19 | 1 << 21) == 0;
            few && (fact("Uid:"), fact("Seccomp:")) == ("65534".to_owned(), "2".to_owned())
        };
        assert!(within(LIMIT, confined), "{args:?}");
        nsdbg.kill().unwrap();
        nsdbg.wait().unwrap();
    }
    drop(reader);
}

#[test]
fn without_a_target_the_list_is_shown() {
    needs_root!();
    let target = sandbox().start();
    let root = Root::new();
    root.docker(&id('a'), "nsdbg-test-solo-1", target.pid);
    let ran = root.run(&[]);
    ran.fails(2, "which container? (nsdbg NAME");
    assert!(ran.text().contains("nsdbg-test-solo-1"), "{ran:?}");
}

#[test]
fn the_prompt_lists_tells_and_switches() {
    needs_root!();
    let (first, second) = (sandbox().start(), sandbox().set("cwd", "/app").start());
    let root = Root::new();
    root.docker(&id('a'), "solo-1", first.pid);
    root.docker(&id('b'), "solo-2", second.pid);
    let mut command = root.nsdbg();
    command.arg("solo-1");
    let mut prompt = Prompt::of(command);
    prompt.sees(&format!("solo-1[{}] web:/$ ", first.pid));
    prompt.type_in(b"targets solo-2\r");
    prompt.sees(&id('b')[..12]);
    prompt.type_in(b"info\r");
    prompt.sees("uid 65532");
    prompt.completes("switch solo-", "solo-2");
    prompt.type_in(b"2\r");
    prompt.sees(&format!("solo-2[{}] web:/app$ ", second.pid));
    prompt.type_in(b"switch nobody\r");
    prompt.sees("no container has this name");
    prompt.type_in(b"pwd\r");
    prompt.sees("\n/app\r\n");
}
