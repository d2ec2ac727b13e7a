//! `inodes`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{percent, storage};
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;

pub const CHECK: Check = Check {
    id: "inodes",
    group: Group::Resources,
    question: "Is a file system that the container writes to out of inodes?",
    is_slow: false,
    run: Run::Inside(run),
};

fn run(container: &Container) -> Vec<Found> {
    let mut found = Vec::new();
    for (mount, space) in storage(container).into_iter().filter(|(mount, _)| !mount.is_read_only()) {
        // One that does not answer is told by disk-space.
        let Ok(space) = space else { continue };
        let used = space.files.saturating_sub(space.files_free);
        // Some file systems do not say how many they can have.
        let Some(share) = percent(used, space.files) else { continue };
        let seen =
            format!("{} of {} inodes free ({}, {share}% used)", space.files_free, space.files, mount.kind);
        let fix = "find -xdev … | wc -l shows where the many small files are; remove them, or give the file system more inodes (nr_inodes= of a tmpfs)";
        let target = OsStr::from_bytes(&mount.target);
        found.push(match share {
            _ if space.files_free == 0 => {
                Found::fail("no further file can be made").about(target).seen(seen).fix(fix)
            }
            95.. => Found::warn("few further files can be made").about(target).seen(seen).fix(fix),
            _ => continue,
        });
    }
    found
}
