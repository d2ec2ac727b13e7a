//! Which of a file's times is shown, and how.

use super::long::{number, pad};
use crate::out::{date, units};

/// One of a file's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Last read.
    Accessed,
    /// Content or facts changed.
    Changed,
    /// Content changed.
    Modified,
    /// Made.
    Born,
}

/// Seconds since 1970 and nanoseconds.
pub type Time = (i64, u32);

impl Clock {
    /// What it is asked for by.
    pub fn mask(self) -> u32 {
        match self {
            Self::Accessed => libc::STATX_ATIME,
            Self::Changed => libc::STATX_CTIME,
            Self::Modified => libc::STATX_MTIME,
            Self::Born => libc::STATX_BTIME,
        }
    }

    /// This time of a file; none where the file system does not keep it.
    pub fn of(self, facts: &libc::statx) -> Option<Time> {
        let time = match self {
            Self::Accessed => facts.stx_atime,
            Self::Changed => facts.stx_ctime,
            Self::Modified => facts.stx_mtime,
            Self::Born if facts.stx_mask & libc::STATX_BTIME == 0 => return None,
            Self::Born => facts.stx_btime,
        };
        Some((time.tv_sec, time.tv_nsec))
    }
}

/// How times are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Style {
    /// `2026-01-31 12:30:00.000000000 +0000`.
    FullIso,
    /// `2026-01-31 12:30`.
    LongIso,
    /// `01-31 12:30`, `2025-01-31 ` where that is not of the last six months.
    Iso,
    /// `Jan 31 12:30`, `Jan 31  2025`.
    Locale,
    /// Parts of date(1): for times of the last six months, and for others.
    Parts(Vec<u8>, Vec<u8>),
}

/// Reads the value of --time-style.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Style, String> {
    if let Some(format) = text.strip_prefix('+') {
        let (other, recent) = format.split_once('\n').unwrap_or((format, format));
        for format in [other, recent] {
            known(format.as_bytes())?;
        }
        return Ok(Style::Parts(recent.into(), other.into()));
    }
    // The locale is always POSIX's, in which others than locale are not used where `posix-` precedes them.
    match text {
        "full-iso" => Ok(Style::FullIso),
        "long-iso" => Ok(Style::LongIso),
        "iso" => Ok(Style::Iso),
        "locale" | "posix-full-iso" | "posix-long-iso" | "posix-iso" | "posix-locale" => Ok(Style::Locale),
        _ => Err("full-iso, long-iso, iso, locale or +FORMAT is wanted".into()),
    }
}

/// Refuses a format with a part that there is not.
fn known(format: &[u8]) -> Result<(), String> {
    let mut rest = format.iter();
    while rest.by_ref().any(|byte| *byte == b'%') {
        match rest.next() {
            Some(b'%' | b'N' | b'z') => {}
            Some(letter) if date::PARTS.contains(letter) && *letter != b'@' => {}
            Some(letter) => {
                return Err(format!("%{} is not part of a time", char::from(*letter).escape_default()));
            }
            None => return Err("% is not part of a time".into()),
        }
    }
    Ok(())
}

/// Half a mean year: what is older is shown otherwise.
const HALF_YEAR: i64 = 31_556_952 / 2;

/// Times one after the other, as a listing has them.
pub struct Times<'a> {
    style: &'a Style,
    now: Time,
    day: Day,
}

/// The date that was printed last: most files of a directory share theirs.
#[derive(Default)]
struct Day {
    number: Option<i64>,
    month: u8,
    day: u8,
    year: i64,
}

impl<'a> Times<'a> {
    /// Times of this style; `now` is what recent ones are told by.
    pub fn new(style: &'a Style, now: Time) -> Self {
        Self { style, now, day: Day::default() }
    }

    /// The columns that a time takes.
    pub fn width(&mut self) -> usize {
        let mut text = Vec::new();
        self.add(&mut text, (0, 0));
        text.len()
    }

    /// Adds a time.
    pub fn add(&mut self, to: &mut Vec<u8>, at: Time) {
        let number_of_day = at.0.div_euclid(86_400);
        if self.day.number != Some(number_of_day) {
            let utc = units::utc(at.0);
            self.day = Day { number: Some(number_of_day), month: utc.month, day: utc.day, year: utc.year };
        }
        let is_recent = (self.now.0.saturating_sub(HALF_YEAR), self.now.1) < at && at < self.now;
        match self.style {
            Style::Locale => {
                to.extend_from_slice(units::month_name(self.day.month).as_bytes());
                to.push(b' ');
                number(to, u64::from(self.day.day), 2);
                to.push(b' ');
                if is_recent { self.minutes(to, at.0) } else { self.year(to, 5) }
            }
            Style::Iso if is_recent => {
                self.date(to);
                to.push(b' ');
                self.minutes(to, at.0);
            }
            Style::Iso => {
                self.year(to, 0);
                to.push(b'-');
                self.date(to);
                to.push(b' ');
            }
            Style::LongIso | Style::FullIso => {
                self.year(to, 0);
                to.push(b'-');
                self.date(to);
                to.push(b' ');
                self.minutes(to, at.0);
                if *self.style == Style::FullIso {
                    let seconds = at.0.rem_euclid(60);
                    to.extend_from_slice(format!(":{seconds:02}.{:09} +0000", at.1).as_bytes());
                }
            }
            Style::Parts(recent, other) => parts(to, if is_recent { recent } else { other }, at),
        }
    }

    fn date(&self, to: &mut Vec<u8>) {
        two(to, i64::from(self.day.month));
        to.push(b'-');
        two(to, i64::from(self.day.day));
    }

    fn minutes(&self, to: &mut Vec<u8>, seconds: i64) {
        let minutes = seconds.rem_euclid(86_400) / 60;
        two(to, minutes / 60);
        to.push(b':');
        two(to, minutes % 60);
    }

    fn year(&self, to: &mut Vec<u8>, width: usize) {
        if self.day.year < 0 {
            let text = self.day.year.to_string();
            pad(to, width.saturating_sub(text.len()));
            to.extend_from_slice(text.as_bytes());
        } else {
            number(to, self.day.year.unsigned_abs(), width);
        }
    }
}

/// A time by a format that [`parse`] took.
fn parts(to: &mut Vec<u8>, format: &[u8], at: Time) {
    let mut rest = format.iter();
    while let Some(&byte) = rest.next() {
        match (byte, if byte == b'%' { rest.next() } else { None }) {
            (_, Some(b'%')) => to.push(b'%'),
            (_, Some(b'N')) => to.extend_from_slice(format!("{:09}", at.1).as_bytes()),
            (_, Some(b'z')) => to.extend_from_slice(b"+0000"),
            (_, Some(&letter)) => to.extend(date::part(at, letter, false)),
            (byte, None) => to.push(byte),
        }
    }
}

fn two(to: &mut Vec<u8>, number: i64) {
    to.extend_from_slice(&[b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_future_times_show_their_year() {
        let now = (1_795_000_000, 5);
        for (style, at, text) in [
            ("locale", (1_795_000_000, 4), "Nov 18 11:06"),
            ("locale", (1_795_000_000, 5), "Nov 18  2026"),
            ("locale", (1_795_000_000 - HALF_YEAR, 6), "May 19 20:12"),
            ("locale", (1_795_000_000 - HALF_YEAR, 5), "May 19  2026"),
            ("locale", (0, 0), "Jan  1  1970"),
            ("locale", (-1, 0), "Dec 31  1969"),
            ("iso", (1_795_000_000, 4), "11-18 11:06"),
            ("iso", (0, 0), "1970-01-01 "),
            ("long-iso", (-1, 0), "1969-12-31 23:59"),
            ("full-iso", (-1, 7), "1969-12-31 23:59:59.000000007 +0000"),
            ("+%F %T.%N|%%", (0, 7), "1970-01-01 00:00:00.000000007|%"),
            ("+%Y\n%H", (0, 7), "1970"),
            ("+%Y\n%H", (1_795_000_000, 4), "11"),
        ] {
            let (style, mut to) = (parse(style).unwrap(), Vec::new());
            Times::new(&style, now).add(&mut to, at);
            assert_eq!(String::from_utf8_lossy(&to), text);
        }
        for style in ["", "iso2", "+%", "+%Q"] {
            assert!(parse(style).is_err(), "{style}");
        }
    }
}
