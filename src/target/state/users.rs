//! Containers of ordinary users. They can write these files as they like: what is said here is said by that user, of
//! that user's processes alone, and names nothing of root's or of another's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use super::files::{FILE, Reader};
use super::{Claims, Hints, Known, complete, oci, podman};
use crate::target::host::Host;

/// How long these files may take: a home directory may be on a file system that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What they say, by user and id, and what could not be read.
pub type Said = (BTreeMap<(u32, String), Known>, Vec<String>);

/// Files of users that are being read.
pub struct Reading(Option<Receiver<Said>>);

impl Reading {
    /// Begins to read them, in a thread of its own.
    pub fn start(host: &Host, hints: &Hints) -> Self {
        let (Ok(host), Ok(procfs)) = (host.try_clone(), hints.procfs.try_clone()) else { return Self(None) };
        let (claims, owner, node) = (hints.claims.clone(), hints.owner, hints.node);
        let (to, from) = sync_channel(1);
        let read = move || {
            let _ = to.send(read(&host, &procfs, &claims, owner, node));
        };
        // A thread that is stuck is left behind.
        Self(thread::Builder::new().spawn(read).ok().map(|_| from))
    }

    /// What they say; a note where that took too long.
    pub fn finish(self) -> Said {
        let said = self.0.and_then(|from| from.recv_timeout(PATIENCE).ok());
        said.unwrap_or_else(|| {
            let seconds = PATIENCE.as_secs();
            let note = format!(
                "files of users' containers: no answer within {seconds} s; they are listed without names"
            );
            (BTreeMap::new(), vec![note])
        })
    }
}

fn read(
    host: &Host,
    procfs: &Host,
    claims: &Claims,
    owner: fn(&Host, i32) -> Option<u32>,
    node: u64,
) -> Said {
    let (mut all, mut notes) = (BTreeMap::new(), Vec::new());
    let (none, nobody) = (BTreeSet::new(), Claims::new());
    let hints = |live| Hints { live, claims: &nobody, is_in: &|_, _| false, shims: &[], procfs, node, owner };
    let of_node = hints(&none);
    let mut reader = Reader::new(host, &of_node);
    let names = reader.ids(Path::new("/run/user"));
    let users: Vec<u32> =
        names.iter().filter_map(|name| name.parse().ok()).filter(|user| *user != 0).collect();
    if users.is_empty() {
        return (all, notes);
    }
    let homes = parse_homes(&reader.text(Path::new("/etc/passwd"), FILE).unwrap_or_default());
    notes.extend(reader.finish().1);
    for user in users {
        let hints = hints(claims.get(&user).unwrap_or(&none));
        let mut reader = Reader::new(host, &hints);
        if let Some(home) = homes.get(&user) {
            podman::read_of_user(&mut reader, user, home);
        }
        oci::read_of_user(&mut reader, user);
        complete(&mut reader);
        let (known, more) = reader.finish();
        all.extend(known.into_iter().map(|(id, known)| ((user, id), Known { machine: None, ..known })));
        notes.extend(more);
    }
    (all, notes)
}

/// The home directories of the node's users.
pub fn parse_homes(text: &str) -> BTreeMap<u32, PathBuf> {
    let home = |line: &str| {
        let mut fields = line.split(':').skip(2);
        let user = fields.next()?.parse().ok()?;
        Some((user, PathBuf::from(fields.nth(2)?)))
    };
    text.lines().filter_map(home).filter(|(_, home)| home.is_absolute()).collect()
}
