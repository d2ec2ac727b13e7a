//! `readlink`.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;

use super::{Command, Context, Example, Fault, Place, Prints, Result, Status, Takes};
use crate::out::Output;
use crate::out::name::shell_quoted;
use crate::out::table::NoRow;

/// Links that are followed on the way of one path, as the kernel does.
const MAX_LINKS: usize = 40;
/// The longest path that comes of it.
const MAX_PATH: usize = 1 << 16;

/// Print where symbolic links lead.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Readlink {
    /// Follow every link on the way; all but the last part must exist.
    #[arg(short = 'f', long, overrides_with_all = ["existing", "missing"])]
    canonicalize: bool,
    /// As -f, but everything must exist.
    #[arg(short = 'e', long = "canonicalize-existing", overrides_with_all = ["canonicalize", "missing"])]
    existing: bool,
    /// As -f, but nothing need exist.
    #[arg(short = 'm', long = "canonicalize-missing", overrides_with_all = ["canonicalize", "existing"])]
    missing: bool,
    /// Print no newline at the end, where there is one path.
    #[arg(short, long)]
    no_newline: bool,
    /// End each with NUL instead of a newline.
    #[arg(short, long)]
    zero: bool,
    /// Say nothing of what is no link; that is the default.
    #[arg(short, long, visible_short_alias = 's', overrides_with = "verbose")]
    quiet: bool,
    /// Say why there is nothing to print.
    #[arg(short, long, overrides_with = "quiet")]
    verbose: bool,
    /// Paths.
    #[arg(required = true, add = Takes::Path)]
    paths: Vec<OsString>,
}

/// What need not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exists {
    All,
    AllButLast,
    Nothing,
}

impl Command for Readlink {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const PRINTS: Prints = Prints::Bytes;
    const REPLACES: &'static str = "coreutils readlink, realpath";
    const EXAMPLES: &'static [Example] = &[
        Example { line: "readlink -f /proc/self", what: "the path without links" },
        Example { line: "readlink /proc/self/exe || echo hidden", what: "where one link leads" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let exists = match (self.canonicalize, self.existing, self.missing) {
            (true, ..) => Some(Exists::AllButLast),
            (_, true, _) => Some(Exists::All),
            (.., true) => Some(Exists::Nothing),
            _ => None,
        };
        let end: &[u8] = match (self.zero, self.no_newline && self.paths.len() == 1) {
            (_, true) => b"",
            (true, _) => b"\0",
            _ => b"\n",
        };
        let mut status = Status::OK;
        for path in &self.paths {
            let found = match exists {
                None => nix::fcntl::readlink(path.as_os_str()).map(OsStringExt::into_vec),
                Some(exists) => canonical(path, exists),
            };
            match found {
                Ok(found) if cx.tty && end == b"\n" => {
                    writeln!(out.bytes(), "{}", shell_quoted(&found)).map_err(Fault::output)?;
                }
                Ok(found) => out.bytes().write_all(&[&found, end].concat()).map_err(Fault::output)?,
                Err(errno) => {
                    status = Status(1);
                    if self.verbose {
                        let fault = match errno {
                            Errno::EINVAL if exists.is_none() => {
                                Fault::text("read link", path, "not a symbolic link")
                            }
                            _ => Fault::errno("read link", path, errno),
                        };
                        cx.report(&fault);
                    }
                }
            }
        }
        Ok(status)
    }
}

/// The path from the root, without links, `.` and `..`.
fn canonical(path: &OsStr, exists: Exists) -> nix::Result<Vec<u8>> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let mut whole = Vec::new();
    if !path.as_bytes().starts_with(b"/") {
        whole = nix::unistd::getcwd()?.into_os_string().into_vec();
        whole.truncate(if whole == b"/" { 0 } else { whole.len() });
    }
    let parts = |bytes: &[u8]| {
        bytes.split(|byte| *byte == b'/').filter(|p| !p.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let mut rest: VecDeque<Vec<u8>> = parts(path.as_bytes());
    let mut needs_directory = path.as_bytes().ends_with(b"/");
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        match part.as_slice() {
            b"." => continue,
            b".." => {
                whole.truncate(whole.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
                continue;
            }
            _ => {}
        }
        let parent = whole.len();
        whole.push(b'/');
        whole.extend_from_slice(&part);
        if whole.len() > MAX_PATH {
            return Err(Errno::ENAMETOOLONG);
        }
        let is_last = rest.is_empty();
        match nix::fcntl::readlink(OsStr::from_bytes(&whole)) {
            Ok(_) if links == MAX_LINKS && exists == Exists::Nothing => {}
            Ok(_) if links == MAX_LINKS => return Err(Errno::ELOOP),
            Ok(target) => {
                links += 1;
                let target = target.into_vec();
                whole.truncate(if target.starts_with(b"/") { 0 } else { parent });
                needs_directory |= is_last && target.ends_with(b"/");
                let mut before: VecDeque<Vec<u8>> = parts(&target);
                before.append(&mut rest);
                rest = before;
            }
            // It is there, and no link.
            Err(Errno::EINVAL) => {
                let is_directory =
                    || std::fs::metadata(OsStr::from_bytes(&whole)).is_ok_and(|facts| facts.is_dir());
                if (!is_last || needs_directory) && exists != Exists::Nothing && !is_directory() {
                    return Err(Errno::ENOTDIR);
                }
            }
            Err(_) if exists == Exists::Nothing => {}
            Err(Errno::ENOENT) if exists == Exists::AllButLast && is_last => {}
            Err(errno) => return Err(errno),
        }
    }
    if whole.is_empty() {
        whole.push(b'/');
    }
    Ok(whole)
}
