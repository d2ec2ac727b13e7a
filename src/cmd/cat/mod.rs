//! `cat`.

mod copy;
mod show;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::sys::stat::{FileStat, SFlag, fstat};

use super::input::Input;
use super::{Command, Context, Example, Fault, Needs, Place, Prints, Result, Status, Takes};
use crate::out::Output;
use crate::out::fault::Cause;
use crate::out::table::NoRow;

use copy::Failed;
use show::{Numbers, Show, Shower};

/// Print files.
///
/// One after the other; `-` and no file are standard input.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Cat {
    /// Number all lines.
    #[arg(short, long)]
    number: bool,
    /// Number lines that are not blank.
    #[arg(short = 'b', long)]
    number_nonblank: bool,
    /// Show control characters as ^X and bytes above ASCII as M-X.
    #[arg(short = 'v', long)]
    show_nonprinting: bool,
    /// Show all: as -vET.
    #[arg(short = 'A', long)]
    show_all: bool,
    /// Show $ at ends of lines.
    #[arg(short = 'E', long)]
    show_ends: bool,
    /// Show tabs as ^I.
    #[arg(short = 'T', long)]
    show_tabs: bool,
    /// Print blank lines in a row as one.
    #[arg(short, long)]
    squeeze_blank: bool,
    /// As -vE.
    #[arg(short = 'e')]
    nonprinting_and_ends: bool,
    /// As -vT.
    #[arg(short = 't')]
    nonprinting_and_tabs: bool,
    /// Accepted and ignored.
    #[arg(short = 'u')]
    unbuffered: bool,
    /// Open FIFOs and devices too: that may wait, or act on a device.
    #[arg(long)]
    force: bool,
    /// Files; `-` is standard input.
    #[arg(add = Takes::Path)]
    files: Vec<OsString>,
}

impl Command for Cat {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs::STDIN;
    const PRINTS: Prints = Prints::Bytes;
    const REPLACES: &'static str = "coreutils cat";
    const EXAMPLES: &'static [Example] = &[
        Example { line: "cat /etc/passwd", what: "who the users are" },
        Example { line: "cat -A /etc/hosts", what: "with what is invisible" },
    ];

    fn reads_stdin(&self) -> bool {
        self.files.is_empty() || self.files.iter().any(|file| file == "-" || file == "/dev/stdin")
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let stdout = std::io::stdout();
        let stdout = stdout.as_fd();
        let to = fstat(stdout).map_err(|errno| Fault::errno("write", "standard output", errno))?;
        let mut shower = self.show().map(Shower::new);
        let dash = [OsString::from("-")];
        for path in if self.files.is_empty() { &dash[..] } else { &self.files } {
            match self.file(path, (stdout, &to), shower.as_mut(), out) {
                Err(fault) if fault.op == "write" => return Err(fault),
                Err(fault) => cx.report(&fault),
                Ok(()) => {}
            }
        }
        if let Some(shower) = &mut shower {
            let mut rest = Vec::new();
            shower.finish(&mut rest);
            out.bytes().write_all(&rest).map_err(Fault::output)?;
        }
        Ok(Status::OK)
    }
}

impl Cat {
    /// What is to be shown; none where bytes go through as they are.
    fn show(&self) -> Option<Show> {
        let numbers = match (self.number_nonblank, self.number) {
            (true, _) => Numbers::NotBlank,
            (false, true) => Numbers::All,
            (false, false) => Numbers::None,
        };
        let show = Show {
            numbers,
            squeeze: self.squeeze_blank,
            ends: self.show_ends || self.show_all || self.nonprinting_and_ends,
            tabs: self.show_tabs || self.show_all || self.nonprinting_and_tabs,
            invisible: self.show_nonprinting
                || self.show_all
                || self.nonprinting_and_ends
                || self.nonprinting_and_tabs,
        };
        let shows = numbers != Numbers::None || show.squeeze || show.ends || show.tabs || show.invisible;
        shows.then_some(show)
    }

    fn file(
        &self,
        path: &OsStr,
        (stdout, to): (BorrowedFd, &FileStat),
        shower: Option<&mut Shower>,
        out: &mut Output<NoRow>,
    ) -> Result<()> {
        let opened = self.open(path)?;
        let (input, name) = (opened.as_fd(), &opened.name);
        let from = fstat(input).map_err(|errno| Fault::errno("read", name, errno))?;
        if kind(to) == SFlag::S_IFREG
            && (from.st_dev, from.st_ino) == (to.st_dev, to.st_ino)
            && from.st_size > 0
        {
            return Err(Fault::text("read", name, "it is where the output goes"));
        }
        let copied = match shower {
            None => copy::copy(input, stdout, kind(to), out.bytes()),
            Some(shower) => {
                let mut shown = Vec::new();
                let waits = kind(&from) != SFlag::S_IFREG;
                copy::pieces(input, |piece| {
                    shown.clear();
                    shower.push(piece, &mut shown);
                    let written = out.bytes().write_all(&shown);
                    written
                        .and_then(|()| if waits { out.bytes().flush() } else { Ok(()) })
                        .map_err(Failed::Write)
                })
            }
        };
        copied.map_err(|failed| match failed {
            Failed::Read(errno) => Fault::errno("read", name, errno),
            Failed::Write(error) => Fault::io("write", "standard output", &error),
        })
    }

    fn open(&self, path: &OsStr) -> Result<Input> {
        if self.force && path != "-" {
            let file = File::options().read(true).custom_flags(libc::O_NOCTTY).open(path);
            return Ok(Input::of_file(file.map_err(|error| Fault::io("open", path, &error))?, path));
        }
        Input::open(path).map_err(|fault| match fault.cause {
            Cause::Text(_) => fault.with_hint("--force opens it"),
            Cause::Errno(_) => fault,
        })
    }
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}
