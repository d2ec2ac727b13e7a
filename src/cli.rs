//! What is typed after `nsdbg`: options, target, command.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Parser;

use crate::out::{Fault, name::shell_quoted};
use crate::session::Options;
use crate::takes::Takes;
use crate::target::filter::Filter;
use crate::target::selector::Selector;

/// Look into a running container that has no shell, no libc and no tools.
///
/// Joins the namespaces of a process, becomes its user, and offers a prompt (or runs one command) whose ls, cat, ps,
/// netstat and http are nsdbg's own. Nothing is added to the container.
#[derive(Debug, Parser)]
#[command(
    name = "nsdbg",
    version,
    override_usage = "nsdbg [OPTIONS] TARGET [-- COMMAND [ARG]...]\n       nsdbg --list [TEXT]\n       nsdbg --all [FILTERS] -- COMMAND [ARG]...",
    after_help = "A TARGET is a PID, a container's name, the beginning of its id, or [NAMESPACE/]POD[/CONTAINER];\npid:, name:, id: and pod: force one of these.\n\nExamples:\n  nsdbg --list                     the containers of this node\n  nsdbg web-0                      the prompt\n  nsdbg --pid 4242                 the same, by a process\n  nsdbg prod/web-0/app -- ls -l /  one command\n  nsdbg web-0 -c 'ps | cat -n'     one line\n  nsdbg web-0 < lines.txt          several lines\n  nsdbg --all --namespace prod -- netstat -tl\n\nExit status: the command's own; 2 wrong use, 124 time limit, 125 nsdbg itself failed,\n127 unknown command, 128+n ended by signal n.\n\nnsdbg TARGET -- help lists the commands; nsdbg TARGET -- help ls explains one."
)]
struct Cli {
    /// The process to look into, by its PID on the node
    #[arg(long, value_name = "PID", allow_hyphen_values = true, add = Takes::Nothing)]
    pid: Option<String>,
    /// What to look into
    #[arg(value_name = "TARGET", conflicts_with = "pid", add = Takes::Target)]
    target: Option<String>,
    #[arg(hide = true, add = Takes::Nothing)]
    rest: Vec<OsString>,
    /// List the containers of this node; with a TARGET only those that have it in their names
    #[arg(long, conflicts_with_all = ["pid", "all", "who", "line", "command"])]
    list: bool,
    /// With --list: show containers, images, cgroups and whole ids, and sandboxes of pods; shorten nothing
    #[arg(long, requires = "list")]
    wide: bool,
    /// Tell which container a PID (or thread) of the node is in
    #[arg(long, value_name = "PID", conflicts_with_all = ["pid", "target", "all", "line", "command"])]
    #[arg(add = Takes::Nothing)]
    who: Option<String>,
    /// Run the command in every container that the filters match
    #[arg(long, conflicts_with = "pid")]
    all: bool,
    /// With --all: how many containers at once
    #[arg(long, value_name = "N", requires = "all", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    max: u16,
    /// Sleep until SIGTERM: what the container of a DaemonSet runs
    #[arg(long, conflicts_with_all = ["pid", "target", "list", "who", "all", "line", "command"])]
    idle: bool,
    /// With --idle: print what sessions send to this socket by --audit unix:PATH
    #[arg(long, value_name = "PATH", requires = "idle", conflicts_with_all = ["pid", "target", "list", "who", "all", "line", "command"])]
    #[arg(add = Takes::NodePath)]
    serve_audit: Option<PathBuf>,
    /// Print the completion of this shell; README says where it goes
    #[arg(long, value_name = "SHELL", value_enum)]
    completions: Option<Shell>,
    /// Print what the last word of a line may become: what the shells' completions ask
    #[arg(long, value_name = "LINE", hide = true, allow_hyphen_values = true, add = Takes::Nothing)]
    complete: Option<OsString>,
    #[command(flatten, next_help_heading = "Filters")]
    filter: Filter,
    #[command(flatten, next_help_heading = "Session")]
    options: Options,
}

/// A shell that completes nsdbg's words.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    /// Its script.
    fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("completions/nsdbg.bash"),
            Self::Zsh => include_str!("completions/_nsdbg"),
            Self::Fish => include_str!("completions/nsdbg.fish"),
        }
    }
}

/// Which containers are meant.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// As they were named.
    pub selector: Option<Selector>,
    /// What narrows that.
    pub filter: Filter,
    /// What was typed, for messages.
    pub typed: String,
}

/// What `nsdbg` was asked for.
pub enum Asked {
    /// To look into a target.
    Run(Box<Options>, Wanted),
    /// To run a command in all that are wanted, so many at once.
    All(Box<Options>, Wanted, usize),
    /// To run a command that is about the node, with these arguments.
    Node(Box<Options>, &'static str, Vec<OsString>),
    /// Nothing that names a target.
    Nothing(Box<Options>),
    /// To sleep, and to receive lines for the audit at this socket.
    Idle(Option<PathBuf>),
    /// To tell a shell what the last word of a line may become.
    Complete(OsString),
    /// To print a text: help, version, or a shell's completion.
    Print(String),
}

/// Parses the arguments.
///
/// # Errors
/// A usage fault; where a command was given without `--`, it holds the line to type.
pub fn parse(args: &[OsString]) -> Result<Asked, Fault> {
    let cli = match Cli::try_parse_from(std::iter::once(&OsString::from("nsdbg")).chain(args)) {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => return Ok(Asked::Print(error.to_string())),
        Err(error) => {
            return Err(missing_dashes(args)
                .unwrap_or_else(|| Fault::usage(crate::cmd::sentence(&error)).with_hint("nsdbg --help")));
        }
    };
    if let Some(line) = cli.complete {
        return Ok(Asked::Complete(line));
    }
    if let Some(shell) = cli.completions {
        return Ok(Asked::Print(shell.script().to_owned()));
    }
    if !cli.rest.is_empty() {
        return Err(missing_dashes(args).unwrap_or_else(|| Fault::usage("a target is one word")));
    }
    if cli.idle {
        return Ok(Asked::Idle(cli.serve_audit));
    }
    let options = Box::new(cli.options);
    if cli.list {
        return Ok(Asked::Node(options, "targets", list_arguments(cli.target, cli.wide, &cli.filter)));
    }
    if let Some(pid) = cli.who {
        return Ok(Asked::Node(options, "who", vec![pid.into()]));
    }
    let selector = match (&cli.pid, &cli.target) {
        (Some(pid), _) => Some(Selector::parse_pid(pid)?),
        (None, Some(text)) => Some(Selector::parse(text)?),
        (None, None) => None,
    };
    let typed = cli.pid.or(cli.target).unwrap_or_else(|| {
        let words = list_arguments(None, false, &cli.filter);
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    });
    let wanted = Wanted { selector, filter: cli.filter, typed };
    if options.end_with_stdin && options.command.is_empty() && options.line.is_none() {
        return Err(Fault::usage("--end-with-stdin goes with a command or -c LINE"));
    }
    if cli.all {
        if options.command.is_empty() && options.line.is_none() {
            return Err(Fault::usage("--all runs a command").with_hint("nsdbg --all -- ps"));
        }
        return Ok(Asked::All(options, wanted, usize::from(cli.max)));
    }
    if wanted.selector.is_none() && wanted.filter.is_empty() {
        return Ok(Asked::Nothing(options));
    }
    Ok(Asked::Run(options, wanted))
}

/// The arguments of `targets` that `--list` stands for.
fn list_arguments(text: Option<String>, wide: bool, filter: &Filter) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    if wide {
        arguments.push("--wide".into());
    }
    let port = filter.port.map(|port| port.to_string());
    for (option, value) in [
        ("--runtime", &filter.runtime),
        ("--pod", &filter.pod),
        ("--namespace", &filter.namespace),
        ("--port", &port),
        ("--match", &filter.matching),
    ] {
        arguments.extend(value.iter().map(|value| format!("{option}={value}").into()));
    }
    if let Some(text) = text {
        arguments.extend(["--".into(), text.into()]);
    }
    arguments
}

/// All options, for what is made of them.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Options that take the word after them.
const WITH_VALUE: [&str; 19] = [
    "--audit",
    "--reason",
    "--serve-audit",
    "--pid",
    "-c",
    "--timeout",
    "--idle-limit",
    "--user",
    "--cap-add",
    "--ns",
    "--runtime",
    "--pod",
    "--namespace",
    "--port",
    "--match",
    "--host-root",
    "--terminal",
    "--who",
    "--max",
];

/// The line with `--` where the first word after the target is what can be run.
fn missing_dashes(args: &[OsString]) -> Option<Fault> {
    if args.iter().any(|arg| arg == "--") {
        return None;
    }
    let mut at = None;
    let mut targets = 0;
    let mut skip = false;
    for (i, arg) in args.iter().enumerate() {
        let text = arg.to_str().unwrap_or_default();
        if skip {
            skip = false;
            if text.starts_with('-') {
                // As in `--pid $UNSET -c ls`.
                return Some(Fault::usage(format!("{} has no value before {text}", args[i - 1].display())));
            }
            targets += usize::from(args[i - 1] == "--pid");
        } else if WITH_VALUE.contains(&text) {
            skip = true;
        } else if text.starts_with("--pid=") {
            targets += 1;
        } else if !text.starts_with('-') {
            if targets > 0 {
                at = Some(i);
                break;
            }
            targets += 1;
        }
    }
    let (head, command) = args.split_at(at?);
    let words = |words: &[OsString]| {
        words.iter().map(|word| shell_quoted(word.as_bytes())).collect::<Vec<_>>().join(" ")
    };
    Some(Fault::usage("a command comes after --").with_hint(format!(
        "nsdbg {} -- {}",
        words(head),
        words(command)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(args: &[&str]) -> Fault {
        let args: Vec<_> = args.iter().map(OsString::from).collect();
        match parse(&args) {
            Err(fault) => fault,
            Ok(_) => panic!("parsed {args:?}"),
        }
    }

    #[test]
    fn a_command_without_dashes_gets_the_right_line() {
        for (args, line) in [
            (&["42", "ls", "/"][..], "nsdbg 42 -- ls /"),
            (&["--pid", "42", "ls", "-l"], "nsdbg --pid 42 -- ls -l"),
            (&["--json", "42", "cat", "a b"], "nsdbg --json 42 -- cat 'a b'"),
            (&["web-0", "ls", "/"], "nsdbg web-0 -- ls /"),
            (&["--namespace", "prod", "web-0", "ls"], "nsdbg --namespace prod web-0 -- ls"),
        ] {
            let fault = fault(args);
            assert_eq!((fault.hint.as_deref(), fault.status), (Some(line), 2), "{args:?}");
        }
        assert_eq!(fault(&["--pid", "-c", "ls"]).to_string(), "--pid has no value before -c");
    }
}
