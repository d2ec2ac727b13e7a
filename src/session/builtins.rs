//! Commands that change the session: they run in the supervisor, alone in their line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::variables::is_name;
use super::{Session, containers};
use crate::cmd::{BUILTINS, Builtin};
use crate::out::Fault;
use crate::out::name::shell_quoted;
use crate::shell::Variables;
use crate::target::filter::Filter;
use crate::target::selector::Selector;
use crate::target::{Target, ask, find};

/// Their names. `quit` is `exit`.
pub const NAMES: &[&str] = &["cd", "exit", "export", "quit", "switch", "unset"];

impl Session {
    /// Runs one and returns its status.
    pub(super) fn run_builtin(&mut self, name: &'static str, args: Vec<OsString>) -> u8 {
        let result = match name {
            _ if args.iter().any(|arg| arg == "--help") => {
                let of = if name == "quit" { "exit" } else { name };
                let page: String =
                    BUILTINS.iter().filter(|builtin| builtin.name == of).map(Builtin::page).collect();
                self.print(page.as_bytes())
            }
            "cd" => self.cd(&args),
            "export" => self.export(&args),
            "switch" => self.switch(&args),
            "unset" => self.unset(&args),
            _ => self.exit(&args),
        };
        match result {
            Ok(status) => status,
            Err(fault) => {
                self.report_of(name, &fault);
                fault.status
            }
        }
    }

    fn cd(&mut self, args: &[OsString]) -> Result<u8, Fault> {
        let path = match args {
            [] => self.variables.get(b"HOME").unwrap_or_else(|| b"/".to_vec()),
            [path] if path == "-" => {
                self.variables.get(b"OLDPWD").ok_or_else(|| Fault::say("no directory before this one"))?
            }
            [path] if path.is_empty() => return Err(Fault::say("the directory's name is empty")),
            [path] => path.as_bytes().to_vec(),
            _ => return Err(Fault::usage("takes one directory")),
        };
        let before = self.hello()?.directory;
        // What the process inside says begins with the command's name already.
        let after = self.change_directory(&path).map_err(|fault| match fault.cause {
            crate::out::fault::Cause::Text(text) if fault.op.is_empty() => {
                Fault::say(text.strip_prefix("cd: ").map(str::to_owned).unwrap_or_else(|| text.to_string()))
            }
            cause => Fault { cause, ..fault },
        })?;
        self.variables.set(OsStr::new("OLDPWD"), OsString::from_vec(before));
        self.variables.set(OsStr::new("PWD"), OsString::from_vec(after.clone()));
        if let Some(hello) = &mut self.hello {
            hello.directory = after;
        }
        Ok(0)
    }

    fn export(&mut self, args: &[OsString]) -> Result<u8, Fault> {
        if args.is_empty() {
            let mut lines = Vec::new();
            for (name, value) in self.variables.all() {
                lines.extend_from_slice(name.as_bytes());
                lines.push(b'=');
                lines.extend_from_slice(shell_quoted(value.as_bytes()).as_bytes());
                lines.push(b'\n');
            }
            return self.print(&lines);
        }
        for arg in args {
            let bytes = arg.as_bytes();
            let at = bytes.iter().position(|byte| *byte == b'=').unwrap_or(bytes.len());
            let (name, value) = bytes.split_at(at);
            if !is_name(name) {
                return Err(Fault::text("set", arg, "not a variable's name").with_status(2));
            }
            if let Some(value) = value.get(1..) {
                self.variables.set(OsStr::from_bytes(name), OsStr::from_bytes(value).to_owned());
            }
        }
        Ok(0)
    }

    fn unset(&mut self, args: &[OsString]) -> Result<u8, Fault> {
        if args.is_empty() {
            return Err(Fault::usage("which variable?"));
        }
        args.iter().for_each(|name| self.variables.unset(name));
        Ok(0)
    }

    fn switch(&mut self, args: &[OsString]) -> Result<u8, Fault> {
        let [name] = args else { return Err(Fault::usage("takes one target (targets lists them)")) };
        let typed = name.to_str().ok_or_else(|| Fault::text("target", name, "not a name").with_status(2))?;
        let target = match Selector::parse(typed)? {
            Selector::Pid(pid) => Target::open(pid)?,
            selector => {
                let listing = containers(self.options.host_root.as_deref(), ask::PATIENCE)?;
                find::one(&listing, Some(&selector), &Filter::default(), typed)?
            }
        };
        self.enter(target)?;
        Ok(0)
    }

    fn exit(&mut self, args: &[OsString]) -> Result<u8, Fault> {
        let status = match args {
            [] => self.variables.status,
            [status] => status
                .to_str()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| Fault::text("", status, "no status: 0 to 255").with_status(2))?,
            _ => return Err(Fault::usage("takes one status")),
        };
        self.leave = Some(status);
        Ok(status)
    }
}
