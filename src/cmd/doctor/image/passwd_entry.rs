//! `passwd-entry`.

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;

pub const CHECK: Check = Check {
    id: "passwd-entry",
    group: Group::Image,
    question: "Does the user have an entry in /etc/passwd?",
    is_slow: false,
    run: Run::Inside(run),
};

fn run(container: &Container) -> Vec<Found> {
    let uid = container.uid;
    if let Some(user) = container.users.user(uid) {
        return vec![Found::ok(format!("uid {uid} is {}", user.name))];
    }
    let seen = match std::fs::metadata("/etc/passwd") {
        Ok(_) => format!("/etc/passwd has no line for uid {uid}"),
        Err(_) => "there is no /etc/passwd".to_owned(),
    };
    vec![
        Found::warn("the user has no name and no home: programs that ask for them fail (git, ssh, Java, Python's getpass)")
            .about(format!("uid {uid}"))
            .seen(seen)
            .fix(format!(
                "put a line into the image's /etc/passwd, as app:x:{uid}:{}::/home/app:/sbin/nologin, and make that directory; or run as a user that is there",
                container.gid
            )),
    ]
}
