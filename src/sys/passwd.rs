//! Users and groups from a container's own files: passwd(5), group(5), parsed by us and bounded, never through NSS.

use std::ffi::OsStr;

use super::open::read_bounded;

/// Larger files are not read: 4 MiB, some 50,000 users.
pub const LIMIT: usize = 4 << 20;

/// Records of a file after the first so many are passed over.
const RECORDS: usize = 100_000;

/// Longer lines are no records.
const LINE: usize = 4096;

/// Longer names are none: LOGIN_NAME_MAX of limits.h. A name stands in every row of its files and processes.
const NAME: usize = 256;

/// One line of passwd(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User<'a> {
    /// Login name.
    pub name: &'a str,
    /// Numeric id, as the container counts.
    pub uid: u32,
    /// Primary group, as the container counts.
    pub gid: u32,
    /// Home directory.
    pub home: &'a str,
    /// Login shell.
    pub shell: &'a str,
}

/// One line of group(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group<'a> {
    /// Name.
    pub name: &'a str,
    /// Numeric id, as the container counts.
    pub gid: u32,
    members: &'a str,
}

impl<'a> Group<'a> {
    /// Names of its members.
    pub fn members(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.members.split(',').filter(|member| !member.is_empty())
    }
}

/// All users and groups of a container. Of two lines with one id the first wins, as in libc. The files may be as
/// large as [`LIMIT`] and are hostile, so of a record only its text and 20 bytes are kept.
#[derive(Debug, Default)]
pub struct Users {
    users: Table,
    groups: Table,
}

/// Records of one file.
#[derive(Debug, Default)]
struct Table {
    /// What the records say, one after the other.
    text: String,
    records: Vec<Record>,
    /// Places in `records`, ordered by id and, where that is the same, by line.
    by_id: Vec<u32>,
}

#[derive(Debug)]
struct Record {
    id: u32,
    gid: u32,
    /// Where its texts begin, and how long each is.
    at: u32,
    lengths: [u16; 3],
}

impl Table {
    fn add(&mut self, id: u32, gid: u32, texts: [&str; 3]) {
        let at = self.text.len() as u32;
        texts.iter().for_each(|text| self.text.push_str(text));
        self.records.push(Record { id, gid, at, lengths: texts.map(|text| text.len() as u16) });
    }

    /// To be called after the last record.
    fn order(&mut self) {
        self.text.shrink_to_fit();
        self.by_id = (0..self.records.len() as u32).collect();
        self.by_id.sort_by_key(|&place| self.records[place as usize].id);
    }

    fn is_full(&self) -> bool {
        self.records.len() >= RECORDS
    }

    fn texts(&self, record: &Record) -> [&str; 3] {
        let mut rest = &self.text[record.at as usize..];
        record.lengths.map(|length| {
            let (text, after) = rest.split_at(usize::from(length));
            rest = after;
            text
        })
    }

    fn find(&self, id: u32) -> Option<&Record> {
        let first = self.by_id.partition_point(|&place| self.records[place as usize].id < id);
        self.by_id.get(first).map(|&place| &self.records[place as usize]).filter(|record| record.id == id)
    }
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
        for line in records(passwd) {
            let line = String::from_utf8_lossy(line);
            let Some([name, _, uid, gid, _, home, shell]) = fields(&line) else { continue };
            if let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
                && !all.users.is_full()
            {
                all.users.add(uid, gid, [name, home, shell]);
            }
        }
        for line in records(group) {
            let line = String::from_utf8_lossy(line);
            let Some([name, _, gid, members]) = fields(&line) else { continue };
            if let Ok(gid) = gid.parse()
                && !all.groups.is_full()
            {
                all.groups.add(gid, gid, [name, members, ""]);
            }
        }
        all.users.order();
        all.groups.order();
        all
    }

    fn of_user(&self, record: &Record) -> User<'_> {
        let [name, home, shell] = self.users.texts(record);
        User { name, uid: record.id, gid: record.gid, home, shell }
    }

    fn of_group(&self, record: &Record) -> Group<'_> {
        let [name, members, _] = self.groups.texts(record);
        Group { name, gid: record.id, members }
    }

    /// All users, in the order of their lines.
    pub fn users(&self) -> impl Iterator<Item = User<'_>> {
        self.users.records.iter().map(|record| self.of_user(record))
    }

    /// All groups, in the order of their lines.
    pub fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        self.groups.records.iter().map(|record| self.of_group(record))
    }

    /// The user with this id.
    pub fn user(&self, uid: u32) -> Option<User<'_>> {
        self.users.find(uid).map(|record| self.of_user(record))
    }

    /// The group with this id.
    pub fn group(&self, gid: u32) -> Option<Group<'_>> {
        self.groups.find(gid).map(|record| self.of_group(record))
    }

    /// The user with this name.
    pub fn user_named(&self, name: &str) -> Option<User<'_>> {
        self.users().find(|user| user.name == name)
    }

    /// The group with this name.
    pub fn group_named(&self, name: &str) -> Option<Group<'_>> {
        self.groups().find(|group| group.name == name)
    }

    /// The ids of all groups that list a user as a member.
    pub fn groups_of(&self, name: &str) -> Vec<u32> {
        self.groups().filter(|group| group.members().any(|member| member == name)).map(|g| g.gid).collect()
    }

    /// All users, each with the ids of the groups that list it. Of two lines with one name the first has them, as in
    /// libc. One pass, where [`Users::groups_of`] for each user would take as many as there are users.
    pub fn with_groups(&self) -> impl Iterator<Item = (User<'_>, Vec<u32>)> {
        let users: Vec<User> = self.users().collect();
        let mut names: Vec<(&str, u32)> =
            users.iter().zip(0..).map(|(user, place)| (user.name, place)).collect();
        names.sort_unstable();
        names.dedup_by_key(|(name, _)| *name);
        let mut memberships = Vec::new();
        for (group, line) in self.groups().zip(0_u32..) {
            for member in group.members() {
                if let Ok(at) = names.binary_search_by_key(&member, |(name, _)| name) {
                    memberships.push((names[at].1, line, group.gid));
                }
            }
        }
        drop(names);
        memberships.sort_unstable();
        memberships.dedup();
        let mut rest = 0;
        users.into_iter().zip(0_u32..).map(move |(user, place)| {
            let of_user = memberships[rest..].iter().take_while(|(of, ..)| *of == place);
            let groups: Vec<u32> = of_user.map(|(.., gid)| *gid).collect();
            rest += groups.len();
            (user, groups)
        })
    }

    /// The user's name, or the id where there is none.
    pub fn user_name(&self, uid: u32) -> String {
        self.user(uid).map_or_else(|| uid.to_string(), |user| user.name.to_owned())
    }

    /// The group's name, or the id where there is none.
    pub fn group_name(&self, gid: u32) -> String {
        self.group(gid).map_or_else(|| gid.to_string(), |group| group.name.to_owned())
    }
}

/// Lines of a file that may be records: with a name; comments and compat lines (`+`, `-`) are left out.
fn records(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|b| *b == b'\n').filter(|line| {
        !line.is_empty() && line.len() <= LINE && !matches!(line[0], b'#' | b'+' | b'-' | b':')
    })
}

/// The fields of a record, where there are so many and the first can be a name.
fn fields<const COUNT: usize>(line: &str) -> Option<[&str; COUNT]> {
    let mut parts = line.split(':');
    let mut fields = [""; COUNT];
    for field in &mut fields {
        *field = parts.next()?;
    }
    (parts.next().is_none() && fields[0].len() <= NAME).then_some(fields)
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
        assert_eq!(users.group(10).unwrap().members().collect::<Vec<_>>(), ["root", "nonroot"]);
        let long = format!("{}:x:1:1:::", "n".repeat(NAME + 1));
        assert!(Users::parse(long.as_bytes(), b"").user(1).is_none());
    }

    #[test]
    fn each_user_has_the_groups_that_list_it_once() {
        let passwd = b"a:x:1:1:::\nb:x:2:2:::\na:x:3:3:::\nc:x:4:4:::\n";
        let users = Users::parse(passwd, b"g:x:7:a,a,b\nh:x:8:a,nobody\ng:x:7:c\n");
        let listed: Vec<(u32, Vec<u32>)> =
            users.with_groups().map(|(user, groups)| (user.uid, groups)).collect();
        assert_eq!(listed, [(1, vec![7, 8]), (2, vec![7]), (3, vec![]), (4, vec![7])]);
    }

    #[test]
    fn the_records_after_the_first_100_000_are_passed_over() {
        let passwd: String = (0..RECORDS + 1).map(|id| format!("u{id}:x:{id}:0:::\n")).collect();
        let users = Users::parse(passwd.as_bytes(), b"");
        assert_eq!(users.users().count(), RECORDS);
        assert_eq!(users.user(RECORDS as u32 - 1).map(|user| user.gid), Some(0));
        assert_eq!(users.user(RECORDS as u32), None);
    }
}
