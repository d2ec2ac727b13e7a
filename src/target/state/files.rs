//! Reading state files: bounded in size and number, with what is wrong kept as a sentence.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{Hints, Known, Shim};
use crate::out::Fault;
use crate::sys::open::Refused;
use crate::target::host::Host;

/// Most of one state file.
pub const FILE: usize = 4 << 20;

/// Most of a file that lists all containers.
pub const INDEX: usize = 32 << 20;

/// Most of a file that holds a number or a name.
pub const WORD: usize = 4096;

/// More files are not read, all runtimes taken together.
const MAX_FILES: usize = 200_000;

/// A longer text is no name.
const MAX_TEXT: usize = 4096;

/// More parts of a path, or bytes of an id, than runtimes make.
const MAX_ID: usize = 255;

/// Reads below the node's root for all runtimes.
pub struct Reader<'a> {
    host: &'a Host,
    /// What the processes told.
    pub hints: &'a Hints<'a>,
    /// The shims that root has started in the node's own mount namespace: only these are believed.
    pub shims: Vec<&'a Shim>,
    /// The containers so far, by id.
    pub known: BTreeMap<String, Known>,
    /// Sandboxes by the id of a container in them.
    pub sandboxes: BTreeMap<String, String>,
    notes: Vec<String>,
    said: BTreeSet<String>,
    files: usize,
}

impl<'a> Reader<'a> {
    /// Starts with nothing known.
    pub fn new(host: &'a Host, hints: &'a Hints<'a>) -> Self {
        let mut reader = Self {
            host,
            hints,
            shims: Vec::new(),
            known: BTreeMap::new(),
            sandboxes: BTreeMap::new(),
            notes: Vec::new(),
            said: BTreeSet::new(),
            files: 0,
        };
        // A process in a container may call itself dockerd, and point at files that it wrote.
        reader.shims = hints.shims.iter().filter(|shim| reader.is_of_node(shim.pid)).collect();
        reader
    }

    /// Anybody can start a setuid program by the name of a runtime's, and with its arguments.
    fn is_of_node(&self, pid: i32) -> bool {
        let ids = self.status(pid, "Uid").unwrap_or_default();
        let is_root = !ids.is_empty() && ids.split_ascii_whitespace().all(|id| id == "0");
        let program = self.hints.procfs.mode(&Path::new(&pid.to_string()).join("exe"));
        let own = PathBuf::from(format!("mnt:[{}]", self.hints.node));
        is_root
            && program.is_ok_and(|mode| mode & (libc::S_ISUID | libc::S_ISGID) == 0)
            && self.of_process(pid, "ns/mnt") == Some(own)
    }

    /// The containers and the notes.
    pub fn finish(self) -> (BTreeMap<String, Known>, Vec<String>) {
        (self.known, self.notes)
    }

    /// Says a sentence once.
    pub fn note(&mut self, sentence: String) {
        if self.said.insert(sentence.clone()) {
            self.notes.push(sentence);
        }
    }

    /// Where a link of a process's directory in procfs points.
    pub fn of_process(&self, pid: i32, name: &str) -> Option<PathBuf> {
        self.hints.procfs.link(&Path::new(&pid.to_string()).join(name)).ok()
    }

    /// The bytes of a file; nothing where there is none.
    ///
    /// # Errors
    /// Why it could not be read, as a sentence.
    pub fn bytes(&mut self, path: &Path, limit: usize) -> Result<Option<Vec<u8>>, String> {
        if self.files >= MAX_FILES {
            self.note(format!("more than {MAX_FILES} state files: the rest is not read"));
            return Ok(None);
        }
        self.files += 1;
        match self.host.read(path, limit) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Refused::Io(error)) if is_missing(&error) => Ok(None),
            Err(Refused::Io(error)) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err(Fault::text("read", path, format!("larger than {limit} bytes")).to_string())
            }
            Err(Refused::Io(error)) => Err(Fault::io("open", path, &error).to_string()),
            Err(Refused::Kind(kind)) => Err(Fault::text("open", path, format!("it is {kind}")).to_string()),
        }
    }

    /// A file's JSON; nothing where there is no file.
    ///
    /// # Errors
    /// Why it could not be read or understood, as a sentence.
    pub fn json<T: DeserializeOwned>(&mut self, path: &Path, limit: usize) -> Result<Option<T>, String> {
        self.bytes(path, limit)?.map(|bytes| parse_json(&bytes, path)).transpose()
    }

    /// A file's JSON as a setting of the node: what is wrong with it is said for all.
    pub fn setting<T: DeserializeOwned>(&mut self, path: &Path, limit: usize) -> Option<T> {
        self.json(path, limit).unwrap_or_else(|sentence| {
            self.note(sentence);
            None
        })
    }

    /// The lines of a small file; nothing where it can't be read.
    pub fn text(&mut self, path: &Path, limit: usize) -> Option<String> {
        match self.bytes(path, limit) {
            Ok(bytes) => bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            Err(sentence) => {
                self.note(sentence);
                None
            }
        }
    }

    /// The PID in a file that holds nothing else; broken ones say nothing.
    pub fn pid(&mut self, path: &Path) -> Option<i32> {
        parse_pid(&self.bytes(path, WORD).ok()??)
    }

    /// The names in a directory. A missing one is empty and nothing is said of it.
    pub fn list(&mut self, path: &Path) -> Vec<OsString> {
        match self.host.list(path) {
            Ok(names) => names,
            Err(Errno::ENOENT | Errno::ENOTDIR) => Vec::new(),
            Err(errno) => {
                self.note(Fault::errno("open", path, errno).to_string());
                Vec::new()
            }
        }
    }

    /// The names in a directory that can be ids.
    pub fn ids(&mut self, path: &Path) -> Vec<String> {
        self.list(path).into_iter().filter_map(|name| id(name.into_string().ok()?)).collect()
    }

    /// A field of /proc/PID/status.
    pub fn status(&self, pid: i32, field: &str) -> Option<String> {
        let bytes = self.hints.procfs.read(Path::new(&format!("{pid}/status")), 64 << 10).ok()?;
        status_field(&bytes, field)
    }

    /// The ticks after boot at which a process started, if there is one that is no zombie.
    pub fn start_time(&self, pid: i32) -> Option<u64> {
        let bytes = self.hints.procfs.read(Path::new(&format!("{pid}/stat")), 64 << 10).ok()?;
        parse_start_time(&bytes)
    }

    /// Who made the user namespace of a process; 0 where it is the node's.
    pub fn owner(&self, pid: i32) -> Option<u32> {
        (self.hints.owner)(self.hints.procfs, pid)
    }

    /// Whether a container is worth a row: a process is in its cgroup, or a file names one that lives.
    pub fn lives(&self, id: &str, pid: Option<i32>) -> bool {
        self.hints.live.contains(id) || pid.is_some_and(|pid| self.start_time(pid).is_some())
    }

    /// A path that a process was given, which may be relative to its working directory.
    pub fn absolute(&self, shim: &Shim, path: &str) -> Option<PathBuf> {
        let path = Path::new(path);
        if path.is_absolute() {
            Some(path.to_owned())
        } else {
            Some(self.of_process(shim.pid, "cwd")?.join(path))
        }
    }
}

/// Parses the JSON of a file.
///
/// # Errors
/// A sentence that says where it is wrong.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| {
        let cause = format!("not the JSON expected, line {} column {}", error.line(), error.column());
        Fault::text("parse", path, cause).to_string()
    })
}

/// The PID in a file that holds nothing else.
pub fn parse_pid(bytes: &[u8]) -> Option<i32> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok().filter(|pid| *pid > 0)
}

/// A field of /proc/PID/status.
pub fn status_field(status: &[u8], field: &str) -> Option<String> {
    let text = String::from_utf8_lossy(status);
    text.lines().find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned()))
}

/// The start time in /proc/PID/stat of a process that is no zombie.
pub fn parse_start_time(stat: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(stat);
    // The name may hold spaces and parentheses.
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18)?.parse().ok() }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A text that can be shown as a name.
pub fn clean(text: String) -> Option<String> {
    (!text.is_empty() && text.len() <= MAX_TEXT && !text.contains('\0')).then_some(text)
}

/// A text that can be an id, and so one part of a path.
pub fn id(text: String) -> Option<String> {
    let fits = text.len() <= MAX_ID && !text.contains('/') && text != "." && text != "..";
    clean(text).filter(|_| fits)
}

/// A field that is what it should be, missing or null, or of another type.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Loose<T> {
    /// As expected, or null.
    Right(Option<T>),
    /// Of another type.
    Wrong(IgnoredAny),
}

impl<T> Default for Loose<T> {
    fn default() -> Self {
        Self::Right(None)
    }
}

impl<T> Loose<T> {
    /// The value; a wrong type is written down.
    pub fn take(self, field: &'static str, wrong: &mut Wrong) -> Option<T> {
        match self {
            Self::Right(value) => value,
            Self::Wrong(_) => {
                wrong.add(field);
                None
            }
        }
    }
}

/// The fields of a file that are of a wrong type.
#[derive(Debug, Default)]
pub struct Wrong(Vec<&'static str>);

impl Wrong {
    /// Writes one down.
    pub fn add(&mut self, field: &'static str) {
        self.0.push(field);
    }

    /// A sentence of them, if there are any.
    pub fn sentence(&self, path: &Path) -> Option<String> {
        let cause = format!("{} is not of the type expected", self.0.join(", "));
        (!self.0.is_empty()).then(|| Fault::text("parse", path, cause).to_string())
    }
}

/// Annotations or labels, by key; what is no text is left out.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Texts(BTreeMap<String, Loose<String>>);

impl Texts {
    /// The text of a key.
    pub fn get(&self, key: &str) -> Option<String> {
        match self.0.get(key)? {
            Loose::Right(Some(text)) => clean(text.clone()),
            _ => None,
        }
    }

    /// Whether a key begins with this.
    pub fn has_prefix(&self, prefix: &str) -> bool {
        self.0.range(prefix.to_owned()..).next().is_some_and(|(key, _)| key.starts_with(prefix))
    }
}

/// The part of an OCI bundle's config.json that we want.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// The annotations.
    pub annotations: Loose<Texts>,
    /// The host name; podman's infra container has its pod's name.
    pub hostname: Loose<String>,
    /// What is only of Linux.
    pub linux: Loose<Linux>,
}

/// The `linux` object of a config.json.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Linux {
    /// The cgroup, as a path or `SLICE:PREFIX:NAME`.
    #[serde(rename = "cgroupsPath")]
    pub cgroups_path: Loose<String>,
}

/// The value of an option: `--name VALUE`, `--name=VALUE`.
pub fn option<'a>(args: &'a [String], names: &[&str]) -> Option<&'a str> {
    let mut args = args.iter().skip(1);
    while let Some(arg) = args.next() {
        for name in names {
            match arg.strip_prefix(name) {
                Some("") => return args.next().map(String::as_str),
                Some(rest) if rest.starts_with('=') => return rest.get(1..),
                _ => {}
            }
        }
    }
    None
}

/// The last part of a program's path.
pub fn program(args: &[String]) -> &str {
    args.first().map_or("", |path| path.rsplit('/').next().unwrap_or_default())
}

/// A text value out of a TOML file of flat lines, `key = "value"`, in any table.
pub fn toml_text<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let value = line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')?.trim_start();
        let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        value.get(1..)?.split(quote).next().filter(|value| !value.is_empty())
    })
}
