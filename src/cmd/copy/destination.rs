//! Where copies go: a directory that is there, or a new name in one.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::geteuid;

use super::copied_name;
use crate::cmd::{Fault, Result, refusal};
use crate::sys::dir;
use crate::sys::open::{Refused, irreplaceable};
use crate::sys::shared::{self, Shared};

/// Links that are followed one after the other, as many as the kernel follows.
const MAX_LINKS: usize = 40;

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
    /// have made. `follow`: a new name that is a link is the one that this leads to.
    ///
    /// # Errors
    /// Where neither it nor the directory that it would be in can be opened.
    pub fn open(path: &OsStr, of_node: Option<&Shared>, follow: bool) -> Result<Self> {
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
        if let Some(shared) = of_node {
            Self::check_end(path, shared)?;
        }
        if follow && let Some(end) = Self::behind(directory.as_fd(), name, before)? {
            return Ok(end);
        }
        Ok(Self { directory, name: Some(name.to_vec()), shown: before.to_vec() })
    }

    /// Refuses a path of the node that leads to what is no file: /dev/null, and /dev/stdout, a link.
    fn check_end(path: &OsStr, shared: &Shared) -> Result<()> {
        let missing =
            |error: &std::io::Error| matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR));
        let place = match shared::resolve(path, true, shared) {
            // A link to nothing is replaced.
            Err(Refused::Io(error)) if missing(&error) => return Ok(()),
            place => place.map_err(|refused| refusal(path, refused))?,
        };
        if place.follow {
            return Err(Fault::text("create", path, "it is a link of procfs")
                .with_hint("get PATH - writes a tar to standard output"));
        }
        let kind = match place.open(OFlag::O_PATH).and_then(fstat) {
            Err(Errno::ENOENT) => None,
            stat => irreplaceable(stat.map_err(|errno| refusal(path, errno.into()))?.st_mode),
        };
        kind.map_or(Ok(()), |kind| Err(Fault::text("create", path, format!("it is {kind}"))))
    }

    /// Where a link leads, in the root that this process is in: the directory and the name at its end, where there may be
    /// nothing. None for what is no link. Who swaps it is not followed to where the kernel would not follow.
    ///
    /// # Errors
    /// As path_resolution(7) and fs.protected_symlinks of proc(5); a link of procfs, which is no path.
    pub fn behind(directory: BorrowedFd, name: &[u8], shown: &[u8]) -> Result<Option<Self>> {
        let mut end: Option<Self> = None;
        for _ in 0..MAX_LINKS {
            let (at, name, shown) = match &end {
                None => (directory, name, shown),
                Some(end) => (end.directory.as_fd(), end.name.as_deref().unwrap_or_default(), &end.shown[..]),
            };
            let path = OsString::from_vec([shown, name].concat());
            let refused = |errno: Errno| refusal(&path, errno.into());
            let c_name = CString::new(name).map_err(|_| refused(Errno::EINVAL))?;
            let look = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let link = match openat(at, c_name.as_c_str(), look, Mode::empty()) {
                Err(Errno::ENOENT) => return Ok(end),
                link => link.map_err(refused)?,
            };
            let is = fstat(&link).map_err(refused)?;
            if is.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFLNK.bits() {
                return Ok(end);
            }
            if fstatfs(&link).map_err(refused)?.filesystem_type() == PROC_SUPER_MAGIC {
                return Err(refusal(&path, Refused::Kind("a link of procfs")));
            }
            if !shared::may_follow(&fstat(at).map_err(refused)?, &is, geteuid().as_raw()) {
                return Err(refused(Errno::EACCES));
            }
            let target = readlinkat(&link, c"").map_err(refused)?.into_vec();
            let name = copied_name(&target);
            if name == b"." || target.ends_with(b"/") {
                return Err(refused(Errno::EISDIR));
            }
            let before = target.strip_suffix(name).unwrap_or_default();
            let parent = OsStr::from_bytes(if before.is_empty() { b"." } else { before });
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            let directory = openat(at, parent, flags, Mode::empty()).map_err(refused)?;
            let shown = if before.starts_with(b"/") { before.to_vec() } else { [shown, before].concat() };
            end = Some(Self { directory, name: Some(name.to_vec()), shown });
        }
        let path = OsString::from_vec([shown, name].concat());
        Err(refusal(&path, Errno::ELOOP.into()))
    }
}
