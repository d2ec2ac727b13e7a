//! `timezone-data`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::out::Name;

pub const CHECK: Check = Check {
    id: "timezone-data",
    group: Group::Image,
    question: "Does the time zone in TZ or /etc/localtime exist?",
    is_slow: false,
    run: Run::Inside(run),
};

/// Where libcs and Go look.
const DIRECTORIES: [&str; 4] =
    ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];
/// Names of UTC.
const UTC: [&[u8]; 6] = [b"", b"UTC", b"GMT", b"Etc/UTC", b"Etc/GMT", b"Zulu"];
const FIX: &str =
    "put /usr/share/zoneinfo into the image (Debian's package tzdata), or leave TZ out and take UTC";

fn run(container: &Container) -> Vec<Found> {
    let Some(zone) = container.var("TZ") else { return localtime() };
    let name = zone.as_bytes().strip_prefix(b":").unwrap_or(zone.as_bytes());
    // A zone that is spelled out needs no file, tzset(3): CET-1CEST, <+03>-3, UTC0. What is not found is UTC.
    if UTC.contains(&name) || is_spelled_out(name) {
        return vec![Found::ok("TZ needs no file").seen(format!("TZ={}", zone.to_string_lossy()))];
    }
    let name = Path::new(OsStr::from_bytes(name));
    let directories =
        container.var("TZDIR").map(PathBuf::from).into_iter().chain(DIRECTORIES.map(PathBuf::from));
    // Of a name that begins with / joining makes that name.
    let looked: Vec<PathBuf> = directories.map(|directory| directory.join(name)).collect();
    if let Some(path) = looked.iter().find(|path| std::fs::metadata(path).is_ok_and(|facts| facts.is_file()))
    {
        return vec![Found::ok("it is there").about(path)];
    }
    vec![
        Found::warn("TZ names a time zone that is not there: programs that bring none of their own (as Java and Node do) take UTC, without a word")
            .about(format!("TZ={}", Name::from(zone).spelled()))
            .seen(format!(
                "looked at {}",
                looked.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join(", ")
            ))
            .fix(FIX),
    ]
}

/// Without TZ, libcs read this; where it is not there, they take UTC.
fn localtime() -> Vec<Found> {
    let path = Path::new("/etc/localtime");
    match (std::fs::read_link(path), std::fs::metadata(path)) {
        (Ok(target), Err(_)) => vec![
            Found::warn("it leads to a time zone that is not there: times are UTC, without a word")
                .about(path)
                .seen(format!("it leads to {}", target.display()))
                .fix(FIX),
        ],
        _ => vec![Found::ok("TZ is not set")],
    }
}

/// POSIX: a name of three letters or more, or any in <>, and then a time.
fn is_spelled_out(zone: &[u8]) -> bool {
    let rest = match zone.strip_prefix(b"<") {
        Some(quoted) => quoted.iter().position(|byte| *byte == b'>').and_then(|end| quoted.get(end + 1..)),
        None => {
            let letters = zone.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
            if letters >= 3 { zone.get(letters..) } else { None }
        }
    };
    let digits = rest.map(|rest| rest.strip_prefix(b"-").or_else(|| rest.strip_prefix(b"+")).unwrap_or(rest));
    digits.is_some_and(|digits| digits.first().is_some_and(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_that_are_spelled_out_need_no_file() {
        for zone in ["CET-1CEST", "EST5EDT,M3.2.0,M11.1.0", "<+03>-3", "UTC0", "XXX+2"] {
            assert!(is_spelled_out(zone.as_bytes()), "{zone}");
        }
        for zone in ["Europe/Berlin", "UTC", "Etc/GMT+2", "<x", "AB-1", ""] {
            assert!(!is_spelled_out(zone.as_bytes()), "{zone}");
        }
    }
}
