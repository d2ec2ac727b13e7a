//! `ls`.

mod columns;
mod json;
mod listing;
mod long;
mod look;
mod run;

use std::ffi::OsString;

use super::{Command, Context, Example, Place, Result, Status};
use crate::out::field::{field, more};
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};

/// Rendered bytes are handed on in pieces of at least this size.
const PIECE: usize = 64 << 10;

/// List files.
///
/// Of a directory its files, sorted by the bytes of their names; on a terminal in columns and quoted where a shell would
/// need it. Users and groups are those of the container's /etc/passwd and /etc/group, times are UTC. ACLs are not marked.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Ls {
    /// Names that begin with a dot, `.` and `..` too.
    #[arg(short, long, overrides_with = "almost_all")]
    all: bool,
    /// Names that begin with a dot, but not `.` and `..`.
    #[arg(short = 'A', long, overrides_with = "all")]
    almost_all: bool,
    /// Mode, links, owner, group, size and time of each.
    #[arg(short)]
    long: bool,
    /// One name a line.
    #[arg(short = '1')]
    one: bool,
    /// A directory itself, not what is in it.
    #[arg(short, long)]
    directory: bool,
    /// Sizes as 1.5K, with -l.
    #[arg(short = 'h', long = "human-readable")]
    human: bool,
    /// The inode of each.
    #[arg(short, long)]
    inode: bool,
    /// As -l, with ids in place of names of users and groups.
    #[arg(short = 'n', long = "numeric-uid-gid")]
    numeric: bool,
    /// A mark behind names: `/` directory, `*` executable, `@` link, `|` FIFO, `=` socket.
    #[arg(short = 'F', long)]
    classify: bool,
    /// Directories below, too; links are not followed.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Turn the order round.
    #[arg(short, long)]
    reverse: bool,
    /// Newest first.
    #[arg(short = 't', overrides_with_all = ["by_size", "unsorted"])]
    by_time: bool,
    /// Largest first.
    #[arg(short = 'S', overrides_with_all = ["by_time", "unsorted"])]
    by_size: bool,
    /// As the directory has them; long ones are printed while they are read.
    #[arg(short = 'U', overrides_with_all = ["by_time", "by_size"])]
    unsorted: bool,
    /// Files and directories; without any, the current directory.
    paths: Vec<OsString>,
}

impl Command for Ls {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const COLORS: bool = true;
    const REPLACES: &'static str = "coreutils ls";
    const FIELDS: &'static [Field] = &[
        field("type", Kind::Text, "file, directory, link, fifo, socket, character device, block device"),
        field("mode", Kind::Text, "four octal digits"),
        more("nlink", Kind::Number, "hard links"),
        more("uid", Kind::Number, "its owner, as the container counts"),
        more("gid", Kind::Number, "its group"),
        field("user", Kind::Text, "the owner's name; null where the container has none"),
        field("group", Kind::Text, "the group's name"),
        field("size", Kind::Bytes, "its length"),
        more("blocks", Kind::Bytes, "what it takes on its file system"),
        field("mtime", Kind::Time, "when its content was changed"),
        more("inode", Kind::Number, "its inode"),
        more("device", Kind::Text, "of a device: major:minor"),
        field("name", Kind::Text, "its name"),
        more("path", Kind::Text, "its name with the directory that was asked for"),
        field("target", Kind::Text, "of a link: where it leads"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "ls -la /", what: "everything in the root" },
        Example { line: "ls -lhS /usr/lib", what: "largest first" },
        Example { line: "ls -lt /tmp", what: "newest first" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        run::run(&self, cx, out)
    }
}

/// A path of a name in a directory.
fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = directory.to_vec();
    if !path.is_empty() && !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}
