//! `cat`.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::sys::stat::{SFlag, fstat};

use super::{Command, Context, Example, Fault, Needs, Place, Prints, Result, Status};
use crate::out::Output;
use crate::out::table::NoRow;
use crate::sys::copy::{CopyError, copy};
use crate::sys::open::{self, Refused};

/// Print files.
///
/// FIFOs and devices are not opened unless --force says so, since that can block or act.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
#[allow(clippy::struct_excessive_bools)]
pub struct Cat {
    /// Number the lines.
    #[arg(short, long)]
    number: bool,
    /// Number the lines that are not blank.
    #[arg(short = 'b', long)]
    number_nonblank: bool,
    /// Show control characters as ^X, bytes above ASCII as M-x.
    #[arg(short = 'v', long)]
    show_nonprinting: bool,
    /// Show the end of each line as $.
    #[arg(short = 'E', long)]
    show_ends: bool,
    /// Show tabs as ^I.
    #[arg(short = 'T', long)]
    show_tabs: bool,
    /// Show all: -vET.
    #[arg(short = 'A', long)]
    show_all: bool,
    /// The same as -vE.
    #[arg(short)]
    e: bool,
    /// The same as -vT.
    #[arg(short)]
    t: bool,
    /// Print one of several blank lines.
    #[arg(short, long)]
    squeeze_blank: bool,
    /// Nothing: output is never held back.
    #[arg(short, hide = true)]
    u: bool,
    /// Open FIFOs and devices too.
    #[arg(long)]
    force: bool,
    /// Files; `-` or none is standard input.
    files: Vec<OsString>,
}

impl Command for Cat {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs::STDIN;
    const PRINTS: Prints = Prints::Bytes;
    const EXAMPLES: &'static [Example] = &[
        Example { line: "cat /etc/passwd", what: "who the users are" },
        Example { line: "cat -A /etc/hosts", what: "with tabs, line ends and odd bytes shown" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let mut view = View::new(&self);
        let stdin = [OsString::from("-")];
        let files = if self.files.is_empty() { &stdin[..] } else { &self.files };
        for name in files {
            let file = match open(name, self.force) {
                Ok(file) => file,
                Err(fault) => {
                    cx.report(&fault);
                    continue;
                }
            };
            let done = match &mut view {
                None => plain(&file, out),
                Some(view) => view.show(&file, out),
            };
            match done {
                Ok(()) => {}
                Err(CopyError::Read(error)) => cx.report(&Fault::io("read", name, &error)),
                Err(CopyError::Write(error)) => return Err(write_fault(&error)),
            }
        }
        if view.is_some_and(|view| view.pending_cr) {
            out.bytes().write_all(b"\r").map_err(|e| write_fault(&e))?;
        }
        Ok(Status::OK)
    }
}

fn write_fault(error: &io::Error) -> Fault {
    Fault::io("write", "standard output", error)
}

/// Opens an operand, and refuses one that is the output: it would never end.
fn open(name: &OsStr, force: bool) -> Result<File> {
    let file = if name == "-" {
        let stdin =
            io::stdin().as_fd().try_clone_to_owned().map_err(|e| Fault::io("open", "standard input", &e))?;
        File::from(stdin)
    } else {
        match open::regular(name) {
            Ok((file, _)) => file,
            Err(Refused::Io(error)) => return Err(Fault::io("open", name, &error)),
            Err(Refused::Kind("a directory")) => return Err(Fault::text("open", name, "is a directory")),
            Err(Refused::Kind("a socket")) => return Err(Fault::text("open", name, "a socket")),
            Err(Refused::Kind(_)) if force => OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NOCTTY)
                .open(name)
                .map_err(|e| Fault::io("open", name, &e))?,
            Err(Refused::Kind(kind)) => {
                return Err(Fault::text("open", name, kind).with_hint("--force opens it"));
            }
        }
    };
    if let (Ok(input), Ok(output)) = (fstat(&file), fstat(io::stdout())) {
        let regular = output.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits();
        let same = (input.st_dev, input.st_ino) == (output.st_dev, output.st_ino);
        if regular && same && input.st_size > 0 {
            return Err(Fault::text("read", name, "the input file is the output file"));
        }
    }
    Ok(file)
}

/// Copies a file as it is, past our buffer.
fn plain(file: &File, out: &mut Output<NoRow>) -> std::result::Result<(), CopyError> {
    out.bytes().flush().map_err(CopyError::Write)?;
    copy(file, io::stdout().as_fd())
}

/// What the options make of the bytes; lines go on from file to file.
#[allow(clippy::struct_excessive_bools)]
struct View {
    number: bool,
    nonblank: bool,
    nonprinting: bool,
    ends: bool,
    tabs: bool,
    squeeze: bool,
    /// -1 within a line, else how many newlines stand before this one, at most 2.
    newlines: i8,
    /// A carriage return that is `^M` if a newline follows.
    pending_cr: bool,
    line: u64,
}

impl View {
    fn new(cat: &Cat) -> Option<Self> {
        let view = Self {
            number: cat.number || cat.number_nonblank,
            nonblank: cat.number_nonblank,
            nonprinting: cat.show_nonprinting || cat.show_all || cat.e || cat.t,
            ends: cat.show_ends || cat.show_all || cat.e,
            tabs: cat.show_tabs || cat.show_all || cat.t,
            squeeze: cat.squeeze_blank,
            newlines: 0,
            pending_cr: false,
            line: 0,
        };
        (view.number || view.nonprinting || view.ends || view.tabs || view.squeeze).then_some(view)
    }

    fn show(&mut self, mut file: &File, out: &mut Output<NoRow>) -> std::result::Result<(), CopyError> {
        let mut buffer = vec![0; 128 << 10];
        let mut shown = Vec::with_capacity(2 * buffer.len());
        loop {
            let length = match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(CopyError::Read(error)),
            };
            shown.clear();
            self.push(buffer.get(..length).unwrap_or_default(), &mut shown);
            out.bytes().write_all(&shown).and_then(|()| out.bytes().flush()).map_err(CopyError::Write)?;
        }
    }

    fn push(&mut self, bytes: &[u8], to: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some((&byte, tail)) = rest.split_first() {
            if byte == b'\n' {
                self.newline(to);
                rest = tail;
                continue;
            }
            if self.pending_cr {
                self.pending_cr = false;
                to.push(b'\r');
            }
            if self.newlines >= 0 && self.number {
                self.push_number(to);
            }
            self.newlines = -1;
            let plain = rest.iter().take_while(|b| self.is_plain(**b)).count();
            let (run, after) = rest.split_at(plain);
            to.extend_from_slice(run);
            rest = after;
            match after.split_first() {
                Some((b'\n', _)) | None => {}
                Some((&byte, tail)) => {
                    rest = tail;
                    match byte {
                        b'\t' if self.tabs => to.extend_from_slice(b"^I"),
                        b'\r' if !self.nonprinting => match tail.first() {
                            Some(b'\n') => to.extend_from_slice(b"^M"),
                            Some(_) => to.push(b'\r'),
                            None => self.pending_cr = true,
                        },
                        _ => caret(byte, to),
                    }
                }
            }
        }
    }

    /// Whether a byte within a line is copied as it is.
    fn is_plain(&self, byte: u8) -> bool {
        match byte {
            b'\n' => false,
            b'\t' => !self.tabs,
            b' '..=b'~' => true,
            b'\r' => !self.nonprinting && !self.ends,
            _ => !self.nonprinting,
        }
    }

    fn newline(&mut self, to: &mut Vec<u8>) {
        self.newlines = (self.newlines + 1).min(2);
        if self.newlines == 2 && self.squeeze {
            return;
        }
        if self.newlines > 0 && self.number && !self.nonblank {
            self.push_number(to);
        }
        if self.ends {
            if self.pending_cr {
                self.pending_cr = false;
                to.extend_from_slice(b"^M");
            }
            to.push(b'$');
        }
        to.push(b'\n');
    }

    fn push_number(&mut self, to: &mut Vec<u8>) {
        self.line += 1;
        let mut digits = [b' '; 20];
        let mut value = self.line;
        let mut first = digits.len();
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
            first = at;
            if value == 0 {
                break;
            }
        }
        to.extend_from_slice(digits.get(first.min(14)..).unwrap_or_default());
        to.push(b'\t');
    }
}

/// A byte in caret and meta notation.
fn caret(byte: u8, to: &mut Vec<u8>) {
    if byte >= 0x80 {
        to.extend_from_slice(b"M-");
    }
    match byte & 0x7f {
        0x7f => to.extend_from_slice(b"^?"),
        low @ 0..=0x1f => to.extend_from_slice(&[b'^', low + 64]),
        low => to.push(low),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn shown(options: &[&str], chunks: &[&[u8]]) -> String {
        let cat = Cat::parse_from([&["cat"], options].concat());
        let mut view = View::new(&cat).unwrap();
        let mut to = Vec::new();
        for chunk in chunks {
            view.push(chunk, &mut to);
        }
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn options_show_what_gnu_shows() {
        for (options, text, expected) in [
            (&["-n"][..], &b"a\n\nb"[..], "     1\ta\n     2\t\n     3\tb"),
            (&["-b"], b"a\n\nb", "     1\ta\n\n     2\tb"),
            (&["-s"], b"\n\n\na\n\n\nb\n", "\na\n\nb\n"),
            (&["-E"], b"a\r\nb\rc\n", "a^M$\nb\rc$\n"),
            (&["-A"], b"\t\x00\x7f\x80\xff\xa0\r\n", "^I^@^?M-^@M-^?M- ^M$\n"),
            (&["-t"], b"\t\x01\n", "^I^A\n"),
            (&["-T"], b"\t\x01\n", "^I\x01\n"),
        ] {
            assert_eq!(shown(options, &[text]), expected, "{options:?}");
        }
    }

    #[test]
    fn state_goes_on_between_reads() {
        assert_eq!(shown(&["-E"], &[b"a\r", b"\nb\r", b"c"]), "a^M$\nb\rc");
        assert_eq!(shown(&["-n"], &[b"a", b"b\n", b"c"]), "     1\tab\n     2\tc");
        assert_eq!(shown(&["-sn"], &[b"a\n\n", b"\n", b"b"]), "     1\ta\n     2\t\n     3\tb");
    }

    #[test]
    fn numbers_grow_beyond_six_digits() {
        let mut view = View::new(&Cat::parse_from(["cat", "-n"])).unwrap();
        view.line = 999_998;
        let mut to = Vec::new();
        view.push(b"a\nb\n", &mut to);
        assert_eq!(to, b"999999\ta\n1000000\tb\n");
    }
}
