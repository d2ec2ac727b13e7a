//! Several sources, with cp as the oracle.

use std::fs;

use super::Node;
use crate::support::{needs_root, sandbox};

// Seen to fail where the sender keeps no names: the second replaced the first, with status 0.
#[test]
fn a_second_source_of_the_same_name_is_refused() {
    needs_root!();
    let target = sandbox()
        .file("app/a/same", "first")
        .file("app/b/same", "second")
        .file("app/a/d/x", "x")
        .file("app/b/d/y", "y")
        .start();
    let node = Node::new("node");
    let words = "get: copy /app/b/same: will not overwrite the just-created same\n";
    for second in ["/app/b/same", "/app/*/same"] {
        target.line(&format!("get /app/a/same {second} {}", node.text())).fails(1, "will not overwrite");
        assert_eq!(fs::read(node.0.join("same")).unwrap(), b"first");
    }
    target.run(&["get", "/app/a/same", "/app/b/same", node.text()]).fails(1, words);
    let listed = target.run(&["get", "/app/a/same", "/app/b/same", "-"]);
    listed.fails(1, words);
    assert_eq!(super::tar(&["t"], &listed.out), b"same\n");
    // A directory is not replaced by a file, nor the other way.
    fs::create_dir_all(target.root.join("app/c/same")).unwrap();
    target.run(&["get", "/app/a/same", "/app/c/same", node.text()]).fails(1, "will not overwrite");
    // One that is not there has created nothing; directories are merged.
    target.run(&["get", "/app/none/same", "/app/b/same", node.text()]).fails(1, "no such file");
    assert_eq!(fs::read(node.0.join("same")).unwrap(), b"second");
    target.run(&["get", "/app/a/d", "/app/b/d", node.text()]).ok();
    assert!(node.0.join("d/x").exists() && node.0.join("d/y").exists());
    // The other way, and one source twice.
    let file = node.0.join("same");
    let file = file.to_str().unwrap();
    target.run(&["put", file, file, "/tmp"]).fails(1, "will not overwrite the just-created same");
    assert_eq!(fs::read(target.root.join("tmp/same")).unwrap(), b"second");
}

// Seen to fail without the number of sources in the stream: the first one was copied under the new name.
#[test]
fn several_sources_without_a_directory_copy_nothing() {
    needs_root!();
    let target = sandbox().file("app/a", "a").file("app/b", "b").file("tmp/old", "old").start();
    let node = Node::new("node");
    let new = format!("{}/new", node.text());
    let words = "several sources need a directory as their destination";
    // Nor is anything said of a pipe that closed early.
    super::sparse(&target.root.join("app/b"), 1 << 30);
    let ran = target.run(&["get", "/app/a", "/app/b", &new]);
    assert_eq!((ran.status, ran.err), (1, format!("get: open {new}: {words}\n")));
    target.line(&format!("get /app/* {new}")).fails(1, words);
    assert!(node.names().is_empty());
    for name in ["a", "b"] {
        fs::write(node.0.join(name), name).unwrap();
    }
    let sources = ["a", "b"].map(|name| format!("{}/{name}", node.text()));
    for to in ["/tmp/new", "/tmp/old"] {
        target.run(&["put", &sources[0], &sources[1], to]).fails(1, &format!("put: open {to}: {words}\n"));
    }
    assert!(!target.root.join("tmp/new").exists());
    assert_eq!(fs::read(target.root.join("tmp/old")).unwrap(), b"old");
    // A glob that matches one is one.
    target.line(&format!("get /app/[a] {new}")).ok();
    assert_eq!(fs::read(new).unwrap(), b"a");
}
