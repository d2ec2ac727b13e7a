//! The side that reads a tar from standard input and writes files.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use nix::errno::Errno;

use super::meter::Meter;
use super::{Copied, Destination, Options};
use crate::cmd::{Context, Fault, Result, Status};
use crate::out::name::shell_quoted;
use crate::out::{Name, Output, units};
use crate::sys::beneath::{Attributes, Tree};
use crate::sys::interrupt;
use crate::sys::tar::{Broken, Kind, Member, Reader};

/// Blocks of this size that are all zeros become holes.
const HOLE: usize = 4096;

/// Faults that are told; a hostile stream could have millions.
const MAX_TOLD: usize = 200;

/// Ended by SIGINT.
const INTERRUPTED: u8 = 128 + libc::SIGINT as u8;

/// Unpacks standard input. `is_tar`: it is the operator's, not that of our own other side: hard links are made.
pub fn receive(
    cx: &mut Context,
    out: &mut Output<Copied>,
    options: &Options,
    destination: Destination,
    is_tar: bool,
) -> Result<Status> {
    if is_tar && let Some(name) = &destination.name {
        let path = [&destination.shown[..], name].concat();
        return Err(Fault::errno("open", OsString::from_vec(path), Errno::ENOENT));
    }
    interrupt::watch().map_err(|errno| Fault::of("sigaction", errno))?;
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| Fault::of("dup", &error))?;
    let meter = Meter::new(cx.progress.take());
    let mut receiver = Receiver {
        cx,
        out,
        options,
        is_tar,
        tree: Tree::new(destination.directory).map_err(|errno| Fault::of("getrandom", errno))?,
        name: destination.name,
        shown: destination.shown,
        top: None,
        meter,
        told: 0,
        files: 0,
        bytes: 0,
    };
    let begun = Instant::now();
    let status = receiver.run(&mut Reader::new(File::from(stdin)));
    receiver.finish(begun);
    status
}

struct Receiver<'a> {
    cx: &'a mut Context,
    out: &'a mut Output<Copied>,
    options: &'a Options,
    is_tar: bool,
    tree: Tree,
    /// The new name, in place of each path's first component.
    name: Option<Vec<u8>>,
    shown: Vec<u8>,
    /// The first component that the new name stands for.
    top: Option<Vec<u8>>,
    meter: Meter,
    told: usize,
    files: u64,
    bytes: u64,
}

/// Why one member was not copied.
enum Failed {
    /// This is told, and the next one is read.
    One(Fault),
    /// Nothing more can be read.
    All(Broken),
    /// By SIGINT.
    Interrupted,
}

impl Receiver<'_> {
    fn run(&mut self, reader: &mut Reader<File>) -> Result<Status> {
        loop {
            let member = match reader.next() {
                Ok(Some(member)) => member,
                Ok(None) => return Ok(Status::OK),
                Err(broken) => return self.broken(broken),
            };
            self.meter.expect(reader.total.unwrap_or(0));
            match self.member(&member, reader) {
                Ok(()) => {}
                Err(Failed::One(fault)) => self.tell(&fault),
                Err(Failed::All(broken)) => return self.broken(broken),
                Err(Failed::Interrupted) => return Ok(Status(INTERRUPTED)),
            }
            if interrupt::came() {
                return Ok(Status(INTERRUPTED));
            }
        }
    }

    fn broken(&mut self, broken: Broken) -> Result<Status> {
        match broken {
            Broken::Io(_) if interrupt::came() => Ok(Status(INTERRUPTED)),
            Broken::Io(error) => Err(Fault::io("read", "standard input", &error)),
            // Who did not begin to send has said why.
            Broken::Ended { at_once: true } if !self.is_tar => Ok(Status(1)),
            Broken::Ended { .. } => {
                Err(Fault::say("the stream ended before its end: the copy is not complete"))
            }
            Broken::Malformed(what) => Err(Fault::text("read", "the stream", what)),
        }
    }

    fn tell(&mut self, fault: &Fault) {
        self.told += 1;
        match self.told {
            ..MAX_TOLD => self.cx.report(fault),
            MAX_TOLD => self.cx.report(&Fault::say("too many faults: further ones are not told")),
            _ => {}
        }
    }

    fn member(&mut self, member: &Member, reader: &mut Reader<File>) -> std::result::Result<(), Failed> {
        let name = self.name.clone();
        let path = match self.path(&member.path) {
            Ok(path) => [name.as_deref().into_iter().collect(), path].concat(),
            Err(cause) => return Err(left_out(&member.path, cause)),
        };
        if let Kind::Other(what) = member.kind {
            return Err(left_out(&member.path, what));
        }
        if path.is_empty() {
            // The destination itself keeps what it has.
            let is_directory = member.kind == Kind::Directory;
            return if is_directory { Ok(()) } else { Err(left_out(&member.path, "without a name")) };
        }
        if self.options.no_clobber && member.kind != Kind::Directory && self.tree.exists(&path) {
            return Ok(());
        }
        let kept = if self.options.setuid { 0o7777 } else { 0o1777 };
        let attributes = Attributes {
            mode: member.mode & kept,
            owner: self.options.owner.then_some((member.uid, member.gid)),
            seconds: member.seconds,
            nanoseconds: member.nanoseconds,
        };
        let replace = !self.options.no_clobber;
        let made = match member.kind {
            Kind::Directory => self.tree.directory(&path, attributes).map_err(|errno| ("mkdir", errno)),
            Kind::Link => {
                self.tree.link(&path, &member.target, attributes, replace).map_err(|errno| ("symlink", errno))
            }
            Kind::HardLink => self.hard_link(member, &path, replace)?.map_err(|errno| ("link", errno)),
            _ => self.file(&path, attributes, replace, reader)?,
        };
        let shown = [&self.shown[..], &path.join(&b'/')].concat();
        match made {
            Err((_, Errno::EEXIST)) if !replace => Ok(()),
            Err((op, errno)) => Err(Failed::One(explained(op, shown, errno))),
            Ok(()) => self.copied(member, shown, attributes.mode),
        }
    }

    /// A member's components below the destination, or below the new name where there is one. What leads elsewhere, or
    /// was not asked for, is refused.
    fn path<'p>(&mut self, path: &'p [u8]) -> std::result::Result<Vec<&'p [u8]>, &'static str> {
        if path.starts_with(b"/") {
            return Err("absolute");
        }
        let mut components = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).peekable();
        if components.clone().any(|part| part == b"..") {
            return Err("with ..");
        }
        let Some(top) = components.peek().copied() else { return Err("without a name") };
        if self.cx.accepts.as_ref().is_some_and(|accepts| !accepts(top)) {
            return Err("not what was asked for");
        }
        if self.name.is_some() {
            if self.top.get_or_insert_with(|| top.to_vec()) != top {
                return Err("one of several, and the destination is no directory");
            }
            components.next();
        }
        Ok(components.filter(|part| *part != b".").collect())
    }

    fn hard_link(
        &mut self,
        member: &Member,
        path: &[&[u8]],
        replace: bool,
    ) -> std::result::Result<nix::Result<()>, Failed> {
        if !self.is_tar {
            return Err(left_out(&member.path, "a hard link"));
        }
        let name = self.name.clone();
        let of = self.path(&member.target).map_err(|cause| {
            let cause = format!("left out: a hard link to a name {cause}");
            Failed::One(Fault::text("copy", OsString::from_vec(member.path.clone()), cause))
        })?;
        let of = [name.as_deref().into_iter().collect(), of].concat();
        Ok(self.tree.hard_link(path, &of, replace))
    }

    fn file(
        &mut self,
        path: &[&[u8]],
        attributes: Attributes,
        replace: bool,
        reader: &mut Reader<File>,
    ) -> std::result::Result<std::result::Result<(), (&'static str, Errno)>, Failed> {
        let unfinished = match self.tree.file(path) {
            Ok(unfinished) => unfinished,
            Err(errno) => return Ok(Err(("create", errno))),
        };
        let mut at = 0;
        let written = loop {
            if interrupt::came() {
                self.tree.abandon(unfinished);
                return Err(Failed::Interrupted);
            }
            let piece = match reader.data() {
                Ok([]) => break Ok(()),
                Ok(piece) => piece,
                Err(broken) => {
                    self.tree.abandon(unfinished);
                    return Err(Failed::All(broken));
                }
            };
            if let Err(error) = write_with_holes(&unfinished.file, at, piece) {
                break Err(error);
            }
            at += piece.len() as u64;
            self.meter.add(piece.len() as u64);
        };
        // What ends in a hole is as long as it was.
        let written = written.and_then(|()| if at > 0 { unfinished.file.set_len(at) } else { Ok(()) });
        if let Err(error) = written {
            self.tree.abandon(unfinished);
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
            return Ok(Err(("write", errno)));
        }
        let completed = self.tree.complete(unfinished, path, attributes, replace);
        if completed.is_ok() {
            self.bytes += at;
        }
        Ok(completed.map_err(|errno| ("create", errno)))
    }

    fn copied(&mut self, member: &Member, path: Vec<u8>, mode: u32) -> std::result::Result<(), Failed> {
        if member.kind != Kind::Directory {
            self.files += 1;
        }
        let printed = if self.out.is_json() {
            let (r#type, target) = match member.kind {
                Kind::Directory => ("directory", None),
                Kind::Link => ("link", Some(Name::from(member.target.clone()))),
                Kind::HardLink => ("hard link", Some(Name::from(member.target.clone()))),
                _ => ("file", None),
            };
            let mode = format!("{mode:04o}");
            self.out.row(&Copied { path: path.into(), r#type, size: member.size, mode, target })
        } else if self.options.verbose {
            let line = if self.cx.tty { shell_quoted(&path).into_bytes() } else { path };
            self.out.bytes().write_all(&[&line[..], b"\n"].concat())
        } else {
            Ok(())
        };
        printed.map_err(|error| Failed::One(Fault::io("write", "standard output", &error)))
    }

    fn finish(&mut self, begun: Instant) {
        for (path, errno) in self.tree.finish() {
            let path = [&self.shown[..], &path].concat();
            self.tell(&explained("set the mode of", path, errno));
        }
        if self.options.verbose || self.cx.watched {
            let files = if self.files == 1 { "file" } else { "files" };
            let seconds = begun.elapsed().as_secs_f64();
            let bytes = units::bytes(self.bytes);
            // Where stderr is gone there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "{} {files}, {bytes} in {seconds:.1} s", self.files);
        }
    }
}

fn left_out(path: &[u8], cause: &'static str) -> Failed {
    let cause = match cause {
        "absolute" | "with .." | "without a name" => format!("left out: the name is {cause}"),
        cause => format!("left out: it is {cause}"),
    };
    Failed::One(Fault::text("copy", OsString::from_vec(path.to_vec()), cause))
}

/// A fault of the kernel's, with the hint that helps.
fn explained(op: &'static str, path: Vec<u8>, errno: Errno) -> Fault {
    let path = OsString::from_vec(path);
    match (op, errno) {
        (_, Errno::ELOOP | Errno::ENOTDIR) => {
            Fault::text(op, path, "a link or a file is in the way, and is not followed")
        }
        _ => Fault::errno(op, path, errno),
    }
}

/// Writes a piece at its place, but for blocks of zeros.
fn write_with_holes(file: &File, at: u64, piece: &[u8]) -> std::io::Result<()> {
    let mut from = 0;
    while from < piece.len() {
        let block = |start: usize| {
            // Blocks end where the file's do.
            let end = start + HOLE - ((at + start as u64) % HOLE as u64) as usize;
            start..end.min(piece.len())
        };
        let is_zero = |range: &std::ops::Range<usize>| piece[range.clone()] == [0; HOLE][..range.len()];
        let mut range = block(from);
        let zero = is_zero(&range);
        while range.end < piece.len() {
            let next = block(range.end);
            if is_zero(&next) != zero {
                break;
            }
            range.end = next.end;
        }
        if !zero {
            file.write_all_at(&piece[range.clone()], at + range.start as u64)?;
        }
        from = range.end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[test]
    fn holes_are_left_where_there_are_zeros() {
        let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
        let mut file = File::from(nix::sys::memfd::memfd_create(c"nsdbg-test", flags).unwrap());
        let mut all = vec![0; 100_000];
        for at in [0, 5000, 40_000, 40_001, 77_777] {
            all[at] = 1;
        }
        for (at, piece) in all.chunks(777).enumerate() {
            write_with_holes(&file, at as u64 * 777, piece).unwrap();
        }
        file.set_len(100_000).unwrap();
        let mut is = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut is).unwrap();
        assert!(is == all);
        assert!(std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) < 100);
    }
}
