//! `kill`.

mod args;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use super::lookup::{Answer, Known, PidNamespace};
use super::{Command, Completion, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::field;
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Name, Output};
use crate::sys::{signal, syscall};

/// Processes whose pidfds are open at the same time.
const AT_ONCE: usize = 128;

/// Send a signal to processes, by PID or by name.
///
/// It is sent as the target's user, from inside: what that user may not signal is refused. A name is the kernel's name of
/// a process or the file name of its program, and means all that have it; a negative number is a process group. Names
/// and PIDs are looked up from outside, and a process is signalled only if it is still the one that was found. nsdbg's
/// own processes are never signalled.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Kill {
    /// The signal, by name or number [default: TERM]; -9, -HUP and -SIGHUP are taken too
    #[arg(short = 's', long = "signal", value_name = "SIGNAL", allow_hyphen_values = true)]
    #[arg(add = Takes::Signal)]
    signal: Option<String>,
    /// List the names of signals, or translate names and numbers
    #[arg(short = 'l', long = "list")]
    list: bool,
    /// List signals with their numbers
    #[arg(short = 'L', long = "table")]
    table: bool,
    /// Tell which processes were signalled
    #[arg(short = 'v', long = "verbose")]
    verbose: bool,
    /// PIDs, names, or negative numbers of process groups
    #[arg(value_name = "PID|NAME", add = Takes::Any(&[Takes::Pid, Takes::ProcessName]))]
    operands: Vec<OsString>,
}

/// A signal that was sent, or with -l a signal.
#[derive(serde::Serialize)]
struct Sent {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Name>,
    signal: String,
    number: i32,
}

/// Which processes an operand means.
#[derive(Debug, PartialEq, Eq)]
enum Meant {
    Pid(i32),
    Group(i32),
    Name(Vec<u8>),
}

impl Command for Kill {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs { processes: true, ..Needs::NONE };
    const REPLACES: &'static str = "procps kill, pkill, killall";
    const TAKES: &'static str = "of the target its user's right to signal; of nsdbg a look at its processes";
    const FIELDS: &'static [Field] = &[
        field("pid", Kind::Number, "the process that was signalled, as the container counts"),
        field("name", Kind::Text, "the kernel's name for it"),
        field("signal", Kind::Text, "the signal's name"),
        field("number", Kind::Number, "the signal's number"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "kill -HUP 1", what: "tell the first process to read its configuration again" },
        Example { line: "kill -v -s USR1 nginx", what: "all processes of this name, and tell which" },
        Example { line: "kill -0 7", what: "test whether it is there and may be signalled" },
        Example { line: "kill -l", what: "the names of signals" },
    ];

    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        args::rewrite(args)
    }

    fn reads_processes(&self) -> bool {
        !self.list && !self.table && !self.operands.is_empty()
    }

    fn complete(at: &Completion) -> Option<Takes> {
        let dashed = || signal::standard().map(|(_, name)| format!("-{name}")).collect();
        let names_signals = at.words.iter().any(|word| matches!(word.as_str(), "-l" | "--list"));
        match at.word.starts_with('-') {
            true if at.words.is_empty() => Some(Takes::Words(dashed)),
            _ => names_signals.then_some(Takes::Signal),
        }
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        if self.list || self.table {
            return self.signals(cx, out);
        }
        let text = self.signal.as_deref().unwrap_or("TERM");
        let number = signal::parse(text)
            .ok_or_else(|| Fault::text("send", text, "no such signal").with_hint("kill -l lists them"))?;
        if self.operands.is_empty() {
            return Err(Fault::usage("wants a PID or the name of a process"));
        }
        let mut meant = Vec::new();
        for operand in &self.operands {
            if number != 0 {
                cx.writes("signal", operand)?;
            }
            match parse(operand) {
                Ok(which) => meant.push((operand.as_os_str(), which)),
                Err(fault) => cx.report(&fault),
            }
        }
        if !meant.is_empty() {
            self.send(number, &meant, cx, out)?;
        }
        Ok(Status::OK)
    }
}

/// What an operand means.
fn parse(operand: &OsStr) -> Result<Meant> {
    let bytes = operand.as_bytes();
    let (negative, digits) = match bytes.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, bytes),
    };
    let fault = |cause: &'static str| Err(Fault::text("signal", operand, cause));
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return if bytes.is_empty() { fault("no PID and no name") } else { Ok(Meant::Name(bytes.to_vec())) };
    }
    match (negative, std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok())) {
        (_, Some(0)) => fault("that would be nsdbg's own process group"),
        (true, Some(1)) => fault("that would be every process: name those that are meant"),
        (true, Some(group)) => Ok(Meant::Group(group)),
        (false, Some(pid)) => Ok(Meant::Pid(pid)),
        (_, None) => fault("no such process"),
    }
}

impl Meant {
    fn is(&self, known: &Known) -> bool {
        match self {
            Self::Pid(pid) => known.pid == *pid,
            Self::Group(group) => known.group == *group,
            Self::Name(name) => {
                // The kernel keeps 15 bytes of a name; a longer one is the program's, where that can be told.
                let is_cut = known.program.is_empty() && name.get(..15) == Some(&known.comm);
                let is_named = *name == known.comm || *name == known.program || is_cut;
                is_named && !matches!(known.state, b'Z' | b'X')
            }
        }
    }
}

impl Kill {
    /// `-l` and `-L`.
    fn signals(&self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let row = |number: i32| Sent { pid: None, name: None, signal: signal::name(number), number };
        for operand in &self.operands {
            let text = operand.to_string_lossy();
            // A shell's status of what a signal ended is 128 more.
            let ended = text.parse().ok().filter(|status| (129..=192).contains(status)).map(|s: i32| s - 128);
            let Some(number) = ended.or_else(|| signal::parse(&text)) else {
                cx.report(&Fault::text("", operand, "no such signal").with_hint("kill -l lists them"));
                continue;
            };
            let is_number = text.bytes().all(|b| b.is_ascii_digit());
            if out.is_json() {
                out.json(&row(number)).map_err(Fault::output)?;
            } else {
                let said = if is_number { signal::name(number) } else { number.to_string() };
                writeln!(out.bytes(), "{said}").map_err(Fault::output)?;
            }
        }
        if !self.operands.is_empty() {
            return Ok(Status::OK);
        }
        if out.is_json() {
            for (number, _) in signal::standard() {
                out.json(&row(number)).map_err(Fault::output)?;
            }
            return Ok(Status::OK);
        }
        // procps' two layouts.
        let text = if self.table {
            let cells: Vec<String> =
                signal::standard().map(|(number, name)| format!("{number:2} {name:<8}")).collect();
            cells.chunks(7).map(|line| line.concat().trim_end().to_owned() + "\n").collect::<String>()
        } else {
            let names: Vec<&str> = signal::standard().map(|(_, name)| name).collect();
            names.chunks(16).map(|line| line.join(" ") + "\n").collect()
        };
        out.bytes().write_all(text.as_bytes()).map_err(Fault::output)?;
        Ok(Status::OK)
    }

    fn send(
        &self,
        number: i32,
        meant: &[(&OsStr, Meant)],
        cx: &mut Context,
        out: &mut Output<NoRow>,
    ) -> Result<()> {
        let pids: Vec<i32> = meant
            .iter()
            .filter_map(|(_, m)| if let Meant::Pid(pid) = m { Some(*pid) } else { None })
            .collect();
        let mut lookup = cx
            .lookup
            .take()
            .ok_or_else(|| Fault::say("the container's processes are not open to this command"))?;
        let first = if pids.len() == meant.len() { lookup.these(&pids)? } else { lookup.all()? };
        let found = select(&first, meant, cx);
        for chunk in found.chunks(AT_ONCE) {
            let mut open = Vec::new();
            for known in chunk {
                match syscall::pidfd_open(known.pid) {
                    Ok(pidfd) => open.push((known, pidfd)),
                    Err(errno) => cx.report(&refused(known, errno)),
                }
            }
            if open.is_empty() {
                continue;
            }
            // What has the PID now had it before the pidfd was opened, if it was started at the same time.
            let pids: Vec<i32> = open.iter().map(|(known, _)| known.pid).collect();
            let second = lookup.these(&pids)?;
            let now: BTreeMap<i32, &Known> =
                second.processes.iter().map(|known| (known.pid, known)).collect();
            for (known, pidfd) in open {
                let Some(now) = now.get(&known.pid).filter(|now| now.start == known.start) else {
                    cx.report(&refused(known, Errno::ESRCH));
                    continue;
                };
                self.signal(number, now, &pidfd, first.namespace, cx, out)?;
            }
        }
        if first.is_cut {
            cx.note("there are more processes than are looked at; the rest is left out");
        }
        Ok(())
    }

    fn signal(
        &self,
        number: i32,
        known: &Known,
        pidfd: &OwnedFd,
        namespace: PidNamespace,
        cx: &mut Context,
        out: &mut Output<NoRow>,
    ) -> Result<()> {
        if let Err(errno) = syscall::pidfd_send_signal(pidfd.as_fd(), number) {
            cx.report(&refused(known, errno));
            return Ok(());
        }
        let signal = signal::name(number);
        if out.is_json() {
            let name = Some(Name::from(known.comm.as_slice()));
            out.json(&Sent { pid: Some(known.pid), name, signal: signal.clone(), number })
                .map_err(Fault::output)?;
        } else if self.verbose {
            writeln!(out.bytes(), "{} ({}): {signal}", known.pid, escape(&known.comm))
                .map_err(Fault::output)?;
        }
        if let Some(why) = without_effect(number, known, namespace) {
            cx.note(&format!("{} ({}) {why}", known.pid, escape(&known.comm)));
        }
        Ok(())
    }
}

/// The processes that the operands mean, by PID, each once. An operand that means none is reported.
fn select(answer: &Answer, meant: &[(&OsStr, Meant)], cx: &mut Context) -> Vec<Known> {
    let mut found: BTreeMap<i32, &Known> = BTreeMap::new();
    for (operand, which) in meant {
        let cause = match (answer.namespace, which) {
            (PidNamespace::LeftOut, _) => {
                "the session is not in the target's PID namespace, since --ns leaves it out"
            }
            (PidNamespace::Shared, Meant::Name(_)) => {
                "the target shares the node's PID namespace, where the name may be another container's: \
                 a PID is taken (ps lists them)"
            }
            (PidNamespace::Shared, Meant::Group(_)) => {
                "the target shares the node's PID namespace: name the PIDs that are meant (ps lists them)"
            }
            _ => {
                let mut any = false;
                for known in answer.processes.iter().filter(|known| which.is(known)) {
                    any = true;
                    found.insert(known.pid, known);
                }
                if any {
                    continue;
                }
                if *which == Meant::Pid(std::process::id() as i32) {
                    "that is nsdbg's own process"
                } else {
                    "no such process"
                }
            }
        };
        cx.report(&Fault::text("signal", operand, cause));
    }
    found.into_values().cloned().collect()
}

fn refused(known: &Known, errno: Errno) -> Fault {
    let fault = Fault::errno("signal", format!("{} ({})", known.pid, escape(&known.comm)), errno);
    if errno == Errno::EPERM { fault.with_hint("--root or --cap-add KILL") } else { fault }
}

/// Why a signal that was sent does nothing.
fn without_effect(number: i32, known: &Known, namespace: PidNamespace) -> Option<String> {
    let (signal, bit) = (signal::name(number), signal::bit(number));
    match () {
        () if number == 0 => None,
        () if known.state == b'Z' => Some("is a zombie: it has ended, and waits for its parent".to_owned()),
        () if known.ignored & bit != 0 => Some(format!("ignores {signal}")),
        // SIGNAL_UNKILLABLE of the kernel: what it has no handler for, the first process of a PID namespace does not
        // get from inside, SIGKILL and SIGSTOP included.
        () if known.pid == 1 && namespace == PidNamespace::Own && known.caught & bit == 0 => Some(format!(
            "does not get {signal}: the first process of a container gets only signals that it has a handler for"
        )),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_pids_groups_or_names() {
        for (operand, meant) in [
            ("7", Some(Meant::Pid(7))),
            ("-7", Some(Meant::Group(7))),
            ("web", Some(Meant::Name(b"web".to_vec()))),
            ("7zip", Some(Meant::Name(b"7zip".to_vec()))),
            ("-", Some(Meant::Name(b"-".to_vec()))),
            ("0", None),
            ("-1", None),
            ("", None),
            ("99999999999", None),
        ] {
            assert_eq!(parse(OsStr::new(operand)).ok(), meant, "{operand}");
        }
    }

    #[test]
    fn names_are_whole() {
        let known = |comm: &str, program: &str, state| Known {
            comm: comm.into(),
            program: program.into(),
            state,
            ..Known::default()
        };
        let is = |name: &str, known: &Known| Meant::Name(name.into()).is(known);
        let long = known("averylongprogra", "averylongprogram", b'S');
        assert!(is("averylongprogram", &long) && is("averylongprogra", &long));
        assert!(!is("averylongprogramme", &long) && !is("averylong", &long));
        assert!(is("averylongprogramme", &known("averylongprogra", "", b'S')));
        assert!(
            is("worker", &known("worker", "python3", b'S')) && is("python3", &known("x", "python3", b'S'))
        );
        assert!(!is("worker", &known("worker", "", b'Z')));
    }

    #[test]
    fn what_has_no_effect_is_known() {
        let first = Known { pid: 1, caught: signal::bit(1), ignored: signal::bit(13), ..Known::default() };
        let why = |number, known: &Known, namespace| without_effect(number, known, namespace).is_some();
        assert!(why(15, &first, PidNamespace::Own) && why(9, &first, PidNamespace::Own));
        assert!(!why(1, &first, PidNamespace::Own) && !why(0, &first, PidNamespace::Own));
        assert!(!why(15, &first, PidNamespace::Shared) && why(13, &first, PidNamespace::Shared));
        let other = Known { pid: 2, ..Known::default() };
        assert!(!why(15, &other, PidNamespace::Own));
    }
}
