//! `cgroup` of version 2, over files of a node's root that are made here.

use std::fs;
use std::path::PathBuf;

use super::facts::{Facts, Gatherer};
use super::page::page;
use super::tree::Tree;
use crate::target::host::Host;

const POD: &str = "/kubepods.slice/kubepods-pod0f1e2d3c_4b5a_6978_8796_a5b4c3d2e1f0.slice";

/// A node's root.
struct Node(PathBuf);

impl Node {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("nsdbg-cgroup-{}-{name}", std::process::id()));
        let node = Self(root);
        node.file(
            "/proc/1/mountinfo",
            "41 31 0:38 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n",
        );
        node
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.0.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn files(&self, cgroup: &str, files: &[(&str, &str)]) {
        for (name, text) in files.iter().chain(&[("cgroup.procs", "7\n")]) {
            self.file(&format!("/sys/fs/cgroup{cgroup}/{name}"), text);
        }
    }

    fn facts(&self, membership: &str) -> Option<Facts> {
        let host = Host::open(&self.0).unwrap();
        let tree = Tree::find(&host, membership.as_bytes()).unwrap();
        Gatherer::new(tree).facts().unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn limits_of_a_pod_bind_its_containers() {
    let node = Node::new("pod");
    let container = format!("{POD}/cri-containerd-{}.scope", "a".repeat(64));
    node.files("", &[]);
    node.files(
        "/kubepods.slice",
        &[("memory.max", "max\n"), ("cpu.max", "max 100000\n"), ("pids.max", "9000\n")],
    );
    node.files(
        POD,
        &[
            ("memory.max", "536870912\n"),
            ("cpu.max", "25000 100000\n"),
            ("pids.max", "max\n"),
            ("memory.high", "max\n"),
        ],
    );
    node.files(
        &container,
        &[
            ("cgroup.controllers", "cpuset cpu io memory pids\n"),
            ("cgroup.events", "populated 1\nfrozen 0\n"),
            ("cpu.max", "100000 100000\n"),
            ("cpu.stat", "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nnr_periods 300\nnr_throttled 12\nthrottled_usec 1500000\n"),
            ("cpu.weight", "10\n"),
            ("cpuset.cpus.effective", "0-1\n"),
            ("memory.current", "104857600\n"),
            ("memory.max", "1073741824\n"),
            ("memory.high", "268435456\n"),
            ("memory.peak", "209715200\n"),
            ("memory.stat", "anon 52428800\nfile 41943040\nkernel 1048576\nsock 4096\nshmem 8192\ninactive_file 31457280\n"),
            ("memory.events", "low 0\nhigh 4\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n"),
            ("memory.swap.current", "0\n"),
            ("memory.swap.max", "0\n"),
            ("pids.current", "3\n"),
            ("pids.max", "100\n"),
            ("pids.peak", "8\n"),
            ("pids.events", "max 1\n"),
            ("io.stat", "8:0 rbytes=10485760 wbytes=2097152 rios=100 wios=20 dbytes=0 dios=0\n"),
            ("cpu.pressure", "some avg10=1.50 avg60=0.25 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
        ],
    );
    node.file("/sys/dev/block/8:0/uevent", "MAJOR=8\nMINOR=0\nDEVNAME=sda\n");
    let facts = node.facts(&format!("0::{container}\n")).unwrap();
    let (cpu, memory) = (facts.cpu.as_ref().unwrap(), facts.memory.as_ref().unwrap());
    assert_eq!((facts.version, facts.path.as_str(), facts.frozen), ("2", container.as_str(), Some(false)));
    assert_eq!((cpu.limit, cpu.limit_set_by.as_deref()), (Some(0.25), Some(POD)));
    assert_eq!((cpu.usage, cpu.throttled, cpu.throttled_share), (Some(2.5), Some(1.5), Some(0.04)));
    assert_eq!((memory.limit, memory.limit_set_by.as_deref()), (Some(512 << 20), Some(POD)));
    assert_eq!((memory.high, memory.high_set_by.as_deref()), (Some(256 << 20), Some(container.as_str())));
    assert_eq!((memory.working_set, memory.oom_kills, memory.swap_limit), (Some(70 << 20), Some(2), Some(0)));
    let pids = facts.pids.as_ref().unwrap();
    assert_eq!((pids.limit, pids.limit_set_by.as_deref()), (Some(100), Some(container.as_str())));
    let shown = page(&facts);
    for line in [
        format!("  limit         0.25 cores (250m), set by the pod {POD}\n"),
        "  throttled     in 12 of 300 periods (4.0%), 1.50s altogether\n".to_owned(),
        "  time          2.50s (2.00s user, 0.50s system)\n".to_owned(),
        "  use           100M, 19.5% of the limit\n".to_owned(),
        "  working set   70M, 13.7% of the limit\n".to_owned(),
        format!("  limit         512M, set by the pod {POD}\n"),
        "  slowed above  256M\n".to_owned(),
        "  oom kills     2\n".to_owned(),
        "  limit reached once\n".to_owned(),
        "  sda           read 10M in 100, written 2.0M in 20\n".to_owned(),
        "  cpu some        1.50   0.25   0.00\n".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line} in:\n{shown}");
    }
}

#[test]
fn files_that_are_missing_broken_or_no_files_are_left_out() {
    let node = Node::new("broken");
    node.files(
        "/x",
        &[
            ("cgroup.events", "frozen 1\n"),
            ("cpu.max", "\u{0}\u{0}"),
            ("cpu.stat", &"nr_periods x\n".repeat(10_000)),
            ("memory.current", "12 34\n"),
            ("pids.current", "5\n"),
            ("pids.max", "-7\n"),
            ("io.stat", "nonsense\n"),
        ],
    );
    let fifo = node.0.join("sys/fs/cgroup/x/memory.stat");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("/etc/shadow", node.0.join("sys/fs/cgroup/x/io.pressure")).unwrap();
    let facts = node.facts("0::/x\n").unwrap();
    assert_eq!(facts.frozen, Some(true));
    assert!(facts.memory.is_none() && facts.pressure.is_none());
    assert_eq!(facts.pids.as_ref().unwrap().limit, None);
    assert!(page(&facts).contains("frozen        yes"));
    // A cgroup that is not there, or whose path leads elsewhere.
    assert!(node.facts("0::/gone\n").is_none());
    assert!(node.facts("0::/x/../../y\n").is_none());
    assert!(node.facts("").is_none());
    let host = Host::open(&node.0).unwrap();
    let fault = Tree::find(&host, b"0::/../../y\n").err().unwrap();
    assert!(fault.to_string().contains("cgroup namespace"), "{fault}");
}

#[test]
fn a_cgroup_that_is_mounted_below_its_root_is_found() {
    let node = Node::new("below");
    node.file("/proc/1/mountinfo", "41 31 0:38 /outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    node.files("", &[("pids.max", "4\n")]);
    node.files("/x", &[("pids.current", "1\n"), ("pids.max", "max\n")]);
    let facts = node.facts("0::/outer/x\n").unwrap();
    let pids = facts.pids.unwrap();
    assert_eq!((pids.limit, pids.limit_set_by.as_deref()), (Some(4), Some("/outer")));
    assert!(node.facts("0::/outerx\n").is_none());
}
