//! Where copies go: a directory that is there, or a new name in one.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use nix::fcntl::OFlag;

use super::copied_name;
use crate::cmd::{Result, refusal};
use crate::sys::dir;
use crate::sys::open::Refused;
use crate::sys::shared::{self, Shared};

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
    /// Opens it, as the person who names it would: through links too, but on the node for those that the container may
    /// have made.
    ///
    /// # Errors
    /// Where neither it nor the directory that it would be in can be opened.
    pub fn open(path: &OsStr, of_node: Option<&Shared>) -> Result<Self> {
        let open = |path: &OsStr| match of_node {
            None => dir::open(path, true).map_err(Refused::from),
            Some(shared) => {
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK;
                shared::resolve(path, true, shared)?.open(flags).map_err(Refused::from)
            }
        };
        let bytes = path.as_bytes();
        let shown = |directory: &[u8]| match directory {
            b"" | b"." => Vec::new(),
            _ if directory.ends_with(b"/") => directory.to_vec(),
            _ => [directory, b"/"].concat(),
        };
        let refused = match open(path) {
            Ok(directory) => return Ok(Self { directory, name: None, shown: shown(bytes) }),
            Err(refused) => refused,
        };
        let name = copied_name(bytes);
        let is_missing = match &refused {
            Refused::Io(error) => matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)),
            Refused::Kind(_) => false,
        };
        if !is_missing || name == b"." || bytes.ends_with(b"/") {
            return Err(refusal(path, refused));
        }
        let before = bytes.strip_suffix(name).unwrap_or_default();
        let parent =
            if before.is_empty() { OsString::from(".") } else { OsStr::from_bytes(before).to_owned() };
        let directory = open(&parent).map_err(|refused| refusal(&parent, refused))?;
        Ok(Self { directory, name: Some(name.to_vec()), shown: before.to_vec() })
    }
}
