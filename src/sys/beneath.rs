//! A tree that is written to by paths from others: whatever they say, and whatever is done to the tree meanwhile,
//! nothing is made or changed outside of it.
//!
//! A path is gone down one component at a time, each opened in the directory before it with O_NOFOLLOW and O_DIRECTORY:
//! there is no link, magic or other, that such an open follows, and `..` is no component here. It is what openat2(2) does
//! for RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, on every kernel, and under a filter that refuses openat2. The way down is
//! kept open, so that a file costs one call.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, fchmod, fstat, futimens, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, LinkatFlags, Uid, UnlinkatFlags, fchown, fchownat, linkat, symlinkat, unlinkat};

use super::kept::{Keep, Kept, Lost};
use super::open::{irreplaceable, special};
use super::random;

/// Directories in one another.
const MAX_DEPTH: usize = 800;

/// Tries to find a name that is free.
const TRIES: u32 = 100;

/// What a file, directory or link is given when it is complete.
#[derive(Debug, Clone, Copy)]
pub struct Attributes {
    /// Permissions.
    pub mode: u32,
    /// Owner; none leaves it to who makes it.
    pub uid: Option<u32>,
    /// Group, in the same way.
    pub gid: Option<u32>,
    /// Modification time, seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds of it.
    pub nanoseconds: u32,
}

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy)]
pub enum Existing {
    /// It stays, and the new one fails with EEXIST.
    Stays,
    /// The new one takes its place.
    Replaced,
    /// The same, and is given this of it.
    Kept(Keep),
}

/// A file that was completed.
#[derive(Debug)]
pub struct Completed {
    /// Its mode.
    pub mode: u32,
    /// What it should have kept of the one before.
    pub lost: Vec<Lost>,
}

/// A directory on the way down.
struct Level {
    name: Vec<u8>,
    fd: OwnedFd,
    /// Given when it is left: of a directory that was made here.
    attributes: Option<Attributes>,
}

/// A tree under a directory.
pub struct Tree {
    root: OwnedFd,
    levels: Vec<Level>,
    random: u64,
    next: u32,
    limit: usize,
    /// Directories whose attributes could not be set when they were left.
    failed: Vec<(Vec<u8>, Errno)>,
}

/// A file that is being written.
pub struct Unfinished {
    /// The file.
    pub file: File,
    under: Under,
}

/// Where a file is that is being written.
enum Under {
    /// It has no name until it is complete, and is gone with the process that writes it.
    Nothing,
    /// Where that can't be had, a name of its own.
    Name(CString),
    /// Its name: it is an existing one, written over.
    InPlace,
}

impl Unfinished {
    /// Whether it is an existing file.
    pub fn is_in_place(&self) -> bool {
        matches!(self.under, Under::InPlace)
    }
}

impl Tree {
    /// The tree under an open directory.
    ///
    /// # Errors
    /// As getrandom(2).
    pub fn new(root: OwnedFd) -> nix::Result<Self> {
        let files = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
            .map_or(256, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX));
        let random = random::number()?;
        let limit = MAX_DEPTH.min(files.saturating_sub(64)).max(8);
        Ok(Self { root, levels: Vec::new(), random, next: 0, limit, failed: Vec::new() })
    }

    /// The directory that it is under.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Makes a directory; one that is there is entered and keeps its attributes.
    ///
    /// # Errors
    /// As mkdirat(2) and openat(2); ELOOP or ENOTDIR where a link or a file is in the way.
    pub fn directory(&mut self, path: &[&[u8]], attributes: Attributes) -> nix::Result<()> {
        let Some((name, parents)) = path.split_last() else { return Ok(()) };
        self.enter(parents, true)?;
        self.down(name, Some(attributes))
    }

    /// A new file in the directory of `path`, readable to nobody else before it is complete.
    ///
    /// # Errors
    /// As [`Tree::directory`] for the directories on the way, and as openat(2).
    pub fn file(&mut self, path: &[&[u8]]) -> nix::Result<Unfinished> {
        self.parent(path)?;
        if let Some(file) = self.unnamed() {
            return Ok(Unfinished { file, under: Under::Nothing });
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        self.under_new_name(|directory, name| openat(directory, name, flags, Mode::from_bits_truncate(0o600)))
            .map(|(fd, name)| Unfinished { file: fd.into(), under: Under::Name(name) })
    }

    /// A file without a name that can be given one. None where the file system has none, or where the kernel, before
    /// 6.10, lets only CAP_DAC_READ_SEARCH name them: the other way leads through /proc, which inside is the container's.
    fn unnamed(&self) -> Option<File> {
        let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let fd = openat(self.here(), c".", flags, Mode::from_bits_truncate(0o600)).ok()?;
        // Nothing can have this name; whether it could have one is checked first.
        let may_name = linkat(&fd, c"", self.here(), c".", AtFlags::AT_EMPTY_PATH) == Err(Errno::EEXIST);
        may_name.then(|| fd.into())
    }

    /// The existing file of this path, to be written over; none for nothing, and for what is no regular file.
    ///
    /// # Errors
    /// As [`Tree::file`]; ELOOP where it is swapped meanwhile.
    pub fn in_place(&mut self, path: &[&[u8]]) -> nix::Result<Option<Unfinished>> {
        self.parent(path)?;
        let name = c_string(path.last().copied().unwrap_or_default())?;
        let open = |flags: OFlag| {
            let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            openat(self.here(), name.as_c_str(), flags, Mode::empty())
        };
        let before = match open(OFlag::O_PATH) {
            Err(Errno::ENOENT) => return Ok(None),
            found => fstat(found?)?,
        };
        if special(&before).is_some() {
            return Ok(None);
        }
        let file = open(OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
        let after = fstat(&file)?;
        if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino) {
            return Err(Errno::ELOOP);
        }
        Ok(Some(Unfinished { file: file.into(), under: Under::InPlace }))
    }

    /// Gives a file its attributes and its name, in place of what has that. What fails leaves nothing behind. A process that
    /// is killed here can leave a file whose name begins with `.nsdbg-`: between two calls where another file is replaced,
    /// else only where files without a name can't be had. A file that was written in place has its name, and time and
    /// attributes of its own; what is given of those is set.
    ///
    /// # Errors
    /// As fchmod(2), fchown(2), futimens(2), linkat(2), renameat(2).
    pub fn complete(
        &mut self,
        unfinished: Unfinished,
        path: &[&[u8]],
        attributes: Attributes,
        existing: Existing,
    ) -> nix::Result<Completed> {
        let Unfinished { file, under } = unfinished;
        let replace = !matches!(existing, Existing::Stays);
        match under {
            Under::Nothing => {
                let completed = self.set_as(file.as_fd(), path, attributes, existing)?;
                self.make(path, replace, |directory, name| {
                    linkat(&file, c"", directory, name, AtFlags::AT_EMPTY_PATH)
                })?;
                Ok(completed)
            }
            Under::Name(name) => {
                let completed = self.set_as(file.as_fd(), path, attributes, existing);
                let named = completed.and_then(|done| self.name(&name, path, replace).map(|()| done));
                if named.is_err() {
                    self.remove(&name);
                }
                named
            }
            Under::InPlace => {
                give(file.as_fd(), attributes)?;
                if !matches!(existing, Existing::Kept(Keep { mode: true, .. })) {
                    fchmod(&file, Mode::from_bits_truncate(attributes.mode & 0o7777))?;
                }
                let mode = fstat(&file)?.st_mode & 0o7777;
                Ok(Completed { mode, lost: Vec::new() })
            }
        }
    }

    /// Sets a new file's attributes, and those that it keeps of the file whose place it takes.
    fn set_as(
        &self,
        file: BorrowedFd,
        path: &[&[u8]],
        attributes: Attributes,
        existing: Existing,
    ) -> nix::Result<Completed> {
        let name = c_string(path.last().copied().unwrap_or_default())?;
        if let Existing::Kept(keep) = existing
            && let Some(kept) = Kept::of(self.here(), &name)?
        {
            let Attributes { mode, uid, gid, .. } = attributes;
            let (mode, lost) = kept.pass_on(file, mode, (uid, gid), keep)?;
            set_time(file, attributes)?;
            return Ok(Completed { mode, lost });
        }
        set(file, attributes)?;
        Ok(Completed { mode: attributes.mode, lost: Vec::new() })
    }

    /// Removes a file that will not be completed.
    pub fn abandon(&mut self, unfinished: Unfinished) {
        if let Under::Name(name) = unfinished.under {
            self.remove(&name);
        }
    }

    /// Makes something under its name or, where another file has that, under a new one that then replaces it.
    fn make(
        &mut self,
        path: &[&[u8]],
        replace: bool,
        mut make: impl FnMut(BorrowedFd, &CStr) -> nix::Result<()>,
    ) -> nix::Result<()> {
        let name = c_string(path.last().copied().unwrap_or_default())?;
        match make(self.here(), &name) {
            Err(Errno::EEXIST) if replace => {}
            made => return made,
        }
        let ((), new) = self.under_new_name(make)?;
        let named = self.name(&new, path, true);
        // Where both are one file already, renaming does nothing.
        self.remove(&new);
        named
    }

    /// Makes a symbolic link. Where it points to is written as it is, and never looked at.
    ///
    /// # Errors
    /// As [`Tree::file`] and symlinkat(2).
    pub fn link(
        &mut self,
        path: &[&[u8]],
        target: &[u8],
        attributes: Attributes,
        replace: bool,
    ) -> nix::Result<()> {
        self.parent(path)?;
        let target = OsStr::from_bytes(target);
        self.make(path, replace, |directory, name| {
            symlinkat(target, directory, name)?;
            set_of_link(directory, name, attributes).inspect_err(|_| {
                let _ = unlinkat(directory, name, UnlinkatFlags::NoRemoveDir);
            })
        })
    }

    /// Makes another name of a file of this tree.
    ///
    /// # Errors
    /// As [`Tree::file`] and linkat(2).
    pub fn hard_link(&mut self, path: &[&[u8]], of: &[&[u8]], replace: bool) -> nix::Result<()> {
        self.enter(of.split_last().ok_or(Errno::EINVAL)?.1, false)?;
        let of_name = c_string(of.last().copied().unwrap_or_default())?;
        let of_directory = self.here().try_clone_to_owned().map_err(|_| Errno::EMFILE)?;
        self.parent(path)?;
        self.make(path, replace, |directory, name| {
            linkat(&of_directory, of_name.as_c_str(), directory, name, LinkatFlags::empty())
        })
    }

    /// Whether there is something by this path, a link counting as itself.
    pub fn exists(&mut self, path: &[&[u8]]) -> bool {
        let Some((name, parents)) = path.split_last() else { return true };
        if self.enter(parents, false).is_err() {
            return false;
        }
        let Ok(name) = c_string(name) else { return false };
        super::dir::stat(Some(self.here()), &name, false, libc::STATX_TYPE).is_ok()
    }

    /// What there is by this path that is never replaced: `a FIFO`.
    pub fn obstacle(&mut self, path: &[&[u8]]) -> Option<&'static str> {
        let (name, parents) = path.split_last()?;
        self.enter(parents, false).ok()?;
        obstacle_at(self.here(), &c_string(name).ok()?).ok()?
    }

    /// Leaves all directories; those that were made are given their attributes. What came of all that were left since
    /// this was last asked.
    pub fn finish(&mut self) -> Vec<(Vec<u8>, Errno)> {
        self.leave(0);
        std::mem::take(&mut self.failed)
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.levels.last().map_or(self.root.as_fd(), |level| level.fd.as_fd())
    }

    fn parent(&mut self, path: &[&[u8]]) -> nix::Result<()> {
        self.enter(path.split_last().ok_or(Errno::EISDIR)?.1, true)
    }

    /// Goes to a directory, by what it has in common with the one before. `make`: those that are missing, as a stream
    /// may leave them out.
    fn enter(&mut self, path: &[&[u8]], make: bool) -> nix::Result<()> {
        let common = self.levels.iter().zip(path).take_while(|(level, name)| level.name == **name).count();
        self.leave(common);
        for name in path.get(common..).unwrap_or_default() {
            match self.down(name, None) {
                Err(Errno::ENOENT) if make => {
                    let c_name = c_string(name)?;
                    mkdirat(self.here(), c_name.as_c_str(), Mode::from_bits_truncate(0o755))?;
                    self.down(name, None)?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Goes down by one name. With attributes the directory is made, if it is not there.
    fn down(&mut self, name: &[u8], attributes: Option<Attributes>) -> nix::Result<()> {
        if self.levels.len() >= self.limit {
            return Err(Errno::ENAMETOOLONG);
        }
        let c_name = c_string(name)?;
        let made = match attributes {
            None => false,
            Some(_) => match mkdirat(self.here(), c_name.as_c_str(), Mode::from_bits_truncate(0o700)) {
                Ok(()) => true,
                Err(Errno::EEXIST) => false,
                Err(errno) => return Err(errno),
            },
        };
        // One that was there may be one that can't be read.
        let how = if made { OFlag::O_RDONLY } else { OFlag::O_PATH };
        let flags = how | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(self.here(), c_name.as_c_str(), flags, Mode::empty())?;
        // Who may write to the directory above can have put another one in its place, which is not given away.
        if made && !super::dir::is_empty(fd.as_fd())? {
            return Err(Errno::ELOOP);
        }
        self.levels.push(Level { name: name.to_vec(), fd, attributes: attributes.filter(|_| made) });
        Ok(())
    }

    fn leave(&mut self, depth: usize) {
        while self.levels.len() > depth {
            let path =
                || self.levels.iter().map(|level| level.name.as_slice()).collect::<Vec<_>>().join(&b'/');
            let Some(level) = self.levels.last() else { return };
            if let Some(attributes) = level.attributes
                && let Err(errno) = set(level.fd.as_fd(), attributes)
                && self.failed.len() < 100
            {
                let failed = (path(), errno);
                self.failed.push(failed);
            }
            self.levels.pop();
        }
    }

    fn under_new_name<T>(
        &mut self,
        mut make: impl FnMut(BorrowedFd, &CStr) -> nix::Result<T>,
    ) -> nix::Result<(T, CString)> {
        for _ in 0..TRIES {
            self.next = self.next.wrapping_add(1);
            let name = c_string(format!(".nsdbg-{:016x}-{}", self.random, self.next).as_bytes())?;
            match make(self.here(), &name) {
                Err(Errno::EEXIST) => {}
                made => return made.map(|made| (made, name)),
            }
        }
        Err(Errno::EEXIST)
    }

    fn name(&self, from: &CString, path: &[&[u8]], replace: bool) -> nix::Result<()> {
        let (from, to) = (from.as_c_str(), c_string(path.last().copied().unwrap_or_default())?);
        if replace {
            // Who may write to the directory could still make one before the next call; it would be that user's own.
            if obstacle_at(self.here(), &to)?.is_some() {
                return Err(Errno::EEXIST);
            }
            return renameat(self.here(), from, self.here(), to.as_c_str());
        }
        linkat(self.here(), from, self.here(), to.as_c_str(), LinkatFlags::empty())?;
        unlinkat(self.here(), from, UnlinkatFlags::NoRemoveDir)
    }

    fn remove(&self, name: &CString) {
        // Where it is gone there is nothing to remove.
        let _ = unlinkat(self.here(), name.as_c_str(), UnlinkatFlags::NoRemoveDir);
    }
}

fn obstacle_at(directory: BorrowedFd, name: &CStr) -> nix::Result<Option<&'static str>> {
    match super::dir::stat(Some(directory), name, false, libc::STATX_TYPE) {
        Err(Errno::ENOENT) => Ok(None),
        stat => Ok(irreplaceable(stat?.mode)),
    }
}

/// The owner before the mode: changing the owner takes setuid and setgid bits away.
fn set(fd: BorrowedFd, attributes: Attributes) -> nix::Result<()> {
    give(fd, attributes)?;
    fchmod(fd, Mode::from_bits_truncate(attributes.mode & 0o7777))?;
    set_time(fd, attributes)
}

fn give(fd: BorrowedFd, Attributes { uid, gid, .. }: Attributes) -> nix::Result<()> {
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    fchown(fd, uid.map(Uid::from_raw), gid.map(Gid::from_raw))
}

fn set_time(fd: BorrowedFd, Attributes { seconds, nanoseconds, .. }: Attributes) -> nix::Result<()> {
    futimens(fd, &TimeSpec::UTIME_OMIT, &TimeSpec::new(seconds, nanoseconds.into()))
}

/// The owner and the time of a link that was made here. Who may write to the directory can have put another file under
/// its name since: that one is not given away.
fn set_of_link(directory: BorrowedFd, name: &CStr, attributes: Attributes) -> nix::Result<()> {
    if attributes.uid.is_some() || attributes.gid.is_some() {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let link = openat(directory, name, flags, Mode::empty())?;
        if fstat(&link)?.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFLNK.bits() {
            return Err(Errno::ELOOP);
        }
        let (uid, gid) = (attributes.uid.map(Uid::from_raw), attributes.gid.map(Gid::from_raw));
        fchownat(&link, c"", uid, gid, AtFlags::AT_EMPTY_PATH)?;
    }
    let time = TimeSpec::new(attributes.seconds, attributes.nanoseconds.into());
    utimensat(directory, name, &TimeSpec::UTIME_OMIT, &time, UtimensatFlags::NoFollowSymlink)
}

/// A name as the kernel takes it. What is no single component is refused: it would lead elsewhere.
fn c_string(name: &[u8]) -> nix::Result<CString> {
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
        return Err(Errno::EINVAL);
    }
    CString::new(name).map_err(|_| Errno::EINVAL)
}

#[cfg(test)]
mod tests;
