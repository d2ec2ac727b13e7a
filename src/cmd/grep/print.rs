//! How lines of a search are printed: as GNU grep prints them, or as JSON rows.

use serde::Serialize;

use super::matcher::Matcher;
use super::plan::Plan;
use crate::out::filter::TerminalFilter;
use crate::out::{Name, units};

/// Colours as GREP_COLORS has them where nobody chose any.
const MATCH: &str = "01;31";
const FILE: &str = "35";
const NUMBER: &str = "32";
const SEPARATOR: &str = "36";

/// One line that is to be printed.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    /// The file's name.
    pub name: &'a [u8],
    /// The line, without its end.
    pub text: &'a [u8],
    /// Its number, from 1.
    pub number: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// Whether it was selected; else it is context.
    pub is_selected: bool,
}

/// Prints into a buffer.
pub struct Printer<'a> {
    plan: &'a Plan,
    matcher: &'a Matcher,
    /// Whether names of files are printed.
    pub names: bool,
    /// How wide numbers are at least.
    pub width: usize,
    /// What is printed.
    pub buffer: Vec<u8>,
}

#[derive(Serialize)]
struct Row {
    path: Name,
    line: u64,
    column: Option<u64>,
    offset: u64,
    #[serde(rename = "match")]
    found: Option<Name>,
    text: Name,
    selected: bool,
}

#[derive(Serialize)]
struct Counted {
    path: Name,
    count: u64,
}

#[derive(Serialize)]
struct Listed {
    path: Name,
}

#[derive(Serialize)]
struct NoText {
    path: Name,
    binary: bool,
}

impl<'a> Printer<'a> {
    /// A printer with nothing printed yet.
    pub fn new(plan: &'a Plan, matcher: &'a Matcher, names: bool) -> Self {
        Self { plan, matcher, names, width: 0, buffer: Vec::new() }
    }

    /// Prints a line.
    pub fn line(&mut self, line: Line) {
        // Only lines that match have matches to show.
        let has_matches = line.is_selected != self.plan.invert;
        if self.plan.json {
            return self.row(line, has_matches);
        }
        if self.plan.only_matching {
            if has_matches {
                self.matches(line);
            }
            return;
        }
        self.head(line, line.offset, line.text.is_empty());
        if self.plan.color && has_matches {
            return self.colored(line);
        }
        if self.plan.escape {
            return self.text(line.text, true);
        }
        self.buffer.extend_from_slice(line.text);
        self.buffer.push(self.plan.end);
    }

    /// The line between groups of lines.
    pub fn separator(&mut self) {
        if !self.plan.json {
            self.dressed(SEPARATOR, b"--");
            self.buffer.push(b'\n');
        }
    }

    /// A file's count.
    pub fn count(&mut self, name: &[u8], count: u64) {
        if self.plan.json {
            return self.json(&Counted { path: name.into(), count });
        }
        if self.names {
            self.name(name);
            self.after_name(b':');
        }
        units::decimal(count, &mut self.buffer);
        self.buffer.push(b'\n');
    }

    /// A file that is listed.
    pub fn listed(&mut self, name: &[u8]) {
        if self.plan.json {
            return self.json(&Listed { path: name.into() });
        }
        self.name(name);
        self.buffer.push(if self.plan.null { 0 } else { b'\n' });
    }

    /// A file that is no text and matches, as a row.
    pub fn no_text(&mut self, name: &[u8]) {
        self.json(&NoText { path: name.into(), binary: true });
    }

    fn matches(&mut self, line: Line) {
        let mut from = 0;
        while let Some((start, end)) = self.next_match(line.text, from) {
            self.head(line, line.offset + start as u64, false);
            self.colored_on();
            self.part(line.text, start, end);
            self.colored_off();
            self.buffer.push(self.plan.end);
            from = end;
        }
    }

    fn colored(&mut self, line: Line) {
        let (mut from, mut printed) = (0, 0);
        while let Some((start, end)) = self.next_match(line.text, from) {
            self.part(line.text, printed, start);
            self.colored_on();
            self.part(line.text, start, end);
            self.colored_off();
            (from, printed) = (end, end);
        }
        let rest = line.text.get(printed..).unwrap_or_default();
        self.text(rest, true);
    }

    fn colored_on(&mut self) {
        if self.plan.color {
            self.sgr(MATCH);
        }
    }

    fn colored_off(&mut self) {
        if self.plan.color {
            self.sgr("");
        }
    }

    /// The next match that is not empty.
    fn next_match(&self, text: &[u8], mut from: usize) -> Option<(usize, usize)> {
        loop {
            match self.matcher.span(text, from)? {
                (start, _) if start >= text.len() => return None,
                (start, end) if start == end => from = start + 1,
                found => return Some(found),
            }
        }
    }

    fn part(&mut self, text: &[u8], from: usize, to: usize) {
        let part = text.get(from..to).unwrap_or_default();
        self.text(part, false);
    }

    /// Text of the file; with the end of its line where that is asked for.
    fn text(&mut self, text: &[u8], ends: bool) {
        if !self.plan.escape {
            self.buffer.extend_from_slice(text);
            if ends {
                self.buffer.push(self.plan.end);
            }
            return;
        }
        let mut filter = TerminalFilter::new(false);
        filter.push(text, &mut self.buffer);
        if ends {
            filter.push(&[self.plan.end], &mut self.buffer);
        }
        filter.finish(&mut self.buffer);
    }

    fn head(&mut self, line: Line, offset: u64, is_empty: bool) {
        let separator = if line.is_selected { b':' } else { b'-' };
        if self.names {
            self.name(line.name);
            self.after_name(separator);
        }
        if self.plan.numbers {
            self.number(line.number, separator);
        }
        if self.plan.offsets {
            self.number(offset, separator);
        }
        if self.plan.tab && !is_empty && (self.names || self.plan.numbers || self.plan.offsets) {
            self.buffer.push(b'\t');
        }
    }

    fn number(&mut self, number: u64, separator: u8) {
        if self.plan.color {
            self.sgr(NUMBER);
        }
        let from = self.buffer.len();
        units::decimal(number, &mut self.buffer);
        let padding = self.width.saturating_sub(self.buffer.len() - from);
        self.buffer.splice(from..from, std::iter::repeat_n(b' ', padding));
        if self.plan.color {
            self.sgr("");
        }
        self.dressed(SEPARATOR, &[separator]);
    }

    fn name(&mut self, name: &[u8]) {
        if self.plan.color {
            self.sgr(FILE);
        }
        if self.plan.escape {
            self.buffer.extend_from_slice(crate::out::name::escape(name).as_bytes());
        } else {
            self.buffer.extend_from_slice(name);
        }
        if self.plan.color {
            self.sgr("");
        }
    }

    fn after_name(&mut self, separator: u8) {
        if self.plan.null {
            self.buffer.push(0);
        } else {
            self.dressed(SEPARATOR, &[separator]);
        }
    }

    fn dressed(&mut self, color: &str, text: &[u8]) {
        if !self.plan.color {
            return self.buffer.extend_from_slice(text);
        }
        self.sgr(color);
        self.buffer.extend_from_slice(text);
        self.sgr("");
    }

    fn sgr(&mut self, parameters: &str) {
        self.buffer.extend_from_slice(b"\x1b[");
        self.buffer.extend_from_slice(parameters.as_bytes());
        self.buffer.push(b'm');
    }

    fn row(&mut self, line: Line, has_matches: bool) {
        let whole = Row {
            path: line.name.into(),
            line: line.number,
            column: None,
            offset: line.offset,
            found: None,
            text: line.text.into(),
            selected: line.is_selected,
        };
        let row = |(start, end): (usize, usize), text: &[u8]| Row {
            path: line.name.into(),
            line: line.number,
            column: Some(start as u64 + 1),
            offset: line.offset + start as u64,
            found: line.text.get(start..end).map(Name::from),
            text: text.into(),
            selected: line.is_selected,
        };
        if !self.plan.only_matching {
            let first = if has_matches { self.next_match(line.text, 0) } else { None };
            return match first {
                Some(span) => self.json(&Row { offset: line.offset, ..row(span, line.text) }),
                None => self.json(&whole),
            };
        }
        let mut from = 0;
        while has_matches && let Some(span) = self.next_match(line.text, from) {
            let text = line.text.get(span.0..span.1).unwrap_or_default();
            self.json(&row(span, text));
            from = span.1;
        }
    }

    fn json<T: Serialize>(&mut self, row: &T) {
        // A vector takes all that is written to it, and these rows have only strings for keys.
        if serde_json::to_writer(&mut self.buffer, row).is_ok() {
            self.buffer.push(b'\n');
        }
    }
}
