//! The side that reads files and writes a tar to standard output.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, FcntlArg, OFlag, fcntl, readlinkat};
use nix::sys::stat::{FileStat, SFlag, fstat};

use super::meter::Meter;
use super::{Options, copied_name, holes};
use crate::cmd::{Context, Fault, Result, Status, refusal};
use crate::out::name::escape;
use crate::out::units;
use crate::sys::open::{Refused, special};
use crate::sys::shared::{self, Shared};
use crate::sys::splice::Private;
use crate::sys::tar::{self, Extent, Kind, Member};
use crate::sys::walk::{Step, Walk};

/// What is written at once, at least.
const BUFFER: usize = 256 << 10;

/// Files up to this are read whole before their header is written: then it has the right size, even where the kernel
/// makes the file up as it is read.
const SMALL: usize = 64 << 10;

/// Files that are longer than that and than they say are held whole, up to this, and to half of what nsdbg's own memory
/// cgroup has left: the list of the kernel's symbols has some 20 MB, the mappings of the largest processes 60. What has
/// no end is cut here.
const MOST_HELD: u64 = 128 << 20;

/// What is moved at once of larger ones: as much as the pipe holds.
const PIECE: usize = 1 << 20;

/// What is moved before the file is looked at again: it may have become shorter, and a hole something else.
const STRETCH: u64 = 64 << 20;

/// How long the sizes of what will be copied are looked for.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// Writes these paths and what is below them. `of_node`: they are the node's, which the container shares this of.
pub fn send(
    cx: &mut Context,
    options: &Options,
    paths: &[OsString],
    of_node: Option<Shared>,
) -> Result<Status> {
    let most_held = cx.memory.map_or(MOST_HELD, |left| (left / 2).clamp(SMALL as u64, MOST_HELD));
    let stdout = std::io::stdout();
    let is_pipe = fstat(stdout.as_fd())
        .is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFIFO);
    let mut sender = Sender {
        meter: Meter::new(cx.progress.take()),
        cx,
        options,
        of_node,
        to: stdout.as_fd().try_clone_to_owned().map_err(|error| Fault::of("dup", &error))?,
        private: if is_pipe { Private::new(PIECE).ok().map(Rc::new) } else { None },
        pending: Vec::with_capacity(2 * BUFFER),
        small: vec![0; SMALL],
        most_held,
        members: 0,
        sent: BTreeMap::new(),
    };
    if sender.cx.is_partnered {
        let total = if sender.cx.watched { sender.look(paths) } else { 0 };
        sender.meter.expect(total);
        tar::announce(total, paths.len(), &mut sender.pending);
    }
    for path in paths {
        sender.tree(path)?;
    }
    sender.pending.extend_from_slice(&tar::END);
    sender.flush()?;
    Ok(Status::OK)
}

struct Sender<'a> {
    cx: &'a mut Context,
    options: &'a Options,
    of_node: Option<Shared>,
    to: OwnedFd,
    /// Where its output is a pipe: the way of files into it.
    private: Option<Rc<Private>>,
    /// What is not written yet.
    pending: Vec<u8>,
    small: Vec<u8>,
    /// How much of a file that does not say its size is held.
    most_held: u64,
    meter: Meter,
    members: u64,
    /// The names under which sources were sent, and whether they are directories.
    sent: BTreeMap<Vec<u8>, bool>,
}

/// A file that was opened.
enum Opened {
    /// It.
    File(File, FileStat),
    /// It is not copied, and that was told.
    Not,
}

/// What was read of a file before its header is written.
#[derive(Default)]
struct Held {
    /// How much of it is in `small`.
    head: usize,
    /// What did not fit there.
    rest: Vec<u8>,
    /// It is longer than what is held of one.
    is_cut: bool,
}

impl Held {
    fn size(&self) -> u64 {
        (self.head + self.rest.len()) as u64
    }
}

impl Sender<'_> {
    fn walk(&self, path: &OsString) -> std::result::Result<Walk, Refused> {
        let follow = !self.options.no_dereference;
        let walk = Walk::new(path, follow, self.options.one_file_system);
        match &self.of_node {
            None => Ok(walk),
            Some(shared) => Ok(walk.at(shared::resolve(path, follow, shared)?)),
        }
    }

    /// The bytes of all files, where they are told in time; else 0.
    fn look(&self, paths: &[OsString]) -> u64 {
        let begun = Instant::now();
        let mut total: u64 = 0;
        for path in paths {
            let Ok(mut walk) = self.walk(path) else { continue };
            while let Some(step) = walk.step() {
                if matches!(step, Step::Found)
                    && walk.kind() == libc::DT_REG
                    && let Ok(facts) = walk.stat(libc::STATX_SIZE)
                {
                    total = total.saturating_add(facts.size);
                }
                if begun.elapsed() > LOOK_LIMIT {
                    return 0;
                }
            }
        }
        total
    }

    fn tree(&mut self, path: &OsString) -> Result<()> {
        let top = copied_name(path.as_bytes()).to_vec();
        let mut walk = match self.walk(path) {
            Ok(walk) => walk,
            Err(refused) => {
                self.cx.report(&refusal(path, refused));
                return Ok(());
            }
        };
        while let Some(step) = walk.step() {
            match step {
                Step::Failed(errno) => self.told("open", walk.path(), errno),
                Step::Left => {}
                Step::Found => {
                    let below = walk.path().get(path.len()..).unwrap_or_default();
                    let below = below.strip_prefix(b"/").unwrap_or(below);
                    let mut name = top.clone();
                    if !below.is_empty() {
                        name.push(b'/');
                        name.extend_from_slice(below);
                    }
                    let before = self.members;
                    let is_directory = walk.kind() == libc::DT_DIR;
                    let is_source = name == top;
                    // Directories are merged, as cp does.
                    if is_source && self.sent.get(&top).is_some_and(|first| !(*first && is_directory)) {
                        let cause = format!("will not overwrite the just-created {}", escape(&top));
                        self.cx.report(&Fault::text("copy", path, cause));
                        return Ok(());
                    }
                    self.found(&mut walk, name)?;
                    if is_source && self.members > before {
                        self.sent.insert(top.clone(), is_directory);
                    }
                }
            }
        }
        Ok(())
    }

    fn told(&mut self, op: &'static str, path: &[u8], errno: Errno) {
        self.cx.report(&Fault::errno(op, OsString::from_vec(path.to_vec()), errno));
    }

    fn skipped(&mut self, path: &[u8], what: &'static str) {
        let path = OsString::from_vec(path.to_vec());
        self.cx.report(&Fault::text("copy", path, format!("skipped: it is {what}")));
    }

    fn found(&mut self, walk: &mut Walk, name: Vec<u8>) -> Result<()> {
        match walk.kind() {
            libc::DT_REG => return self.file(walk, name),
            libc::DT_DIR | libc::DT_LNK => {}
            kind => {
                let what = match kind {
                    libc::DT_FIFO => "a FIFO",
                    libc::DT_SOCK => "a socket",
                    libc::DT_CHR => "a character device",
                    libc::DT_BLK => "a block device",
                    _ => "of a kind that is not known",
                };
                self.skipped(walk.path(), what);
                return Ok(());
            }
        }
        let mask = libc::STATX_BASIC_STATS;
        let facts = match walk.stat(mask) {
            Ok(facts) => facts,
            Err(errno) => {
                self.told("stat", walk.path(), errno);
                return Ok(());
            }
        };
        let mut member = Member {
            path: name,
            kind: Kind::Directory,
            mode: facts.mode & self.options.mode_bits(),
            uid: facts.uid,
            gid: facts.gid,
            seconds: facts.seconds,
            nanoseconds: facts.nanoseconds,
            ..Member::default()
        };
        if walk.kind() == libc::DT_LNK {
            let (directory, link) = walk.place();
            let target = match directory {
                Some(directory) => readlinkat(directory, link.as_c_str()),
                None => readlinkat(AT_FDCWD, link.as_c_str()),
            };
            match target {
                Ok(target) => (member.kind, member.target) = (Kind::Link, target.into_vec()),
                Err(errno) => {
                    self.told("readlink", walk.path(), errno);
                    return Ok(());
                }
            }
        } else {
            member.path.push(b'/');
        }
        self.members += 1;
        tar::header(&member, &mut self.pending);
        self.flush_if_much()
    }

    /// Opens a regular file that the walk came to. What it is, is asked of an O_PATH descriptor first: it may have been
    /// swapped for what blocks, or acts, when it is opened.
    fn open(&mut self, walk: &Walk) -> Opened {
        let looked_at = walk.open(OFlag::O_PATH).and_then(fstat);
        let opened = looked_at.and_then(|before| {
            if special(&before).is_some() {
                return Ok((before, None));
            }
            let fd = walk.open(OFlag::O_RDONLY)?;
            let after = fstat(&fd)?;
            let is_same = (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino);
            // Files of procfs that wait for more would say EAGAIN.
            fcntl(&fd, FcntlArg::F_SETFL(OFlag::empty()))?;
            Ok((after, is_same.then_some(fd)))
        });
        match opened {
            Ok((stat, Some(fd))) if special(&stat).is_none() => Opened::File(fd.into(), stat),
            Ok((stat, _)) => {
                let what = special(&stat).unwrap_or("a file that was swapped while it was opened");
                self.skipped(walk.path(), what);
                Opened::Not
            }
            Err(errno) => {
                self.told("open", walk.path(), errno);
                Opened::Not
            }
        }
    }

    fn file(&mut self, walk: &Walk, name: Vec<u8>) -> Result<()> {
        let Opened::File(mut file, stat) = self.open(walk) else { return Ok(()) };
        let mut member = Member {
            path: name,
            kind: Kind::File,
            mode: stat.st_mode & self.options.mode_bits(),
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            seconds: stat.st_mtime,
            nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            ..Member::default()
        };
        let mut held = Held::default();
        if member.size <= SMALL as u64 {
            match self.hold(&mut file) {
                Ok(whole) => held = whole,
                Err(error) => {
                    let path = OsString::from_vec(walk.path().to_vec());
                    self.cx.report(&Fault::io("read", path, &error));
                    return Ok(());
                }
            }
            member.size = held.size();
        }
        let extents = if held.size() < member.size && !self.cx.is_partnered {
            holes::extents(&file, member.size).filter(|extents| saved(extents, member.size) >= SMALL as u64)
        } else {
            None
        };
        if let Some(extents) = extents {
            return self.sparse(&mut file, walk.path(), &member, &extents);
        }
        self.members += 1;
        tar::header(&member, &mut self.pending);
        self.pending.extend_from_slice(self.small.get(..held.head).unwrap_or_default());
        if !held.rest.is_empty() {
            self.flush()?;
            self.write_all(&held.rest)?;
        }
        self.meter.add(held.size());
        let is_longer = if held.size() < member.size {
            self.stream(&mut file, walk.path(), 0, member.size)? == 0 && has_more(&file, member.size)
        } else {
            held.is_cut
        };
        if is_longer {
            let path = OsString::from_vec(walk.path().to_vec());
            let cause = if held.is_cut {
                format!(
                    "it does not say its size, and only its first {} were copied",
                    units::bytes(self.most_held)
                )
            } else {
                format!("it grew while it was copied: {} bytes were", member.size)
            };
            self.cx.report(&Fault::text("read", path, cause));
        }
        self.pending.resize(self.pending.len() + tar::padding(member.size), 0);
        self.flush_if_much()
    }

    /// Reads a file that says it is small, to its end.
    fn hold(&mut self, file: &mut File) -> std::io::Result<Held> {
        let head = fill(file, &mut self.small)?;
        let mut held = Held { head, ..Held::default() };
        if head == self.small.len() {
            let mut rest = file.take(self.most_held - head as u64);
            rest.read_to_end(&mut held.rest)?;
            // Some refuse to be read in odd pieces, which is no end.
            held.is_cut = rest.limit() == 0 && fill(file, &mut [0; 4096]).map_or(true, |count| count > 0);
        }
        Ok(held)
    }

    /// Writes a file with holes into a tar: without them.
    fn sparse(&mut self, file: &mut File, path: &[u8], member: &Member, extents: &[Extent]) -> Result<()> {
        self.members += 1;
        tar::sparse_header(member, extents, &mut self.pending);
        let mut is_short = false;
        let mut stored = 0;
        for &Extent { at, length } in extents {
            stored += length;
            if is_short {
                self.zeros(length)?;
            } else {
                is_short = self.stream(file, path, at, length)? > 0;
            }
        }
        if !is_short && has_more(file, member.size) {
            let cause = format!("it grew while it was copied: {} bytes were", member.size);
            self.cx.report(&Fault::text("read", OsString::from_vec(path.to_vec()), cause));
        }
        self.pending.resize(self.pending.len() + tar::padding(stored), 0);
        self.flush_if_much()
    }

    /// Writes so many bytes of a file from a position on, zeros for those that it does not have. How many those were.
    fn stream(&mut self, file: &mut File, path: &[u8], from: u64, size: u64) -> Result<u64> {
        self.flush()?;
        let mut left = size;
        let mut position = from;
        let mut private = self.private.clone();
        let mut buffer = Vec::new();
        // Up to here the file has bytes; beyond, perhaps a hole.
        let mut data_end = position;
        while left > 0 {
            if position >= data_end {
                let (hole, end) = holes::extent(file, position, left.min(STRETCH));
                if hole > 0 {
                    self.zeros(hole)?;
                    (position, left) = (position + hole, left - hole);
                    continue;
                }
                data_end = position + end;
            }
            let piece = usize::try_from(left.min(data_end - position)).unwrap_or(PIECE).min(PIECE);
            let moved = if let Some(way) = &private {
                let mut from = position as libc::loff_t;
                match way.pass(&*file, Some(&mut from), &self.to, piece) {
                    Err(Errno::EINVAL) => {
                        private = None;
                        continue;
                    }
                    Err(Errno::EPIPE) => return Err(closed()),
                    other => other,
                }
            } else {
                buffer.resize(BUFFER, 0);
                let piece = piece.min(BUFFER);
                let read = nix::sys::uio::pread(&*file, &mut buffer[..piece], position as libc::off_t);
                if let Ok(count) = read {
                    self.write_all(&buffer[..count])?;
                }
                read
            };
            match moved {
                Ok(0) => break,
                Ok(count) => {
                    (position, left) = (position + count as u64, left - count as u64);
                    self.meter.add(count as u64);
                }
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    self.told("read", path, errno);
                    self.zeros(left)?;
                    return Ok(left);
                }
            }
        }
        if left > 0 {
            let cause = format!("it shrank while it was copied: its last {left} bytes are zeros");
            self.cx.report(&Fault::text("read", OsString::from_vec(path.to_vec()), cause));
            self.zeros(left)?;
        }
        Ok(left)
    }

    /// Writes zeros, which are read from nowhere.
    fn zeros(&mut self, mut count: u64) -> Result<()> {
        let zeros = vec![0; PIECE.min(usize::try_from(count).unwrap_or(PIECE))];
        while count > 0 {
            let piece = zeros.len().min(usize::try_from(count).unwrap_or(PIECE));
            self.write_all(&zeros[..piece])?;
            self.meter.add(piece as u64);
            count -= piece as u64;
        }
        Ok(())
    }

    fn flush_if_much(&mut self) -> Result<()> {
        if self.pending.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let written = self.write_all(&pending);
        self.pending = pending;
        self.pending.clear();
        written
    }

    fn write_all(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match nix::unistd::write(&self.to, bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Fault::errno("write", "standard output", errno)),
            }
        }
        Ok(())
    }
}

fn closed() -> Fault {
    Fault::errno("write", "standard output", Errno::EPIPE)
}

/// How many bytes of a file are in holes.
fn saved(extents: &[Extent], size: u64) -> u64 {
    size - extents.iter().map(|extent| extent.length).sum::<u64>().min(size)
}

/// Whether a file has bytes from this position on, whatever it says of its size.
fn has_more(file: &File, size: u64) -> bool {
    nix::sys::uio::pread(file, &mut [0], size as libc::off_t).is_ok_and(|count| count > 0)
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
