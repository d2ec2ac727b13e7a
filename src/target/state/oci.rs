//! runc's and crun's own state: /run/runc/ID/state.json, /run/crun/ID/status.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Known;
use super::files::{FILE, Loose, Reader, Wrong, option, program};
use crate::target::runtime::Runtime;

/// Both files in one: their keys differ.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct State {
    /// runc's.
    init_process_pid: Loose<i32>,
    init_process_start: Loose<u64>,
    /// crun's.
    pid: Loose<i32>,
    #[serde(rename = "process-start-time")]
    process_start_time: Loose<u64>,
}

/// Reads the state of root's containers.
pub fn read(reader: &mut Reader) {
    let mut roots = vec![(PathBuf::from("/run/runc"), Runtime::Runc), ("/run/crun".into(), Runtime::Crun)];
    for shim in reader.shims.clone() {
        let runtime = match program(&shim.args) {
            "runc" => Runtime::Runc,
            "crun" => Runtime::Crun,
            _ => continue,
        };
        if let Some(root) = option(&shim.args, &["--root"]).and_then(|root| reader.absolute(shim, root)) {
            roots.push((root, runtime));
        }
    }
    for (root, runtime) in roots {
        read_root(reader, &root, runtime, None);
    }
}

/// Reads the state of ordinary users' containers, which they can write as they like.
pub fn read_of_users(reader: &mut Reader) {
    let base = Path::new("/run/user");
    for name in reader.ids(base) {
        if name.parse::<u32>().is_ok_and(|user| user != 0) {
            read_root(reader, &base.join(&name).join("runc"), Runtime::Runc, Some(&name));
            read_root(reader, &base.join(&name).join("crun"), Runtime::Crun, Some(&name));
        }
    }
}

fn read_root(reader: &mut Reader, root: &Path, runtime: Runtime, user: Option<&str>) {
    for id in reader.ids(root) {
        // A user's file has no say on what others have told already.
        if reader.known.get(&id).is_some_and(|known| known.pid.is_some() || user.is_some()) {
            continue;
        }
        let path = root.join(&id).join(if runtime == Runtime::Runc { "state.json" } else { "status" });
        let (pid, note) = match reader.json::<State>(&path, FILE) {
            Ok(Some(state)) => {
                let mut wrong = Wrong::default();
                let pid = main_process(reader, state, &mut wrong);
                (pid.filter(|pid| user.is_none_or(|user| belongs(reader, *pid, user))), wrong.sentence(&path))
            }
            Ok(None) => continue,
            Err(sentence) => (None, Some(sentence)),
        };
        if let Some(known) = reader.known.get_mut(&id) {
            known.pid = pid;
        } else if pid.is_some() || reader.hints.live.contains(&id) {
            let known = Known { name: Some(id.clone()), pid, note, ..Known::new(&id, runtime) };
            reader.known.insert(id, known);
        }
    }
}

/// The main process, if the one that has its PID now started when the file says.
fn main_process(reader: &Reader, state: State, wrong: &mut Wrong) -> Option<i32> {
    let (pid, start) = state.named(wrong)?;
    (reader.start_time(pid) == Some(start)).then_some(pid)
}

impl State {
    /// The main process and when it started, as the file has them.
    pub fn named(self, wrong: &mut Wrong) -> Option<(i32, u64)> {
        let pid = self.init_process_pid.take("init_process_pid", wrong).or(self.pid.take("pid", wrong));
        let start = self.init_process_start.take("init_process_start", wrong);
        let start = start.or(self.process_start_time.take("process-start-time", wrong))?;
        Some((pid.filter(|pid| *pid > 0)?, start))
    }
}

fn belongs(reader: &Reader, pid: i32, user: &str) -> bool {
    reader.status(pid, "Uid").unwrap_or_default().split_ascii_whitespace().next() == Some(user)
}
