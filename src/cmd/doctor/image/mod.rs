//! What the image lacks.

pub mod tmp_dir;
