//! Links at a copy's destination in the container: followed as cp does, and no further.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use super::Node;
use crate::support::{needs_root, sandbox};

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).unwrap().is_symlink()
}

// Seen to fail with links that are replaced.
#[test]
fn put_writes_to_where_the_link_that_is_named_points() {
    needs_root!();
    let target = sandbox().user(0, 0).caps(0xf).file("real/conf", "old").start();
    let node = Node::new("node");
    let new = node.0.join("new");
    fs::write(&new, "new").unwrap();
    let new = new.to_str().unwrap();
    let at = |path: &str| target.root.join(path);
    fs::create_dir(at("app/d")).unwrap();
    for (link, to) in [
        ("app/absolute", "/real/conf"),
        ("app/relative", "../real/conf"),
        ("app/chain", "relative"),
        ("app/d/new", "../../real/conf"),
        ("app/to-d", "d"),
        ("app/dangling", "../real/made"),
        ("app/loop", "loop"),
        ("app/nowhere", "none/x"),
        ("app/slash", "../real/made/"),
        ("app/magic", "/proc/self/fd/1"),
    ] {
        symlink(to, at(link)).unwrap();
    }
    fs::set_permissions(at("real/conf"), fs::Permissions::from_mode(0o640)).unwrap();
    for to in ["/app/absolute", "/app/relative", "/app/chain", "/app/d", "/app/to-d", "/app/to-d/new"] {
        fs::write(at("real/conf"), "old").unwrap();
        target.run(&["put", new, to]).ok();
        assert_eq!(fs::read_to_string(at("real/conf")).unwrap(), "new", "{to}");
        assert_eq!(fs::metadata(at("real/conf")).unwrap().permissions().mode() & 0o777, 0o640, "{to}");
    }
    assert!(["app/absolute", "app/relative", "app/chain", "app/d/new"].iter().all(|link| is_link(&at(link))));
    // -v names the file that it became.
    assert_eq!(target.run(&["put", "-v", new, "/app/chain"]).text(), "/app/../real/conf\n");
    // Nothing is there yet: it is made, as cp of POSIX does.
    target.run(&["put", new, "/app/dangling"]).ok();
    assert_eq!(fs::read_to_string(at("real/made")).unwrap(), "new");
    for (to, words) in [
        ("/app/loop", "too many"),
        ("/app/nowhere", "no such file or directory"),
        ("/app/slash", "is a directory"),
        ("/app/magic", "a link of procfs"),
    ] {
        target.run(&["put", new, to]).fails(1, words);
        assert!(is_link(&at(&to[1..])), "{to}");
    }
    // In place, too.
    target.run(&["put", "--in-place", new, "/app/relative"]).ok();
    assert!(is_link(&at("app/relative")));
    // Without following, the link is replaced, here and in a directory; so is one that is met in a tree or by a tar.
    fs::write(at("real/conf"), "old").unwrap();
    target.run(&["put", "-P", new, "/app/relative"]).ok();
    target.run(&["put", "-P", new, "/app/d"]).ok();
    fs::create_dir_all(node.0.join("tree/d")).unwrap();
    fs::copy(new, node.0.join("tree/d/deep")).unwrap();
    symlink("/real/conf", at("app/d/deep")).unwrap();
    target.run(&["put", &format!("{}/tree/d", node.text()), "/app"]).ok();
    symlink("/real/conf", at("app/new")).unwrap();
    let bytes = super::tar(&["c", "-C", node.text(), "new"], b"");
    crate::live::run_with_input(target.nsdbg().args(["--", "put", "-", "/app"]), &bytes).ok();
    for path in ["app/relative", "app/d/new", "app/d/deep", "app/new"] {
        assert!(!is_link(&at(path)), "{path}");
    }
    assert_eq!(fs::read_to_string(at("real/conf")).unwrap(), "old");
}

// Seen to fail without the look at who owns a link in a directory like /tmp, which the kernel has with
// fs.protected_symlinks.
#[test]
fn r34_put_follows_no_link_that_another_user_has_made_in_tmp() {
    needs_root!();
    let target = sandbox()
        .file("etc/secret", "secret")
        .file("tmp/conf", "old")
        .owned("tmp/conf", 65532)
        .mode(&["swap", "/tmp/conf", "/etc/secret"])
        .start();
    let node = Node::new("node");
    let new = node.0.join("new");
    fs::write(&new, "new").unwrap();
    chown(target.root.join("tmp"), Some(0), Some(0)).unwrap();
    let (mut done, mut refused, mut others) = (0, 0, BTreeSet::new());
    for count in 0..300 {
        // In place, so that the file stays its user's, who may swap it.
        let options = ["--root", "--cap-add", "DAC_OVERRIDE"];
        let ran = target.run_with(&options, &["put", "--in-place", new.to_str().unwrap(), "/tmp/conf"]);
        done += u32::from(ran.status == 0);
        // At the look at the path, or where the link comes after that.
        let says = ["open /tmp/conf: permission denied", "create /tmp/conf: a link or a file is in the way"];
        refused += u32::from(says.iter().any(|says| ran.err.contains(says)));
        assert_eq!(fs::read_to_string(target.root.join("etc/secret")).unwrap(), "secret", "{ran:?}");
        others.insert(ran.err);
        if count > 40 && done > 0 && refused > 0 {
            return;
        }
        // In the moment between two names it was made anew, by root: then nobody may swap it any more.
        let _ = lchown(target.root.join("tmp/conf"), Some(65532), Some(65532));
    }
    panic!("it is swapped: {done} {refused} {others:?}");
}
