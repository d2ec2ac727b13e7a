//! Which open files are asked for: by process, by what the file is, or both.

use super::Lsof;
use super::address::{Address, States};
use super::row::OpenFile;
use super::sockets::Inet;
use crate::cmd::{Fault, Result};
use crate::out::name::escape;
use crate::sys::passwd::Users;

/// A list in which `^` excludes.
#[derive(Debug, Default)]
pub struct List<T> {
    pub only: Vec<T>,
    not: Vec<T>,
}

impl<T: PartialEq> List<T> {
    fn parse(words: &[String], parse: impl Fn(&str) -> Result<T>) -> Result<Self> {
        let mut list = Self { only: Vec::new(), not: Vec::new() };
        for word in words.iter().flat_map(|list| list.split(',')).filter(|word| !word.is_empty()) {
            match word.strip_prefix('^') {
                Some(bare) => list.not.push(parse(bare)?),
                None => list.only.push(parse(word)?),
            }
        }
        Ok(list)
    }
}

/// `-d`: names of descriptors, and ranges of their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fd {
    Named(String),
    Range(u32, u32),
}

impl Fd {
    fn parse(word: &str) -> Result<Self> {
        let wrong = || {
            Fault::usage(format!(
                "'{}' is not a descriptor: a number, 3-9, cwd, rtd, txt, mem",
                escape(word.as_bytes())
            ))
        };
        let (from, to) = word.split_once('-').unwrap_or((word, word));
        match (from.parse(), to.parse()) {
            (Ok(from), Ok(to)) if from <= to => Ok(Self::Range(from, to)),
            _ if matches!(word, "cwd" | "rtd" | "txt" | "mem") => Ok(Self::Named(word.to_owned())),
            _ => Err(wrong()),
        }
    }

    fn takes(&self, fd: &str) -> bool {
        match self {
            Self::Named(name) => name == fd,
            Self::Range(from, to) => fd.parse().is_ok_and(|number: u32| (*from..=*to).contains(&number)),
        }
    }
}

/// A file that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// As the container names it.
    pub path: Vec<u8>,
    pub device: (u32, u32),
    pub inode: u64,
    pub how: How,
}

/// What of a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Itself.
    Itself,
    /// Everything on the file system whose root it is.
    FileSystem,
    /// It and what is in it.
    In,
    /// It and everything below it.
    Under,
}

impl Wanted {
    fn takes(&self, file: &OpenFile) -> bool {
        // Sockets and pipes are on devices of their own; what is mapped has another inode on some file systems.
        let path = file.path.as_ref().filter(|_| !file.outside);
        let same = (file.device_number, file.inode) == (Some(self.device), Some(self.inode))
            || path.is_some_and(|path| path.as_bytes() == self.path && !file.deleted);
        let below = || {
            let rest = path?.as_bytes().strip_prefix(self.path.as_slice())?;
            // The root ends with its slash.
            if self.path.ends_with(b"/") { Some(rest) } else { rest.strip_prefix(b"/") }
        };
        same || match self.how {
            How::Itself => false,
            How::FileSystem => file.device_number == Some(self.device) && !file.outside,
            How::In => below().is_some_and(|rest| !rest.contains(&b'/')),
            How::Under => below().is_some(),
        }
    }
}

/// All that is asked for.
#[derive(Debug, Default)]
pub struct Selection {
    and: bool,
    pub pids: List<i32>,
    commands: List<String>,
    users: List<u32>,
    fds: Option<List<Fd>>,
    inet: Option<Vec<Address>>,
    states: States,
    unix: bool,
    links_below: Option<u32>,
    /// None where no file is asked for.
    pub files: Option<Vec<Wanted>>,
}

/// What a process's own facts say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// Nothing of it is asked for.
    Nothing,
    /// What its files say decides.
    Files,
    /// Everything of it is asked for.
    Everything,
}

impl Selection {
    /// What the options ask for; files are added later.
    ///
    /// # Errors
    /// A usage fault.
    pub fn of(options: &Lsof, users: &Users) -> Result<Self> {
        let pid = |word: &str| {
            let pid = word.parse().ok().filter(|pid| *pid > 0);
            pid.ok_or_else(|| Fault::usage(format!("'{}' is not a PID", escape(word.as_bytes()))))
        };
        let user = |word: &str| match word.parse() {
            Ok(uid) => Ok(uid),
            Err(_) => users.user_named(word).map(|user| user.uid).ok_or_else(|| {
                Fault::usage(format!("the container has no user {}", escape(word.as_bytes())))
            }),
        };
        let inet = match options.inet.as_slice() {
            [] => None,
            words => Some(words.iter().map(|word| Address::parse(word)).collect::<Result<_>>()?),
        };
        let fds = (!options.fds.is_empty()).then(|| List::parse(&options.fds, Fd::parse)).transpose()?;
        Ok(Self {
            and: options.and,
            pids: List::parse(&options.pids, pid)?,
            commands: List::parse(&options.commands, |word| Ok(word.to_owned()))?,
            users: List::parse(&options.users, user)?,
            fds,
            inet,
            states: States::parse(&options.states)?,
            unix: options.unix,
            links_below: options.links_below,
            files: None,
        })
    }

    /// The PIDs, ascending, where only those are asked for: then no others need be read.
    pub fn pids_alone(&self) -> Option<Vec<i32>> {
        let only_pids = self.commands.only.is_empty() && self.users.only.is_empty() && !self.asks_for_files();
        (!self.pids.only.is_empty() && (self.and || only_pids)).then(|| {
            let mut pids = self.pids.only.clone();
            pids.sort_unstable();
            pids.dedup();
            pids
        })
    }

    /// Whether internet sockets are asked for, whoever holds them.
    pub fn asks_whose_sockets(&self) -> bool {
        let by_process =
            [self.pids.only.is_empty(), self.commands.only.is_empty(), self.users.only.is_empty()];
        self.inet.is_some() && !by_process.contains(&false)
    }

    /// Whether an internet socket is asked for.
    pub fn takes_inet(&self, socket: &Inet) -> bool {
        self.inet.as_ref().is_some_and(|all| all.iter().any(|one| one.takes(socket)))
            && self.states.takes(socket)
    }

    /// What is asked for of a process.
    pub fn process(&self, pid: i32, command: &[u8], uid: u32) -> Chosen {
        let begins =
            |name: &String| command.starts_with(name.as_bytes().get(..15).unwrap_or(name.as_bytes()));
        if self.pids.not.contains(&pid)
            || self.users.not.contains(&uid)
            || self.commands.not.iter().any(begins)
        {
            return Chosen::Nothing;
        }
        let tests = [
            (!self.pids.only.is_empty()).then(|| self.pids.only.contains(&pid)),
            (!self.users.only.is_empty()).then(|| self.users.only.contains(&uid)),
            (!self.commands.only.is_empty()).then(|| self.commands.only.iter().any(begins)),
        ];
        let given = || tests.iter().flatten();
        match (given().next().is_some(), self.asks_for_files()) {
            (false, false) => Chosen::Everything,
            (false, true) => Chosen::Files,
            (true, true) if self.and => {
                if given().all(|is| *is) {
                    Chosen::Files
                } else {
                    Chosen::Nothing
                }
            }
            (true, false) if self.and => {
                if given().all(|is| *is) {
                    Chosen::Everything
                } else {
                    Chosen::Nothing
                }
            }
            (true, _) if given().any(|is| *is) => Chosen::Everything,
            (true, true) => Chosen::Files,
            (true, false) => Chosen::Nothing,
        }
    }

    /// Whether a file of a process is asked for, which [`Selection::process`] has left to its files. `inet` is what is
    /// known of an internet socket.
    pub fn file(&self, file: &OpenFile, inet: Option<&Inet>) -> bool {
        let tests = [
            self.inet.as_ref().map(|all| inet.is_some_and(|socket| all.iter().any(|one| one.takes(socket)))),
            self.unix.then(|| file.r#type == "unix"),
            self.fds
                .as_ref()
                .filter(|fds| !fds.only.is_empty())
                .map(|fds| fds.only.iter().any(|fd| fd.takes(&file.fd))),
            self.links_below.map(|below| {
                let is_gone = file.deleted && below > 0;
                (is_gone || file.links.is_some_and(|links| links < below)) && file.path.is_some()
            }),
            self.files.as_ref().map(|all| all.iter().any(|wanted| wanted.takes(file))),
        ];
        let mut given = tests.iter().flatten();
        if self.and {
            given.all(|is| *is)
        } else {
            tests.iter().flatten().next().is_none() || given.any(|is| *is)
        }
    }

    /// Whether a file is left out, whatever else is asked for.
    pub fn excludes(&self, file: &OpenFile, inet: Option<&Inet>) -> bool {
        self.fds.as_ref().is_some_and(|fds| fds.not.iter().any(|fd| fd.takes(&file.fd)))
            || inet.is_some_and(|socket| !self.states.takes(socket))
    }

    /// Whether deleted files are asked for.
    pub fn asks_for_deleted(&self) -> bool {
        self.links_below == Some(1)
    }

    /// Whether anything but sockets can be what is asked for of the files of a process.
    pub fn sockets_alone(&self) -> bool {
        let sockets = self.inet.is_some() || self.unix;
        let others = self.fds.is_some() || self.links_below.is_some() || self.files.is_some();
        sockets && (self.and || !others)
    }

    fn asks_for_files(&self) -> bool {
        self.inet.is_some()
            || self.unix
            || self.fds.as_ref().is_some_and(|fds| !fds.only.is_empty())
            || self.links_below.is_some()
            || self.files.is_some()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn selection(args: &[&str]) -> Selection {
        let words = args.iter().map(Into::into).collect();
        let words = super::super::args::rewrite(words);
        let users = Users::parse(b"root:x:0:0:::\nweb:x:7:7:::\n", b"");
        Selection::of(&Lsof::parse_from(std::iter::once("lsof".into()).chain(words)), &users).unwrap()
    }

    #[test]
    fn one_of_all_or_with_a_all_of_them() {
        use Chosen::{Everything, Files, Nothing};
        for (args, of_seven, of_eight) in [
            (&[][..], Everything, Everything),
            (&["-p", "7"], Everything, Nothing),
            (&["-p", "^7"], Nothing, Everything),
            (&["-p", "7", "-u", "0"], Everything, Everything),
            (&["-a", "-p", "7", "-u", "0"], Nothing, Nothing),
            (&["-p", "7", "-i"], Everything, Files),
            (&["-a", "-p", "7", "-i"], Files, Nothing),
            (&["-c", "ngi"], Everything, Nothing),
            (&["-c", "^ngi", "-d", "cwd"], Nothing, Files),
            (&["-d", "^cwd"], Everything, Everything),
        ] {
            let all = selection(args);
            assert_eq!(all.process(7, b"nginx", 7), of_seven, "{args:?}");
            assert_eq!(all.process(8, b"sh", 0), of_eight, "{args:?}");
        }
        assert_eq!(selection(&["-p", "9,3", "-p7"]).pids_alone(), Some(vec![3, 7, 9]));
        assert_eq!(selection(&["-p", "9", "-U"]).pids_alone(), None);
        assert_eq!(selection(&["-a", "-p", "9", "-U"]).pids_alone(), Some(vec![9]));
    }

    #[test]
    fn files_by_inode_name_and_directory() {
        let wanted = |path: &str, how| Wanted { path: path.into(), device: (8, 1), inode: 5, how };
        let file = |path: &str, device, inode| OpenFile {
            path: Some(path.as_bytes().into()),
            device_number: Some(device),
            inode: Some(inode),
            ..OpenFile::default()
        };
        for (path, how, open, device, inode, is) in [
            ("/var/log", How::Itself, "/other", (8, 1), 5, true),
            ("/var/log", How::Itself, "/other", (8, 2), 5, false),
            ("/var/log", How::Itself, "/var/log", (8, 2), 6, true),
            ("/var/log", How::In, "/var/log/x", (8, 2), 6, true),
            ("/var/log", How::In, "/var/log/x/y", (8, 2), 6, false),
            ("/var/log", How::Under, "/var/log/x/y", (8, 2), 6, true),
            ("/var/log", How::Under, "/var/logs", (8, 2), 6, false),
            ("/", How::Under, "/var", (8, 2), 6, true),
            ("/", How::In, "/var/log", (8, 2), 6, false),
            ("/mnt", How::FileSystem, "/mnt/a", (8, 1), 9, true),
        ] {
            assert_eq!(wanted(path, how).takes(&file(open, device, inode)), is, "{path} {how:?} {open}");
        }
        let mut outside = file("/var/log/x", (8, 2), 6);
        outside.outside = true;
        assert!(!wanted("/var/log", How::Under).takes(&outside));
    }

    #[test]
    fn descriptors_by_name_and_range() {
        let all = selection(&["-d", "cwd,3-5"]);
        let takes = |fd: &str| all.file(&OpenFile { fd: fd.into(), ..OpenFile::default() }, None);
        assert!(takes("cwd") && takes("4") && !takes("6") && !takes("mem"));
        assert!(Fd::parse("x").is_err() && Fd::parse("5-3").is_err());
    }
}
