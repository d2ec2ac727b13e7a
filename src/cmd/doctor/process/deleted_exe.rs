//! `deleted-exe`.

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;
use crate::out::Name;
use crate::sys::proc::files::DELETED;

pub const CHECK: Check = Check {
    id: "deleted-exe",
    group: Group::Process,
    question: "Does a process run a program whose file was replaced or deleted?",
    is_slow: false,
    run: Run::Outside(run),
};

const PROCESSES: usize = 2000;

fn run(facts: &Facts) -> Vec<Found> {
    // Of many processes of one program one is told.
    let mut by_path: BTreeMap<Vec<u8>, (Found, usize)> = BTreeMap::new();
    for process in facts.processes().iter().filter(|process| !process.is_zombie()).take(PROCESSES) {
        let Ok(link) = facts.link(process.pid, "exe") else { continue };
        let is_gone = || {
            let procfs = facts.watch().procfs();
            let inode = procfs.facts(process.pid, "exe").ok().map(|facts| facts.inode);
            procfs.is_deleted(process.pid, link.as_bytes(), inode)
        };
        let Some(path) = link.as_bytes().strip_suffix(DELETED).filter(|_| is_gone()) else { continue };
        let shown = Name::from(path).spelled();
        let seen = format!("exe {}", Name::from(link.clone().into_vec()).spelled());
        if let Some((_, more)) = by_path.get_mut(path) {
            *more += 1;
            continue;
        }
        let found = match path.strip_prefix(b"/memfd:") {
            Some(_) => Found::note("it runs a program that never was a file of the image")
                .about(process.subject())
                .seen(seen),
            None => Found::warn(format!("it still runs what {shown} was before it was replaced or removed"))
                .about(process.subject())
                .seen(seen)
                .fix("start the process again, so that it runs what is there now"),
        };
        by_path.insert(path.to_vec(), (found, 0));
    }
    let with_more = |(found, more): (Found, usize)| match more {
        0 => found,
        more => found.seen(format!("and {more} more processes")),
    };
    by_path.into_values().map(with_more).collect()
}
