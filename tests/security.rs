//! SECURITY.md's table and the tests that it names.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Names of the tests below a directory that begin with a requirement's number.
fn numbered_tests(directory: &Path, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        // What cargo-fuzz builds is below fuzz/target.
        if path.is_dir() && !path.ends_with("fuzz/target") {
            numbered_tests(&path, into);
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().map(str::trim_start);
        while let Some(line) = lines.next() {
            if line == "#[test]"
                && let Some(name) = lines.next().and_then(|line| line.strip_prefix("fn "))
                && let Some((name, _)) = name.split_once('(')
                && !numbers(name).is_empty()
            {
                into.insert(name.to_owned());
            }
        }
    }
}

/// The requirements that a test's name gives: `r08_r11_capabilities` has 8 and 11.
fn numbers(name: &str) -> Vec<u32> {
    name.split('_').map_while(|word| word.strip_prefix('r')?.parse().ok()).collect()
}

#[test]
fn the_table_names_every_requirement_and_every_test_of_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let mut tests = BTreeSet::new();
    for directory in ["tests/namespaces", "tests/plugin", "src", "fuzz"] {
        numbered_tests(&root.join(directory), &mut tests);
    }
    assert!(tests.len() > 40, "{tests:?}");
    let mut rows = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let Ok(number) = cells[0].parse::<u32>() else { continue };
        let named: BTreeSet<String> = cells[2].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let wanted: BTreeSet<String> =
            tests.iter().filter(|name| numbers(name).contains(&number)).cloned().collect();
        assert_eq!(named, wanted, "requirement {number}");
        assert!(!cells[2].is_empty(), "requirement {number}");
        rows.push(number);
    }
    assert_eq!(rows, (1..=37).collect::<Vec<_>>());
}
