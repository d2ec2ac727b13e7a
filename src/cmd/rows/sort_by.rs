//! `sort-by`.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{Fields, Printer, Rows, check_field, known, lookup, value};
use crate::cmd::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::Output;
use crate::out::table::NoRow;

/// The most that is held, as the rows were written: in memory it is some four times as much.
const LIMIT: usize = 128 << 20;

/// Sort rows by fields.
///
/// Numbers go by their value, text by its bytes; what is missing comes last. Rows that are equal stay in their order. Up
/// to 128 MiB of rows are held.
#[derive(clap::Parser)]
pub struct SortBy {
    /// The largest first.
    #[arg(short, long)]
    reverse: bool,
    /// Fields, the first one first, as `user,rss`; `-rss` is the largest first.
    #[arg(required = true, value_name = "FIELDS", value_delimiter = ',', add = Takes::List(&Takes::RowField))]
    fields: Vec<String>,
}

impl Command for SortBy {
    type Row = NoRow;
    const PLACE: Place = Place::Node;
    const NEEDS: Needs = Needs::STDIN;
    const FILTERS_ROWS: bool = true;
    const REPLACES: &'static str = "sort, jq";
    const EXAMPLES: &'static [Example] = &[
        Example { line: "ps | sort-by -r rss | first 5", what: "the five largest" },
        Example { line: "ps | sort-by -elapsed", what: "the oldest first" },
        Example { line: "ls -l / | sort-by type,-size", what: "by type, in each the largest first" },
    ];

    /// `-rss` is a field, not an option: behind a comma it is read as one.
    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        let is_field = |arg: &OsString| {
            arg.len() > 2 && arg.as_bytes().starts_with(b"-") && !arg.as_bytes().starts_with(b"--")
        };
        let mark =
            |arg: OsString| if is_field(&arg) { [OsStr::new(","), &arg].into_iter().collect() } else { arg };
        args.into_iter().map(mark).collect()
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let mut keys = Vec::new();
        for field in self.fields.iter().filter(|field| !field.is_empty()) {
            let (name, down) = field.strip_prefix('-').map_or((field.as_str(), false), |name| (name, true));
            check_field(cx, name)?;
            keys.push((name, down, known(cx.rows_of, name).map(|field| field.kind)));
        }
        if keys.is_empty() {
            return Err(Fault::usage("a field is missing"));
        }
        let mut rows = Rows::of_stdin()?;
        let mut all: Vec<Fields> = Vec::new();
        let mut held = 0;
        while let Some(row) = rows.next()? {
            held += rows.line.len();
            if held > LIMIT {
                return Err(Fault::say("there are more than 128 MiB of rows")
                    .with_hint("where before it keeps fewer"));
            }
            all.push(row);
        }
        all.sort_by(|a, b| {
            for (name, down, kind) in &keys {
                let (a, b) = (lookup(a, name), lookup(b, name));
                let missing =
                    |value: Option<&serde_json::Value>| value.is_none_or(serde_json::Value::is_null);
                let order = value::order(a, b, *kind);
                // What is missing comes last both ways.
                let turned = (*down != self.reverse) && !missing(a) && !missing(b);
                match if turned { order.reverse() } else { order } {
                    Ordering::Equal => {}
                    order => return order,
                }
            }
            Ordering::Equal
        });
        let mut printer = Printer::new(cx, Vec::new());
        for row in &all {
            printer.print(row, out)?;
        }
        printer.finish(out)?;
        Ok(Status::OK)
    }
}
