//! `ssh-nsdbg` against an ssh that runs its line here, with another home directory.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::harness::{Cluster, Ran, clusters, script};

/// Writes its words down, then does what sshd does with the last one, whose output comes through pipes, and which ends with it.
const SSH: &str = r#"#!/bin/sh
for word; do printf '%s\n' "$word"; done >>"$FAKE/ssh"
[ ! -e "$FAKE/ssh.fail" ] || { cat "$FAKE/ssh.fail" >&2; exit 255; }
while [ $# -gt 1 ]; do shift; done
[ ! -e "$FAKE/holds" ] || { sleep 600 >/dev/null & echo $! >>"$FAKE/held"; }
pipes=$(mktemp -d "$FAKE/ssh.XXXXXX")
mkfifo "$pipes/out" "$pipes/err"
cat <"$pipes/out" &
printing=$!
cat <"$pipes/err" >&2 &
telling=$!
exec 8<&0
(cd "$HOME" && exec setsid sh -c "$1") <&8 8<&- >"$pipes/out" 2>"$pipes/err" &
running=$!
trap 'kill -- -$running' INT TERM HUP
wait "$running"
status=$?
wait "$printing" "$telling"
exit $status
"#;

/// A binary that says what it was run with.
const BINARY: &str = "#!/bin/sh\nfor word; do printf '[%s]' \"$word\"; done\ncat\nexit 7\n";

/// A node: another home directory, and a binary.
pub fn node(cluster: &Cluster) {
    fs::create_dir(cluster.files.join("home")).unwrap();
    script(&cluster.files.join("bin/ssh"), SSH);
    script(&cluster.files.join("bin/id"), "#!/bin/sh\ncat \"$FAKE/id\"\n");
    script(&cluster.files.join("bin/sudo"), "#!/bin/sh\necho sudo >>\"$FAKE/sudo\"; shift; exec \"$@\"\n");
    script(&cluster.files.join("nsdbg"), BINARY);
    cluster.has("id", "0\n");
}

/// ssh-nsdbg, with the node's binary.
pub fn ssh_nsdbg(cluster: &Cluster, args: &[&str]) -> Command {
    let mut command = Command::new(cluster.shell[0]);
    let path = format!("{}:{}", cluster.files.join("bin").display(), std::env::var("PATH").unwrap());
    let plugin = crate::harness::plugin().with_file_name("ssh-nsdbg");
    command.args(&cluster.shell[1..]).arg(plugin).arg("--binary").arg(cluster.files.join("nsdbg"));
    command.args(args).env("PATH", path).env("FAKE", &cluster.files).env("HOME", cluster.files.join("home"));
    command.env("TMPDIR", cluster.files.join("tmp"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command
}

fn run(cluster: &Cluster, args: &[&str], input: &[u8]) -> Ran {
    let mut child = ssh_nsdbg(cluster, args).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    std::thread::spawn(move || stdin.write_all(&input));
    let ran = cluster.end(child);
    assert!(cluster.left().is_empty(), "{:?}", cluster.left());
    ran
}

fn copies(cluster: &Cluster) -> Vec<String> {
    let Ok(entries) = fs::read_dir(cluster.files.join("home/.cache/nsdbg")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

// Seen to fail with a copy each time, and with words passed on without quotes.
#[test]
fn the_binary_is_copied_once_and_gets_its_words_and_its_input() {
    for cluster in clusters() {
        node(&cluster);
        for times in 0..2 {
            let ran = run(
                &cluster,
                &["--ssh-option", "-p 22", "me@node", "web-0", "--", "echo", "it's", "a b", "$HOME"],
                b"in\0put",
            );
            assert_eq!(
                (ran.status, ran.text().as_str()),
                (7, "[web-0][--][echo][it's][a b][$HOME]in\0put"),
                "{ran:?}"
            );
            assert_eq!(ran.err.contains("copying nsdbg to me@node"), times == 0, "{ran:?}");
        }
        assert_eq!(copies(&cluster).len(), 1);
        assert!(cluster.file("ssh").starts_with("-p 22\n--\nme@node\n"), "{}", cluster.file("ssh"));
        assert!(cluster.file("sudo").is_empty());
        let mode = fs::metadata(cluster.files.join("home/.cache/nsdbg")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

// Seen to fail with the name alone looked at.
#[test]
fn a_copy_that_was_changed_or_cut_short_is_made_again() {
    for cluster in clusters() {
        node(&cluster);
        run(&cluster, &["node", "web-0"], b"");
        let copy = cluster.files.join("home/.cache/nsdbg").join(&copies(&cluster)[0]);
        fs::write(&copy, "#!/bin/sh\necho somebody else's\n").unwrap();
        let ran = run(&cluster, &["node", "web-0"], b"");
        assert_eq!((ran.status, ran.text().as_str()), (7, "[web-0]"), "{ran:?}");
    }
}

// Seen to fail without sudo, and with the directory left.
#[test]
fn who_is_not_root_uses_sudo_and_rm_leaves_nothing() {
    for cluster in clusters() {
        node(&cluster);
        cluster.has("id", "1000\n");
        let ran = run(&cluster, &["--rm", "node", "--json", "web-0", "--", "ls"], b"");
        assert_eq!((ran.status, ran.text().as_str()), (7, "[--json][web-0][--][ls]"), "{ran:?}");
        assert_eq!(cluster.file("sudo"), "sudo\n");
        assert!(!cluster.files.join("home/.cache/nsdbg").exists());
        run(&cluster, &["node", "web-0"], b"");
        assert_eq!(run(&cluster, &["--rm", "node"], b"").status, 0);
        assert!(!cluster.files.join("home/.cache/nsdbg").exists());
    }
}

// Seen to fail with ssh's status alone.
#[test]
fn what_goes_wrong_is_told() {
    for cluster in clusters() {
        node(&cluster);
        for (args, status, said) in [
            (&["--frob", "node"][..], 2, "no such option: --frob"),
            (&[], 2, "usage: ssh-nsdbg"),
            (&["node"], 2, "ssh-nsdbg node --list"),
            (&["--binary", "/nowhere", "node", "web-0"], 125, "/nowhere: no such file"),
        ] {
            let ran = run(&cluster, args, b"");
            assert!(ran.status == status && ran.err.contains(said), "{args:?}: {ran:?}");
        }
        cluster.has("ssh.fail", "ssh: connect to host node port 22: No route to host\n");
        let ran = run(&cluster, &["node", "web-0"], b"");
        assert!(ran.status == 255 && ran.err.contains("ssh to node failed: ssh node"), "{ran:?}");
    }
}

// Seen to fail with ssh in the foreground, and with its standard input as it was.
#[test]
fn a_command_on_the_node_ends_with_the_script_and_its_input_is_held_open() {
    use nix::sys::signal::{Signal, kill, killpg};
    for cluster in clusters() {
        node(&cluster);
        script(&cluster.files.join("nsdbg"), "#!/bin/sh\necho \"$@\"\ntimeout 1 head -c 1\necho $?\n");
        for (words, shown) in [
            (&["node", "web-0", "--", "ls"][..], "--end-with-stdin web-0 -- ls\n124\n"),
            (&["node", "web-0", "-c", "ls"], "--end-with-stdin web-0 -c ls\n124\n"),
            (&["node", "web-0"], "web-0\n0\n"),
        ] {
            let mut command = ssh_nsdbg(&cluster, words);
            let ran = cluster.end(command.stdin(Stdio::null()).spawn().unwrap());
            assert_eq!((ran.status, ran.text().as_str()), (0, shown), "{:?}: {ran:?}", cluster.shell);
        }
        script(&cluster.files.join("nsdbg"), "#!/bin/sh\n: >\"$FAKE/runs\"\nexec sleep 47\n");
        for (signal, status) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGINT, 130)] {
            let _ = fs::remove_file(cluster.files.join("runs"));
            let mut command = ssh_nsdbg(&cluster, &["node", "web-0", "--", "ls"]);
            let child =
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let pid = nix::unistd::Pid::from_raw(child.id() as i32);
            cluster.waits_for("runs");
            kill(pid, signal).unwrap();
            let ran = cluster.end_within(child, std::time::Duration::from_secs(10));
            assert_eq!(ran.status, status, "{signal}: {:?}", cluster.shell);
            assert!(cluster.left().is_empty(), "{:?}", cluster.left());
            let _ = killpg(pid, Signal::SIGKILL);
        }
    }
}
