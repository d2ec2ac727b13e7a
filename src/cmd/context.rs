//! What a command knows of the session that runs it.

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;

use crate::out::filter::Filtered;
use crate::out::{Fault, Format};
use crate::sys::passwd::Users;
use crate::sys::proc::Procfs;
use crate::target::ask;
use crate::target::container::Listing;
use crate::target::host::Host;

use super::Result;
use super::copy::Destination;
use super::denied;
use super::lookup::Lookup;

/// Which names the node's side of a copy takes from a container.
pub type Accepts = Box<dyn Fn(&[u8]) -> bool>;

/// What a command knows: how to print, the session's environment, and what its place holds.
pub struct Context {
    /// The command's name, for messages.
    pub name: &'static str,
    /// How rows are printed.
    pub format: Format,
    /// How faults are told: JSON only where the operator asked for it, not where the next stage reads rows.
    pub faults: Format,
    /// The command whose rows come in, for a command that works on rows; none where they come from a file.
    pub rows_of: Option<&'static super::Entry>,
    /// Whether a person reads the output on a terminal: names are quoted, columns used.
    pub tty: bool,
    /// Whether the output may be coloured.
    pub color: bool,
    /// Columns of the terminal; 80 where there is none.
    pub width: usize,
    /// Nothing in the container may be written.
    pub read_only: bool,
    /// The session's environment: the target's, and what was exported.
    pub env: Vec<(OsString, OsString)>,
    /// Files of the node that options named, opened by the supervisor, as pipes.
    pub host_files: Vec<(HostFile, Option<File>)>,
    /// Whether the other side of a copy runs too.
    pub is_partnered: bool,
    /// Whether a person watches stderr on a terminal.
    pub watched: bool,
    /// Whether stderr is the way to a terminal, with no session between that filters.
    pub says_to_terminal: bool,
    /// Where the node's side of a copy tells how far it is.
    pub progress: Option<File>,
    /// Where the node's side of a copy writes.
    pub destination: Option<Destination>,
    /// What it takes: the names that the operator asked for. Anything where this is none.
    pub accepts: Option<Accepts>,
    /// For [`super::Place::Watch`]: where the container is seen from outside.
    pub watch: Option<Watch>,
    /// For a command inside that looks processes up.
    pub lookup: Option<Lookup>,
    /// For commands that look at the node: where its files are, if that was named.
    pub host_root: Option<PathBuf>,
    /// The root of them, once it was opened.
    pub(crate) host: OnceCell<Host>,
    /// The session's target, a PID of the node.
    pub target: Option<i32>,
    /// For commands that need it: the target's PID as its own PID namespace counts.
    pub target_inside: Option<i32>,
    /// For commands that need it: the target's mountinfo.
    pub mounts: Option<Vec<u8>>,
    /// For commands that need it: the file of the target's program, as the container names it.
    pub program: Option<OsString>,
    /// For commands that hold what they read: the bytes that nsdbg's own cgroup has left, where it has a limit.
    pub memory: Option<u64>,
    /// Lines of the session's history, for `history`.
    pub history: Vec<String>,
    /// The container's users and groups, where they were read for the command; else they are read on first use.
    pub(crate) users: OnceCell<Rc<Users>>,
    /// Whether a fault was reported.
    pub(crate) failed: bool,
    /// Whether it runs in the container, where the operator's options give it capabilities, and none was hinted at yet.
    pub(crate) may_hint: bool,
}

/// A file of the node that an option names: `@host:/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFile {
    /// Its path on the node.
    pub path: OsString,
    /// Whether it is written (created, truncated) or read.
    pub write: bool,
}

/// A container as seen from outside.
pub struct Watch {
    /// The root directory of a procfs of the target's PID namespace.
    pub procfs: OwnedFd,
    /// A second one, mounted for nobody else, where the first is the target's own.
    pub clean_procfs: Option<OwnedFd>,
    /// The target's PID in that procfs.
    pub target: i32,
    /// PIDs in that procfs that are nsdbg's own.
    pub own: Vec<i32>,
    /// A NETLINK_SOCK_DIAG socket of the target's network namespace.
    pub sock_diag: Option<OwnedFd>,
    /// A NETLINK_ROUTE socket of the target's network namespace.
    pub route: Option<OwnedFd>,
}

impl Watch {
    /// What is read of processes.
    pub fn procfs(&self) -> Procfs<'_> {
        Procfs::new(&self.procfs, self.clean_procfs.as_ref())
    }
}

impl Default for Context {
    fn default() -> Self {
        Self {
            name: "nsdbg",
            format: Format::Text,
            faults: Format::Text,
            rows_of: None,
            tty: false,
            color: false,
            width: 80,
            read_only: false,
            env: Vec::new(),
            host_files: Vec::new(),
            is_partnered: false,
            watched: false,
            says_to_terminal: false,
            progress: None,
            destination: None,
            accepts: None,
            watch: None,
            lookup: None,
            host_root: None,
            host: OnceCell::new(),
            target: None,
            target_inside: None,
            mounts: None,
            program: None,
            memory: None,
            history: Vec::new(),
            users: OnceCell::new(),
            failed: false,
            may_hint: false,
        }
    }
}

impl Context {
    /// Says a fault on stderr and goes on; the status becomes 1 unless the command says otherwise.
    pub fn report(&mut self, fault: &Fault) {
        self.failed = true;
        let fault = if self.may_hint { denied::explain(fault.clone()) } else { fault.clone() };
        // Once: a tree may have thousands of such files.
        self.may_hint &= fault.hint.is_none();
        let line = match self.faults {
            Format::Text => fault.line(self.name),
            Format::Json => fault.json(self.name).to_string(),
        };
        self.say(&line);
    }

    /// Says something that is no fault, on stderr.
    pub fn note(&self, sentence: &str) {
        self.say(&format!("{}: {sentence}", self.name));
    }

    fn say(&self, line: &str) {
        let mut stderr = std::io::stderr();
        // Where stderr is gone there is nobody to tell.
        let _ = match self.says_to_terminal {
            true => writeln!(Filtered::new(stderr), "{line}"),
            false => writeln!(stderr, "{line}"),
        };
    }

    /// Whether a fault was reported.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// The node's files, opened when they are first needed: where they do not answer, it is this process that waits.
    ///
    /// # Errors
    /// As open(2).
    pub fn host(&self) -> Result<&Host> {
        if let Some(host) = self.host.get() {
            return Ok(host);
        }
        let host = Host::find(self.host_root.as_deref())?;
        Ok(self.host.get_or_init(|| host))
    }

    /// The containers of the node.
    ///
    /// # Errors
    /// As [`ask::list`].
    pub fn listing(&self) -> Result<Listing> {
        // This process is confined to looking at the node, and so is one that it makes.
        ask::list(self.host_root.as_deref(), ask::PATIENCE, || Ok(()))
    }

    /// The columns of the terminal that a table is for; none in a pipe.
    pub fn screen(&self) -> Option<usize> {
        self.tty.then_some(self.width)
    }

    /// A variable of the session's environment.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.env.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// The container's users and groups. Inside, its files are read on first use, bounded; where they are missing or
    /// unreadable there are no names.
    pub fn users(&self) -> &Users {
        self.users
            .get_or_init(|| Rc::new(if self.watch.is_some() { Users::default() } else { Users::read() }))
    }

    /// Refuses what writes in the container where the session is read-only.
    ///
    /// # Errors
    /// A fault that names the option.
    pub fn writes(&self, op: &'static str, object: impl AsRef<OsStr>) -> Result<()> {
        if self.read_only { Err(Fault::text(op, object, "the session is --read-only")) } else { Ok(()) }
    }

    /// Takes the open file behind a `@host:` option.
    ///
    /// # Errors
    /// A fault where the supervisor did not open it.
    pub fn host_file(&mut self, path: &OsStr, write: bool) -> Result<File> {
        let wanted = HostFile { path: path.to_owned(), write };
        self.host_files
            .iter_mut()
            .find(|(file, handle)| *file == wanted && handle.is_some())
            .and_then(|(_, handle)| handle.take())
            .ok_or_else(|| Fault::text("open", path, "the node's file was not opened for this command"))
    }
}
