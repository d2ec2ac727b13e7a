//! `file`.

mod archive;
mod elf;
mod image;
mod magic;
mod pem;
pub(crate) mod sample;
mod script;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, SFlag, lstat, major, minor, stat};
use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

use super::input::Input;
use super::{Command, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Name, Output};

pub(crate) use elf::machine;
use sample::Sample;

/// Tell what kind of file each is.
///
/// By its content, of which at most 1 MiB is read. Of programs also which libc they are linked with, of certificates whose
/// they are and until when they hold. Devices are not opened, by -s neither.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct FileKind {
    /// Without names.
    #[arg(short, long)]
    brief: bool,
    /// The MIME type and the character set.
    #[arg(short = 'i', long)]
    mime: bool,
    /// The MIME type alone.
    #[arg(long, overrides_with = "mime")]
    mime_type: bool,
    /// What links lead to.
    #[arg(short = 'L', long, overrides_with = "no_dereference")]
    dereference: bool,
    /// Links themselves: so it is without options, too.
    #[arg(short = 'h', long, overrides_with = "dereference")]
    no_dereference: bool,
    /// Look into what gzip has packed.
    #[arg(short = 'z', long)]
    uncompress: bool,
    /// All that it may be, not the first alone.
    #[arg(short, long)]
    keep_going: bool,
    /// The content of devices is asked for: each is a failure, since none is opened.
    #[arg(short, long)]
    special_files: bool,
    /// NUL after names.
    #[arg(short = '0', long)]
    print0: bool,
    /// Files; `-` is standard input.
    #[arg(required = true, add = Takes::Path)]
    files: Vec<OsString>,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct What {
    pub(crate) description: String,
    mime: Cow<'static, str>,
    charset: &'static str,
    details: Map<String, Value>,
    /// What it was packed in: description and MIME type.
    packed: Option<(String, String)>,
}

impl What {
    /// What is no text.
    fn binary(description: impl Into<String>, mime: &'static str) -> Self {
        Self { description: description.into(), mime: mime.into(), charset: "binary", ..Self::default() }
    }

    /// Adds a fact for JSON.
    fn detail(&mut self, name: &str, value: impl Into<Value>) {
        self.details.insert(name.to_owned(), value.into());
    }
}

#[derive(serde::Serialize)]
struct Found<'a> {
    path: Name,
    description: &'a str,
    mime: &'a str,
    charset: &'a str,
    details: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packed: Option<&'a str>,
}

impl Command for FileKind {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs::STDIN;
    const REPLACES: &'static str = "file";
    const FIELDS: &'static [Field] = &[
        field("path", Kind::Text, "as it was typed"),
        field("description", Kind::Text, "what it is"),
        field("mime", Kind::Text, "its MIME type"),
        more("charset", Kind::Text, "us-ascii, utf-8, iso-8859-1, …; binary"),
        more("details", Kind::Object, "of programs, certificates, keys, links, pictures: facts by name"),
        more("packed", Kind::Text, "with -z: what it was packed in"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "file /etc/passwd /proc", what: "what they are" },
        Example { line: "file -i /etc/hosts", what: "its MIME type" },
    ];

    fn reads_stdin(&self) -> bool {
        self.files.iter().any(|file| file == "-")
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let shown = |path: &OsStr| {
            if cx.tty { escape(path.as_bytes()).into_bytes() } else { path.as_bytes().to_vec() }
        };
        let names: Vec<Vec<u8>> = self.files.iter().map(|path| shown(path)).collect();
        let columns = |name: &[u8]| String::from_utf8_lossy(name).width();
        let widest = names.iter().map(|name| columns(name)).max().unwrap_or(0);
        for (path, name) in self.files.iter().zip(&names) {
            let all = match self.look(path) {
                Ok(all) => all,
                Err(fault) => {
                    cx.report(&fault);
                    continue;
                }
            };
            let written = if out.is_json() {
                all.iter().try_for_each(|what| {
                    out.json(&Found {
                        path: Name::from(path.as_os_str()),
                        description: &what.description,
                        mime: &what.mime,
                        charset: what.charset,
                        details: &what.details,
                        packed: what.packed.as_ref().map(|(description, _)| description.as_str()),
                    })
                })
            } else {
                let mut line = Vec::new();
                if !self.brief {
                    line.extend_from_slice(name);
                    line.extend_from_slice(if self.print0 { b"\0:" } else { b":" });
                    line.resize(line.len() + 1 + widest - columns(name), b' ');
                }
                // As file(1) joins them.
                let said: Vec<String> = all.iter().map(|what| self.says(what)).collect();
                line.extend_from_slice(said.join("\\012- ").as_bytes());
                line.push(b'\n');
                out.bytes().write_all(&line)
            };
            written.map_err(|error| super::text::write_fault(&error))?;
        }
        Ok(Status::OK)
    }
}

impl FileKind {
    fn says(&self, what: &What) -> String {
        let What { description, mime, charset, packed, .. } = what;
        match packed {
            Some((_, packed)) if self.mime => {
                format!("{mime}; charset={charset} compressed-encoding={packed}; charset=binary")
            }
            Some((_, packed)) if self.mime_type => format!("{mime} compressed-encoding={packed}"),
            Some((packed, _)) => format!("{description} ({packed})"),
            None if self.mime => format!("{mime}; charset={charset}"),
            None if self.mime_type => mime.clone().into_owned(),
            None => description.clone(),
        }
    }

    fn look(&self, path: &OsStr) -> Result<Vec<What>> {
        if path == "-" {
            return self.content(Input::open(path)?);
        }
        let looked = if self.dereference { stat(path) } else { lstat(path) };
        let found = looked.map_err(|errno| Fault::errno("stat", path, errno))?;
        if let Some(what) = special(path, &found)? {
            let is_device = matches!(what.mime.as_ref(), "inode/chardevice" | "inode/blockdevice");
            if self.special_files && is_device {
                let cause =
                    "a device: nsdbg opens none, since it could read what the container's cgroup forbids it";
                return Err(Fault::text("open", path, cause));
            }
            return Ok(vec![what]);
        }
        let mut all = self.content(Input::open(path)?)?;
        if let Some(first) = all.first_mut() {
            first.description.insert_str(0, &modes(&found, false));
        }
        Ok(all)
    }

    fn content(&self, input: Input) -> Result<Vec<What>> {
        let sample = Sample::read(input)?;
        let outer = self.kinds(&sample);
        let Some(inner) = sample.unpacked().filter(|_| self.uncompress) else { return Ok(outer) };
        let join = |word: fn(&What) -> &str| outer.iter().map(word).collect::<Vec<_>>().join("\\012- ");
        let packed = (join(|what| &what.description), join(|what| &what.mime));
        let mut all = self.kinds(&inner);
        all.iter_mut().for_each(|what| what.packed = Some(packed.clone()));
        Ok(all)
    }

    fn kinds(&self, sample: &Sample) -> Vec<What> {
        if self.keep_going { kinds_of(sample) } else { vec![kind_of(sample)] }
    }
}

/// What the mode says: a program that runs as another, a directory that all may write.
fn modes(stat: &FileStat, is_directory: bool) -> String {
    let marks = [
        (libc::S_ISUID, "setuid, "),
        (libc::S_ISGID, "setgid, "),
        (libc::S_ISVTX, if is_directory { "sticky, " } else { "" }),
    ];
    marks.iter().filter(|(bit, _)| stat.st_mode & bit != 0).map(|(_, word)| *word).collect()
}

/// What is no regular file; none where it is one.
fn special(path: &OsStr, found: &FileStat) -> Result<Option<What>> {
    let device = || (major(found.st_rdev), minor(found.st_rdev));
    let what = match SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => return Ok(None),
        SFlag::S_IFDIR => What::binary(modes(found, true) + "directory", "inode/directory"),
        SFlag::S_IFLNK => link(path)?,
        SFlag::S_IFIFO => What::binary("fifo (named pipe)", "inode/fifo"),
        SFlag::S_IFSOCK => What::binary("socket", "inode/socket"),
        SFlag::S_IFCHR => {
            let (major, minor) = device();
            What::binary(format!("character special ({major}/{minor})"), "inode/chardevice")
        }
        SFlag::S_IFBLK => {
            let (major, minor) = device();
            What::binary(format!("block special ({major}/{minor})"), "inode/blockdevice")
        }
        _ => What::binary("not known", "application/octet-stream"),
    };
    Ok(Some(what))
}

fn link(path: &OsStr) -> Result<What> {
    let target = nix::fcntl::readlink(path).map_err(|errno| Fault::errno("readlink", path, errno))?;
    let kind = match stat(path) {
        Ok(_) | Err(Errno::EACCES) => "symbolic link to",
        Err(Errno::ELOOP) => "symbolic link in a loop to",
        Err(_) => "broken symbolic link to",
    };
    let mut what = What::binary(format!("{kind} {}", escape(target.as_bytes())), "inode/symlink");
    what.detail("target", Name::from(target).spelled());
    what.detail("is_broken", kind != "symbolic link to");
    Ok(what)
}

/// What the content says.
pub(crate) fn kind_of(sample: &Sample) -> What {
    possible(sample).next().unwrap_or_default()
}

/// All that the content may be.
fn kinds_of(sample: &Sample) -> Vec<What> {
    possible(sample).collect()
}

/// What it may be, the likeliest first.
fn possible(sample: &Sample) -> impl Iterator<Item = What> {
    const LOOKS: [fn(&Sample) -> Option<What>; 7] = [
        |sample| sample.head.is_empty().then(|| What::binary("empty", "inode/x-empty")),
        elf::look,
        archive::look,
        image::look,
        magic::look,
        pem::look,
        |sample| (!sample.head.is_empty()).then(|| text::look(sample)),
    ];
    LOOKS.iter().filter_map(|look| {
        let mut what = look(sample)?;
        if !sample.head.is_empty() {
            what.charset = text::charset(sample);
        }
        Some(what)
    })
}
