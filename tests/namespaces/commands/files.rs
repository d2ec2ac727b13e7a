//! `stat`, `readlink`, `mounts`, `df`, `du`, by coreutils and util-linux on the same files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;

use crate::live::run;
use crate::support::{Sandbox, needs_root, sandbox};

/// A tree with files of every kind.
fn tree() -> Sandbox {
    let target = sandbox()
        .user(0, 0)
        .file("app/plain", "x\n")
        .file("app/empty", "")
        .file("app/large", vec![b'x'; 300_000])
        .file("app/a b\n", "x")
        .file("app/a b", "x")
        .file("app/below/one", vec![b'x'; 5000])
        .file("app/below/deep/two", vec![b'x'; 9000])
        .start();
    let app = target.root.join("app");
    fs::set_permissions(app.join("plain"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(app.join("large"), app.join("below/again")).unwrap();
    symlink("plain", app.join("link")).unwrap();
    symlink("/app/below/../link", app.join("absolute")).unwrap();
    symlink("gone", app.join("broken")).unwrap();
    symlink("loop", app.join("loop")).unwrap();
    // To read a link is an access, unless there was one after it was made.
    std::thread::sleep(Duration::from_millis(20));
    for link in ["link", "absolute", "broken", "loop"] {
        fs::read_link(app.join(link)).unwrap();
    }
    mkfifo(&app.join("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    fs::write(app.join(OsStr::from_bytes(b"\xff\xfe")), "x").unwrap();
    // A hole.
    fs::File::create(app.join("sparse")).unwrap().set_len(10 << 30).unwrap();
    target
}

/// Runs a tool in the container, as root.
fn there(target: &Sandbox, args: &[&str]) -> (i32, Vec<u8>) {
    let mut command = Command::new("nsenter");
    command.args(["-m", "-p", "-t", &target.pid.to_string()]).args(args).env("LC_ALL", "C").env("TZ", "UTC");
    let ran = run(&mut command);
    (ran.status, ran.out)
}

/// A tool of the node, with what it is linked with, in the container.
fn bring(target: &Sandbox, tool: &str) {
    fs::create_dir_all(target.root.join("tools")).unwrap();
    let listed = run(Command::new("ldd").arg(format!("/usr/bin/{tool}"))).text();
    fs::copy(format!("/usr/bin/{tool}"), target.root.join("tools").join(tool)).unwrap();
    for word in listed.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = target.root.join(&word[1..]);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(word, to).unwrap();
    }
}

#[test]
fn stat_says_what_coreutils_says() {
    needs_root!();
    let target = tree();
    bring(&target, "stat");
    let before = nix::sys::time::TimeVal::new(-101, 750_000);
    nix::sys::stat::utimes(&target.root.join("app/empty"), &before, &before).unwrap();
    let files =
        ["plain", "", "link", "broken", "fifo", "a b", "sparse", "empty"].map(|name| format!("/app/{name}"));
    for options in [
        &[][..],
        &["-L"],
        &["-t"],
        &["-c", "%a %A %b %B %d %D %f %F %g %h %i %n %o %s %t %T %u %W %X %Y %Z"],
        &["-c", "%N|%8s|%-8s|%08a|%.3Y|%x|%y|%z|%w"],
        &["--printf", "%n\\t%s\\n%%\\x41\\101"],
        &["-c", "%U %G"],
        &["-c", "%.2Y|%.0Y|%.1Y|%.Y|%10.2Y|%010.2Y|%+.2Y|%+Y|%.12Y|%"],
    ] {
        for file in &files {
            let file = file.as_str();
            let (status, theirs) = there(&target, &[&["/tools/stat"][..], options, &[file]].concat());
            let ours = target.run(&[&["stat"][..], options, &[file]].concat());
            // Only ours knows that the broken link can't be followed by the same words.
            assert_eq!(
                (ours.status, ours.text()),
                (status, String::from_utf8_lossy(&theirs).into_owned()),
                "{options:?} {file}: {ours:?}"
            );
        }
    }
    let (_, theirs) = there(&target, &["/tools/stat", "-f", "-c", "%b %c %l %n %s %S %t", "/app"]);
    assert_eq!(target.run(&["stat", "-f", "-c", "%b %c %l %n %s %S %t", "/app"]).out, theirs);
    // A name that is no text is printed as it is.
    for options in [&[][..], &["-c", "%n"], &["-f"]] {
        let bad = OsStr::from_bytes(b"/app/\xff\xfe");
        let ours = run(target.nsdbg().args(["--", "stat"]).args(options).arg(bad));
        assert!(ours.out.windows(7).any(|part| part == b"/app/\xff\xfe"), "{options:?}: {ours:?}");
    }
    target.run(&["stat", "/none", "/app/plain"]).fails(1, "stat: stat /none: no such file or directory");
    target.run(&["stat", "-L", "/app/loop"]).fails(1, "stat: stat /app/loop: too many symbolic links");
    target.run(&["stat", "-c", "%q", "/app"]).fails(2, "'%q' is not a directive");
    let row: Value = serde_json::from_str(&target.run(&["stat", "--json", "/app/link"]).ok()).unwrap();
    assert_eq!(
        (&row["type"], &row["target"], &row["user"]),
        (&"symbolic link".into(), &"plain".into(), &"root".into())
    );
}

#[test]
fn readlink_follows_as_coreutils_does() {
    needs_root!();
    let target = tree();
    bring(&target, "readlink");
    for option in ["-f", "-e", "-m", ""] {
        for path in [
            "/app/link",
            "/app/absolute",
            "/app/broken",
            "/app/loop",
            "/app/loop/x",
            "/app/loop/x/../y",
            "/app/plain",
            "/app/plain/",
            "/app/link/x",
            "/app/below/../below/./deep//two",
            "/app/none",
            "/app/none/x",
            "/",
            "/app/..",
            "/../..",
            "app/link",
            "",
            ".",
            "/app/broken/",
            "/app/below/",
        ] {
            let mut args: Vec<&str> =
                [option, path].into_iter().filter(|word| *word != option || !option.is_empty()).collect();
            if option.is_empty() {
                args = vec![path];
            }
            let theirs = there(&target, &[&["/tools/readlink"][..], &args].concat());
            let ours = target.run(&[&["readlink"][..], &args].concat());
            assert_eq!((ours.status, ours.out.clone()), theirs, "{option} {path:?}: {ours:?}");
        }
    }
    target.run(&["readlink", "-v", "/app/plain"]).fails(1, "read link /app/plain: not a symbolic link");
    assert_eq!(target.run(&["readlink", "-z", "/app/link"]).out, b"plain\0");
    assert_eq!(target.run(&["readlink", "-nz", "/app/link"]).out, b"plain");
    assert_eq!(target.run(&["readlink", "-nz", "/app/link", "/app/link"]).out, b"plain\0plain\0");
}

#[test]
fn mounts_are_those_of_the_targets_mountinfo() {
    needs_root!();
    let target = sandbox().on_tmpfs().start();
    let text = fs::read_to_string(format!("/proc/{}/mountinfo", target.pid)).unwrap();
    let rows: Vec<Value> = target
        .run(&["mounts", "--json"])
        .ok()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), text.lines().count());
    for (row, line) in rows.iter().zip(text.lines()) {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!((&row["id"].to_string()[..], &row["target"]), (words[0], &words[4].into()), "{line}");
        let tail: Vec<&str> = line.split(" - ").nth(1).unwrap().split(' ').collect();
        assert_eq!((&row["type"], &row["source"]), (&tail[0].into(), &tail[1].into()), "{line}");
    }
    let shown = target.run(&["mounts", "-t", "proc"]).ok();
    assert!(shown.starts_with("TARGET") && shown.lines().count() == 2 && shown.contains("/proc"), "{shown}");
    let same = |ours: &[&str], theirs: &[&str]| {
        let theirs = there(&target, &[&["/tools/findmnt"][..], theirs].concat());
        let words = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        let ours = target.run(&[&["findmnt"][..], ours].concat());
        assert_eq!((ours.status, words(&ours.out)), (theirs.0, words(&theirs.1)), "{ours:?}");
    };
    bring(&target, "findmnt");
    for options in [
        &["-o", "TARGET,FSTYPE"][..],
        &["-no", "FSTYPE,TARGET,VFS-OPTIONS,FSROOT,MAJ:MIN,ID,PARENT,PROPAGATION"],
        &["-n", "-o", "target"],
    ] {
        same(&[options, &["-T", "/proc/1"]].concat(), &[options, &["-T", "/proc/1"]].concat());
        same(options, &[options, &["-l"]].concat());
    }
    let json: Value = serde_json::from_str(&target.run(&["findmnt", "-J", "-T", "/proc/1"]).ok()).unwrap();
    assert_eq!(json["target"], "/proc");
    target.run(&["mounts", "-o", "ro"]).fails(2, "-O keeps mounts with an option");
    target.run(&["mounts", "-t", "ext9"]).fails(1, "");
    target.run(&["mounts", "proc"]).fails(2, "find mount proc: the path does not begin with /");
    // Whatever the container says of itself.
    let hidden = sandbox().set("proc", "no").start();
    assert!(hidden.run(&["mounts"]).ok().contains("TARGET"));
}

#[test]
fn df_counts_as_coreutils_does() {
    needs_root!();
    let target = sandbox().user(0, 0).on_tmpfs().file("big", vec![b'x'; 1 << 20]).start();
    bring(&target, "df");
    for options in [
        &["/"][..],
        &["-h", "/"],
        &["-i", "/"],
        &["-T", "/tmp"],
        &["-H", "/"],
        &["--total", "-k", "/", "/tmp"],
        &["-P", "/"],
        &["-Pm", "/"],
        &["-m", "/"],
        &["-BM", "/"],
        &["-B4K", "/"],
        &["-B", "512", "/"],
        &["--block-size=MB", "/"],
        &["-PT", "/"],
        &["-Pi", "/"],
        &["-l", "/"],
        &["--output", "/tmp"],
        &["--output=source,size,pcent,target", "/"],
        &["-h", "--output=fstype,itotal,iused,iavail,ipcent,used,avail,file", "/tmp"],
        &["--output=size", "--total", "/"],
        &[],
    ] {
        let (status, theirs) = there(&target, &[&["/tools/df"][..], options].concat());
        let theirs = String::from_utf8(theirs).unwrap();
        let ours = target.run(&[&["df"][..], options].concat());
        assert_eq!(ours.status, status, "{options:?}: {ours:?}");
        let words = |text: &str| {
            text.lines()
                .map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&ours.text()), words(&theirs), "{options:?}: {ours:?}");
    }
    let row: Value = serde_json::from_str(&target.run(&["df", "--json", "/tmp"]).ok()).unwrap();
    let (size, used, available) =
        (row["size"].as_u64().unwrap(), row["used"].as_u64().unwrap(), row["available"].as_u64().unwrap());
    assert!(used >= 1 << 20 && size == used + available, "{row}");
    assert_eq!((&row["type"], &row["target"], &row["file"]), (&"tmpfs".into(), &"/".into(), &"/tmp".into()));
    target.run(&["df", "/none", "/"]).fails(1, "df: statfs /none: no such file or directory");
    target.run(&["df", "-t", "ext9"]).fails(1, "no file system is left to show");
}

#[test]
fn du_counts_as_coreutils_does() {
    needs_root!();
    let target = tree();
    bring(&target, "du");
    let lines = |bytes: &[u8]| {
        let mut lines: Vec<String> = String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let plain = nix::sys::time::TimeVal::new(1_700_000_000, 0);
    for name in ["below/deep/two", "below/deep", "below/one", "below"] {
        nix::sys::stat::utimes(&target.root.join("app").join(name), &plain, &plain).unwrap();
    }
    for options in [
        &["-B1", "/app"][..],
        &["-BM", "-s", "/app"],
        &["-B", "4K", "/app"],
        &["--block-size=kB", "/app"],
        &["--exclude=two", "/app"],
        &["--exclude", "d*", "-a", "/app"],
        &["--exclude=*/deep", "-a", "/app"],
        &["--exclude=app", "/app"],
        &["-t", "10K", "-a", "/app"],
        &["-t", "-10K", "-a", "/app"],
        &["--threshold=1M", "/app"],
        &["--time", "-a", "/app"],
        &["--time", "--time-style=full-iso", "/app/below"],
        &["--time=status", "--time-style=iso", "/app/below"],
        &["--time", "--time-style=+%s", "/app/below"],
        &["-P", "/app/link"],
        &["--max=1", "/app"],
        &["/app"],
        &["-s", "/app"],
        &["-a", "/app"],
        &["-sh", "/app/large", "/app/below"],
        &["-b", "/app"],
        &["-l", "/app"],
        &["-c", "/app/below", "/app/large"],
        &["-d", "1", "/app"],
        &["-S", "/app"],
        &["-m", "-s", "/app"],
        &["--apparent-size", "-k", "/app"],
        &["--inodes", "/app"],
        &["--si", "-s", "/app/large"],
        &["-x", "/app/below"],
        &["-s0", "/app/below"],
        &["/app/link"],
        &["-D", "/app/link"],
        &["-L", "/app/link"],
        &["-L", "/app"],
        &["-La", "/app"],
        &["-LP", "/app/link"],
        &["/app/below", "/app/below/deep"],
    ] {
        let theirs = there(&target, &[&["/tools/du"][..], options].concat());
        let ours = target.run(&[&["du"][..], options].concat());
        assert_eq!((ours.status, lines(&ours.out)), (theirs.0, lines(&theirs.1)), "{options:?}: {ours:?}");
    }
    // A mount that leads back to a directory above it is left out.
    let target = sandbox()
        .user(0, 0)
        .on_tmpfs()
        .prepared(|root| {
            let data = root.join("data");
            fs::create_dir_all(data.join("below/again")).unwrap();
            fs::write(data.join("below/file"), vec![b'x'; 50_000]).unwrap();
            let flags = nix::mount::MsFlags::MS_BIND;
            nix::mount::mount(Some(&data), &data.join("below/again"), None::<&str>, flags, None::<&str>)
                .unwrap();
        })
        .start();
    bring(&target, "du");
    for options in [&["/data"][..], &["-a", "/data"], &["-s", "--inodes", "/data"]] {
        let theirs = there(&target, &[&["/tools/du"][..], options].concat());
        let ours = target.run(&[&["du"][..], options].concat());
        assert_eq!((ours.status, lines(&ours.out)), (theirs.0, lines(&theirs.1)), "{options:?}: {ours:?}");
    }
    let target = tree();
    target.run(&["du", "-s", "/none", "/app/plain"]).fails(1, "du: stat /none: no such file or directory");
    let row: Value = serde_json::from_str(&target.run(&["du", "-s", "--json", "/app/large"]).ok()).unwrap();
    assert_eq!((&row["apparent_size"], &row["files"]), (&300_000.into(), &1.into()), "{row}");
}

// Seen to fail with a walk that goes through links.
#[test]
fn r21_du_and_stat_open_nothing_but_directories() {
    needs_root!();
    let target = tree();
    let ran = target.run(&["du", "-a", "/app/fifo", "/app/loop", "/app/broken"]);
    assert_eq!((ran.status, ran.text().lines().count()), (0, 3), "{ran:?}");
    // Whom it is closed to is told, and the rest is counted.
    let locked = sandbox().file("app/open/file", "x").file("app/locked/file", "x").start();
    fs::set_permissions(Path::new(&locked.root).join("app/locked"), fs::Permissions::from_mode(0o700))
        .unwrap();
    let ran = locked.run(&["du", "/app"]);
    ran.fails(1, "du: open /app/locked: permission denied");
    assert!(ran.text().contains("/app/open\n") && ran.text().ends_with("/app\n"), "{ran:?}");
}
