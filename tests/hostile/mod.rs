//! The attackers: a file for each, all modes of the tests' static program. Each does what it can and tells on stdout
//! what it got; a test asserts that it got nothing, or that nsdbg went on.

mod claim;
mod dns;
mod exe;
mod fake;
mod forks;
mod fuse;
mod hold;
mod http;
mod memory;
mod names;
mod plant;
mod seize;
mod signals;
mod swap;
#[cfg(target_arch = "x86_64")]
mod takeover;
mod terminal;
mod thief;
mod traps;
mod unshare;
mod watch;

use std::collections::HashSet;

use crate::system::*;

pub use fake::{bind_fake, link_fake};
pub use fuse::{Daemon, Serving};

/// Becomes the attacker of this name; returns where there is none.
pub fn become_attacker(name: &str, rest: &[String]) {
    let argument = rest.first().map_or("", String::as_str);
    match name {
        "watch" => watch::watch(),
        "attack" => each_new(&mut [&mut exe::Writer::default(), &mut thief::Thief, &mut seize::Seizer]),
        "exe" => each_new(&mut [&mut exe::Writer::default()]),
        "thief" => each_new(&mut [&mut thief::Thief]),
        "seize" => each_new(&mut [&mut seize::Seizer]),
        #[cfg(target_arch = "x86_64")]
        "take-procfs" => each_new(&mut [&mut takeover::Swapper]),
        #[cfg(target_arch = "x86_64")]
        "stall" => each_new(&mut [&mut takeover::Staller::default()]),
        #[cfg(target_arch = "x86_64")]
        "forge" => each_new(&mut [&mut takeover::Forger]),
        #[cfg(target_arch = "x86_64")]
        "keep" => each_new(&mut [&mut takeover::Keeper]),
        "terminal" => each_new(&mut [&mut terminal::Typist]),
        "claim-cgroup" => claim::cgroup(argument, &rest[1]),
        "claim-name" => claim::process(argument),
        "hold" => hold::hold(argument.parse().unwrap()),
        "racers" => unshare::racers(),
        "swap" => swap::swap(argument, &rest[1]),
        "steal" => swap::steal(argument, &rest[1]),
        "stop" => signals::all(19, 1),
        "kill" => signals::all(9, 1),
        "signals" => signals::mixed(argument.parse().unwrap()),
        "names" => names::change(),
        "forks" => forks::noise(),
        "bomb" => forks::bomb(),
        "hog" => memory::hog(),
        "descriptors" => forks::descriptors(argument.parse().unwrap(), rest[1].parse().unwrap()),
        "mappings" => memory::mappings(argument.parse().unwrap()),
        "show" => memory::show(argument, &rest[1], rest.get(2).map_or("", String::as_str)),
        "dns" => dns::serve(argument),
        "http" => http::serve(rest),
        "plant" => plant::plant(),
        "traps" => traps::set(rest),
        "swap-trap" => traps::swap(argument, &rest[1]),
        "siege" => siege(),
        _ => {}
    }
}

/// What an attacker tells, each line once.
#[derive(Default)]
pub struct Told {
    said: HashSet<String>,
    new: Vec<String>,
}

impl Told {
    pub fn say(&mut self, line: String) {
        self.new.push(line);
    }

    /// Says what is new, where it is true: not of a PID that has come to mean another process.
    fn settle(&mut self, is_true: bool) {
        for line in self.new.drain(..) {
            if is_true && self.said.insert(line.clone()) {
                say(&line);
            }
        }
    }
}

/// What is tried on every process that is not the attacker's own.
trait Attack {
    fn on(&mut self, pid: i32, told: &mut Told);
    /// After all processes were tried.
    fn after(&mut self, _told: &mut Told) {}
}

/// Tries everything on each other process it sees, again and again.
fn each_new(attacks: &mut [&mut dyn Attack]) -> ! {
    let own = std::process::id() as i32;
    let mut told = Told::default();
    say("attacking");
    loop {
        for pid in processes().into_iter().filter(|pid| *pid != own) {
            for attack in attacks.iter_mut() {
                attack.on(pid, &mut told);
                told.settle(true);
            }
        }
        for attack in attacks.iter_mut() {
            attack.after(&mut told);
            told.settle(true);
        }
    }
}

/// All that go together at once, from a line on stdin on, each in a process of its own: a tracer, a thief, one that
/// stops and kills, one that changes names, and processes that come and go. This one serves HTTP meanwhile.
fn siege() -> ! {
    type Part = fn() -> !;
    let parts: [Part; 4] =
        [|| slowly(&mut [&mut thief::Thief, &mut seize::Seizer]), || signals::mixed(400), || names::change(), || {
            forks::noise()
        }];
    for part in parts {
        if unsafe { fork() } == 0 {
            unsafe { prctl(1, 9 as std::ffi::c_ulong) };
            part();
        }
    }
    crate::serve(std::net::Ipv4Addr::LOCALHOST, "8080", "hello\n")
}

/// As [`each_new`], with pauses, since two processors are shared with what is attacked; and with a look at whether the
/// PID still means the same process, since they come round.
fn slowly(attacks: &mut [&mut dyn Attack]) -> ! {
    let mut told = Told::default();
    loop {
        for pid in processes() {
            let pidfd = unsafe { syscall(434, i64::from(pid), 0_i64) };
            if pidfd >= 0 && !is_own(pid) {
                for attack in attacks.iter_mut() {
                    attack.on(pid, &mut told);
                }
                let is_same = unsafe { syscall(424, pidfd, 0_i64, 0_i64, 0_i64) } == 0;
                told.settle(is_same);
            }
            unsafe { close(pidfd as std::ffi::c_int) };
        }
        pause_for(2);
    }
}

/// Whether a process is one of the attackers' own. One of nsdbg's has a parent outside of the PID namespace, which
/// procfs shows as 0.
fn is_own(pid: i32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let end = stat.iter().rposition(|byte| *byte == b')').unwrap_or(0);
    let rest = String::from_utf8_lossy(&stat[end..]).into_owned();
    pid == 1 || rest.split(' ').nth(2) != Some("0")
}
