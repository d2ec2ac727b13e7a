//! `doctor` in containers that are broken in one way each, and in healthy ones. What a check says of its fault is asked
//! for, and that no other check calls anything broken.

mod healthy;
mod image;
mod inside;
mod libraries;
mod network;
mod process;
mod prompt;
mod resources;
mod security;
mod why;
mod why_exec;
mod why_open;

use serde_json::Value;

use crate::live::run;
use crate::support::Sandbox;

/// What `doctor` says: its rows, and its status.
pub struct Report {
    pub rows: Vec<Value>,
    pub status: i32,
}

/// Runs `doctor --json` with these words.
pub fn doctor(target: &Sandbox, words: &[&str]) -> Report {
    doctor_with(target, &[], words)
}

/// The same, with options of nsdbg.
pub fn doctor_with(target: &Sandbox, options: &[&str], words: &[&str]) -> Report {
    let ran = run(target.nsdbg().args(options).args(["--json", "--", "doctor"]).args(words));
    let rows = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!([0, 1, 3].contains(&ran.status), "{ran:?}");
    Report { rows, status: ran.status }
}

impl Report {
    /// The rows of a check.
    pub fn of(&self, check: &str) -> Vec<&Value> {
        self.rows.iter().filter(|row| row["check"] == check).collect()
    }

    /// Asserts that a check says this of this subject (of any, where it is empty), and returns the row.
    pub fn says(&self, check: &str, status: &str, subject: &str) -> &Value {
        let found = self.of(check).into_iter().find(|row| {
            row["status"] == status && (subject.is_empty() || row["subject"].as_str() == Some(subject))
        });
        found.unwrap_or_else(|| panic!("{check} does not say {status} of {subject:?}: {:#?}", self.of(check)))
    }

    /// Asserts that no check outside of these says fail, and that a fault has evidence or a fix.
    pub fn nothing_else_is_broken(&self, checks: &[&str]) {
        for row in &self.rows {
            let check = row["check"].as_str().unwrap();
            assert!(row["status"] != "fail" || checks.contains(&check), "{row:#}");
            if row["status"] == "fail" || row["status"] == "warn" {
                assert!(!row["detail"].as_str().unwrap().is_empty() && row["fix"].is_string(), "{row:#}");
            }
        }
    }
}
