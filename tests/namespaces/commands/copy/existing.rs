//! Files that take the place of others, with cp as the oracle of what they keep.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Node;
use crate::live::run;
use crate::support::{Sandbox, needs_root, sandbox};

const ACL: &str = "system.posix_acl_access";

/// CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER and CAP_FSETID: what a runtime's root has of files.
const OF_FILES: u64 = 0x1f;

fn c(bytes: &[u8]) -> CString {
    CString::new(bytes).unwrap()
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    let (path, name) = (c(path.as_os_str().as_bytes()), c(name.as_bytes()));
    // SAFETY: both names end with NUL, and the value is readable for its length.
    let set = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    assert_eq!(set, 0, "setxattr {name:?}: {}", std::io::Error::last_os_error());
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let (path, name) = (c(path.as_os_str().as_bytes()), c(name.as_bytes()));
    let mut value = vec![0; 4096];
    // SAFETY: both names end with NUL, and the value is writable for its length.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(usize::try_from(length).ok()?);
    Some(value)
}

/// An ACL of the owner's, a user's, the group's, the mask's and the others' permissions: linux/posix_acl_xattr.h.
fn acl(owner: u16, user: (u32, u16), group: u16, mask: u16, others: u16) -> Vec<u8> {
    let none = u32::MAX;
    let lines =
        [(1, owner, none), (2, user.1, user.0), (4, group, none), (0x10, mask, none), (0x20, others, none)];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in lines {
        bytes.extend([tag as u16, permissions].into_iter().flat_map(u16::to_le_bytes));
        bytes.extend(u32::to_le_bytes(id));
    }
    bytes
}

/// What a file is beside its content.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    mode: u32,
    owner: (u32, u32),
    acl: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
}

impl Facts {
    fn of(path: &Path) -> Self {
        let facts = fs::symlink_metadata(path).unwrap();
        Self {
            mode: facts.mode() & 0o7777,
            owner: (facts.uid(), facts.gid()),
            acl: attribute(path, ACL),
            user: attribute(path, "user.nsdbg-test"),
        }
    }
}

fn file(path: &Path, mode: u32, owner: (u32, u32)) {
    let _ = fs::remove_file(path);
    fs::write(path, "old").unwrap();
    chown(path, Some(owner.0), Some(owner.1)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A file of the node that nobody else may read.
fn new_file(node: &Node) -> PathBuf {
    let new = node.0.join("new");
    fs::write(&new, "new").unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    new
}

fn put(target: &Sandbox, options: &[&str], from: &Path, to: &str) -> crate::live::Ran {
    target.run(&[&["put"], options, &[from.to_str().unwrap(), to]].concat())
}

// Seen to fail with files that are given the new one's mode: 0600, and root's, without ACL.
#[test]
fn a_file_that_is_replaced_passes_on_what_cp_keeps() {
    needs_root!();
    let target = sandbox().user(0, 0).caps(OF_FILES).start();
    let node = Node::new("node");
    let new = new_file(&node);
    let (inside, by_cp) = (target.root.join("app/conf"), node.0.join("conf"));
    for (mode, owner, has_acl, back) in [
        (0o644, (0, 0), false, "get"),
        (0o640, (1000, 2000), false, "put"),
        (0o600, (1000, 2000), true, "put"),
        (0o444, (0, 2000), true, "put"),
        (0o644, (0, 0), true, "get"),
    ] {
        for path in [&inside, &by_cp] {
            file(path, mode, owner);
            set_attribute(path, "user.nsdbg-test", b"kept");
            if has_acl {
                set_attribute(path, ACL, &acl(6, (1234, 6), 4, 6, 0));
            }
        }
        run(Command::new("cp").args([&new, &by_cp])).ok();
        put(&target, &[], &new, "/app/conf").ok();
        assert_eq!(Facts::of(&inside), Facts::of(&by_cp), "{mode:o} {owner:?} {has_acl}");
        assert_eq!(fs::read(&inside).unwrap(), b"new");
        // The node's side keeps what it can too: not the owner, who is root.
        if back == "get" {
            let to = node.0.join("to");
            file(&to, mode, owner);
            set_attribute(&to, "user.nsdbg-test", b"kept");
            if has_acl {
                set_attribute(&to, ACL, &acl(6, (1234, 6), 4, 6, 0));
            }
            fs::set_permissions(&inside, fs::Permissions::from_mode(0o777)).unwrap();
            target.run(&["get", "/app/conf", to.to_str().unwrap()]).ok();
            assert_eq!(Facts::of(&to), Facts::of(&by_cp), "{mode:o} {owner:?} {has_acl}");
        }
    }
    // What root is in place of can cost others their access, which is reported.
    let to = node.0.join("to");
    file(&to, 0o644, (1000, 1000));
    target.run(&["get", "/app/conf", to.to_str().unwrap()]).ok();
    assert_eq!((Facts::of(&to).mode, Facts::of(&to).owner), (0o644, (0, 0)));
    file(&to, 0o640, (1000, 1000));
    let told = "get: replace TO: not kept: group 1000 (operation not permitted); its mode is 0600 now\n";
    let told = told.replace("TO", to.to_str().unwrap());
    target.run(&["get", "/app/conf", to.to_str().unwrap()]).fails(1, &told);
    // Setuid goes without --setuid, as it would where cp is not root's. A tree and a tar keep as much as a file.
    file(&inside, 0o4755, (1000, 2000));
    put(&target, &[], &new, "/app/conf").ok();
    assert_eq!(Facts::of(&inside).mode, 0o755);
    file(&inside, 0o4755, (1000, 2000));
    put(&target, &["--setuid"], &new, "/app/conf").ok();
    assert_eq!(Facts::of(&inside).mode, 0o4755);
    fs::create_dir(node.0.join("tree")).unwrap();
    fs::copy(&new, node.0.join("tree/conf")).unwrap();
    file(&inside, 0o640, (1000, 2000));
    put(&target, &[], &node.0.join("tree/."), "/app").ok();
    assert_eq!((Facts::of(&inside).mode, Facts::of(&inside).owner), (0o640, (1000, 2000)));
    assert_eq!(fs::read(&inside).unwrap(), b"new");
    let bytes = super::tar(&["c", "-C", node.text(), "--transform", "s/new/conf/", "new"], b"");
    file(&inside, 0o640, (1000, 2000));
    crate::live::run_with_input(target.nsdbg().args(["--", "put", "-", "/app"]), &bytes).ok();
    assert_eq!((Facts::of(&inside).mode, Facts::of(&inside).owner), (0o640, (1000, 2000)));
    assert_eq!(fs::read(&inside).unwrap(), b"new");
}

#[test]
fn mode_and_owner_are_those_that_are_asked_for() {
    needs_root!();
    let target = sandbox().user(0, 0).caps(OF_FILES).start();
    let node = Node::new("node");
    let new = new_file(&node);
    let inside = target.root.join("app/conf");
    for (options, mode, owner) in [
        (&["--mode", "640"][..], 0o640, (1000, 2000)),
        (&["--mode=4711"], 0o4711, (1000, 2000)),
        (&["--owner", "web"], 0o644, (65532, 2000)),
        (&["--owner", "web:web", "--mode", "0400"], 0o400, (65532, 65532)),
        (&["--owner", ":7"], 0o644, (1000, 7)),
        (&["-a"], 0o600, (0, 0)),
        (&["-a", "--mode", "644"], 0o644, (0, 0)),
        (&["--in-place", "--mode", "604"], 0o604, (1000, 2000)),
        (&["--in-place", "--owner", "8:9"], 0o644, (8, 9)),
    ] {
        file(&inside, 0o644, (1000, 2000));
        put(&target, options, &new, "/app/conf").ok();
        let facts = Facts::of(&inside);
        assert_eq!((facts.mode, facts.owner), (mode, owner), "{options:?}");
        assert_eq!(fs::read(&inside).unwrap(), b"new", "{options:?}");
    }
    // New ones, too; directories keep their mode.
    fs::create_dir(node.0.join("tree")).unwrap();
    fs::set_permissions(node.0.join("tree"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::copy(&new, node.0.join("tree/file")).unwrap();
    put(&target, &["--mode", "640", "--owner", "web:logs"], &node.0.join("tree"), "/tmp").ok();
    let (tree, inner) =
        (Facts::of(&target.root.join("tmp/tree")), Facts::of(&target.root.join("tmp/tree/file")));
    assert_eq!(
        (tree.mode, tree.owner, inner.mode, inner.owner),
        (0o750, (65532, 2000), 0o640, (65532, 2000))
    );
    // On the node, by number.
    let to = node.0.join("to");
    target.run(&["get", "--mode", "600", "--owner", "7:8", "/app/conf", to.to_str().unwrap()]).ok();
    assert_eq!((Facts::of(&to).mode, Facts::of(&to).owner), (0o600, (7, 8)));
    target
        .run(&["get", "--owner", "web", "/app/conf", to.to_str().unwrap()])
        .fails(2, "is a number, not web");
    put(&target, &["--owner", "nobody-there"], &new, "/tmp/x").fails(2, "has no user nobody-there");
    let wrong = put(&target, &["--mode", "u+x"], &new, "/tmp/x");
    wrong.fails(2, "not octal digits up to 7777");
    // One of the two processes tells of it.
    assert_eq!(wrong.err.lines().count(), 1, "{}", wrong.err);
    assert!(!target.root.join("tmp/x").exists());
}

// Seen to fail without each of the three ways in which a mode is narrowed.
#[test]
fn who_may_not_give_files_away_is_told_so_and_lets_nobody_in() {
    needs_root!();
    let target = sandbox().start();
    let node = Node::new("node");
    let new = new_file(&node);
    let directory = target.root.join("data");
    fs::create_dir(&directory).unwrap();
    chown(&directory, Some(65532), Some(65532)).unwrap();
    let inside = directory.join("conf");
    for (mode, left, told) in [
        (
            0o644,
            0o644,
            "group 2000 (operation not permitted), owner 0 (operation not permitted); its mode is 0644 now",
        ),
        (0o664, 0o644, "its mode is 0644 now"),
        (0o660, 0o600, "its mode is 0600 now"),
        (0o604, 0o600, "its mode is 0600 now"),
        (0o4755, 0o755, "its mode is 0755 now"),
    ] {
        file(&inside, mode, (0, 2000));
        put(&target, &["--setuid"], &new, "/data/conf").fails(1, told);
        assert_eq!((Facts::of(&inside).mode, Facts::of(&inside).owner), (left, (65532, 65532)), "{mode:o}");
        assert_eq!(fs::read(&inside).unwrap(), b"new");
    }
    // An ACL that keeps somebody out whom the mode would let in.
    file(&inside, 0o644, (0, 2000));
    set_attribute(&inside, ACL, &acl(6, (1234, 0), 4, 4, 4));
    put(&target, &[], &new, "/data/conf").fails(1, "ACL (operation not permitted); its mode is 0600 now");
    assert_eq!((Facts::of(&inside).mode, Facts::of(&inside).acl), (0o600, None));
    // What can't be read, whose ACL is not known.
    file(&inside, 0o604, (0, 65532));
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o004)).unwrap();
    put(&target, &[], &new, "/data/conf").fails(1, "ACL (permission denied); its mode is 0000 now");
    // It is the user's own, in a group of the user's: nothing is lost.
    file(&inside, 0o640, (65532, 65532));
    put(&target, &[], &new, "/data/conf").ok();
    assert_eq!(Facts::of(&inside).mode, 0o640);
    target.run(&["put", "-a", new.to_str().unwrap(), "/data/conf"]).fails(1, "operation not permitted");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
}

// Seen to fail where such a file is as any other: it stayed its user's, and open to all.
#[test]
fn r34_a_file_that_lies_in_wait_in_tmp_is_given_nothing() {
    needs_root!();
    let target = sandbox().user(0, 0).caps(OF_FILES).start();
    let node = Node::new("node");
    let new = new_file(&node);
    let inside = target.root.join("tmp/conf");
    file(&inside, 0o666, (1000, 1000));
    let words =
        "not kept: group 1000 (permission denied), owner 1000 (permission denied); its mode is 0600 now";
    put(&target, &[], &new, "/tmp/conf").fails(1, words);
    assert_eq!((Facts::of(&inside).mode, Facts::of(&inside).owner), (0o600, (0, 0)));
    // Nor where root of the node is the one to be robbed.
    let to = node.0.join("tmp");
    fs::create_dir(&to).unwrap();
    fs::set_permissions(&to, fs::Permissions::from_mode(0o1777)).unwrap();
    file(&to.join("conf"), 0o666, (1000, 1000));
    target.run(&["get", "/tmp/conf", to.to_str().unwrap()]).fails(1, "its mode is 0600 now");
    // One's own is kept, and what the directory's owner has put there.
    file(&inside, 0o640, (0, 2000));
    put(&target, &[], &new, "/tmp/conf").ok();
    assert_eq!((Facts::of(&inside).mode, Facts::of(&inside).owner), (0o640, (0, 2000)));
}

// Seen to fail with a mode that is set without a look at what the directory gave the new file.
#[test]
fn a_directorys_acl_for_new_files_lets_nobody_in_where_a_file_is_replaced() {
    needs_root!();
    let target = sandbox().user(0, 0).caps(OF_FILES).start();
    let node = Node::new("node");
    let new = new_file(&node);
    let directory = target.root.join("data");
    fs::create_dir(&directory).unwrap();
    set_attribute(&directory, "system.posix_acl_default", &acl(7, (1234, 7), 7, 7, 7));
    let inside = directory.join("conf");
    file(&inside, 0o640, (0, 0));
    set_attribute(&inside, ACL, &acl(6, (5678, 4), 4, 4, 0));
    put(&target, &[], &new, "/data/conf").ok();
    assert_eq!(Facts::of(&inside).acl, Some(acl(6, (5678, 4), 4, 4, 0)));
    // And one that has none of its own.
    let made = target.root.join("app/conf");
    file(&made, 0o640, (0, 0));
    fs::rename(&made, &inside).unwrap();
    put(&target, &[], &new, "/data/conf").ok();
    assert_eq!((Facts::of(&inside).mode, Facts::of(&inside).acl), (0o640, None));
}

// Seen to fail where ids that are not mapped are taken for the container's own 65534, to whom the file was given.
#[test]
fn a_file_of_ids_that_are_not_mapped_is_given_to_nobody() {
    needs_root!();
    let target = sandbox().user(0, 0).caps(OF_FILES).mapped().start();
    let node = Node::new("node");
    let new = new_file(&node);
    fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).unwrap();
    let directory = target.root.join("data");
    fs::create_dir(&directory).unwrap();
    chown(&directory, Some(100_000), Some(100_000)).unwrap();
    let inside = directory.join("conf");
    file(&inside, 0o640, (0, 0));
    put(&target, &[], &new, "/data/conf").fails(1, "group 65534 (operation not permitted), owner 65534");
    assert_eq!((Facts::of(&inside).mode, Facts::of(&inside).owner), (0o600, (100_000, 100_000)));
    // The container's own 65534 is kept.
    file(&inside, 0o640, (165_534, 165_534));
    put(&target, &[], &new, "/data/conf").ok();
    assert_eq!((Facts::of(&inside).mode, Facts::of(&inside).owner), (0o640, (165_534, 165_534)));
}

// Seen to fail with EBUSY alone, and without the option.
#[test]
fn a_mount_point_is_named_and_written_in_place_where_that_is_asked_for() {
    needs_root!();
    let node = Node::new("node");
    let (new, mounted) = (new_file(&node), node.0.join("mounted"));
    let words = "it is a mount point, which no other file can replace (--in-place writes into the file that is there)";
    file(&mounted, 0o644, (1000, 2000));
    let inode = fs::metadata(&mounted).unwrap().ino();
    for read_only in ["", "1"] {
        let target = sandbox().user(0, 0).caps(OF_FILES).set("share", mounted.display());
        let target = target.set("readonly", read_only).start();
        let hint = "read-only file system (--in-place writes into the file that is there)";
        put(&target, &[], &new, "/shared").fails(1, if read_only.is_empty() { words } else { hint });
        assert_eq!(fs::read(&mounted).unwrap(), b"old");
        put(&target, &["--in-place"], &new, "/shared").ok();
        assert_eq!(fs::read(&mounted).unwrap(), b"new");
        let facts = Facts::of(&mounted);
        assert_eq!((facts.mode, facts.owner), (0o644, (1000, 2000)));
        assert_eq!(fs::metadata(&mounted).unwrap().ino(), inode);
        fs::write(&mounted, "old").unwrap();
        let names: Vec<_> =
            fs::read_dir(&target.root).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert!(!names.iter().any(|name| name.as_bytes().starts_with(b".nsdbg")), "{names:?}");
    }
}

// Seen to fail without the option, and where the old content is not cut off first: it showed in holes.
#[test]
fn in_place_a_file_keeps_its_inode_and_other_names() {
    needs_root!();
    let target = sandbox().start();
    let node = Node::new("node");
    let new = new_file(&node);
    let (inside, other) = (target.root.join("etc/conf"), target.root.join("app/other"));
    file(&inside, 0o600, (65532, 65532));
    fs::hard_link(&inside, &other).unwrap();
    fs::write(&inside, vec![b'x'; 100_000]).unwrap();
    // The directory is root's.
    put(&target, &[], &new, "/etc/conf").fails(1, "(--in-place writes into the file that is there)");
    put(&target, &[], &new, "/etc/new").fails(1, "create /etc/new: permission denied");
    put(&target, &["--in-place"], &new, "/etc/conf").ok();
    assert_eq!(fs::read(&other).unwrap(), b"new");
    assert_eq!(fs::metadata(&inside).unwrap().ino(), fs::metadata(&other).unwrap().ino());
    // Zeros are not written, but left out as holes.
    let holes = [&b"a"[..], &[0; 50_000], b"b"].concat();
    fs::write(&inside, vec![b'x'; 100_000]).unwrap();
    fs::write(node.0.join("holes"), &holes).unwrap();
    put(&target, &["--in-place"], &node.0.join("holes"), "/etc/conf").ok();
    assert!(fs::read(&inside).unwrap() == holes);
    // What is not there is made, what may not be written is left.
    put(&target, &["--in-place"], &new, "/tmp/made").ok();
    assert_eq!(fs::read(target.root.join("tmp/made")).unwrap(), b"new");
    file(&inside, 0o444, (0, 0));
    put(&target, &["--in-place"], &new, "/etc/conf").fails(1, "create /etc/conf: permission denied");
    assert_eq!(fs::read(&inside).unwrap(), b"old");
    // Of a stream that breaks off, what there is of the new file is named.
    file(&inside, 0o600, (65532, 65532));
    fs::write(node.0.join("conf"), vec![b'y'; 100_000]).unwrap();
    let mut bytes = super::tar(&["c", "-C", node.text(), "conf"], b"");
    bytes.truncate(50_000);
    let mut command = target.nsdbg();
    command.args(["--", "put", "--in-place", "-", "/etc"]);
    crate::live::run_with_input(&mut command, &bytes).fails(1, "put: write /etc/conf: it has the first ");
}
