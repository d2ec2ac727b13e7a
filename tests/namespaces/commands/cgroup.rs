//! `cgroup`: over cgroups of version 1 and 2 that the test makes, and over a node's root of the test's own.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::live::run;
use crate::support::{needs_root, new_directory, sandbox, skip};

/// Cgroups of this name in every hierarchy of this machine, and one in each of them.
struct Groups {
    name: String,
    /// Controller, or `unified`, and the directory of the inner one.
    inner: Vec<(String, PathBuf)>,
}

/// Where hierarchies are mounted: for each its controllers, none of version 2.
fn mounts() -> Vec<(Vec<String>, PathBuf)> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = |line: &str| {
        let (head, tail) = line.split_once(" - ")?;
        let (point, mut tail) = (head.split(' ').nth(4)?, tail.split(' '));
        match tail.next()? {
            "cgroup2" => Some((vec!["unified".to_owned()], point.into())),
            "cgroup" => Some((tail.nth(1)?.split(',').map(str::to_owned).collect(), point.into())),
            _ => None,
        }
    };
    text.lines().filter_map(mount).collect()
}

impl Groups {
    fn new() -> Self {
        let name = format!("nsdbg-test-{}", std::process::id());
        let mut inner = Vec::new();
        for (controllers, point) in mounts() {
            let wanted = ["cpu", "cpuacct", "memory", "pids", "freezer", "unified"];
            let path = point.join(&name).join("in");
            if controllers.iter().any(|c| wanted.contains(&c.as_str())) && fs::create_dir_all(&path).is_ok() {
                inner.extend(controllers.into_iter().map(|controller| (controller, path.clone())));
            }
        }
        Self { name, inner }
    }

    fn of(&self, controller: &str) -> Option<&Path> {
        self.inner.iter().find(|(name, _)| name == controller).map(|(_, path)| path.as_path())
    }

    fn take(&self, pid: i32) {
        for (_, path) in &self.inner {
            fs::write(path.join("cgroup.procs"), pid.to_string()).unwrap();
        }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for (_, path) in &self.inner {
            // A cgroup is busy until its last process is gone.
            for path in [path.as_path(), path.parent().unwrap()] {
                crate::live::within(std::time::Duration::from_secs(2), || {
                    fs::remove_dir(path).is_ok() || !path.exists()
                });
            }
        }
    }
}

fn number(path: &Path, name: &str) -> u64 {
    fs::read_to_string(path.join(name)).unwrap().trim().parse().unwrap()
}

#[test]
fn version_one_is_read_and_limits_above_are_found() {
    needs_root!();
    // Made before the target, so that it goes after it.
    let groups = Groups::new();
    let (Some(cpu), Some(memory), Some(pids)) = (groups.of("cpu"), groups.of("memory"), groups.of("pids"))
    else {
        skip!("this machine has no cgroups of version 1 with cpu, memory and pids");
    };
    let target = sandbox().start();
    fs::write(cpu.parent().unwrap().join("cpu.cfs_quota_us"), "25000").unwrap();
    fs::write(memory.parent().unwrap().join("memory.limit_in_bytes"), "64M").unwrap();
    fs::write(memory.join("memory.limit_in_bytes"), "128M").unwrap();
    fs::write(pids.join("pids.max"), "50").unwrap();
    groups.take(target.pid);
    let said = target.run_with(&["--json"], &["cgroup", "--over", "0.05"]).ok();
    let facts: Value = serde_json::from_str(&said).unwrap();
    let above = format!("/{}", groups.name);
    let own = format!("{above}/in");
    assert_eq!(facts["path"], own.as_str(), "{facts}");
    assert_eq!(
        (&facts["cpu"]["limit"], &facts["cpu"]["limit_set_by"]),
        (&0.25.into(), &above.as_str().into())
    );
    assert_eq!(facts["cpu"]["shares"], number(cpu, "cpu.shares"));
    assert!(facts["cpu"]["cores"].is_f64(), "{facts}");
    let of = |name: &str| &facts["memory"][name];
    assert_eq!((of("limit"), of("limit_set_by")), (&(64 << 20).into(), &above.as_str().into()));
    assert_eq!(of("current"), number(memory, "memory.usage_in_bytes"));
    assert_eq!(of("peak"), number(memory, "memory.max_usage_in_bytes"));
    assert_eq!((of("oom_kills"), of("limit_events")), (&0.into(), &number(memory, "memory.failcnt").into()));
    let pid = |name: &str| &facts["pids"][name];
    assert_eq!((pid("current"), pid("limit")), (&number(pids, "pids.current").into(), &50.into()));
    assert_eq!(pid("limit_set_by"), own.as_str());
    let page = target.run(&["cgroup"]).ok();
    for line in [
        format!("limit         0.25 cores (250m), set by the cgroup {above}"),
        format!("limit         64M, set by the cgroup {above}"),
        "limit         50\n".to_owned(),
    ] {
        assert!(page.contains(&line), "{line} in:\n{page}");
    }
    if let Some(freezer) = groups.of("freezer") {
        assert_eq!(facts["frozen"], false);
        fs::write(freezer.join("freezer.state"), "FROZEN").unwrap();
        let page = target.run(&["cgroup", "--over", "0"]).text();
        fs::write(freezer.join("freezer.state"), "THAWED").unwrap();
        assert!(page.contains("frozen        yes"), "{page}");
    }
    if groups.of("unified").is_some() && Path::new("/proc/pressure").exists() {
        assert!(facts["pressure"]["memory"]["some"]["avg10"].is_f64(), "{facts}");
        assert_eq!(facts["version"], "hybrid");
    }
    drop(target);
}

#[test]
fn version_two_is_read_of_the_nodes_root_that_is_named() {
    needs_root!();
    let groups = Groups::new();
    if groups.of("unified").is_none() {
        skip!("this machine has no cgroups of version 2");
    }
    let target = sandbox().start();
    groups.take(target.pid);
    let root = new_directory("host");
    let inner = root.join(format!("sys/fs/cgroup/{}/in", groups.name));
    fs::create_dir_all(&inner).unwrap();
    fs::create_dir_all(root.join("proc/1")).unwrap();
    fs::write(root.join("proc/1/mountinfo"), "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
        .unwrap();
    for (name, text) in [
        ("cgroup.procs", "1\n"),
        ("cgroup.controllers", "cpu memory pids\n"),
        ("memory.current", "1048576\n"),
        ("memory.max", "max\n"),
        ("memory.stat", "anon 4096\n\u{1b}[2J 7\ninactive_file 48576\n"),
        ("memory.pressure", "some avg10=2.50 avg60=0.00 avg300=0.00 total=9\n"),
        ("cpu.max", "150000 100000\n"),
        ("pids.current", "1\n"),
        ("pids.max", "max\n"),
    ] {
        fs::write(inner.join(name), text).unwrap();
    }
    fs::write(inner.parent().unwrap().join("cgroup.procs"), "").unwrap();
    fs::write(inner.parent().unwrap().join("memory.max"), "2097152\n").unwrap();
    let mut nsdbg = target.nsdbg();
    nsdbg.arg("--host-root").arg(&root);
    let facts: Value = serde_json::from_str(&run(nsdbg.args(["--json", "--", "cgroup"])).ok()).unwrap();
    let mut nsdbg = target.nsdbg();
    let page = run(nsdbg.arg("--host-root").arg(&root).args(["--", "cgroup", "--over", "0"])).ok();
    fs::remove_dir_all(&root).unwrap();
    assert_eq!((&facts["version"], &facts["memory"]["limit"]), (&"2".into(), &2_097_152.into()), "{facts}");
    assert_eq!(facts["memory"]["limit_set_by"], format!("/{}", groups.name));
    assert_eq!((&facts["memory"]["working_set"], &facts["cpu"]["limit"]), (&1_000_000.into(), &1.5.into()));
    assert_eq!(facts["pressure"]["memory"]["some"]["avg10"], 2.5);
    assert!(page.contains("limit         1.5 cores (1500m)\n"), "{page}");
    drop(target);
}

#[test]
fn what_can_not_be_shown_is_said() {
    needs_root!();
    let target = sandbox().start();
    target.run(&["cgroup", "--over", "x"]).fails(2, "it is a number of seconds");
    target.run(&["cgroup", "--over", "100"]).fails(2, "from 0 to 60");
    target.run(&["cgroup", "/x"]).fails(2, "'/x'");
    let root = new_directory("host");
    let mut nsdbg = target.nsdbg();
    run(nsdbg.arg("--host-root").arg(&root).args(["--", "cgroup"]))
        .fails(1, "cgroup: read /proc/1/mountinfo: no such file or directory");
    fs::create_dir_all(root.join("proc/1")).unwrap();
    fs::write(root.join("proc/1/mountinfo"), "").unwrap();
    let mut nsdbg = target.nsdbg();
    run(nsdbg.arg("--host-root").arg(&root).args(["--", "cgroup"]))
        .fails(1, "the node's cgroup file systems do not show the target's cgroup");
    fs::remove_dir_all(&root).unwrap();
}
