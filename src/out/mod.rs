//! What commands say: rows, tables, JSON Lines, faults, and the filter in front of the terminal.

pub mod date;
pub mod fault;
pub mod field;
pub mod filter;
pub mod name;
pub mod output;
pub mod relay;
pub mod scale;
pub mod table;
pub mod units;

pub use fault::Fault;
pub use field::{Field, Kind};
pub use name::Name;
pub use output::{Format, Output};
pub use scale::Scale;
pub use table::{Align, Column, Narrow, Row};
