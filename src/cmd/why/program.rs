//! From a program to what execve(2) starts in its place: its script's interpreter, its loader.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use nix::sys::statvfs::{FsFlags, statvfs};

use super::walk::Walk;
use super::{Name, What};
use crate::cmd::Result;
use crate::cmd::file::machine;
use crate::out::fault::errno_text;
use crate::sys::capability;
use crate::sys::exec::{self, Flaw, Format, MAX_SCRIPTS};
use crate::sys::open::regular;
use crate::sys::syscall::getxattr;

impl Walk<'_> {
    /// Goes on from a file that may be started by its mode and mount.
    ///
    /// # Errors
    /// As the walk itself.
    pub fn program(&mut self, mut path: Vec<u8>) -> Result<()> {
        if self.components.last().is_none_or(|last| !last.r#type.starts_with("regular")) {
            return Ok(());
        }
        self.is_interpreter = true;
        for scripts in 0.. {
            let (file, facts) = match regular(OsStr::from_bytes(&path)) {
                Ok(opened) => opened,
                // The kernel reads what the user may not.
                Err(_) => {
                    self.add("; what is in it this user can't read, so its format is not known".to_owned());
                    return Ok(());
                }
            };
            let size = u64::try_from(facts.st_size).unwrap_or(0);
            let shown = Name::from(path.as_slice()).spelled();
            let format = exec::format(&file, size);
            if matches!(format, Ok(Format::Elf(..)))
                && let Some(lacking) = lacking(&path)
            {
                let by = format!(
                    "{}: the file gives {lacking} at once, which the bounding set does not have",
                    errno_text(libc::EPERM)
                );
                let fix = format!(
                    "give the container {lacking} (--cap-add, capabilities.add), or setcap -r {shown}"
                );
                self.close(by, fix);
                return Ok(());
            }
            match format {
                Err(flaw) => {
                    self.refuse(&flaw, libc::ENOEXEC, &shown);
                    return Ok(());
                }
                Ok(Format::Elf(_, None)) => {
                    self.add("; a static program".to_owned());
                    return Ok(());
                }
                Ok(Format::Elf(machine, Some(loader))) => {
                    let fix = "put the loader into the image, link the program statically, or take a base image with \
                               its libc";
                    let role = format!("the loader of {shown}");
                    self.add(format!(
                        "; a program for the loader {}",
                        Name::from(loader.as_slice()).spelled()
                    ));
                    let Some(loader) = self.follow(&loader, &role, fix)? else { return Ok(()) };
                    if let Ok((file, facts)) = regular(OsStr::from_bytes(&loader))
                        && let Err(flaw) =
                            exec::loader(&file, u64::try_from(facts.st_size).unwrap_or(0), machine)
                    {
                        self.refuse(&flaw, libc::ELIBBAD, &Name::from(loader.as_slice()).spelled());
                    }
                    return Ok(());
                }
                Ok(Format::Script(..)) if scripts >= MAX_SCRIPTS => {
                    let by = format!(
                        "{}: more than {MAX_SCRIPTS} scripts lead to one another",
                        errno_text(libc::ELOOP)
                    );
                    self.close(by, "name a program in the first line, not a script".to_owned());
                    return Ok(());
                }
                Ok(Format::Script(interpreter, argument)) => {
                    let fix = if interpreter.ends_with(b"\r") {
                        format!(
                            "remove the carriage returns, which are part of the name: sed -i 's/\\r$//' {shown}"
                        )
                    } else {
                        format!("put the interpreter into the image, or correct the first line of {shown}")
                    };
                    let named = Name::from(interpreter.as_slice()).spelled();
                    self.add(format!("; a script for {named}"));
                    let is_env = interpreter.rsplit(|byte| *byte == b'/').next() == Some(b"env");
                    if let Some(word) = argument.filter(|word| is_env && word.ends_with(b"\r")) {
                        let word = Name::from(word.as_slice()).spelled();
                        self.add(format!(", which will look for {word}, with a carriage return"));
                    }
                    let role = format!("the interpreter of {shown}");
                    let Some(next) = self.follow(&interpreter, &role, &fix)? else { return Ok(()) };
                    path = next;
                }
            }
        }
        Ok(())
    }

    /// Walks to what is started in a program's place; where it leads, if it can be started by mode and mount.
    fn follow(&mut self, path: &[u8], role: &str, fix: &str) -> Result<Option<Vec<u8>>> {
        if path.is_empty() {
            self.close(format!("{}: no name of {role}", errno_text(libc::ENOENT)), fix.to_owned());
            return Ok(None);
        }
        let end = self.judge(OsStr::from_bytes(path), What::Exec)?;
        let Some(last) = self.components.last_mut().filter(|last| !last.allowed) else { return Ok(end) };
        last.by = format!("{}; {role}", last.by);
        if last.needs == "to be there" {
            last.fix = Some(fix.to_owned());
        }
        Ok(None)
    }

    fn add(&mut self, words: String) {
        if let Some(last) = self.components.last_mut() {
            last.by.push_str(&words);
        }
    }

    fn close(&mut self, by: String, fix: String) {
        if let Some(last) = self.components.last_mut() {
            (last.allowed, last.by, last.fix) = (false, by, Some(fix));
        }
    }

    fn refuse(&mut self, flaw: &Flaw, errno: i32, shown: &str) {
        let (why, fix) = words(flaw, shown);
        let by = if matches!(flaw, Flaw::Cut(..)) { why } else { format!("{}: {why}", errno_text(errno)) };
        self.close(by, fix);
    }
}

/// Capabilities that a program gives whoever starts it, and that this user can never have: then execve(2) fails, as
/// `bprm_caps_from_vfs_caps()` in security/commoncap.c has it.
fn lacking(path: &[u8]) -> Option<String> {
    let is_nosuid =
        statvfs(OsStr::from_bytes(path)).is_ok_and(|facts| facts.flags().contains(FsFlags::ST_NOSUID));
    let name = std::ffi::CString::new(path).ok()?;
    let mut value = [0; 64];
    let given = capability::given_at_once(getxattr(&name, c"security.capability", &mut value)?)?;
    let lacking = given & !capability::bounding().ok()?;
    (lacking != 0 && !is_nosuid).then(|| capability::names(lacking))
}

/// What is wrong, and what to do.
fn words(flaw: &Flaw, shown: &str) -> (String, String) {
    let again = || "copy or build it again".to_owned();
    match flaw {
        Flaw::Empty => ("the file is empty".to_owned(), again()),
        Flaw::NoFormat => (
            "it is no ELF program and does not begin with #!; a shell runs such a file itself, execve(2) does not"
                .to_owned(),
            format!("put #!/bin/sh into the first line of {shown}, if it is a script"),
        ),
        Flaw::ByteOrderMark => (
            "a byte order mark stands before #!".to_owned(),
            format!("sed -i '1s/^\\xef\\xbb\\xbf//' {shown}"),
        ),
        Flaw::NoInterpreter => {
            ("no interpreter follows #!".to_owned(), format!("name it in the first line of {shown}"))
        }
        Flaw::LongInterpreter => (
            "the interpreter's name is longer than the 253 bytes that the kernel reads".to_owned(),
            format!("name it by a shorter path in the first line of {shown}, or by #!/usr/bin/env"),
        ),
        Flaw::OtherMachine(number) => (
            format!("it is for {}, and this is {}", machine(*number), machine(exec::OWN_MACHINE)),
            "take the image for this platform (--platform), or let the node emulate it (binfmt_misc, qemu-user)"
                .to_owned(),
        ),
        Flaw::NoProgram(kind) => (
            format!(
                "it is an ELF {}, not a program",
                match *kind {
                    elf::abi::ET_REL => "object file",
                    elf::abi::ET_CORE => "core dump",
                    _ => "file of another kind",
                }
            ),
            "link it".to_owned(),
        ),
        Flaw::Headers => ("its ELF headers are cut short or broken".to_owned(), again()),
        Flaw::Cut(size, end) => (
            format!("it is cut short, {size} bytes of {end}: the kernel starts it, and it dies by SIGBUS or SIGSEGV"),
            again(),
        ),
        Flaw::NoLoader => ("a loader that is no ELF file".to_owned(), again()),
    }
}
