//! What is typed after `nsdbg`: options, target, command.

use std::ffi::OsString;

use clap::Parser;

use crate::out::{Fault, name::shell_quoted};
use crate::session::Options;
use crate::target::selector::Selector;
use std::os::unix::ffi::OsStrExt;

/// Look into a running container that has no shell, no libc and no tools.
///
/// Joins the namespaces of a process, becomes its user, and offers a prompt (or runs one command) whose ls, cat, ps,
/// netstat and http are nsdbg's own. Nothing is added to the container.
#[derive(Debug, Parser)]
#[command(
    name = "nsdbg",
    version,
    override_usage = "nsdbg [OPTIONS] --pid PID\n       nsdbg [OPTIONS] TARGET [-- COMMAND [ARG]...]",
    after_help = "Examples:\n  nsdbg --pid 4242                 the prompt\n  nsdbg 4242 -- ls -l /            one command\n  nsdbg 4242 -c 'ps | cat -n'      one line\n  nsdbg 4242 < lines.txt           several lines\n\nExit status: the command's own; 2 wrong use, 124 time limit, 125 nsdbg itself failed,\n127 unknown command, 128+n ended by signal n.\n\nnsdbg 4242 -- help lists the commands; nsdbg 4242 -- help ls explains one."
)]
struct Cli {
    /// The process to look into, by its PID on the node
    #[arg(long, value_name = "PID", allow_hyphen_values = true)]
    pid: Option<String>,
    /// The process to look into: a PID, or pid:PID
    #[arg(value_name = "TARGET", conflicts_with = "pid")]
    target: Option<String>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
    #[command(flatten)]
    options: Options,
}

/// What `nsdbg` was asked for.
pub enum Asked {
    /// To look into a target.
    Run(Box<Options>, Selector),
    /// To print a text: help or version.
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
    if !cli.rest.is_empty() {
        return Err(missing_dashes(args).unwrap_or_else(|| Fault::usage("a target is one word")));
    }
    let Some(name) = cli.pid.as_ref().or(cli.target.as_ref()) else {
        return Err(Fault::usage("which process? name one by its PID").with_hint("nsdbg --pid 4242"));
    };
    let selector = Selector::parse(name)?;
    Ok(Asked::Run(Box::new(cli.options), selector))
}

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
            targets += usize::from(args[i - 1] == "--pid");
        } else if ["--pid", "-c", "--timeout", "--user", "--cap-add", "--ns"].contains(&text) {
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
        ] {
            let fault = fault(args);
            assert_eq!((fault.hint.as_deref(), fault.status), (Some(line), 2), "{args:?}");
        }
    }
}
