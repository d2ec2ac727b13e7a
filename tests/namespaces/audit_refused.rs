//! What can't be written down is not run.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::audit::{audited, lines, place};
use crate::live::{Ran, own_mounts, run, run_with_input, wait};
use crate::prompt::Prompt;
use crate::support::{LIMIT, Sandbox, needs_root, new_directory, sandbox};

/// Runs something that leaves a file in the container, in each way that there is without a terminal; says what they came to.
fn runs(target: &Sandbox, to: &str) -> Vec<Ran> {
    let line = "echo ran > /tmp/ran";
    vec![
        run(audited(target, to).args(["--", "put", "/etc/hostname", "/tmp/ran"])),
        run(audited(target, to).args(["-c", line])),
        run_with_input(&mut audited(target, to), format!("{line}\n").as_bytes()),
    ]
}

/// Asserts that nothing was run, with status 125 and these words.
fn is_refused(target: &Sandbox, to: &str, words: &str) {
    for ran in runs(target, to) {
        ran.fails(125, words);
        assert!(ran.err.starts_with("nsdbg: "), "{ran:?}");
    }
    assert!(!target.root.join("tmp/ran").exists(), "{to}: it was run");
}

// Seen to fail with links followed, and with FIFOs, devices, hard links and other users' files taken.
#[test]
fn a_place_that_keeps_nothing_refuses_all_that_is_run() {
    needs_root!();
    let target = sandbox().user(0, 0).caps(1 << 1).start();
    let directory = new_directory("audit");
    let at = |name: &str| directory.join(name).display().to_string();
    fs::write(at("victim"), "as it was\n").unwrap();
    symlink(at("victim"), at("link")).unwrap();
    symlink(at("nothing"), at("dangling")).unwrap();
    // What others can write to, or have put in its place.
    for (name, mode, owner) in [("theirs", 0o600, 65532), ("shared", 0o620, 0), ("open", 0o602, 0)] {
        fs::write(at(name), "").unwrap();
        chown(at(name), Some(owner), Some(owner)).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::hard_link(at("victim"), at("hard")).unwrap();
    mkfifo(Path::new(&at("fifo")), Mode::from_bits_truncate(0o600)).unwrap();
    mkfifo(Path::new(&at("read")), Mode::from_bits_truncate(0o600)).unwrap();
    let _reader = fs::File::options().read(true).write(true).open(at("read")).unwrap();
    let _stream = UnixListener::bind(at("stream")).unwrap();
    drop(UnixDatagram::bind(at("gone")).unwrap());
    for (to, words) in [
        (at("link"), "too many symbolic links"),
        (at("dangling"), "too many symbolic links"),
        (at("fifo"), "open audit"),
        (at("read"), "not a regular file"),
        (at("theirs"), "belongs to the user 65532"),
        (at("shared"), "others may write to it"),
        (at("open"), "others may write to it"),
        (at("hard"), "hard links"),
        (at(""), "open audit"),
        ("/dev/null".to_owned(), "not a regular file"),
        (at("no/such/place"), "no such file or directory"),
        (format!("unix:{}", at("absent")), "no such file or directory"),
        (format!("unix:{}", at("gone")), "connection refused"),
        (format!("unix:{}", at("victim")), "connection refused"),
        (format!("unix:{}", at("stream")), "open audit"),
    ] {
        is_refused(&target, &to, words);
    }
    assert_eq!(fs::read_to_string(at("victim")).unwrap(), "as it was\n");
    assert!(!directory.join("nothing").exists());
}

// Seen to fail with a limit of eight times as long.
#[test]
fn a_receiver_that_hangs_is_given_up_and_nothing_is_run() {
    needs_root!();
    let target = sandbox().user(0, 0).caps(1 << 1).start();
    let path = place("socket");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"{}", &path).is_ok() {}
    let begun = Instant::now();
    let ran = run(audited(&target, format!("unix:{}", path.display())).args(["-c", "echo ran > /tmp/ran"]));
    let took = begun.elapsed();
    ran.fails(125, "timed out");
    assert!(ran.err.contains("nothing is run that can't be written down"), "{ran:?}");
    assert!(
        took > Duration::from_millis(1500) && took < crate::support::patient(Duration::from_millis(3500)),
        "{took:?}"
    );
    assert!(!target.root.join("tmp/ran").exists());
    drop(receiver);
}

// Seen to fail with the next line joined to what was written of the last.
#[test]
fn a_full_disk_refuses_and_the_lines_after_it_are_whole() {
    needs_root!();
    let target = sandbox().user(0, 0).caps(1 << 1).start();
    own_mounts();
    let disk = new_directory("disk");
    mount(Some("nsdbg-test"), &disk, Some("tmpfs"), MsFlags::empty(), Some("size=16k,mode=700")).unwrap();
    let file = disk.join("audit");
    // A page is left, of which most is taken: a line is written in part.
    fs::write(&file, [&vec![b'\n'; 4000][..]].concat()).unwrap();
    fs::write(disk.join("filler"), vec![0; 12 << 10]).unwrap();
    let to = file.display().to_string();
    for ran in runs(&target, &to) {
        assert!(ran.status == 125 && ran.err.contains("write audit"), "{ran:?}");
    }
    assert!(!target.root.join("tmp/ran").exists());
    assert!(fs::metadata(&file).unwrap().len() > 4000, "the fixture lets a part be written");
    fs::remove_file(disk.join("filler")).unwrap();
    assert_eq!(run(audited(&target, &to).args(["--", "true"])).status, 0);
    let text = fs::read_to_string(&file).unwrap();
    let whole: Vec<bool> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
        .collect();
    assert_eq!(whole[whole.len() - 2..], [true, true], "{text}");
    assert!(whole.iter().filter(|is| !**is).count() <= 1, "{text}");
}

// Seen to fail with a fault of `begin` that is not looked at.
#[test]
fn no_prompt_opens_and_no_line_of_one_is_run() {
    needs_root!();
    let target = sandbox().start();
    let mut prompt = Prompt::of(audited(&target, "unix:/nonexistent/nsdbg-test"));
    assert_eq!(wait(&mut prompt.nsdbg, LIMIT), Some(125));
    prompt.sees("open audit /nonexistent/nsdbg-test: no such file or directory");
    // One whose receiver goes while it is open.
    let path = place("socket");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let mut command = audited(&target, format!("unix:{}", path.display()));
    command.arg("--no-doctor");
    let mut prompt = Prompt::of(command);
    prompt.sees("web:/$ ");
    drop(receiver);
    prompt.type_in(b"echo r\"\"an\r");
    prompt.sees("nothing is run that can't be written down");
    prompt.sees("web:/$ ");
    assert!(!String::from_utf8_lossy(prompt.said()).contains("\nran"), "{:?}", prompt.said());
    prompt.type_in(b"\x04");
    assert_eq!(wait(&mut prompt.nsdbg, LIMIT), Some(125));
}

// Seen to fail with an empty reason taken.
#[test]
fn a_reason_may_be_required() {
    needs_root!();
    let target = sandbox().user(0, 0).caps(1 << 1).start();
    let file = place("audit");
    let to = file.display().to_string();
    let with = |change: fn(&mut std::process::Command)| {
        let mut command = audited(&target, &to);
        change(&mut command);
        run(command.args(["-c", "echo ran > /tmp/ran"]))
    };
    for refused in [
        with(|c| {
            c.arg("--require-reason");
        }),
        with(|c| {
            c.args(["--require-reason", "--reason", "  "]);
        }),
        with(|c| {
            c.env("NSDBG_REQUIRE_REASON", "1");
        }),
        with(|c| {
            c.env("NSDBG_REQUIRE_REASON", "1").env("NSDBG_REASON", "");
        }),
    ] {
        refused.fails(2, "a reason is required here (--reason TEXT)");
    }
    with(|c| {
        c.arg("--reason").arg("x".repeat(5000));
    })
    .fails(2, "a reason has at most 4096 bytes");
    assert!(!target.root.join("tmp/ran").exists() && lines(&file).is_empty());
    for taken in [
        with(|c| {
            c.args(["--require-reason", "--reason", "ticket"]);
        }),
        with(|c| {
            c.env("NSDBG_REQUIRE_REASON", "1").env("NSDBG_REASON", "ticket");
        }),
        with(|c| {
            c.env("NSDBG_REQUIRE_REASON", "0");
        }),
    ] {
        assert_eq!(taken.status, 0, "{taken:?}");
    }
    // Without an audit, too.
    run(target.nsdbg().args(["--require-reason", "--", "true"])).fails(2, "a reason is required here");
}
