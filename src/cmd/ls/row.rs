//! The JSON row.

use std::io;
use std::os::fd::AsFd;

use serde::Serialize;

use super::listing::{Listing, kind_of};
use super::long::mode_text;
use crate::cmd::Context;
use crate::out::table::{Column, Row};
use crate::out::{Name, Output, units};
use crate::sys::dir::{self, Dir};

/// One file.
#[derive(Serialize)]
pub struct Entry {
    /// Its name in the directory, or the operand.
    pub name: Name,
    /// The directory as it was named, and the name.
    pub path: Name,
    /// `file`, `directory`, `link`, `fifo`, `socket`, `char`, `block`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Permission bits, octal: `0644`.
    pub mode: String,
    /// `-rw-r--r--`.
    pub mode_text: String,
    /// Hard links.
    pub nlink: u32,
    /// Owner's id.
    pub uid: u32,
    /// Group's id.
    pub gid: u32,
    /// Owner's name, or the id.
    pub user: String,
    /// Group's name, or the id.
    pub group: String,
    /// Bytes.
    pub size: u64,
    /// Bytes allocated.
    pub blocks: u64,
    /// Modification time, RFC 3339.
    pub mtime: String,
    /// Inode number.
    pub inode: u64,
    /// Where a link points to.
    pub target: Option<Name>,
    /// Major and minor number of a device: `8:1`.
    pub rdev: Option<String>,
}

impl Row for Entry {
    const COLUMNS: &'static [Column<Self>] = &[];
}

pub(super) fn print(
    listing: &Listing,
    dir: Option<&Dir>,
    path: &[u8],
    cx: &Context,
    out: &mut Output<Entry>,
) -> io::Result<()> {
    let slash: &[u8] = if path.is_empty() || path.ends_with(b"/") { b"" } else { b"/" };
    for item in listing.items() {
        let Some(stat) = listing.stat(*item) else { continue };
        let name = listing.name(*item);
        let kind = kind_of(stat.mode);
        let link = if kind == libc::DT_LNK { listing.c_name(*item) } else { None };
        let device = matches!(kind, libc::DT_CHR | libc::DT_BLK);
        out.row(&Entry {
            name: Name::from(name),
            path: Name::from([path, slash, name].concat()),
            kind: match kind {
                libc::DT_REG => "file",
                libc::DT_DIR => "directory",
                libc::DT_LNK => "link",
                libc::DT_FIFO => "fifo",
                libc::DT_SOCK => "socket",
                libc::DT_CHR => "char",
                libc::DT_BLK => "block",
                _ => "unknown",
            },
            mode: format!("{:04o}", stat.mode & 0o7777),
            mode_text: mode_text(stat.mode).iter().map(|b| char::from(*b)).collect(),
            nlink: stat.nlink,
            uid: stat.uid,
            gid: stat.gid,
            user: cx.users().user_name(stat.uid),
            group: cx.users().group_name(stat.gid),
            size: stat.size,
            blocks: stat.blocks.saturating_mul(512),
            mtime: units::rfc3339(stat.mtime, stat.mtime_nanoseconds),
            inode: stat.inode,
            target: link.and_then(|name| dir::read_link(dir.map(AsFd::as_fd), name).ok()).map(Name::from),
            rdev: device.then(|| format!("{}:{}", stat.rdev_major, stat.rdev_minor)),
        })?;
    }
    Ok(())
}
