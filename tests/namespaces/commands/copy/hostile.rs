//! Containers that want a copy to go elsewhere, or to hang.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::Duration;

use super::tree::listing;
use super::{Node, copying, is_writing, name, on_the_node, sparse, write_all};
use crate::live::{Ran, descendants, end, run_with_input, within};
use crate::support::{LIMIT, Sandbox, needs_root, sandbox, signal};

/// A member of a tar.
struct Member<'a> {
    path: &'a str,
    kind: u8,
    target: &'a str,
    size: &'a [u8],
    data: &'a [u8],
    mode: &'a str,
}

fn member(path: &str, kind: u8) -> Member<'_> {
    Member { path, kind, target: "", size: b"00000000000", data: b"", mode: "0000755" }
}

fn file<'a>(path: &'a str, data: &'a [u8]) -> Member<'a> {
    Member { data, ..member(path, b'0') }
}

fn link<'a>(path: &'a str, kind: u8, target: &'a str) -> Member<'a> {
    Member { target, ..member(path, kind) }
}

/// A tar of them, with its end unless the last is to be cut off.
fn tar(members: &[Member], ended: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for member in members {
        let mut block = [0; 512];
        let size = format!("{:011o}", member.data.len());
        let size = if member.data.is_empty() { member.size } else { size.as_bytes() };
        for (at, text) in [
            (0, member.path.as_bytes()),
            (100, member.mode.as_bytes()),
            (108, b"0000000"),
            (116, b"0000000"),
            (124, size),
            (136, b"00000000000"),
            (148, b"        "),
            (156, &[member.kind]),
            (157, member.target.as_bytes()),
            (257, b"ustar\x0000"),
        ] {
            block[at..at + text.len()].copy_from_slice(text);
        }
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend(block);
        bytes.extend(member.data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    if ended {
        bytes.extend([0; 1024]);
    }
    bytes
}

/// Members that lead out of `asked`, or are no files.
fn evil(outside: &str) -> Vec<Member<'_>> {
    vec![
        member("asked/", b'5'),
        file("asked/good", b"good"),
        file("/absolute", b"evil"),
        file(outside, b"evil"),
        file("../evil", b"evil"),
        file("asked/../evil", b"evil"),
        file("asked/../../evil", b"evil"),
        file("..", b"evil"),
        file("asked/..", b"evil"),
        link("asked/here", b'2', "."),
        file("asked/here/evil", b"evil"),
        member("asked/here/evil-dir/", b'5'),
        member("asked/here/", b'5'),
        link("asked/out", b'2', outside),
        file("asked/out/evil", b"evil"),
        link("asked/up", b'2', "../../../../../../.."),
        file("asked/up/tmp/evil", b"evil"),
        link("asked/magic", b'2', "/proc/self/root"),
        file("asked/magic/evil", b"evil"),
        link("asked/hard", b'1', outside),
        link("asked/hard-up", b'1', "../canary"),
        link("asked/hard-link", b'1', "asked/here/good"),
        member("asked/device", b'3'),
        member("asked/block", b'4'),
        member("asked/fifo", b'6'),
        member("asked/unknown", b'Z'),
        Member { mode: "0006755", ..file("asked/setuid", b"x") },
        // What is there is replaced, never written through.
        link("asked/replaced", b'2', "../canary"),
        file("asked/replaced", b"new"),
    ]
}

/// `get /asked …`, held up before it has sent anything: it tells of FIFOs until its stderr is full. What the pipe to the
/// node's side is then given is what a process that was taken over could send.
fn taken_over(target: &Sandbox, arguments: &[&str], bytes: &[u8]) -> Ran {
    let nsdbg = copying(target, arguments);
    let mut inside = None;
    assert!(within(LIMIT, || {
        inside = descendants(nsdbg.id() as i32).into_iter().find(|pid| {
            fs::read_to_string(format!("/proc/{pid}/status"))
                .is_ok_and(|status| status.contains("\nUid:\t65532\t") && status.contains("NSpid:"))
                && fs::read_to_string(format!("/proc/{pid}/syscall"))
                    .is_ok_and(|call| call.starts_with("1 0x2 "))
        });
        inside.is_some()
    }));
    let inside = inside.unwrap();
    on_the_node(nsdbg.id() as i32);
    let mut pipe = fs::OpenOptions::new().write(true).open(format!("/proc/{inside}/fd/1")).unwrap();
    signal(inside, libc::SIGSTOP);
    write_all(&mut pipe, bytes);
    signal(inside, libc::SIGKILL);
    drop(pipe);
    end(nsdbg)
}

/// A container whose `/asked` is full of FIFOs.
fn fifos() -> Sandbox {
    let target = sandbox().start();
    fs::create_dir(target.root.join("asked")).unwrap();
    for count in 0..3000 {
        let path = target.root.join(format!("asked/{count}-{}", "x".repeat(200)));
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    target
}

fn names(root: &Path) -> BTreeSet<String> {
    listing(root).into_keys().map(|path| path.to_string_lossy().into_owned()).collect()
}

const GOOD: [&str; 9] = [
    "",
    "asked",
    "asked/good",
    "asked/here",
    "asked/magic",
    "asked/out",
    "asked/replaced",
    "asked/setuid",
    "asked/up",
];

// Seen to fail without O_NOFOLLOW in the tree's `down` (`asked/evil` is made; without the new root too, /tmp/evil of the
// node), without both refusals of `..`, without the look at which names were asked for, and with hard links made.
#[test]
fn r34_a_hostile_stream_writes_nothing_but_what_was_asked_for() {
    needs_root!();
    let target = fifos();
    let around = Node::new("around");
    let (outside, to) = (around.0.join("outside"), around.0.join("to"));
    for directory in [&outside, &to] {
        fs::create_dir(directory).unwrap();
    }
    fs::write(around.0.join("canary"), "canary").unwrap();
    fs::write(to.join("canary"), "canary").unwrap();
    let mut members = evil(outside.to_str().unwrap());
    // Not asked for, and what would be the operator's own.
    members.push(file(".bashrc", b"evil"));
    members.push(member(".ssh/", b'5'));
    members.push(file(".ssh/authorized_keys", b"evil"));
    members.push(file("canary", b"evil"));
    members.push(file("./canary", b"evil"));
    // Our own side sends none: one could be larger than any disk.
    members.push(member("asked/sparse", b'S'));
    let ran = taken_over(&target, &["get", "/asked", to.to_str().unwrap()], &tar(&members, true));
    let mut wanted: BTreeSet<String> = GOOD.map(str::to_owned).into();
    wanted.insert("canary".to_owned());
    assert_eq!(
        names(&to),
        wanted,
        "{}",
        ran.err.lines().filter(|l| !l.contains("xxx")).collect::<Vec<_>>().join("\n")
    );
    assert_eq!(names(&outside).len(), 1);
    for canary in [around.0.join("canary"), to.join("canary")] {
        assert_eq!(fs::read(canary).unwrap(), b"canary");
    }
    assert_eq!(fs::read(to.join("asked/replaced")).unwrap(), b"new");
    assert_eq!(fs::metadata(to.join("asked/setuid")).unwrap().permissions().mode() & 0o7777, 0o755);
    for told in [
        "skipped: the name is absolute",
        "skipped: the name contains ..",
        "skipped: it is not what was asked for",
        "skipped: it is a character device",
        "skipped: it is a hard link",
        "skipped: it is a file with holes",
        "a link or a file is in the way",
    ] {
        assert!(ran.err.contains(told), "{told}");
    }
    assert_ne!(ran.status, 0);
    assert!(!Path::new("/tmp/evil").exists() && !Path::new("/absolute").exists());
}

// Seen to fail where neither the names that were asked for nor the first component are looked at, and without O_NOFOLLOW
// in the tree's `down`.
#[test]
fn r34_a_new_name_is_all_that_a_hostile_stream_can_make() {
    needs_root!();
    let target = fifos();
    let around = Node::new("around");
    let to = around.0.join("new");
    fs::write(around.0.join("canary"), "canary").unwrap();
    let members = [
        link("asked", b'2', "."),
        file("asked/canary", b"evil"),
        file("new/canary", b"evil"),
        file("canary", b"evil"),
        // More than there is, and cut off.
        Member { size: &[0x80, 0, 0, 0, 0x3f, 0, 0, 0, 0, 0, 0, 0], ..member("asked", b'0') },
    ];
    let ran = taken_over(&target, &["get", "/asked", to.to_str().unwrap()], &tar(&members, false));
    assert_ne!(ran.status, 0);
    assert_eq!(names(&around.0), BTreeSet::from(["", "canary", "new"].map(str::to_owned)));
    assert!(fs::symlink_metadata(&to).unwrap().is_symlink());
    assert_eq!(fs::read(around.0.join("canary")).unwrap(), b"canary");
}

// Seen to fail without O_NOFOLLOW in the tree's `down`, and without both refusals of `..`.
#[test]
fn r34_a_hostile_tar_stays_below_the_destination_inside_too() {
    needs_root!();
    let target = sandbox().user(0, 0).start();
    fs::create_dir_all(target.root.join("to/x")).unwrap();
    fs::write(target.root.join("to/canary"), "canary").unwrap();
    fs::create_dir(target.root.join("outside")).unwrap();
    let ran = run_with_input(target.nsdbg().args(["--", "put", "-", "/to/x"]), &tar(&evil("/outside"), true));
    ran.fails(1, "skipped");
    let mut wanted: BTreeSet<String> = GOOD.map(str::to_owned).into();
    // It is the operator's: a hard link below the destination would be made, but not through a link.
    wanted.insert(String::new());
    assert_eq!(names(&target.root.join("to/x")), wanted, "{ran:?}");
    assert_eq!(names(&target.root.join("outside")).len(), 1);
    assert_eq!(fs::read(target.root.join("to/canary")).unwrap(), b"canary");
    assert_eq!(names(&target.root.join("to")).len(), 2 + GOOD.len());
    let good = [file("a", b"x"), link("b", b'1', "a")];
    run_with_input(target.nsdbg().args(["--", "put", "-", "/to/x"]), &tar(&good, true)).ok();
    assert_eq!(fs::read(target.root.join("to/x/b")).unwrap(), b"x");
}

/// A container whose user swaps `/data/d`, a directory, against a link to `/etc` all the time; there only root may read.
fn swapping() -> Sandbox {
    let target = sandbox()
        .file("etc/secret", "secret")
        .file("data/d/secret", "harmless")
        .mode(&["swap", "/data/d", "/etc"])
        .start();
    for path in ["data", "data/d", "data/d/secret"] {
        chown(target.root.join(path), Some(65532), Some(65532)).unwrap();
    }
    fs::set_permissions(target.root.join("etc/secret"), fs::Permissions::from_mode(0o600)).unwrap();
    target
}

// Seen to fail where the walk follows links (O_NOFOLLOW taken away in sys::walk::open).
#[test]
fn r34_get_follows_no_directory_that_is_swapped_for_a_link() {
    needs_root!();
    let target = swapping();
    let (mut links, mut directories) = (0, 0);
    for count in 0..60 {
        let node = Node::new("node");
        let ran = target.run_with(&["--root"], &["get", "/data", &format!("{}/x", node.text())]);
        assert!(ran.status < 2, "{ran:?}");
        for (path, _) in listing(&node.0) {
            let whole = node.0.join(&path);
            if fs::symlink_metadata(&whole).unwrap().is_file() {
                assert_eq!(fs::read(&whole).unwrap(), b"harmless", "{path:?} in run {count}");
                directories += 1;
            }
            links += usize::from(whole.is_symlink());
        }
    }
    assert!(links > 0 && directories > 0, "it is swapped: {links} {directories}");
}

// Seen to fail without O_NOFOLLOW in the tree's `down`.
#[test]
fn r34_put_follows_no_directory_that_is_swapped_for_a_link() {
    needs_root!();
    let target = swapping();
    let node = Node::new("node");
    let tree = node.0.join("d");
    for count in 0..50 {
        fs::create_dir_all(tree.join(format!("e{count}"))).unwrap();
        fs::write(tree.join(format!("e{count}/evil")), "evil").unwrap();
        fs::write(tree.join(format!("evil{count}")), "evil").unwrap();
    }
    let before = names(&target.root.join("etc"));
    let mut told = 0;
    for _ in 0..60 {
        let ran = target.run_with(&["--root"], &["put", tree.to_str().unwrap(), "/data"]);
        told += usize::from(ran.err.contains("a link or a file is in the way"));
        assert_eq!(names(&target.root.join("etc")), before, "{ran:?}");
    }
    assert!(told > 0, "it is swapped");
}

// Seen to fail where the sender follows links below what is named.
#[test]
fn r34_put_sends_nothing_that_a_link_below_points_to() {
    needs_root!();
    let target = sandbox().start();
    let node = Node::new("node");
    fs::write(node.0.join("secret"), "secret").unwrap();
    fs::create_dir(node.0.join("tree")).unwrap();
    symlink("../secret", node.0.join("tree/link")).unwrap();
    symlink("..", node.0.join("tree/up")).unwrap();
    target.run(&["put", &format!("{}/tree", node.text()), "/tmp"]).ok();
    let tree = target.root.join("tmp/tree");
    assert_eq!(names(&tree), BTreeSet::from(["", "link", "up"].map(str::to_owned)));
    assert!(tree.join("link").is_symlink() && tree.join("up").is_symlink());
}

// Seen to fail where an unfinished file is not removed.
#[test]
fn r34_a_process_that_is_killed_or_stopped_midway_leaves_nothing_and_holds_nobody_up() {
    needs_root!();
    let target = sandbox().start();
    sparse(&target.root.join("app/huge"), 1 << 40);
    for (number, status, words) in
        [(libc::SIGKILL, 1, "the copy is not complete"), (libc::SIGSTOP, 124, "the time limit")]
    {
        let node = Node::new("node");
        let mut nsdbg = target.nsdbg();
        nsdbg.args(["--timeout", "3", "--", "get", "/app/huge", node.text()]);
        let nsdbg = nsdbg.stderr(std::process::Stdio::piped()).spawn().unwrap();
        assert!(within(LIMIT, || is_writing(nsdbg.id() as i32)));
        let inside = descendants(nsdbg.id() as i32).into_iter().find(|pid| {
            fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| {
                let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
                pids.split_whitespace().count() == 2
            })
        });
        signal(inside.unwrap(), number);
        end(nsdbg).fails(status, words);
        assert_eq!(node.names(), [""; 0], "signal {number}");
    }
}

#[test]
fn a_file_that_changes_while_it_is_copied_is_told() {
    needs_root!();
    let target = sandbox().start();
    let path = target.root.join("app/file");
    sparse(&path, 8 << 30);
    let node = Node::new("node");
    let nsdbg = copying(&target, &["get", "/app/file", node.text()]);
    assert!(within(LIMIT, || is_writing(nsdbg.id() as i32)));
    sparse(&path, 1000);
    end(nsdbg).fails(1, "get: read /app/file: it shrank while it was copied: its last ");
    assert_eq!(fs::metadata(node.0.join("file")).unwrap().len(), 8 << 30);
    sparse(&path, 4 << 30);
    let nsdbg = copying(&target, &["get", "/app/file", node.text()]);
    assert!(within(LIMIT, || is_writing(nsdbg.id() as i32)));
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(5 << 30).unwrap();
    end(nsdbg).fails(1, "it grew while it was copied: 4294967296 bytes were");
    // A name that is not asked for by its bytes.
    let odd = target.root.join("app").join(name(b"x\xff\n"));
    fs::write(&odd, "odd").unwrap();
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o644)).unwrap();
    let line = format!("get $'/app/x\\xff\\n' {}", node.text());
    target.line(&line).ok();
    let mut text = String::new();
    fs::File::open(node.0.join(name(b"x\xff\n"))).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "odd");
    std::thread::sleep(Duration::from_millis(1));
}
