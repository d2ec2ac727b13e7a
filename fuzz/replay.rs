//! Replays the corpora of the fuzz targets, and holds the targets to each other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::parsers::PARSERS;

fn fuzz(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(path)
}

fn names(path: &Path) -> BTreeSet<String> {
    let name = |path: PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    fs::read_dir(path).unwrap().map(|entry| name(entry.unwrap().path())).collect()
}

/// The dependencies of a manifest, without comments.
fn dependencies(manifest: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(manifest).unwrap();
    let section = text.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    section.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

// Seen to fail with a panic put into the parser of passwd.
#[test]
fn r27_no_parser_panics_on_what_was_ever_found() {
    let mut files = 0;
    for (name, parser) in PARSERS {
        let before = files;
        for entry in fs::read_dir(fuzz("corpus").join(name)).unwrap() {
            let path = entry.unwrap().path();
            // The last line is shown of a test that fails.
            println!("{}", path.display());
            parser(&fs::read(&path).unwrap());
            files += 1;
        }
        assert!(files >= before + 5, "{name} has too small a corpus");
    }
}

#[test]
fn every_parser_has_a_target_and_a_corpus() {
    let parsers: BTreeSet<String> = PARSERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz("corpus")), parsers);
    assert_eq!(names(&fuzz("fuzz_targets")), parsers);
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    for name in parsers {
        let target = fs::read_to_string(fuzz("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert_eq!(target, format!("#![no_main]\n\nnsdbg_fuzz::target!({name});\n"));
        assert!(
            manifest.contains(&format!("name = \"{name}\", path = \"fuzz_targets/{name}.rs\"")),
            "{name}"
        );
    }
}

#[test]
fn the_fuzz_crate_has_the_dependencies_of_the_binary() {
    let own = dependencies(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    let mut fuzzed = dependencies(&fuzz("Cargo.toml"));
    fuzzed.retain(|line| !line.starts_with("libfuzzer-sys "));
    assert_eq!(fuzzed, own);
}
