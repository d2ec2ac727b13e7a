//! `head`.

use super::text::{
    both_with_input, data, ends_with_its_reader, make_vast, names_what_it_can_not_read, peak, same,
    same_of_input,
};
use crate::support::needs_root;

// Seen to fail where the end of the last line was taken for the begin of another.
#[test]
fn head_prints_what_gnu_head_prints() {
    needs_root!();
    let target = data();
    let mut lines = Vec::new();
    for options in [
        "",
        "-n 0",
        "-n 1",
        "-n 2",
        "-n3",
        "-n 2000",
        "-n -0",
        "-n -1",
        "-n -2",
        "-n -2999",
        "-n -9999",
        "-c 0",
        "-c 5",
        "-c 1K",
        "-c 1kB",
        "-c -3",
        "-c -1b",
        "-c -9999999",
        "-2",
        "-5c",
        "-1k",
        "-q -n 1",
        "-v -n 1",
        "-z -n 1",
        "-z -n -1",
        "-n 1 -c 3",
        "-c 3 -n 1",
    ] {
        for files in ["many", "long", "cut few", "nul", "bytes", "empty newline few"] {
            lines.push(format!("head {options} {files}").replace("  ", " "));
        }
    }
    same(&target, &lines.iter().map(String::as_str).collect::<Vec<_>>(), "C");
}

#[test]
fn head_of_standard_input_is_as_gnus() {
    needs_root!();
    let target = data();
    let many: String = (1..=50_000).map(|n| format!("line {n}\n")).collect();
    let lines = [
        "head",
        "head -n 3",
        "head -n -49990",
        "head -c -400000",
        "head -c 9",
        "head -v -n 1 - few",
        "head -n -1",
    ];
    same_of_input(&target, &lines, many.as_bytes());
    same_of_input(&target, &lines, b"no newline");
    same_of_input(&target, &lines, b"");
}

#[test]
fn head_says_what_it_can_not_do() {
    needs_root!();
    let target = data();
    names_what_it_can_not_read(&target, "head", 1);
    for (line, words) in
        [("head -n x /data/few", "invalid value 'x'"), ("head -n 1x /data/few", "'x' is not a suffix")]
    {
        target.line(line).fails(2, words);
    }
    ends_with_its_reader(&target, "cat /data/many | head -n 1");
    ends_with_its_reader(&target, "head -c 300000 /data/long | head -c 1");
    let (ours, _) = both_with_input(&target, &["head", "--lines=1"], "C", b"x\ny\n");
    assert_eq!(ours.ok(), "x\n");
}

// Seen to fail where the length of the file was not asked for.
#[test]
fn head_holds_little_of_a_vast_file() {
    needs_root!();
    let target = data();
    make_vast(&target, b"\nend\n");
    for args in [&["head", "-c", "3", "/data/vast"][..], &["head", "-c", "-10737418240", "/data/vast"]] {
        let (ran, peak) = peak(&target, args);
        assert!(ran.status == 0 && ran.out.len() < 10 && peak < 64 << 10, "{args:?} {peak} {ran:?}");
    }
}
