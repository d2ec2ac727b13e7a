//! `disk-space`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{percent, storage};
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::out::units::bytes;

pub const CHECK: Check = Check {
    id: "disk-space",
    group: Group::Resources,
    question: "Is a file system that the container writes to nearly full or not answering?",
    is_slow: false,
    run: Run::Inside(run),
};

/// What statfs(2) says where a FUSE daemon has ended, a server no longer knows what was mounted, or a disk fails.
const DEAD: [i32; 4] = [libc::ENOTCONN, libc::ESTALE, libc::EIO, libc::ESHUTDOWN];

fn run(container: &Container) -> Vec<Found> {
    let mut found = Vec::new();
    for (mount, space) in storage(container) {
        let target = OsStr::from_bytes(&mount.target);
        // It has a check of its own.
        if target == super::shm_size::PATH {
            continue;
        }
        let space = match space {
            Ok(space) if space.blocks == 0 || mount.is_read_only() => continue,
            Ok(space) => space,
            Err(fault) if fault.raw_errno().is_some_and(|errno| DEAD.contains(&errno)) => {
                found.push(
                    Found::fail("what is mounted there is dead: every look into it fails")
                        .about(target)
                        .seen(format!("{fault} ({})", mount.kind))
                        .fix("start what serves it again (a FUSE daemon, a server of the network), then mount it again; the program has to open its files anew"),
                );
                continue;
            }
            Err(fault) if fault.raw_errno().is_some() => continue,
            Err(fault) => {
                found.push(
                    Found::warn("the file system does not answer: who looks into it waits")
                        .about(target)
                        .seen(fault.to_string())
                        .fix(format!(
                            "see what serves it ({}): a server of the network, or a FUSE daemon",
                            mount.kind
                        )),
                );
                continue;
            }
        };
        let used = space.blocks.saturating_sub(space.free);
        let share = percent(used, used.saturating_add(space.available)).unwrap_or(0);
        let size = |blocks: u64| bytes(blocks.saturating_mul(space.fragment));
        let seen = format!(
            "{} of {} free ({}, {share}% used)",
            size(space.available),
            size(space.blocks),
            mount.kind
        );
        let fix = "du -xh -d 2 shows what takes it, doctor deleted-open-files what is deleted but still open; a file system of the node is full for all its containers";
        found.push(match share {
            _ if space.available == 0 => {
                Found::fail("nothing more can be written").about(target).seen(seen).fix(fix)
            }
            95.. => Found::warn("it is nearly full").about(target).seen(seen).fix(fix),
            90.. => Found::note("it is nearly full").about(target).seen(seen).fix(fix),
            _ => continue,
        });
    }
    found
}
