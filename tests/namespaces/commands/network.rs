//! Networks of containers: links, addresses, routes and packet filters that the node makes in them.

use std::process::{Command, Stdio};

use crate::support::Sandbox;

/// A command of the node in the container's network namespace, with no file of the container.
pub fn within_network(target: &Sandbox, words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &target.pid.to_string(), "--net", "--"]).args(words).stdin(Stdio::null());
    command
}

/// Runs lines of a shell there; false where one of them fails.
pub fn try_script(target: &Sandbox, lines: &str) -> bool {
    within_network(target, &["sh", "-ec", lines]).stderr(Stdio::null()).status().unwrap().success()
}

/// Runs lines of a shell there, all of which must succeed.
pub fn script(target: &Sandbox, lines: &str) {
    let ran = within_network(target, &["sh", "-ec", lines]).output().unwrap();
    assert!(ran.status.success(), "{lines}: {ran:?}");
}

/// What a command of the node says there.
pub fn said(target: &Sandbox, words: &[&str]) -> String {
    String::from_utf8_lossy(&within_network(target, words).output().unwrap().stdout).into_owned()
}

/// Links two containers: `wire` in each, 10.7.0.1/24 and fd07::1/64 in the first, .2 and ::2 in the second.
pub fn link(one: &Sandbox, two: &Sandbox) {
    let ran = Command::new("ip")
        .args(["link", "add", "wire", "netns", &one.pid.to_string(), "type", "veth"])
        .args(["peer", "name", "wire", "netns", &two.pid.to_string()])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    for (target, last) in [(one, 1), (two, 2)] {
        script(
            target,
            &format!(
                "ip link set lo up\nip addr add 10.7.0.{last}/24 dev wire\n\
                 ip addr add fd07::{last}/64 dev wire nodad\nip link set wire up"
            ),
        );
    }
}
