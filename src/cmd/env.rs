//! `env`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{Command, Completion, Context, Example, Fault, Place, Result, Status};
use crate::out::field::field;
use crate::out::{Align, Column, Field, Kind, Name, Output, Row};

/// List the session's environment: the target's, and exports.
#[derive(clap::Parser)]
pub struct Env {
    /// End each entry with NUL instead of a newline
    #[arg(short = '0', long = "null")]
    null: bool,
}

/// One variable.
#[derive(serde::Serialize)]
pub struct Variable {
    name: Name,
    value: Name,
}

impl Row for Variable {
    const COLUMNS: &'static [Column<Self>] = &[
        Column { header: "NAME", align: Align::Left, cell: |row| row.name.spelled() },
        Column { header: "VALUE", align: Align::Left, cell: |row| row.value.spelled() },
    ];
}

impl Command for Env {
    type Row = Variable;
    const PLACE: Place = Place::Inside;
    const REPLACES: &'static str = "coreutils env";
    const FIELDS: &'static [Field] =
        &[field("name", Kind::Text, "the variable"), field("value", Kind::Text, "its value")];
    const EXAMPLES: &'static [Example] =
        &[Example { line: "env", what: "what the program was started with" }];

    fn run(self, cx: &mut Context, out: &mut Output<Variable>) -> Result<Status> {
        let end: &[u8] = if self.null { b"\0" } else { b"\n" };
        for (name, value) in &cx.env {
            let written = if out.is_json() {
                out.row(&Variable {
                    name: Name::from(name.as_os_str()),
                    value: Name::from(value.as_os_str()),
                })
            } else if cx.tty {
                let line = format!("{}={}\n", shown(name), shown(value));
                out.bytes().write_all(line.as_bytes())
            } else {
                out.bytes().write_all(&[name.as_bytes(), b"=", value.as_bytes(), end].concat())
            };
            written.map_err(Fault::output)?;
        }
        Ok(Status::OK)
    }

    fn complete(_: &Completion) -> Option<Vec<String>> {
        Some(Vec::new())
    }
}

fn shown(text: &OsStr) -> String {
    crate::out::name::escape(text.as_bytes())
}
