//! What is used up.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::mount::MsFlags;

use super::doctor;
use super::inside::{first, mount_again, mount_tmpfs, plain, remount, seen, started};
use crate::limits::Cgroup;
use crate::live::within;
use crate::prompt::Prompt;
use crate::support::{LIMIT, Sandbox, needs_root, patient, skip};

fn number(cgroup: &Cgroup, old: &str, unified: &str) -> u64 {
    let name = if cgroup.is_unified { unified } else { old };
    fs::read_to_string(cgroup.path.join(name)).unwrap().trim().parse().unwrap()
}

fn limit_memory(cgroup: &Cgroup, bytes: u64) {
    let bytes = bytes.to_string();
    assert!(cgroup.set(("memory.limit_in_bytes", &bytes), ("memory.max", &bytes)), "{bytes}");
}

// Seen to fail with pages of files, which the kernel takes back, counted as used.
#[test]
fn memory_limit() {
    needs_root!();
    let Some(cgroup) = Cgroup::new("memory") else { skip!("no cgroup with a limit on memory can be made") };
    let mut target = started(plain(), &["broken", "hold", "40"]);
    cgroup.take(&target);
    let report = doctor(&target, &["memory-limit"]);
    report.says("memory-limit", "note", "");
    assert_eq!(report.status, 0);
    limit_memory(&cgroup, 400 << 20);
    target.say("");
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("ready"));
    // Pages of a file, written in that cgroup: they can be given back.
    let cached = target.root.join("tmp/cached");
    let tasks = cgroup.path.join("cgroup.procs");
    let write = format!("echo $$ > {} && head -c 60M /dev/zero > {}", tasks.display(), cached.display());
    assert!(std::process::Command::new("sh").args(["-c", &write]).status().unwrap().success());
    doctor(&target, &["memory-limit"]).says("memory-limit", "ok", "");
    let used = || number(&cgroup, "memory.usage_in_bytes", "memory.current");
    limit_memory(&cgroup, used() * 100 / 95);
    let report = doctor(&target, &["memory-limit"]);
    let row = report.says("memory-limit", "ok", "");
    assert!(row["evidence"][0].as_str().unwrap().starts_with("working set "), "{row}");
    fs::remove_file(cached).unwrap();
    assert!(within(LIMIT, || used() < 50 << 20), "{}", used());
    for (percent, status) in [(94, "warn"), (99, "fail")] {
        limit_memory(&cgroup, used() * 100 / percent);
        let report = doctor(&target, &[]);
        report.says("memory-limit", status, "");
        report.nothing_else_is_broken(&["memory-limit"]);
    }
    drop(target);
}

// Seen to fail with a count that is taken for none.
#[test]
fn oom_kills() {
    needs_root!();
    let Some(cgroup) = Cgroup::new("memory") else { skip!("no cgroup with a limit on memory can be made") };
    let mut target = plain().mode(&["hog"]).start();
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("ready"));
    limit_memory(&cgroup, 16 << 20);
    cgroup.set(("memory.swappiness", "0"), ("memory.swap.max", "0"));
    cgroup.take(&target);
    doctor(&target, &["oom-kills"]).says("oom-kills", "ok", "");
    target.say("");
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("out of memory"));
    let report = doctor(&target, &[]);
    let row = report.says("oom-kills", "warn", "");
    assert!(row["detail"].as_str().unwrap().contains("killed since the container was started"), "{row}");
    report.nothing_else_is_broken(&["memory-limit"]);
    drop(target);
}

// Seen to fail with more periods wanted before a share counts.
#[test]
fn cpu_throttling() {
    needs_root!();
    let Some(cgroup) = Cgroup::new("cpu") else { skip!("no cgroup with a limit on processors can be made") };
    // A hundredth of a second.
    let limit = |percent: u32| {
        let quota = (percent * 100).to_string();
        cgroup.set(("cpu.cfs_period_us", "10000"), ("cpu.max", &format!("{quota} 10000")))
            && (cgroup.is_unified || cgroup.set(("cpu.cfs_quota_us", &quota), ("", "")))
    };
    assert!(limit(80));
    let target = started(plain(), &["family", "threads=1"]);
    cgroup.take(&target);
    doctor(&target, &["cpu-throttling"]).says("cpu-throttling", "ok", "");
    drop(target);
    let target = started(plain(), &["broken", "spin"]);
    doctor(&target, &["cpu-throttling"]).of("cpu-throttling");
    assert!(limit(10));
    cgroup.take(&target);
    let periods = || {
        let text = fs::read_to_string(cgroup.path.join("cpu.stat")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("nr_throttled ")).unwrap().to_owned();
        line.parse::<u64>().unwrap()
    };
    assert!(within(LIMIT, || periods() > 60), "{}", periods());
    let report = doctor(&target, &[]);
    let row = report.says("cpu-throttling", "warn", "");
    assert!(row["evidence"][0].as_str().unwrap().starts_with("limit 0.1 cores; throttled in "), "{row}");
    report.nothing_else_is_broken(&[]);
    drop(target);
}

// Seen to fail without the forks that were refused.
#[test]
fn pids_limit() {
    needs_root!();
    let Some(cgroup) = Cgroup::new("pids") else { skip!("no cgroup with a limit on processes can be made") };
    let mut target = started(plain(), &["broken", "fork"]);
    cgroup.take(&target);
    let limit = |count: &str| assert!(cgroup.set(("pids.max", count), ("pids.max", count)));
    let mut fork = |wanted: &str| {
        target.say("");
        assert_eq!(target.next_line(LIMIT).as_deref(), Some(wanted));
    };
    for _ in 0..8 {
        fork("forked");
    }
    let of = |words: &[&str]| doctor(&target, words);
    of(&["pids-limit"]).says("pids-limit", "ok", "");
    for (count, status) in [("100", "ok"), ("10", "warn"), ("9", "fail")] {
        limit(count);
        let report = of(&[]);
        let row = report.says("pids-limit", status, "");
        assert!(row["evidence"][0].as_str().unwrap().starts_with(&format!("9 of {count} (")), "{row}");
        report.nothing_else_is_broken(&["pids-limit"]);
    }
    target.say("");
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("refused"));
    limit("100");
    let report = doctor(&target, &["pids-limit"]);
    let row = report.says("pids-limit", "warn", "");
    assert!(row["evidence"][0].as_str().unwrap().contains("were refused: 1"), "{row}");
    drop(target);
}

/// Fills a file system with a file of so many pages.
fn fill(target: &Sandbox, at: &str, pages: usize) {
    fs::write(seen(target, at).join("full"), vec![1; pages * 4096]).unwrap();
}

// Seen to fail with mounts looked at that are read-only.
#[test]
fn disk_space() {
    needs_root!();
    for (pages, status) in [(256, "fail"), (247, "warn"), (236, "note"), (128, "")] {
        let target = started(plain(), &["family"]);
        mount_tmpfs(&target, "/data", MsFlags::empty(), "size=1M");
        fill(&target, "/data", pages);
        let report = doctor(&target, &[]);
        if status.is_empty() {
            assert!(report.of("disk-space").iter().all(|row| row["subject"] != "/data"));
        } else {
            report.says("disk-space", status, "/data");
        }
        report.nothing_else_is_broken(&["disk-space"]);
    }
    // What can't be written to can't be too full, nor is one told twice.
    let target = started(plain(), &["family"]);
    mount_tmpfs(&target, "/data", MsFlags::empty(), "size=1M");
    fill(&target, "/data", 256);
    mount_again(&target, "/data", "/again");
    let report = doctor(&target, &["disk-space"]);
    assert_eq!(report.of("disk-space").iter().filter(|row| row["status"] == "fail").count(), 1);
    let target = started(plain(), &["family"]);
    mount_tmpfs(&target, "/data", MsFlags::empty(), "size=1M");
    fill(&target, "/data", 256);
    remount(&target, "/data", MsFlags::MS_RDONLY);
    assert!(doctor(&target, &["disk-space"]).of("disk-space").iter().all(|row| row["status"] != "fail"));
}

// Seen to fail with free inodes taken for used ones.
#[test]
fn inodes() {
    needs_root!();
    // The root of the file system has one.
    for (files, status) in [(99, "fail"), (95, "warn"), (50, "")] {
        let target = started(plain(), &["family"]);
        mount_tmpfs(&target, "/data", MsFlags::empty(), "nr_inodes=100");
        for file in 0..files {
            fs::File::create(seen(&target, "/data").join(file.to_string())).unwrap();
        }
        let report = doctor(&target, &[]);
        if status.is_empty() {
            assert!(report.of("inodes").iter().all(|row| row["subject"] != "/data"));
        } else {
            report.says("inodes", status, "/data");
        }
        report.nothing_else_is_broken(&["inodes"]);
    }
}

// Seen to fail with a warning from a GiB on.
#[test]
fn deleted_open_files() {
    needs_root!();
    for (mib, status) in [(300, "warn"), (20, "note"), (4, "ok")] {
        let size = (mib << 20).to_string();
        let target = started(plain(), &["broken", "deleted", &size]);
        let report = doctor(&target, &["resources"]);
        let subject = if status == "ok" { String::new() } else { first(&target) };
        let row = report.says("deleted-open-files", status, &subject);
        if status != "ok" {
            // With blocks of the file system's own.
            let seen = row["evidence"][0].as_str().unwrap();
            assert!(seen.starts_with(&mib.to_string()[..1]) && seen.ends_with("M /tmp/log"), "{row}");
        }
        report.nothing_else_is_broken(&[]);
    }
    // One that is mapped alone is found, too; memory without a name is none.
    let target = started(plain(), &["broken", "deleted-mapped", &(300 << 20).to_string()]);
    let report = doctor(&target, &["resources"]);
    let row = report.says("deleted-open-files", "warn", &first(&target));
    assert_eq!(row["evidence"], serde_json::json!(["300M /tmp/map, mapped"]));
    report.nothing_else_is_broken(&[]);
    let ran = target.run(&["lsof", "+L1"]);
    let lines: Vec<String> = ran.text().lines().skip(1).map(str::to_owned).collect();
    assert!(lines.len() == 1 && lines[0].ends_with("/tmp/map (deleted)"), "{ran:?}");
    // A memfd and a hole hold nothing.
    let target = started(plain(), &["files"]);
    doctor(&target, &["deleted-open-files"]).says("deleted-open-files", "ok", "");
}

// Seen to fail with any refusal taken for that of a read-only file system.
#[test]
fn read_only_paths() {
    needs_root!();
    let target = started(plain().owned("app", 65532).set("readonly", "1"), &["family"]);
    let report = doctor(&target, &[]);
    report.says("read-only-paths", "warn", "/tmp");
    report.says("read-only-paths", "note", "/app");
    // Its working directory is not its own: to that the mount makes no difference.
    assert_eq!(report.of("read-only-paths").len(), 2);
    report.nothing_else_is_broken(&[]);
    // As it is meant.
    mount_tmpfs(&target, "/tmp", MsFlags::empty(), "mode=1777");
    let report = doctor(&target, &["read-only-paths"]);
    report.says("read-only-paths", "note", "/app");
    assert_eq!((report.rows.len(), report.status), (1, 0), "{:?}", report.rows);
    let target = started(plain(), &["family"]);
    doctor(&target, &["read-only-paths"]).says("read-only-paths", "ok", "");
}

// Seen to fail with a full one told twice, by disk-space too.
#[test]
fn shm_size() {
    needs_root!();
    let target = started(plain(), &["family"]);
    doctor(&target, &["shm-size"]).says("shm-size", "note", "/dev/shm");
    for (pages, status) in [(256, "fail"), (240, "warn"), (16, "ok")] {
        let target = started(plain(), &["family"]);
        mount_tmpfs(&target, "/dev/shm", MsFlags::empty(), "size=1M");
        fill(&target, "/dev/shm", pages);
        let report = doctor(&target, &["resources"]);
        report.says("shm-size", status, "/dev/shm");
        report.nothing_else_is_broken(&["shm-size"]);
        assert!(report.of("disk-space").iter().all(|row| row["subject"] != "/dev/shm"));
    }
}

// Seen to fail without the time limit of `space_within`, and with a prompt's look that waits for every process of its.
#[test]
fn a_mount_that_never_answers_holds_one_check_alone() {
    needs_root!();
    if !Path::new("/dev/fuse").exists() {
        skip!("no FUSE can be mounted here");
    }
    let target = started(plain().set("fuse", "silent"), &["family"]);
    let begun = Instant::now();
    let report = doctor(&target, &[]);
    assert!(begun.elapsed() < patient(Duration::from_secs(4)), "{:?}", begun.elapsed());
    report.says("disk-space", "warn", "/mnt");
    report.says("hosts-file", "ok", "");
    report.says("pid1-signals", "warn", "");
    report.nothing_else_is_broken(&[]);
    let skipped: Vec<_> = report.rows.iter().filter(|row| row["status"] == "skip").collect();
    assert!(skipped.iter().any(|row| row["check"] == "setuid-files"), "{skipped:#?}");
    // At the prompt, with something typed meanwhile.
    let begun = Instant::now();
    let mut prompt = Prompt::with_doctor(target.nsdbg());
    prompt.sees("web:/$ ");
    prompt.type_in(b"echo st'i'll here");
    prompt.sees("doctor shows them\r\n");
    assert!(begun.elapsed() < patient(Duration::from_secs(4)), "{:?}", begun.elapsed());
    prompt.type_in(b"\r");
    prompt.sees("\nstill here\r\n");
}

// Seen to fail where what statfs(2) says of a mount was left out.
#[test]
fn a_mount_whose_server_is_gone_is_broken() {
    needs_root!();
    if !Path::new("/dev/fuse").exists() {
        skip!("no FUSE can be mounted here");
    }
    let report = doctor(&started(plain().set("fuse", "dead"), &["family"]), &["resources"]);
    let row = report.says("disk-space", "fail", "/mnt");
    assert_eq!(row["evidence"][0], "statfs /mnt: transport endpoint is not connected (fuse)");
    report.nothing_else_is_broken(&["disk-space"]);
}
