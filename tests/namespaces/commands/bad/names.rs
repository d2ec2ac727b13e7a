//! Names with newlines, and names that are not UTF-8: of files, processes and words that are typed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use super::super::family;
use super::super::network::script;
use super::*;
use crate::live::run_with_input;

/// A newline, and a byte that is not UTF-8.
const ODD: [&[u8]; 2] = [b"a\nb", b"\xff"];
/// As JSON spells them, below /names.
const SPELLED: [&str; 2] = ["/names/a\nb", "$'/names/\\xff'"];

fn odd() -> Sandbox {
    let target = spoiled(sandbox());
    fs::create_dir(target.root.join("names")).unwrap();
    for name in ODD {
        fs::write(target.root.join("names").join(OsStr::from_bytes(name)), "x\n").unwrap();
    }
    target
}

/// Runs a line with both names in place of NAMES.
fn named(target: &Sandbox, options: &[&str], line: &str) -> Ran {
    let mut nsdbg = target.nsdbg();
    nsdbg.args(options).arg("--");
    for word in words(line) {
        if word == "NAMES" {
            nsdbg.args(ODD.map(|name| OsStr::from_bytes(&[b"/names/", name].concat()).to_owned()));
        } else {
            nsdbg.arg(word);
        }
    }
    run(&mut nsdbg)
}

// Seen to fail with `Name` that is serialized as lossy text.
#[test]
fn files_have_one_row_each_under_json() {
    needs_root!();
    let target = odd();
    let node = new_directory("odd-node");
    let get = format!("get NAMES {}", node.display());
    for (line, field) in [
        ("ls /names", "path"),
        ("find /names -type f", "path"),
        ("du -a NAMES", "path"),
        ("stat NAMES", "path"),
        ("df NAMES", "file"),
        ("file NAMES", "path"),
        ("grep -c x NAMES", "path"),
        (&get, "path"),
    ] {
        let ran = named(&target, &["--json"], line);
        let seen: BTreeSet<String> = ran
            .ok()
            .lines()
            .map(|row| serde_json::from_str::<Value>(row).unwrap()[field].as_str().unwrap().to_owned())
            .collect();
        let place = |path: &str| {
            if line == get { path.replace("/names", node.to_str().unwrap()) } else { path.to_owned() }
        };
        assert_eq!(seen, SPELLED.into_iter().map(place).collect(), "{line}: {ran:?}");
    }
    assert_eq!(fs::read(node.join(OsStr::from_bytes(ODD[1]))).unwrap(), b"x\n");
    fs::remove_dir_all(node).unwrap();
}

// Seen to fail with `wc` that shows a newline as it is.
#[test]
fn files_are_shown_in_a_pipe_as_the_tools_of_the_same_names_do() {
    needs_root!();
    let target = odd();
    for (line, shown) in [
        ("ls /names", &b"a\nb\n\xff\n"[..]),
        ("find /names -type f -print0", b"/names/a\nb\0/names/\xff\0"),
        ("stat -c %n NAMES", b"/names/a\nb\n/names/\xff\n"),
        ("readlink -fz NAMES", b"/names/a\nb\0/names/\xff\0"),
        ("grep -lZ x NAMES", b"/names/a\nb\0/names/\xff\0"),
        ("wc -l NAMES", b"1 $'/names/a\\nb'\n1 /names/\xff\n2 total\n"),
        ("head -qn 1 NAMES", b"x\nx\n"),
        ("head NAMES", b"==> /names/a\nb <==\nx\n\n==> /names/\xff <==\nx\n"),
        ("tail NAMES", b"==> /names/a\nb <==\nx\n\n==> /names/\xff <==\nx\n"),
        ("cat NAMES", b"x\nx\n"),
        ("sort NAMES", b"x\nx\n"),
    ] {
        let ran = named(&target, &[], line);
        let mut out = ran.out.clone();
        if line.starts_with("find") && out.starts_with(b"/names/\xff") {
            out.rotate_left(9);
        }
        assert_eq!(
            (ran.status, out.escape_ascii().to_string()),
            (0, shown.escape_ascii().to_string()),
            "{line}"
        );
    }
    // A digest's line begins with a backslash where its name is escaped.
    for name in ["sha1sum", "sha256sum", "sha512sum"] {
        let out = named(&target, &[], &format!("{name} NAMES")).out;
        let lines: Vec<&[u8]> = out.split_inclusive(|byte| *byte == b'\n').collect();
        assert!(
            lines.len() == 2 && lines[0].starts_with(b"\\") && lines[0].ends_with(b"  /names/a\\nb\n"),
            "{name}"
        );
        assert!(lines[1].ends_with(b"  /names/\xff\n"), "{name}");
    }
}

// Seen to fail with faults that show a path as it is.
#[test]
fn a_message_about_such_a_file_is_one_line() {
    needs_root!();
    let target = spoiled(sandbox());
    for (row, ..) in files::ROWS {
        let mut nsdbg = target.nsdbg();
        nsdbg.arg("--");
        for word in words(row) {
            let bytes = match word.split_once("{}") {
                Some((before, after)) => [before.as_bytes(), b"/data/a\nb\xff", after.as_bytes()].concat(),
                None => word.replace("NODE", "/tmp").into_bytes(),
            };
            nsdbg.arg(OsStr::from_bytes(&bytes));
        }
        let ran = run(&mut nsdbg);
        assert_eq!(ran.err.lines().count(), 1, "{row}: {ran:?}");
        let said = format!("{}: ", command(row));
        assert!(
            ran.err.starts_with(&said) && ran.err.contains(" /data/a\\nb\\xff: no such file"),
            "{row}: {ran:?}"
        );
    }
    let _ = fs::remove_file("/tmp/few");
}

// Seen to fail with `pstree` that shows a newline as it is.
#[test]
fn a_process_has_one_row_whatever_its_name_is() {
    needs_root!();
    // a\nb and a byte that is not UTF-8.
    let target = family(sandbox(), &["name=610a62ff"]);
    for (line, lines, shown) in [
        ("ps -o comm=", 1, "a\\nb\\xff"),
        ("pstree", 1, "a\\nb\\xff"),
        ("kill -0 -v 1", 1, "1 (a\\nb\\xff): 0"),
    ] {
        let ran = target.run(&words(line));
        assert_eq!((ran.status, ran.text().lines().count()), (0, lines), "{line}: {ran:?}");
        assert!(ran.text().contains(shown), "{line}: {ran:?}");
    }
    for (line, field) in [("ps", "comm"), ("proc", "comm"), ("pstree", "comm"), ("kill -0 1", "name")] {
        let ran = target.run_with(&["--json"], &words(line));
        assert_eq!(ran.text().lines().count(), 1, "{line}: {ran:?}");
        let row: Value = serde_json::from_str(&ran.ok()).unwrap();
        assert_eq!(row[field], "$'a\\nb\\xff'", "{line}: {row}");
    }
    for line in ["lsof --json", "info --json", "targets --json"] {
        let ran = target.run(&words(line));
        assert!(
            ran.status == 0 && ran.text().lines().all(|row| serde_json::from_str::<Value>(row).is_ok()),
            "{ran:?}"
        );
    }
}

// Seen to fail with tables whose cells hold newlines.
#[test]
fn a_row_is_a_line_whatever_its_fields_hold() {
    needs_root!();
    let target = sandbox().variable("NAME", "x\ny").file("etc/hosts", "").start();
    let rows = b"{\"a\":\"x\\ny\",\"b\\nc\":1}\n";
    for (line, shown) in [
        ("first", "A     B\\nC\nx\\ny     1\n"),
        ("last", "A     B\\nC\nx\\ny     1\n"),
        ("where a", "A     B\\nC\nx\\ny     1\n"),
        ("sort-by a", "A     B\\nC\nx\\ny     1\n"),
        ("select a", "A\nx\\ny\n"),
        ("count a", "A     COUNT\nx\\ny      1\n"),
    ] {
        assert_eq!(run_with_input(target.nsdbg().arg("--").args(words(line)), rows).ok(), shown, "{line}");
    }
    let ran = target.run(&["tcp", "x\ny:1"]);
    assert!(ran.text().lines().count() == 2 && ran.text().contains("\nx\\ny "), "{ran:?}");
    let rows = target.run(&["env", "--json"]).ok();
    assert!(rows.lines().any(|row| row == "{\"name\":\"NAME\",\"value\":\"x\\ny\"}"), "{rows}");
    script(&target, "ip link add $(printf 'v\\377') type bridge");
    let rows = target.run(&["ip", "link", "--json"]).ok();
    let last: Value = serde_json::from_str(rows.lines().last().unwrap()).unwrap();
    assert_eq!(last["interface"], "$'v\\xff'");
}

/// Words that nobody wants.
const STRANGE: [&[u8]; 5] = [b"\xff\xfe", b"a\nb", b"\x1b[8m", b"\0x01".split_at(1).1, b"%s$(x)`y`"];

// Seen to fail with words that messages about options show as they came.
#[test]
fn every_command_takes_any_word_or_refuses_it_in_a_line() {
    needs_root!();
    let target = spoiled(sandbox());
    let node = new_directory("strange-node");
    for entry in registry(&target) {
        let name = entry["name"].as_str().unwrap();
        for word in STRANGE {
            for json in [false, true] {
                let mut nsdbg = target.nsdbg();
                nsdbg
                    .current_dir(&node)
                    .args(json.then_some("--json"))
                    .args(["--", name])
                    .arg(OsStr::from_bytes(word));
                let ran = run_with_input(&mut nsdbg, b"");
                let word = word.escape_ascii();
                assert!(ran.status < 100, "{name} {word}: {ran:?}");
                assert!(ran.err.lines().count() <= 1 && !ran.err.contains('\x1b'), "{name} {word}: {ran:?}");
                if json && !ran.err.is_empty() {
                    let fault: Value =
                        serde_json::from_str(&ran.err).unwrap_or_else(|_| panic!("{name}: {ran:?}"));
                    assert_eq!(fault["command"], name, "{name} {word}");
                } else if !ran.err.is_empty() {
                    assert!(ran.err.starts_with(&format!("{name}: ")), "{name} {word}: {ran:?}");
                }
                for rust in ["panicked", "Os {", "Error(", "Some(", "kind: ", "Utf8"] {
                    assert!(!ran.err.contains(rust), "{name} {word}: {ran:?}");
                }
            }
        }
    }
    fs::remove_dir_all(node).unwrap();
}
