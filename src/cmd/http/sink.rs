//! Where a body goes: stdout, a file, or nowhere; by splice where no byte has to be looked at.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, FcntlArg, OFlag, SpliceFFlags, fcntl, openat, splice};
use nix::poll::PollFlags;
use nix::sys::stat::{Mode, SFlag, fstat, major, minor};

use super::body::{Body, Unpacked};
use super::fail::receive;
use super::stream::{BUFFER, Conn, Stream};
use crate::cmd::net::fail::status;
use crate::cmd::{Context, Fault, Result};
use crate::sys::open::special;
use crate::sys::socket::wait;
use crate::sys::splice::Private;

/// What the kernel grants a pipe of anyone.
const PIPE: i32 = 1 << 20;

/// Where a body goes.
pub enum Sink<'a> {
    /// Our output; with the pipe behind it, where it is one.
    Out(&'a mut dyn Write, Option<BorrowedFd<'a>>),
    /// A file and its name.
    File(File, OsString),
    /// Nowhere: only counted.
    Nowhere,
}

fn not_created(path: &OsStr, errno: Errno) -> Fault {
    match errno {
        Errno::ELOOP => Fault::text("create", path, "it is a symbolic link").with_status(status::WRITE),
        errno => Fault::errno("create", path, errno).with_status(status::WRITE),
    }
}

/// Whether `-o` may name this file of the container, before anything is asked for; says whether it is `/dev/null`.
///
/// # Errors
/// 23; a file that the session may not write.
pub fn may_create(cx: &Context, path: &OsStr) -> Result<bool> {
    let fault = |errno| not_created(path, errno);
    let look = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let null = match openat(AT_FDCWD, path, look, Mode::empty()) {
        Ok(found) => {
            let stat = fstat(&found).map_err(fault)?;
            match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
                SFlag::S_IFLNK => return Err(fault(Errno::ELOOP)),
                SFlag::S_IFCHR => (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3),
                _ => false,
            }
        }
        Err(Errno::ENOENT) => false,
        Err(errno) => return Err(fault(errno)),
    };
    if !null {
        cx.writes("create", path)?;
    }
    Ok(null)
}

/// Opens a file of the container for `-o`, emptied. Only regular files are written to, and no link at the end of the
/// path is followed: inside, a link may have been laid for a more powerful reader. `/dev/null` is not even opened.
///
/// # Errors
/// 23.
pub fn create<'a>(cx: &Context, path: &OsStr) -> Result<Sink<'a>> {
    let fault = |errno| not_created(path, errno);
    if may_create(cx, path)? {
        return Ok(Sink::Nowhere);
    }
    let flags = OFlag::O_WRONLY
        | OFlag::O_CREAT
        | OFlag::O_NOFOLLOW
        | OFlag::O_NOCTTY
        | OFlag::O_NONBLOCK
        | OFlag::O_CLOEXEC;
    let file: File = openat(AT_FDCWD, path, flags, Mode::from_bits_truncate(0o666)).map_err(fault)?.into();
    let stat = fstat(&file).map_err(fault)?;
    match special(&stat) {
        None => file.set_len(0).map_err(|e| Fault::io("truncate", path, &e).with_status(status::WRITE))?,
        Some(kind) => {
            return Err(Fault::text("create", path, format!("it is {kind}")).with_status(status::WRITE));
        }
    }
    Ok(Sink::File(file, path.to_owned()))
}

/// How a transfer is bounded and judged.
pub struct Terms<'a> {
    /// `--max-size`.
    pub max: Option<u64>,
    /// Whether zero bytes are refused, since a person reads.
    pub refuse_binary: bool,
    /// The other side, for messages.
    pub address: &'a str,
}

/// Moves a body into its sink and says how many bytes that were.
///
/// # Errors
/// 23 for the sink, 63 for a body over `--max-size`, else those of the body.
pub fn transfer(body: Unpacked, sink: &mut Sink, terms: &Terms) -> Result<u64> {
    let mut moved = 0;
    match body {
        Unpacked::Plain(mut body) => {
            if terms.max.is_none() && !terms.refuse_binary {
                moved = spliced(&mut body, sink, terms)?;
            }
            loop {
                let bytes = body.fill_buf().map_err(|e| receive(terms.address, &e))?;
                if bytes.is_empty() {
                    break;
                }
                let count = bytes.len();
                put(sink, bytes, &mut moved, terms)?;
                body.consume(count);
            }
        }
        mut packed => {
            let mut buffer = vec![0; BUFFER];
            loop {
                let count = match packed.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(receive(terms.address, &error)),
                };
                put(sink, buffer.get(..count).unwrap_or_default(), &mut moved, terms)?;
            }
        }
    }
    if let Sink::Out(out, _) = sink {
        out.flush().map_err(|error| Fault::output(error).with_status(status::WRITE))?;
    }
    Ok(moved)
}

fn put(sink: &mut Sink, bytes: &[u8], moved: &mut u64, terms: &Terms) -> Result<()> {
    if *moved == 0 && terms.refuse_binary && bytes.contains(&0) {
        return Err(Fault::say("the body is binary and would go to the terminal")
            .with_hint("-o FILE, or -o - to print it all the same")
            .with_status(status::WRITE));
    }
    let room = terms.max.map_or(u64::MAX, |max| max - *moved);
    let fits = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
    let now = bytes.get(..fits).unwrap_or_default();
    match sink {
        Sink::Out(out, _) => {
            out.write_all(now).map_err(|error| Fault::output(error).with_status(status::WRITE))?;
        }
        Sink::File(file, name) => {
            file.write_all(now).map_err(|e| Fault::io("write", name, &e).with_status(status::WRITE))?;
        }
        Sink::Nowhere => {}
    }
    *moved += fits as u64;
    if fits < bytes.len() {
        return Err(too_large(terms.max.unwrap_or_default()));
    }
    Ok(())
}

/// A body over `--max-size`.
pub fn too_large(max: u64) -> Fault {
    Fault::text("read", "body", format!("larger than --max-size {max}")).with_status(status::SIZE)
}

/// Moves what it can from the socket into the sink without copying; how much that was. Where the kernel will not, the
/// rest is left to the caller.
fn spliced(body: &mut Body, sink: &mut Sink, terms: &Terms) -> Result<u64> {
    let Some((conn, left)) = body.direct() else { return Ok(0) };
    if !matches!(conn.stream(), Stream::Plain(_)) {
        return Ok(0);
    }
    if let Sink::Out(out, Some(_)) = sink {
        out.flush().map_err(|error| Fault::output(error).with_status(status::WRITE))?;
    }
    let (target, name): (BorrowedFd, OsString) = match &*sink {
        Sink::Out(_, Some(pipe)) => {
            // Without it, 64 KiB a turn.
            let _ = fcntl(*pipe, FcntlArg::F_SETPIPE_SZ(PIPE));
            (*pipe, "standard output".into())
        }
        Sink::File(file, name) => (file.as_fd(), name.clone()),
        Sink::Nowhere => return dropped(body, terms),
        Sink::Out(_, None) => return Ok(0),
    };
    let through = match sink_is_pipe(target) {
        true => None,
        false => match Private::new(PIPE as usize) {
            Ok(pipe) => Some(pipe),
            Err(_) => return Ok(0),
        },
    };
    let result = Splice { target, name: &name, through, terms }.run(conn, left);
    let (moved, ended) = result?;
    body.moved(moved, ended);
    Ok(moved)
}

/// Takes the rest of a body off the socket unseen; how much that was.
fn dropped(body: &mut Body, terms: &Terms) -> Result<u64> {
    let Some((conn, left)) = body.direct() else { return Ok(0) };
    let mut moved = left.map_or(conn.held().len() as u64, |left| left.min(conn.held().len() as u64));
    conn.used(usize::try_from(moved).unwrap_or(usize::MAX));
    let mut buffer = vec![0; PIPE as usize];
    let mut ended = false;
    while !ended && left.is_none_or(|left| moved < left) {
        let most = left.map_or(u64::MAX, |left| left - moved).min(buffer.len() as u64) as usize;
        let room = buffer.get_mut(..most).unwrap_or_default();
        let count = conn.stream().sock().discard(room).map_err(|e| receive(terms.address, &e))?;
        ended = count == 0;
        moved += count as u64;
    }
    body.moved(moved, ended);
    Ok(moved)
}

fn sink_is_pipe(fd: BorrowedFd) -> bool {
    fstat(fd).is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFIFO.bits())
}

/// The pipe behind a stdout that is one.
pub fn stdout_pipe(stdout: &io::Stdout) -> Option<BorrowedFd<'_>> {
    Some(stdout.as_fd()).filter(|fd| sink_is_pipe(*fd))
}

struct Splice<'a> {
    target: BorrowedFd<'a>,
    name: &'a OsStr,
    /// A pipe of our own, where the target is none.
    through: Option<Private>,
    terms: &'a Terms<'a>,
}

impl Splice<'_> {
    fn write_fault(&self, errno: Errno) -> Fault {
        Fault::errno("write", self.name, errno).with_status(status::WRITE)
    }

    /// Moves up to `left` bytes; how many, and whether the connection ended.
    fn run(&self, conn: &mut Conn, left: Option<u64>) -> Result<(u64, bool)> {
        let mut moved = 0;
        let held = conn.held().len();
        let mut most = left.map_or(held, |left| usize::try_from(left).unwrap_or(usize::MAX).min(held));
        while most > 0 {
            match nix::unistd::write(self.target, conn.held().get(..most).unwrap_or_default()) {
                Ok(count) => {
                    moved += count as u64;
                    most -= count.min(most);
                    conn.used(count);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => self.wait_for_room(conn)?,
                Err(errno) => return Err(self.write_fault(errno)),
            }
        }
        loop {
            let most = left.map_or(PIPE as u64, |left| (left - moved).min(PIPE as u64)) as usize;
            if most == 0 {
                return Ok((moved, false));
            }
            let sock = conn.stream().sock();
            sock.check().map_err(|e| receive(self.terms.address, &e))?;
            let to = self.through.as_ref().map_or(self.target, |pipe| pipe.writer().as_fd());
            let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
            let count = match splice(sock.fd(), None, to, None, most, flags) {
                Ok(0) => return Ok((moved, true)),
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => {
                    sock.wait(PollFlags::POLLIN).map_err(|e| receive(self.terms.address, &e))?;
                    if self.through.is_none() {
                        self.wait_for_room(conn)?;
                    }
                    continue;
                }
                Err(Errno::EINVAL | Errno::ENOSYS) => return Ok((moved, false)),
                Err(Errno::EPIPE) => return Err(self.write_fault(Errno::EPIPE)),
                Err(errno) => return Err(receive(self.terms.address, &errno.into())),
            };
            if let Some(pipe) = &self.through {
                pipe.drain(self.target, count).map_err(|errno| self.write_fault(errno))?;
            }
            moved += count as u64;
        }
    }

    fn wait_for_room(&self, conn: &mut Conn) -> Result<()> {
        let deadline = conn.stream().sock().deadline;
        match wait(self.target, PollFlags::POLLOUT, deadline) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Fault::text("write", self.name, "the time limit of --max-time has passed")
                .with_status(status::TIME)),
            Err(error) => Err(Fault::io("write", self.name, &error).with_status(status::WRITE)),
        }
    }
}
