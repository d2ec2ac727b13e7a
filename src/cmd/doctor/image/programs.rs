//! The image's programs: what runs, and what PATH leads to.

use std::collections::HashSet;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;

use crate::cmd::doctor::container::Container;
use crate::sys::open::regular;

/// The most that are looked at.
const PROGRAMS: usize = 4000;
/// As much of a script's first line as the kernel reads, BINPRM_BUF_SIZE.
const LINE: usize = 256;

/// A file that can be started.
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// How it begins.
    pub head: Vec<u8>,
    /// Whether it is what the target runs.
    pub is_main: bool,
}

impl Program {
    /// Whether it is an ELF file.
    pub fn is_elf(&self) -> bool {
        self.head.starts_with(b"\x7fELF")
    }

    /// The interpreter that a script's first line names, and the word behind it.
    pub fn script(&self) -> Option<(&[u8], Option<&[u8]>)> {
        let line = self.head.strip_prefix(b"#!")?;
        // A carriage return is a part of the name, as it is for the kernel.
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        Some((words.next()?, words.next()))
    }
}

/// All of them, each file once; the target's first.
pub fn all(container: &Container) -> Vec<Program> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut add = |path: PathBuf, is_main: bool| {
        let Ok((file, facts)) = regular(path.as_os_str()) else { return };
        if !seen.insert((facts.st_dev, facts.st_ino)) || (facts.st_mode & 0o111 == 0 && !is_main) {
            return;
        }
        let mut head = vec![0; LINE];
        let count = file.read_at(&mut head, 0).unwrap_or(0);
        head.truncate(count);
        found.push(Program { path, head, is_main });
    };
    if let Some(main) = &container.program {
        add(main.clone(), true);
    }
    let mut count = 0;
    let mut directories = HashSet::new();
    for directory in container.search_path() {
        // /bin is often a link to /usr/bin.
        let is_new =
            std::fs::metadata(&directory).is_ok_and(|facts| directories.insert((facts.dev(), facts.ino())));
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten().filter(|_| is_new) {
            count += 1;
            if count > PROGRAMS {
                return found;
            }
            let path = entry.path();
            if std::fs::metadata(&path)
                .is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
            {
                add(path, false);
            }
        }
    }
    found
}
