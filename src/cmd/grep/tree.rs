//! What is searched: operands, and trees below them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::mpsc::sync_channel;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, fstat};
use nix::unistd::Whence;

use super::plan::{List, Plan};
use super::search::{Found, Search, Source, cut, gave_up};
use super::{Grep, Kinds};
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

    fn is_read(&self) -> bool {
        false
    }
}

/// A file of a tree.
struct Below<'a> {
    file: File,
    name: &'a [u8],
    /// What is left of the length that it had when it was opened; 0 where that says nothing.
    left: u64,
}

impl Source for Below<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::io("read", OsStr::from_bytes(self.name), &error)),
                Ok(count) => {
                    self.left = self.left.saturating_sub(count as u64);
                    return Ok(count);
                }
            }
        }
    }

    fn skip_hole(&mut self) -> u64 {
        let skipped = skip_hole(&self.file);
        self.left = self.left.saturating_sub(skipped);
        skipped
    }

    fn waits(&self) -> bool {
        false
    }

    fn is_read(&self) -> bool {
        self.left == 0
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
            if self.grep.is_recursive() && operand != "-" {
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
                let stat = fstat(&input).ok();
                if !is_stdin && stat.is_some_and(|stat| self.is_output(&stat)) {
                    return self.report(Fault::text("read", path, "it is where the output goes"));
                }
                self.align(stat.as_ref());
                let stdin = self.grep.label.as_deref().map_or(STDIN.as_bytes(), OsStr::as_bytes);
                let name = if is_stdin { stdin } else { path.as_bytes() };
                let searched = self.run(name, &mut input);
                self.done(name, searched)
            }
            Err(fault) if self.is_skipped(&fault) => Ok(()),
            Err(fault) => self.report(fault),
        }
    }

    /// With -T numbers are as wide as the largest that the file's length allows, as in GNU grep.
    fn align(&mut self, stat: Option<&FileStat>) {
        if self.plan.tab {
            let length = stat.filter(|stat| special(stat).is_none()).map_or(i64::MAX, |stat| stat.st_size);
            let most = length.saturating_add(self.plan.numbers.into());
            self.search.printer.width = most.to_string().len();
        }
    }

    /// Whether a file of this kind is left out, by -d or -D.
    fn is_skipped(&self, fault: &Fault) -> bool {
        let skips = |action: Option<Kinds>| action == Some(Kinds::Skip);
        match fault.raw_errno() {
            Some(libc::EISDIR) => skips(self.grep.directories),
            Some(_) => false,
            // Its kind, in words.
            None => skips(self.grep.devices),
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
            written.map_err(Fault::output)
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
        if found.gave_up {
            self.report(gave_up(OsStr::from_bytes(name)))?;
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
        written.map_err(Fault::output)
    }

    /// Tells a fault after what was found before it; `-s` says nothing of what is missing or unreadable.
    fn report(&mut self, fault: Fault) -> Result<()> {
        self.failed = true;
        if self.grep.no_messages && fault.raw_errno().is_some() {
            return Ok(());
        }
        self.flush()?;
        self.out.bytes().flush().map_err(Fault::output)?;
        self.cx.report(&fault);
        Ok(())
    }

    fn walk(&self, operand: &OsStr) -> Walk {
        let walk = Walk::new(operand, true, false);
        if self.grep.dereference_recursive { walk.follow_links() } else { walk }
    }

    fn tree(&mut self, operand: &OsStr) -> Result<()> {
        let mut walk = self.walk(operand);
        match walk.step() {
            Some(Step::Found) if walk.kind() == libc::DT_DIR => {}
            Some(Step::Failed(errno)) => return self.report(Fault::errno("open", operand, errno)),
            _ => return self.operand(operand),
        }
        let is_default = self.grep.has_no_files();
        if !is_default && self.plan.leaves_out(walk.name()) {
            return Ok(());
        }
        self.search.printer.names = self.grep.names_in_trees();
        let plan = self.plan;
        let (sender, receiver) = sync_channel(BATCHES);
        std::thread::scope(|scope| {
            let finding = move || {
                let mut batch = Vec::with_capacity(BATCH);
                while let Some(found) = next(&mut walk, plan) {
                    batch.push(found);
                    if batch.len() == BATCH && sender.send(std::mem::take(&mut batch)).is_err() {
                        return;
                    }
                }
                // Where nobody listens, nothing more is wanted.
                let _ = sender.send(batch);
            };
            // Files are found and opened in one thread and searched in the other, in the order of the walk.
            if std::thread::Builder::new().spawn_scoped(scope, finding).is_err() {
                let mut walk = self.walk(operand);
                walk.step();
                while let Some(found) = next(&mut walk, plan).filter(|_| !(plan.status_only && self.any)) {
                    self.found(found, is_default)?;
                }
                return Ok(());
            }
            // The receiver goes at the end of this, so that the thread ends too.
            for found in receiver.into_iter().flatten() {
                self.found(found, is_default)?;
                if self.plan.status_only && self.any {
                    break;
                }
            }
            Ok(())
        })
    }

    fn found(&mut self, found: FoundFile, is_default: bool) -> Result<()> {
        let FoundFile { path, opened, is_loop: found_loop } = found;
        let name = if is_default { path.strip_prefix(b"./").unwrap_or(&path) } else { &path };
        match opened {
            Ok((fd, stat)) if self.is_output(&stat) => {
                drop(fd);
                self.report(Fault::text("read", OsStr::from_bytes(name), "it is where the output goes"))
            }
            Ok((fd, stat)) => {
                self.align(Some(&stat));
                let left = u64::try_from(stat.st_size).unwrap_or(0);
                // Files of procfs have no length.
                let left = if left == 0 { u64::MAX } else { left };
                let searched = self.run(name, &mut Below { file: File::from(fd), name, left });
                self.done(name, searched)
            }
            Err(Errno::ELOOP) if found_loop => {
                self.flush()?;
                let name = crate::out::name::escape(name);
                self.cx.note(&format!("{name}: a loop: it is a directory above itself, and is left out"));
                Ok(())
            }
            Err(Errno::EMFILE) => {
                let cause = "too many directories in one another: it is not gone into";
                self.report(Fault::text("open", OsStr::from_bytes(name), cause))
            }
            Err(errno) => self.report(Fault::errno("open", OsStr::from_bytes(name), errno)),
        }
    }
}

/// A file that a walk came to, opened, or what could not be.
struct FoundFile {
    path: Vec<u8>,
    opened: nix::Result<(OwnedFd, FileStat)>,
    /// Links lead back to a directory that it is in.
    is_loop: bool,
}

/// Files that are handed from thread to thread at once, and how often that may be done ahead. All of them are open: fewer
/// than the descriptors that a walk leaves to others.
const BATCH: usize = 8;
const BATCHES: usize = 2;

/// Goes on to the next file that is to be searched.
fn next(walk: &mut Walk, plan: &Plan) -> Option<FoundFile> {
    loop {
        let opened = match walk.step()? {
            Step::Failed(errno) => Err(errno),
            Step::Found if walk.kind() == libc::DT_DIR => {
                if plan.leaves_out(walk.name()) {
                    walk.skip();
                }
                continue;
            }
            Step::Found if walk.kind() == libc::DT_REG && plan.wants(walk.name()) => {
                match walk.open(OFlag::O_RDONLY).and_then(|fd| fstat(&fd).map(|stat| (fd, stat))) {
                    // What became something else since its directory was read is passed over.
                    Err(Errno::ELOOP) => continue,
                    Ok((_, stat)) if special(&stat).is_some() => continue,
                    opened => opened,
                }
            }
            // A link that is followed, and leads nowhere.
            Step::Found if walk.kind() == libc::DT_LNK && walk.follows_links() && plan.wants(walk.name()) => {
                Err(Errno::ENOENT)
            }
            Step::Found | Step::Left => continue,
        };
        return Some(FoundFile { path: walk.path().to_vec(), opened, is_loop: walk.is_loop() });
    }
}
