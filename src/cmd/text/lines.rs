//! Lines of an input, one after the other, from one buffer.

use memchr::memchr;

use super::{LIMIT, PIECE, read};
use crate::cmd::input::Input;
use crate::cmd::{Fault, Result};

/// The lines of an input, without what ends them.
pub struct Lines {
    input: Input,
    delimiter: u8,
    buffer: Vec<u8>,
    /// What is left of the buffer.
    from: usize,
    to: usize,
    is_over: bool,
}

impl Lines {
    /// Lines that end in this byte.
    pub fn new(input: Input, delimiter: u8) -> Self {
        Self { input, delimiter, buffer: vec![0; PIECE], from: 0, to: 0, is_over: false }
    }

    /// The next line; none at the end. A last line without an end is one, too.
    ///
    /// # Errors
    /// A fault of reading, or a line that is too long to be held.
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        let mut looked_at = self.from;
        loop {
            let fresh = self.buffer.get(looked_at..self.to).unwrap_or_default();
            if let Some(at) = memchr(self.delimiter, fresh) {
                let line = self.from..looked_at + at;
                self.from = looked_at + at + 1;
                return Ok(self.buffer.get(line));
            }
            if self.is_over {
                let line = self.from..self.to;
                self.from = self.to;
                return Ok(if line.is_empty() { None } else { self.buffer.get(line) });
            }
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
            looked_at = self.to;
            if self.to == self.buffer.len() {
                if self.to >= LIMIT / 2 {
                    let cause = "a line is longer than 256 MiB";
                    return Err(Fault::text("read", &self.input.name, cause));
                }
                self.buffer.resize(self.to * 2, 0);
            }
            match read(&self.input, self.buffer.get_mut(self.to..).unwrap_or_default())? {
                0 => self.is_over = true,
                count => self.to += count,
            }
        }
    }
}
