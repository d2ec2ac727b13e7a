//! runc's and crun's own state: /run/runc/ID/state.json, /run/crun/ID/status.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Known;
use super::files::{FILE, Loose, Reader, Wrong, option, program};
use crate::target::runtime::Runtime;

/// runc's file and crun's, in the directory of a container.
const FILES: [&str; 2] = ["state.json", "status"];

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

/// Reads the state of an ordinary user's containers, who can write anything there.
pub fn read_of_user(reader: &mut Reader, user: u32) {
    let base = Path::new("/run/user").join(user.to_string());
    read_root(reader, &base.join("runc"), Runtime::Runc, Some(user));
    read_root(reader, &base.join("crun"), Runtime::Crun, Some(user));
}

/// The main process of one of root's containers, as runc or crun know it under whoever has called them: none of its own
/// where another has its PID by now. Nothing where they don't know it.
pub fn main_process_of(reader: &mut Reader, id: &str) -> Option<Option<i32>> {
    let containerd = Path::new("/run/containerd/runc");
    let namespaces = reader.ids(containerd).into_iter().map(|namespace| containerd.join(namespace));
    let roots = ["/run/runc", "/run/crun", "/run/docker/runtime-runc/moby", "/run/docker/runtime-crun/moby"];
    for root in roots.map(PathBuf::from).into_iter().chain(namespaces) {
        for file in FILES {
            if let Ok(Some(state)) = reader.json::<State>(&root.join(id).join(file), FILE) {
                return Some(main_process(reader, state, &mut Wrong::default()));
            }
        }
    }
    None
}

fn read_root(reader: &mut Reader, root: &Path, runtime: Runtime, user: Option<u32>) {
    for id in reader.ids(root) {
        if reader.known.get(&id).is_some_and(|known| known.pid.is_some()) {
            continue;
        }
        let path = root.join(&id).join(FILES[usize::from(runtime != Runtime::Runc)]);
        let (pid, note) = match reader.json::<State>(&path, FILE) {
            Ok(Some(state)) => {
                let mut wrong = Wrong::default();
                let pid = main_process(reader, state, &mut wrong);
                let is_theirs = |pid: &i32| user.is_none_or(|user| reader.owner(*pid) == Some(user));
                (pid.filter(is_theirs), wrong.sentence(&path))
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
