//! `stat`.

mod format;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::name::{escape, shell_quoted};
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Name, Output, units};
use crate::sys::mounts::{self, Mount};
use crate::sys::passwd::Users;
use crate::sys::statx::{self, Facts, Time, kind_name, mode_text};

use format::{File, FileSystem, Format};

/// Show what the kernel knows of files.
///
/// Sizes, owner, mode, times and inode. Users and groups are named by the container's /etc/passwd and /etc/group, times are
/// UTC. -c takes coreutils' directives: %a %A %b %B %d %D %f %F %g %G %h %i %m %n %N %o %r %R %s %t %T %u %U %w %W %x %X
/// %y %Y %z %Z, and with -f %a %b %c %d %f %i %l %n %s %S %t %T.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Stat {
    /// Follow a symbolic link at the end.
    #[arg(short = 'L', long)]
    dereference: bool,
    /// Of the file system that it is on.
    #[arg(short = 'f', long = "file-system")]
    file_system: bool,
    /// Print this, with a newline behind it.
    #[arg(short = 'c', long, value_name = "FORMAT", conflicts_with = "printf", add = Takes::Nothing)]
    format: Option<OsString>,
    /// As -c, with \n and other escapes read, and no newline.
    #[arg(long, value_name = "FORMAT", add = Takes::Nothing)]
    printf: Option<OsString>,
    /// All in one line, for programs.
    #[arg(short, long)]
    terse: bool,
    /// Files.
    #[arg(required = true, add = Takes::Path)]
    files: Vec<OsString>,
}

/// One file in JSON.
#[derive(serde::Serialize)]
struct FileRow {
    path: Name,
    #[serde(rename = "type")]
    kind: &'static str,
    mode: String,
    size: u64,
    blocks: u64,
    block_size: u32,
    uid: u32,
    gid: u32,
    user: Option<String>,
    group: Option<String>,
    nlink: u32,
    inode: u64,
    device: String,
    special: Option<String>,
    atime: String,
    mtime: String,
    ctime: String,
    btime: Option<String>,
    target: Option<Name>,
}

/// One file system in JSON.
#[derive(serde::Serialize)]
struct FileSystemRow {
    path: Name,
    fs_type: String,
    fs_id: String,
    name_max: u64,
    block_size: u64,
    total: u64,
    free: u64,
    available: u64,
    inodes: u64,
    inodes_free: u64,
}

impl Command for Stat {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs { mounts: true, ..Needs::NONE };
    const REPLACES: &'static str = "coreutils stat";
    const FIELDS: &'static [Field] = &[
        field("path", Kind::Text, "as it was asked for"),
        field("type", Kind::Text, "what it is, in stat's words"),
        field("mode", Kind::Text, "four octal digits"),
        field("size", Kind::Bytes, "its length"),
        more("blocks", Kind::Bytes, "what it takes on its file system"),
        more("block_size", Kind::Bytes, "what reading and writing goes best by"),
        more("uid", Kind::Number, "its owner, as the container counts"),
        more("gid", Kind::Number, "its group"),
        field("user", Kind::Text, "the owner's name; null where the container has none"),
        field("group", Kind::Text, "the group's name"),
        more("nlink", Kind::Number, "hard links"),
        more("inode", Kind::Number, "its inode"),
        more("device", Kind::Text, "the device that it is on, major:minor"),
        more("special", Kind::Text, "of a device: its own numbers"),
        more("atime", Kind::Time, "last read"),
        field("mtime", Kind::Time, "its content was changed"),
        more("ctime", Kind::Time, "it was changed in any way"),
        more("btime", Kind::Time, "it was made, where the file system keeps that"),
        field("target", Kind::Text, "of a link: where it leads"),
        field("fs_type", Kind::Text, "with -f: the type of the file system"),
        more("fs_id", Kind::Text, "with -f: its id"),
        more("name_max", Kind::Number, "with -f: the longest name"),
        field("total", Kind::Bytes, "with -f: its size"),
        field("free", Kind::Bytes, "with -f: what is free"),
        field("available", Kind::Bytes, "with -f: what is free for other users than root"),
        more("inodes", Kind::Number, "with -f: how many it may have; 0 where it does not say"),
        more("inodes_free", Kind::Number, "with -f: how many are free"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "stat /etc/passwd", what: "everything" },
        Example { line: "stat -c '%U %a %n' / /tmp", what: "owner, mode and name" },
        Example { line: "stat -f /", what: "the file system" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let format = self.chosen_format()?;
        let mounts = cx.mounts.as_deref().map(mounts::parse).unwrap_or_default();
        for path in &self.files {
            let shown = if self.file_system {
                self.of_file_system(path, &format, cx, &mounts, out)
            } else {
                self.of_file(path, &format, cx, &mounts, out)
            };
            match shown {
                Err(fault) if fault.op == "write" => return Err(fault),
                Err(fault) => cx.report(&fault),
                Ok(()) => {}
            }
        }
        Ok(Status::OK)
    }
}

/// coreutils' own lines for -t.
const TERSE: &str = "%n %s %b %f %u %g %D %i %h %t %T %X %Y %Z %W %o";
const TERSE_FILE_SYSTEM: &str = "%n %i %l %t %s %S %b %f %a %c %d";

impl Stat {
    fn chosen_format(&self) -> Result<Option<Format>> {
        let (text, escapes) = match (&self.printf, &self.format, self.terse) {
            (Some(text), ..) => (text.as_bytes(), true),
            (_, Some(text), _) => (text.as_bytes(), false),
            (.., true) if self.file_system => (TERSE_FILE_SYSTEM.as_bytes(), false),
            (.., true) => (TERSE.as_bytes(), false),
            _ => return Ok(None),
        };
        Format::parse(text, escapes, self.file_system).map(Some)
    }

    fn of_file(
        &self,
        path: &OsString,
        format: &Option<Format>,
        cx: &Context,
        mounts: &[Mount],
        out: &mut Output<NoRow>,
    ) -> Result<()> {
        let facts =
            statx::facts(None, path, self.dereference).map_err(|errno| Fault::errno("stat", path, errno))?;
        let target = if facts.mode & libc::S_IFMT == libc::S_IFLNK {
            nix::fcntl::readlink(path.as_os_str()).ok()
        } else {
            None
        };
        let users = cx.users();
        if out.is_json() {
            return out.json(&row(path, &facts, target, users)).map_err(Fault::output);
        }
        let file = File {
            path: path.as_bytes(),
            facts: &facts,
            target: target.as_ref().map(|t| t.as_bytes()),
            users,
            mounts,
        };
        let bytes = match format {
            Some(format) => format.of_file(&file, cx.tty),
            None => page(&file, cx.tty),
        };
        out.bytes().write_all(&bytes).map_err(Fault::output)
    }

    fn of_file_system(
        &self,
        path: &OsString,
        format: &Option<Format>,
        cx: &Context,
        mounts: &[Mount],
        out: &mut Output<NoRow>,
    ) -> Result<()> {
        let space = statx::space(path).map_err(|errno| Fault::errno("statfs", path, errno))?;
        let device = statx::facts(None, path, true).map(|facts| facts.device).ok();
        // By the kernel's own name for it, where the file's mount is among the target's.
        let kind = mounts.iter().find(|mount| Some(mount.device) == device).map(|mount| mount.kind.clone());
        let kind = kind.unwrap_or_else(|| format!("UNKNOWN (0x{:x})", space.magic));
        if out.is_json() {
            return out
                .json(&FileSystemRow {
                    path: Name::from(path.as_os_str()),
                    fs_type: kind,
                    fs_id: format!("{:x}", space.id),
                    name_max: space.name_max,
                    block_size: space.block,
                    total: space.blocks.saturating_mul(space.fragment),
                    free: space.free.saturating_mul(space.fragment),
                    available: space.available.saturating_mul(space.fragment),
                    inodes: space.files,
                    inodes_free: space.files_free,
                })
                .map_err(Fault::output);
        }
        let file_system = FileSystem { path: path.as_bytes(), space: &space, kind: &kind };
        let bytes = match format {
            Some(format) => format.of_file_system(&file_system, cx.tty),
            None => file_system_page(&file_system, cx.tty),
        };
        out.bytes().write_all(&bytes).map_err(Fault::output)
    }
}

fn row(path: &OsString, facts: &Facts, target: Option<OsString>, users: &Users) -> FileRow {
    let time = |(seconds, nanoseconds): Time| units::rfc3339(seconds, nanoseconds);
    let is_device = matches!(facts.mode & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK);
    FileRow {
        path: Name::from(path.as_os_str()),
        kind: kind_name(facts.mode, facts.size),
        mode: format!("{:04o}", facts.mode & 0o7777),
        size: facts.size,
        blocks: facts.blocks.saturating_mul(512),
        block_size: facts.block_size,
        uid: facts.uid,
        gid: facts.gid,
        user: users.user(facts.uid).map(|user| user.name.to_owned()),
        group: users.group(facts.gid).map(|group| group.name.to_owned()),
        nlink: facts.nlink,
        inode: facts.inode,
        device: format!("{}:{}", facts.device.0, facts.device.1),
        special: is_device.then(|| format!("{}:{}", facts.special.0, facts.special.1)),
        atime: time(facts.accessed),
        mtime: time(facts.modified),
        ctime: time(facts.changed),
        btime: facts.born.map(time),
        target: target.map(Name::from),
    }
}

fn shown(bytes: &[u8], quotes: bool) -> Vec<u8> {
    if quotes { shell_quoted(bytes).into_bytes() } else { bytes.to_vec() }
}

fn page(file: &File, tty: bool) -> Vec<u8> {
    let facts = file.facts;
    let mut page = [b"  File: ", &shown(file.path, tty)[..]].concat();
    if let Some(target) = file.target {
        page.extend_from_slice(b" -> ");
        page.extend(shown(target, tty));
    }
    let numbers = if matches!(facts.mode & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK) {
        format!("  Device type: {},{}", facts.special.0, facts.special.1)
    } else {
        String::new()
    };
    let user = file.users.user(facts.uid).map_or("UNKNOWN", |user| user.name);
    let group = file.users.group(facts.gid).map_or("UNKNOWN", |group| group.name);
    let (user, group) = (escape(user.as_bytes()), escape(group.as_bytes()));
    let facts = format!(
        "\n  Size: {:<10}\tBlocks: {:<10} IO Block: {:<6} {}\nDevice: {},{}\tInode: {:<11} Links: {}{numbers}\n\
         Access: ({:04o}/{})  Uid: ({:>5}/{user:>8})   Gid: ({:>5}/{group:>8})\n\
         Access: {}\nModify: {}\nChange: {}\n Birth: {}\n",
        facts.size,
        facts.blocks,
        facts.block_size,
        kind_name(facts.mode, facts.size),
        facts.device.0,
        facts.device.1,
        facts.inode,
        facts.nlink,
        facts.mode & 0o7777,
        String::from_utf8_lossy(&mode_text(facts.mode)),
        facts.uid,
        facts.gid,
        format::time(facts.accessed),
        format::time(facts.modified),
        format::time(facts.changed),
        facts.born.map_or_else(|| "-".to_owned(), format::time),
    );
    page.extend_from_slice(facts.as_bytes());
    page
}

fn file_system_page(file_system: &FileSystem, tty: bool) -> Vec<u8> {
    let space = file_system.space;
    let facts = format!(
        "\"\n    ID: {:<8x} Namelen: {:<7} Type: {}\nBlock size: {:<10} Fundamental block size: {}\n\
         Blocks: Total: {:<10} Free: {:<10} Available: {}\nInodes: Total: {:<10} Free: {}\n",
        space.id,
        space.name_max,
        escape(file_system.kind.as_bytes()),
        space.block,
        space.fragment,
        space.blocks,
        space.free,
        space.available,
        space.files,
        space.files_free,
    );
    [b"  File: \"", &shown(file_system.path, tty)[..], facts.as_bytes()].concat()
}
