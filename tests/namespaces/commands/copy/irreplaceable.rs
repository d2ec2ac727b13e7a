//! Destinations that no copy replaces: devices, FIFOs and sockets.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;

use super::{Node, tar};
use crate::live::run_with_input;
use crate::support::{needs_root, sandbox};

/// The specials that `fill` makes, and what each is called.
const SPECIALS: [(&str, &str); 4] = [
    ("fifo", "it is a FIFO"),
    ("socket", "it is a socket"),
    ("null", "it is a character device"),
    ("loop", "it is a block device"),
];

fn fill(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    mkfifo(&directory.join("fifo"), Mode::S_IRWXU).unwrap();
    drop(UnixListener::bind(directory.join("socket")).unwrap());
    for (name, kind, device) in
        [("null", SFlag::S_IFCHR, makedev(1, 3)), ("loop", SFlag::S_IFBLK, makedev(7, 0))]
    {
        mknod(&directory.join(name), kind, Mode::S_IRUSR, device).unwrap();
    }
}

/// Type and inode of all specials.
fn inodes(directory: &Path) -> Vec<(u32, u64)> {
    let facts = SPECIALS.map(|(name, _)| fs::symlink_metadata(directory.join(name)).unwrap());
    let inodes = facts.iter().map(|facts| (facts.mode() & libc::S_IFMT, facts.ino()));
    inodes.collect()
}

// Seen to fail without the looks before a file, a link and a hard link are made: each was replaced, with status 0.
#[test]
fn get_and_put_replace_no_device_fifo_or_socket() {
    needs_root!();
    // With CAP_DAC_OVERRIDE and CAP_FOWNER nothing else refuses it.
    let target = sandbox().user(0, 0).caps(0xf).start();
    let (node, from, inside) = (Node::new("node"), Node::new("from"), target.root.join("data"));
    fill(&inside);
    fill(&node.0);
    let before = (inodes(&inside), inodes(&node.0));
    // Of each name a file, and a link.
    for source in [target.root.join("app"), from.0.clone()] {
        for tree in ["files/data", "links/data"] {
            fs::create_dir_all(source.join(tree)).unwrap();
        }
        for (name, _) in SPECIALS {
            fs::write(source.join("files/data").join(name), "new").unwrap();
            symlink("new", source.join("links/data").join(name)).unwrap();
        }
        fs::write(source.join("files/data/plain"), "new").unwrap();
    }
    let at = |name: &str| from.0.join(name).to_str().unwrap().to_owned();
    for (name, words) in SPECIALS {
        for options in [&[][..], &["--in-place"], &["-a"], &["-P"]] {
            let get = |path: &str, to: &str| target.run(&[&["get"][..], options, &[path, to]].concat());
            let put = |path: &str, to: &str| target.run(&[&["put"][..], options, &[path, to]].concat());
            let path = format!("files/data/{name}");
            let on_node = format!("{}/{name}", node.text());
            get(&format!("/app/{path}"), &on_node).fails(1, words);
            get(&format!("/app/{path}"), node.text()).fails(1, words);
            put(&at(&path), &format!("/data/{name}")).fails(1, words);
            put(&at(&path), "/data").fails(1, words);
        }
        // A link behind which there is one: get would replace the link, put the file behind it.
        let link = node.0.join("link");
        symlink(name, &link).unwrap();
        symlink(format!("/data/{name}"), target.root.join("app/link")).unwrap();
        target.run(&["get", "/app/files/data/plain", link.to_str().unwrap()]).fails(1, words);
        target.run(&["put", &at("files/data/plain"), "/app/link"]).fails(1, words);
        assert!(link.is_symlink() && target.root.join("app/link").is_symlink());
        fs::remove_file(link).unwrap();
        fs::remove_file(target.root.join("app/link")).unwrap();
    }
    // In a tree the rest is copied; links and hard links replace none either.
    for tree in ["files", "links"] {
        let got = target.run(&["get", &format!("/app/{tree}/data/."), node.text()]);
        let put = target.run(&["put", &at(&format!("{tree}/data")), "/"]);
        let bytes = tar(&["c", "-C", &at(tree), "data"], b"");
        let tarred = run_with_input(target.nsdbg().args(["--", "put", "-", "/"]), &bytes);
        for (ran, _) in [(got, "get"), (put, "put"), (tarred, "tar")] {
            for (_, words) in SPECIALS {
                ran.fails(1, words);
            }
        }
    }
    assert_eq!(fs::read(node.0.join("plain")).unwrap(), b"new");
    assert_eq!(fs::read(inside.join("plain")).unwrap(), b"new");
    let hard = Node::new("hard");
    fs::create_dir(hard.0.join("data")).unwrap();
    fs::write(hard.0.join("data/a"), "new").unwrap();
    fs::hard_link(hard.0.join("data/a"), hard.0.join("data/fifo")).unwrap();
    let bytes = tar(&["c", "-C", hard.text(), "data/a", "data/fifo"], b"");
    run_with_input(target.nsdbg().args(["--", "put", "-", "/"]), &bytes).fails(1, "it is a FIFO");
    // -n leaves what exists, without a word.
    target.run(&["get", "-n", "/app/files/data/fifo", node.text()]).ok();
    assert_eq!((inodes(&inside), inodes(&node.0)), before);
}

// Seen to fail without the look at what is behind the destination: the node's /dev/stdout became a file.
#[test]
fn get_replaces_no_link_to_a_stream() {
    needs_root!();
    let target = sandbox().file("app/a", "one").start();
    let node = Node::new("node");
    let link = node.0.join("stdout");
    for to in ["/proc/self/fd/1", "/dev/stdout", "/dev/null"] {
        symlink(to, &link).unwrap();
        let ran = target.run(&["get", "/app/a", link.to_str().unwrap()]);
        match to {
            "/dev/null" => ran.fails(1, "it is a character device"),
            _ => ran.fails(1, "it is a link of procfs (get PATH - writes a tar to standard output)"),
        };
        assert_eq!(fs::read_link(&link).unwrap(), Path::new(to));
        fs::remove_file(&link).unwrap();
    }
    // One to nothing is replaced, as one to a file is.
    symlink("nothing", &link).unwrap();
    target.run(&["get", "/app/a", link.to_str().unwrap()]).ok();
    assert!(!link.is_symlink());
}
