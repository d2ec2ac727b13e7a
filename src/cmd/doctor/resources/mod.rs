//! What is used up.

pub mod cpu_throttling;
pub mod deleted_open_files;
pub mod disk_space;
pub mod inodes;
pub mod memory_limit;
pub mod oom_kills;
pub mod pids_limit;
pub mod read_only_paths;
pub mod shm_size;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::cmd::df::spaces_within;
use crate::cmd::doctor::container::Container;
use crate::cmd::doctor::facts::Facts;
use crate::cmd::{Fault, cgroup};
use crate::sys::mounts::{self, Mount};
use crate::sys::statx::Space;

/// How long one file system is waited for.
const LIMIT: Duration = Duration::from_secs(1);

/// Kinds that hold no data, or not the container's.
const PSEUDO: [&str; 14] = [
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "devpts",
    "mqueue",
    "devtmpfs",
    "securityfs",
    "debugfs",
    "tracefs",
    "bpf",
    "pstore",
    "fusectl",
    "configfs",
];

/// The file systems that hold data, each once, and their space; all are asked at once.
fn storage(container: &Container) -> Vec<(&Mount, Result<Space, Fault>)> {
    let mut devices = Vec::new();
    let mut all = mounts::visible(&container.mounts);
    // Of one that is mounted twice, that which can be written to.
    all.sort_by_key(|mount| mount.is_read_only());
    all.retain(|mount| {
        let is_new = !PSEUDO.contains(&mount.kind.as_str()) && !devices.contains(&mount.device);
        devices.push(mount.device);
        is_new
    });
    let paths: Vec<&OsStr> = all.iter().map(|mount| OsStr::from_bytes(&mount.target)).collect();
    let spaces = spaces_within(&paths, LIMIT);
    all.into_iter().zip(spaces).collect()
}

/// What a controller of the target's cgroup says; that there is none, that it is the node's root cgroup, or that it is
/// not known, as a reason to skip.
fn controller<'a, T>(
    facts: &'a Facts,
    name: &str,
    of: impl FnOnce(&'a cgroup::Facts) -> Option<&'a T>,
) -> Result<&'a T, String> {
    let all = facts.cgroup()?;
    if all.paths.iter().all(|of| of.path == "/") {
        return Err("the container is in the node's root cgroup".to_owned());
    }
    of(all).ok_or_else(|| format!("the cgroup has no {name} controller"))
}

/// A share in percent, rounded down; none of nothing.
fn percent(part: u64, whole: u64) -> Option<u64> {
    (u128::from(part) * 100).checked_div(u128::from(whole)).map(|share| share.min(10_000) as u64)
}
