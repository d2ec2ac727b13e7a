//! `lsof -F`: a field a line, each with a letter before it, for programs.

use std::io::{self, Write};

use super::row::{OpenFile, mode_letter};
use crate::out::name::escape;

/// Fields that there are, in the order in which they are printed; `m` is the line between the lists of -r.
const KNOWN: &str = "pcuLfaltDsoriknPTm0";

/// Which fields are printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    letters: String,
    /// Fields end in NUL, sets of them in a newline.
    is_null: bool,
}

impl std::str::FromStr for Fields {
    type Err = String;

    /// Reads letters; none are all but `r`, as in lsof.
    fn from_str(letters: &str) -> Result<Self, String> {
        if let Some(unknown) = letters.chars().find(|letter| !KNOWN.contains(*letter)) {
            let unknown = escape(unknown.to_string().as_bytes());
            return Err(format!("there is no field '{unknown}': {KNOWN} are known"));
        }
        let is_null = letters.contains('0');
        let chosen = letters.replace('0', "");
        let letters = if chosen.is_empty() { KNOWN.replace(['r', '0'], "") } else { chosen };
        Ok(Self { letters, is_null })
    }
}

impl Fields {
    /// Prints a file; before the first one of a process what is known of that.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn print(&self, file: &OpenFile, is_first: bool, to: &mut dyn Write) -> io::Result<()> {
        if is_first {
            let process = [
                ('p', Some(file.pid.to_string())),
                ('c', Some(escape(file.command.as_bytes()))),
                ('u', Some(file.uid.to_string())),
                ('L', Some(escape(file.user.as_bytes()))),
            ];
            self.set(&process, to)?;
        }
        let letter = |letter: Option<char>| Some(letter.unwrap_or(' ').to_string());
        let number = |(major, minor)| format!("{:#x}", libc::makedev(major, minor));
        let is_device = matches!(file.r#type, "CHR" | "BLK");
        let size = file.size.filter(|_| !file.shows_position);
        let position = file.position.filter(|_| size.is_none());
        let state = file.state.as_ref().filter(|_| file.local.is_some());
        let name = match (&file.local, &file.remote) {
            (Some(local), Some(remote)) => format!("{local}->{remote}"),
            (Some(local), None) => local.clone(),
            _ => escape(file.name.as_bytes()) + if file.deleted { " (deleted)" } else { "" },
        };
        let fields = [
            ('f', Some(file.fd.clone())),
            ('a', letter(file.mode.map(mode_letter))),
            ('l', letter(file.lock)),
            ('t', Some(file.r#type.to_owned())),
            ('D', file.device_number.filter(|_| !is_device).map(number)),
            ('s', size.map(|size| size.to_string())),
            ('o', position.map(|position| format!("0t{position}"))),
            ('r', file.device_number.filter(|_| is_device).map(number)),
            ('i', file.inode.map(|inode| inode.to_string())),
            ('k', file.links.map(|links| links.to_string())),
            ('n', Some(name)),
            ('P', file.protocol.clone().filter(|_| file.local.is_some())),
            ('T', state.map(|state| format!("ST={state}"))),
        ];
        self.set(&fields, to)
    }

    /// Ends a list, where another follows.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn marker(&self, to: &mut dyn Write) -> io::Result<()> {
        self.set(&[('m', Some(String::new()))], to)
    }

    /// PIDs and descriptors are always there: they begin sets.
    fn set(&self, fields: &[(char, Option<String>)], to: &mut dyn Write) -> io::Result<()> {
        for (letter, value) in fields {
            if let Some(value) = value
                && ("pfm".contains(*letter) || self.letters.contains(*letter))
            {
                write!(to, "{letter}{value}{}", if self.is_null { '\0' } else { '\n' })?;
            }
        }
        if self.is_null { to.write_all(b"\n") } else { Ok(()) }
    }
}
