//! `free`.

use std::path::Path;
use std::time::Duration;

use super::{Command, Context, Example, Fault, Needs, Place, Result, Status};
use crate::out::field::{field, more};
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};
use crate::target::host::Host;

/// Show memory: the node's, and what the container may use of it.
///
/// Mem and Swap are the node's, as procps counts. Cgroup is the container's: its limit (or that of a cgroup above it
/// which is lower) and what it uses; where there is no limit its total is `-`. The container's own /proc is not asked.
/// Numbers are KiB unless a unit is asked for.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Free {
    /// Bytes
    #[arg(short = 'b', long = "bytes", overrides_with_all = ["kibi", "mebi", "gibi", "human"])]
    bytes: bool,
    /// KiB; that is the default
    #[arg(short = 'k', long = "kibi", overrides_with_all = ["bytes", "mebi", "gibi", "human"])]
    kibi: bool,
    /// MiB
    #[arg(short = 'm', long = "mebi", overrides_with_all = ["bytes", "kibi", "gibi", "human"])]
    mebi: bool,
    /// GiB
    #[arg(short = 'g', long = "gibi", overrides_with_all = ["bytes", "kibi", "mebi", "human"])]
    gibi: bool,
    /// Units for people
    #[arg(short = 'h', long = "human", overrides_with_all = ["bytes", "kibi", "mebi", "gibi"])]
    human: bool,
    /// Units of 1000, not 1024
    #[arg(long = "si")]
    si: bool,
    /// Add a line with the sum of memory and swap
    #[arg(short = 't', long = "total")]
    total: bool,
    /// Add lines for memory below and above what a 32-bit kernel reaches directly
    #[arg(short = 'l', long = "lohi")]
    lohi: bool,
    /// Print again after so many seconds, until Ctrl-C or -c ends it
    #[arg(short = 's', long = "seconds", value_name = "SECONDS", value_parser = super::net::seconds)]
    seconds: Option<Duration>,
    /// Print so many times, a second apart unless -s says otherwise
    #[arg(short = 'c', long = "count", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Wide: buffers and cache in columns of their own
    #[arg(short = 'w', long = "wide")]
    wide: bool,
}

/// The container's line.
const CGROUP: &str = "Cgroup";

/// One line, in bytes. Null is not known, or has no meaning.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
struct Line {
    what: &'static str,
    total: Option<u64>,
    used: Option<u64>,
    free: Option<u64>,
    shared: Option<u64>,
    buffers: Option<u64>,
    cache: Option<u64>,
    available: Option<u64>,
}

impl Command for Free {
    type Row = NoRow;
    const PLACE: Place = Place::Watch;
    const NEEDS: Needs = Needs { host: true, ..Needs::NONE };
    const REPLACES: &'static str = "procps free";
    const FIELDS: &'static [Field] = &[
        field("what", Kind::Text, "Mem, Low, High, Swap and Total are the node's, Cgroup the container's"),
        field("total", Kind::Bytes, "all there is; of Cgroup its limit, null without one"),
        field("used", Kind::Bytes, "what is used"),
        field("free", Kind::Bytes, "what is not used for anything"),
        field("shared", Kind::Bytes, "what is in tmpfs and shared memory"),
        more("buffers", Kind::Bytes, "buffers of block devices"),
        field("cache", Kind::Bytes, "files in memory"),
        field("available", Kind::Bytes, "what programs can get without swapping"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "free -h", what: "in units for people" },
        Example { line: "free --json", what: "bytes, one object a line" },
    ];

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let times = self.count.unwrap_or(if self.seconds.is_some() { u64::MAX } else { 1 });
        for at in 0..times {
            if at > 0 {
                if !out.is_json() {
                    out.bytes().write_all(b"\n").map_err(Fault::output)?;
                }
                out.bytes().flush().map_err(Fault::output)?;
                std::thread::sleep(self.seconds.unwrap_or(Duration::from_secs(1)));
            }
            if !self.print(cx, out)? && at == 0 {
                cx.note("no cgroup of the container counts its memory: the numbers are the node's");
            }
        }
        Ok(Status::OK)
    }
}

impl Free {
    /// Prints the lines; whether the container has one.
    fn print(&self, cx: &Context, out: &mut Output<NoRow>) -> Result<bool> {
        let Some(watch) = &cx.watch else {
            return Err(Fault::say("the node's memory is not open to this command"));
        };
        let file = watch.procfs().file(c"meminfo").map_err(|e| Fault::errno("read", "/proc/meminfo", e))?;
        let (memory, swap) = node(&file)
            .ok_or_else(|| Fault::text("read", "/proc/meminfo", "it is not as the kernel writes it"))?;
        let cgroups = watch.procfs().reader().read_all(watch.target, "cgroup", 64 * 1024).unwrap_or_default();
        let container = container(&String::from_utf8_lossy(&cgroups), memory.total, cx.host()?);
        let mut lines = vec![memory, swap];
        if self.total {
            lines.push(sum(&lines));
        }
        if self.lohi {
            let both = low_and_high(&lines[0]);
            lines.splice(1..1, both);
        }
        let has_container = container.is_some();
        lines.extend(container);
        if out.is_json() {
            for line in &lines {
                out.json(line).map_err(Fault::output)?;
            }
        } else {
            out.bytes().write_all(self.table(&lines).as_bytes()).map_err(Fault::output)?;
        }
        Ok(has_container)
    }

    /// procps' layout.
    fn table(&self, lines: &[Line]) -> String {
        let caches: &[&str] = if self.wide { &["buffers", "cache"] } else { &["buff/cache"] };
        let mut text = format!("{:9}", "");
        for header in ["total", "used", "free", "shared"].iter().chain(caches).chain(&["available"]) {
            text.push_str(&format!("{header:>11} "));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        for line in lines {
            let mut cells = vec![line.total, line.used, line.free, line.shared];
            if self.wide {
                cells.extend([line.buffers, line.cache]);
            } else {
                cells.push(line.cache.map(|cache| cache + line.buffers.unwrap_or(0)));
            }
            cells.push(line.available);
            let mut row = format!("{:<9}", format!("{}:", line.what));
            // procps leaves what has no meaning empty; what is not limited is told.
            let none = if line.what == CGROUP { "-" } else { "" };
            for cell in cells {
                row.push_str(&format!(
                    "{:>11} ",
                    cell.map_or_else(|| none.to_owned(), |bytes| self.shown(bytes))
                ));
            }
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }

    fn shown(&self, bytes: u64) -> String {
        let base: u64 = if self.si { 1000 } else { 1024 };
        match () {
            () if self.human => human(bytes, base),
            () if self.bytes => bytes.to_string(),
            () if self.mebi => (bytes / base.pow(2)).to_string(),
            () if self.gibi => (bytes / base.pow(3)).to_string(),
            () => (bytes / base).to_string(),
        }
    }
}

/// As procps' -h: at most three digits and the unit, cut and not rounded, but for one decimal.
fn human(bytes: u64, base: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes}B");
    }
    let suffix = if base == 1024 { "i" } else { "" };
    let mut scale = 1.0;
    for unit in ['K', 'M', 'G', 'T', 'P', 'E'] {
        scale *= base as f64;
        let value = bytes as f64 / scale;
        let decimal = format!("{value:.1}");
        if decimal.len() <= 3 {
            return format!("{decimal}{unit}{suffix}");
        }
        if value < 1000.0 {
            return format!("{}{unit}{suffix}", value as u64);
        }
    }
    bytes.to_string()
}

fn sum(lines: &[Line]) -> Line {
    let add = |value: fn(&Line) -> Option<u64>| Some(lines.iter().filter_map(value).sum());
    Line {
        what: "Total",
        total: add(|line| line.total),
        used: add(|line| line.used),
        free: add(|line| line.free),
        ..Line::default()
    }
}

/// What a 32-bit kernel reaches directly, and the rest: a 64-bit kernel reaches all.
fn low_and_high(memory: &Line) -> [Line; 2] {
    let used = memory.total.zip(memory.free).map(|(total, free)| total.saturating_sub(free));
    let low = Line { what: "Low", total: memory.total, used, free: memory.free, ..Line::default() };
    [low, Line { what: "High", total: Some(0), used: Some(0), free: Some(0), ..Line::default() }]
}

/// Memory and swap out of proc_meminfo(5), counted as procps 4 does.
fn node(file: &[u8]) -> Option<(Line, Line)> {
    let text = String::from_utf8_lossy(file);
    let value = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    let (total, free) = (value("MemTotal")?, value("MemFree")?);
    // A kernel of a container may not tell it.
    let available = value("MemAvailable").unwrap_or(free).min(total);
    let memory = Line {
        what: "Mem",
        total: Some(total),
        used: Some(total - available),
        free: Some(free),
        shared: value("Shmem"),
        buffers: value("Buffers"),
        cache: Some(value("Cached")?.saturating_add(value("SReclaimable").unwrap_or(0))),
        available: Some(available),
    };
    let (total, free) = (value("SwapTotal").unwrap_or(0), value("SwapFree").unwrap_or(0));
    let swap = Line {
        what: "Swap",
        total: Some(total),
        used: Some(total.saturating_sub(free)),
        free: Some(free),
        ..Line::default()
    };
    Some((memory, swap))
}

/// How a hierarchy names what is read of it.
struct Hierarchy {
    mount: &'static str,
    limit: &'static str,
    current: &'static str,
    /// In memory.stat.
    cache: &'static str,
    shared: &'static str,
    inactive: &'static str,
}

const UNIFIED: Hierarchy = Hierarchy {
    mount: "/sys/fs/cgroup",
    limit: "memory.max",
    current: "memory.current",
    cache: "file",
    shared: "shmem",
    inactive: "inactive_file",
};
const FIRST: Hierarchy = Hierarchy {
    mount: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    current: "memory.usage_in_bytes",
    cache: "total_cache",
    shared: "total_shmem",
    inactive: "total_inactive_file",
};

/// The container's line; none where no cgroup counts it, as for one in the root cgroup.
fn container(cgroups: &str, node: Option<u64>, host: &Host) -> Option<Line> {
    let (path, hierarchy) = memory_cgroup(cgroups)?;
    let read = |path: &Path, name: &str| {
        let bytes = host.read(&path.join(name), 64 * 1024).ok()?;
        String::from_utf8(bytes).ok()
    };
    let number = |text: String| text.trim().parse::<u64>().ok();
    let top = Path::new(hierarchy.mount);
    let own = top.join(path.strip_prefix('/')?);
    let current = number(read(&own, hierarchy.current)?)?;
    // What applies is the lowest limit on the way to the root. One that is as large as the node's memory is none:
    // version 1 writes a large number for that.
    let limit = own
        .ancestors()
        .take_while(|above| *above != top)
        .filter_map(|above| number(read(above, hierarchy.limit)?))
        .filter(|limit| node.is_none_or(|node| *limit < node))
        .min();
    let stat = read(&own, "memory.stat").unwrap_or_default();
    let value = |name: &str| {
        stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<u64>().ok())
    };
    // The kernel takes files that nobody uses back before it ends a process.
    let used = current.saturating_sub(value(hierarchy.inactive).unwrap_or(0));
    Some(Line {
        what: CGROUP,
        total: limit,
        used: Some(used),
        free: limit.map(|limit| limit.saturating_sub(current)),
        shared: value(hierarchy.shared),
        buffers: None,
        cache: value(hierarchy.cache),
        available: limit.map(|limit| limit.saturating_sub(used)),
    })
}

/// What the memory cgroup that this very process is in has left; none where nothing limits it.
pub(crate) fn left_for_us(host: &Host) -> Option<u64> {
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    container(&cgroups, None, host)?.available
}

/// The path of the cgroup that counts memory, cgroups(7). The root's counts the node.
fn memory_cgroup(file: &str) -> Option<(&str, &'static Hierarchy)> {
    let mut unified = None;
    for line in file.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        // A path above our own root, or with a part that is none, can't be looked up.
        let is_below = path.len() > 1 && !path.split('/').any(|part| part == "..");
        if controllers.split(',').any(|controller| controller == "memory") {
            return is_below.then_some((path, &FIRST));
        }
        if controllers.is_empty() && is_below {
            unified = Some((path, &UNIFIED));
        }
    }
    unified
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people_are_procps() {
        for (bytes, base, shown) in [
            (0, 1024, "0B"),
            (999, 1024, "999B"),
            (1000, 1024, "1.0Ki"),
            (25_276_502_016, 1024, "23Gi"),
            (25_276_502_016, 1000, "25G"),
            (2_283_569_152, 1024, "2.1Gi"),
            (9_170_944, 1024, "8.7Mi"),
            (11_073_000_000, 1024, "10Gi"),
            (1_047_527_424, 1024, "999Mi"),
            (1_072_693_248, 1024, "1.0Gi"),
            (u64::MAX, 1024, "16Ei"),
        ] {
            assert_eq!(human(bytes, base), shown);
        }
    }

    #[test]
    fn memory_is_counted_as_procps_does() {
        let file = b"MemTotal: 100 kB\nMemFree: 40 kB\nMemAvailable: 90 kB\nBuffers: 1 kB\nCached: 20 kB\nSwapTotal: 8 kB\nSwapFree: 5 kB\nShmem: 3 kB\nSReclaimable: 4 kB\n";
        let (memory, swap) = node(file).unwrap();
        let kib = |line: Line| {
            [line.total, line.used, line.free, line.shared, line.buffers, line.cache, line.available]
                .map(|bytes| bytes.map(|bytes| bytes / 1024))
        };
        assert_eq!(kib(memory), [100, 10, 40, 3, 1, 24, 90].map(Some));
        assert_eq!(kib(swap), [Some(8), Some(3), Some(5), None, None, None, None]);
        assert_eq!(node(b"MemTotal: x kB\n"), None);
        for end in 0..file.len() {
            let _ = node(&file[..end]);
        }
    }

    #[test]
    fn the_cgroup_that_counts_memory_is_found() {
        for (file, path, limit) in [
            ("0::/docker/x\n", Some("/docker/x"), "memory.max"),
            ("4:cpu,memory:/a\n1:name=systemd:/b\n0::/c\n", Some("/a"), "memory.limit_in_bytes"),
            ("4:memory:/\n0::/c\n", None, ""),
            ("0::/\n", None, ""),
            ("0::/../other\n", None, ""),
            ("0::/a/../../b\n", None, ""),
            ("1:name=systemd:/b\n", None, ""),
            ("broken", None, ""),
        ] {
            let found = memory_cgroup(file);
            assert_eq!(found.map(|found| found.0), path, "{file}");
            assert!(found.is_none_or(|found| found.1.limit == limit), "{file}");
        }
    }
}
