//! `help`.

use super::{
    Command, Context, Entry, Example, Fault, Place, Prints, REGISTRY, Result, Status, Takes, resolve, unknown,
};
use crate::out::field::{field, more};
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};

/// List the commands, or explain one.
///
/// With --json one row for each command, with its options, examples and the fields of its rows.
#[derive(clap::Parser)]
pub struct Help {
    /// The command to explain
    #[arg(add = Takes::Command)]
    command: Option<String>,
}

/// A command in JSON.
#[derive(serde::Serialize)]
struct Page {
    name: &'static str,
    aliases: &'static [&'static str],
    about: String,
    replaces: &'static str,
    takes: &'static str,
    place: &'static str,
    prints: &'static str,
    options: Vec<String>,
    examples: Vec<Shown>,
    fields: Vec<Documented>,
}

#[derive(serde::Serialize)]
struct Shown {
    line: &'static str,
    what: &'static str,
}

#[derive(serde::Serialize)]
struct Documented {
    name: &'static str,
    kind: &'static str,
    what: &'static str,
}

fn page(entry: &'static Entry) -> Page {
    Page {
        name: entry.name,
        aliases: entry.aliases,
        about: entry.about(),
        replaces: entry.replaces,
        takes: entry.takes,
        place: match entry.place {
            Place::Inside => "inside",
            Place::Watch => "watch",
            Place::Node => "node",
        },
        prints: match entry.prints {
            _ if entry.filters_rows => "the rows that come in",
            Prints::Rows => "rows",
            Prints::Bytes => "bytes",
            Prints::BytesOrObject => "bytes, or an object",
        },
        options: entry.full_parser().get_arguments().flat_map(spellings).collect(),
        examples: entry.examples.iter().map(|e| Shown { line: e.line, what: e.what }).collect(),
        fields: entry
            .fields
            .iter()
            .map(|f| Documented { name: f.name, kind: f.kind.name(), what: f.what })
            .collect(),
    }
}

/// An option as it is typed: `--all`, `-a`.
pub fn spellings(option: &clap::Arg) -> Vec<String> {
    let long = option.get_long().map(|long| format!("--{long}"));
    let short = option.get_short().map(|short| format!("-{short}"));
    long.into_iter().chain(short).collect()
}

/// A command that changes the session and is run by it.
pub struct Builtin {
    /// What is typed.
    pub name: &'static str,
    /// How it is used.
    pub usage: &'static str,
    /// What it does.
    pub about: &'static str,
    /// What its arguments are.
    pub takes: Takes,
}

impl Builtin {
    /// Its help.
    pub fn page(&self) -> String {
        format!("{}\n\nUsage: {}\n", self.about, self.usage)
    }
}

const fn builtin(name: &'static str, usage: &'static str, about: &'static str, takes: Takes) -> Builtin {
    Builtin { name, usage, about, takes }
}

/// All of them.
pub const BUILTINS: &[Builtin] = &[
    builtin(
        "cd",
        "cd [DIRECTORY | -]",
        "Change the session's directory; without one, to $HOME",
        Takes::Directory,
    ),
    builtin("exit", "exit [STATUS]", "Leave; also quit and Ctrl-D", Takes::Nothing),
    builtin(
        "export",
        "export [NAME=VALUE | NAME]...",
        "Set variables of the session; without one, list them",
        Takes::Assignment,
    ),
    builtin(
        "switch",
        "switch TARGET",
        "Look into another container from now on; targets lists them",
        Takes::Target,
    ),
    builtin("time", "time COMMAND", "Say how long a pipeline takes", Takes::Command),
    builtin("unset", "unset NAME...", "Remove variables of the session", Takes::Variable),
];

const GRAMMAR: &str = "\
Words: '…' \"…\" $'\\xHH' and \\ quote; $NAME ${NAME} $? are replaced;
* ? [a-z] match the container's files.
Lines: | > >> < 2> 2>> 2>&1 ; && || # work as in a shell.
@host:/path in a redirection or an option is a file of the node.
Ctrl-C ends the running command, Ctrl-D leaves, Tab completes what an argument takes.
help COMMAND, or COMMAND --help, explains a command.
";

impl Command for Help {
    type Row = NoRow;
    const PLACE: Place = Place::Node;
    const REPLACES: &'static str = "man";
    const FIELDS: &'static [Field] = &[
        field("name", Kind::Text, "what is typed"),
        more("aliases", Kind::List, "other names"),
        field("about", Kind::Text, "what it does"),
        field("replaces", Kind::Text, "what people use elsewhere"),
        more("takes", Kind::Text, "what it takes of the kernel or the target"),
        more("place", Kind::Text, "where it runs: inside, watch (outside, looking in), node"),
        more("prints", Kind::Text, "rows or bytes"),
        more("options", Kind::List, "its options"),
        more("examples", Kind::Object, "line, what"),
        more("fields", Kind::Object, "of its rows: name, kind, what"),
    ];
    const EXAMPLES: &'static [Example] =
        &[Example { line: "help", what: "all commands" }, Example { line: "help ls", what: "one of them" }];

    fn run(self, _: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        if out.is_json() {
            let one = match &self.command {
                Some(name) => Some(resolve(name).ok_or_else(|| unknown(name, None).with_status(1))?.0),
                None => None,
            };
            for entry in REGISTRY.iter().filter(|entry| one.is_none_or(|one| one.name == entry.name)) {
                out.json(&page(entry)).map_err(Fault::output)?;
            }
            return Ok(Status::OK);
        }
        let page = match &self.command {
            None => overview(),
            Some(name) => match (resolve(name), BUILTINS.iter().find(|builtin| builtin.name == name)) {
                (Some((entry, _)), _) => entry.help(),
                (None, Some(builtin)) => builtin.page(),
                (None, None) => return Err(unknown(name, None).with_status(1)),
            },
        };
        out.bytes().write_all(page.as_bytes()).map_err(Fault::output)?;
        Ok(Status::OK)
    }
}

fn overview() -> String {
    let mut lines: Vec<(String, String)> =
        REGISTRY.iter().map(|entry| (entry.name.to_owned(), entry.about())).collect();
    lines.extend(BUILTINS.iter().map(|builtin| (builtin.name.to_owned(), builtin.about.to_owned())));
    lines.sort_unstable();
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut page = String::from("Commands:\n");
    for (name, about) in lines {
        page.push_str(&format!("  {name:<width$}  {about}\n"));
    }
    page.push('\n');
    page.push_str(GRAMMAR);
    page
}
