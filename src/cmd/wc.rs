//! `wc`.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use memchr::memchr_iter;
use nix::sys::stat::{SFlag, fstat, stat};
use unicode_width::UnicodeWidthChar;

use super::input::{Input, operands};
use super::text;
use super::{Command, Context, Example, Needs, Place, Prints, Result, Status, Takes};
use crate::out::Output;
use crate::out::name::shell_quoted;
use crate::out::table::NoRow;

/// When the totals are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Total {
    /// With several files.
    Auto,
    /// With one file too.
    Always,
    /// Nothing else.
    Only,
    /// Not at all.
    Never,
}

/// Count lines, words and bytes.
///
/// Text is UTF-8; bytes that are not are no characters.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Wc {
    /// Lines: newlines, strictly.
    #[arg(short, long)]
    lines: bool,
    /// Words.
    #[arg(short, long)]
    words: bool,
    /// Bytes.
    #[arg(short = 'c', long)]
    bytes: bool,
    /// Characters.
    #[arg(short = 'm', long)]
    chars: bool,
    /// Columns of the widest line.
    #[arg(short = 'L', long)]
    max_line_length: bool,
    /// When to print totals.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    total: Total,
    /// Files; `-` is standard input.
    #[arg(add = Takes::Path)]
    files: Vec<OsString>,
}

impl Command for Wc {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs::STDIN;
    const PRINTS: Prints = Prints::Bytes;
    const REPLACES: &'static str = "coreutils wc";
    const EXAMPLES: &'static [Example] = &[
        Example { line: "wc -l /etc/passwd", what: "how many lines" },
        Example { line: "wc /etc/passwd /etc/group", what: "lines, words, bytes, and totals" },
    ];

    fn reads_stdin(&self) -> bool {
        text::names_stdin(&self.files)
    }

    fn run(mut self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        if !(self.lines || self.words || self.bytes || self.chars || self.max_line_length) {
            (self.lines, self.words, self.bytes) = (true, true, true);
        }
        let named = !self.files.is_empty();
        let files = operands(std::mem::take(&mut self.files));
        let width = self.width(&files);
        let mut total = Counts::default();
        for path in &files {
            match Input::open(path).and_then(|input| self.count(&input)) {
                Err(fault) => cx.report(&fault),
                Ok(counts) => {
                    total.add(&counts);
                    if self.total != Total::Only {
                        let name = if named { Some(path.as_os_str()) } else { None };
                        text::write(out.bytes(), &self.line(&counts, width, name))?;
                    }
                }
            }
        }
        let (is_wanted, name) = match self.total {
            Total::Auto => (files.len() > 1, Some("total")),
            Total::Always => (true, Some("total")),
            Total::Only => (true, None),
            Total::Never => (false, None),
        };
        if is_wanted {
            text::write(out.bytes(), &self.line(&total, width, name.map(OsStr::new)))?;
        }
        Ok(Status::OK)
    }
}

impl Wc {
    /// Columns of a number, from the sizes of the files, as GNU counts them.
    fn width(&self, files: &[OsString]) -> usize {
        let kinds = [self.lines, self.words, self.bytes, self.chars, self.max_line_length];
        let one = files.len() == 1 && kinds.iter().filter(|kind| **kind).count() == 1;
        if one || self.total == Total::Only {
            return 1;
        }
        let mut size = 0_u64;
        let mut least = 1;
        for path in files {
            let stat = if path == "-" { fstat(std::io::stdin().as_fd()) } else { stat(path.as_os_str()) };
            match stat {
                Ok(stat) if stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits() => {
                    size = size.saturating_add(stat.st_size as u64);
                }
                Ok(_) => least = 7,
                Err(_) => {}
            }
        }
        size.to_string().len().max(least)
    }

    fn line(&self, counts: &Counts, width: usize, name: Option<&OsStr>) -> Vec<u8> {
        let mut line = String::new();
        for (is_wanted, count) in [
            (self.lines, counts.lines),
            (self.words, counts.words),
            (self.chars, counts.chars),
            (self.bytes, counts.bytes),
            (self.max_line_length, counts.widest),
        ] {
            if is_wanted {
                let before = if line.is_empty() { "" } else { " " };
                // Writing to a string can't fail.
                let _ = write!(line, "{before}{count:width$}");
            }
        }
        let mut line = line.into_bytes();
        if let Some(name) = name {
            line.push(b' ');
            if name.as_bytes().contains(&b'\n') {
                line.extend_from_slice(shell_quoted(name.as_bytes()).as_bytes());
            } else {
                line.extend_from_slice(name.as_bytes());
            }
        }
        line.push(b'\n');
        line
    }

    fn count(&self, input: &Input) -> Result<Counts> {
        let mut counts = Counts::default();
        if self.words || self.chars || self.max_line_length {
            let mut scan = Scan::default();
            text::pieces(input, |piece| {
                counts.lines += memchr_iter(b'\n', piece).count() as u64;
                counts.bytes += piece.len() as u64;
                scan.push(piece);
                Ok(())
            })?;
            scan.finish();
            (counts.words, counts.chars, counts.widest) = (scan.words, scan.chars, scan.widest);
        } else if self.lines {
            text::pieces(input, |piece| {
                counts.lines += memchr_iter(b'\n', piece).count() as u64;
                counts.bytes += piece.len() as u64;
                Ok(())
            })?;
        } else {
            // What a file claims is passed over, what it holds behind that is read.
            if let Some(length) = text::length(input)?.filter(|_| !input.is_stdin()) {
                text::seek(input, length)?;
                counts.bytes = length;
            }
            text::pieces(input, |piece| {
                counts.bytes += piece.len() as u64;
                Ok(())
            })?;
        }
        Ok(counts)
    }
}

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    lines: u64,
    words: u64,
    chars: u64,
    bytes: u64,
    widest: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.words += other.words;
        self.chars += other.chars;
        self.bytes += other.bytes;
        self.widest = self.widest.max(other.widest);
    }
}

/// Words, characters and columns of a text that comes in pieces.
#[derive(Default)]
struct Scan {
    words: u64,
    chars: u64,
    widest: u64,
    column: u64,
    in_word: bool,
    /// The bytes of a character that the last piece cut.
    cut: Vec<u8>,
}

/// What a character of ASCII does.
const CONTROL: u8 = 0;
const PRINTS: u8 = 1;
const SPACE: u8 = 2;

const ASCII: [u8; 128] = {
    let mut kinds = [CONTROL; 128];
    let mut at = 0x21;
    while at < 0x7f {
        kinds[at] = PRINTS;
        at += 1;
    }
    let spaces = *b" \t\n\x0b\x0c\r";
    let mut at = 0;
    while at < spaces.len() {
        kinds[spaces[at] as usize] = SPACE;
        at += 1;
    }
    kinds
};

impl Scan {
    fn push(&mut self, mut piece: &[u8]) {
        while !self.cut.is_empty() {
            let Some((&next, rest)) = piece.split_first() else { return };
            if next & 0xc0 != 0x80 {
                // What was cut is no character: each of its bytes counts for nothing.
                self.cut.clear();
                break;
            }
            self.cut.push(next);
            piece = rest;
            match std::str::from_utf8(&self.cut) {
                Ok(text) => {
                    let char = text.chars().next();
                    self.cut.clear();
                    char.into_iter().for_each(|char| self.wide(char));
                }
                Err(error) if error.error_len().is_some() => self.cut.clear(),
                Err(_) => {}
            }
        }
        let mut rest = piece;
        loop {
            let ascii = rest.iter().position(|byte| !byte.is_ascii()).unwrap_or(rest.len());
            let (plain, after) = rest.split_at(ascii);
            self.ascii(plain);
            let end = after.iter().position(u8::is_ascii).unwrap_or(after.len());
            let (wide, next) = after.split_at(end);
            for chunk in wide.utf8_chunks() {
                chunk.valid().chars().for_each(|char| self.wide(char));
                let invalid = chunk.invalid();
                let is_last = next.is_empty() && invalid.as_ptr_range().end == wide.as_ptr_range().end;
                let is_cut = || std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
                if is_last && !invalid.is_empty() && is_cut() {
                    self.cut = invalid.to_vec();
                }
            }
            rest = next;
            if rest.is_empty() {
                return;
            }
        }
    }

    fn ascii(&mut self, plain: &[u8]) {
        self.chars += plain.len() as u64;
        for &byte in plain {
            let kind = ASCII.get(usize::from(byte)).copied().unwrap_or(CONTROL);
            // Words are counted where they begin.
            self.words += u64::from(kind == PRINTS && !self.in_word);
            self.in_word = kind == PRINTS || (kind != SPACE && self.in_word);
            match byte {
                b'\n' | b'\r' | 0x0c => {
                    self.widest = self.widest.max(self.column);
                    self.column = 0;
                }
                b'\t' => self.column += 8 - self.column % 8,
                b' ' => self.column += 1,
                _ => self.column += u64::from(kind == PRINTS),
            }
        }
    }

    fn wide(&mut self, char: char) {
        self.chars += 1;
        if char.is_control() {
            return;
        }
        // Lines that are separated by U+2028 and U+2029 print nothing; the joiners between words take no column.
        let is_space = char.is_whitespace() || char == '\u{2060}';
        self.column += char.width().unwrap_or(0) as u64;
        if is_space {
            self.in_word = false;
        } else {
            self.words += u64::from(!self.in_word);
            self.in_word = true;
        }
    }

    fn finish(&mut self) {
        self.widest = self.widest.max(self.column);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(pieces: &[&[u8]]) -> (u64, u64, u64) {
        let mut scan = Scan::default();
        pieces.iter().for_each(|piece| scan.push(piece));
        scan.finish();
        (scan.words, scan.chars, scan.widest)
    }

    #[test]
    fn words_characters_and_columns() {
        for (text, wanted) in [
            (&b""[..], (0, 0, 0)),
            (b"one two\n\nthree", (3, 14, 7)),
            (b"a\tb", (2, 3, 9)),
            ("é 漢字\n".as_bytes(), (2, 5, 6)),
            ("a\u{a0}b\u{3000}c".as_bytes(), (3, 5, 6)),
            (b"\xff\xfe", (0, 0, 0)),
            (b"a\xffb \xc3", (1, 3, 3)),
            (b"\x01 \x02", (0, 3, 1)),
            (b"\r\nx\x0cyy", (2, 6, 2)),
        ] {
            assert_eq!(scanned(&[text]), wanted, "{text:?}");
            let bytes: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(scanned(&bytes), wanted, "{text:?} by bytes");
        }
    }
}
