//! `uniq`.

use std::ffi::OsString;
use std::io::Write;

use super::input::Input;
use super::text::{self, Lines};
use super::{Command, Context, Example, Fault, Needs, Place, Prints, Result, Status, Takes};
use crate::out::Output;
use crate::out::table::NoRow;
use crate::sys::open;

/// Drop lines that are as the one before.
///
/// Only lines that follow each other are compared: sort first.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Uniq {
    /// How often each line came, before it.
    #[arg(short, long, conflicts_with_all = ["all", "all_repeated"])]
    count: bool,
    /// Only lines that came more than once.
    #[arg(short = 'd', long)]
    repeated: bool,
    /// All lines that came more than once, each as often.
    #[arg(short = 'D')]
    all: bool,
    /// As -D; with an empty line before each group (prepend) or between them (separate).
    #[arg(long, value_name = "METHOD", num_args = 0..=1, require_equals = true, default_missing_value = "none")]
    all_repeated: Option<Between>,
    /// All lines, with an empty line between groups of equal ones (separate), before, after, or around each.
    #[arg(long, value_name = "METHOD", num_args = 0..=1, require_equals = true, default_missing_value = "separate",
        conflicts_with_all = ["count", "repeated", "all", "all_repeated", "unique"])]
    group: Option<Around>,
    /// Only lines that came once.
    #[arg(short, long)]
    unique: bool,
    /// Letters of ASCII are the same in both cases.
    #[arg(short, long)]
    ignore_case: bool,
    /// Fields at the beginning that are not compared.
    #[arg(short = 'f', long, value_name = "N", default_value_t = 0)]
    skip_fields: usize,
    /// Bytes after those fields that are not compared.
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    skip_chars: usize,
    /// How many bytes are compared.
    #[arg(short = 'w', long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    check_chars: usize,
    /// Lines end in NUL.
    #[arg(short, long)]
    zero_terminated: bool,
    /// What to read; `-` is standard input.
    #[arg(default_value = "-", add = Takes::Path)]
    input: OsString,
    /// Where to write: a file of the container; `-` is standard output.
    #[arg(default_value = "-", add = Takes::Path)]
    output: OsString,
}

/// Where --all-repeated puts empty lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Between {
    None,
    Prepend,
    Separate,
}

/// Where --group puts empty lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Around {
    Separate,
    Prepend,
    Append,
    Both,
}

impl Command for Uniq {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs::STDIN;
    const PRINTS: Prints = Prints::Bytes;
    const REPLACES: &'static str = "coreutils uniq";
    const EXAMPLES: &'static [Example] = &[
        Example { line: "sort /etc/group | uniq", what: "each line once" },
        Example { line: "sort /etc/group | uniq -c", what: "how often each line comes" },
    ];

    fn reads_stdin(&self) -> bool {
        self.input == "-"
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let delimiter = if self.zero_terminated { 0 } else { b'\n' };
        let lines = Lines::new(Input::open(&self.input)?, delimiter);
        if self.output == "-" {
            self.write_runs(lines, delimiter, out.bytes(), text::write_fault)?;
            return Ok(Status::OK);
        }
        cx.writes("open", &self.output)?;
        let file = open::to_write(&self.output, false)
            .map_err(|refused| super::input::refusal(&self.output, refused))?;
        let mut to = std::io::BufWriter::with_capacity(text::PIECE, file);
        let fault = |error: &std::io::Error| Fault::io("write", &self.output, error);
        self.write_runs(lines, delimiter, &mut to, fault)?;
        to.flush().map_err(|error| fault(&error))?;
        Ok(Status::OK)
    }
}

/// What failed.
enum Failed {
    Read(Fault),
    Write(std::io::Error),
}

impl Uniq {
    fn write_runs(
        &self,
        mut lines: Lines,
        delimiter: u8,
        to: &mut dyn Write,
        fault: impl Fn(&std::io::Error) -> Fault,
    ) -> Result<()> {
        if let Some(around) = self.group {
            return self.write_groups(lines, around, delimiter, to).map_err(|failed| match failed {
                Failed::Read(fault) => fault,
                Failed::Write(error) => fault(&error),
            });
        }
        let mut held: Vec<u8> = Vec::new();
        let mut count = 0_u64;
        let mut has_group = false;
        while let Some(line) = lines.next()? {
            if count > 0 && self.is_same(&held, line) {
                count += 1;
                if self.prints_all() {
                    let is_apart = match self.all_repeated {
                        Some(Between::Prepend) => true,
                        Some(Between::Separate) => has_group,
                        Some(Between::None) | None => false,
                    };
                    if count == 2 && is_apart {
                        to.write_all(&[delimiter]).map_err(|error| fault(&error))?;
                    }
                    has_group = true;
                    self.write_line(&held, delimiter, to).map_err(|error| fault(&error))?;
                    held.clear();
                    held.extend_from_slice(line);
                }
                continue;
            }
            self.end_run(&held, count, delimiter, to).map_err(|error| fault(&error))?;
            held.clear();
            held.extend_from_slice(line);
            count = 1;
        }
        self.end_run(&held, count, delimiter, to).map_err(|error| fault(&error))
    }

    /// Writes all lines, groups of equal ones kept apart.
    fn write_groups(
        &self,
        mut lines: Lines,
        around: Around,
        delimiter: u8,
        to: &mut dyn Write,
    ) -> std::result::Result<(), Failed> {
        let mut held: Option<Vec<u8>> = None;
        while let Some(line) = lines.next().map_err(Failed::Read)? {
            if !held.as_ref().is_some_and(|held| self.is_same(held, line)) {
                if matches!(around, Around::Prepend | Around::Both) || held.is_some() {
                    to.write_all(&[delimiter]).map_err(Failed::Write)?;
                }
                let held = held.get_or_insert_default();
                held.clear();
                held.extend_from_slice(line);
            }
            self.write_line(line, delimiter, to).map_err(Failed::Write)?;
        }
        if held.is_some() && matches!(around, Around::Append | Around::Both) {
            to.write_all(&[delimiter]).map_err(Failed::Write)?;
        }
        Ok(())
    }

    /// Whether each line of a group is printed.
    fn prints_all(&self) -> bool {
        self.all || self.all_repeated.is_some()
    }

    /// Writes what is wanted of a line that came so often.
    fn end_run(&self, line: &[u8], count: u64, delimiter: u8, to: &mut dyn Write) -> std::io::Result<()> {
        let is_wanted = match count {
            0 => false,
            1 => !self.repeated && !self.prints_all(),
            // The last of a group whose other lines are printed, too.
            _ => !self.unique,
        };
        if !is_wanted {
            return Ok(());
        }
        if self.count {
            write!(to, "{count:7} ")?;
        }
        self.write_line(line, delimiter, to)
    }

    fn write_line(&self, line: &[u8], delimiter: u8, to: &mut dyn Write) -> std::io::Result<()> {
        to.write_all(line)?;
        to.write_all(&[delimiter])
    }

    fn is_same(&self, one: &[u8], other: &[u8]) -> bool {
        let (one, other) = (self.compared(one), self.compared(other));
        if self.ignore_case { one.eq_ignore_ascii_case(other) } else { one == other }
    }

    /// The part of a line that is compared.
    fn compared<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n');
        let mut rest = line;
        for _ in 0..self.skip_fields {
            if rest.is_empty() {
                break;
            }
            let blanks = rest.iter().take_while(|byte| is_blank(byte)).count();
            let field = rest.iter().skip(blanks).take_while(|byte| !is_blank(byte)).count();
            rest = rest.get(blanks + field..).unwrap_or_default();
        }
        let rest = rest.get(self.skip_chars..).unwrap_or_default();
        rest.get(..self.check_chars).unwrap_or(rest)
    }
}
