//! How far a copy is, told to the session, which draws it.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

/// Between two records.
const PAUSE: Duration = Duration::from_millis(100);

/// Counts bytes, and tells of them now and then: records of two numbers of 64 bits, those that were copied and all, 0
/// where that is not known.
pub struct Meter {
    to: Option<File>,
    told: Instant,
    done: u64,
    total: u64,
}

impl Meter {
    /// A meter that tells nobody where there is nobody.
    pub fn new(to: Option<File>) -> Self {
        Self { to, told: Instant::now(), done: 0, total: 0 }
    }

    /// How many bytes there will be.
    pub fn expect(&mut self, total: u64) {
        self.total = total;
    }

    /// More bytes.
    pub fn add(&mut self, count: u64) {
        self.done = self.done.saturating_add(count);
        let Some(to) = &mut self.to else { return };
        if self.told.elapsed() >= PAUSE {
            self.told = Instant::now();
            let record = [self.done.to_le_bytes(), self.total.to_le_bytes()].concat();
            // The pipe does not block: what nobody reads is left out.
            let _ = to.write(&record);
        }
    }
}
