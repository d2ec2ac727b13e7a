//! `users`.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::{Command, Completion, Context, Example, Fault, Place, Result, Status, Takes};
use crate::out::field::field;
use crate::out::{Align, Column, Field, Kind, Narrow, Output, Row};
use crate::sys::passwd::Users;

/// List the container's users
///
/// Those of its /etc/passwd, with the groups of its /etc/group, as files say them: no name service is asked. A user that
/// has no line there, but is the session's, comes first. Operands are names or numbers.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct ListUsers {
    /// The groups in place of the users
    #[arg(short, long)]
    groups: bool,
    /// Names or ids [default: all]
    #[arg(value_name = "NAME|ID", add = Takes::User)]
    wanted: Vec<OsString>,
}

/// A user or a group.
#[derive(serde::Serialize)]
pub struct UserRow {
    name: Option<String>,
    id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    groups: Vec<String>,
    members: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    home: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shell: Option<String>,
    is_session: bool,
}

impl Row for UserRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            header: "",
            align: Align::Left,
            narrow: Narrow::WHOLE,
            cell: |row| if row.is_session { "*" } else { "" }.to_owned(),
        },
        Column {
            header: "NAME",
            align: Align::Left,
            narrow: Narrow::shorten(8),
            cell: |row| row.name.clone().unwrap_or_else(|| "-".to_owned()),
        },
        Column { header: "ID", align: Align::Right, narrow: Narrow::WHOLE, cell: |row| row.id.to_string() },
        Column {
            header: "GROUPS",
            align: Align::Left,
            narrow: Narrow::shorten(12),
            cell: |row| dash(&row.groups),
        },
        Column {
            header: "MEMBERS",
            align: Align::Left,
            narrow: Narrow::shorten(12),
            cell: |row| dash(&row.members),
        },
        Column {
            header: "HOME",
            align: Align::Left,
            narrow: Narrow::shorten(12).or_drop(2),
            cell: |row| row.home.clone().unwrap_or_else(|| "-".to_owned()),
        },
        Column {
            header: "SHELL",
            align: Align::Left,
            narrow: Narrow::shorten(10).or_drop(1),
            cell: |row| row.shell.clone().unwrap_or_else(|| "-".to_owned()),
        },
    ];
}

fn dash(all: &[String]) -> String {
    if all.is_empty() { "-".to_owned() } else { all.join(",") }
}

impl Command for ListUsers {
    type Row = UserRow;
    const PLACE: Place = Place::Inside;
    const REPLACES: &'static str = "id, getent passwd, getent group";
    const FIELDS: &'static [Field] = &[
        field("name", Kind::Text, "the user's, or the group's; null for one without a line"),
        field("id", Kind::Number, "the user's, or the group's, as the container counts"),
        field("gid", Kind::Number, "of a user: the id of its first group"),
        field("groups", Kind::List, "of a user: names of its groups, the first one first"),
        field("members", Kind::List, "of a group: those that /etc/group lists"),
        field("home", Kind::Text, "of a user: its home directory"),
        field("shell", Kind::Text, "of a user: its login shell"),
        field("is_session", Kind::Flag, "whether the session is that user, or in that group"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "users", what: "all users; * is the session's" },
        Example { line: "users -g", what: "all groups" },
        Example { line: "users 0", what: "one" },
    ];

    fn complete(at: &Completion) -> Option<Takes> {
        at.words.iter().any(|word| word == "-g" || word == "--groups").then_some(Takes::Group)
    }

    fn run(self, cx: &mut Context, out: &mut Output<UserRow>) -> Result<Status> {
        let mut wanted: Vec<Wanted> =
            self.wanted.iter().map(|typed| Wanted { typed, is_found: false }).collect();
        let mut show = |row: UserRow| {
            let mut is_wanted = wanted.is_empty();
            for one in wanted.iter_mut().filter(|one| one.is(&row)) {
                one.is_found = true;
                is_wanted = true;
            }
            if is_wanted { out.row(&row).map_err(Fault::output) } else { Ok(()) }
        };
        if self.groups { groups(cx.users(), &mut show) } else { users(cx.users(), &mut show) }?;
        let (op, cause) = if self.groups {
            ("find group", "/etc/group has none of that name or id")
        } else {
            ("find user", "/etc/passwd has none of that name or id")
        };
        for one in wanted.iter().filter(|one| !one.is_found) {
            cx.report(&Fault::text(op, one.typed, cause));
        }
        Ok(Status::OK)
    }
}

/// An operand.
struct Wanted<'a> {
    typed: &'a OsString,
    is_found: bool,
}

impl Wanted<'_> {
    fn is(&self, row: &UserRow) -> bool {
        let text = self.typed.to_string_lossy();
        row.name.as_deref() == Some(&*text) || row.id.to_string() == text
    }
}

/// What takes a row.
type Show<'a> = &'a mut dyn FnMut(UserRow) -> Result<()>;

fn users(all: &Users, show: Show) -> Result<()> {
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    if all.user(uid).is_none() {
        let mut groups = vec![gid];
        groups.extend(session_groups().into_iter().filter(|further| *further != gid));
        show(UserRow {
            name: None,
            id: uid,
            gid: Some(gid),
            groups: groups.into_iter().map(|gid| all.group_name(gid)).collect(),
            members: Vec::new(),
            home: None,
            shell: None,
            is_session: true,
        })?;
    }
    for (user, mut groups) in all.with_groups() {
        groups.retain(|gid| *gid != user.gid);
        groups.insert(0, user.gid);
        show(UserRow {
            name: Some(user.name.to_owned()),
            id: user.uid,
            gid: Some(user.gid),
            groups: groups.into_iter().map(|gid| all.group_name(gid)).collect(),
            members: Vec::new(),
            home: Some(user.home.to_owned()),
            shell: Some(user.shell.to_owned()),
            is_session: user.uid == uid,
        })?;
    }
    Ok(())
}

fn session_groups() -> Vec<u32> {
    nix::unistd::getgroups().unwrap_or_default().into_iter().map(nix::unistd::Gid::as_raw).collect()
}

fn groups(all: &Users, show: Show) -> Result<()> {
    let mut own = BTreeSet::from_iter(session_groups());
    own.insert(nix::unistd::getegid().as_raw());
    for gid in own.iter().filter(|gid| all.group(**gid).is_none()) {
        show(row_of_group(None, *gid, Vec::new(), true))?;
    }
    for group in all.groups() {
        let members = group.members().map(str::to_owned).collect();
        show(row_of_group(Some(group.name.to_owned()), group.gid, members, own.contains(&group.gid)))?;
    }
    Ok(())
}

fn row_of_group(name: Option<String>, id: u32, members: Vec<String>, is_session: bool) -> UserRow {
    UserRow { name, id, gid: None, groups: Vec::new(), members, home: None, shell: None, is_session }
}
