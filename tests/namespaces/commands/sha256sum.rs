//! `sha1sum`, `sha256sum`, `sha512sum`.

use std::fs;

use super::text::{
    both_with_input, data, ends_with_its_reader, names_what_it_can_not_read, same, same_of_input,
};
use crate::support::needs_root;

const COMMANDS: [&str; 3] = ["sha1sum", "sha256sum", "sha512sum"];

#[test]
fn digests_are_coreutils() {
    needs_root!();
    let target = data();
    for name in ["two\nlines", "back\\slash", " blank", "*star"] {
        fs::write(target.root.join("data").join(name), name).unwrap();
    }
    for command in COMMANDS {
        let lines = [
            format!("{command} many long few empty nul"),
            format!("{command} -b few cut"),
            format!("{command} --tag few cut"),
            format!("{command} -z few cut"),
            format!("{command} two\nlines back\\slash few"),
            format!("{command} --tag two\nlines"),
            format!("{command} -z two\nlines"),
            format!("{command} *star"),
        ];
        same(&target, &lines.each_ref().map(String::as_str), "C");
        same_of_input(
            &target,
            &[command, &format!("{command} -"), &format!("{command} few -")],
            b"some input",
        );
    }
}

// Seen to fail where a digest in upper case was another.
#[test]
fn lists_are_checked_as_coreutils_does() {
    needs_root!();
    let target = data();
    let inside = target.root.join("data");
    fs::write(inside.join("two\nlines"), "x").unwrap();
    let (list, _) = both_with_input(&target, &["sha256sum", "few", "cut", "two\nlines"], "C", b"");
    let list = list.ok();
    let (bsd, _) = both_with_input(&target, &["sha256sum", "--tag", "few", "two\nlines"], "C", b"");
    let upper = list.lines().next().unwrap().replace("  few", "").to_uppercase() + "  few\n";
    let wrong = list.replace("  cut", "  many");
    let lines = [
        "sha256sum -c",
        "sha256sum -c --quiet",
        "sha256sum -c --status",
        "sha256sum -c --ignore-missing",
        "sha256sum -c --strict",
        "sha256sum -c -w",
    ];
    for input in [
        list.clone(),
        bsd.ok(),
        upper,
        wrong.clone(),
        format!("# comment\n{list}"),
        format!("no digest\n{list}"),
        list.replace("  few", "  none"),
        list.replace('\n', "\r\n"),
        list.trim_end().to_owned(),
        list.replace("  ", " "),
        list.replacen("  ", " ", 1),
        list.replacen("  ", " ", 2).replacen(" ", "  ", 1),
        list.replacen("\n", "\n\n", 1),
        "nothing\n".to_owned(),
        String::new(),
    ] {
        same_of_input(&target, &lines, input.as_bytes());
    }
    let (ours, _) = both_with_input(&target, &["sha256sum", "-c"], "C", wrong.as_bytes());
    ours.fails(1, "sha256sum: 1 digest is not as listed\n");
}

#[test]
fn what_can_not_be_read_is_named() {
    needs_root!();
    let target = data();
    names_what_it_can_not_read(&target, "sha256sum", 1);
    target.line("sha256sum --quiet /data/few").fails(2, "--check");
    ends_with_its_reader(&target, "sha256sum /data/many /data/few | head -n 1");
}
