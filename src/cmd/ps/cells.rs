//! Cells as text, written into a buffer: there are seventy thousand of them for ten thousand processes.

use std::io::Write;

use super::collect::{Collector, Process};
use super::columns::Column;
use crate::out::name::escape;
use crate::out::units::{self, decimal as unsigned, month_name, utc};
use crate::sys::proc::System;

/// Writes one cell. No control character is written: a process is one line.
pub fn write(column: Column, process: &Process, all: &Collector, to: &mut Vec<u8>) {
    let (stat, system) = (&process.stat, &all.system);
    match column {
        Column::Pid => number(i64::from(process.pid), to),
        Column::Ppid => number(i64::from(stat.ppid), to),
        Column::Pgid => number(i64::from(stat.pgrp), to),
        Column::Sid => number(i64::from(stat.session), to),
        Column::Tid => number(i64::from(process.tid), to),
        Column::Threads => number(stat.num_threads, to),
        Column::User => user(process.uid, all, to),
        Column::RealUser => user(process.ruid, all, to),
        Column::Uid => number(i64::from(process.uid), to),
        Column::RealUid => number(i64::from(process.ruid), to),
        Column::Gid => number(i64::from(process.gid), to),
        Column::RealGid => number(i64::from(process.rgid), to),
        Column::Group => printable(all.users.group_name(process.gid).as_bytes(), to),
        Column::RealGroup => printable(all.users.group_name(process.rgid).as_bytes(), to),
        Column::Comm => {
            to.extend_from_slice(process.branch.as_bytes());
            printable(&stat.comm, to);
            if process.is_zombie() {
                to.extend_from_slice(b" <defunct>");
            }
        }
        Column::Args => {
            to.extend_from_slice(process.branch.as_bytes());
            let from = to.len();
            process.command(to);
            escape_from(from, to);
        }
        Column::Cpu => tenths(process.cpu_percent(system), to),
        Column::CpuWhole => number(process.cpu_percent(system).min(99.0) as i64, to),
        Column::Memory => tenths(process.mem_percent(system), to),
        Column::Rss => unsigned(process.rss / 1024, to),
        Column::Size => to.extend_from_slice(units::bytes(process.rss).as_bytes()),
        Column::Vsz => unsigned(stat.vsize / 1024, to),
        Column::Pages => unsigned(stat.vsize / system.page, to),
        Column::State => to.push(stat.state),
        Column::Marks => to.extend_from_slice(process.marks().as_bytes()),
        Column::Tty => to.extend_from_slice(process.tty().as_bytes()),
        Column::Time => time(process.ticks() / system.hz, to),
        Column::BsdTime => {
            let seconds = process.ticks() / system.hz;
            unsigned(seconds / 60, to);
            to.push(b':');
            two(seconds % 60, to);
        }
        Column::Seconds => unsigned(process.ticks() / system.hz, to),
        Column::Elapsed => to.extend_from_slice(units::elapsed(process.elapsed(system) as u64).as_bytes()),
        Column::ElapsedSeconds => unsigned(process.elapsed(system) as u64, to),
        Column::StartShort => start_short(process.started(system), system, to),
        Column::Start => start(process.started(system), system, to),
        Column::StartLong => start_long(process.started(system), to),
        Column::Nice if is_realtime(stat.policy) => to.push(b'-'),
        Column::Nice => number(stat.nice, to),
        Column::Priority => number(39 - stat.priority, to),
        Column::LongPriority => number(60 + stat.priority, to),
        Column::RealtimePriority if stat.rt_priority == 0 => to.push(b'-'),
        Column::RealtimePriority => unsigned(u64::from(stat.rt_priority), to),
        Column::Wchan if matches!(process.wchan.as_slice(), b"" | b"0") => to.push(b'-'),
        Column::Wchan => printable(&process.wchan, to),
        Column::Processor => number(i64::from(stat.processor), to),
        Column::Class => to.extend_from_slice(class(stat.policy).as_bytes()),
        Column::Flags => unsigned(u64::from(stat.flags >> 6 & 7), to),
        Column::Address => to.push(b'-'),
        Column::MinorFaults => unsigned(stat.minflt, to),
        Column::MajorFaults => unsigned(stat.majflt, to),
        Column::Exe => printable(process.exe.as_deref().unwrap_or(b"-"), to),
        Column::Cgroup => printable(&cgroup(&process.cgroup), to),
        Column::ForegroundGroup => number(i64::from(stat.tpgid), to),
        Column::Label if process.label.is_empty() => to.push(b'-'),
        Column::Label => printable(&process.label, to),
        Column::Namespace(at) => match process.namespaces.get(at) {
            None | Some(0) => to.push(b'-'),
            Some(inode) => unsigned(*inode, to),
        },
        Column::OomAdjustment => number(process.oom_adjustment, to),
        Column::OomScore => number(process.oom_score, to),
        Column::Proportional => unsigned(process.shares.proportional, to),
        Column::Unshared => unsigned(process.shares.unshared, to),
    }
}

/// The lines of `PID/cgroup` as one word, as procps has them.
fn cgroup(lines: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { b"-".to_vec() } else { lines.join(&b',') }
}

/// sched(7), as procps abbreviates it.
fn class(policy: u32) -> &'static str {
    match policy {
        0 => "TS",
        1 => "FF",
        2 => "RR",
        3 => "B",
        5 => "IDL",
        6 => "DLN",
        7 => "EXT",
        _ => "?",
    }
}

fn is_realtime(policy: u32) -> bool {
    matches!(policy, 1 | 2 | 6)
}

fn user(uid: u32, all: &Collector, to: &mut Vec<u8>) {
    match all.users.user(uid) {
        Some(user) => printable(user.name.as_bytes(), to),
        None => unsigned(u64::from(uid), to),
    }
}

/// Bytes as printable text.
fn printable(bytes: &[u8], to: &mut Vec<u8>) {
    let from = to.len();
    to.extend_from_slice(bytes);
    escape_from(from, to);
}

/// Escapes what was written from there on, where it holds more than plain ASCII.
fn escape_from(from: usize, to: &mut Vec<u8>) {
    let plain = |written: &[u8]| written.iter().all(|b| matches!(b, 0x20..=0x7e));
    if to.get(from..).is_some_and(|written| !plain(written)) {
        let written = to.split_off(from);
        to.extend_from_slice(escape(&written).as_bytes());
    }
}

fn number(value: i64, to: &mut Vec<u8>) {
    if value < 0 {
        to.push(b'-');
    }
    unsigned(value.unsigned_abs(), to);
}

fn two(value: u64, to: &mut Vec<u8>) {
    if value < 10 {
        to.push(b'0');
    }
    unsigned(value, to);
}

fn tenths(value: f64, to: &mut Vec<u8>) {
    // procps cuts, it does not round.
    let tenths = (value * 10.0) as u64;
    unsigned(tenths / 10, to);
    to.push(b'.');
    unsigned(tenths % 10, to);
}

/// `[DD-]HH:MM:SS`.
fn time(seconds: u64, to: &mut Vec<u8>) {
    if seconds >= 86_400 {
        unsigned(seconds / 86_400, to);
        to.push(b'-');
    }
    two(seconds / 3600 % 24, to);
    to.push(b':');
    two(seconds / 60 % 60, to);
    to.push(b':');
    two(seconds % 60, to);
}

/// `10:47` today, `Nov23` this year, else the year.
fn start_short(seconds: i64, system: &System, to: &mut Vec<u8>) {
    let (then, now) = (utc(seconds), utc(system.now));
    let _ = if (then.year, then.month, then.day) == (now.year, now.month, now.day) {
        write!(to, "{:02}:{:02}", then.hour, then.minute)
    } else if then.year == now.year {
        write!(to, "{}{:02}", month_name(then.month), then.day)
    } else {
        write!(to, "{:04}", then.year)
    };
}

/// `10:47:40` within a day, else `Nov 23`.
fn start(seconds: i64, system: &System, to: &mut Vec<u8>) {
    let then = utc(seconds);
    let _ = if system.now.saturating_sub(seconds) < 86_400 {
        write!(to, "{:02}:{:02}:{:02}", then.hour, then.minute, then.second)
    } else {
        write!(to, "{} {:02}", month_name(then.month), then.day)
    };
}

/// `Mon Nov 23 10:47:40 2026`.
fn start_long(seconds: i64, to: &mut Vec<u8>) {
    // 1 January 1970 was a Thursday.
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let day = DAYS.get(seconds.div_euclid(86_400).rem_euclid(7) as usize).unwrap_or(&"?");
    let then = utc(seconds);
    let _ = write!(
        to,
        "{day} {} {:2} {:02}:{:02}:{:02} {}",
        month_name(then.month),
        then.day,
        then.hour,
        then.minute,
        then.second,
        then.year
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut to = Vec::new();
        write(&mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn numbers_and_times_as_procps_writes_them() {
        assert_eq!(text(|to| number(i64::MIN, to)), "-9223372036854775808");
        assert_eq!(text(|to| unsigned(0, to)), "0");
        assert_eq!(text(|to| unsigned(u64::MAX, to)), "18446744073709551615");
        assert_eq!(text(|to| tenths(12.39, to)), "12.3");
        assert_eq!(text(|to| time(90_061, to)), "1-01:01:01");
        assert_eq!(text(|to| start_long(1_795_430_860, to)), "Mon Nov 23 10:47:40 2026");
        assert_eq!(text(|to| printable(b"a\nb\x1b", to)), "a\\nb\\x1b");
    }
}
