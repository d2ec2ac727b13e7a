//! Completion: commands, their options, and what their arguments take, as the commands declare it.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use rustyline::completion::Pair;

use super::job::{Argument, Task};
use super::run::{Outcome, Pipeline};
use super::spawn::{Prepared, To};
use super::variables::is_name;
use super::{COMPLETION_LIMIT, Session, containers};
use crate::cmd::{self, BUILTINS, Completion, Entry, Takes};
use crate::out::name::{escape, shell_quoted};
use crate::out::relay::Pump;
use crate::out::{Fault, Field};
use crate::shell::{Cursor, word_at_cursor};
use crate::target::container::Container;

/// Candidates that are offered at once.
const MOST: usize = 1000;

/// The longest name that is offered; a longer one is no name that somebody types.
const LONGEST: usize = 4096;

/// The most that is kept of what a process tells of them.
const SAID: usize = 1 << 20;

/// One candidate.
struct Candidate {
    /// What the word becomes.
    word: Vec<u8>,
    /// What is shown, where that is more than the word.
    shown: Option<String>,
    /// Whether the word ends there.
    is_whole: bool,
}

impl From<String> for Candidate {
    fn from(word: String) -> Self {
        Self { word: word.into_bytes(), shown: None, is_whole: true }
    }
}

/// Where the word at the cursor begins, and what it may become.
pub fn candidates(session: &mut Session, line: &str, position: usize) -> (usize, Vec<Pair>) {
    session.inner_until = Some(Instant::now() + COMPLETION_LIMIT);
    let found = found(session, line, position);
    session.inner_until = None;
    found
}

fn found(session: &mut Session, line: &str, position: usize) -> (usize, Vec<Pair>) {
    let cursor = word_at_cursor(line, position);
    if let Some(at) = cursor.variable {
        let end = if line[..at].ends_with('{') { "}" } else { "" };
        let typed = line.get(at..position).unwrap_or_default();
        let names = variables(session).into_iter().filter(|name| name.starts_with(typed));
        return (at, names.map(|name| Pair { replacement: format!("{name}{end}"), display: name }).collect());
    }
    let at =
        |value_at, of| Value { cursor: &cursor, at: value_at, fields: &[], of, processes: OnceCell::new() };
    let mut words = cursor.words.iter().map(|word| String::from_utf8_lossy(word).into_owned());
    // The pipeline that `time` times begins behind it.
    let name = words.by_ref().find(|word| word != "time");
    let found = match name {
        _ if cursor.is_file => at(0, Takes::Path).candidates(session),
        None => at(0, Takes::Command).candidates(session),
        Some(name) => match BUILTINS.iter().find(|builtin| builtin.name == name) {
            Some(builtin) => at(0, builtin.takes).candidates(session),
            None => match cmd::resolve(&name) {
                Some((entry, _)) => arguments(session, entry, &words.collect::<Vec<_>>(), &cursor),
                None => Vec::new(),
            },
        },
    };
    (cursor.start, found)
}

/// What a word of a command may become.
fn arguments(session: &mut Session, entry: &'static Entry, before: &[String], cursor: &Cursor) -> Vec<Pair> {
    let word = String::from_utf8_lossy(&cursor.prefix).into_owned();
    let parser = entry.full_parser();
    let slot = cmd::slot(&parser, before, &word);
    let known = Completion { words: before, operands: slot.operands, word: &word };
    let depends = if slot.is_operand || slot.is_option { (entry.complete)(&known) } else { None };
    if slot.is_option {
        let mut words: Vec<String> = cmd::options(&parser).map(|(option, _)| option).collect();
        words.extend(depends.iter().flat_map(Takes::words));
        return pairs(words.into_iter().map(Candidate::from), cursor, 0);
    }
    let takes = depends.unwrap_or(slot.takes());
    let at = slot.begin(&cursor.prefix, takes);
    let values = slot.values();
    if !values.is_empty() {
        return pairs(values.iter().map(|value| value.get_name().to_owned().into()), cursor, at);
    }
    // The rows' fields, by the first command of the pipeline that has them.
    let mut sources = cursor.before.iter().filter_map(|name| cmd::find(std::str::from_utf8(name).ok()?));
    let fields = sources.rfind(|source| !source.filters_rows).map_or(&[][..], |source| source.fields);
    Value { cursor, at, fields, of: takes, processes: OnceCell::new() }.candidates(session)
}

/// Those that go on from what is typed behind `at` of the word.
fn pairs(found: impl Iterator<Item = Candidate>, cursor: &Cursor, at: usize) -> Vec<Pair> {
    let (fixed, typed) = cursor.prefix.split_at(at.min(cursor.prefix.len()));
    found
        .filter(|candidate| candidate.word.starts_with(typed) && candidate.word.len() <= LONGEST)
        .take(MOST)
        .map(|candidate| Pair {
            display: candidate.shown.unwrap_or_else(|| escape(&candidate.word)),
            replacement: shell_quoted(&[fixed, &candidate.word].concat())
                + if candidate.is_whole { " " } else { "" },
        })
        .collect()
}

/// A value at the cursor.
struct Value<'a> {
    cursor: &'a Cursor,
    /// Where in the word it begins.
    at: usize,
    /// For a command that works on rows: their fields.
    fields: &'a [Field],
    /// What it is.
    of: Takes,
    /// The container's processes, once they were asked for.
    processes: OnceCell<Vec<(String, String)>>,
}

impl Value<'_> {
    /// What it may become.
    fn candidates(&self, session: &mut Session) -> Vec<Pair> {
        let of = match self.of {
            Takes::List(of) => *of,
            of => of,
        };
        let at = self.at;
        let typed = self.cursor.prefix.get(at..).unwrap_or_default();
        let mut found = pairs(self.all(session, &of, typed).into_iter(), self.cursor, at);
        // Both sides of a copy may have it.
        let mut seen = HashSet::new();
        found.retain(|pair| seen.insert(pair.replacement.clone()));
        found
    }

    fn all(&self, session: &mut Session, of: &Takes, typed: &[u8]) -> Vec<Candidate> {
        let words = |all: Vec<String>| all.into_iter().map(Candidate::from).collect();
        match of {
            Takes::Nothing | Takes::List(_) => Vec::new(),
            Takes::Words(_) | Takes::Signal => words(of.words()),
            Takes::Command => words(cmd::names()),
            Takes::Path => match typed.strip_prefix(b"@host:") {
                Some(path) => paths(session, b"@host:", path, true),
                None => paths(session, b"", typed, false),
            },
            Takes::Directory => {
                let all = paths(session, b"", typed, false);
                all.into_iter().filter(|candidate| !candidate.is_whole).collect()
            }
            Takes::NodePath => match typed.strip_prefix(b"@host:") {
                Some(path) => paths(session, b"@host:", path, true),
                None => paths(session, b"", typed, true),
            },
            Takes::Pid => {
                let shown = |(pid, name): &(String, String)| Candidate {
                    shown: Some(format!("{pid} {}", escape(name.as_bytes()))),
                    ..pid.clone().into()
                };
                self.processes.get_or_init(|| processes(session)).iter().map(shown).collect()
            }
            Takes::ProcessName => {
                let all = self.processes.get_or_init(|| processes(session)).iter();
                // `ps` spells what can't be printed by a backslash: that is not what would be typed.
                let names = all.map(|process| process.1.clone()).filter(|name| !name.contains('\\'));
                let mut names: Vec<String> = names.collect();
                names.sort_unstable();
                names.dedup();
                words(names)
            }
            Takes::User | Takes::Group => {
                let users = session.hello.as_ref().map(|hello| hello.users.clone()).unwrap_or_default();
                let names: Vec<String> = match of {
                    Takes::User => users.users().map(|user| user.name.to_owned()).collect(),
                    _ => users.groups().map(|group| group.name.to_owned()).collect(),
                };
                words(names)
            }
            Takes::Interface => words(interfaces(session)),
            Takes::Variable => words(variables(session)),
            Takes::Assignment => {
                let names = variables(session).into_iter();
                names.map(|name| Candidate { is_whole: false, ..format!("{name}=").into() }).collect()
            }
            Takes::Target | Takes::Pod | Takes::KubernetesNamespace => words(on_node(session, of)),
            Takes::RowField => self.fields.iter().map(|field| field.name.to_owned().into()).collect(),
            Takes::Any(several) => several.iter().flat_map(|of| self.all(session, of, typed)).collect(),
        }
    }
}

/// Names of the session's variables, as far as they can be typed.
fn variables(session: &Session) -> Vec<String> {
    let names = session.variables.all().iter().map(|(name, _)| name.as_bytes());
    let mut names: Vec<String> =
        names.filter(|name| is_name(name)).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.sort_unstable();
    names
}

/// Containers of the node, their pods or the namespaces of these.
fn on_node(session: &Session, of: &Takes) -> Vec<String> {
    let left = session.inner_limits().timeout.unwrap_or(COMPLETION_LIMIT);
    let listing = containers(session.options.host_root.as_deref(), left).unwrap_or_default();
    names_of(&listing.containers, of)
}

/// Containers that can be looked into, their pods, or the namespaces of these, as far as they can be typed as they are.
pub fn names_of(containers: &[Container], of: &Takes) -> Vec<String> {
    let named = containers.iter().filter(|container| container.is_named && !container.is_sandbox);
    let name = |container: &Container| match (of, &container.pod) {
        (Takes::Pod, pod) => Some(pod.as_ref()?.name.clone()),
        (Takes::KubernetesNamespace, pod) => Some(pod.as_ref()?.namespace.clone()),
        _ => Some(container.full_name()),
    };
    let mut names: Vec<String> = named.filter_map(name).collect();
    names.sort_unstable();
    names.dedup();
    // What would have to be quoted, is an option, or could change the terminal is not offered.
    names.retain(|name| name.is_ascii() && !name.starts_with('-') && shell_quoted(name.as_bytes()) == *name);
    names
}

/// The container's processes: PIDs and names, as `ps` tells them.
fn processes(session: &mut Session) -> Vec<(String, String)> {
    let said = session.asked("ps", &["-e", "-o", "pid=,comm="]);
    let text = String::from_utf8_lossy(&said);
    let process = |line: &str| {
        let (pid, name) = line.trim_start().split_once(' ').unwrap_or((line.trim(), ""));
        pid.bytes().all(|byte| byte.is_ascii_digit()).then(|| (pid.to_owned(), name.trim().to_owned()))
    };
    text.lines().filter_map(process).collect()
}

/// The container's interfaces, as `ip` tells them.
fn interfaces(session: &mut Session) -> Vec<String> {
    let said = session.asked("ip", &["--json", "link"]);
    let rows = said.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let names = rows.filter_map(|row: serde_json::Value| Some(row.get("interface")?.as_str()?.to_owned()));
    // What is no text would have to be spelled.
    names.filter(|name| !name.starts_with("$'")).collect()
}

/// Paths of the container, or of the node, that begin so, listed by a process there. `mark` is put before them.
fn paths(session: &mut Session, mark: &[u8], typed: &[u8], is_of_node: bool) -> Vec<Candidate> {
    let cut = typed.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (directory, name) = typed.split_at(cut);
    let task = Task::Candidates { directory: directory.to_vec(), prefix: name.to_vec() };
    // A directory that can't be listed completes to nothing.
    let listed = if is_of_node { session.listed_on_node(task) } else { session.run_inner(task, SAID) };
    let mut found: Vec<Candidate> = listed
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .filter_map(|entry| {
            let (kind, name) = entry.split_first()?;
            let is_directory = *kind == b'd';
            let end = if is_directory { "/" } else { "" };
            let word = [mark, directory, name, end.as_bytes()].concat();
            Some(Candidate { word, shown: Some(escape(name) + end), is_whole: !is_directory })
        })
        .collect();
    found.sort_unstable_by(|a, b| a.shown.cmp(&b.shown));
    found
}

impl Session {
    /// What a command that runs outside prints, within the time that completion has.
    fn asked(&mut self, name: &str, words: &[&str]) -> Vec<u8> {
        let Some(entry) = cmd::find(name) else { return Vec::new() };
        let words = words.iter().map(|word| Argument::Word(word.as_bytes().to_vec())).collect();
        let command = Prepared::new(entry, words, Vec::new());
        // Text is read here, whatever the operator is shown.
        let json = std::mem::take(&mut self.options.json);
        let mut outcome = Outcome::default();
        let started = self.start(vec![command], To::Memory(SAID), false, &mut outcome);
        self.options.json = json;
        let said = started.map(|pipeline| self.said_by(pipeline, outcome));
        said.ok().and_then(|mut said| said.pop()).unwrap_or_default()
    }

    fn listed_on_node(&mut self, task: Task) -> Result<Vec<u8>, Fault> {
        // What reads files of the node for `put` reads them for the operator.
        let reader = cmd::find("put").and_then(cmd::partner);
        reader.map_or_else(|| Ok(Vec::new()), |reader| self.run_on_node(reader, task, SAID))
    }

    fn said_by(&self, mut pipeline: Pipeline, mut outcome: Outcome) -> Vec<Vec<u8>> {
        pipeline.run(&self.inner_limits(), &mut outcome);
        pipeline.pumps.into_iter().map(Pump::into_memory).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::container::tests::{container, pod};

    #[test]
    fn names_that_a_shell_reads_as_something_else_are_not_offered() {
        let odd = ["-x", "--root", "evil$(id)", "a b", "a;b", "*", "~", "é", "\x1b[31m", ""];
        let mut all: Vec<Container> = odd.iter().map(|name| container(name, "aaaa", None)).collect();
        all.push(container("web@1000", "bbbb", None));
        all.push(pod("prod", "web-0", "app", "cccc"));
        assert_eq!(names_of(&all, &Takes::Target), ["prod/web-0/app", "web@1000"]);
        assert_eq!(names_of(&all, &Takes::Pod), ["web-0"]);
        assert_eq!(names_of(&all, &Takes::KubernetesNamespace), ["prod"]);
    }
}
