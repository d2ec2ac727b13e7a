//! The write-protected image: nothing that a target reaches through `/proc/PID/exe` can be written, and nothing that
//! it reads in `/proc/PID/cmdline` or `environ` is the operator's.
//!
//! nsdbg starts itself once more from a read-only clone of its own mount (or, where that can't be had, from a sealed
//! memfd), as plain `nsdbg` with an empty environment. Arguments and the few wanted variables wait in a memfd, which
//! is read only after the launcher has been forked.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::wire::{Reader, Writer};
use super::{Failure, Result, Step};
use crate::sys::syscall::{self, MOUNT_ATTR_RDONLY};

/// Where the second start finds its arguments.
pub const STARTUP_FD: RawFd = 3;

/// The variables of the operator that nsdbg itself wants. One string: it is read before pointers are relocated.
pub const WANTED: &str = "TERM COLORTERM NO_COLOR HOME XDG_STATE_HOME COLUMNS LINES NSDBG_AUDIT NSDBG_REASON NSDBG_REQUIRE_REASON SUDO_USER SSH_CONNECTION";

/// What the operator typed, and what is kept of the environment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Startup {
    /// The arguments, the program's name left out.
    pub args: Vec<OsString>,
    /// Variables out of the wanted ones.
    pub vars: Vec<(OsString, OsString)>,
}

impl Startup {
    /// A variable of the operator, if it is set and not empty.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.vars
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_os_str())
    }

    fn encode(&self) -> Vec<u8> {
        let args: Vec<_> = self.args.iter().map(|a| a.as_bytes()).collect();
        let keys: Vec<_> = self.vars.iter().map(|v| v.0.as_bytes()).collect();
        let values: Vec<_> = self.vars.iter().map(|v| v.1.as_bytes()).collect();
        Writer::new().list(&args).list(&keys).list(&values).finish()
    }

    fn decode(message: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(message);
        let mut list = || Some(reader.list()?.into_iter().map(OsString::from_vec).collect::<Vec<_>>());
        let (args, keys, values) = (list()?, list()?, list()?);
        Some(Self { args, vars: keys.into_iter().zip(values).collect() })
    }
}

/// A start that is write-protected: its arguments are still unread.
#[derive(Debug)]
pub struct Protected(OwnedFd);

impl Protected {
    /// Reads the arguments. To be called when the launcher has been forked.
    ///
    /// # Errors
    /// Where the memfd does not hold what the first start wrote.
    pub fn startup(self) -> Result<Startup> {
        let mut bytes = Vec::new();
        let mut file = File::from(self.0);
        let failed = |errno| Failure::new("read", "start-up arguments", errno);
        file.rewind()
            .and_then(|()| file.read_to_end(&mut bytes))
            .map_err(|error| failed(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))))?;
        Startup::decode(&bytes).ok_or_else(|| failed(Errno::EBADMSG))
    }
}

/// Write-protects the running image and scrubs argv and environment, by starting it once more. `args` are those of
/// `main`. Returns in the
/// process where that has been done.
///
/// # Errors
/// Where neither way of protecting works, or the second start finds itself unprotected.
pub fn protect(args: Vec<OsString>) -> Result<Protected> {
    if let Some(startup) = second_start(&args)? {
        return if is_protected()? {
            Ok(Protected(startup))
        } else {
            Err(Failure::new("write-protect", "/proc/self/exe", Errno::EROFS))
        };
    }
    let startup = Startup {
        args: args.into_iter().skip(1).collect(),
        vars: WANTED.split(' ').filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect(),
    };
    let arguments = sealed_memfd("arguments", |file| file.write_all(&startup.encode()))?;
    let image = match read_only_clone() {
        Ok(image) => image,
        Err(_) => memfd_copy()?,
    };
    if image.as_raw_fd() == STARTUP_FD {
        // The copy is about to take the number; the image moves up and stays close-on-exec.
        let moved = fcntl(&image, FcntlArg::F_DUPFD_CLOEXEC(STARTUP_FD + 1)).step("fcntl", "image")?;
        let moved = syscall::own_fd(moved).step("fcntl", "image")?;
        return start(moved, &arguments);
    }
    start(image, &arguments)
}

fn start(image: OwnedFd, arguments: &OwnedFd) -> Result<Protected> {
    syscall::dup_to(arguments.as_raw_fd(), STARTUP_FD).step("dup2", "arguments")?;
    let errno = syscall::execveat_empty_environment(image.as_fd(), c"nsdbg");
    Err(Failure::new("execveat", "/proc/self/exe", errno))
}

/// The arguments' memfd where this is the second start: argv is `nsdbg` alone, the environment is empty, and the
/// memfd is sealed.
///
/// # Errors
/// Where that can't be told: what was typed would be lost.
fn second_start(args: &[OsString]) -> Result<Option<OwnedFd>> {
    if args != ["nsdbg"] || std::env::vars_os().next().is_some() {
        return Ok(None);
    }
    let fd = match syscall::own_fd(STARTUP_FD) {
        Err(Errno::EBADF) => return Ok(None),
        result => result.step("fcntl", "start-up arguments")?,
    };
    match is_sealed(&fd) {
        Ok(true) => Ok(Some(fd)),
        Ok(false) => {
            // Not ours: it stays open, as whoever started us wants it.
            let _ = std::os::fd::IntoRawFd::into_raw_fd(fd);
            Ok(None)
        }
        Err(errno) => Err(Failure::new("fcntl", "start-up arguments", errno)),
    }
}

/// Asks the running image itself: on a read-only mount, or sealed.
fn is_protected() -> Result<bool> {
    let exe = open("/proc/self/exe", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .step("open", "/proc/self/exe")?;
    if is_sealed(&exe).step("fcntl", "/proc/self/exe")? {
        return Ok(true);
    }
    let flags = fstatvfs(&exe).step("fstatfs", "/proc/self/exe")?.flags();
    Ok(flags.contains(FsFlags::ST_RDONLY))
}

fn is_sealed(fd: &OwnedFd) -> nix::Result<bool> {
    match fcntl(fd, FcntlArg::F_GET_SEALS) {
        Ok(seals) => Ok(SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_WRITE)),
        // No memfd.
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// A clone of the mount that our image is on, read-only, reached by nothing but this close-on-exec descriptor.
fn read_only_clone() -> nix::Result<OwnedFd> {
    let exe = open("/proc/self/exe", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    let clone = syscall::open_tree_clone(exe.as_fd())?;
    syscall::mount_setattr(clone.as_fd(), MOUNT_ATTR_RDONLY)?;
    Ok(clone)
}

fn memfd_copy() -> Result<OwnedFd> {
    let exe = open("/proc/self/exe", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .step("open", "/proc/self/exe")?;
    sealed_memfd("nsdbg", |file| std::io::copy(&mut File::from(exe), file).map(drop))
}

fn sealed_memfd(name: &str, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<OwnedFd> {
    let name = std::ffi::CString::new(name).unwrap_or_default();
    let fd = memfd_create(name.as_c_str(), MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)
        .step("memfd_create", "")?;
    let mut file = File::from(fd);
    fill(&mut file).map_err(|error| {
        Failure::new("write", "memfd", Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    })?;
    let seals =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).step("fcntl", "memfd seals")?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn startup_survives_the_memfd() {
        let startup = Startup {
            args: vec!["--pid".into(), OsString::from_vec(vec![0xff])],
            vars: vec![("TERM".into(), "xterm".into())],
        };
        assert_eq!(Startup::decode(&startup.encode()), Some(startup.clone()));
        assert_eq!(Startup::decode(b"short"), None);
        assert_eq!(startup.var("TERM"), Some(OsStr::new("xterm")));
    }
}
