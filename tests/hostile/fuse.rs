//! The FUSE daemon: a /proc that is made up, a mount that never answers, one that answers late and without end.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;

use super::fake::FILES;
use crate::system::*;

/// What it serves.
#[derive(Clone, Copy, PartialEq)]
pub enum Serving {
    /// The files of a made-up /proc.
    Proc,
    /// Every request but the first is kept: then the kernel lets nobody who waits go, not even by SIGKILL.
    Silence,
    /// No request is read.
    Nothing,
    /// A directory and a file that never end.
    Endless,
    /// A file of any name, each new to the kernel, which can be opened; reading it never ends.
    Bottomless,
}

/// A mount whose daemon does not run yet.
pub struct Daemon(File, Serving);

// Opcodes, linux/fuse.h.
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
const READDIR: u32 = 28;
const RELEASE: u32 = 18;
const RELEASEDIR: u32 = 29;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_644;

impl Daemon {
    /// Mounts it; requests are answered from [`Daemon::start`] on.
    pub fn mount(at: &str, serving: Serving) -> Self {
        let fuse = File::options().read(true).write(true).open("/dev/fuse").unwrap_or_else(|error| {
            eprintln!("nsdbg-test-helper: /dev/fuse: {error}");
            std::process::exit(99);
        });
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", fuse.as_raw_fd());
        mounted("fuse", at, "fuse", 0, &options);
        Self(fuse, serving)
    }

    /// Answers in a thread of its own, as long as this process lives.
    pub fn start(self) {
        match self.1 {
            // Open for as long as this process lives.
            Serving::Nothing => std::mem::forget(self),
            _ => drop(std::thread::spawn(move || self.serve())),
        }
    }

    fn serve(mut self) {
        let mut request = vec![0; 1 << 17];
        while let Ok(length) = self.0.read(&mut request) {
            if length < 40 {
                return;
            }
            let word = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().unwrap());
            let (opcode, unique) = (word(4), &request[8..16]);
            let node = u64::from_le_bytes(request[16..24].try_into().unwrap());
            let body = &request[40..length];
            let answer = match opcode {
                FORGET | BATCH_FORGET | INTERRUPT => continue,
                INIT => Ok(init()),
                _ if self.1 == Serving::Silence => continue,
                READ if self.1 == Serving::Bottomless => continue,
                LOOKUP => self.look_up(node, body),
                GETATTR => Ok([&[0; 16][..], &self.attributes(node)].concat()),
                OPEN | OPENDIR => Ok(vec![0; 16]),
                READ => Ok(self.read(node, body)),
                READDIR => Ok(self.entries(node, body)),
                RELEASE | RELEASEDIR => Ok(Vec::new()),
                _ => Err(38),
            };
            let (error, data) = match answer {
                Ok(data) => (0, data),
                Err(errno) => (-errno, Vec::new()),
            };
            let mut out = (16 + data.len() as u32).to_le_bytes().to_vec();
            out.extend(i32::to_le_bytes(error));
            out.extend(unique);
            out.extend(data);
            if self.0.write_all(&out).is_err() {
                // Nobody waits for this one any more.
                continue;
            }
        }
    }

    /// All paths, directories among them; node N is the path at N - 1.
    fn paths(&self) -> Vec<(&'static str, Option<&'static str>)> {
        match self.1 {
            Serving::Proc => [("", None), ("1", None), ("666", None)]
                .into_iter()
                .chain(FILES.map(|(path, text)| (path, Some(text))))
                .collect(),
            _ => vec![("", None), ("file", Some(""))],
        }
    }

    fn look_up(&self, parent: u64, name: &[u8]) -> Result<Vec<u8>, i32> {
        let name = std::str::from_utf8(name).unwrap_or("").trim_end_matches('\0');
        let paths = self.paths();
        let directory = paths.get(parent as usize - 1).map_or("", |(path, _)| path);
        let whole = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
        let found = paths.iter().position(|(path, _)| *path == whole);
        let is_made_up = self.1 == Serving::Endless && name.starts_with("name");
        let number = name.strip_prefix("file").and_then(|number| number.parse::<u64>().ok());
        let node = match (found, number) {
            (None, Some(number)) if self.1 == Serving::Bottomless => number + 1000,
            (Some(at), _) => at as u64 + 1,
            (None, _) if is_made_up => 2,
            (None, _) => return Err(2),
        };
        Ok([&node.to_le_bytes()[..], &[0; 32], &self.attributes(node)].concat())
    }

    /// struct fuse_attr
    fn attributes(&self, node: u64) -> Vec<u8> {
        let paths = self.paths();
        let text = paths.get(node as usize - 1).and_then(|(_, text)| *text);
        let (mode, size) = match (text, self.1) {
            (None, Serving::Bottomless) if node >= 1000 => (FILE, 1 << 20),
            (None, _) => (DIRECTORY, 0),
            (Some(_), Serving::Endless) => (FILE, u64::MAX >> 1),
            (Some(text), _) => (FILE, text.len() as u64),
        };
        let mut out = Vec::new();
        out.extend(node.to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend([0; 32]);
        out.extend([0; 12]);
        out.extend(mode.to_le_bytes());
        out.extend(1_u32.to_le_bytes());
        out.extend([0; 20]);
        out
    }

    fn read(&self, node: u64, body: &[u8]) -> Vec<u8> {
        let offset = u64::from_le_bytes(body[8..16].try_into().unwrap()) as usize;
        let size = u32::from_le_bytes(body[16..20].try_into().unwrap()) as usize;
        if self.1 == Serving::Endless {
            return vec![b'x'; size];
        }
        let paths = self.paths();
        let text = paths.get(node as usize - 1).and_then(|(_, text)| *text).unwrap_or("").as_bytes();
        text.get(offset..).unwrap_or_default().iter().copied().take(size).collect()
    }

    /// struct fuse_dirent, padded to eight bytes, as many as there is room for.
    fn entries(&self, node: u64, body: &[u8]) -> Vec<u8> {
        let offset = u64::from_le_bytes(body[8..16].try_into().unwrap());
        let size = u32::from_le_bytes(body[16..20].try_into().unwrap()) as usize;
        let mut out = Vec::new();
        let mut push = |number: u64, name: &str, is_directory: bool| {
            let length = (24 + name.len()).next_multiple_of(8);
            if out.len() + length > size {
                return false;
            }
            let end = out.len() + length;
            out.extend((number + 1).to_le_bytes());
            out.extend((number + 1).to_le_bytes());
            out.extend((name.len() as u32).to_le_bytes());
            out.extend((if is_directory { 4_u32 } else { 8 }).to_le_bytes());
            out.extend(name.as_bytes());
            out.resize(end, 0);
            true
        };
        if self.1 == Serving::Endless {
            let mut number = offset;
            while push(number, &format!("name{number}"), false) {
                number += 1;
            }
            return out;
        }
        let paths = self.paths();
        let own = paths.get(node as usize - 1).map_or("", |(path, _)| path);
        let children = paths.iter().filter_map(|(path, text)| {
            let name = if own.is_empty() { Some(*path) } else { path.strip_prefix(own)?.strip_prefix('/') }?;
            (!name.is_empty() && !name.contains('/')).then_some((name, text.is_none()))
        });
        for (number, (name, is_directory)) in children.enumerate().skip(offset as usize) {
            if !push(number as u64, name, is_directory) {
                break;
            }
        }
        out
    }
}

/// struct fuse_init_out: protocol 7.31.
fn init() -> Vec<u8> {
    let mut out = vec![0; 64];
    out[..4].copy_from_slice(&7_u32.to_le_bytes());
    out[4..8].copy_from_slice(&31_u32.to_le_bytes());
    out[8..12].copy_from_slice(&(1_u32 << 16).to_le_bytes());
    // The largest write.
    out[20..24].copy_from_slice(&4096_u32.to_le_bytes());
    out
}
