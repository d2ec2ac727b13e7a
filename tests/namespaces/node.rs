//! A node of its own, with the unified cgroup hierarchy and a kernel before 6.17: the machine that scripts/vm-test
//! starts.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

use crate::live::{Ran, run};
use crate::support::{NSDBG, Sandbox, sandbox};

fn nsdbg(args: &[&str]) -> Ran {
    run(Command::new(NSDBG).args(args))
}

#[test]
#[ignore = "scripts/vm-test runs it"]
fn the_nodes_first_process_is_a_target() {
    for args in [["--pid", "1", "--"], ["--strict", "pid:1", "--"]] {
        let ran = nsdbg(&[&args[..], &["cat", "/proc/self/status"]].concat());
        assert!(ran.status == 0 && ran.text().contains("\nUid:\t0\t0\t0\t0\n"), "{ran:?}");
        assert!(ran.err.contains("shares the node's PID namespace"), "{ran:?}");
    }
    let ran = nsdbg(&["--pid", "1", "--", "ps", "-eo", "pid,comm"]);
    let text = ran.text();
    let shows = |name: &str| text.lines().any(|line| line.trim_start() == name);
    assert!(ran.status == 0 && shows("1 init") && shows("2 kthreadd"), "{ran:?}");
    nsdbg(&["--pid", "2", "--", "true"]).fails(125, "kernel thread");
}

/// A cgroup of version 2, with a container in it.
struct Cgroup(PathBuf);

impl Cgroup {
    fn with(path: &str, target: &Sandbox) -> Self {
        let cgroup = Self(Path::new("/sys/fs/cgroup").join(path));
        fs::create_dir_all(&cgroup.0).unwrap();
        fs::write(cgroup.0.join("cgroup.procs"), target.pid.to_string()).unwrap();
        let own = fs::read_to_string(format!("/proc/{}/cgroup", target.pid)).unwrap();
        assert_eq!(own, format!("0::/{path}\n"), "the hierarchy is not as wanted");
        cgroup
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::write("/sys/fs/cgroup/cgroup.procs", std::process::id().to_string());
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
#[ignore = "scripts/vm-test runs it"]
fn a_container_is_known_by_its_cgroup_of_version_2() {
    let id = |digit: &str| format!("abcd{}", digit.repeat(60));
    let pod = "1f1f1f1f-2222-3333-4444-555555555555";
    for (path, id, runtime, of_pod) in [
        (format!("system.slice/docker-{}.scope", id("1")), id("1"), "docker", None),
        (format!("docker/{}", id("2")), id("2"), "docker", None),
        (format!("machine.slice/libpod-{}.scope/container", id("3")), id("3"), "podman", None),
        (
            format!(
                "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{}.scope",
                pod.replace('-', "_"),
                id("4")
            ),
            id("4"),
            "containerd",
            Some(pod),
        ),
        (format!("kubepods.slice/pod{pod}/crio-{}.scope", id("5")), id("5"), "cri-o", Some(pod)),
    ] {
        let target = sandbox().file("app/mine", "").start();
        let _cgroup = Cgroup::with(&path, &target);
        let list = nsdbg(&["--list", "--json"]);
        let rows: Vec<Value> = list.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let row =
            rows.iter().find(|row| row["pid"] == target.pid).unwrap_or_else(|| panic!("{path}: {list:?}"));
        assert_eq!((&row["id"], &row["runtime"]), (&id.as_str().into(), &runtime.into()), "{row}");
        if let Some(pod) = of_pod {
            assert!(row.to_string().contains(pod), "{row}");
        }
        let who = nsdbg(&["--json", "--who", &target.pid.to_string()]);
        let row: Value = serde_json::from_str(&who.text()).unwrap();
        assert!(row.to_string().contains(&id) && row["runtime"] == runtime, "{row}");
        assert_eq!(nsdbg(&[&id[..12], "--", "ls", "/app"]).ok(), "mine\n");
    }
}

#[test]
#[ignore = "scripts/vm-test runs it"]
fn the_nodes_root_is_found_from_a_container_with_its_pid_namespace() {
    let target = sandbox().file("app/mine", "").start();
    let id = format!("dddd{:060x}", target.pid);
    let folder = Path::new("/var/lib/docker/containers").join(&id);
    fs::create_dir_all(&folder).unwrap();
    let state = serde_json::json!({
        "ID": id, "Name": "/nsdbg-test-found", "Config": {"Image": "nsdbg-test-image:1", "Labels": {}},
        "State": {"Running": true, "Pid": target.pid},
    });
    fs::write(folder.join("config.v2.json"), state.to_string()).unwrap();
    let mut command = Command::new(NSDBG);
    // SAFETY: system calls alone between fork and exec.
    unsafe {
        command.pre_exec(|| {
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
            // The container's own files have no runtime's state.
            mount(Some("nsdbg-test"), "/var", Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
            Ok(())
        });
    }
    let ran = run(command.args(["nsdbg-test-found", "--", "ls", "/app"]));
    assert_eq!(ran.ok(), "mine\n");
    fs::remove_dir_all("/var/lib/docker").unwrap();
}

#[test]
#[ignore = "scripts/vm-test runs it"]
fn ps_is_right_where_the_kernel_is_told_no_pid_namespace() {
    // FSCONFIG_SET_FD of a procfs' `pidns`, which came with Linux 6.17.
    // SAFETY: the strings end in zeros; descriptors are open.
    let refused = unsafe {
        let context = libc::syscall(libc::SYS_fsopen, c"proc".as_ptr(), 1);
        let namespace = libc::open(c"/proc/self/ns/pid".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        assert!(context >= 0 && namespace >= 0);
        let done = libc::syscall(libc::SYS_fsconfig, context, 5, c"pidns".as_ptr(), 0_usize, namespace);
        (done, std::io::Error::last_os_error().raw_os_error())
    };
    assert_eq!(refused, (-1, Some(libc::EINVAL)), "the kernel is not as wanted");
    for base in [sandbox, || sandbox().mapped(), || sandbox().user(0, 0).caps(0x1ff_ffff_ffff)] {
        for proc in ["yes", "hidepid", "masked", "overmounted"] {
            let target = base().set("proc", proc).start();
            let text = target.run(&["ps", "-eo", "pid,args"]).ok();
            let lines: Vec<&str> = text.lines().skip(1).map(str::trim_start).collect();
            assert!(lines.len() == 1 && lines[0].starts_with("1 /"), "{proc}: {text}");
            assert!(lines[0].ends_with(" -- sleep"), "{proc}: {text}");
        }
    }
}
