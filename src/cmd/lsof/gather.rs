//! Reads processes and their open files, one process after the other.

use std::collections::HashSet;

use nix::errno::Errno;

use super::ends::{End, Ends, numbered};
use super::names::{endpoint, inet_name, unix_words};
use super::root::Root;
use super::row::{OpenFile, Peer, about, mode_word};
use super::select::{Chosen, Selection};
use super::sockets::{Inet, Socket, Sockets};
use crate::cmd::Watch;
use crate::out::Name;
use crate::sys::idmap::IdMap;
use crate::sys::passwd::Users;
use crate::sys::proc::fdinfo::FdInfo;
use crate::sys::proc::files::{DELETED, Descriptors, Facts};
use crate::sys::proc::{Procfs, Reader};

/// Ends of a pipe or socket that a line names.
const NAMED: usize = 3;

/// What could not be seen or held.
#[derive(Default)]
pub struct Hidden {
    /// Processes whose files the kernel did not show.
    pub refused: usize,
    /// Processes of which not all was read.
    pub cut: usize,
}

/// Reads open files.
pub struct Gatherer<'a> {
    pub watch: &'a Watch,
    pub procfs: Procfs<'a>,
    pub reader: Reader<'a>,
    pub root: Root,
    pub uids: IdMap,
    pub users: &'a Users,
    pub selection: &'a Selection,
    /// Whether SIZE/OFF is always the position.
    pub positions: bool,
    /// Whether users are shown as numbers.
    pub numbers: bool,
    /// All PIDs, for who holds other ends.
    pub pids: &'a [i32],
    pub sockets: Option<Sockets>,
    /// Sockets that a process holds which was looked at.
    pub held: HashSet<u64>,
    pub ends: Option<Ends>,
    pub hidden: Hidden,
    /// Whether other ends are looked for.
    pub peers: bool,
}

/// A process, for its rows.
struct Process {
    pid: i32,
    command: Name,
    uid: u32,
    user: String,
    chosen: Chosen,
}

impl Gatherer<'_> {
    /// Hands out the open files of a process that are asked for, until `take` says false. False where it did.
    pub fn process(&mut self, pid: i32, take: &mut dyn FnMut(OpenFile) -> bool) -> bool {
        // A process that is gone is passed over.
        let Ok((uid, _)) = self.reader.owner(pid) else { return true };
        let uid = self.uids.inside(uid);
        let Ok(command) = self.reader.read(pid, "comm", 64) else { return true };
        let command = command.strip_suffix(b"\n").unwrap_or(command).to_vec();
        let chosen = self.selection.process(pid, &command, uid);
        if chosen == Chosen::Nothing {
            return true;
        }
        let user = if self.numbers { uid.to_string() } else { self.users.user_name(uid) };
        let process = Process { pid, command: command.as_slice().into(), uid, user, chosen };
        let with_paths = chosen == Chosen::Everything || !self.selection.sockets_alone();
        let refused = |error: &Errno| matches!(error, Errno::EACCES | Errno::EPERM);
        let mut is_refused = false;
        if with_paths {
            let mut program = None;
            for (fd, name) in [("cwd", "cwd"), ("rtd", "root"), ("txt", "exe")] {
                match self.reader.link(pid, name) {
                    Ok(link) => {
                        let facts = self.procfs.facts(pid, name).ok();
                        if name == "exe" {
                            program = facts.map(|facts| (facts.device, facts.inode));
                        }
                        let link = std::os::unix::ffi::OsStringExt::into_vec(link);
                        let inode = facts.map(|facts| facts.inode);
                        let row = self.on_path(&process, fd, link, facts, inode, None);
                        if !self.give(row, None, &process, take) {
                            return false;
                        }
                    }
                    // A kernel thread has no program.
                    Err(error) => is_refused |= refused(&error),
                }
            }
            match self.mapped(&process, program, take) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => is_refused |= refused(&error),
            }
        }
        let goes_on = match self.procfs.descriptors(pid) {
            Ok(mut descriptors) => self.descriptors(&process, &mut descriptors, &mut is_refused, take),
            Err(error) => {
                is_refused |= refused(&error);
                true
            }
        };
        self.hidden.refused += usize::from(is_refused);
        goes_on
    }

    fn mapped(
        &mut self,
        process: &Process,
        program: Option<((u32, u32), u64)>,
        take: &mut dyn FnMut(OpenFile) -> bool,
    ) -> nix::Result<bool> {
        let (all, more) = self.reader.mapped(process.pid)?;
        self.hidden.cut += usize::from(more);
        let exe = self.reader.link(process.pid, "exe").map(std::os::unix::ffi::OsStringExt::into_vec);
        for file in all {
            // On some file systems the inode in maps is another one than that of the file.
            let is_program = program == Some((file.device, file.inode)) || exe.as_ref() == Ok(&file.path);
            if is_program {
                continue;
            }
            let is_file = file.device.0 != 0 || self.root.devices.contains(&file.device);
            let mut row = self.on_path(process, "mem", file.path, None, Some(file.inode), None);
            row.deleted &= is_file;
            row.device = Some(format!("{},{}", file.device.0, file.device.1));
            (row.device_number, row.inode) = (Some(file.device), Some(file.inode));
            row.r#type = "REG";
            if !self.give(row, None, process, take) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn descriptors(
        &mut self,
        process: &Process,
        descriptors: &mut Descriptors,
        is_refused: &mut bool,
        take: &mut dyn FnMut(OpenFile) -> bool,
    ) -> bool {
        let sockets_alone = process.chosen == Chosen::Files && self.selection.sockets_alone();
        let Ok((numbers, more)) = descriptors.numbers(usize::MAX) else { return true };
        self.hidden.cut += usize::from(more);
        for fd in numbers {
            let link = match descriptors.link(fd) {
                Ok(link) => link,
                // One is refused as all are, though their numbers may be listed.
                Err(Errno::EACCES | Errno::EPERM) => {
                    *is_refused = true;
                    return true;
                }
                // It was closed meanwhile.
                Err(_) => continue,
            };
            if sockets_alone && !link.starts_with(b"socket:[") {
                continue;
            }
            let facts = descriptors.facts(fd).ok();
            let info = descriptors.info(fd).ok();
            let (row, inet) = self.descriptor(process, fd, link, facts, info, descriptors);
            if !self.give(row, inet.as_ref(), process, take) {
                return false;
            }
        }
        true
    }

    fn give(
        &self,
        row: OpenFile,
        inet: Option<&Inet>,
        process: &Process,
        take: &mut dyn FnMut(OpenFile) -> bool,
    ) -> bool {
        let asked = process.chosen == Chosen::Everything || self.selection.file(&row, inet);
        !asked || self.selection.excludes(&row, inet) || take(row)
    }

    /// A row with what every file has.
    fn row(&self, process: &Process, fd: &str, facts: Option<Facts>, info: Option<&FdInfo>) -> OpenFile {
        let mut row = OpenFile {
            command: process.command.clone(),
            pid: process.pid,
            uid: process.uid,
            user: process.user.clone(),
            fd: fd.to_owned(),
            mode: info.map(|info| mode_word(info.mode())),
            lock: info.and_then(|info| info.lock),
            position: info.map(|info| info.position),
            r#type: "unknown",
            shows_position: self.positions,
            ..OpenFile::default()
        };
        if let Some(facts) = facts {
            let kind = facts.mode & libc::S_IFMT;
            row.r#type = match kind {
                libc::S_IFREG => "REG",
                libc::S_IFDIR => "DIR",
                libc::S_IFCHR => "CHR",
                libc::S_IFBLK => "BLK",
                libc::S_IFIFO => "FIFO",
                libc::S_IFLNK => "LINK",
                libc::S_IFSOCK => "sock",
                _ => "unknown",
            };
            let shown =
                if matches!(kind, libc::S_IFCHR | libc::S_IFBLK) { facts.special } else { facts.device };
            row.device = Some(format!("{},{}", shown.0, shown.1));
            row.device_number = Some(facts.device);
            (row.inode, row.links) = (Some(facts.inode), Some(facts.links));
            if matches!(kind, libc::S_IFREG | libc::S_IFDIR | libc::S_IFLNK) {
                (row.size, row.allocated) = (Some(facts.size), Some(facts.blocks.saturating_mul(512)));
            } else {
                row.shows_position = true;
            }
        }
        row
    }

    /// A file that has a path.
    fn on_path(
        &self,
        process: &Process,
        fd: &str,
        link: Vec<u8>,
        facts: Option<Facts>,
        inode: Option<u64>,
        info: Option<&FdInfo>,
    ) -> OpenFile {
        let mut row = self.row(process, fd, facts, info);
        let mount = info.and_then(|info| info.mount).or_else(|| facts.and_then(|facts| facts.mount));
        let mut link = link;
        let is_deleted = self.procfs.is_deleted(process.pid, &link, inode);
        if is_deleted {
            link.truncate(link.len() - DELETED.len());
        }
        let known = mount.is_some_and(|mount| self.root.mounts.contains(&mount));
        if is_deleted && link.starts_with(b"/memfd:") && !known {
            // It never had a name in a directory.
            row.name = link.get(1..).unwrap_or_default().into();
            row.about = Some(serde_json::json!({"memfd": Name::from(link.get(7..).unwrap_or_default())}));
            row.path = Some(row.name.clone());
            return row;
        }
        let (shown, outside) = self.root.shown(link, mount);
        (row.deleted, row.outside) = (is_deleted, outside);
        row.name = shown.as_slice().into();
        row.path = Some(shown.into());
        row
    }

    fn descriptor(
        &mut self,
        process: &Process,
        fd: u32,
        link: Vec<u8>,
        facts: Option<Facts>,
        info: Option<FdInfo>,
        descriptors: &Descriptors,
    ) -> (OpenFile, Option<Inet>) {
        let number = fd.to_string();
        if link.starts_with(b"/") {
            let inode = facts.map(|facts| facts.inode);
            return (self.on_path(process, &number, link, facts, inode, info.as_ref()), None);
        }
        let mut row = self.row(process, &number, facts, info.as_ref());
        if let Some(inode) = numbered(&link, b"socket:[") {
            let inet = self.socket(&mut row, inode, fd, descriptors);
            return (row, inet);
        }
        if let Some(inode) = numbered(&link, b"pipe:[") {
            let letter = info.as_ref().map_or('u', FdInfo::mode);
            let own = End { pid: process.pid, fd, reads: letter != 'w', writes: letter != 'r' };
            let mut name = link;
            if self.peers {
                let (ends, more) = self.ends().of_pipe(inode, own);
                let text = self.name_ends(&mut row, &ends, more);
                name.extend_from_slice(text.as_bytes());
                if ends.is_empty() && more == 0 {
                    name.extend_from_slice(b" (no other end in the container)");
                }
            }
            row.name = name.into();
            return (row, None);
        }
        if link.starts_with(b"anon_inode:") || link.starts_with(b"pidfd:[") {
            (row.r#type, row.shows_position) = ("a_inode", false);
        }
        let reader = &mut self.reader;
        let mut program = |pid: i32| {
            let name = reader.read(pid, "comm", 64).map(<[u8]>::to_vec).unwrap_or_default();
            format!("{pid}/{}", crate::out::name::escape(name.trim_ascii_end()))
        };
        let what = info.map(|info| info.about).unwrap_or_default();
        let (text, value) = about(&link, &what, &mut program);
        (row.name, row.about) = (text.as_str().into(), value);
        (row, None)
    }

    fn socket(&mut self, row: &mut OpenFile, inode: u64, fd: u32, descriptors: &Descriptors) -> Option<Inet> {
        let sockets = match self.sockets.take() {
            Some(sockets) => sockets,
            None => Sockets::list(self.watch, &mut self.reader),
        };
        self.held.insert(inode);
        let found = sockets.of(inode).cloned();
        let peer = found.as_ref().map_or(0, |socket| sockets.peer(socket));
        let peer_name = match sockets.of(peer) {
            Some(Socket::Unix(unix)) => crate::cmd::netstat::unix_path(&unix.name),
            _ => Vec::new(),
        };
        self.sockets = Some(sockets);
        let mut inet_socket = None;
        let mut name = match found {
            None => {
                // Not bound, of another network namespace, or of a family that is not listed.
                row.protocol = descriptors.protocol(fd);
                let protocol = row.protocol.as_deref().unwrap_or("unknown");
                format!("protocol: {protocol}").into_bytes()
            }
            Some(Socket::Inet(inet)) => {
                row.r#type = if inet.v6 { "IPv6" } else { "IPv4" };
                row.protocol = Some(inet.protocol.to_owned());
                row.local = Some(endpoint(inet.local));
                let connected = inet.remote.1 != 0;
                row.remote = connected.then(|| endpoint(inet.remote));
                row.state = Some(inet.state.to_owned()).filter(|state| !state.is_empty());
                let name = inet_name(&inet);
                inet_socket = Some(inet);
                name.into_bytes()
            }
            Some(Socket::Unix(unix)) => {
                row.r#type = "unix";
                row.protocol = Some("UNIX".to_owned());
                let path = crate::cmd::netstat::unix_path(&unix.name);
                let (kind, state) = unix_words(&unix);
                row.state = Some(state.to_owned());
                if !path.is_empty() {
                    row.path = Some(path.as_slice().into());
                }
                let mut name = path;
                if !name.is_empty() {
                    name.push(b' ');
                }
                name.extend_from_slice(format!("type={kind} ({state})").as_bytes());
                name
            }
            Some(Socket::Netlink(protocol)) => {
                row.r#type = "netlink";
                row.protocol = Some(format!("NETLINK-{protocol}"));
                protocol.into_bytes()
            }
        };
        if peer != 0 && self.peers {
            let (ends, more) = self.ends().of_socket(peer);
            let text = self.name_ends(row, &ends, more);
            if !peer_name.is_empty() {
                row.remote = Some(Name::from(peer_name.as_slice()).spelled());
                name.extend_from_slice(" → ".as_bytes());
                name.extend_from_slice(&peer_name);
            }
            let text = if peer_name.is_empty() { text } else { text.replacen(" →", "", 1) };
            name.extend_from_slice(text.as_bytes());
        }
        row.name = name.into();
        inet_socket
    }

    fn ends(&mut self) -> &Ends {
        let (procfs, pids) = (&self.procfs, self.pids);
        self.ends.get_or_insert_with(|| Ends::of_all(procfs, pids))
    }

    /// ` → 7/nginx 4w, 9/sh 1w and 2 more`.
    fn name_ends(&mut self, row: &mut OpenFile, ends: &[End], more: usize) -> String {
        let mut words = Vec::new();
        let mut peers = Vec::new();
        let mut all = self.ends.take().unwrap_or_default();
        for end in ends {
            let command = all.name(end.pid, &mut self.reader);
            if words.len() < NAMED {
                words.push(format!(
                    "{}/{} {}{}",
                    end.pid,
                    crate::out::name::escape(command.as_bytes()),
                    end.fd,
                    end.mode()
                ));
            }
            peers.push(Peer { pid: end.pid, command, fd: end.fd, mode: mode_word(end.mode()) });
        }
        self.ends = Some(all);
        let left = ends.len().saturating_sub(NAMED) + more;
        row.peers = Some(peers);
        match (words.is_empty(), left) {
            (true, 0) => String::new(),
            (true, _) => format!(" → {left} more that were not looked at"),
            (false, 0) => format!(" → {}", words.join(", ")),
            (false, _) => format!(" → {} and {left} more", words.join(", ")),
        }
    }
}
