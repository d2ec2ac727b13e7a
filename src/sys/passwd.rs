//! Users and groups from a container's own files: passwd(5), group(5), parsed by us and bounded, never through NSS.

use std::collections::HashMap;
use std::ffi::OsStr;

use super::open::read_bounded;

/// Larger files are not read: 4 MiB, some 50,000 users.
pub const LIMIT: usize = 4 << 20;

/// One line of passwd(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Numeric id, as the container counts.
    pub uid: u32,
    /// Primary group, as the container counts.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// One line of group(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Numeric id, as the container counts.
    pub gid: u32,
    /// Names of its members.
    pub members: Vec<String>,
}

/// All users and groups of a container. Of two lines with one id the first wins, as in libc.
#[derive(Debug, Default)]
pub struct Users {
    users: Vec<User>,
    groups: Vec<Group>,
    by_uid: HashMap<u32, usize>,
    by_gid: HashMap<u32, usize>,
}

impl Users {
    /// Reads `/etc/passwd` and `/etc/group` of the root that this process is in. A missing, unreadable, special or
    /// oversized file counts as empty.
    pub fn read() -> Self {
        let [passwd, group] = Self::read_files();
        Self::parse(&passwd, &group)
    }

    /// The bytes of `/etc/passwd` and `/etc/group`; empty as in [`Users::read`].
    pub fn read_files() -> [Vec<u8>; 2] {
        ["/etc/passwd", "/etc/group"].map(|path| read_bounded(OsStr::new(path), LIMIT).unwrap_or_default())
    }

    /// Parses the two files. Lines that are no records are passed over.
    pub fn parse(passwd: &[u8], group: &[u8]) -> Self {
        let mut all = Self::default();
        for fields in records(passwd) {
            let [name, _, uid, gid, _, home, shell] = fields.as_slice() else { continue };
            let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else { continue };
            all.by_uid.entry(uid).or_insert(all.users.len());
            all.users.push(User { name: name.clone(), uid, gid, home: home.clone(), shell: shell.clone() });
        }
        for fields in records(group) {
            let [name, _, gid, members] = fields.as_slice() else { continue };
            let Ok(gid) = gid.parse() else { continue };
            let members = members.split(',').filter(|m| !m.is_empty()).map(str::to_owned).collect();
            all.by_gid.entry(gid).or_insert(all.groups.len());
            all.groups.push(Group { name: name.clone(), gid, members });
        }
        all
    }

    /// All users, in the order of their lines.
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// All groups, in the order of their lines.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The user with this id.
    pub fn user(&self, uid: u32) -> Option<&User> {
        self.by_uid.get(&uid).map(|&at| &self.users[at])
    }

    /// The group with this id.
    pub fn group(&self, gid: u32) -> Option<&Group> {
        self.by_gid.get(&gid).map(|&at| &self.groups[at])
    }

    /// The user with this name.
    pub fn user_named(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The group with this name.
    pub fn group_named(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The ids of all groups that list a user as a member.
    pub fn groups_of(&self, name: &str) -> Vec<u32> {
        self.groups.iter().filter(|g| g.members.iter().any(|m| m == name)).map(|g| g.gid).collect()
    }

    /// The user's name, or the id where there is none.
    pub fn user_name(&self, uid: u32) -> String {
        self.user(uid).map_or_else(|| uid.to_string(), |user| user.name.clone())
    }

    /// The group's name, or the id where there is none.
    pub fn group_name(&self, gid: u32) -> String {
        self.group(gid).map_or_else(|| gid.to_string(), |group| group.name.clone())
    }
}

/// Colon-separated records of a file with at least a name; comments and compat lines (`+`, `-`) are left out.
fn records(bytes: &[u8]) -> impl Iterator<Item = Vec<String>> + '_ {
    bytes
        .split(|b| *b == b'\n')
        .filter(|line| {
            !line.is_empty() && line.len() <= 4096 && !matches!(line[0], b'#' | b'+' | b'-' | b':')
        })
        .map(|line| String::from_utf8_lossy(line).split(':').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_are_none_are_passed_over() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\n\n#c\n+::::::\nbad\nx:x:-1:0:::\nnonroot:x:65532:65532::/home/nonroot:\nagain:x:0:0:::\n\xff:x:7:7:::\n";
        let group = b"root:x:0:\nwheel:x:10:root,nonroot\nnonroot:x:65532:";
        let users = Users::parse(passwd, group);
        assert_eq!(users.user_name(0), "root");
        assert_eq!(users.user_name(65532), "nonroot");
        assert_eq!(users.user_name(1), "1");
        assert_eq!(users.group_name(10), "wheel");
        assert_eq!(users.groups_of("nonroot"), [10]);
        assert_eq!(users.user_named("again").map(|u| u.uid), Some(0));
    }
}
