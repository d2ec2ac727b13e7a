//! nsdbg looks into a running container that has no shell, no libc and no tools.

mod cli;
mod cmd;
mod enter;
mod out;
mod session;
mod shell;
mod sys;
mod target;

use std::io::Write;

use cli::Asked;
use enter::image::{self, Startup};
use enter::launcher::Launcher;
use out::Fault;
use session::Session;
use target::Target;
use target::selector::Selector;

fn main() {
    let status = start().unwrap_or_else(|fault| {
        let _ = writeln!(std::io::stderr(), "{}", fault.line("nsdbg"));
        fault.status
    });
    std::process::exit(i32::from(status));
}

/// Protects the image, forks the launcher, and only then reads what was asked for.
fn start() -> Result<u8, Fault> {
    let protected = image::protect()?;
    let launcher = Launcher::fork(session::child::run)?;
    let startup = protected.startup()?;
    run(launcher, startup)
}

fn run(launcher: Launcher, startup: Startup) -> Result<u8, Fault> {
    let (options, selector) = match cli::parse(&startup.args)? {
        Asked::Run(options, selector) => (*options, selector),
        Asked::Print(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            return Ok(0);
        }
    };
    if !nix::unistd::geteuid().is_root() {
        return Err(Fault::say("must run as root: it enters other users' processes")
            .with_hint("sudo nsdbg …")
            .with_status(125));
    }
    let Selector::Pid(pid) = selector;
    let target = Target::open(pid)?;
    Ok(Session::open(target, launcher, options, startup)?.run())
}
