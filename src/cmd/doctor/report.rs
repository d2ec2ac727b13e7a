//! The doctor's process outside: its own checks, the rows of the process inside, and the report of both.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::check::{Check, Found, Run, Verdict};
use super::facts::Facts;
use super::finding::{self, Finding};
use super::{Options, registry};
use crate::cmd::{Command, Context, Example, Fault, Needs, Place, Result, Status};
use crate::out::Output;
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::sys::syscall::own_fd;

/// How many rows of one check are shown to who has not asked for it.
const SHOWN: usize = 4;
/// How long the rows of the process inside are waited for.
const LIMIT: Duration = Duration::from_millis(1900);

/// The doctor's side outside
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Report {
    #[command(flatten)]
    options: Options,
}

impl Command for Report {
    type Row = NoRow;
    const PLACE: Place = Place::Watch;
    const NEEDS: Needs = Needs { stdin: true, netlink: true, host: true, ..Needs::NONE };
    const COLORS: bool = true;
    const EXAMPLES: &'static [Example] = &[];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let end = Instant::now() + LIMIT;
        // Wrong words are told by the process inside.
        let Ok(chosen) = self.options.chosen() else {
            inside(&[], end)?;
            return Ok(Status::USAGE);
        };
        let facts = Facts::of(cx).ok_or_else(|| Fault::say("there is no procfs of the container"))?;
        let mut rows = Vec::new();
        for check in &chosen {
            if let Run::Outside(run) = check.run {
                rows.extend(Finding::all(check, run(&facts)));
            }
        }
        rows.extend(inside(&chosen, end)?);
        let place = |row: &Finding| registry::CHECKS.iter().position(|check| check.id == row.check);
        rows.sort_by_key(|row| (row.status, place(row)));
        let worst = rows.first().map_or(Verdict::Ok, |row| row.status);
        let is_asked = self.options.verbose || !self.options.checks.is_empty();
        if out.is_json() {
            rows.iter().try_for_each(|row| out.json(row)).map_err(Fault::output)?;
        } else {
            write(&rows, is_asked, Look::of(cx), out.bytes()).map_err(Fault::output)?;
        }
        Ok(match worst {
            Verdict::Fail => Status(3),
            Verdict::Warn => Status(1),
            _ => Status::OK,
        })
    }
}

/// The rows of the process inside; of each of its checks that tells none, that it was not answered.
fn inside(chosen: &[&'static Check], end: Instant) -> Result<Vec<Finding>> {
    let pipe = own_fd(0).map(File::from).map_err(|errno| Fault::errno("open", "standard input", errno))?;
    let (mut rows, ended) = finding::read(Until { pipe, end });
    // Who takes that process over may say anything of a check, but nothing of one that was not asked for.
    rows.retain(|row| chosen.iter().any(|check| check.id == row.check));
    let why = match ended {
        Ok(()) => "the process inside ended before it",
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            "it was not answered in time: a file system may hang"
        }
        Err(_) => "the process inside said something else",
    };
    for check in chosen.iter().filter(|check| check.is_inside()) {
        if rows.iter().all(|row| row.check != check.id) {
            rows.extend(Finding::all(check, vec![Found::skip(why)]));
        }
    }
    Ok(rows)
}

/// A pipe that is read until then.
struct Until {
    pipe: File,
    end: Instant,
}

impl Read for Until {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now()).as_millis();
        let timeout =
            PollTimeout::try_from(i32::try_from(left).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => self.pipe.read(buffer),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// How the report looks.
#[derive(Clone, Copy)]
struct Look {
    escapes: bool,
    color: bool,
    width: usize,
}

impl Look {
    fn of(cx: &Context) -> Self {
        Self { escapes: cx.tty, color: cx.color, width: if cx.tty { cx.width } else { usize::MAX } }
    }

    fn text(self, text: &str) -> String {
        if self.escapes { escape(text.as_bytes()) } else { text.to_owned() }
    }

    fn status(self, verdict: Verdict) -> String {
        let name = format!("{:<4}", verdict.name().to_ascii_uppercase());
        let color = match verdict {
            Verdict::Fail => "1;31",
            Verdict::Warn => "1;33",
            Verdict::Note => "36",
            Verdict::Skip => "2",
            Verdict::Ok => "32",
        };
        if self.color { format!("\x1b[{color}m{name}\x1b[0m") } else { name }
    }

    /// A line after its first word, broken at spaces where it is longer than the terminal is wide.
    fn lines(self, first: &str, text: &str, indent: usize, to: &mut dyn Write) -> io::Result<()> {
        let room = self.width.saturating_sub(indent).max(40);
        let (mut line, mut is_first) = (String::new(), true);
        let mut print = |line: &str, is_first: &mut bool| {
            let head = if *is_first { first.to_owned() } else { " ".repeat(indent) };
            *is_first = false;
            writeln!(to, "{head}{line}")
        };
        for word in text.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                print(&line, &mut is_first)?;
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        print(&line, &mut is_first)
    }
}

/// The worst first; what is well only as a number, unless it was asked for.
fn write(rows: &[Finding], is_asked: bool, look: Look, to: &mut dyn Write) -> io::Result<()> {
    let shown = |row: &&Finding| is_asked || row.status < Verdict::Skip;
    let width = rows.iter().filter(shown).map(|row| row.check.len()).max().unwrap_or(0);
    // Under the sentences.
    let indent = 4 + 2 + width + 2;
    // Of one check and status so many are told, unless it was asked for.
    let (mut before, mut count) = (None, 0);
    for row in rows.iter().filter(shown) {
        let kind = Some((row.status, row.check));
        count = if before == kind { count + 1 } else { 1 };
        before = kind;
        if count > SHOWN && !is_asked {
            let all = rows.iter().filter(|other| Some((other.status, other.check)) == kind).count();
            if count == SHOWN + 1 {
                let text = format!("and {} more: doctor {} shows them", all - SHOWN, row.check);
                look.lines(&" ".repeat(indent), &text, indent, to)?;
            }
            continue;
        }
        let subject = row.subject.as_deref().map(|subject| format!("{}: ", look.text(subject)));
        let sentence = format!("{}{}", subject.unwrap_or_default(), look.text(&row.detail));
        let head = format!("{}  {:width$}  ", look.status(row.status), row.check);
        look.lines(&head, &sentence, indent, to)?;
        for evidence in &row.evidence {
            look.lines(&" ".repeat(indent), &look.text(evidence), indent, to)?;
        }
        if let Some(fix) = &row.fix {
            let head = format!("{}fix: ", " ".repeat(indent));
            look.lines(&head, &look.text(fix), indent + 5, to)?;
        }
    }
    let checks = |verdict: Verdict| {
        let mut ids: Vec<&str> =
            rows.iter().filter(|row| row.status == verdict).map(|row| row.check).collect();
        ids.dedup();
        ids
    };
    let (well, skipped) = (checks(Verdict::Ok), checks(Verdict::Skip));
    if is_asked {
        return Ok(());
    }
    let mut last = match well.len() {
        0 => String::new(),
        1 => "1 check found nothing wrong".to_owned(),
        many => format!("{many} checks found nothing wrong"),
    };
    if !skipped.is_empty() {
        let more = if last.is_empty() { "" } else { "; " };
        last.push_str(&format!("{more}not looked at: {} (doctor -v says why)", skipped.join(", ")));
    }
    if last.is_empty() { Ok(()) } else { look.lines(&" ".repeat(6), &last, 6, to) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(check: &'static str, found: Found) -> Finding {
        let mut rows = Finding::all(registry::CHECKS[0], vec![found]);
        let mut row = rows.remove(0);
        row.check = check;
        row
    }

    #[test]
    fn the_report_has_the_worst_first_and_counts_the_rest() {
        let look = Look { escapes: true, color: false, width: 60 };
        let rows = [
            row("pid1-signals", Found::fail("it ignores SIGTERM\x1b[2J").about("1 (web)").fix("use --init")),
            row("tmp-dir", Found::skip("no time")),
            row("ca-bundle", Found::ok("142 authorities")),
        ];
        let mut out = Vec::new();
        write(&rows, false, look, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "FAIL  pid1-signals  1 (web): it ignores SIGTERM\\x1b[2J\n                    fix: use --init\n      1 check found nothing wrong; not looked at: tmp-dir\n      (doctor -v says why)\n"
        );
        let mut out = Vec::new();
        write(&rows, true, look, &mut out).unwrap();
        assert!(
            String::from_utf8(out)
                .unwrap()
                .ends_with("SKIP  tmp-dir       no time\nOK    ca-bundle     142 authorities\n")
        );
    }
}
