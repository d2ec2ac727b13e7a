//! The usual case of [`super::image::protect`], before libc starts: what libc does at a start is a good part of what a
//! command takes, and the first of the two starts needs none of it.
//!
//! This runs before relocation, without thread-local storage: no statics that hold pointers, no call into libc, no
//! formatting. Strings are read by volatile loads, which the compiler makes no call of strlen or memcmp from. Whatever fails here is tried again, and told, by [`super::image::protect`].

use super::image::{STARTUP_FD, WANTED};

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".globl nsdbg_start",
    ".type nsdbg_start,@function",
    "nsdbg_start:",
    "mov %rsp, %rbx",
    "mov %rdx, %r12",
    "mov %rsp, %rdi",
    "and $-16, %rsp",
    "call {early}",
    "mov %rbx, %rsp",
    "mov %r12, %rdx",
    "xor %ebx, %ebx",
    "jmp _start",
    early = sym early,
    options(att_syntax)
);

#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".globl nsdbg_start",
    ".type nsdbg_start,%function",
    "nsdbg_start:",
    "mov x19, sp",
    "mov x20, x0",
    "mov x0, sp",
    "bl {early}",
    "mov sp, x19",
    "mov x0, x20",
    "b _start",
    early = sym early
);

/// The system call itself. Errors are negative.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: libc::c_long, a: usize, b: usize, c: usize, d: usize, e: usize) -> isize {
    let result;
    // SAFETY: what the call does is the caller's to argue; the registers that the kernel changes are named.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result
}

/// The system call itself. Errors are negative.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: libc::c_long, a: usize, b: usize, c: usize, d: usize, e: usize) -> isize {
    let result;
    // SAFETY: what the call does is the caller's to argue.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            options(nostack)
        );
    }
    result
}

/// A string of the kernel's argument vector: where it begins, and its length.
type Text = (*const u8, usize);

/// The strings of a vector that ends in a null pointer.
///
/// # Safety
/// `vector` is argv or envp as the kernel laid it out.
unsafe fn text(vector: *const *const u8, at: usize) -> Option<Text> {
    // SAFETY: callers go up to the null pointer and no further.
    let begin = unsafe { *vector.add(at) };
    if begin.is_null() {
        return None;
    }
    let mut length = 0;
    // SAFETY: the kernel ends each string with NUL.
    while unsafe { begin.add(length).read_volatile() } != 0 {
        length += 1;
    }
    Some((begin, length))
}

/// Whether a string is `expected`, up to its own end or to `=`.
///
/// # Safety
/// `text` is a string of the kernel's.
unsafe fn is(text: Text, expected: &[u8], up_to: usize) -> bool {
    if up_to != expected.len() {
        return false;
    }
    let mut at = 0;
    while at < up_to {
        // SAFETY: `up_to` is at most the string's length.
        if unsafe { text.0.add(at).read_volatile() } != expected[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Writes the start-up's parts as [`super::wire::Writer`] does.
struct Writer {
    fd: usize,
    failed: bool,
}

impl Writer {
    fn raw(&mut self, begin: *const u8, length: usize) {
        // SAFETY: callers give memory of theirs, or a string of the kernel's.
        let written = unsafe { call(libc::SYS_write, self.fd, begin as usize, length, 0, 0) };
        self.failed |= written != length as isize;
    }

    fn number(&mut self, value: usize) {
        let bytes = (value as u64).to_le_bytes();
        self.raw(bytes.as_ptr(), bytes.len());
    }

    fn bytes(&mut self, begin: *const u8, length: usize) {
        self.number(length);
        if length > 0 {
            self.raw(begin, length);
        }
    }
}

/// Where the name of an environment entry ends, if it is one of the wanted ones.
///
/// # Safety
/// `entry` is a string of the kernel's.
unsafe fn wanted(entry: Text) -> Option<usize> {
    let mut end = 0;
    // SAFETY: below the string's length.
    while end < entry.1 && unsafe { entry.0.add(end).read_volatile() } != b'=' {
        end += 1;
    }
    if end == entry.1 {
        return None;
    }
    let names = WANTED.as_bytes();
    let mut begin = 0;
    while begin < names.len() {
        let mut stop = begin;
        while stop < names.len() && names[stop] != b' ' {
            stop += 1;
        }
        // SAFETY: the entry is a string of the kernel's, and `end` within it.
        if unsafe { is(entry, &names[begin..stop], end) } {
            return Some(end);
        }
        begin = stop + 1;
    }
    None
}

/// Called by the entry point with the stack as the kernel laid it out: argc, argv, null, envp, null.
unsafe extern "C" fn early(stack: *const usize) {
    // Under test there is nothing to protect.
    if cfg!(test) {
        return;
    }
    // SAFETY: the layout of a new process's stack: argc, argv and a null pointer, envp and a null pointer.
    unsafe {
        let argc = *stack;
        let argv = stack.add(1).cast::<*const u8>();
        let envp = argv.add(argc + 1);
        let second =
            argc == 1 && (*envp).is_null() && text(argv, 0).is_some_and(|name| is(name, b"nsdbg", name.1));
        if argc > 0 && !second {
            start_again(argv, argc, envp);
        }
    }
}

/// Returns where it can't be done here.
///
/// # Safety
/// `argv` and `envp` are the kernel's.
unsafe fn start_again(argv: *const *const u8, argc: usize, envp: *const *const u8) -> Option<()> {
    let descriptor = |result: isize| usize::try_from(result).ok();
    let cloexec = libc::O_CLOEXEC as usize;
    let empty = c"".as_ptr() as usize;
    let empty_path = libc::AT_EMPTY_PATH as usize;
    // SAFETY: every pointer is to a constant, to a variable that outlives its call, or a string of the kernel's.
    unsafe {
        let path = c"/proc/self/exe".as_ptr() as usize;
        let here = libc::AT_FDCWD as isize as usize;
        let exe = descriptor(call(libc::SYS_openat, here, path, libc::O_PATH as usize | cloexec, 0, 0))?;
        // OPEN_TREE_CLONE is 1.
        let tree = descriptor(call(libc::SYS_open_tree, exe, empty, 1 | cloexec | empty_path, 0, 0))?;
        // struct mount_attr: set, clear, propagation, userns_fd. MOUNT_ATTR_RDONLY is 1.
        let attributes: [u64; 4] = [1, 0, 0, 0];
        let set = call(
            libc::SYS_mount_setattr,
            tree,
            empty,
            empty_path,
            attributes.as_ptr() as usize,
            size_of_val(&attributes),
        );
        if set != 0 || tree == STARTUP_FD as usize {
            return None;
        }
        let flags = libc::MFD_CLOEXEC as usize | libc::MFD_ALLOW_SEALING as usize;
        let name = c"arguments".as_ptr() as usize;
        let memfd = descriptor(call(libc::SYS_memfd_create, name, flags, 0, 0, 0))?;
        let mut writer = Writer { fd: memfd, failed: false };
        writer.number(argc - 1);
        let mut at = 1;
        while let Some((begin, length)) = text(argv, at) {
            writer.bytes(begin, length);
            at += 1;
        }
        write_variables(envp, &mut writer);
        let seals =
            (libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL) as usize;
        let sealed = call(libc::SYS_fcntl, memfd, libc::F_ADD_SEALS as usize, seals, 0, 0);
        let placed = if memfd == STARTUP_FD as usize {
            call(libc::SYS_fcntl, memfd, libc::F_SETFD as usize, 0, 0, 0)
        } else {
            call(libc::SYS_dup3, memfd, STARTUP_FD as usize, 0, 0, 0)
        };
        if writer.failed || sealed < 0 || placed < 0 {
            return None;
        }
        let argv = [c"nsdbg".as_ptr() as usize, 0];
        let envp = [0usize];
        call(libc::SYS_execveat, tree, empty, argv.as_ptr() as usize, envp.as_ptr() as usize, empty_path);
    }
    None
}

/// The names of the wanted variables, then their values.
///
/// # Safety
/// `envp` is the kernel's.
unsafe fn write_variables(envp: *const *const u8, writer: &mut Writer) {
    let mut count = 0;
    let mut part = 0;
    // Counted, then written: names, values.
    while part < 3 {
        if part > 0 {
            writer.number(count);
        }
        let mut at = 0;
        // SAFETY: up to the null pointer; `end` is within the entry and before its `=`.
        unsafe {
            while let Some(entry) = text(envp, at) {
                at += 1;
                let Some(end) = wanted(entry) else { continue };
                match part {
                    0 => count += 1,
                    1 => writer.bytes(entry.0, end),
                    _ => writer.bytes(entry.0.add(end + 1), entry.1 - end - 1),
                }
            }
        }
        part += 1;
    }
}
