//! The documentation that is generated of the registry: README's table of commands, and docs/json.md. This test holds the
//! files to it; `scripts/docs` writes them.

use std::fmt::Write;
use std::path::Path;

use super::{BUILTINS, Prints, REGISTRY};
use crate::out::field::IN_TARGET;

const BEGIN: &str = "<!-- commands: written by scripts/docs -->\n";
const END: &str = "<!-- end of commands -->\n";

/// The table of commands.
fn table() -> String {
    let mut text =
        String::from("| command | what it does | in place of | takes |\n| --- | --- | --- | --- |\n");
    for entry in REGISTRY {
        let names: Vec<String> =
            std::iter::once(&entry.name).chain(entry.aliases).map(|name| format!("`{name}`")).collect();
        let about = entry.about();
        let cell = |text: &str| text.replace('|', "\\|");
        let (replaces, takes) = (cell(entry.replaces), cell(entry.takes));
        let _ = writeln!(text, "| {} | {} | {replaces} | {takes} |", names.join(", "), cell(&about));
    }
    let builtins: Vec<String> = BUILTINS.iter().map(|builtin| format!("`{}`", builtin.name)).collect();
    let _ = writeln!(text, "\nOf the session itself: {}.", builtins.join(", "));
    text
}

/// docs/json.md.
fn json() -> String {
    let mut text = String::from(
        "# JSON\n\nWith `--json` a command that has rows prints one JSON object a line. The names of fields are stable. \
         Numbers are raw:\nbytes, seconds; times are RFC 3339 in UTC. What is not known is null, or left out. A name that is \
         not UTF-8, or begins\nwith `$'`, is spelled `$'…'` with `\\xHH` for each byte that is not printable ASCII. Faults are \
         objects on stderr:\n`command`, `op`, `path`, `errno`, `error`, `hint`.\n\n\
         With `--all` each of these objects begins with the field `in_target`, the name of its container; a line that is no \
         such\nobject, or has that field already, is text after that name and a colon. `kubectl\nnsdbg -l SELECTOR \
         --json` prints `{\"node\":…,\"namespace\":…,\"pod\":…,\"container\":…,\"row\":…}`, where `row` is such an object; a line\nthat \
         is none is the string `line` in place of `row`.\n\n`where`, `select`, `sort-by`, `first`, \
         `last` and `count` work on the rows of the command before them. This page is\nwritten by `scripts/docs`.\n",
    );
    for entry in REGISTRY.iter().filter(|entry| !entry.fields.is_empty()) {
        let _ = writeln!(text, "\n## {}\n\n{}.\n", entry.name, entry.about());
        text.push_str("| field | kind | what it says |\n| --- | --- | --- |\n");
        for field in entry.fields {
            let what = field.what.replace('|', "\\|");
            let _ = writeln!(text, "| `{}` | {} | {what} |", field.name, field.kind.name());
        }
    }
    text
}

/// README with the table of today.
fn readme(text: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, BEGIN, &table(), END, after].concat())
}

#[test]
fn the_documentation_is_what_the_registry_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = |name: &str| root.join(name);
    let before = std::fs::read_to_string(file("README.md")).unwrap();
    let wanted = [("README.md", readme(&before).expect("README has the marks")), ("docs/json.md", json())];
    for (name, text) in wanted {
        if std::env::var_os("NSDBG_WRITE_DOCS").is_some() {
            std::fs::write(file(name), &text).unwrap();
        }
        let is = std::fs::read_to_string(file(name)).unwrap_or_default();
        assert!(is == text, "{name} is not what the registry says: scripts/docs writes it");
    }
}

#[test]
fn every_command_is_documented() {
    for entry in REGISTRY {
        let name = entry.name;
        let about = entry.about();
        assert!(!about.is_empty() && !about.ends_with('.'), "{name}: what it does: {about}");
        assert!(!entry.examples.is_empty(), "{name} has no example");
        assert!(
            entry.prints == Prints::Bytes || entry.filters_rows || !entry.fields.is_empty(),
            "{name} has rows, but their fields are not documented"
        );
        for field in entry.fields {
            let plain = field.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            assert!(plain && !field.what.is_empty() && !field.what.ends_with('.'), "{name}: {}", field.name);
            assert_eq!(entry.fields.iter().filter(|other| other.name == field.name).count(), 1, "{name}");
            assert_ne!(field.name, IN_TARGET, "{name}");
        }
        for option in entry.full_parser().get_arguments() {
            assert!(option.get_help().is_some(), "{name}: {option} has no help");
        }
        assert!(entry.help().contains("Usage:"), "{name}");
    }
}
