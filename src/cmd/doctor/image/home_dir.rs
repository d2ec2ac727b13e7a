//! `home-dir`.

use std::path::Path;

use nix::unistd::AccessFlags;

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::out::fault::errno_text;
use crate::sys::permission::ask;

pub const CHECK: Check = Check {
    id: "home-dir",
    group: Group::Image,
    question: "Does the user's home directory exist?",
    is_slow: false,
    run: Run::Inside(run),
};

fn run(container: &Container) -> Vec<Found> {
    let of_passwd = container.users.user(container.uid).map(|user| user.home).filter(|home| !home.is_empty());
    let (home, by) = match (container.var("HOME"), of_passwd) {
        (Some(home), _) => (Path::new(home), "HOME"),
        (None, Some(home)) => (Path::new(home), "/etc/passwd"),
        (None, None) => {
            return vec![
                Found::note("neither HOME nor /etc/passwd names one: programs take / or fail")
                    .fix("set HOME, or give the user an entry in /etc/passwd"),
            ];
        }
    };
    // Debian's way to say that a user has none by intention: nobody, www-data.
    if home == Path::new("/nonexistent") {
        return vec![
            Found::note(
                "the user has no home directory by intention: what keeps caches or settings in it fails",
            )
            .about(home)
            .seen(format!("{by} names it"))
            .fix("where the program keeps something there, set HOME to a directory that it can write to"),
        ];
    }
    let fix = format!(
        "make it in the image, owned by uid {}, or set HOME to a directory that is there",
        container.uid
    );
    match std::fs::metadata(home) {
        Ok(facts) if facts.is_dir() => {}
        Ok(_) => {
            return vec![
                Found::warn("the home directory is not a directory")
                    .about(home)
                    .seen(format!("{by} names it"))
                    .fix(fix),
            ];
        }
        Err(error) => {
            let seen = format!("{by} names it; stat: {}", errno_text(error.raw_os_error().unwrap_or(0)));
            let detail = "the home directory is not there: what keeps caches or settings in it fails";
            return vec![Found::warn(detail).about(home).seen(seen).fix(fix)];
        }
    }
    match ask(home.as_os_str(), AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => vec![Found::ok("it can be written to").about(home)],
        // That it is read-only is told by another check.
        Err(errno) => vec![
            Found::note("the user can't write to the home directory, as may be meant")
                .about(home)
                .seen(format!("{by} names it; access for writing: {}", errno_text(errno as i32))),
        ],
    }
}
