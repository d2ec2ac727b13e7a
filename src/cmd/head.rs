//! `head`.

use std::ffi::{OsStr, OsString};
use std::io::Write;

use memchr::memchr_iter;

use super::input::{Input, operands};
use super::text::count::{Count, Sign, parse};
use super::text::held::{Held, Unit};
use super::text::{self, Headers, PIECE, back};
use super::{Command, Context, Example, Needs, Place, Prints, Result, Status, Takes};
use crate::out::Output;
use crate::out::table::NoRow;

/// Print the beginning of files.
///
/// Ten lines of each, without options.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Head {
    /// How many lines; with `-` before it, all but the last ones. Suffixes: b, K, M, G, kB, MB.
    #[arg(short = 'n', long, value_name = "[-]N", allow_hyphen_values = true, value_parser = parse)]
    #[arg(overrides_with = "bytes")]
    lines: Option<Count>,
    /// How many bytes; with `-` before it, all but the last ones.
    #[arg(short = 'c', long, value_name = "[-]N", allow_hyphen_values = true, value_parser = parse)]
    #[arg(overrides_with = "lines")]
    bytes: Option<Count>,
    /// Never print names of files.
    #[arg(short, long, visible_alias = "silent", overrides_with = "verbose")]
    quiet: bool,
    /// Always print names of files.
    #[arg(short, long, overrides_with = "quiet")]
    verbose: bool,
    /// Lines end in NUL.
    #[arg(short, long)]
    zero_terminated: bool,
    /// Files; `-` is standard input.
    #[arg(add = Takes::Path)]
    files: Vec<OsString>,
}

impl Command for Head {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs::STDIN;
    const PRINTS: Prints = Prints::Bytes;
    const REPLACES: &'static str = "coreutils head";
    const EXAMPLES: &'static [Example] = &[
        Example { line: "head -n 3 /etc/passwd", what: "three lines" },
        Example { line: "head -c 64 /etc/hosts", what: "64 bytes" },
    ];

    /// `-5`, `-5c`, `-5k`.
    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        old_forms(args, |arg| {
            let digits = arg.strip_prefix('-')?;
            let letters = digits.trim_start_matches(|c: char| c.is_ascii_digit());
            let number = &digits[..digits.len() - letters.len()];
            let is_old = !number.is_empty() && letters.chars().all(|c| "bckmlqvz".contains(c));
            is_old.then(|| old_form(number, letters))
        })
    }

    fn reads_stdin(&self) -> bool {
        text::names_stdin(&self.files)
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let files = operands(self.files.clone());
        let mut headers = Headers::new(self.verbose, self.quiet, files.len(), cx.tty);
        for path in &files {
            let printed = self.file(path, &mut headers, out.bytes());
            text::operand(cx, printed)?;
        }
        Ok(Status::OK)
    }
}

/// Options in place of `-5c`.
fn old_form(number: &str, letters: &str) -> Vec<OsString> {
    let mut made: Vec<OsString> = Vec::new();
    let mut count = number.to_owned();
    let mut option = "-n";
    for letter in letters.chars() {
        match letter {
            'c' => option = "-c",
            'l' => option = "-n",
            'b' | 'k' | 'm' => {
                option = "-c";
                count = number.to_owned()
                    + if letter == 'k' {
                        "K"
                    } else if letter == 'm' {
                        "M"
                    } else {
                        "b"
                    };
            }
            flag => made.push(format!("-{flag}").into()),
        }
    }
    made.push(option.into());
    made.push(count.into());
    made
}

/// Replaces arguments that have an old form, but not what belongs to an option before it.
pub(super) fn old_forms(
    args: Vec<OsString>,
    mut old: impl FnMut(&str) -> Option<Vec<OsString>>,
) -> Vec<OsString> {
    let mut made = Vec::with_capacity(args.len());
    let mut is_value = false;
    let mut only_operands = false;
    for arg in args {
        let text = arg.to_str().unwrap_or_default();
        match (!is_value && !only_operands).then(|| old(text)).flatten() {
            Some(options) => {
                is_value = false;
                made.extend(options);
            }
            None => {
                only_operands |= text == "--" && !is_value;
                is_value = !is_value
                    && matches!(text, "-n" | "-c" | "-s" | "--lines" | "--bytes" | "--sleep-interval");
                made.push(arg);
            }
        }
    }
    made
}

impl Head {
    fn file(&self, path: &OsStr, headers: &mut Headers, to: &mut dyn Write) -> Result<()> {
        let input = Input::open(path)?;
        headers.print(&input.name, to)?;
        let delimiter = if self.zero_terminated { 0 } else { b'\n' };
        let (count, unit) = match (self.bytes, self.lines) {
            (Some(count), _) => (count, Unit::Bytes),
            (None, lines) => {
                (lines.unwrap_or(Count { sign: Sign::None, number: 10 }), Unit::Lines(delimiter))
            }
        };
        match (count.sign, unit) {
            (Sign::Minus, unit) => all_but(&input, count.number, unit, to),
            (_, Unit::Bytes) => first_bytes(&input, count.number, to),
            (_, Unit::Lines(delimiter)) => first_lines(&input, count.number, delimiter, to),
        }
    }
}

fn first_bytes(input: &Input, mut left: u64, to: &mut dyn Write) -> Result<()> {
    let waits = text::waits(input);
    let mut buffer = vec![0; left.min(PIECE as u64) as usize];
    while left > 0 {
        let most = left.min(buffer.len() as u64) as usize;
        let count = text::read(input, buffer.get_mut(..most).unwrap_or_default())?;
        if count == 0 {
            break;
        }
        left -= count as u64;
        text::write(to, buffer.get(..count).unwrap_or_default())?;
        if waits {
            text::flush(to)?;
        }
    }
    Ok(())
}

fn first_lines(input: &Input, mut left: u64, delimiter: u8, to: &mut dyn Write) -> Result<()> {
    let waits = text::waits(input);
    // Few lines are in the first page.
    let mut buffer = vec![0; if left < 1000 { PIECE / 8 } else { PIECE }];
    while left > 0 {
        let count = text::read(input, &mut buffer)?;
        if count == 0 {
            break;
        }
        let piece = buffer.get(..count).unwrap_or_default();
        let lines = memchr_iter(delimiter, piece).count() as u64;
        let end = if lines < left {
            left -= lines;
            count
        } else {
            let last = memchr_iter(delimiter, piece).nth((left - 1) as usize);
            left = 0;
            last.map_or(count, |at| at + 1)
        };
        text::write(to, piece.get(..end).unwrap_or_default())?;
        if waits {
            text::flush(to)?;
        }
    }
    Ok(())
}

/// All but the last `number` units.
fn all_but(input: &Input, number: u64, unit: Unit, to: &mut dyn Write) -> Result<()> {
    if number == 0 {
        return text::pieces(input, |piece| text::write(to, piece));
    }
    if let Some(end) = text::length(input)? {
        let end = match unit {
            Unit::Bytes => end.saturating_sub(number),
            Unit::Lines(delimiter) => back::last_lines(input, (0, end), number, delimiter)?,
        };
        return first_bytes(input, end, to);
    }
    let mut held = Held::new(unit, number);
    held.read(input, Some(to))?;
    held.write_before(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_forms_become_options() {
        for (typed, options) in [
            ("-5 x", "-n 5 x"),
            ("-5c x", "-c 5 x"),
            ("-2k", "-c 2K"),
            ("-5qz", "-q -z -n 5"),
            ("-n -5 x", "-n -5 x"),
            ("-v -3", "-v -n 3"),
            ("-- -5", "-- -5"),
            ("-5x", "-5x"),
        ] {
            let args = typed.split(' ').map(OsString::from).collect();
            assert_eq!(Head::rewrite(args).join(OsStr::new(" ")), OsStr::new(options), "{typed}");
        }
    }
}
