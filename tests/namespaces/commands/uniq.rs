//! `uniq`.

use std::fs;

use super::text::{data, ends_with_its_reader, same, same_of_input};
use crate::support::needs_root;

const INPUT: &[u8] = b"a x\na x\nA X\n\n\nb  x1\nb y1\nc\nc\nc\nlast";

#[test]
fn uniq_prints_what_gnu_uniq_prints() {
    needs_root!();
    let target = data();
    let lines = [
        "uniq",
        "uniq -c",
        "uniq -d",
        "uniq -u",
        "uniq -D",
        "uniq -du",
        "uniq -i",
        "uniq -ci",
        "uniq -f 1",
        "uniq -f 1 -c",
        "uniq -s 1",
        "uniq -w 1",
        "uniq -w 1 -c",
        "uniq -f 1 -s 1 -w 1",
        "uniq -iD",
        "uniq --all-repeated",
        "uniq -Du",
        "uniq -Dd",
        "uniq -iDu",
        "uniq --all-repeated=separate",
        "uniq --all-repeated=prepend",
        "uniq --all-repeated=separate -u",
        "uniq --group",
        "uniq --group=prepend",
        "uniq --group=append",
        "uniq --group=both -i",
        "uniq --group -w 1",
        "uniq -cd",
        "uniq -cu",
        "uniq -w 0",
        "uniq -s 100",
    ];
    for input in [INPUT, b"", b"\n", b"x", b"x\nx", b"a\0\na\0\na\n"] {
        same_of_input(&target, &lines, input);
    }
    same_of_input(&target, &["uniq -z", "uniq -zc", "uniq -z --group"], b"a\0a\0b\nc\0b\nc");
    same(&target, &["uniq many", "uniq -c long", "uniq bytes", "uniq nul"], "C");
}

// Seen to fail without the question whether the session is read-only.
#[test]
fn uniq_writes_a_file_with_the_care_of_a_redirection() {
    needs_root!();
    let target = data();
    target.line("uniq /data/few /tmp/out").ok();
    assert_eq!(fs::read(target.root.join("tmp/out")).unwrap(), b"one\ntwo\nthree\n");
    target.line("uniq /data/few /data/fifo").fails(1, "open /data/fifo: a FIFO");
    target.run_with(&["--read-only"], &["uniq", "/data/few", "/tmp/other"]).fails(1, "--read-only");
    assert!(!target.root.join("tmp/other").exists());
    // One operand alone is read.
    for path in ["none", "broken", "fifo"] {
        target.line(&format!("uniq /data/{path}")).fails(1, &format!("open /data/{path}: "));
    }
    target.line("uniq --group -c /data/few").fails(2, "cannot be used with");
    target.line("uniq --group=x /data/few").fails(2, "invalid value 'x'");
    target.line("uniq -cD /data/few").fails(2, "cannot be used with");
    ends_with_its_reader(&target, "uniq /data/many | head -n 1");
}
