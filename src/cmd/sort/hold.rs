//! The lines of all inputs, in memory, sorted there.

use std::cmp::Ordering;
use std::io::Write;

use memchr::memchr_iter;

use super::compare::Comparison;
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
    unique: bool,
    text: Vec<u8>,
    lines: Vec<Line>,
}

impl<'a> Hold<'a> {
    /// No lines yet.
    pub fn new(comparison: &'a Comparison, unique: bool) -> Self {
        Self { comparison, unique, text: Vec::new(), lines: Vec::new() }
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
            self.text.reserve((length as usize).min(LIMIT).saturating_add(PIECE));
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
            if self.size() > LIMIT {
                if self.unique {
                    start = self.compact(start);
                }
                if !self.unique || self.size() > LIMIT / 2 {
                    let cause = "the lines are more than 512 MiB: they would not fit in memory";
                    return Err(Fault::text("read", &input.name, cause));
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
        if self.unique {
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

    /// Writes the lines.
    ///
    /// # Errors
    /// Where they can't be written.
    pub fn write(&self, delimiter: u8, to: &mut dyn Write) -> std::io::Result<()> {
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
