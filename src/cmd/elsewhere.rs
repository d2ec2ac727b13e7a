//! Who holds sockets of the target's network namespace outside of its PID namespace: other containers of its pod, the
//! node.

use std::collections::HashMap;

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use crate::cmd::{Context, Watch};
use crate::out::name::escape;
use crate::sys::proc::Procfs;
use crate::target::{container, scan};

/// A process outside of the target's PID namespace.
pub struct Owner {
    /// Its PID on the node.
    pub pid: i32,
    /// Its name.
    pub name: Vec<u8>,
    /// Its container, by the name that can be typed, else by its id; none for the node itself.
    pub container: Option<String>,
}

impl Owner {
    /// `nginx in prod/web-0/app (process 4711 of the node)`.
    pub fn spelled(&self) -> String {
        let place = self.container.as_ref().map(|container| format!(" in {container}")).unwrap_or_default();
        format!("{}{place} (process {} of the node)", escape(&self.name), self.pid)
    }
}

/// Those who hold these sockets, by inode. What can't be read of the node is left out.
pub fn owners(cx: &Context, watch: &Watch, sockets: Vec<u64>) -> HashMap<u64, Owner> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let Ok(root) = openat(AT_FDCWD, "/proc", flags, Mode::empty()) else { return HashMap::new() };
    let node = Procfs::new(&root, None);
    let (mut reader, mut of_target) = (node.reader(), watch.procfs().reader());
    let mut namespaces = |name: &str| of_target.link(watch.target, name);
    let (Ok(network), Ok(processes)) = (namespaces("ns/net"), namespaces("ns/pid")) else {
        return HashMap::new();
    };
    let mut pids = node.pids().unwrap_or_default();
    pids.retain(|pid| {
        reader.link(*pid, "ns/net").is_ok_and(|link| link == network)
            && reader.link(*pid, "ns/pid").is_ok_and(|link| link != processes)
    });
    let holders = node.holders(&pids, sockets.clone());
    let mut found: HashMap<u64, Owner> = HashMap::new();
    for socket in sockets {
        let Some(pid) = holders.of(socket) else { continue };
        let name =
            reader.read(pid, "comm", 64).map(|name| name.trim_ascii_end().to_vec()).unwrap_or_default();
        found.insert(socket, Owner { pid, name, container: None });
    }
    if found.is_empty() {
        return found;
    }
    let all = cx.host().and_then(container::list).map(|listing| listing.containers).unwrap_or_default();
    for owner in found.values_mut() {
        let named =
            all.iter().find(|one| one.processes.contains(&owner.pid)).map(container::Container::full_name);
        let by_id = || {
            let cgroup = scan::cgroup_of(owner.pid).ok()?;
            cgroup.id.map(|id| id.get(..12).unwrap_or(&id).to_owned()).or(cgroup.name)
        };
        owner.container = named.or_else(by_id);
    }
    found
}
