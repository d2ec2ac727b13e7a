//! Docker: ROOT/containers/ID/config.v2.json and hostconfig.json.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::files::{FILE, Loose, Reader, Wrong, clean, option, parse_json, program};
use super::{Known, kubelet, machine};
use crate::target::runtime::Runtime;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Container {
    name: Loose<String>,
    state: Loose<State>,
    config: Loose<Config>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct State {
    running: Loose<bool>,
    pid: Loose<i32>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Config {
    image: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HostConfig {
    runtime: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Daemon {
    #[serde(rename = "data-root")]
    data_root: Loose<String>,
    graph: Loose<String>,
}

/// Reads docker's containers.
pub fn read(reader: &mut Reader) {
    for root in roots(reader) {
        let containers = root.join("containers");
        for id in reader.ids(&containers) {
            if let Some(known) = container(reader, &containers.join(&id), &id) {
                reader.known.entry(id).or_insert(known);
            }
        }
    }
}

/// The data roots of all docker daemons.
fn roots(reader: &mut Reader) -> Vec<PathBuf> {
    let mut roots = Vec::new();
    for shim in reader.shims.clone() {
        if program(&shim.args) != "dockerd" {
            continue;
        }
        if let Some(root) = option(&shim.args, &["--data-root", "-g", "--graph"]) {
            roots.extend(reader.absolute(shim, root));
        } else if let Some(file) = option(&shim.args, &["--config-file"]) {
            roots.extend(reader.absolute(shim, file).and_then(|file| configured(reader, &file)));
        }
    }
    // The files of a daemon that is not running still name containers that live on.
    let root = configured(reader, Path::new("/etc/docker/daemon.json"));
    roots.push(root.unwrap_or_else(|| "/var/lib/docker".into()));
    roots.sort_unstable();
    roots.dedup();
    roots
}

fn configured(reader: &mut Reader, file: &Path) -> Option<PathBuf> {
    let daemon: Daemon = reader.setting(file, FILE)?;
    let mut wrong = Wrong::default();
    let root = daemon.data_root.take("data-root", &mut wrong).or(daemon.graph.take("graph", &mut wrong));
    if let Some(sentence) = wrong.sentence(file) {
        reader.note(sentence);
    }
    root.map(PathBuf::from).filter(|root| root.is_absolute())
}

fn container(reader: &mut Reader, directory: &Path, id: &str) -> Option<Known> {
    let mut known = Known::new(id, Runtime::Docker);
    let path = directory.join("config.v2.json");
    match reader.bytes(&path, FILE) {
        Ok(Some(bytes)) => parse(&mut known, &bytes, &path),
        Ok(None) => return None,
        Err(sentence) => known.note = Some(sentence),
    }
    if !reader.lives(id, known.pid) {
        return None;
    }
    if let Ok(Some(host)) = reader.json::<HostConfig>(&directory.join("hostconfig.json"), FILE) {
        known.machine =
            host.runtime.take("Runtime", &mut Wrong::default()).and_then(|name| machine::named(&name));
    }
    Some(known)
}

/// Fills in what a config.v2.json says.
pub fn parse(known: &mut Known, bytes: &[u8], path: &Path) {
    match parse_json(bytes, path) {
        Ok(file) => fill(known, file, path),
        Err(sentence) => known.note = Some(sentence),
    }
}

fn fill(known: &mut Known, file: Container, path: &Path) {
    let mut wrong = Wrong::default();
    let name = file.name.take("Name", &mut wrong);
    known.name = name.and_then(|name| clean(name.strip_prefix('/').unwrap_or(&name).to_owned()));
    if let Some(state) = file.state.take("State", &mut wrong) {
        let running = state.running.take("State.Running", &mut wrong) == Some(true);
        known.pid = state.pid.take("State.Pid", &mut wrong).filter(|pid| running && *pid > 0);
    }
    if let Some(config) = file.config.take("Config", &mut wrong) {
        known.image = config.image.take("Config.Image", &mut wrong).and_then(clean);
    }
    // Not from labels, which an image can have.
    if let Some((container, pod)) = known.name.as_deref().and_then(kubelet::named) {
        known.is_sandbox = container == kubelet::SANDBOX;
        known.container = Some(container).filter(|_| !known.is_sandbox);
        known.pod = Some(pod);
    }
    known.note = wrong.sentence(path);
}
