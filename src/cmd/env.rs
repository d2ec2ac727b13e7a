//! `env`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{Command, Context, Example, Fault, Place, Result, Status, Takes};
use crate::out::field::field;
use crate::out::name::escape;
use crate::out::{Align, Column, Field, Kind, Name, Narrow, Output, Row};

/// List the session's environment: the target's, and exports.
///
/// With names it prints their values alone, with status 1 where one is not set. It runs no command in a changed
/// environment: `export NAME=VALUE` sets a variable for what is run after it.
#[derive(clap::Parser)]
pub struct Env {
    /// Leave this variable out
    #[arg(short, long, value_name = "NAME", add = Takes::Variable)]
    unset: Vec<OsString>,
    /// Begin with no variables
    #[arg(short, long)]
    ignore_environment: bool,
    /// End each entry with NUL instead of a newline
    #[arg(short = '0', long = "null")]
    null: bool,
    /// Variables whose values are printed; NAME=VALUE is added to the list
    #[arg(value_name = "NAME", add = Takes::Variable)]
    operands: Vec<OsString>,
}

/// One variable.
#[derive(serde::Serialize)]
pub struct Variable {
    name: Name,
    value: Name,
}

impl Row for Variable {
    const COLUMNS: &'static [Column<Self>] = &[
        Column { header: "NAME", align: Align::Left, narrow: Narrow::WHOLE, cell: |row| row.name.spelled() },
        Column {
            header: "VALUE",
            align: Align::Left,
            narrow: Narrow::WHOLE,
            cell: |row| row.value.spelled(),
        },
    ];
}

impl Command for Env {
    type Row = Variable;
    const PLACE: Place = Place::Inside;
    const REPLACES: &'static str = "coreutils env, printenv";
    const FIELDS: &'static [Field] =
        &[field("name", Kind::Text, "the variable"), field("value", Kind::Text, "its value")];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "env", what: "what the program was started with" },
        Example { line: "env PATH", what: "the value of one variable" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<Variable>) -> Result<Status> {
        let end: &[u8] = if self.null { b"\0" } else { b"\n" };
        let all = self.variables(&cx.env)?;
        let names: Vec<&OsString> = self.operands.iter().filter(|operand| !is_assignment(operand)).collect();
        let wanted: Vec<&(OsString, OsString)> = if names.is_empty() {
            all.iter().collect()
        } else {
            names.iter().filter_map(|name| all.iter().find(|(known, _)| *known == **name)).collect()
        };
        for (name, value) in &wanted {
            let shown = |text: &OsStr| {
                if cx.tty { escape(text.as_bytes()).into_bytes() } else { text.as_bytes().to_vec() }
            };
            let written = if out.is_json() {
                out.row(&Variable {
                    name: Name::from(name.as_os_str()),
                    value: Name::from(value.as_os_str()),
                })
            } else if names.is_empty() {
                out.bytes().write_all(&[&shown(name), b"=".as_slice(), &shown(value), end].concat())
            } else {
                out.bytes().write_all(&[&shown(value), end].concat())
            };
            written.map_err(Fault::output)?;
        }
        Ok(if !names.is_empty() && wanted.len() < names.len() { Status(1) } else { Status::OK })
    }
}

impl Env {
    /// The variables that the options leave, and those that they add.
    fn variables(&self, session: &[(OsString, OsString)]) -> Result<Vec<(OsString, OsString)>> {
        let kept = |name: &OsString| !self.ignore_environment && !self.unset.contains(name);
        let mut all: Vec<(OsString, OsString)> =
            session.iter().filter(|(name, _)| kept(name)).cloned().collect();
        let mut assigned = false;
        for operand in &self.operands {
            let bytes = operand.as_bytes();
            let Some(at) = bytes.iter().position(|byte| *byte == b'=') else {
                if assigned || self.ignore_environment {
                    return Err(
                        Fault::usage("it runs no command").with_hint("export NAME=VALUE, then the command")
                    );
                }
                continue;
            };
            assigned = true;
            let (name, value) = (OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..]));
            all.retain(|(known, _)| known != name);
            all.push((name.to_owned(), value.to_owned()));
        }
        Ok(all)
    }
}

fn is_assignment(operand: &OsStr) -> bool {
    operand.as_bytes().contains(&b'=')
}
