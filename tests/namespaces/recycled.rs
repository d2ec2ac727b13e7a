//! A PID that comes to mean another process while nsdbg looks at it.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::live::{Ran, end, within};
use crate::support::{LIMIT, NSDBG, helper, needs_root, new_directory, signal, skip};
use crate::trace::{Call, Traced};

/// A process of this test's own with a PID that was chosen, and a root directory that tells it from others.
struct Process(i32);

impl Process {
    /// `pid` 0 is any; `namespaces` are new ones.
    fn start(root: &Path, namespaces: i32, pid: i32) -> std::io::Result<Self> {
        let path = CString::new(root.as_os_str().as_bytes()).unwrap();
        // SAFETY: zeros are a value of this structure.
        let mut how: libc::clone_args = unsafe { std::mem::zeroed() };
        (how.flags, how.exit_signal) = (namespaces as u64, libc::SIGCHLD as u64);
        if pid != 0 {
            (how.set_tid, how.set_tid_size) = ((&raw const pid) as u64, 1);
        }
        // SAFETY: without CLONE_VM this is fork(2), and the child makes system calls alone.
        let child = unsafe { libc::syscall(libc::SYS_clone3, &raw const how, size_of_val(&how)) };
        if child == 0 {
            // SAFETY: the path was made before; nothing else is pointed to. Other tests' pipes are not held open.
            unsafe {
                libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::chroot(path.as_ptr()) != 0 || libc::chdir(c"/".as_ptr()) != 0 {
                    libc::_exit(1);
                }
                loop {
                    libc::pause();
                }
            }
        }
        if child < 0 {
            return Err(std::io::Error::last_os_error());
        }
        let process = Self(child as i32);
        let link = format!("/proc/{child}/cwd");
        assert!(within(LIMIT, || fs::read_link(&link).is_ok_and(|cwd| cwd == root)), "no process {child}");
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        signal(self.0, libc::SIGKILL);
        // SAFETY: no status is wanted.
        unsafe { libc::waitpid(self.0, std::ptr::null_mut(), 0) };
    }
}

/// When the process ends and its PID is taken by another.
#[derive(Clone, Copy)]
enum Moment {
    BeforeThePidfd,
    /// After so many system calls of the supervisor since it opened the pidfd.
    After(usize),
}

struct Scene {
    /// Roots of the process that is named and of the one that comes after it: an empty file in each tells which.
    old: PathBuf,
    new: PathBuf,
    namespaces: i32,
    /// Rules of the helper's `filter`.
    rules: &'static [&'static str],
    options: &'static [&'static str],
}

impl Scene {
    /// Runs `nsdbg --pid N -- ls /`. None where the supervisor had ended by that moment; else what came of it, and
    /// whether the command had been asked of the launcher by then.
    fn play(&self, moment: Moment) -> std::io::Result<Option<(Ran, bool)>> {
        let first = Process::start(&self.old, self.namespaces, 0)?;
        let pid = first.0;
        let mut command = Command::new(helper());
        command.arg("filter").args(self.rules).arg("--").arg(NSDBG).args(["--pid", &pid.to_string()]);
        command.args(self.options).args(["--", "ls", "/"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (child, mut traced) = Traced::spawn(&mut command);
        let is_lookup = |call: &Call| call.number == libc::SYS_pidfd_open && call.arguments[0] == pid as u64;
        let mut call = traced.next_call().expect("a lookup");
        while !is_lookup(&call) {
            call = traced.next_call().expect("a lookup");
        }
        let mut sent = 0;
        if let Moment::After(count) = moment {
            traced.next_call().expect("a pidfd");
            for _ in 0..count {
                let both = traced.next_call().and_then(|_| traced.next_call());
                let Some(call) = both else {
                    traced.detach();
                    end(child);
                    return Ok(None);
                };
                // A plan and a command; before those, the same to look a user up inside.
                sent += usize::from(call.number == libc::SYS_sendmsg);
            }
        }
        drop(first);
        let second = Process::start(&self.new, self.namespaces, pid)?;
        traced.detach();
        let ran = end(child);
        drop(second);
        Ok(Some((ran, sent >= if self.options.is_empty() { 2 } else { 4 })))
    }
}

// Seen to fail without the two looks at the pidfd in Target::open.
#[test]
fn r15_a_recycled_pid_is_refused() {
    needs_root!();
    let root = new_directory("recycled");
    let [old, new] = ["old", "new"].map(|name| {
        fs::create_dir_all(root.join(name).join(name)).unwrap();
        root.join(name)
    });
    const SOME: i32 = libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
    // setns(2) by a pidfd, as kernels before 5.8 refuse it.
    const OLD_KERNEL: &[&str] =
        &["308:1!128,131072,33554432,67108864,134217728,268435456,536870912,1073741824:22"];
    for (namespaces, rules, options) in [
        (SOME, &[][..], &[][..]),
        (SOME, OLD_KERNEL, &[]),
        // Nothing to join: only the root tells them apart.
        (0, &[], &[]),
        (SOME, &[], &["--user", "1000"]),
    ] {
        let scene = Scene { old: old.clone(), new: new.clone(), namespaces, rules, options };
        let what = format!("namespaces {namespaces:x}, {rules:?}, {options:?}");
        match scene.play(Moment::BeforeThePidfd) {
            Ok(ran) => {
                let (ran, _) = ran.unwrap();
                assert_eq!((ran.status, ran.text().as_str()), (0, "new\n"), "{what}: {ran:?}");
            }
            Err(error) => skip!("a PID can't be chosen: {error}"),
        }
        let (mut count, mut after) = (0, 0);
        // Once the command is asked for, it is the launcher that goes on, not who is held here.
        while after < 10
            && let Some((ran, asked)) = scene.play(Moment::After(count)).unwrap()
        {
            let at = format!("{what}: {count} calls after the lookup: {ran:?}");
            assert!(!ran.text().contains("new"), "{at}");
            after += usize::from(asked);
            // Here the directory in /proc is the other process's. Were the lookup content, the command would run in
            // there until it is found that the pidfd's process has ended.
            assert!(count > 0 || ran.err.contains("find process"), "{at}");
            if asked {
                assert!(ran.status == 125 || ran.text() == "old\n", "{at}");
            } else {
                assert!(ran.status == 125 && ran.out.is_empty() && ran.err.contains("ended"), "{at}");
            }
            count += 1;
        }
        assert!(count > 30, "{what}: only {count} moments");
    }
    fs::remove_dir_all(root).unwrap();
}
