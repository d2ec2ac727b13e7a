//! One shape for every error: operation, object, cause, and a hint where there is one.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use super::name::{Name, escape};

/// What went wrong. On stderr it reads `open /etc/shadow: permission denied`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The operation that failed, a verb or the name of a system call: `open`, `connect`.
    pub op: Cow<'static, str>,
    /// What it was done to, as raw bytes: a path, an address; none where there is no such thing. An empty one was
    /// typed.
    pub object: Option<Vec<u8>>,
    /// Why.
    pub cause: Cause,
    /// A command or option to type that would help.
    pub hint: Option<String>,
    /// The exit status that this fault asks for; 1 where it does not say.
    pub status: u8,
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The kernel said so.
    Errno(i32),
    /// Our own sentence: lower case, no full stop.
    Text(Cow<'static, str>),
}

impl Fault {
    /// A fault of an operation that has no object.
    pub fn of(op: impl Into<Cow<'static, str>>, cause: impl Into<Cause>) -> Self {
        Self { op: op.into(), object: None, cause: cause.into(), hint: None, status: 1 }
    }

    /// The same fault of an operation on this.
    #[must_use]
    pub fn on(mut self, object: impl AsRef<OsStr>) -> Self {
        self.object = Some(object.as_ref().as_bytes().to_vec());
        self
    }

    /// A fault of a system call. An `io::Error` without an errno keeps its text.
    pub fn io(op: impl Into<Cow<'static, str>>, object: impl AsRef<OsStr>, error: &std::io::Error) -> Self {
        Self::of(op, error).on(object)
    }

    /// A fault of writing to standard output.
    pub fn output(error: std::io::Error) -> Self {
        Self::io("write", "standard output", &error)
    }

    /// A fault of a system call made through nix or libc.
    pub fn errno(op: impl Into<Cow<'static, str>>, object: impl AsRef<OsStr>, errno: Errno) -> Self {
        Self::of(op, errno).on(object)
    }

    /// A fault that we found ourselves.
    pub fn text(
        op: impl Into<Cow<'static, str>>,
        object: impl AsRef<OsStr>,
        cause: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::of(op, Cause::Text(cause.into())).on(object)
    }

    /// A sentence alone, without operation or object.
    pub fn say(cause: impl Into<Cow<'static, str>>) -> Self {
        Self::of("", Cause::Text(cause.into()))
    }

    /// Wrong use: exit status 2.
    pub fn usage(cause: impl Into<Cow<'static, str>>) -> Self {
        Self::say(cause).with_status(2)
    }

    /// The same fault with a hint: a command or option to type.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same fault asking for another exit status.
    #[must_use]
    pub fn with_status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// The errno, where the kernel gave one.
    pub fn raw_errno(&self) -> Option<i32> {
        match self.cause {
            Cause::Errno(errno) => Some(errno),
            Cause::Text(_) => None,
        }
    }

    /// The line for stderr, without newline: `COMMAND: op object: cause (hint)`.
    pub fn line(&self, command: &str) -> String {
        if command.is_empty() { self.to_string() } else { format!("{command}: {self}") }
    }

    /// The object for stderr under `--json`.
    pub fn json(&self, command: &str) -> serde_json::Value {
        serde_json::json!({
            "command": command,
            "op": self.op,
            "path": Name::from(self.object.clone().unwrap_or_default()),
            "errno": self.raw_errno(),
            "error": self.cause.to_string(),
            "hint": self.hint,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = self.object.as_deref().map(|object| match object {
            [] => "''".to_owned(),
            bytes => escape(bytes),
        });
        let head = match (self.op.as_ref(), object) {
            ("", None) => String::new(),
            (op, None) => format!("{op}: "),
            ("", Some(object)) => format!("{object}: "),
            (op, Some(object)) => format!("{op} {object}: "),
        };
        write!(f, "{head}{}", self.cause)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno as i32)
    }
}

impl From<&std::io::Error> for Cause {
    fn from(error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::Errno(errno),
            None => Self::Text(error.to_string().into()),
        }
    }
}

impl From<&'static str> for Cause {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno(errno) => f.write_str(&errno_text(*errno)),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The status after something was printed on standard output. A pipe that nobody reads any more is silent, and has the
/// status of a program that SIGPIPE ended.
///
/// # Errors
/// Why else it could not be written.
pub fn printed(result: std::io::Result<()>) -> Result<u8, Fault> {
    match result {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(128 + nix::libc::SIGPIPE as u8),
        Err(error) => Err(Fault::output(error)),
    }
}

/// What an errno means, in the kernel's words, lower case: `permission denied`.
pub fn errno_text(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("errno {errno}"),
        known => lower_first(known.desc()),
    }
}

/// Lower-cases the first letter unless the word is an acronym or a name (`I/O error`).
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if first.is_ascii_uppercase() && second.is_ascii_lowercase() => {
            first.to_ascii_lowercase().to_string() + &text[1..]
        }
        _ => text.to_owned(),
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_operation_object_cause_hint() {
        let fault = Fault::errno("open", "/etc/shadow", Errno::EACCES).with_hint("--root");
        assert_eq!(fault.line("ls"), "ls: open /etc/shadow: permission denied (--root)");
        assert_eq!(Fault::say("no such thing").line(""), "no such thing");
        assert_eq!(Fault::errno("open", "", Errno::ENOENT).to_string(), "open '': no such file or directory");
        assert_eq!(Fault::of("poll", Errno::EINVAL).to_string(), "poll: invalid argument");
        assert_eq!(errno_text(libc::EIO), "I/O error");
    }

    #[test]
    fn control_characters_in_the_object_are_escaped() {
        let fault = Fault::errno("open", "a\x1b[2Jb\nc", Errno::ENOENT);
        assert!(!fault.to_string().contains('\x1b') && !fault.to_string().contains('\n'));
    }
}
