//! What `ls` does: operands, then one directory after the other, none of them recursed into on the stack.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, readlinkat};

use super::listing::{Facts, Listing, Order};
use super::long::{self, Long, digits, number};
use super::look::Look;
use super::{Ls, PIECE, columns, joined, json};
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
}

/// One run of `ls`.
struct Run<'a> {
    ls: &'a Ls,
    cx: &'a mut Context,
    out: &'a mut Output<NoRow>,
    look: Look,
    long: bool,
    order: Order,
    /// What is asked of every file, of `STATX_*`.
    mask: u32,
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
pub fn run(ls: &Ls, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
    let long = ls.long || ls.numeric || out.is_json();
    let look = Look { quoted: cx.tty, color: cx.color && !out.is_json(), classify: ls.classify };
    let order = match ls {
        Ls { by_time: true, .. } => Order::Time,
        Ls { by_size: true, .. } => Order::Size,
        Ls { unsorted: true, .. } => Order::Directory,
        _ => Order::Name,
    };
    let mut mask = match order {
        Order::Time => TYPE | libc::STATX_MTIME,
        Order::Size => TYPE | libc::STATX_SIZE,
        Order::Name | Order::Directory => 0,
    };
    if long {
        mask |= libc::STATX_BASIC_STATS & !(libc::STATX_ATIME | libc::STATX_CTIME);
    }
    // The inode that a directory names may be hidden by a mount: so it is asked for.
    if ls.inode {
        mask |= TYPE | libc::STATX_INO;
    }
    if look.color {
        mask |= TYPE;
    }
    let mut run = Run {
        ls,
        cx,
        out,
        look,
        long,
        order,
        mask,
        listing: Listing::default(),
        buffer: Vec::new(),
        entries: Vec::new(),
        pending: Vec::new(),
        pending_size: 0,
        heads: true,
        begun: false,
        serious: false,
    };
    run.operands()?;
    while let Some(pending) = run.pending.pop() {
        run.pending_size -= pending.path.len();
        run.directory(&pending)?;
    }
    run.flush()?;
    Ok(if run.serious { Status(2) } else { Status::OK })
}

impl Run<'_> {
    /// Lists the operands that are files; the directories among them become pending.
    fn operands(&mut self) -> Result<()> {
        let dot = [OsStr::new(".").to_owned()];
        let paths = if self.ls.paths.is_empty() { &dot[..] } else { &self.ls.paths };
        if let ([path], Order::Name, false) = (paths, self.order, self.ls.directory)
            && path.as_bytes() == b"."
        {
            self.heads = self.ls.recursive;
            self.pending.push(Pending { path: b".".to_vec(), operand: true });
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
        self.listing.sort(self.order, self.ls.reverse);
        if !self.ls.directory {
            let items = std::mem::take(&mut self.listing.items);
            let (directories, files): (Vec<_>, Vec<_>) =
                items.into_iter().partition(|item| self.listing.kind(item) == libc::S_IFDIR);
            let directories = directories
                .iter()
                .map(|item| Pending { path: self.listing.name(item).to_vec(), operand: true });
            self.pending = directories.rev().collect();
            self.listing.items = files;
        }
        self.pending_size = self.pending.iter().map(|pending| pending.path.len()).sum();
        self.heads = self.ls.recursive || paths.len() > 1;
        if !self.listing.items.is_empty() {
            self.print(b"", false)?;
            self.begun = true;
            self.heads = true;
        }
        self.listing.clear();
        Ok(())
    }

    fn operand(&mut self, path: &OsStr) -> nix::Result<()> {
        let name = CString::new(path.as_bytes()).map_err(|_| Errno::EINVAL)?;
        let mask = self.mask | TYPE | libc::STATX_INO;
        // A link to a directory is that directory, unless the link itself is to be shown.
        let itself = self.ls.directory || self.ls.classify || self.ls.long || self.ls.numeric;
        let through = if itself { None } else { dir::stat(None, &name, true, mask).ok() };
        let stat = match through.filter(|stat| stat.mode & libc::S_IFMT == libc::S_IFDIR) {
            Some(stat) => stat,
            None => dir::stat(None, &name, false, mask)?,
        };
        let (facts, target) = self.with_target(None, path, &name, stat);
        let kind = (stat.mode >> 12) as u8;
        let held = self.listing.push(&name, kind, Some((facts, target.as_deref())));
        if held { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// A file's facts and, of a link, where it leads.
    fn with_target(
        &mut self,
        directory: Option<BorrowedFd>,
        path: &OsStr,
        name: &CStr,
        stat: Stat,
    ) -> (Facts, Option<Vec<u8>>) {
        let mut facts = Facts::from(stat);
        if stat.mode & libc::S_IFMT != libc::S_IFLNK {
            return (facts, None);
        }
        if self.look.color || (self.look.classify && self.long) {
            facts.target_mode = dir::stat(directory, name, true, TYPE).map_or(0, |stat| stat.mode);
        }
        if !self.long {
            return (facts, None);
        }
        let target = match directory {
            Some(directory) => readlinkat(directory, name),
            None => readlinkat(AT_FDCWD, name),
        };
        match target {
            Ok(target) => (facts, Some(target.into_vec())),
            Err(errno) => {
                self.cx.report(&Fault::errno("readlink", path, errno));
                (facts, None)
            }
        }
    }
}

impl Run<'_> {
    /// Lists one directory. What is below it becomes pending.
    fn directory(&mut self, pending: &Pending) -> Result<()> {
        let path = OsStr::from_bytes(&pending.path);
        let fd = match dir::open(path, pending.operand) {
            Ok(fd) => fd,
            Err(errno) => {
                self.serious |= pending.operand;
                self.cx.report(&Fault::errno("open", path, errno));
                return Ok(());
            }
        };
        self.head(&pending.path);
        self.listing.clear();
        let mut below = Vec::new();
        let mut whole = true;
        let mut buffer = std::mem::take(&mut self.entries);
        let mut entries = Entries::new(fd.as_fd(), &mut buffer);
        // Aligned columns need all files; one name a line does not.
        let streams =
            self.order == Order::Directory && (!self.long || self.out.is_json()) && !self.in_columns();
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
            if self.hides(entry.name.to_bytes()) {
                continue;
            }
            let facts = self.facts(&pending.path, fd.as_fd(), &entry);
            let facts = facts.as_ref().map(|(facts, target)| (*facts, target.as_deref()));
            if streams && self.listing.items.len() >= BATCH {
                self.print_part(&pending.path, &mut below)?;
            }
            if self.listing.push(entry.name, entry.kind, facts) {
                continue;
            }
            if self.order == Order::Directory {
                whole = false;
                self.print_part(&pending.path, &mut below)?;
                self.listing.push(entry.name, entry.kind, facts);
                continue;
            }
            self.cx.report(
                &Fault::text("list", path, too_many(self.listing.items.len())).with_hint("-U shows all"),
            );
            break;
        }
        self.entries = buffer;
        self.listing.sort(self.order, self.ls.reverse);
        self.print(&pending.path, whole)?;
        self.note_below(&pending.path, &mut below);
        self.pending.extend(below.into_iter().rev());
        Ok(())
    }

    fn print_part(&mut self, path: &[u8], below: &mut Vec<Pending>) -> Result<()> {
        self.print(path, false)?;
        self.note_below(path, below);
        self.listing.clear();
        self.flush()
    }

    /// Remembers the directories among the files, where they are to be listed too.
    fn note_below(&mut self, path: &[u8], below: &mut Vec<Pending>) {
        if !self.ls.recursive {
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
            below.push(Pending { path, operand: false });
        }
    }

    fn hides(&self, name: &[u8]) -> bool {
        match name {
            b"." | b".." => !self.ls.all,
            _ => name.first() == Some(&b'.') && !self.ls.all && !self.ls.almost_all,
        }
    }

    /// What is asked of an entry; none where nothing is, or where it failed.
    fn facts(&mut self, path: &[u8], fd: BorrowedFd, entry: &dir::Entry) -> Option<(Facts, Option<Vec<u8>>)> {
        let unknown = entry.kind == libc::DT_UNKNOWN;
        let mask = match self.mask {
            0 if self.ls.classify && (unknown || entry.kind == libc::DT_REG) => TYPE,
            0 if unknown && (self.ls.recursive || self.ls.classify) => TYPE,
            mask => mask,
        };
        if mask == 0 {
            return None;
        }
        match dir::stat(Some(fd), entry.name, false, mask) {
            Ok(stat) if stat.mode & libc::S_IFMT != libc::S_IFLNK => Some((Facts::from(stat), None)),
            Ok(stat) => {
                let full = joined(path, entry.name.to_bytes());
                Some(self.with_target(Some(fd), OsStr::from_bytes(&full), entry.name, stat))
            }
            Err(errno) => {
                let full = joined(path, entry.name.to_bytes());
                self.cx.report(&Fault::errno("stat", OsStr::from_bytes(&full), errno));
                None
            }
        }
    }

    fn in_columns(&self) -> bool {
        self.cx.tty && !self.ls.one && !self.long && !self.out.is_json()
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
        self.look.raw(&mut self.buffer, path);
        self.buffer.extend_from_slice(b":\n");
    }

    /// Prints what is held; `total` says above it what it takes.
    fn print(&mut self, directory: &[u8], total: bool) -> Result<()> {
        let Self { listing, buffer, out, cx, ls, look, .. } = self;
        let look = *look;
        if out.is_json() {
            let users = cx.users();
            for item in &listing.items {
                out.json(&json::File::new(listing, item, directory, users)).map_err(|error| lost(&error))?;
            }
            return Ok(());
        }
        if self.long {
            if total {
                long::total(buffer, listing, ls.human);
            }
            let users = (!ls.numeric && !listing.items.is_empty()).then(|| cx.users());
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = (now.as_secs() as i64, now.subsec_nanos());
            let long = Long { look, users, human: ls.human, inodes: ls.inode, now };
            return long.print(listing, buffer, |piece| write(out, piece));
        }
        let inodes = if ls.inode { inode_width(listing) } else { 0 };
        if cx.tty && !ls.one {
            columns::print(buffer, listing, look, cx.width, inodes);
        } else {
            for item in &listing.items {
                if inodes > 0 {
                    number(buffer, listing.facts(item).map_or(0, |facts| facts.stat.inode), inodes);
                    buffer.push(b' ');
                }
                if look.plain() {
                    buffer.extend_from_slice(listing.name(item));
                } else {
                    look.name(buffer, listing, item, false);
                }
                buffer.push(b'\n');
                if buffer.len() >= PIECE {
                    write(out, buffer)?;
                }
            }
        }
        if buffer.len() >= PIECE { write(out, buffer) } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        write(self.out, &mut self.buffer)
    }
}

fn inode_width(listing: &Listing) -> usize {
    let inodes = listing.items.iter().map(|item| listing.facts(item).map_or(0, |facts| facts.stat.inode));
    digits(inodes.max().unwrap_or(0))
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
