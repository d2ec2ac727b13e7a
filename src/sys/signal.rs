//! Signals by number and name, signal(7). The numbers are those of x86_64 and aarch64, which are the same.

/// The names of signals 1 to 31.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "POLL", "PWR", "SYS",
];
/// The first real-time signal that programs may use: libc keeps 32 and 33 for itself.
const FIRST_REALTIME: i32 = 34;
/// The last signal.
const LAST: i32 = 64;

/// Signals 1 to 31 by name, in order.
pub fn standard() -> impl Iterator<Item = (i32, &'static str)> {
    (1..).zip(NAMES)
}

/// The name of a signal, without `SIG`; the number where it has none.
pub fn name(number: i32) -> String {
    let standard = usize::try_from(number - 1).ok().and_then(|at| NAMES.get(at));
    match standard {
        Some(name) => (*name).to_owned(),
        None if number == FIRST_REALTIME => "RTMIN".to_owned(),
        None if number == LAST => "RTMAX".to_owned(),
        None if (FIRST_REALTIME..LAST).contains(&number) => format!("RTMIN+{}", number - FIRST_REALTIME),
        None => number.to_string(),
    }
}

/// The number of a signal: `9`, `KILL`, `sigkill`, `RTMIN+1`; 0 is the test whether a process is there.
pub fn parse(text: &str) -> Option<i32> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().filter(|number| (0..=LAST).contains(number));
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset =
        |digits: &str| if digits.is_empty() { Some(0) } else { digits.get(1..)?.parse::<i32>().ok() };
    let realtime = |number: i32| Some(number).filter(|number| (FIRST_REALTIME..=LAST).contains(number));
    match name {
        "IOT" => return parse("ABRT"),
        "CLD" => return parse("CHLD"),
        "IO" => return parse("POLL"),
        _ => {}
    }
    if let Some(rest) = name.strip_prefix("RTMIN").filter(|rest| rest.is_empty() || rest.starts_with('+')) {
        return realtime(FIRST_REALTIME.checked_add(offset(rest)?)?);
    }
    if let Some(rest) = name.strip_prefix("RTMAX").filter(|rest| rest.is_empty() || rest.starts_with('-')) {
        return realtime(LAST.checked_sub(offset(rest)?)?);
    }
    standard().find(|(_, known)| *known == name).map(|(number, _)| number)
}

/// The bit of a signal in the masks of `/proc/PID/status`.
pub fn bit(number: i32) -> u64 {
    match number {
        1..=LAST => 1 << (number - 1),
        _ => 0,
    }
}

/// The names of a mask, in order.
pub fn names(mask: u64) -> Vec<String> {
    (1..=LAST).filter(|number| mask & bit(*number) != 0).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for number in 1..=LAST {
            assert_eq!(parse(&name(number)), Some(number), "{number}");
            assert_eq!(parse(&number.to_string()), Some(number));
        }
        for (text, number) in [
            ("SIGTERM", Some(15)),
            ("sigkill", Some(9)),
            ("hup", Some(1)),
            ("CLD", Some(17)),
            ("RTMAX-1", Some(63)),
            ("RTMIN+30", Some(64)),
            ("RTMIN+31", None),
            ("RTMAX-31", None),
            ("RTMIN+", None),
            ("RTMINx", None),
            ("0", Some(0)),
            ("65", None),
            ("SIG", None),
            ("", None),
            ("-1", None),
            ("99999999999", None),
        ] {
            assert_eq!(parse(text), number, "{text:?}");
        }
    }

    #[test]
    fn masks_are_taken_apart() {
        assert_eq!(names(0x4001), ["HUP", "TERM"]);
        assert_eq!(names(1 << 63 | 1 << 31), ["32", "RTMAX"]);
        assert_eq!((bit(0), bit(1), bit(65), bit(-1)), (0, 1, 0, 0));
    }
}
