//! What the image lacks.

pub mod ca_bundle;
pub mod elf_interpreter;
pub mod group_entry;
pub mod home_dir;
pub mod passwd_entry;
pub(crate) mod programs;
pub mod script_interpreter;
pub mod shared_libraries;
pub mod timezone_data;
pub mod tmp_dir;
