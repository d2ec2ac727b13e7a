//! The container as the checks inside see it: what the session knows of its program, and who they are themselves.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::cmd::Context;
use crate::sys::mounts::{self, Mount};
use crate::sys::passwd::Users;

/// What checks inside are given; shared by their threads.
pub struct Container {
    /// The environment of the main program.
    pub env: Vec<(OsString, OsString)>,
    /// The main program's file, as the container names it; none where the kernel does not tell.
    pub program: Option<PathBuf>,
    /// The container's users and groups.
    pub users: Users,
    /// The target's mounts.
    pub mounts: Vec<Mount>,
    /// Who the target is, as the container counts.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Container {
    /// Asks what is not known yet.
    pub fn of(cx: &Context) -> Self {
        Self {
            env: cx.env.clone(),
            program: cx.program.clone().map(PathBuf::from),
            users: Users::read(),
            mounts: cx.mounts.as_deref().map(mounts::parse).unwrap_or_default(),
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
        }
    }

    /// A variable of the environment; none where it is empty.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        let found = self.env.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }

    /// The directories of PATH, or those that programs take without it.
    pub fn search_path(&self) -> Vec<PathBuf> {
        let path = self
            .var("PATH")
            .map_or(&b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"[..], OsStr::as_bytes);
        let mut all: Vec<PathBuf> = Vec::new();
        for part in path.split(|byte| *byte == b':').filter(|part| part.starts_with(b"/")) {
            let part = PathBuf::from(OsStr::from_bytes(part));
            if !all.contains(&part) {
                all.push(part);
            }
        }
        all
    }
}
