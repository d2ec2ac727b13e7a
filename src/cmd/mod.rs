//! Commands: the trait that each implements, how one is run, and the registry of all.
//!
//! A command is one file (or folder) here and one line in [`REGISTRY`].

mod arguments;
pub mod context;
mod registry;

mod cat;
mod certs;
pub(crate) mod cgroup;
mod color;
pub mod copy;
pub mod denied;
pub(crate) mod df;
mod dns;
#[cfg(test)]
mod docs;
pub(crate) mod doctor;
mod du;
mod echo;
mod elsewhere;
mod env;
pub(crate) mod file;
mod find;
mod free;
mod grep;
mod head;
mod help;
mod history;
pub(crate) mod http;
mod info;
mod input;
mod instead;
mod ip;
mod kill;
mod ldd;
pub(crate) mod loader;
pub mod lookup;
mod ls;
mod lsof;
mod mounts;
mod nc;
pub(crate) mod net;
mod netstat;
mod ping;
pub(crate) mod proc;
pub(crate) mod ps;
mod pstree;
mod pwd;
mod readlink;
mod rows;
mod sleep;
mod sort;
mod stat;
mod sums;
mod tail;
mod targets;
mod tcp;
mod text;
pub(crate) mod tls;
mod truth;
mod uniq;
mod users;
mod wc;
mod who;
mod why;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::ArgAction;

pub use crate::takes::Takes;
pub use arguments::{options, sentence, slot, wants_next};
pub use context::{Accepts, Context, HostFile, Watch};
pub(crate) use free::left_for_us;
pub use help::{BUILTINS, Builtin, spellings};
pub use input::refusal;
pub use instead::{resolve, unknown};
pub use registry::{REGISTRY, find, names, nearest, nearest_of, partner};

use crate::out::{Fault, Field, Format, Output, Row};

/// The exit status of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u8);

impl Status {
    /// 0.
    pub const OK: Self = Self(0);
    /// Wrong use.
    pub const USAGE: Self = Self(2);
}

/// What a command's run returns: its status, or the fault that ended it.
pub type Result<T> = std::result::Result<T, Fault>;

/// Where a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the container, as the target's user. What touches its files or talks on its network.
    Inside,
    /// Outside, with a procfs of the target's PID namespace and sockets of its network namespace.
    Watch,
    /// On the node, outside, with nothing of the container.
    Node,
}

/// What a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// It reads stdin, at least with some arguments; others get `/dev/null`.
    pub stdin: bool,
    /// It shows names of users: the container's passwd and group are read for it.
    pub users: bool,
    /// It asks netlink of the target's network namespace.
    pub netlink: bool,
    /// It looks at the node: its processes, its runtimes' files.
    pub host: bool,
    /// It is given the target's mountinfo.
    pub mounts: bool,
    /// It is told which file the target's program is, and the target's own PID.
    pub program: bool,
    /// It holds what it reads: it is told how much memory nsdbg's own cgroup has left.
    pub memory: bool,
    /// It runs inside and looks processes up, at least with some arguments: one outside answers it.
    pub processes: bool,
    /// It reads or writes files of the node that the operator names.
    pub files: NodeFiles,
}

/// What a command on the node does with files there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeFiles {
    /// It has none.
    None,
    /// It reads what it is named, and what is below.
    Read,
    /// It writes below one directory, which is all that it sees.
    Write,
}

/// Where a command on the node writes.
#[derive(Debug, Clone)]
pub struct Target {
    /// A directory, or a new name in one.
    pub path: OsString,
    /// Whether files are given to other users.
    pub owner: bool,
}

impl Needs {
    /// Nothing.
    pub const NONE: Self = Self {
        stdin: false,
        users: false,
        netlink: false,
        host: false,
        mounts: false,
        program: false,
        memory: false,
        processes: false,
        files: NodeFiles::None,
    };
    /// It reads stdin.
    pub const STDIN: Self = Self { stdin: true, ..Self::NONE };
}

/// What a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prints {
    /// Rows, or a layout rendered from them: takes `--json`.
    Rows,
    /// Bytes of files: refuses `--json`; colours in them are not ours and are shown escaped.
    Bytes,
    /// Bytes, or one object with `--json`.
    BytesOrObject,
}

/// One example of a command, shown by its help and run by the tests.
pub struct Example {
    /// The line to type.
    pub line: &'static str,
    /// What it does, in a few words.
    pub what: &'static str,
}

/// What is known when an operand is to be completed.
pub struct Completion<'a> {
    /// The words between the command and the cursor.
    pub words: &'a [String],
    /// How many of them are operands.
    pub operands: usize,
    /// The word at the cursor, as far as it is typed.
    pub word: &'a str,
}

/// A command: the struct's fields are its options, its doc comments its help.
pub trait Command: clap::Parser + Sized + 'static {
    /// Its typed row; [`crate::out::table::NoRow`] for a command that prints bytes.
    type Row: Row;
    /// Where it runs.
    const PLACE: Place;
    /// What it needs.
    const NEEDS: Needs = Needs::NONE;
    /// What it prints.
    const PRINTS: Prints = Prints::Rows;
    /// Whether it colours its output on a terminal. All that it prints of the container is escaped then; of every other
    /// command no colour reaches the terminal.
    const COLORS: bool = false;
    /// What people use elsewhere: `coreutils ls`; empty for what there is only here.
    const REPLACES: &'static str = "";
    /// What it takes of the kernel or the target, for the documentation; empty where that is nothing.
    const TAKES: &'static str = "";
    /// The fields of its JSON rows, all that it can have.
    const FIELDS: &'static [Field] = &[];
    /// Whether it works on the rows of the command before it.
    const FILTERS_ROWS: bool = false;
    /// Examples for the help.
    const EXAMPLES: &'static [Example];

    /// Rewrites old forms of arguments (`ps aux`, `head -5`) into options, before they are parsed.
    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        args
    }

    /// Whether it reads stdin with these arguments.
    fn reads_stdin(&self) -> bool {
        Self::NEEDS.stdin
    }

    /// Whether it looks processes up with these arguments.
    fn reads_processes(&self) -> bool {
        Self::NEEDS.processes
    }

    /// The node's files that its options name (`@host:/path`): opened by the supervisor, reached by
    /// [`Context::host_file`].
    fn host_files(&self) -> Vec<HostFile> {
        Vec::new()
    }

    /// For [`NodeFiles::Write`]: where.
    fn target(&self) -> Option<Target> {
        None
    }

    /// Runs it, in a process of its own.
    fn run(self, cx: &mut Context, out: &mut Output<Self::Row>) -> Result<Status>;

    /// What the operand at the cursor takes, where that depends on the words before it; `None`: what is declared with
    /// it. Also asked for a word that begins with a dash, for a command whose words are no options.
    fn complete(_: &Completion) -> Option<Takes> {
        None
    }
}

/// One entry of the registry: a command with its type erased.
pub struct Entry {
    /// What is typed.
    pub name: &'static str,
    /// Other names that people's fingers know.
    pub aliases: &'static [&'static str],
    /// Where it runs.
    pub place: Place,
    /// What it needs.
    pub needs: Needs,
    /// What it prints.
    pub prints: Prints,
    /// Whether it colours its output on a terminal.
    pub colors: bool,
    /// What people use elsewhere.
    pub replaces: &'static str,
    /// What it takes of the kernel or the target.
    pub takes: &'static str,
    /// The fields of its JSON rows.
    pub fields: &'static [Field],
    /// Whether it works on the rows of the command before it.
    pub filters_rows: bool,
    /// Examples for the help.
    pub examples: &'static [Example],
    /// Its options.
    pub parser: fn() -> clap::Command,
    /// What the operand at the cursor takes.
    pub complete: fn(&Completion) -> Option<Takes>,
    rewrite: fn(Vec<OsString>) -> Vec<OsString>,
    wants: fn(&clap::ArgMatches) -> Result<Wants>,
    run: fn(&clap::ArgMatches, &mut Context, Box<dyn Write>) -> Result<Status>,
}

/// A registry line for the command `C`.
pub const fn entry<C: Command>(name: &'static str, aliases: &'static [&'static str]) -> Entry {
    Entry {
        name,
        aliases,
        place: C::PLACE,
        needs: C::NEEDS,
        prints: C::PRINTS,
        colors: C::COLORS,
        replaces: C::REPLACES,
        takes: C::TAKES,
        fields: C::FIELDS,
        filters_rows: C::FILTERS_ROWS,
        examples: C::EXAMPLES,
        parser: parser::<C>,
        complete: C::complete,
        rewrite: C::rewrite,
        wants: |matches| {
            let command = from_matches::<C>(matches)?;
            Ok(Wants {
                stdin: command.reads_stdin(),
                host_files: command.host_files(),
                target: command.target(),
                processes: command.reads_processes(),
            })
        },
        run: run::<C>,
    }
}

fn parser<C: Command>() -> clap::Command {
    C::command().no_binary_name(true).disable_help_flag(true).disable_version_flag(true).infer_long_args(true)
}

fn from_matches<C: Command>(matches: &clap::ArgMatches) -> Result<C> {
    C::from_arg_matches(matches).map_err(|error| Fault::usage(sentence(&error)))
}

fn run<C: Command>(matches: &clap::ArgMatches, cx: &mut Context, to: Box<dyn Write>) -> Result<Status> {
    let command = from_matches::<C>(matches)?;
    let mut out = Output::<C::Row>::new(to, cx.format, cx.screen());
    let result = command.run(cx, &mut out);
    match out.finish() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => result,
        Err(error) => result.and(Err(Fault::io("write", "standard output", &error))),
        Ok(()) => result,
    }
}

/// What a command with its arguments wants of the supervisor.
#[derive(Debug, Default)]
pub struct Wants {
    /// The operator's stdin.
    pub stdin: bool,
    /// Somebody who tells it which processes there are.
    pub processes: bool,
    /// Files of the node.
    pub host_files: Vec<HostFile>,
    /// Where on the node it writes.
    pub target: Option<Target>,
}

/// Arguments that were parsed: what a command is about to do.
pub struct Invocation {
    matches: clap::ArgMatches,
    /// Whether `--json` was among the command's own options.
    pub json: bool,
    /// What `--color` says.
    color: Option<color::When>,
    /// Whether `--help` was.
    pub help: bool,
    /// Whether `--version` was.
    pub version: bool,
}

impl Entry {
    /// The full parser: the command's options, `--help`, and where it prints rows `--json` and `--color`.
    pub fn full_parser(&self) -> clap::Command {
        let help = clap::Arg::new("help").long("help").action(ArgAction::SetTrue).help("Show this help");
        let version = clap::Arg::new("version").long("version").action(ArgAction::SetTrue);
        let version = version.help("Show the version of nsdbg");
        let json = clap::Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON Lines");
        let parser = (self.parser)().name(self.name).bin_name(self.name).arg(help).arg(version);
        if self.prints == Prints::Bytes { parser } else { parser.arg(json).arg(color::option()) }
    }

    /// Parses arguments (without the command's name).
    ///
    /// # Errors
    /// A usage fault (status 2) that names the wrong option and the nearest one.
    pub fn parse(&self, args: Vec<OsString>) -> Result<Invocation> {
        let parser = self.full_parser();
        let (help, version) =
            (arguments::has(&parser, &args, "--help"), arguments::has(&parser, &args, "--version"));
        if help || version {
            let matches = clap::ArgMatches::default();
            return Ok(Invocation { matches, json: false, color: None, help, version });
        }
        if self.prints == Prints::Bytes && args.iter().take_while(|a| *a != "--").any(|a| a == "--json") {
            return Err(Fault::usage("prints bytes, not rows: it has no --json"));
        }
        let args = arguments::as_getopt_reads(&parser, (self.rewrite)(args));
        let matches = parser.try_get_matches_from(args).map_err(|error| Fault::usage(sentence(&error)))?;
        let is_set = |option| matches.try_get_one::<bool>(option).ok().flatten().copied().unwrap_or(false);
        let (json, help, version) = (is_set("json"), is_set("help"), is_set("version"));
        // Commands that print bytes do not have it.
        let color = matches.try_get_one("color").ok().flatten().copied();
        Ok(Invocation { matches, json, color, help, version })
    }

    /// What the supervisor must provide for these arguments.
    ///
    /// # Errors
    /// As [`Entry::parse`].
    pub fn wants(&self, args: Vec<OsString>) -> Result<Wants> {
        let invocation = self.parse(args)?;
        if invocation.help || invocation.version {
            return Ok(Wants::default());
        }
        (self.wants)(&invocation.matches)
    }

    /// The help page: what it does, how it is used, options, examples.
    pub fn help(&self) -> String {
        let mut parser = self.full_parser();
        let mut page = parser.render_help().to_string();
        if !self.aliases.is_empty() {
            page.push_str(&format!("\nAlso typed as: {}\n", self.aliases.join(", ")));
        }
        if !self.fields.is_empty() {
            let names: Vec<&str> = self.fields.iter().map(|field| field.name).collect();
            page.push_str(&format!("\nFields of --json: {}\n", names.join(", ")));
        }
        if !self.examples.is_empty() {
            page.push_str("\nExamples:\n");
            let width = self.examples.iter().map(|e| e.line.len()).max().unwrap_or(0);
            for Example { line, what } in self.examples {
                page.push_str(&format!("  {line:width$}  {what}\n"));
            }
        }
        page
    }

    /// What the command does, in one line.
    pub fn about(&self) -> String {
        (self.parser)().get_about().map(ToString::to_string).unwrap_or_default()
    }
}

/// Runs a command whose arguments are parsed, reports its fault, and returns its status. EPIPE is quiet.
pub fn execute(entry: &Entry, args: Vec<OsString>, cx: &mut Context, to: Box<dyn Write>) -> Status {
    cx.name = entry.name;
    let result = entry.parse(args).and_then(|invocation| {
        if invocation.help || invocation.version {
            let mut to = to;
            let version = || format!("{} (nsdbg) {}\n", entry.name, env!("CARGO_PKG_VERSION"));
            let text = if invocation.help { entry.help() } else { version() };
            return to.write_all(text.as_bytes()).map(|()| Status::OK).map_err(Fault::output);
        }
        if entry.prints == Prints::Bytes && cx.format == Format::Json {
            return Err(Fault::usage("prints bytes, not rows: it has no --json"));
        }
        if invocation.json {
            (cx.format, cx.faults) = (Format::Json, Format::Json);
        }
        // The filter in front of the terminal would show the colours of any other command as text.
        cx.color = entry.colors && invocation.color.map_or(cx.color, |when| when.holds(cx.color));
        (entry.run)(&invocation.matches, cx, to)
    });
    match result {
        Ok(status) if status == Status::OK && cx.failed() => Status(1),
        Ok(status) => status,
        Err(fault) if fault.raw_errno() == Some(libc::EPIPE) && fault.op == "write" => {
            Status(128 + libc::SIGPIPE as u8)
        }
        Err(fault) => {
            let status = Status(fault.status);
            cx.report(&fault);
            status
        }
    }
}
