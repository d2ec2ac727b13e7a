//! The line that says how far a copy is. It is drawn here, in the supervisor, of nothing but numbers: the processes that
//! copy have no terminal.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use crate::out::units::{bytes, elapsed};

/// What takes less is not drawn.
const DRAW_AFTER: Duration = Duration::from_secs(1);

/// Between two drawings.
const PAUSE: Duration = Duration::from_millis(100);

/// Columns of the bar.
const BAR: usize = 20;

/// The progress of one copy.
pub struct Progress {
    /// Records of two numbers of 64 bits: bytes that were copied, and all. None once it ended.
    from: Option<OwnedFd>,
    begun: Instant,
    drawn: Option<Instant>,
    is_shown: bool,
    width: usize,
}

impl Progress {
    /// Of records from this pipe, on a terminal of so many columns.
    pub fn new(from: OwnedFd, width: usize) -> Self {
        Self { from: Some(from), begun: Instant::now(), drawn: None, is_shown: false, width }
    }

    /// What to poll for.
    pub fn poll_fd(&self) -> Option<PollFd<'_>> {
        self.from.as_ref().map(|from| PollFd::new(from.as_fd(), PollFlags::POLLIN))
    }

    /// Reads what came, and draws it where it is time to.
    pub fn step(&mut self) {
        let Some(from) = &self.from else { return };
        let mut buffer = [0; 4096];
        let count = match nix::unistd::read(from, &mut buffer) {
            Ok(0) => 0,
            Ok(count) => count,
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            Err(_) => 0,
        };
        if count == 0 {
            self.from = None;
            return;
        }
        // Only the last one counts. A process that was taken over may send anything: numbers all the same.
        let Some(record) = buffer[..count].rchunks_exact(16).next() else { return };
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        let (done, total) = (number(&record[..8]), number(&record[8..]));
        let is_due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= PAUSE);
        if self.begun.elapsed() >= DRAW_AFTER && is_due {
            self.drawn = Some(Instant::now());
            self.is_shown = true;
            let line = line(done, total, self.begun.elapsed(), self.width);
            let _ = std::io::stderr().write_all(format!("\r{line}\x1b[K").as_bytes());
        }
    }

    /// Takes the line away, so that something else can be written there.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = std::io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// `34%  [======>             ]  120M of 350M  45M/s  00:05 left`; without a total what is known.
fn line(done: u64, total: u64, took: Duration, width: usize) -> String {
    let rate = (done as f64 / took.as_secs_f64().max(0.001)) as u64;
    let text = if total >= done && total > 0 {
        let part = done as f64 / total as f64;
        let filled = ((part * BAR as f64) as usize).min(BAR);
        let head = if filled < BAR { ">" } else { "" };
        let bar = format!("{}{head}", "=".repeat(filled));
        let left = (total - done).checked_div(rate).map_or("?".to_owned(), elapsed);
        let percent = (part * 100.0) as u64;
        let (done, total, rate) = (bytes(done), bytes(total), bytes(rate));
        format!("{percent:3}%  [{bar:BAR$}]  {done} of {total}  {rate}/s  {left} left")
    } else {
        format!("{}  {}/s", bytes(done), bytes(rate))
    };
    // The last column would wrap.
    text.chars().take(width.saturating_sub(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_known_in_the_columns_that_there_are() {
        let second = Duration::from_secs(1);
        let half = line(50 << 20, 100 << 20, second, 80);
        assert_eq!(half, " 50%  [==========>         ]  50M of 100M  50M/s  00:01 left");
        assert_eq!(line(50 << 20, 0, second, 80), "50M  50M/s");
        assert_eq!(line(7, 3, second, 80), "7  7/s");
        assert_eq!(line(0, 3, second, 80), "  0%  [>                   ]  0 of 3  0/s  ? left");
        assert_eq!(line(3, 3, second, 12), "100%  [====");
        let _ = line(u64::MAX, u64::MAX, Duration::ZERO, 0);
    }
}
