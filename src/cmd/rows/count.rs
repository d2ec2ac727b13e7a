//! `count`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Printer, Rows, check_field, known, lookup};
use crate::cmd::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::Output;
use crate::out::table::NoRow;

/// Different values that are counted.
const LIMIT: usize = 1_000_000;

/// Count rows, or how often each value of a field comes.
#[derive(clap::Parser)]
pub struct Count {
    /// The field whose values are counted, the most frequent first.
    #[arg(value_name = "FIELD", add = Takes::RowField)]
    field: Option<String>,
}

impl Command for Count {
    type Row = NoRow;
    const PLACE: Place = Place::Node;
    const NEEDS: Needs = Needs::STDIN;
    const FILTERS_ROWS: bool = true;
    const REPLACES: &'static str = "wc -l, sort | uniq -c";
    const EXAMPLES: &'static [Example] = &[
        Example { line: "ps | count", what: "how many" },
        Example { line: "netstat -tan | count state", what: "connections by state" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let mut rows = Rows::of_stdin()?;
        let Some(field) = self.field else {
            let mut count: u64 = 0;
            while rows.next()?.is_some() {
                count += 1;
            }
            let written = if out.is_json() {
                out.json(&json!({"count": count}))
            } else {
                writeln!(out.bytes(), "{count}")
            };
            return written.map(|()| Status::OK).map_err(Fault::output);
        };
        check_field(cx, &field)?;
        let mut counts: BTreeMap<String, (Value, u64)> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let value = lookup(&row, &field).cloned().unwrap_or(Value::Null);
            let key = value.to_string();
            if counts.len() >= LIMIT && !counts.contains_key(&key) {
                return Err(Fault::say("there are more than a million different values"));
            }
            counts.entry(key).or_insert((value, 0)).1 += 1;
        }
        let mut counts: Vec<(Value, u64)> = counts.into_values().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let kind = known(cx.rows_of, &field).map(|field| field.kind);
        let mut printer = Printer::new(cx, vec![field.clone(), "count".to_owned()]);
        for (value, count) in counts {
            let value = if out.is_json() || value.is_null() {
                value
            } else {
                super::value::cell(Some(&value), kind).into()
            };
            printer.print(
                &[(field.clone(), value), ("count".to_owned(), count.into())].into_iter().collect(),
                out,
            )?;
        }
        printer.finish(out)?;
        Ok(Status::OK)
    }
}
