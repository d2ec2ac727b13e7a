//! `/proc/PID/limits`, and how much of each is used.

use crate::sys::proc::Status;

/// A resource limit. Null is unlimited, or of `used` not known.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Limit {
    pub name: String,
    pub unit: String,
    pub used: Option<u64>,
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

/// What is used and is in no status file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    pub open_files: Option<u64>,
    pub processes: Option<u64>,
}

/// Takes the file apart. Names hold spaces, so the values are found from the columns that the kernel pads to:
/// `%-25s %-20s %-20s %-10s`.
pub fn parse(file: &[u8], status: &Status, used: Used) -> Vec<Limit> {
    let text = String::from_utf8_lossy(file);
    text.lines().skip(1).filter_map(|line| limit(line, status, used)).collect()
}

fn limit(line: &str, status: &Status, used: Used) -> Option<Limit> {
    let (name, rest) = line.split_at_checked(25)?;
    let name = name.trim();
    let name = name.strip_prefix("Max ").unwrap_or(name).to_owned();
    let mut words = rest.split_ascii_whitespace();
    let (soft, hard) = (words.next()?, words.next()?);
    let value = |word: &str| if word == "unlimited" { Some(None) } else { word.parse().ok().map(Some) };
    let used = match name.as_str() {
        "open files" => used.open_files,
        "processes" => used.processes,
        "address space" => status.bytes("VmSize"),
        "data size" => status.bytes("VmData"),
        "stack size" => status.bytes("VmStk"),
        "resident set" => status.bytes("VmRSS"),
        "locked memory" => status.bytes("VmLck"),
        "pending signals" => status.field("SigQ").and_then(|text| text.split('/').next()?.parse().ok()),
        _ => None,
    };
    let unit = words.next().unwrap_or_default().to_owned();
    Some(Limit { name, unit, used, soft: value(soft)?, hard: value(hard)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_with_their_use() {
        let file = b"Limit                     Soft Limit           Hard Limit           Units     \n\
            Max cpu time              unlimited            unlimited            seconds   \n\
            Max open files            1024                 20000                files     \n\
            Max address space         unlimited            unlimited            bytes     \n\
            Max nice priority         0                    0                    \n\
            broken\n";
        let status = Status::new(b"Name:\tx\nVmSize:\t4 kB\nSigQ:\t3/96365\n".to_vec());
        let all = parse(file, &status, Used { open_files: Some(7), processes: None });
        let limit = |name: &str, unit: &str, used, soft, hard| Limit {
            name: name.into(),
            unit: unit.into(),
            used,
            soft,
            hard,
        };
        assert_eq!(
            all,
            [
                limit("cpu time", "seconds", None, None, None),
                limit("open files", "files", Some(7), Some(1024), Some(20_000)),
                limit("address space", "bytes", Some(4096), None, None),
                limit("nice priority", "", None, Some(0), Some(0)),
            ]
        );
        for end in 0..file.len() {
            let _ = parse(&file[..end], &status, Used::default());
        }
    }
}
