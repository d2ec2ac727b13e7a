//! The seccomp allowlist of every process that enters or watches. What is not listed answers EPERM.
//!
//! The program is a balanced tree over ranges of system call numbers, built at compile time: each check takes some
//! seven comparisons, and loading it is cheap. Sources: seccomp(2), linux/filter.h, syscalls(2).

use libc::sock_filter;

use super::{Result, Step};
use crate::sys::syscall;

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

/// `struct seccomp_data`: number, architecture, instruction pointer, six arguments of 64 bits.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
/// The low half of an argument; both architectures are little-endian. The kernel, too, reads ioctl's request, clone's
/// namespace flags and a socket's family from the low half alone.
const fn offset_argument(index: u32) -> u32 {
    16 + 8 * index
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const IF_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const fn errno(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

/// What happens to a system call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Refuse,
    Allow,
    /// Threads fall back to clone(2), whose flags can be looked at.
    NotThere,
    Ioctl,
    /// The same, and who made a user namespace.
    IoctlOfLister,
    Clone,
    Prctl,
    Socket,
    /// Network namespaces alone may be joined.
    Setns,
    /// For the read-only filter: look at the flags in this argument.
    OpenFlags,
}

/// The requests of ioctl(2) that commands use: sizes of terminals and queues, flags of files, facts of interfaces.
/// TIOCSTI and TIOCLINUX are not among them.
const IOCTLS: [u32; 15] = [
    0x5401,      // TCGETS
    0x5411,      // TIOCOUTQ, SIOCOUTQ
    0x5413,      // TIOCGWINSZ
    0x541b,      // FIONREAD
    0x5421,      // FIONBIO
    0x5451,      // FIOCLEX
    0x8910,      // SIOCGIFNAME
    0x8912,      // SIOCGIFCONF
    0x8913,      // SIOCGIFFLAGS
    0x8915,      // SIOCGIFADDR
    0x8921,      // SIOCGIFMTU
    0x8927,      // SIOCGIFHWADDR
    0x8933,      // SIOCGIFINDEX
    0x8906,      // SIOCGSTAMP
    0x8008_6601, // FS_IOC_GETFLAGS
];

/// The same for the list of containers, which also asks who made a user namespace.
const LISTERS_IOCTLS: [u32; 17] = {
    let mut all = [syscall::NS_GET_PARENT; 17];
    all[0] = syscall::NS_GET_OWNER_UID;
    let mut i = 0;
    while i < IOCTLS.len() {
        all[i + 2] = IOCTLS[i];
        i += 1;
    }
    all
};

/// The options of prctl(2) that only look, or that name a thread or an allocation.
const PRCTLS: [u32; 9] = [
    libc::PR_SET_PDEATHSIG as u32,
    libc::PR_GET_DUMPABLE as u32,
    libc::PR_SET_NAME as u32,
    libc::PR_GET_NAME as u32,
    libc::PR_GET_SECCOMP as u32,
    libc::PR_CAPBSET_READ as u32,
    libc::PR_GET_SECUREBITS as u32,
    libc::PR_GET_NO_NEW_PRIVS as u32,
    0x5356_4d41, // PR_SET_VMA
];

const FAMILIES: [u32; 5] = [
    libc::AF_UNIX as u32,
    libc::AF_INET as u32,
    libc::AF_INET6 as u32,
    libc::AF_NETLINK as u32,
    libc::AF_PACKET as u32,
];

/// Namespaces that clone(2) would make. CLONE_NEWTIME is not among clone's flags.
const NEW_NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

macro_rules! calls {
    ($($name:ident)*) => { [$(libc::$name),*] };
}

/// What commands and the runtime library use.
const COMMON: &[libc::c_long] = &calls!(
    SYS_accept4 SYS_accept SYS_bind SYS_brk SYS_capget SYS_chdir SYS_clock_getres SYS_clock_gettime
    SYS_clock_nanosleep SYS_close SYS_close_range SYS_connect SYS_copy_file_range SYS_dup SYS_dup3 SYS_epoll_create1
    SYS_epoll_ctl SYS_epoll_pwait SYS_eventfd2 SYS_exit SYS_exit_group SYS_faccessat SYS_faccessat2 SYS_fadvise64
    SYS_fallocate SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_fcntl SYS_fdatasync SYS_fgetxattr
    SYS_flistxattr SYS_flock SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate SYS_futex SYS_get_robust_list SYS_getcwd
    SYS_getdents64 SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups SYS_getpeername SYS_getpgid SYS_getpid
    SYS_getppid SYS_getpriority SYS_getrandom SYS_getresgid SYS_getresuid SYS_getrlimit SYS_getrusage SYS_getsid
    SYS_getsockname SYS_getsockopt SYS_gettid SYS_gettimeofday SYS_getuid SYS_getxattr SYS_inotify_add_watch
    SYS_inotify_init1 SYS_inotify_rm_watch SYS_kill SYS_lgetxattr SYS_linkat SYS_listen SYS_listxattr SYS_llistxattr
    SYS_lseek SYS_madvise SYS_membarrier SYS_memfd_create SYS_mincore SYS_mkdirat SYS_mlock SYS_mmap SYS_mprotect
    SYS_mremap SYS_munlock SYS_munmap SYS_nanosleep SYS_newfstatat SYS_openat SYS_openat2 SYS_pidfd_open
    SYS_pidfd_send_signal SYS_pipe2 SYS_ppoll SYS_pread64 SYS_preadv SYS_preadv2 SYS_prlimit64 SYS_pselect6
    SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read SYS_readahead SYS_readlinkat SYS_readv SYS_recvfrom SYS_recvmmsg
    SYS_recvmsg SYS_renameat SYS_renameat2 SYS_restart_syscall SYS_rseq SYS_rt_sigaction SYS_rt_sigpending
    SYS_rt_sigprocmask SYS_rt_sigqueueinfo SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait
    SYS_sched_get_priority_max SYS_sched_get_priority_min SYS_sched_getaffinity SYS_sched_getparam
    SYS_sched_getscheduler SYS_sched_yield SYS_sendfile SYS_sendmmsg SYS_sendmsg SYS_sendto SYS_set_robust_list
    SYS_set_tid_address SYS_setitimer SYS_setpgid SYS_setpriority SYS_setsid SYS_setsockopt SYS_shutdown
    SYS_sigaltstack SYS_signalfd4 SYS_socketpair SYS_splice SYS_statfs SYS_statx SYS_symlinkat SYS_sync_file_range
    SYS_sysinfo SYS_tee SYS_tgkill SYS_timer_create SYS_timer_delete SYS_timer_settime SYS_timerfd_create
    SYS_timerfd_gettime SYS_timerfd_settime SYS_times SYS_tkill SYS_truncate SYS_umask SYS_uname SYS_unlinkat
    SYS_utimensat SYS_vmsplice SYS_wait4 SYS_waitid SYS_write SYS_writev SYS_getitimer
    SYS_timer_gettime SYS_timer_getoverrun SYS_msync SYS_fsetxattr SYS_lsetxattr SYS_setxattr

);

/// The older forms that x86_64 still has beside them.
#[cfg(target_arch = "x86_64")]
const LEGACY: &[libc::c_long] = &calls!(
    SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create SYS_epoll_wait
    SYS_eventfd SYS_fork SYS_futimesat SYS_getdents SYS_getpgrp SYS_inotify_init SYS_lchown SYS_link SYS_lstat
    SYS_mkdir SYS_open SYS_pause SYS_pipe SYS_poll SYS_readlink SYS_rename SYS_rmdir SYS_select SYS_stat SYS_symlink
    SYS_time SYS_unlink
);
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: &[libc::c_long] = &[];

/// What changes files, beyond opening one for writing.
const WRITES: &[libc::c_long] = &calls!(
    SYS_fallocate SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_ftruncate SYS_linkat SYS_mkdirat SYS_openat2
    SYS_renameat SYS_renameat2 SYS_symlinkat SYS_truncate SYS_unlinkat SYS_utimensat SYS_fsetxattr SYS_lsetxattr
    SYS_setxattr SYS_copy_file_range SYS_sync_file_range
);
#[cfg(target_arch = "x86_64")]
const LEGACY_WRITES: &[libc::c_long] = &calls!(
    SYS_chmod SYS_chown SYS_creat SYS_futimesat SYS_lchown SYS_link SYS_mkdir SYS_open SYS_rename SYS_rmdir
    SYS_symlink SYS_unlink
);
#[cfg(not(target_arch = "x86_64"))]
const LEGACY_WRITES: &[libc::c_long] = &[];

/// System call numbers below this are looked up; what is beyond, x32's numbers too, is refused.
const NUMBERS: usize = 512;

type Verdicts = [Verdict; NUMBERS];

const fn mark(verdicts: &mut Verdicts, calls: &[libc::c_long], verdict: Verdict) {
    let mut i = 0;
    while i < calls.len() {
        verdicts[calls[i] as usize] = verdict;
        i += 1;
    }
}

const ALLOWLIST: Program = allowlist(Verdict::Refuse, Verdict::Ioctl);
const LISTING: Program = allowlist(Verdict::Setns, Verdict::IoctlOfLister);

const fn allowlist(setns: Verdict, ioctl: Verdict) -> Program {
    let mut verdicts = [Verdict::Refuse; NUMBERS];
    mark(&mut verdicts, COMMON, Verdict::Allow);
    mark(&mut verdicts, LEGACY, Verdict::Allow);
    mark(&mut verdicts, &[libc::SYS_clone3], Verdict::NotThere);
    mark(&mut verdicts, &[libc::SYS_clone], Verdict::Clone);
    mark(&mut verdicts, &[libc::SYS_ioctl], ioctl);
    mark(&mut verdicts, &[libc::SYS_prctl], Verdict::Prctl);
    mark(&mut verdicts, &[libc::SYS_socket], Verdict::Socket);
    mark(&mut verdicts, &[libc::SYS_setns], setns);
    Program::build(&verdicts, Verdict::Refuse)
}

const READ_ONLY: Program = {
    let mut verdicts = [Verdict::Allow; NUMBERS];
    mark(&mut verdicts, WRITES, Verdict::Refuse);
    mark(&mut verdicts, LEGACY_WRITES, Verdict::Refuse);
    mark(&mut verdicts, &[libc::SYS_openat], Verdict::OpenFlags);
    Program::build(&verdicts, Verdict::Allow)
};

/// A BPF program under construction.
struct Program {
    code: [sock_filter; 1024],
    length: usize,
}

impl Program {
    const fn build(verdicts: &Verdicts, beyond: Verdict) -> Self {
        let nothing = sock_filter { code: 0, jt: 0, jf: 0, k: 0 };
        let mut program = Self { code: [nothing; 1024], length: 0 };
        program.push(LOAD, 0, 0, OFFSET_ARCH);
        program.push(IF_EQUAL, 1, 0, AUDIT_ARCH);
        program.push(RETURN, 0, 0, KILL);
        program.push(LOAD, 0, 0, OFFSET_NUMBER);
        program.push(IF_AT_LEAST, 0, 1, NUMBERS as u32);
        program.decide(beyond);
        program.split(verdicts, 0, NUMBERS);
        program
    }

    const fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) {
        self.code[self.length] = sock_filter { code, jt, jf, k };
        self.length += 1;
    }

    /// Decides numbers `from..to`, for which the tree above has already sorted out the rest.
    const fn split(&mut self, verdicts: &Verdicts, from: usize, to: usize) {
        // The change of verdict that is nearest to the middle.
        let middle = from + (to - from) / 2;
        let mut distance = 0;
        let mut at = 0;
        while distance <= to - from && at == 0 {
            let (low, high) = (middle.saturating_sub(distance), middle + distance);
            if low > from && changes(verdicts, low) {
                at = low;
            } else if high > from && high < to && changes(verdicts, high) {
                at = high;
            }
            distance += 1;
        }
        if at == 0 {
            self.decide(verdicts[from]);
            return;
        }
        // Conditional jumps reach 255 instructions; an unconditional one reaches all.
        self.push(IF_AT_LEAST, 0, 1, at as u32);
        let jump = self.length;
        self.push(JUMP, 0, 0, 0);
        self.split(verdicts, from, at);
        self.code[jump].k = (self.length - jump - 1) as u32;
        self.split(verdicts, at, to);
    }

    const fn decide(&mut self, verdict: Verdict) {
        let refuse = errno(libc::EPERM);
        match verdict {
            Verdict::Refuse => self.push(RETURN, 0, 0, refuse),
            Verdict::Allow => self.push(RETURN, 0, 0, ALLOW),
            Verdict::NotThere => self.push(RETURN, 0, 0, errno(libc::ENOSYS)),
            Verdict::Ioctl => self.one_of(1, &IOCTLS, refuse),
            Verdict::IoctlOfLister => self.one_of(1, &LISTERS_IOCTLS, refuse),
            Verdict::Prctl => self.one_of(0, &PRCTLS, refuse),
            Verdict::Socket => self.one_of(0, &FAMILIES, errno(libc::EAFNOSUPPORT)),
            Verdict::Setns => self.one_of(1, &[libc::CLONE_NEWNET as u32], refuse),
            Verdict::Clone => self.no_bit(0, NEW_NAMESPACES, refuse),
            Verdict::OpenFlags => {
                let writes = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;
                self.no_bit(2, writes as u32, errno(libc::EROFS));
            }
        }
    }

    const fn one_of(&mut self, argument: u32, values: &[u32], otherwise: u32) {
        self.push(LOAD, 0, 0, offset_argument(argument));
        let mut i = 0;
        while i < values.len() {
            self.push(IF_EQUAL, (values.len() - i) as u8, 0, values[i]);
            i += 1;
        }
        self.push(RETURN, 0, 0, otherwise);
        self.push(RETURN, 0, 0, ALLOW);
    }

    const fn no_bit(&mut self, argument: u32, bits: u32, otherwise: u32) {
        self.push(LOAD, 0, 0, offset_argument(argument));
        self.push(IF_ANY_BIT, 0, 1, bits);
        self.push(RETURN, 0, 0, otherwise);
        self.push(RETURN, 0, 0, ALLOW);
    }

    const fn instructions(&self) -> &[sock_filter] {
        self.code.split_at(self.length).0
    }
}

const fn changes(verdicts: &Verdicts, at: usize) -> bool {
    verdicts[at - 1] as u8 != verdicts[at] as u8
}

static ALLOWLIST_PROGRAM: Program = ALLOWLIST;
static LISTING_PROGRAM: Program = LISTING;
static READ_ONLY_PROGRAM: Program = READ_ONLY;

/// Confines this process for good. no_new_privs must be set.
///
/// # Errors
/// Where the kernel has no seccomp filters, or refuses this one.
pub fn confine(read_only: bool) -> Result<()> {
    if read_only {
        syscall::seccomp_filter(READ_ONLY_PROGRAM.instructions()).step("seccomp", "read-only filter")?;
    }
    syscall::seccomp_filter(ALLOWLIST_PROGRAM.instructions()).step("seccomp", "allowlist")
}

/// Confines this process for good to what looking at the node takes: the allowlist, and joining network namespaces.
///
/// # Errors
/// As [`confine`].
pub fn confine_lister() -> Result<()> {
    syscall::seccomp_filter(LISTING_PROGRAM.instructions()).step("seccomp", "allowlist of the list")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel does, for a call with these arguments.
    fn verdict(program: &Program, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(AUDIT_ARCH.to_le_bytes());
        data.extend(0u64.to_le_bytes());
        arguments.iter().for_each(|a| data.extend(a.to_le_bytes()));
        let (mut at, mut value) = (0, 0u32);
        for _ in 0..200 {
            let sock_filter { code, jt, jf, k } = program.instructions()[at];
            at += 1;
            let jump = |yes: bool| usize::from(if yes { jt } else { jf });
            match code {
                LOAD => value = u32::from_le_bytes(data[k as usize..][..4].try_into().unwrap()),
                JUMP => at += k as usize,
                IF_EQUAL => at += jump(value == k),
                IF_AT_LEAST => at += jump(value >= k),
                IF_ANY_BIT => at += jump(value & k != 0),
                RETURN => return k,
                _ => unreachable!(),
            }
        }
        panic!("no verdict in 200 steps");
    }

    #[test]
    fn every_listed_call_is_allowed_and_every_other_refused() {
        let listed: Vec<u32> = COMMON.iter().chain(LEGACY).map(|n| *n as u32).collect();
        let special = calls!(SYS_clone3 SYS_clone SYS_ioctl SYS_prctl SYS_socket);
        for number in (0..700).chain([0x4000_0000, 0x4000_003b, u32::MAX]) {
            if special.contains(&libc::c_long::from(number)) {
                continue;
            }
            let expected = if listed.contains(&number) { ALLOW } else { errno(libc::EPERM) };
            assert_eq!(verdict(&ALLOWLIST, number, [0; 6]), expected, "{number}");
        }
    }

    #[test]
    fn arguments_are_looked_at_whatever_their_high_half() {
        let call = |number: libc::c_long, args: [u64; 6]| verdict(&ALLOWLIST, number as u32, args);
        for high in [0, 1 << 32, 0xffff_ffff << 32] {
            // TIOCSTI, TIOCLINUX.
            for request in [0x5412, 0x541c] {
                assert_eq!(call(libc::SYS_ioctl, [0, request | high, 0, 0, 0, 0]), errno(libc::EPERM));
            }
            assert_eq!(call(libc::SYS_ioctl, [0, 0x5413 | high, 0, 0, 0, 0]), ALLOW);
            let user = libc::CLONE_NEWUSER as u64;
            assert_eq!(call(libc::SYS_clone, [user | high, 0, 0, 0, 0, 0]), errno(libc::EPERM));
        }
        assert_eq!(call(libc::SYS_clone3, [0; 6]), errno(libc::ENOSYS));
        let setns = |flags: i32| verdict(&LISTING, libc::SYS_setns as u32, [3, flags as u64, 0, 0, 0, 0]);
        assert_eq!(setns(libc::CLONE_NEWNET), ALLOW);
        for flags in [0, libc::CLONE_NEWNS, libc::CLONE_NEWNET | libc::CLONE_NEWUSER] {
            assert_eq!(setns(flags), errno(libc::EPERM));
        }
        for (request, listers) in
            [(0x5412, errno(libc::EPERM)), (0x5413, ALLOW), (0xb702, ALLOW), (0xb704, ALLOW)]
        {
            let arguments = [3, request, 0, 0, 0, 0];
            assert_eq!(verdict(&LISTING, libc::SYS_ioctl as u32, arguments), listers, "{request:x}");
        }
        assert_eq!(call(libc::SYS_ioctl, [0, 0xb702, 0, 0, 0, 0]), errno(libc::EPERM));
        assert_eq!(call(libc::SYS_prctl, [libc::PR_SET_DUMPABLE as u64, 1, 0, 0, 0, 0]), errno(libc::EPERM));
        assert_eq!(call(libc::SYS_socket, [libc::AF_VSOCK as u64, 1, 0, 0, 0, 0]), errno(libc::EAFNOSUPPORT));
    }

    #[test]
    fn read_only_refuses_opening_for_writing() {
        let open = |flags: i32| verdict(&READ_ONLY, libc::SYS_openat as u32, [0, 0, flags as u64, 0, 0, 0]);
        assert_eq!(open(libc::O_RDONLY | libc::O_DIRECTORY), ALLOW);
        assert_eq!(open(libc::O_WRONLY), errno(libc::EROFS));
        assert_eq!(open(libc::O_RDONLY | libc::O_CREAT), errno(libc::EROFS));
        assert_eq!(verdict(&READ_ONLY, libc::SYS_unlinkat as u32, [0; 6]), errno(libc::EPERM));
    }
}
