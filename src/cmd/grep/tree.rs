//! What is searched: operands, and trees below them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::unistd::Whence;

use super::Grep;
use super::plan::{List, Plan};
use super::search::{Found, Search, Source, cut};
use crate::cmd::input::Input;
use crate::cmd::{Context, Fault, Result, Status};
use crate::out::Output;
use crate::out::table::NoRow;
use crate::sys::open::special;
use crate::sys::walk::{Step, Walk};

/// How standard input is named.
const STDIN: &str = "(standard input)";

/// One run of `grep` over all that it searches.
pub struct Run<'a> {
    grep: &'a Grep,
    plan: &'a Plan,
    cx: &'a mut Context,
    out: &'a mut Output<NoRow>,
    search: Search<'a>,
    /// Where the output goes, if that is a file: it is not searched.
    output: Option<FileStat>,
    /// Something could not be searched.
    failed: bool,
    /// A line was selected.
    any: bool,
}

impl Source for Input {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        Input::read(self, buffer)
    }

    fn skip_hole(&mut self) -> u64 {
        self.file().map_or(0, skip_hole)
    }

    fn waits(&self) -> bool {
        self.is_stdin()
    }
}

/// A file of a tree.
struct Below<'a> {
    file: File,
    name: &'a [u8],
}

impl Source for Below<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => {
                    return other.map_err(|error| Fault::io("read", OsStr::from_bytes(self.name), &error));
                }
            }
        }
    }

    fn skip_hole(&mut self) -> u64 {
        skip_hole(&self.file)
    }

    fn waits(&self) -> bool {
        false
    }
}

/// Goes past the hole that a file is at, if it is at one; how far.
fn skip_hole(mut file: &File) -> u64 {
    let Ok(at) = file.stream_position() else { return 0 };
    let offset = i64::try_from(at).unwrap_or(i64::MAX);
    let to = match nix::unistd::lseek(file, offset, Whence::SeekData) {
        Ok(to) => u64::try_from(to).unwrap_or(at),
        // Nothing but a hole is left.
        Err(Errno::ENXIO) => return file.seek(SeekFrom::End(0)).map_or(0, |end| end.saturating_sub(at)),
        Err(_) => at,
    };
    to.saturating_sub(at)
}

impl<'a> Run<'a> {
    /// A run that has searched nothing.
    pub fn new(
        grep: &'a Grep,
        plan: &'a Plan,
        cx: &'a mut Context,
        out: &'a mut Output<NoRow>,
        search: Search<'a>,
    ) -> Self {
        let output = fstat(std::io::stdout())
            .ok()
            .filter(|stat| special(stat).is_none() && !plan.is_quiet() && plan.most > 1);
        Self { grep, plan, cx, out, search, output, failed: false, any: false }
    }

    /// Searches all operands.
    ///
    /// # Errors
    /// Where standard output can't be written.
    pub fn all(mut self, operands: &[std::ffi::OsString]) -> Result<Status> {
        for operand in operands {
            self.search.printer.names = self.grep.names(operands.len());
            if self.grep.recursive && operand != "-" {
                self.tree(operand)?;
            } else {
                self.operand(operand)?;
            }
            if self.plan.status_only && self.any {
                // That a line was found outweighs what could not be read.
                self.cx.failed = false;
                return Ok(Status::OK);
            }
        }
        self.flush()?;
        Ok(Status(if self.failed { 2 } else { u8::from(!self.any) }))
    }

    fn operand(&mut self, path: &OsStr) -> Result<()> {
        let is_stdin = path == "-";
        if !is_stdin && !self.plan.wants(path.as_bytes()) {
            return Ok(());
        }
        match Input::open(path) {
            Ok(mut input) => {
                if let Some(Ok(stat)) = input.file().map(fstat)
                    && self.is_output(&stat)
                {
                    return self.report(Fault::text("read", path, "it is where the output goes"));
                }
                let name = if is_stdin { STDIN.as_bytes() } else { path.as_bytes() };
                let searched = self.run(name, &mut input);
                self.done(name, searched)
            }
            Err(fault) => self.report(fault),
        }
    }

    fn is_output(&self, stat: &FileStat) -> bool {
        self.output.is_some_and(|output| (output.st_dev, output.st_ino) == (stat.st_dev, stat.st_ino))
    }

    fn run(&mut self, name: &[u8], source: &mut dyn Source) -> (Found, Result<()>) {
        let Self { search, out, .. } = self;
        search.file(name, source, &mut |bytes| {
            let written = out.bytes().write_all(bytes).and_then(|()| out.bytes().flush());
            bytes.clear();
            written.map_err(|error| Fault::io("write", "standard output", &error))
        })
    }

    /// Says what a file came to.
    fn done(&mut self, name: &[u8], (found, result): (Found, Result<()>)) -> Result<()> {
        if let Err(fault) = result {
            if fault.op == "write" {
                return Err(fault);
            }
            self.report(fault)?;
        }
        let printer = &mut self.search.printer;
        self.any |= found.count > 0;
        if self.plan.count {
            printer.count(name, found.count);
        }
        match self.plan.list {
            Some(List::Matching) if found.count > 0 => printer.listed(name),
            Some(List::NotMatching) if found.count == 0 => printer.listed(name),
            _ => {}
        }
        if found.is_binary {
            if self.plan.json {
                printer.no_text(name);
            } else {
                self.flush()?;
                let name = crate::out::name::escape(name);
                self.cx.note(&format!("{name}: binary file matches"));
            }
        }
        if found.is_cut {
            self.report(cut(OsStr::from_bytes(name)))?;
        }
        if self.search.printer.buffer.len() >= 1 << 15 { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let buffer = &mut self.search.printer.buffer;
        let written = self.out.bytes().write_all(buffer);
        buffer.clear();
        written.map_err(|error| Fault::io("write", "standard output", &error))
    }

    /// Tells a fault after what was found before it; `-s` says nothing of what is missing or unreadable.
    fn report(&mut self, fault: Fault) -> Result<()> {
        self.failed = true;
        if self.grep.no_messages && fault.raw_errno().is_some() {
            return Ok(());
        }
        self.flush()?;
        self.out.bytes().flush().map_err(|error| Fault::io("write", "standard output", &error))?;
        self.cx.report(&fault);
        Ok(())
    }

    fn tree(&mut self, operand: &OsStr) -> Result<()> {
        let is_default = self.grep.has_no_files();
        let mut walk = Walk::new(operand, true, false);
        while let Some(step) = walk.step() {
            let top = walk.depth() == 0;
            match step {
                Step::Left => {}
                Step::Failed(errno) => {
                    let op = if errno == Errno::ENOENT && top { "open" } else { "read" };
                    let fault = match errno {
                        Errno::EMFILE => Fault::text(op, path(&walk), "too many directories in one another"),
                        errno => Fault::errno(op, path(&walk), errno),
                    };
                    self.report(fault)?;
                }
                Step::Found if walk.kind() == libc::DT_DIR => {
                    if self.plan.leaves_out(walk.name()) && !is_default {
                        walk.skip();
                    } else if !top && self.plan.leaves_out(walk.name()) {
                        walk.skip();
                    } else if top && self.grep.names_in_trees() {
                        self.search.printer.names = true;
                    }
                }
                Step::Found if top => return self.operand(operand),
                Step::Found if walk.kind() == libc::DT_REG && self.plan.wants(walk.name()) => {
                    self.below(&walk, is_default)?;
                    if self.plan.status_only && self.any {
                        return Ok(());
                    }
                }
                Step::Found => {}
            }
        }
        Ok(())
    }

    /// Searches a file of a tree. What became something else since its directory was read is passed over.
    fn below(&mut self, walk: &Walk, is_default: bool) -> Result<()> {
        let opened = walk.open(OFlag::O_RDONLY).and_then(|fd| fstat(&fd).map(|stat| (fd, stat)));
        let (fd, stat) = match opened {
            Ok(opened) => opened,
            Err(Errno::ELOOP) => return Ok(()),
            Err(errno) => return self.report(Fault::errno("open", path(walk), errno)),
        };
        if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
            return Ok(());
        }
        let name = walk.path();
        let name = if is_default { name.strip_prefix(b"./").unwrap_or(name) } else { name };
        if self.is_output(&stat) {
            return self.report(Fault::text("read", OsStr::from_bytes(name), "it is where the output goes"));
        }
        let mut source = Below { file: File::from(fd), name };
        let searched = self.run(name, &mut source);
        self.done(name, searched)
    }
}

fn path(walk: &Walk) -> &OsStr {
    OsStr::from_bytes(walk.path())
}
