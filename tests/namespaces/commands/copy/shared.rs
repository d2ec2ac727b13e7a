//! Directories of the node that a container can write to: copies and redirections there reach nothing else of the node.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use super::Node;
use crate::live::Ran;
use crate::support::{Builder, LIMIT, Sandbox, needs_root, sandbox};

/// A container's user, whose directory of the node it is too.
const USER: u32 = 65532;

/// What is written to nobody but root.
const SECRET: &str = "secret of the node";

struct Shared {
    /// Keeps the directories.
    node: Node,
    /// The shared one.
    path: PathBuf,
    /// One that is not.
    victim: PathBuf,
}

impl Shared {
    fn new() -> Self {
        let node = Node::new("node");
        let (path, victim) = (node.0.join("shared"), node.0.join("victim"));
        for directory in [&path, &victim] {
            fs::create_dir(directory).unwrap();
        }
        chown(&path, Some(USER), Some(USER)).unwrap();
        fs::write(victim.join("secret"), SECRET).unwrap();
        fs::set_permissions(victim.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
        Self { node, path, victim }
    }

    fn at(&self, name: &str) -> String {
        self.path.join(name).to_str().unwrap().to_owned()
    }

    fn container(&self) -> Builder {
        sandbox().set("share", self.path.display()).file("app/tree/file", "evil").file("app/file", "evil")
    }

    /// Nothing of the node but what is shared was changed.
    fn holds(&self, what: &str, ran: &Ran) {
        let names: Vec<_> =
            fs::read_dir(&self.victim).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["secret"], "{what}: {ran:?}");
        let secret = self.victim.join("secret");
        assert_eq!(fs::read_to_string(&secret).unwrap(), SECRET, "{what}: {ran:?}");
        assert_eq!(fs::metadata(secret).unwrap().uid(), 0, "{what}: {ran:?}");
    }
}

fn root(target: &Sandbox, line: &str) -> Ran {
    crate::live::run(target.nsdbg().args(["--root", "-c", line]))
}

// Seen to fail with links that are followed in what the operator names: files were made in the other directory, or
// written over, and what only root may read came into the container.
#[test]
fn r34_no_link_in_a_shared_directory_leads_elsewhere_on_the_node() {
    needs_root!();
    let shared = Shared::new();
    let target = shared.container().start();
    let victim = |name: &str| shared.victim.join(name);
    for (name, to) in [("out", victim("")), ("list", victim("list")), ("secret", victim("secret"))] {
        symlink(to, shared.path.join(name)).unwrap();
    }
    symlink(shared.node.0.join("victim"), shared.path.join("up")).unwrap();
    symlink("../victim", shared.path.join("relative")).unwrap();
    for line in [
        "get /app/file $out",
        "get /app/file $out/",
        "get /app/file $out/new",
        "get /app/tree $out",
        "get /app/tree $up/tree",
        "get /app/file $up/secret",
        "get /app/file $relative/secret",
        "get -n /app/file $relative/new",
        "ls / > @host:$list",
        "ls / >> @host:$secret",
        "ls / > @host:$secret",
        "ls / > @host:$up/list",
        "ls /nothing 2> @host:$list",
        "put $secret /tmp/stolen",
        "put $up/secret /tmp/stolen",
        "put $up /tmp/stolen",
        "put $relative/secret /tmp/stolen",
        "cat < @host:$secret",
        "cat < @host:$up/secret",
        "http get http://127.0.0.1:1/ -o @host:$list",
        "http post http://127.0.0.1:1/ -d @host:$secret",
    ] {
        let line = line.replace('$', &shared.at(""));
        let ran = root(&target, &line);
        shared.holds(&line, &ran);
        assert!(ran.status != 0 && !ran.text().contains(SECRET), "{line}: {ran:?}");
        assert!(ran.err.contains("a link in a directory that the container shares"), "{line}: {ran:?}");
        let stolen = fs::read_to_string(target.root.join("tmp/stolen")).unwrap_or_default();
        assert!(
            !stolen.contains(SECRET) && !target.root.join("tmp/stolen/secret").exists(),
            "{line}: {ran:?}"
        );
    }
    // What is there is replaced, what is new is made, and links elsewhere are followed.
    let elsewhere = shared.node.0.join("link");
    symlink(&shared.path, &elsewhere).unwrap();
    for line in [
        "get /app/file $new".to_owned(),
        format!("get /app/file {}/again", elsewhere.display()),
        "ls /app > @host:$written".to_owned(),
        "put $new /tmp/put".to_owned(),
    ] {
        let line = line.replace('$', &shared.at(""));
        assert_eq!(root(&target, &line).ok(), "", "{line}");
    }
    assert_eq!(fs::read_to_string(shared.path.join("again")).unwrap(), "evil");
    assert_eq!(fs::read_to_string(target.root.join("tmp/put")).unwrap(), "evil");
    assert_eq!(fs::read_to_string(shared.path.join("written")).unwrap(), "file\ntree\n");
}

// Seen to fail with the same.
#[test]
fn r34_nothing_that_is_swapped_in_a_shared_directory_leads_elsewhere_on_the_node() {
    needs_root!();
    for (what, lines) in [
        (
            "directory",
            &["get /app/tree $swapped", "get /app/file $swapped/new", "put $swapped /tmp/copy"][..],
        ),
        (
            "file",
            &[
                "ls / > @host:$swapped",
                "cat < @host:$swapped",
                "put $swapped /tmp/copy",
                "get /app/file $swapped",
            ],
        ),
    ] {
        let shared = Shared::new();
        let victim = shared.victim.to_str().unwrap();
        let swapped = shared.path.join("swapped");
        let to = if what == "directory" {
            fs::create_dir(&swapped).unwrap();
            victim.to_owned()
        } else {
            fs::write(&swapped, "harmless").unwrap();
            format!("{victim}/secret")
        };
        chown(&swapped, Some(USER), Some(USER)).unwrap();
        let target = shared.container().mode(&["swap", "/shared/swapped", &to]).start();
        let (mut done, mut refused) = (0, 0);
        for _ in 0..20 {
            for line in lines {
                let line = line.replace('$', &shared.at(""));
                let ran = root(&target, &line);
                shared.holds(&line, &ran);
                assert!(!ran.text().contains(SECRET), "{line}: {ran:?}");
                done += u32::from(ran.status == 0);
                refused += u32::from(ran.status != 0);
                let copy = target.root.join("tmp/copy");
                // A link that was copied as one would lead this test there.
                if !copy.is_symlink() {
                    for copy in [copy.join("secret"), copy.clone()] {
                        let copied = fs::read_to_string(copy).unwrap_or_default();
                        assert!(!copied.contains(SECRET), "{line}: {ran:?}");
                    }
                }
                let _ = fs::remove_dir_all(&copy);
                let _ = fs::remove_file(&copy);
            }
        }
        println!("{what}: {done} done, {refused} refused");
        assert!(done > 0 && refused > 0, "{what} is swapped: {done} {refused}");
    }
}

// Seen to fail with fchownat(2) of a link by its name, and with a directory that is taken for the one that was made: the
// prey was given away. (It is a matter of microseconds: in one run of three.)
#[test]
fn r34_what_takes_the_place_of_a_link_or_a_directory_is_not_given_away() {
    needs_root!();
    for takes_links in [true, false] {
        let mut stolen = 0;
        for _ in 0..6 {
            let shared = Shared::new();
            // It is the container's, so that it can swap what is in it: directories only in their own.
            fs::create_dir(shared.path.join("many")).unwrap();
            chown(shared.path.join("many"), Some(USER), Some(USER)).unwrap();
            let prey = shared.path.join("many/prey");
            if takes_links {
                fs::write(&prey, SECRET).unwrap();
            } else {
                fs::create_dir(&prey).unwrap();
                fs::write(prey.join("secret"), SECRET).unwrap();
            }
            fs::set_permissions(&prey, fs::Permissions::from_mode(0o700)).unwrap();
            let held = fs::File::open(&prey).unwrap();
            let inode = held.metadata().unwrap().ino();
            let mut target = shared.container().mode(&["steal", "/shared", "/shared/many/prey"]).start();
            assert_eq!(target.next_line(LIMIT).as_deref(), Some("stealing"));
            let tree = target.root.join("app/many");
            fs::create_dir(&tree).unwrap();
            for number in 0..100 {
                let path = tree.join(number.to_string());
                if takes_links {
                    symlink("x", &path).unwrap();
                } else {
                    fs::create_dir(&path).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
                }
                std::os::unix::fs::lchown(path, Some(USER), Some(USER)).unwrap();
            }
            let ran = root(&target, &format!("get -a /app/many {}", shared.path.display()));
            stolen += u32::from(!fs::metadata(&prey).is_ok_and(|facts| facts.ino() == inode));
            let facts = held.metadata().unwrap();
            assert_eq!((facts.uid(), facts.mode() & 0o777), (0, 0o700), "{takes_links}: {ran:?}");
        }
        assert!(stolen > 0, "it takes the place of others");
    }
}

// Seen to fail with a file that is opened without O_NONBLOCK.
#[test]
fn r21_a_file_of_a_shared_directory_that_is_swapped_for_a_fifo_holds_nobody_up() {
    needs_root!();
    let shared = Shared::new();
    let mut target = shared.container().mode(&["swap-trap", "fifo", "/shared/race"]).start();
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("set"));
    let (mut done, mut refused) = (0, 0);
    for _ in 0..20 {
        for line in ["ls /app >> @host:$race", "cat < @host:$race", "put $race /tmp/copy"] {
            let ran = root(&target, &line.replace('$', &shared.at("")));
            done += u32::from(ran.status == 0);
            refused += u32::from(ran.status != 0);
        }
    }
    assert!(done > 0 && refused > 0, "{done} {refused}");
}

// Seen to fail where the way to a file is found by readlink(2) alone: the kernel's fs.protected_symlinks is not asked.
#[test]
fn r34_no_link_of_a_user_in_a_directory_like_tmp_leads_elsewhere_on_the_node() {
    needs_root!();
    let shared = Shared::new();
    let target = sandbox().file("app/file", "evil").start();
    let tmp = shared.node.0.join("tmp");
    fs::create_dir(&tmp).unwrap();
    fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777)).unwrap();
    let link = |name: &str, to: PathBuf, uid: u32| {
        symlink(to, tmp.join(name)).unwrap();
        std::os::unix::fs::lchown(tmp.join(name), Some(uid), Some(uid)).unwrap();
    };
    for uid in [USER, 65534] {
        link(&format!("secret-{uid}"), shared.victim.join("secret"), uid);
        link(&format!("out-{uid}"), shared.victim.clone(), uid);
        for line in
            ["put $secret-UID /tmp/stolen", "put $out-UID/secret /tmp/stolen", "get /app/file $out-UID/new"]
        {
            let line = line.replace('$', &format!("{}/", tmp.display())).replace("UID", &uid.to_string());
            let ran = root(&target, &line);
            shared.holds(&line, &ran);
            ran.fails(1, "permission denied");
            assert!(!target.root.join("tmp/stolen").exists(), "{line}");
        }
    }
    // Root's own.
    link("own", shared.victim.join("secret"), 0);
    root(&target, &format!("put {}/own /tmp/copy", tmp.display())).ok();
    assert_eq!(fs::read_to_string(target.root.join("tmp/copy")).unwrap(), SECRET);
}
