//! `group-entry`.

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;

pub const CHECK: Check = Check {
    id: "group-entry",
    group: Group::Image,
    question: "Does the user's group have an entry in /etc/group?",
    is_slow: false,
    run: Run::Inside(run),
};

fn run(container: &Container) -> Vec<Found> {
    let gid = container.gid;
    if container.users.group(gid).is_none() {
        return vec![
            Found::note("the group has no name, which few programs ask for")
                .about(format!("gid {gid}"))
                .seen(format!("/etc/group has no line for gid {gid}"))
                .fix(format!("put a line into the image's /etc/group, as app:x:{gid}:")),
        ];
    }
    // Of the further groups many are only for the modes of volumes, and have no name by intention.
    vec![Found::ok(format!("gid {gid} is {}", container.users.group_name(gid)))]
}
