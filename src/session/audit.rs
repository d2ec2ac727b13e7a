//! The audit: who had which command run where, as JSON Lines, one before it is run and one after. What can't be written
//! down is not run.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Options, Session};
use crate::enter::image::Startup;
use crate::out::{Fault, Name, units};
use crate::sys::open::read_bounded;
use crate::sys::passwd::{self, Users};
use crate::sys::random;
use crate::target::hierarchies::Hierarchies;
use crate::target::host::Host;
use crate::target::runtime::Runtime;
use crate::target::{Target, container, scan};

/// Where the node's programs send what is to be logged.
const SYSLOG: &str = "/dev/log";
/// LOG_AUTHPRIV and LOG_INFO, syslog(3).
const PRIORITY: u32 = 10 << 3 | 6;
/// As much of a command as is written, as it is spelled there: a datagram must be whole.
const COMMAND: usize = 32 << 10;
/// The longest reason.
const REASON: usize = 4 << 10;
/// How long a receiver may keep a command from being run.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// Appended to a file of the node.
    File(PathBuf),
    /// The node's syslog.
    Syslog,
    /// A socket, as `nsdbg --idle` serves one.
    Socket(PathBuf),
}

/// Reads `syslog`, `unix:PATH` or a path.
pub fn parse(text: &str) -> Result<To, String> {
    match (text, text.strip_prefix("unix:")) {
        ("", _) | (_, Some("")) => Err("it is syslog, unix:PATH, or the path of a file".to_owned()),
        ("syslog", _) => Ok(To::Syslog),
        (_, Some(path)) => Ok(To::Socket(path.into())),
        (path, None) => Ok(To::File(path.into())),
    }
}

/// An open audit.
pub struct Audit {
    sink: Sink,
    object: PathBuf,
    /// Tells the lines of one session from those of others.
    session: String,
    user: Value,
    reason: Option<String>,
    /// Who gave the names of cgroups is asked of these.
    hierarchies: Hierarchies,
}

enum Sink {
    File(File),
    Datagrams(UnixDatagram, Vec<u8>),
}

impl Audit {
    /// Opens what the options or the node's environment ask for; none where that is nothing.
    ///
    /// # Errors
    /// 2 where a reason is asked for and not given; 125 where it can't be opened.
    pub fn open(options: &Options, startup: &Startup) -> Result<Option<Self>, Fault> {
        let of_environment = |name: &str| startup.var(name).map(|value| value.to_string_lossy().into_owned());
        let reason = options.reason.clone().or_else(|| of_environment("NSDBG_REASON"));
        let reason = reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
        let is_required = options.require_reason
            || of_environment("NSDBG_REQUIRE_REASON").is_some_and(|value| value != "0");
        if is_required && reason.is_none() {
            return Err(Fault::usage("a reason is required here").with_hint("--reason TEXT"));
        }
        if reason.as_ref().is_some_and(|reason| reason.len() > REASON) {
            return Err(Fault::usage(format!("a reason has at most {REASON} bytes")));
        }
        let to = match (&options.audit, of_environment("NSDBG_AUDIT")) {
            (Some(to), _) => to.clone(),
            (None, Some(text)) => {
                parse(&text).map_err(|cause| Fault::text("NSDBG_AUDIT", text, cause).with_status(2))?
            }
            (None, None) => return Ok(None),
        };
        let object = match &to {
            To::File(path) | To::Socket(path) => path.clone(),
            To::Syslog => SYSLOG.into(),
        };
        let fault = |error: io::Error| Fault::io("open audit", &object, &error).with_status(125);
        let sink = match &to {
            To::File(path) => Sink::File(file(path).map_err(fault)?),
            To::Socket(path) => Sink::Datagrams(connect(path).map_err(fault)?, Vec::new()),
            To::Syslog => {
                let head = format!("<{PRIORITY}>nsdbg[{}]: ", std::process::id());
                Sink::Datagrams(connect(Path::new(SYSLOG)).map_err(fault)?, head.into_bytes())
            }
        };
        let number = random::number().map_err(|errno| Fault::of("getrandom", errno).with_status(125))?;
        let session = format!("{number:016x}");
        let hierarchies = Hierarchies::find(&Host::find(None)?);
        Ok(Some(Self { sink, object, session, user: user(startup), reason, hierarchies }))
    }

    /// Writes one line.
    ///
    /// # Errors
    /// 125, naming what it could not be written to.
    fn write(&mut self, mut line: Value) -> Result<(), Fault> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = units::rfc3339(now.as_secs() as i64, now.subsec_millis() * 1_000_000);
        if let Value::Object(fields) = &mut line {
            fields.insert("time".to_owned(), time.into());
            fields.insert("session".to_owned(), self.session.as_str().into());
            fields.insert("user".to_owned(), self.user.clone());
            fields.insert("reason".to_owned(), self.reason.clone().into());
        }
        let mut bytes = line.to_string().into_bytes();
        let written = match &mut self.sink {
            Sink::File(file) => {
                bytes.push(b'\n');
                // On the disk before it is run.
                append(file, bytes).and_then(|()| file.sync_data().or_else(is_no_disk))
            }
            Sink::Datagrams(socket, head) => {
                let datagram = [head, &bytes[..]].concat();
                socket.send(&datagram).map(drop)
            }
        };
        written.map_err(|error| {
            // A receiver that takes nothing for so long is as good as none.
            let error = match error.kind() {
                io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
                _ => error,
            };
            Fault::io("write audit", &self.object, &error).with_status(125)
        })
    }
}

/// A file that is made for root alone, and no link. One that is there must be root's as well: who can write to it can
/// write another audit, and a hard link is some other file.
fn file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = options.read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let facts = file.metadata()?;
    let own = nix::unistd::geteuid().as_raw();
    match () {
        // Nobody reads a FIFO for ever, and a device keeps nothing.
        () if !facts.is_file() => Err(io::Error::other("it is not a regular file")),
        () if facts.uid() != own => Err(io::Error::other(format!("it belongs to the user {}", facts.uid()))),
        () if facts.mode() & 0o022 != 0 => Err(io::Error::other("others may write to it")),
        () if facts.nlink() != 1 => Err(io::Error::other("it has other names (hard links)")),
        () => Ok(file),
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Appends a line, while no other session does: what is seen of theirs is whole.
fn append(file: &mut File, mut line: Vec<u8>) -> io::Result<()> {
    let begun = Instant::now();
    while let Err(error) = file.try_lock() {
        match error {
            TryLockError::WouldBlock if begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(2))
            }
            error => return Err(error.into()),
        }
    }
    if ends_midway(file) {
        line.insert(0, b'\n');
    }
    let written = whole(file, &line);
    file.unlock()?;
    written
}

/// Whether the last line was written in part, on a full disk: no other is to be joined with it.
fn ends_midway(file: &File) -> bool {
    let length = file.metadata().map_or(0, |facts| facts.len());
    let mut last = [b'\n'];
    length > 0 && file.read_at(&mut last, length - 1).is_ok() && last != *b"\n"
}

/// A line that is written in part is none.
fn whole(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    match file.write(bytes)? {
        count if count == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// What has nothing behind it to be synchronized with.
fn is_no_disk(error: io::Error) -> io::Result<()> {
    if error.raw_os_error() == Some(libc::EINVAL) { Ok(()) } else { Err(error) }
}

/// Who it is, as far as the node knows: the login that the kernel keeps, and what sudo and sshd say.
fn user(startup: &Startup) -> Value {
    let login =
        std::fs::read_to_string("/proc/self/loginuid").ok().and_then(|id| id.trim().parse::<u32>().ok());
    let login = login.filter(|id| *id != u32::MAX);
    let passwd = read_bounded(Path::new("/etc/passwd").as_os_str(), passwd::LIMIT).unwrap_or_default();
    let users = Users::parse(&passwd, b"");
    let name = login.and_then(|id| users.user(id).map(|user| user.name.to_owned()));
    let variable = |name: &str| startup.var(name).map(|value| Name::from(value).spelled());
    let terminal =
        nix::unistd::ttyname(std::io::stdin()).ok().map(|path| path.to_string_lossy().into_owned());
    json!({
        "login_uid": login,
        "login": name,
        "sudo_user": variable("SUDO_USER"),
        "ssh_connection": variable("SSH_CONNECTION"),
        "terminal": terminal,
    })
}

/// A command as JSON spells it, and whether it was cut: a byte may take six.
fn shown(command: &[u8]) -> (String, bool) {
    let mut cut = command;
    loop {
        let shown = Name::from(cut).spelled();
        let length = serde_json::to_string(&shown).map_or(usize::MAX, |text| text.len());
        if length <= COMMAND {
            return (shown, cut.len() < command.len());
        }
        let mut end = cut.len().min(COMMAND).min(cut.len() * COMMAND / length);
        // A character that is cut through would spell all the others as bytes.
        while end > 0
            && std::str::from_utf8(cut).is_ok()
            && cut.get(end).is_some_and(|byte| byte & 0xc0 == 0x80)
        {
            end -= 1;
        }
        cut = &cut[..end.min(cut.len() - 1)];
    }
}

/// The target, by what stays when its PID is somebody else's.
fn target(target: &Target, hierarchies: &Hierarchies) -> Value {
    let cgroup = scan::cgroup_of(hierarchies, target.pid).unwrap_or_default();
    // By a container's name or id root's state files tell; by a PID its cgroup.
    let runtime = target.runtime.unwrap_or_else(|| container::runtime_of(&cgroup));
    json!({
        "pid": target.pid,
        "name": target.title,
        "command": target.facts.name,
        "container": target.container.as_ref().or(cgroup.id.as_ref()),
        "pod_uid": cgroup.pod_uid,
        "runtime": Some(runtime).filter(|runtime| *runtime != Runtime::None).map(Runtime::name),
        "started": target.facts.start_time,
    })
}

impl Session {
    /// Runs something that is written down before and after.
    pub(super) fn audited(&mut self, command: &[u8], run: impl FnOnce(&mut Self) -> u8) -> u8 {
        let Some(audit) = &self.audit else { return run(self) };
        let (shown, is_cut) = shown(command);
        let mut line = json!({
            "event": "begin",
            "target": target(&self.target, &audit.hierarchies),
            "uid": self.plan.uid,
            "command": shown,
            "is_cut": is_cut,
            "status": null,
            "duration": null,
        });
        if let Err(fault) = self.write_audit(line.clone()) {
            self.report(&fault.with_hint("nothing is run that can't be written down"));
            return 125;
        }
        let begun = Instant::now();
        let status = run(self);
        line["event"] = "end".into();
        line["status"] = status.into();
        line["duration"] = begun.elapsed().as_secs_f64().into();
        match self.write_audit(line) {
            Ok(()) => status,
            Err(fault) => {
                self.report(&fault);
                125
            }
        }
    }

    /// Writes that a session with a prompt, or of several lines, begins.
    pub(super) fn audit_open(&mut self) -> Result<(), Fault> {
        self.audit_session("open", None)
    }

    /// Writes how it has ended, begun so long ago; returns its status.
    pub(super) fn audit_close(&mut self, status: u8, duration: Duration) -> u8 {
        match self.audit_session("close", Some((status, duration))) {
            Ok(()) => status,
            Err(fault) => {
                self.report(&fault);
                125
            }
        }
    }

    fn audit_session(&mut self, event: &'static str, end: Option<(u8, Duration)>) -> Result<(), Fault> {
        let Some(audit) = &self.audit else { return Ok(()) };
        let line = json!({
            "event": event,
            "target": target(&self.target, &audit.hierarchies),
            "uid": self.plan.uid,
            "status": end.map(|(status, _)| status),
            "duration": end.map(|(_, duration)| duration.as_secs_f64()),
        });
        self.write_audit(line)
    }

    fn write_audit(&mut self, line: Value) -> Result<(), Fault> {
        self.audit.as_mut().map_or(Ok(()), |audit| audit.write(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_goes() {
        assert_eq!(parse("syslog"), Ok(To::Syslog));
        assert_eq!(parse("unix:/run/a"), Ok(To::Socket("/run/a".into())));
        assert_eq!(parse("/var/log/nsdbg"), Ok(To::File("/var/log/nsdbg".into())));
        assert!(parse("").is_err() && parse("unix:").is_err());
    }

    // Seen to fail with bytes counted before they are spelled, and with a character cut through.
    #[test]
    fn a_command_is_cut_by_what_it_takes_when_it_is_spelled() {
        assert_eq!(shown(b"ls /"), ("ls /".to_owned(), false));
        assert_eq!(shown(b"ls \xff"), ("$'ls \\xff'".to_owned(), false));
        for of in ["a", "\u{fc}", "\u{1f980}", "\"", "\x01"] {
            let (text, is_cut) = shown(of.repeat(COMMAND).as_bytes());
            let length = serde_json::to_string(&text).unwrap().len();
            assert!(is_cut && length <= COMMAND && length > COMMAND / 2, "{of:?}: {length}");
            assert!(text.starts_with(of), "{of:?}");
        }
        let (text, is_cut) = shown(&[0xff; COMMAND]);
        assert!(is_cut && text.starts_with("$'\\xff") && text.len() <= COMMAND && text.len() > COMMAND / 2);
    }
}
