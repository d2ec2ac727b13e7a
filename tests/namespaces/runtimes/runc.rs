//! runc alone.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use super::node::{directory, make_root};
use super::{Known, fixture, list, name, needs, said, soon, table, text};
use crate::live::wait;
use crate::support::LIMIT;

/// A container of runc, made once.
fn runc() -> Result<&'static Known, String> {
    static MADE: OnceLock<Result<Known, String>> = OnceLock::new();
    MADE.get_or_init(start).as_ref().map_err(Clone::clone)
}

fn start() -> Result<Known, String> {
    needs("runc", "runc")?;
    let bundle = directory().join("bundle");
    make_root(&bundle.join("rootfs"));
    said(Command::new("runc").arg("spec").current_dir(&bundle))?;
    let file = bundle.join("config.json");
    let mut spec: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let id = name("runc");
    spec["root"]["readonly"] = json!(false);
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["/server", "serve", "18434", id]);
    spec["process"]["user"] = json!({"uid": 65532, "gid": 65532});
    spec["process"]["rlimits"] = json!([]);
    fs::write(&file, spec.to_string()).unwrap();
    // The container keeps what it is given as stdout.
    let log = fs::File::create(directory().join("runc.log")).unwrap();
    let mut child = Command::new("runc")
        .args(["run", "-d", "--bundle"])
        .arg(&bundle)
        .arg(&id)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .map_err(|error| format!("runc: {error}"))?;
    if wait(&mut child, LIMIT) != Some(0) {
        let _ = child.kill();
        let _ = child.wait();
        let log = fs::read_to_string(directory().join("runc.log")).unwrap_or_default();
        return Err(format!("runc can't run it here: {log}"));
    }
    let pid = soon(Duration::from_secs(5), || {
        tasks()?.into_iter().find(|(known, _)| *known == id).ok_or_else(|| "runc does not show it".into())
    })?;
    Ok(Known { runtime: "runc", id, pid: pid.1, port: Some(18434), ..Known::default() }.mark())
}

/// Ids and PIDs of this run's containers as `runc list` shows them.
fn tasks() -> Result<Vec<(String, i32)>, String> {
    let rows = table(&said(Command::new("runc").arg("list"))?);
    let running = rows.into_iter().filter(|row| row.get(2).is_some_and(|state| state == "running"));
    let mine = running.filter(|row| row[0].ends_with(&format!("-{}", super::tag())));
    Ok(mine.map(|row| (row[0].clone(), row[1].parse().unwrap())).collect())
}

#[test]
fn a_container_of_runc_alone_is_listed_and_reached_by_its_name() {
    let container = fixture!(runc());
    container.is_listed();
    container.is_reached_by(&container.id);
}

#[test]
fn the_list_agrees_with_runc_list() {
    fixture!(runc());
    let theirs = tasks().unwrap();
    let rows = list(&["--runtime", "runc"]);
    let ours: Vec<(String, i32)> = rows
        .iter()
        .map(|row| (text(row, "id").to_owned(), row["pid"].as_i64().unwrap() as i32))
        .filter(|(id, _)| id.ends_with(&format!("-{}", super::tag())))
        .collect();
    assert_eq!(ours, theirs, "{rows:#?}");
}
