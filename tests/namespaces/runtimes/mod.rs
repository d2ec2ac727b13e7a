//! Containers of real runtimes by name, id, pod and port: the list against the runtimes' own tools, and the right
//! process for each name. Runtimes are started once for all tests and ended by `tests/support/runtimes-end`.

mod cluster;
mod containerd;
mod cri;
mod docker;
mod named;
mod node;
mod podman_pods;
mod runc;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::live::{Ran, run, within};
use crate::support::{LIMIT, NSDBG};

/// A file that only one container has.
const MARKER: &str = "/nsdbg-marker";

/// A running container, as its runtime tells of it.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub runtime: &'static str,
    /// As the runtime's own list shows it; none where a container has none but its pod's.
    pub name: Option<String>,
    pub id: String,
    pub pid: i32,
    pub image: Option<String>,
    pub pod: Option<String>,
    pub namespace: Option<String>,
    /// Its name in the pod.
    pub container: Option<String>,
    /// The port that it listens on.
    pub port: Option<u16>,
}

impl Known {
    /// Waits until the container's program runs, and leaves a file in it that tells it from all others.
    fn mark(self) -> Self {
        let cmdline = format!("/proc/{}/cmdline", self.pid);
        let runs = || fs::read(&cmdline).is_ok_and(|line| line.starts_with(b"/server\0"));
        assert!(within(LIMIT, runs), "{self:?} does not run");
        fs::write(format!("/proc/{}/root{MARKER}", self.pid), self.marker()).unwrap();
        self
    }

    fn marker(&self) -> String {
        format!("{} {}\n", self.runtime, self.id)
    }

    /// Asserts that a target's name leads here.
    fn is_reached_by(&self, target: &str) {
        let ran = run(Command::new(NSDBG).args([target, "--", "cat", MARKER]));
        assert_eq!((ran.status, ran.text()), (0, self.marker()), "{target}: {ran:?}");
        let ran = run(Command::new(NSDBG).args([target, "--", "ls", "/"]));
        assert!(ran.status == 0 && ran.text().lines().any(|line| line == &MARKER[1..]), "{target}: {ran:?}");
    }

    /// Its row of the list.
    fn row(&self) -> Value {
        let rows = list(&[]);
        let mut mine = rows.iter().filter(|row| text(row, "id") == self.id);
        let row = mine.next().unwrap_or_else(|| panic!("{self:?} is not in {rows:#?}")).clone();
        assert!(mine.next().is_none(), "{self:?} is there twice: {rows:#?}");
        row
    }

    /// Asserts that the list says of it what the runtime says.
    fn is_listed(&self) {
        let row = self.row();
        assert_eq!(text(&row, "runtime"), self.runtime, "{row:#}");
        assert_eq!(row["pid"], self.pid, "{row:#}");
        let known = [
            ("name", &self.name),
            ("image", &self.image),
            ("pod", &self.pod),
            ("namespace", &self.namespace),
            ("container", &self.container),
        ];
        for (field, value) in known.into_iter().filter_map(|(field, value)| Some((field, value.as_ref()?))) {
            assert_eq!(text(&row, field), value, "{field}: {row:#}");
        }
        if let Some(port) = self.port {
            assert!(row["ports"].to_string().contains(&port.to_string()), "{row:#}");
        }
        assert_eq!(text(&row, "state"), "running", "{row:#}");
        assert!(row["processes"].as_u64() >= Some(1), "{row:#}");
        assert!(row["age"].as_f64().is_some_and(|age| (0.0..600.0).contains(&age)), "{row:#}");
    }
}

/// `nsdbg --list --json` with filters, as rows.
fn list(filters: &[&str]) -> Vec<Value> {
    let ran = run(Command::new(NSDBG).args(["--list", "--json"]).args(filters));
    assert_eq!(ran.status, 0, "{ran:?}");
    ran.text().lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// A field of a row as text; empty where it says nothing.
fn text<'row>(row: &'row Value, field: &str) -> &'row str {
    row[field].as_str().unwrap_or_default()
}

/// What the tests of this run name things: unlike those of any other run.
fn tag() -> String {
    std::process::id().to_string()
}

/// A name for a container or a pod; `runtimes-end` removes what has it.
fn name(kind: &str) -> String {
    format!("nsdbg-test-{kind}-{}", tag())
}

/// Stdout of a tool that must succeed.
fn said(command: &mut Command) -> Result<String, String> {
    let ran = run(command);
    if ran.status == 0 { Ok(ran.text()) } else { Err(format!("{command:?}: {}", ran.err.trim())) }
}

/// Rows that a tool prints as a table: each line's words, without the heading.
fn table(out: &str) -> Vec<Vec<String>> {
    out.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

/// Whether a tool is there; if not, what provides it.
fn needs(tool: &str, package: &str) -> Result<(), String> {
    let found = Command::new(tool).arg("--version").output().is_ok() || Path::new(tool).exists();
    if found { Ok(()) } else { Err(format!("no {tool}: apt-get install {package}")) }
}

/// Tries until it succeeds, within a limit.
fn soon<T>(limit: Duration, mut what: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let mut last = Err(String::new());
    within(limit, || {
        last = what();
        last.is_ok()
    });
    last
}

/// Asserts that a target is refused as ambiguous and that all candidates are named.
fn is_ambiguous(target: &str, candidates: &[&Known]) -> Ran {
    let ran = run(Command::new(NSDBG).args([target, "--", "ls", "/"]));
    assert_eq!(ran.status, 2, "{target}: {ran:?}");
    let told = format!("{}{}", ran.err, ran.text());
    for candidate in candidates {
        assert!(told.contains(&candidate.id[..12.min(candidate.id.len())]), "{candidate:?}: {told}");
    }
    ran
}

/// The value of a fixture, or a counted skip.
macro_rules! fixture {
    ($start:expr) => {{
        crate::support::needs_root!();
        match $start {
            Ok(value) => value,
            Err(reason) => crate::support::skip!("{reason}"),
        }
    }};
}
use fixture;
