//! What was typed for a copy between container and node, divided between its two processes.

use super::job::Argument;
use super::spawn::Prepared;
use crate::cmd::copy::copied_name;
use crate::cmd::{Accepts, Entry, NodeFiles, wants_next};
use crate::out::Fault;
use crate::out::name::escape;
use crate::shell::Pattern;

/// The processes that a command is, in the order of the pipe between them: itself, or it and its partner.
///
/// # Errors
/// Where a glob names a file of the node, or `-` is one of several.
pub fn divide(command: Prepared, partner: &'static Entry) -> Result<Vec<Prepared>, Fault> {
    let (options, operands) = split(command.entry, &command.arguments);
    // Of wrong use one process tells.
    if command.entry.parse(super::divide::words(&command)).is_err() {
        return Ok(vec![command]);
    }
    // What is not to be copied, the command itself tells: help, or what is missing.
    if options.contains(&Argument::Word(b"--help".to_vec())) {
        return Ok(vec![command]);
    }
    let is_get = partner.needs.files == NodeFiles::Write;
    let is_stream = |argument: &Argument| *argument == Argument::Word(b"-".to_vec());
    let (sources, destination) = match &operands[..] {
        [] => return Ok(vec![command]),
        [only] if is_get && !is_stream(only) => (operands.clone(), Argument::Word(b".".to_vec())),
        [_] => return Ok(vec![command]),
        [sources @ .., destination] => (sources.to_vec(), destination.clone()),
    };
    let streamed =
        if is_get { is_stream(&destination) } else { is_stream(&sources[0]) && sources.len() == 1 };
    if streamed {
        return Ok(vec![command]);
    }
    if sources.iter().any(is_stream) || is_stream(&destination) {
        return Err(Fault::usage("- is a stream: it is copied alone").with_hint("get PATH -, put - DEST"));
    }
    let of_node = if is_get { std::slice::from_ref(&destination) } else { &sources[..] };
    if of_node.iter().any(|argument| matches!(argument, Argument::Pattern(_))) {
        return Err(Fault::usage("a glob matches files of the container: it can't name the node's"));
    }
    let is_empty = sources[0] == Argument::Word(Vec::new());
    if is_get && operands.len() == 1 && !is_empty && copied_of(&sources[0]) == Some(b".") {
        let Argument::Word(path) = &sources[0] else { return Ok(vec![command]) };
        let cause = format!("{} has no name to copy under: give a destination", escape(path));
        return Err(Fault::usage(cause).with_hint("get PATH DEST"));
    }
    let with = |operands: &[Argument]| {
        let end = Argument::Word(b"--".to_vec());
        options.iter().chain([&end]).chain(operands).cloned().collect::<Vec<_>>()
    };
    let (from, to) = (with(&sources), with(std::slice::from_ref(&destination)));
    let accepts = is_get.then(|| accepts(&sources));
    let own = command.entry;
    let (first, last) = if is_get { (own, partner) } else { (partner, own) };
    Ok(vec![
        Prepared { is_partnered: true, feeds_partner: true, ..Prepared::new(first, from, Vec::new()) },
        Prepared { is_partnered: true, accepts, ..Prepared::new(last, to, command.redirects) },
    ])
}

/// Options with their values, and operands.
fn split(entry: &Entry, arguments: &[Argument]) -> (Vec<Argument>, Vec<Argument>) {
    let (mut options, mut operands) = (Vec::new(), Vec::new());
    let parser = entry.full_parser();
    let mut ended = false;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument {
            Argument::Word(word) if !ended && word == b"--" => ended = true,
            Argument::Word(word) if !ended && word.len() > 1 && word.starts_with(b"-") => {
                options.push(argument.clone());
                if wants_next(&parser, word) {
                    options.extend(arguments.next().cloned());
                }
            }
            _ => operands.push(argument.clone()),
        }
    }
    (options, operands)
}

fn copied_of(source: &Argument) -> Option<&[u8]> {
    match source {
        Argument::Word(word) => Some(copied_name(word)),
        Argument::Pattern(_) => None,
    }
}

/// The names that were asked for. The container's side could send any: `.ssh` into the operator's home directory.
fn accepts(sources: &[Argument]) -> Accepts {
    let names: Vec<Vec<u8>> = sources.iter().filter_map(copied_of).map(<[u8]>::to_vec).collect();
    let patterns: Vec<Pattern> = sources
        .iter()
        .filter_map(|source| match source {
            Argument::Pattern(encoded) => Pattern::from_bytes(encoded),
            Argument::Word(_) => None,
        })
        .collect();
    Box::new(move |name| {
        names.iter().any(|own| own == name) || patterns.iter().any(|pattern| pattern.takes_name(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd;
    use crate::shell::{Expanded, Variables, expand, parse};

    struct Empty;

    impl Variables for Empty {
        fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }

        fn status(&self) -> u8 {
            0
        }
    }

    fn arguments(line: &str) -> (&'static cmd::Entry, Vec<Argument>) {
        let line = parse(line.as_bytes()).unwrap();
        let words = &line.pipelines[0].1.stages[0].words;
        let mut words = words.iter().map(|word| match expand(word, &Empty).unwrap() {
            Expanded::Word(word) => Argument::Word(word),
            Expanded::Pattern(pattern) => Argument::Pattern(pattern.to_bytes()),
        });
        let Some(Argument::Word(name)) = words.next() else { panic!() };
        (cmd::find(std::str::from_utf8(&name).unwrap()).unwrap(), words.collect())
    }

    fn divided(line: &str) -> Result<Vec<String>, Fault> {
        let (entry, arguments) = arguments(line);
        let shown = |argument: &Argument| match argument {
            Argument::Word(word) => String::from_utf8_lossy(word).into_owned(),
            Argument::Pattern(_) => "GLOB".to_owned(),
        };
        let parts = divide(Prepared::new(entry, arguments, Vec::new()), cmd::partner(entry).unwrap())?;
        Ok(parts.iter().map(|part| part.arguments.iter().map(shown).collect::<Vec<_>>().join(" ")).collect())
    }

    #[test]
    fn each_side_gets_what_is_its_own() {
        for (line, sides) in [
            ("get /a", &["-- /a", "-- ."][..]),
            ("get -v /a b", &["-v -- /a", "-v -- b"]),
            ("get /a/* b c", &["-- GLOB b", "-- c"]),
            ("get /a b -n", &["-n -- /a b".trim_end_matches(" b"), "-n -- b"]),
            ("get -- -a b", &["-- -a", "-- b"]),
            ("get / x", &["-- /", "-- x"]),
            ("get /a -", &["/a -"]),
            ("get /a /b -", &["/a /b -"]),
            ("get --help", &["--help"]),
            ("get", &[""]),
            ("get -", &["-"]),
            ("put a b", &["-- a", "-- b"]),
            ("put a b /c*", &["-- a b", "-- GLOB"]),
            ("put - /c", &["- /c"]),
            ("put a", &["a"]),
            (
                "put --mode 600 a --owner=web b",
                &["--mode 600 --owner=web -- a", "--mode 600 --owner=web -- b"],
            ),
            ("put --mo 600 a b", &["--mo 600 -- a", "--mo 600 -- b"]),
            ("put --owner web - /c", &["--owner web - /c"]),
            ("put -vP a b", &["-vP -- a", "-vP -- b"]),
        ] {
            assert_eq!(divided(line).unwrap(), sides, "{line}");
        }
        for wrong in
            ["get /a b*", "put a* b", "put - a b", "put a -", "get - b", "get /", "get ..", "get -v /etc/."]
        {
            assert_eq!(divided(wrong).unwrap_err().status, 2, "{wrong}");
        }
    }

    #[test]
    fn only_what_was_asked_for_is_taken() {
        let (_, sources) = arguments("get /etc/hosts var/log/ '/a/b c' /x/*.l[oa]g");
        let takes = accepts(&sources);
        for name in ["hosts", "log", "b c", "a.log", "b.lag"] {
            assert!(takes(name.as_bytes()), "{name}");
        }
        for name in [".", ".ssh", "etc", "", ".x.log", "a.lug", "b"] {
            assert!(!takes(name.as_bytes()), "{name}");
        }
    }
}
