//! `help`.

use super::{
    Command, Completion, Context, Example, Fault, Place, Prints, REGISTRY, Result, Status, find, nearest,
};
use crate::out::Output;
use crate::out::table::NoRow;

/// List the commands, or explain one.
#[derive(clap::Parser)]
pub struct Help {
    /// The command to explain
    command: Option<String>,
}

/// The commands that change the session and are run by it: name, usage, what it does.
pub const BUILTINS: &[(&str, &str, &str)] = &[
    ("cd", "cd [DIRECTORY | -]", "Change the session's directory; without one, to $HOME"),
    ("exit", "exit [STATUS]", "Leave; also quit and Ctrl-D"),
    ("export", "export [NAME=VALUE | NAME]...", "Set variables of the session; without one, list them"),
    ("switch", "switch TARGET", "Look into another container from now on; targets lists them"),
    ("time", "time COMMAND", "Say how long a pipeline takes"),
    ("unset", "unset NAME...", "Remove variables of the session"),
];

const GRAMMAR: &str = "\
Words: '…' \"…\" $'\\xHH' and \\ quote; $NAME ${NAME} $? are replaced;
* ? [a-z] match the container's files.
Lines: | > >> < 2> 2>> 2>&1 ; && || # work as in a shell.
@host:/path in a redirection or an option is a file of the node.
Ctrl-C ends the running command, Ctrl-D leaves, Tab completes.
help COMMAND, or COMMAND --help, explains a command.
";

impl Command for Help {
    type Row = NoRow;
    const PLACE: Place = Place::Node;
    const PRINTS: Prints = Prints::Bytes;
    const EXAMPLES: &'static [Example] =
        &[Example { line: "help", what: "all commands" }, Example { line: "help ls", what: "one of them" }];

    fn run(self, _: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let page = match &self.command {
            None => overview(),
            Some(name) => match (find(name), BUILTINS.iter().find(|builtin| builtin.0 == name)) {
                (Some(entry), _) => entry.help(),
                (None, Some((_, usage, about))) => format!("{about}\n\nUsage: {usage}\n"),
                (None, None) => return Err(unknown(name)),
            },
        };
        out.bytes()
            .write_all(page.as_bytes())
            .map_err(|error| Fault::io("write", "standard output", &error))?;
        Ok(Status::OK)
    }

    fn complete(_: &Completion) -> Option<Vec<String>> {
        let names = REGISTRY.iter().map(|entry| entry.name).chain(BUILTINS.iter().map(|builtin| builtin.0));
        Some(names.map(str::to_owned).collect())
    }
}

fn unknown(name: &str) -> Fault {
    let fault = Fault::text("", name, "no such command");
    match nearest(name, &[]) {
        Some(near) => fault.with_hint(format!("did you mean {near}?")),
        None => fault.with_hint("help lists them"),
    }
}

fn overview() -> String {
    let mut lines: Vec<(String, String)> =
        REGISTRY.iter().map(|entry| (entry.name.to_owned(), entry.about())).collect();
    lines.extend(BUILTINS.iter().map(|(name, _, about)| ((*name).to_owned(), (*about).to_owned())));
    lines.sort_unstable();
    let mut page = String::from("Commands:\n");
    for (name, about) in lines {
        page.push_str(&format!("  {name:<8}  {about}\n"));
    }
    page.push('\n');
    page.push_str(GRAMMAR);
    page
}
