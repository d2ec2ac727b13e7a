//! What the processes do.

pub mod pid1_signals;
