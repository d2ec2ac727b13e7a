//! A child that stays outside: it watches the target, or works on the node.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::{AsFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::rc::Rc;

use super::job::{Argument, Job, Task};
use super::spawn::fault;
use crate::cmd::copy::Destination;
use crate::cmd::lookup::{self, PidNamespace};
use crate::cmd::{self, Accepts, Entry, Needs, NodeFiles, Place, Watch};
use crate::enter::{fds, watch};
use crate::out::Fault;
use crate::out::fault::printed;
use crate::sys::passwd::Users;
use crate::sys::shared::Shared;
use crate::sys::syscall;
use crate::target::Target;

/// What a child outside is given.
pub struct Outside<'a> {
    /// The command.
    pub entry: &'static Entry,
    /// How the PID namespace of the commands' processes is to the target's and the node's.
    pub pid_namespace: PidNamespace,
    /// What to do.
    pub job: Job,
    /// Where the node's files are, if that was named.
    pub host_root: Option<PathBuf>,
    /// Its pipes, then what it watches through: one procfs or two, then sockets; the pipe of a copy's progress.
    pub keep: &'a [RawFd],
    /// Whether there are two.
    pub is_clean_too: bool,
    /// PIDs that are ours.
    pub own: Vec<i32>,
    /// The container's users and groups, for a command that needs them.
    pub users: Option<Rc<Users>>,
    /// The session's target.
    pub target: &'a Target,
    /// Lines of the session.
    pub history: Vec<String>,
    /// Whether the last of its descriptors takes how far a copy is.
    pub is_metered: bool,
    /// What the node's side of a copy takes.
    pub accepts: Option<Accepts>,
}

/// The arguments of a command outside, which expands nothing.
fn words(arguments: Vec<Argument>) -> Result<Vec<OsString>, Fault> {
    let word = |argument| match argument {
        Argument::Word(word) => Ok(OsString::from_vec(word)),
        Argument::Pattern(_) => Err(Fault::usage("takes no globs: put it in quotes")),
    };
    arguments.into_iter().map(word).collect()
}

/// Opens what a command writes on the node, while it may, and then confines it to that.
fn confine_writer(entry: &Entry, args: &[OsString], cx: &mut cmd::Context) -> Result<(), Fault> {
    let target = entry.wants(args.to_vec())?.target;
    let target = target.ok_or_else(|| Fault::say("where to write is not known").with_status(125))?;
    let shared = Shared::of(cx.mounts.as_deref());
    let destination = Destination::open(&target.path, Some(&shared), false)?;
    watch::confine_writer(destination.directory.as_fd(), target.owner)?;
    cx.destination = Some(destination);
    Ok(())
}

/// The child outside: keeps its pipes and what it watches through, drops everything else, runs the command.
pub fn run(given: Outside) -> u8 {
    let Outside { entry, pid_namespace, job, keep, is_clean_too, own, users, target, history, .. } = given;
    super::child::install_panic_hook();
    let is_lookup = job.task == Task::Processes;
    let listed = match &job.task {
        Task::Candidates { directory, prefix } => Some((directory.clone(), prefix.clone())),
        _ => None,
    };
    let watching = entry.place == Place::Watch || is_lookup;
    let (mut cx, arguments) = job.into_context();
    (cx.name, cx.history, cx.accepts) = (entry.name, history, given.accepts);
    if let Some(users) = users {
        cx.users = users.into();
    }
    cx.host_root = given.host_root;
    let confined =
        fds::keep_only(keep).map_err(fault("close")).and_then(|()| words(arguments)).and_then(|args| {
            match (watching, entry.needs) {
                (true, _) => watch::confine_watcher()?,
                (_, Needs { host: true, .. }) => watch::confine_lister(true)?,
                (_, Needs { files: NodeFiles::Read, .. }) => watch::confine_reader()?,
                (_, Needs { files: NodeFiles::Write, .. }) => confine_writer(entry, &args, &mut cx)?,
                _ => watch::confine_idle()?,
            }
            Ok(args)
        });
    let args = match confined {
        Ok(args) => args,
        Err(fault) => {
            cx.report(&fault);
            return fault.status;
        }
    };
    if let Some((directory, prefix)) = listed {
        let listed = super::child::candidates(&directory, &prefix);
        return u8::from(listed.and_then(|()| printed(std::io::stdout().flush())).is_err());
    }
    let mut numbers = 3..;
    let mut take = || numbers.next().and_then(|number| syscall::own_fd(number).ok());
    if entry.needs.host {
        cx.target = Some(target.pid);
    }
    if watching {
        let Some(procfs) = take() else {
            cx.report(&Fault::text("open", "procfs", "it is not where it should be").with_status(125));
            return 125;
        };
        let clean_procfs = if is_clean_too { take() } else { None };
        let target = target.facts.pid_inside;
        cx.watch = Some(Watch { procfs, clean_procfs, target, own, sock_diag: take(), route: take() });
    }
    if let (true, Some(watch)) = (is_lookup, &cx.watch) {
        return lookup::serve(watch, pid_namespace);
    }
    if given.is_metered {
        cx.progress = take().map(std::fs::File::from);
    }
    cmd::execute(entry, args, &mut cx, Box::new(std::io::stdout())).0
}
