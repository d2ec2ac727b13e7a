//! The session's environment: the target's, and what was exported.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::shell::Variables;

/// Variables in the order in which they were set, and the last status.
#[derive(Debug, Default)]
pub struct Session {
    all: Vec<(OsString, OsString)>,
    /// The status of the last pipeline.
    pub status: u8,
}

impl Session {
    /// Begins with these.
    pub fn new(all: Vec<(OsString, OsString)>) -> Self {
        Self { all, status: 0 }
    }

    /// All of them.
    pub fn all(&self) -> &[(OsString, OsString)] {
        &self.all
    }

    /// Sets one.
    pub fn set(&mut self, name: &OsStr, value: OsString) {
        match self.all.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.all.push((name.to_owned(), value)),
        }
    }

    /// Removes one.
    pub fn unset(&mut self, name: &OsStr) {
        self.all.retain(|(key, _)| key != name);
    }
}

impl Variables for Session {
    fn get(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.all.iter().find(|(key, _)| key.as_bytes() == name).map(|(_, value)| value.as_bytes().to_vec())
    }

    fn status(&self) -> u8 {
        self.status
    }
}

/// Whether a name can be a variable's: letters, digits, underscore, no digit first.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && !name[0].is_ascii_digit()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}
