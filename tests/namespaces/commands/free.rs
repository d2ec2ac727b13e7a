//! `free`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::has_tool;
use crate::live::run;
use crate::support::{needs_root, sandbox, skip};

#[test]
fn the_nodes_memory_is_what_procps_says() {
    needs_root!();
    if !has_tool("free") {
        skip!("no free: apt-get install procps");
    }
    let target = sandbox().set("proc", "tmpfs").start();
    for options in [
        &[][..],
        &["-b"],
        &["-k"],
        &["-m"],
        &["-g"],
        &["-h"],
        &["-t"],
        &["-w"],
        &["-hw", "--si"],
        &["-mt"],
        &["-l"],
        &["-lt"],
        &["-s", "0.1", "-c", "2"],
        &["-l", "-c", "1"],
    ] {
        let theirs = run(Command::new("free").args(options).env("LC_ALL", "C")).text();
        let ours = target.run(&[&["free"], options].concat()).text();
        // The header whole; of each line its name, its total, and where its columns are: the rest changes meanwhile.
        let shape = |text: &str| {
            let lines = text.lines().filter(|line| !line.starts_with("Cgroup"));
            let cells = |line: &str| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let start = if line.starts_with(' ') {
                    words.join(" ")
                } else {
                    words[..2.min(words.len())].join(" ")
                };
                (start, words.len(), line.trim_end().len())
            };
            lines.map(cells).collect::<Vec<_>>()
        };
        assert_eq!(shape(&ours), shape(&theirs), "free {options:?}\n{ours}{theirs}");
    }
    let near = |ours: &str, theirs: &str| {
        let (a, b): (f64, f64) = (ours.parse().unwrap(), theirs.parse().unwrap());
        (a - b).abs() <= a.max(b) * 0.2 + 50_000.0
    };
    let theirs = run(&mut Command::new("free")).text();
    let ours = target.run(&["free"]).text();
    let second =
        |text: &str| text.lines().nth(1).unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for (ours, theirs) in second(&ours).iter().zip(&second(&theirs)).skip(1) {
        assert!(near(ours, theirs), "{ours} {theirs}");
    }
}

#[test]
fn options_that_name_units_override_each_other() {
    needs_root!();
    let target = sandbox().start();
    let total = |args: &[&str]| {
        let said = target.run(&[&["free"], args].concat()).text();
        said.lines().nth(1).unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(total(&["-m", "-b"]), total(&["-b"]));
    assert_eq!(total(&["-b", "-h"]), total(&["-h"]));
    target.run(&["free", "-x"]).fails(2, "-x");
    target.run(&["free", "-s", "0"]).fails(2, "a positive number of seconds");
    target.run(&["free", "-c", "0"]).fails(2, "-c");
    assert_eq!(target.run(&["free", "--json", "-s", "0.1", "-c", "3"]).ok().matches("\"Mem\"").count(), 3);
    target.run(&["free", "operand"]).fails(2, "operand");
}

/// A cgroup of the tests' own that counts memory, removed at the end.
pub(super) struct Cgroup(pub(super) PathBuf);

impl Cgroup {
    pub(super) fn make() -> Option<Self> {
        ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].iter().find_map(|top| {
            let path = PathBuf::from(top).join(format!("nsdbg-test-{}", std::process::id()));
            fs::create_dir(&path).ok()?;
            let made = Self(path);
            made.limit(64 << 20).then_some(made)
        })
    }

    fn limit(&self, bytes: u64) -> bool {
        ["memory.limit_in_bytes", "memory.max"]
            .iter()
            .any(|name| self.0.join(name).exists() && fs::write(self.0.join(name), bytes.to_string()).is_ok())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(self.0.join("below"));
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn the_containers_limit_is_that_of_its_cgroup_or_one_above() {
    needs_root!();
    let Some(cgroup) = Cgroup::make() else { skip!("no cgroup with a memory limit can be made") };
    let mut target = sandbox().start();
    let pid = target.pid.to_string();
    let line = |target: &crate::support::Sandbox| {
        let said = target.run(&["free", "--json"]).ok();
        let rows = said.lines().map(|row| serde_json::from_str::<Value>(row).unwrap());
        rows.into_iter().find(|row| row["what"] == "Cgroup").unwrap_or_else(|| panic!("{said}"))
    };
    assert!(cgroup.limit(1 << 62));
    fs::write(cgroup.0.join("cgroup.procs"), &pid).unwrap();
    let own = line(&target);
    assert!(own["total"].is_null() && own["used"].is_u64(), "{own}");
    let shown = target.run(&["free"]).ok();
    assert_eq!(shown.lines().last().unwrap().split_whitespace().nth(1), Some("-"), "{shown}");
    assert!(cgroup.limit(64 << 20));
    let own = line(&target);
    assert_eq!(own["total"], 64 << 20, "{own}");
    assert!(own["used"].as_u64().unwrap() < 64 << 20, "{own}");
    let shown = target.run(&["free", "-h"]).ok();
    assert!(shown.lines().last().unwrap().starts_with("Cgroup:         64Mi "), "{shown}");
    let below = cgroup.0.join("below");
    if fs::create_dir(&below).is_ok() && fs::write(below.join("cgroup.procs"), &pid).is_ok() {
        let below = target.run(&["free", "--json"]);
        if below.text().contains("Cgroup") {
            assert_eq!(line(&target)["total"], 64 << 20);
        }
    }
    target.kill();
    drop(target);
    std::thread::sleep(std::time::Duration::from_millis(50));
}
