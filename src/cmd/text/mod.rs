//! What the commands that work on lines share: reading by the piece, lines of any length up to a bound, numbers with
//! suffixes, and writing.

pub mod back;
pub mod count;
pub mod held;
pub mod lines;

use std::io::Write;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};

use super::input::Input;
use super::{Fault, Result};
use crate::out::name::escape;

pub use lines::Lines;

/// What one read asks for.
pub const PIECE: usize = 256 << 10;

/// The most of an input that a command holds in memory.
pub const LIMIT: usize = 512 << 20;

/// Reads the next bytes, past the buffer of the standard library's stdin; 0 at the end.
///
/// # Errors
/// A fault that names the input.
pub fn read(input: &Input, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match nix::unistd::read(input, buffer) {
            Err(Errno::EINTR) => {}
            other => return other.map_err(|errno| input.fault(&errno.into())),
        }
    }
}

/// Reads all that is left, a piece at a time.
///
/// # Errors
/// A fault of reading, or what `take` returns.
pub fn pieces(input: &Input, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        match read(input, &mut buffer)? {
            0 => return Ok(()),
            count => take(buffer.get(..count).unwrap_or_default())?,
        }
    }
}

/// The length of a regular file whose length can be believed: files of procfs say 0.
///
/// # Errors
/// A fault of fstat(2).
pub fn length(input: &Input) -> Result<Option<u64>> {
    let stat = fstat(input.as_fd()).map_err(|errno| Fault::errno("stat", &input.name, errno))?;
    let is_file = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits();
    Ok((is_file && stat.st_size > 0).then_some(stat.st_size as u64))
}

/// Whether more may come after the end: not a regular file.
pub fn waits(input: &Input) -> bool {
    fstat(input.as_fd()).is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits())
}

/// A fault of writing to stdout.
pub fn write_fault(error: &std::io::Error) -> Fault {
    Fault::io("write", "standard output", error)
}

/// Writes to stdout.
///
/// # Errors
/// A fault that ends the command.
pub fn write(to: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    to.write_all(bytes).map_err(|error| write_fault(&error))
}

/// Hands on what is buffered.
///
/// # Errors
/// A fault that ends the command.
pub fn flush(to: &mut dyn Write) -> Result<()> {
    to.flush().map_err(|error| write_fault(&error))
}

/// Whether arguments name stdin: no operand, or `-`.
pub fn names_stdin(files: &[std::ffi::OsString]) -> bool {
    files.is_empty() || files.iter().any(|file| file == "-")
}

/// Takes what ends no command but one operand: reports it and goes on.
///
/// # Errors
/// A fault of writing, which ends the command.
pub fn operand(cx: &mut super::Context, result: Result<()>) -> Result<()> {
    match result {
        Err(fault) if fault.op == "write" => Err(fault),
        Err(fault) => {
            cx.report(&fault);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// `==> NAME <==` between files.
pub struct Headers {
    wanted: bool,
    printed: bool,
    tty: bool,
}

impl Headers {
    /// `-v` always, `-q` never, else where there are several files. On a terminal names are escaped.
    pub fn new(verbose: bool, quiet: bool, files: usize, tty: bool) -> Self {
        Self { wanted: verbose || (!quiet && files > 1), printed: false, tty }
    }

    /// Prints one, where they are wanted.
    ///
    /// # Errors
    /// A fault of writing.
    pub fn print(&mut self, name: &std::ffi::OsStr, to: &mut dyn Write) -> Result<()> {
        use std::os::unix::ffi::OsStrExt;
        if !self.wanted {
            return Ok(());
        }
        let before: &[u8] = if self.printed { b"\n==> " } else { b"==> " };
        self.printed = true;
        let escaped = self.tty.then(|| escape(name.as_bytes()));
        let name = escaped.as_ref().map_or(name.as_bytes(), String::as_bytes);
        write(to, &[before, name, b" <==\n"].concat())
    }
}
