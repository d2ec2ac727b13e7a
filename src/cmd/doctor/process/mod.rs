//! What the processes do.

pub mod deleted_exe;
pub mod fd_limit;
pub mod pid1_signals;
pub mod zombies;
