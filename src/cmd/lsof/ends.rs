//! Who holds pipes and sockets: one pass over the descriptors of all processes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::out::Name;
use crate::sys::proc::{Procfs, Reader};

/// Ends that are held, of pipes and of sockets each.
const HELD: usize = 200_000;
/// Ends of one pipe that are held, of those that read and of those that write; of the others it is said how many there
/// are.
const OF_ONE: usize = 8;
/// How long they are looked for: processes can have millions of descriptors, and all show one table.
const LIMIT: Duration = Duration::from_secs(2);

/// A descriptor of a pipe or a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub pid: i32,
    pub fd: u32,
    pub reads: bool,
    pub writes: bool,
}

impl End {
    /// `r`, `w` or `u`.
    pub fn mode(&self) -> char {
        match (self.reads, self.writes) {
            (true, false) => 'r',
            (false, true) => 'w',
            _ => 'u',
        }
    }
}

/// The ends of one pipe or socket.
#[derive(Debug, Default)]
struct Of {
    ends: Vec<End>,
    /// How many more read, and write.
    more: [usize; 2],
}

/// All ends, and names of the processes that hold them.
#[derive(Default)]
pub struct Ends {
    pipes: HashMap<u64, Of>,
    sockets: HashMap<u64, Of>,
    held: [usize; 2],
    /// Whether some are not held.
    pub is_cut: bool,
    /// Whether a process did not show its descriptors.
    pub is_partial: bool,
    names: HashMap<i32, Vec<u8>>,
}

impl Ends {
    /// Looks at the descriptors of these processes.
    pub fn of_all(procfs: &Procfs, pids: &[i32]) -> Self {
        let mut all = Self::default();
        let until = Instant::now() + LIMIT;
        for pid in pids {
            if Instant::now() >= until {
                all.is_cut = true;
                break;
            }
            let mut descriptors = match procfs.descriptors(*pid) {
                Ok(descriptors) => descriptors,
                Err(error) => {
                    all.is_partial |= matches!(error, Errno::EACCES | Errno::EPERM);
                    continue;
                }
            };
            let (numbers, more) = descriptors.numbers(usize::MAX).unwrap_or_default();
            all.is_cut |= more;
            for fd in numbers {
                if Instant::now() >= until {
                    all.is_cut = true;
                    break;
                }
                all.look(*pid, fd, &mut descriptors);
            }
        }
        all
    }

    fn look(&mut self, pid: i32, fd: u32, descriptors: &mut crate::sys::proc::files::Descriptors) {
        let link = match descriptors.link(fd) {
            Ok(link) => link,
            Err(error) => {
                self.is_partial |= matches!(error, Errno::EACCES | Errno::EPERM);
                return;
            }
        };
        let (which, inode) = match (numbered(&link, b"pipe:["), numbered(&link, b"socket:[")) {
            (Some(inode), _) => (0, inode),
            (_, Some(inode)) => (1, inode),
            _ => return,
        };
        if self.held[which] >= HELD {
            self.is_cut = true;
            return;
        }
        let (reads, writes) =
            if which == 0 { descriptors.access(fd).unwrap_or((true, true)) } else { (true, true) };
        let of = if which == 0 { &mut self.pipes } else { &mut self.sockets }.entry(inode).or_default();
        // Each way by itself, so that many that read do not hide one that writes.
        if of.ends.iter().filter(|end| (end.reads, end.writes) == (reads, writes)).count() >= OF_ONE {
            of.more[0] += usize::from(reads);
            of.more[1] += usize::from(writes);
            return;
        }
        of.ends.push(End { pid, fd, reads, writes });
        self.held[which] += 1;
    }

    /// The other ends of a pipe: of one that reads those that write, and the other way round. How many more there are
    /// is said too.
    pub fn of_pipe(&self, inode: u64, own: End) -> (Vec<End>, usize) {
        let Some(of) = self.pipes.get(&inode) else { return (Vec::new(), 0) };
        let is_other = |end: &&End| {
            (end.pid, end.fd) != (own.pid, own.fd) && (own.reads && end.writes || own.writes && end.reads)
        };
        let more = match (own.reads, own.writes) {
            (true, false) => of.more[1],
            (false, true) => of.more[0],
            // Those that do both are counted twice there.
            _ => of.more[0].max(of.more[1]),
        };
        (of.ends.iter().filter(is_other).copied().collect(), more)
    }

    /// Who holds a socket.
    pub fn of_socket(&self, inode: u64) -> (Vec<End>, usize) {
        self.sockets.get(&inode).map_or((Vec::new(), 0), |of| (of.ends.clone(), of.more[0]))
    }

    /// The name of a process.
    pub fn name(&mut self, pid: i32, reader: &mut Reader) -> Name {
        if self.names.len() > HELD {
            self.names.clear();
        }
        let name = self.names.entry(pid).or_insert_with(|| {
            reader.read(pid, "comm", 64).map(|name| name.trim_ascii_end().to_vec()).unwrap_or_default()
        });
        Name::from(name.as_slice())
    }
}

/// The number in `pipe:[N]`.
pub fn numbered(link: &[u8], before: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(before)?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_of_a_pipe_goes_the_other_way() {
        let end = |pid, fd, reads, writes| End { pid, fd, reads, writes };
        let reader = end(1, 3, true, false);
        let both = end(4, 9, true, true);
        let writers = [end(2, 1, false, true), end(3, 1, false, true)];
        let ends = [&[reader, end(5, 3, true, false), both][..], &writers].concat();
        let mut all = Ends::default();
        all.pipes.insert(7, Of { ends, more: [1, 2] });
        assert_eq!(all.of_pipe(7, reader), (vec![both, writers[0], writers[1]], 2));
        assert_eq!(all.of_pipe(7, writers[0]).0, [reader, end(5, 3, true, false), both]);
        assert_eq!(all.of_pipe(7, both).0.len(), 4);
        assert_eq!(all.of_pipe(8, reader), (Vec::new(), 0));
        assert_eq!((numbered(b"pipe:[9]", b"pipe:["), numbered(b"pipe:[x]", b"pipe:[")), (Some(9), None));
    }
}
