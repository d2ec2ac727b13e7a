//! What a check is, and what it finds.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::container::Container;
use super::facts::Facts;
use crate::out::Name;

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// What the image lacks.
    Image,
    /// What the processes do.
    Process,
    /// What is used up.
    Resources,
    /// Who can be reached, and can reach.
    Network,
    /// What the container may do to the node.
    Security,
}

impl Group {
    /// As it is typed and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Process => "process",
            Self::Resources => "resources",
            Self::Network => "network",
            Self::Security => "security",
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is broken.
    Fail,
    /// It will break, or breaks now and then.
    Warn,
    /// It is unusual, and may be meant.
    Note,
    /// It could not be looked at, for the reason that is given.
    Skip,
    /// It is well.
    Ok,
}

impl Verdict {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Note => "note",
            Self::Skip => "skip",
            Self::Ok => "ok",
        }
    }
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// How bad it is.
    pub verdict: Verdict,
    /// What it is about: a path, a process, an address; spelled as [`Name`]s are. May be empty.
    pub subject: String,
    /// One sentence: lower case, no full stop.
    pub detail: String,
    /// What was seen that shows it.
    pub evidence: Vec<String>,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Found {
    fn new(verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { verdict, subject: String::new(), detail: detail.into(), evidence: Vec::new(), fix: None }
    }

    /// It is well.
    pub fn ok(detail: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, detail)
    }

    /// It is unusual.
    pub fn note(detail: impl Into<String>) -> Self {
        Self::new(Verdict::Note, detail)
    }

    /// It will break.
    pub fn warn(detail: impl Into<String>) -> Self {
        Self::new(Verdict::Warn, detail)
    }

    /// It is broken.
    pub fn fail(detail: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, detail)
    }

    /// It could not be looked at.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self::new(Verdict::Skip, reason)
    }

    /// What it is about: bytes of the container.
    #[must_use]
    pub fn about(mut self, subject: impl AsRef<OsStr>) -> Self {
        self.subject = Name::from(subject.as_ref().as_bytes()).spelled();
        self
    }

    /// Something that was seen.
    #[must_use]
    pub fn seen(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    /// What to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// Where a check looks.
pub enum Run {
    /// From inside, as the target's user: at its files, and through its network.
    Inside(fn(&Container) -> Vec<Found>),
    /// From outside: at processes, sockets, mounts, cgroups.
    Outside(fn(&Facts) -> Vec<Found>),
}

/// One check. A container without the fault gets nothing above a note.
pub struct Check {
    /// Its name; stable.
    pub id: &'static str,
    /// What it is about.
    pub group: Group,
    /// What it asks: a sentence with a question mark.
    pub question: &'static str,
    /// Whether it may take longer than some milliseconds: it asks the network, or walks through many files.
    pub is_slow: bool,
    /// Where it looks. Of nothing found it is said that it is well.
    pub run: Run,
}

impl Check {
    /// Whether it looks from inside.
    pub fn is_inside(&self) -> bool {
        matches!(self.run, Run::Inside(_))
    }
}
