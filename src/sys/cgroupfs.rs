//! Files of cgroup file systems, both versions: flat keyed ones, limits, pressure, io. Documentation of the kernel:
//! admin-guide/cgroup-v2, admin-guide/cgroup-v1, accounting/psi. Parsers take any input and never fail: what is not
//! understood is left out.

use std::collections::BTreeMap;

use super::mounts;

/// Keys of a file that are kept.
const KEYS: usize = 256;
/// Devices that are kept.
const DEVICES: usize = 256;
/// A v1 limit of this or more is none: the largest number of pages, in bytes.
const NO_LIMIT: u64 = 1 << 62;

/// A number alone in a file.
pub fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// A limit: None where there is none (`max`, -1, or version 1's largest number).
pub fn limit(text: &[u8]) -> Option<u64> {
    number(text).filter(|value| *value < NO_LIMIT)
}

/// Lines of a key and a number: `memory.stat`, `cpu.stat`, `memory.events`.
pub fn keyed(text: &[u8]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let mut words = line.split_ascii_whitespace();
        if let (Some(key), Some(Ok(value)), None) = (words.next(), words.next().map(str::parse), words.next())
            && key.len() <= 64
            && all.len() < KEYS
        {
            all.insert(key.to_owned(), value);
        }
    }
    all
}

/// `cpu.max`: quota, none where it is `max`, and period, in microseconds.
pub fn cpu_max(text: &[u8]) -> Option<(Option<u64>, u64)> {
    let mut words = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let quota = words.next()?.parse().ok();
    let period = words.next().and_then(|word| word.parse().ok()).unwrap_or(100_000);
    (period > 0).then_some((quota, period))
}

/// How long tasks waited for something, in percent of the time, and altogether.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Stall {
    /// Over ten seconds.
    pub avg10: f64,
    /// Over a minute.
    pub avg60: f64,
    /// Over five minutes.
    pub avg300: f64,
    /// Seconds altogether.
    pub total: f64,
}

/// A pressure file.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Pressure {
    /// Some tasks waited.
    pub some: Option<Stall>,
    /// All of them did at once.
    pub full: Option<Stall>,
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same of `full`.
pub fn pressure(text: &[u8]) -> Option<Pressure> {
    let text = std::str::from_utf8(text).ok()?;
    let line = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))?;
        let value = |name: &str| {
            let word =
                line.split_ascii_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
            word.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)
        };
        Some(Stall {
            avg10: value("avg10")?,
            avg60: value("avg60")?,
            avg300: value("avg300")?,
            total: value("total")? / 1e6,
        })
    };
    let found = Pressure { some: line("some"), full: line("full") };
    (found.some.is_some() || found.full.is_some()).then_some(found)
}

/// What was read and written of one device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Io {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

/// Devices by their numbers, and whether there are more.
pub type Devices = BTreeMap<(u32, u32), Io>;

fn device(word: &str) -> Option<(u32, u32)> {
    let (major, minor) = word.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn entry(all: &mut Devices, key: (u32, u32)) -> Option<&mut Io> {
    if all.len() >= DEVICES && !all.contains_key(&key) { None } else { Some(all.entry(key).or_default()) }
}

/// Version 2's `io.stat`: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`.
pub fn io_stat(text: &[u8]) -> Devices {
    let mut all = Devices::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let mut words = line.split_ascii_whitespace();
        let Some(key) = words.next().and_then(device) else { continue };
        let Some(io) = entry(&mut all, key) else { continue };
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.parse().unwrap_or(0);
            match name {
                "rbytes" => io.read_bytes = value,
                "wbytes" => io.write_bytes = value,
                "rios" => io.reads = value,
                "wios" => io.writes = value,
                _ => {}
            }
        }
    }
    all
}

/// Version 1's `blkio.throttle.io_service_bytes` and `blkio.throttle.io_serviced`: `8:0 Read 1`.
pub fn blkio(bytes: &[u8], operations: &[u8]) -> Devices {
    let mut all = Devices::new();
    for (text, counts_bytes) in [(bytes, true), (operations, false)] {
        for line in text.split(|byte| *byte == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let words: Vec<&str> = line.split_ascii_whitespace().take(4).collect();
            let [key, kind, value] = words.as_slice() else { continue };
            let (Some(key), Ok(value)) = (device(key), value.parse()) else { continue };
            let Some(io) = entry(&mut all, key) else { continue };
            match (*kind, counts_bytes) {
                ("Read", true) => io.read_bytes = value,
                ("Write", true) => io.write_bytes = value,
                ("Read", false) => io.reads = value,
                ("Write", false) => io.writes = value,
                _ => {}
            }
        }
    }
    all
}

/// A hierarchy, as mountinfo tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub point: String,
    /// The cgroup that is its root there.
    pub root: String,
    /// Version 1's controllers; none in version 2.
    pub controllers: Option<Vec<String>>,
}

/// The hierarchies of mountinfo, proc_pid_mountinfo(5).
pub fn hierarchies(text: &[u8]) -> Vec<Hierarchy> {
    let text = String::from_utf8_lossy(text);
    let mut all = Vec::new();
    for mount in mounts::parse(text.as_bytes()) {
        let controllers = match mount.kind.as_str() {
            "cgroup2" => None,
            "cgroup" => Some(mount.super_options.split(',').map(str::to_owned).collect()),
            _ => continue,
        };
        let path = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        if all.len() < KEYS {
            all.push(Hierarchy { point: path(&mount.target), root: path(&mount.root), controllers });
        }
    }
    all
}

/// The cgroups of a process, `/proc/PID/cgroup`: controllers (none in version 2) and path.
pub fn memberships(text: &[u8]) -> Vec<(Option<Vec<String>>, String)> {
    let text = String::from_utf8_lossy(text);
    let line = |line: &str| {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_v2 = number == "0" && controllers.is_empty();
        let controllers = (!is_v2).then(|| controllers.split(',').map(str::to_owned).collect());
        // Of a cgroup that was removed.
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        Some((controllers, path.to_owned()))
    };
    text.lines().take(KEYS).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing of these may panic, and nothing may grow without bound.
    const HOSTILE: [&[u8]; 8] = [
        b"",
        b"\n\n\n",
        b"\xff\xfe\x00 1\n",
        b"max",
        b"-1",
        b"99999999999999999999999999 99999999999999999999",
        b"8:0 8:0 8:0\n:\n8: Read 1\n4294967296:0 Read 1\n8:0 Read x\n8:0 rbytes rbytes= =\n",
        b"some avg10=NaN avg60=inf avg300=-1 total=\nsome\nfull avg10=\n",
    ];

    #[test]
    fn limits_of_both_versions() {
        for (text, value) in [
            (&b"536870912\n"[..], Some(536_870_912)),
            (b"max\n", None),
            (b"-1\n", None),
            (b"9223372036854771712\n", None),
            (b"0\n", Some(0)),
            (b"", None),
            (b"1 2", None),
        ] {
            assert_eq!(limit(text), value);
        }
        assert_eq!(cpu_max(b"50000 100000\n"), Some((Some(50_000), 100_000)));
        assert_eq!(cpu_max(b"max 100000\n"), Some((None, 100_000)));
        assert_eq!(cpu_max(b"50000"), Some((Some(50_000), 100_000)));
        assert_eq!((cpu_max(b""), cpu_max(b"1 0")), (None, None));
    }

    #[test]
    fn keyed_files_and_pressure() {
        let stat = keyed(b"anon 4096\nfile 8192\nbad\nworse x\nthree 1 2\nanon 5000\n");
        assert_eq!(stat.into_iter().collect::<Vec<_>>(), [("anon".into(), 5000), ("file".into(), 8192)]);
        let found = pressure(
            b"some avg10=1.50 avg60=0.25 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
        );
        let some = found.unwrap().some.unwrap();
        assert_eq!((some.avg10, some.avg60, some.total), (1.5, 0.25, 1.5));
        // An old kernel's cpu.pressure has no `full`.
        assert!(pressure(b"some avg10=1.50 avg60=0.25 avg300=0.00 total=15\n").unwrap().full.is_none());
    }

    #[test]
    fn io_of_both_versions() {
        let wanted = Io { read_bytes: 1, write_bytes: 2, reads: 3, writes: 4 };
        let two = io_stat(b"8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n253:1 \n");
        assert_eq!((two.get(&(8, 0)), two.get(&(253, 1))), (Some(&wanted), Some(&Io::default())));
        let one = blkio(
            b"8:0 Read 1\n8:0 Write 2\n8:0 Sync 3\n8:0 Total 3\nTotal 3\n",
            b"8:0 Read 3\n8:0 Write 4\nTotal 7\n",
        );
        assert_eq!(one.into_iter().collect::<Vec<_>>(), [((8, 0), wanted)]);
    }

    #[test]
    fn hierarchies_and_memberships() {
        let found = hierarchies(
            b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n35 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n41 31 0:38 /a\\040b /mnt/x\\040y rw - cgroup2 cgroup2 rw\nnothing\n1 - cgroup\n",
        );
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].controllers.as_deref().unwrap(), ["rw", "cpu", "cpuacct"]);
        assert_eq!((found[1].root.as_str(), found[1].point.as_str()), ("/a b", "/mnt/x y"));
        let paths = memberships(b"4:memory:/a:b\n1:name=systemd:/x\n0::/c (deleted)\nbad\n");
        assert_eq!(paths[0], (Some(vec!["memory".to_owned()]), "/a:b".to_owned()));
        assert_eq!(paths[2], (None, "/c".to_owned()));
        assert_eq!(paths.len(), 3);
    }

    #[test]
    fn broken_and_endless_files_stay_bounded() {
        let cut = b"some avg10=1.50 avg60=0.25 avg300=0.00 total=1500000\n8:0 Read 1\n8:0 rbytes=1\nanon 4096\n35 31 0:32 / /x rw - cgroup cgroup rw,cpu\n0::/x\n50000 100000";
        let mut inputs: Vec<Vec<u8>> = HOSTILE.iter().map(|text| text.to_vec()).collect();
        inputs.extend((0..cut.len()).map(|end| cut[..end].to_vec()));
        let lines = |line: fn(usize) -> String| (0..100_000).map(line).collect::<String>().into_bytes();
        inputs.push(lines(|at| format!("key{at} {at}\n")));
        inputs.push(lines(|at| format!("{at}:0 rbytes=1\n{at}:0 Read 1\n")));
        inputs.push(lines(|at| format!("1 1 0:1 / /x{at} rw - cgroup2 cgroup2 rw\n")));
        inputs.push(lines(|at| format!("{at}:cpu:/x\n")));
        for text in inputs {
            assert!(keyed(&text).len() <= KEYS);
            assert!(io_stat(&text).len() <= DEVICES && blkio(&text, &text).len() <= DEVICES);
            assert!(hierarchies(&text).len() <= KEYS && memberships(&text).len() <= KEYS);
            let _ = (number(&text), limit(&text), cpu_max(&text));
            if let Some(found) = pressure(&text) {
                assert!(found.some.is_some_and(|some| some.avg10.is_finite()), "{found:?}");
            }
        }
    }
}
