//! `echo`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::{Command, Context, Example, Fault, Place, Prints, Result, Status};
use crate::out::Output;
use crate::out::table::NoRow;

/// Print words.
#[derive(clap::Parser)]
pub struct Echo {
    /// Print no newline at the end.
    #[arg(short)]
    n: bool,
    /// Words to print, a space between them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl Command for Echo {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const PRINTS: Prints = Prints::Bytes;
    const REPLACES: &'static str = "coreutils echo";
    const EXAMPLES: &'static [Example] = &[Example { line: "echo $HOME", what: "a variable of the target" }];

    fn run(self, _: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let words: Vec<&[u8]> = self.words.iter().map(|w| w.as_bytes()).collect();
        let mut line = words.join(&b' ');
        if !self.n {
            line.push(b'\n');
        }
        out.bytes().write_all(&line).map_err(Fault::output)?;
        Ok(Status::OK)
    }
}
