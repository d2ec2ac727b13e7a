//! The page for people, by section.

use std::fmt::Write;

use super::facts::{Cpu, Facts, Io, Memory, Pids, Pressures};
use super::tree::owner;
use crate::out::name::escape;
use crate::out::units::bytes;
use crate::sys::cgroupfs::Pressure;

/// The whole page.
pub fn page(facts: &Facts) -> String {
    let mut page = Page(String::new());
    page.line("cgroup", &escape(facts.path.as_bytes()));
    page.line("version", facts.version);
    for of in facts.paths.iter().filter(|of| of.path != facts.path && !of.controllers.is_empty()) {
        page.line("also in", &format!("{} ({})", escape(of.path.as_bytes()), of.controllers.join(", ")));
    }
    if let Some(frozen) = facts.frozen {
        page.line("frozen", if frozen { "yes: its processes do not run" } else { "no" });
    }
    if let Some(cpu) = &facts.cpu {
        page.section(&title(facts, "cpu"));
        cpu_lines(&mut page, cpu);
    }
    if let Some(memory) = &facts.memory {
        page.section(&title(facts, "memory"));
        memory_lines(&mut page, memory);
    }
    if let Some(pids) = &facts.pids {
        page.section(&title(facts, "pids"));
        pids_lines(&mut page, pids);
    }
    if let Some(io) = facts.io.as_ref().filter(|io| !io.is_empty()) {
        page.section(&title(facts, "io"));
        io.iter().for_each(|io| io_line(&mut page, io));
    }
    if let Some(all) = &facts.pressure {
        page.section(&format!(
            "{}: percent of the time that processes waited, over 10s, 60s, 300s",
            title(facts, "pressure")
        ));
        pressure_lines(&mut page, all);
    }
    page.0
}

/// The title of a section, which says so where its numbers are those of the root cgroup.
fn title(facts: &Facts, section: &str) -> String {
    let has = |of: &&super::facts::Of| match section {
        "pressure" => of.version == 2,
        "io" => of.controllers.contains(&"io") || of.controllers.contains(&"blkio"),
        _ => of.controllers.contains(&section),
    };
    match facts.paths.iter().find(has) {
        Some(of) if of.path == "/" => format!("{section} (of the whole node: it is in the root cgroup)"),
        _ => section.to_owned(),
    }
}

struct Page(String);

impl Page {
    fn section(&mut self, name: &str) {
        // Writing to memory cannot fail.
        let _ = write!(self.0, "\n{name}\n");
    }

    fn line(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.0, "  {name:<13} {value}");
    }

    fn maybe(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.line(name, &value);
        }
    }
}

/// `0.25 cores (250m)`: the second as Kubernetes writes it.
fn cores(value: f64) -> String {
    let milli = (value * 1000.0).round();
    let word = if (value - 1.0).abs() < f64::EPSILON { "core" } else { "cores" };
    let plain = format!("{value:.2}");
    let plain = plain.trim_end_matches('0').trim_end_matches('.');
    if milli % 1000.0 == 0.0 { format!("{plain} {word}") } else { format!("{plain} {word} ({milli}m)") }
}

fn seconds(value: f64) -> String {
    match value {
        v if v >= 3600.0 => format!("{:.0}h{:02.0}m", (v / 3600.0).floor(), (v % 3600.0 / 60.0).floor()),
        v if v >= 100.0 => format!("{v:.0}s"),
        v => format!("{v:.2}s"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// `, set by the pod /kubepods/…` where one above sets it.
fn set_by(path: Option<&String>, is_above: bool) -> String {
    match path.filter(|_| is_above) {
        Some(path) => format!(", set by {} {}", escape(owner(path).as_bytes()), escape(path.as_bytes())),
        None => String::new(),
    }
}

fn cpu_lines(page: &mut Page, cpu: &Cpu) {
    if let Some(now) = cpu.cores {
        let of = cpu
            .limit
            .filter(|limit| *limit > 0.0)
            .map(|limit| format!(", {} of the limit", percent(now / limit)));
        page.line("use", &format!("{now:.2} cores now{}", of.unwrap_or_default()));
    }
    let limit = match cpu.limit {
        Some(limit) => cores(limit) + &set_by(cpu.limit_set_by.as_ref(), cpu.is_above),
        None => "none".to_owned(),
    };
    page.line("limit", &limit);
    if let (Some(quota), Some(period)) = (cpu.quota, cpu.period) {
        let name = if cpu.is_above { "own quota" } else { "quota" };
        page.line(name, &format!("{:.0}ms every {:.0}ms", quota * 1000.0, period * 1000.0));
    }
    if let (Some(periods), Some(throttled)) =
        (cpu.periods.filter(|periods| *periods > 0), cpu.throttled_periods)
    {
        let share = cpu.throttled_share.map(percent).unwrap_or_default();
        let time = cpu.throttled.map(|time| format!(", {} altogether", seconds(time))).unwrap_or_default();
        page.line("throttled", &format!("in {throttled} of {periods} periods ({share}){time}"));
    }
    page.maybe(
        "time",
        cpu.usage.map(|usage| {
            let parts = cpu.user.zip(cpu.system);
            let parts =
                parts.map(|(user, system)| format!(" ({} user, {} system)", seconds(user), seconds(system)));
            seconds(usage) + &parts.unwrap_or_default()
        }),
    );
    page.maybe("weight", cpu.weight.map(|weight| weight.to_string()));
    page.maybe("shares", cpu.shares.map(|shares| shares.to_string()));
    page.maybe("cpus", cpu.cpus.as_ref().map(|cpus| escape(cpus.as_bytes())));
}

fn memory_lines(page: &mut Page, memory: &Memory) {
    let of_limit = |value: u64| match memory.limit.filter(|limit| *limit > 0) {
        Some(limit) => format!("{}, {} of the limit", bytes(value), percent(value as f64 / limit as f64)),
        None => bytes(value),
    };
    page.maybe("use", memory.current.map(of_limit));
    page.maybe("working set", memory.working_set.map(of_limit));
    let limit = match memory.limit {
        Some(limit) => bytes(limit) + &set_by(memory.limit_set_by.as_ref(), memory.is_above),
        None => "none".to_owned(),
    };
    page.line("limit", &limit);
    page.maybe(
        "slowed above",
        memory.high.map(|high| bytes(high) + &set_by(memory.high_set_by.as_ref(), memory.is_high_above)),
    );
    page.maybe("peak", memory.peak.map(bytes));
    let parts = [
        ("anon", memory.anon),
        ("file", memory.file),
        ("kernel", memory.kernel),
        ("sock", memory.sock),
        ("shmem", memory.shmem),
        ("swap", memory.swap),
    ];
    for (name, value) in parts {
        page.maybe(name, value.map(bytes));
    }
    page.maybe("swap limit", memory.swap_limit.map(bytes));
    page.maybe("oom kills", memory.oom_kills.map(|count| count.to_string()));
    page.maybe("oom events", memory.oom_events.map(|count| count.to_string()));
    page.maybe("limit reached", memory.limit_events.map(times));
    page.maybe("slowed", memory.high_events.filter(|count| *count > 0).map(times));
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn pids_lines(page: &mut Page, pids: &Pids) {
    page.maybe("use", pids.current.map(|current| current.to_string()));
    let limit = match pids.limit {
        Some(limit) => limit.to_string() + &set_by(pids.limit_set_by.as_ref(), pids.is_above),
        None => "none".to_owned(),
    };
    page.line("limit", &limit);
    page.maybe("peak", pids.peak.map(|peak| peak.to_string()));
    page.maybe("limit reached", pids.limit_events.map(times));
}

fn io_line(page: &mut Page, io: &Io) {
    let name = io.name.as_ref().map_or_else(|| io.device.clone(), |name| escape(name.as_bytes()));
    page.line(
        &name,
        &format!(
            "read {} in {}, written {} in {}",
            bytes(io.read_bytes),
            io.reads,
            bytes(io.write_bytes),
            io.writes
        ),
    );
}

fn pressure_lines(page: &mut Page, all: &Pressures) {
    let mut add = |name: &str, pressure: Option<Pressure>| {
        let Some(pressure) = pressure else { return };
        for (kind, stall) in [("some", pressure.some), ("full", pressure.full)] {
            if let Some(stall) = stall {
                let text = format!("{:>6.2} {:>6.2} {:>6.2}", stall.avg10, stall.avg60, stall.avg300);
                page.line(&format!("{name} {kind}"), &text);
            }
        }
    };
    add("cpu", all.cpu);
    add("memory", all.memory);
    add("io", all.io);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_as_people_and_kubernetes_write_them() {
        for (value, text) in [
            (0.25, "0.25 cores (250m)"),
            (1.0, "1 core"),
            (2.0, "2 cores"),
            (1.5, "1.5 cores (1500m)"),
            (0.001, "0 cores (1m)"),
        ] {
            assert_eq!(cores(value), text);
        }
        assert_eq!((seconds(1.234).as_str(), seconds(7260.0).as_str()), ("1.23s", "2h01m"));
    }
}
