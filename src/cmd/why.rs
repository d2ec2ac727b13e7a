//! `why`.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::AccessFlags;

use super::{Command, Completion, Context, Example, Fault, Place, Result, Status};
use crate::out::fault::errno_text;
use crate::out::field::{field, more};
use crate::out::name::escape;
use crate::out::{Align, Column, Field, Kind, Name, Output, Row};
use crate::sys::passwd::Users;
use crate::sys::permission::{self, Acl, By, EXECUTE, Object, READ, Subject, WRITE};
use crate::sys::statx::{self, Facts, kind_name, mode_text};

/// Say why a file can or can't be read, written or started
///
/// Walks the path as the target's user, through its links, and says of each component what decides: its mode, its ACL, a
/// capability, its mount, or that it is not there. Without a word it is about reading. The status is 0 where it may be
/// done, 1 where not. The kernel has the last word: where it refuses what modes and ACLs allow, that is said.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Why {
    /// The file
    #[arg(value_name = "PATH")]
    path: OsString,
    /// What is wanted of it: read, write, or exec; of a directory to list it, to change what is in it, to go through it
    #[arg(value_name = "read|write|exec", value_parser = wanted)]
    what: Option<What>,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Read,
    Write,
    Exec,
}

fn wanted(word: &str) -> std::result::Result<What, String> {
    match word {
        "read" | "r" => Ok(What::Read),
        "write" | "w" => Ok(What::Write),
        "exec" | "x" | "execute" => Ok(What::Exec),
        _ => Err("it is one of read, write, exec".to_owned()),
    }
}

impl What {
    fn bit(self) -> u16 {
        match self {
            Self::Read => READ,
            Self::Write => WRITE,
            Self::Exec => EXECUTE,
        }
    }

    fn flag(self) -> AccessFlags {
        match self {
            Self::Read => AccessFlags::R_OK,
            Self::Write => AccessFlags::W_OK,
            Self::Exec => AccessFlags::X_OK,
        }
    }
}

/// As in path_resolution(7).
const MAX_LINKS: usize = 40;
const MAX_PATH: usize = 1 << 16;

/// One component of the path.
#[derive(Debug, serde::Serialize)]
pub struct Component {
    path: Name,
    r#type: &'static str,
    mode: String,
    owner: String,
    group: String,
    target: Option<Name>,
    needs: &'static str,
    allowed: bool,
    by: String,
    fix: Option<String>,
}

impl Row for Component {
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            header: "",
            align: Align::Left,
            cell: |row| if row.allowed { "yes" } else { "NO" }.to_owned(),
        },
        Column { header: "NEEDS", align: Align::Left, cell: |row| row.needs.to_owned() },
        Column { header: "MODE", align: Align::Left, cell: |row| row.mode.clone() },
        Column { header: "OWNER", align: Align::Left, cell: |row| row.owner.clone() },
        Column { header: "GROUP", align: Align::Left, cell: |row| row.group.clone() },
        Column { header: "PATH", align: Align::Left, cell: Component::shown_path },
        Column { header: "BY", align: Align::Left, cell: |row| row.by.clone() },
    ];
}

impl Component {
    fn shown_path(&self) -> String {
        match &self.target {
            Some(target) => format!("{} -> {}", self.path.spelled(), target.spelled()),
            None => self.path.spelled(),
        }
    }
}

impl Command for Why {
    type Row = Component;
    const PLACE: Place = Place::Inside;
    const REPLACES: &'static str = "namei -l, getfacl, test -r, and guessing";
    const FIELDS: &'static [Field] = &[
        field("path", Kind::Text, "the component, from the root, without links before it"),
        more("type", Kind::Text, "directory, regular file, symbolic link, …; empty where it is not there"),
        field("mode", Kind::Text, "as ls shows it"),
        field("owner", Kind::Text, "its owner"),
        field("group", Kind::Text, "its group"),
        more("target", Kind::Text, "of a link: where it leads"),
        field("needs", Kind::Text, "search, follow, read, write, exec, create"),
        field("allowed", Kind::Flag, "whether that may be done"),
        field("by", Kind::Text, "what decides that"),
        more("fix", Kind::Text, "what to do, where it may not be done"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "why /etc/passwd", what: "what lets it be read" },
        Example { line: "why /tmp/new write", what: "whether it can be made or written" },
        Example { line: "why /server exec", what: "whether it can be started" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<Component>) -> Result<Status> {
        let what = self.what.unwrap_or(What::Read);
        let mut walk = Walk { users: cx.users(), subject: Subject::own(), components: Vec::new() };
        let end = walk.walk(&self.path, what)?;
        let mut components = walk.components;
        // What the kernel says counts, whatever was found above.
        let asked = match &end {
            End::File => permission::ask(&self.path, what.flag()),
            End::New(directory) => {
                permission::ask(OsStr::from_bytes(directory), AccessFlags::W_OK | AccessFlags::X_OK)
            }
        };
        if let Some(last) = components.last_mut().filter(|last| last.allowed != asked.is_ok()) {
            last.allowed = asked.is_ok();
            last.by = match asked {
                Ok(()) => format!("the kernel allows it, although: {}", last.by),
                Err(errno) => format!(
                    "the kernel refuses it ({}), although: {}; a security module, or an attribute of the file (chattr)",
                    errno_text(errno as i32),
                    last.by
                ),
            };
        }
        let last = components.last().map(|last| (last.allowed, last.fix.clone()));
        components.iter().try_for_each(|row| out.row(row)).map_err(Fault::output)?;
        let (allowed, fix) = last.unwrap_or((false, None));
        if let Some(fix) = fix.filter(|_| !allowed && !out.is_json()) {
            // Behind the table, which is held back until its end.
            let fix = if cx.tty { escape(fix.as_bytes()) } else { fix };
            out.finish().and_then(|()| writeln!(out.bytes(), "fix: {fix}")).map_err(Fault::output)?;
        }
        Ok(Status(u8::from(!allowed)))
    }

    fn complete(completion: &Completion) -> Option<Vec<String>> {
        (!completion.words.is_empty()).then(|| ["read", "write", "exec"].map(str::to_owned).to_vec())
    }
}

/// Where a walk ended.
enum End {
    /// At the file, or before it.
    File,
    /// In this directory, which has no such file.
    New(Vec<u8>),
}

struct Walk<'a> {
    users: &'a Users,
    subject: Subject,
    components: Vec<Component>,
}

impl Walk<'_> {
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
        let mut links = 0;
        let mut told = Vec::new();
        loop {
            let here = if whole.is_empty() { b"/".to_vec() } else { whole.clone() };
            let Some(part) = rest.pop_front() else {
                return Ok(self.last(&here, what));
            };
            // A directory that was told already lets through.
            if !told.contains(&here) {
                told.push(here.clone());
                if !self.component(&here, "search", EXECUTE) {
                    return Ok(End::File);
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
            match nix::fcntl::readlink(OsStr::from_bytes(&whole)) {
                Ok(target) => {
                    links += 1;
                    let target = target.into_vec();
                    if !self.link(&whole, &target, links > MAX_LINKS) {
                        return Ok(End::File);
                    }
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
                    return Ok(End::File);
                }
                // It is there, and no link; or it can't be told, which the next round tells.
                Err(_) => {}
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
            row.fix = Some(self.fix(path, &object, needs, by));
        }
        self.components.push(row);
        allowed
    }

    fn last(&mut self, path: &[u8], what: What) -> End {
        let needs = match what {
            What::Read => "read",
            What::Write => "write",
            What::Exec => "exec",
        };
        if self.component(path, needs, what.bit()) {
            self.mounted(path, what);
        }
        End::File
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
            return End::File;
        };
        let object = object(directory, &facts);
        let (allowed, by) = permission::decide(&self.subject, &object, WRITE | EXECUTE);
        let mut row = self.empty(path, "create");
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
        self.components.push(row);
        End::New(directory.to_vec())
    }

    fn missing(&mut self, path: &[u8], why: &str) {
        let mut row = self.empty(path, "to be there");
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
            "it is a link".to_owned()
        };
        let parent = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let directory = path.get(..parent.max(1)).unwrap_or(b"/");
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

    fn empty(&self, path: &[u8], needs: &'static str) -> Component {
        Component {
            path: path.into(),
            r#type: "",
            mode: String::new(),
            owner: String::new(),
            group: String::new(),
            target: None,
            needs,
            allowed: false,
            by: String::new(),
            fix: None,
        }
    }

    fn row(&self, path: &[u8], facts: &Facts, needs: &'static str) -> Component {
        let text = mode_text(facts.mode);
        Component {
            r#type: kind_name(facts.mode, facts.size),
            mode: String::from_utf8_lossy(&text).into_owned(),
            owner: self.users.user_name(facts.uid),
            group: self.users.group_name(facts.gid),
            ..self.empty(path, needs)
        }
    }

    fn words(&self, by: By, object: &Object) -> String {
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

    fn fix(&self, path: &[u8], object: &Object, needs: &str, by: By) -> String {
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

fn object(path: &[u8], facts: &Facts) -> Object {
    let acl = Acl::of(OsStr::from_bytes(path));
    Object { mode: facts.mode, uid: facts.uid, gid: facts.gid, acl }
}

fn parts(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect()
}
