//! Which processes there are, told to a command that runs inside by a process that watches from outside.
//!
//! The command asks as often as it wants: so it can look a process up, open a pidfd, and look again, which tells that the
//! pidfd is of the process that it found. The container's /proc has no part in it. Who takes the command's process over
//! can ask too, for PIDs, names, start times and programs of its own PID namespace, and for nothing else.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};

use super::{Fault, Result, Watch};
use crate::sys::proc::{Reader, Stat, Status};
use crate::sys::syscall::own_fd;

/// Processes of one answer.
const MANY: usize = 100_000;
/// PIDs of one question.
const ASKED: usize = 100_000;
/// Most of a command line that is read: the program's name is at its start.
const PROGRAM_LIMIT: usize = 4096;
/// Most of a status file.
const STATUS_LIMIT: usize = 1 << 20;

/// How the PID namespace of the commands' processes is to the target's and the node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PidNamespace {
    /// It is the target's own.
    Own,
    /// It is the node's, and the target's too.
    Shared,
    /// It is the node's, and not the target's: `--ns -pid`.
    LeftOut,
}

/// What is told of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Its PID, as the container counts.
    pub pid: i32,
    /// Its process group.
    pub group: i32,
    /// One letter.
    pub state: u8,
    /// Ticks after boot at which it was started: with the PID, its identity.
    pub start: u64,
    /// Signals that it ignores; 0 where it was not asked for by PID.
    pub ignored: u64,
    /// Signals that it has handlers for; 0 where it was not asked for by PID.
    pub caught: u64,
    /// The kernel's name for it.
    pub comm: Vec<u8>,
    /// The last part of its first argument's path.
    pub program: Vec<u8>,
    /// The file of its program; empty where it was not asked for by PID, or the kernel does not tell.
    pub exe: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    /// Whose PIDs they are.
    pub namespace: PidNamespace,
    /// The processes, by PID; without those of nsdbg.
    pub processes: Vec<Known>,
    /// There are more than are told.
    pub is_cut: bool,
}

/// The command's end.
#[derive(Debug)]
pub struct Lookup {
    ask: File,
    answers: BufReader<File>,
}

impl Lookup {
    /// Asks through these pipes.
    pub fn new(answers: File, ask: File) -> Self {
        Self { ask, answers: BufReader::new(answers) }
    }

    /// All processes.
    ///
    /// # Errors
    /// A fault where nobody answers.
    pub fn all(&mut self) -> Result<Answer> {
        self.ask(&[])
    }

    /// Those of these PIDs that are there, with their signals.
    ///
    /// # Errors
    /// As [`Lookup::all`].
    pub fn these(&mut self, pids: &[i32]) -> Result<Answer> {
        if pids.is_empty() || pids.len() > ASKED {
            return Err(Fault::say("too many processes at once"));
        }
        self.ask(pids)
    }

    fn ask(&mut self, pids: &[i32]) -> Result<Answer> {
        let mut question = (pids.len() as u32).to_le_bytes().to_vec();
        question.extend(pids.iter().flat_map(|pid| pid.to_le_bytes()));
        self.ask
            .write_all(&question)
            .and_then(|()| read_answer(&mut self.answers))
            .map_err(|_| Fault::say("the container's processes could not be looked at: nothing was done"))
    }
}

/// The watcher's end: answers until nobody asks any more.
pub fn serve(watch: &Watch, namespace: PidNamespace) -> u8 {
    // Not through std's stdin: this process was forked where that is locked, and holds the operator's lines.
    let (Ok(questions), Ok(answers)) = (own_fd(0), own_fd(1)) else { return 125 };
    let (mut questions, mut answers) = (File::from(questions), BufWriter::new(File::from(answers)));
    // That the other end is gone is no failure: the command's own status tells what came of it.
    while let Ok(pids) = read_question(&mut questions) {
        let answer = look(watch, namespace, &pids);
        if write_answer(&answer, &mut answers).and_then(|()| answers.flush()).is_err() {
            break;
        }
    }
    0
}

fn look(watch: &Watch, namespace: PidNamespace, asked: &[i32]) -> Answer {
    let procfs = watch.procfs();
    let mut reader = procfs.reader();
    let mut pids = if asked.is_empty() { procfs.pids().unwrap_or_default() } else { asked.to_vec() };
    let own: HashSet<i32> = watch.own.iter().copied().collect();
    pids.retain(|pid| *pid > 0 && !own.contains(pid));
    let is_cut = pids.len() > MANY;
    pids.truncate(MANY);
    let known = pids.into_iter().filter_map(|pid| known(pid, !asked.is_empty(), &mut reader));
    Answer { namespace, processes: known.collect(), is_cut }
}

fn known(pid: i32, with_signals: bool, reader: &mut Reader) -> Option<Known> {
    let stat = Stat::parse(reader.read(pid, "stat", 4096).ok()?)?;
    let mut known = Known {
        pid,
        group: stat.pgrp,
        state: stat.state,
        start: stat.starttime,
        comm: stat.comm.get(..stat.comm.len().min(255)).unwrap_or_default().to_vec(),
        ..Known::default()
    };
    if with_signals {
        // A thread's id is no process, though its folder can be opened.
        let status = Status::new(reader.read_all(pid, "status", STATUS_LIMIT).ok()?);
        if status.field("Tgid").and_then(|id| id.parse().ok()) != Some(pid) {
            return None;
        }
        known.ignored = status.mask("SigIgn").unwrap_or(0);
        known.caught = status.mask("SigCgt").unwrap_or(0);
        let link = reader.link(pid, "exe").map(std::os::unix::ffi::OsStringExt::into_vec);
        known.exe = link.ok().filter(|path: &Vec<u8>| path.len() < PROGRAM_LIMIT).unwrap_or_default();
    } else if !matches!(stat.state, b'Z' | b'X') && !stat.is_kernel() {
        known.program = program(reader.read(pid, "cmdline", PROGRAM_LIMIT).unwrap_or_default());
    }
    Some(known)
}

/// The last part of the path in the first argument; empty where that is cut.
fn program(cmdline: &[u8]) -> Vec<u8> {
    let Some(end) = cmdline.iter().position(|b| *b == 0) else { return Vec::new() };
    let first = cmdline.get(..end).unwrap_or_default();
    let name = first.rsplit(|b| *b == b'/').next().unwrap_or_default();
    if name.len() > 255 { Vec::new() } else { name.to_vec() }
}

fn read_question(from: &mut impl Read) -> io::Result<Vec<i32>> {
    let count = u32::from_le_bytes(array(from)?) as usize;
    if count > ASKED {
        return Err(io::ErrorKind::InvalidData.into());
    }
    (0..count).map(|_| array(from).map(i32::from_le_bytes)).collect()
}

fn write_answer(answer: &Answer, to: &mut impl Write) -> io::Result<()> {
    to.write_all(&[answer.namespace as u8, u8::from(answer.is_cut)])?;
    to.write_all(&(answer.processes.len() as u32).to_le_bytes())?;
    for known in &answer.processes {
        to.write_all(&known.pid.to_le_bytes())?;
        to.write_all(&known.group.to_le_bytes())?;
        to.write_all(&known.start.to_le_bytes())?;
        to.write_all(&known.ignored.to_le_bytes())?;
        to.write_all(&known.caught.to_le_bytes())?;
        to.write_all(&[known.state, known.comm.len() as u8, known.program.len() as u8])?;
        to.write_all(&known.comm)?;
        to.write_all(&known.program)?;
        to.write_all(&(known.exe.len() as u16).to_le_bytes())?;
        to.write_all(&known.exe)?;
    }
    Ok(())
}

fn read_answer(from: &mut impl Read) -> io::Result<Answer> {
    let [namespace, is_cut] = array(from)?;
    let namespace = [PidNamespace::Own, PidNamespace::Shared, PidNamespace::LeftOut]
        .into_iter()
        .find(|kind| *kind as u8 == namespace)
        .ok_or(io::ErrorKind::InvalidData)?;
    let count = u32::from_le_bytes(array(from)?) as usize;
    if count > MANY {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let processes = (0..count).map(|_| read_known(from)).collect::<io::Result<_>>()?;
    Ok(Answer { namespace, processes, is_cut: is_cut != 0 })
}

fn read_known(from: &mut impl Read) -> io::Result<Known> {
    let (pid, group) = (i32::from_le_bytes(array(from)?), i32::from_le_bytes(array(from)?));
    let mut long = || array(from).map(u64::from_le_bytes);
    let (start, ignored, caught) = (long()?, long()?, long()?);
    let [state, comm, program] = array(from)?;
    let mut text = |length: usize| {
        let mut bytes = vec![0; length];
        from.read_exact(&mut bytes).map(|()| bytes)
    };
    let (comm, program) = (text(comm.into())?, text(program.into())?);
    let exe = u16::from_le_bytes(array(from)?);
    let mut exe = vec![0; usize::from(exe)];
    from.read_exact(&mut exe)?;
    Ok(Known { pid, group, state, start, ignored, caught, comm, program, exe })
}

fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_survive_the_pipe_and_cut_ones_are_refused() {
        let known = Known {
            pid: 7,
            group: 6,
            state: b'S',
            start: 99,
            ignored: 1,
            caught: 1 << 63,
            comm: b"a\n\xff".to_vec(),
            program: Vec::new(),
            exe: b"/bin/a".to_vec(),
        };
        let answer = Answer {
            namespace: PidNamespace::LeftOut,
            processes: vec![known.clone(), Known::default()],
            is_cut: true,
        };
        let mut bytes = Vec::new();
        write_answer(&answer, &mut bytes).unwrap();
        let read = read_answer(&mut bytes.as_slice()).unwrap();
        assert_eq!((read.namespace, read.is_cut), (PidNamespace::LeftOut, true));
        assert_eq!(read.processes, [known, Known::default()]);
        for end in 0..bytes.len() {
            assert!(read_answer(&mut &bytes[..end]).is_err(), "{end}");
        }
        assert!(read_answer(&mut &[9, 0, 0, 0, 0, 0][..]).is_err());
        assert!(read_question(&mut &[0xff; 64][..]).is_err());
    }

    #[test]
    fn programs_are_named_by_their_path() {
        for (cmdline, name) in [
            (&b"/usr/bin/web\0-x\0"[..], &b"web"[..]),
            (b"web\0", b"web"),
            (b"/\0", b""),
            (b"", b""),
            (b"cut", b""),
        ] {
            assert_eq!(program(cmdline), name);
        }
    }
}
