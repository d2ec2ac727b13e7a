//! nsdbg against real namespaces. A test's name begins with the requirement of the threat model that it shows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod audit_refused;
#[path = "../broken/mod.rs"]
mod broken;
mod claims;
mod commands;
mod completion;
mod confined;
mod descriptors;
mod ends;
#[cfg(target_arch = "x86_64")]
mod family;
mod faults;
#[cfg(target_arch = "x86_64")]
mod faults_each;
#[cfg(target_arch = "x86_64")]
mod faults_outside;
mod hindered;
mod hostile;
mod identity;
mod idle;
#[cfg(target_arch = "x86_64")]
mod inject;
mod lifetime;
mod limits;
mod lines;
mod live;
mod memory;
mod narrow;
mod node;
mod opens;
mod oracles;
mod patience;
mod peer;
mod podman;
mod prompt;
mod recycled;
mod runtimes;
mod secrets;
mod shells;
mod shown;
mod siege;
mod statuses;
mod support;
mod takeover;
mod targets;
mod terminal;
mod thieves;
mod trace;
mod traps;
mod wasters;
