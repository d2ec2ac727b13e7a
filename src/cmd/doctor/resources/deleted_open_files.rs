//! `deleted-open-files`.

use std::collections::HashSet;

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::{Facts, Process};
use crate::out::Name;
use crate::out::units::bytes;
use crate::sys::proc::files::DELETED;

pub const CHECK: Check = Check {
    id: "deleted-open-files",
    group: Group::Resources,
    question: "Do deleted files that are still open or mapped take up space?",
    is_slow: false,
    run: Run::Outside(run),
};

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
    let devices = facts.mounted_devices();
    for process in facts.processes().iter().filter(|process| !process.is_zombie()) {
        if looked >= DESCRIPTORS {
            break;
        }
        let mut held = held(facts, process, &mut seen, &mut looked);
        mapped(facts, process, &devices, &mut seen, &mut held);
        if held.bytes < SOME {
            continue;
        }
        let mut files = held.files;
        files.sort_unstable_by(|one, other| other.cmp(one));
        let detail = format!(
            "it holds {} in deleted files: the space is free when it lets go of them",
            bytes(held.bytes)
        );
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
        let is_gone = || facts.watch().procfs().is_deleted(process.pid, &link, Some(file.inode));
        if !is_regular || !is_gone() || !seen.insert((file.device, file.inode)) {
            continue;
        }
        let size = file.blocks.saturating_mul(512);
        held.bytes = held.bytes.saturating_add(size);
        held.files.push((size, Name::from(path).spelled()));
    }
    held
}

/// What is only mapped. How long such a file is the kernel tells nobody without further rights: its mappings count.
fn mapped(
    facts: &Facts,
    process: &Process,
    devices: &HashSet<(u32, u32)>,
    seen: &mut HashSet<((u32, u32), u64)>,
    held: &mut Held,
) {
    for file in facts.mapped(process.pid) {
        let Some(path) = file.path.strip_suffix(DELETED) else { continue };
        let shown = Name::from(path).spelled();
        // Shared memory without a name has such a path too, of a device that is nowhere mounted.
        let is_file = (file.device.0 != 0 || devices.contains(&file.device)) && !path.starts_with(b"/memfd:");
        // Some file systems have other devices in maps.
        let is_known = held.files.iter().any(|(_, known)| *known == shown);
        let is_gone = || facts.watch().procfs().is_deleted(process.pid, &file.path, Some(file.inode));
        if !is_file || is_known || !is_gone() || !seen.insert((file.device, file.inode)) {
            continue;
        }
        held.bytes = held.bytes.saturating_add(file.bytes);
        held.files.push((file.bytes, format!("{shown}, mapped")));
    }
}
