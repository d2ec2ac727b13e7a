//! nsdbg against real namespaces. A test's name begins with the requirement of the threat model that it shows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod confined;
mod hostile;
mod identity;
#[cfg(target_arch = "x86_64")]
mod inject;
mod lifetime;
mod live;
mod node;
mod opens;
mod oracles;
mod podman;
mod prompt;
mod recycled;
mod runtimes;
mod secrets;
mod shown;
mod statuses;
mod support;
mod targets;
mod trace;
mod traps;
