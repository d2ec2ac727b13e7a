//! The process in the container that runs one command: reads its job, goes to its directory, opens its redirections,
//! and runs it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use super::job::{Argument, Job, Redirection, Task};
use crate::cmd::lookup::Lookup;
use crate::cmd::{self, denied, refusal};
use crate::enter::worker::{DIRECTORY, EXTRA, JOB};
use crate::out::fault::printed;
use crate::out::{Fault, Format};
use crate::shell;
use crate::sys::{open, passwd, syscall};

/// The longest job: a command line and an environment.
const JOB_LIMIT: u64 = 64 << 20;

/// Names that one glob may expand to.
const GLOB_LIMIT: usize = 100_000;

/// Names that completion is given.
const CANDIDATES_LIMIT: usize = 1000;

/// Runs the job at its descriptor; `extra` descriptors belong to the node's files. Returns the exit status.
pub fn run(extra: usize) -> u8 {
    install_panic_hook();
    let job = match read_job() {
        Ok(job) => job,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", Fault::io("read", "job", &error).line("nsdbg"));
            return 125;
        }
    };
    let moved = enter_directory(&job);
    if moved.is_err() && matches!(job.task, Task::Command(_)) {
        let _ = writeln!(io::stderr(), "nsdbg: the working directory can't be reached: starting at /");
    }
    let (name, format) = match &job.task {
        Task::Command(name) => (name.clone(), job.faults),
        Task::Directory(_) => ("cd".to_owned(), job.faults),
        _ => ("nsdbg".to_owned(), job.faults),
    };
    let mut result = perform(job, extra);
    // This process ends by _exit, which flushes nothing.
    if result == Ok(0) {
        result = printed(io::stdout().flush());
    }
    match result {
        Ok(status) => status,
        Err(fault) => {
            let fault = denied::explain(fault);
            let line = match format {
                Format::Text => fault.line(&name),
                Format::Json => fault.json(&name).to_string(),
            };
            let _ = writeln!(io::stderr(), "{line}");
            fault.status
        }
    }
}

/// A panic costs one command, says where, and opens nothing: no backtrace, no debug files.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(io::stderr(), "nsdbg: internal error at {place}: the command was ended");
        syscall::exit_now(125);
    }));
}

fn read_job() -> io::Result<Job> {
    let mut file = File::from(syscall::own_fd(JOB)?);
    io::Seek::rewind(&mut file)?;
    let mut bytes = Vec::new();
    file.take(JOB_LIMIT).read_to_end(&mut bytes)?;
    Job::decode(&bytes).ok_or_else(|| nix::errno::Errno::EBADMSG.into())
}

/// Goes to the session's directory, else the target's own; to the root where that is gone or outside of the root. It is
/// a path, looked up anew by each command as the target's user: a descriptor of it would have to come from inside.
fn enter_directory(job: &Job) -> nix::Result<()> {
    let own = syscall::own_fd(DIRECTORY)?;
    let moved = match (&job.task, &job.directory) {
        // Whoever leaves a directory that never answers must not be sent there first.
        (Task::Directory(path), _) if path.starts_with(b"/") => Ok(()),
        (_, Some(path)) => nix::unistd::chdir(path.as_slice()),
        (_, None) => nix::unistd::fchdir(&own),
    };
    let reached = moved.and_then(|()| working_directory());
    if reached.is_err() {
        nix::unistd::chdir("/")?;
    }
    reached.map(drop)
}

/// The working directory; an error where it is not below the root.
fn working_directory() -> nix::Result<Vec<u8>> {
    let path = nix::unistd::getcwd()?.into_os_string().into_vec();
    if path.starts_with(b"/") { Ok(path) } else { Err(nix::errno::Errno::ENOENT) }
}

fn perform(job: Job, extra: usize) -> std::result::Result<u8, Fault> {
    match &job.task {
        Task::Command(name) => {
            let name = name.clone();
            return command(job, &name, extra);
        }
        Task::Hello => hello(),
        Task::Directory(path) => directory(OsStr::from_bytes(path)),
        Task::Candidates { directory, prefix } => candidates(directory, prefix),
        Task::Write { path, append } => redirect_to(path, *append, job.read_only)
            .and_then(|file| copy(&mut io::stdin(), &mut File::from(file), path)),
        Task::Processes => Err(Fault::say("that is told outside").with_status(125)),
        Task::Read(path) => {
            redirect_from(path).and_then(|file| copy(&mut File::from(file), &mut io::stdout(), path))
        }
    }
    .map(|()| 0)
}

fn copy(from: &mut impl Read, to: &mut impl Write, path: &[u8]) -> std::result::Result<(), Fault> {
    // Not std's copy, which splices: a file that never answers would hold the pipe.
    let mut buffer = vec![0; 256 << 10];
    loop {
        let copied = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) => return Ok(()),
            other => other.and_then(|count| to.write_all(&buffer[..count]).and_then(|()| to.flush())),
        };
        match copied {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(Fault::io("copy", OsStr::from_bytes(path), &error)),
        }
    }
}

fn command(job: Job, name: &str, extra: usize) -> std::result::Result<u8, Fault> {
    let entry = cmd::find(name).ok_or_else(|| Fault::say("no such command").with_status(127))?;
    let mut args = Vec::new();
    for argument in &job.arguments {
        args.extend(expand(argument)?.into_iter().map(OsString::from_vec));
    }
    for redirection in &job.redirections {
        redirect(redirection, job.read_only)?;
    }
    let mut files = (0..extra).map(|at| syscall::own_fd(EXTRA + at as RawFd).ok().map(File::from));
    let host_files = job.host_files.clone().into_iter().zip(files.by_ref()).collect();
    let lookup = match (job.processes, files.next().flatten(), files.next().flatten()) {
        (true, Some(answers), Some(ask)) => Some(Lookup::new(answers, ask)),
        _ => None,
    };
    let (mut cx, _) = job.into_context();
    (cx.host_files, cx.lookup, cx.may_hint) = (host_files, lookup, true);
    let status = cmd::execute(entry, args, &mut cx, Box::new(io::stdout()));
    Ok(status.0)
}

/// The container's directories, as globs see them.
struct Container;

impl shell::Directory for Container {
    fn entries(&self, directory: &[u8], take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<()> {
        let directory = if directory.is_empty() { &b"."[..] } else { directory };
        for entry in std::fs::read_dir(OsStr::from_bytes(directory))? {
            if take(entry?.file_name().as_bytes()).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn exists(&self, path: &[u8]) -> bool {
        std::fs::symlink_metadata(OsStr::from_bytes(path)).is_ok()
    }

    fn is_dir(&self, path: &[u8]) -> bool {
        std::fs::metadata(OsStr::from_bytes(path)).is_ok_and(|metadata| metadata.is_dir())
    }
}

fn expand(argument: &Argument) -> std::result::Result<Vec<Vec<u8>>, Fault> {
    match argument {
        Argument::Word(word) => Ok(vec![word.clone()]),
        Argument::Pattern(encoded) => {
            let pattern = shell::Pattern::from_bytes(encoded)
                .ok_or_else(|| Fault::say("the glob could not be read").with_status(125))?;
            shell::glob(&pattern, &Container, GLOB_LIMIT).map_err(|error| Fault::say(error.to_string()))
        }
    }
}

fn redirect(redirection: &Redirection, read_only: bool) -> std::result::Result<(), Fault> {
    let Some(path) = &redirection.path else {
        return syscall::dup_to(1, 2).map_err(|errno| Fault::errno("dup2", "standard error", errno));
    };
    let mut names = expand(path)?;
    let (Some(name), true) = (names.pop(), names.is_empty()) else {
        return Err(Fault::say("a redirection needs one file, its glob matches several"));
    };
    let file = match redirection.number {
        0 => redirect_from(&name)?,
        _ => redirect_to(&name, redirection.append, read_only)?,
    };
    syscall::dup_to(file.as_raw_fd(), redirection.number).map_err(|errno| Fault::of("dup2", errno))
}

fn redirect_from(path: &[u8]) -> std::result::Result<OwnedFd, Fault> {
    let path = OsStr::from_bytes(path);
    open::regular(path).map(|(file, _)| file.into()).map_err(|refused| refusal(path, refused))
}

/// Opens for writing, where the session may.
fn redirect_to(path: &[u8], append: bool, read_only: bool) -> std::result::Result<OwnedFd, Fault> {
    let path = OsStr::from_bytes(path);
    if read_only {
        return Err(Fault::text("open", path, "the session is --read-only"));
    }
    open::to_write(path, append).map(OwnedFd::from).map_err(|refused| refusal(path, refused))
}

/// Four fields, each ended by NUL: directory, uid and gid as the container counts, then passwd and group whole.
fn hello() -> std::result::Result<(), Fault> {
    let directory = working_directory().unwrap_or_else(|_| b"/".to_vec());
    let [passwd, group] = passwd::Users::read_files();
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let mut message = directory;
    message.extend_from_slice(format!("\0{uid}\0{gid}\0{}\0", passwd.len()).as_bytes());
    message.extend_from_slice(&passwd);
    message.extend_from_slice(&group);
    io::stdout().write_all(&message).map_err(|error| Fault::of("write", &error))
}

/// Goes to a directory and prints its path.
fn directory(path: &OsStr) -> std::result::Result<(), Fault> {
    let fault = |op, errno| Fault::errno(op, path, errno);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let fd = openat(AT_FDCWD, path, flags, Mode::empty()).map_err(|errno| fault("open", errno))?;
    nix::unistd::fchdir(&fd).map_err(|errno| fault("chdir", errno))?;
    let absolute = working_directory().map_err(|errno| fault("getcwd", errno))?;
    io::stdout().write_all(&absolute).map_err(|error| Fault::of("write", &error))
}

/// Prints the names in a directory that begin with a prefix, each after `d` or `f` and ended by NUL.
pub(super) fn candidates(directory: &[u8], prefix: &[u8]) -> std::result::Result<(), Fault> {
    let path = if directory.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(directory) };
    let mut message = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(path).map_err(|error| Fault::io("open", path, &error))?.take(1_000_000) {
        let Ok(entry) = entry else { break };
        let name = entry.file_name();
        let hidden = name.as_bytes().starts_with(b".") && !prefix.starts_with(b".");
        if hidden || !name.as_bytes().starts_with(prefix) {
            continue;
        }
        let is_directory = match entry.file_type() {
            Ok(kind) if kind.is_symlink() => std::fs::metadata(entry.path()).is_ok_and(|m| m.is_dir()),
            Ok(kind) => kind.is_dir(),
            Err(_) => false,
        };
        message.push(if is_directory { b'd' } else { b'f' });
        message.extend_from_slice(name.as_bytes());
        message.push(0);
        count += 1;
        if count == CANDIDATES_LIMIT {
            break;
        }
    }
    io::stdout().write_all(&message).map_err(|error| Fault::of("write", &error))
}
