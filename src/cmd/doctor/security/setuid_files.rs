//! `setuid-files`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::sys::statx::mode_text;

pub const CHECK: Check = Check {
    id: "setuid-files",
    group: Group::Security,
    question: "Are there setuid or setgid programs?",
    is_slow: true,
    run: Run::Inside(run),
};

/// How long is looked, at how many files, how deep.
const LIMIT: Duration = Duration::from_secs(1);
const FILES: usize = 200_000;
const DEPTH: usize = 12;
/// How many are told.
const TOLD: usize = 20;

fn run(_: &Container) -> Vec<Found> {
    let device = std::fs::symlink_metadata("/").map_or(0, |facts| facts.dev());
    let mut walk = Walk { device, end: Instant::now() + LIMIT, files: 0, found: Vec::new(), is_cut: false };
    walk.directory(Path::new("/"), 0);
    let mut found: Vec<Found> = walk
        .found
        .iter()
        .take(TOLD)
        .map(|(path, mode, owner)| {
            let mode = mode_text(*mode);
            Found::note(format!("it runs as {owner}, whoever starts it"))
                .about(path)
                .seen(String::from_utf8_lossy(&mode).into_owned())
                .fix("chmod a-s in the image; no_new_privs (allowPrivilegeEscalation: false) takes its effect away")
        })
        .collect();
    if walk.found.len() > TOLD {
        found.push(Found::note(format!("there are {} more", walk.found.len() - TOLD)));
    }
    if walk.is_cut {
        let found_or_not = if found.is_empty() { "none was found among" } else { "these were found among" };
        found.push(Found::skip(format!(
            "{found_or_not} the first {} files: there are more than could be looked at in time",
            walk.files
        )));
    }
    found
}

struct Walk {
    /// The root's: what is mounted is not the image's.
    device: u64,
    end: Instant,
    files: usize,
    found: Vec<(PathBuf, u32, String)>,
    is_cut: bool,
}

impl Walk {
    fn directory(&mut self, path: &Path, depth: usize) {
        let Ok(entries) = std::fs::read_dir(path) else { return };
        for entry in entries.flatten() {
            self.files += 1;
            if self.files > FILES || depth > DEPTH || Instant::now() >= self.end {
                self.is_cut = true;
                return;
            }
            let Ok(kind) = entry.file_type() else { continue };
            if !kind.is_dir() && !kind.is_file() {
                continue;
            }
            let path = entry.path();
            let Ok(facts) = std::fs::symlink_metadata(&path) else { continue };
            if facts.dev() != self.device {
                continue;
            }
            if facts.is_dir() {
                self.directory(&path, depth + 1);
                if self.is_cut {
                    return;
                }
            } else if facts.is_file() && is_special(facts.mode()) {
                let owner = match facts.mode() & libc::S_ISUID {
                    0 => format!("group {}", facts.gid()),
                    _ => format!("uid {}", facts.uid()),
                };
                self.found.push((path, facts.mode(), owner));
            }
        }
    }
}

/// Setuid, or setgid of what can be started: without that bit it is a kind of lock.
fn is_special(mode: u32) -> bool {
    (mode & libc::S_ISUID != 0 && mode & 0o111 != 0)
        || (mode & libc::S_ISGID != 0 && mode & libc::S_IXGRP != 0)
}
