//! Facts of the kernel and of foreign files as types. Nothing here prints, and nothing of ours is imported.

pub mod base64;
pub mod beneath;
pub mod capability;
pub mod cgroupfs;
pub mod dir;
pub mod dns;
pub mod elf;
pub mod fnmatch;
pub mod icmp;
pub mod idmap;
pub mod interrupt;
pub mod mounts;
pub mod netlink;
pub mod open;
pub mod passwd;
pub mod permission;
pub mod proc;
pub mod resolv;
pub mod signal;
pub mod socket;
pub mod splice;
pub mod start;
pub mod statx;
pub mod syscall;
pub mod tar;
pub mod walk;
