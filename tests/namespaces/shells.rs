//! Completion in the node's shells: bash, zsh and fish themselves, at a terminal.

use std::process::Command;

use crate::prompt::Prompt;
use crate::support::{NSDBG, count_skip, needs_root, new_directory, sandbox};
use crate::targets::{Root, id};

/// Each shell, without the person's own settings.
const SHELLS: [(&str, &[&str]); 3] =
    [("bash", &["--norc", "--noprofile", "-i"]), ("zsh", &["-f", "-i"]), ("fish", &["--no-config", "-i"])];

#[test]
fn bash_zsh_and_fish_complete_targets_commands_and_values() {
    needs_root!();
    let (first, second) = (sandbox().start(), sandbox().start());
    let root = Root::new();
    root.docker(&id('a'), "solo-1", first.pid);
    // Whoever completes this and presses Enter would run it. Seen to fail without the filter of names.
    root.docker(&id('b'), "evil$(id)", second.pid);
    let host = root.0.display();
    // fish makes it for root, whatever it is told.
    let fishs = std::path::Path::new("/tmp/fish.root");
    let was_there = fishs.exists();
    for (shell, options) in SHELLS {
        if Command::new(shell).arg("--version").output().is_err() {
            count_skip(&format!("no {shell}: apt-get install {shell}"));
            continue;
        }
        let home = new_directory("home");
        let mut command = Command::new("env");
        command.arg(format!("HOME={}", home.display()));
        command.arg("PATH=/usr/bin:/bin").arg(shell).args(options);
        let mut prompt = Prompt::with_doctor(command);
        let load = match shell {
            "bash" => format!("source <({NSDBG} --completions bash)"),
            "zsh" => format!("autoload -U compinit; compinit -D; source <({NSDBG} --completions zsh)"),
            _ => format!("{NSDBG} --completions fish | source"),
        };
        prompt.type_in(format!("{load}; echo lo\"\"aded\r").as_bytes());
        prompt.sees("loaded\r\n");
        for (typed, wanted) in [
            (format!("{NSDBG} --host-root {host} sol"), "solo-1"),
            (format!("{NSDBG} --host-root {host} name evi"), "evi"),
            (format!("{NSDBG} --host-root={host} evi"), "evi"),
            (format!("{NSDBG} web -- netst"), "netstat"),
            (format!("{NSDBG} web -- kill -s US"), "USR"),
            (format!("{NSDBG} --runtime po"), "podman"),
            (format!("{NSDBG} --runtime=po"), "--runtime=podman"),
            (format!("{NSDBG} web --ns -n"), "-net"),
            (format!("{NSDBG} web --ns=-pid,-n"), "--ns=-pid,-net"),
            (format!("{NSDBG} --host-root /proc/versi"), "/proc/version"),
        ] {
            let (begin, _) = typed.rsplit_once(' ').unwrap();
            // Ctrl-A goes to the begin: the line is printed, not run.
            prompt.type_in(format!("{typed}\t").as_bytes());
            std::thread::sleep(std::time::Duration::from_millis(400));
            prompt.type_in(b"\x01echo \x05 .\r");
            prompt.sees(&format!("{begin} {wanted} .\r\n"));
        }
        let _ = std::fs::remove_dir_all(home);
    }
    if !was_there {
        let _ = std::fs::remove_dir_all(fishs);
    }
}
