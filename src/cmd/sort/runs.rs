//! Files whose lines are in order: those that -m merges, and with -T those that take what does not fit in memory.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufWriter, Seek, Write};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use super::compare::Comparison;
use crate::cmd::input::Input;
use crate::cmd::text::{Lines, PIECE};
use crate::cmd::{Fault, Result};

/// Temporary files at once; then they become one.
const MOST: usize = 64;

/// The next line of a file.
struct Head {
    line: Vec<u8>,
    file: usize,
}

/// Merges files into one order. Lines that compare the same are in the order of their files.
///
/// # Errors
/// Faults of reading, and those that `fault` makes of writing.
pub fn merge(
    mut files: Vec<Lines>,
    comparison: &Comparison,
    delimiter: u8,
    to: &mut dyn Write,
    fault: impl Fn(&std::io::Error) -> Fault,
) -> Result<()> {
    // The first line is the last one here.
    let mut heads: Vec<Head> = Vec::new();
    let insert = |heads: &mut Vec<Head>, head: Head| {
        let at = heads.partition_point(|other| {
            comparison.compare(&other.line, &head.line).then(other.file.cmp(&head.file)) == Ordering::Greater
        });
        heads.insert(at, head);
    };
    for (file, lines) in files.iter_mut().enumerate() {
        if let Some(line) = lines.next()? {
            insert(&mut heads, Head { line: line.to_vec(), file });
        }
    }
    let mut last: Option<Vec<u8>> = None;
    while let Some(mut head) = heads.pop() {
        let same = |last: &Vec<u8>| comparison.compare(last, &head.line) == Ordering::Equal;
        if !(comparison.unique && last.as_ref().is_some_and(same)) {
            to.write_all(&head.line)
                .and_then(|()| to.write_all(&[delimiter]))
                .map_err(|error| fault(&error))?;
            if comparison.unique {
                last = Some(head.line.clone());
            }
        }
        if let Some(line) = files.get_mut(head.file).map_or(Ok(None), Lines::next)? {
            head.line.clear();
            head.line.extend_from_slice(line);
            insert(&mut heads, head);
        }
    }
    Ok(())
}

/// Files without a name in a directory of the container, gone with the process. What is read back is as much believed as
/// any other file.
pub struct Runs<'a> {
    directory: OsString,
    comparison: &'a Comparison,
    delimiter: u8,
    files: Vec<File>,
}

impl<'a> Runs<'a> {
    /// None yet.
    pub fn new(directory: &OsStr, comparison: &'a Comparison, delimiter: u8) -> Self {
        Self { directory: directory.to_owned(), comparison, delimiter, files: Vec::new() }
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Writes one more.
    ///
    /// # Errors
    /// Where the directory takes no such file, or no more bytes.
    pub fn add(&mut self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
        if self.files.len() == MOST {
            let mut one = BufWriter::with_capacity(PIECE, self.make()?);
            let (directory, delimiter, comparison) =
                (self.directory.clone(), self.delimiter, self.comparison);
            let fault = |error: &std::io::Error| Fault::io("write", &directory, error).with_status(2);
            merge(self.lines()?, comparison, delimiter, &mut one, fault)?;
            self.files.push(one.into_inner().map_err(|error| fault(error.error()))?);
        }
        let mut file = self.make()?;
        write(&mut file).map_err(|error| self.fault(&error))?;
        self.files.push(file);
        Ok(())
    }

    /// The lines of each, from its beginning.
    ///
    /// # Errors
    /// As lseek(2).
    pub fn lines(&mut self) -> Result<Vec<Lines>> {
        let files = std::mem::take(&mut self.files);
        let lines = |mut file: File| {
            file.rewind().map_err(|error| self.fault(&error))?;
            Ok(Lines::new(Input::of_file(file, &self.directory), self.delimiter))
        };
        files.into_iter().map(lines).collect()
    }

    fn make(&self) -> Result<File> {
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        openat(AT_FDCWD, self.directory.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map(File::from)
            .map_err(|errno| Fault::errno("open a temporary file in", &self.directory, errno))
    }

    fn fault(&self, error: &std::io::Error) -> Fault {
        // Not a fault of standard output, which ends quietly where that is closed.
        Fault::io("write", &self.directory, error).with_status(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_files_than_are_kept_become_one_and_stay_in_order() {
        let comparison = Comparison {
            keys: Vec::new(),
            separator: None,
            reverse: false,
            stable: false,
            unique: false,
            chance: Default::default(),
        };
        let directory = std::env::temp_dir();
        let mut runs = Runs::new(directory.as_os_str(), &comparison, b'\n');
        let count = MOST * 2 + 10;
        for number in (0..count).rev() {
            runs.add(|to| write!(to, "{number:04}\n{:04}\n", number + count)).unwrap();
        }
        assert!(runs.files.len() <= MOST);
        let mut merged = Vec::new();
        merge(runs.lines().unwrap(), &comparison, b'\n', &mut merged, |error| panic!("{error}")).unwrap();
        let wanted: String = (0..count * 2).map(|number| format!("{number:04}\n")).collect();
        assert_eq!(String::from_utf8(merged).unwrap(), wanted);
    }
}
