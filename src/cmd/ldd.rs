//! `ldd`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::input::refusal;
use super::loader::{Library, Loader, shown};
use super::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::{Align, Column, Field, Kind, Name, Narrow, Output, Row};
use crate::sys::open::regular;

/// Show which shared libraries a program needs, and where its loader finds them
///
/// The program is not run, nor its loader: RPATH, RUNPATH, the session's LD_LIBRARY_PATH, ld.so.cache, and the directories
/// that the loader was built with are gone through as glibc's or musl's would. Versions of symbols that are wanted and not
/// there are told, too. A number is a PID of the container, and means its program. The status is 1 where something is
/// missing.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Ldd {
    /// Files of the container, or PIDs
    #[arg(required = true, value_name = "FILE|PID", add = Takes::Any(&[Takes::Path, Takes::Pid]))]
    operands: Vec<OsString>,
}

/// A library.
#[derive(serde::Serialize)]
pub struct LibraryRow {
    file: Name,
    name: Name,
    path: Option<Name>,
    by: Option<&'static str>,
    needed_by: Name,
    status: String,
    lacks: Vec<Name>,
    looked: Vec<Name>,
}

impl Row for LibraryRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            header: "NAME",
            align: Align::Left,
            narrow: Narrow::shorten(16),
            cell: |row| row.name.spelled(),
        },
        Column {
            header: "PATH",
            align: Align::Left,
            narrow: Narrow::shorten(20).keep("/"),
            cell: |row| row.path.as_ref().map_or_else(|| "not found".to_owned(), Name::spelled),
        },
        Column {
            header: "BY",
            align: Align::Left,
            narrow: Narrow::drop(1),
            cell: |row| row.by.unwrap_or("-").to_owned(),
        },
        Column {
            header: "NEEDED BY",
            align: Align::Left,
            narrow: Narrow::shorten(12).or_drop(2),
            cell: |row| row.needed_by.spelled(),
        },
        Column {
            header: "",
            align: Align::Left,
            narrow: Narrow::shorten(12),
            cell: |row| if row.status == "found" { String::new() } else { row.status.clone() },
        },
    ];
}

impl LibraryRow {
    fn new(file: &[u8], library: Library) -> Self {
        let lacks: Vec<Name> =
            library.lacks.iter().map(|(version, _)| Name::from(version.as_slice())).collect();
        let status = match (&library.found, lacks.is_empty(), library.others.first()) {
            (Some(_), true, _) => "found".to_owned(),
            (Some(_), false, _) => {
                let versions: Vec<String> = lacks.iter().map(Name::spelled).collect();
                format!("lacks {}", versions.join(", "))
            }
            (None, _, Some(other)) => format!("not found: {} is for another machine", shown(other)),
            (None, _, None) => "not found".to_owned(),
        };
        let (path, by) = library.found.map(|(path, by)| (Name::from(path), by.name())).unzip();
        Self {
            file: file.into(),
            name: library.name.into(),
            path,
            by,
            needed_by: library.needed_by.into(),
            status,
            lacks,
            looked: library.looked.into_iter().map(Name::from).collect(),
        }
    }
}

impl Command for Ldd {
    type Row = LibraryRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs { processes: true, ..Needs::NONE };
    const REPLACES: &'static str = "glibc ldd, lddtree, readelf -d";
    const FIELDS: &'static [Field] = &[
        field("name", Kind::Text, "the library, as it is wanted"),
        field("path", Kind::Text, "where it is; null where it is not found"),
        field(
            "by",
            Kind::Text,
            "RPATH, RUNPATH, LD_LIBRARY_PATH, ld.so.cache, default directory, loader, its name",
        ),
        field("needed_by", Kind::Text, "the file that wants it"),
        field("status", Kind::Text, "found, or what is wrong"),
        more("file", Kind::Text, "the program"),
        more("lacks", Kind::List, "versions of symbols that are wanted of it, and that it has not"),
        more("looked", Kind::List, "where it was looked for, where it is not found"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "ldd /server", what: "a program's libraries" },
        Example { line: "ldd 1 | where status ne found", what: "what the first process' program lacks" },
    ];

    fn reads_processes(&self) -> bool {
        self.operands.iter().any(|operand| pid(operand).is_some())
    }

    fn run(self, cx: &mut Context, out: &mut Output<LibraryRow>) -> Result<Status> {
        let mut loader = Loader::new(cx.var("LD_LIBRARY_PATH"));
        let mut is_missing = false;
        for operand in &self.operands {
            let file = match pid(operand).map(|pid| program(cx, pid)) {
                None => operand.clone(),
                Some(Ok(file)) => file,
                Some(Err(fault)) => {
                    cx.report(&fault);
                    continue;
                }
            };
            if let Err(refused) = regular(&file) {
                cx.report(&refusal(&file, refused));
                continue;
            }
            let Some(loaded) = loader.load(&absolute(&file)) else {
                cx.report(&Fault::text("read", &file, "not an ELF file"));
                continue;
            };
            if !loaded.object.is_dynamic
                || (loaded.object.needed.is_empty() && loaded.object.interpreter.is_none())
            {
                cx.note(&format!("{}: statically linked", shown(file.as_bytes())));
                continue;
            }
            if let Some(interpreter) = &loaded.object.interpreter
                && let Err(refused) = regular(OsStr::from_bytes(interpreter))
            {
                is_missing = true;
                let fault = refusal(OsStr::from_bytes(interpreter), refused);
                cx.report(&Fault { op: "open loader".into(), ..fault });
            }
            if loaded.is_cut {
                cx.report(&Fault::text("load", &file, "it has too many libraries: the rest is left out"));
            }
            for library in loaded.libraries {
                let row = LibraryRow::new(file.as_bytes(), library);
                is_missing |= row.status != "found";
                out.row(&row).map_err(Fault::output)?;
            }
        }
        Ok(Status(u8::from(is_missing)))
    }
}

/// A path from the root: `$ORIGIN` counts from there.
fn absolute(file: &OsStr) -> Vec<u8> {
    std::fs::canonicalize(file)
        .map_or_else(|_| file.as_bytes().to_vec(), |path| path.into_os_string().into_vec())
}

fn pid(operand: &OsStr) -> Option<i32> {
    operand.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// The program of a process, as the one outside tells it.
fn program(cx: &mut Context, pid: i32) -> Result<OsString> {
    let fault = |cause: &'static str| Fault::text("find process", pid.to_string(), cause);
    let lookup = cx.lookup.as_mut().ok_or_else(|| fault("nobody tells which processes there are"))?;
    let answer = lookup.these(&[pid])?;
    let known =
        answer.processes.into_iter().next().ok_or_else(|| fault("no such process in the container"))?;
    if known.exe.is_empty() {
        return Err(fault("the kernel does not tell its program"));
    }
    Ok(OsString::from_vec(known.exe))
}
