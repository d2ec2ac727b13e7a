//! `where`.

use std::cell::RefCell;

use super::condition::{self, OPERATORS};
use super::{Printer, Rows, check_field, known};
use crate::cmd::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::Output;
use crate::out::table::NoRow;
use crate::takes::owned;

/// Keep the rows for which a condition holds.
///
/// A condition is FIELD OPERATOR VALUE, with the operators eq, ne, lt, le, gt, ge, has, starts, ends and matches; a field
/// alone holds where it is neither null, false, 0 nor empty. and, or, not and parentheses combine them. Values have units:
/// bytes 100M, times 5m, dates 2026-01-31. `tls.version` is a field in a field. Status 1 where no row is left.
#[derive(clap::Parser)]
pub struct Where {
    /// The condition, as words.
    #[arg(required = true, allow_negative_numbers = true, value_name = "CONDITION")]
    #[arg(add = Takes::Any(&[Takes::RowField, Takes::Words(words)]))]
    words: Vec<String>,
}

/// The words between fields and values.
fn words() -> Vec<String> {
    owned(OPERATORS.iter().map(|operator| operator.0).chain(["and", "or", "not"]))
}

impl Command for Where {
    type Row = NoRow;
    const PLACE: Place = Place::Node;
    const NEEDS: Needs = Needs::STDIN;
    const FILTERS_ROWS: bool = true;
    const REPLACES: &'static str = "awk, jq";
    const EXAMPLES: &'static [Example] = &[
        Example { line: "ps | where rss gt 100K", what: "the large ones" },
        Example { line: "ps | where user eq root and not command has kworker", what: "two conditions" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        // A fault of the field says more than a sentence.
        let unknown = RefCell::new(None);
        let kind = |name: &str| match check_field(cx, name) {
            Ok(()) => Ok(known(cx.rows_of, name).map(|field| field.kind)),
            Err(fault) => {
                *unknown.borrow_mut() = Some(fault);
                Err(String::new())
            }
        };
        let parsed = condition::parse(&self.words, &kind);
        let condition = parsed.map_err(|why| unknown.take().unwrap_or_else(|| Fault::usage(why)))?;
        let mut rows = Rows::of_stdin()?;
        let mut printer = Printer::new(cx, Vec::new());
        let mut any = false;
        while let Some(row) = rows.next()? {
            if condition.holds(&row) {
                any = true;
                printer.print(&row, out)?;
            }
        }
        printer.finish(out)?;
        Ok(Status(u8::from(!any)))
    }
}
