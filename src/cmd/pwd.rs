//! `pwd`.

use std::os::unix::ffi::OsStrExt;

use super::{Command, Context, Example, Fault, Place, Prints, Result, Status};
use crate::out::Output;
use crate::out::name::shell_quoted;
use crate::out::table::NoRow;

/// Print the working directory.
#[derive(clap::Parser)]
pub struct Pwd {}

impl Command for Pwd {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const PRINTS: Prints = Prints::Bytes;
    const REPLACES: &'static str = "coreutils pwd";
    const EXAMPLES: &'static [Example] = &[Example { line: "pwd", what: "where the target's program works" }];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let path = nix::unistd::getcwd().map_err(|errno| Fault::of("getcwd", errno))?;
        let path = path.as_os_str().as_bytes();
        let shown = cx.tty.then(|| shell_quoted(path));
        let shown = shown.as_ref().map_or(path, String::as_bytes);
        out.bytes().write_all(&[shown, b"\n"].concat()).map_err(Fault::output)?;
        Ok(Status::OK)
    }
}
