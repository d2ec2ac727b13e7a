//! Completion in the shells of the node: `nsdbg --complete LINE` prints what the last word of a line may become, for the
//! scripts in `completions`. A line each: the word, and behind a tab what it is.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::cmd::{self, Completion};
use crate::out::Fault;
use crate::out::fault::printed;
use crate::out::name::{escape, shell_quoted};
use crate::session::{containers, names_of};
use crate::shell::word_at_cursor;
use crate::takes::Takes;

/// Who types does not wait longer for names of containers.
const LIMIT: Duration = Duration::from_millis(500);

/// The status where the word is a file of the node, which the shell itself completes.
const FILES: u8 = 3;

/// A word, and what it is.
type Candidate = (String, String);

/// What the operand of a command takes, as [`cmd::Entry`] has it.
type Complete = fn(&Completion) -> Option<Takes>;

/// Prints the candidates of a line; the status.
///
/// # Errors
/// Where they can't be printed.
pub fn run(line: &str) -> Result<u8, Fault> {
    let Some(found) = candidates(line) else { return Ok(FILES) };
    let mut text = String::new();
    for (word, what) in found {
        text.push_str(&format!("{word}\t{}\n", escape(what.as_bytes())));
    }
    printed(std::io::stdout().write_all(text.as_bytes()))
}

/// None where the node's files are candidates.
fn candidates(line: &str) -> Option<Vec<Candidate>> {
    let cursor = word_at_cursor(line, line.len());
    let lossy = |word: &Vec<u8>| String::from_utf8_lossy(word).into_owned();
    let words: Vec<String> = cursor.words.iter().skip(1).map(lossy).collect();
    let word = lossy(&cursor.prefix);
    let Some(dashes) = words.iter().position(|word| word == "--") else {
        return of(&crate::cli::command(), &words, &word, None, host_root(&words));
    };
    let Some((name, before)) = words[dashes + 1..].split_first() else {
        let names = cmd::names().into_iter().filter(|name| name.starts_with(&word));
        let about = |name: &str| cmd::find(name).map(cmd::Entry::about).unwrap_or_default();
        let described = |name: String| (name.clone(), about(&name));
        return Some(names.map(described).collect());
    };
    match cmd::resolve(name) {
        Some((entry, _)) => of(&entry.full_parser(), before, &word, Some(entry.complete), None),
        None => Some(Vec::new()),
    }
}

/// What a word may become behind others, of a parser.
fn of(
    parser: &clap::Command,
    before: &[String],
    word: &str,
    complete: Option<Complete>,
    host_root: Option<&str>,
) -> Option<Vec<Candidate>> {
    let slot = cmd::slot(parser, before, word);
    let known = Completion { words: before, operands: slot.operands, word };
    let asked = complete.filter(|_| slot.is_operand || slot.is_option);
    let takes = asked.and_then(|complete| complete(&known)).unwrap_or(slot.takes());
    let at = slot.begin(word.as_bytes(), takes);
    let plain = |words: Vec<String>| words.into_iter().map(|word| (word, String::new())).collect();
    let mut all: Vec<Candidate> = match slot.values() {
        _ if slot.is_option => {
            let help = |arg: &clap::Arg| arg.get_help().map(ToString::to_string).unwrap_or_default();
            let options = cmd::options(parser).map(|(option, arg)| (option, help(arg)));
            options.chain(takes.words().into_iter().map(|word| (word, String::new()))).collect()
        }
        values if !values.is_empty() => {
            plain(values.iter().map(|value| value.get_name().to_owned()).collect())
        }
        _ => match takes {
            Takes::NodePath => return None,
            Takes::Target | Takes::Pod | Takes::KubernetesNamespace => {
                let listing = containers(host_root.map(Path::new), LIMIT).unwrap_or_default();
                plain(names_of(&listing.containers, &takes))
            }
            Takes::List(of) => plain(of.words()),
            Takes::Any(several) => plain(several.iter().flat_map(Takes::words).collect()),
            takes => plain(takes.words()),
        },
    };
    let (fixed, typed) = word.split_at(at);
    // What the shell would read as something else is not offered.
    all.retain(|(found, _)| found.starts_with(typed) && shell_quoted(found.as_bytes()) == *found);
    Some(all.into_iter().map(|(found, what)| (format!("{fixed}{found}"), what)).collect())
}

/// Where the node's root is, if the line says it.
fn host_root(words: &[String]) -> Option<&str> {
    let at = words.iter().position(|word| word == "--host-root");
    let next = at.and_then(|at| words.get(at + 1)).map(String::as_str);
    next.or_else(|| words.iter().find_map(|word| word.strip_prefix("--host-root=")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> String {
        let found = candidates(line).expect("not a file");
        found.into_iter().map(|(word, _)| word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn options_their_values_and_commands_are_offered() {
        for (line, wanted) in [
            ("nsdbg --reas", "--reason"),
            ("nsdbg --runtime po", "podman"),
            ("nsdbg --runtime=po", "--runtime=podman"),
            ("nsdbg web --ns -n", "-net"),
            ("nsdbg web --ns=-pid,-n", "--ns=-pid,-net"),
            ("nsdbg web --cap-add NET_R", "NET_RAW"),
            ("nsdbg --completions f", "fish"),
            ("nsdbg web -- lso", "lsof"),
            ("nsdbg web -- ls --almo", "--almost-all"),
            ("nsdbg web -- ls --sort=ext", "--sort=extension"),
            ("nsdbg web -- kill -TER", "-TERM"),
            ("nsdbg web -- kill -s HU", "HUP"),
            ("nsdbg web -- ps -o pid,nlw", "pid,nlwp"),
            ("nsdbg web -- find / -na", "-name"),
            ("nsdbg web -- netstat --state est", "established"),
            ("nsdbg web -- nosuch ", ""),
            ("nsdbg web -- cat /et", ""),
            ("nsdbg web --user ro", ""),
            ("nsdbg --complet", "--completions"),
        ] {
            assert_eq!(words(line), wanted, "{line}");
        }
        assert!(candidates("nsdbg --host-root /pr").is_none());
        assert!(candidates("nsdbg web -- put /pr").is_none());
    }
}
