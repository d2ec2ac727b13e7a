//! Rows in columns for people. Widths come from a sample at the start, so that memory stays bounded.

use std::borrow::Cow;
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::name::escape;

/// One typed record of a command. `serde` gives its JSON, `COLUMNS` its table.
pub trait Row: serde::Serialize + Sized + 'static {
    /// The columns of the table, left to right.
    const COLUMNS: &'static [Column<Self>];
}

/// A row for commands that print bytes only: it has no values.
#[derive(serde::Serialize)]
pub enum NoRow {}

impl Row for NoRow {
    const COLUMNS: &'static [Column<Self>] = &[];
}

/// One column of a typed row.
pub struct Column<R> {
    /// The header as the table shows it.
    pub header: &'static str,
    /// Where text stands in its column.
    pub align: Align,
    /// The cell's text, for people.
    pub cell: fn(&R) -> String,
}

/// Where text stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows that set the column widths; later ones that are wider are shown whole and push the rest of their line.
const SAMPLE: usize = 2000;

/// And bytes: with so many in fewer rows, those are the sample.
const SAMPLE_BYTES: usize = 4 << 20;

/// The widest column: one wide cell must not pad a million others.
const WIDEST: usize = 256;

/// Lays cells out in columns, two spaces apart, the last one unpadded.
pub struct Table {
    aligns: Vec<Align>,
    widths: Vec<usize>,
    held: Vec<Vec<String>>,
    held_bytes: usize,
    streaming: bool,
    escape: bool,
}

impl Table {
    /// A table with these columns. Empty `headers` print no header line. `escape` is for a terminal: control
    /// characters in cells are shown, not sent. In a pipe they are sent, but in cells that would end the line.
    pub fn new(columns: &[(&str, Align)], escape: bool) -> Self {
        let mut table = Self {
            aligns: columns.iter().map(|c| c.1).collect(),
            widths: vec![0; columns.len()],
            held: Vec::new(),
            held_bytes: 0,
            streaming: false,
            escape,
        };
        if columns.iter().any(|c| !c.0.is_empty()) {
            table.hold(columns.iter().map(|c| table.shown(c.0.to_owned())).collect());
        }
        table
    }

    /// Adds a line.
    pub fn row(&mut self, cells: Vec<String>, to: &mut dyn Write) -> io::Result<()> {
        let cells = cells.into_iter().map(|cell| self.shown(cell)).collect::<Vec<_>>();
        if self.streaming {
            return self.print(&cells, to);
        }
        self.hold(cells);
        if self.held.len() > SAMPLE || self.held_bytes > SAMPLE_BYTES { self.finish(to) } else { Ok(()) }
    }

    fn shown(&self, cell: String) -> String {
        if self.escape || cell.contains(['\n', '\r']) { escape(cell.as_bytes()) } else { cell }
    }

    /// Prints what is held back. To be called after the last row.
    pub fn finish(&mut self, to: &mut dyn Write) -> io::Result<()> {
        self.streaming = true;
        for cells in std::mem::take(&mut self.held) {
            self.print(&cells, to)?;
        }
        Ok(())
    }

    fn hold(&mut self, cells: Vec<String>) {
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = (*width).max(cell.width().min(WIDEST));
            self.held_bytes += cell.len();
        }
        self.held.push(cells);
    }

    fn print(&self, cells: &[String], to: &mut dyn Write) -> io::Result<()> {
        let mut line = String::new();
        let last = cells.len().saturating_sub(1);
        for (i, cell) in cells.iter().enumerate() {
            let pad = self.widths.get(i).copied().unwrap_or(0).saturating_sub(cell.width());
            if self.aligns.get(i) == Some(&Align::Right) {
                line.extend(std::iter::repeat_n(' ', pad));
                line.push_str(cell);
            } else {
                line.push_str(cell);
                if i != last {
                    line.extend(std::iter::repeat_n(' ', pad));
                }
            }
            if i != last {
                line.extend(std::iter::repeat_n(' ', 2));
            }
        }
        let mut line = line.trim_end_matches(' ').to_owned();
        line.push('\n');
        to.write_all(line.as_bytes())
    }
}

/// The text cut to so many terminal columns.
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if text.len() <= columns || text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let mut width = 0;
    let mut end = 0;
    for (at, ch) in text.char_indices() {
        width += unicode_width::UnicodeWidthChar::width(ch).unwrap_or(0);
        if width > columns {
            break;
        }
        end = at + ch.len_utf8();
    }
    Cow::Owned(text[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_are_shown() {
        let mut out = Vec::new();
        let mut table = Table::new(&[("PID", Align::Right), ("NAME", Align::Left)], true);
        table.row(vec!["1".into(), "a\x1bb".into()], &mut out).unwrap();
        table.row(vec!["12345".into(), "é".into()], &mut out).unwrap();
        table.finish(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "  PID  NAME\n    1  a\\x1bb\n12345  é\n");
    }

    #[test]
    fn a_wide_cell_pads_no_other_and_many_bytes_are_not_held() {
        let wide = "x".repeat(1 << 20);
        let (mut out, mut table) = (Vec::new(), Table::new(&[("A", Align::Left), ("B", Align::Left)], false));
        for _ in 0..3 {
            table.row(vec!["a".into(), "b".into()], &mut out).unwrap();
            table.row(vec![wide.clone(), "b".into()], &mut out).unwrap();
        }
        assert!(out.is_empty());
        for _ in 0..3 {
            table.row(vec![wide.clone(), "b".into()], &mut out).unwrap();
        }
        assert_eq!(out.len(), 6 * (wide.len() + 4) + 4 * (WIDEST + 4));
    }

    #[test]
    fn lines_are_cut_by_columns_not_bytes() {
        assert_eq!(cut("ééééé", 3), "ééé");
        assert_eq!(cut("漢字漢字", 5), "漢字");
    }
}
