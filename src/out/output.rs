//! Where a command's result goes: typed rows or bytes, to its stdout.

use std::io::{self, BufWriter, Write};
use std::marker::PhantomData;

use super::table::{Row, Table};

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A table or the command's own layout, for people.
    #[default]
    Text,
    /// JSON Lines with raw numbers.
    Json,
}

/// A command's result. Dropping it without [`Output::finish`] loses what is buffered.
pub struct Output<R: Row> {
    format: Format,
    to: BufWriter<Box<dyn Write>>,
    table: Option<Table>,
    screen: Option<usize>,
    row: PhantomData<R>,
}

impl<R: Row> Output<R> {
    /// Output to `to`. `screen` is for a terminal, and its width, as of [`Table::new`].
    pub fn new(to: Box<dyn Write>, format: Format, screen: Option<usize>) -> Self {
        Self { format, to: BufWriter::with_capacity(64 * 1024, to), table: None, screen, row: PhantomData }
    }

    /// Whether rows are to be JSON.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints one row: a JSON line, or a line of the table that `R::COLUMNS` describes.
    pub fn row(&mut self, row: &R) -> io::Result<()> {
        if self.is_json() {
            return self.json(row);
        }
        let screen = self.screen;
        let table = self.table.get_or_insert_with(|| {
            let columns: Vec<_> = R::COLUMNS.iter().map(|c| (c.header, c.align, c.narrow)).collect();
            Table::new(&columns, screen)
        });
        table.row(R::COLUMNS.iter().map(|c| (c.cell)(row)).collect(), &mut self.to)
    }

    /// Prints one JSON line of any shape.
    pub fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer(&mut self.to, value).map_err(io::Error::from)?;
        self.to.write_all(b"\n")
    }

    /// The stream itself, for bytes and for a command's own layout.
    pub fn bytes(&mut self) -> &mut dyn Write {
        &mut self.to
    }

    /// Prints what is held back. Rows that follow begin another table. To be called at the end.
    pub fn finish(&mut self) -> io::Result<()> {
        if let Some(mut table) = self.table.take() {
            table.finish(&mut self.to)?;
        }
        self.to.flush()
    }
}
