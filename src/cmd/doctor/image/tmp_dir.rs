//! `tmp-dir`.

use std::path::Path;

use nix::unistd::AccessFlags;

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::out::fault::errno_text;
use crate::sys::permission::ask;

pub const CHECK: Check = Check {
    id: "tmp-dir",
    group: Group::Image,
    question: "Is there a writable directory for temporary files?",
    is_slow: false,
    run: Run::Inside(run),
};

fn run(container: &Container) -> Vec<Found> {
    // Where nearly every library looks.
    let named = container.var("TMPDIR");
    let path = named.map_or(Path::new("/tmp"), Path::new);
    let by = if named.is_some() { "TMPDIR" } else { "no TMPDIR" };
    // With a dot behind it a file is refused.
    let Err(errno) = ask(path.join(".").as_os_str(), AccessFlags::W_OK | AccessFlags::X_OK) else {
        return vec![Found::ok("it can be written to").about(path)];
    };
    let uid = container.uid;
    let (detail, fix) = match errno {
        nix::errno::Errno::ENOENT => (
            "there is no directory for temporary files",
            format!(
                "mount a tmpfs or an emptyDir at {0}, or make it in the image: COPY --chmod=1777 an empty directory to {0}",
                path.display()
            ),
        ),
        nix::errno::Errno::ENOTDIR => (
            "what is named as the directory for temporary files is none",
            format!("correct TMPDIR, or make a directory of mode 1777 at {}", path.display()),
        ),
        nix::errno::Errno::EROFS => (
            "the directory for temporary files is on a read-only file system",
            format!("mount a tmpfs or an emptyDir at {}", path.display()),
        ),
        _ => (
            "the user can't write to the directory for temporary files",
            format!("chmod 1777 {} in the image, or mount a tmpfs or an emptyDir there", path.display()),
        ),
    };
    let seen =
        format!("{by}; access {} for writing as uid {uid}: {}", path.display(), errno_text(errno as i32));
    vec![Found::warn(detail).about(path).seen(seen).fix(fix)]
}
