//! `file`.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;

use super::text::data;
use crate::live::run;
use crate::support::{Sandbox, needs_root, skip};

/// A container with files of a dozen kinds below /data, some made by the node's tools.
fn kinds() -> Sandbox {
    let target = data();
    let inside = target.root.join("data");
    let write = |name: &str, bytes: &[u8]| fs::write(inside.join(name), bytes).unwrap();
    write("script", b"#!/bin/sh\nexit 0\n");
    write("python", b"#!/usr/bin/env python3\nprint(1)\n");
    write("json", b"{\"a\": [1, 2, {\"b\": null}]}\n");
    write("xml", b"<?xml version=\"1.0\"?>\n<a><b/></a>\n");
    write("html", b"<!DOCTYPE html>\n<html><body>x</body></html>\n");
    write("png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x20\x08\x06\0\0\0\0\0\0\0");
    write("gif", b"GIF89a\x02\0\x03\0\x80\0\0");
    write(
        "jpeg",
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x11\x08\0\x20\0\x10\x03",
    );
    write("pdf", b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n");
    write("latin", b"caf\xe9 cr\xe8me\n");
    write("utf16", b"\xff\xfeh\0i\0\n\0");
    write("crlf", b"a\r\nb\r\n");
    write("class", b"\xca\xfe\xba\xbe\0\0\0\x37\0\x10");
    write("sqlite", &[b"SQLite format 3\0\x10\0\x01\x01\0\x40\x20\x20".as_slice(), &[0; 80]].concat());
    write("xz", b"\xfd7zXZ\0\0\x04");
    write("zst", b"\x28\xb5\x2f\xfd\x04\x00");
    write("bz2", b"BZh91AY&SY");
    write("deb", b"!<arch>\ndebian-binary   0           0     0     100644  4         `\n2.0\n");
    write("key", b"-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIA==\n-----END EC PRIVATE KEY-----\n");
    let make = |program: &str, args: &[&str]| {
        let _ = Command::new(program).args(args).current_dir(&inside).env("LC_ALL", "C").output();
    };
    make("tar", &["cf", "tar", "few"]);
    make("tar", &["--format=gnu", "-cf", "gnu.tar", "few"]);
    make("gzip", &["-kf", "few"]);
    fs::copy("/bin/ls", inside.join("ls")).unwrap();
    symlink("few", inside.join("link")).unwrap();
    target
}

#[test]
fn what_gzip_packed_is_looked_into_and_all_that_a_file_may_be_is_told() {
    needs_root!();
    let target = kinds();
    let inside = target.root.join("data");
    let _ = Command::new("tar").args(["czf", "tgz", "few"]).current_dir(&inside).output();
    fs::write(inside.join("broken.gz"), b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xff\xff").unwrap();
    let both = |options: &[&str], name: &str| {
        let ours = target.run(&[&["file"], options, &[&format!("/data/{name}")]].concat()).ok();
        let theirs = run(Command::new("file").args(options).arg(name).current_dir(&inside)).text();
        (ours, theirs)
    };
    for (options, name) in [
        (&["-bz", "--mime-type"][..], "few"),
        (&["-bz"], "few"),
        (&["-bzi"], "few.gz"),
        (&["-bzi"], "tgz"),
        (&["-bk"], "few"),
    ] {
        let (ours, theirs) = both(options, name);
        assert_eq!(ours, theirs, "{options:?} {name}");
    }
    assert!(
        target
            .line("file -bz /data/few.gz")
            .ok()
            .starts_with("ASCII text (gzip compressed data, was \"few\"")
    );
    assert!(target.line("file -bz /data/broken.gz").ok().starts_with("gzip compressed data"));
    assert!(target.line("file -bk /data/few.gz").ok().ends_with("\\012- data\n"));
    let rows = target.line("file -z --json /data/few.gz").ok();
    let row: Value = serde_json::from_str(&rows).unwrap();
    assert_eq!(row["mime"], "text/plain");
    assert!(row["packed"].as_str().unwrap().starts_with("gzip compressed data"), "{row}");
    let (kind, mode) = (nix::sys::stat::SFlag::S_IFCHR, nix::sys::stat::Mode::from_bits_truncate(0o666));
    nix::sys::stat::mknod(&inside.join("zero"), kind, mode, libc::makedev(1, 5)).unwrap();
    assert_eq!(target.line("file -b /data/zero").ok(), "character special (1/5)\n");
    target.line("file -s /data/zero").fails(1, "open /data/zero: a device: nsdbg opens none");
    assert_eq!(target.line("file -bs /data/few").ok(), "ASCII text\n");
}

// Seen to fail with the table's MIME type of gzip changed.
#[test]
fn mime_types_are_those_of_file() {
    needs_root!();
    if Command::new("file").arg("--version").output().is_err() {
        skip!("no file: apt-get install file");
    }
    let target = kinds();
    let inside = target.root.join("data");
    let names: Vec<String> = fs::read_dir(&inside)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let (mut same, mut others) = (0, Vec::new());
    for name in names.iter().filter(|name| !matches!(name.as_str(), "loop" | "broken" | "newline" | "secret"))
    {
        let ours = target.run(&["file", "-b", "-i", &format!("/data/{name}")]).ok();
        let theirs = run(Command::new("file").args(["-b", "-i"]).arg(inside.join(name))).ok();
        // Several names for the same, from version to version of file(1).
        let plain = |text: &str| text.replace("application/x-mach-binary", "").replace("/x-gzip", "/gzip");
        if plain(&ours) == plain(&theirs) {
            same += 1;
        } else {
            others.push(format!("{name}: {} / {}", ours.trim(), theirs.trim()));
        }
    }
    assert!(others.is_empty() && same > 25, "{same} the same, but: {others:#?}");
}

#[test]
fn programs_are_told_with_their_libc() {
    needs_root!();
    let target = kinds();
    let row =
        |path: &str| -> Value { serde_json::from_str(&target.run(&["file", "--json", path]).ok()).unwrap() };
    let ls = row("/data/ls");
    assert_eq!(ls["details"]["libc"], "glibc", "{ls}");
    assert_eq!(ls["details"]["linked"], "dynamic", "{ls}");
    let text = ls["description"].as_str().unwrap();
    assert!(text.starts_with("ELF 64-bit LSB pie executable, ") && text.contains("(glibc)"), "{ls}");
    let server = row("/server");
    assert!(["static", "static-pie"].contains(&server["details"]["linked"].as_str().unwrap()), "{server}");
    assert_eq!(server["details"]["libc"], Value::Null, "{server}");
    if let Ok(theirs) = Command::new("file").args(["-b", "/bin/ls"]).output() {
        let theirs = String::from_utf8_lossy(&theirs.stdout).trim().to_owned();
        assert_eq!(text.replace(" (glibc)", ""), theirs);
    }
}

#[test]
fn what_is_no_file_is_named() {
    needs_root!();
    let target = kinds();
    let inside = target.root.join("data");
    fs::write(inside.join("two\nlines"), "x\n").unwrap();
    let said = |line: &str| target.line(&format!("cd /data; file {line}")).ok();
    assert_eq!(
        said("-b link broken loop fifo empty /tmp /data"),
        "symbolic link to few\nbroken symbolic link to nowhere\nsymbolic link in a loop to loop\nfifo (named pipe)\n\
         empty\nsticky, directory\ndirectory\n"
    );
    assert_eq!(said("few cut"), "few: ASCII text\ncut: ASCII text\n");
    assert_eq!(said("few script").lines().next().unwrap(), "few:    ASCII text");
    assert_eq!(said("-bL link"), "ASCII text\n");
    assert_eq!(said("-0 few"), "few\0: ASCII text\n");
    assert_eq!(said("--mime-type -b few"), "text/plain\n");
    assert_eq!(target.line("cat /data/json | file -b -").ok(), "JSON text data\n");
    assert_eq!(target.run(&["file", "-b", "/data/two\nlines"]).ok(), "ASCII text\n");
    target.line("cd /data; file none few").fails(1, "stat none: no such file or directory");
    target.line("file /data/secret").fails(1, "open /data/secret: permission denied");
    target.line("file").fails(2, "required");
}
