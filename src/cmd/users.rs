//! `users`.

use std::ffi::OsString;

use super::{Command, Context, Example, Fault, Place, Result, Status};
use crate::out::field::field;
use crate::out::{Align, Column, Field, Kind, Output, Row};

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
    #[arg(value_name = "NAME|ID")]
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
            cell: |row| if row.is_session { "*" } else { "" }.to_owned(),
        },
        Column {
            header: "NAME",
            align: Align::Left,
            cell: |row| row.name.clone().unwrap_or_else(|| "-".to_owned()),
        },
        Column { header: "ID", align: Align::Right, cell: |row| row.id.to_string() },
        Column { header: "GROUPS", align: Align::Left, cell: |row| dash(&row.groups) },
        Column { header: "MEMBERS", align: Align::Left, cell: |row| dash(&row.members) },
        Column {
            header: "HOME",
            align: Align::Left,
            cell: |row| row.home.clone().unwrap_or_else(|| "-".to_owned()),
        },
        Column {
            header: "SHELL",
            align: Align::Left,
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

    fn run(self, cx: &mut Context, out: &mut Output<UserRow>) -> Result<Status> {
        let mut rows = if self.groups { groups(cx) } else { users(cx) };
        for wanted in &self.wanted {
            let text = wanted.to_string_lossy();
            let is = |row: &UserRow| row.name.as_deref() == Some(&*text) || row.id.to_string() == text;
            if !rows.iter().any(is) {
                let kind = if self.groups { "find group" } else { "find user" };
                let file = if self.groups {
                    "/etc/group has none of that name or id"
                } else {
                    "/etc/passwd has none of that name or id"
                };
                cx.report(&Fault::text(kind, wanted, file));
            }
        }
        if !self.wanted.is_empty() {
            rows.retain(|row| {
                self.wanted.iter().any(|wanted| {
                    let text = wanted.to_string_lossy();
                    row.name.as_deref() == Some(&*text) || row.id.to_string() == text
                })
            });
        }
        rows.iter().try_for_each(|row| out.row(row)).map_err(Fault::output)?;
        Ok(Status::OK)
    }
}

fn users(cx: &Context) -> Vec<UserRow> {
    let all = cx.users();
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let name_of = |gid: &u32| all.group_name(*gid);
    let mut rows: Vec<UserRow> = all
        .users()
        .iter()
        .map(|user| {
            let mut groups = vec![user.gid];
            groups.extend(all.groups_of(&user.name).into_iter().filter(|gid| *gid != user.gid));
            UserRow {
                name: Some(user.name.clone()),
                id: user.uid,
                gid: Some(user.gid),
                groups: groups.iter().map(name_of).collect(),
                members: Vec::new(),
                home: Some(user.home.clone()),
                shell: Some(user.shell.clone()),
                is_session: user.uid == uid,
            }
        })
        .collect();
    if all.user(uid).is_none() {
        let further = nix::unistd::getgroups().unwrap_or_default();
        let further = further.into_iter().map(nix::unistd::Gid::as_raw).filter(|further| *further != gid);
        let groups: Vec<String> =
            std::iter::once(gid).chain(further).map(|gid| all.group_name(gid)).collect();
        let own = UserRow {
            name: None,
            id: uid,
            gid: Some(gid),
            groups,
            members: Vec::new(),
            home: None,
            shell: None,
            is_session: true,
        };
        rows.insert(0, own);
    }
    rows
}

fn groups(cx: &Context) -> Vec<UserRow> {
    let all = cx.users();
    let mut own: Vec<u32> =
        nix::unistd::getgroups().unwrap_or_default().into_iter().map(nix::unistd::Gid::as_raw).collect();
    own.push(nix::unistd::getegid().as_raw());
    let mut rows: Vec<UserRow> = own
        .iter()
        .enumerate()
        .filter(|(at, gid)| all.group(**gid).is_none() && !own[..*at].contains(gid))
        .map(|(_, gid)| row_of_group(None, *gid, Vec::new(), true))
        .collect();
    rows.extend(all.groups().iter().map(|group| {
        row_of_group(Some(group.name.clone()), group.gid, group.members.clone(), own.contains(&group.gid))
    }));
    rows
}

fn row_of_group(name: Option<String>, id: u32, members: Vec<String>, is_session: bool) -> UserRow {
    UserRow { name, id, gid: None, groups: Vec::new(), members, home: None, shell: None, is_session }
}
