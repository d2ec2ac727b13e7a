//! Where the cgroups of a process are in the node's file systems, and which of their ancestors bind tighter.

use std::path::{Path, PathBuf};

use crate::cmd::{Fault, Result};
use crate::sys::cgroupfs::{self, Hierarchy};
use crate::sys::open::Refused;
use crate::target::cgroup::{Cgroup, Ownership};
use crate::target::host::Host;

/// Most of a cgroup's file that is read.
const FILE_LIMIT: usize = 1 << 20;
/// Most of mountinfo that is read.
const MOUNTS_LIMIT: usize = 16 << 20;
/// More ancestors are not looked at.
const DEPTH: usize = 64;

/// The node's cgroup file systems, and the cgroups of one process.
pub struct Tree<'a> {
    host: &'a Host,
    hierarchies: Vec<Hierarchy>,
    memberships: Vec<(Option<Vec<String>>, String)>,
}

/// A cgroup in one hierarchy.
#[derive(Debug, Clone)]
pub struct Place {
    /// 1 or 2.
    pub version: u8,
    /// Its path in the hierarchy, as the node names it.
    pub path: String,
    /// Its directory and those above it, with their paths, up to the root of the hierarchy.
    up: Vec<(String, PathBuf)>,
}

/// A limit, and which cgroup sets it.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit<T> {
    /// How much.
    pub value: T,
    /// The cgroup that sets it.
    pub path: String,
    /// Whether it is one above.
    pub is_above: bool,
}

impl<'a> Tree<'a> {
    /// Finds the hierarchies; `membership` is the process's `/proc/PID/cgroup`.
    ///
    /// # Errors
    /// Where the node's mounts can't be read, or the paths are not the node's.
    pub fn find(host: &'a Host, membership: &[u8]) -> Result<Self> {
        // Of the node's first process, since our own mounts may be those of a container.
        let file = "/proc/1/mountinfo";
        let mounts = host.read(Path::new(file), MOUNTS_LIMIT).map_err(|error| match error {
            Refused::Io(error) => Fault::io("read", file, &error),
            Refused::Kind(kind) => Fault::text("read", file, kind),
        })?;
        let memberships = cgroupfs::memberships(membership);
        if memberships.iter().any(|(_, path)| path.starts_with("/..")) {
            return Err(Fault::say(
                "the target's cgroup is above that of nsdbg, which runs in a cgroup namespace",
            )
            .with_hint("give nsdbg the node's cgroup namespace: --cgroupns=host"));
        }
        Ok(Self { host, hierarchies: cgroupfs::hierarchies(&mounts), memberships })
    }

    /// Where a controller of version 1 has the process.
    pub fn first(&self, controller: &str) -> Option<Place> {
        let has = |names: &Option<Vec<String>>| {
            names.as_ref().is_some_and(|all| all.iter().any(|n| n == controller))
        };
        let path = &self.memberships.iter().find(|(names, _)| has(names))?.1;
        self.place(1, path, |hierarchy| has(&hierarchy.controllers))
    }

    /// Where version 2 has it.
    pub fn second(&self) -> Option<Place> {
        let path = &self.memberships.iter().find(|(names, _)| names.is_none())?.1;
        self.place(2, path, |hierarchy| hierarchy.controllers.is_none())
    }

    fn place(&self, version: u8, path: &str, is: impl Fn(&Hierarchy) -> bool) -> Option<Place> {
        if path.split('/').any(|part| part == "..") {
            return None;
        }
        for hierarchy in self.hierarchies.iter().filter(|hierarchy| is(hierarchy)) {
            let root = hierarchy.root.trim_end_matches('/');
            let Some(below) = path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'))
            else {
                continue;
            };
            let mut up = Vec::new();
            let mut rest = below.trim_end_matches('/');
            for _ in 0..DEPTH {
                let directory = PathBuf::from(format!("{}{rest}", hierarchy.point.trim_end_matches('/')));
                let name = format!("{root}{rest}");
                up.push((if name.is_empty() { "/".to_owned() } else { name }, directory));
                match rest.rfind('/') {
                    Some(at) => rest = rest.get(..at).unwrap_or_default(),
                    None => break,
                }
            }
            // What is mounted over it, or another root's, has nothing there.
            if self.host.read(&up.first()?.1.join("cgroup.procs"), FILE_LIMIT).is_ok_or_large() {
                return Some(Place { version, path: path.to_owned(), up });
            }
        }
        None
    }

    /// A file of a cgroup; None where it is not there.
    pub fn read(&self, place: &Place, name: &str) -> Option<Vec<u8>> {
        self.file(&place.up.first()?.1, name)
    }

    /// A file of the node.
    pub fn node_file(&self, path: &str) -> Option<Vec<u8>> {
        self.host.read(Path::new(path), FILE_LIMIT).ok()
    }

    fn file(&self, directory: &Path, name: &str) -> Option<Vec<u8>> {
        self.host.read(&directory.join(name), FILE_LIMIT).ok()
    }

    /// The tightest limit of a cgroup and all above it; of equal ones the nearest. `value` is given a reader of the
    /// files of each.
    pub fn tightest<T: PartialOrd>(
        &self,
        place: &Place,
        value: impl Fn(&dyn Fn(&str) -> Option<Vec<u8>>) -> Option<T>,
    ) -> Option<Limit<T>> {
        let mut found: Option<Limit<T>> = None;
        for (at, (path, directory)) in place.up.iter().enumerate() {
            if let Some(value) = value(&|name| self.file(directory, name))
                && found.as_ref().is_none_or(|limit| value < limit.value)
            {
                found = Some(Limit { value, path: path.clone(), is_above: at > 0 });
            }
        }
        found
    }
}

/// Whether a file is there, however long it is.
trait IsThere {
    fn is_ok_or_large(&self) -> bool;
}

impl IsThere for std::result::Result<Vec<u8>, Refused> {
    fn is_ok_or_large(&self) -> bool {
        match self {
            Ok(_) => true,
            Err(Refused::Io(error)) => {
                // A cgroup of threads refuses to list its processes.
                error.kind() == std::io::ErrorKind::FileTooLarge
                    || error.raw_os_error() == Some(libc::EOPNOTSUPP)
            }
            Err(Refused::Kind(_)) => false,
        }
    }
}

/// What a cgroup is, in words: `the pod`, `the container`, `system.slice`.
pub fn owner(path: &str) -> String {
    // Only words: whoever gave the name.
    let found = Cgroup::of_path(path, Ownership::ROOT);
    match (found.is_container(), found.pod_uid.is_some(), found.unit) {
        (true, ..) => "the container".to_owned(),
        (_, true, _) => "the pod".to_owned(),
        (_, _, Some(unit)) => unit,
        _ => "the cgroup".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_in_words() {
        let id = "a".repeat(64);
        for (path, words) in [
            ("/kubepods.slice/kubepods-pod0f1e2d3c_4b5a_6978_8796_a5b4c3d2e1f0.slice".to_owned(), "the pod"),
            ("/kubepods/burstable/pod0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0".to_owned(), "the pod"),
            (format!("/system.slice/docker-{id}.scope"), "the container"),
            ("/system.slice".to_owned(), "system.slice"),
            ("/kubepods/burstable".to_owned(), "the cgroup"),
        ] {
            assert_eq!(owner(&path), words, "{path}");
        }
    }
}
