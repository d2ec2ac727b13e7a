//! Processes as a tree. All walks are iterative, since the target decides how deep it is.

use std::collections::HashMap;
use std::io;

use nix::errno::Errno;

use crate::cmd::{Context, Fault, Result};
use crate::out::Name;
use crate::out::name::escape;
use crate::sys::idmap::IdMap;
use crate::sys::proc::{Procfs, Reader, Stat};

/// Processes and threads that are held.
const NODES: usize = 200_000;
/// Most of one command line.
const ARGUMENTS: usize = 16 * 1024;
/// All command lines together; later ones are left out.
const ALL_ARGUMENTS: usize = 32 << 20;

/// What is read.
pub struct Wants {
    /// Command lines.
    pub arguments: bool,
    /// Threads.
    pub threads: bool,
    /// Each thread by itself, not only how many.
    pub each_thread: bool,
    /// The threads' own names.
    pub thread_names: bool,
    /// Children by PID, not by name.
    pub by_pid: bool,
}

/// A process, a thread, or several threads that are drawn alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    pub pid: i32,
    pub ppid: i32,
    pub uid: u32,
    pub comm: Vec<u8>,
    /// As the kernel has it: each ends with NUL.
    pub arguments: Vec<u8>,
    pub is_thread: bool,
    /// More than 1 for threads that are drawn alike.
    pub count: usize,
    pub threads: i64,
    pub children: Vec<usize>,
}

/// All processes of the container, without nsdbg's.
#[derive(Debug, Default)]
pub struct Tree {
    pub nodes: Vec<Node>,
    roots: Vec<usize>,
    by_pid: HashMap<i32, usize>,
    is_cut: bool,
    args_cut: bool,
}

/// The JSON row.
#[derive(serde::Serialize)]
pub struct Row {
    pid: i32,
    ppid: i32,
    depth: usize,
    user: String,
    comm: Name,
    command: Name,
    threads: i64,
}

impl Tree {
    /// Reads all processes and puts them below their parents.
    pub fn read(cx: &Context, wants: &Wants) -> Result<Self> {
        let Some(watch) = &cx.watch else {
            return Err(Fault::say("the container's processes are not open to this command"));
        };
        let procfs = watch.procfs();
        let mut pids = procfs.pids().map_err(|e| Fault::errno("read", "/proc", e))?;
        pids.retain(|pid| !watch.own.contains(pid));
        let mut reader = procfs.reader();
        let uids = reader.read(watch.target, "uid_map", 64 * 1024).map(IdMap::parse).unwrap_or_default();
        let mut tree = Self::default();
        let mut held = 0;
        for pid in pids {
            if tree.nodes.len() >= NODES {
                tree.is_cut = true;
                break;
            }
            let Some(mut node) = process(pid, &uids, &mut reader) else { continue };
            if wants.arguments && node.threads >= 0 {
                if held < ALL_ARGUMENTS {
                    let read = reader.read(pid, "cmdline", ARGUMENTS).unwrap_or_default();
                    tree.args_cut |= read.len() >= ARGUMENTS;
                    node.arguments = read.to_vec();
                    held += read.len();
                } else {
                    tree.args_cut = true;
                }
            }
            let (at, threads) = (tree.nodes.len(), node.threads);
            tree.by_pid.insert(pid, at);
            tree.nodes.push(node);
            if wants.threads && threads > 1 {
                tree.threads(at, wants, &procfs, &mut reader);
            }
        }
        tree.plant(wants.by_pid);
        Ok(tree)
    }

    /// Adds the threads of a process, but for its first.
    fn threads(&mut self, at: usize, wants: &Wants, procfs: &Procfs, reader: &mut Reader) {
        let owner = self.nodes[at].clone();
        let thread = |tid: i32, comm: &[u8], count: usize| Node {
            pid: tid,
            ppid: owner.pid,
            uid: owner.uid,
            comm: [b"{", comm, b"}"].concat(),
            is_thread: true,
            count,
            ..Node::default()
        };
        if !wants.each_thread {
            let count = usize::try_from(owner.threads - 1).unwrap_or(0);
            self.nodes.push(thread(owner.pid, &owner.comm, count));
            return;
        }
        for tid in procfs.threads(owner.pid).unwrap_or_default() {
            if self.nodes.len() >= NODES {
                self.is_cut = true;
                break;
            }
            if tid == owner.pid {
                continue;
            }
            let mut comm = owner.comm.clone();
            if wants.thread_names {
                match reader.read(owner.pid, &format!("task/{tid}/comm"), 64) {
                    Ok(name) => comm = name.strip_suffix(b"\n").unwrap_or(name).to_vec(),
                    Err(Errno::ENOENT | Errno::ESRCH) => continue,
                    Err(_) => {}
                }
            }
            self.nodes.push(thread(tid, &comm, 1));
        }
    }

    /// Puts children below their parents, in psmisc's order.
    fn plant(&mut self, by_pid: bool) {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by(|a, b| {
            let (a, b) = (&self.nodes[*a], &self.nodes[*b]);
            if by_pid { a.pid.cmp(&b.pid) } else { a.comm.cmp(&b.comm).then(a.uid.cmp(&b.uid)) }
        });
        for at in order {
            let node = &self.nodes[at];
            match self.by_pid.get(&node.ppid) {
                Some(&parent) if parent != at => self.nodes[parent].children.push(at),
                _ => self.roots.push(at),
            }
        }
        self.roots.sort_by_key(|at| self.nodes[*at].pid);
        self.cut_loops();
    }

    /// A loop of parents cannot come from one look at a kernel, but from several: what no root reaches becomes one.
    fn cut_loops(&mut self) {
        let mut seen = vec![false; self.nodes.len()];
        let mut roots = self.roots.clone();
        let mut next = 0;
        loop {
            while let Some(at) = roots.pop() {
                seen[at] = true;
                // A child is reached once, from its only parent, but for the one that closes a loop.
                let children = std::mem::take(&mut self.nodes[at].children);
                self.nodes[at].children = children.into_iter().filter(|child| !seen[*child]).collect();
                roots.extend(&self.nodes[at].children);
            }
            while seen.get(next) == Some(&true) {
                next += 1;
            }
            if next >= seen.len() {
                return;
            }
            self.roots.push(next);
            roots.push(next);
        }
    }

    /// Those whose parent is outside.
    pub fn roots(&self) -> &[usize] {
        &self.roots
    }

    /// A process by its PID.
    pub fn find(&self, pid: i32) -> Option<usize> {
        self.by_pid.get(&pid).copied()
    }

    /// The processes of a user whose ancestors are not.
    pub fn topmost_of(&self, uid: u32) -> Vec<usize> {
        let mut stack: Vec<usize> = self.roots.iter().rev().copied().collect();
        let mut found = Vec::new();
        while let Some(at) = stack.pop() {
            let node = &self.nodes[at];
            if node.uid == uid && !node.is_thread {
                found.push(at);
            } else {
                stack.extend(node.children.iter().rev());
            }
        }
        found
    }

    /// From its first ancestor down to a process; none for several.
    pub fn chain(&self, roots: &[usize]) -> Option<Vec<usize>> {
        let [at] = roots else { return None };
        let mut at = *at;
        let mut chain = vec![at];
        while let Some(parent) = self.find(self.nodes[at].ppid)
            && self.nodes[parent].children.contains(&at)
        {
            chain.push(parent);
            at = parent;
        }
        chain.reverse();
        Some(chain)
    }

    /// The children that are drawn: all, or of those in a chain to a process the next one in it.
    pub fn children<'a>(&'a self, at: usize, depth: usize, only: Option<&'a [usize]>) -> &'a [usize] {
        match only {
            Some(chain) if chain.get(depth) == Some(&at) && depth + 1 < chain.len() => {
                &chain[depth + 1..=depth + 1]
            }
            _ => &self.nodes[at].children,
        }
    }

    /// Gives a row for each process, parents first.
    pub fn rows(
        &self,
        from: &[usize],
        only: Option<&[usize]>,
        cx: &Context,
        mut each: impl FnMut(&Row) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut stack: Vec<(usize, usize)> = from.iter().rev().map(|at| (*at, 0)).collect();
        while let Some((at, depth)) = stack.pop() {
            let node = &self.nodes[at];
            each(&Row {
                pid: node.pid,
                ppid: node.ppid,
                depth,
                user: cx.users().user_name(node.uid),
                comm: Name::from(node.comm.as_slice()),
                command: Name::from(node.command()),
                threads: node.threads.abs(),
            })?;
            stack.extend(self.children(at, depth, only).iter().rev().map(|child| (*child, depth + 1)));
        }
        Ok(())
    }

    /// What was left out.
    pub fn notes(&self) -> impl Iterator<Item = &'static str> {
        let cut = self.is_cut.then_some("there are more processes than are held; the rest is left out");
        cut.into_iter().chain(self.args_cut.then_some("long command lines are cut"))
    }
}

impl Node {
    /// Arguments without the NUL at the end; none of a kernel thread.
    pub fn args(&self) -> impl Iterator<Item = &[u8]> {
        let end = self.arguments.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
        let all = self.arguments.get(..end).unwrap_or_default();
        all.split(|b| *b == 0).filter(move |_| !all.is_empty())
    }

    fn command(&self) -> Vec<u8> {
        let args: Vec<&[u8]> = self.args().collect();
        if args.is_empty() { [b"[", self.comm.as_slice(), b"]"].concat() } else { args.join(&b' ') }
    }

    /// The name as it is drawn.
    pub fn name(&self) -> String {
        escape(&self.comm)
    }
}

/// One process; nothing where it is gone. A kernel thread has -1 threads: it has no arguments either.
fn process(pid: i32, uids: &IdMap, reader: &mut Reader) -> Option<Node> {
    let stat = Stat::parse(reader.read(pid, "stat", 4096).ok()?)?;
    let (uid, _) = reader.owner(pid).ok()?;
    Some(Node {
        pid,
        ppid: stat.ppid,
        uid: uids.inside(uid),
        threads: if stat.is_kernel() { -1 } else { stat.num_threads },
        comm: stat.comm,
        count: 1,
        ..Node::default()
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A tree of `(pid, ppid, name)`.
    pub fn tree(all: &[(i32, i32, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (pid, ppid, name) in all {
            tree.by_pid.insert(*pid, tree.nodes.len());
            tree.nodes.push(Node {
                pid: *pid,
                ppid: *ppid,
                comm: name.as_bytes().to_vec(),
                count: 1,
                ..Node::default()
            });
        }
        tree.plant(false);
        tree
    }

    #[test]
    fn orphans_and_loops_are_roots_and_nothing_is_lost() {
        let tree = tree(&[(1, 0, "a"), (2, 1, "b"), (5, 99, "c"), (7, 8, "d"), (8, 7, "e"), (9, 8, "f")]);
        let roots: Vec<i32> = tree.roots().iter().map(|at| tree.nodes[*at].pid).collect();
        assert_eq!(roots, [1, 5, 7]);
        let below: usize = tree.nodes.iter().map(|node| node.children.len()).sum();
        assert_eq!(below + roots.len(), tree.nodes.len());
    }

    #[test]
    fn a_chain_leads_from_the_root_to_a_process() {
        let tree = tree(&[(1, 0, "a"), (2, 1, "b"), (3, 2, "c"), (4, 2, "d")]);
        let at = tree.find(3).unwrap();
        let chain = tree.chain(&[at]).unwrap();
        assert_eq!(chain.iter().map(|at| tree.nodes[*at].pid).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(tree.children(chain[1], 1, Some(&chain)), [at]);
        assert_eq!(tree.chain(&[0, 1]), None);
    }
}
