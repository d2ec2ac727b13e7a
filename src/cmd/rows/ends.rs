//! `first` and `last`.

use std::collections::VecDeque;
use std::ffi::OsString;

use super::{Fields, Printer, Rows};
use crate::cmd::{Command, Context, Example, Fault, Needs, Place, Result, Status};
use crate::out::Output;
use crate::out::table::NoRow;

/// The most that `last` holds, as the rows were written.
const LIMIT: usize = 128 << 20;

/// Keep the first rows; the command before is ended then.
#[derive(clap::Parser)]
pub struct First {
    /// How many.
    #[arg(default_value_t = 1)]
    count: usize,
}

/// Keep the last rows.
#[derive(clap::Parser)]
pub struct Last {
    /// How many.
    #[arg(default_value_t = 1)]
    count: usize,
}

/// `-5` and `-n 5` are what fingers know from head and tail.
fn plain(args: Vec<OsString>) -> Vec<OsString> {
    let digits =
        |text: &str| text.strip_prefix('-').filter(|n| n.bytes().all(|b| b.is_ascii_digit())).map(Into::into);
    args.into_iter()
        .filter(|arg| arg != "-n")
        .map(|arg| arg.to_str().and_then(digits).filter(|n: &OsString| !n.is_empty()).unwrap_or(arg))
        .collect()
}

impl Command for First {
    type Row = NoRow;
    const PLACE: Place = Place::Node;
    const NEEDS: Needs = Needs::STDIN;
    const FILTERS_ROWS: bool = true;
    const REPLACES: &'static str = "head, jq";
    const EXAMPLES: &'static [Example] = &[Example { line: "ps | first 3", what: "three rows" }];

    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        plain(args)
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let mut rows = Rows::of_stdin()?;
        let mut printer = Printer::new(cx, Vec::new());
        for _ in 0..self.count {
            let Some(row) = rows.next()? else { break };
            printer.print(&row, out)?;
        }
        printer.finish(out)?;
        Ok(Status::OK)
    }
}

impl Command for Last {
    type Row = NoRow;
    const PLACE: Place = Place::Node;
    const NEEDS: Needs = Needs::STDIN;
    const FILTERS_ROWS: bool = true;
    const REPLACES: &'static str = "tail, jq";
    const EXAMPLES: &'static [Example] =
        &[Example { line: "ps | sort-by rss | last 2", what: "the two largest" }];

    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        plain(args)
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let mut rows = Rows::of_stdin()?;
        let mut held: VecDeque<(Fields, usize)> = VecDeque::new();
        let mut size = 0;
        while let Some(row) = rows.next()? {
            size += rows.line.len();
            held.push_back((row, rows.line.len()));
            while held.len() > self.count {
                size -= held.pop_front().map_or(0, |(_, length)| length);
            }
            if size > LIMIT {
                return Err(Fault::say("these are more than 128 MiB of rows"));
            }
        }
        let mut printer = Printer::new(cx, Vec::new());
        for (row, _) in &held {
            printer.print(row, out)?;
        }
        printer.finish(out)?;
        Ok(Status::OK)
    }
}
