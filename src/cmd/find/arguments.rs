//! Arguments of predicates: numbers, sizes, times, permissions, types.

use std::cmp::Ordering;
use std::ffi::OsStr;

use super::expression::{Bits, Clock, Permissions};
use super::parse::Numeric;
use crate::cmd::grep::{Flavour, Syntax, put};
use crate::out::units;

/// What arguments ask of the container.
pub trait Lookup {
    /// What time it is.
    fn now(&self) -> (i64, u32);
    /// A file's time; `follow` goes through a link.
    ///
    /// # Errors
    /// A sentence, where it can't be had.
    fn time(&self, path: &OsStr, clock: Clock, follow: bool) -> Result<(i64, u32), String>;
    /// A file's device and inode.
    ///
    /// # Errors
    /// A sentence, where they can't be had.
    fn identity(&self, path: &OsStr, follow: bool) -> Result<((u32, u32), u64), String>;
    /// A user's id.
    ///
    /// # Errors
    /// A sentence, where there is none.
    fn user(&self, name: &str) -> Result<Numeric<u64>, String>;
    /// A group's id.
    ///
    /// # Errors
    /// A sentence, where there is none.
    fn group(&self, name: &str) -> Result<Numeric<u64>, String>;
}

fn signed(text: &str) -> (Ordering, &str) {
    match text.as_bytes().first() {
        Some(b'+') => (Ordering::Greater, &text[1..]),
        Some(b'-') => (Ordering::Less, &text[1..]),
        _ => (Ordering::Equal, text),
    }
}

/// `+N`, `-N` or `N`.
///
/// # Errors
/// An empty sentence where it is none.
pub fn number(text: &str) -> Result<Numeric<u64>, String> {
    let (sign, digits) = signed(text);
    let value = whole(digits).ok_or_else(String::new)?;
    Ok(Numeric { sign, value })
}

fn whole(digits: &str) -> Option<u64> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// As [`number`], also with a fraction.
///
/// # Errors
/// An empty sentence where it is none.
pub fn fraction(text: &str) -> Result<Numeric<f64>, String> {
    let (sign, digits) = signed(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(String::new());
    }
    let value = digits.parse().map_err(|_| String::new())?;
    Ok(Numeric { sign, value })
}

/// A depth.
///
/// # Errors
/// An empty sentence where it is none.
pub fn depth(text: &str) -> Result<usize, String> {
    let value = Some(text).filter(|text| !text.is_empty()).and_then(whole).ok_or_else(String::new)?;
    Ok(usize::try_from(value).unwrap_or(usize::MAX))
}

/// A number of units, and how many bytes the unit has.
///
/// # Errors
/// A sentence where it is none.
pub fn size(text: &str) -> Result<(Numeric<u64>, u64), String> {
    let letter = text.chars().next_back().filter(|last| !last.is_ascii_digit());
    let unit = match letter {
        None | Some('b') => 512,
        Some('c') => 1,
        Some('w') => 2,
        Some('k') => 1 << 10,
        Some('M') => 1 << 20,
        Some('G') => 1 << 30,
        Some(letter) => {
            return Err(format!(
                "invalid -size type '{}': c, w, b, k, M and G are known",
                super::parse::shown(letter.to_string().as_bytes())
            ));
        }
    };
    let digits = letter.map_or(text, |letter| text.strip_suffix(letter).unwrap_or(text));
    if signed(digits).1.is_empty() {
        return Err(String::new());
    }
    Ok((number(digits)?, unit))
}

/// Types by their letters, a bit for each `DT_*`.
///
/// # Errors
/// A sentence that names the one that is not known.
pub fn types(letters: &[u8]) -> Result<u32, String> {
    letters.split(|byte| *byte == b',').try_fold(0, |types, letter| {
        let kind = match letter {
            b"f" => libc::DT_REG,
            b"d" => libc::DT_DIR,
            b"l" => libc::DT_LNK,
            b"p" => libc::DT_FIFO,
            b"s" => libc::DT_SOCK,
            b"c" => libc::DT_CHR,
            b"b" => libc::DT_BLK,
            _ => {
                let letter = super::parse::shown(letter);
                return Err(format!("unknown type '{letter}': f, d, l, p, s, c and b are known"));
            }
        };
        Ok(types | 1 << kind)
    })
}

/// `644`, `-u+w`, `/222`.
///
/// # Errors
/// A sentence where it is no mode.
pub fn permissions(text: &str) -> Result<(Permissions, Bits), String> {
    let (how, mode) = match text.as_bytes().first() {
        Some(b'-') => (Permissions::All, &text[1..]),
        Some(b'/') => (Permissions::Any, &text[1..]),
        _ => (Permissions::Equal, text),
    };
    let bits = |of_directory: bool| {
        if mode.starts_with(|first: char| first.is_ascii_digit()) {
            u32::from_str_radix(mode, 8).ok().filter(|bits| *bits <= 0o7777)
        } else {
            mode.split(',').try_fold(0, |mode, clause| symbolic(mode, clause, of_directory))
        }
    };
    let both = bits(false).zip(bits(true));
    both.map(|(of_files, of_directories)| (how, Bits { of_files, of_directories }))
        .ok_or_else(|| format!("invalid mode '{}'", super::parse::shown(text.as_bytes())))
}

/// One clause of a symbolic mode, as in chmod(1), on top of `mode`.
fn symbolic(mut mode: u32, clause: &str, of_directory: bool) -> Option<u32> {
    let at = clause.find(['+', '-', '='])?;
    let (who, mut rest) = clause.split_at(at);
    let mut whose = 0;
    for letter in who.chars() {
        whose |= match letter {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    if who.is_empty() {
        whose = 0o7777;
    }
    while let Some(operator) = rest.chars().next() {
        let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |at| at + 1);
        let (letters, after) = (&rest[1..end], &rest[end..]);
        rest = after;
        let mut bits = 0;
        for letter in letters.chars() {
            bits |= match letter {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' => {
                    if of_directory || mode & 0o111 != 0 {
                        0o111
                    } else {
                        0
                    }
                }
                's' => 0o6000,
                't' => 0o1000,
                'u' => (mode >> 6 & 7) * 0o111,
                'g' => (mode >> 3 & 7) * 0o111,
                'o' => (mode & 7) * 0o111,
                _ => return None,
            };
        }
        match operator {
            '+' => mode |= bits & whose,
            '-' => mode &= !(bits & whose),
            '=' => mode = mode & !whose | bits & whose,
            _ => return None,
        }
    }
    Some(mode)
}

/// A time in UTC: `2026-01-31`, `2026-01-31 12:30[:05]`, with `T` and `Z` too, `@SECONDS`, `1 hour ago`, `yesterday`.
pub fn moment(text: &str, now: (i64, u32)) -> Option<(i64, u32)> {
    if let Some(seconds) = text.strip_prefix('@') {
        return seconds.parse().ok().map(|seconds| (seconds, 0));
    }
    if let Some(moment) = relative(text, now) {
        return Some(moment);
    }
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, "0:0"));
    let number = |text: &str| whole(text).filter(|_| !text.is_empty() && text.len() <= 4);
    let mut parts = date.split('-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let mut clock = time.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next().unwrap_or(Some(0))?);
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day) && parts.next().is_none();
    let is_time = hour < 24 && minute < 60 && second <= 60 && clock.next().is_none();
    if !is_date || !is_time {
        return None;
    }
    let days = days(year as i64, month as i64, day as i64);
    Some((days * 86_400 + (hour * 3600 + minute * 60 + second) as i64, 0))
}

/// Days since 1970, the inverse of `units::utc`, after Howard Hinnant's published algorithm. A day beyond the month's last
/// is one of the next month.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let year_of_era = year.rem_euclid(400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year.div_euclid(400) * 146_097 + day_of_era - 719_468
}

/// `now`, `yesterday`, `2 hours ago`, `-3 days`, `last week`.
fn relative(text: &str, now: (i64, u32)) -> Option<(i64, u32)> {
    let mut words = text.split_ascii_whitespace();
    let first = words.next()?;
    let sign = if text.trim_end().ends_with(" ago") { -1 } else { 1 };
    let (count, unit) = match first {
        "now" | "today" => (0, "day"),
        "yesterday" => (-1, "day"),
        "tomorrow" => (1, "day"),
        "last" => (-1, words.next()?),
        "next" => (1, words.next()?),
        "a" | "an" => (1, words.next()?),
        number => match number.parse::<i64>() {
            Ok(count) => (count, words.next()?),
            Err(_) => (1, number),
        },
    };
    match words.next() {
        None => {}
        Some("ago") if words.next().is_none() => {}
        Some(_) => return None,
    }
    let count = count.checked_mul(sign)?;
    let seconds = match unit.strip_suffix('s').unwrap_or(unit) {
        "sec" | "second" => 1,
        "min" | "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        "week" => 7 * 86_400,
        "fortnight" => 14 * 86_400,
        "month" => return months(count, now),
        "year" => return months(count.checked_mul(12)?, now),
        _ => return None,
    };
    Some((now.0.checked_add(count.checked_mul(seconds)?)?, now.1))
}

/// So many months from a time, at the same day and hour.
fn months(count: i64, now: (i64, u32)) -> Option<(i64, u32)> {
    let utc = units::utc(now.0);
    let month = utc.year.checked_mul(12)?.checked_add(i64::from(utc.month) - 1)?.checked_add(count)?;
    let days = days(month.div_euclid(12), month.rem_euclid(12) + 1, 1) + i64::from(utc.day) - 1;
    Some((days.checked_mul(86_400)?.checked_add(now.0.rem_euclid(86_400))?, now.1))
}

/// A known name of a syntax.
///
/// # Errors
/// A sentence with those that are known.
pub fn regex_type(name: &str) -> Result<String, String> {
    const KNOWN: [&str; 9] = [
        "emacs",
        "findutils-default",
        "posix-basic",
        "sed",
        "ed",
        "grep",
        "posix-extended",
        "egrep",
        "posix-egrep",
    ];
    if KNOWN.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "unknown regular expression type '{}': {}",
        super::parse::shown(name.as_bytes()),
        KNOWN.join(", ")
    ))
}

/// A regular expression that matches a whole path.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn regex(pattern: &[u8], kind: &str, ignore_case: bool) -> Result<Regex, String> {
    let syntax = match kind {
        "emacs" | "findutils-default" => Syntax::Emacs,
        "posix-extended" | "egrep" | "posix-egrep" => Syntax::Extended,
        _ => Syntax::Basic,
    };
    // No path has a NUL: so the pattern goes over newlines.
    let build = |unicode: bool| {
        let put = put(pattern, syntax, Flavour { unicode, end: 0, counts_groups: false })?;
        regex::bytes::RegexBuilder::new(&format!("^(?:{})$", put.text))
            .unicode(unicode)
            .case_insensitive(ignore_case)
            .multi_line(true)
            .line_terminator(0)
            .build()
            .map_err(|_| "the regular expression is too big".to_owned())
    };
    Ok(Regex { characters: build(true)?, bytes: build(false)? })
}

/// A regular expression for paths.
#[derive(Debug)]
pub struct Regex {
    characters: regex::bytes::Regex,
    /// For a path that is not UTF-8.
    bytes: regex::bytes::Regex,
}

impl Regex {
    /// Whether a path matches.
    pub fn is_match(&self, path: &[u8]) -> bool {
        let is_text = std::str::from_utf8(path).is_ok();
        if is_text { &self.characters } else { &self.bytes }.is_match(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_chmod() {
        for (text, how, mode) in [
            ("644", Permissions::Equal, 0o644),
            ("-222", Permissions::All, 0o222),
            ("/111", Permissions::Any, 0o111),
            ("u=rw,g=r", Permissions::Equal, 0o640),
            ("-u+w", Permissions::All, 0o200),
            ("/a+x", Permissions::Any, 0o111),
            ("+x", Permissions::Equal, 0o111),
            ("u=rwx,g=u-w", Permissions::Equal, 0o750),
            ("u+s", Permissions::Equal, 0o4000),
            ("-o+t", Permissions::All, 0o1000),
            ("-g=s", Permissions::All, 0o2000),
        ] {
            let bits = Bits { of_files: mode, of_directories: mode };
            assert_eq!(permissions(text), Ok((how, bits)), "{text}");
        }
        let bits = Bits { of_files: 0, of_directories: 0o100 };
        assert_eq!(permissions("-u+X"), Ok((Permissions::All, bits)));
        for text in ["9", "17777", "u", "z+w", "u+z", "-", ""] {
            assert!(permissions(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_and_times_are_read() {
        assert_eq!(size("+5k"), Ok((Numeric { sign: Ordering::Greater, value: 5 }, 1024)));
        assert_eq!(size("-1"), Ok((Numeric { sign: Ordering::Less, value: 1 }, 512)));
        assert!(size("1q").is_err_and(|why| why.contains("'q'")) && size("k").is_err() && size("").is_err());
        // 2000-03-31 00:00:10.
        let now = (954_460_810, 7);
        for (text, wanted) in [
            ("2000-03-01", (951_868_800, 0)),
            ("1970-01-01 00:01:02", (62, 0)),
            ("1969-12-31T23:59Z", (-60, 0)),
            ("@-5", (-5, 0)),
            ("now", now),
            ("yesterday", (now.0 - 86_400, 7)),
            ("1 hour ago", (now.0 - 3600, 7)),
            ("-2 days", (now.0 - 172_800, 7)),
            ("2 weeks ago", (now.0 - 14 * 86_400, 7)),
            ("hour ago", (now.0 - 3600, 7)),
            // There is no 31st of February 2000: it is the 2nd of March.
            ("1 month ago", (951_955_210, 7)),
            ("last year", (922_838_410, 7)),
        ] {
            assert_eq!(moment(text, now), Some(wanted), "{text}");
        }
        for text in ["soon", "1 parsec ago", "1 hour before", "2026-13-01", "2026-01-01 25:00", "2026", ""] {
            assert_eq!(moment(text, now), None, "{text}");
        }
        assert_eq!(types(b"f,d"), Ok(1 << libc::DT_REG | 1 << libc::DT_DIR));
        assert!(types(b"q").is_err() && types(b"f,").is_err() && number("").is_err() && number("x").is_err());
    }
}
