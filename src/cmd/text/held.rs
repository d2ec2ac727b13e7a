//! The end of an input that can't be read backwards: as many of its last bytes or lines as are asked for.

use std::collections::VecDeque;
use std::io::Write;

use memchr::{memchr_iter, memrchr_iter};

use super::{LIMIT, read, write};
use crate::cmd::input::Input;
use crate::cmd::{Fault, Result};

/// What one piece holds.
const PIECE: usize = 64 << 10;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Lines that end in this byte.
    Lines(u8),
}

struct Piece {
    bytes: Vec<u8>,
    /// How many units are in it.
    units: u64,
}

/// The last units of an input that was read so far.
pub struct Held {
    unit: Unit,
    wanted: u64,
    pieces: VecDeque<Piece>,
    units: u64,
    size: usize,
}

impl Held {
    /// Nothing yet.
    pub fn new(unit: Unit, wanted: u64) -> Self {
        Self { unit, wanted, pieces: VecDeque::new(), units: 0, size: 0 }
    }

    /// Reads to the end. What comes before the wanted units goes to `before`, where that is asked for.
    ///
    /// # Errors
    /// A fault of reading or writing, or more than can be held.
    pub fn read(&mut self, input: &Input, mut before: Option<&mut dyn Write>) -> Result<()> {
        loop {
            if self.pieces.back().is_none_or(|piece| piece.bytes.len() >= PIECE) {
                self.pieces.push_back(Piece { bytes: Vec::with_capacity(PIECE), units: 0 });
            }
            let Some(last) = self.pieces.back_mut() else { continue };
            let had = last.bytes.len();
            last.bytes.resize(PIECE, 0);
            let count = read(input, last.bytes.get_mut(had..).unwrap_or_default())?;
            last.bytes.truncate(had + count);
            if count == 0 {
                return Ok(());
            }
            let fresh = last.bytes.get(had..).unwrap_or_default();
            let units = match self.unit {
                Unit::Bytes => count as u64,
                Unit::Lines(delimiter) => memchr_iter(delimiter, fresh).count() as u64,
            };
            last.units += units;
            self.units += units;
            self.size += count;
            // The last line may have no end, so that one more delimiter is needed before the wanted ones.
            while let Some(first) = self.pieces.front()
                && self.units - first.units > self.wanted
            {
                self.units -= first.units;
                self.size -= first.bytes.len();
                if let Some(to) = before.as_deref_mut() {
                    write(to, &first.bytes)?;
                }
                self.pieces.pop_front();
            }
            if self.size > LIMIT {
                let cause = "it can't be read backwards, and more than 512 MiB would have to be held";
                return Err(Fault::text("read", &input.name, cause));
            }
        }
    }

    /// How many bytes of what is held come before the wanted units.
    fn cut(&self) -> usize {
        match self.unit {
            Unit::Bytes => self.size - (self.wanted.min(self.size as u64) as usize),
            Unit::Lines(_) if self.wanted == 0 => self.size,
            Unit::Lines(delimiter) => {
                let mut left = self.wanted;
                let mut end = self.size;
                for piece in self.pieces.iter().rev() {
                    let begin = end - piece.bytes.len();
                    for at in memrchr_iter(delimiter, &piece.bytes) {
                        if begin + at + 1 == self.size {
                            continue;
                        }
                        left -= 1;
                        if left == 0 {
                            return begin + at + 1;
                        }
                    }
                    end = begin;
                }
                0
            }
        }
    }

    /// Writes the wanted units.
    ///
    /// # Errors
    /// A fault of writing.
    pub fn write_wanted(&self, to: &mut dyn Write) -> Result<()> {
        let mut skip = self.cut();
        for piece in &self.pieces {
            let passed = skip.min(piece.bytes.len());
            skip -= passed;
            write(to, piece.bytes.get(passed..).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Writes what is held and comes before the wanted units.
    ///
    /// # Errors
    /// A fault of writing.
    pub fn write_before(&self, to: &mut dyn Write) -> Result<()> {
        let mut left = self.cut();
        for piece in &self.pieces {
            let taken = left.min(piece.bytes.len());
            left -= taken;
            write(to, piece.bytes.get(..taken).unwrap_or_default())?;
        }
        Ok(())
    }
}
