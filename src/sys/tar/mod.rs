//! The tar format: POSIX ustar with pax extended headers, as pax(1) describes it, and of GNU's the long names, the binary
//! numbers and the files with holes ("Sparse Formats" in GNU tar's manual: 1.0 is written, 0.0, 0.1 and the old one are read
//! too). Our own, since what the tar crate reads of a header's extensions is as long as the stream says: here
//! the stream is a hostile container's, so every length has a limit.

mod read;
mod sparse;
mod write;

pub use read::{Broken, Reader};
pub use write::{END, announce, header, padding, sparse_header};

/// Everything in a stream is a multiple of this.
pub const BLOCK: usize = 512;

/// The record of a global header in which our own sender tells how many bytes of files will come.
const TOTAL: &[u8] = b"NSDBG.total";

/// The same, of the paths that it is a copy of.
const SOURCES: &[u8] = b"NSDBG.sources";

/// The most stretches of data that a file with holes has.
pub const MAX_EXTENTS: usize = 1 << 17;

/// A stretch of a file that holds data: holes are what is between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins in the file.
    pub at: u64,
    /// How long it is.
    pub length: u64,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// A regular file; its data follows.
    #[default]
    File,
    /// Another name of a member before it.
    HardLink,
    /// A symbolic link.
    Link,
    /// A directory.
    Directory,
    /// What is not copied: what it is.
    Other(&'static str),
}

/// One member of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// Its path, as it is in the stream.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Where a link points to.
    pub target: Vec<u8>,
    /// Permissions, setuid, setgid and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// How long the file is; of one without holes, as many bytes follow.
    pub size: u64,
    /// Whether it has holes, which are left out.
    pub is_sparse: bool,
    /// Modification time, seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds of it.
    pub nanoseconds: u32,
}

/// Where the fields of a header are (pax(1), "ustar Interchange Format").
mod field {
    use std::ops::Range;

    pub const NAME: Range<usize> = 0..100;
    pub const MODE: Range<usize> = 100..108;
    pub const UID: Range<usize> = 108..116;
    pub const GID: Range<usize> = 116..124;
    pub const SIZE: Range<usize> = 124..136;
    pub const TIME: Range<usize> = 136..148;
    pub const SUM: Range<usize> = 148..156;
    pub const KIND: usize = 156;
    pub const TARGET: Range<usize> = 157..257;
    pub const MAGIC: Range<usize> = 257..265;
    pub const PREFIX: Range<usize> = 345..500;
    /// Of GNU's old sparse members: the map, whether a block with more of it follows, how long the file is; and the first
    /// two in such a block. An extent takes 24 bytes: where it begins, and its length.
    pub const MAP: Range<usize> = 386..482;
    pub const IS_EXTENDED: usize = 482;
    pub const REAL_SIZE: Range<usize> = 483..495;
    pub const MORE: Range<usize> = 0..504;
    pub const IS_EXTENDED_AGAIN: usize = 504;
    pub const EXTENT: usize = 24;
}

/// The sum of a header's bytes, its own field counted as spaces.
fn sum(block: &[u8; BLOCK]) -> u64 {
    let byte = |(at, byte): (usize, &u8)| u64::from(if field::SUM.contains(&at) { b' ' } else { *byte });
    block.iter().enumerate().map(byte).sum()
}

#[cfg(test)]
mod tests;
