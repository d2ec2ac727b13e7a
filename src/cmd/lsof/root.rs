//! Paths as the container sees them.

use std::collections::HashSet;

use crate::sys::proc::{Procfs, Reader};

/// Where the container's root is, for us.
pub struct Root {
    /// What comes before every path in it: empty, where it is the root of its mounts.
    prefix: Vec<u8>,
    /// The mounts that it reaches; empty where they are not known.
    pub mounts: HashSet<u32>,
    /// Their devices.
    pub devices: HashSet<(u32, u32)>,
}

impl Root {
    /// That of the target.
    pub fn of(procfs: &Procfs, reader: &mut Reader, target: i32) -> Self {
        let link = reader.link(target, "root").map(std::os::unix::ffi::OsStringExt::into_vec);
        let prefix = link.ok().filter(|link| link.as_slice() != b"/").unwrap_or_default();
        let mut mounts = reader.mounts(target).unwrap_or_default();
        // A root that is no mount is in one that mountinfo leaves out.
        if !mounts.is_empty() {
            mounts.extend(procfs.facts(target, "root").ok().and_then(|facts| facts.mount));
        }
        let devices = reader.mounted_devices(target).unwrap_or_default();
        Self { prefix, mounts, devices }
    }

    /// A path as the container sees it, and whether it is not in the container's mounts: then it is as the kernel
    /// writes it.
    pub fn shown(&self, path: Vec<u8>, mount: Option<u32>) -> (Vec<u8>, bool) {
        if mount.is_some_and(|mount| !self.mounts.is_empty() && !self.mounts.contains(&mount)) {
            return (path, true);
        }
        match path.strip_prefix(self.prefix.as_slice()) {
            Some(b"") => (b"/".to_vec(), false),
            Some(rest) if rest.starts_with(b"/") => (rest.to_vec(), false),
            _ => (path, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_containers() {
        let root = |prefix: &str, mounts: &[u32]| Root {
            prefix: prefix.into(),
            mounts: mounts.iter().copied().collect(),
            devices: HashSet::new(),
        };
        let shown = |root: &Root, path: &str, mount| {
            let (path, outside) = root.shown(path.into(), mount);
            (String::from_utf8(path).unwrap(), outside)
        };
        let pivoted = root("", &[1]);
        let chrooted = root("/srv/jail", &[1]);
        for (root, path, mount, to, outside) in [
            (&pivoted, "/etc/x", Some(1), "/etc/x", false),
            (&pivoted, "/", Some(1), "/", false),
            (&pivoted, "/etc/x", Some(9), "/etc/x", true),
            (&pivoted, "/etc/x", None, "/etc/x", false),
            (&chrooted, "/srv/jail/etc/x", Some(1), "/etc/x", false),
            (&chrooted, "/srv/jail", Some(1), "/", false),
            (&chrooted, "/srv/jailed/x", Some(1), "/srv/jailed/x", true),
            (&chrooted, "/etc/x", Some(1), "/etc/x", true),
        ] {
            assert_eq!(shown(root, path, mount), (to.to_owned(), outside), "{path}");
        }
    }
}
