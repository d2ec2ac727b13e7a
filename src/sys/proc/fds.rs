//! Which process holds which socket: the links of `PID/fd`.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::Instant;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::fstat;

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
    /// Whether the time was over before all were looked at.
    is_cut: AtomicBool,
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

    /// Whether some descriptors were not looked at: what has no holder may have one.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    fn slot(&self, inode: u64) -> Option<&AtomicI32> {
        self.wanted.binary_search(&inode).ok().and_then(|at| self.pids.get(at))
    }

    /// Whether there is nothing left to look for, or no time.
    fn done(&self, until: Instant) -> bool {
        if self.left.load(Ordering::Relaxed) == 0 {
            return true;
        }
        if Instant::now() >= until {
            self.is_cut.store(true, Ordering::Relaxed);
        }
        self.is_cut()
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
    /// Looks through the descriptors of `pids` for these sockets, in two threads, until each has a holder or the time is
    /// over: processes can have millions of descriptors, and all show one table.
    pub fn holders(&self, pids: &[i32], mut wanted: Vec<u64>, until: Instant) -> Holders {
        wanted.sort_unstable();
        wanted.dedup();
        let pids_of = wanted.iter().map(|_| AtomicI32::new(0)).collect();
        let left = AtomicUsize::new(wanted.len());
        let holders = Holders { wanted, pids: pids_of, left, ..Holders::default() };
        let search = Search { procfs: *self, holders: &holders, until };
        let (low, high) = pids.split_at(pids.len() / 2);
        let (mut large, more) = both(|| search.processes(low), || search.processes(high));
        large.extend(more);
        for table in large {
            let (low, high) = table.fds.split_at(table.fds.len() / 2);
            let (low, high) = both(|| search.links(&table, low), || search.links(&table, high));
            search.rest(&table, low + high);
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
    until: Instant,
}

/// A process and the numbers of its descriptors.
struct Table {
    pid: i32,
    folder: OwnedFd,
    fds: Vec<u32>,
    /// The numbers below this were guessed; 0 where all were listed.
    guessed: u32,
}

impl Search<'_> {
    /// Walks processes; those with many descriptors are left for both threads.
    fn processes(&self, pids: &[i32]) -> Vec<Table> {
        let mut large = Vec::new();
        let mut left = MAX_FDS;
        for pid in pids {
            if self.holders.done(self.until) {
                break;
            }
            match self.table(*pid) {
                Ok(table) if (MANY..=left).contains(&table.fds.len()) && large.len() < 64 => {
                    left -= table.fds.len();
                    large.push(table);
                }
                Ok(table) => self.rest(&table, self.links(&table, &table.fds)),
                Err(Errno::EACCES | Errno::EPERM) => self.refused(),
                // It is gone.
                Err(_) => {}
            }
        }
        large
    }

    fn table(&self, pid: i32) -> nix::Result<Table> {
        let folder = self.procfs.open(Path::default().of(pid, "fd"), OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        // To list the numbers costs as much as to follow the links. Where the kernel says how many there are (6.2 on),
        // the lowest are tried, and only what is not among them is listed.
        let count = usize::try_from(fstat(&folder)?.st_size).unwrap_or(0).min(MAX_FDS) as u32;
        let fds = if count == 0 { list(&folder)? } else { (0..count).collect() };
        Ok(Table { pid, folder, fds, guessed: count })
    }

    /// Follows links, and says how many were not there.
    fn links(&self, table: &Table, fds: &[u32]) -> usize {
        let mut path = Path::default();
        let mut missing = 0;
        for fd in fds {
            if self.holders.done(self.until) {
                return 0;
            }
            match socket(&table.folder, path.number(*fd)) {
                Ok(Some(inode)) => self.holders.held(inode, table.pid),
                Ok(None) => {}
                Err(Errno::ENOENT) => missing += 1,
                // One is refused as all are.
                Err(_) => {
                    self.refused();
                    return 0;
                }
            }
        }
        missing
    }

    /// Where guessed numbers were missing there are as many higher ones.
    fn rest(&self, table: &Table, missing: usize) {
        if table.guessed == 0 || missing == 0 {
            return;
        }
        let mut fds = list(&table.folder).unwrap_or_default();
        fds.retain(|fd| *fd >= table.guessed);
        self.links(table, &fds);
    }

    fn refused(&self) {
        self.holders.refused.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) fn list(folder: &OwnedFd) -> nix::Result<Vec<u32>> {
    let mut dir = Dir::from_fd(folder.try_clone().map_err(|_| Errno::EMFILE)?)?;
    let mut fds = Vec::new();
    for entry in dir.iter().take(MAX_FDS) {
        fds.extend(
            std::str::from_utf8(entry?.file_name().to_bytes()).ok().and_then(|n| n.parse::<u32>().ok()),
        );
    }
    Ok(fds)
}

/// The inode of the socket that a link of `PID/fd` stands for. By libc, since nix takes a page of memory for each.
fn socket(folder: &OwnedFd, name: &CStr) -> nix::Result<Option<u64>> {
    let mut target = [0u8; 64];
    // SAFETY: `name` ends with NUL, and `target` is writable for as many bytes as are given; the kernel keeps neither.
    let count = unsafe {
        libc::readlinkat(folder.as_raw_fd(), name.as_ptr(), target.as_mut_ptr().cast(), target.len())
    };
    let count = usize::try_from(Errno::result(count)?).unwrap_or(0);
    Ok(socket_inode(target.get(..count).unwrap_or_default()))
}

/// The number in `socket:[N]`.
pub(crate) fn socket_inode(link: &[u8]) -> Option<u64> {
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
        let until = Instant::now() + std::time::Duration::from_secs(60);
        assert!(!holders.done(until));
        assert_eq!((holders.of(3), holders.of(9), holders.of(4)), (Some(10), None, None));
        holders.held(9, 12);
        assert!(holders.done(until) && !holders.is_cut());
        let holders = Holders { left: AtomicUsize::new(1), ..Holders::default() };
        assert!(holders.done(Instant::now()) && holders.is_cut());
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
