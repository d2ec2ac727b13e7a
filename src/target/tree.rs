//! Members of containers' cgroups, from the cgroup file systems. It saves a look at each of their processes; who is
//! not found in here is looked at by itself.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::dir::{Dir, Type};
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstatat};

use super::cgroup::{Cgroup, Ownership};
use super::hierarchies::{Hierarchies, is_roots};

/// Deeper cgroups are not looked at.
const DEPTH: usize = 32;
/// More of them are not.
const COUNT: usize = 100_000;
/// Most of one member list that is read.
const LIST_LIMIT: u64 = 8 << 20;

/// Who is in which container's cgroup.
pub fn members(hierarchies: &Hierarchies) -> HashMap<i32, Arc<Cgroup>> {
    let mut walk = Walk { members: HashMap::new(), seen: HashSet::new(), left: COUNT };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    for hierarchy in hierarchies.likely() {
        let facts = fstatat(&hierarchy.root, ".", AtFlags::empty());
        if let (Ok(root), Ok(facts)) = (openat(&hierarchy.root, ".", flags, Mode::empty()), facts) {
            let place = Place {
                path: String::new(),
                depth: 0,
                is_roots: is_roots(&facts),
                ownership: Ownership::UNKNOWN,
            };
            walk.below(root, &place);
        }
    }
    walk.members
}

/// Whether a process is in the cgroup with this path, as the hierarchies tell. None where none of them has that path.
pub fn holds(hierarchies: &Hierarchies, path: &str, pid: i32) -> Option<bool> {
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    let list = format!("./{path}/cgroup.procs");
    let mut found = None;
    for hierarchy in hierarchies.likely() {
        if let Ok(text) = read_list(&hierarchy.root, list.as_bytes()) {
            found = Some(found == Some(true) || pids(&text).any(|member| member == pid));
        }
    }
    found
}

struct Walk {
    members: HashMap<i32, Arc<Cgroup>>,
    /// Paths of which another hierarchy has said the same.
    seen: HashSet<(String, Ownership)>,
    left: usize,
}

/// A directory.
struct Place {
    path: String,
    depth: usize,
    /// Whether only root has made what is in it.
    is_roots: bool,
    ownership: Ownership,
}

impl Walk {
    fn below(&mut self, directory: OwnedFd, above: &Place) {
        let Ok(mut entries) =
            directory.try_clone().map_err(|_| ()).and_then(|fd| Dir::from_fd(fd).map_err(|_| ()))
        else {
            return;
        };
        for entry in entries.iter().flatten() {
            let name = entry.file_name();
            if entry.file_type() != Some(Type::Directory) || matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if self.left == 0 || above.depth == DEPTH {
                return;
            }
            self.left -= 1;
            let Ok(facts) = fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) else { continue };
            let ownership = Ownership {
                named: above.ownership.named + usize::from(above.is_roots),
                owner: above.ownership.owner.or(Some(facts.st_uid).filter(|uid| *uid != 0)),
            };
            let place = Place {
                path: format!("{}/{}", above.path, name.to_string_lossy()),
                depth: above.depth + 1,
                is_roots: above.is_roots && is_roots(&facts),
                ownership,
            };
            let cgroup = Cgroup::of_path(&place.path, ownership);
            if (cgroup.is_container() || cgroup.claim.is_some())
                && self.seen.insert((place.path.clone(), ownership))
            {
                let list = [name.to_bytes(), b"/cgroup.procs"].concat();
                self.take(&directory, &list, cgroup);
            }
            // A directory has a link for each one in it.
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            if facts.st_nlink > 2
                && let Ok(next) = openat(&directory, name, flags, Mode::empty())
            {
                self.below(next, &place);
            }
        }
    }

    fn take(&mut self, directory: impl AsFd, list: &[u8], cgroup: Cgroup) {
        let Ok(text) = read_list(directory, list) else { return };
        let cgroup = Arc::new(cgroup);
        for pid in pids(&text) {
            let known = self.members.entry(pid).or_insert_with(|| Arc::clone(&cgroup));
            if cgroup.weight() > known.weight() {
                *known = Arc::clone(&cgroup);
            }
        }
    }
}

fn read_list(directory: impl AsFd, list: &[u8]) -> io::Result<Vec<u8>> {
    let file = openat(directory, list, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut text = Vec::new();
    File::from(file).take(LIST_LIMIT).read_to_end(&mut text)?;
    Ok(text)
}

/// The PIDs in a member list. Those of outer namespaces are 0, and left out.
fn pids(list: &[u8]) -> impl Iterator<Item = i32> {
    let numbers =
        list.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()?.parse().ok());
    numbers.filter(|pid| *pid != 0)
}
