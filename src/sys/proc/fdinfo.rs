//! `PID/fdinfo/N`: position, flags, mount, locks, and what a descriptor without a path is about. proc_pid_fdinfo(5).

/// Numbers that are kept of one list: descriptors of an epoll, watches of an inotify.
const KEPT: usize = 64;

/// What the kernel says of a descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FdInfo {
    /// Where the next read or write is.
    pub position: i64,
    /// Flags of open(2).
    pub flags: u32,
    /// The mount that it is on: an id of mountinfo.
    pub mount: Option<u32>,
    /// A lock that is held on the file through it: `R` or `W` on the whole, `r` or `w` on a part.
    pub lock: Option<char>,
    /// What else there is to say.
    pub about: About,
}

/// What a descriptor that has no path is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum About {
    /// Nothing more is known.
    #[default]
    Nothing,
    /// eventfd(2).
    Event {
        /// Its counter.
        count: u64,
    },
    /// epoll(7): descriptors that are watched, the first of them, and how many are left out.
    Epoll(Vec<u32>, usize),
    /// inotify(7): device (major, minor) and inode of what is watched, the first of them, and how many are left out.
    Inotify(Vec<((u32, u32), u64)>, usize),
    /// timerfd_create(2).
    Timer {
        /// The clock's number.
        clock: i32,
        /// Nanoseconds until it expires; 0 where it is not armed.
        expires: u64,
        /// Nanoseconds of its interval; 0 where it does not repeat.
        interval: u64,
    },
    /// pidfd_open(2): the process; -1 where it has ended.
    Process(i32),
    /// signalfd(2): bit n for signal n + 1.
    Signals(u64),
}

impl FdInfo {
    /// O_PATH, O_RDONLY, O_WRONLY or O_RDWR as a letter: `p`, `r`, `w`, `u`.
    pub fn mode(&self) -> char {
        let flags = self.flags as i32;
        match flags & libc::O_ACCMODE {
            _ if flags & libc::O_PATH != 0 => 'p',
            libc::O_RDONLY => 'r',
            libc::O_WRONLY => 'w',
            _ => 'u',
        }
    }

    /// Parses the file. Lines that are not known are passed over; the last one may be cut.
    pub fn parse(text: &[u8]) -> Self {
        let mut info = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let Some((key, value)) = line.split_once(':') else {
                if line.starts_with("inotify ") {
                    info.watch(line);
                }
                continue;
            };
            let value = value.trim();
            match key {
                "pos" => info.position = value.parse().unwrap_or(0),
                "flags" => info.flags = u32::from_str_radix(value, 8).unwrap_or(0),
                "mnt_id" => info.mount = value.parse().ok(),
                "lock" => info.lock = info.lock.or_else(|| lock(value)),
                "eventfd-count" => {
                    info.about = About::Event { count: u64::from_str_radix(value, 16).unwrap_or(0) };
                }
                "tfd" => info.epoll(value),
                "Pid" => info.about = value.parse().map_or(About::Nothing, About::Process),
                "sigmask" => {
                    info.about = u64::from_str_radix(value, 16).map_or(About::Nothing, About::Signals);
                }
                "clockid" => {
                    let clock = value.parse().unwrap_or(-1);
                    info.about = About::Timer { clock, expires: 0, interval: 0 };
                }
                "it_value" | "it_interval" => {
                    if let About::Timer { expires, interval, .. } = &mut info.about {
                        *(if key == "it_value" { expires } else { interval }) = pair(value).unwrap_or(0);
                    }
                }
                _ if line.starts_with("inotify ") => info.watch(line),
                _ => {}
            }
        }
        info
    }

    fn epoll(&mut self, value: &str) {
        if !matches!(self.about, About::Epoll(..)) {
            self.about = About::Epoll(Vec::new(), 0);
        }
        let fd = value.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
        if let (About::Epoll(fds, more), Some(fd)) = (&mut self.about, fd) {
            if fds.len() < KEPT { fds.push(fd) } else { *more += 1 }
        }
    }

    /// `inotify wd:1 ino:3c4a7 sdev:fe00000 mask:…`, numbers in hexadecimal, the device as the kernel packs it.
    fn watch(&mut self, line: &str) {
        if !matches!(self.about, About::Inotify(..)) {
            self.about = About::Inotify(Vec::new(), 0);
        }
        let value = |name: &str| {
            let word = line.split_ascii_whitespace().find_map(|word| word.strip_prefix(name))?;
            u64::from_str_radix(word, 16).ok()
        };
        if let (About::Inotify(all, more), Some(inode), Some(device)) =
            (&mut self.about, value("ino:"), value("sdev:"))
        {
            let device = ((device >> 20) as u32, (device & 0xf_ffff) as u32);
            if all.len() < KEPT { all.push((device, inode)) } else { *more += 1 }
        }
    }
}

/// `1: FLOCK  ADVISORY  WRITE 23248 fe:00:10545459 0 EOF`.
fn lock(value: &str) -> Option<char> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    let whole = words.ends_with(&["0", "EOF"]);
    match (*words.get(3)?, whole) {
        ("WRITE", true) => Some('W'),
        ("WRITE", false) => Some('w'),
        ("READ", true) => Some('R'),
        ("READ", false) => Some('r'),
        _ => None,
    }
}

/// `(3, 250)`: seconds and nanoseconds.
fn pair(value: &str) -> Option<u64> {
    let (seconds, nanoseconds) = value.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    let seconds: u64 = seconds.trim().parse().ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(more: &str) -> FdInfo {
        FdInfo::parse(format!("pos:\t12\nflags:\t02100002\nmnt_id:\t27\nino:\t9\n{more}").as_bytes())
    }

    #[test]
    fn what_the_kernel_writes_is_read() {
        let plain = of("lock:\t1: FLOCK  ADVISORY  WRITE 23248 fe:00:10545459 0 EOF\n");
        assert_eq!((plain.position, plain.mode(), plain.mount), (12, 'u', Some(27)));
        assert_eq!((plain.lock, &plain.about), (Some('W'), &About::Nothing));
        assert_eq!(of("lock:\t1: POSIX  ADVISORY  READ 7 fe:00:1 5 9\n").lock, Some('r'));
        for (more, about) in [
            ("eventfd-count:               1f\neventfd-id: 4\n", About::Event { count: 31 }),
            (
                "tfd:        4 events:       1f data:  4  pos:0 ino:3e3281 sdev:f\ntfd:        6 events: 1\n",
                About::Epoll(vec![4, 6], 0),
            ),
            (
                "inotify wd:1 ino:3c4a7 sdev:fe00003 mask:2 ignored_mask:0 fhandle-bytes:8\n",
                About::Inotify(vec![((254, 3), 0x3c4a7)], 0),
            ),
            (
                "clockid: 1\nticks: 0\nsettime flags: 00\nit_value: (3, 250)\nit_interval: (0, 9)\n",
                About::Timer { clock: 1, expires: 3_000_000_250, interval: 9 },
            ),
            ("Pid:\t-1\nNSpid:\t-1\n", About::Process(-1)),
            ("sigmask:\t0000000000004002\n", About::Signals(0x4002)),
        ] {
            assert_eq!(of(more).about, about, "{more}");
        }
        for (flags, mode) in [("0100000", 'r'), ("01", 'w'), ("012000000", 'p'), ("02000002", 'u')] {
            assert_eq!(FdInfo::parse(format!("flags:\t{flags}").as_bytes()).mode(), mode);
        }
    }

    #[test]
    fn what_is_broken_or_endless_stays_bounded() {
        let text = "tfd: 4 events\n".repeat(100_000);
        assert!(matches!(of(&text).about, About::Epoll(fds, 99_936) if fds.len() == KEPT));
        let whole = b"pos:\t12\nflags:\t02\nmnt_id:\t27\nlock:\t1: FLOCK  ADVISORY  WRITE 2 fe:00:1 0 EOF\nclockid: 1\nit_value: (3, 250)\ninotify wd:1 ino:3 sdev:f\n";
        for end in 0..whole.len() {
            let _ = FdInfo::parse(&whole[..end]);
        }
        for text in [
            &b"pos:\t999999999999999999999999\nflags:\t9\nmnt_id:\t-1\n\xff\xff:\xff\n"[..],
            b"it_value: (18446744073709551615, 1)\nclockid: x\nit_value: (18446744073709551615, 1)\nit_interval: (",
            b"tfd:\ntfd: -1\ntfd: 99999999999\ninotify wd:\ninotify ino: sdev:\n",
            b"lock:\nlock:\t1:\nPid:\tx\nsigmask:\teventfd-count: zz\n",
        ] {
            let info = FdInfo::parse(text);
            assert!(!matches!(info.about, About::Process(_)), "{info:?}");
        }
    }
}
