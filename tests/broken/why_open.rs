//! `why` against open(2) itself, by a process that becomes the target's user in the target's root.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;

use nix::mount::MsFlags;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::Value;

use super::inside::{bind, bind_mapped, mount_tmpfs, plain, seen, started};
use crate::support::{Sandbox, needs_root};

/// CAP_DAC_OVERRIDE, CAP_SYS_PTRACE.
const OVERRIDE: u64 = 1 << 1;
const PTRACE: u64 = 1 << 19;

/// What open(2) says to this user in the target's root: 0 or an errno. To write is O_WRONLY and O_CREAT.
fn open_as(target: &Sandbox, uid: u32, caps: u64, path: &str, what: &str) -> i32 {
    let of = |name: &str| File::open(format!("/proc/{}/{name}", target.pid)).unwrap();
    let (root, users) = (of("root"), of("ns/user"));
    let own = fs::read_link("/proc/self/ns/user").unwrap();
    let is_mapped = fs::read_link(format!("/proc/{}/ns/user", target.pid)).unwrap() != own;
    let path = CString::new(path).unwrap();
    let how = if what == "read" { libc::O_RDONLY } else { libc::O_WRONLY | libc::O_CREAT };
    let half = |at: u32| [(caps >> at) as u32, (caps >> at) as u32, 0];
    let (header, data) = ([0x2008_0522_u32, 0], [half(0), half(32)]);
    const FAILED: i32 = 250;
    // SAFETY: system calls alone in the child; every pointer is to what lives through the call.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: as above.
        unsafe {
            let is_so = libc::fchdir(root.as_raw_fd()) == 0
                && libc::chroot(c".".as_ptr()) == 0
                && (!is_mapped || libc::setns(users.as_raw_fd(), libc::CLONE_NEWUSER) == 0)
                && libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
                && libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>()) == 0
                && libc::syscall(libc::SYS_setresgid, uid, uid, uid) == 0
                && libc::syscall(libc::SYS_setresuid, uid, uid, uid) == 0
                && libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) == 0;
            if !is_so {
                libc::_exit(FAILED);
            }
            let opened = libc::open(path.as_ptr(), how | libc::O_NONBLOCK | libc::O_NOCTTY, 0o600);
            libc::_exit(if opened < 0 { *libc::__errno_location() } else { 0 })
        }
    }
    let mut status = 0;
    // SAFETY: the child's own status.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) != FAILED,
        "{path:?}: could not become {uid}"
    );
    libc::WEXITSTATUS(status)
}

/// What `why` says last, for each.
fn last_rows(target: &Sandbox, questions: &[(&str, &str)]) -> Vec<Value> {
    let lines: String =
        questions.iter().map(|(path, what)| format!("why '{path}' {what} --json\necho end\n")).collect();
    let ran = crate::live::run_with_input(&mut target.nsdbg(), lines.as_bytes());
    assert_eq!(ran.err, "");
    let text = ran.text();
    let answers = text.split("end\n").take(questions.len());
    answers.map(|text| serde_json::from_str(text.lines().last().unwrap()).unwrap()).collect()
}

/// Asks both of each, and that the cause is told. Where the kernel is asked of another path, that stands behind `=`.
fn agree(target: &Sandbox, uid: u32, caps: u64, questions: &[(&str, &str, &str)]) {
    let asked: Vec<(&str, &str)> =
        questions.iter().map(|(path, what, _)| (path.split('=').next().unwrap(), *what)).collect();
    for ((path, what, words), row) in questions.iter().zip(last_rows(target, &asked)) {
        let errno = open_as(target, uid, caps, path.split('=').next_back().unwrap(), what);
        // Nobody reads from a FIFO: it may be opened.
        let is_allowed = errno == 0 || (errno == libc::ENXIO && row["type"] == "fifo");
        assert_eq!(row["allowed"] == true, is_allowed, "{path} {what}: errno {errno}: {row:#}");
        let by = row["by"].as_str().unwrap();
        assert!(by.contains(words), "{path} {what}: {words}: errno {errno}: {row:#}");
    }
}

fn file(at: &std::path::Path, mode: u32, uid: u32) {
    fs::write(at, "x").unwrap();
    chown(at, Some(uid), Some(uid)).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(mode)).unwrap();
}

// Seen to fail where modes, ACLs and mounts alone were asked, and where /proc/self was that of nsdbg.
#[test]
fn why_is_of_one_mind_with_open() {
    needs_root!();
    let target = plain().mode(&["exec", "/server", "sleep"]).start();
    let at = |path: &str| target.root.join(path);
    for (link, to) in [("stdout", "/proc/self/fd/1"), ("fd", "/proc/self/fd"), ("own", "/proc/self/exe")] {
        symlink(to, at("dev").join(link)).unwrap();
    }
    file(&at("app/plain"), 0o666, 0);
    file(&at("app/appended"), 0o666, 0);
    file(&at("app/fixed"), 0o666, 0);
    symlink("plain/", at("app/to-slash")).unwrap();
    fs::set_permissions(at("server"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::create_dir(at("kept")).unwrap();
    fs::set_permissions(at("kept"), fs::Permissions::from_mode(0o777)).unwrap();
    let gone = at("gone");
    fs::create_dir(&gone).unwrap();
    fs::set_permissions(&gone, fs::Permissions::from_mode(0o777)).unwrap();
    bind(&target, &gone, "/bound");
    fs::remove_dir(&gone).unwrap();
    mount_tmpfs(&target, "/still", MsFlags::MS_NODEV, "mode=755");
    let device = seen(&target, "/still/null");
    mknod(&device, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3)).unwrap();
    fs::set_permissions(&device, fs::Permissions::from_mode(0o666)).unwrap();
    agree(
        &target,
        65532,
        0,
        &[
            ("/dev/stdout=/proc/1/fd/1", "write", "mode 0600, as neither its owner nor of its group"),
            ("/dev/fd/0=/proc/1/fd/0", "read", "mode 0600"),
            ("/dev/own=/proc/1/exe", "read", ""),
            ("/proc/self/status=/proc/1/status", "read", ""),
            ("/proc/thread-self/environ=/proc/1/task/1/environ", "read", ""),
            ("/proc/self/cwd/etc/passwd=/proc/1/cwd/etc/passwd", "read", ""),
            ("/proc/self/root/etc/none=/proc/1/root/etc/none", "read", "it is not there"),
            ("/proc/self/fd/77=/proc/1/fd/77", "read", "it is not there"),
            ("/etc/passwd/", "read", "the path ends in /"),
            ("/etc/", "read", "mode 0755"),
            ("/app/to-slash", "read", "the path ends in /"),
            ("/tmp/new/", "write", "only mkdir(2) makes"),
            ("/tmp/new", "write", ""),
            ("/server", "write", "text file busy: process 1 runs it"),
            ("/server", "read", ""),
            ("/bound/new", "write", "/bound itself was deleted"),
            ("/still/null", "write", "its mount has nodev"),
            ("/app/plain", "write", ""),
        ],
    );
    // What the kernel shows is the target's; its name alone is none.
    let row = &last_rows(&target, &[("/dev/stdout", "write")])[0];
    assert_eq!((&row["path"], &row["type"]), (&"/proc/1/fd/1".into(), &"fifo".into()));
    assert!(row["fix"].as_str().unwrap().ends_with("chown 65532 /proc/1/fd/1"), "{row:#}");
    let chattr = |how: &str, path: &str| Command::new("chattr").arg(how).arg(at(path)).output();
    if chattr("+i", "app/fixed").is_ok_and(|done| done.status.success()) {
        assert!(chattr("+i", "kept").unwrap().status.success());
        assert!(chattr("+a", "app/appended").unwrap().status.success());
        agree(
            &target,
            65532,
            0,
            &[
                ("/app/fixed", "write", "operation not permitted: it is immutable"),
                ("/app/fixed", "read", ""),
                ("/kept/new", "write", "it is immutable"),
                ("/app/appended", "write", "only O_APPEND"),
                ("/app/appended", "read", ""),
            ],
        );
        for path in ["app/fixed", "kept", "app/appended"] {
            assert!(chattr("-ia", path).unwrap().status.success());
        }
    }
    // For a moment, since it is the whole node's.
    let sysctl = "/proc/sys/fs/protected_regular";
    file(&at("tmp/others"), 0o666, 1001);
    let before = fs::read_to_string(sysctl).unwrap();
    fs::write(sysctl, "1").unwrap();
    let row = last_rows(&target, &[("/tmp/others", "write")]);
    let errno = open_as(&target, 65532, 0, "/tmp/others", "write");
    fs::write(sysctl, before).unwrap();
    assert_eq!((errno, &row[0]["allowed"]), (libc::EACCES, &false.into()), "{row:#?}");
    assert!(row[0]["by"].as_str().unwrap().starts_with("fs.protected_regular: "), "{row:#?}");
}

#[test]
fn what_a_process_has_open_is_judged_and_not_its_name() {
    needs_root!();
    for (mode, words) in [
        (["broken", "deleted", "4096"], "as its owner"),
        (["broken", "backlog", "1"], "can't be opened anew"),
    ] {
        let target = started(plain().caps(PTRACE), &mode);
        let all =
            fs::read_dir(format!("/proc/{}/fd", target.pid)).unwrap().map(|entry| entry.unwrap().path());
        let is_it = |path: &std::path::PathBuf| {
            let link = fs::read_link(path).unwrap().into_os_string().into_string().unwrap();
            link.ends_with(" (deleted)") || link.starts_with("socket:")
        };
        let found = all.into_iter().find(is_it).unwrap();
        let path = format!("/proc/self/fd/{0}=/proc/1/fd/{0}", found.file_name().unwrap().to_str().unwrap());
        agree(&target, 65532, PTRACE, &[(&path, "read", words), (&path, "write", words)]);
    }
}

// Seen to fail where capabilities counted for what is not mapped.
#[test]
fn ids_that_are_not_mapped_are_the_cause() {
    needs_root!();
    let mapped = plain().mapped().user(0, 0).caps(OVERRIDE).start();
    file(&mapped.root.join("app/nodes"), 0o600, 0);
    file(&mapped.root.join("app/own"), 0o600, 100_005);
    agree(
        &mapped,
        0,
        OVERRIDE,
        &[
            ("/app/nodes", "read", "not mapped by the user namespace"),
            ("/app/own", "write", "CAP_DAC_OVERRIDE"),
        ],
    );
    let target = plain().start();
    let from = target.root.join("app");
    fs::set_permissions(&from, fs::Permissions::from_mode(0o777)).unwrap();
    file(&from.join("unmapped"), 0o666, 200_000);
    let ids = File::open(format!("/proc/{}/ns/user", mapped.pid)).unwrap();
    bind_mapped(&target, &from, "/idmapped", Some(&ids));
    agree(
        &target,
        65532,
        0,
        &[
            ("/idmapped/unmapped", "write", "not mapped by the mount's id mapping"),
            ("/app/unmapped", "write", ""),
        ],
    );
    // Whether this user is mapped nothing tells but the attempt.
    assert_eq!(open_as(&target, 65532, 0, "/idmapped/new", "write"), libc::EOVERFLOW);
    let row = &last_rows(&target, &[("/idmapped/new", "write")])[0];
    assert!(row["by"].as_str().unwrap().contains("EOVERFLOW where the mount's id mapping"), "{row:#}");
}
