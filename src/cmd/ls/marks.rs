//! What is kept in extended attributes: whether a file has an ACL, and its SELinux label.

use std::ffi::CStr;

use nix::errno::Errno;

use crate::sys::dir::Stat;
use crate::sys::syscall::xattr;

/// Labels are cut here.
const LONGEST: usize = 4096;

/// Asks for attributes, and no more where a file system has none.
#[derive(Default)]
pub struct Marks {
    /// The file system that was seen last to have no ACLs.
    without_acls: Option<u64>,
}

impl Marks {
    /// Whether a file has an ACL that says more than its mode; a directory also one for new files.
    pub fn has_acl(&mut self, path: &CStr, follow: bool, stat: &Stat) -> bool {
        let kind = stat.mode & libc::S_IFMT;
        if kind == libc::S_IFLNK || self.without_acls == Some(stat.on_device) {
            return false;
        }
        let is_set = |name| xattr(path, name, follow, &mut []);
        match is_set(c"system.posix_acl_access") {
            Ok(length) if length > 0 => return true,
            Err(Errno::EOPNOTSUPP) => {
                self.without_acls = Some(stat.on_device);
                return false;
            }
            _ => {}
        }
        kind == libc::S_IFDIR && matches!(is_set(c"system.posix_acl_default"), Ok(length) if length > 0)
    }
}

/// A file's SELinux label.
pub fn context(path: &CStr, follow: bool) -> Option<Vec<u8>> {
    let mut value = vec![0; LONGEST];
    let length = xattr(path, c"security.selinux", follow, &mut value).ok()?;
    value.truncate(length);
    if value.last() == Some(&0) {
        value.pop();
    }
    Some(value).filter(|value| !value.is_empty())
}
