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
    /// What it gives up on a narrow terminal.
    pub narrow: Narrow,
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

/// What a column gives up where the terminal is too narrow for all columns. Numbers are never shortened: what is left
/// of one is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Narrow {
    /// It is shortened to no fewer terminal columns than these.
    least: Option<usize>,
    /// What is behind the last of one of these stays: of the first that is there.
    keeps: &'static str,
    /// It is left out, those with smaller numbers first.
    rank: Option<u8>,
    /// Whether it is left out before text is shortened beyond what reads well.
    is_ready: bool,
}

impl Narrow {
    /// Nothing.
    pub const WHOLE: Self = Self { least: None, keeps: "", rank: None, is_ready: false };

    /// Its text is shortened, to no fewer terminal columns than these.
    pub const fn shorten(least: usize) -> Self {
        Self { least: Some(least), ..Self::WHOLE }
    }

    /// It is left out, those with smaller numbers first, before text is shortened beyond what reads well.
    pub const fn drop(rank: u8) -> Self {
        Self { is_ready: true, ..Self::WHOLE.or_drop(rank) }
    }

    /// It is left out where shortening is not enough, those with smaller numbers first.
    pub const fn or_drop(self, rank: u8) -> Self {
        Self { rank: Some(rank), ..self }
    }

    /// The same, but it is not left out: somebody has asked for it.
    pub const fn never_dropped(self) -> Self {
        Self { rank: None, is_ready: false, ..self }
    }

    /// Where it is shortened, what is behind the last of these characters stays: a port, or who gave a name. Of several
    /// the first counts that is there.
    pub const fn keep(self, marks: &'static str) -> Self {
        Self { keeps: marks, ..self }
    }

    fn shortened<'a>(&self, text: &'a str, columns: usize) -> Cow<'a, str> {
        if self.least.is_none() || text.width() <= columns {
            return Cow::Borrowed(text);
        }
        let kept = self.keeps.chars().find_map(|mark| text.rfind(mark)).map_or("", |at| &text[at..]);
        // Not at the cost of all else.
        let kept = ellipsis(kept, columns - columns / 3);
        let head = &text[..text.len() - if kept.ends_with(ELLIPSIS) { 0 } else { kept.len() }];
        Cow::Owned(ellipsis(head, columns - kept.width()).into_owned() + &kept)
    }
}

/// A column of a table: its header, where its text stands, what it gives up on a narrow terminal.
pub type Head<'a> = (&'a str, Align, Narrow);

/// Rows that set the column widths; later ones that are wider are shown whole and push the rest of their line.
const SAMPLE: usize = 2000;

/// And bytes: with so many in fewer rows, those are the sample.
const SAMPLE_BYTES: usize = 4 << 20;

/// The widest column in a pipe: one wide cell must not pad a million others.
const WIDEST: usize = 256;

/// Text that is no longer reads well: before it is shortened further, what is of less use is left out.
const READABLE: usize = 40;

/// Stands for what was taken off a text.
const ELLIPSIS: char = '…';

/// Between two columns.
const GAP: usize = 2;

/// Lays cells out in columns, two spaces apart, the last one unpadded.
pub struct Table {
    aligns: Vec<Align>,
    narrows: Vec<Narrow>,
    widths: Vec<usize>,
    /// Which columns say something, beyond their headers.
    filled: Vec<bool>,
    /// Which are shown.
    shown: Vec<bool>,
    held: Vec<Vec<String>>,
    held_bytes: usize,
    streaming: bool,
    /// Whether columns were shortened.
    is_narrowed: bool,
    screen: Option<usize>,
}

impl Table {
    /// A table with these columns. Empty headers print no header line. `screen` is for a terminal, and its width: control
    /// characters in cells are shown, not sent, and no line is longer than that. In a pipe they are sent, but in cells that
    /// would end the line, and all is whole.
    pub fn new(columns: &[Head], screen: Option<usize>) -> Self {
        let mut table = Self {
            aligns: columns.iter().map(|c| c.1).collect(),
            narrows: columns.iter().map(|c| c.2).collect(),
            widths: vec![0; columns.len()],
            filled: vec![false; columns.len()],
            shown: vec![true; columns.len()],
            held: Vec::new(),
            held_bytes: 0,
            streaming: false,
            is_narrowed: false,
            screen,
        };
        if columns.iter().any(|c| !c.0.is_empty()) {
            table.hold(columns.iter().map(|c| table.escaped(c.0.to_owned())).collect());
            table.filled.fill(false);
        }
        table
    }

    /// Adds a line.
    pub fn row(&mut self, cells: Vec<String>, to: &mut dyn Write) -> io::Result<()> {
        let cells = cells.into_iter().map(|cell| self.escaped(cell)).collect::<Vec<_>>();
        if self.streaming {
            return self.print(&cells, to);
        }
        self.hold(cells);
        if self.held.len() > SAMPLE || self.held_bytes > SAMPLE_BYTES { self.finish(to) } else { Ok(()) }
    }

    fn escaped(&self, cell: String) -> String {
        if self.screen.is_some() || cell.contains(['\n', '\r']) { escape(cell.as_bytes()) } else { cell }
    }

    /// Prints what is held back. To be called after the last row.
    pub fn finish(&mut self, to: &mut dyn Write) -> io::Result<()> {
        if !std::mem::replace(&mut self.streaming, true)
            && let Some(limit) = self.limit()
        {
            self.fit(limit);
        }
        for cells in std::mem::take(&mut self.held) {
            self.print(&cells, to)?;
        }
        Ok(())
    }

    /// The longest line; none where no column gives anything up.
    fn limit(&self) -> Option<usize> {
        self.screen.filter(|_| self.narrows.iter().any(|narrow| *narrow != Narrow::WHOLE))
    }

    fn hold(&mut self, cells: Vec<String>) {
        let widest = self.limit().unwrap_or(WIDEST);
        for (at, cell) in cells.iter().enumerate() {
            self.widths[at] = self.widths[at].max(cell.width().min(widest));
            self.filled[at] |= !matches!(cell.as_str(), "" | "-");
            self.held_bytes += cell.len();
        }
        self.held.push(cells);
    }

    /// How long a line is whose columns have these widths: of a column's own width and its place.
    fn length(&self, width: &dyn Fn(usize, usize) -> usize) -> usize {
        let shown = (0..self.widths.len()).filter(|at| self.shown[*at]);
        let widths = shown.map(|at| width(self.widths[at], at).saturating_add(GAP));
        widths.fold(0, usize::saturating_add).saturating_sub(GAP)
    }

    /// Leaves columns out and shortens others, until a line has no more than these terminal columns. First goes what says
    /// nothing in any row, then what is readily left out, then text is shortened, the widest first; the rest is left out
    /// where that is not enough.
    fn fit(&mut self, limit: usize) {
        let narrows = self.narrows.clone();
        let least = |width: usize, at: usize| narrows[at].least.map_or(width, |least| width.min(least));
        let readable = |width: usize, at: usize| least(width, at).max(width.min(READABLE));
        let ranks = |of: &dyn Fn(usize) -> bool| {
            let some = (0..narrows.len()).filter(|at| of(*at));
            let mut some: Vec<_> = some.filter_map(|at| Some((narrows[at].rank?, at))).collect();
            some.sort_unstable();
            some
        };
        let filled = self.filled.clone();
        self.leave_out(&ranks(&|at| !filled[at]), limit, &|width, _| width);
        self.leave_out(&ranks(&|at| narrows[at].is_ready), limit, &readable);
        self.leave_out(&ranks(&|_| true), limit, &least);
        while self.length(&|width, _| width) > limit {
            let can = (0..self.shown.len())
                .filter(|at| self.shown[*at] && self.widths[*at] > least(self.widths[*at], *at));
            let Some(at) = can.max_by_key(|at| self.widths[*at]) else { break };
            self.widths[at] -= 1;
            self.is_narrowed = true;
        }
    }

    /// Leaves columns out, by their ranks, as long as a line is too long whose columns have these widths.
    fn leave_out(&mut self, ranks: &[(u8, usize)], limit: usize, width: &dyn Fn(usize, usize) -> usize) {
        for (_, at) in ranks {
            if self.length(width) <= limit {
                return;
            }
            self.shown[*at] = false;
        }
    }

    fn print(&self, cells: &[String], to: &mut dyn Write) -> io::Result<()> {
        let mut line = self.line(cells, self.is_narrowed);
        if let Some(limit) = self.limit()
            && line.width() > limit
        {
            line = ellipsis(&self.line(cells, true), limit).into_owned();
        }
        line.push('\n');
        to.write_all(line.as_bytes())
    }

    fn line(&self, cells: &[String], shortens: bool) -> String {
        let mut line = String::new();
        let shown = || cells.iter().enumerate().filter(|(at, _)| self.shown.get(*at) != Some(&false));
        let last = shown().next_back().map_or(0, |(at, _)| at);
        for (at, cell) in shown() {
            let width = self.widths.get(at).copied().unwrap_or(0);
            let cell = match self.narrows.get(at) {
                Some(narrow) if shortens => narrow.shortened(cell, width),
                _ => Cow::Borrowed(cell.as_str()),
            };
            let pad = std::iter::repeat_n(' ', width.saturating_sub(cell.width()));
            if self.aligns.get(at) == Some(&Align::Right) {
                line.extend(pad);
                line.push_str(&cell);
            } else {
                line.push_str(&cell);
                if at != last {
                    line.extend(pad);
                }
            }
            if at != last {
                line.extend(std::iter::repeat_n(' ', GAP));
            }
        }
        line.truncate(line.trim_end_matches(' ').len());
        line
    }
}

/// The text in so many terminal columns: where it is longer, an ellipsis stands for its end.
pub fn ellipsis(text: &str, columns: usize) -> Cow<'_, str> {
    match columns {
        _ if text.width() <= columns => Cow::Borrowed(text),
        0 => Cow::Borrowed(""),
        _ => Cow::Owned(cut(text, columns - 1).into_owned() + ELLIPSIS.encode_utf8(&mut [0; 4])),
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

    const LEFT: Head = ("A", Align::Left, Narrow::WHOLE);

    fn printed(columns: &[Head], rows: &[&[&str]], screen: Option<usize>) -> String {
        let (mut out, mut table) = (Vec::new(), Table::new(columns, screen));
        for row in rows {
            table.row(row.iter().map(|cell| (*cell).to_owned()).collect(), &mut out).unwrap();
        }
        table.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_line_up_and_control_characters_are_shown() {
        let columns = [("PID", Align::Right, Narrow::WHOLE), ("NAME", Align::Left, Narrow::WHOLE)];
        let text = printed(&columns, &[&["1", "a\x1bb"], &["12345", "é"]], Some(80));
        assert_eq!(text, "  PID  NAME\n    1  a\\x1bb\n12345  é\n");
    }

    #[test]
    fn a_wide_cell_pads_no_other_and_many_bytes_are_not_held() {
        let wide = "x".repeat(1 << 20);
        let (mut out, mut table) = (Vec::new(), Table::new(&[LEFT, LEFT], None));
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
    fn on_a_narrow_terminal_columns_give_way_by_rank_and_no_line_is_longer() {
        let columns = [
            ("NAME", Align::Left, Narrow::shorten(8).keep("@")),
            ("PID", Align::Right, Narrow::WHOLE),
            ("USER", Align::Right, Narrow::drop(2)),
            ("POD", Align::Left, Narrow::shorten(6).or_drop(9)),
        ];
        let rows: [&[&str]; 2] = [&["shop-checkout@1000", "1234567", "0", "-"], &["web", "7", "65532", "-"]];
        for (screen, lines) in [
            (None, ["NAME                    PID   USER  POD", "shop-checkout@1000  1234567      0  -"]),
            (Some(39), ["NAME                    PID   USER  POD", "shop-checkout@1000  1234567      0  -"]),
            // What says nothing goes first, whatever its rank.
            (Some(38), ["NAME                    PID   USER", "shop-checkout@1000  1234567      0"]),
            (Some(27), ["NAME                    PID", "shop-checkout@1000  1234567"]),
            (Some(26), ["NAME                   PID", "shop-checko…@1000  1234567"]),
            (Some(17), ["NAME          PID", "sh…@1000  1234567"]),
        ] {
            let text = printed(&columns, &rows, screen);
            assert_eq!(text.lines().take(2).collect::<Vec<_>>(), lines, "{screen:?}");
        }
        for width in 0..60 {
            let text = printed(&columns, &rows, Some(width));
            assert!(text.lines().all(|line| line.width() <= width), "{width}: {text}");
            assert!(width < 17 || text.contains("1234567"), "a number is whole, {width}: {text}");
        }
    }

    #[test]
    fn lines_are_cut_by_columns_not_bytes() {
        assert_eq!(cut("ééééé", 3), "ééé");
        assert_eq!(cut("漢字漢字", 5), "漢字");
    }
}
