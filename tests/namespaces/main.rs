//! nsdbg against real namespaces. A test's name begins with the requirement of the threat model that it shows.

mod identity;
mod lifetime;
mod live;
mod podman;
mod statuses;
mod support;
