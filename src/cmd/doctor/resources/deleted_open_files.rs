//! `deleted-open-files`.

use std::collections::HashSet;

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::{Facts, Process};
use crate::out::Name;
use crate::out::units::bytes;

pub const CHECK: Check = Check {
    id: "deleted-open-files",
    group: Group::Resources,
    question: "Do deleted files that are still open hold space?",
    is_slow: false,
    run: Run::Outside(run),
};

const DELETED: &[u8] = b" (deleted)";
/// Descriptors that are looked at, of all processes.
const DESCRIPTORS: usize = 50_000;
/// Bytes of one process from which on it is told, and from which on it is a warning.
const SOME: u64 = 16 << 20;
const MUCH: u64 = 256 << 20;

/// What one process holds.
#[derive(Default)]
struct Held {
    bytes: u64,
    files: Vec<(u64, String)>,
}

fn run(facts: &Facts) -> Vec<Found> {
    let (mut seen, mut looked) = (HashSet::new(), 0);
    let mut found = Vec::new();
    for process in facts.processes().iter().filter(|process| !process.is_zombie()) {
        if looked >= DESCRIPTORS {
            break;
        }
        let held = held(facts, process, &mut seen, &mut looked);
        if held.bytes < SOME {
            continue;
        }
        let mut files = held.files;
        files.sort_unstable_by(|one, other| other.cmp(one));
        let detail =
            format!("it holds {} in deleted files: the space is free when it closes them", bytes(held.bytes));
        let one = if held.bytes >= MUCH { Found::warn(detail) } else { Found::note(detail) };
        let mut one = one.about(process.subject());
        for (size, path) in files.iter().take(5) {
            one = one.seen(format!("{} {path}", bytes(*size)));
        }
        found.push(
            one.fix("have the program open its logs again (often SIGHUP or SIGUSR1), or start it again"),
        );
    }
    if looked >= DESCRIPTORS {
        found.push(Found::note(format!("only the first {DESCRIPTORS} descriptors were looked at")));
    }
    found
}

fn held(facts: &Facts, process: &Process, seen: &mut HashSet<((u32, u32), u64)>, looked: &mut usize) -> Held {
    let mut held = Held::default();
    let Ok(mut all) = facts.watch().procfs().descriptors(process.pid) else { return held };
    for fd in all.numbers(DESCRIPTORS.saturating_sub(*looked)).unwrap_or_default().0 {
        *looked += 1;
        let Ok(link) = all.link(fd) else { continue };
        let Some(path) = link.strip_suffix(DELETED).filter(|path| path.starts_with(b"/")) else { continue };
        // A memfd never had a name: it is memory, not space that was given up.
        if path.starts_with(b"/memfd:") {
            continue;
        }
        let Ok(file) = all.facts(fd) else { continue };
        let is_regular = file.mode & libc::S_IFMT == libc::S_IFREG;
        if file.links != 0 || !is_regular || !seen.insert((file.device, file.inode)) {
            continue;
        }
        let size = file.blocks.saturating_mul(512);
        held.bytes = held.bytes.saturating_add(size);
        held.files.push((size, Name::from(path).spelled()));
    }
    held
}
