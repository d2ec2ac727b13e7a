//! Completion: commands, their options and words, and the container's paths.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustyline::completion::Pair;

use super::job::Task;
use super::{COMPLETION_LIMIT, INNER_LIMIT, Session, builtins, containers};
use crate::cmd::{self, Completion};
use crate::out::name::{escape, shell_quoted};
use crate::shell::{Cursor, word_at_cursor};
use crate::target::container::Container;

/// Where the word at the cursor begins, and what it may become.
pub fn candidates(session: &mut Session, line: &str, position: usize) -> (usize, Vec<Pair>) {
    let cursor = word_at_cursor(line, position);
    let prefix = String::from_utf8_lossy(&cursor.prefix).into_owned();
    let found = if cursor.is_file {
        paths(session, &cursor.prefix)
    } else {
        match cursor.words.first().map(|name| String::from_utf8_lossy(name).into_owned()) {
            None => words(&prefix, commands()),
            Some(name)
                if matches!(name.as_str(), "time" | "help")
                    && cursor.words.len() == 1
                    && !prefix.starts_with('-') =>
            {
                words(&prefix, commands())
            }
            Some(name) => arguments(session, &name, &cursor, &prefix),
        }
    };
    (cursor.start, found)
}

fn commands() -> Vec<String> {
    let mut names: Vec<String> = cmd::REGISTRY.iter().map(|entry| entry.name.to_owned()).collect();
    names.extend(builtins::NAMES.iter().map(|name| (*name).to_owned()));
    names.push("time".to_owned());
    names.sort_unstable();
    names
}

fn words(prefix: &str, all: Vec<String>) -> Vec<Pair> {
    all.into_iter()
        .filter(|word| word.starts_with(prefix))
        .map(|word| Pair { display: word.clone(), replacement: word + " " })
        .collect()
}

fn arguments(session: &mut Session, name: &str, cursor: &Cursor, prefix: &str) -> Vec<Pair> {
    if name == "switch" {
        return words(prefix, targets(session));
    }
    let Some(entry) = cmd::find(name) else { return paths(session, &cursor.prefix) };
    if prefix.starts_with('-') {
        let options = entry.full_parser().get_arguments().flat_map(cmd::spellings).collect::<Vec<_>>();
        return words(prefix, options);
    }
    let before: Vec<String> =
        cursor.words[1..].iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect();
    // The rows' fields, by the first command of the pipeline that has them.
    let mut sources = cursor.before.iter().filter_map(|name| cmd::find(std::str::from_utf8(name).ok()?));
    let source = sources.rfind(|source| !source.filters_rows);
    let fields = source.map_or(&[][..], |source| source.fields);
    match (entry.complete)(&Completion { words: &before, word: prefix, fields }) {
        Some(all) => words(prefix, all),
        None => paths(session, &cursor.prefix),
    }
}

/// Names of containers that can be switched to.
fn targets(session: &mut Session) -> Vec<String> {
    let listing = containers(session.options.host_root.as_deref(), COMPLETION_LIMIT).unwrap_or_default();
    let mut names: Vec<String> = listing
        .containers
        .iter()
        .filter(|container| container.is_named && !container.is_sandbox)
        .map(Container::full_name)
        .collect();
    names.sort_unstable();
    names.dedup();
    // What would have to be quoted or could change the terminal is not offered.
    names.retain(|name| name.bytes().all(|byte| byte.is_ascii_graphic()));
    names
}

/// The container's paths that begin so, listed by a process inside, within a short limit.
fn paths(session: &mut Session, prefix: &[u8]) -> Vec<Pair> {
    let cut = prefix.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (directory, name) = prefix.split_at(cut);
    let task = Task::Candidates { directory: directory.to_vec(), prefix: name.to_vec() };
    session.inner_limit = COMPLETION_LIMIT;
    let listed = session.run_inner(task, 1 << 20);
    session.inner_limit = INNER_LIMIT;
    // A directory that can't be listed completes to nothing.
    let listed = listed.unwrap_or_default();
    let mut found: Vec<Pair> = listed
        .split(|byte| *byte == 0)
        .filter_map(|entry| {
            let (kind, name) = entry.split_first()?;
            let end = if *kind == b'd' { "/" } else { "" };
            let mut whole = [directory, name].concat();
            whole.extend_from_slice(end.as_bytes());
            let space = if end.is_empty() { " " } else { "" };
            Some(Pair {
                display: escape(name) + end,
                replacement: shell_quoted(OsStr::from_bytes(&whole).as_bytes()) + space,
            })
        })
        .collect();
    found.sort_unstable_by(|a, b| a.display.cmp(&b.display));
    found
}
