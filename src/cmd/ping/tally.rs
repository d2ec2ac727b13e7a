//! What was sent, what came back, and iputils' statistics of it.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Requests that are remembered: sequence numbers begin anew after as many.
const REMEMBERED: usize = 65_535;

/// A request.
struct Sent {
    at: Instant,
    is_answered: bool,
    is_told: bool,
}

/// What an answer is.
pub enum Heard {
    /// The first one, after so long.
    First(Duration),
    /// Another one.
    Again(Duration),
    /// One to nothing that is remembered.
    Foreign,
}

/// Counts.
#[derive(Default)]
pub struct Tally {
    sent: VecDeque<Sent>,
    /// How many were sent.
    pub transmitted: u64,
    /// How many were answered.
    pub received: u64,
    /// Answers beyond the first.
    pub duplicates: u64,
    /// Errors that came back.
    pub errors: u64,
    began: Option<Instant>,
    last: Option<Instant>,
    least: Duration,
    /// The longest that an answer took.
    pub most: Duration,
    sum: f64,
    squares: f64,
    /// The most that were under way at once.
    under_way: u64,
}

impl Tally {
    /// A request is sent now; its sequence number.
    pub fn send(&mut self, now: Instant) -> u16 {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { at: now, is_answered: false, is_told: false });
        self.transmitted += 1;
        self.began.get_or_insert(now);
        self.last = Some(now);
        self.transmitted as u16
    }

    /// How many requests ago a sequence number was used: 0 is the last one.
    fn ago(&self, sequence: u16) -> usize {
        usize::from((self.transmitted as u16).wrapping_sub(sequence))
    }

    fn of(&mut self, sequence: u16) -> Option<&mut Sent> {
        let at = self.sent.len().checked_sub(1 + self.ago(sequence))?;
        self.sent.get_mut(at)
    }

    fn acknowledge(&mut self, sequence: u16) {
        self.under_way = self.under_way.max(self.ago(sequence) as u64 + 1);
    }

    /// An answer came.
    pub fn hear(&mut self, sequence: u16, now: Instant) -> Heard {
        let Some(sent) = self.of(sequence) else { return Heard::Foreign };
        let took = now.saturating_duration_since(sent.at);
        if std::mem::replace(&mut sent.is_answered, true) {
            self.duplicates += 1;
            return Heard::Again(took);
        }
        sent.is_told = true;
        self.acknowledge(sequence);
        self.least = if self.received == 0 { took } else { self.least.min(took) };
        self.most = self.most.max(took);
        let micros = took.as_secs_f64() * 1e6;
        self.sum += micros;
        self.squares += micros * micros;
        self.received += 1;
        Heard::First(took)
    }

    /// An error came; whether it is about a request that is remembered.
    pub fn fail(&mut self, sequence: Option<u16>) -> bool {
        let Some(sequence) = sequence else {
            self.errors += 1;
            return true;
        };
        let Some(sent) = self.of(sequence) else { return false };
        sent.is_told = true;
        self.acknowledge(sequence);
        self.errors += 1;
        true
    }

    /// The next request that nothing was heard of in so long; each is told once.
    pub fn silent(&mut self, now: Instant, limit: Duration) -> Option<u16> {
        let length = self.sent.len();
        let late = |sent: &Sent| now.saturating_duration_since(sent.at) >= limit;
        let at = self.sent.iter().take_while(|sent| late(sent)).position(|sent| !sent.is_told)?;
        self.sent.get_mut(at)?.is_told = true;
        Some((self.transmitted as u16).wrapping_sub((length - 1 - at) as u16))
    }

    /// The lines at the end.
    pub fn statistics(&self, host: &str) -> String {
        let mut text = format!(
            "\n--- {host} ping statistics ---\n{} packets transmitted, {} received",
            self.transmitted, self.received
        );
        if self.duplicates > 0 {
            _ = write!(text, ", +{} duplicates", self.duplicates);
        }
        if self.errors > 0 {
            _ = write!(text, ", +{} errors", self.errors);
        }
        if self.transmitted > 0 {
            let lost =
                self.transmitted.saturating_sub(self.received) as f64 * 100.0 / self.transmitted as f64;
            let time = self.began.zip(self.last).map_or(Duration::ZERO, |(began, last)| last - began);
            _ = write!(text, ", {}% packet loss, time {}ms", short(lost), time.as_millis());
        }
        text.push('\n');
        let mut comma = "";
        if self.received > 0 {
            let count = self.received as f64;
            let average = self.sum / count;
            let deviation = (self.squares / count - average * average).max(0.0).sqrt();
            let [least, most] = [self.least, self.most].map(|time| time.as_secs_f64() * 1e6);
            let [least, average, most, deviation] =
                [least, average, most, deviation].map(|micros| format!("{:.3}", micros / 1000.0));
            _ = write!(text, "rtt min/avg/max/mdev = {least}/{average}/{most}/{deviation} ms");
            comma = ", ";
        }
        if self.under_way > 1 {
            _ = write!(text, "{comma}pipe {}", self.under_way);
        }
        text.push('\n');
        text
    }
}

/// A number with six digits at most, as C's %g writes those from 0 to 100.
fn short(number: f64) -> String {
    let whole = if number >= 100.0 {
        3
    } else if number >= 10.0 {
        2
    } else {
        1
    };
    let text = format!("{number:.0$}", 6 - whole);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A time in milliseconds as ping shows it: three digits that count.
pub fn milliseconds(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        100_000.. => format!("{}", micros / 1000),
        10_000.. => format!("{}.{:01}", micros / 1000, micros % 1000 / 100),
        1000.. => format!("{}.{:02}", micros / 1000, micros % 1000 / 10),
        _ => format!("{}.{:03}", micros / 1000, micros % 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_ping_writes_them() {
        for (number, text) in
            [(0.0, "0"), (100.0, "100"), (100.0 / 3.0, "33.3333"), (50.0, "50"), (1.5, "1.5")]
        {
            assert_eq!(short(number), text);
        }
        for (micros, text) in [(41, "0.041"), (1234, "1.23"), (12_345, "12.3"), (123_456, "123")] {
            assert_eq!(milliseconds(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn answers_are_told_from_duplicates_and_strangers() {
        let mut tally = Tally::default();
        let start = Instant::now();
        assert!(matches!(tally.hear(1, start), Heard::Foreign));
        assert_eq!((tally.send(start), tally.send(start)), (1, 2));
        assert!(matches!(tally.hear(1, start), Heard::First(_)));
        assert!(matches!(tally.hear(1, start), Heard::Again(_)));
        assert!(matches!(tally.hear(3, start), Heard::Foreign));
        assert!(!tally.fail(Some(9)));
        assert_eq!(tally.silent(start, Duration::ZERO), Some(2));
        assert_eq!(tally.silent(start, Duration::ZERO), None);
        assert!(tally.fail(Some(2)));
        let text = tally.statistics("web");
        assert!(
            text.contains(
                "2 packets transmitted, 1 received, +1 duplicates, +1 errors, 50% packet loss, time 0ms\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn sequence_numbers_begin_anew() {
        let mut tally = Tally::default();
        let now = Instant::now();
        for _ in 0..70_000 {
            tally.send(now);
        }
        assert_eq!(tally.sent.len(), REMEMBERED);
        assert!(matches!(tally.hear(70_000u32 as u16, now), Heard::First(_)));
        assert!(matches!(tally.hear(65_000, now), Heard::First(_)));
    }
}
