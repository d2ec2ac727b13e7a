//! Commands that work on the rows of the command before them: `where`, `select`, `sort-by`, `first`, `last`, `count`.
//!
//! Rows come as JSON Lines on stdin and leave as JSON Lines, or as a table for a person.

mod condition;
mod count;
mod ends;
mod filter;
mod select;
mod sort_by;
mod value;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

pub use count::Count;
pub use ends::{First, Last};
pub use filter::Where;
pub use select::Select;
pub use sort_by::SortBy;

use serde_json::{Map, Value};

use super::{Context, Entry, Fault, Result, nearest_of};
use crate::out::table::{NoRow, Table};
use crate::out::{Align, Field, Kind, Narrow, Output};
use crate::sys::syscall::own_fd;

/// The longest line that is read as a row.
const MAX_ROW: u64 = 64 << 20;

/// One row: its fields, in their order.
type Fields = Map<String, Value>;

/// The rows on stdin, one after the other.
struct Rows {
    from: BufReader<File>,
    line: Vec<u8>,
    number: u64,
}

impl Rows {
    /// By its descriptor: the standard library's own stdin is the supervisor's, who may have locked it, with what it has
    /// read of the operator's lines.
    fn of_stdin() -> Result<Self> {
        let fd = own_fd(0).map_err(|errno| Fault::errno("read", "standard input", errno))?;
        Ok(Self { from: BufReader::with_capacity(128 << 10, File::from(fd)), line: Vec::new(), number: 0 })
    }

    /// The next row; none at the end.
    fn next(&mut self) -> Result<Option<Fields>> {
        loop {
            self.line.clear();
            self.number += 1;
            let read = self.from.by_ref().take(MAX_ROW).read_until(b'\n', &mut self.line);
            let count = read.map_err(|error| Fault::io("read", "standard input", &error))?;
            if count == 0 {
                return Ok(None);
            }
            if self.line.trim_ascii().is_empty() {
                continue;
            }
            return match serde_json::from_slice(&self.line) {
                Ok(Value::Object(fields)) => Ok(Some(fields)),
                Ok(_) => Err(self.broken("a row is a JSON object")),
                Err(_) if count as u64 == MAX_ROW => Err(self.broken("the row is longer than 64 MiB")),
                Err(_) => Err(self.broken("the row is not JSON")),
            };
        }
    }

    fn broken(&self, why: &'static str) -> Fault {
        Fault::text("read", format!("line {}", self.number), why)
    }
}

/// What is known of a field: its kind, by the command that its rows come from, else by its values.
fn known<'a>(entry: Option<&'a Entry>, name: &str) -> Option<&'a Field> {
    entry?.fields.iter().find(|field| field.name == name)
}

/// Refuses a field that the rows can't have.
fn check_field(cx: &Context, name: &str) -> Result<()> {
    let Some(entry) = cx.rows_of else { return Ok(()) };
    let first = name.split('.').next().unwrap_or_default();
    if entry.fields.is_empty() || known(Some(entry), first).is_some() {
        return Ok(());
    }
    let names = entry.fields.iter().map(|field| field.name);
    let shown = crate::out::name::escape(name.as_bytes());
    let fault = Fault::usage(format!("the rows of {} have no field '{shown}'", entry.name));
    Err(match nearest_of(name, names.clone()) {
        Some(near) => fault.with_hint(format!("did you mean {near}?")),
        None => fault.with_hint(names.collect::<Vec<_>>().join(", ")),
    })
}

/// The value of a field; `tls.version` goes into objects.
fn lookup<'a>(fields: &'a Fields, path: &str) -> Option<&'a Value> {
    if let Some(value) = fields.get(path) {
        return Some(value);
    }
    let (head, rest) = path.split_once('.')?;
    lookup(fields.get(head)?.as_object()?, rest)
}

/// A column: its field, and what is known of that.
type Shown = (String, Option<Kind>);

/// Prints rows: JSON Lines, or a table whose columns are chosen, else those of the first row.
struct Printer {
    entry: Option<&'static Entry>,
    chosen: Vec<String>,
    table: Option<(Table, Vec<Shown>)>,
    screen: Option<usize>,
}

impl Printer {
    fn new(cx: &Context, chosen: Vec<String>) -> Self {
        Self { entry: cx.rows_of, chosen, table: None, screen: cx.screen() }
    }

    fn print(&mut self, row: &Fields, out: &mut Output<NoRow>) -> Result<()> {
        if out.is_json() {
            return if self.chosen.is_empty() {
                out.json(row)
            } else {
                let all = self
                    .chosen
                    .iter()
                    .map(|name| (name.clone(), lookup(row, name).cloned().unwrap_or(Value::Null)));
                out.json(&all.collect::<Fields>())
            }
            .map_err(Fault::output);
        }
        let (table, columns) = match &mut self.table {
            Some(made) => made,
            None => {
                let columns = self.columns(row);
                let names: Vec<String> = columns.iter().map(|(name, _)| name.to_uppercase()).collect();
                let heads: Vec<_> = (columns.iter().zip(&names).enumerate())
                    .map(|(at, ((name, kind), head))| {
                        let align = align(*kind, lookup(row, name));
                        (head.as_str(), align, self.narrow(align, at))
                    })
                    .collect();
                self.table.insert((Table::new(&heads, self.screen), columns))
            }
        };
        let cells = columns.iter().map(|(name, kind)| value::cell(lookup(row, name), *kind)).collect();
        table.row(cells, out.bytes()).map_err(Fault::output)
    }

    /// Text is shortened. What was not asked for is left out from the right, but for the first column.
    fn narrow(&self, align: Align, at: usize) -> Narrow {
        let narrow = if align == Align::Left { Narrow::shorten(12) } else { Narrow::WHOLE };
        let rank = u8::MAX.saturating_sub(at.try_into().unwrap_or(u8::MAX));
        if self.chosen.is_empty() && at > 0 { narrow.or_drop(rank) } else { narrow }
    }

    fn finish(mut self, out: &mut Output<NoRow>) -> Result<()> {
        match &mut self.table {
            None => Ok(()),
            Some((table, _)) => table.finish(out.bytes()).map_err(Fault::output),
        }
    }

    fn columns(&self, row: &Fields) -> Vec<Shown> {
        let kind = |name: &str| known(self.entry, name).map(|field| field.kind);
        if !self.chosen.is_empty() {
            return self.chosen.iter().map(|name| (name.clone(), kind(name))).collect();
        }
        // One command may have rows of several shapes: only what this one has.
        let fields = self.entry.map_or(&[][..], |entry| entry.fields);
        let shown: Vec<_> = fields
            .iter()
            .filter(|field| field.is_shown && row.contains_key(field.name))
            .map(|field| (field.name.to_owned(), Some(field.kind)))
            .collect();
        if shown.is_empty() { row.keys().map(|name| (name.clone(), kind(name))).collect() } else { shown }
    }
}

fn align(kind: Option<Kind>, value: Option<&Value>) -> Align {
    match kind {
        Some(Kind::Number | Kind::Bytes | Kind::Seconds) => Align::Right,
        None if value.is_some_and(Value::is_number) => Align::Right,
        _ => Align::Left,
    }
}
