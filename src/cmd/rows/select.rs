//! `select`.

use super::{Printer, Rows, check_field};
use crate::cmd::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::Output;
use crate::out::table::NoRow;

/// Keep some fields of each row, in this order.
#[derive(clap::Parser)]
pub struct Select {
    /// Fields, as `pid,command`; `tls.version` is a field in a field.
    #[arg(required = true, value_name = "FIELDS", value_delimiter = ',', add = Takes::List(&Takes::RowField))]
    fields: Vec<String>,
}

impl Command for Select {
    type Row = NoRow;
    const PLACE: Place = Place::Node;
    const NEEDS: Needs = Needs::STDIN;
    const FILTERS_ROWS: bool = true;
    const REPLACES: &'static str = "cut, awk, jq";
    const EXAMPLES: &'static [Example] =
        &[Example { line: "ps | select pid,threads,command", what: "three fields" }];

    fn run(mut self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        self.fields.retain(|field| !field.is_empty());
        if self.fields.is_empty() {
            return Err(Fault::usage("a field is missing"));
        }
        for field in &self.fields {
            check_field(cx, field)?;
        }
        let mut rows = Rows::of_stdin()?;
        let mut printer = Printer::new(cx, self.fields);
        while let Some(row) = rows.next()? {
            printer.print(&row, out)?;
        }
        printer.finish(out)?;
        Ok(Status::OK)
    }
}
