//! `shm-size`.

use std::ffi::OsStr;

use super::{LIMIT, percent};
use crate::cmd::df::space_within;
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::out::units::bytes;

pub const CHECK: Check = Check {
    id: "shm-size",
    group: Group::Resources,
    question: "Is /dev/shm mounted, and does it have room?",
    is_slow: false,
    run: Run::Inside(run),
};

pub(super) const PATH: &str = "/dev/shm";

fn run(container: &Container) -> Vec<Found> {
    if !container.mounts.iter().any(|mount| mount.target == PATH.as_bytes()) {
        return vec![
            Found::note("nothing is mounted there: shm_open(3) fails, or fills the root file system")
                .about(PATH)
                .fix("docker run --shm-size, or an emptyDir with medium: Memory at /dev/shm; few programs need it"),
        ];
    }
    let space = match space_within(OsStr::new(PATH), LIMIT) {
        Ok(space) => space,
        Err(fault) => return vec![Found::skip(fault.to_string()).about(PATH)],
    };
    let used = space.blocks.saturating_sub(space.free);
    let Some(share) = percent(used, space.blocks) else {
        return vec![Found::ok("it has no limit of its own").about(PATH)];
    };
    let size = |blocks: u64| bytes(blocks.saturating_mul(space.fragment));
    let seen = format!("{} of {} used ({share}%)", size(used), size(space.blocks));
    let fix = "make it larger: docker run --shm-size, or an emptyDir with medium: Memory at /dev/shm";
    vec![match share {
        100.. => {
            Found::fail("it is full: who writes to shared memory gets SIGBUS").about(PATH).seen(seen).fix(fix)
        }
        90.. => Found::warn("it is nearly full: who writes past its end gets SIGBUS")
            .about(PATH)
            .seen(seen)
            .fix(fix),
        _ => Found::ok("there is room").about(PATH).seen(seen),
    }]
}
