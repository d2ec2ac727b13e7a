//! `read-only-paths`.

use std::ffi::OsString;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::AccessFlags;

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::sys::permission::ask;

pub const CHECK: Check = Check {
    id: "read-only-paths",
    group: Group::Resources,
    question: "Are the usual places to write to on a read-only file system?",
    is_slow: false,
    run: Run::Inside(run),
};

fn run(container: &Container) -> Vec<Found> {
    let home = container.var("HOME").map(OsString::from);
    let home = home.or_else(|| container.users.user(container.uid).map(|user| OsString::from(user.home)));
    let tmp = container.var("TMPDIR").map_or_else(|| OsString::from("/tmp"), OsString::from);
    let cwd = std::env::current_dir().ok().map(OsString::from);
    let places = [("TMPDIR", Some(tmp)), ("HOME", home), ("its working directory", cwd)];
    let mut found = Vec::new();
    let mut told: Vec<OsString> = Vec::new();
    for (name, path) in places {
        let Some(path) = path.filter(|path| !told.contains(path)) else { continue };
        if ask(path.as_os_str(), AccessFlags::W_OK) != Err(Errno::EROFS) {
            continue;
        }
        let seen =
            format!("{name}: access {} for writing: read-only file system", Path::new(&path).display());
        // Many a container is meant to be so; temporary files nearly every program writes.
        let one = match name {
            "TMPDIR" => Found::warn("temporary files can't be written: it is on a read-only file system"),
            _ => Found::note("it is on a read-only file system, as may be meant"),
        };
        let fix = format!(
            "where the program writes there, mount a tmpfs, an emptyDir or a volume at {}",
            Path::new(&path).display()
        );
        found.push(one.about(&path).seen(seen).fix(fix));
        told.push(path);
    }
    found
}
