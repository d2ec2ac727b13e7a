//! Facts of the kernel and of foreign files as types. Nothing here prints, and nothing of ours is imported.

pub mod capability;
pub mod dir;
pub mod dns;
pub mod idmap;
pub mod netlink;
pub mod open;
pub mod passwd;
pub mod proc;
pub mod resolv;
pub mod signal;
pub mod socket;
pub mod start;
pub mod syscall;
pub mod walk;
