//! What a cgroup uses and may use, of either version, as JSON has it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::tree::{Limit, Place, Tree};
use crate::cmd::Result;
use crate::sys::cgroupfs::{Devices, Pressure, blkio, cpu_max, io_stat, keyed, limit, number, pressure};

/// Everything. Bytes, seconds, cores.
#[derive(Debug, Default, Serialize)]
pub struct Facts {
    pub path: String,
    /// `1`, `2` or `hybrid`.
    pub version: &'static str,
    pub paths: Vec<Of>,
    pub frozen: Option<bool>,
    pub cpu: Option<Cpu>,
    pub memory: Option<Memory>,
    pub pids: Option<Pids>,
    pub io: Option<Vec<Io>>,
    pub pressure: Option<Pressures>,
}

/// The path in one hierarchy.
#[derive(Debug, Serialize)]
pub struct Of {
    pub controllers: Vec<&'static str>,
    pub version: u8,
    pub path: String,
}

#[derive(Debug, Default, Serialize)]
pub struct Cpu {
    pub usage: Option<f64>,
    pub user: Option<f64>,
    pub system: Option<f64>,
    /// Cores in use while it was looked at.
    pub cores: Option<f64>,
    pub limit: Option<f64>,
    pub limit_set_by: Option<String>,
    pub quota: Option<f64>,
    pub period: Option<f64>,
    pub periods: Option<u64>,
    pub throttled_periods: Option<u64>,
    pub throttled_share: Option<f64>,
    pub throttled: Option<f64>,
    pub weight: Option<u64>,
    pub shares: Option<u64>,
    pub cpus: Option<String>,
    #[serde(skip)]
    pub is_above: bool,
}

#[derive(Debug, Default, Serialize)]
pub struct Memory {
    pub current: Option<u64>,
    /// What can't be taken back at once: without files that were not used for long.
    pub working_set: Option<u64>,
    pub limit: Option<u64>,
    pub limit_set_by: Option<String>,
    pub high: Option<u64>,
    pub high_set_by: Option<String>,
    pub peak: Option<u64>,
    pub anon: Option<u64>,
    pub file: Option<u64>,
    pub kernel: Option<u64>,
    pub sock: Option<u64>,
    pub shmem: Option<u64>,
    pub swap: Option<u64>,
    pub swap_limit: Option<u64>,
    pub oom_kills: Option<u64>,
    pub oom_events: Option<u64>,
    pub limit_events: Option<u64>,
    pub high_events: Option<u64>,
    #[serde(skip)]
    pub is_above: bool,
    #[serde(skip)]
    pub is_high_above: bool,
}

#[derive(Debug, Default, Serialize)]
pub struct Pids {
    pub current: Option<u64>,
    pub limit: Option<u64>,
    pub limit_set_by: Option<String>,
    pub peak: Option<u64>,
    pub limit_events: Option<u64>,
    #[serde(skip)]
    pub is_above: bool,
}

#[derive(Debug, Serialize)]
pub struct Io {
    pub device: String,
    pub name: Option<String>,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

#[derive(Debug, Default, Serialize)]
pub struct Pressures {
    pub cpu: Option<Pressure>,
    pub memory: Option<Pressure>,
    pub io: Option<Pressure>,
}

/// Value, cgroup, and whether that is one above.
fn apart<T>(limit: Option<Limit<T>>) -> (Option<T>, Option<String>, bool) {
    match limit {
        Some(Limit { value, path, is_above }) => (Some(value), Some(path), is_above),
        None => (None, None, false),
    }
}

fn micro(value: u64) -> f64 {
    value as f64 / 1e6
}

fn nano(value: u64) -> f64 {
    value as f64 / 1e9
}

/// Where each controller has the process: version 1 where it is mounted there, else version 2.
pub struct Gatherer<'a> {
    tree: Tree<'a>,
    second: Option<Place>,
}

impl<'a> Gatherer<'a> {
    pub fn new(tree: Tree<'a>) -> Self {
        let second = tree.second();
        Self { tree, second }
    }

    fn home(&self, controller: &str) -> Option<Place> {
        self.tree.first(controller).or_else(|| self.second.clone())
    }

    fn number(&self, place: &Place, name: &str) -> Option<u64> {
        number(&self.tree.read(place, name)?)
    }

    fn keyed(&self, place: &Place, name: &str) -> BTreeMap<String, u64> {
        self.tree.read(place, name).map(|text| keyed(&text)).unwrap_or_default()
    }

    /// Seconds of processor time, for use over a while.
    pub fn cpu_time(&self) -> Option<f64> {
        let place = self.home("cpuacct")?;
        match place.version {
            1 => self.number(&place, "cpuacct.usage").map(nano),
            _ => self.keyed(&place, "cpu.stat").get("usage_usec").copied().map(micro),
        }
    }

    /// Everything. None where no hierarchy has the process.
    pub fn facts(&self) -> Result<Option<Facts>> {
        let mut facts = Facts { paths: self.paths(), ..Facts::default() };
        let has = |version| facts.paths.iter().any(|of| of.version == version);
        facts.version = match (has(1), has(2)) {
            (true, true) => "hybrid",
            (true, false) => "1",
            (false, true) => "2",
            (false, false) => return Ok(None),
        };
        // The one that says most: of the memory's, else the longest.
        let memory = facts.paths.iter().find(|of| of.controllers.contains(&"memory") && of.path != "/");
        let longest = facts.paths.iter().max_by_key(|of| of.path.len());
        facts.path = memory.or(longest).map(|of| of.path.clone()).unwrap_or_default();
        facts.frozen = self.frozen();
        facts.cpu = self.cpu();
        facts.memory = self.home("memory").map(|place| self.memory(&place)).filter(|m| m.current.is_some());
        facts.pids = self.pids();
        facts.io = self.io();
        facts.pressure = self.pressures();
        Ok(Some(facts))
    }

    fn paths(&self) -> Vec<Of> {
        let mut all: Vec<Of> = Vec::new();
        let controllers = ["cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "freezer"];
        for controller in controllers {
            let Some(place) = self.tree.first(controller) else { continue };
            match all.iter_mut().find(|of| of.path == place.path) {
                Some(of) => of.controllers.push(controller),
                None => all.push(Of { controllers: vec![controller], version: 1, path: place.path }),
            }
        }
        if let Some(place) = &self.second {
            let own = self.tree.read(place, "cgroup.controllers").unwrap_or_default();
            let own = String::from_utf8_lossy(&own).into_owned();
            let names = ["cpu", "cpuset", "memory", "pids", "io"];
            let controllers = names
                .into_iter()
                .filter(|name| own.split_ascii_whitespace().any(|word| word == *name))
                .collect();
            all.push(Of { controllers, version: 2, path: place.path.clone() });
        }
        all
    }

    fn frozen(&self) -> Option<bool> {
        if let Some(place) = self.tree.first("freezer")
            && let Some(state) = self.tree.read(&place, "freezer.state")
        {
            return Some(state.trim_ascii() != b"THAWED");
        }
        // It says so too where one above is frozen.
        let place = self.second.as_ref()?;
        self.keyed(place, "cgroup.events").get("frozen").map(|frozen| *frozen != 0)
    }

    fn cpu(&self) -> Option<Cpu> {
        let place = self.home("cpu")?;
        let mut cpu = Cpu::default();
        let stat = self.keyed(&place, "cpu.stat");
        let of = |name: &str| stat.get(name).copied();
        (cpu.periods, cpu.throttled_periods) = (of("nr_periods"), of("nr_throttled"));
        cpu.throttled_share = match (cpu.periods, cpu.throttled_periods) {
            (Some(periods), Some(throttled)) if periods > 0 => Some(throttled as f64 / periods as f64),
            _ => None,
        };
        let limit;
        if place.version == 1 {
            cpu.throttled = of("throttled_time").map(nano);
            cpu.shares = self.number(&place, "cpu.shares");
            if let Some(account) = self.tree.first("cpuacct") {
                let time = |name| self.number(&account, name).map(nano);
                cpu.usage = time("cpuacct.usage");
                (cpu.user, cpu.system) = (time("cpuacct.usage_user"), time("cpuacct.usage_sys"));
            }
            limit = self.tree.tightest(&place, |read| {
                let (quota, period) =
                    (limit_of(read, "cpu.cfs_quota_us")?, limit_of(read, "cpu.cfs_period_us")?);
                (period > 0).then(|| quota as f64 / period as f64)
            });
            let own = |name| self.tree.read(&place, name).and_then(|text| super::facts::limit(&text));
            (cpu.quota, cpu.period) =
                (own("cpu.cfs_quota_us").map(micro), own("cpu.cfs_period_us").map(micro));
        } else {
            cpu.throttled = of("throttled_usec").map(micro);
            cpu.usage = of("usage_usec").map(micro);
            (cpu.user, cpu.system) = (of("user_usec").map(micro), of("system_usec").map(micro));
            cpu.weight = self.number(&place, "cpu.weight");
            limit = self.tree.tightest(&place, |read| {
                let (quota, period) = cpu_max(&read("cpu.max")?)?;
                quota.map(|quota| quota as f64 / period as f64)
            });
            if let Some((quota, period)) = self.tree.read(&place, "cpu.max").and_then(|text| cpu_max(&text)) {
                (cpu.quota, cpu.period) = (quota.map(micro), Some(micro(period)));
            }
        }
        (cpu.limit, cpu.limit_set_by, cpu.is_above) = apart(limit);
        cpu.cpus = self.home("cpuset").and_then(|place| {
            let name = if place.version == 1 { "cpuset.effective_cpus" } else { "cpuset.cpus.effective" };
            let text = self.tree.read(&place, name)?;
            let text = String::from_utf8_lossy(text.trim_ascii()).into_owned();
            (!text.is_empty() && text.len() < 4096).then_some(text)
        });
        Some(cpu)
    }

    fn memory(&self, place: &Place) -> Memory {
        let stat = self.keyed(place, "memory.stat");
        let of = |name: &str| stat.get(name).copied();
        let own = |name| self.number(place, name);
        let mut memory = Memory::default();
        let (limits, high);
        if place.version == 1 {
            memory.current = own("memory.usage_in_bytes");
            memory.peak = own("memory.max_usage_in_bytes");
            (memory.anon, memory.file) = (of("total_rss"), of("total_cache"));
            (memory.shmem, memory.swap) = (of("total_shmem"), of("total_swap"));
            memory.kernel = own("memory.kmem.usage_in_bytes");
            memory.sock = own("memory.kmem.tcp.usage_in_bytes");
            memory.oom_kills = self.keyed(place, "memory.oom_control").get("oom_kill").copied();
            memory.limit_events = own("memory.failcnt");
            memory.working_set = rest(memory.current, of("total_inactive_file"));
            limits = self.tree.tightest(place, |read| limit_of(read, "memory.limit_in_bytes"));
            high = None;
            // Version 1 limits memory and swap together.
            let both = self.tree.read(place, "memory.memsw.limit_in_bytes").and_then(|text| limit(&text));
            let alone = self.tree.read(place, "memory.limit_in_bytes").and_then(|text| limit(&text));
            memory.swap_limit = both.zip(alone).map(|(both, alone)| both.saturating_sub(alone));
        } else {
            memory.current = own("memory.current");
            memory.peak = own("memory.peak");
            (memory.anon, memory.file) = (of("anon"), of("file"));
            (memory.shmem, memory.sock) = (of("shmem"), of("sock"));
            // Before 5.18 it is told by parts.
            memory.kernel = of("kernel").or_else(|| Some(of("slab")?.saturating_add(of("kernel_stack")?)));
            memory.swap = own("memory.swap.current");
            memory.swap_limit = self.tree.read(place, "memory.swap.max").and_then(|text| limit(&text));
            let events = self.keyed(place, "memory.events");
            let event = |name: &str| events.get(name).copied();
            (memory.oom_kills, memory.oom_events) = (event("oom_kill"), event("oom"));
            (memory.limit_events, memory.high_events) = (event("max"), event("high"));
            memory.working_set = rest(memory.current, of("inactive_file"));
            limits = self.tree.tightest(place, |read| limit_of(read, "memory.max"));
            high = self.tree.tightest(place, |read| limit_of(read, "memory.high"));
        }
        (memory.limit, memory.limit_set_by, memory.is_above) = apart(limits);
        (memory.high, memory.high_set_by, memory.is_high_above) = apart(high);
        memory
    }

    fn pids(&self) -> Option<Pids> {
        let place = self.home("pids")?;
        let current = self.number(&place, "pids.current")?;
        let (limit, limit_set_by, is_above) =
            apart(self.tree.tightest(&place, |read| limit_of(read, "pids.max")));
        Some(Pids {
            current: Some(current),
            limit,
            limit_set_by,
            is_above,
            peak: self.number(&place, "pids.peak"),
            limit_events: self.keyed(&place, "pids.events").get("max").copied(),
        })
    }

    fn io(&self) -> Option<Vec<Io>> {
        let place = self.home("blkio")?;
        let devices: Devices = if place.version == 1 {
            let either = |name: &str| {
                let all = self.tree.read(&place, &format!("blkio.throttle.{name}_recursive"));
                all.or_else(|| self.tree.read(&place, &format!("blkio.throttle.{name}")))
            };
            blkio(&either("io_service_bytes")?, &either("io_serviced").unwrap_or_default())
        } else {
            io_stat(&self.tree.read(&place, "io.stat")?)
        };
        let name = |(major, minor): (u32, u32)| {
            let text = self.tree.node_file(&format!("/sys/dev/block/{major}:{minor}/uevent"))?;
            let text = String::from_utf8_lossy(&text).into_owned();
            text.lines().find_map(|line| line.strip_prefix("DEVNAME=")).map(str::to_owned)
        };
        let all = devices.into_iter().map(|(device, io)| Io {
            device: format!("{}:{}", device.0, device.1),
            name: name(device),
            read_bytes: io.read_bytes,
            write_bytes: io.write_bytes,
            reads: io.reads,
            writes: io.writes,
        });
        Some(all.collect())
    }

    fn pressures(&self) -> Option<Pressures> {
        let place = self.second.as_ref()?;
        let of = |name: &str| pressure(&self.tree.read(place, name)?);
        let all = Pressures { cpu: of("cpu.pressure"), memory: of("memory.pressure"), io: of("io.pressure") };
        (all.cpu.is_some() || all.memory.is_some() || all.io.is_some()).then_some(all)
    }
}

fn limit_of(read: &dyn Fn(&str) -> Option<Vec<u8>>, name: &str) -> Option<u64> {
    limit(&read(name)?)
}

/// What the kubelet calls the working set.
fn rest(current: Option<u64>, inactive: Option<u64>) -> Option<u64> {
    Some(current?.saturating_sub(inactive?))
}
