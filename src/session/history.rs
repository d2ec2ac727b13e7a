//! The history of the prompt: a file of the node, readable by the operator alone.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use crate::enter::image::Startup;

/// Lines that are kept.
pub const LINES: usize = 2000;

/// More of the file is not read.
const LIMIT: u64 = 4 << 20;

/// The history's file: `$XDG_STATE_HOME/nsdbg/history`, else `$HOME/.local/state/nsdbg/history`.
pub fn path(startup: &Startup) -> Option<PathBuf> {
    let state = match startup.var("XDG_STATE_HOME") {
        Some(state) => PathBuf::from(state),
        None => PathBuf::from(startup.var("HOME")?).join(".local/state"),
    };
    state.is_absolute().then(|| state.join("nsdbg/history"))
}

/// Reads the history; empty where there is none.
///
/// # Errors
/// As open(2) and read(2).
pub fn load(path: &PathBuf) -> io::Result<Vec<String>> {
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result?,
    };
    let mut text = Vec::new();
    file.take(LIMIT).read_to_end(&mut text)?;
    let lines: Vec<String> = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
    let begin = lines.len().saturating_sub(LINES);
    Ok(lines[begin..].to_vec())
}

/// Opens the history for appending, 0600 in a directory of 0700. A file that has grown to twice what is kept is
/// written anew.
///
/// # Errors
/// As mkdir(2), open(2), write(2).
pub fn open(path: &PathBuf, kept: &[String]) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    if file.metadata()?.len() > LIMIT / 2 {
        let mut name = OsString::from(path);
        name.push(".new");
        let _ = std::fs::remove_file(&name);
        let mut fresh = OpenOptions::new().create_new(true).append(true).mode(0o600).open(&name)?;
        fresh.write_all((kept.join("\n") + "\n").as_bytes())?;
        std::fs::rename(&name, path)?;
        file = fresh;
    }
    Ok(file)
}

/// Appends a line.
///
/// # Errors
/// As write(2).
pub fn append(file: &mut File, line: &str) -> io::Result<()> {
    file.write_all(format!("{line}\n").as_bytes())
}
