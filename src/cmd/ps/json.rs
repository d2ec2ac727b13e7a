//! The JSON row of a process.

use serde::Serialize;

use super::collect::{Collector, Process};
use crate::out::{Name, units};

/// Raw numbers: bytes, seconds, RFC 3339. Ids are the container's.
#[derive(Serialize)]
pub struct Row {
    pid: i32,
    ppid: i32,
    pgid: i32,
    sid: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<i32>,
    user: String,
    uid: u32,
    gid: u32,
    state: char,
    tty: Option<String>,
    cpu_percent: f64,
    mem_percent: f64,
    rss: u64,
    vsz: u64,
    cpu_time: f64,
    started: String,
    elapsed: u64,
    threads: i64,
    nice: i64,
    comm: Name,
    command: Name,
    args: Vec<Name>,
}

impl Row {
    /// The row of one process or, where threads are listed, of one thread.
    pub fn new(process: &Process, all: &Collector) -> Self {
        let (stat, system) = (&process.stat, &all.system);
        let mut command = Vec::new();
        process.command(&mut command);
        let args = process.args();
        let rounded = |percent: f64| (percent * 100.0).round() / 100.0;
        Self {
            pid: process.pid,
            ppid: stat.ppid,
            pgid: stat.pgrp,
            sid: stat.session,
            tid: all.threads.then_some(process.tid),
            user: all.users.user_name(process.uid),
            uid: process.uid,
            gid: process.gid,
            state: char::from(stat.state),
            tty: (stat.tty_nr != 0).then(|| process.tty()),
            cpu_percent: rounded(process.cpu_percent(system)),
            mem_percent: rounded(process.mem_percent(system)),
            rss: process.rss,
            vsz: stat.vsize,
            cpu_time: process.ticks() as f64 / system.hz as f64,
            started: units::rfc3339(process.started(system), 0),
            elapsed: process.elapsed(system) as u64,
            threads: stat.num_threads,
            nice: stat.nice,
            comm: Name::from(stat.comm.as_slice()),
            command: Name::from(command),
            args: if args.is_empty() {
                Vec::new()
            } else {
                args.split(|b| *b == 0).map(Name::from).collect()
            },
        }
    }
}
