//! `cat`.
use std::ffi::OsString;

use super::{Command, Context, Example, Fault, Needs, Place, Prints, Result, Status};
use crate::out::Output;
use crate::out::table::NoRow;

/// Print files.
#[derive(clap::Parser)]
pub struct Cat {
    /// Files; `-` is standard input.
    files: Vec<OsString>,
}

impl Command for Cat {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs::STDIN;
    const PRINTS: Prints = Prints::Bytes;
    const EXAMPLES: &'static [Example] = &[Example { line: "cat /etc/passwd", what: "who the users are" }];

    fn run(self, _: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        for file in &self.files {
            let mut input = std::fs::File::open(file).map_err(|e| Fault::io("open", file, &e))?;
            std::io::copy(&mut input, out.bytes()).map_err(|e| Fault::io("read", file, &e))?;
        }
        Ok(Status::OK)
    }
}
