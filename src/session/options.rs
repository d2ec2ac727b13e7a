//! How the operator wants a session to be.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::sys::capability;
use crate::takes::{Takes, owned};
use crate::target::namespace;

/// Options of a session; nsdbg's own options beside its target.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// A command and its arguments, as they are: nothing in them is expanded
    #[arg(last = true, value_name = "COMMAND", add = Takes::Command)]
    pub command: Vec<OsString>,
    /// Run one line, as at the prompt
    #[arg(short = 'c', value_name = "LINE", conflicts_with = "command", add = Takes::Nothing)]
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
    /// End a session in which nothing is typed for so long; the prompt warns before
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "8h")]
    pub idle_limit: Duration,
    /// Run a command or line until standard input is closed, and give it none: it ends with who holds that open
    #[arg(long, conflicts_with_all = ["all", "list", "who"])]
    pub end_with_stdin: bool,
    /// Be another user: UID, UID:GID or NAME, as the container counts them
    #[arg(long, value_name = "USER", add = Takes::Nothing)]
    pub user: Option<String>,
    /// Be uid 0 of the container, with all the capabilities that it may have
    #[arg(long, conflicts_with = "user")]
    pub root: bool,
    /// Hold further capabilities: NET_RAW,SYS_PTRACE or ALL
    #[arg(long, value_name = "LIST", value_delimiter = ',', add = Takes::Words(capabilities))]
    pub cap_add: Vec<String>,
    /// Leave namespaces out: -pid,-net (of cgroup, ipc, net, pid, time, uts)
    #[arg(long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true)]
    #[arg(add = Takes::Words(namespaces))]
    pub ns: Vec<String>,
    /// Refuse everything that writes in the container
    #[arg(long)]
    pub read_only: bool,
    /// Fail where the target's security label can't be taken
    #[arg(long)]
    pub strict: bool,
    /// Write each command down before and after it is run: to a file, syslog, or unix:SOCKET [env: NSDBG_AUDIT]
    #[arg(long, value_name = "WHERE", value_parser = super::audit::parse, add = Takes::NodePath)]
    pub audit: Option<super::audit::To>,
    /// Why, for the audit [env: NSDBG_REASON]
    #[arg(long, value_name = "TEXT", add = Takes::Nothing)]
    pub reason: Option<String>,
    /// Do nothing without a reason [env: NSDBG_REQUIRE_REASON]
    #[arg(long)]
    pub require_reason: bool,
    /// Open the prompt without the doctor's first look at the container
    // Where it is in an alias, it may be typed as well.
    #[arg(long, overrides_with = "no_doctor")]
    pub no_doctor: bool,
    /// Where the node's root is, if nsdbg runs in a container [default: found]
    #[arg(long, value_name = "DIR", add = Takes::NodePath)]
    pub host_root: Option<PathBuf>,
    /// Let colours in files and bodies through to the terminal
    #[arg(long)]
    pub raw_color: bool,
    /// Say which pipes lead to a terminal: stdout,stderr,color,columns=N
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = super::terminal::parse)]
    #[arg(add = Takes::Words(|| owned(["stdout", "stderr", "color", "columns="])))]
    pub terminal: Vec<super::terminal::Hint>,
    /// Whether other containers run the same, for --all
    #[arg(skip)]
    pub is_one_of_many: bool,
}

/// The words of `--cap-add`.
fn capabilities() -> Vec<String> {
    let names = capability::names(capability::known());
    let names = names.split(", ").map(|name| name.trim_start_matches("CAP_"));
    std::iter::once("ALL").chain(names).map(str::to_owned).collect()
}

/// The words of `--ns`: each kind that may be left out.
fn namespaces() -> Vec<String> {
    // A session needs its mounts, and its user follows from the others.
    let kinds = namespace::KINDS.iter().filter(|kind| !matches!(kind.name, "mnt" | "user"));
    kinds.map(|kind| format!("-{}", kind.name)).collect()
}

/// A time: seconds, or a number with ms, s, m or h.
fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        unit => return Err(format!("'{unit}' is not a unit of time (ms, s, m, h)")),
    };
    match digits.parse::<f64>() {
        Ok(number) if number > 0.0 && number * scale <= 31_536_000.0 => {
            Ok(Duration::from_secs_f64(number * scale))
        }
        _ => Err("not a time: above 0, at most a year (30, 1.5s, 2m)".into()),
    }
}

/// A time in words that [`parse_time`] takes: `8h`, `90s`.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        _ if time.subsec_nanos() != 0 => format!("{}ms", time.as_millis()),
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(parse_time("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        for text in ["8h", "90m", "5s", "1500ms"] {
            assert_eq!(time(parse_time(text).unwrap()), text);
        }
        for wrong in ["0", "-1", "x", "1d", "", "inf", "nan", "1e99"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
