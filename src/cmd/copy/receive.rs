//! The side that reads a tar from standard input and writes files.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::time::Instant;

use nix::errno::Errno;

use super::holes::write_with_holes;
use super::meter::Meter;
use super::{Copied, Destination, Options};
use crate::cmd::{Context, Fault, Result, Status};
use crate::out::fault::errno_text;
use crate::out::name::{escape, shell_quoted};
use crate::out::{Name, Output, units};
use crate::sys::beneath::{Attributes, Completed, Existing, Tree};
use crate::sys::interrupt;
use crate::sys::kept::{Keep, Lost};
use crate::sys::tar::{Broken, Kind, Member, Reader};

/// Faults that are told; a hostile stream could have millions.
const MAX_TOLD: usize = 200;

/// Ended by SIGINT.
const INTERRUPTED: u8 = 128 + libc::SIGINT as u8;

/// Whose stream it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The container's, which the node receives.
    Container,
    /// The node's.
    Node,
    /// A tar of the operator's: hard links are made.
    Tar,
}

/// Unpacks standard input.
pub fn receive(
    cx: &mut Context,
    out: &mut Output<Copied>,
    options: &Options,
    destination: Destination,
    source: Source,
) -> Result<Status> {
    if source == Source::Tar
        && let Some(name) = &destination.name
    {
        let path = [&destination.shown[..], name].concat();
        let exists = new_tree(destination.directory)?.exists(&[name]);
        let errno = if exists { Errno::ENOTDIR } else { Errno::ENOENT };
        return Err(Fault::errno("open", OsString::from_vec(path), errno));
    }
    interrupt::watch().map_err(|errno| Fault::of("sigaction", errno))?;
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| Fault::of("dup", &error))?;
    let meter = Meter::new(cx.progress.take());
    let users = || if source == Source::Container { None } else { Some(cx.users()) };
    let owner = options.owner.as_ref().map_or(Ok((None, None)), |owner| owner.ids(users()))?;
    let mut receiver = Receiver {
        cx,
        out,
        options,
        source,
        owner,
        tree: new_tree(destination.directory)?,
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

fn new_tree(directory: std::os::fd::OwnedFd) -> Result<Tree> {
    Tree::new(directory).map_err(|errno| Fault::of("getrandom", errno))
}

struct Receiver<'a> {
    cx: &'a mut Context,
    out: &'a mut Output<Copied>,
    options: &'a Options,
    source: Source,
    /// Whom --owner gives it to.
    owner: (Option<u32>, Option<u32>),
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
                Ok(_) if self.name.is_some() && reader.sources > 1 => return Err(self.not_a_directory()),
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
            Broken::Ended { at_once: true } if self.source != Source::Tar => Ok(Status(1)),
            Broken::Ended { .. } => {
                Err(Fault::say("the stream ended before its end: the copy is not complete"))
            }
            Broken::Malformed(what) => Err(Fault::text("read", "the stream", what)),
        }
    }

    /// Of several sources none is copied then.
    fn not_a_directory(&self) -> Fault {
        let path = [&self.shown[..], self.name.as_deref().unwrap_or_default()].concat();
        Fault::text("open", OsString::from_vec(path), "several sources need a directory as their destination")
    }

    fn tell(&mut self, fault: &Fault) {
        self.told += 1;
        match self.told {
            ..MAX_TOLD => self.cx.report(fault),
            MAX_TOLD => self.cx.report(&Fault::say("too many errors: further ones are not shown")),
            _ => {}
        }
    }

    fn member(&mut self, member: &Member, reader: &mut Reader<File>) -> std::result::Result<(), Failed> {
        let name = self.name.clone();
        let path = match self.path(&member.path) {
            Ok(path) => [name.as_deref().into_iter().collect(), path].concat(),
            Err(cause) => return Err(skipped(&member.path, cause)),
        };
        if let Kind::Other(what) = member.kind {
            return Err(skipped(&member.path, what));
        }
        if member.is_sparse && self.source != Source::Tar {
            return Err(skipped(&member.path, "a file with holes, which our own side sends whole"));
        }
        if path.is_empty() {
            // The destination itself keeps what it has.
            let is_directory = member.kind == Kind::Directory;
            return if is_directory { Ok(()) } else { Err(skipped(&member.path, "nameless")) };
        }
        if self.options.no_clobber && member.kind != Kind::Directory && self.tree.exists(&path) {
            return Ok(());
        }
        let attributes = self.attributes(member);
        let replace = !self.options.no_clobber;
        let shown = [&self.shown[..], &path.join(&b'/')].concat();
        if matches!(member.kind, Kind::Link | Kind::HardLink) {
            self.check_end(&path, &shown)?;
        }
        let made = match member.kind {
            Kind::Directory => self.tree.directory(&path, attributes).map_err(|errno| ("mkdir", errno)),
            Kind::Link => {
                self.tree.link(&path, &member.target, attributes, replace).map_err(|errno| ("symlink", errno))
            }
            Kind::HardLink => self.hard_link(member, &path, replace)?.map_err(|errno| ("link", errno)),
            _ => return self.file_or_behind(member, &path, shown, attributes, reader),
        };
        match made {
            Err((_, Errno::EEXIST)) if !replace => Ok(()),
            Err((op, errno)) => Err(Failed::One(explained(op, shown, errno))),
            Ok(()) => self.copied(member, shown, attributes.mode),
        }
    }

    /// What a new file or directory is given.
    fn attributes(&self, member: &Member) -> Attributes {
        let mode = self.options.mode.filter(|_| member.kind == Kind::File);
        let (uid, gid) = self.owner;
        let archived = |id| self.options.archive.then_some(id);
        Attributes {
            mode: mode.unwrap_or(member.mode & self.options.mode_bits()),
            uid: uid.or(archived(member.uid)),
            gid: gid.or(archived(member.gid)),
            seconds: member.seconds,
            nanoseconds: member.nanoseconds,
        }
    }

    /// What becomes of a file that is there.
    fn existing(&self) -> Existing {
        match self.options {
            Options { no_clobber: true, .. } => Existing::Stays,
            Options { archive: true, .. } => Existing::Replaced,
            Options { mode, setuid, .. } => Existing::Kept(Keep {
                mode: mode.is_none(),
                privileges: *setuid,
                // On the node it belongs to root.
                owner: self.source != Source::Container,
            }),
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
            return Err("..");
        }
        let Some(top) = components.peek().copied() else { return Err("nameless") };
        if self.cx.accepts.as_ref().is_some_and(|accepts| !accepts(top)) {
            return Err("not what was asked for");
        }
        if self.name.is_some() {
            if self.top.get_or_insert_with(|| top.to_vec()) != top {
                return Err("one of several, and the destination is not a directory");
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
        if self.source != Source::Tar {
            return Err(skipped(&member.path, "a hard link"));
        }
        let name = self.name.clone();
        let of = self.path(&member.target).map_err(|cause| {
            let cause = match cause {
                "absolute" => "skipped: a hard link to an absolute path".to_owned(),
                ".." => "skipped: a hard link to a path with ..".to_owned(),
                "nameless" => "skipped: a hard link to nothing".to_owned(),
                cause => format!("skipped: a hard link to {cause}"),
            };
            Failed::One(Fault::text("copy", OsString::from_vec(member.path.clone()), cause))
        })?;
        let of = [name.as_deref().into_iter().collect(), of].concat();
        Ok(self.tree.hard_link(path, &of, replace))
    }

    /// A file; where one that is copied into a directory finds a link there, the file behind that.
    fn file_or_behind(
        &mut self,
        member: &Member,
        path: &[&[u8]],
        shown: Vec<u8>,
        attributes: Attributes,
        reader: &mut Reader<File>,
    ) -> std::result::Result<(), Failed> {
        let is_named = self.source == Source::Node && self.name.is_none();
        let behind = match path {
            [name] if is_named && !self.options.no_dereference => {
                Destination::behind(self.tree.root(), name, &self.shown).map_err(Failed::One)?
            }
            _ => None,
        };
        let Some(Destination { directory, name: Some(name), shown: before }) = behind else {
            return self.file(member, path, shown, attributes, reader);
        };
        let own = std::mem::replace(&mut self.tree, new_tree(directory).map_err(Failed::One)?);
        let shown = [&before[..], &name].concat();
        let made = self.file(member, &[&name], shown, attributes, reader);
        self.tree = own;
        made
    }

    fn file(
        &mut self,
        member: &Member,
        path: &[&[u8]],
        shown: Vec<u8>,
        attributes: Attributes,
        reader: &mut Reader<File>,
    ) -> std::result::Result<(), Failed> {
        self.check_end(path, &shown)?;
        let existing = self.existing();
        let written = if self.options.in_place { self.tree.in_place(path) } else { Ok(None) };
        let created = written.and_then(|file| file.map_or_else(|| self.tree.file(path), Ok));
        let unfinished = match created {
            Ok(unfinished) => unfinished,
            Err(errno) => return Err(Failed::One(self.refused("create", path, shown, errno))),
        };
        let in_place = unfinished.is_in_place();
        // How far it is written, and whether the old content is gone: that goes when there is a new one.
        let (mut end, mut is_cut) = (0, !in_place);
        let written = loop {
            let (at, piece) = match reader.placed() {
                Ok(piece) if !interrupt::came() => piece,
                other => {
                    self.tree.abandon(unfinished);
                    if in_place && is_cut {
                        let cause = format!("it has the first {end} bytes of the new file, and no more");
                        self.tell(&Fault::text("write", OsString::from_vec(shown), cause));
                    }
                    return Err(other.map_or_else(Failed::All, |_| Failed::Interrupted));
                }
            };
            if !is_cut && let Err(error) = unfinished.file.set_len(0) {
                break Err(error);
            }
            is_cut = true;
            if piece.is_empty() {
                break Ok(());
            }
            if let Err(error) = write_with_holes(&unfinished.file, at, piece) {
                break Err(error);
            }
            end = at + piece.len() as u64;
            self.meter.add(piece.len() as u64);
        };
        // What ends in a hole is as long as it was.
        let is_empty = member.size == 0;
        let written =
            written.and_then(|()| if is_empty { Ok(()) } else { unfinished.file.set_len(member.size) });
        if let Err(error) = written {
            self.tree.abandon(unfinished);
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
            let mut fault = Fault::errno("write", OsString::from_vec(shown), errno);
            if in_place && is_cut {
                fault = fault.with_hint("it has lost its old content");
            }
            return Err(Failed::One(fault));
        }
        match self.tree.complete(unfinished, path, attributes, existing) {
            Ok(Completed { mode, lost }) => {
                self.bytes += member.size;
                if !lost.is_empty() {
                    self.tell(&not_kept(&shown, mode, &lost));
                }
                self.copied(member, shown, mode)
            }
            Err(Errno::EEXIST) if matches!(existing, Existing::Stays) => Ok(()),
            Err(errno) => Err(Failed::One(self.refused("create", path, shown, errno))),
        }
    }

    /// Refuses to replace a device, a FIFO or a socket.
    fn check_end(&mut self, path: &[&[u8]], shown: &[u8]) -> std::result::Result<(), Failed> {
        self.tree.obstacle(path).map_or(Ok(()), |kind| {
            let shown = OsString::from_vec(shown.to_vec());
            Err(Failed::One(Fault::text("create", shown, format!("it is {kind}"))))
        })
    }

    /// Why a file could not be made or replaced, and whether it could be written into.
    fn refused(&mut self, op: &'static str, path: &[&[u8]], shown: Vec<u8>, errno: Errno) -> Fault {
        const HINT: &str = "--in-place writes into the file that is there";
        if self.options.in_place {
            return explained(op, shown, errno);
        }
        match errno {
            Errno::EBUSY => {
                let cause = "it is a mount point, which no other file can replace";
                Fault::text(op, OsString::from_vec(shown), cause).with_hint(HINT)
            }
            Errno::EACCES | Errno::EPERM | Errno::EROFS
                if matches!(self.tree.in_place(path), Ok(Some(_))) =>
            {
                Fault::errno(op, OsString::from_vec(shown), errno).with_hint(HINT)
            }
            _ => explained(op, shown, errno),
        }
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

fn skipped(path: &[u8], cause: &'static str) -> Failed {
    let cause = match cause {
        "absolute" => "skipped: the name is absolute".to_owned(),
        ".." => "skipped: the name contains ..".to_owned(),
        "nameless" => "skipped: it has no name".to_owned(),
        cause => format!("skipped: it is {cause}"),
    };
    Failed::One(Fault::text("copy", OsString::from_vec(path.to_vec()), cause))
}

/// That a new file is not in all what the old one was.
fn not_kept(path: &[u8], mode: u32, lost: &[Lost]) -> Fault {
    let each = |lost: &Lost| format!("{} ({})", escape(&lost.what), errno_text(lost.errno as i32));
    let lost: Vec<String> = lost.iter().map(each).collect();
    let cause = format!("not kept: {}; its mode is {mode:04o} now", lost.join(", "));
    Fault::text("replace", OsString::from_vec(path.to_vec()), cause)
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
