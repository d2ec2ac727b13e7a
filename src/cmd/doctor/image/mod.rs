//! What the image lacks.

pub mod ca_bundle;
pub mod group_entry;
pub mod home_dir;
pub mod passwd_entry;
pub mod timezone_data;
pub mod tmp_dir;
