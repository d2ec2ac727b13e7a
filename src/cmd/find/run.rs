//! What `find` does: walks from each path, and evaluates the expression for each file.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;

use super::arguments::Lookup;
use super::expression::{Clock, Expression, Permissions, Test, Until};
use super::file::{File, of_path, time};
use super::parse::{Numeric, Search, parse, shown};
use super::show;
use crate::cmd::{Context, Fault, Result, Status};
use crate::out::Output;
use crate::out::fault::errno_text;
use crate::out::name::shell_quoted;
use crate::out::table::NoRow;
use crate::sys::walk::{Step, Walk};

/// Printed bytes are handed on in pieces of this size.
const PIECE: usize = 64 << 10;

/// The container's files and users, as arguments ask for them.
struct Container<'a> {
    cx: &'a Context,
    now: (i64, u32),
}

impl Lookup for Container<'_> {
    fn now(&self) -> (i64, u32) {
        self.now
    }

    fn time(&self, path: &OsStr, clock: Clock, follow: bool) -> std::result::Result<(i64, u32), String> {
        let stat = stat(path, follow)?;
        time(&stat, clock)
            .ok_or_else(|| format!("the time of birth of {} is not known", shown(path.as_bytes())))
    }

    fn identity(&self, path: &OsStr, follow: bool) -> std::result::Result<((u32, u32), u64), String> {
        stat(path, follow).map(|stat| ((stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino))
    }

    fn user(&self, name: &str) -> std::result::Result<Numeric<u64>, String> {
        let id = self.cx.users().user_named(name).map(|user| user.uid);
        known(id, name).ok_or_else(|| format!("'{}' is not the name of a known user", shown(name.as_bytes())))
    }

    fn group(&self, name: &str) -> std::result::Result<Numeric<u64>, String> {
        let id = self.cx.users().group_named(name).map(|group| group.gid);
        known(id, name)
            .ok_or_else(|| format!("'{}' is not the name of a known group", shown(name.as_bytes())))
    }
}

/// An id by its name, else by its digits.
fn known(id: Option<u32>, name: &str) -> Option<Numeric<u64>> {
    let value = id.or_else(|| name.parse().ok())?;
    Some(Numeric { sign: Ordering::Equal, value: u64::from(value) })
}

/// The facts of a file that an argument names; of a link that leads nowhere its own.
fn stat(path: &OsStr, follow: bool) -> std::result::Result<libc::statx, String> {
    let facts = match of_path(path, follow) {
        Err(Errno::ENOENT) if follow => of_path(path, false),
        other => other,
    };
    facts.map_err(|errno| format!("stat {}: {}", shown(path.as_bytes()), errno_text(errno as i32)))
}

/// One run of `find`.
struct Run<'a> {
    search: &'a Search,
    out: &'a mut Output<NoRow>,
    buffer: Vec<u8>,
    now: (i64, u32),
    /// The path of which the walk is.
    start: Vec<u8>,
    /// The directory is not to be gone into.
    prune: bool,
    /// It is to end.
    quit: bool,
    json: bool,
}

/// Why a file could not be evaluated.
enum Failed {
    Errno(&'static str, Errno),
    Write(Fault),
}

/// Runs `find`.
///
/// # Errors
/// Usage faults, and where standard output cannot be written.
pub fn run(words: &[OsString], cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = (now.as_secs() as i64, now.subsec_nanos());
    let mut search = parse(words, &Container { cx, now }).map_err(Fault::usage)?;
    let json = out.is_json();
    if json && search.expression.has_format() {
        return Err(Fault::usage("-printf prints no rows: it can't be had with --json"));
    }
    if !search.expression.prints() {
        let all = std::mem::replace(&mut search.expression, Expression::Test(Test::True));
        let print = Expression::Test(Test::Print(b'\n'));
        search.expression = match all {
            Expression::And(mut parts) => {
                parts.push(print);
                Expression::And(parts)
            }
            other => Expression::And(vec![other, print]),
        };
    }
    let mut run = Run {
        search: &search,
        out,
        buffer: Vec::new(),
        now,
        start: Vec::new(),
        prune: false,
        quit: false,
        json,
    };
    for path in &search.paths {
        run.from(path, cx)?;
        if run.quit {
            break;
        }
    }
    run.flush()?;
    Ok(Status(u8::from(cx.failed())))
}

impl Run<'_> {
    fn from(&mut self, path: &OsStr, cx: &mut Context) -> Result<()> {
        self.start = path.as_bytes().to_vec();
        let search = self.search;
        let mut walk =
            Walk::new(path, search.follow, search.one_file_system).max_depth(search.max_depth).falls_back();
        if search.follow_all {
            walk = walk.follow_links();
        }
        while let Some(step) = walk.step() {
            let is_directory = walk.kind() == libc::DT_DIR;
            let evaluates = match step {
                Step::Found => !(search.depth_first && is_directory),
                Step::Left => search.depth_first,
                Step::Failed(errno) => {
                    self.flush()?;
                    cx.report(&failure(&walk, errno));
                    search.depth_first && is_directory
                }
            };
            if evaluates && walk.depth() >= search.min_depth {
                self.prune = false;
                match self.holds(&search.expression, &File::new(&walk), cx) {
                    Ok(_) => {}
                    Err(Failed::Write(fault)) => return Err(fault),
                    Err(Failed::Errno(op, errno)) => {
                        self.flush()?;
                        cx.report(&Fault::errno(op, OsStr::from_bytes(walk.path()), errno));
                    }
                }
                if self.prune && !search.depth_first {
                    walk.skip();
                }
            }
            if self.quit {
                break;
            }
            if self.buffer.len() >= PIECE {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.out.bytes().write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(Fault::output)
    }

    fn holds(
        &mut self,
        expression: &Expression,
        file: &File,
        cx: &Context,
    ) -> std::result::Result<bool, Failed> {
        if self.quit {
            return Ok(false);
        }
        match expression {
            Expression::Test(test) => self.test(test, file, cx),
            Expression::Not(inner) => Ok(!self.holds(inner, file, cx)?),
            Expression::And(parts) => {
                for part in parts {
                    if !self.holds(part, file, cx)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Expression::Or(parts) => {
                for part in parts {
                    if self.holds(part, file, cx)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Expression::List(parts) => {
                let mut last = true;
                for part in parts {
                    last = self.holds(part, file, cx)?;
                }
                Ok(last)
            }
        }
    }

    fn test(&mut self, test: &Test, file: &File, cx: &Context) -> std::result::Result<bool, Failed> {
        let stat = || file.stat().map_err(|errno| Failed::Errno("stat", errno));
        Ok(match test {
            Test::True => true,
            Test::False => false,
            Test::Name(pattern) => pattern.matches(file.base()),
            Test::Path(pattern) => pattern.matches(file.path()),
            Test::LinkName(pattern) => {
                let target = file.target().map_err(|errno| Failed::Errno("readlink", errno))?;
                target.is_some_and(|target| pattern.matches(&target))
            }
            Test::Regex(regex) => regex.is_match(file.path()),
            Test::Type(types) => types & 1 << file.kind() != 0,
            Test::TargetType(types) => {
                // A link that leads nowhere is a link.
                types & 1 << file.other_kind().unwrap_or(libc::DT_LNK) != 0
            }
            Test::Size(size, unit) => size.holds(stat()?.stx_size.div_ceil(*unit)),
            Test::Days(clock, days, before) => match self.age(file, *clock, *before)? {
                // A fraction of a day does not count, unless one was asked for.
                Some(age) => days.holds((age / 86_400.0).floor()),
                None => false,
            },
            Test::Minutes(clock, minutes, before) => match self.age(file, *clock, *before)? {
                Some(age) if minutes.sign == Ordering::Equal => {
                    let most = minutes.value * 60.0;
                    (most - 60.0..most).contains(&age)
                }
                Some(age) => minutes.holds(age / 60.0),
                None => false,
            },
            Test::After(clock, than) => {
                file.time(*clock).map_err(|errno| Failed::Errno("stat", errno))?.is_some_and(|at| at > *than)
            }
            Test::Mode(how, wanted) => {
                let mode = u32::from(stat()?.stx_mode);
                let is_directory = mode & libc::S_IFMT == libc::S_IFDIR;
                let bits = if is_directory { wanted.of_directories } else { wanted.of_files };
                match how {
                    Permissions::Equal => mode & 0o7777 == bits,
                    Permissions::All => mode & bits == bits,
                    Permissions::Any => bits == 0 || mode & bits != 0,
                }
            }
            Test::Uid(uid) => uid.holds(u64::from(stat()?.stx_uid)),
            Test::Gid(gid) => gid.holds(u64::from(stat()?.stx_gid)),
            Test::NoUser => cx.users().user(stat()?.stx_uid).is_none(),
            Test::NoGroup => cx.users().group(stat()?.stx_gid).is_none(),
            Test::Links(links) => links.holds(u64::from(stat()?.stx_nlink)),
            Test::Inode(inode) => inode.holds(stat()?.stx_ino),
            Test::Same(device, inode) => {
                let stat = stat()?;
                ((stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino) == (*device, *inode)
            }
            Test::Empty => file.is_empty().map_err(|errno| Failed::Errno("open", errno))?,
            Test::Access(mode) => file.allows(*mode),
            Test::Prune => {
                self.prune = true;
                true
            }
            Test::Quit => {
                self.quit = true;
                true
            }
            Test::Print(_) | Test::Ls if self.json => {
                let row = show::Row::new(file, cx.users());
                self.out
                    .json(&row)
                    .map_err(|error| Failed::Write(Fault::io("write", "standard output", &error)))?;
                true
            }
            Test::Print(end) => {
                match *end {
                    b'\n' if cx.tty => self.buffer.extend_from_slice(shell_quoted(file.path()).as_bytes()),
                    _ => self.buffer.extend_from_slice(file.path()),
                }
                self.buffer.push(*end);
                true
            }
            Test::Printf(format) => {
                show::printf(&mut self.buffer, format, file, &self.start, cx.users(), cx.tty)
                    .map_err(|errno| Failed::Errno("stat", errno))?;
                true
            }
            Test::Ls => {
                show::ls(&mut self.buffer, file, cx.users(), self.now)
                    .map_err(|errno| Failed::Errno("stat", errno))?;
                true
            }
        })
    }

    /// Seconds from one of a file's times until now, or until the day's end.
    fn age(&self, file: &File, clock: Clock, until: Until) -> std::result::Result<Option<f64>, Failed> {
        let at = file.time(clock).map_err(|errno| Failed::Errno("stat", errno))?;
        let end = match until {
            Until::Now => self.now,
            Until::DayEnd => (self.now.0 - self.now.0.rem_euclid(86_400) + 86_400, 0),
        };
        Ok(at.map(|(seconds, nanos)| {
            end.0.saturating_sub(seconds) as f64 + (f64::from(end.1) - f64::from(nanos)) / 1e9
        }))
    }
}

/// The fault of a directory that could not be gone into.
fn failure(walk: &Walk, errno: Errno) -> Fault {
    let path = OsStr::from_bytes(walk.path());
    match errno {
        Errno::EMFILE => {
            Fault::text("open", path, "too many directories in one another: it is not gone into")
        }
        Errno::ELOOP if walk.is_loop() => {
            Fault::text("open", path, "a loop: it is a directory above itself, and is left out")
        }
        errno if walk.depth() == 0 && walk.kind() != libc::DT_DIR => Fault::errno("stat", path, errno),
        errno => Fault::errno("open", path, errno),
    }
}
