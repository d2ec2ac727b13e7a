//! What `ls` does: operands, then one directory after the other, none of them recursed into on the stack.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, readlinkat};
use nix::sys::stat::fstat;

use super::columns::{self, Direction};
use super::listing::{Facts, Listing, Order, Texts};
use super::long::{self, Long, Widths};
use super::look::Indicator;
use super::marks::{self, Marks};
use super::plan::{Follow, Form, Plan};
use super::{PIECE, joined, json};
use crate::cmd::{Context, Fault, Result, Status};
use crate::out::Output;
use crate::out::table::NoRow;
use crate::sys::dir::{self, Entries, Stat};

/// Paths of directories that `-R` may have before it.
const PENDING_LIMIT: usize = 64 << 20;

/// Files that are printed together where nothing is sorted or aligned.
const BATCH: usize = 1024;

const TYPE: u32 = libc::STATX_TYPE | libc::STATX_MODE;

/// A directory that is still to be listed.
struct Pending {
    path: Vec<u8>,
    operand: bool,
    above: Option<Rc<Above>>,
}

/// A directory that is being listed and those above it: with -L a link may lead back to one.
struct Above {
    id: (u64, u64),
    above: Option<Rc<Above>>,
}

/// One run of `ls`.
struct Run<'a> {
    plan: Plan,
    cx: &'a mut Context,
    out: &'a mut Output<NoRow>,
    /// What is asked of every file, of `STATX_*`.
    mask: u32,
    marks: Marks,
    listing: Listing,
    buffer: Vec<u8>,
    entries: Vec<u8>,
    pending: Vec<Pending>,
    pending_size: usize,
    /// Whether a directory's name stands above its files.
    heads: bool,
    /// Whether something was printed that a blank line must follow.
    begun: bool,
    /// Whether an operand could not be listed.
    serious: bool,
}

/// Runs `ls`.
///
/// # Errors
/// Where standard output cannot be written.
pub fn run(paths: &[OsString], plan: Plan, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
    let mask = plan.mask(out.is_json());
    let mut run = Run {
        plan,
        cx,
        out,
        mask,
        marks: Marks::default(),
        listing: Listing::default(),
        buffer: Vec::new(),
        entries: Vec::new(),
        pending: Vec::new(),
        pending_size: 0,
        heads: true,
        begun: false,
        serious: false,
    };
    run.operands(paths)?;
    while let Some(pending) = run.pending.pop() {
        run.pending_size -= pending.path.len();
        run.directory(&pending)?;
    }
    run.flush()?;
    Ok(if run.serious { Status(2) } else { Status::OK })
}

impl Run<'_> {
    /// Lists the operands that are files; the directories among them become pending.
    fn operands(&mut self, paths: &[OsString]) -> Result<()> {
        let dot = [OsStr::new(".").to_owned()];
        let paths = if paths.is_empty() { &dot[..] } else { paths };
        if let ([path], Order::Name, false) = (paths, self.plan.order, self.plan.directory)
            && path.as_bytes() == b"."
        {
            self.heads = self.plan.recursive;
            self.pending.push(Pending { path: b".".to_vec(), operand: true, above: None });
            self.pending_size += 1;
            return Ok(());
        }
        for path in paths {
            let held = self.operand(path);
            if let Err(errno) = held {
                self.serious = true;
                self.cx.report(&Fault::errno("stat", path, errno));
            }
        }
        self.sort();
        if !self.plan.directory {
            let directories: Vec<_> = (self.listing.items.iter())
                .filter(|item| self.listing.kind(item) == libc::S_IFDIR)
                .map(|item| self.listing.name(item).to_vec())
                .map(|path| Pending { path, operand: true, above: None })
                .collect();
            self.pending = directories.into_iter().rev().collect();
        }
        self.pending_size = self.pending.iter().map(|pending| pending.path.len()).sum();
        self.heads = self.plan.recursive || paths.len() > 1;
        // Columns are as wide as the directories among the operands need them, too.
        self.listing.without_directories = !self.plan.directory;
        if self.listing.items.iter().any(|item| !self.listing.is_left_out(item)) {
            self.print(b"", false)?;
            self.begun = true;
            self.heads = true;
        }
        self.listing.clear();
        Ok(())
    }

    fn sort(&mut self) {
        self.listing.sort(self.plan.order, self.plan.reverse);
        if self.plan.directories_first {
            self.listing.directories_first();
        }
    }

    fn operand(&mut self, path: &OsStr) -> nix::Result<()> {
        let name = CString::new(path.as_bytes()).map_err(|_| Errno::EINVAL)?;
        let mask = self.mask | TYPE | libc::STATX_INO;
        let is_directory = |facts: &libc::statx| u32::from(facts.stx_mode) & libc::S_IFMT == libc::S_IFDIR;
        let (follow, facts) = match self.plan.follow {
            Follow::Never => (false, dir::statx(None, &name, false, mask)?),
            Follow::Operands | Follow::Always => (true, dir::statx(None, &name, true, mask)?),
            Follow::OperandDirectories => match dir::statx(None, &name, true, mask) {
                Ok(facts) if is_directory(&facts) => (true, facts),
                _ => (false, dir::statx(None, &name, false, mask)?),
            },
        };
        let (facts, texts) = self.looked_at(None, (path.as_bytes(), &name), &facts, follow);
        let kind = (facts.stat.mode >> 12) as u8;
        let held = self.listing.push(&name, kind, Some((facts, &texts)));
        if held { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// What is held of a file: its facts and, of a link, where it leads. `path` is its whole path, `name` its path from
    /// `directory`.
    fn looked_at(
        &mut self,
        directory: Option<BorrowedFd>,
        (path, name): (&[u8], &CStr),
        facts: &libc::statx,
        follow: bool,
    ) -> (Facts, Texts) {
        let stat = Stat::from(facts);
        let mut facts = Facts::of(stat, self.plan.clock.of(facts));
        let mut texts = Texts::default();
        if !self.out.is_json() && (self.plan.form == Form::Long || self.plan.frills.context) {
            // No NUL is in a path that was opened, or is an operand.
            if let Ok(path) = CString::new(path) {
                facts.acl = self.plan.form == Form::Long && self.marks.has_acl(&path, follow, &stat);
                if self.plan.frills.context {
                    texts.context = marks::context(&path, follow);
                }
            }
        }
        if stat.mode & libc::S_IFMT == libc::S_IFLNK {
            self.link(directory, (path, name), &mut facts, &mut texts);
        }
        (facts, texts)
    }

    fn link(
        &mut self,
        directory: Option<BorrowedFd>,
        (path, name): (&[u8], &CStr),
        facts: &mut Facts,
        texts: &mut Texts,
    ) {
        let is_long = self.plan.form == Form::Long;
        let look = self.plan.look;
        let is_marked = is_long && matches!(look.indicator, Indicator::FileType | Indicator::Classify);
        if look.color || self.plan.directories_first || is_marked {
            facts.target_mode = dir::stat(directory, name, true, TYPE).map_or(0, |stat| stat.mode);
        }
        if !is_long {
            return;
        }
        let target = match directory {
            Some(directory) => readlinkat(directory, name),
            None => readlinkat(AT_FDCWD, name),
        };
        match target {
            Ok(target) => texts.target = Some(target.into_vec()),
            Err(errno) => self.cx.report(&Fault::errno("readlink", OsStr::from_bytes(path), errno)),
        }
    }
}

impl Run<'_> {
    /// Lists one directory. What is below it becomes pending.
    fn directory(&mut self, pending: &Pending) -> Result<()> {
        let path = OsStr::from_bytes(&pending.path);
        let fd = match dir::open(path, pending.operand || self.plan.follow == Follow::Always) {
            Ok(fd) => fd,
            Err(errno) => {
                self.serious |= pending.operand;
                self.cx.report(&Fault::errno("open", path, errno));
                return Ok(());
            }
        };
        let Some(above) = self.entered(pending, fd.as_fd()) else { return Ok(()) };
        self.head(&pending.path);
        self.listing.clear();
        let mut below = Vec::new();
        let mut whole = true;
        let mut buffer = std::mem::take(&mut self.entries);
        let mut entries = Entries::new(fd.as_fd(), &mut buffer);
        // Aligned columns need all files; one name a line does not.
        let streams = self.plan.order == Order::Directory
            && !self.plan.directories_first
            && (self.out.is_json() || self.plan.form == Form::One)
            && !self.is_aligned();
        loop {
            let entry = match entries.next() {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(errno) => {
                    self.serious |= pending.operand;
                    self.cx.report(&Fault::errno("read", path, errno));
                    break;
                }
            };
            if self.plan.hides(entry.name.to_bytes()) {
                continue;
            }
            let facts = self.facts(&pending.path, fd.as_fd(), &entry);
            let facts = facts.as_ref().map(|(facts, texts)| (*facts, texts));
            if streams && self.listing.items.len() >= BATCH {
                self.print_part(&pending.path, &above, &mut below)?;
            }
            if self.listing.push(entry.name, entry.kind, facts) {
                continue;
            }
            if self.plan.order == Order::Directory && !self.plan.directories_first {
                whole = false;
                self.print_part(&pending.path, &above, &mut below)?;
                self.listing.push(entry.name, entry.kind, facts);
                continue;
            }
            self.cx.report(
                &Fault::text("list", path, too_many(self.listing.items.len())).with_hint("-U shows all"),
            );
            break;
        }
        self.entries = buffer;
        self.sort();
        self.print(&pending.path, whole)?;
        self.note_below(&pending.path, &above, &mut below);
        self.pending.extend(below.into_iter().rev());
        Ok(())
    }

    /// The chain of directories that ends in the one that was opened; none where that is in it already, which is said.
    fn entered(&mut self, pending: &Pending, fd: BorrowedFd) -> Option<Option<Rc<Above>>> {
        if !self.plan.recursive || self.plan.follow != Follow::Always {
            return Some(None);
        }
        let path = OsStr::from_bytes(&pending.path);
        let id = match fstat(fd) {
            Ok(stat) => (stat.st_dev, stat.st_ino),
            Err(errno) => {
                self.cx.report(&Fault::errno("stat", path, errno));
                return None;
            }
        };
        let mut above = pending.above.as_ref();
        while let Some(one) = above {
            if one.id == id {
                self.serious = true;
                self.cx.report(&Fault::text("list", path, "it leads back to a directory above it"));
                return None;
            }
            above = one.above.as_ref();
        }
        Some(Some(Rc::new(Above { id, above: pending.above.clone() })))
    }

    fn print_part(&mut self, path: &[u8], above: &Option<Rc<Above>>, below: &mut Vec<Pending>) -> Result<()> {
        self.print(path, false)?;
        self.note_below(path, above, below);
        self.listing.clear();
        self.flush()
    }

    /// Remembers the directories among the files, where they are to be listed too.
    fn note_below(&mut self, path: &[u8], above: &Option<Rc<Above>>, below: &mut Vec<Pending>) {
        if !self.plan.recursive {
            return;
        }
        for item in &self.listing.items {
            let name = self.listing.name(item);
            if self.listing.kind(item) != libc::S_IFDIR || matches!(name, b"." | b"..") {
                continue;
            }
            let path = joined(path, name);
            if self.pending_size + path.len() > PENDING_LIMIT {
                let cause = "too many directories are waiting to be listed: not all are";
                self.cx.report(&Fault::text("list", OsStr::from_bytes(&path), cause));
                return;
            }
            self.pending_size += path.len();
            below.push(Pending { path, operand: false, above: above.clone() });
        }
    }

    /// What is asked of an entry; none where nothing is, or where it failed.
    fn facts(&mut self, path: &[u8], fd: BorrowedFd, entry: &dir::Entry) -> Option<(Facts, Texts)> {
        let mask = self.mask | self.needed_of(entry.kind);
        if mask == 0 {
            return None;
        }
        let follow = self.plan.follow == Follow::Always;
        // Attributes are asked for by path.
        let is_marked = self.plan.form == Form::Long || self.plan.frills.context;
        let whole = |path| joined(path, entry.name.to_bytes());
        match dir::statx(Some(fd), entry.name, follow, mask) {
            Ok(facts) => {
                let is_link = u32::from(facts.stx_mode) & libc::S_IFMT == libc::S_IFLNK;
                let full = if is_marked || is_link { whole(path) } else { Vec::new() };
                Some(self.looked_at(Some(fd), (&full, entry.name), &facts, follow))
            }
            Err(errno) => {
                self.cx.report(&Fault::errno("stat", OsStr::from_bytes(&whole(path)), errno));
                None
            }
        }
    }

    /// What must be asked of an entry of this type, since the directory's word for it is not enough.
    fn needed_of(&self, kind: u8) -> u32 {
        let indicator = self.plan.look.indicator;
        let wants_type = self.plan.recursive || self.plan.directories_first || indicator != Indicator::None;
        let is_enough = match kind {
            libc::DT_UNKNOWN => !wants_type,
            // What it leads to may be a directory.
            libc::DT_LNK if self.plan.directories_first => false,
            libc::DT_LNK => !wants_type || self.plan.follow != Follow::Always,
            libc::DT_REG => indicator != Indicator::Classify,
            _ => true,
        };
        if is_enough { 0 } else { TYPE }
    }

    /// Whether where a file stands depends on others.
    fn is_aligned(&self) -> bool {
        self.plan.form != Form::One
            || self.plan.frills.inodes
            || self.plan.frills.blocks
            || self.plan.frills.context
    }

    /// The name of a directory above its files, where there are several.
    fn head(&mut self, path: &[u8]) {
        if !self.heads || self.out.is_json() {
            return;
        }
        if self.begun {
            self.buffer.push(b'\n');
        }
        self.begun = true;
        self.plan.look.raw(&mut self.buffer, path);
        self.buffer.extend_from_slice(b":\n");
    }

    /// Prints what is held; `total` says above it what it takes.
    fn print(&mut self, directory: &[u8], total: bool) -> Result<()> {
        let Self { listing, buffer, out, cx, plan, .. } = self;
        if out.is_json() {
            let users = cx.users();
            for item in listing.items.iter().filter(|item| !listing.is_left_out(item)) {
                out.json(&json::File::new(listing, item, directory, users)).map_err(|error| lost(&error))?;
            }
            return Ok(());
        }
        if total && (plan.form == Form::Long || plan.frills.blocks) {
            long::total(buffer, listing, plan.blocks);
        }
        if plan.form == Form::Long {
            let users = (!plan.numeric && !listing.items.is_empty()).then(|| cx.users());
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = (now.as_secs() as i64, now.subsec_nanos());
            return Long { plan, users, now }.print(listing, buffer, |piece| write(out, piece));
        }
        let widths = Widths::of_frills(plan, listing);
        if listing.without_directories {
            let items = std::mem::take(&mut listing.items);
            listing.items = items.into_iter().filter(|item| !listing.is_left_out(item)).collect();
        }
        let add = |to: &mut Vec<u8>, at: usize| {
            if let Some(item) = listing.items.get(at) {
                long::frills(to, listing, item, plan, &widths);
                plan.look.name(to, listing, item, false);
            }
        };
        let cells = |plan: &Plan| -> Vec<usize> {
            let mut frills = Vec::new();
            let mut cell = |item| {
                frills.clear();
                long::frills(&mut frills, listing, item, plan, &widths);
                frills.len() + plan.look.width(listing, item)
            };
            listing.items.iter().map(&mut cell).collect()
        };
        match plan.form {
            Form::Commas => columns::print_separated(buffer, (&cells(plan), plan.width), Some(b','), add),
            Form::Down | Form::Across if plan.width == 0 => {
                columns::print_separated(buffer, (&cells(plan), 0), None, add);
            }
            Form::Down => {
                columns::print(buffer, (&cells(plan), plan.width), Direction::Down, add);
            }
            Form::Across => {
                columns::print(buffer, (&cells(plan), plan.width), Direction::Across, add);
            }
            Form::One | Form::Long => {
                let is_bare = plan.look.plain() && !self.is_aligned();
                return self.print_names(is_bare, &widths);
            }
        }
        if buffer.len() >= PIECE { write(out, buffer) } else { Ok(()) }
    }

    /// One name a line; `is_bare`: as it is, and nothing before it.
    fn print_names(&mut self, is_bare: bool, widths: &Widths) -> Result<()> {
        let Self { listing, buffer, out, plan, .. } = self;
        for item in &listing.items {
            if is_bare {
                buffer.extend_from_slice(listing.name(item));
            } else {
                long::frills(buffer, listing, item, plan, widths);
                plan.look.name(buffer, listing, item, false);
            }
            buffer.push(b'\n');
            if buffer.len() >= PIECE {
                write(out, buffer)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        write(self.out, &mut self.buffer)
    }
}

fn too_many(shown: usize) -> String {
    format!("more files than can be sorted in memory: only {shown} are shown")
}

fn write(out: &mut Output<NoRow>, bytes: &mut Vec<u8>) -> Result<()> {
    out.bytes().write_all(bytes).map_err(|error| lost(&error))?;
    bytes.clear();
    Ok(())
}

fn lost(error: &std::io::Error) -> Fault {
    Fault::io("write", "standard output", error)
}
