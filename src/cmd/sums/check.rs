//! Checking files against lists of digests.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use super::{Kind, Options, line};
use crate::cmd::input::Input;
use crate::cmd::text::{self, Lines};
use crate::cmd::{Context, Fault, Result, Status};

/// What came of one list.
#[derive(Default)]
struct Tally {
    lines: u64,
    malformed: u64,
    unreadable: u64,
    different: u64,
    as_listed: u64,
}

impl Options {
    /// Checks all lists.
    pub(super) fn check_all(
        &self,
        kind: &Kind,
        lists: &[OsString],
        cx: &mut Context,
        to: &mut dyn Write,
    ) -> Result<Status> {
        let mut one_blank = None;
        for list in lists {
            match self.check_list(kind, list, &mut one_blank, cx, to) {
                Err(fault) if fault.op == "write" => return Err(fault),
                Err(fault) => cx.report(&fault),
                Ok(tally) => self.conclude(&tally, list, cx, to)?,
            }
        }
        Ok(Status::OK)
    }

    fn check_list(
        &self,
        kind: &Kind,
        list: &OsStr,
        one_blank: &mut Option<bool>,
        cx: &mut Context,
        to: &mut dyn Write,
    ) -> Result<Tally> {
        let mut lines = Lines::new(Input::open(list)?, if self.zero { 0 } else { b'\n' });
        let digits = kind.algorithm.output_len() * 2;
        let mut tally = Tally::default();
        let mut number = 0_u64;
        while let Some(text) = lines.next()? {
            number += 1;
            if text.starts_with(b"#") || text.is_empty() {
                continue;
            }
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let Some((path, digest)) = line::parsed(text, kind.tag, digits, one_blank) else {
                tally.malformed += 1;
                if self.warn {
                    let tag = kind.tag;
                    let cause = format!("line {number} is no {tag} line");
                    cx.note(&Fault::text("read", list, cause).to_string());
                }
                continue;
            };
            tally.lines += 1;
            self.check_file(kind, &path, &digest, &mut tally, cx, to)?;
        }
        Ok(tally)
    }

    fn check_file(
        &self,
        kind: &Kind,
        path: &OsStr,
        digest: &str,
        tally: &mut Tally,
        cx: &mut Context,
        to: &mut dyn Write,
    ) -> Result<()> {
        let verdict = match Input::open(path).and_then(|input| kind.of(&input)) {
            Err(fault) if self.ignore_missing && fault.raw_errno() == Some(libc::ENOENT) => return Ok(()),
            Err(fault) => {
                cx.report(&fault);
                tally.unreadable += 1;
                "FAILED open or read"
            }
            Ok(read) if read == *digest => {
                tally.as_listed += 1;
                if self.quiet {
                    return Ok(());
                }
                "OK"
            }
            Ok(_) => {
                tally.different += 1;
                "FAILED"
            }
        };
        if self.status {
            return Ok(());
        }
        let name = match line::escaped(path.as_bytes()).filter(|_| path.as_bytes().contains(&b'\n')) {
            Some(escaped) => [b"\\", &escaped[..]].concat(),
            None => path.as_bytes().to_vec(),
        };
        text::write(to, &[&name[..], b": ", verdict.as_bytes(), b"\n"].concat())
    }

    /// Says what was wrong with a list.
    fn conclude(&self, tally: &Tally, list: &OsStr, cx: &mut Context, to: &mut dyn Write) -> Result<()> {
        // What was said of the files comes before it.
        text::flush(to)?;
        if tally.lines == 0 {
            cx.report(&Fault::text("read", list, "there is no line of a list of digests in it"));
            return Ok(());
        }
        let sentences = [
            (tally.malformed, "line is no line of a list", "lines are no lines of a list"),
            (tally.unreadable, "listed file could not be read", "listed files could not be read"),
            (tally.different, "digest is not as listed", "digests are not as listed"),
        ];
        for (count, one, many) in sentences {
            if count > 0 && !self.status {
                cx.note(&format!("{count} {}", if count == 1 { one } else { many }));
            }
        }
        if self.ignore_missing && tally.as_listed + tally.different + tally.unreadable == 0 {
            cx.report(&Fault::text("check", list, "none of the listed files is there"));
        }
        let fails = tally.different + tally.unreadable > 0 || (self.strict && tally.malformed > 0);
        if fails {
            cx.failed = true;
        }
        Ok(())
    }
}
