//! What a command's process is told to do: written by the supervisor into a memfd, read by the process itself, so that
//! nothing else of ours ever holds it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::cmd::{self, Context, HostFile};
use crate::enter::wire::{Reader, Writer};
use crate::out::Format;

/// What to do inside the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Run a command of the registry.
    Command(String),
    /// Say the working directory and the names of the users' files: what a session starts with.
    Hello,
    /// Tell the path of a directory that can be entered.
    Directory(Vec<u8>),
    /// List a directory's entries that begin with a prefix.
    Candidates {
        /// The directory.
        directory: Vec<u8>,
        /// What the names begin with.
        prefix: Vec<u8>,
    },
    /// Copy stdin into a file.
    Write {
        /// The file.
        path: Vec<u8>,
        /// Whether to keep what it holds.
        append: bool,
    },
    /// Copy a file to stdout.
    Read(Vec<u8>),
    /// Outside: tell a command inside which processes there are.
    Processes,
}

/// A word of the command line that is expanded inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// As it is.
    Word(Vec<u8>),
    /// A glob, encoded by the shell.
    Pattern(Vec<u8>),
}

/// A redirection to or from a file of the container, opened inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirection {
    /// 0, 1 or 2.
    pub number: i32,
    /// The file, or `None` for `2>&1`.
    pub path: Option<Argument>,
    /// Whether to keep what the file holds.
    pub append: bool,
}

/// A job, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What to do.
    pub task: Task,
    /// The arguments of a command.
    pub arguments: Vec<Argument>,
    /// Its redirections, in order.
    pub redirections: Vec<Redirection>,
    /// The directory to start in, as `cd` has left it; the target's own where there was no `cd`.
    pub directory: Option<Vec<u8>>,
    /// The session's environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The node's files that it was given, in the order of their descriptors.
    pub host_files: Vec<HostFile>,
    /// Whether two pipes follow these, through which it looks processes up.
    pub processes: bool,
    /// How rows are printed.
    pub format: Format,
    /// How faults are told.
    pub faults: Format,
    /// The target's mountinfo, for a command that needs it.
    pub mounts: Option<Vec<u8>>,
    /// The file of the target's program, for a command that needs it.
    pub program: Option<Vec<u8>>,
    /// The target's PID as its own PID namespace counts, for a command that needs it.
    pub target: Option<i32>,
    /// The bytes that nsdbg's own cgroup has left, for a command that holds what it reads.
    pub memory: Option<u64>,
    /// The command whose rows come in, by name; empty for none.
    pub rows_of: String,
    /// Whether a person reads the output on a terminal.
    pub tty: bool,
    /// Whether the output may be coloured.
    pub color: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// Whether writing in the container is refused.
    pub read_only: bool,
    /// Whether the other side of a copy runs too.
    pub is_partnered: bool,
    /// Whether a person watches stderr on a terminal.
    pub watched: bool,
}

impl Job {
    /// A job without arguments whose output is captured.
    pub fn inner(task: Task) -> Self {
        Self {
            task,
            arguments: Vec::new(),
            redirections: Vec::new(),
            directory: None,
            environment: Vec::new(),
            host_files: Vec::new(),
            processes: false,
            format: Format::Text,
            faults: Format::Text,
            mounts: None,
            program: None,
            target: None,
            memory: None,
            rows_of: String::new(),
            tty: false,
            color: false,
            width: 80,
            read_only: false,
            is_partnered: false,
            watched: false,
        }
    }

    /// What its command knows of the session, and its arguments.
    pub fn into_context(self) -> (Context, Vec<Argument>) {
        let cx = Context {
            format: self.format,
            faults: self.faults,
            mounts: self.mounts,
            program: self.program.map(OsString::from_vec),
            target_inside: self.target,
            memory: self.memory,
            rows_of: cmd::find(&self.rows_of),
            tty: self.tty,
            color: self.color,
            width: self.width,
            read_only: self.read_only,
            is_partnered: self.is_partnered,
            watched: self.watched,
            env: self.environment,
            ..Context::default()
        };
        (cx, self.arguments)
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer::new();
        match &self.task {
            Task::Command(name) => to.number(0).bytes(name.as_bytes()),
            Task::Hello => to.number(1),
            Task::Directory(path) => to.number(2).bytes(path),
            Task::Candidates { directory, prefix } => to.number(3).bytes(directory).bytes(prefix),
            Task::Write { path, append } => to.number(4).bytes(path).number((*append).into()),
            Task::Read(path) => to.number(5).bytes(path),
            Task::Processes => to.number(6),
        };
        to.number(self.arguments.len() as u64);
        for argument in &self.arguments {
            encode_argument(argument, &mut to);
        }
        to.number(self.redirections.len() as u64);
        for redirection in &self.redirections {
            to.number(redirection.number as u64).number(redirection.append.into());
            to.number(redirection.path.is_some().into());
            if let Some(path) = &redirection.path {
                encode_argument(path, &mut to);
            }
        }
        to.list(&self.directory.iter().collect::<Vec<_>>());
        to.number(self.environment.len() as u64);
        for (name, value) in &self.environment {
            to.bytes(name.as_bytes()).bytes(value.as_bytes());
        }
        to.number(self.host_files.len() as u64);
        for file in &self.host_files {
            to.bytes(file.path.as_bytes()).number(file.write.into());
        }
        to.number(self.processes.into());
        to.number((self.format == Format::Json).into()).number((self.faults == Format::Json).into());
        to.bytes(self.rows_of.as_bytes()).number(self.tty.into()).number(self.color.into());
        to.number(self.width as u64).number(self.read_only.into()).number(self.mounts.is_some().into());
        if let Some(mounts) = &self.mounts {
            to.bytes(mounts);
        }
        to.number(self.program.is_some().into());
        if let Some(program) = &self.program {
            to.bytes(program);
        }
        to.number(self.target.and_then(|pid| pid.try_into().ok()).unwrap_or(0));
        to.number(self.memory.is_some().into()).number(self.memory.unwrap_or(0));
        to.number(self.is_partnered.into()).number(self.watched.into());
        to.finish()
    }

    /// From bytes; `None` if they are no job.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let from = &mut Reader::new(bytes);
        let task = match from.number()? {
            0 => Task::Command(String::from_utf8(from.bytes()?.to_vec()).ok()?),
            1 => Task::Hello,
            2 => Task::Directory(from.bytes()?.to_vec()),
            3 => Task::Candidates { directory: from.bytes()?.to_vec(), prefix: from.bytes()?.to_vec() },
            4 => Task::Write { path: from.bytes()?.to_vec(), append: from.flag()? },
            5 => Task::Read(from.bytes()?.to_vec()),
            6 => Task::Processes,
            _ => return None,
        };
        let arguments = (0..from.number()?).map(|_| decode_argument(from)).collect::<Option<_>>()?;
        let redirections = (0..from.number()?)
            .map(|_| {
                let (number, append, named) = (from.small()?, from.flag()?, from.flag()?);
                let path = if named { Some(decode_argument(from)?) } else { None };
                Some(Redirection { number, path, append })
            })
            .collect::<Option<_>>()?;
        let directory = from.list()?.pop();
        let text = |from: &mut Reader| Some(OsString::from_vec(from.bytes()?.to_vec()));
        let environment =
            (0..from.number()?).map(|_| Some((text(from)?, text(from)?))).collect::<Option<_>>()?;
        let host_files = (0..from.number()?)
            .map(|_| Some(HostFile { path: text(from)?, write: from.flag()? }))
            .collect::<Option<_>>()?;
        let processes = from.flag()?;
        let mut format = || Some(if from.flag()? { Format::Json } else { Format::Text });
        let (format, faults) = (format()?, format()?);
        let rows_of = String::from_utf8(from.bytes()?.to_vec()).ok()?;
        let (tty, color, width, read_only) = (from.flag()?, from.flag()?, from.small()?, from.flag()?);
        let mounts = if from.flag()? { Some(from.bytes()?.to_vec()) } else { None };
        let program = if from.flag()? { Some(from.bytes()?.to_vec()) } else { None };
        let target = i32::try_from(from.number()?).ok().filter(|pid| *pid > 0);
        let (is_limited, memory) = (from.flag()?, from.number()?);
        let (is_partnered, watched) = (from.flag()?, from.flag()?);
        Some(Self {
            task,
            arguments,
            redirections,
            directory,
            environment,
            host_files,
            processes,
            format,
            faults,
            mounts,
            program,
            target,
            memory: is_limited.then_some(memory),
            rows_of,
            tty,
            color,
            width,
            read_only,
            is_partnered,
            watched,
        })
    }
}

fn encode_argument(argument: &Argument, to: &mut Writer) {
    match argument {
        Argument::Word(bytes) => to.number(0).bytes(bytes),
        Argument::Pattern(bytes) => to.number(1).bytes(bytes),
    };
}

fn decode_argument(from: &mut Reader) -> Option<Argument> {
    let kind = from.number()?;
    let bytes = from.bytes()?.to_vec();
    match kind {
        0 => Some(Argument::Word(bytes)),
        1 => Some(Argument::Pattern(bytes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_memfd() {
        let job = Job {
            task: Task::Command("cat".into()),
            arguments: vec![Argument::Word(b"-n".to_vec()), Argument::Pattern(vec![0xff])],
            redirections: vec![
                Redirection { number: 1, path: Some(Argument::Word(b"/tmp/x".to_vec())), append: true },
                Redirection { number: 2, path: None, append: false },
            ],
            directory: Some(b"/app".to_vec()),
            environment: vec![("A".into(), "b".into())],
            host_files: vec![HostFile { path: "/etc/hosts".into(), write: false }],
            processes: true,
            faults: Format::Json,
            mounts: Some(b"1".to_vec()),
            program: Some(b"/server".to_vec()),
            target: Some(7),
            memory: Some(64 << 20),
            rows_of: "ps".into(),
            tty: true,
            width: 132,
            is_partnered: true,
            ..Job::inner(Task::Hello)
        };
        let bytes = job.encode();
        assert_eq!(Job::decode(&bytes), Some(job));
        assert_eq!(Job::decode(&bytes[..bytes.len() - 1]), None);
    }
}
