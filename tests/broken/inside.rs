//! Containers of these tests, and what the node mounts in them.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::support::{Builder, LIMIT, Sandbox, sandbox};

/// A container that lacks nothing that these tests are not about.
pub fn plain() -> Builder {
    sandbox().file("etc/hosts", "127.0.0.1 localhost\n").variable("PATH", "/")
}

/// One whose process has made a fault, or is ready to.
pub fn started(builder: Builder, mode: &[&str]) -> Sandbox {
    let mut target = builder.mode(mode).start();
    assert!(matches!(target.next_line(LIMIT).as_deref(), Some("ready" | "waiting" | "listening")));
    target
}

/// `PID (NAME)` of the container's first process.
pub fn first(target: &Sandbox) -> String {
    format!("1 ({})", fs::read_to_string(format!("/proc/{}/comm", target.pid)).unwrap().trim_end())
}

/// A path of the container, through its mounts.
pub fn seen(target: &Sandbox, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{path}", target.pid))
}

/// Does something in the container's mount namespace, as root of the node.
fn in_mounts(target: &Sandbox, act: impl FnOnce() + Send + 'static) {
    let namespace = File::open(format!("/proc/{}/ns/mnt", target.pid)).unwrap();
    let acting = std::thread::spawn(move || {
        // A thread with a root of its own may join.
        unshare(CloneFlags::CLONE_FS).unwrap();
        setns(namespace, CloneFlags::CLONE_NEWNS).unwrap();
        act();
    });
    acting.join().unwrap();
}

/// Mounts a tmpfs with these options.
pub fn mount_tmpfs(target: &Sandbox, at: &'static str, flags: MsFlags, options: &str) {
    fs::create_dir_all(target.root.join(&at[1..])).unwrap();
    let options = options.to_owned();
    in_mounts(target, move || {
        mount(Some("nsdbg-test"), at, Some("tmpfs"), flags, Some(options.as_str())).unwrap();
    });
}

/// Changes a mount's flags.
pub fn remount(target: &Sandbox, at: &'static str, flags: MsFlags) {
    in_mounts(target, move || {
        let flags = flags | MsFlags::MS_BIND | MsFlags::MS_REMOUNT;
        mount(None::<&str>, at, None::<&str>, flags, None::<&str>).unwrap();
    });
}

/// Mounts a directory of the container at another one, too.
pub fn mount_again(target: &Sandbox, from: &'static str, at: &'static str) {
    fs::create_dir_all(target.root.join(&at[1..])).unwrap();
    in_mounts(target, move || {
        mount(Some(from), at, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    });
}

/// Mounts a file or directory of the node.
pub fn bind(target: &Sandbox, from: &Path, at: &'static str) {
    bind_mapped(target, from, at, None);
}

/// The same, with the ids of a user namespace.
pub fn bind_mapped(target: &Sandbox, from: &Path, at: &'static str, ids: Option<&File>) {
    let place = target.root.join(&at[1..]);
    if from.is_dir() {
        fs::create_dir_all(place).unwrap();
    } else {
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        File::create(place).unwrap();
    }
    let from = CString::new(from.as_os_str().as_bytes()).unwrap();
    // SAFETY: a path that ends in 0; OPEN_TREE_CLONE.
    let tree = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, from.as_ptr(), 1) };
    assert!(tree >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the kernel has just opened it.
    let tree = unsafe { OwnedFd::from_raw_fd(tree as i32) };
    if let Some(ids) = ids {
        let number = std::os::fd::AsRawFd::as_raw_fd(ids) as u64;
        // MOUNT_ATTR_IDMAP.
        let attributes = [0x10_0000_u64, 0, 0, number];
        let raw = std::os::fd::AsRawFd::as_raw_fd(&tree);
        // SAFETY: a path that ends in 0, and a struct mount_attr of the length that is told.
        let set = unsafe {
            let empty = libc::AT_EMPTY_PATH;
            libc::syscall(libc::SYS_mount_setattr, raw, c"".as_ptr(), empty, attributes.as_ptr(), 32)
        };
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    }
    in_mounts(target, move || {
        let to = CString::new(at).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&tree);
        // SAFETY: paths that end in 0; MOVE_MOUNT_F_EMPTY_PATH.
        let moved = unsafe {
            libc::syscall(libc::SYS_move_mount, number, c"".as_ptr(), libc::AT_FDCWD, to.as_ptr(), 4)
        };
        assert_eq!(moved, 0, "{}", std::io::Error::last_os_error());
    });
}
