//! Starting the processes of a pipeline: pipes between them, jobs, redirections, and who reads and writes where.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::pipe2;

use super::Session;
use super::job::{Argument, Job, Redirection, Task};
use super::outside::{self, Outside};
use super::progress::Progress;
use super::run::{Outcome, Pipeline};
use super::stage::Stage;
use crate::cmd::lookup::PidNamespace;
use crate::cmd::{Accepts, Entry, HostFile, NodeFiles, Place, Prints, Wants, left_for_us};
use crate::enter::Step;
use crate::enter::fds;
use crate::enter::worker::{MAX_EXTRA, Want};
use crate::out::filter::TerminalFilter;
use crate::out::relay::{self, Pump, Sink};
use crate::out::{Fault, Format};
use crate::sys::syscall::{self, pidfd_open};
use crate::target::host::Host;

/// A command that is ready to be started.
pub struct Prepared {
    /// Which command.
    pub entry: &'static Entry,
    /// Its arguments.
    pub arguments: Vec<Argument>,
    /// Its redirections, in order.
    pub redirects: Vec<Redirect>,
    /// Whether it is one side of a copy, and the other runs too.
    pub is_partnered: bool,
    /// Whether it is the one that writes what the other reads: its status counts where the other's is 0.
    pub feeds_partner: bool,
    /// For the node's side of a copy: what it takes.
    pub accepts: Option<Accepts>,
}

impl Prepared {
    /// A command with its arguments, alone.
    pub fn new(entry: &'static Entry, arguments: Vec<Argument>, redirects: Vec<Redirect>) -> Self {
        Self { entry, arguments, redirects, is_partnered: false, feeds_partner: false, accepts: None }
    }
}

/// A redirection: to a file of the container, or of the node.
pub enum Redirect {
    /// Opened inside.
    Inside(Redirection),
    /// Opened by the supervisor: 0, 1 or 2, the path, whether to append.
    Node(i32, OsString, bool),
}

/// Who gets what a pipeline prints.
#[derive(Clone, Copy)]
pub enum To {
    /// The operator: standard output, and messages.
    Operator,
    /// Nobody yet: so many bytes of its output are kept, and no message.
    Memory(usize),
}

/// A fault of a system call that nsdbg itself makes.
pub fn fault(step: &'static str) -> impl Fn(nix::errno::Errno) -> Fault {
    move |errno| Fault::of(step, errno).with_status(125)
}

/// A pipe whose other end is closed already: reads nothing. Not the node's /dev/null, which a target that takes the
/// process over could change.
fn empty_input() -> Result<OwnedFd, Fault> {
    relay::small_pipe().map(|(reader, _)| reader).map_err(fault("pipe"))
}

impl Session {
    /// Starts a pipeline. `to`: who gets what it prints; `stdin`: whether its first stage may read the operator's.
    ///
    /// # Errors
    /// Where a pipe can't be made, or a file of the node can't be opened. What was started ends with its pipes.
    pub fn start(
        &mut self,
        commands: Vec<Prepared>,
        to: To,
        stdin: bool,
        outcome: &mut Outcome,
    ) -> Result<Pipeline, Fault> {
        let mut pipeline = Pipeline::default();
        let divided =
            commands.into_iter().map(|command| super::divide::divide(command, self.options.is_one_of_many));
        let divided = divided.collect::<Result<Vec<_>, _>>()?;
        let commands: Vec<Prepared> = divided.into_iter().flatten().collect();
        let sources = sources_of_rows(&commands)?;
        pipeline.ends_with_last =
            commands.iter().any(|command| command.is_partnered && command.entry.place == Place::Watch);
        let count = commands.len();
        let (errors, all_errors) = kept_reader(relay::small_pipe)?;
        pipeline.pumps.push(match to {
            To::Operator => Pump::of_messages(errors, self.error_sink()?),
            To::Memory(_) => Pump::new(errors, Sink::Memory(Vec::new(), 0)),
        });
        let (mut outside, mut lookups) = (Vec::new(), Vec::new());
        let mut input: Option<OwnedFd> = None;
        for (at, command) in commands.into_iter().enumerate() {
            let wants = self.wants(&command);
            let stdin = match input.take() {
                Some(previous) => previous,
                None if at == 0 && wants.stdin && stdin => self.operators_input(&mut pipeline)?,
                None => empty_input()?,
            };
            let (reader, stdout) = relay::pipe().map_err(fault("pipe"))?;
            if at + 1 == count {
                let reader = relay::keep(reader).map_err(fault("fcntl"))?;
                let sink = match to {
                    To::Operator => self.output_sink(&command)?,
                    To::Memory(limit) => Sink::Memory(Vec::new(), limit),
                };
                pipeline.pumps.push(Pump::new(reader, sink));
            } else {
                input = Some(reader);
            }
            let stderr = all_errors.try_clone().map_err(|e| Fault::of("dup", &e).with_status(125))?;
            let is_shown = matches!(to, To::Operator) && at + 1 == count;
            let to_terminal = is_shown && self.shows_to_person(&command);
            let mut job = self.job(&command, to_terminal);
            if command.entry.needs.memory {
                // Where the node's files can't be reached, the command keeps to its own limit.
                job.memory = Host::find(None).ok().as_ref().and_then(left_for_us);
            }
            job.rows_of = sources[at].map_or_else(String::new, |entry| entry.name.to_owned());
            if at + 1 < count && sources[at + 1].is_some() {
                job.format = Format::Json;
            }
            let stdio = self.redirect(
                command.redirects,
                command.entry,
                &mut job,
                [stdin, stdout, stderr],
                &mut pipeline,
            )?;
            let mut extra = self.open_host_files(&wants.host_files, &mut pipeline)?;
            job.host_files = wants.host_files;
            if command.entry.place == Place::Inside {
                if wants.processes {
                    let (questions, ask) = relay::small_pipe().map_err(fault("pipe"))?;
                    let (answers, told) = relay::pipe().map_err(fault("pipe"))?;
                    extra.extend([answers, ask]);
                    job.processes = true;
                    let stderr = all_errors.try_clone().map_err(|e| Fault::of("dup", &e))?;
                    lookups.push((command.entry, [questions, told, stderr]));
                }
                // The last one of a one-shot run takes the launcher along.
                let last = self.is_one_shot && count == 1 && pipeline.stages.is_empty() && lookups.is_empty();
                let mut stage = self.spawn_inside(command.entry.name, job, stdio, extra, last)?;
                (stage.auxiliary, stage.feeds) = (command.feeds_partner, command.feeds_partner);
                pipeline.stages.push(stage);
            } else {
                let copy = (command.feeds_partner, command.accepts);
                outside.push((pipeline.stages.len(), command.entry, job, stdio, copy));
            }
        }
        drop(all_errors);
        if !outside.is_empty() || !lookups.is_empty() {
            // Those that watch are told which processes are ours, so all of these must run by now.
            pipeline.wait_started(outcome);
        }
        for (shift, (place, entry, job, stdio, (feeds_partner, accepts))) in outside.into_iter().enumerate() {
            let mut stage = self.spawn_outside(entry, job, stdio, accepts, &mut pipeline)?;
            stage.auxiliary = feeds_partner;
            pipeline.stages.insert(place + shift, stage);
        }
        for (entry, stdio) in lookups {
            let mut stage =
                self.spawn_outside(entry, Job::inner(Task::Processes), stdio, None, &mut pipeline)?;
            stage.auxiliary = true;
            pipeline.stages.push(stage);
        }
        Ok(pipeline)
    }

    /// Runs a job inside and collects what it prints.
    ///
    /// # Errors
    /// Where entering fails, or the job does: then with what it said.
    pub fn run_inner(&mut self, task: Task, limit: usize) -> Result<Vec<u8>, Fault> {
        self.collect(limit, |session, stdio, _| {
            session.spawn_inside("nsdbg", Job::inner(task), stdio, Vec::new(), false)
        })
    }

    /// Runs a job on the node, in a process that can do no more than `entry`, and collects what it prints.
    ///
    /// # Errors
    /// As [`Session::run_inner`].
    pub fn run_on_node(&mut self, entry: &'static Entry, task: Task, limit: usize) -> Result<Vec<u8>, Fault> {
        self.collect(limit, |session, stdio, pipeline| {
            session.spawn_outside(entry, Job::inner(task), stdio, None, pipeline)
        })
    }

    fn collect(
        &mut self,
        limit: usize,
        spawn: impl FnOnce(&mut Self, [OwnedFd; 3], &mut Pipeline) -> Result<Stage, Fault>,
    ) -> Result<Vec<u8>, Fault> {
        let mut pipeline = Pipeline::default();
        let (reader, stdout) = kept_reader(relay::pipe)?;
        let (errors, stderr) = kept_reader(relay::small_pipe)?;
        let stage = spawn(self, [empty_input()?, stdout, stderr], &mut pipeline)?;
        pipeline.stages.push(stage);
        pipeline.pumps.push(Pump::new(reader, Sink::Memory(Vec::new(), limit)));
        pipeline.pumps.push(Pump::new(errors, Sink::Memory(Vec::new(), 4096)));
        let mut outcome = Outcome::default();
        pipeline.run(&self.inner_limits(), &mut outcome);
        let said: Vec<Vec<u8>> = pipeline.pumps.into_iter().map(Pump::into_memory).collect();
        self.target_ended |= outcome.target_ended;
        if let Some(failure) = outcome.failure {
            return Err(self.launcher.failure().map_or(failure, Fault::from));
        }
        if outcome.status != 0 {
            let text = String::from_utf8_lossy(said.get(1).map_or(&[], Vec::as_slice)).trim_end().to_owned();
            let text = match () {
                () if outcome.target_ended => "the target has ended".to_owned(),
                () if outcome.hindered.is_some() => outcome.hindered.unwrap_or_default().to_owned(),
                () if outcome.timed_out => "it took too long".to_owned(),
                () if text.is_empty() => format!("it ended with status {}", outcome.status),
                () => text,
            };
            return Err(Fault::say(text));
        }
        self.note_label(&outcome);
        Ok(said.into_iter().next().unwrap_or_default())
    }

    /// Asks a worker for descriptors.
    ///
    /// # Errors
    /// Where entering fails or they can't be made.
    pub fn descriptors(&self, want: Want) -> Result<Vec<OwnedFd>, Fault> {
        let (ours, theirs) = fds::channel().map_err(fault("socketpair"))?;
        self.launcher.spawn(want, false, &theirs, &[])?;
        drop(theirs);
        let mut pipeline = Pipeline { stages: vec![Stage::worker("nsdbg", ours)], ..Pipeline::default() };
        let mut outcome = Outcome::default();
        pipeline.run(&self.inner_limits(), &mut outcome);
        match outcome.failure {
            Some(failure) => Err(self.launcher.failure().map_or(failure, Fault::from)),
            None if outcome.descriptors.is_empty() => {
                Err(Fault::say("the worker sent nothing").with_status(125))
            }
            None => Ok(outcome.descriptors),
        }
    }

    fn wants(&self, command: &Prepared) -> Wants {
        let names_node =
            |argument: &Argument| matches!(argument, Argument::Word(word) if contains(word, b"@host:"));
        if !command.entry.needs.stdin
            && !command.entry.needs.processes
            && !command.arguments.iter().any(names_node)
        {
            return Wants::default();
        }
        // Wrong arguments are told by the command's own process.
        command.entry.wants(super::divide::words(command)).unwrap_or_default()
    }

    fn shows_to_person(&self, command: &Prepared) -> bool {
        let redirected = command.redirects.iter().any(|redirect| {
            matches!(redirect, Redirect::Inside(Redirection { number: 1, .. }) | Redirect::Node(1, ..))
        });
        self.terminal.stdout && !redirected
    }

    fn job(&self, command: &Prepared, to_terminal: bool) -> Job {
        let bytes_only = command.entry.prints == Prints::Bytes;
        Job {
            task: Task::Command(command.entry.name.to_owned()),
            arguments: command.arguments.clone(),
            redirections: Vec::new(),
            directory: None,
            environment: self.variables.all().to_vec(),
            host_files: Vec::new(),
            processes: false,
            format: if self.options.json && !(bytes_only && self.is_prompt) {
                Format::Json
            } else {
                Format::Text
            },
            faults: if self.options.json { Format::Json } else { Format::Text },
            mounts: if command.entry.needs.mounts { self.target.mountinfo() } else { None },
            program: if command.entry.needs.program { self.target.program() } else { None },
            target: command.entry.needs.program.then_some(self.target.facts.pid_inside),
            memory: None,
            rows_of: String::new(),
            tty: to_terminal,
            color: to_terminal && self.terminal.color,
            width: self.terminal.width(),
            read_only: self.options.read_only,
            is_partnered: command.is_partnered,
            watched: self.terminal.draws && !self.options.json,
        }
    }

    /// Applies redirections. Those that Inside opens go into the job; for a command that runs outside, a process
    /// inside copies.
    fn redirect(
        &mut self,
        redirects: Vec<Redirect>,
        entry: &Entry,
        job: &mut Job,
        mut stdio: [OwnedFd; 3],
        pipeline: &mut Pipeline,
    ) -> Result<[OwnedFd; 3], Fault> {
        for redirect in redirects {
            match redirect {
                Redirect::Inside(redirection) if entry.place == Place::Inside => {
                    job.redirections.push(redirection)
                }
                Redirect::Inside(Redirection { path: None, .. }) => {
                    stdio[2] = stdio[1].try_clone().map_err(|e| Fault::of("dup", &e).with_status(125))?;
                }
                Redirect::Inside(Redirection { number, path: Some(path), append }) => {
                    let Argument::Word(path) = path else {
                        return Err(
                            Fault::say("a glob can't name the file of this redirection").with_status(2)
                        );
                    };
                    let (reader, writer) = relay::pipe().map_err(fault("pipe"))?;
                    let (errors, stderr) = kept_reader(relay::small_pipe)?;
                    pipeline.pumps.push(Pump::of_messages(errors, self.error_sink()?));
                    let (task, inner) = if number == 0 {
                        stdio[0] = reader;
                        (Task::Read(path), [empty_input()?, writer, stderr])
                    } else {
                        let (unread, nowhere) = relay::small_pipe().map_err(fault("pipe"))?;
                        drop(unread);
                        stdio[number as usize] = writer;
                        (Task::Write { path, append }, [reader, nowhere, stderr])
                    };
                    let mut job = Job::inner(task);
                    job.read_only = self.options.read_only;
                    let mut stage = self.spawn_inside(entry.name, job, inner, Vec::new(), false)?;
                    stage.auxiliary = true;
                    pipeline.stages.push(stage);
                }
                Redirect::Node(number, path, append) => {
                    if number == 0 {
                        let (reader, writer) = kept_writer()?;
                        stdio[0] = reader;
                        pipeline.pumps.push(Pump::new(self.node_input(&path)?, Sink::Descriptor(writer)));
                    } else {
                        let file = self.node_output(&path, append)?;
                        let (reader, writer) = kept_reader(relay::pipe)?;
                        stdio[number as usize] = writer;
                        pipeline.pumps.push(Pump::new(reader, Sink::Descriptor(file)));
                    }
                }
            }
        }
        Ok(stdio)
    }

    /// Opens the node's files that options name; the process gets pipes.
    fn open_host_files(&self, files: &[HostFile], pipeline: &mut Pipeline) -> Result<Vec<OwnedFd>, Fault> {
        if files.len() > MAX_EXTRA {
            return Err(Fault::usage(format!("at most {MAX_EXTRA} files of the node")));
        }
        let mut ends = Vec::new();
        for HostFile { path, write } in files {
            if *write {
                let (reader, writer) = kept_reader(relay::pipe)?;
                pipeline.pumps.push(Pump::new(reader, Sink::Descriptor(self.node_output(path, false)?)));
                ends.push(writer);
            } else {
                let (reader, writer) = kept_writer()?;
                pipeline.pumps.push(Pump::new(self.node_input(path)?, Sink::Descriptor(writer)));
                ends.push(reader);
            }
        }
        Ok(ends)
    }

    fn spawn_inside(
        &self,
        name: &str,
        mut job: Job,
        stdio: [OwnedFd; 3],
        extra: Vec<OwnedFd>,
        last: bool,
    ) -> Result<Stage, Fault> {
        job.directory.clone_from(&self.directory);
        let memfd = memfd_create(c"job", MFdFlags::MFD_CLOEXEC).map_err(fault("memfd_create"))?;
        let mut memfd = std::fs::File::from(memfd);
        memfd.write_all(&job.encode()).map_err(|e| Fault::io("write", "job", &e).with_status(125))?;
        let (report, told) = fds::messages().map_err(fault("pipe"))?;
        let (theirs, lifeline) = fds::messages().map_err(fault("pipe"))?;
        let target = self.target.pidfd.try_clone().map_err(|e| Fault::of("dup", &e).with_status(125))?;
        let mut all: Vec<RawFd> = vec![theirs.as_raw_fd()];
        all.extend(stdio.iter().map(AsRawFd::as_raw_fd));
        all.push(memfd.as_raw_fd());
        all.extend(extra.iter().map(AsRawFd::as_raw_fd));
        self.launcher.spawn(Want::Command, last, &told, &all)?;
        Ok(Stage::inside(name, report, lifeline, target, self.plan.guarded))
    }

    /// Forks a child that stays outside: it watches, or works for the node.
    fn spawn_outside(
        &mut self,
        entry: &'static Entry,
        job: Job,
        stdio: [OwnedFd; 3],
        accepts: Option<Accepts>,
        pipeline: &mut Pipeline,
    ) -> Result<Stage, Fault> {
        let watching = entry.place == Place::Watch || job.task == Task::Processes;
        let mut sockets = Vec::new();
        if watching {
            self.procfs()?;
            if entry.needs.netlink {
                sockets = self.descriptors(Want::Sockets)?;
            }
        }
        let users = if entry.needs.users { Some(self.users()) } else { None };
        let mut own = if watching { self.own_pids(pipeline) } else { Vec::new() };
        let history = self.history.clone();
        let mut progress = None;
        if entry.needs.files != NodeFiles::None && job.watched {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).map_err(fault("pipe"))?;
            pipeline.progress = Some(Progress::new(reader, self.terminal.width()));
            progress = Some(writer);
        }
        let Some(pid) = syscall::fork().step("fork", entry.name)? else {
            if self.shares_pid_namespace() {
                own.push(std::process::id() as i32);
                own.push(nix::unistd::getppid().as_raw());
            }
            let mut keep: Vec<RawFd> = stdio.iter().map(AsRawFd::as_raw_fd).collect();
            let view = self.procfs.as_ref().filter(|_| watching);
            let is_clean_too = view.is_some_and(|view| view.clean.is_some());
            keep.extend(view.iter().flat_map(|view| view.descriptors()));
            keep.extend(sockets.iter().map(AsRawFd::as_raw_fd));
            keep.extend(progress.iter().map(AsRawFd::as_raw_fd));
            let status = outside::run(Outside {
                entry,
                pid_namespace: self.pid_namespace(),
                job,
                host_root: self.options.host_root.clone(),
                keep: &keep,
                is_clean_too,
                own,
                users,
                target: &self.target,
                history,
                is_metered: progress.is_some(),
                accepts,
            });
            syscall::exit_now(status);
        };
        let pidfd = pidfd_open(pid).map_err(fault("pidfd_open"))?;
        Ok(Stage::outside(entry.name, pid, pidfd))
    }

    /// The PID namespace of the commands' processes.
    fn pid_namespace(&self) -> PidNamespace {
        let own = std::fs::metadata("/proc/self/ns/pid").ok().map(|facts| facts.ino());
        match () {
            () if !self.shares_pid_namespace() => PidNamespace::Own,
            () if own.is_some() && own == self.target.facts.namespace("pid") => PidNamespace::Shared,
            () => PidNamespace::LeftOut,
        }
    }

    /// The PIDs, in the procfs that is watched, of the processes that are ours.
    fn own_pids(&self, pipeline: &Pipeline) -> Vec<i32> {
        let mut own: Vec<i32> =
            pipeline.stages.iter().filter_map(Stage::pid_inside).filter_map(innermost_pid).collect();
        own.extend(self.checkup.iter().flat_map(|checkup| checkup.pids_inside()).filter_map(innermost_pid));
        if self.shares_pid_namespace() {
            own.push(self.launcher.pid);
            own.extend(children_of(self.launcher.pid));
            own.extend(children_of(std::process::id() as i32));
        }
        own
    }

    fn error_sink(&self) -> Result<Sink, Fault> {
        let fd = duplicate(std::io::stderr().as_fd()).map_err(fault("dup"))?;
        Ok(if self.terminal.stderr {
            Sink::Terminal(fd, TerminalFilter::new(false))
        } else {
            Sink::Descriptor(fd)
        })
    }

    fn output_sink(&self, command: &Prepared) -> Result<Sink, Fault> {
        let fd = duplicate(std::io::stdout().as_fd()).map_err(fault("dup"))?;
        if !self.terminal.stdout {
            relay::enlarge(fd.as_fd());
            return Ok(Sink::Descriptor(fd));
        }
        Ok(Sink::Terminal(fd, TerminalFilter::new(command.entry.colors || self.options.raw_color)))
    }

    fn operators_input(&self, pipeline: &mut Pipeline) -> Result<OwnedFd, Fault> {
        let fd = own_stdin().map_err(fault("dup"))?;
        let (reader, writer) = kept_writer()?;
        pipeline.input = Some(Pump::new(fd, Sink::Descriptor(writer)));
        Ok(reader)
    }
}

/// A pipe of which this process keeps the end to read.
fn kept_reader(make: fn() -> nix::Result<(OwnedFd, OwnedFd)>) -> Result<(OwnedFd, OwnedFd), Fault> {
    let (reader, writer) = make().map_err(fault("pipe"))?;
    Ok((relay::keep(reader).map_err(fault("fcntl"))?, writer))
}

/// A pipe of which this process keeps the end to write.
fn kept_writer() -> Result<(OwnedFd, OwnedFd), Fault> {
    let (reader, writer) = relay::pipe().map_err(fault("pipe"))?;
    Ok((reader, relay::keep(writer).map_err(fault("fcntl"))?))
}

/// A descriptor of its own for the same open file.
fn duplicate(fd: BorrowedFd) -> nix::Result<OwnedFd> {
    syscall::own_fd(fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(3))?)
}

/// Standard input, opened anew where it is a pipe, so that reading answers EAGAIN where another process, which has it too,
/// was faster. Its own flags are the other process's as well.
fn own_stdin() -> nix::Result<OwnedFd> {
    let stdin = std::io::stdin();
    // A file has a position of its own in each opened one, a device may do something, a socket can't be opened.
    if fcntl(&stdin, FcntlArg::F_GETPIPE_SZ).is_err() {
        return duplicate(stdin.as_fd());
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened = nix::fcntl::open("/proc/self/fd/0", flags, nix::sys::stat::Mode::empty());
    // A FIFO that is opened when its writers have gone never tells so. Then nobody makes a read wait.
    let mut old = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
    let has_ended = poll(&mut old, PollTimeout::ZERO).is_ok_and(|count| count > 0);
    opened.ok().filter(|_| !has_ended).map_or_else(|| duplicate(stdin.as_fd()), Ok)
}

/// For each command of a pipeline the one whose rows it is given: none for those that do not work on rows, and for a
/// first one, whose rows are the operator's.
fn sources_of_rows(commands: &[Prepared]) -> Result<Vec<Option<&'static Entry>>, Fault> {
    let mut sources = vec![None; commands.len()];
    for at in 1..commands.len() {
        let (before, entry) = (commands[at - 1].entry, commands[at].entry);
        if !entry.filters_rows {
            continue;
        }
        if before.prints == Prints::Bytes {
            let cause = format!("{} prints bytes, not rows: {} can't work on them", before.name, entry.name);
            return Err(Fault::usage(cause));
        }
        sources[at] = sources[at - 1].or(Some(before));
    }
    Ok(sources)
}

/// The PID in its own PID namespace of a process of the node.
fn innermost_pid(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_ascii_whitespace().last()?.parse().ok()
}

fn children_of(pid: i32) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// A path of the node in a redirection or an option: what follows `@host:`.
pub fn node_path(word: &[u8]) -> Option<OsString> {
    word.strip_prefix(b"@host:").map(|path| OsStr::from_bytes(path).to_owned())
}
