//! nsdbg looks into a running container that has no shell, no libc and no tools.

mod cmd;
mod enter;
mod out;
mod sys;
mod target;

fn main() {
    // Development entry until the session stands: runs a command in place.
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let Some((name, rest)) = args.split_first() else { std::process::exit(2) };
    let Some(entry) = name.to_str().and_then(cmd::find) else { std::process::exit(127) };
    let status =
        cmd::execute(entry, rest.to_vec(), &mut cmd::Context::default(), Box::new(std::io::stdout()));
    std::process::exit(i32::from(status.0));
}
