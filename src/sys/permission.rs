//! Who may do what with a file: its mode, its ACL, and capabilities, as the kernel goes through them; acl(5),
//! path_resolution(7), fs/namei.c. And what the kernel itself says.

use std::ffi::OsStr;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

/// Asks the kernel, with the effective ids and capabilities of this process.
///
/// # Errors
/// Why not.
pub fn ask(path: &OsStr, how: AccessFlags) -> nix::Result<()> {
    faccessat(AT_FDCWD, path, how, AtFlags::AT_EACCESS)
}

/// Asks the kernel whether a directory takes a new name, without making anything: link(2) to a directory looks at that
/// first, `may_create()` in fs/namei.c, and then always fails with EPERM.
///
/// # Errors
/// Why not.
pub fn ask_for_new(directory: &OsStr, path: &OsStr) -> nix::Result<()> {
    match nix::unistd::linkat(AT_FDCWD, directory, AT_FDCWD, path, AtFlags::empty()) {
        Ok(()) | Err(nix::errno::Errno::EPERM) => Ok(()),
        other => other,
    }
}

/// To read, and to list a directory.
pub const READ: u16 = 4;
/// To write, and to make or remove names in a directory.
pub const WRITE: u16 = 2;
/// To start a program, and to go through a directory.
pub const EXECUTE: u16 = 1;

/// CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH.
const OVERRIDE: u64 = 1 << 1;
const READ_SEARCH: u64 = 1 << 2;

/// Who wants something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
    /// Effective capabilities.
    pub capabilities: u64,
}

impl Subject {
    /// Who this process is.
    pub fn own() -> Self {
        let groups = nix::unistd::getgroups().unwrap_or_default();
        Self {
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
            capabilities: super::capability::own().unwrap_or(0),
        }
    }

    fn is_in(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

/// A file that it is wanted of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    /// Type and mode.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its ACL; none where it has no more than a mode.
    pub acl: Option<Acl>,
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The mode's bits for the owner.
    Owner,
    /// The mode's bits for the group.
    Group,
    /// The mode's bits for all others.
    Others,
    /// An ACL's line for this user.
    AclUser(u32),
    /// An ACL's line for this group, or the owning group's.
    AclGroup(u32),
    /// An ACL's mask, which takes away what a line of it gives.
    AclMask,
    /// CAP_DAC_OVERRIDE.
    Override,
    /// CAP_DAC_READ_SEARCH.
    ReadSearch,
}

/// A POSIX ACL, linux/posix_acl_xattr.h: tags, permissions, ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl(Vec<(u16, u16, u32)>);

const USER_OBJ: u16 = 1;
const USER: u16 = 2;
const GROUP_OBJ: u16 = 4;
const GROUP: u16 = 8;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
/// The most lines that a file system keeps.
const LINES: usize = 8192;

impl Acl {
    /// Takes the value of `system.posix_acl_access`; none for what is none.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (version, lines) = value.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*version) != 2 || lines.len() % 8 != 0 || lines.len() / 8 > LINES {
            return None;
        }
        let line = |line: &[u8]| {
            let [a, b, c, d, rest @ ..] = line else { return None };
            let id = u32::from_le_bytes(rest.try_into().ok()?);
            Some((u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]), id))
        };
        lines.chunks_exact(8).map(line).collect::<Option<_>>().map(Self)
    }

    /// The ACL of a path, links followed.
    pub fn of(path: &OsStr) -> Option<Self> {
        use std::os::unix::ffi::OsStrExt;
        let path = std::ffi::CString::new(path.as_bytes()).ok()?;
        let mut value = [0u8; 4 + LINES * 8 / 64];
        Self::parse(super::syscall::getxattr(&path, c"system.posix_acl_access", &mut value)?)
    }

    fn decide(&self, subject: &Subject, object: &Object, want: u16) -> (bool, By) {
        let of = |tag: u16| self.0.iter().find(|line| line.0 == tag).map(|line| line.1);
        let mask = of(MASK).unwrap_or(7);
        let masked = |permissions: u16, by: By| match (
            permissions & want == want,
            permissions & mask & want == want,
        ) {
            (true, false) => (false, By::AclMask),
            (_, may) => (may, by),
        };
        if subject.uid == object.uid {
            return (of(USER_OBJ).unwrap_or(0) & want == want, By::Owner);
        }
        if let Some((_, permissions, id)) = self.0.iter().find(|line| line.0 == USER && line.2 == subject.uid)
        {
            return masked(*permissions, By::AclUser(*id));
        }
        let group = |line: &&(u16, u16, u32)| match line.0 {
            GROUP_OBJ => subject.is_in(object.gid),
            GROUP => subject.is_in(line.2),
            _ => false,
        };
        // One line that gives it all is enough; where several match and none does, nothing else is asked.
        let mut refused = None;
        for line in self.0.iter().filter(group) {
            let id = if line.0 == GROUP_OBJ { object.gid } else { line.2 };
            let (may, by) = masked(line.1, By::AclGroup(id));
            if may {
                return (true, by);
            }
            if refused.is_none() || by == By::AclMask {
                refused = Some(by);
            }
        }
        match refused {
            Some(by) => (false, by),
            None => (of(OTHER).unwrap_or(0) & want == want, By::Others),
        }
    }
}

/// Whether a subject may, and what decided. Security modules, mounts and attributes have no part in it.
pub fn decide(subject: &Subject, object: &Object, want: u16) -> (bool, By) {
    let (may, by) = match &object.acl {
        Some(acl) => acl.decide(subject, object, want),
        None => {
            let (shift, by) = if subject.uid == object.uid {
                (6, By::Owner)
            } else if subject.is_in(object.gid) {
                (3, By::Group)
            } else {
                (0, By::Others)
            };
            ((object.mode >> shift) as u16 & want == want, by)
        }
    };
    if may {
        return (true, by);
    }
    let is_directory = object.mode & libc::S_IFMT == libc::S_IFDIR;
    // A program that nobody may start, root may not start either.
    let can_override = is_directory || want & EXECUTE == 0 || object.mode & 0o111 != 0;
    if subject.capabilities & OVERRIDE != 0 && can_override {
        return (true, By::Override);
    }
    let is_looking = want & WRITE == 0 && (is_directory || want & EXECUTE == 0);
    if subject.capabilities & READ_SEARCH != 0 && is_looking {
        return (true, By::ReadSearch);
    }
    (false, by)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uid: u32, groups: &[u32]) -> Subject {
        Subject { uid, gid: uid, groups: groups.to_vec(), capabilities: 0 }
    }

    fn file(mode: u32, uid: u32, gid: u32) -> Object {
        Object { mode: libc::S_IFREG | mode, uid, gid, acl: None }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        for (subject, object, want, result) in [
            (user(5, &[]), file(0o600, 5, 9), READ, (true, By::Owner)),
            (user(5, &[9]), file(0o077, 5, 9), READ, (false, By::Owner)),
            (user(6, &[9]), file(0o640, 5, 9), READ, (true, By::Group)),
            (user(6, &[9]), file(0o607, 5, 9), READ, (false, By::Group)),
            (user(6, &[]), file(0o644, 5, 9), WRITE, (false, By::Others)),
            (user(6, &[]), file(0o644, 5, 9), READ, (true, By::Others)),
            (user(6, &[]), file(0o646, 5, 9), READ | WRITE, (true, By::Others)),
        ] {
            assert_eq!(decide(&subject, &object, want), result, "{object:?} {want}");
        }
    }

    #[test]
    fn capabilities_override_what_they_may() {
        let root = Subject { capabilities: OVERRIDE, ..user(0, &[]) };
        assert_eq!(decide(&root, &file(0, 5, 5), WRITE), (true, By::Override));
        assert_eq!(decide(&root, &file(0o644, 5, 5), EXECUTE), (false, By::Others));
        assert_eq!(decide(&root, &file(0o744, 5, 5), EXECUTE), (true, By::Override));
        let directory = Object { mode: libc::S_IFDIR, ..file(0, 5, 5) };
        assert_eq!(decide(&root, &directory, EXECUTE), (true, By::Override));
        let reader = Subject { capabilities: READ_SEARCH, ..user(0, &[]) };
        assert_eq!(decide(&reader, &directory, EXECUTE | READ), (true, By::ReadSearch));
        assert_eq!(decide(&reader, &directory, WRITE), (false, By::Others));
        assert_eq!(decide(&reader, &file(0o744, 5, 5), EXECUTE), (false, By::Others));
    }

    #[test]
    fn acls_name_users_and_groups_and_have_a_mask() {
        let acl = |lines: &[(u16, u16, u32)]| {
            let mut value = 2u32.to_le_bytes().to_vec();
            for (tag, permissions, id) in lines {
                value.extend(tag.to_le_bytes());
                value.extend(permissions.to_le_bytes());
                value.extend(id.to_le_bytes());
            }
            Acl::parse(&value).unwrap()
        };
        let lines = acl(&[
            (USER_OBJ, 6, u32::MAX),
            (USER, 6, 7),
            (GROUP_OBJ, 4, u32::MAX),
            (GROUP, 6, 20),
            (MASK, 4, u32::MAX),
            (OTHER, 0, u32::MAX),
        ]);
        let object = Object { acl: Some(lines), ..file(0o640, 5, 9) };
        for (subject, want, result) in [
            (user(5, &[]), WRITE, (true, By::Owner)),
            (user(7, &[]), READ, (true, By::AclUser(7))),
            (user(7, &[]), WRITE, (false, By::AclMask)),
            (user(8, &[9]), READ, (true, By::AclGroup(9))),
            (user(8, &[20]), READ, (true, By::AclGroup(20))),
            (user(8, &[20]), EXECUTE, (false, By::AclGroup(20))),
            (user(8, &[]), READ, (false, By::Others)),
        ] {
            assert_eq!(decide(&subject, &object, want), result, "{subject:?} {want}");
        }
        for wrong in [&b""[..], b"\x02\0\0", b"\x01\0\0\0", b"\x02\0\0\0\x01"] {
            assert_eq!(Acl::parse(wrong), None);
        }
    }
}
