//! What the processes do.

pub mod deleted_exe;
pub mod fd_limit;
pub mod nproc_limit;
pub mod pid1_signals;
pub mod state;
pub mod zombies;
