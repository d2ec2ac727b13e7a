//! Bad input, kind by kind: what every command of the registry does with it. Each kind has a table, and lists the
//! commands that it does not concern with the reason; a command that is in neither fails the test.

mod empty;
mod files;
mod names;
mod network;
mod processes;
mod rows;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::registry;
use crate::live::{Ran, run};
use crate::support::{Builder, Sandbox, needs_root, new_directory, sandbox};

/// A container with files of every bad kind below /data, and /data/few, which is good.
fn spoiled(from: Builder) -> Sandbox {
    let target = from
        .file("data/few", "one\ntwo\n")
        .file("data/empty", "")
        .file("data/secret", "secret\n")
        .file("data/dir/inner", "one\n")
        .file("data/locked/x", "one\n")
        .file("etc/hosts", "127.0.0.1 localhost\n")
        .start();
    let data = target.root.join("data");
    symlink("nowhere", data.join("broken")).unwrap();
    symlink("loop", data.join("loop")).unwrap();
    let all = Mode::from_bits_truncate(0o644);
    mknod(&data.join("fifo"), SFlag::S_IFIFO, all, 0).unwrap();
    mknod(&data.join("zero"), SFlag::S_IFCHR, all, makedev(1, 5)).unwrap();
    fs::set_permissions(data.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(data.join("locked"), fs::Permissions::from_mode(0o700)).unwrap();
    target
}

/// Splits a line at its blanks; `''` is an empty word.
fn words(line: &str) -> Vec<&str> {
    line.split(' ').map(|word| if word == "''" { "" } else { word }).collect()
}

/// The command of a line.
fn command(line: &str) -> &str {
    line.split(' ').next().unwrap()
}

/// Fails where a command of the registry is not among the tested and not among those that the kind does not concern,
/// or is among both.
fn covers<'a>(target: &Sandbox, tested: impl Iterator<Item = &'a str>, others: &[(&'a str, &'a str)]) {
    let tested: BTreeSet<&str> = tested.map(command).collect();
    let others: BTreeSet<&str> = others.iter().flat_map(|(_, names)| names.split(' ')).collect();
    let both: Vec<_> = tested.intersection(&others).collect();
    assert!(both.is_empty(), "tested, and said not to be concerned: {both:?}");
    let all = registry(target);
    let names: BTreeSet<&str> = all.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    let covered: BTreeSet<&str> = tested.union(&others).copied().collect();
    assert_eq!(covered, names, "every command of the registry has its row, and no other has one");
}

/// What a run said and ended with must be just this.
fn is(line: &str, ran: &Ran, status: i32, err: &str) {
    assert_eq!((ran.status, ran.err.as_str()), (status, err), "{line}: {ran:?}");
}
