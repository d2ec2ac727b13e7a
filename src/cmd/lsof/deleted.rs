//! Deleted files that are still open.

use std::collections::HashSet;

use super::row::OpenFile;

/// Files that were deleted, and what they take: each once.
#[derive(Default)]
pub struct Deleted {
    seen: HashSet<((u32, u32), u64)>,
    pub bytes: u64,
    pub count: u64,
}

impl Deleted {
    /// Counts a file; of a hundred thousand it is remembered that they were counted.
    pub fn add(&mut self, file: &OpenFile) {
        let (Some(device), Some(inode), Some(allocated)) = (file.device_number, file.inode, file.allocated)
        else {
            return;
        };
        if self.seen.contains(&(device, inode)) {
            return;
        }
        if self.seen.len() < 100_000 {
            self.seen.insert((device, inode));
        }
        self.count += 1;
        self.bytes = self.bytes.saturating_add(allocated);
    }
}
