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
    #[arg(short, long, conflicts_with = "all_repeated")]
    count: bool,
    /// Only lines that came more than once.
    #[arg(short = 'd', long)]
    repeated: bool,
    /// All lines that came more than once, each as often.
    #[arg(short = 'D')]
    all_repeated: bool,
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

impl Uniq {
    fn write_runs(
        &self,
        mut lines: Lines,
        delimiter: u8,
        to: &mut dyn Write,
        fault: impl Fn(&std::io::Error) -> Fault,
    ) -> Result<()> {
        let mut held: Vec<u8> = Vec::new();
        let mut count = 0_u64;
        while let Some(line) = lines.next()? {
            if count > 0 && self.is_same(&held, line) {
                count += 1;
                if self.all_repeated {
                    let first = (count == 2).then_some(&held[..]);
                    for line in first.into_iter().chain([line]).filter(|_| !self.unique) {
                        self.write_line(line, delimiter, to).map_err(|error| fault(&error))?;
                    }
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

    /// Writes what is wanted of a line that came so often.
    fn end_run(&self, line: &[u8], count: u64, delimiter: u8, to: &mut dyn Write) -> std::io::Result<()> {
        let is_wanted = match count {
            0 => false,
            1 => !self.repeated && !self.all_repeated,
            _ => !self.unique && !self.all_repeated,
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
