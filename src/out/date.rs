//! The parts of a time as strftime(3) has them, in UTC and English.

use super::units;

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Parts that are known.
pub const PARTS: &[u8] = b"@HIklMprSTXZaAbBcdDehjmUwWxyY+sFRnC";

/// One part of a time, in UTC. `fraction`: seconds have theirs, as find prints it.
pub fn part((seconds, nanos): (i64, u32), letter: u8, fraction: bool) -> Vec<u8> {
    let t = units::utc(seconds);
    let fraction = if fraction { format!(".{nanos:09}0") } else { String::new() };
    let weekday = (seconds.div_euclid(86_400) + 4).rem_euclid(7) as usize;
    let day_of_year = {
        let days = |year: i64| (year - 1) * 365 + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
        seconds.div_euclid(86_400) - (days(t.year) - days(1970)) + 1
    };
    let month = MONTHS[usize::from(t.month.clamp(1, 12)) - 1];
    let hour12 = (t.hour + 11) % 12 + 1;
    let half = if t.hour < 12 { "AM" } else { "PM" };
    let clock = format!("{:02}:{:02}:{:02}{fraction}", t.hour, t.minute, t.second);
    let slashes = format!("{:02}/{:02}/{:02}", t.month, t.day, t.year.rem_euclid(100));
    let plain_clock = format!("{:02}:{:02}:{:02}", t.hour, t.minute, t.second);
    let local =
        |clock: String| format!("{} {} {:>2} {clock} {}", &DAYS[weekday][..3], &month[..3], t.day, t.year);
    let text = match letter {
        b'@' => format!("{seconds}{fraction}"),
        b's' => seconds.to_string(),
        b'H' => format!("{:02}", t.hour),
        b'I' => format!("{hour12:02}"),
        b'k' => format!("{:>2}", t.hour),
        b'l' => format!("{hour12:>2}"),
        b'M' => format!("{:02}", t.minute),
        b'p' => half.to_owned(),
        b'r' => format!("{hour12:02}:{:02}:{:02} {half}", t.minute, t.second),
        b'R' => format!("{:02}:{:02}", t.hour, t.minute),
        b'S' => format!("{:02}{fraction}", t.second),
        b'T' | b'X' => clock,
        b'Z' => "UTC".to_owned(),
        b'a' => DAYS[weekday][..3].to_owned(),
        b'A' => DAYS[weekday].to_owned(),
        b'b' | b'h' => month[..3].to_owned(),
        b'B' => month.to_owned(),
        b'c' => local(plain_clock),
        b't' => local(clock),
        b'e' => format!("{:>2}", t.day),
        b'C' => format!("{:02}", t.year.div_euclid(100)),
        b'd' => format!("{:02}", t.day),
        b'D' | b'x' => slashes,
        b'F' => format!("{}-{:02}-{:02}", t.year, t.month, t.day),
        b'j' => format!("{day_of_year:03}"),
        b'm' => format!("{:02}", t.month),
        b'n' => "\n".to_owned(),
        b'U' => format!("{:02}", (day_of_year + 6 - weekday as i64) / 7),
        b'w' => weekday.to_string(),
        b'W' => format!("{:02}", (day_of_year + 6 - (weekday as i64 + 6) % 7) / 7),
        b'y' => format!("{:02}", t.year.rem_euclid(100)),
        b'Y' => t.year.to_string(),
        _ => format!("{}-{:02}-{:02}+{clock}", t.year, t.month, t.day),
    };
    text.into_bytes()
}
