//! A file that the walk has come to, and what is asked of it, each fact once.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, readlinkat};

use super::expression::Clock;
use crate::sys::dir;
use crate::sys::walk::Walk;

/// What is asked of a file at most.
const ALL: u32 = libc::STATX_BASIC_STATS | libc::STATX_BTIME;

/// A file of a walk.
pub struct File<'a> {
    walk: &'a Walk,
    stat: OnceCell<nix::Result<libc::statx>>,
}

impl<'a> File<'a> {
    /// What the walk has come to.
    pub fn new(walk: &'a Walk) -> Self {
        Self { walk, stat: OnceCell::new() }
    }

    /// Its path.
    pub fn path(&self) -> &'a [u8] {
        self.walk.path()
    }

    /// How many directories below the start it is.
    pub fn depth(&self) -> usize {
        self.walk.depth()
    }

    /// Its type, a `DT_*`.
    pub fn kind(&self) -> u8 {
        self.walk.kind()
    }

    /// Its name without directories and without slashes behind it.
    pub fn base(&self) -> &'a [u8] {
        if self.depth() > 0 { self.walk.name() } else { base(self.path()) }
    }

    /// Its name without directories, with the slashes behind it that its path has.
    pub fn base_with_slashes(&self) -> &'a [u8] {
        let (path, base) = (self.path(), self.base());
        let behind = path.iter().rev().take_while(|byte| **byte == b'/').count();
        if base == b"/" { base } else { path.get(path.len() - behind - base.len()..).unwrap_or(base) }
    }

    /// Its facts.
    ///
    /// # Errors
    /// As statx(2).
    pub fn stat(&self) -> nix::Result<&libc::statx> {
        let asked = self.stat.get_or_init(|| {
            let (directory, name) = self.walk.place();
            dir::statx(directory, &name, self.walk.follows(), ALL)
        });
        asked.as_ref().map_err(|errno| *errno)
    }

    /// One of its times, seconds and nanoseconds; none where the file system does not keep it.
    ///
    /// # Errors
    /// As statx(2).
    pub fn time(&self, clock: Clock) -> nix::Result<Option<(i64, u32)>> {
        self.stat().map(|stat| time(stat, clock))
    }

    /// The type of what a link leads to, a `DT_*`.
    ///
    /// # Errors
    /// As statx(2).
    pub fn target_kind(&self) -> nix::Result<u8> {
        if self.kind() != libc::DT_LNK {
            return Ok(self.kind());
        }
        let (directory, name) = self.walk.place();
        dir::stat(directory, &name, true, libc::STATX_TYPE).map(|stat| (stat.mode >> 12) as u8)
    }

    /// What `-xtype` asks: the type of what a link leads to; of a link that is followed anyway its own.
    ///
    /// # Errors
    /// As statx(2).
    pub fn other_kind(&self) -> nix::Result<u8> {
        if !self.walk.follows() {
            return self.target_kind();
        }
        let (directory, name) = self.walk.place();
        dir::stat(directory, &name, false, libc::STATX_TYPE).map(|stat| (stat.mode >> 12) as u8)
    }

    /// Where a link leads; none of what is no link.
    ///
    /// # Errors
    /// As readlinkat(2).
    pub fn target(&self) -> nix::Result<Option<Vec<u8>>> {
        if self.kind() != libc::DT_LNK {
            return Ok(None);
        }
        let (directory, name) = self.walk.place();
        let target = match directory {
            Some(directory) => readlinkat(directory, name.as_c_str()),
            None => readlinkat(AT_FDCWD, name.as_c_str()),
        };
        target.map(|target| Some(target.into_vec()))
    }

    /// Whether access(2) allows something.
    pub fn allows(&self, mode: i32) -> bool {
        let mode = nix::unistd::AccessFlags::from_bits_truncate(mode);
        let (directory, name) = self.walk.place();
        let asked = match directory {
            Some(directory) => nix::unistd::faccessat(directory, name.as_c_str(), mode, AtFlags::empty()),
            None => nix::unistd::faccessat(AT_FDCWD, name.as_c_str(), mode, AtFlags::empty()),
        };
        asked.is_ok()
    }

    /// Whether it is a regular file of no length, or a directory with nothing in it.
    ///
    /// # Errors
    /// Where a directory can't be read.
    pub fn is_empty(&self) -> nix::Result<bool> {
        match self.kind() {
            libc::DT_REG => self.stat().map(|stat| stat.stx_size == 0),
            libc::DT_DIR => {
                use nix::fcntl::OFlag;
                use std::os::fd::AsFd;
                let fd = self.walk.open(OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
                dir::is_empty(fd.as_fd())
            }
            _ => Ok(false),
        }
    }
}

/// One of the times of a file.
pub fn time(stat: &libc::statx, clock: Clock) -> Option<(i64, u32)> {
    let time = match clock {
        Clock::Access => stat.stx_atime,
        Clock::Change => stat.stx_ctime,
        Clock::Modification => stat.stx_mtime,
        Clock::Birth if stat.stx_mask & libc::STATX_BTIME == 0 => return None,
        Clock::Birth => stat.stx_btime,
    };
    Some((time.tv_sec, time.tv_nsec))
}

/// The last part of a path, without slashes behind it; of slashes alone one.
pub fn base(path: &[u8]) -> &[u8] {
    let kept = path.iter().rposition(|byte| *byte != b'/').map_or(1, |at| at + 1).min(path.len());
    let path = &path[..kept];
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) if path.len() > 1 => &path[at + 1..],
        _ => path,
    }
}

/// The facts of a file by its path alone, links followed.
///
/// # Errors
/// As statx(2).
pub fn of_path(path: &OsStr) -> nix::Result<libc::statx> {
    let path = std::ffi::CString::new(path.as_bytes()).map_err(|_| Errno::EINVAL)?;
    dir::statx(None, &path, true, ALL)
}
