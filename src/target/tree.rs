//! Members of containers' cgroups, from the cgroup file systems. It saves a look at each of their processes; who is
//! not found in here is looked at by itself.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::dir::{Dir, Type};
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstatat};

use super::cgroup::Cgroup;

/// Where hierarchies are mounted, the likelier ones first.
const HIERARCHIES: [&str; 5] = [
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/systemd",
    "/sys/fs/cgroup/pids",
    "/sys/fs/cgroup/memory",
];
/// Deeper cgroups are not looked at.
const DEPTH: usize = 32;
/// More of them are not.
const COUNT: usize = 100_000;
/// Most of one member list that is read.
const LIST_LIMIT: u64 = 8 << 20;

/// Who is in which container's cgroup.
pub fn members() -> HashMap<i32, Arc<Cgroup>> {
    let mut walk = Walk { members: HashMap::new(), seen: HashSet::new(), left: COUNT };
    for path in HIERARCHIES {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        if let Ok(root) = openat(AT_FDCWD, path, flags, Mode::empty())
            && openat(&root, c"cgroup.procs", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).is_ok()
        {
            walk.below(root, "", DEPTH);
        }
    }
    walk.members
}

struct Walk {
    members: HashMap<i32, Arc<Cgroup>>,
    /// Paths that another hierarchy has shown already.
    seen: HashSet<String>,
    left: usize,
}

impl Walk {
    fn below(&mut self, directory: OwnedFd, path: &str, depth: usize) {
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
            if self.left == 0 || depth == 0 {
                return;
            }
            self.left -= 1;
            let path = format!("{path}/{}", name.to_string_lossy());
            let cgroup = Cgroup::of_path(&path);
            if (cgroup.id.is_some() || cgroup.name.is_some()) && self.seen.insert(path.clone()) {
                let list = [name.to_bytes(), b"/cgroup.procs"].concat();
                self.take(&directory, &list, cgroup);
            }
            // A directory has a link for each one in it.
            let has_more =
                fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|facts| facts.st_nlink > 2);
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            if has_more && let Ok(next) = openat(&directory, name, flags, Mode::empty()) {
                self.below(next, &path, depth - 1);
            }
        }
    }

    fn take(&mut self, directory: impl AsFd, list: &[u8], cgroup: Cgroup) {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let mut text = Vec::new();
        let read = openat(directory, list, flags, Mode::empty())
            .map_err(std::io::Error::from)
            .and_then(|file| File::from(file).take(LIST_LIMIT).read_to_end(&mut text));
        if read.is_err() {
            return;
        }
        let cgroup = Arc::new(cgroup);
        for line in text.split(|byte| *byte == b'\n') {
            if let Some(pid) = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok()) {
                // PIDs of outer namespaces are 0.
                if pid != 0 {
                    self.members.entry(pid).or_insert_with(|| Arc::clone(&cgroup));
                }
            }
        }
    }
}
