//! nsdbg against real namespaces. A test's name begins with the requirement of the threat model that it shows.

mod hostile;
mod identity;
mod lifetime;
mod live;
mod podman;
mod prompt;
mod statuses;
mod support;
