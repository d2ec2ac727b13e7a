//! `/proc/PID/stat`, proc_pid_stat(5).
//!
//! Parsed by hand, not by procfs-core, since this is the hot path of `ps`: its 52 fields as owned strings and numbers
//! cost more than reading the file, and a name there is no bytes but a string.

/// What `ps` shows of it. Times are in clock ticks, `rss` in pages, `vsize` in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the man page's")]
pub struct Stat {
    pub pid: i32,
    pub comm: Vec<u8>,
    pub state: u8,
    pub ppid: i32,
    pub pgrp: i32,
    pub session: i32,
    pub tty_nr: i32,
    pub tpgid: i32,
    pub flags: u32,
    pub minflt: u64,
    pub majflt: u64,
    pub utime: u64,
    pub stime: u64,
    pub priority: i64,
    pub nice: i64,
    pub num_threads: i64,
    pub starttime: u64,
    pub vsize: u64,
    pub rss: u64,
    pub processor: i32,
    pub rt_priority: u32,
    pub policy: u32,
}

/// A kernel thread, of `flags` (linux/sched.h).
pub const PF_KTHREAD: u32 = 0x0020_0000;

impl Stat {
    /// Parses the file. The name ends at the last `)`: it may itself hold any byte, `) (` and newlines included.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let open = bytes.iter().position(|b| *b == b'(')?;
        let close = bytes.iter().rposition(|b| *b == b')')?;
        let mut stat = Self {
            pid: i32::try_from(number(bytes.get(..open)?.trim_ascii())?).ok()?,
            comm: bytes.get(open + 1..close)?.to_vec(),
            ..Self::default()
        };
        let mut fields = bytes.get(close + 1..)?.trim_ascii().split(|b| *b == b' ');
        stat.state = *fields.next()?.first()?;
        // Fields are numbered as in the man page, where the state is the third.
        for (at, field) in (4..).zip(fields) {
            let value = || number(field);
            match at {
                4 => stat.ppid = value()? as i32,
                5 => stat.pgrp = value()? as i32,
                6 => stat.session = value()? as i32,
                7 => stat.tty_nr = value()? as i32,
                8 => stat.tpgid = value()? as i32,
                9 => stat.flags = value()? as u32,
                10 => stat.minflt = value()? as u64,
                12 => stat.majflt = value()? as u64,
                14 => stat.utime = value()? as u64,
                15 => stat.stime = value()? as u64,
                18 => stat.priority = value()?,
                19 => stat.nice = value()?,
                20 => stat.num_threads = value()?,
                22 => stat.starttime = value()? as u64,
                23 => stat.vsize = value()? as u64,
                24 => stat.rss = value()? as u64,
                39 => stat.processor = value()? as i32,
                40 => stat.rt_priority = value()? as u32,
                41 => {
                    stat.policy = value()? as u32;
                    return Some(stat);
                }
                _ => {}
            }
        }
        None
    }

    /// Whether it is a kernel thread.
    pub fn is_kernel(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }
}

/// A decimal number with an optional sign; wraps beyond 64 bits, which the kernel does not write.
fn number(digits: &[u8]) -> Option<i64> {
    let (negative, digits) = match digits.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use procfs_core::FromRead;

    use super::*;

    const TAIL: &[u8] = b" S 1 7 7 34817 9 4194560 100 0 3 0 12 34 0 0 20 -5 3 0 987 4096000 250 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 2 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn a_name_may_hold_anything() {
        for name in [&b"plain"[..], b") (", b"a b", b"x\ny", b"\xff\xfe", b"(", b"", b") R 1 1 1"] {
            let line = [b"7 (", name, b")", TAIL].concat();
            let stat = Stat::parse(&line).unwrap();
            assert_eq!((stat.comm.as_slice(), stat.pid, stat.state, stat.ppid), (name, 7, b'S', 1));
            assert_eq!((stat.tty_nr, stat.tpgid, stat.nice, stat.num_threads), (34_817, 9, -5, 3));
            assert_eq!((stat.utime, stat.stime, stat.starttime), (12, 34, 987));
            assert_eq!((stat.vsize, stat.rss, stat.processor, stat.policy), (4_096_000, 250, 1, 2));
        }
    }

    #[test]
    fn truncated_at_any_length_is_none_or_a_record() {
        let line = [b"7 (a) (b)", TAIL].concat();
        for end in 0..line.len() {
            let _ = Stat::parse(&line[..end]);
        }
        assert_eq!(Stat::parse(b"7 (x) S 1 2 x"), None);
    }

    #[test]
    fn agrees_with_procfs_core() {
        let line = [b"7 (name)", TAIL].concat();
        let (ours, theirs) =
            (Stat::parse(&line).unwrap(), procfs_core::process::Stat::from_read(line.as_slice()).unwrap());
        assert_eq!(
            (ours.ppid, ours.pgrp, ours.session, ours.tty_nr, ours.tpgid, ours.flags),
            (theirs.ppid, theirs.pgrp, theirs.session, theirs.tty_nr, theirs.tpgid, theirs.flags)
        );
        assert_eq!(
            (ours.utime, ours.stime, ours.starttime, ours.vsize, ours.rss, ours.minflt, ours.majflt),
            (
                theirs.utime,
                theirs.stime,
                theirs.starttime,
                theirs.vsize,
                theirs.rss,
                theirs.minflt,
                theirs.majflt
            )
        );
        assert_eq!((Some(ours.processor), Some(ours.policy)), (theirs.processor, theirs.policy));
    }
}
