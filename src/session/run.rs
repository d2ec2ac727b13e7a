//! Running a pipeline's processes to their end: relaying, Ctrl-C, time limits. Every wait has a limit.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;

use super::held;
use super::progress::Progress;
use super::stage::Stage;
use crate::out::Fault;
use crate::out::relay::Pump;

/// The status of what ends since its client has hung up.
pub const HUNG_UP: u8 = 128 + libc::SIGHUP as u8;
/// From SIGINT to SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(1);
/// From SIGKILL until the command is given up, and named.
const ABANDON_AFTER: Duration = Duration::from_secs(1);
/// How long an output that somebody else holds open is waited for after the last process has ended.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// How long the threads of a process whose first one has ended may take to end.
const THREADS_LIMIT: Duration = Duration::from_millis(200);

/// What came of a pipeline.
#[derive(Default)]
pub struct Outcome {
    /// Status of the last stage, or 124, 125, 130.
    pub status: u8,
    /// Entering failed.
    pub failure: Option<Fault>,
    /// The target ended.
    pub target_ended: bool,
    /// The security label could not be taken.
    pub label_refused: Option<Errno>,
    /// Stages before the last that were killed, not by us, or in which nsdbg itself failed: name and status.
    pub lost: Vec<(String, u8)>,
    /// Whether what was last written to a terminal ends within a line.
    pub is_mid_line: bool,
    /// Ended by Ctrl-C.
    pub interrupted: bool,
    /// Ended by the time limit.
    pub timed_out: bool,
    /// Ended since its client has hung up.
    pub hung_up: bool,
    /// Commands that did not even end by SIGKILL: name and PID on the node.
    pub abandoned: Vec<(String, Option<i32>)>,
    /// Commands that ended, but for a thread that waits in the kernel: name and PID on the node.
    pub left_behind: Vec<(String, Option<i32>)>,
    /// Descriptors that were sent.
    pub descriptors: Vec<OwnedFd>,
    /// What the target did that kept a process from going on or from being reaped.
    pub hindered: Option<&'static str>,
    /// The output was still held open, by nobody of ours, when the last process had ended.
    pub is_output_held: bool,
    /// Writing the output failed.
    pub output_error: Option<Errno>,
}

impl Outcome {
    /// Whether nobody but the commands themselves had a hand in their end.
    fn is_undisturbed(&self) -> bool {
        !self.interrupted && !self.timed_out && !self.hung_up && !self.target_ended && self.failure.is_none()
    }
}

/// The processes and streams of one pipeline.
#[derive(Default)]
pub struct Pipeline {
    /// Its processes, first to last.
    pub stages: Vec<Stage>,
    /// Its streams.
    pub pumps: Vec<Pump>,
    /// The stream from the operator's stdin, which ends with the processes.
    pub input: Option<Pump>,
    /// How far a copy is, for a person.
    pub progress: Option<Progress>,
    /// Whether what feeds the last stage is ended with it: that has waited for it long enough.
    pub ends_with_last: bool,
}

/// What may end a pipeline early.
pub struct Limits<'a> {
    /// SIGINT and SIGQUIT are read here.
    pub signals: &'a SignalFd,
    /// The time limit of a command.
    pub timeout: Option<Duration>,
    /// What ends it by hanging up.
    pub client: Option<BorrowedFd<'a>>,
    /// The target's pidfd: with it ends a pipeline of which no process is inside, where it would be noticed.
    pub target: Option<BorrowedFd<'a>>,
}

impl Pipeline {
    /// Waits until every process in the container runs or has failed to.
    pub fn wait_started(&mut self, outcome: &mut Outcome) {
        loop {
            let entering: Vec<usize> =
                (0..self.stages.len()).filter(|i| self.stages[*i].is_entering()).collect();
            if entering.is_empty() {
                return;
            }
            let until = entering.iter().filter_map(|i| self.stages[*i].deadline()).min();
            let ready = {
                let mut fds: Vec<PollFd> =
                    entering.iter().filter_map(|i| self.stages[*i].poll_fd()).collect();
                match poll(&mut fds, until_timeout(until)) {
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(_) => return,
                }
                fds.iter().map(is_ready).collect::<Vec<_>>()
            };
            for (i, ready) in entering.into_iter().zip(ready) {
                if ready || self.stages[i].deadline().is_some_and(|until| Instant::now() >= until) {
                    self.stages[i].step(outcome);
                }
            }
        }
    }

    /// Runs it to its end.
    pub fn run(&mut self, limits: &Limits, outcome: &mut Outcome) {
        let deadline = limits.timeout.map(|timeout| Instant::now() + timeout);
        let mut ending: Option<Ending> = None;
        // When the last process had ended, or something came after that.
        let mut quiet_since: Option<Instant> = None;
        // Whether what feeds the last stage was ended with it: its status says nothing then.
        let mut was_cut_off = false;
        // Since when nothing runs any more but threads that a process has left behind.
        let mut ended_since: Option<Instant> = None;
        loop {
            // Their output is closed by then.
            let may_have_ended = self.pumps.iter().all(Pump::is_done) && self.all_have_ended();
            ended_since = may_have_ended.then(|| ended_since.unwrap_or_else(Instant::now));
            if ended_since.is_some_and(|since| since.elapsed() >= THREADS_LIMIT) {
                self.leave(outcome);
            }
            let running = self.stages.iter().any(|stage| stage.status.is_none());
            if !running {
                self.input = None;
                if self.pumps.iter().all(Pump::is_done) {
                    break;
                }
                // Who writes to a pipe that no process of ours holds any more?
                let is_starved = self.pumps.iter().filter(|pump| !pump.is_done()).all(Pump::is_starved);
                let since = *quiet_since.get_or_insert_with(Instant::now);
                if is_starved && Instant::now() >= since + DRAIN_LIMIT {
                    outcome.is_output_held = true;
                    break;
                }
            }
            if let Some(ending) = &mut ending {
                // It may get there only now, and after SIGKILL it can't be seen.
                if outcome.hindered.is_none() {
                    outcome.hindered = self.hindrance();
                }
                if ending.advance(&mut self.stages) {
                    for stage in self.stages.iter_mut().filter(|stage| stage.status.is_none()) {
                        if stage.abandon(outcome) {
                            outcome.abandoned.push((stage.name.clone(), stage.pid_inside()));
                        }
                    }
                    break;
                }
            } else if running && self.ends_with_last && self.last_has_ended() {
                // What writes the output somewhere else has yet to.
                was_cut_off = true;
                self.stages
                    .iter_mut()
                    .filter(|stage| stage.feeds)
                    .for_each(|stage| stage.signal(libc::SIGKILL));
                ending = Some(Ending::killed());
            } else if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                outcome.timed_out = true;
                outcome.hindered = self.hindrance();
                ending = Some(Ending::begin(&mut self.stages));
            } else if running && (outcome.hung_up || outcome.target_ended && self.are_outside()) {
                ending = Some(Ending::begin(&mut self.stages));
            }
            let now = Instant::now();
            for stage in &mut self.stages {
                if stage.deadline().is_some_and(|until| now >= until) {
                    stage.step(outcome);
                }
            }
            let next = [
                ending.as_ref().map(Ending::next),
                if ending.is_some() { None } else { deadline },
                quiet_since.map(|since| since + DRAIN_LIMIT).filter(|until| *until > now),
                (running && self.pumps.iter().all(Pump::is_done)).then(|| now + THREADS_LIMIT / 4),
            ]
            .into_iter()
            .flatten()
            .chain(self.stages.iter().filter_map(Stage::deadline))
            .min();
            let (signal, moved) = self.wait(limits, next, outcome);
            if moved {
                quiet_since = quiet_since.map(|_| Instant::now());
            }
            if let Some(signal) = signal {
                match &mut ending {
                    None if signal == libc::SIGQUIT => {
                        outcome.interrupted = true;
                        let mut now = Ending::killed();
                        now.hurry(&mut self.stages);
                        ending = Some(now);
                    }
                    None => {
                        outcome.interrupted = true;
                        outcome.hindered = self.hindrance();
                        ending = Some(Ending::begin(&mut self.stages));
                    }
                    // A second Ctrl-C does not wait.
                    Some(ending) => ending.hurry(&mut self.stages),
                }
            }
        }
        self.progress = None;
        outcome.output_error = self.pumps.iter().find_map(|pump| pump.error);
        if outcome.is_undisturbed() {
            let last = self.stages.iter().rposition(|stage| !stage.auxiliary);
            let counts = |at: usize, stage: &Stage| Some(at) != last && !(was_cut_off && stage.feeds);
            let before = self.stages.iter().enumerate().filter(|(at, stage)| counts(*at, stage));
            let lost = before.filter_map(|(_, stage)| Some((stage.name.clone(), stage.status?)));
            outcome.lost = lost.filter(|(_, status)| is_lost(*status)).collect();
        }
        let last = self.stages.iter().rfind(|stage| !stage.auxiliary).and_then(|stage| stage.status);
        let counts = |stage: &&Stage| stage.auxiliary && !(was_cut_off && stage.feeds);
        let auxiliary = self.stages.iter().filter(counts).filter_map(|s| s.status).find(|s| *s != 0);
        outcome.status = match () {
            () if outcome.timed_out => 124,
            () if outcome.failure.is_some() || outcome.target_ended => 125,
            () if outcome.interrupted => 130,
            () if outcome.hung_up => HUNG_UP,
            () => match last.unwrap_or(137) {
                0 => auxiliary.or(outcome.lost.first().map(|(_, status)| *status)).unwrap_or(0),
                status => status,
            },
        };
    }

    /// Whether no process is in the container.
    fn are_outside(&self) -> bool {
        !self.stages.iter().any(Stage::is_inside)
    }

    /// Whether of all that still runs the first threads have ended.
    fn all_have_ended(&self) -> bool {
        let mut running = self.stages.iter().filter(|stage| stage.status.is_none()).peekable();
        running.peek().is_some() && running.all(|stage| stage.status_of_what_ended().is_some())
    }

    /// Waits for them no longer.
    fn leave(&mut self, outcome: &mut Outcome) {
        for stage in &mut self.stages {
            if let Some(status) = stage.status_of_what_ended() {
                outcome.left_behind.push((stage.name.clone(), stage.pid_inside()));
                stage.leave(status);
            }
        }
    }

    /// Whether the stage whose status counts has ended.
    pub fn last_has_ended(&self) -> bool {
        self.stages.iter().rfind(|stage| !stage.auxiliary).is_some_and(|stage| stage.status.is_some())
    }

    /// What the target does to a process that still runs.
    fn hindrance(&self) -> Option<&'static str> {
        let running = self.stages.iter().filter(|stage| stage.status.is_none());
        running.filter_map(Stage::pid_inside).find_map(held::cause)
    }

    /// Waits for something to happen until `next`, and lets it. Returns the signal that came, and whether a stream moved.
    fn wait(&mut self, limits: &Limits, next: Option<Instant>, outcome: &mut Outcome) -> (Option<i32>, bool) {
        let stages: Vec<usize> =
            (0..self.stages.len()).filter(|i| self.stages[*i].status.is_none()).collect();
        let pumps: Vec<usize> = (0..self.pumps.len()).filter(|i| !self.pumps[*i].is_done()).collect();
        let ready = {
            let mut fds = vec![PollFd::new(limits.signals.as_fd(), PollFlags::POLLIN)];
            fds.extend(self.input.as_ref().filter(|input| !input.is_done()).and_then(Pump::poll_fd));
            let has_input = fds.len() == 2;
            fds.extend(stages.iter().filter_map(|i| self.stages[*i].poll_fd()));
            fds.extend(pumps.iter().filter_map(|i| self.pumps[*i].poll_fd()));
            fds.extend(self.progress.as_ref().and_then(Progress::poll_fd));
            // Last, so that the others keep their places. Without an event: that it hangs up is told all the same.
            let target = limits.target.filter(|_| !outcome.target_ended && self.are_outside());
            fds.extend(target.map(|target| PollFd::new(target, PollFlags::POLLIN)));
            let client = limits.client.filter(|_| !outcome.hung_up);
            fds.extend(client.map(|client| PollFd::new(client, PollFlags::empty())));
            match poll(&mut fds, until_timeout(next)) {
                Ok(_) => {}
                Err(_) => return (None, false),
            }
            let mut ready: Vec<bool> = fds.iter().map(is_ready).collect();
            outcome.hung_up |= client.is_some() && ready.pop().unwrap_or(false);
            outcome.target_ended |= target.is_some() && ready.pop().unwrap_or(false);
            if !has_input {
                ready.insert(1, false);
            }
            ready
        };
        let (head, rest) = ready.split_at(2);
        let (of_stages, rest) = rest.split_at(stages.len());
        let (of_pumps, of_progress) = rest.split_at(pumps.len());
        if let Some(progress) = &mut self.progress {
            if of_pumps.contains(&true) {
                progress.clear();
            }
            if of_progress.contains(&true) {
                progress.step();
            }
        }
        if head[1]
            && let Some(input) = &mut self.input
        {
            input.step();
        }
        for (i, ready) in pumps.into_iter().zip(of_pumps) {
            if *ready {
                self.pumps[i].step();
                outcome.is_mid_line = self.pumps[i].is_mid_line().unwrap_or(outcome.is_mid_line);
            }
        }
        for (i, ready) in stages.into_iter().zip(of_stages) {
            if *ready {
                self.stages[i].step(outcome);
            }
        }
        let signal = if head[0] { limits.signals.read_signal().ok().flatten() } else { None };
        (signal.map(|signal| signal.ssi_signo as i32), of_pumps.contains(&true))
    }
}

/// A pipeline that is being ended: SIGINT, then SIGKILL, then it is given up. Each limit counts from the signal.
struct Ending {
    since: Instant,
    killed: bool,
}

impl Ending {
    fn begin(stages: &mut [Stage]) -> Self {
        stages.iter_mut().for_each(|stage| stage.signal(libc::SIGINT));
        Self { since: Instant::now(), killed: false }
    }

    /// Where SIGKILL was the first signal.
    fn killed() -> Self {
        Self { since: Instant::now(), killed: true }
    }

    fn hurry(&mut self, stages: &mut [Stage]) {
        stages.iter_mut().for_each(|stage| stage.signal(libc::SIGKILL));
        if !self.killed {
            *self = Self::killed();
        }
    }

    /// Does what is due. Returns whether to give up.
    fn advance(&mut self, stages: &mut [Stage]) -> bool {
        if Instant::now() < self.next() {
            return false;
        }
        let give_up = self.killed;
        if !give_up {
            self.hurry(stages);
        }
        give_up
    }

    fn next(&self) -> Instant {
        self.since + if self.killed { ABANDON_AFTER } else { KILL_AFTER }
    }
}

/// Whether a stage that is not the last has ended as none ends by itself: by a signal that we did not send, but for the one
/// of a pipe that nobody reads any more; or since nsdbg itself failed.
fn is_lost(status: u8) -> bool {
    status == 125 || (status > 128 && status != 128 + libc::SIGPIPE as u8)
}

fn is_ready(fd: &PollFd) -> bool {
    fd.revents().is_some_and(|events| !events.is_empty())
}

/// Milliseconds until then, rounded up; none where there is no limit.
pub fn until_timeout(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else { return PollTimeout::NONE };
    let left = until.saturating_duration_since(Instant::now()).as_millis() + 1;
    PollTimeout::try_from(left.min(60_000) as i32).unwrap_or(PollTimeout::MAX)
}
