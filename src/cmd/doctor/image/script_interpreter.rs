//! `script-interpreter`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::programs::{self, Program};
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::cmd::loader::shown;

pub const CHECK: Check = Check {
    id: "script-interpreter",
    group: Group::Image,
    question: "Do the interpreters named by scripts in PATH exist?",
    is_slow: false,
    run: Run::Inside(run),
};

/// What images without a shell leave out by intention.
const LEFT_OUT: [&[u8]; 8] = [b"sh", b"bash", b"dash", b"ash", b"zsh", b"ksh", b"perl", b"env"];
/// The most that are told one by one.
const TOLD: usize = 10;

fn run(container: &Container) -> Vec<Found> {
    let (mut found, mut left_over) = (Vec::new(), Vec::new());
    let all = programs::all(container);
    for program in &all {
        let Some((wanted, why)) = lacks(program, container) else { continue };
        let name = wanted.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let first_line =
            String::from_utf8_lossy(program.head.split(|byte| *byte == b'\n').next().unwrap_or_default())
                .into_owned();
        if LEFT_OUT.contains(&name) && !program.is_main {
            left_over.push(shown(program.path.as_os_str().as_bytes()));
        } else if found.len() < TOLD {
            let detail = format!(
                "it needs {}, which {why}: starting it fails with \"no such file or directory\"",
                shown(wanted)
            );
            found.push(
                Found::fail(detail)
                    .about(&program.path)
                    .seen(first_line)
                    .fix("put the interpreter into the image, or correct the first line (no carriage return at its end)"),
            );
        }
    }
    if !left_over.is_empty() {
        let count = left_over.len();
        let some: Vec<&str> = left_over.iter().take(5).map(String::as_str).collect();
        found.push(
            Found::note(format!(
                "{count} of the scripts in PATH need a shell, perl or env, which the image does not have, as may be meant"
            ))
            .seen(format!("{}{}", some.join(", "), if count > some.len() { ", …" } else { "" })),
        );
    }
    found
}

/// The interpreter that a script lacks, and how.
fn lacks<'a>(program: &'a Program, container: &Container) -> Option<(&'a [u8], &'static str)> {
    let (interpreter, argument) = program.script()?;
    let is_there = |path: &[u8]| std::fs::metadata(OsStr::from_bytes(path)).is_ok();
    if !is_there(interpreter) {
        return Some((interpreter, "is not there"));
    }
    // env looks its argument up in PATH; its options come before it.
    let is_env = interpreter.rsplit(|byte| *byte == b'/').next() == Some(b"env");
    let named = argument.filter(|word| is_env && !word.starts_with(b"-") && !word.contains(&b'/'))?;
    let found = container
        .search_path()
        .iter()
        .any(|directory| is_there(directory.join(OsStr::from_bytes(named)).as_os_str().as_bytes()));
    (!found).then_some((named, "is not in PATH"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_are_taken_apart_as_the_kernel_does() {
        let script = |head: &str| {
            let program = Program { path: "/x".into(), head: head.as_bytes().to_vec(), is_main: false };
            program.script().map(|(interpreter, word)| {
                (
                    String::from_utf8_lossy(interpreter).into_owned(),
                    word.map(|word| String::from_utf8_lossy(word).into_owned()),
                )
            })
        };
        let words =
            |interpreter: &str, word: Option<&str>| Some((interpreter.to_owned(), word.map(str::to_owned)));
        assert_eq!(script("#!/bin/sh\necho"), words("/bin/sh", None));
        assert_eq!(script("#! /usr/bin/env  python3 -u\n"), words("/usr/bin/env", Some("python3")));
        assert_eq!(script("#!/bin/sh\r\n"), words("/bin/sh\r", None));
        assert_eq!(script("#!\n"), None);
        assert_eq!(script("echo"), None);
    }
}
