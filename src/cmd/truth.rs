//! `true` and `false`.

use super::{Command, Context, Example, Place, Prints, Result, Status, Takes};
use crate::out::Output;
use crate::out::table::NoRow;

/// Do nothing, successfully.
#[derive(clap::Parser)]
pub struct True {
    /// Ignored
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true, add = Takes::Nothing)]
    words: Vec<std::ffi::OsString>,
}

/// Do nothing, unsuccessfully.
#[derive(clap::Parser)]
pub struct False {
    /// Ignored
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true, add = Takes::Nothing)]
    words: Vec<std::ffi::OsString>,
}

impl Command for True {
    type Row = NoRow;
    const PLACE: Place = Place::Node;
    const PRINTS: Prints = Prints::Bytes;
    const REPLACES: &'static str = "coreutils true";
    const EXAMPLES: &'static [Example] = &[Example { line: "true", what: "status 0" }];

    fn run(self, _: &mut Context, _: &mut Output<NoRow>) -> Result<Status> {
        drop(self.words);
        Ok(Status::OK)
    }
}

impl Command for False {
    type Row = NoRow;
    const PLACE: Place = Place::Node;
    const PRINTS: Prints = Prints::Bytes;
    const REPLACES: &'static str = "coreutils false";
    const EXAMPLES: &'static [Example] = &[Example { line: "false || echo no", what: "status 1" }];

    fn run(self, _: &mut Context, _: &mut Output<NoRow>) -> Result<Status> {
        drop(self.words);
        Ok(Status(1))
    }
}
