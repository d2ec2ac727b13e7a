//! Which process holds which socket: the links of `PID/fd`.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::Mode;

use super::{Path, Procfs};

/// A process with more descriptors than this is walked by both threads.
const MANY: usize = 1024;
/// Descriptors of one process that are looked at.
const MAX_FDS: usize = 1 << 20;

/// Who holds sockets, and what could not be seen.
#[derive(Debug, Default)]
pub struct Holders {
    /// The sockets asked for, sorted.
    wanted: Vec<u64>,
    /// A holder of each, 0 where none was found.
    pids: Vec<AtomicI32>,
    /// How many have none yet.
    left: AtomicUsize,
    /// Processes whose descriptors the kernel did not show.
    refused: AtomicUsize,
}

impl Holders {
    /// The holder of a socket; of several one of those that were seen.
    pub fn of(&self, inode: u64) -> Option<i32> {
        let pid = self.slot(inode)?.load(Ordering::Relaxed);
        (pid != 0).then_some(pid)
    }

    /// How many processes did not show their descriptors.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn slot(&self, inode: u64) -> Option<&AtomicI32> {
        self.wanted.binary_search(&inode).ok().and_then(|at| self.pids.get(at))
    }

    fn done(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    fn held(&self, inode: u64, pid: i32) {
        if let Some(slot) = self.slot(inode)
            && slot.compare_exchange(0, pid, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.left.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Procfs<'_> {
    /// Looks through the descriptors of `pids` for these sockets, in two threads, until each has a holder.
    pub fn holders(&self, pids: &[i32], mut wanted: Vec<u64>) -> Holders {
        wanted.sort_unstable();
        wanted.dedup();
        let pids_of = wanted.iter().map(|_| AtomicI32::new(0)).collect();
        let left = AtomicUsize::new(wanted.len());
        let holders = Holders { wanted, pids: pids_of, left, refused: AtomicUsize::new(0) };
        let search = Search { procfs: *self, holders: &holders };
        let (low, high) = pids.split_at(pids.len() / 2);
        let (mut large, more) = both(|| search.processes(low), || search.processes(high));
        large.extend(more);
        for (pid, folder, fds) in large {
            let (low, high) = fds.split_at(fds.len() / 2);
            both(|| search.links(pid, &folder, low), || search.links(pid, &folder, high));
        }
        holders
    }
}

fn both<T: Send + Default>(mine: impl FnOnce() -> T, other: impl FnOnce() -> T + Send) -> (T, T) {
    std::thread::scope(|scope| {
        let other = scope.spawn(other);
        let mine = mine();
        (mine, other.join().unwrap_or_default())
    })
}

struct Search<'a> {
    procfs: Procfs<'a>,
    holders: &'a Holders,
}

/// A process, its `fd` and what is in it.
type Large = (i32, OwnedFd, Vec<u32>);

impl Search<'_> {
    /// Walks processes; those with many descriptors are left for both threads.
    fn processes(&self, pids: &[i32]) -> Vec<Large> {
        let mut large = Vec::new();
        for pid in pids {
            if self.holders.done() {
                break;
            }
            match self.fds(*pid) {
                Ok((folder, fds)) if fds.len() > MANY && large.len() < 64 => large.push((*pid, folder, fds)),
                Ok((folder, fds)) => self.links(*pid, &folder, &fds),
                Err(Errno::EACCES | Errno::EPERM) => {
                    drop(self.holders.refused.fetch_add(1, Ordering::Relaxed))
                }
                // It is gone.
                Err(_) => {}
            }
        }
        large
    }

    fn fds(&self, pid: i32) -> nix::Result<(OwnedFd, Vec<u32>)> {
        let mut path = Path::default();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = openat(self.procfs.0, path.of(pid, "fd"), flags, Mode::empty())?;
        let mut dir = Dir::from_fd(folder.try_clone().map_err(|_| Errno::EMFILE)?)?;
        let mut fds = Vec::new();
        for entry in dir.iter().take(MAX_FDS) {
            fds.extend(
                std::str::from_utf8(entry?.file_name().to_bytes()).ok().and_then(|n| n.parse::<u32>().ok()),
            );
        }
        Ok((folder, fds))
    }

    fn links(&self, pid: i32, folder: &OwnedFd, fds: &[u32]) {
        let mut path = Path::default();
        for fd in fds {
            if self.holders.done() {
                break;
            }
            let Ok(target) = readlinkat(folder, path.number(*fd)) else { continue };
            if let Some(inode) = socket_inode(target.as_bytes()) {
                self.holders.held(inode, pid);
            }
        }
    }
}

/// The number in `socket:[N]`.
fn socket_inode(link: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_socket_counts_once() {
        let slots = || [AtomicI32::new(0), AtomicI32::new(0)].into();
        let holders =
            Holders { wanted: vec![3, 9], pids: slots(), left: AtomicUsize::new(2), ..Holders::default() };
        holders.held(3, 10);
        holders.held(3, 11);
        holders.held(4, 11);
        assert!(!holders.done());
        assert_eq!((holders.of(3), holders.of(9), holders.of(4)), (Some(10), None, None));
        holders.held(9, 12);
        assert!(holders.done());
    }

    #[test]
    fn links_of_sockets() {
        assert_eq!(socket_inode(b"socket:[42]"), Some(42));
        for other in [
            &b"socket:[]"[..],
            b"socket:[x]",
            b"pipe:[4]",
            b"/a socket:[4]",
            b"socket:[99999999999999999999]",
        ] {
            assert_eq!(socket_inode(other), None);
        }
    }
}
