//! A walk through a tree of files that may change, or be made to mislead, while it is walked: by descriptors, never through
//! a symbolic link below its start, in memory that does not grow with a directory's entries.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use super::dir::{self, Position, Stat};
use super::shared::Place;

/// Directories in one another; each holds a descriptor and a buffer. Deeper ones are told and not entered.
const MAX_DEPTH: usize = 2000;

/// Descriptors that the process needs beside those of the walk.
const SPARE: usize = 64;

/// Levels with a large buffer, its size, and that of deeper ones.
const LARGE_LEVELS: usize = 16;
const LARGE: usize = 128 << 10;
const SMALL: usize = 16 << 10;

/// What the walk comes to.
pub enum Step {
    /// A file or a directory, which is entered next unless [`Walk::skip`] is called.
    Found,
    /// The directory with this path is done: read, or not to be entered.
    Left,
    /// A directory could not be opened or read to its end. Its path is [`Walk::path`].
    Failed(Errno),
}

/// A directory that is being read.
struct Level {
    fd: OwnedFd,
    buffer: Vec<u8>,
    position: Position,
    /// Where its path ends in the whole one.
    path: usize,
    /// Where its name begins in that.
    name_at: usize,
    /// Both 0 where nobody asks.
    device: u64,
    inode: u64,
}

/// A walk under way. After each [`Walk::step`] the accessors tell of what was found, left, or failed.
pub struct Walk {
    levels: Vec<Level>,
    path: Vec<u8>,
    /// Where the name begins in `path`.
    name_at: usize,
    kind: u8,
    /// What was found is a directory, which the next step enters.
    is_directory: bool,
    skipped: bool,
    started: bool,
    /// A start that leads nowhere is the link itself.
    falls_back: bool,
    /// Links below the start are followed, too.
    follows_links: bool,
    /// What was found is a link that is not followed, since it leads nowhere.
    is_dangling: bool,
    /// It leads back to a directory that it is in.
    is_loop: bool,
    start: Option<Place>,
    follow: bool,
    one_file_system: bool,
    max_depth: usize,
    limit: usize,
    /// Buffers of levels that were left.
    spare: Vec<Vec<u8>>,
}

impl Walk {
    /// A walk from a path: that one first, then what is below it. `follow` goes through a symbolic link at the start, as
    /// all tools do where it ends with a slash; `one_file_system` enters no other mount than the start's.
    pub fn new(start: &OsStr, follow: bool, one_file_system: bool) -> Self {
        let files = open_files();
        Self {
            levels: Vec::new(),
            path: start.as_bytes().to_vec(),
            name_at: 0,
            kind: libc::DT_UNKNOWN,
            is_directory: false,
            skipped: false,
            started: false,
            falls_back: false,
            follows_links: false,
            is_dangling: false,
            is_loop: false,
            start: None,
            follow: follow || start.as_bytes().ends_with(b"/"),
            one_file_system,
            max_depth: usize::MAX,
            limit: MAX_DEPTH.min(files.saturating_sub(SPARE)).max(8),
            spare: Vec::new(),
        }
    }

    /// Starts at this name in this directory, to which the path leads.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.follow = place.follow;
        self.start = Some(place);
        self
    }

    /// Takes a start that is a link and leads nowhere for the link itself, as find does.
    #[must_use]
    pub fn falls_back(mut self) -> Self {
        self.falls_back = true;
        self
    }

    /// Follows every link. One that leads nowhere is found as a link; one to a directory that it is in fails with ELOOP, and
    /// [`Walk::is_loop`] tells it from other failures.
    #[must_use]
    pub fn follow_links(mut self) -> Self {
        (self.follow, self.follows_links) = (true, true);
        self
    }

    /// Whether every link is followed.
    pub fn follows_links(&self) -> bool {
        self.follows_links
    }

    /// Whether what failed leads back to a directory that it is in.
    pub fn is_loop(&self) -> bool {
        self.is_loop
    }

    /// Enters no directory at this depth; the start's is 0.
    #[must_use]
    pub fn max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth;
        self
    }

    /// The path of what was found, beginning as the start was given.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Its name alone; of the start its path.
    pub fn name(&self) -> &[u8] {
        self.path.get(self.name_at..).unwrap_or_default()
    }

    /// How many directories below the start it is.
    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Its type, a `DT_*`, as the directory says; `DT_UNKNOWN` where it does not.
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// The directory that it is in, and its name there: for system calls that take both. Of the start, unless it was
    /// given a place, none and its path.
    pub fn place(&self) -> (Option<BorrowedFd<'_>>, CString) {
        if let (Some(start), true) = (&self.start, self.levels.is_empty()) {
            return (Some(start.directory.as_fd()), start.name.clone());
        }
        // A path that a caller gave may hold no NUL, and a name of the kernel's has none.
        (self.levels.last().map(|level| level.fd.as_fd()), CString::new(self.name()).unwrap_or_default())
    }

    /// All facts, as [`Walk::stat`].
    ///
    /// # Errors
    /// As statx(2).
    pub fn statx(&self, mask: u32) -> nix::Result<libc::statx> {
        let (directory, name) = self.place();
        dir::statx(directory, &name, self.follows(), mask)
    }

    /// Its facts, of a link itself unless it is the start and the walk follows that.
    ///
    /// # Errors
    /// As statx(2).
    pub fn stat(&self, mask: u32) -> nix::Result<Stat> {
        let (directory, name) = self.place();
        dir::stat(directory, &name, self.follows(), mask)
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.is_directory
    }

    /// Whether a device is another one than the start's.
    pub fn is_on_another(&self, device: u64) -> bool {
        self.levels.first().is_some_and(|first| first.device != device)
    }

    /// Whether what was found is followed where it is a symbolic link: the start, where that was asked for, or every link.
    pub fn follows(&self) -> bool {
        self.follow && (self.levels.is_empty() || self.follows_links) && !self.is_dangling
    }

    /// Opens what was found; a symbolic link is refused below the start.
    ///
    /// # Errors
    /// As openat(2); ELOOP for a link.
    pub fn open(&self, flags: OFlag) -> nix::Result<OwnedFd> {
        let (directory, name) = self.place();
        open(directory, &name, flags, self.follows())
    }

    /// Does not enter the directory that was just found.
    pub fn skip(&mut self) {
        self.skipped = true;
    }

    /// Goes on; none at the end. Each directory that is found is followed, after what is in it, by one step that says it
    /// was left or failed.
    pub fn step(&mut self) -> Option<Step> {
        if !self.started {
            self.started = true;
            let mut facts = self.stat(libc::STATX_TYPE);
            if self.falls_back && self.follow && facts == Err(Errno::ENOENT) {
                self.follow = false;
                facts = self.stat(libc::STATX_TYPE);
            }
            let facts = match facts {
                Ok(facts) => facts,
                Err(errno) => return Some(Step::Failed(errno)),
            };
            return Some(self.found((facts.mode >> 12) as u8));
        }
        if std::mem::take(&mut self.is_directory) {
            match self.enter() {
                Ok(true) => {}
                Ok(false) => return Some(Step::Left),
                Err(errno) => return Some(Step::Failed(errno)),
            }
        }
        self.next_entry()
    }

    fn found(&mut self, kind: u8) -> Step {
        self.kind = kind;
        self.is_directory = kind == libc::DT_DIR;
        self.skipped = false;
        Step::Found
    }

    /// Enters the directory that was found. False where it is not to be entered.
    fn enter(&mut self) -> nix::Result<bool> {
        if self.skipped || self.depth() >= self.max_depth {
            return Ok(false);
        }
        if self.levels.len() >= self.limit {
            return Err(Errno::EMFILE);
        }
        let fd = self.open(OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let (mut device, mut inode) = (0, 0);
        if self.one_file_system || self.follows_links {
            let facts = nix::sys::stat::fstat(&fd)?;
            (device, inode) = (facts.st_dev, facts.st_ino);
        }
        if self.one_file_system && self.levels.first().is_some_and(|first| first.device != device) {
            return Ok(false);
        }
        // The first levels are read in large pieces; deep ones are many. A buffer that served before is in the
        // processor's cache, and its pages are there.
        let is_large = self.levels.len() < LARGE_LEVELS;
        let buffer = self.spare.pop().filter(|buffer| (buffer.len() == LARGE) == is_large);
        let buffer = buffer.unwrap_or_else(|| vec![0; if is_large { LARGE } else { SMALL }]);
        let position = Position::default();
        self.levels.push(Level {
            fd,
            buffer,
            position,
            path: self.path.len(),
            name_at: self.name_at,
            device,
            inode,
        });
        Ok(true)
    }

    fn next_entry(&mut self) -> Option<Step> {
        loop {
            (self.is_dangling, self.is_loop) = (false, false);
            let level = self.levels.last_mut()?;
            self.path.truncate(level.path);
            match level.position.next(level.fd.as_fd(), &mut level.buffer) {
                Ok(Some(entry)) if matches!(entry.name.to_bytes(), b"." | b"..") => {}
                Ok(Some(entry)) => {
                    if !self.path.ends_with(b"/") {
                        self.path.push(b'/');
                    }
                    self.name_at = self.path.len();
                    self.path.extend_from_slice(entry.name.to_bytes());
                    let kind = match entry.kind {
                        libc::DT_UNKNOWN => {
                            self.stat(libc::STATX_TYPE).map_or(0, |facts| (facts.mode >> 12) as u8)
                        }
                        kind => kind,
                    };
                    return Some(if self.follows_links && matches!(kind, libc::DT_LNK | libc::DT_DIR) {
                        self.followed()
                    } else {
                        self.found(kind)
                    });
                }
                ended => {
                    let step = ended.map_or_else(Step::Failed, |_| Step::Left);
                    (self.name_at, self.kind) = (level.name_at, libc::DT_DIR);
                    if let Some(level) = self.levels.pop() {
                        self.spare.push(level.buffer);
                    }
                    return Some(step);
                }
            }
        }
    }
}

impl Walk {
    /// What a link leads to, and a directory unless it is one above itself.
    fn followed(&mut self) -> Step {
        match self.stat(libc::STATX_TYPE | libc::STATX_INO) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => {
                self.is_dangling = true;
                self.found(libc::DT_LNK)
            }
            Err(errno) => self.failed(errno),
            Ok(facts) => {
                let kind = (facts.mode >> 12) as u8;
                let is_it = |level: &Level| (level.device, level.inode) == (facts.on_device, facts.inode);
                if kind == libc::DT_DIR && self.levels.iter().any(is_it) {
                    self.is_loop = true;
                    return self.failed(Errno::ELOOP);
                }
                self.found(kind)
            }
        }
    }

    fn failed(&mut self, errno: Errno) -> Step {
        self.found(libc::DT_LNK);
        Step::Failed(errno)
    }
}

/// How many files this process may hold open; as many as a deep walk takes, where it may raise that.
fn open_files() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 256 };
    let wanted = ((MAX_DEPTH + SPARE) as u64).min(hard);
    let has =
        if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() { wanted } else { soft };
    usize::try_from(has).unwrap_or(usize::MAX)
}

/// Opens a file by its name in a directory, never through a link unless `follow`.
///
/// # Errors
/// As openat(2).
pub fn open(directory: Option<BorrowedFd>, name: &CStr, flags: OFlag, follow: bool) -> nix::Result<OwnedFd> {
    let mut flags = flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    flags.set(OFlag::O_NOFOLLOW, !follow);
    match directory {
        Some(directory) => openat(directory, name, flags, Mode::empty()),
        None => openat(AT_FDCWD, name, flags, Mode::empty()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> std::path::PathBuf {
        let root = std::env::temp_dir().join(format!("nsdbg-walk-{}", std::process::id()));
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::write(root.join("a/b/file"), "x").unwrap();
        symlink("..", root.join("a/up")).unwrap();
        symlink("a", root.join("link")).unwrap();
        root
    }

    fn steps(mut walk: Walk, root: &std::path::Path, skip: &str) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(step) = walk.step() {
            let path = String::from_utf8_lossy(walk.path()).replace(root.to_str().unwrap(), "");
            let depth = walk.depth();
            all.push(match step {
                Step::Found => {
                    if walk.name() == skip.as_bytes() {
                        walk.skip();
                    }
                    format!("{depth} {path}")
                }
                Step::Left => format!("left {path}"),
                Step::Failed(errno) => format!("{errno} {path}"),
            });
        }
        all
    }

    #[test]
    fn links_are_found_and_not_followed() {
        let root = tree();
        let mut all = steps(Walk::new(root.as_os_str(), false, false), &root, "");
        assert_eq!((all[0].as_str(), all[all.len() - 1].as_str()), ("0 ", "left "));
        all.sort();
        let wanted = [
            "0 ",
            "1 /a",
            "1 /link",
            "2 /a/b",
            "2 /a/up",
            "3 /a/b/c",
            "3 /a/b/file",
            "left ",
            "left /a",
            "left /a/b",
            "left /a/b/c",
        ];
        assert_eq!(all, wanted);
        let mut all = steps(Walk::new(root.as_os_str(), false, false).max_depth(2), &root, "");
        all.sort();
        assert_eq!(all, ["0 ", "1 /a", "1 /link", "2 /a/b", "2 /a/up", "left ", "left /a", "left /a/b"]);
        let mut all = steps(Walk::new(root.as_os_str(), true, true), &root, "a");
        all.sort();
        assert_eq!(all, ["0 ", "1 /a", "1 /link", "left ", "left /a"]);
        let link = root.join("link");
        assert_eq!(steps(Walk::new(link.as_os_str(), false, false), &link, ""), ["0 "]);
        assert_eq!(steps(Walk::new(link.as_os_str(), true, false), &link, "b").len(), 5);
        let gone = root.join("gone");
        assert_eq!(
            steps(Walk::new(gone.as_os_str(), true, false), &gone, ""),
            ["ENOENT: No such file or directory "]
        );
        fs::remove_dir_all(root).unwrap();
    }
}
