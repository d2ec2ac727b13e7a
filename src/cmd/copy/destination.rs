//! Where copies go: a directory that is there, or a new name in one.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use super::copied_name;
use crate::cmd::{Fault, Result};
use crate::sys::dir;

/// An open directory, and what copies are called in it.
pub struct Destination {
    /// The directory.
    pub directory: OwnedFd,
    /// The new name; none where the directory takes copies under their own.
    pub name: Option<Vec<u8>>,
    /// What paths in it begin with, in messages.
    pub shown: Vec<u8>,
}

impl Destination {
    /// Opens it, as the person who names it would: through links too.
    ///
    /// # Errors
    /// Where neither it nor the directory that it would be in can be opened.
    pub fn open(path: &OsStr) -> Result<Self> {
        let bytes = path.as_bytes();
        let shown = |directory: &[u8]| match directory {
            b"" | b"." => Vec::new(),
            _ if directory.ends_with(b"/") => directory.to_vec(),
            _ => [directory, b"/"].concat(),
        };
        let errno = match dir::open(path, true) {
            Ok(directory) => return Ok(Self { directory, name: None, shown: shown(bytes) }),
            Err(errno) => errno,
        };
        let name = copied_name(bytes);
        let is_new =
            matches!(errno, Errno::ENOENT | Errno::ENOTDIR) && name != b"." && !bytes.ends_with(b"/");
        if !is_new {
            return Err(Fault::errno("open", path, errno));
        }
        let before = bytes.strip_suffix(name).unwrap_or_default();
        let parent =
            if before.is_empty() { OsString::from(".") } else { OsStr::from_bytes(before).to_owned() };
        let directory = dir::open(&parent, true).map_err(|errno| Fault::errno("open", &parent, errno))?;
        Ok(Self { directory, name: Some(name.to_vec()), shown: before.to_vec() })
    }
}
