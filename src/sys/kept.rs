//! What a file keeps when another takes its place: owner, group, mode, ACL and other extended attributes. Whatever can't be
//! kept, the new file is open to nobody who could not open the old one.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat};
use nix::unistd::{Gid, Uid, fchown};

use super::open::special;
use super::shared::may_follow;
use super::syscall::{fgetxattr, flistxattr, fsetxattr};

const ACL: &CStr = c"system.posix_acl_access";

/// Capabilities of a program.
const CAPABILITY: &CStr = c"security.capability";

/// Of the content, which is another one: IMA's and EVM's.
const OF_CONTENT: [&CStr; 2] = [c"security.ima", c"security.evm"];

/// XATTR_LIST_MAX and XATTR_SIZE_MAX.
const LONGEST: usize = 64 << 10;

/// What is held of a file's extended attributes.
const MOST: usize = 1 << 20;

/// What ids that a user namespace or a mount does not map are shown as.
const OVERFLOW: u32 = 65_534;

/// What an existing file passes on.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Its mode; else the one that was given.
    pub mode: bool,
    /// Of the mode: setuid and setgid, and capabilities too.
    pub privileges: bool,
    /// Its owner and group, where none are given.
    pub owner: bool,
}

/// Something that could not be kept, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// `owner 0`, `ACL`, or the name of an extended attribute.
    pub what: Vec<u8>,
    /// Why.
    pub errno: Errno,
}

/// An existing regular file, as far as another can take its place.
#[derive(Debug)]
pub struct Kept {
    stat: FileStat,
    acl: Option<Vec<u8>>,
    others: Vec<(CString, Vec<u8>)>,
    /// What could not be read; then nobody but the owner is let in.
    unread: Option<Errno>,
    /// Whether the kernel takes us for its owner, or for who may do what its owner may.
    is_ours: bool,
    directory: FileStat,
}

impl Kept {
    /// Reads what there is by this name; none for nothing, and for what is no regular file.
    ///
    /// # Errors
    /// As openat(2); ELOOP where it is swapped meanwhile.
    pub fn of(directory: BorrowedFd, name: &CStr) -> nix::Result<Option<Self>> {
        let look = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let stat = match openat(directory, name, look, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(None),
            found => fstat(found?)?,
        };
        if special(&stat).is_some() {
            return Ok(None);
        }
        let directory_stat = fstat(directory)?;
        let mut kept = Self {
            stat,
            acl: None,
            others: Vec::new(),
            unread: None,
            is_ours: false,
            directory: directory_stat,
        };
        match kept.open(directory, name) {
            Ok(file) => {
                let opened = fstat(&file)?;
                if (opened.st_dev, opened.st_ino) != (stat.st_dev, stat.st_ino) {
                    return Err(Errno::ELOOP);
                }
                kept.unread = kept.read(file.as_fd()).err();
            }
            Err(errno) => kept.unread = Some(errno),
        }
        Ok(Some(kept))
    }

    /// O_NOATIME is for who is as good as the owner, and for nobody where owner or group are not mapped.
    fn open(&mut self, directory: BorrowedFd, name: &CStr) -> nix::Result<OwnedFd> {
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        match openat(directory, name, flags | OFlag::O_NOATIME, Mode::empty()) {
            Err(Errno::EPERM) => openat(directory, name, flags, Mode::empty()),
            opened => {
                self.is_ours = opened.is_ok();
                opened
            }
        }
    }

    fn read(&mut self, file: BorrowedFd) -> nix::Result<()> {
        let mut buffer = vec![0; LONGEST];
        self.acl = value(file, ACL, &mut buffer)?;
        let mut list = vec![0; LONGEST];
        let length = match flistxattr(file, &mut list) {
            Err(Errno::EOPNOTSUPP) => return Ok(()),
            length => length?,
        };
        let mut held = 0;
        for name in list.get(..length).unwrap_or_default().split_inclusive(|byte| *byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
            if name == ACL || OF_CONTENT.contains(&name) {
                continue;
            }
            if let Some(value) = value(file, name, &mut buffer)? {
                held += value.len();
                if held > MOST {
                    return Err(Errno::E2BIG);
                }
                self.others.push((name.to_owned(), value));
            }
        }
        Ok(())
    }

    /// Gives it all to a new file, but for the mode and the ids that are given. The mode that this has then, and what could
    /// not be kept.
    ///
    /// # Errors
    /// Where what is given can't be set, as fchown(2) and fchmod(2).
    pub fn pass_on(
        &self,
        file: BorrowedFd,
        mode: u32,
        (uid, gid): (Option<u32>, Option<u32>),
        keep: Keep,
    ) -> nix::Result<(u32, Vec<Lost>)> {
        let mut lost = Vec::new();
        let before = fstat(file)?;
        let is_unmapped = !self.is_ours && (self.stat.st_uid == OVERFLOW || self.stat.st_gid == OVERFLOW);
        // Another user's file in a directory like /tmp may lie in wait: what is written there is not given to that user.
        let is_planted = !may_follow(&self.directory, &self.stat, before.st_uid);
        let is_refused = is_unmapped || is_planted;
        let refusal = if is_planted { Errno::EACCES } else { Errno::EPERM };
        // The group first: who has given a file away may not change it any more.
        for (given, old, new, what) in
            [(gid, self.stat.st_gid, before.st_gid, "group"), (uid, self.stat.st_uid, before.st_uid, "owner")]
        {
            let id = given.or((keep.owner && (old != new || is_refused)).then_some(old));
            let Some(id) = id else { continue };
            let changed = match what {
                _ if given.is_none() && is_refused => Err(refusal),
                "group" => fchown(file, None, Some(Gid::from_raw(id))),
                _ => fchown(file, Some(Uid::from_raw(id)), None),
            };
            match changed {
                Err(errno) if given.is_none() => {
                    lost.push(Lost { what: format!("{what} {id}").into_bytes(), errno });
                }
                changed => changed?,
            }
        }
        let now = fstat(file)?;
        let has_group = gid.is_some() || now.st_gid == self.stat.st_gid && !is_refused;
        let has_owner = uid.is_some() || now.st_uid == self.stat.st_uid && !is_refused;
        let mut mode = match (keep.mode, is_planted) {
            (false, _) => mode,
            (true, true) => mode & self.mode(keep, has_owner, has_group),
            (true, false) => self.mode(keep, has_owner, has_group),
        };
        if keep.mode && !keep.owner && mode != self.mode(keep, true, true) {
            lost.push(Lost { what: format!("group {}", self.stat.st_gid).into_bytes(), errno: refusal });
        }
        if let Err(errno) = self.pass_on_acl(file, mode, has_group) {
            lost.push(Lost { what: b"ACL".to_vec(), errno });
            // Its lines may have kept somebody out whom the mode alone lets in.
            if keep.mode {
                mode &= 0o7700;
            }
        }
        for (name, value) in &self.others {
            if name.as_c_str() == CAPABILITY && !keep.privileges {
                continue;
            }
            if let Err(errno) = set(file, name, value) {
                lost.push(Lost { what: name.to_bytes().to_vec(), errno });
            }
        }
        fchmod(file, Mode::from_bits_truncate(mode))?;
        Ok((mode, lost))
    }

    /// Its mode. With another group, those of the old one count as others, and others as those of the new one: both may
    /// do what both could.
    fn mode(&self, keep: Keep, has_owner: bool, has_group: bool) -> u32 {
        let mut mode = self.stat.st_mode & if keep.privileges { 0o7777 } else { 0o1777 };
        if !has_owner {
            mode &= !0o4000;
        }
        if !has_group {
            let both = mode & 0o7 & mode >> 3;
            mode = mode & 0o5700 | both << 3 | both;
        }
        mode
    }

    fn pass_on_acl(&self, file: BorrowedFd, mode: u32, has_group: bool) -> nix::Result<()> {
        if let Some(errno) = self.unread {
            return Err(errno);
        }
        match &self.acl {
            Some(_) if !has_group => Err(Errno::EPERM),
            Some(acl) => set(file, ACL, acl),
            // A directory's ACL for new files is not the old file's.
            None if matches!(fgetxattr(file, ACL, &mut []), Ok(length) if length > 0) => {
                fsetxattr(file, ACL, &plain_acl(mode))
            }
            None => Ok(()),
        }
    }
}

/// The value of an attribute; none where there is none.
fn value(file: BorrowedFd, name: &CStr, buffer: &mut [u8]) -> nix::Result<Option<Vec<u8>>> {
    match fgetxattr(file, name, buffer) {
        Ok(length) => Ok(buffer.get(..length).map(<[u8]>::to_vec)),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Sets an attribute that is another.
fn set(file: BorrowedFd, name: &CStr, to: &[u8]) -> nix::Result<()> {
    let mut buffer = vec![0; LONGEST];
    if value(file, name, &mut buffer).is_ok_and(|is| is.as_deref() == Some(to)) {
        return Ok(());
    }
    fsetxattr(file, name, to)
}

/// An ACL that says what a mode says: the kernel keeps none then. linux/posix_acl_xattr.h.
fn plain_acl(mode: u32) -> Vec<u8> {
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, shift) in [(1_u16, 6), (4, 3), (0x20, 0)] {
        acl.extend(tag.to_le_bytes());
        acl.extend(((mode >> shift & 7) as u16).to_le_bytes());
        acl.extend(u32::MAX.to_le_bytes());
    }
    acl
}
