//! `wc`.

use super::text::{
    both, both_with_input, data, make_vast, names_what_it_can_not_read, peak, same, same_of_input,
};
use crate::support::needs_root;

// Seen to fail where U+00A0 did not end words, and where bytes that are no text were counted.
#[test]
fn wc_counts_what_gnu_wc_counts() {
    needs_root!();
    let target = data();
    let mut lines = Vec::new();
    for options in ["", "-l", "-w", "-c", "-m", "-L", "-lw", "-mc", "-lwcmL", "-cL"] {
        for files in ["many", "long", "few cut", "nul", "bytes", "utf8", "empty newline", "empty"] {
            lines.push(format!("wc {options} {files}").replace("  ", " "));
        }
    }
    same(&target, &lines.iter().map(String::as_str).collect::<Vec<_>>(), "C.UTF-8");
}

#[test]
fn wc_totals_as_gnu_does() {
    needs_root!();
    let target = data();
    // GNU's wc has --total since 9.1.
    let (_, theirs) = both(&target, &["wc", "--total=only", "few"], "C.UTF-8");
    if theirs.status == 0 {
        let lines = ["wc --total=only few cut", "wc --total=always few", "wc --total=never few cut"];
        same(&target, &lines, "C.UTF-8");
    }
    let (ours, _) = both(&target, &["wc", "--total=only", "few", "cut"], "C.UTF-8");
    assert_eq!(ours.ok(), "6 9 46\n");
    for input in [&b"one two\nthree"[..], b"", b"\n\n"] {
        same_of_input(&target, &["wc", "wc -l", "wc -", "wc - few", "wc -c few -"], input);
    }
    let (ours, _) = both_with_input(&target, &["wc", "-w"], "C", b"a b");
    assert_eq!(ours.ok(), "2\n");
}

#[test]
fn wc_names_what_it_can_not_read() {
    needs_root!();
    names_what_it_can_not_read(&data(), "wc", 1);
}

#[test]
fn wc_asks_for_the_length_of_a_vast_file() {
    needs_root!();
    let target = data();
    make_vast(&target, b"\nend\n");
    let (ran, peak) = peak(&target, &["wc", "-c", "/data/vast"]);
    assert!(peak < 64 << 10, "{peak}");
    assert_eq!(ran.ok(), "10737418245 /data/vast\n");
}
