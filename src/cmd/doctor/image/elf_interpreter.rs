//! `elf-interpreter`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::programs;
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::cmd::loader::shown;
use crate::sys::elf::Object;
use crate::sys::open::regular;

pub const CHECK: Check = Check {
    id: "elf-interpreter",
    group: Group::Image,
    question: "Does the loader that the programs were linked for exist?",
    is_slow: false,
    run: Run::Inside(run),
};

/// The most that are told one by one.
const TOLD: usize = 10;

fn run(container: &Container) -> Vec<Found> {
    let mut found = Vec::new();
    let mut more = 0;
    for program in programs::all(container).iter().filter(|program| program.is_elf()) {
        let Ok((file, _)) = regular(program.path.as_os_str()) else { continue };
        let Some(interpreter) = Object::read(&file).and_then(|object| object.interpreter) else { continue };
        if std::fs::metadata(OsStr::from_bytes(&interpreter)).is_ok() {
            continue;
        }
        if found.len() == TOLD {
            more += 1;
            continue;
        }
        let name = shown(&interpreter);
        let (libc, fix) = if interpreter.windows(8).any(|part| part == b"ld-musl-") {
            ("musl's", "build the program for glibc or statically, or take a base image with musl (Alpine)")
        } else {
            (
                "glibc's",
                "link the program statically (CGO_ENABLED=0, -static, target-feature=+crt-static), or take a base image with glibc (distroless base or cc, Debian)",
            )
        };
        let detail = format!(
            "it needs {libc} loader {name}, which is not there: starting it fails with \"no such file or directory\""
        );
        found.push(Found::fail(detail).about(&program.path).seen(format!("PT_INTERP {name}")).fix(fix));
    }
    if more > 0 {
        found.push(Found::fail(format!("so it is with {more} more programs")));
    }
    found
}
