//! What the kernel lets a command's process do: calls made in its own name, as if its code had been taken over.

use std::io::Read;
use std::process::Stdio;

use libc::*;

use crate::live::{Facts, Live, SETS, wait};
use crate::support::{LIMIT, needs_root, sandbox, signal, skip};
use crate::trace::Traced;

const SETUID: u64 = 1 << CAP_SETUID;
const CAP_SETUID: u32 = 7;
const NONE: u64 = u64::MAX;

fn error(errno: i32) -> i64 {
    -i64::from(errno)
}

/// Calls that are refused, and the errno. The kernel itself would refuse them to nobody with EPERM: what they are asked
/// is wrong or nothing.
fn refused() -> Vec<(&'static str, i64, Vec<u64>, i32)> {
    let mut calls: Vec<(&'static str, c_long, Vec<u64>, i32)> = vec![
        ("execve", SYS_execve, vec![0, 0, 0], EPERM),
        ("execveat", SYS_execveat, vec![NONE, 0, 0, 0, 0], EPERM),
        ("ptrace", SYS_ptrace, vec![PTRACE_SEIZE.into(), 0x7fff_ffff], EPERM),
        ("process_vm_readv", SYS_process_vm_readv, vec![0x7fff_ffff], EPERM),
        ("process_vm_writev", SYS_process_vm_writev, vec![0x7fff_ffff], EPERM),
        ("pidfd_getfd", SYS_pidfd_getfd, vec![NONE, 0, 0], EPERM),
        ("kcmp", SYS_kcmp, vec![0x7fff_ffff, 0x7fff_ffff], EPERM),
        ("setns", SYS_setns, vec![NONE, 0], EPERM),
        ("unshare", SYS_unshare, vec![0], EPERM),
        ("clone", SYS_clone, vec![(CLONE_NEWUSER | CLONE_FS) as u64], EPERM),
        ("clone, high bits", SYS_clone, vec![1 << 40 | (CLONE_NEWUSER | CLONE_FS) as u64], EPERM),
        ("clone3", SYS_clone3, vec![0, 0], ENOSYS),
        ("mount", SYS_mount, vec![0; 5], EPERM),
        ("umount2", SYS_umount2, vec![0, 0], EPERM),
        ("pivot_root", SYS_pivot_root, vec![0, 0], EPERM),
        ("chroot", SYS_chroot, vec![0], EPERM),
        ("open_tree", SYS_open_tree, vec![NONE, 0, 0], EPERM),
        ("move_mount", SYS_move_mount, vec![NONE, 0, NONE, 0, 0], EPERM),
        ("fsopen", SYS_fsopen, vec![0, 0], EPERM),
        ("fsmount", SYS_fsmount, vec![NONE, 0, 0], EPERM),
        ("mount_setattr", SYS_mount_setattr, vec![NONE, 0, 0, 0, 0], EPERM),
        ("bpf", SYS_bpf, vec![999, 0, 0], EPERM),
        ("keyctl", SYS_keyctl, vec![999], EPERM),
        ("add_key", SYS_add_key, vec![0; 5], EPERM),
        ("request_key", SYS_request_key, vec![0; 4], EPERM),
        ("open_by_handle_at", SYS_open_by_handle_at, vec![NONE, 0, 0], EPERM),
        ("name_to_handle_at", SYS_name_to_handle_at, vec![NONE, 0, 0, 0, 0], EPERM),
        ("init_module", SYS_init_module, vec![0, 0, 0], EPERM),
        ("finit_module", SYS_finit_module, vec![NONE, 0, 0], EPERM),
        ("kexec_load", SYS_kexec_load, vec![0, 0, 0, NONE], EPERM),
        ("perf_event_open", SYS_perf_event_open, vec![0; 5], EPERM),
        ("io_uring_setup", SYS_io_uring_setup, vec![0, 0], EPERM),
        ("userfaultfd", SYS_userfaultfd, vec![NONE], EPERM),
        ("fanotify_init", SYS_fanotify_init, vec![NONE, 0], EPERM),
        ("mknodat", SYS_mknodat, vec![NONE, 0, 0, 0], EPERM),
        ("reboot", SYS_reboot, vec![0, 0, 0, 0], EPERM),
        ("sethostname", SYS_sethostname, vec![0, 1], EPERM),
        ("seccomp", SYS_seccomp, vec![999, 0, 0], EPERM),
        ("personality", SYS_personality, vec![0xffff_ffff], EPERM),
        ("setuid", SYS_setuid, vec![NONE], EPERM),
        ("setresuid", SYS_setresuid, vec![NONE; 3], EPERM),
        ("setresgid", SYS_setresgid, vec![NONE; 3], EPERM),
        ("capset", SYS_capset, vec![0, 0], EPERM),
        ("prctl dumpable", SYS_prctl, vec![PR_SET_DUMPABLE as u64, 9], EPERM),
        ("prctl dumpable, high bits", SYS_prctl, vec![1 << 40 | PR_SET_DUMPABLE as u64, 9], EPERM),
        ("a socket of vsock", SYS_socket, vec![AF_VSOCK as u64, NONE, 0], EAFNOSUPPORT),
        ("a number that there is not", 0x3fff_ffff, vec![], EPERM),
        ("execve of x32", 0x4000_0208, vec![0, 0, 0], EPERM),
    ];
    for high in [0, 1 << 32, 0xffff_ffff << 32] {
        for (name, request) in [("TIOCSTI", TIOCSTI), ("TIOCLINUX", 0x541c), ("TIOCSCTTY", TIOCSCTTY)] {
            calls.push((name, SYS_ioctl, vec![0, high | request, 0], EPERM));
        }
    }
    calls
}

// Seen to fail without seccomp::confine in the worker (execve: EFAULT), and with TIOCSTI among the allowed requests.
#[test]
fn r12_seccomp_refuses_what_no_command_needs() {
    needs_root!();
    // Nothing but the filter is between this target and these calls.
    let all = Facts::of(std::process::id() as i32).mask("CapPrm");
    let target = sandbox().user(0, 0).caps(all).start();
    let live = Live::start(&target, &[]);
    let mut child = Traced::seize(live.child);
    assert!(child.call(SYS_getpid, &[]) > 1);
    assert_eq!(child.call(SYS_ioctl, &[0, TIOCGWINSZ, 0]), error(ENOTTY));
    for (name, number, arguments, errno) in refused() {
        assert_eq!(child.call(number, &arguments), error(errno), "{name} {arguments:x?}");
    }
    if !child.suspend_seccomp() {
        skip!("the kernel can't suspend a filter, so what it refuses alone is not known");
    }
    for (name, number, arguments, errno) in refused() {
        let bare = child.call(number, &arguments);
        assert_ne!(bare, error(errno), "{name} {arguments:x?}: refused without the filter, too");
    }
}

/// The header and the data of a capset(2) that asks for everything.
fn everything() -> Vec<u8> {
    [0x2008_0522_u32, 0]
        .into_iter()
        .chain([u32::MAX; 3])
        .chain([0x1ff; 3])
        .flat_map(u32::to_ne_bytes)
        .collect()
}

/// Asserts that a process holds no capability that the target lacks.
fn assert_no_more(pid: i32, target: &Facts, what: &str) {
    let facts = Facts::of(pid);
    for name in SETS {
        let excess = facts.mask(name) & !target.mask(name);
        assert_eq!(excess, 0, "{what}: {name} holds {excess:x} more than the target's");
    }
    let excess = facts.mask("CapPrm") & !target.mask("CapPrm");
    assert_eq!(excess, 0, "{what}: permitted {excess:x}");
}

// Seen to fail without seccomp::confine, without the bounding set's loop in privileges::drop_to, and without its drop and
// check of the permitted set. Without confine and no_new_privs, and with the refusals below left out, the execve failed.
#[test]
fn r10_no_capability_comes_back_by_setuid() {
    needs_root!();
    for (name, target) in [
        ("a user without capabilities", sandbox()),
        ("a user whose bounding set is full", sandbox().set("bounding", "1ffffffffff")),
        ("root without capabilities", sandbox().user(0, 0)),
        ("CAP_SETUID", sandbox().caps(SETUID)),
        ("CAP_SETUID below a full bounding set", sandbox().caps(SETUID).set("bounding", "1ffffffffff")),
        ("root of a user namespace, without capabilities", sandbox().mapped().user(0, 0)),
        ("a user of a user namespace", sandbox().mapped()),
        ("CAP_SETUID of a user namespace", sandbox().mapped().caps(SETUID).set("bounding", "1ffffffffff")),
    ] {
        let target = target.start();
        let live = Live::start(&target, &[]);
        let (before, of_target) = (live.facts(), Facts::of(target.pid));
        assert_no_more(live.child, &of_target, name);
        let mut child = Traced::seize(live.child);
        let data = child.write(&everything());
        let calls = [
            (SYS_setuid, vec![0]),
            (SYS_setgid, vec![0]),
            (SYS_setreuid, vec![0, 0]),
            (SYS_setresuid, vec![0, 0, 0]),
            (SYS_setfsuid, vec![0]),
            (SYS_setgroups, vec![0, 0]),
            (SYS_capset, vec![data, data + 8]),
            (SYS_prctl, vec![PR_SET_KEEPCAPS as u64, 1]),
            (SYS_prctl, vec![PR_SET_SECUREBITS as u64, 0]),
            (SYS_prctl, vec![PR_CAP_AMBIENT as u64, PR_CAP_AMBIENT_RAISE as u64, 21, 0, 0]),
        ];
        for (number, arguments) in &calls {
            assert_eq!(child.call(*number, arguments), error(EPERM), "{name}: call {number}");
        }
        let after = live.facts();
        for field in SETS.iter().chain(&["Uid", "Gid", "Groups"]) {
            assert_eq!(after.get(field), before.get(field), "{name}: {field}");
        }
        // And were there no filter: what the kernel itself gives back.
        if !child.suspend_seccomp() {
            skip!("the kernel can't suspend a filter");
        }
        for (number, arguments) in &calls {
            child.call(*number, arguments);
            assert_no_more(live.child, &of_target, &format!("{name}: call {number} without the filter"));
        }
        let path = child.write(b"/server\0");
        let done = child.call_and_stay(SYS_execve, &[path, 0, 0]);
        assert_eq!(done, 0, "{name}: execve");
        let facts = Facts::of(live.child);
        assert_eq!(facts.get("Name"), "server", "{name}");
        if of_target.mask("CapPrm") & SETUID != 0 {
            assert!(facts.get("Uid") != before.get("Uid"), "{name}: the setuid is not as wanted");
        }
        let excess = facts.mask("CapPrm") & !of_target.mask("CapPrm");
        assert_eq!(excess, 0, "{name}: an execve gave {excess:x}");
        assert_no_more(live.child, &of_target, &format!("{name}: after an execve"));
        signal(live.child, SIGKILL);
    }
}

// Seen to fail without install_panic_hook in child::run, with RUST_BACKTRACE=full set there.
#[test]
fn r20_a_panic_opens_nothing() {
    needs_root!();
    for (name, value) in [("RUST_BACKTRACE", "full"), ("RUST_LIB_BACKTRACE", "1")] {
        let target = sandbox().variable(name, value).start();
        let mut command = target.nsdbg();
        let mut live = Live::of(command.env(name, value).args(["--", "cat", "-s"]).stderr(Stdio::piped()));
        let mut child = Traced::seize(live.child);
        live.write(b"more\n");
        // A kernel that says it wrote more than it was given: std's loop around write(2) goes beyond its bytes.
        let mut before = 0;
        let written = loop {
            let call = child.next_call().expect("a write");
            before += 1;
            if call.number == SYS_write && call.arguments[0] == 1 && call.result.is_some() {
                break call.result;
            }
            assert!(before < 50, "{call:?}");
        };
        assert_eq!(written, Some(5));
        let mut registers = child.registers();
        registers.rax = 1 << 30;
        child.set_registers(&registers);
        let mut calls = Vec::new();
        while let Some(call) = child.next_call() {
            calls.push(call);
        }
        child.detach();
        let allowed = [SYS_write, SYS_exit_group, SYS_brk, SYS_mmap, SYS_munmap, SYS_gettid, SYS_getpid];
        for call in calls {
            assert!(allowed.contains(&call.number), "after the panic: {call:?}");
        }
        assert_eq!(wait(&mut live.nsdbg, LIMIT), Some(125));
        let mut said = String::new();
        live.nsdbg.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.starts_with("nsdbg: internal error at ") && said.lines().count() == 1, "{said}");
    }
}
