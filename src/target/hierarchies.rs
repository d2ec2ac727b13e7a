//! The node's cgroup file systems, and whose the directories in them are.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstatat};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, fstatfs};

use super::cgroup::{Ownership, parts};
use super::host::Host;

/// Where they are mounted.
const PLACE: &str = "/sys/fs/cgroup";
/// More of them are not looked at.
const COUNT: usize = 64;

/// The hierarchies of both versions.
#[derive(Debug, Default)]
pub struct Hierarchies(Vec<Hierarchy>);

/// One of them.
#[derive(Debug)]
pub struct Hierarchy {
    /// The name of the directory that it is mounted on, of version 1: `cpu,cpuacct`, `systemd`. None in version 2.
    controllers: Option<String>,
    /// Its root directory.
    pub root: OwnedFd,
}

impl Hierarchies {
    /// Finds the node's: in its files, else in our own, where the node's root was named and has none.
    pub fn find(host: &Host) -> Self {
        let found = Self::below(host);
        if !found.0.is_empty() {
            return found;
        }
        Host::open(Path::new("/")).map(|own| Self::below(&own)).unwrap_or_default()
    }

    fn below(host: &Host) -> Self {
        let mut all = Vec::new();
        let Ok(place) = host.directory(Path::new(PLACE)) else { return Self(all) };
        match kind(&place) {
            Some(CGROUP2_SUPER_MAGIC) => all.push(Hierarchy { controllers: None, root: place }),
            Some(CGROUP_SUPER_MAGIC) => {}
            _ => {
                // Links to what has several controllers are left out.
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                for name in host.list(Path::new(PLACE)).unwrap_or_default().into_iter().take(COUNT) {
                    let Ok(root) = openat(&place, name.as_os_str(), flags, Mode::empty()) else { continue };
                    match kind(&root) {
                        Some(CGROUP2_SUPER_MAGIC) => all.push(Hierarchy { controllers: None, root }),
                        Some(CGROUP_SUPER_MAGIC) => {
                            let controllers = Some(name.to_string_lossy().into_owned());
                            all.push(Hierarchy { controllers, root });
                        }
                        _ => {}
                    }
                }
            }
        }
        Self(all)
    }

    /// Those in which containers are looked for, the likelier ones first.
    pub fn likely(&self) -> impl Iterator<Item = &Hierarchy> {
        let wanted = [None, Some("systemd"), Some("pids"), Some("memory")];
        wanted.into_iter().filter_map(|of| self.0.iter().find(|one| one.controllers.as_deref() == of))
    }

    /// Where the hierarchy is of a line in /proc/PID/cgroup that has these controllers.
    fn of(&self, controllers: &str) -> Option<usize> {
        let wanted = controllers.strip_prefix("name=").unwrap_or(controllers);
        self.0.iter().position(|one| match &one.controllers {
            None => wanted.is_empty(),
            Some(names) => names == wanted || names.split(',').any(|name| name == wanted),
        })
    }
}

fn kind(file: impl AsFd) -> Option<FsType> {
    fstatfs(file).ok().map(|facts| facts.filesystem_type())
}

/// Whether only root can make names in a directory.
pub fn is_roots(facts: &FileStat) -> bool {
    facts.st_uid == 0 && facts.st_mode & 0o022 == 0
}

/// Who gave the names of cgroups. Each directory is looked at once.
pub struct Owners<'a> {
    hierarchies: &'a Hierarchies,
    /// By hierarchy and path: the user and whether only root can make names in it. None where it is not there.
    seen: HashMap<(usize, String), Option<(u32, bool)>>,
}

impl<'a> Owners<'a> {
    /// Nothing is known yet.
    pub fn new(hierarchies: &'a Hierarchies) -> Self {
        Self { hierarchies, seen: HashMap::new() }
    }

    /// Who gave the names of a path in the hierarchy with these controllers. Nothing is believed of a path that is not
    /// there, or is above our own cgroup namespace.
    pub fn of(&mut self, controllers: &str, path: &str) -> Ownership {
        let Some(at) = self.hierarchies.of(controllers) else { return Ownership::UNKNOWN };
        if path.split('/').any(|part| part == "..") {
            return Ownership::UNKNOWN;
        }
        let mut found = Ownership::UNKNOWN;
        let mut is_roots = true;
        let mut directory = String::from(".");
        for part in std::iter::once("").chain(parts(path)) {
            if !part.is_empty() {
                found.named += usize::from(is_roots);
                directory.push('/');
                directory.push_str(part);
            }
            let Some((uid, roots_alone)) = self.look(at, &directory) else { return Ownership::UNKNOWN };
            is_roots &= roots_alone;
            found.owner = found.owner.or(Some(uid).filter(|uid| *uid != 0));
        }
        found
    }

    fn look(&mut self, at: usize, directory: &str) -> Option<(u32, bool)> {
        let key = (at, directory.to_owned());
        if let Some(seen) = self.seen.get(&key) {
            return *seen;
        }
        let root = self.hierarchies.0.get(at).map(|one| one.root.as_fd())?;
        let facts = fstatat(root, OsStr::from_bytes(directory.as_bytes()), AtFlags::AT_SYMLINK_NOFOLLOW);
        let found = facts.ok().map(|facts| (facts.st_uid, is_roots(&facts)));
        self.seen.insert(key, found);
        found
    }
}
