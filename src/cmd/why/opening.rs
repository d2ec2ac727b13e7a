//! What open(2) refuses although modes, ACLs and capabilities allow it, and why the kernel's answer may be another.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, statvfs};

use super::What;
use super::walk::{Walk, path_of};
use crate::out::Name;
use crate::out::fault::errno_text;
use crate::sys::mounts;
use crate::sys::open::read_bounded;
use crate::sys::permission;
use crate::sys::statx::{self, Facts};

/// STATX_ATTR_IMMUTABLE, STATX_ATTR_APPEND.
const IMMUTABLE: u64 = 0x10;
const APPEND: u64 = 0x20;
/// What ids that a namespace or a mount does not map are shown as, unless the node says otherwise.
const OVERFLOW: u32 = 65534;
/// Processes that are asked whether they run a file.
const PROCESSES: usize = 4096;

impl Walk<'_> {
    /// Says why the kernel refuses what was found to be allowed.
    pub fn refused(&mut self, path: &[u8], what: What, errno: Errno) {
        let facts = statx::facts(None, OsStr::from_bytes(path), true).ok();
        let shown = Name::from(path).spelled();
        let is_device = facts.is_some_and(|facts| is_device(&facts));
        let unmapped = facts.and_then(|facts| self.unmapped(path, &facts));
        let Some(last) = self.components.last_mut() else { return };
        last.allowed = false;
        let kernel = errno_text(errno as i32);
        (last.by, last.fix) = match () {
            () if what == What::Write && facts.is_some_and(|facts| facts.attributes & IMMUTABLE != 0) => (
                format!("{kernel}: it is immutable"),
                Some(format!("chattr -i {shown}, by root of the node")),
            ),
            () if errno == Errno::EPERM && is_device => (
                format!("{kernel}: the device cgroup refuses it"),
                Some("give the container the device (--device, a device plugin)".to_owned()),
            ),
            () if unmapped.is_some() => (
                format!("{kernel}: {}; without that: {}", unmapped.unwrap_or_default(), last.by),
                Some(format!(
                    "give {shown} an owner and a group that are mapped, or mount it with an id mapping (idmap)"
                )),
            ),
            () => (
                format!(
                    "the kernel refuses it ({kernel}), although: {}; a security module, or an attribute of the file (chattr)",
                    last.by
                ),
                None,
            ),
        };
    }

    /// That nobody in here owns it: then no capability counts, and on a mount with an id mapping nobody writes to it.
    pub fn unmapped(&self, path: &[u8], facts: &Facts) -> Option<String> {
        let what = match (facts.uid == OVERFLOW, facts.gid == OVERFLOW) {
            (true, true) => "its owner and group are",
            (true, false) => "its owner is",
            (false, true) => "its group is",
            (false, false) => return None,
        };
        // The first namespace maps every id to itself.
        let map = read_bounded(OsStr::new("/proc/self/uid_map"), 16 << 10).unwrap_or_default();
        let words: Vec<&[u8]> = map.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        let by = match () {
            () if self.is_idmapped(path) => "the mount's id mapping",
            () if !words.is_empty() && words != [b"0".as_slice(), b"0", b"4294967295"] => {
                "the user namespace"
            }
            () => return None,
        };
        Some(format!("{what} not mapped by {by} (shown as {OVERFLOW}), so capabilities do not count"))
    }

    /// Whether the mount that a path is on maps ids.
    fn is_idmapped(&self, path: &[u8]) -> bool {
        let mount = mounts::visible(&self.mounts).into_iter().filter(|mount| mount.holds(path));
        let mount = mount.max_by_key(|mount| mount.target.len());
        mount.is_some_and(|mount| mount.options.split(',').any(|option| option == "idmapped"))
    }

    /// What ends in a slash must be a directory.
    pub fn slash(&mut self) {
        let is_directory = self.is_directory;
        let Some(last) = self.components.last_mut().filter(|_| is_directory) else { return };
        if last.r#type != "directory" {
            (last.allowed, last.is_more_than_mode) = (false, true);
            last.by = format!("the path ends in /, and it is no directory, but a {}", last.r#type);
        }
    }

    /// What open(2) looks at besides, of a file that may be opened by its mode.
    pub fn opening(&mut self, path: &[u8], what: What) {
        let Ok(facts) = statx::facts(None, OsStr::from_bytes(path), true) else { return };
        if let Some((by, fix)) = self.objection(path, &facts, what)
            && let Some(last) = self.components.last_mut()
        {
            (last.allowed, last.by, last.fix) = (false, by, fix);
        } else if is_device(&facts)
            && !is_common(&facts)
            && let Some(last) = self.components.last_mut()
        {
            last.by.push_str("; the target's device cgroup may refuse it, which can't be asked from here");
        }
    }

    fn objection(&self, path: &[u8], facts: &Facts, what: What) -> Option<(String, Option<String>)> {
        let kind = facts.mode & libc::S_IFMT;
        let shown = Name::from(path).spelled();
        let is_link = statx::facts(None, OsStr::from_bytes(path), false)
            .is_ok_and(|own| own.mode & libc::S_IFMT == libc::S_IFLNK);
        // Only links of procfs are still there at the end.
        if is_link && (kind == libc::S_IFSOCK || kind == 0) {
            let by = "a socket or the like can't be opened anew (no such device or address): only the process that has it writes to it";
            return Some((by.to_owned(), Some("write to the descriptor, not to its path".to_owned())));
        }
        let flags = statvfs(OsStr::from_bytes(path)).map(|facts| facts.flags()).unwrap_or(FsFlags::empty());
        if is_device(facts) && flags.contains(FsFlags::ST_NODEV) {
            return Some((
                "its mount has nodev: no device is opened there".to_owned(),
                Some(format!("mount it without nodev, or use the device in /dev: mounts {shown}")),
            ));
        }
        if what != What::Write {
            return None;
        }
        if kind == libc::S_IFREG && facts.attributes & APPEND != 0 {
            return Some((
                "it is append-only: only O_APPEND opens it, as >> does".to_owned(),
                Some(format!("append to it, or chattr -a {shown}, by root of the node")),
            ));
        }
        if kind == libc::S_IFREG
            && facts.mode & 0o111 != 0
            && let Some(pid) = runner(facts)
            && write_open(path) == Err(Errno::ETXTBSY)
        {
            return Some((
                format!("text file busy: process {pid} runs it"),
                Some("write a new file and rename it over this one".to_owned()),
            ));
        }
        self.protected(path, facts, kind)
    }

    /// fs.protected_regular and fs.protected_fifos: `may_create_in_sticky()` in fs/namei.c.
    fn protected(&self, path: &[u8], facts: &Facts, kind: u32) -> Option<(String, Option<String>)> {
        let (name, what) = match kind {
            libc::S_IFREG => ("fs.protected_regular", "file"),
            libc::S_IFIFO => ("fs.protected_fifos", "FIFO"),
            _ => return None,
        };
        let directory = statx::facts(None, OsStr::from_bytes(path_of(path)), true).ok()?;
        let is_others = facts.uid != directory.uid && facts.uid != self.subject.uid;
        if directory.mode & libc::S_ISVTX == 0 || !is_others {
            return None;
        }
        let file = format!("/proc/sys/fs/{}", name.trim_start_matches("fs."));
        let level: u32 =
            std::str::from_utf8(&read_bounded(OsStr::new(&file), 64).ok()?).ok()?.trim().parse().ok()?;
        let is_for_group = level >= 2 && directory.mode & 0o020 != 0;
        (level >= 1 && directory.mode & 0o002 != 0 || is_for_group).then(|| {
            (
                format!(
                    "{name}: another user's {what} in a sticky directory is not opened with O_CREAT, as > and fopen do, by nobody; without O_CREAT it is"
                ),
                Some("write a file of its own, or put it into a directory without the sticky bit".to_owned()),
            )
        })
    }

    /// What the kernel refuses although the directory can be written to.
    pub fn making(&mut self, directory: &[u8]) {
        // Its owner is mapped, so this user is where it is the same.
        let is_unsure = self.is_idmapped(directory)
            && statx::facts(None, OsStr::from_bytes(directory), true)
                .is_ok_and(|facts| facts.uid != self.subject.uid);
        let Some(last) = self.components.last_mut() else { return };
        let path = last.path.as_bytes().to_vec();
        let Err(errno) = permission::ask_for_new(OsStr::from_bytes(directory), OsStr::from_bytes(&path))
        else {
            if is_unsure {
                last.by.push_str("; EOVERFLOW where the mount's id mapping has no id for this user, which can't be asked from here");
            }
            return;
        };
        let shown = Name::from(directory).spelled();
        last.allowed = false;
        (last.by, last.fix) = match errno {
            Errno::ENOENT => (
                format!("no such file or directory: {shown} itself was deleted, and takes no names any more"),
                Some("mount it again, from a source that is there; start the container again".to_owned()),
            ),
            Errno::EOVERFLOW => (
                "value too large: the file system or the mount's id mapping has no id for this user or group"
                    .to_owned(),
                Some(format!(
                    "run as a user that is mapped, or mount {shown} with an id mapping that has it"
                )),
            ),
            errno => (
                format!("the kernel refuses it: {}; without that: {}", errno_text(errno as i32), last.by),
                None,
            ),
        };
    }
}

fn is_device(facts: &Facts) -> bool {
    matches!(facts.mode & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK)
}

/// Devices that every runtime gives to every container: null, zero, full, random, urandom; tty, console, ptmx; terminals.
fn is_common(facts: &Facts) -> bool {
    facts.mode & libc::S_IFMT == libc::S_IFCHR
        && matches!(facts.special, (1, 3 | 5 | 7 | 8 | 9) | (5, 0..=2) | (136..=143, _))
}

/// A process that runs a file, as far as this user may see.
fn runner(facts: &Facts) -> Option<String> {
    let pids = std::fs::read_dir("/proc").ok()?.take(PROCESSES).flatten().map(|entry| entry.file_name());
    let device = libc::makedev(facts.device.0, facts.device.1);
    pids.filter_map(|name| name.into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .find(|pid| {
            std::fs::metadata(format!("/proc/{pid}/exe"))
                .is_ok_and(|exe| exe.ino() == facts.inode && exe.dev() == device)
        })
}

/// Opened only where a process runs it: then it fails, and changes nothing.
fn write_open(path: &[u8]) -> nix::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    open(OsStr::from_bytes(path), flags, Mode::empty()).map(drop)
}
