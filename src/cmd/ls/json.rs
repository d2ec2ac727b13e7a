//! A file as a JSON row.

use serde::Serialize;

use super::listing::{Item, Listing};
use crate::out::{Name, units};
use crate::sys::passwd::Users;

/// One file. What could not be had is null.
#[derive(Serialize)]
pub struct File<'a> {
    name: Name,
    path: Name,
    #[serde(rename = "type")]
    kind: &'static str,
    mode: Option<String>,
    nlink: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    user: Option<&'a str>,
    group: Option<&'a str>,
    size: Option<u64>,
    blocks: Option<u64>,
    mtime: Option<String>,
    inode: Option<u64>,
    target: Option<Name>,
    device: Option<String>,
}

impl<'a> File<'a> {
    /// The row of a file of `directory`; an empty one is where it was named without one.
    pub fn new(listing: &Listing, item: &Item, directory: &[u8], users: &'a Users) -> Self {
        let stat = listing.facts(item).map(|facts| &facts.stat);
        let kind = listing.kind(item);
        let user = |uid| users.user(uid).map(|user| user.name);
        let group = |gid| users.group(gid).map(|group| group.name);
        let is_device = matches!(kind, libc::S_IFCHR | libc::S_IFBLK);
        Self {
            name: listing.name(item).into(),
            path: super::joined(directory, listing.name(item)).into(),
            kind: type_name(kind),
            mode: stat.map(|stat| format!("{:04o}", stat.mode & 0o7777)),
            nlink: stat.map(|stat| stat.nlink),
            uid: stat.map(|stat| stat.uid),
            gid: stat.map(|stat| stat.gid),
            user: stat.and_then(|stat| user(stat.uid)),
            group: stat.and_then(|stat| group(stat.gid)),
            size: stat.map(|stat| stat.size),
            blocks: stat.map(|stat| stat.blocks.saturating_mul(512)),
            mtime: stat.map(|stat| units::rfc3339(stat.seconds, stat.nanoseconds)),
            inode: stat.map(|stat| stat.inode),
            target: listing.target(item).map(Name::from),
            device: stat.filter(|_| is_device).map(|stat| format!("{}:{}", stat.device.0, stat.device.1)),
        }
    }
}

fn type_name(kind: u32) -> &'static str {
    match kind {
        libc::S_IFREG => "file",
        libc::S_IFDIR => "directory",
        libc::S_IFLNK => "link",
        libc::S_IFIFO => "fifo",
        libc::S_IFSOCK => "socket",
        libc::S_IFCHR => "character device",
        libc::S_IFBLK => "block device",
        _ => "unknown",
    }
}
