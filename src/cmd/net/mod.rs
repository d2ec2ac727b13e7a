//! What commands that talk on the container's network share: names, connections, certificate authorities, and curl's
//! exit statuses.

mod connect;
pub mod fail;
mod names;
mod sock;
pub mod trust;

pub use connect::{connect_any, sort_by_route};
pub use names::{Families, Names, what_was_passed_over};
pub use sock::{IDLE, Sock};
