//! `history`.

use super::{Command, Context, Example, Fault, Place, Result, Status};
use crate::out::field::field;
use crate::out::{Align, Column, Field, Kind, Narrow, Output, Row};

/// List the lines that were typed.
#[derive(clap::Parser)]
pub struct History {
    /// Only the last so many
    count: Option<usize>,
}

/// One line of the history.
#[derive(serde::Serialize)]
pub struct Entry {
    number: usize,
    line: String,
}

impl Row for Entry {
    const COLUMNS: &'static [Column<Self>] = &[
        Column { header: "", align: Align::Right, narrow: Narrow::WHOLE, cell: |row| row.number.to_string() },
        Column { header: "", align: Align::Left, narrow: Narrow::WHOLE, cell: |row| row.line.clone() },
    ];
}

impl Command for History {
    type Row = Entry;
    const PLACE: Place = Place::Node;
    const REPLACES: &'static str = "a shell's history";
    const FIELDS: &'static [Field] =
        &[field("number", Kind::Number, "its place"), field("line", Kind::Text, "what was typed")];
    const EXAMPLES: &'static [Example] = &[Example { line: "history 5", what: "the last five" }];

    fn run(self, cx: &mut Context, out: &mut Output<Entry>) -> Result<Status> {
        let begin = cx.history.len().saturating_sub(self.count.unwrap_or(usize::MAX));
        for (at, line) in cx.history.iter().enumerate().skip(begin) {
            out.row(&Entry { number: at + 1, line: line.clone() }).map_err(Fault::output)?;
        }
        Ok(Status::OK)
    }
}
