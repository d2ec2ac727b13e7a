//! The doctor's fast checks when a prompt opens: one line where they find something, while the operator may type already.

use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::Session;
use super::job::Argument;
use super::run::{Outcome, Pipeline};
use super::spawn::{Prepared, To};
use crate::cmd;
use crate::out::relay::Pump;

/// After this nobody waits for them any more.
const LIMIT: Duration = Duration::from_secs(5);
/// The most that is kept of what they say.
const SAID: usize = 1 << 20;

/// Checks that run beside the prompt.
pub struct Checkup {
    pipeline: Pipeline,
    outcome: Outcome,
    until: Instant,
}

impl Session {
    /// Starts them; none where they are not wanted, or can't be started. What goes wrong with them is no matter of the
    /// operator's, who has not asked for them.
    pub(super) fn start_checkup(&mut self) -> Option<Checkup> {
        if self.options.no_doctor || self.asked_in_vain || !self.terminal.stdout {
            return None;
        }
        let words = [&b"--fast"[..], b"--json"].map(|word| Argument::Word(word.to_vec()));
        let command = Prepared::new(cmd::find("doctor")?, words.to_vec(), Vec::new());
        let mut outcome = Outcome::default();
        let pipeline = self.start(vec![command], To::Memory(SAID), false, &mut outcome).ok()?;
        Some(Checkup { pipeline, outcome, until: Instant::now() + LIMIT })
    }
}

impl Checkup {
    /// What to poll for.
    pub fn fds(&self) -> Vec<PollFd<'_>> {
        let stages = self.pipeline.stages.iter().filter_map(|stage| stage.poll_fd());
        stages.chain(self.pipeline.pumps.iter().filter_map(waits_for)).collect()
    }

    /// How long may be polled for it.
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Takes what has come, of the descriptors of [`Checkup::fds`] in their order.
    pub fn step(&mut self, ready: &[bool]) {
        let mut ready = ready.iter().copied();
        let mut is_ready = |has_fd: bool| has_fd && ready.next().unwrap_or(false);
        let stages: Vec<bool> =
            self.pipeline.stages.iter().map(|stage| is_ready(stage.poll_fd().is_some())).collect();
        let pumps: Vec<bool> =
            self.pipeline.pumps.iter().map(|pump| is_ready(waits_for(pump).is_some())).collect();
        for (stage, _) in self.pipeline.stages.iter_mut().zip(stages).filter(|(_, ready)| *ready) {
            stage.step(&mut self.outcome);
        }
        for (pump, _) in self.pipeline.pumps.iter_mut().zip(pumps).filter(|(_, ready)| *ready) {
            pump.step();
        }
    }

    /// Whether nothing more comes. A process inside that does not end, in a file system that hangs, has nothing to say.
    pub fn is_over(&self) -> bool {
        let has_told = self.pipeline.last_has_ended() && self.pipeline.pumps.last().is_none_or(Pump::is_done);
        has_told || self.left().is_zero() || self.fds().is_empty()
    }

    /// Ends what still runs.
    pub fn end(&mut self) {
        self.pipeline.stages.iter_mut().for_each(|stage| stage.signal(libc::SIGKILL));
    }

    /// The PIDs on the node of its processes inside.
    pub fn pids_inside(&self) -> impl Iterator<Item = i32> {
        self.pipeline.stages.iter().filter_map(|stage| stage.pid_inside())
    }

    /// The line for the operator; none where there is nothing above a note.
    pub fn line(self) -> Option<String> {
        let said: Vec<u8> = self.pipeline.pumps.into_iter().flat_map(Pump::into_memory).collect();
        match findings(&said) {
            0 => None,
            1 => Some("1 finding: doctor shows it\n".to_owned()),
            many => Some(format!("{many} findings: doctor shows them\n")),
        }
    }
}

/// What to poll for of a stream that is kept in memory.
fn waits_for(pump: &Pump) -> Option<PollFd<'_>> {
    if pump.is_done() { None } else { pump.poll_fd() }
}

/// How many rows are above a note.
fn findings(said: &[u8]) -> usize {
    let is_above = |line: &&[u8]| {
        let row: Option<serde_json::Value> = serde_json::from_slice(line).ok();
        row.is_some_and(|row| {
            matches!(row.get("status").and_then(|status| status.as_str()), Some("warn" | "fail"))
        })
    };
    said.split(|byte| *byte == b'\n').filter(is_above).count()
}

/// Whether a polled descriptor has something.
pub fn is_ready(fd: &PollFd) -> bool {
    fd.revents().is_some_and(|events| events.intersects(PollFlags::all()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_a_note_is_counted() {
        let said = b"{\"status\":\"fail\"}\n{\"status\":\"ok\"}\nbroken\n{\"status\":\"note\"}\n{\"status\":\"warn\"}\n";
        assert_eq!(findings(said), 2);
        assert_eq!(findings(b""), 0);
    }
}
