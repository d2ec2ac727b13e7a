//! Paths of the node that an operator names, where a container may have had its hand: what it can write to as well as the
//! node, through a mount of its own, can hold links that lead anywhere on the node. In such a directory none is followed.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlink, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::mounts::{self, Mount};
use super::open::{Refused, is_null, read_limited, special};

/// Why a path is refused.
const LINK: &str = "a link in a directory that the container shares is not followed";

/// The operator is root.
const OPERATOR: u32 = 0;

/// Links on the way, as many as the kernel follows.
const MAX_LINKS: usize = 40;

/// Tries to open what is swapped all the time.
const TRIES: usize = 8;

/// What a container shares with the node.
pub struct Shared {
    own: Vec<Mount>,
    /// None where they are not known: then all is shared.
    theirs: Option<Vec<Mount>>,
}

impl Shared {
    /// By the container's mountinfo, and by that of this process, which is in the node's mount namespace.
    pub fn of(theirs: Option<&[u8]>) -> Self {
        let own = File::open("/proc/self/mountinfo")
            .and_then(|file| read_limited(file, mounts::LIMIT))
            .map(|text| mounts::parse(&text));
        Self::new(own.unwrap_or_default(), theirs.map(mounts::parse))
    }

    fn new(own: Vec<Mount>, theirs: Option<Vec<Mount>>) -> Self {
        let root = |mounts: &[Mount]| {
            let root = mounts.iter().rfind(|mount| mount.target == b"/");
            root.map(|mount| (mount.device, mount.root.clone()))
        };
        let theirs = match theirs {
            // Who has the node's root for its own is no container.
            Some(theirs) if root(&theirs).is_some_and(|root_| Some(root_) == root(&own)) => Some(Vec::new()),
            theirs => theirs,
        };
        Self { own, theirs }
    }

    /// Whether the container can write what is in a directory. One whose place is not known counts as shared: that of a
    /// mount in another mount namespace.
    fn holds(&self, directory: BorrowedFd) -> bool {
        let Some((device, path)) = self.place(directory) else { return true };
        let Some(theirs) = &self.theirs else { return true };
        theirs.iter().any(|mount| {
            mount.device == device && !mount.is_read_only() && is_at_or_below(&path, &mount.root)
        })
    }

    /// The file system that a directory is on, and its path there.
    fn place(&self, directory: BorrowedFd) -> Option<((u32, u32), Vec<u8>)> {
        let number = directory.as_raw_fd();
        let facts = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
        let id = facts.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse::<u32>().ok())?;
        let mount = self.own.iter().find(|mount| mount.id == id)?;
        let path = readlink(format!("/proc/self/fd/{number}").as_str()).ok()?.into_vec();
        let target = if mount.target == b"/" { &b""[..] } else { &mount.target };
        let below = path.strip_prefix(target).filter(|rest| rest.is_empty() || rest.starts_with(b"/"))?;
        let root = if mount.root == b"/" { &b""[..] } else { &mount.root };
        Some((mount.device, [root, below].concat()))
    }
}

fn is_at_or_below(path: &[u8], root: &[u8]) -> bool {
    let root = if root == b"/" { b"" } else { root };
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Where a path leads: a name in a directory, where there may be something.
pub struct Place {
    /// The directory.
    pub directory: OwnedFd,
    /// The name, `.` for the directory itself.
    pub name: CString,
    /// It is a link of procfs, which names no path: the kernel follows it.
    pub follow: bool,
}

impl Place {
    /// Opens what is there. What has become a link since is not followed.
    ///
    /// # Errors
    /// As openat(2); ELOOP for a link.
    pub fn open(&self, flags: OFlag) -> nix::Result<OwnedFd> {
        let mut flags = flags | OFlag::O_CLOEXEC;
        flags.set(OFlag::O_NOFOLLOW, !self.follow);
        openat(&self.directory, self.name.as_c_str(), flags, Mode::from_bits_truncate(0o644))
    }
}

/// Follows a path down to its last name. `follow`: that one, too, where it is a link.
///
/// # Errors
/// [`Refused::Kind`] for a link in a shared directory; as path_resolution(7).
pub fn resolve(path: &OsStr, follow: bool, shared: &Shared) -> Result<Place, Refused> {
    let bytes = path.as_bytes();
    if bytes.is_empty() {
        return Err(Errno::ENOENT.into());
    }
    let follow = follow || bytes.ends_with(b"/");
    let mut directory = start(bytes)?;
    let mut rest: VecDeque<Vec<u8>> = parts(bytes);
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        let is_last = rest.is_empty();
        let name = CString::new(part).map_err(|_| Errno::EINVAL)?;
        let at = |flags: OFlag| openat(&directory, name.as_c_str(), flags | OFlag::O_CLOEXEC, Mode::empty());
        let place = |directory, follow| Ok(Place { directory, name: name.clone(), follow });
        let found = match at(OFlag::O_PATH | OFlag::O_NOFOLLOW) {
            Err(Errno::ENOENT) if is_last => return place(directory, false),
            found => found?,
        };
        if !is_link(&fstat(&found)?) {
            if is_last && name.as_bytes() != b".." {
                return place(directory, false);
            }
            directory = found;
            continue;
        }
        if is_last && !follow {
            return place(directory, false);
        }
        if shared.holds(directory.as_fd()) {
            return Err(Refused::Kind(LINK));
        }
        if !may_follow(&fstat(&directory)?, &fstat(&found)?, OPERATOR) {
            return Err(Errno::EACCES.into());
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::ELOOP.into());
        }
        if fstatfs(&directory)?.filesystem_type() == PROC_SUPER_MAGIC {
            if is_last {
                return place(directory, true);
            }
            directory = at(OFlag::O_PATH | OFlag::O_DIRECTORY)?;
            continue;
        }
        let target = readlinkat(&found, c"")?.into_vec();
        if target.starts_with(b"/") {
            directory = start(&target)?;
        }
        let mut before = parts(&target);
        before.append(&mut rest);
        rest = before;
    }
    Ok(Place { directory, name: c".".to_owned(), follow: false })
}

/// Where a path begins.
fn start(path: &[u8]) -> nix::Result<OwnedFd> {
    let start: &CStr = if path.starts_with(b"/") { c"/" } else { c"." };
    openat(AT_FDCWD, start, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

fn parts(path: &[u8]) -> VecDeque<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.map(<[u8]>::to_vec).collect()
}

/// Whether the kernel follows a link for this user with fs.protected_symlinks, of proc(5): in a directory like /tmp only
/// the user's own, and those of the directory's owner. Who follows by readlink(2) is not asked. The rule of
/// fs.protected_regular for files is the same.
pub fn may_follow(directory: &FileStat, link: &FileStat, user: u32) -> bool {
    let is_like_tmp = directory.st_mode & 0o1002 == 0o1002;
    !is_like_tmp || link.st_uid == directory.st_uid || link.st_uid == user
}

fn is_link(stat: &FileStat) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits()
}

/// Opens a regular file of the node for reading, as [`super::open::regular`].
///
/// # Errors
/// As that, and as [`resolve`].
pub fn regular(path: &OsStr, shared: &Shared) -> Result<File, Refused> {
    let place = resolve(path, true, shared)?;
    let (fd, _) = open_same(&place, OFlag::O_RDONLY, |stat| special(stat).is_none())?;
    Ok(fd.into())
}

/// Opens a file of the node for writing, made or emptied, or to be written at its end. /dev/null is the one device that
/// is; a FIFO or another device is refused.
///
/// # Errors
/// As [`regular`].
pub fn to_write(path: &OsStr, append: bool, shared: &Shared) -> Result<File, Refused> {
    let place = resolve(path, true, shared)?;
    let how = if append { OFlag::O_WRONLY | OFlag::O_APPEND } else { OFlag::O_WRONLY };
    for _ in 0..TRIES {
        match open_same(&place, how, |stat| special(stat).is_none() || is_null(stat)) {
            Ok((fd, stat)) => {
                let file = File::from(fd);
                if !append && special(&stat).is_none() {
                    file.set_len(0).map_err(Refused::Io)?;
                }
                return Ok(file);
            }
            Err(Refused::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(refused) => return Err(refused),
        }
        match place.open(how | OFlag::O_CREAT | OFlag::O_EXCL) {
            Err(Errno::EEXIST) => {}
            made => return Ok(made?.into()),
        }
    }
    Err(Refused::Kind("a file that is swapped all the time"))
}

/// Opens what is there without blocking, where it is of a kind that is wanted, and still the same when it is open: what
/// could act when it is opened is looked at first.
fn open_same(
    place: &Place,
    flags: OFlag,
    is_wanted: impl Fn(&FileStat) -> bool,
) -> Result<(OwnedFd, FileStat), Refused> {
    let before = fstat(place.open(OFlag::O_PATH)?)?;
    if is_link(&before) {
        return Err(Refused::Kind(LINK));
    }
    if !is_wanted(&before) {
        return Err(Refused::Kind(special(&before).unwrap_or("not a file")));
    }
    let fd = place.open(flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
    let after = fstat(&fd)?;
    if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino) {
        return Err(Refused::Kind(special(&after).unwrap_or("a file that was swapped while it was opened")));
    }
    Ok((fd, after))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Mounts of the node, and of a container that has `/srv/x` of the first file system, one of them read-only.
    fn shared() -> Shared {
        let own = mounts::parse(b"20 1 8:1 / / rw - ext4 a rw\n21 20 8:2 /sub /mnt/data rw - ext4 b rw\n");
        let theirs = mounts::parse(
            b"30 1 0:50 / / rw - overlay o rw\n31 30 8:1 /srv/x /x rw - ext4 a rw\n\
              32 30 8:1 /srv/ro /ro ro - ext4 a rw\n33 30 8:2 / /data rw - ext4 b rw\n",
        );
        Shared::new(own, Some(theirs))
    }

    #[test]
    fn what_is_below_a_mount_of_the_container_is_shared() {
        let theirs = shared().theirs.unwrap();
        let holds = |device, path: &[u8]| {
            theirs.iter().any(|mount| {
                mount.device == device && !mount.is_read_only() && is_at_or_below(path, &mount.root)
            })
        };
        for (device, path, is_shared) in [
            ((8, 1), &b"/srv/x"[..], true),
            ((8, 1), b"/srv/x/y", true),
            ((8, 1), b"/srv/xy", false),
            ((8, 1), b"/srv", false),
            ((8, 1), b"", false),
            ((8, 1), b"/srv/ro/y", false),
            ((8, 2), b"", true),
            ((8, 2), b"/sub/a", true),
            ((8, 3), b"/srv/x", false),
        ] {
            assert_eq!(holds(device, path), is_shared, "{device:?} {}", path.escape_ascii());
        }
        // The node's own root, and one that is not known.
        let own = || mounts::parse(b"20 1 8:1 / / rw - ext4 a rw\n");
        assert!(Shared::new(own(), Some(own())).theirs.unwrap().is_empty());
        assert!(Shared::new(own(), None).theirs.is_none());
    }

    #[test]
    fn a_path_is_followed_as_the_kernel_does() {
        let at = std::env::temp_dir().join(format!("nsdbg-test-shared-{}", std::process::id()));
        std::fs::create_dir_all(at.join("d/e")).unwrap();
        std::fs::write(at.join("d/f"), "").unwrap();
        for (name, target) in
            [("to-d", "d"), ("up", "d/e/../.."), ("loop", "loop"), ("to-f", "to-d/f"), ("new", "d/no")]
        {
            symlink(target, at.join(name)).unwrap();
        }
        symlink(at.join("d"), at.join("absolute")).unwrap();
        // Nothing is shared.
        let free = Shared::new(Shared::of(None).own, Some(Vec::new()));
        let all = Shared::of(None);
        let inode = |fd: OwnedFd| fstat(&fd).map(|stat| (stat.st_dev, stat.st_ino)).unwrap();
        for path in [
            "d",
            "d/",
            "to-d",
            "to-d/e",
            "to-d/",
            "up",
            "up/d/f",
            "to-f",
            "absolute/f",
            "d/..",
            ".",
            "d/./e/",
        ] {
            let path = at.join(path);
            let place = resolve(path.as_os_str(), true, &free).unwrap();
            let wanted = openat(AT_FDCWD, &path, OFlag::O_PATH, Mode::empty()).unwrap();
            assert_eq!(inode(place.open(OFlag::O_PATH).unwrap()), inode(wanted), "{path:?}");
        }
        for (path, name) in [("d/no", "no"), ("new", "no"), ("to-d/no", "no")] {
            let place = resolve(at.join(path).as_os_str(), true, &free).unwrap();
            assert_eq!(place.name.to_str(), Ok(name));
            assert_eq!(place.open(OFlag::O_PATH).unwrap_err(), Errno::ENOENT);
        }
        for path in ["loop", "d/f/x", "no/x", ""] {
            let path = if path.is_empty() { path.into() } else { at.join(path) };
            assert!(matches!(resolve(path.as_os_str(), true, &free), Err(Refused::Io(_))), "{path:?}");
        }
        for path in ["to-d", "to-f", "absolute/f", "up/d", "new", "to-d/"] {
            let resolved = resolve(at.join(path).as_os_str(), true, &all);
            assert!(matches!(resolved, Err(Refused::Kind(LINK))), "{path}");
        }
        assert!(resolve(at.join("to-d").as_os_str(), false, &all).is_ok());
        assert!(resolve(at.join("d/f").as_os_str(), true, &all).is_ok());
        std::fs::remove_dir_all(at).unwrap();
    }
}
