//! `tail`.

mod follow;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use memchr::memchr_iter;

use super::head::old_forms;
use super::input::{Input, operands};
use super::text::count::{Count, Sign, parse};
use super::text::held::{Held, Unit};
use super::text::{self, Headers, PIECE, back};
use super::{Command, Context, Example, Fault, Needs, Place, Prints, Result, Status, Takes};
use crate::out::Output;
use crate::out::fault::Cause;
use crate::out::table::NoRow;

/// What is followed when a name leads to another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Follow {
    /// The file that was opened.
    Descriptor,
    /// The name.
    Name,
}

/// Print the end of files, and what is added.
///
/// Ten lines of each, without options. Followed files are looked at five times a second.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Tail {
    /// How many lines; with `+` before it, from that line on. Suffixes: b, K, M, G, kB, MB.
    #[arg(short = 'n', long, value_name = "[+]N", allow_hyphen_values = true, value_parser = parse)]
    #[arg(overrides_with = "bytes")]
    lines: Option<Count>,
    /// How many bytes; with `+` before it, from that byte on.
    #[arg(short = 'c', long, value_name = "[+]N", allow_hyphen_values = true, value_parser = parse)]
    #[arg(overrides_with = "lines")]
    bytes: Option<Count>,
    /// Print what is added, of the open file.
    #[arg(short = 'f')]
    append: bool,
    /// As -f; `name` goes on with the file that has the name when it is rotated.
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "descriptor")]
    follow: Option<Follow>,
    /// As --follow=name --retry.
    #[arg(short = 'F')]
    follow_name: bool,
    /// Wait for files that are not there.
    #[arg(long)]
    retry: bool,
    /// Seconds between looks.
    #[arg(short, long, value_name = "SECONDS", default_value = "0.2", value_parser = interval)]
    sleep_interval: Duration,
    /// With -f: end when this process has ended.
    #[arg(long, value_name = "PID", add = Takes::Pid)]
    pid: Option<i32>,
    /// Never print names of files.
    #[arg(short, long, visible_alias = "silent", overrides_with = "verbose")]
    quiet: bool,
    /// Always print names of files.
    #[arg(short, long, overrides_with = "quiet")]
    verbose: bool,
    /// Lines end in NUL.
    #[arg(short, long)]
    zero_terminated: bool,
    /// Open FIFOs and devices too: that may wait, or act on a device.
    #[arg(long)]
    force: bool,
    /// Files; `-` is standard input.
    #[arg(add = Takes::Path)]
    files: Vec<OsString>,
}

fn interval(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is wanted".to_owned())?;
    // A hundredth of a second is often enough.
    Duration::try_from_secs_f64(seconds.max(0.01)).map_err(|error| error.to_string())
}

impl Command for Tail {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs::STDIN;
    const PRINTS: Prints = Prints::Bytes;
    const REPLACES: &'static str = "coreutils tail";
    const EXAMPLES: &'static [Example] = &[
        Example { line: "tail -n 1 /etc/passwd", what: "the last line" },
        Example { line: "tail -n +2 /etc/hosts", what: "from the second line on" },
    ];

    /// `-5`, `-5f`, `-5c`, `+5`.
    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        let mut is_first = true;
        old_forms(args, |arg| {
            let may_have_plus = std::mem::take(&mut is_first);
            let signed = if may_have_plus { arg.strip_prefix(['-', '+']) } else { arg.strip_prefix('-') };
            let letters = signed?.trim_start_matches(|c: char| c.is_ascii_digit());
            let number = &arg[..arg.len() - letters.len()];
            let (unit, follow) = match letters.strip_suffix('f') {
                Some(unit) => (unit, true),
                None => (letters, false),
            };
            if number.len() < 2 {
                return None;
            }
            let number = if number.starts_with('+') { number } else { &number[1..] };
            let mut made: Vec<OsString> = match unit {
                "" | "l" => vec!["-n".into(), number.into()],
                "c" => vec!["-c".into(), number.into()],
                "b" => vec!["-c".into(), format!("{number}b").into()],
                _ => return None,
            };
            made.extend(follow.then(|| "-f".into()));
            Some(made)
        })
    }

    fn reads_stdin(&self) -> bool {
        text::names_stdin(&self.files)
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let files = operands(self.files.clone());
        let mut headers = Headers::new(self.verbose, self.quiet, files.len(), cx.tty);
        let follow = self.follows();
        let retry = self.retry || self.follow_name;
        let count = self.bytes.or(self.lines);
        if follow.is_none() && count.is_some_and(|count| count.number == 0 && count.sign != Sign::Plus) {
            // As GNU's tail, which opens nothing then.
            return Ok(Status::OK);
        }
        let mut followed = Vec::new();
        for path in files {
            let opened = self.open(&path).and_then(|input| {
                headers.print(&input.name, out.bytes())?;
                self.file(&input, out.bytes())?;
                Ok(input)
            });
            match opened {
                Ok(input) => followed.push(follow::Followed::open(path, input)),
                Err(fault) if fault.op == "write" => return Err(fault),
                Err(fault) => {
                    cx.report(&fault);
                    if retry && follow == Some(Follow::Name) {
                        followed.push(follow::Followed::absent(path));
                    }
                }
            }
        }
        if let Some(follow) = follow {
            let by_name = follow == Follow::Name;
            let until = self.pid.map(follow::Until::of).transpose()?;
            let how = follow::How { by_name, retry, interval: self.sleep_interval, until };
            follow::follow(followed, &how, &mut headers, cx, out.bytes())?;
        }
        Ok(Status::OK)
    }
}

impl Tail {
    fn follows(&self) -> Option<Follow> {
        if self.follow_name {
            return Some(Follow::Name);
        }
        self.follow.or(self.append.then_some(Follow::Descriptor))
    }

    fn open(&self, path: &OsStr) -> Result<Input> {
        if self.force && path != "-" {
            let file = File::options().read(true).custom_flags(libc::O_NOCTTY).open(path);
            return Ok(Input::of_file(file.map_err(|error| Fault::io("open", path, &error))?, path));
        }
        Input::open(path).map_err(|fault| match fault.cause {
            Cause::Text(_) => fault.with_hint("--force opens it"),
            Cause::Errno(_) => fault,
        })
    }

    fn file(&self, input: &Input, to: &mut dyn Write) -> Result<()> {
        let delimiter = if self.zero_terminated { 0 } else { b'\n' };
        let (count, unit) = match (self.bytes, self.lines) {
            (Some(count), _) => (count, Unit::Bytes),
            (None, lines) => {
                (lines.unwrap_or(Count { sign: Sign::None, number: 10 }), Unit::Lines(delimiter))
            }
        };
        let length = text::length(input)?;
        if count.sign == Sign::Plus {
            return from(input, count.number.saturating_sub(1), unit, length, to);
        }
        match length {
            Some(end) => {
                let start = match unit {
                    Unit::Bytes => end.saturating_sub(count.number),
                    Unit::Lines(delimiter) => back::last_lines(input, (0, end), count.number, delimiter)?,
                };
                text::seek(input, start)?;
                text::pieces(input, |piece| text::write(to, piece))
            }
            None => {
                let mut held = Held::new(unit, count.number);
                held.read(input, None)?;
                held.write_wanted(to)
            }
        }
    }
}

/// All but the first units.
fn from(input: &Input, mut skip: u64, unit: Unit, length: Option<u64>, to: &mut dyn Write) -> Result<()> {
    if let (Some(length), Unit::Bytes) = (length, unit) {
        text::seek(input, skip.min(length))?;
        skip = 0;
    }
    let mut buffer = vec![0; PIECE];
    while skip > 0 {
        let count = text::read(input, &mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let piece = buffer.get(..count).unwrap_or_default();
        let units = match unit {
            Unit::Bytes => count as u64,
            Unit::Lines(delimiter) => memchr_iter(delimiter, piece).count() as u64,
        };
        if units < skip {
            skip -= units;
            continue;
        }
        let begin = match unit {
            Unit::Bytes => skip as usize,
            Unit::Lines(delimiter) => {
                memchr_iter(delimiter, piece).nth((skip - 1) as usize).map_or(count, |at| at + 1)
            }
        };
        skip = 0;
        text::write(to, piece.get(begin..).unwrap_or_default())?;
    }
    let waits = text::waits(input);
    text::pieces(input, |piece| {
        text::write(to, piece)?;
        if waits { text::flush(to) } else { Ok(()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_forms_become_options() {
        for (typed, options) in [
            ("-5 x", "-n 5 x"),
            ("-5f x", "-n 5 -f x"),
            ("+5 x", "-n +5 x"),
            ("-5c x", "-c 5 x"),
            ("-2b", "-c 2b"),
            ("-f -3 x", "-f -n 3 x"),
            ("-n -5 x", "-n -5 x"),
            ("-f x", "-f x"),
            ("x +5", "x +5"),
            ("-5x", "-5x"),
        ] {
            let args = typed.split(' ').map(OsString::from).collect();
            assert_eq!(Tail::rewrite(args).join(OsStr::new(" ")), OsStr::new(options), "{typed}");
        }
    }
}
