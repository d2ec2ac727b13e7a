//! What the container may do to the node. All but three checks have notes alone: what they find may be meant.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use nix::mount::MsFlags;

use super::inside::{bind, first, mount_tmpfs, plain, remount, seen, started};
use super::{Report, doctor};
use crate::support::{Builder, Sandbox, needs_root, new_directory};

/// What nsdbg itself may have, nobody here has more.
fn everything() -> u64 {
    let status = fs::read_to_string("/proc/1/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap()
}

/// CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN.
const RISKY: u64 = 1 << 12 | 1 << 13 | 1 << 21;

fn family(builder: Builder) -> Sandbox {
    started(builder, &["family"])
}

/// Asserts that nothing is above a note but what these checks say, and returns the report.
fn only_notes_but(target: &Sandbox, checks: &[&str]) -> Report {
    let report = doctor(target, &["security"]);
    for row in &report.rows {
        let check = row["check"].as_str().unwrap();
        assert!(
            ["note", "ok"].contains(&row["status"].as_str().unwrap()) || checks.contains(&check),
            "{row:#}"
        );
    }
    assert_eq!(report.status, i32::from(!checks.is_empty()));
    report
}

// Seen to fail without the look at its user namespace.
#[test]
fn root_user() {
    needs_root!();
    let target = family(plain().user(0, 0));
    only_notes_but(&target, &[]).says("root-user", "note", &first(&target));
    let target = family(plain());
    let report = only_notes_but(&target, &[]);
    assert_eq!(report.says("root-user", "ok", "")["detail"], "it runs as uid 65532");
    // Root of a user namespace is nobody on the node.
    let target = family(plain().mapped().user(0, 0));
    let report = only_notes_but(&target, &[]);
    let row = report.says("root-user", "ok", &first(&target));
    assert!(row["detail"].as_str().unwrap().contains("nobody on the node"), "{row}");
}

// Seen to fail with the bounding set in the place of the permitted one.
#[test]
fn capabilities() {
    needs_root!();
    for builder in [plain(), plain().mapped()] {
        let target = family(builder.user(0, 0).caps(RISKY | 1 << 10));
        let report = only_notes_but(&target, &[]);
        let mut names: Vec<_> =
            report.of("capabilities").iter().map(|row| row["subject"].as_str().unwrap().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_ADMIN"]);
    }
    let target = family(plain().set("bounding", format!("{RISKY:x}")));
    only_notes_but(&target, &[]).says("capabilities", "ok", "");
}

// Seen to fail without the look at the user namespace.
#[test]
fn privileged() {
    needs_root!();
    let all = format!("{:x}", everything());
    let target = family(plain().user(0, 0).caps(everything()));
    let report = only_notes_but(&target, &["privileged"]);
    let row = report.says("privileged", "warn", "");
    assert!(row["evidence"][0].as_str().unwrap().contains("no seccomp filter"), "{row}");
    // Also where its program holds nothing of it.
    let target = family(plain().set("bounding", &all));
    only_notes_but(&target, &["privileged"]).says("privileged", "warn", "");
    let target = family(plain().mapped().user(0, 0).caps(everything()));
    only_notes_but(&target, &[]).says("privileged", "note", "");
    let target = family(plain().user(0, 0).caps(everything() & !(1 << 21)));
    only_notes_but(&target, &[]).says("privileged", "ok", "");
}

// Seen to fail with every namespace taken for a shared one.
#[test]
fn host_namespaces() {
    needs_root!();
    for (kinds, subject) in [
        ("mnt,pid,ipc,uts,cgroup", "net"),
        ("mnt,net,ipc,uts,cgroup", "pid"),
        ("mnt,pid,net,uts,cgroup", "ipc"),
    ] {
        let target = family(plain().set("ns", kinds));
        let report = only_notes_but(&target, &["host-namespaces"]);
        report.says("host-namespaces", "warn", subject);
        assert_eq!(report.of("host-namespaces").len(), 1);
        // Whose processes and sockets they are can't be told apart.
        if subject == "pid" {
            doctor(&target, &["process"]).says("pid1-signals", "skip", "");
        }
    }
    let target = family(plain());
    only_notes_but(&target, &[]).says("host-namespaces", "ok", "");
}

// Seen to fail with a socket known by the name alone that it has in the container.
#[test]
fn host_mounts() {
    needs_root!();
    let node = new_directory("node");
    let _socket = UnixListener::bind(node.join("docker.sock")).unwrap();
    fs::create_dir(node.join("containerd")).unwrap();
    let _other = UnixListener::bind(node.join("containerd/containerd.sock")).unwrap();
    fs::create_dir(node.join("data")).unwrap();
    let target = family(plain());
    only_notes_but(&target, &[]).says("host-mounts", "ok", "");

    // By itself, under its own name and another one.
    for at in ["/run/docker.sock", "/tmp/other"] {
        let target = family(plain());
        bind(&target, &node.join("docker.sock"), at);
        let report = only_notes_but(&target, &["host-mounts"]);
        let row = report.says("host-mounts", "warn", at);
        assert!(row["detail"].as_str().unwrap().contains("root of the node"), "{row}");
        assert_eq!(report.of("host-mounts").len(), 1);
    }
    // In a directory that is mounted.
    let target = family(plain());
    bind(&target, &node, "/run");
    only_notes_but(&target, &["host-mounts"]).says("host-mounts", "warn", "/run/docker.sock");
    let target = family(plain());
    bind(&target, &node.join("containerd"), "/sockets");
    only_notes_but(&target, &["host-mounts"]).says("host-mounts", "warn", "/sockets/containerd.sock");
    // What only has the name is none, and neither is the container's own file system.
    let target = family(plain());
    mount_tmpfs(&target, "/run", MsFlags::empty(), "");
    fs::write(seen(&target, "/run/docker.sock"), "").unwrap();
    only_notes_but(&target, &[]).says("host-mounts", "ok", "");

    // Another directory of the node, where that is on a disk.
    let target = family(plain());
    bind(&target, &node.join("data"), "/data");
    let report = only_notes_but(&target, &[]);
    if report.of("host-mounts")[0]["status"] == "note" {
        let row = report.says("host-mounts", "note", "/data");
        assert!(row["detail"].as_str().unwrap().ends_with("to be read and written"), "{row}");
        remount(&target, "/data", MsFlags::MS_RDONLY);
        let report = only_notes_but(&target, &[]);
        let row = report.says("host-mounts", "note", "/data");
        assert!(row["detail"].as_str().unwrap().ends_with("to be read"), "{row}");
    } else {
        crate::support::count_skip("temporary files are on no disk");
    }
    fs::remove_dir_all(node).unwrap();
}

// Seen to fail with files of other file systems.
#[test]
fn setuid_files() {
    needs_root!();
    let target = family(plain());
    only_notes_but(&target, &[]).says("setuid-files", "ok", "");
    let set = |path: &str, mode: u32| {
        fs::write(target.root.join(path), "").unwrap();
        fs::set_permissions(target.root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    set("app/su", 0o4755);
    set("app/group", 0o2755);
    // A lock, nothing that can be started, and a directory whose files get its group.
    set("app/lock", 0o2644);
    set("app/not", 0o4644);
    fs::set_permissions(target.root.join("tmp"), fs::Permissions::from_mode(0o3777)).unwrap();
    mount_tmpfs(&target, "/data", MsFlags::empty(), "");
    let other = seen(&target, "/data/su");
    fs::write(&other, "").unwrap();
    fs::set_permissions(other, fs::Permissions::from_mode(0o4755)).unwrap();
    let report = only_notes_but(&target, &[]);
    assert_eq!(
        report.says("setuid-files", "note", "/app/su")["detail"],
        "it runs as uid 0, whoever starts it"
    );
    assert_eq!(report.says("setuid-files", "note", "/app/group")["evidence"][0], "-rwxr-sr-x");
    assert_eq!(report.of("setuid-files").len(), 2, "{:#?}", report.of("setuid-files"));
}
