//! What scripts/package puts beside the binary, made of the definitions of options and commands: manual pages, completions,
//! and the licences of all that is linked in. A test writes it to the directory that `NSDBG_WRITE_PACKAGE` names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use clap_mangen::Man;
use serde_json::Value;

use crate::cmd::{BUILTINS, Entry, REGISTRY};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Text as troff takes it: nothing in it is a request or an escape.
fn troff(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        if line.starts_with(['.', '\'']) {
            out.push_str("\\&");
        }
        for c in line.chars() {
            match c {
                '\\' => out.push_str("\\e"),
                '-' => out.push_str("\\-"),
                '\'' => out.push_str("\\(aq"),
                '`' => out.push_str("\\(ga"),
                '^' => out.push_str("\\(ha"),
                '~' => out.push_str("\\(ti"),
                c => out.push(c),
            }
        }
        out.push('\n');
    }
    out
}

fn section(page: &mut String, title: &str, text: &str) {
    page.push_str(&format!(".SH {title}\n{}", troff(text)));
}

/// Lines that keep their breaks.
fn verbatim(page: &mut String, title: &str, text: &str) {
    page.push_str(&format!(".SH {title}\n.nf\n{}.fi\n", troff(text)));
}

fn man(command: clap::Command, name: &str) -> Man {
    let man = Man::new(command).title(name.to_uppercase()).section("1");
    man.source(format!("nsdbg {VERSION}")).manual("Commands of nsdbg").date("")
}

fn rendered(render: impl Fn(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut bytes = Vec::new();
    render(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// nsdbg(1).
fn program() -> String {
    let command = crate::cli::command();
    let after = command.get_after_help().unwrap().to_string();
    let usage = command.clone().render_usage().to_string().replace("Usage: ", "");
    let man = man(command, "nsdbg");
    let mut page = rendered(|to| man.render_title(to)) + &rendered(|to| man.render_name_section(to));
    verbatim(&mut page, "SYNOPSIS", &usage.lines().map(str::trim).collect::<Vec<_>>().join("\n"));
    page += &rendered(|to| man.render_description_section(to));
    page += &rendered(|to| man.render_options_section(to));
    verbatim(&mut page, "TARGETS, EXAMPLES AND STATUS", &after);
    let names = REGISTRY.iter().map(|entry| format!("{} \u{2013} {}", entry.name, entry.about()));
    verbatim(&mut page, "COMMANDS", &names.collect::<Vec<_>>().join("\n"));
    let builtins = BUILTINS.iter().map(|builtin| builtin.name).collect::<Vec<_>>().join(", ");
    section(&mut page, "OF THE SESSION ITSELF", &format!("{builtins}: help explains each."));
    let pages = REGISTRY.iter().map(|entry| format!("nsdbg-{}(1)", entry.name)).collect::<Vec<_>>();
    section(&mut page, "SEE ALSO", &pages.join(", "));
    page
}

/// nsdbg-NAME(1).
fn command(entry: &Entry) -> String {
    let name = format!("nsdbg-{}", entry.name);
    let man = man(entry.full_parser().display_name(name.clone()), &name);
    let mut page = rendered(|to| man.render_title(to)) + &rendered(|to| man.render_name_section(to));
    page += &rendered(|to| man.render_synopsis_section(to));
    page += &rendered(|to| man.render_description_section(to));
    page += &rendered(|to| man.render_options_section(to));
    if !entry.aliases.is_empty() {
        section(&mut page, "ALSO TYPED AS", &entry.aliases.join(", "));
    }
    if !entry.fields.is_empty() {
        page.push_str(".SH FIELDS OF ROWS\n");
        for field in entry.fields {
            page.push_str(&format!(".TP\n.B {}{}", troff(field.name), troff(field.what)));
        }
    }
    let lines = entry.examples.iter().map(|example| format!("{}\n    {}", example.line, example.what));
    verbatim(&mut page, "EXAMPLES", &lines.collect::<Vec<_>>().join("\n"));
    section(&mut page, "SEE ALSO", "nsdbg(1)");
    page
}

/// The packages that the binary is linked of, by cargo's own resolution.
fn linked() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut metadata = Command::new(cargo);
    metadata.args([
        "metadata",
        "--locked",
        "--offline",
        "--format-version",
        "1",
        "--filter-platform",
        &triple,
    ]);
    let out = metadata.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let all: Value = serde_json::from_slice(&out.stdout).unwrap();
    let nodes = all["resolve"]["nodes"].as_array().unwrap();
    let mut seen = BTreeSet::new();
    let mut next = vec![all["resolve"]["root"].as_str().unwrap()];
    while let Some(id) = next.pop() {
        let node = nodes.iter().find(|node| node["id"] == id).unwrap();
        for dependency in node["deps"].as_array().unwrap() {
            let is_linked =
                dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
            let id = dependency["pkg"].as_str().unwrap();
            if is_linked && seen.insert(id) {
                next.push(id);
            }
        }
    }
    let packages = all["packages"].as_array().unwrap().iter();
    let mut packages: Vec<Value> =
        packages.filter(|it| seen.contains(it["id"].as_str().unwrap())).cloned().collect();
    packages.sort_by_key(|it| it["id"].to_string());
    packages
}

/// Files of a package that hold a licence, with their contents.
fn licence_files(package: &Value) -> BTreeMap<String, String> {
    let directory = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap();
    let is_one = |name: &str| {
        let upper = name.to_uppercase();
        ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "COPYRIGHT"]
            .iter()
            .any(|begin| upper.starts_with(begin))
    };
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file() && is_one(&path.file_name().unwrap().to_string_lossy()));
    let named = |path: std::path::PathBuf| {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).replace('\r', "");
        (path.file_name().unwrap().to_string_lossy().into_owned(), text.trim_end().to_owned())
    };
    files.map(named).collect()
}

/// The licences of all that is linked in; a text that several packages have is there once.
fn licences() -> String {
    let mut text = String::from(
        "nsdbg is under the MIT licence (LICENSE). Its binary holds the packages below, the Rust standard library (MIT or\n\
         Apache-2.0) and the C library that it was linked with: the GNU C Library (LGPL-2.1-or-later) or musl (MIT).\n",
    );
    let mut texts: Vec<(String, Vec<String>)> = Vec::new();
    for package in linked() {
        let name = format!("{} {}", package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        let licence = package["license"].as_str().unwrap_or("see its file");
        let files = licence_files(&package);
        let none = if files.is_empty() { ", without a file of its own" } else { "" };
        text.push_str(&format!("  {name}: {licence}{none}\n"));
        for (file, content) in files {
            let of = format!("{name}, {file}");
            match texts.iter_mut().find(|(known, _)| *known == content) {
                Some((_, names)) => names.push(of),
                None => texts.push((content, vec![of])),
            }
        }
    }
    for (content, names) in texts {
        text.push_str(&format!("\n{}\n{}\n\n{content}\n", "-".repeat(78), names.join("\n")));
    }
    text
}

#[test]
fn what_is_packaged_is_made_of_the_definitions() {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    files.insert("man/nsdbg.1".into(), program());
    for entry in REGISTRY {
        files.insert(format!("man/nsdbg-{}.1", entry.name), command(entry));
    }
    for (name, script) in [
        ("nsdbg", include_str!("completions/nsdbg.bash")),
        ("_nsdbg", include_str!("completions/_nsdbg")),
        ("nsdbg.fish", include_str!("completions/nsdbg.fish")),
    ] {
        files.insert(format!("completions/{name}"), script.to_owned());
    }
    files.insert("THIRD-PARTY-LICENSES".into(), licences());
    for (name, text) in &files {
        assert!(!text.contains(env!("CARGO_MANIFEST_DIR")), "{name} names this machine's paths");
        assert!(name.ends_with("LICENSES") || text.contains("nsdbg"), "{name}");
    }
    let page = &files["man/nsdbg.1"];
    for option in crate::cli::command().get_arguments().filter(|option| !option.is_hide_set()) {
        if let Some(long) = option.get_long() {
            assert!(
                page.contains(&troff(&format!("--{long}")).trim_end().to_owned()),
                "nsdbg(1) has no --{long}"
            );
        }
    }
    assert!(
        files["THIRD-PARTY-LICENSES"].contains("rustls ")
            && !files["THIRD-PARTY-LICENSES"].contains("rcgen ")
    );
    let Some(directory) = std::env::var_os("NSDBG_WRITE_PACKAGE") else { return };
    for (name, text) in files {
        let path = Path::new(&directory).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}
