//! What commands that talk on the container's network share: names, connections, certificate authorities, and curl's
//! exit statuses.

pub mod clients;
mod connect;
pub mod fail;
mod host;
mod icmp;
pub mod keystore;
mod names;
mod ports;
mod resolver;
mod signals;
mod sock;
pub mod trust;
pub mod verify;

pub use connect::{connect_any, sort_by_route};
pub use host::{host_and_port, host_path, seconds};
pub use icmp::icmp;
pub use names::{Families, Names, what_was_passed_over, why_not};
pub use ports::ports;
pub use resolver::{Resolver, literal, with_port};
pub use signals::{Signals, timeout};
pub use sock::{IDLE, Sock};
