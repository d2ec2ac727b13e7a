//! Whose word counts on which container it is: attackers that take another's name, id or cgroup.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};
use serde_json::{Value, json};

use crate::audit::{lines, place};
use crate::live::{own_mounts, run, within};
use crate::support::{LIMIT, NSDBG, Sandbox, helper, needs_root, new_directory, sandbox, signal, skip};
use crate::targets::{Root, rows};

/// The user of the sandboxes.
const USER: u32 = 65532;

/// An id that no other container has, of this machine or of these tests.
fn new_id() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("fa{number:02x}{:08x}{}", std::process::id(), "c".repeat(52))
}

/// The roots of the node's cgroup hierarchies: version 2, and of version 1 those that a login manager delegates and
/// that it does not.
fn hierarchies() -> Vec<PathBuf> {
    let all = ["unified", "systemd", "pids", ""].map(|name| Path::new("/sys/fs/cgroup").join(name));
    let is_one = |path: &PathBuf| {
        statfs(path)
            .is_ok_and(|facts| [CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC].contains(&facts.filesystem_type()))
    };
    all.into_iter().filter(is_one).collect()
}

/// A tree of cgroups of a test's own.
struct Cgroups(PathBuf);

impl Cgroups {
    fn new(hierarchy: &Path) -> Self {
        let name = new_directory("cgroups");
        fs::remove_dir(&name).unwrap();
        let path = hierarchy.join(name.file_name().unwrap());
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Makes one below.
    fn make(&self, path: &str) -> PathBuf {
        let path = self.0.join(path);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        fn remove(path: &Path) -> bool {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    remove(&entry.path());
                }
            }
            fs::remove_dir(path).is_ok()
        }
        // What was in there may take a moment to end.
        within(LIMIT, || remove(&self.0));
    }
}

/// Gives a cgroup to the sandboxes' user, as a login manager delegates one.
fn delegate(cgroup: &Path) {
    chown(cgroup, Some(USER), Some(USER)).unwrap();
    for file in ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks"] {
        let _ = chown(cgroup.join(file), Some(USER), Some(USER));
    }
}

/// A container in this cgroup, which it sees, and may write to as far as permissions go: it makes one more below it.
fn impostor(uid: u32, cgroup: &Path, name: &str) -> Sandbox {
    let bound = |root: &Path| {
        fs::create_dir(root.join("cgroup")).unwrap();
        mount(Some(cgroup), &root.join("cgroup"), None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    };
    let evil = sandbox().user(uid, uid).file("app/evil", "").prepared(bound);
    let mut evil = evil.mode(&["claim-cgroup", "/cgroup", name]).start();
    umount2(&evil.root.join("cgroup"), MntFlags::MNT_DETACH).unwrap();
    fs::write(cgroup.join("cgroup.procs"), evil.pid.to_string()).unwrap();
    evil.say("now");
    assert_eq!(evil.next_line(LIMIT).as_deref(), Some("claimed"));
    evil
}

/// Asserts that none of these names leads anywhere.
fn leads_nowhere(root: &Root, names: &[&str]) {
    for name in names {
        let ran = root.run(&[name, "--", "ls", "/app"]);
        assert!(ran.status == 125 && ran.out.is_empty(), "{name}: {ran:?}");
        assert!(ran.err.contains("no container has this name"), "{name}: {ran:?}");
    }
}

fn row_of(rows: &[Value], pid: i32) -> Value {
    let found: Vec<_> = rows.iter().filter(|row| row["pid"] == pid).collect();
    assert_eq!(found.len(), 1, "{pid}: {rows:#?}");
    found[0].clone()
}

/// What the audit has for the container of a process.
fn audited(target: &Sandbox) -> Value {
    let file = place("audit");
    assert_eq!(target.run_with(&["--audit", file.to_str().unwrap()], &["true"]).status, 0);
    lines(&file)[0]["target"].clone()
}

// Seen to fail with the runtime of the cgroup's name alone: a pod's has none where the cgroup driver is not systemd's.
#[test]
fn the_audit_names_what_made_a_container() {
    needs_root!();
    let id = new_id();
    let cgroups = Cgroups::new(&hierarchies()[0]);
    let path = format!("kubepods/besteffort/pod0a1b2c3d-0000-4000-8000-{:012x}/{id}", std::process::id());
    let target = sandbox().start();
    fs::write(cgroups.make(&path).join("cgroup.procs"), target.pid.to_string()).unwrap();
    let file = place("audit");
    for words in [["--pid", &*target.pid.to_string()], ["--no-doctor", &*format!("id:{id}")]] {
        let mut command = Command::new(NSDBG);
        assert_eq!(run(command.arg("--audit").arg(&file).args(words).args(["--", "true"])).status, 0);
        let line = lines(&file).pop().unwrap();
        assert_eq!(
            (&line["target"]["runtime"], &line["target"]["container"]),
            (&"kubernetes".into(), &id.as_str().into())
        );
    }
}

// Seen to fail with names of cgroups that were believed whoever owned them.
#[test]
fn r36_a_cgroup_that_a_user_has_made_names_no_container() {
    needs_root!();
    own_mounts();
    for hierarchy in hierarchies() {
        let cgroups = Cgroups::new(&hierarchy);
        let delegated = cgroups.make("user.slice");
        delegate(&delegated);
        for name in ["libpod-ID.scope", "docker/ID"] {
            let victim = new_id();
            let name = name.replace("ID", &victim);
            let evil = impostor(USER, &delegated, &name);
            let root = Root::new();
            let at = format!("{}: {name}", hierarchy.display());
            // The victim has ended: by its id, as the plugin for Kubernetes names it, and by its name.
            leads_nowhere(&root, &[&format!("id:{victim}"), &victim[..12]]);
            root.docker(&victim, "victim", 4_000_000);
            leads_nowhere(&root, &["victim"]);
            // It runs, in no cgroup of its own.
            let real = sandbox().file("app/real", "").start();
            root.docker(&victim, "victim", real.pid);
            for named in ["victim", &victim] {
                assert_eq!(root.run(&[named, "--", "ls", "/app"]).ok(), "real\n", "{at}: {named}");
            }
            // It is listed as what it is: somebody's.
            let row = row_of(&root.list(), evil.pid);
            assert_eq!(
                (&row["name"], &row["id"], &row["owner"]),
                (&Value::Null, &Value::Null, &"65532".into()),
                "{at}"
            );
            let who = &rows(&root.run(&["--json", "--who", &evil.pid.to_string()]))[0];
            assert_eq!((&who["id"], &who["pod"]), (&Value::Null, &Value::Null), "{at}: {who:#}");
            let told = audited(&evil);
            assert_eq!(
                (&told["container"], &told["runtime"]),
                (&Value::Null, &Value::Null),
                "{at}: {told:#}"
            );
        }
    }
}

// Seen to fail with the innermost name of a path.
#[test]
fn r36_a_container_names_none_below_its_own_cgroup() {
    needs_root!();
    own_mounts();
    for hierarchy in hierarchies() {
        let cgroups = Cgroups::new(&hierarchy);
        let (other, victim) = (new_id(), new_id());
        let own = cgroups.make(&format!("docker/{other}"));
        // As root, which owns what it makes; a node of kind's has its pods so.
        let evil = impostor(0, &own, &format!("docker/{victim}"));
        let root = Root::new();
        root.docker(&other, "other", evil.pid);
        let at = hierarchy.display();
        leads_nowhere(&root, &[&format!("id:{victim}"), &victim[..12]]);
        root.docker(&victim, "victim", 4_000_000);
        leads_nowhere(&root, &["victim"]);
        // All that is below a container's cgroup is that container's.
        let listed = root.list();
        let rows_of = |id: &str| listed.iter().find(|row| row["id"] == id).cloned().unwrap_or_default();
        let row = rows_of(&other);
        assert_eq!((&row["name"], &row["pid"]), (&"other".into(), &evil.pid.into()), "{at}: {listed:#?}");
        let claimed = format!("{}@other", &victim[..12]);
        let row = rows_of(&format!("{victim}@other"));
        assert_eq!(
            (&row["name"], &row["owner"]),
            (&claimed.as_str().into(), &"other".into()),
            "{at}: {row:#}"
        );
        for named in ["other", &claimed, &format!("id:{victim}@other")] {
            assert_eq!(root.run(&[named, "--", "ls", "/app"]).ok(), "evil\n", "{at}: {named}");
        }
        let who = &rows(&root.run(&["--json", "--who", &evil.pid.to_string()]))[0];
        assert_eq!(
            (&who["id"], &who["target"]),
            (&format!("{victim}@other").into(), &claimed.into()),
            "{who:#}"
        );
        let told = audited(&evil);
        assert_eq!(
            (&told["container"], &told["runtime"]),
            (&other.into(), &"docker".into()),
            "{at}: {told:#}"
        );
    }
}

// Seen to fail with the process that was started first.
#[test]
fn r36_the_main_process_is_the_one_that_the_runtime_has_written_down() {
    needs_root!();
    own_mounts();
    for hierarchy in hierarchies() {
        let cgroups = Cgroups::new(&hierarchy);
        let victim = new_id();
        let own = cgroups.make(&format!("docker/{victim}"));
        // A container that was given the node's cgroups to write to goes into another's.
        let evil = impostor(0, &own, ".");
        let real = sandbox().file("app/real", "").start();
        let root = Root::new();
        root.docker(&victim, "victim", real.pid);
        let at = format!("{}, attacker {}", hierarchy.display(), evil.pid);
        // The victim itself is in no cgroup of its name.
        assert_eq!(root.run(&["victim", "--", "ls", "/app"]).ok(), "real\n", "{at}");
        root.run(&[&victim, "--", "ls", "/app"]).fails(2, "is ambiguous: 2 containers match");
        fs::write(own.join("cgroup.procs"), real.pid.to_string()).unwrap();
        for named in ["victim", &victim] {
            assert_eq!(root.run(&[named, "--", "ls", "/app"]).ok(), "real\n", "{at}: {named}");
        }
    }
}

// Seen to fail with a process's own name as that of its container.
#[test]
fn r36_a_process_gives_its_container_no_name() {
    needs_root!();
    let hexadecimal = |name: &[u8]| name.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let root = Root::new();
    for name in [&b"victim"[..], b"aaaabbbb"] {
        let mut evil = sandbox().mode(&["claim-name", &hexadecimal(name)]).start();
        assert_eq!(evil.next_line(LIMIT).as_deref(), Some("claimed"));
        let name = String::from_utf8_lossy(name);
        leads_nowhere(&root, &[&name, &format!("({name})")]);
        let row = row_of(&root.list(), evil.pid);
        assert_eq!(row["name"], Value::Null, "{row:#}");
        assert!(root.run(&["--list"]).text().contains(&format!("({name})")));
    }
    // One that is no text hides nothing.
    let mut odd = sandbox().mode(&["claim-name", "fffe20ff"]).start();
    assert_eq!(odd.next_line(LIMIT).as_deref(), Some("claimed"));
    let who = &rows(&root.run(&["--json", "--who", &odd.pid.to_string()]))[0];
    assert_eq!(who["process"], odd.pid, "{who:#}");
}

/// A process of a user's on the node; it ends with the test.
struct OfUser(Child);

impl OfUser {
    fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).uid(USER).gid(USER);
        Self(command.spawn().unwrap())
    }

    /// In a user namespace that it has made itself.
    fn rootless() -> Self {
        let mut command = Command::new(helper());
        // SAFETY: one system call between fork and exec.
        unsafe {
            command.pre_exec(|| Ok(unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?));
        }
        Self::start(command.arg("sleep"))
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }
}

impl Drop for OfUser {
    fn drop(&mut self) {
        signal(self.pid(), libc::SIGKILL);
        let _ = self.0.wait();
    }
}

/// Files of podman's, as the user keeps them: the container's id, name and process, and more of its bundle.
fn rootless_podman(root: &Root, id: &str, name: &str, pid: i32, annotations: &Value) {
    let put = |path: String, text: String| {
        let path = root.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let storage = "home/u/.local/share/containers/storage/overlay-containers";
    put("etc/passwd".into(), format!("u:x:{USER}:{USER}::/home/u:/bin/sh\n"));
    put(format!("{storage}/containers.json"), json!([{"id": id, "names": [name]}]).to_string());
    put(format!("{storage}/{id}/userdata/config.json"), json!({"annotations": annotations}).to_string());
    let run = format!("run/user/{USER}/containers/overlay-containers/{id}/userdata");
    put(format!("{run}/pidfile"), pid.to_string());
}

// Seen to fail with names of users beside root's, and before ids and pods.
#[test]
fn r36_what_a_users_files_say_names_nothing_of_roots() {
    needs_root!();
    let evil = OfUser::rootless();
    let real = sandbox().file("app/real", "").start();
    let (victim, theirs) = (new_id(), new_id());
    let none = json!({});
    let pod = json!({
        "io.container.manager": "cri-o", "io.kubernetes.pod.name": "web-0", "io.kubernetes.pod.namespace": "prod",
        "io.kubernetes.container.name": "app",
    });
    // What the user calls it, and what of root's that is meant to stand for.
    for (name, annotations, named) in [
        ("victim", &none, "victim"),
        (&victim[..12], &none, &victim[..12]),
        (&victim[..8], &none, &victim[..8]),
        ("k8s_app_web-0_prod_1-2_0", &pod, "prod/web-0/app"),
        ("prod/web-0", &none, "prod/web-0"),
    ] {
        let root = Root::new();
        rootless_podman(&root, &theirs, name, evil.pid(), annotations);
        let row = row_of(&root.list(), evil.pid());
        assert_eq!((&row["owner"], &row["namespace"]), (&USER.to_string().into(), &Value::Null), "{row:#}");
        assert!(row["name"].as_str().unwrap().ends_with("@65532"), "{row:#}");
        leads_nowhere(&root, &[named]);
        // Nor is it one of two, where there is one of root's.
        if !named.contains('/') {
            root.docker(&victim, "victim", real.pid);
            assert_eq!(root.run(&[named, "--", "ls", "/app"]).ok(), "real\n", "{name}");
        }
    }
    // As that user's it is found; a hint says how.
    let root = Root::new();
    let name = format!("rootless-{}", std::process::id());
    let whole = format!("{name}@65532");
    rootless_podman(&root, &theirs, &name, evil.pid(), &none);
    for named in [&name, &theirs] {
        root.run(&[named, "--", "ls"]).fails(125, &format!("did you mean {whole}?"));
    }
    for named in [&whole, &format!("{}@65532", &theirs[..12]), &format!("id:{}@65532", theirs)] {
        assert_eq!(root.run(&[named, "--", "true"]).status, 0, "{named}");
    }
    assert!(root.run(&["--list"]).text().contains(&whole));
    // A process of root's, or another user's, is not theirs to name.
    rootless_podman(&root, &theirs, &name, real.pid, &none);
    assert_eq!(row_of(&root.list(), real.pid)["name"], Value::Null);
    // A file of root's that is older than the user's process does not name it either.
    let root = Root::new();
    root.docker(&victim, "victim", evil.pid());
    leads_nowhere(&root, &["victim", &victim]);
}

// Seen to fail with the effective user of whoever is called dockerd.
#[test]
fn r36_a_setuid_program_does_not_tell_where_roots_files_are() {
    needs_root!();
    let directory = new_directory("setuid");
    let program = directory.join("program");
    fs::copy(helper(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    symlink("program", directory.join("dockerd")).unwrap();
    let (evil, victim) = (sandbox().file("app/evil", "").start(), new_id());
    // The user's files, in a place of root's Docker alone where its daemon said so.
    let files = Root::new();
    files.docker(&victim, "victim", evil.pid);
    let root = Root::new();
    fs::create_dir_all(root.0.join("home")).unwrap();
    fs::rename(files.0.join("var/lib/docker"), root.0.join("home/u")).unwrap();
    let daemon =
        OfUser::start(Command::new(directory.join("dockerd")).args(["sleep", "--data-root", "/home/u"]));
    let status = format!("/proc/{}/status", daemon.pid());
    let is_setuid = || fs::read_to_string(&status).unwrap().contains("\nUid:\t65532\t0\t0\t0\n");
    if !within(Duration::from_secs(2), is_setuid) {
        skip!("setuid programs are not run as root in {}", directory.display());
    }
    leads_nowhere(&root, &["victim", &victim]);
    fs::remove_dir_all(directory).unwrap();
}

// Seen to fail where the path in /proc/PID/cgroup is compared with that in the hierarchy.
#[test]
fn a_name_leads_to_its_container_in_a_cgroup_namespace_that_can_not_be_left() {
    needs_root!();
    let Some(hierarchy) = hierarchies().into_iter().next() else { skip!("no cgroups are mounted") };
    let (cgroups, id) = (Cgroups::new(&hierarchy), new_id());
    let (container, own) = (cgroups.make(&format!("docker/{id}")), cgroups.make("own"));
    // A node that is a container itself, as those of kind are: its PID namespace and its cgroup namespace are its own.
    let node = r#"
        sh -c 'echo 0 >"$1/cgroup.procs"; exec unshare --mount --net sleep 30' - "$1" &
        until grep -q "/docker/" /proc/$!/cgroup && [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do
            sleep 0.02
        done
        echo 0 >"$2/cgroup.procs"
        exec unshare --cgroup "$3" --no-doctor --host-root / "$4" -- pwd
    "#;
    let mut command = Command::new("timeout");
    command.args(["10", "unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", node, "-"]);
    let ran = run(command.args([&container, &own]).args([NSDBG, id.get(..16).unwrap()]));
    assert!(ran.status == 0 && ran.out.starts_with(b"/"), "{ran:?}");
}
