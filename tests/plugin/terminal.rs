//! nsdbg behind kubectl and ssh, which give it pipes: what reaches the terminal at their other end.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Cluster, HOSTILE, clusters, in_group, pod, script, skip, steering, terminal};
use crate::ssh::{node, ssh_nsdbg};

const NSDBG: &str = env!("CARGO_BIN_EXE_nsdbg");

/// Skips a test where it is not run by root, who alone can enter.
macro_rules! needs_root {
    () => {
        if !nix::unistd::geteuid().is_root() {
            skip!("must run as root: sudo cargo test --test plugin");
        }
    };
}
pub(crate) use needs_root;

/// A process with hostile files in its directory, and nsdbg as what kubectl and ssh run.
pub struct Target {
    pub cluster: Cluster,
    process: Child,
    pub files: PathBuf,
    /// The process as a target.
    name: String,
}

/// What steers a terminal in a file: also bytes that are not UTF-8.
fn words() -> Vec<u8> {
    [HOSTILE.as_bytes(), b"\x9b8m\xe0\x82\x9b end"].concat()
}

impl Target {
    pub fn start(cluster: Cluster) -> Self {
        let files = cluster.files.join("container");
        fs::create_dir(&files).unwrap();
        let name =
            |head: &str| files.join(std::ffi::OsStr::from_bytes(&[head.as_bytes(), &words()].concat()));
        fs::write(files.join("evil"), [&words()[..], b"\n"].concat()).unwrap();
        fs::write(name("f"), words()).unwrap();
        fs::create_dir(name("d")).unwrap();
        std::os::unix::fs::symlink("nowhere", name("l")).unwrap();
        let process = Command::new("sleep").arg("600").current_dir(&files).spawn().unwrap();
        let name = format!("pid:{}", process.id());
        node(&cluster);
        script(&cluster.files.join("nsdbg"), &format!("#!/bin/sh\nexec {NSDBG} \"$@\"\n"));
        // kubectl nsdbg names a container's id.
        let as_target = format!("case $word in id:*) word={name} ;; esac; set -- \"$@\" \"$word\"");
        cluster.has("exec", &format!("shift 2; for word; do shift; {as_target}; done; exec {NSDBG} \"$@\""));
        cluster.has("pods", &pod("web-0", "n1", "Running", ""));
        Self { cluster, process, files, name }
    }

    /// The same command through either.
    fn through(&self, is_ssh: bool, options: &[&str], words: &[&str]) -> Command {
        let (head, target) =
            if is_ssh { (&["node"][..], &*self.name) } else { (&["-c", "app"][..], "web-0") };
        let args = [head, options, &[target], words].concat();
        if is_ssh { ssh_nsdbg(&self.cluster, &args) } else { self.cluster.command(&args) }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// Seen to fail with each part left out.
#[test]
fn nsdbg_is_told_which_streams_lead_to_a_terminal() {
    for cluster in clusters() {
        node(&cluster);
        script(
            &cluster.files.join("nsdbg"),
            "#!/bin/sh\nfor word; do printf '%s\\n' \"$word\" >>\"$FAKE/words\"; done\n",
        );
        cluster.has("exec", "shift 2; for word; do printf '%s\\n' \"$word\" >>\"$FAKE/words\"; done");
        // stdin, stdout, stderr, TERM, NO_COLOR.
        for (ends, term, no_color, wanted) in [
            ([false, true, true], "xterm", "", Some("--terminal=stdout,stderr,color,columns=132")),
            ([false, true, true], "xterm", "1", Some("--terminal=stdout,stderr,columns=132")),
            ([false, true, true], "dumb", "", Some("--terminal=stdout,stderr,columns=132")),
            ([false, true, false], "", "", Some("--terminal=stdout,columns=132")),
            ([false, false, true], "xterm", "", Some("--terminal=stderr")),
            ([false, false, false], "xterm", "", None),
            // Also where a terminal is asked for: the other side may refuse it.
            ([true, true, true], "xterm", "", Some("--terminal=stdout,stderr,color,columns=132")),
        ] {
            for mut command in [
                cluster.command(&["--json", "web-0", "-c", "app", "--", "ls"]),
                ssh_nsdbg(&cluster, &["node", "web-0"]),
            ] {
                let _ = fs::remove_file(cluster.files.join("words"));
                let (_master, end) = terminal();
                command.stdin(Stdio::null()).env("TERM", term).env("NO_COLOR", no_color);
                for (which, is_terminal) in
                    ends.into_iter().enumerate().filter(|(_, is_terminal)| *is_terminal)
                {
                    assert!(is_terminal);
                    let end = Stdio::from(end.try_clone().unwrap());
                    match which {
                        0 => command.stdin(end),
                        1 => command.stdout(end),
                        _ => command.stderr(end),
                    };
                }
                let ran = cluster.end(command.process_group(0).spawn().unwrap());
                let words = cluster.file("words");
                let first = words.lines().next().filter(|word| word.starts_with("--terminal"));
                assert_eq!(
                    (ran.status, first),
                    (0, wanted),
                    "{ends:?} {term} {no_color}: {:?}",
                    cluster.shell
                );
            }
        }
    }
}

// Seen to fail without --terminal, for each of the two.
#[test]
fn r24_output_is_filtered_without_a_terminal_on_stdin() {
    needs_root!();
    for cluster in clusters() {
        let target = Target::start(cluster);
        let evil = target.files.join("evil").display().to_string();
        let shows = |is_ssh: bool, options: &[&str], words: &[&str], seen: &str| {
            let mut command = target.through(is_ssh, options, words);
            let ran = target.cluster.on_terminal({
                command.env("NO_COLOR", "1");
                command
            });
            assert!(steering(&ran.out).is_empty(), "{words:?}: {}", ran.out.escape_ascii());
            assert!(ran.text().contains(seen), "{words:?}: {}", ran.text());
        };
        for is_ssh in [false, true] {
            shows(is_ssh, &[], &["--", "cat", &evil], "^[]0;t^G^[[8m<U+009B>8m<U+202E><U+2066>");
            shows(is_ssh, &[], &["--", "ls", "-1", target.files.to_str().unwrap()], "$'f\\x1b]0;t\\x07");
            shows(is_ssh, &[], &["--", "cat", &format!("/{HOSTILE}")], "\\x1b]0;t\\x07\\x1b[8m\\u{9b}8m");
            shows(is_ssh, &["--json"], &["--", "ls", target.files.to_str().unwrap()], "\"name\":\"");
            // Into a pipe the bytes are what they are, and stderr is not.
            let mut command = target.through(is_ssh, &[], &["--", "cat", &evil, &format!("/{HOSTILE}")]);
            let (mut master, end) = terminal();
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(end);
            let child = command.process_group(0).spawn().unwrap();
            drop(command);
            let said = std::thread::spawn(move || {
                let mut said = Vec::new();
                let _ = std::io::Read::read_to_end(&mut master, &mut said);
                said
            });
            let ran = target.cluster.end(child);
            assert_eq!(ran.out, [&words()[..], b"\n"].concat());
            let said = said.join().unwrap();
            assert!(steering(&said).is_empty() && !said.is_empty(), "{}", said.escape_ascii());
        }
        // Colours and the width are the terminal's.
        let mut command = target.through(false, &[], &["--", "ls", "/"]);
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        let ran = target.cluster.on_terminal(command);
        assert!(ran.text().contains("\x1b[01;34m"), "{}", ran.text());
    }
}

/// What a siege runs, and what is seen of it.
fn siege(files: &str) -> Vec<(Vec<String>, &'static str)> {
    let hostile = format!("{files}/{HOSTILE}");
    let evil = format!("{files}/evil");
    let commands: [(&[&str], &str); 11] = [
        (&["cat", &evil], "\\x9b8m\\xe0\\x82\\x9b end"),
        (&["cat", &hostile], "no such file"),
        (&["ls", files], "\\x9b8m\\xe0\\x82\\x9b end"),
        (&["ls", "-l", files], "nowhere"),
        (&["ls", "-R", files], "\\x9b8m\\xe0\\x82\\x9b end"),
        (&["find", files], "\\xe0\\x82\\x9b end"),
        (&["stat", &evil, &hostile], "no such file"),
        (&["grep", "-r", "end", files], "evil:"),
        (&["file", &evil], "evil"),
        (&["head", "-c", "30", &evil], "<U+202E>"),
        (&[HOSTILE], "no such command"),
    ];
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    commands.iter().map(|(words, seen)| (owned(words), *seen)).collect()
}

// Seen to fail without --terminal, and with stderr of the scripts passed on as it is.
#[test]
fn r24_a_siege_through_kubectl_and_ssh_leaves_no_raw_byte_and_no_process() {
    needs_root!();
    let workers: Vec<_> = clusters()
        .into_iter()
        .map(|cluster| {
            std::thread::spawn(move || {
                let target = Target::start(cluster);
                let commands = siege(target.files.to_str().unwrap());
                let octal: String = words().iter().map(|byte| format!("\\{byte:03o}")).collect();
                let noise = format!("printf 'node {octal}\\n{octal}' >&2; ");
                let exec = target.cluster.file("exec");
                for number in 0..70 {
                    let (words, seen) = &commands[number % commands.len()];
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    // Every third with words of the node's before nsdbg's, every seventh as rows.
                    let noise = if number % 3 == 0 { &*noise } else { "" };
                    target.cluster.has("exec", &format!("{noise}{exec}"));
                    let binary = format!("#!/bin/sh\n{noise}exec {NSDBG} \"$@\"\n");
                    script(&target.cluster.files.join("nsdbg"), &binary);
                    let options: &[&str] = if number % 7 == 0 { &["--json"] } else { &[] };
                    for is_ssh in [false, true] {
                        let begun = Instant::now();
                        let mut command = target.through(is_ssh, options, &[&["--"], &words[..]].concat());
                        command.env("NO_COLOR", "1");
                        let ran = target.cluster.on_terminal(command);
                        assert!(
                            begun.elapsed() < Duration::from_secs(10),
                            "{words:?}: {:?}",
                            begun.elapsed()
                        );
                        assert!(steering(&ran.out).is_empty(), "{words:?}: {}", ran.out.escape_ascii());
                        let is_seen = !options.is_empty() || ran.text().contains(seen);
                        assert!(is_seen, "{words:?}: {}", ran.text());
                    }
                }
                let left = target.cluster.left();
                assert!(left.is_empty(), "{left:?}");
                target.cluster.assert_no_process_left();
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}

// Seen to fail with a filter that outlives the script.
#[test]
fn ctrl_c_ends_ssh_nsdbg_and_leaves_nothing() {
    for cluster in clusters() {
        node(&cluster);
        script(&cluster.files.join("nsdbg"), "#!/bin/sh\n: >\"$FAKE/runs\"\nexec sleep 47\n");
        let (_master, end) = terminal();
        let mut command = ssh_nsdbg(&cluster, &["node", "web-0"]);
        command.stdin(Stdio::null()).stderr(end);
        let child = command.process_group(0).spawn().unwrap();
        let group = child.id() as i32;
        cluster.waits_for("runs");
        nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::Signal::SIGINT)
            .unwrap();
        let ran = cluster.end(child);
        assert_eq!(ran.status, 130, "{:?}", cluster.shell);
        let end = Instant::now() + Duration::from_secs(5);
        while !in_group(group).is_empty() {
            assert!(Instant::now() < end, "{:?}: {:?}", cluster.shell, in_group(group));
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(cluster.left().is_empty(), "{:?}", cluster.left());
    }
}
