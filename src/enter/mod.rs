//! From root on the node to the target's user in its namespaces.
//!
//! [`image`] write-protects the running binary, [`launcher`] forks workers with blank memory, [`worker`] joins and
//! drops and forks the one process that runs a command, [`procfs`] makes a procfs of the target's PID namespace from
//! outside, [`watch`] confines the processes that look from there.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod early;
pub mod fds;
pub mod guard;
pub mod image;
pub mod join;
pub mod launcher;
pub mod plan;
pub mod privileges;
pub mod procfs;
pub mod report;
pub mod seccomp;
pub mod watch;
pub mod wire;
pub mod worker;

use nix::errno::Errno;

/// A step of entering that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The step: a verb or a system call.
    pub step: String,
    /// What it was done to; may be empty.
    pub object: String,
    /// Why.
    pub errno: Errno,
}

impl Failure {
    /// A failed step.
    pub fn new(step: &str, object: impl Into<String>, errno: Errno) -> Self {
        Self { step: step.to_owned(), object: object.into(), errno }
    }
}

impl From<Failure> for crate::out::Fault {
    fn from(failure: Failure) -> Self {
        let no_pid = failure.step == "fork" && failure.errno == Errno::EAGAIN;
        let fault = Self::of(failure.step, failure.errno).with_status(125);
        let fault = if failure.object.is_empty() { fault } else { fault.on(failure.object) };
        if no_pid { fault.with_hint(NO_PID) } else { fault }
    }
}

/// What fork(2) means by EAGAIN, which reads as "try again".
pub const NO_PID: &str =
    "no more processes: the limit of the node, of nsdbg's cgroup or of the target's PID namespace is reached";

/// The result of a step of entering.
pub type Result<T> = std::result::Result<T, Failure>;

/// Names the step that failed.
pub trait Step<T> {
    /// Turns an errno into a [`Failure`] of `step` on `object`.
    fn step(self, step: &str, object: &str) -> Result<T>;
}

impl<T> Step<T> for nix::Result<T> {
    fn step(self, step: &str, object: &str) -> Result<T> {
        self.map_err(|errno| Failure::new(step, object, errno))
    }
}
