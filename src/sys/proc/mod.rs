//! A procfs as a directory descriptor: its PIDs, and files of processes, read bounded into one reused buffer.

pub mod fdinfo;
pub mod fds;
pub mod files;
pub mod net;
pub mod protocols;
pub mod stat;
pub mod status;

use std::ffi::CStr;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use procfs_core::{ExplicitSystemInfo, FromBufReadSI, FromRead, KernelStats, Meminfo, Uptime};

pub use stat::Stat;
pub use status::Status;

/// A procfs. Where it is mounted for others, they may mount anything over what is in it: a second one, mounted for
/// nobody else, is read in place of that.
#[derive(Clone, Copy)]
pub struct Procfs<'a> {
    root: BorrowedFd<'a>,
    clean: Option<BorrowedFd<'a>>,
}

/// What times and sizes of processes are relative to.
///
/// In a time namespace of its own the reader would see other values of both; nsdbg reads from the host's, and so do
/// `stat` and `uptime` agree.
#[derive(Debug, Clone, Copy)]
pub struct System {
    /// When the kernel was started, seconds since 1970.
    pub boot: i64,
    /// Seconds since then.
    pub uptime: f64,
    /// Now, seconds since 1970.
    pub now: i64,
    /// Clock ticks a second, the unit of CPU and start times.
    pub hz: u64,
    /// Bytes of a page.
    pub page: u64,
    /// Bytes of memory.
    pub memory: u64,
}

/// More PIDs are not listed: pid_max cannot be larger.
const MAX_PIDS: usize = 4 << 20;
/// Bound for files of the whole system (`stat` has a line for each CPU).
const SYSTEM_LIMIT: usize = 4 << 20;

impl<'a> Procfs<'a> {
    /// The procfs whose root directory this is; of the same PID namespace a second one, if the first may be mounted
    /// over.
    pub fn new(root: &'a impl AsFd, clean: Option<&'a OwnedFd>) -> Self {
        Self { root: root.as_fd(), clean: clean.map(AsFd::as_fd) }
    }

    /// Nothing in a procfs waits when it is opened.
    fn open(&self, path: &CStr, flags: OFlag) -> nix::Result<OwnedFd> {
        let flags = flags | OFlag::O_CLOEXEC;
        let Some(clean) = self.clean else { return openat(self.root, path, flags, Mode::empty()) };
        let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_XDEV);
        match openat2(self.root, path, how) {
            Err(Errno::EXDEV) => openat(clean, path, flags, Mode::empty()),
            result => result,
        }
    }

    /// All PIDs, in the kernel's order, which is ascending.
    ///
    /// # Errors
    /// What the kernel says to opening or reading the root.
    pub fn pids(&self) -> nix::Result<Vec<i32>> {
        self.numbers(c".")
    }

    /// The thread ids of a process.
    ///
    /// # Errors
    /// What the kernel says to opening or reading `PID/task`.
    pub fn threads(&self, pid: i32) -> nix::Result<Vec<i32>> {
        let mut path = Path::default();
        self.numbers(path.of(pid, "task"))
    }

    /// How many descriptors a process has open: the kernel says it (6.2 on), else they are listed.
    ///
    /// # Errors
    /// What the kernel says to opening or reading `PID/fd`; EACCES without CAP_SYS_PTRACE over the process.
    pub fn descriptor_count(&self, pid: i32) -> nix::Result<usize> {
        let folder = self.open(Path::default().of(pid, "fd"), OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        match usize::try_from(fstat(&folder)?.st_size).unwrap_or(0) {
            0 => fds::list(&folder).map(|all| all.len()),
            count => Ok(count),
        }
    }

    fn numbers(&self, path: &CStr) -> nix::Result<Vec<i32>> {
        let mut dir = Dir::from_fd(self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?)?;
        let mut numbers = Vec::new();
        for entry in dir.iter() {
            let number: Option<i32> =
                std::str::from_utf8(entry?.file_name().to_bytes()).ok().and_then(|n| n.parse().ok());
            numbers.extend(number);
            if numbers.len() >= MAX_PIDS {
                break;
            }
        }
        Ok(numbers)
    }

    /// A reader with a buffer of its own; one a thread.
    pub fn reader(&self) -> Reader<'a> {
        Reader { procfs: *self, path: Path::default(), buffer: Vec::new() }
    }

    /// A file of the whole system, up to 4 MiB.
    ///
    /// # Errors
    /// What the kernel says to opening or reading it.
    pub fn file(&self, name: &CStr) -> nix::Result<Vec<u8>> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        // These are what containers have mounted over, or left out.
        let file = openat(self.clean.unwrap_or(self.root), name, flags, Mode::empty())?;
        read_whole(&file, SYSTEM_LIMIT)
    }

    /// Boot time, clock, memory.
    ///
    /// # Errors
    /// What the kernel says to reading `stat` or `uptime`; EINVAL where they read otherwise than procfs writes them.
    pub fn system(&self) -> nix::Result<System> {
        let (stat, uptime) = (self.file(c"stat")?, self.file(c"uptime")?);
        // Only shares of memory need it.
        System::parse(&stat, &uptime, &self.file(c"meminfo").unwrap_or_default())
    }
}

impl System {
    /// Takes them out of the files `stat`, `uptime` and `meminfo`.
    ///
    /// # Errors
    /// EINVAL where the first two read otherwise than procfs writes them.
    pub(crate) fn parse(stat: &[u8], uptime: &[u8], meminfo: &[u8]) -> nix::Result<Self> {
        let hz = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100).max(1) as u64;
        let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?.unwrap_or(4096).max(1) as u64;
        let facts = ExplicitSystemInfo {
            boot_time_secs: 0,
            ticks_per_second: hz,
            page_size: page,
            is_little_endian: cfg!(target_endian = "little"),
        };
        let stat = KernelStats::from_buf_read(stat, &facts).map_err(|_| Errno::EINVAL)?;
        let uptime = Uptime::from_read(uptime).map_err(|_| Errno::EINVAL)?;
        let memory = Meminfo::from_read(meminfo).ok();
        Ok(Self {
            boot: i64::try_from(stat.btime).unwrap_or(0),
            uptime: uptime.uptime,
            now: std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(0)),
            hz,
            page,
            memory: memory.map_or(0, |m| m.mem_total),
        })
    }
}

/// Why links and wait channels of a process may be refused, as the end of a sentence.
pub fn why_refused() -> &'static str {
    match caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_SYS_PTRACE) {
        Ok(true) => "in spite of CAP_SYS_PTRACE: an outer user namespace or a security module",
        _ => "since nsdbg lacks CAP_SYS_PTRACE here",
    }
}

/// Reads files of processes.
pub struct Reader<'a> {
    procfs: Procfs<'a>,
    path: Path,
    buffer: Vec<u8>,
}

impl Reader<'_> {
    /// `PID/NAME`, up to `limit` bytes. procfs fills a buffer that is large enough in one read, so that there is no
    /// second one to find the end.
    ///
    /// # Errors
    /// What the kernel says; ENOENT or ESRCH where the process is gone.
    pub fn read(&mut self, pid: i32, name: &str, limit: usize) -> nix::Result<&[u8]> {
        let file = self.procfs.open(self.path.of(pid, name), OFlag::O_RDONLY)?;
        if self.buffer.len() < limit {
            self.buffer.resize(limit, 0);
        }
        let space = self.buffer.get_mut(..limit).unwrap_or_default();
        let count = nix::unistd::read(&file, space)?;
        Ok(self.buffer.get(..count).unwrap_or_default())
    }

    /// `PID/NAME` by as many reads as it takes, up to `limit` bytes: for files that come in pages.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_all(&mut self, pid: i32, name: &str, limit: usize) -> nix::Result<Vec<u8>> {
        read_whole(&self.procfs.open(self.path.of(pid, name), OFlag::O_RDONLY)?, limit)
    }

    /// Where the link `PID/NAME` points.
    ///
    /// # Errors
    /// What the kernel says; EACCES without CAP_SYS_PTRACE over the process.
    pub fn link(&mut self, pid: i32, name: &str) -> nix::Result<std::ffi::OsString> {
        let path = self.path.of(pid, name);
        match self.procfs.clean {
            None => readlinkat(self.procfs.root, path),
            Some(_) => readlinkat(self.procfs.open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW)?, c""),
        }
    }

    /// The owner of a process, its effective user and group: those of its directory. Unlike the files in it the
    /// directory keeps them when the process is not dumpable.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn owner(&mut self, pid: i32) -> nix::Result<(u32, u32)> {
        let path = self.path.of(pid, "");
        let stat: FileStat = match self.procfs.clean {
            None => fstatat(self.procfs.root, path, AtFlags::AT_SYMLINK_NOFOLLOW)?,
            Some(_) => fstat(self.procfs.open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW)?)?,
        };
        Ok((stat.st_uid, stat.st_gid))
    }
}

fn read_whole(file: &OwnedFd, limit: usize) -> nix::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; limit.min(64 * 1024)];
    while bytes.len() < limit {
        let want = (limit - bytes.len()).min(chunk.len());
        let count = nix::unistd::read(file, chunk.get_mut(..want).unwrap_or_default())?;
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
    }
    Ok(bytes)
}

/// A path below the root, built in place: there are three a process.
#[derive(Default)]
struct Path(Vec<u8>);

impl Path {
    fn of(&mut self, pid: i32, name: &str) -> &CStr {
        self.0.clear();
        // Writing to memory cannot fail.
        let _ = if name.is_empty() { write!(self.0, "{pid}\0") } else { write!(self.0, "{pid}/{name}\0") };
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }

    fn number(&mut self, number: u32) -> &CStr {
        self.0.clear();
        let _ = write!(self.0, "{number}\0");
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}
