//! nsdbg looks into a running container that has no shell, no libc and no tools.

#![cfg_attr(not(test), no_main)]

mod cli;
mod cmd;
mod complete;
mod enter;
mod idle;
#[cfg(test)]
mod manual;
mod out;
#[cfg(test)]
#[path = "../fuzz/parsers.rs"]
mod parsers;
#[cfg(test)]
#[path = "../fuzz/replay.rs"]
mod replay;
mod session;
mod shell;
mod sys;
mod takes;
mod target;

use std::ffi::OsString;
use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use cli::{Asked, Wanted};
use enter::image::{self, Startup};
use enter::launcher::Launcher;
use out::Fault;
use out::fault::printed;
use out::filter::filtered;
use session::{Options, Session};
use target::selector::Selector;
use target::{Target, ask, find, host};

/// Whether errors are printed as JSON.
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// Called by libc.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main(argc: std::ffi::c_int, argv: *const *const std::ffi::c_char) -> std::ffi::c_int {
    // SAFETY: libc passes what the kernel laid out.
    end(start(unsafe { sys::start::arguments(argc, argv) }))
}

/// Never run: the tests have a main of their own.
#[cfg(test)]
fn main() {
    end(start(Vec::new()));
}

fn end(result: Result<u8, Fault>) -> ! {
    // What is buffered would be left to nobody.
    let flushed = printed(std::io::stdout().flush());
    let result = result.and_then(|status| if status == 0 { flushed } else { Ok(status) });
    let status = result.unwrap_or_else(|fault| {
        let line = if AS_JSON.load(Relaxed) { fault.json("nsdbg").to_string() } else { fault.line("nsdbg") };
        // It may name what others have named.
        let line = filtered(line.as_bytes());
        let _ = std::io::stderr().write_all(&[line.as_slice(), b"\n"].concat());
        fault.status
    });
    std::process::exit(i32::from(status))
}

/// Protects the image, forks the launcher, and only then reads what was asked for.
fn start(args: Vec<OsString>) -> Result<u8, Fault> {
    sys::start::prepare().map_err(|errno| Fault::errno("open", "/dev/null", errno).with_status(125))?;
    let protected = image::protect(args)?;
    host::leave_cgroup_namespace();
    let launcher = Launcher::fork(session::child::run)?;
    let startup = protected.startup()?;
    // Also where the rest of the arguments is wrong.
    AS_JSON.store(startup.args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json"), Relaxed);
    run(launcher, startup)
}

fn run(launcher: Launcher, startup: Startup) -> Result<u8, Fault> {
    let asked = match cli::parse(&startup.args)? {
        Asked::Print(text) => return printed(std::io::stdout().write_all(text.as_bytes())),
        // Also for who is not root, and then without what only root knows.
        Asked::Complete(line) => return complete::run(&line.to_string_lossy()),
        asked => asked,
    };
    if !nix::unistd::geteuid().is_root() {
        return Err(Fault::say("must run as root: it enters other users' processes")
            .with_hint("sudo nsdbg …")
            .with_status(125));
    }
    sys::random::draw_keys().map_err(|errno| Fault::of("getrandom", errno).with_status(125))?;
    match asked {
        Asked::Idle(socket) => {
            // There is nothing to launch.
            drop(launcher);
            idle::run(socket.as_deref())
        }
        Asked::Run(options, wanted) => {
            let target = find(&options, &wanted)?;
            Ok(Session::open(target, launcher, *options, startup)?.run())
        }
        Asked::All(options, wanted, at_once) => {
            let listing = session::containers(options.host_root.as_deref(), ask::PATIENCE)?;
            let containers = find::all(&listing, wanted.selector.as_ref(), &wanted.filter);
            session::many::run(&containers, at_once, &launcher, *options, &startup)
        }
        Asked::Node(options, name, arguments) => session::node_command(name, arguments, &options, &startup),
        Asked::Nothing(options) => {
            let _ = session::node_command("targets", Vec::new(), &options, &startup);
            Err(Fault::usage("which container?").with_hint("nsdbg NAME, nsdbg --pid 4242, nsdbg --help"))
        }
        Asked::Print(_) | Asked::Complete(_) => Ok(0),
    }
}

/// The process that is meant. A PID alone is opened without a look at the others.
fn find(options: &Options, wanted: &Wanted) -> Result<Target, Fault> {
    match &wanted.selector {
        Some(Selector::Pid(pid)) if wanted.filter.is_empty() => Target::open(*pid),
        selector => {
            let listing = session::containers(options.host_root.as_deref(), ask::PATIENCE)?;
            find::one(&listing, selector.as_ref(), &wanted.filter, &wanted.typed)
        }
    }
}
