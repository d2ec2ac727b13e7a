//! One row of the doctor's report, and its way through the pipe from the process inside to the one outside, which believes
//! nothing of it but its shape.

use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};

use super::check::{Check, Found, Verdict};
use super::registry;

/// The longest line that is taken from the process inside.
const LINE: u64 = 64 << 10;
/// The most rows that are taken from it.
const ROWS: usize = 5000;

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub group: &'static str,
    pub status: Verdict,
    pub subject: Option<String>,
    pub detail: String,
    pub evidence: Vec<String>,
    pub fix: Option<String>,
}

impl Finding {
    /// What a check found, as rows; where it found nothing, that it is well.
    pub fn all(check: &Check, found: Vec<Found>) -> Vec<Self> {
        let found = if found.is_empty() { vec![Found::ok("nothing is wrong")] } else { found };
        found
            .into_iter()
            .map(|found| Self {
                check: check.id,
                group: check.group.name(),
                status: found.verdict,
                subject: Some(found.subject).filter(|subject| !subject.is_empty()),
                detail: found.detail,
                evidence: found.evidence,
                fix: found.fix,
            })
            .collect()
    }
}

/// The same, as it is read.
#[derive(Deserialize)]
struct Line {
    check: String,
    status: Verdict,
    subject: Option<String>,
    detail: String,
    evidence: Vec<String>,
    fix: Option<String>,
}

/// Reads rows that are checks' inside, up to the end or to what is none.
///
/// # Errors
/// Where the pipe can't be read, at the latest after the reader's own limit.
pub fn read(from: impl Read) -> (Vec<Finding>, io::Result<()>) {
    let mut from = io::BufReader::new(from);
    let mut rows = Vec::new();
    while rows.len() < ROWS {
        let mut line = Vec::new();
        match (&mut from).take(LINE).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return (rows, Err(error)),
        }
        match parse(&line) {
            Some(row) => rows.push(row),
            None => return (rows, Err(io::ErrorKind::InvalidData.into())),
        }
    }
    (rows, Ok(()))
}

/// A row of a check that looks from inside.
pub fn parse(line: &[u8]) -> Option<Finding> {
    let line: Line = serde_json::from_slice(line).ok()?;
    let check = registry::find(&line.check).filter(|check| check.is_inside())?;
    Some(Finding {
        check: check.id,
        group: check.group.name(),
        status: line.status,
        subject: line.subject,
        detail: line.detail,
        evidence: line.evidence,
        fix: line.fix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_the_pipe_and_others_are_refused() {
        let check = registry::CHECKS.iter().find(|check| check.is_inside()).unwrap();
        let found = Found::fail("it is gone").about("/a\n").seen("stat: no such file").fix("mkdir /a");
        let rows = Finding::all(check, vec![found, Found::ok("well")]);
        let mut bytes = Vec::new();
        for row in &rows {
            serde_json::to_writer(&mut bytes, row).unwrap();
            bytes.push(b'\n');
        }
        let (read_back, end) = read(bytes.as_slice());
        assert!(end.is_ok());
        assert_eq!(read_back, rows);
        let outside = registry::CHECKS.iter().find(|check| !check.is_inside()).unwrap();
        for wrong in [
            "x".to_owned(),
            serde_json::to_string(&Finding::all(outside, Vec::new())[0]).unwrap(),
            r#"{"check":"no-such","status":"ok","detail":"","evidence":[]}"#.to_owned(),
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
