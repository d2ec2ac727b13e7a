//! The layers: main → {cli, complete} → session → {cmd, enter, shell} → target → {out, sys, takes}. A module imports only what is below.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each module of the crate's root, and what it may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("cli", &["session", "cmd", "enter", "shell", "target", "out", "sys", "takes"]),
    ("session", &["cmd", "enter", "shell", "target", "out", "sys", "takes"]),
    ("cmd", &["target", "out", "sys", "takes"]),
    ("enter", &["target", "out", "sys", "takes"]),
    ("shell", &["target", "out", "sys", "takes"]),
    ("target", &["out", "sys", "takes"]),
    ("out", &[]),
    ("sys", &[]),
    ("takes", &["sys"]),
];

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

#[test]
fn modules_import_only_what_is_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for (module, allowed) in MAY_IMPORT {
        let mut files = Vec::new();
        sources(&root.join(module), &mut files);
        sources(&root.join(format!("{module}.rs")), &mut files);
        for file in files.iter().filter(|file| file.exists()) {
            seen += 1;
            for (number, line) in fs::read_to_string(file).unwrap().lines().enumerate() {
                for import in line.split("crate::").skip(1) {
                    let name: String =
                        import.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                    let known = MAY_IMPORT.iter().any(|(module, _)| *module == name);
                    assert!(
                        !known || name == *module || allowed.contains(&name.as_str()),
                        "{}:{}: {module} imports {name}",
                        file.display(),
                        number + 1
                    );
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} files were read");
}
