//! One file searched, block by block: a match is looked for in the block, and its line found around it.

use memchr::{memchr, memrchr};

use super::matcher::{Block, Matcher};
use super::plan::{Binary, Plan};
use super::print::{Line, Printer};
use crate::cmd::{Fault, Result};

/// What is read at once.
const PIECE: usize = 128 << 10;

/// The longest line; of a longer one the rest is left out. Also what lines before a match may take.
const LONGEST: usize = 64 << 20;

/// Printed bytes are handed on in pieces of this size.
const OUT: usize = 64 << 10;

/// Where lines come from.
pub trait Source {
    /// Reads the next bytes; 0 at the end.
    ///
    /// # Errors
    /// A fault that names it.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize>;

    /// What is left unread of a hole, where there is one; it is passed over.
    fn skip_hole(&mut self) -> u64;

    /// Whether it may wait for more: then what was found is handed on before.
    fn waits(&self) -> bool;

    /// Whether all of it was read, where that is known without another read.
    fn is_read(&self) -> bool;
}

/// What a file came to.
#[derive(Debug, Default)]
pub struct Found {
    /// Lines that were selected.
    pub count: u64,
    /// It is no text, and that it matches is still to be said.
    pub is_binary: bool,
    /// Lines longer than [`LONGEST`] were cut.
    pub is_cut: bool,
    /// A line took too many steps, and the rest was not searched.
    pub gave_up: bool,
}

/// A search: buffers that serve one file after the other.
pub struct Search<'a> {
    plan: &'a Plan,
    matcher: &'a Matcher,
    /// Prints what is found.
    pub printer: Printer<'a>,
    buffer: Vec<u8>,
    /// A line was printed: the next group is kept apart from it.
    printed: bool,
    file: File,
}

/// What is known while one file is searched. Places are those of the buffer.
#[derive(Default)]
struct File {
    name: Vec<u8>,
    /// Where the buffer begins in the file.
    base: u64,
    /// Lines before `counted`.
    lines: u64,
    counted: usize,
    count: u64,
    left: u64,
    /// Lines of context that are still to be printed.
    pending: usize,
    /// Where the last line that was printed ends.
    last: Option<usize>,
    quiet: bool,
    stops_at_first: bool,
    over: bool,
}

/// Takes what was printed.
pub type Sink<'s> = &'s mut dyn FnMut(&mut Vec<u8>) -> Result<()>;

impl<'a> Search<'a> {
    /// A search that has found nothing yet.
    pub fn new(plan: &'a Plan, matcher: &'a Matcher, names: bool) -> Self {
        let printer = Printer::new(plan, matcher, names);
        Self { plan, matcher, printer, buffer: vec![0; PIECE + 1], printed: false, file: File::default() }
    }

    /// Searches one file.
    ///
    /// # Errors
    /// Where it can't be read, or what was found not written. What is known until then is in the second part.
    pub fn file(&mut self, name: &[u8], source: &mut dyn Source, sink: Sink) -> (Found, Result<()>) {
        let mut name_kept = std::mem::take(&mut self.file.name);
        name_kept.clear();
        name_kept.extend_from_slice(name);
        self.file = File {
            name: name_kept,
            left: self.plan.most,
            quiet: self.plan.is_quiet(),
            stops_at_first: self.plan.stops_at_first(),
            ..File::default()
        };
        self.matcher.begin();
        let mut found = Found::default();
        let result = self.blocks(source, sink, &mut found);
        found.count = self.file.count;
        found.gave_up = self.matcher.gave_up();
        found.is_binary &= !self.plan.is_quiet();
        if self.buffer.len() > 4 * PIECE {
            self.buffer = vec![0; PIECE + 1];
        }
        (found, result)
    }

    fn blocks(&mut self, source: &mut dyn Source, sink: Sink, found: &mut Found) -> Result<()> {
        let end = self.plan.end;
        let (mut filled, mut done) = (0, 0);
        // Lines that were selected before the first NUL was seen.
        let mut before_nul = None;
        let mut skips_line = false;
        loop {
            // One byte is kept for the end of a last line that has none.
            if filled + 1 + PIECE / 2 > self.buffer.len() {
                let size = (self.buffer.len() * 2).min(LONGEST + 2 * PIECE);
                self.buffer.resize(size, 0);
            }
            let room = self.buffer.len() - 1;
            let space = self.buffer.get_mut(filled..room).unwrap_or_default();
            let asked = space.len().min(PIECE);
            let piece = space.get_mut(..asked).unwrap_or_default();
            let mut count = source.read(piece)?;
            let at_end = count == 0 || source.is_read();
            let was_short = count < asked;
            let mut new = filled;
            if self.plan.binary != Binary::Text {
                let piece = piece.get_mut(..count).unwrap_or_default();
                if before_nul.is_none() && memchr(0, piece).is_some() {
                    if self.plan.binary == Binary::WithoutMatch {
                        self.file.count = 0;
                        return Ok(());
                    }
                    before_nul = Some(self.file.count);
                    self.file.stops_at_first |= !self.plan.count;
                    self.file.quiet = true;
                }
                if before_nul.is_some() {
                    end_lines_at_nul(piece, end);
                }
            }
            if skips_line {
                let piece = self.buffer.get(new..new + count).unwrap_or_default();
                let dropped = memchr(end, piece).map_or(count, |at| at + 1);
                skips_line = dropped == count && !at_end;
                self.buffer.copy_within(new + dropped..new + count, new);
                self.file.base += dropped as u64;
                count -= dropped;
            }
            filled += count;
            new = new.max(done);
            let whole = if at_end {
                if filled > done && self.buffer.get(filled - 1) != Some(&end) {
                    self.put_end(filled);
                    filled += 1;
                }
                filled
            } else {
                let fresh = self.buffer.get(new..filled).unwrap_or_default();
                match memrchr(end, fresh) {
                    Some(at) => new + at + 1,
                    None if filled - done >= LONGEST => {
                        self.put_end(filled);
                        filled += 1;
                        // The end that was put there is not in the file.
                        self.file.base = self.file.base.wrapping_sub(1);
                        (skips_line, found.is_cut) = (true, true);
                        filled
                    }
                    None => done,
                }
            };
            let before = self.file.count;
            self.region(done, whole, sink)?;
            if self.file.over || (before_nul.is_some() && self.file.stops_at_first && self.file.count > 0) {
                break;
            }
            if at_end {
                break;
            }
            done = whole;
            let kept = self.kept(done);
            self.shift(kept, filled);
            (filled, done) = (filled - kept, done - kept);
            if before_nul.is_some() && self.file.count == before && !self.plan.invert && filled == done {
                self.file.base += source.skip_hole();
            }
            if self.plan.line_buffered || (was_short && source.waits()) {
                sink(&mut self.printer.buffer)?;
            }
        }
        found.is_binary = before_nul.is_some_and(|count| count < self.file.count);
        Ok(())
    }

    fn put_end(&mut self, at: usize) {
        if let Some(byte) = self.buffer.get_mut(at) {
            *byte = self.plan.end;
        }
    }

    /// Searches the whole lines between two places.
    fn region(&mut self, from: usize, to: usize, sink: Sink) -> Result<()> {
        let block = self.buffer.get(from..to).unwrap_or_default();
        let searched = self.matcher.block(block);
        let mut at = from;
        while at < to && self.file.left > 0 {
            let (start, stop) = self.next_line(&searched, from, at, to);
            if self.matcher.gave_up() {
                self.file.over = true;
                break;
            }
            if self.plan.invert {
                self.inverted(at, start, sink)?;
            } else if start < to {
                self.selected(start, stop);
            }
            if self.file.stops_at_first && self.file.count > 0 {
                self.file.over = true;
                return Ok(());
            }
            at = stop;
            if self.printer.buffer.len() >= OUT {
                sink(&mut self.printer.buffer)?;
            }
        }
        if self.file.pending > 0 {
            self.print_pending(to);
        }
        self.file.over |= self.file.left == 0 && self.file.pending == 0;
        Ok(())
    }

    /// The next line that matches, and where the one after it begins; both are `to` where there is none.
    fn next_line(&self, searched: &Block, from: usize, at: usize, to: usize) -> (usize, usize) {
        let block = self.buffer.get(from..to).unwrap_or_default();
        let Some(place) = searched.find(block, at - from) else { return (to, to) };
        let end = self.plan.end;
        let before = block.get(at - from..place).unwrap_or_default();
        let start = memrchr(end, before).map_or(at, |found| at + found + 1);
        let rest = block.get(place..).unwrap_or_default();
        (start, memchr(end, rest).map_or(to, |found| from + place + found + 1))
    }

    /// Selects each line between two places.
    fn inverted(&mut self, mut at: usize, to: usize, sink: Sink) -> Result<()> {
        while at < to && self.file.left > 0 {
            let rest = self.buffer.get(at..to).unwrap_or_default();
            let next = memchr(self.plan.end, rest).map_or(to, |found| at + found + 1);
            self.selected(at, next);
            if self.file.stops_at_first {
                break;
            }
            if self.printer.buffer.len() >= OUT {
                sink(&mut self.printer.buffer)?;
            }
            at = next;
        }
        Ok(())
    }

    /// Takes a line that was selected, with its context.
    fn selected(&mut self, start: usize, next: usize) {
        self.file.count += 1;
        self.file.left -= 1;
        if self.file.quiet {
            // A file that is no text is told of: that keeps groups apart, too.
            self.printed = true;
            return;
        }
        if self.file.pending > 0 {
            self.print_pending(start);
        }
        if let Some((before, after)) = self.plan.context {
            let lowest = self.file.last.unwrap_or(0);
            let mut at = start;
            for _ in 0..before {
                if at <= lowest {
                    break;
                }
                at = self.line_before(at);
            }
            if self.printed && self.file.last != Some(at) {
                self.printer.separator();
            }
            while at < start {
                let rest = self.buffer.get(at..start).unwrap_or_default();
                let next = memchr(self.plan.end, rest).map_or(start, |found| at + found + 1);
                self.print(at, next, false);
                at = next;
            }
            self.file.pending = after;
        }
        self.print(start, next, true);
        self.printed = true;
    }

    /// Where the line before the one at `at` begins.
    fn line_before(&self, at: usize) -> usize {
        let before = self.buffer.get(..at.saturating_sub(1)).unwrap_or_default();
        memrchr(self.plan.end, before).map_or(0, |found| found + 1)
    }

    /// Prints lines of context up to a place.
    fn print_pending(&mut self, to: usize) {
        let mut at = self.file.last.unwrap_or(0);
        while self.file.pending > 0 && at < to {
            let rest = self.buffer.get(at..to).unwrap_or_default();
            let next = memchr(self.plan.end, rest).map_or(to, |found| at + found + 1);
            self.file.pending -= 1;
            self.print(at, next, false);
            at = next;
        }
    }

    fn print(&mut self, start: usize, next: usize, is_selected: bool) {
        let number = if self.plan.numbers { self.count_lines(start) + 1 } else { 0 };
        let line = Line {
            name: &self.file.name,
            text: self.buffer.get(start..next - 1).unwrap_or_default(),
            number,
            offset: self.file.base.wrapping_add(start as u64),
            is_selected,
        };
        self.printer.line(line);
        self.file.last = Some(next);
    }

    /// Lines before a place.
    fn count_lines(&mut self, to: usize) -> u64 {
        let new = self.buffer.get(self.file.counted..to).unwrap_or_default();
        self.file.lines += new.iter().filter(|byte| **byte == self.plan.end).count() as u64;
        self.file.counted = self.file.counted.max(to);
        self.file.lines
    }

    /// From where the buffer is kept, so that lines before the next match can be printed.
    fn kept(&self, done: usize) -> usize {
        let Some((before, _)) = self.plan.context.filter(|_| !self.file.quiet) else { return done };
        let lowest = self.file.last.unwrap_or(0).max(done.saturating_sub(LONGEST / 2));
        let mut at = done;
        for _ in 0..before {
            if at <= lowest {
                break;
            }
            at = self.line_before(at);
        }
        at
    }

    /// Moves what is kept to the front.
    fn shift(&mut self, kept: usize, filled: usize) {
        if kept == 0 {
            return;
        }
        if self.plan.numbers {
            self.count_lines(kept);
            self.file.counted -= kept;
        }
        self.buffer.copy_within(kept..filled, 0);
        self.file.base = self.file.base.wrapping_add(kept as u64);
        self.file.last = self.file.last.and_then(|last| last.checked_sub(kept));
    }
}

/// NUL ends a line of a file that is no text: so its lines have a length that can be held.
fn end_lines_at_nul(piece: &mut [u8], end: u8) {
    static NOTHING: [u8; PIECE] = [0; PIECE];
    // Much of a sparse file is nothing else.
    if NOTHING.get(..piece.len()) == Some(piece) {
        return piece.fill(end);
    }
    for byte in piece {
        if *byte == 0 {
            *byte = end;
        }
    }
}

/// The fault of lines that were cut.
pub fn cut(name: &std::ffi::OsStr) -> Fault {
    Fault::text("read", name, "a line is longer than 64 MiB: the rest of it is left out")
}

/// The fault of a line on which a pattern was given up.
pub fn gave_up(name: &std::ffi::OsStr) -> Fault {
    Fault::text(
        "search",
        name,
        "the pattern takes too many steps on a line: the rest of the file is not searched",
    )
}
