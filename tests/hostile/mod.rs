//! The attackers: a file for each, all modes of the tests' static program. Each does what it can and tells on stdout
//! what it got; a test asserts that it got nothing, or that nsdbg went on.

mod dns;
mod exe;
mod fake;
mod forks;
mod fuse;
mod hold;
mod memory;
mod names;
mod seize;
mod signals;
mod terminal;
mod thief;
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
        "terminal" => each_new(&mut [&mut terminal::Typist]),
        "hold" => hold::hold(argument.parse().unwrap()),
        "racers" => unshare::racers(),
        "stop" => signals::all(19, 1),
        "kill" => signals::all(9, 1),
        "signals" => signals::mixed(argument.parse().unwrap()),
        "names" => names::change(),
        "forks" => forks::noise(),
        "bomb" => forks::bomb(),
        "hog" => memory::hog(),
        "dns" => dns::serve(argument),
        "siege" => siege(),
        _ => {}
    }
}

/// What an attacker tells, each line once.
#[derive(Default)]
pub struct Told(HashSet<String>);

impl Told {
    pub fn say(&mut self, line: String) {
        if self.0.insert(line.clone()) {
            say(&line);
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
            }
        }
        for attack in attacks.iter_mut() {
            attack.after(&mut told);
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

/// As [`each_new`], with pauses: two processors are shared with what is attacked.
fn slowly(attacks: &mut [&mut dyn Attack]) -> ! {
    let mut told = Told::default();
    loop {
        for pid in processes() {
            if !is_own(pid) {
                for attack in attacks.iter_mut() {
                    attack.on(pid, &mut told);
                }
            }
        }
        pause_for(2);
    }
}

/// Whether a process is one of the attackers' own: their names are the program's, or begin so. Names that change are
/// those of processes with the attackers' parent.
fn is_own(pid: i32) -> bool {
    let own = std::process::id() as i32;
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let end = stat.iter().rposition(|byte| *byte == b')').unwrap_or(0);
    let rest = String::from_utf8_lossy(&stat[end..]).into_owned();
    let parent = rest.split(' ').nth(2).and_then(|word| word.parse::<i32>().ok()).unwrap_or(0);
    // Of a process from outside the PID namespace, procfs shows 0 as the parent; PID 1 has none either.
    pid == 1 || pid == own || parent != 0
}
