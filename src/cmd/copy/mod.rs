//! `get` and `put`: files and trees between container and node.
//!
//! A process inside packs or unpacks a tar stream, as the target's user; a process on the node does the other side of it;
//! a pipe is all that they share. The session starts both (`session::copy`).

mod destination;
mod holes;
mod meter;
mod owner;
mod receive;
mod send;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{
    Command, Completion, Context, Example, Fault, Needs, NodeFiles, Place, Result, Status, Takes, Target,
};
use crate::out::field::{field, more};
use crate::out::{Align, Column, Field, Kind, Name, Narrow, Output, Row};
use crate::sys::shared::Shared;

use owner::Owner;
use receive::Source;

pub use destination::Destination;

/// Options of both.
#[derive(clap::Args, Debug, Clone)]
pub struct Options {
    /// Name each file, and say how many there were
    #[arg(short, long)]
    verbose: bool,
    /// Leave what exists as it is
    #[arg(short, long)]
    no_clobber: bool,
    /// Copy owner and group, as numbers, and the mode also over an existing file
    #[arg(short, long)]
    archive: bool,
    /// Give files this mode, in octal digits
    #[arg(long, value_name = "MODE", value_parser = mode)]
    mode: Option<u32>,
    /// Give the copies to this user and group; on the node they are numbers
    #[arg(long, value_name = "USER[:GROUP]", value_parser = Owner::parse, add = Takes::User)]
    owner: Option<Owner>,
    /// Keep setuid and setgid bits
    #[arg(long)]
    setuid: bool,
    /// Write into an existing file instead of replacing it: a mount point, for example
    #[arg(long)]
    in_place: bool,
    /// Copy or replace a link that is named, not what it points to
    #[arg(short = 'P', long)]
    no_dereference: bool,
    /// Enter no other file system than that of the named path
    #[arg(short = 'x', long)]
    one_file_system: bool,
}

impl Options {
    /// What is copied of a mode.
    fn mode_bits(&self) -> u32 {
        if self.setuid { 0o7777 } else { 0o1777 }
    }

    /// Whether files are given to others than who makes them.
    fn gives_away(&self) -> bool {
        self.archive || self.owner.is_some()
    }
}

fn mode(digits: &str) -> std::result::Result<u32, String> {
    let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777 && !digits.starts_with('+'));
    mode.ok_or_else(|| "not octal digits up to 7777".to_owned())
}

/// Copy files and trees from the container to the node
///
/// One operand is copied into the working directory on the node. Of several the last is the destination there: an
/// existing directory takes the copies, else it is the new name. `-` writes a tar to standard output. Trees, modes and
/// times are kept without an option. What is copied belongs to root, unless -a or --owner is given. A file that is
/// replaced passes its mode, ACL and extended attributes on.
#[derive(clap::Parser)]
#[command(args_override_self = true, override_usage = "get [OPTIONS] PATH... [DEST | -]")]
pub struct Get {
    #[command(flatten)]
    options: Options,
    /// Files and directories of the container, then the destination on the node
    #[arg(required = true, value_name = "PATH", add = Takes::Path)]
    paths: Vec<OsString>,
}

/// Copy files and trees from the node to the container
///
/// The last operand is the destination in the container: an existing directory takes the copies, else it is the new
/// name. `-` in place of the node's files reads a tar from standard input. Trees, modes and times are kept without an
/// option. What is new belongs to the target's user. A file that is replaced passes its mode, owner, ACL and extended
/// attributes on, but for what -a, --mode and --owner say. A destination that is a link is followed.
#[derive(clap::Parser)]
#[command(
    args_override_self = true,
    override_usage = "put [OPTIONS] PATH... DEST\n       put [OPTIONS] - DEST"
)]
pub struct Put {
    #[command(flatten)]
    options: Options,
    /// Files and directories of the node, then the destination in the container
    #[arg(required = true, value_name = "PATH", add = Takes::Path)]
    paths: Vec<OsString>,
}

/// The node's side of `get`
#[derive(clap::Parser)]
pub struct Receive {
    #[command(flatten)]
    options: Options,
    /// The destination
    #[arg(add = Takes::NodePath)]
    destination: OsString,
}

/// The node's side of `put`
#[derive(clap::Parser)]
pub struct Send {
    #[command(flatten)]
    options: Options,
    /// Files and directories
    #[arg(required = true, add = Takes::Path)]
    paths: Vec<OsString>,
}

/// Something that was copied.
#[derive(serde::Serialize)]
pub struct Copied {
    path: Name,
    r#type: &'static str,
    size: u64,
    mode: String,
    target: Option<Name>,
}

impl Row for Copied {
    const COLUMNS: &'static [Column<Self>] =
        &[Column { header: "", align: Align::Left, narrow: Narrow::WHOLE, cell: |row| row.path.spelled() }];
}

const FIELDS: &[Field] = &[
    field("path", Kind::Text, "where it is now"),
    field("type", Kind::Text, "file, directory, link, hard link"),
    field("size", Kind::Bytes, "bytes that were copied"),
    more("mode", Kind::Text, "four octal digits"),
    more("target", Kind::Text, "where a link points to"),
];

/// The name that a path's copy has: its last component; `.` for what has none of its own, whose contents are copied.
pub fn copied_name(path: &[u8]) -> &[u8] {
    let path = match path.iter().rposition(|byte| *byte != b'/') {
        Some(last) => &path[..=last],
        None => return b".",
    };
    match path.rsplit(|byte| *byte == b'/').next() {
        Some(b"" | b"." | b"..") | None => b".",
        Some(name) => name,
    }
}

/// A path of the node: `@host:` before it is allowed, as elsewhere.
fn of_node(path: OsString) -> OsString {
    match path.as_bytes().strip_prefix(b"@host:") {
        Some(rest) => OsStr::from_bytes(rest).to_owned(),
        None => path,
    }
}

impl Command for Get {
    type Row = Copied;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs { memory: true, ..Needs::NONE };
    const REPLACES: &'static str = "docker cp, kubectl cp";
    const FIELDS: &'static [Field] = FIELDS;
    const EXAMPLES: &'static [Example] = &[
        Example { line: "get /etc/hosts /tmp/hosts", what: "one file, under a new name" },
        Example { line: "get /etc /tmp/hosts-and-etc", what: "a tree" },
        Example { line: "get /etc - > @host:/tmp/etc.tar", what: "as a tar" },
    ];

    fn run(mut self, cx: &mut Context, _: &mut Output<Copied>) -> Result<Status> {
        if !cx.is_partnered {
            match self.paths.pop() {
                Some(last) if last == "-" && !self.paths.is_empty() => {}
                _ => return Err(Fault::usage("from where? PATH... [DEST | -]")),
            }
            if cx.format == crate::out::Format::Json {
                return Err(Fault::usage("a tar is bytes, not rows: it has no --json"));
            }
            if cx.tty {
                return Err(
                    Fault::usage("a tar is not for a terminal").with_hint("get PATH - > @host:/x.tar")
                );
            }
        }
        send::send(cx, &self.options, &self.paths, None)
    }

    fn complete(at: &Completion) -> Option<Takes> {
        // The last is the node's, and any may be the last.
        (at.operands > 0).then_some(Takes::Any(&[Takes::Path, Takes::NodePath]))
    }
}

impl Command for Put {
    type Row = Copied;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs::STDIN;
    const REPLACES: &'static str = "docker cp, kubectl cp";
    const FIELDS: &'static [Field] = FIELDS;
    const EXAMPLES: &'static [Example] = &[
        Example { line: "put /etc/hostname /tmp/name", what: "one file of the node, under a new name" },
        Example { line: "put /etc/hostname /etc/hosts /tmp", what: "into a directory" },
        Example { line: "put --mode 600 /etc/hostname /tmp/key", what: "with a mode of its own" },
        Example { line: "put - /tmp < @host:/tmp/etc.tar", what: "what is in a tar" },
    ];

    fn reads_stdin(&self) -> bool {
        self.paths.first().is_some_and(|path| path == "-")
    }

    fn run(mut self, cx: &mut Context, out: &mut Output<Copied>) -> Result<Status> {
        let destination = self.paths.pop().unwrap_or_default();
        let is_tar = !cx.is_partnered;
        if is_tar && self.paths != ["-"] {
            return Err(Fault::usage("source or destination missing: PATH... DEST, or - DEST"));
        }
        cx.writes("open", &destination)?;
        let destination = Destination::open(&destination, None, !self.options.no_dereference)?;
        let source = if is_tar { Source::Tar } else { Source::Node };
        receive::receive(cx, out, &self.options, destination, source)
    }

    fn complete(at: &Completion) -> Option<Takes> {
        Some(if at.operands == 0 { Takes::NodePath } else { Takes::Any(&[Takes::Path, Takes::NodePath]) })
    }
}

impl Command for Receive {
    type Row = Copied;
    const PLACE: Place = Place::Node;
    const NEEDS: Needs = Needs { files: NodeFiles::Write, mounts: true, ..Needs::NONE };
    const FIELDS: &'static [Field] = FIELDS;
    const EXAMPLES: &'static [Example] = &[];

    fn target(&self) -> Option<Target> {
        Some(Target { path: of_node(self.destination.clone()), owner: self.options.gives_away() })
    }

    fn run(self, cx: &mut Context, out: &mut Output<Copied>) -> Result<Status> {
        let destination = cx.destination.take();
        let destination =
            destination.ok_or_else(|| Fault::say("the destination is not open").with_status(125))?;
        receive::receive(cx, out, &self.options, destination, Source::Container)
    }
}

impl Command for Send {
    type Row = Copied;
    const PLACE: Place = Place::Node;
    const NEEDS: Needs = Needs { files: NodeFiles::Read, mounts: true, memory: true, ..Needs::NONE };
    const EXAMPLES: &'static [Example] = &[];

    fn run(self, cx: &mut Context, _: &mut Output<Copied>) -> Result<Status> {
        let paths: Vec<OsString> = self.paths.into_iter().map(of_node).collect();
        let shared = Shared::of(cx.mounts.as_deref());
        send::send(cx, &self.options, &paths, Some(shared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        assert_eq!((mode("644"), mode("0"), mode("04755")), (Ok(0o644), Ok(0), Ok(0o4755)));
        for wrong in ["", "8", "u+x", "+644", "-1", "10000", "77777777777777777777777"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_of_copies() {
        for (path, name) in [
            (&b"/etc/hosts"[..], &b"hosts"[..]),
            (b"etc/", b"etc"),
            (b"/", b"."),
            (b".", b"."),
            (b"/etc/.", b"."),
            (b"..", b"."),
            (b"a/..", b"."),
            (b"a//b//", b"b"),
            (b"", b"."),
        ] {
            assert_eq!(copied_name(path), name, "{path:?}");
        }
    }
}
