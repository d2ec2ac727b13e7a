//! What decides, in words, and what to do about it.

use super::walk::Walk;
use crate::out::Name;
use crate::sys::permission::{By, Object};

impl Walk<'_> {
    pub fn words(&self, by: By, object: &Object) -> String {
        let octal = object.mode & 0o7777;
        match by {
            By::Owner => format!("mode {octal:04o}, as its owner"),
            By::Group => {
                format!("mode {octal:04o}, as one of its group {}", self.users.group_name(object.gid))
            }
            By::Others => format!("mode {octal:04o}, as neither its owner nor of its group"),
            By::AclUser(uid) => format!("ACL, the line of user {}", self.users.user_name(uid)),
            By::AclGroup(gid) => format!("ACL, the line of group {}", self.users.group_name(gid)),
            By::AclMask => "ACL, whose mask takes away what its line gives".to_owned(),
            By::Override => "CAP_DAC_OVERRIDE, whatever its mode".to_owned(),
            By::ReadSearch => "CAP_DAC_READ_SEARCH, whatever its mode".to_owned(),
        }
    }

    pub fn fix(&self, path: &[u8], object: &Object, needs: &str, by: By) -> String {
        let letter = match needs {
            "read" => "r",
            "write" => "w",
            _ => "x",
        };
        let shown = Name::from(path).spelled();
        let is_program = object.mode & libc::S_IFMT == libc::S_IFREG && needs == "exec";
        match by {
            By::Owner => format!("chmod u+{letter} {shown}"),
            By::Group => format!("chmod g+{letter} {shown}"),
            By::AclMask => format!("setfacl -m m::rwx {shown}"),
            By::AclUser(_) | By::AclGroup(_) => format!("setfacl -m u:{}:{letter} {shown}", self.subject.uid),
            _ if is_program => format!("chmod a+x {shown}"),
            _ => format!(
                "chmod o+{letter} {shown}, chown it to uid {}, or give the user its group {} (supplementalGroups, fsGroup, --group-add)",
                self.subject.uid, object.gid
            ),
        }
    }
}
