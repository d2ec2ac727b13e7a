//! `get` and `put`, with GNU tar as the oracle. What hostile containers do about copies is in `hostile`.

mod existing;
mod hostile;
mod irreplaceable;
mod links;
mod many_sources;
mod shared;
mod sizes;
mod sparse;
mod tree;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::live::{Facts, descendants, end, run, run_with_input, within};
use crate::prompt::Prompt;
use crate::support::{LIMIT, NSDBG, Sandbox, helper, needs_root, new_directory, sandbox};

use tree::{fill, listing, make_writable};

/// A directory of the node that is removed at the end.
struct Node(PathBuf);

impl Node {
    fn new(name: &str) -> Self {
        Self(new_directory(name))
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        make_writable(&self.0);
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file of so many bytes without one of them on the disk.
fn sparse(path: &Path, size: u64) {
    fs::File::create(path).unwrap().set_len(size).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

/// GNU tar, with this input.
fn tar(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("tar");
    let ran = run_with_input(command.args(arguments).env("LC_ALL", "C"), input);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "tar {arguments:?}");
    ran.out
}

#[test]
fn a_tree_arrives_as_it_is_on_the_node_and_through_tar() {
    needs_root!();
    // CAP_DAC_OVERRIDE: files that nobody may read are copied, too.
    let target = sandbox().user(0, 0).caps(2).start();
    fill(&target.root.join("app"));
    let wanted = listing(&target.root.join("app"));
    let node = Node::new("node");
    let direct = node.0.join("direct");
    assert_eq!(target.run(&["get", "/app", direct.to_str().unwrap()]).ok(), "");
    assert_eq!(listing(&direct), wanted);
    // The same as a tar.
    let ran = target.run(&["get", "/app", "-"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    tar(&["x", "-p", "--warning=no-timestamp", "-C", node.text()], &ran.out);
    assert_eq!(listing(&node.0.join("app")), wanted);
    let listed = tar(&["tvf", "-"], &ran.out);
    assert!(
        String::from_utf8_lossy(&listed).contains("app/link -> "),
        "{}",
        String::from_utf8_lossy(&listed)
    );
    // And back: by put, and by tars of GNU tar's formats.
    let source = direct.to_str().unwrap();
    assert_eq!(target.run(&["put", source, "/tmp/back"]).ok(), "");
    assert_eq!(listing(&target.root.join("tmp/back")), wanted);
    for format in ["gnu", "posix", "pax"] {
        let place = format!("tmp/{format}");
        fs::create_dir(target.root.join(&place)).unwrap();
        let bytes = tar(&["c", "--format", format, "-C", source, "."], b"");
        let place_inside = format!("/{place}");
        run_with_input(target.nsdbg().args(["--", "put", "-", &place_inside]), &bytes).ok();
        let mut is = listing(&target.root.join(&place));
        let mut wanted = wanted.clone();
        if format == "gnu" {
            // Its times are whole seconds.
            [&mut is, &mut wanted]
                .into_iter()
                .flat_map(|all| all.values_mut())
                .for_each(|file| file.nanoseconds = 0);
        }
        // The destination itself keeps what it has.
        is.remove(OsStr::new(""));
        wanted.remove(OsStr::new(""));
        assert_eq!(is, wanted, "{format}");
    }
    make_writable(&target.root);
}

#[test]
fn destinations_are_as_cp_has_them() {
    needs_root!();
    let target = sandbox().file("app/a", "one").file("app/d/b", "two").start();
    let node = Node::new("node");
    let at = |name: &str| node.0.join(name);
    let get =
        |arguments: &[&str]| run(target.nsdbg().current_dir(&node.0).args(["--", "get"]).args(arguments));
    get(&["/app/a"]).ok();
    assert_eq!(fs::read(at("a")).unwrap(), b"one");
    get(&["/app/a", "new"]).ok();
    get(&["/app/d", "tree"]).ok();
    get(&["/app/d/", "tree"]).ok();
    get(&["/app/.", "tree"]).ok();
    get(&["/app/a", "@host:named"]).ok();
    for file in ["new", "tree/b", "tree/d/b", "tree/a", "named"] {
        assert!(at(file).is_file(), "{file}");
    }
    get(&["/app/a", "/app/d", "tree/b"]).fails(1, "several sources need a directory as their destination");
    get(&["/app/a", "none/new"]).fails(1, "get: open none/: no such file or directory");
    get(&["/app/a", "none/"]).fails(1, "get: open none/: no such file or directory");
    get(&["/app/d", "new"]).fails(1, "get: mkdir new");
    // What is there is replaced, or kept.
    fs::write(at("a"), "old").unwrap();
    get(&["-n", "/app/a"]).ok();
    assert_eq!(fs::read(at("a")).unwrap(), b"old");
    get(&["/app/a"]).ok();
    assert_eq!(fs::read(at("a")).unwrap(), b"one");
    // A link that is there is replaced, not written through.
    fs::remove_file(at("a")).unwrap();
    fs::write(at("other"), "other").unwrap();
    symlink("other", at("a")).unwrap();
    get(&["/app/a"]).ok();
    assert_eq!(
        (fs::read(at("other")).unwrap(), fs::read(at("a")).unwrap()),
        (b"other".into(), b"one".into())
    );
    // Globs are the container's.
    let line = format!("get /app/* {}/tree", node.text());
    target.line(&line).ok();
    target.line("get /app/a x*").fails(2, "a glob matches files of the container");
    target.line("put x* /tmp").fails(2, "a glob matches files of the container");
    target.run(&["get", "/"]).fails(2, "/ has no name to copy under: give a destination (get PATH DEST)");
    for empty in [&["get", ""][..], &["get", "", node.text()], &["put", "", "/tmp"]] {
        target.run(empty).fails(1, "open '': no such file or directory");
    }
    target.run(&["put", "x"]).fails(2, "source or destination missing");
    target.run(&["get", "/app/a", "-", "x"]).fails(2, "- is a stream");
    assert_eq!(get(&["-v", "/app/d", "v"]).text(), "v\nv/b\n");
    assert!(get(&["-v", "/app/d", "v"]).err.starts_with("1 file, 3 in 0."));
    // The container's paths follow its links where they are named, unless that is not wanted.
    symlink("a", target.root.join("app/l")).unwrap();
    get(&["/app/l", "followed"]).ok();
    get(&["-P", "/app/l", "link"]).ok();
    assert!(fs::symlink_metadata(at("followed")).unwrap().is_file());
    assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("a"));
}

#[test]
fn rows_say_what_was_copied() {
    needs_root!();
    let target = sandbox().file("app/a", "one").start();
    fs::set_permissions(target.root.join("app/a"), fs::Permissions::from_mode(0o4755)).unwrap();
    let node = Node::new("node");
    let to = format!("{}/x", node.text());
    let ran = target.run_with(&["--json"], &["get", "/app", &to]);
    let rows: Vec<serde_json::Value> =
        ran.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let path = |rest: &str| format!("{to}{rest}");
    assert_eq!(
        rows,
        [
            serde_json::json!({"path": path(""), "type": "directory", "size": 0, "mode": "0755", "target": null}),
            serde_json::json!({"path": path("/a"), "type": "file", "size": 3, "mode": "0755", "target": null}),
        ]
    );
    // Setuid is kept where that is asked for, the owner too.
    assert_eq!(fs::metadata(format!("{to}/a")).unwrap().mode() & 0o7777, 0o755);
    std::os::unix::fs::chown(target.root.join("app/a"), Some(65532), Some(2000)).unwrap();
    fs::set_permissions(target.root.join("app/a"), fs::Permissions::from_mode(0o4755)).unwrap();
    target.run(&["get", "-a", "--setuid", "/app/a", &to]).ok();
    let file = fs::metadata(format!("{to}/a")).unwrap();
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (65532, 2000, 0o4755));
    target.run(&["get", "/app/a", &to]).ok();
    assert_eq!(fs::metadata(format!("{to}/a")).unwrap().uid(), 0);
    let line = format!("get /app {} | where type eq file | count", node.text());
    assert_eq!(target.line(&line).ok(), "1\n");
    // A tar, too, has none of these bits unasked: 2755 of a directory, and 6755.
    fs::create_dir(target.root.join("app/d")).unwrap();
    fs::set_permissions(target.root.join("app/d"), fs::Permissions::from_mode(0o2755)).unwrap();
    fs::set_permissions(target.root.join("app/a"), fs::Permissions::from_mode(0o6755)).unwrap();
    for (options, modes) in
        [(&["get"][..], ["drwxr-xr-x", "-rwxr-xr-x"]), (&["get", "--setuid"], ["drwxr-sr-x", "-rwsr-sr-x"])]
    {
        let ran = target.run(&[options, &["/app/d", "/app/a", "-"]].concat());
        let listed = String::from_utf8(tar(&["tvf", "-"], &ran.out)).unwrap();
        let is: Vec<_> = listed.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(is, modes, "{options:?}");
    }
    target.run_with(&["--json"], &["get", "/app", "-"]).fails(2, "a tar is bytes, not rows");
}

#[test]
fn what_can_not_be_copied_is_told_and_the_rest_is_copied() {
    needs_root!();
    let target = sandbox().file("app/a", "one").file("app/secret", "x").start();
    fs::set_permissions(target.root.join("app/secret"), fs::Permissions::from_mode(0o600)).unwrap();
    nix::unistd::mkfifo(&target.root.join("app/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(target.root.join("app/socket")).unwrap();
    symlink("loop", target.root.join("app/loop")).unwrap();
    let node = Node::new("node");
    let ran = target.run(&["get", "/app", "/none", "/app/loop", "/proc/1/status", node.text()]);
    for words in [
        "get: open /app/secret: permission denied (why /app/secret, or --cap-add DAC_OVERRIDE)\n",
        "get: copy /app/fifo: skipped: it is a FIFO\n",
        "get: copy /app/socket: skipped: it is a socket\n",
        "get: open /none: no such file or directory\n",
        "get: open /app/loop: too many",
    ] {
        ran.fails(1, words);
    }
    assert_eq!(node.names(), ["app", "status"]);
    assert_eq!(fs::read(node.0.join("app/a")).unwrap(), b"one");
    // What the kernel makes up as it is read has no size.
    assert!(fs::read_to_string(node.0.join("status")).unwrap().starts_with("Name:"));
    // The other way: the target's user may not write there; the node's file is not there.
    target.run(&["put", "/etc/passwd", "/etc/new"]).fails(1, "put: create /etc/new: permission denied");
    target.run(&["put", "/none", "/etc/passwd", "/tmp"]).fails(1, "put: open /none: no such file");
    assert!(target.root.join("tmp/passwd").is_file());
    target.run_with(&["--read-only"], &["put", "/etc/passwd", "/tmp/y"]).fails(1, "--read-only");
    target.run_with(&["--read-only"], &["get", "/app/a", node.text()]).ok();
    run_with_input(target.nsdbg().args(["--", "put", "-", "/tmp"]), b"no tar").fails(1, "the stream ended");
    run_with_input(target.nsdbg().args(["--", "put", "-", "/tmp"]), &[7; 2048])
        .fails(1, "not a tar archive, or a damaged one");
    for (compress, bytes) in [("gzip", 2048), ("gzip", 9), ("bzip2", 9), ("xz", 9)] {
        let compressed = run_with_input(Command::new(compress).arg("-c"), &vec![7; bytes]).out;
        run_with_input(target.nsdbg().args(["--", "put", "-", "/tmp"]), &compressed)
            .fails(1, &format!("compressed by {compress}: decompress it first"));
    }
    run_with_input(target.nsdbg().args(["--", "put", "-", "/none"]), b"")
        .fails(1, "open /none: no such file");
    run_with_input(target.nsdbg().args(["--", "put", "-", "/app/a"]), b"")
        .fails(1, "open /app/a: not a directory");
    // A reader that goes early is quiet.
    let line = format!("{NSDBG} --pid {} -- get /server - | head -c 10 | wc -c", target.pid);
    let ran = run(Command::new("sh").args(["-c", &line]));
    assert_eq!((ran.text().trim(), ran.err.as_str()), ("10", ""));
}

#[test]
fn large_and_sparse_files() {
    needs_root!();
    let target = sandbox().start();
    // Its size does not fit into a header's octal digits.
    sparse(&target.root.join("app/huge"), 9 << 30);
    let listed = tar(&["tvf", "-"], &target.run(&["get", "/app/huge", "-"]).out);
    let listed = String::from_utf8_lossy(&listed);
    assert!(listed.contains(" 9663676416 ") && listed.contains("huge"), "{listed}");
    // Data between holes, and a hole at the end, arrive where they were and take no more room.
    let path = target.root.join("app/holes");
    sparse(&path, 50_000_000);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for at in [0, 12_345_678, 40_000_001] {
        std::os::unix::fs::FileExt::write_all_at(&file, &[b'x'; 5000], at).unwrap();
    }
    let node = Node::new("node");
    target.run(&["get", "/app/holes", node.text()]).ok();
    let copy = node.0.join("holes");
    assert!(fs::read(&copy).unwrap() == fs::read(&path).unwrap());
    assert!(fs::metadata(&copy).unwrap().blocks() < 200, "{}", fs::metadata(&copy).unwrap().blocks());
}

#[test]
fn many_small_files_take_little_memory() {
    needs_root!();
    let target = sandbox().start();
    for directory in 0..100 {
        let directory = target.root.join(format!("app/{directory}"));
        fs::create_dir(&directory).unwrap();
        for file in 0..200 {
            fs::write(directory.join(format!("file-{file}")), "x").unwrap();
        }
    }
    let node = Node::new("node");
    let mut command = Command::new(helper());
    command.arg("peak").arg(NSDBG).args(["--pid", &target.pid.to_string(), "--", "get", "/app", node.text()]);
    let ran = run(&mut command);
    let peak: u32 =
        ran.err.trim().strip_prefix("peak ").unwrap_or_else(|| panic!("{ran:?}")).parse().unwrap();
    assert!(ran.status == 0 && peak < 40 << 10, "{ran:?}");
    assert_eq!(listing(&node.0.join("app")).len(), 20_101);
}

#[test]
fn progress_is_drawn_on_a_terminal_and_ctrl_c_leaves_nothing() {
    needs_root!();
    let target = sandbox().start();
    sparse(&target.root.join("app/huge"), 1 << 40);
    let node = Node::new("node");
    let mut prompt = Prompt::start(&target);
    prompt.sees("web");
    prompt.type_in(format!("get /app/huge {}\r", node.text()).as_bytes());
    prompt.sees("%  [");
    prompt.sees(" of 1.0T  ");
    assert!(is_writing(prompt.nsdbg.id() as i32));
    prompt.type_in(b"\x03");
    prompt.sees("web:/$ ");
    assert!(within(LIMIT, || node.names().is_empty()), "{:?}", node.names());
    fs::write(node.0.join("one-of-the-node"), "x").unwrap();
    prompt.type_in(format!("put --mode 644 {}/one-o\t", node.text()).as_bytes());
    prompt.sees("/one-of-the-node ");
    prompt.type_in(b"/tmp\r");
    prompt.sees("1 file, ");
}

// Seen to fail where SIGINT is not watched for.
#[test]
fn a_copy_that_is_interrupted_leaves_nothing() {
    needs_root!();
    let target = sandbox().start();
    let node = Node::new("node");
    sparse(&target.root.join("app/huge"), 1 << 40);
    sparse(&node.0.join("huge"), 1 << 40);
    let to = Node::new("to");
    let huge = node.0.join("huge");
    for arguments in [["get", "/app/huge", to.text()], ["put", huge.to_str().unwrap(), "/tmp"]] {
        let place = if arguments[0] == "get" { to.0.clone() } else { target.root.join("tmp") };
        let count = || fs::read_dir(&place).unwrap().count();
        let mut nsdbg = target.nsdbg();
        nsdbg.arg("--").args(arguments).stderr(Stdio::piped()).stdout(Stdio::piped());
        let nsdbg = nsdbg.spawn().unwrap();
        assert!(within(LIMIT, || is_writing(nsdbg.id() as i32)), "{arguments:?} begins");
        crate::support::signal(nsdbg.id() as i32, libc::SIGINT);
        assert_eq!(end(nsdbg).status, 130, "{arguments:?}");
        assert_eq!(count(), 0, "{arguments:?}");
    }
}

// Seen to fail with files that have a name before they are complete.
#[test]
fn r34_a_copy_that_is_killed_leaves_nothing() {
    needs_root!();
    let target = sandbox().start();
    let node = Node::new("node");
    sparse(&target.root.join("app/huge"), 1 << 40);
    sparse(&node.0.join("huge"), 1 << 40);
    let to = Node::new("to");
    for path in [&to.0, &target.root.join("tmp")] {
        // One is replaced, one is new.
        fs::write(path.join("old"), "old").unwrap();
    }
    let huge = node.0.join("huge");
    let (new, old) = (to.0.join("new"), to.0.join("old"));
    for arguments in [
        ["get", "/app/huge", new.to_str().unwrap()],
        ["get", "/app/huge", old.to_str().unwrap()],
        ["put", huge.to_str().unwrap(), "/tmp/new"],
        ["put", huge.to_str().unwrap(), "/tmp/old"],
    ] {
        let is_get = arguments[0] == "get";
        if !is_get && !names_files_by_descriptor() {
            crate::support::count_skip("this kernel lets nobody inside name a file by its descriptor");
            continue;
        }
        let place = if is_get { to.0.clone() } else { target.root.join("tmp") };
        for who in ["all of it", "the process that writes"] {
            let nsdbg = copying(&target, &arguments);
            let mut writer = None;
            assert!(within(LIMIT, || {
                writer = writers(nsdbg.id() as i32).pop();
                writer.is_some()
            }));
            match who {
                "all of it" => kill(nsdbg),
                _ => {
                    crate::support::signal(writer.unwrap(), libc::SIGKILL);
                    assert_ne!(end(nsdbg).status, 0);
                }
            }
            assert!(within(LIMIT, || !crate::live::is_alive(writer.unwrap())));
            let names = listing(&place);
            assert_eq!(names.len(), 2, "{arguments:?}: {who}: {:?}", names.keys());
            assert_eq!(fs::read(place.join("old")).unwrap(), b"old");
        }
    }
}

// Seen to fail without the fallback: linkat(2) by descriptor, refused as before 6.10, is what names files.
#[test]
fn files_have_names_from_the_start_where_they_must() {
    needs_root!();
    let target = sandbox().file("app/file", "new").start();
    let node = Node::new("node");
    fs::write(node.0.join("file"), "new").unwrap();
    let to = Node::new("to");
    let refused = format!("{}:4={}:{}", libc::SYS_linkat, libc::AT_EMPTY_PATH, libc::ENOENT);
    let from = node.0.join("file");
    for (arguments, place) in [
        (["get", "/app/file", to.text()], to.0.clone()),
        (["put", from.to_str().unwrap(), "/tmp"], target.root.join("tmp")),
    ] {
        for before in [None, Some("old")] {
            if let Some(text) = before {
                fs::write(place.join("file"), text).unwrap();
            }
            run(crate::faults::filtered(&[&refused], &target).arg("--").args(arguments)).ok();
            assert_eq!(fs::read(place.join("file")).unwrap(), b"new", "{arguments:?}");
            assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "{arguments:?}");
        }
    }
}

/// Whether the kernel names a file by its descriptor for who has no capability: since 6.10.
fn names_files_by_descriptor() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let numbers: Vec<u32> = release.split(['.', '-']).map_while(|number| number.parse().ok()).collect();
    numbers.as_slice() >= &[6, 10][..]
}

/// The processes below nsdbg that have a file open for writing alone.
fn writers(nsdbg: i32) -> Vec<i32> {
    let writes = |pid: &i32| {
        fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().any(|fd| {
            let flags = fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", fd.file_name().display()));
            let flags = flags
                .unwrap_or_default()
                .lines()
                .find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
            fs::metadata(fd.path()).is_ok_and(|facts| facts.is_file())
                && flags.is_some_and(|flags| flags & libc::O_ACCMODE == libc::O_WRONLY)
        })
    };
    descendants(nsdbg).into_iter().filter(writes).collect()
}

fn is_writing(nsdbg: i32) -> bool {
    !writers(nsdbg).is_empty()
}

/// The process below nsdbg that is nobody's: the one on the node.
fn on_the_node(nsdbg: i32) -> i32 {
    let mut found = None;
    let is_nobody = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/status"))
            .is_ok_and(|status| status.contains("\nUid:\t65534\t65534"))
    };
    assert!(within(LIMIT, || {
        found = descendants(nsdbg).into_iter().find(is_nobody);
        found.is_some()
    }));
    std::thread::sleep(Duration::from_millis(100));
    found.unwrap()
}

fn copying(target: &Sandbox, arguments: &[&str]) -> std::process::Child {
    let mut nsdbg = target.nsdbg();
    nsdbg.arg("--").args(arguments).stderr(Stdio::piped()).stdout(Stdio::piped()).stdin(Stdio::null());
    nsdbg.spawn().unwrap()
}

fn kill(mut nsdbg: std::process::Child) {
    let _ = nsdbg.kill();
    let _ = nsdbg.wait();
}

/// A name in bytes.
fn name(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

fn write_all(to: &mut impl Write, bytes: &[u8]) {
    to.write_all(bytes).unwrap();
}

// Seen to fail without the chroot, and with all capabilities kept.
#[test]
fn r34_the_processes_on_the_node_have_no_more_than_they_need() {
    needs_root!();
    let target = sandbox().start();
    let node = Node::new("node");
    sparse(&target.root.join("app/huge"), 1 << 40);
    let nsdbg = copying(&target, &["get", "/app/huge", node.text()]);
    let facts = Facts::of(on_the_node(nsdbg.id() as i32));
    kill(nsdbg);
    assert_eq!(facts.root, node.text());
    // Files that it makes are root's; it could signal nobody.
    assert_eq!(facts.get("Uid"), "65534 65534 65534 0");
    assert_eq!(facts.get("Gid"), "65534 65534 65534 0");
    let sets = |facts: &Facts| crate::live::SETS.map(|set| facts.mask(set));
    // CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
    assert_eq!(sets(&facts), [0, 6, 6, 0, 0]);
    assert_eq!((facts.get("NoNewPrivs"), facts.get("Seccomp")), ("1", "2"));
    assert_eq!(facts.fds.values().filter(|what| !what.starts_with("pipe:")).count(), 2, "{:?}", facts.fds);

    let huge = Node::new("huge");
    sparse(&huge.0.join("huge"), 1 << 40);
    let nsdbg = copying(&target, &["put", huge.text(), "/tmp"]);
    let facts = Facts::of(on_the_node(nsdbg.id() as i32));
    kill(nsdbg);
    assert_eq!(facts.get("Uid"), "65534 65534 65534 65534");
    // CAP_DAC_READ_SEARCH.
    assert_eq!(sets(&facts), [0, 4, 4, 0, 0]);
    assert_eq!((facts.get("NoNewPrivs"), facts.get("Seccomp")), ("1", "2"));
}
