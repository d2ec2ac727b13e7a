//! System calls that nix and libc do not wrap, one small function each. Numbers and structures: kernel uapi headers.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::Result;
use nix::errno::Errno;

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Debug, Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// `MOUNT_ATTR_*` of linux/mount.h.
pub const MOUNT_ATTR_RDONLY: u64 = 1;
/// See [`MOUNT_ATTR_RDONLY`].
pub const MOUNT_ATTR_NOSUID: u64 = 2;
/// See [`MOUNT_ATTR_RDONLY`].
pub const MOUNT_ATTR_NODEV: u64 = 4;
/// See [`MOUNT_ATTR_RDONLY`].
pub const MOUNT_ATTR_NOEXEC: u64 = 8;

const OPEN_TREE_CLONE: libc::c_uint = 1;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_FD: libc::c_uint = 5;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
/// NS_GET_PARENT of linux/nsfs.h.
pub const NS_GET_PARENT: u32 = 0xb702;
/// NS_GET_OWNER_UID of linux/nsfs.h.
pub const NS_GET_OWNER_UID: u32 = 0xb704;

/// The value of an extended attribute, links followed; none where there is none, or it is longer than the buffer.
pub fn getxattr<'a>(path: &CStr, name: &CStr, value: &'a mut [u8]) -> Option<&'a [u8]> {
    // SAFETY: both names end with NUL, and `value` is writable for as many bytes as are given.
    let count =
        unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.get(..usize::try_from(count).ok()?)
}

/// How long the value of an extended attribute is, of a link itself unless `follow`; as much of it as fits is in `value`,
/// where that is not empty.
///
/// # Errors
/// As getxattr(2).
pub fn xattr(path: &CStr, name: &CStr, follow: bool, value: &mut [u8]) -> Result<usize> {
    let (to, room) = (value.as_mut_ptr().cast(), value.len());
    // SAFETY: both names end with NUL, and `to` is writable for `room` bytes, also where those are none.
    let count = unsafe {
        if follow {
            libc::getxattr(path.as_ptr(), name.as_ptr(), to, room)
        } else {
            libc::lgetxattr(path.as_ptr(), name.as_ptr(), to, room)
        }
    };
    Errno::result(count).map(|count| count as usize)
}

/// The names of an open file's extended attributes, each with a NUL: how many bytes.
///
/// # Errors
/// As flistxattr(2).
pub fn flistxattr(file: BorrowedFd, names: &mut [u8]) -> Result<usize> {
    // SAFETY: `names` is writable for as many bytes as are given.
    let count = unsafe { libc::flistxattr(file.as_raw_fd(), names.as_mut_ptr().cast(), names.len()) };
    Errno::result(count).map(|count| count as usize)
}

/// The length of the value of an open file's extended attribute; the value is in `value`, where that is not empty.
///
/// # Errors
/// As fgetxattr(2).
pub fn fgetxattr(file: BorrowedFd, name: &CStr, value: &mut [u8]) -> Result<usize> {
    let (to, room) = (value.as_mut_ptr().cast(), value.len());
    // SAFETY: the name ends with NUL, and `to` is writable for `room` bytes.
    let count = unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), to, room) };
    Errno::result(count).map(|count| count as usize)
}

/// Sets an open file's extended attribute.
///
/// # Errors
/// As fsetxattr(2).
pub fn fsetxattr(file: BorrowedFd, name: &CStr, value: &[u8]) -> Result<()> {
    // SAFETY: the name ends with NUL, and `value` is readable for as many bytes as are given.
    let raw =
        unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(raw).map(drop)
}

fn fd_result(raw: libc::c_long) -> Result<OwnedFd> {
    let fd = Errno::result(raw)?;
    // SAFETY: the kernel has just returned this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A detached clone of the mount that an open file is on.
///
/// # Errors
/// EINVAL on mounts that can't be bound, EPERM without CAP_SYS_ADMIN, ENOSYS before 5.2.
pub fn open_tree_clone(file: BorrowedFd) -> Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint | libc::AT_EMPTY_PATH as libc::c_uint;
    // SAFETY: the path is a valid C string, the descriptor is open.
    fd_result(unsafe { libc::syscall(libc::SYS_open_tree, file.as_raw_fd(), c"".as_ptr(), flags) })
}

/// Sets attributes on a mount that is only reached through this descriptor.
///
/// # Errors
/// As mount_setattr(2); ENOSYS before 5.12.
pub fn mount_setattr(mount: BorrowedFd, set: u64) -> Result<()> {
    let attr = MountAttr { set, ..MountAttr::default() };
    // SAFETY: `attr` outlives the call and its size is given.
    let raw = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    Errno::result(raw).map(drop)
}

/// Replaces this process by an open file, with these arguments and an empty environment. Returns only on failure.
pub fn execveat_empty_environment(file: BorrowedFd, argv0: &CStr) -> Errno {
    let argv = [argv0.as_ptr(), std::ptr::null()];
    let envp: [*const libc::c_char; 1] = [std::ptr::null()];
    // SAFETY: both vectors end in a null pointer and outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::last()
}

/// A descriptor for a process. It is close-on-exec, and readable once the process has ended.
///
/// # Errors
/// ESRCH where there is no such process, EINVAL for a thread, ENOSYS before 5.3.
pub fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    // SAFETY: no pointers.
    fd_result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Sends a signal to the process behind a pidfd.
///
/// # Errors
/// ESRCH once it has been reaped, EPERM.
pub fn pidfd_send_signal(pidfd: BorrowedFd, signal: i32) -> Result<()> {
    let none: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: a null siginfo is allowed.
    Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) })
        .map(drop)
}

/// Joins namespaces: of a process by its pidfd and several flags, or one by its own descriptor.
///
/// # Errors
/// As setns(2); EINVAL for a pidfd before 5.8.
pub fn setns(fd: BorrowedFd, flags: libc::c_int) -> Result<()> {
    // SAFETY: no pointers.
    Errno::result(unsafe { libc::syscall(libc::SYS_setns, fd.as_raw_fd(), flags) }).map(drop)
}

/// The user namespace in which another one was made.
///
/// # Errors
/// EPERM where that is not below our own.
pub fn user_namespace_parent(namespace: BorrowedFd) -> Result<OwnedFd> {
    // SAFETY: the request takes no argument.
    fd_result(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_PARENT as libc::Ioctl) }.into())
}

/// The user who made a user namespace.
///
/// # Errors
/// As ioctl(2); EINVAL for a namespace of another kind.
pub fn user_namespace_owner(namespace: BorrowedFd) -> Result<u32> {
    let mut owner: libc::uid_t = 0;
    // SAFETY: the kernel writes one uid_t, which outlives the call.
    let raw = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_OWNER_UID as libc::Ioctl, &raw mut owner) };
    Errno::result(raw).map(|_| owner)
}

/// Closes descriptors `first..=last`.
///
/// # Errors
/// ENOSYS before 5.9.
pub fn close_range(first: u32, last: u32) -> Result<()> {
    // SAFETY: no pointers. Callers close descriptors that no live owner will use again.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Leaves the inherited session keyring for a new, anonymous one.
///
/// # Errors
/// As keyctl(2); ENOSYS where the kernel has no keys.
pub fn join_new_session_keyring() -> Result<()> {
    let anonymous: *const libc::c_char = std::ptr::null();
    // SAFETY: a null name asks for an anonymous keyring.
    Errno::result(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, anonymous) })
        .map(drop)
}

/// A context for a new procfs.
///
/// # Errors
/// As fsopen(2).
pub fn fsopen_proc() -> Result<OwnedFd> {
    // SAFETY: the name is a valid C string.
    fd_result(unsafe { libc::syscall(libc::SYS_fsopen, c"proc".as_ptr(), FSOPEN_CLOEXEC) })
}

/// Chooses the PID namespace of a procfs that is being made.
///
/// # Errors
/// EINVAL before 6.17.
pub fn fsconfig_pidns(context: BorrowedFd, pidns: BorrowedFd) -> Result<()> {
    let value: *const libc::c_char = std::ptr::null();
    // SAFETY: the key is a valid C string; SET_FD takes no value.
    let raw = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            FSCONFIG_SET_FD,
            c"pidns".as_ptr(),
            value,
            pidns.as_raw_fd(),
        )
    };
    Errno::result(raw).map(drop)
}

/// Creates the filesystem that a context describes.
///
/// # Errors
/// As fsconfig(2).
pub fn fsconfig_create(context: BorrowedFd) -> Result<()> {
    let none: *const libc::c_char = std::ptr::null();
    // SAFETY: CMD_CREATE takes neither key nor value.
    let raw =
        unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), FSCONFIG_CMD_CREATE, none, none, 0) };
    Errno::result(raw).map(drop)
}

/// A detached mount of a created filesystem; the descriptor is its root directory.
///
/// # Errors
/// As fsmount(2).
pub fn fsmount(context: BorrowedFd, attributes: u64) -> Result<OwnedFd> {
    // SAFETY: no pointers.
    fd_result(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
}

/// One prctl(2) of plain numbers.
///
/// # Errors
/// As prctl(2).
pub fn prctl(option: libc::c_int, a: libc::c_ulong, b: libc::c_ulong) -> Result<libc::c_int> {
    // SAFETY: callers pass options whose arguments are numbers.
    Errno::result(unsafe { libc::prctl(option, a, b, 0, 0) })
}

/// Loads a seccomp filter for this thread. no_new_privs must be set.
///
/// # Errors
/// As seccomp(2) with SECCOMP_SET_MODE_FILTER.
pub fn seccomp_filter(program: &[libc::sock_filter]) -> Result<()> {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel copies the program, which outlives the call, and does not write to it.
    let raw =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0) };
    Errno::result(raw).map(drop)
}

/// Ends this process at once, without destructors or exit handlers.
pub fn exit_now(status: u8) -> ! {
    // SAFETY: _exit does not return and touches no memory of ours.
    unsafe { libc::_exit(i32::from(status)) }
}

/// Forks; the child gets `None`. The system call itself, since glibc's fork drags its name service switch into the
/// binary; what glibc would do beside it concerns other threads, which there are none.
///
/// # Errors
/// As fork(2).
pub fn fork() -> Result<Option<i32>> {
    // SAFETY: without CLONE_VM and a stack this is fork(2): the child continues here on its own copy of everything.
    // Every caller is single-threaded, so that the child finds no lock held.
    match Errno::result(unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) })? {
        0 => Ok(None),
        child => Ok(Some(child as i32)),
    }
}

/// Takes ownership of a descriptor by its number.
///
/// # Errors
/// EBADF where it is not open.
pub fn own_fd(number: RawFd) -> Result<OwnedFd> {
    // SAFETY: F_GETFD has no effect; callers name numbers whose ownership was handed over by an exec or a fork.
    Errno::result(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    // SAFETY: it is open, and by the contract above nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Makes `to` the same open file as `from`, not close-on-exec.
///
/// # Errors
/// As dup2(2).
pub fn dup_to(from: RawFd, to: RawFd) -> Result<()> {
    if from == to {
        // SAFETY: no pointers.
        return Errno::result(unsafe { libc::fcntl(from, libc::F_SETFD, 0) }).map(drop);
    }
    // SAFETY: no pointers; callers replace descriptors that they own.
    Errno::result(unsafe { libc::dup2(from, to) }).map(drop)
}

/// The status that a child left: its exit status, or 128 + the signal. `None` while it runs.
///
/// # Errors
/// ECHILD where it is no child of ours.
pub fn reap(pid: i32) -> Result<Option<u8>> {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    loop {
        return match waitpid(nix::unistd::Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, status)) => Ok(Some(status as u8)),
            Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(128u8.wrapping_add(signal as u8))),
            Ok(_) => Ok(None),
            Err(Errno::EINTR) => continue,
            Err(errno) => Err(errno),
        };
    }
}

/// The parts of a program's memory that are as they are in its file.
pub struct Program(Vec<(usize, usize)>);

impl Program {
    /// Out of its `/proc/self/maps`: the code, and the constants before it. What is read-only after it was written once, by
    /// relocation, comes later.
    pub fn of(maps: &str) -> Self {
        let ranges = maps.lines().filter(|line| line.contains('/')).filter_map(|line| {
            let mut words = line.split(' ');
            let (begin, end) = words.next()?.split_once('-')?;
            let number = |text| usize::from_str_radix(text, 16).ok();
            Some((number(begin)?, number(end)?, words.next()?))
        });
        let ranges: Vec<_> = ranges.collect();
        let code = ranges.iter().position(|(.., mode)| *mode == "r-xp").map_or(0, |at| at + 1);
        let parts = ranges.iter().take(code).filter(|(.., mode)| matches!(*mode, "r--p" | "r-xp"));
        Self(parts.map(|(begin, end, _)| (*begin, *end)).collect())
    }

    /// Gives the memory back that they take, before a wait: what is needed again comes from the file.
    pub fn forget(&self) {
        for (begin, end) in &self.0 {
            // SAFETY: what is mapped of a file and was never to be written is the same when it is read again.
            unsafe {
                libc::madvise(*begin as *mut libc::c_void, end.saturating_sub(*begin), libc::MADV_DONTNEED)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Program;

    // Seen to fail with all that is read-only: relocations would be lost.
    #[test]
    fn what_was_relocated_is_not_among_what_may_be_forgotten() {
        let maps = "1000-2000 r--p 00000000 fe:00 7 /nsdbg\n2000-5000 r-xp 00001000 fe:00 7 /nsdbg\n\
                    5000-6000 r--p 00004000 fe:00 7 /nsdbg\n6000-7000 rw-p 00005000 fe:00 7 /nsdbg\n\
                    8000-9000 r-xp 00000000 00:00 0 [vdso]\n";
        assert_eq!(Program::of(maps).0, [(0x1000, 0x2000), (0x2000, 0x5000)]);
        assert!(Program::of("").0.is_empty());
    }
}
