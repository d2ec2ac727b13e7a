//! What is typed after `nsdbg`: options, target, command.

use std::ffi::OsString;
use std::time::Duration;

use clap::Parser;

use crate::out::{Fault, name::shell_quoted};
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
pub struct Options {
    /// The process to look into, by its PID on the node
    #[arg(long, value_name = "PID", allow_hyphen_values = true)]
    pid: Option<String>,
    /// The process to look into: a PID, or pid:PID
    #[arg(value_name = "TARGET", conflicts_with = "pid")]
    target: Option<String>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
    /// A command and its arguments, as they are: nothing in them is expanded
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// Run one line, as at the prompt
    #[arg(short = 'c', value_name = "LINE", conflicts_with = "command")]
    pub line: Option<OsString>,
    /// With lines on standard input: stop at the first that fails
    #[arg(short = 'e')]
    pub stop_at_failure: bool,
    /// Print rows as JSON Lines, and errors as JSON
    #[arg(long)]
    pub json: bool,
    /// End each command after this time (30, 1.5s, 2m, 1h); status 124
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub timeout: Option<Duration>,
    /// Be another user: UID, UID:GID or NAME, as the container counts them
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Be uid 0 of the container, with all the capabilities that it may have
    #[arg(long, conflicts_with = "user")]
    pub root: bool,
    /// Hold further capabilities: NET_RAW,SYS_PTRACE or ALL
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub cap_add: Vec<String>,
    /// Leave namespaces out: -pid,-net (of cgroup, ipc, net, pid, time, uts)
    #[arg(long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true)]
    pub ns: Vec<String>,
    /// Refuse everything that writes in the container
    #[arg(long)]
    pub read_only: bool,
    /// Fail where the target's security label can't be taken
    #[arg(long)]
    pub strict: bool,
    /// Let colours in files and bodies through to the terminal
    #[arg(long)]
    pub raw_color: bool,
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
    let options = match Options::try_parse_from(std::iter::once(&OsString::from("nsdbg")).chain(args)) {
        Ok(options) => options,
        Err(error) if !error.use_stderr() => return Ok(Asked::Print(error.to_string())),
        Err(error) => {
            return Err(missing_dashes(args)
                .unwrap_or_else(|| Fault::usage(crate::cmd::sentence(&error)).with_hint("nsdbg --help")));
        }
    };
    if !options.rest.is_empty() {
        return Err(missing_dashes(args).unwrap_or_else(|| Fault::usage("a target is one word")));
    }
    let Some(name) = options.pid.as_ref().or(options.target.as_ref()) else {
        return Err(Fault::usage("which process? name one by its PID").with_hint("nsdbg --pid 4242"));
    };
    let selector = Selector::parse(name)?;
    Ok(Asked::Run(Box::new(options), selector))
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
    Some(
        Fault::usage("a command comes after --")
            .with_hint(format!("nsdbg {} -- {}", words(head), words(command))),
    )
}

/// A time: seconds, or a number with ms, s, m or h.
fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        unit => return Err(format!("no unit of time: {unit} (ms, s, m, h)")),
    };
    match digits.parse::<f64>() {
        Ok(number) if number > 0.0 && number * scale <= 31_536_000.0 => {
            Ok(Duration::from_secs_f64(number * scale))
        }
        _ => Err("not a time: above 0, at most a year (30, 1.5s, 2m)".into()),
    }
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

    #[test]
    fn times() {
        assert_eq!(parse_time("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["0", "-1", "x", "1d", "", "inf", "nan", "1e99"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
