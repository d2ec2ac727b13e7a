//! The lines of all inputs, in memory, sorted there.

use std::cmp::Ordering;
use std::io::Write;

use memchr::memchr_iter;

use super::compare::Comparison;
use super::runs::{Runs, merge};
use crate::cmd::input::Input;
use crate::cmd::text::{self, LIMIT, PIECE};
use crate::cmd::{Fault, Result};

/// One line: where it is in the text, and what settles most comparisons.
#[derive(Clone, Copy)]
struct Line {
    rank: u64,
    start: u32,
    length: u32,
}

/// Lines that are held. Text and table of lines together stay below [`LIMIT`].
pub struct Hold<'a> {
    comparison: &'a Comparison,
    limit: usize,
    /// Where lines go that do not fit.
    runs: Option<Runs<'a>>,
    text: Vec<u8>,
    lines: Vec<Line>,
}

impl<'a> Hold<'a> {
    /// No lines yet, and at most so many bytes of them; more go to files.
    pub fn new(comparison: &'a Comparison, limit: usize, runs: Option<Runs<'a>>) -> Self {
        Self { comparison, limit: limit.min(LIMIT), runs, text: Vec::new(), lines: Vec::new() }
    }

    fn size(&self) -> usize {
        self.text.len() + self.lines.len() * size_of::<Line>()
    }

    /// Reads an input to its end. A last line without an end is one like the others.
    ///
    /// # Errors
    /// A fault of reading, or more than can be held.
    pub fn read(&mut self, input: &Input, delimiter: u8) -> Result<()> {
        if let Some(length) = text::length(input)? {
            self.text.reserve((length as usize).min(self.limit).saturating_add(PIECE));
        }
        let mut start = self.text.len();
        loop {
            let had = self.text.len();
            self.text.resize(had + PIECE, 0);
            let read = text::read(input, self.text.get_mut(had..).unwrap_or_default());
            self.text.truncate(had + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                break;
            }
            for at in memchr_iter(delimiter, self.text.get(had..).unwrap_or_default()) {
                let end = had + at;
                self.lines.push(Line { rank: 0, start: start as u32, length: (end - start) as u32 });
                start = end + 1;
            }
            if self.size() > self.limit {
                if self.comparison.unique {
                    start = self.compact(start);
                }
                if self.runs.is_some() && !self.lines.is_empty() {
                    start = self.spill(start, delimiter)?;
                } else if !self.comparison.unique || self.size() > self.limit / 2 {
                    let mib = self.limit >> 20;
                    let cause = format!("the lines are more than {mib} MiB: they would not fit in memory");
                    return Err(Fault::text("read", &input.name, cause).with_hint("-T DIRECTORY"));
                }
            }
        }
        if start < self.text.len() {
            let length = (self.text.len() - start) as u32;
            self.lines.push(Line { rank: 0, start: start as u32, length });
        }
        Ok(())
    }

    /// Sorts the lines; where that is asked for, only the first of those that compare the same stays.
    pub fn sort(&mut self) {
        let (text, comparison) = (&self.text, self.comparison);
        let of = |line: &Line| {
            let start = line.start as usize;
            text.get(start..start + line.length as usize).unwrap_or_default()
        };
        for line in &mut self.lines {
            line.rank = comparison.rank(of(line));
        }
        self.lines.sort_unstable_by(|a, b| {
            a.rank
                .cmp(&b.rank)
                .then_with(|| comparison.compare(of(a), of(b)))
                .then_with(|| a.start.cmp(&b.start))
        });
        if self.comparison.unique {
            self.lines.dedup_by(|b, a| comparison.compare(of(a), of(b)) == Ordering::Equal);
        }
    }

    /// Drops lines that are there already, and their text. `start` is where the line begins whose end is not yet read;
    /// where it is afterwards.
    fn compact(&mut self, start: usize) -> usize {
        self.sort();
        self.lines.sort_unstable_by_key(|line| line.start);
        let mut end = 0;
        for line in &mut self.lines {
            let from = line.start as usize;
            self.text.copy_within(from..from + line.length as usize, end);
            line.start = end as u32;
            end += line.length as usize;
        }
        let rest = self.text.len() - start;
        self.text.copy_within(start.., end);
        self.text.truncate(end + rest);
        end
    }

    /// Moves the lines into a file. `start` is as in [`Hold::compact`].
    fn spill(&mut self, start: usize, delimiter: u8) -> Result<usize> {
        self.sort();
        if let Some(mut runs) = self.runs.take() {
            runs.add(|to| self.write(delimiter, to))?;
            self.runs = Some(runs);
        }
        self.lines.clear();
        let rest = self.text.len() - start;
        self.text.copy_within(start.., 0);
        self.text.truncate(rest);
        Ok(0)
    }

    /// Writes all lines in their order.
    ///
    /// # Errors
    /// Faults of files, and those that `fault` makes of writing.
    pub fn end(
        mut self,
        delimiter: u8,
        to: &mut dyn Write,
        fault: impl Fn(&std::io::Error) -> Fault,
    ) -> Result<()> {
        if self.runs.as_ref().is_some_and(|runs| !runs.is_empty()) {
            self.spill(self.text.len(), delimiter)?;
            // Room for what is read of the files.
            self.text = Vec::new();
            let files = self.runs.as_mut().map_or_else(|| Ok(Vec::new()), Runs::lines)?;
            return merge(files, self.comparison, delimiter, to, fault);
        }
        self.sort();
        self.write(delimiter, to).map_err(|error| fault(&error))
    }

    /// Writes the lines that are held.
    fn write(&self, delimiter: u8, to: &mut dyn Write) -> std::io::Result<()> {
        let mut piece = Vec::with_capacity(PIECE);
        for line in &self.lines {
            let start = line.start as usize;
            let bytes = self.text.get(start..start + line.length as usize).unwrap_or_default();
            if piece.len() + bytes.len() >= PIECE {
                to.write_all(&piece)?;
                piece.clear();
                if bytes.len() >= PIECE {
                    to.write_all(bytes)?;
                    piece.push(delimiter);
                    continue;
                }
            }
            piece.extend_from_slice(bytes);
            piece.push(delimiter);
        }
        to.write_all(&piece)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;
    use crate::cmd::sort::key::{As, Key, Ordering as How};

    fn input(text: &[u8]) -> Input {
        let mut file = File::from(memfd_create(c"text", MFdFlags::MFD_CLOEXEC).unwrap());
        file.write_all(text).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        Input::of_file(file, "text".as_ref())
    }

    fn comparison(unique: bool) -> Comparison {
        let keys = vec![Key::whole(&How { kind: As::Number, ..How::default() })];
        Comparison {
            keys,
            separator: None,
            reverse: false,
            stable: false,
            unique,
            chance: Default::default(),
        }
    }

    #[test]
    fn of_lines_that_are_the_same_only_the_first_is_held() {
        let text: Vec<u8> = (0..300_000).flat_map(|n| format!("{} {n}\n", n % 100).into_bytes()).collect();
        let comparison = comparison(true);
        let mut hold = Hold::new(&comparison, 1 << 20, None);
        for _ in 0..2 {
            hold.read(&input(&text), b'\n').unwrap();
            assert!(hold.size() < 3 << 20);
        }
        hold.sort();
        let mut sorted = Vec::new();
        hold.write(b'\n', &mut sorted).unwrap();
        let wanted: String = (0..100).map(|n| format!("{n} {n}\n")).collect();
        assert_eq!(String::from_utf8(sorted).unwrap(), wanted);
    }

    #[test]
    fn more_than_can_be_held_is_said() {
        let comparison = comparison(false);
        let mut hold = Hold::new(&comparison, 1 << 20, None);
        let fault = hold.read(&input(&b"x\n".repeat(1 << 20)), b'\n').unwrap_err();
        assert!(fault.to_string().starts_with("read text: the lines are more"), "{fault}");
    }
}
