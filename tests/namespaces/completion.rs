//! Tab at the prompt: what an argument takes is offered, and nothing else.

use crate::prompt::Prompt;
use crate::support::{Sandbox, needs_root, sandbox};
use crate::targets::Root;

fn target() -> Sandbox {
    let target =
        sandbox().variable("LONG_NAME", "value").variable("not-a-name", "x").mode(&["serve", "7001"]);
    target.file("enough/file", "").file("enough.txt", "").start()
}

/// What a line becomes by Tab: it is quoted and printed, not run.
fn completed(prompt: &mut Prompt, typed: &str, wanted: &str) {
    // On a busy machine half a second may be over before anything is found.
    for _ in 0..10 {
        // Ctrl-A and Ctrl-E go to its ends.
        prompt.type_in(format!("{typed}\t\x01echo '[\x05]'\r").as_bytes());
        prompt.sees("]\r\n");
        let said = String::from_utf8_lossy(prompt.said()).into_owned();
        let (_, line) = said.rsplit_once("\n[").unwrap();
        let line = &line[..line.find("]\r\n").unwrap()];
        if line == wanted {
            return;
        }
        assert_eq!(line, typed, "{wanted} was wanted");
    }
    panic!("{typed}: {wanted} was not offered");
}

#[test]
fn tab_completes_what_an_argument_takes() {
    needs_root!();
    let target = target();
    let mut prompt = Prompt::start(&target);
    prompt.sees("web:/$ ");
    for (typed, wanted) in [
        // Signals, by option, by value, and of -l.
        ("kill -TER", "kill -TERM "),
        ("kill -s HU", "kill -s HUP "),
        ("kill --signal=STO", "kill --signal=STOP "),
        ("kill -sWIN", "kill -sWINCH "),
        ("kill -l QUI", "kill -l QUIT "),
        ("kill --verb", "kill --verbose "),
        // Processes, by PID and by name.
        ("kill -9 1", "kill -9 1 "),
        ("kill nsdbg-te", "kill nsdbg-test-help "),
        ("ps -p 1", "ps -p 1 "),
        ("ps -C nsdbg-te", "ps -C nsdbg-test-help "),
        ("lsof -p1", "lsof -p1 "),
        ("fds -p 1", "fds -p 1 "),
        ("proc 1", "proc 1 "),
        ("pstree 1", "pstree 1 "),
        ("tail --pid=1", "tail --pid=1 "),
        // Users and groups.
        ("find / -user we", "find / -user web "),
        ("find / -group we", "find / -group web "),
        ("ps -u root,we", "ps -u root,web "),
        ("users we", "users web "),
        ("users -g roo", "users -g root "),
        // Interfaces.
        ("ip addr show dev l", "ip addr show dev lo "),
        // The session's variables.
        ("echo $LONG_N", "echo $LONG_NAME"),
        ("echo a${LONG_N", "echo a${LONG_NAME}"),
        ("echo \"a $LONG_N", "echo \"a $LONG_NAME"),
        ("unset LONG_N", "unset LONG_NAME "),
        ("export LONG_N", "export LONG_NAME="),
        ("env LONG_N", "env LONG_NAME "),
        // Words of a command's own.
        ("find / -na", "find / -name "),
        ("find / -type f -readab", "find / -type f -readable "),
        ("ps -o nlw", "ps -o nlwp "),
        ("ps -o pid,nlw", "ps -o pid,nlwp "),
        ("ps -opid,nlw", "ps -opid,nlwp "),
        ("ps --format=pid,nlw", "ps --format=pid,nlwp "),
        ("netstat --state est", "netstat --state established "),
        ("netstat --state=listen,tim", "netstat --state=listen,time-wait "),
        ("findmnt -o TARGET,PROP", "findmnt -o TARGET,PROPAGATION "),
        ("doctor deleted-e", "doctor deleted-exe "),
        ("http pa", "http patch "),
        ("dns -t CNA", "dns -t CNAME "),
        ("why /etc/passwd ex", "why /etc/passwd exec "),
        // Values that clap knows.
        ("grep --binary-files=wit", "grep --binary-files=without-match "),
        ("ls --sort=ext", "ls --sort=extension "),
        ("ping -I l", "ping -I lo "),
        ("ping -M don", "ping -M dont "),
        ("grep -D sk", "grep -D skip "),
        ("ip link show l", "ip link show lo "),
        ("ip a show l", "ip a show lo "),
        ("mounts -t over", "mounts -t overlay "),
        ("put --owner we", "put --owner web "),
        ("ls --indicator-style class", "ls --indicator-style classify "),
        ("targets --runtime contai", "targets --runtime containerd "),
        // Files, also of another name of a command, behind `time`, and of the node.
        ("cat enough.t", "cat enough.txt "),
        ("ll enough.t", "ll enough.txt "),
        ("time cat enough.t", "time cat enough.txt "),
        ("grep x enough.t", "grep x enough.txt "),
        ("grep -f enough.t", "grep -f enough.txt "),
        ("find / -newer enough.t", "find / -newer enough.txt "),
        ("nc -U enough.t", "nc -U enough.txt "),
        ("echo x > enough.t", "echo x > enough.txt "),
        ("cd eno", "cd enough/"),
        ("echo x > @host:/proc/versio", "echo x > @host:/proc/version "),
        ("get enough.t", "get enough.txt "),
        ("get enough.txt /proc/versio", "get enough.txt /proc/version "),
        ("time tru", "time true "),
        ("help unse", "help unset "),
    ] {
        completed(&mut prompt, typed, wanted);
    }
    // A list shows what a PID stands for.
    prompt.type_in(b"kill \t\t");
    prompt.sees("1 nsdbg-test-help");
}

// Each of them became `enough`, a name in the directory.
#[test]
fn what_takes_no_file_is_offered_none() {
    needs_root!();
    let target = target();
    let mut prompt = Prompt::start(&target);
    prompt.sees("web:/$ ");
    for typed in [
        "users eno",
        "export eno",
        "unset eno",
        "exit eno",
        "kill eno",
        "kill -s eno",
        "ps -p eno",
        "sleep eno",
        "ping eno",
        "tcp eno",
        "tls eno",
        "http get eno",
        "history eno",
        "switch eno",
        "targets eno",
        "who eno",
        "free eno",
        "ip link show dev eno",
        "grep eno",
        "grep -A eno",
        "head -n eno",
        "find / -name eno",
        "stat -c eno",
        "nosuchcommand eno",
        "env eno",
        "echo $eno",
        "echo $not",
    ] {
        completed(&mut prompt, typed, typed);
    }
}

// It listed nothing.
#[test]
fn a_runtime_that_there_is_not_is_refused() {
    needs_root!();
    Root::new().run(&["--list", "--runtime", "dokcer"]).fails(2, "possible values: docker, containerd");
}
