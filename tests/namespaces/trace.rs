//! A process held by ptrace(2): stopped at its system calls, and made to call others in its own name.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::support::patient;

const LIMIT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(1);
/// PTRACE_O_SUSPEND_SECCOMP, which libc does not name: the tracee's filters let everything pass.
const SUSPEND_SECCOMP: usize = 1 << 21;
const OPTIONS: usize = (libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACEEXIT) as usize;
/// PTRACE_SYSCALL_INFO_ENTRY and _EXIT.
const ENTRY: u8 = 1;
const EXIT: u8 = 2;

/// A system call at which a process has stopped.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub number: i64,
    pub arguments: [u64; 6],
    /// What it returned; none where it is about to begin.
    pub result: Option<i64>,
}

/// Held by the thread that made it, and let go of when it is dropped.
pub struct Traced {
    pid: i32,
    last: Option<Call>,
}

/// The system call itself.
pub fn ptrace(request: libc::c_uint, pid: i32, address: usize, data: usize) -> io::Result<i64> {
    // SAFETY: callers pass numbers, or addresses of values that are as large as the request wants.
    match unsafe { libc::ptrace(request, pid, address, data) } {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

/// The beginning of a system call at which a process has stopped, or its end, with its result alone.
pub fn syscall_stop(pid: i32) -> Option<Call> {
    // SAFETY: zeros are a value of this structure.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid, size_of_val(&info), (&raw mut info) as usize).ok()?;
    match info.op {
        ENTRY => {
            // SAFETY: this member is the one that the kind of stop names.
            let entry = unsafe { info.u.entry };
            Some(Call { number: entry.nr as i64, arguments: entry.args, result: None })
        }
        EXIT => {
            // SAFETY: as above.
            let result = unsafe { info.u.exit }.sval;
            Some(Call { number: -1, arguments: [0; 6], result: Some(result) })
        }
        _ => None,
    }
}

impl Traced {
    /// Stops a process in the system call in which it waits.
    pub fn seize(pid: i32) -> Self {
        ptrace(libc::PTRACE_SEIZE, pid, 0, OPTIONS).unwrap();
        ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0).unwrap();
        let mut traced = Self { pid, last: None };
        traced.wait().expect("a process that waits");
        traced
    }

    /// Starts a program, stopped at its first instruction.
    pub fn spawn(command: &mut Command) -> (Child, Self) {
        // SAFETY: one system call between fork and exec.
        unsafe {
            command.pre_exec(|| ptrace(libc::PTRACE_TRACEME, 0, 0, 0).map(drop));
        }
        let child = command.spawn().unwrap();
        let mut traced = Self { pid: child.id() as i32, last: None };
        traced.wait().expect("a stop at exec");
        ptrace(libc::PTRACE_SETOPTIONS, traced.pid, 0, OPTIONS).unwrap();
        (child, traced)
    }

    /// Switches the process's seccomp filters off for as long as it is held; `false` where the kernel can't.
    pub fn suspend_seccomp(&self) -> bool {
        ptrace(libc::PTRACE_SETOPTIONS, self.pid, 0, OPTIONS | SUSPEND_SECCOMP).is_ok()
    }

    /// Waits for a stop: the signal and event it is told by, none where the process is about to end.
    fn wait(&mut self) -> Option<i32> {
        let (begun, mut status) = (Instant::now(), 0);
        loop {
            // SAFETY: the status is ours.
            match unsafe { libc::waitpid(self.pid, &mut status, libc::__WALL | libc::WNOHANG) } {
                // Most stops are a moment away.
                0 if begun.elapsed() < SHORT => std::thread::yield_now(),
                0 if begun.elapsed() < patient(LIMIT) => std::thread::sleep(SHORT),
                0 => panic!("process {} does not stop", self.pid),
                _ => break,
            }
        }
        let stopped = libc::WIFSTOPPED(status) && status >> 16 != libc::PTRACE_EVENT_EXIT;
        stopped.then_some(status >> 8)
    }

    /// Goes on to the next beginning or end of a system call; none where the process is about to end.
    pub fn next_call(&mut self) -> Option<Call> {
        let mut signal = 0;
        loop {
            ptrace(libc::PTRACE_SYSCALL, self.pid, 0, signal).ok()?;
            match self.wait()? {
                stop if stop == libc::SIGTRAP | 0x80 => break,
                // Of an exec, or of the interruption.
                stop if stop & 0xff == libc::SIGTRAP => signal = 0,
                stop => signal = stop as usize,
            }
        }
        let stop = syscall_stop(self.pid).expect("a stop at a system call");
        let begun = self.last.unwrap_or(stop);
        let call = if stop.result.is_some() { Call { result: stop.result, ..begun } } else { stop };
        self.last = Some(call);
        Some(call)
    }

    /// Lets go of it.
    pub fn detach(self) {}
}

#[cfg(target_arch = "x86_64")]
impl Traced {
    pub fn registers(&self) -> libc::user_regs_struct {
        // SAFETY: zeros are a value of this structure.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        ptrace(libc::PTRACE_GETREGS, self.pid, 0, (&raw mut registers) as usize).unwrap();
        registers
    }

    pub fn set_registers(&self, registers: &libc::user_regs_struct) {
        ptrace(libc::PTRACE_SETREGS, self.pid, 0, (&raw const *registers) as usize).unwrap();
    }

    /// Has the process, which stands behind a `syscall` instruction, call the kernel; then puts it back where it was.
    /// An error is a negative number.
    pub fn call(&mut self, number: i64, arguments: &[u64]) -> i64 {
        let before = self.registers();
        let result = self.call_and_stay(number, arguments);
        self.set_registers(&before);
        result
    }

    /// As [`Traced::call`], for an execve(2) that is expected to succeed.
    pub fn call_and_stay(&mut self, number: i64, arguments: &[u64]) -> i64 {
        let mut registers = self.registers();
        registers.rip -= 2;
        let code = ptrace(libc::PTRACE_PEEKTEXT, self.pid, registers.rip as usize, 0).unwrap();
        assert_eq!(code & 0xffff, 0x050f, "no syscall instruction");
        let argument = |at: usize| arguments.get(at).copied().unwrap_or(0);
        (registers.rax, registers.orig_rax) = (number as u64, u64::MAX);
        (registers.rdi, registers.rsi, registers.rdx) = (argument(0), argument(1), argument(2));
        (registers.r10, registers.r8, registers.r9) = (argument(3), argument(4), argument(5));
        self.set_registers(&registers);
        ptrace(libc::PTRACE_SINGLESTEP, self.pid, 0, 0).unwrap();
        let stop = self.wait().unwrap_or_else(|| panic!("call {number} ended the process"));
        assert_eq!(stop, libc::SIGTRAP, "call {number}");
        self.registers().rax as i64
    }

    /// Writes below the process's stack; returns where.
    pub fn write(&self, bytes: &[u8]) -> u64 {
        let at = (self.registers().rsp - 8192) & !15;
        for (word, chunk) in bytes.chunks(8).enumerate() {
            let mut whole = [0; 8];
            whole[..chunk.len()].copy_from_slice(chunk);
            let address = at as usize + 8 * word;
            ptrace(libc::PTRACE_POKEDATA, self.pid, address, u64::from_ne_bytes(whole) as usize).unwrap();
        }
        at
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = ptrace(libc::PTRACE_DETACH, self.pid, 0, 0);
    }
}

#[test]
#[cfg(not(target_arch = "x86_64"))]
fn r10_r12_r20_calls_made_in_a_childs_name() {
    crate::support::skip!("registers are set on x86_64 alone");
}
