//! The walk along a path, and what decides at each component.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::AccessFlags;

use super::{Component, What};
use crate::cmd::{Context, Fault, Result};
use crate::out::Name;
use crate::out::fault::errno_text;
use crate::sys::mounts::{self, Mount};
use crate::sys::passwd::Users;
use crate::sys::permission::{self, Acl, EXECUTE, Object, Subject, WRITE};
use crate::sys::statx::{self, Facts, kind_name, mode_text};

/// As in path_resolution(7).
const MAX_LINKS: usize = 40;
const MAX_PATH: usize = 1 << 16;

/// Where a walk ended.
enum End {
    /// At this file.
    File(Vec<u8>),
    /// Before it.
    Before,
    /// In this directory, which has no such file.
    New(Vec<u8>),
}

pub struct Walk<'a> {
    pub users: &'a Users,
    pub subject: Subject,
    /// What was found.
    pub components: Vec<Component>,
    /// Directories that let through, each told once.
    told: Vec<Vec<u8>>,
    /// What is walked to is started for another file: a directory is as wrong as a device.
    pub is_interpreter: bool,
    /// The target's mounts, and its PID, as it counts itself.
    pub mounts: Vec<Mount>,
    target: Option<i32>,
    /// Whether the path went through /proc/self, which is another one for this process.
    is_the_targets: bool,
    /// Whether the last link was one of procfs to what a process has open: it is followed, whatever it reads.
    is_magic: bool,
    /// Whether the path ends in a slash.
    pub is_directory: bool,
}

impl<'a> Walk<'a> {
    pub fn new(cx: &'a Context) -> Self {
        Self {
            users: cx.users(),
            subject: Subject::own(),
            components: Vec::new(),
            told: Vec::new(),
            is_interpreter: false,
            mounts: cx.mounts.as_deref().map(mounts::parse).unwrap_or_default(),
            target: cx.target_inside,
            is_the_targets: false,
            is_magic: false,
            is_directory: false,
        }
    }

    /// Walks to a path, and asks the kernel; the path without links where it is allowed.
    pub fn judge(&mut self, path: &OsStr, what: What) -> Result<Option<Vec<u8>>> {
        let end = self.walk(path, what)?;
        // What the kernel says counts, whatever was found above.
        let asked = match &end {
            End::File(resolved) if self.is_the_targets => {
                permission::ask(OsStr::from_bytes(resolved), what.flag())
            }
            End::Before if self.is_the_targets => return Ok(None),
            End::File(_) | End::Before => permission::ask(path, what.flag()),
            End::New(directory) => {
                permission::ask(OsStr::from_bytes(directory), AccessFlags::W_OK | AccessFlags::X_OK)
            }
        };
        let Some(last) = self.components.last_mut() else { return Ok(None) };
        match asked {
            // access(2) asks for the mode of what can't be opened or started alone.
            Ok(()) if !last.allowed && !last.is_more_than_mode => {
                last.allowed = true;
                last.by = format!("the kernel allows it, although: {}", last.by);
            }
            Err(errno) if last.allowed => match &end {
                End::File(path) | End::New(path) => self.refused(&path.clone(), what, errno),
                End::Before => {}
            },
            _ => {}
        }
        let is_allowed = |walk: &Self| walk.components.last().is_some_and(|last| last.allowed);
        if is_allowed(self) {
            match &end {
                End::File(path) => self.opening(path, what),
                End::New(directory) => self.making(directory),
                End::Before => {}
            }
        }
        match end {
            End::File(path) if is_allowed(self) => Ok(Some(path)),
            _ => Ok(None),
        }
    }

    /// Goes through the path as path_resolution(7) says, and tells what each component needs.
    fn walk(&mut self, path: &OsStr, what: What) -> Result<End> {
        if path.is_empty() {
            return Err(Fault::errno("walk", path, Errno::ENOENT));
        }
        let mut whole = Vec::new();
        if !path.as_bytes().starts_with(b"/") {
            let cwd = nix::unistd::getcwd().map_err(|errno| Fault::of("getcwd", errno))?;
            whole = cwd.into_os_string().into_vec();
            whole.truncate(if whole == b"/" { 0 } else { whole.len() });
        }
        let mut rest = parts(path.as_bytes());
        self.is_directory = path.as_bytes().ends_with(b"/") && !rest.is_empty();
        self.is_magic = false;
        let mut links = 0;
        loop {
            let here = if whole.is_empty() { b"/".to_vec() } else { whole.clone() };
            let Some(part) = rest.pop_front() else {
                return Ok(self.last(&here, what));
            };
            // A directory that was told already lets through.
            if !self.told.contains(&here) {
                self.told.push(here.clone());
                if !self.component(&here, "search", EXECUTE) {
                    return Ok(End::Before);
                }
            }
            match part.as_slice() {
                b"." => continue,
                b".." => {
                    whole.truncate(whole.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let parent = whole.len();
            whole.push(b'/');
            whole.extend_from_slice(&part);
            if whole.len() > MAX_PATH {
                return Err(Fault::errno("walk", path, Errno::ENAMETOOLONG));
            }
            self.is_magic = false;
            match self.read_link(&whole, &here) {
                Ok(target) => {
                    links += 1;
                    if !self.link(&whole, &target, links > MAX_LINKS) {
                        return Ok(End::Before);
                    }
                    // What it reads is a name for people; the kernel goes to what is open.
                    if self.is_magic {
                        continue;
                    }
                    self.is_directory |= rest.is_empty() && target.ends_with(b"/");
                    whole.truncate(if target.starts_with(b"/") { 0 } else { parent });
                    let mut before = parts(&target);
                    before.append(&mut rest);
                    rest = before;
                }
                Err(Errno::ENOENT) if rest.is_empty() && what == What::Write => {
                    return Ok(self.new_file(&whole, &here));
                }
                Err(Errno::ENOENT) => {
                    self.missing(&whole, "it is not there");
                    return Ok(End::Before);
                }
                Err(Errno::EACCES) if process(&here).is_some() => {
                    let why = "this process of nsdbg may not look at it: another user's process, one that is not \
                               dumpable, or Yama; the process itself may";
                    self.missing(&whole, why);
                    return Ok(End::Before);
                }
                // It is there, and no link; or it can't be told, which the next round tells.
                Err(_) => {}
            }
        }
    }

    /// Where a link leads for the target, which has another /proc/self.
    fn read_link(&mut self, path: &[u8], directory: &[u8]) -> nix::Result<Vec<u8>> {
        let target = nix::fcntl::readlink(OsStr::from_bytes(path))?.into_vec();
        if !is_procfs(directory) {
            return Ok(target);
        }
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        match (name, self.target) {
            (b"self", Some(pid)) if process(directory).is_none() => {
                self.is_the_targets = true;
                Ok(pid.to_string().into_bytes())
            }
            (b"thread-self", Some(pid)) if process(directory).is_none() => {
                self.is_the_targets = true;
                Ok(format!("{pid}/task/{pid}").into_bytes())
            }
            _ => {
                self.is_magic = process(directory).is_some();
                Ok(target)
            }
        }
    }

    /// A component that is needed for something; whether it lets that be done.
    fn component(&mut self, path: &[u8], needs: &'static str, want: u16) -> bool {
        let facts = match statx::facts(None, OsStr::from_bytes(path), true) {
            Ok(facts) => facts,
            Err(errno) => {
                self.missing(path, &errno_text(errno as i32));
                return false;
            }
        };
        if needs == "search" && facts.mode & libc::S_IFMT != libc::S_IFDIR {
            let mut row = self.row(path, &facts, needs);
            row.by = format!("it is no directory, but a {}", kind_name(facts.mode, 1));
            self.components.push(row);
            return false;
        }
        let object = object(path, &facts);
        let (allowed, by) = permission::decide(&self.subject, &object, want);
        let mut row = self.row(path, &facts, needs);
        (row.allowed, row.by) = (allowed, self.words(by, &object));
        if !allowed {
            row.fix = Some(if self.is_magic && needs != "search" {
                format!(
                    "have the program use the descriptor that it has, not its path; or, as root before it becomes this user, chown {} {}",
                    self.subject.uid,
                    Name::from(path).spelled()
                )
            } else {
                self.fix(path, &object, needs, by)
            });
            if let Some(cause) = self.unmapped(path, &facts) {
                row.by = format!("{}; {cause}", row.by);
            }
        }
        self.components.push(row);
        // Of what is only passed nobody else asks the kernel.
        if allowed
            && needs == "search"
            && let Err(errno) = permission::ask(OsStr::from_bytes(path), AccessFlags::X_OK)
        {
            self.refused(path, What::Exec, errno);
            return false;
        }
        allowed
    }

    fn last(&mut self, path: &[u8], what: What) -> End {
        let needs = match what {
            What::Read => "read",
            What::Write => "write",
            What::Exec => "exec",
        };
        if self.component(path, needs, what.bit()) {
            self.slash();
            self.mounted(path, what);
            if what == What::Exec {
                self.only_regular();
            }
        }
        End::File(path.to_vec())
    }

    /// execve(2) starts nothing else, whatever its mode; a directory is gone through.
    fn only_regular(&mut self) {
        let is_interpreter = self.is_interpreter;
        let Some(row) = self.components.last_mut() else { return };
        if !row.r#type.starts_with("regular") && (row.r#type != "directory" || is_interpreter) {
            (row.allowed, row.is_more_than_mode) = (false, true);
            row.by = format!("only a regular file can be started, and it is a {}", row.r#type);
        }
    }

    /// What the mount of an allowed last component refuses.
    fn mounted(&mut self, path: &[u8], what: What) {
        let Some(row) = self.components.last_mut() else { return };
        let Ok(facts) = statvfs(OsStr::from_bytes(path)) else { return };
        let shown = Name::from(path).spelled();
        let (flags, kind) = (facts.flags(), row.r#type);
        // Devices, FIFOs and sockets are written to whatever their file system is.
        let is_stored = matches!(kind, "regular file" | "regular empty file" | "directory");
        if what == What::Write && is_stored && flags.contains(FsFlags::ST_RDONLY) {
            row.allowed = false;
            row.by = "it is on a read-only file system".to_owned();
            row.fix = Some(format!(
                "mount a volume, a tmpfs or an emptyDir at or above {shown}: mounts shows what is there"
            ));
        } else if what == What::Exec && kind.starts_with("regular") && flags.contains(FsFlags::ST_NOEXEC) {
            row.allowed = false;
            row.by = "its mount has noexec".to_owned();
            row.fix = Some(format!(
                "mount it without noexec, or put the program elsewhere: mounts {shown} shows its options"
            ));
        }
    }

    /// A file that would have to be made.
    fn new_file(&mut self, path: &[u8], directory: &[u8]) -> End {
        let Ok(facts) = statx::facts(None, OsStr::from_bytes(directory), true) else {
            self.missing(path, "it is not there");
            return End::Before;
        };
        let object = object(directory, &facts);
        let (allowed, by) = permission::decide(&self.subject, &object, WRITE | EXECUTE);
        let mut row = Self::empty(path, "create");
        (row.allowed, row.by) =
            (allowed, format!("it is not there; of its directory: {}", self.words(by, &object)));
        if !allowed {
            row.fix = Some(self.fix(directory, &object, "write", by));
        }
        let is_read_only = statvfs(OsStr::from_bytes(directory))
            .is_ok_and(|facts| facts.flags().contains(FsFlags::ST_RDONLY));
        if allowed && is_read_only {
            row.allowed = false;
            row.by = "it is not there, and its directory is on a read-only file system".to_owned();
            row.fix = Some(format!(
                "mount a volume, a tmpfs or an emptyDir at {}",
                Name::from(directory).spelled()
            ));
        }
        if row.allowed && self.is_directory {
            (row.allowed, row.is_more_than_mode) = (false, true);
            row.by = "it is not there, and only mkdir(2) makes what a path that ends in / names".to_owned();
        }
        self.components.push(row);
        End::New(directory.to_vec())
    }

    fn missing(&mut self, path: &[u8], why: &str) {
        let mut row = Self::empty(path, "to be there");
        row.by = why.to_owned();
        self.components.push(row);
    }

    /// A link on the way; whether it is followed.
    fn link(&mut self, path: &[u8], target: &[u8], too_many: bool) -> bool {
        let Ok(facts) = statx::facts(None, OsStr::from_bytes(path), false) else { return true };
        let mut row = self.row(path, &facts, "follow");
        row.target = Some(target.into());
        row.allowed = !too_many;
        row.by = if too_many {
            format!("it is more than the {MAX_LINKS}th link")
        } else {
            match process(path_of(path)) {
                Some(pid) if self.is_magic => {
                    format!("process {pid} has that open: what is open counts, not the name")
                }
                _ if self.is_the_targets && is_procfs(path_of(path)) => {
                    "it is a link: the target's own".to_owned()
                }
                _ => "it is a link".to_owned(),
            }
        };
        let directory = path_of(path);
        // fs.protected_symlinks, proc_sys_fs(5); whether it is set, the kernel's own word tells.
        if let Ok(of) = statx::facts(None, OsStr::from_bytes(directory), true)
            && of.mode & (libc::S_ISVTX | 0o002) == libc::S_ISVTX | 0o002
            && facts.uid != self.subject.uid
            && facts.uid != of.uid
            && permission::ask(OsStr::from_bytes(path), AccessFlags::F_OK) == Err(Errno::EACCES)
        {
            row.allowed = false;
            row.by =
                "fs.protected_symlinks: another user's link in a directory that all may write to".to_owned();
        }
        let allowed = row.allowed;
        self.components.push(row);
        allowed
    }

    fn empty(path: &[u8], needs: &'static str) -> Component {
        Component { path: path.into(), needs, ..Component::default() }
    }

    fn row(&self, path: &[u8], facts: &Facts, needs: &'static str) -> Component {
        let text = mode_text(facts.mode);
        Component {
            r#type: kind_name(facts.mode, facts.size),
            mode: String::from_utf8_lossy(&text).into_owned(),
            owner: self.users.user_name(facts.uid),
            group: self.users.group_name(facts.gid),
            ..Self::empty(path, needs)
        }
    }
}

fn object(path: &[u8], facts: &Facts) -> Object {
    let acl = Acl::of(OsStr::from_bytes(path));
    Object { mode: facts.mode, uid: facts.uid, gid: facts.gid, acl }
}

fn parts(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect()
}

/// The directory that a path is in.
pub fn path_of(path: &[u8]) -> &[u8] {
    let parent = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    path.get(..parent.max(1)).unwrap_or(b"/")
}

fn is_procfs(path: &[u8]) -> bool {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    statx::space(OsStr::from_bytes(path)).is_ok_and(|space| space.magic == PROC_SUPER_MAGIC)
}

/// Of which process a path of procfs is.
fn process(path: &[u8]) -> Option<i32> {
    let mut numbers =
        path.split(|byte| *byte == b'/').filter_map(|part| std::str::from_utf8(part).ok()?.parse().ok());
    numbers.next().filter(|_| is_procfs(path))
}
