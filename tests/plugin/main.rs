//! `kubectl nsdbg` against a kubectl that writes down what it is asked and answers from files. What the real one prints
//! for these questions is in the fixtures below, as version 1.32 printed it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod cluster;
mod copies;
mod everywhere;
mod faults;
mod harness;
mod hostile;
mod session;
mod ssh;
mod terminal;
