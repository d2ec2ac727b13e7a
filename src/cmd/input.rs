//! What commands read: a file of the container, or stdin, opened with care and named in messages.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::{Fault, Result};
use crate::sys::open::{Refused, regular};

/// An open file, or stdin.
pub struct Input {
    file: Option<File>,
    /// For messages: the path as it was typed, or `standard input`.
    pub name: OsString,
}

impl Input {
    /// Opens a regular file; `-` and `/dev/stdin` are stdin. A FIFO, a device or a socket is named and not opened.
    ///
    /// # Errors
    /// What the kernel says, or what the file is.
    pub fn open(path: &OsStr) -> Result<Self> {
        if path == "-" || path == "/dev/stdin" {
            return Ok(Self { file: None, name: "standard input".into() });
        }
        let (file, _) = regular(path).map_err(|refused| refusal(path, refused))?;
        // Files of procfs that wait for more would say EAGAIN.
        fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))
            .map_err(|errno| Fault::errno("fcntl", path, errno))?;
        Ok(Self { file: Some(file), name: path.to_owned() })
    }

    /// A file that was opened already.
    pub fn of_file(file: File, path: &OsStr) -> Self {
        Self { file: Some(file), name: path.to_owned() }
    }

    /// Whether it is stdin.
    pub fn is_stdin(&self) -> bool {
        self.file.is_none()
    }

    /// The open file, where it is one.
    pub fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// A fault of reading it.
    pub fn fault(&self, error: &std::io::Error) -> Fault {
        Fault::io("read", &self.name, error)
    }

    /// Reads the next bytes; 0 at the end.
    ///
    /// # Errors
    /// A fault that names it.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            let read = match &mut self.file {
                Some(file) => file.read(buffer),
                None => std::io::stdin().lock().read(buffer),
            };
            match read {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => return other.map_err(|error| self.fault(&error)),
            }
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.file {
            Some(file) => file.read(buffer),
            None => std::io::stdin().lock().read(buffer),
        }
    }
}

impl AsFd for Input {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.file {
            Some(file) => file.as_fd(),
            // SAFETY: descriptor 0 is open in every process of a command, and nobody closes it.
            None => unsafe { BorrowedFd::borrow_raw(0) },
        }
    }
}

/// The fault of a path that was not opened: `open PATH: is a directory`.
pub fn refusal(path: &OsStr, refused: Refused) -> Fault {
    match refused {
        Refused::Io(error) => Fault::io("open", path, &error),
        Refused::Kind("a directory") => Fault::errno("open", path, Errno::EISDIR),
        Refused::Kind(kind) => Fault::text("open", path, kind),
    }
}

/// The operands of a command that reads files: stdin where there are none.
pub fn operands(paths: Vec<OsString>) -> Vec<OsString> {
    if paths.is_empty() { vec!["-".into()] } else { paths }
}
