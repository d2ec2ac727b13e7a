//! `sort`.

mod compare;
mod hold;
mod key;
mod number;
mod runs;
pub mod version;

use std::cmp::Ordering;
use std::ffi::OsString;
use std::hash::RandomState;
use std::io::{BufWriter, Write};

use nix::sys::stat::{FileStat, fstat, stat};

use super::input::{Input, operands, refusal};
use super::text::{self, Lines};
use super::{Command, Context, Example, Fault, Needs, Place, Prints, Result, Status, Takes};
use crate::out::Output;
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::sys::open;

use compare::Comparison;
use hold::Hold;
use key::{Key, Ordering as KeyOrdering};
use runs::Runs;

/// What of a line in the wrong place is shown.
const SHOWN: usize = 200;

/// Sort lines of all files together.
///
/// By their bytes, without options. All lines are held in memory: at most 512 MiB, and half of what the memory cgroup of
/// nsdbg itself has left. More than that is sorted with -T alone, which names a directory for temporary files.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Sort {
    /// Blanks before what is compared don't count.
    #[arg(short = 'b', long)]
    ignore_leading_blanks: bool,
    /// Only blanks, letters and digits count.
    #[arg(short, long)]
    dictionary_order: bool,
    /// Letters of ASCII are the same in both cases.
    #[arg(short = 'f', long)]
    ignore_case: bool,
    /// Numbers with exponents, infinities.
    #[arg(short, long)]
    general_numeric_sort: bool,
    /// Numbers as 2K, 1G.
    #[arg(short = 'h', long)]
    human_numeric_sort: bool,
    /// Only printable characters of ASCII count.
    #[arg(short = 'i', long)]
    ignore_nonprinting: bool,
    /// Months: JAN before FEB.
    #[arg(short = 'M', long)]
    month_sort: bool,
    /// Numbers.
    #[arg(short, long)]
    numeric_sort: bool,
    /// Random order; equal lines or keys stay together.
    #[arg(short = 'R', long)]
    random_sort: bool,
    /// Versions: 1.9 before 1.10.
    #[arg(short = 'V', long)]
    version_sort: bool,
    /// Reverse the order.
    #[arg(short, long)]
    reverse: bool,
    /// What to compare: F[.C][OPTIONS][,F[.C][OPTIONS]], fields and bytes counted from 1.
    #[arg(short, long, value_name = "KEYDEF", add = Takes::Nothing)]
    key: Vec<OsString>,
    /// What separates fields, one byte; `\0` is NUL.
    #[arg(short = 't', long, value_name = "BYTE", add = Takes::Nothing)]
    field_separator: Option<OsString>,
    /// Of lines that compare the same, only the first.
    #[arg(short, long)]
    unique: bool,
    /// Merge files, each of which is in order already: none is held in memory.
    #[arg(short, long, conflicts_with_all = ["check", "check_quietly"])]
    merge: bool,
    /// Lines that compare the same stay in their order.
    #[arg(short, long)]
    stable: bool,
    /// Say which line is not in its place; the status is 1 then.
    #[arg(short, long)]
    check: bool,
    /// As -c, and say nothing.
    #[arg(short = 'C')]
    check_quietly: bool,
    /// Write to a file of the container, which may be one that is read.
    #[arg(short, long, value_name = "FILE", add = Takes::Path)]
    output: Option<OsString>,
    /// The most that is held, as 64M; KiB without a unit.
    #[arg(short = 'S', long, value_name = "SIZE", value_parser = size)]
    buffer_size: Option<u64>,
    /// By what, as the letters above: general-numeric, human-numeric, month, numeric, random or version.
    #[arg(long, value_name = "WORD", value_parser = ["general-numeric", "human-numeric", "month", "numeric", "random", "version"])]
    sort: Option<String>,
    /// Where lines go that do not fit in memory: a directory of the container, whose file system takes files without a name.
    #[arg(short = 'T', long, value_name = "DIRECTORY", add = Takes::Directory)]
    temporary_directory: Option<OsString>,
    /// Lines end in NUL.
    #[arg(short, long)]
    zero_terminated: bool,
    /// Files; `-` is standard input.
    #[arg(add = Takes::Path)]
    files: Vec<OsString>,
}

/// A size as sort -S takes it: KiB without a unit.
fn size(text: &str) -> std::result::Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "b" => 1,
        "" | "K" | "k" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return Err("a size is a number and b, K, M, G or T".to_owned()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| "a size is a number and b, K, M, G or T".to_owned())
}

impl Command for Sort {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs { memory: true, ..Needs::STDIN };
    const PRINTS: Prints = Prints::Bytes;
    const REPLACES: &'static str = "coreutils sort";
    const EXAMPLES: &'static [Example] = &[
        Example { line: "sort -t : -k 3,3n /etc/passwd", what: "by a number in the third field" },
        Example { line: "sort -ru /etc/group", what: "backwards, each line once" },
    ];

    fn reads_stdin(&self) -> bool {
        text::names_stdin(&self.files)
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        // As everywhere in sort(1): 1 says that lines are not in order, 2 that something failed.
        self.sorted(cx, out).map_err(|fault| if fault.op == "write" { fault } else { fault.with_status(2) })
    }
}

impl Sort {
    fn sorted(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let comparison = self.comparison()?;
        let delimiter = if self.zero_terminated { 0 } else { b'\n' };
        let files = operands(self.files.clone());
        if self.check || self.check_quietly {
            let [file] = &files[..] else {
                return Err(Fault::usage("-c checks one file"));
            };
            return self.checked(Lines::new(Input::open(file)?, delimiter), file, &comparison, cx);
        }
        for path in self.output.iter().chain(&self.temporary_directory) {
            cx.writes("open", path)?;
        }
        if self.merge {
            let files = files.iter().map(|file| self.to_merge(file)).collect::<Result<Vec<_>>>()?;
            let lines = files.into_iter().map(|file| Lines::new(file, delimiter)).collect();
            self.write(out, |to, fault| runs::merge(lines, &comparison, delimiter, to, fault))?;
            return Ok(Status::OK);
        }
        let runs = self.temporary_directory.as_ref().map(|path| Runs::new(path, &comparison, delimiter));
        let mut hold = Hold::new(&comparison, self.limit(cx), runs);
        for file in &files {
            hold.read(&Input::open(file)?, delimiter)?;
        }
        self.write(out, |to, fault| hold.end(delimiter, to, fault))?;
        Ok(Status::OK)
    }

    /// A file that is merged: not the one that is written, which is emptied before it is read.
    fn to_merge(&self, path: &OsString) -> Result<Input> {
        let input = Input::open(path)?;
        let output = self.output.as_ref().and_then(|output| stat(output.as_os_str()).ok());
        let is_it = |of: FileStat| output.is_some_and(|to| (of.st_dev, of.st_ino) == (to.st_dev, to.st_ino));
        match fstat(&input) {
            Ok(of) if is_it(of) => {
                Err(Fault::text("merge", path, "it is where the output goes").with_hint("sort without -m"))
            }
            _ => Ok(input),
        }
    }

    /// Writes to standard output, or to the file that -o names.
    fn write(
        &self,
        out: &mut Output<NoRow>,
        write: impl FnOnce(&mut dyn Write, &dyn Fn(&std::io::Error) -> Fault) -> Result<()>,
    ) -> Result<()> {
        let Some(path) = &self.output else { return write(out.bytes(), &text::write_fault) };
        let fault = |error: &std::io::Error| Fault::io("write", path, error).with_status(2);
        let file = open::to_write(path, false).map_err(|refused| refusal(path, refused))?;
        let mut to = BufWriter::with_capacity(text::PIECE, file);
        write(&mut to, &fault)?;
        to.flush().map_err(|error| fault(&error))
    }

    fn comparison(&self) -> Result<Comparison> {
        let mut global = KeyOrdering::default();
        let is = |word: &str| self.sort.as_deref() == Some(word);
        for (is_set, letter) in [
            (self.ignore_leading_blanks, b'b'),
            (self.dictionary_order, b'd'),
            (self.ignore_case, b'f'),
            (self.general_numeric_sort || is("general-numeric"), b'g'),
            (self.human_numeric_sort || is("human-numeric"), b'h'),
            (self.ignore_nonprinting, b'i'),
            (self.month_sort || is("month"), b'M'),
            (self.numeric_sort || is("numeric"), b'n'),
            (self.random_sort || is("random"), b'R'),
            (self.version_sort || is("version"), b'V'),
            (self.reverse, b'r'),
        ] {
            if is_set {
                global.set(letter, true, true).map_err(Fault::usage)?;
            }
        }
        let mut keys = Vec::new();
        for text in &self.key {
            let wrong = |cause: String| Fault::usage(format!("-k {}: {cause}", text.to_string_lossy()));
            keys.push(Key::parse(&text.to_string_lossy(), &global).map_err(wrong)?);
        }
        if keys.is_empty() && global.is_special() {
            keys.push(Key::whole(&global));
        }
        Ok(Comparison {
            keys,
            separator: self.separator()?,
            reverse: self.reverse,
            stable: self.stable,
            unique: self.unique,
            chance: RandomState::new(),
        })
    }

    /// How many bytes are held: half of what the cgroup has left, since other commands of the line take some.
    fn limit(&self, cx: &Context) -> usize {
        let most = cx.memory.map_or(u64::MAX, |left| left / 2);
        let limit = self.buffer_size.map_or(most, |size| size.min(most));
        usize::try_from(limit).unwrap_or(usize::MAX)
    }

    fn separator(&self) -> Result<Option<u8>> {
        use std::os::unix::ffi::OsStrExt;
        match self.field_separator.as_ref().map(|text| text.as_bytes()) {
            None => Ok(None),
            Some(b"\\0") => Ok(Some(0)),
            Some([byte]) => Ok(Some(*byte)),
            Some(_) => Err(Fault::usage("-t: one byte is wanted")),
        }
    }

    fn checked(
        &self,
        mut lines: Lines,
        file: &OsString,
        comparison: &Comparison,
        cx: &mut Context,
    ) -> Result<Status> {
        let mut before: Option<Vec<u8>> = None;
        let mut number = 0_u64;
        while let Some(line) = lines.next()? {
            number += 1;
            let order = before.as_ref().map_or(Ordering::Less, |before| comparison.compare(before, line));
            if order == Ordering::Greater || (order == Ordering::Equal && self.unique) {
                if !self.check_quietly {
                    let shown = escape(line.get(..SHOWN).unwrap_or(line));
                    let cause = format!("line {number} is not in its place: {shown}");
                    cx.report(&Fault::text("check", file, cause));
                }
                return Ok(Status(1));
            }
            let before = before.get_or_insert_default();
            before.clear();
            before.extend_from_slice(line);
        }
        Ok(Status::OK)
    }
}
