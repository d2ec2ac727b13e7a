//! Who a command is inside, and in what.

use std::process::Command;

use crate::live::{Facts, Live, SETS};
use crate::support::{NSDBG, helper, mute, needs_root, sandbox};

/// What container runtimes leave to root.
const DEFAULT_CAPS: u64 = 0xa804_25fb;

fn assert_same_identity(ours: &Facts, target: &Facts) {
    for name in ["Uid", "Gid", "Groups"] {
        assert_eq!(ours.get(name), target.get(name), "{name}");
    }
    for name in SETS {
        let excess = ours.mask(name) & !target.mask(name);
        assert_eq!(excess, 0, "{name} holds {excess:x} more than the target's");
    }
    assert_eq!((ours.mask("CapInh"), ours.mask("CapAmb")), (0, 0));
    assert_eq!(ours.mask("CapEff"), target.mask("CapPrm"));
}

// Seen to fail without the child's close_range.
#[test]
fn r02_a_childs_descriptors_are_three_pipes_and_what_it_opened() {
    needs_root!();
    let mut target = mute();
    let live = Live::asking(&mut target, &[]);
    let facts = live.facts();
    assert_eq!(facts.fds.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3], "{:?}", facts.fds);
    let operators = Facts::of(live.nsdbg.id() as i32).fds;
    let mut different = std::collections::HashSet::new();
    for fd in 0..3 {
        let file = &facts.fds[&fd];
        assert!(file.starts_with("pipe:") && *file != operators[&fd], "{fd} is {file}");
        assert!(different.insert(file), "{:?}", facts.fds);
    }
    // Its own connection, by the inode.
    let connection = facts.fds[&3].trim_start_matches("socket:[").trim_end_matches(']');
    let connections = std::fs::read_to_string(format!("/proc/{}/net/tcp", live.child)).unwrap();
    assert!(connections.contains(&format!(" {connection} ")), "{:?} {connections}", facts.fds);
}

// Seen to fail without capset, the bounding set's drop, setgroups, setresgid or setresuid.
#[test]
fn r08_r11_capabilities_and_ids_are_the_targets() {
    needs_root!();
    for mapped in [false, true] {
        for caps in [0, DEFAULT_CAPS, 1 << 19 | 1 << 10] {
            for uid in [0, 1000, 65532] {
                let base = if mapped { sandbox().mapped() } else { sandbox() };
                let target = base
                    .user(uid, uid + 1)
                    .set("groups", "7,2000")
                    .caps(caps)
                    .set("bounding", format!("{:x}", caps | 1))
                    .start();
                let live = Live::start(&target, &[]);
                let of_target = Facts::of(target.pid);
                assert_eq!(of_target.mask("CapPrm"), caps, "the sandbox is not as wanted");
                assert_same_identity(&live.facts(), &of_target);
            }
        }
    }
}

// Seen to fail without the inheritable set's clearing, which empties the ambient set too.
#[test]
fn r08_inheritable_and_ambient_sets_are_not_taken() {
    needs_root!();
    let target = sandbox().caps(DEFAULT_CAPS).set("inheritable", "3").start();
    assert_eq!(Facts::of(target.pid).mask("CapAmb"), 3, "the sandbox is not as wanted");
    assert_same_identity(&Live::start(&target, &[]).facts(), &Facts::of(target.pid));
    // Nor those of nsdbg itself.
    let mut command = Command::new(helper());
    command.args(["inheritable", "--", NSDBG, "--pid", &target.pid.to_string(), "--", "cat"]);
    let live = Live::of(&mut command);
    let supervisor = Facts::of(live.nsdbg.id() as i32);
    let own = (supervisor.mask("CapInh"), supervisor.mask("CapAmb"));
    assert_eq!((own.0 & DEFAULT_CAPS, own.1 & DEFAULT_CAPS), (DEFAULT_CAPS, DEFAULT_CAPS), "as wanted");
    assert_same_identity(&live.facts(), &Facts::of(target.pid));
}

// Seen to fail without the bounding set's drop.
#[test]
fn r09_the_bounding_set_is_dropped_after_a_user_namespace_is_joined() {
    needs_root!();
    let target = sandbox().mapped().user(0, 0).caps(DEFAULT_CAPS).set("bounding", "a80425fb").start();
    assert_eq!(Live::start(&target, &[]).facts().mask("CapBnd"), DEFAULT_CAPS);
}

// Seen to fail without ids taken before the user namespace is joined.
#[test]
fn r11_setgroups_denied_and_one_mapped_id_make_no_difference() {
    needs_root!();
    let target = sandbox()
        .set("uid_map", "0:1000:1")
        .set("gid_map", "0:1000:1")
        .set("setgroups", "deny")
        .user(0, 0)
        .start();
    let live = Live::start(&target, &[]);
    assert_same_identity(&live.facts(), &Facts::of(target.pid));
    assert_eq!(live.facts().get("Uid"), "1000 1000 1000 1000");
}

// Seen to fail without setresuid or setresgid.
#[test]
fn r11_a_uid_that_passwd_does_not_know() {
    needs_root!();
    let target = sandbox().user(4_000_000, 4_000_001).start();
    assert_same_identity(&Live::start(&target, &[]).facts(), &Facts::of(target.pid));
}

#[test]
fn r12_seccomp_filters_and_no_new_privs_is_set() {
    needs_root!();
    let target = sandbox().start();
    let facts = Live::start(&target, &[]).facts();
    assert_eq!((facts.get("Seccomp"), facts.get("NoNewPrivs")), ("2", "1"));
}

fn assert_same_namespaces(ours: &Facts, target: &Facts, but: &[&str]) {
    for (name, namespace) in &target.namespaces {
        if but.contains(&name.as_str()) || name.ends_with("_for_children") {
            continue;
        }
        assert_eq!(&ours.namespaces[name], namespace, "{name}");
    }
}

// Seen to fail without each of the eight kinds in the plan.
#[test]
fn r13_every_namespace_is_joined() {
    needs_root!();
    for target in [
        sandbox().start(),
        sandbox().mapped().start(),
        // A network namespace of an outer user namespace.
        sandbox().mapped().set("ns", "outer-net,mnt,pid,ipc,uts,cgroup").start(),
        sandbox().set("ns", "mnt,pid,net,ipc,uts,cgroup,time").start(),
        sandbox().set("ns", "mnt").start(),
        sandbox().set("ns", "mnt,net").start(),
    ] {
        let live = Live::start(&target, &[]);
        let (ours, theirs) = (live.facts(), Facts::of(target.pid));
        assert_same_namespaces(&ours, &theirs, &[]);
        assert_eq!(ours.root, theirs.root);
    }
}

#[test]
fn namespaces_are_left_out_when_asked() {
    needs_root!();
    let target = sandbox().start();
    let live = Live::start(&target, &["--ns", "-net,-pid"]);
    let (ours, theirs, node) = (live.facts(), Facts::of(target.pid), Facts::of(std::process::id() as i32));
    assert_same_namespaces(&ours, &theirs, &["net", "pid"]);
    for name in ["net", "pid"] {
        assert_eq!(ours.namespaces[name], node.namespaces[name], "{name}");
    }
    for left_out in ["-user", "-mnt", "net", "-nope"] {
        target.run_with(&["--ns", left_out], &["true"]).fails(2, "--ns");
    }
}

// Seen to fail without setsid in the launcher.
#[test]
fn r29_a_child_has_no_terminal_and_a_session_of_its_own() {
    needs_root!();
    let target = sandbox().start();
    let live = Live::start(&target, &[]);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", live.child)).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    assert_eq!(fields[4], "0", "tty_nr");
    let own = nix::unistd::getsid(None).unwrap().to_string();
    assert_ne!(fields[3], own, "session");
}

#[test]
fn another_user_is_who_was_asked_for() {
    needs_root!();
    for (option, ids) in [
        ("web", (65532, 65532, "2000")),
        ("1000", (1000, 0, "")),
        ("0:5", (0, 5, "")),
        ("65532", (65532, 65532, "2000")),
    ] {
        let target = sandbox().user(500, 500).start();
        let facts = Live::start(&target, &["--user", option]).facts();
        let four = |id: i32| format!("{id} {id} {id} {id}");
        assert_eq!(
            (facts.get("Uid"), facts.get("Gid"), facts.get("Groups")),
            (four(ids.0).as_str(), four(ids.1).as_str(), ids.2),
            "{option}"
        );
        assert_eq!(facts.mask("CapPrm"), 0, "{option}");
    }
    let target = sandbox().mapped().start();
    target.run_with(&["--user", "70000"], &["true"]).fails(125, "not mapped");
    target.run_with(&["--user", "nobody"], &["true"]).fails(125, "no such user");
    target.run_with(&["--user=-1"], &["true"]).fails(125, "--user");
    target.run_with(&["--user", "1:x"], &["true"]).fails(2, "--user");
}

#[test]
fn root_has_the_targets_bounding_set() {
    needs_root!();
    let target = sandbox().set("bounding", "a80425fb").start();
    let facts = Live::start(&target, &["--root"]).facts();
    assert_eq!(facts.get("Uid"), "0 0 0 0");
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(facts.mask(name), DEFAULT_CAPS, "{name}");
    }
}

#[test]
fn added_capabilities_are_held() {
    needs_root!();
    let target = sandbox().start();
    let facts = Live::start(&target, &["--cap-add", "net_raw,CAP_CHOWN"]).facts();
    assert_eq!((facts.mask("CapPrm"), facts.mask("CapEff")), (1 << 13 | 1, 1 << 13 | 1));
    assert_eq!((facts.mask("CapInh"), facts.mask("CapAmb")), (0, 0));
    target.run_with(&["--cap-add", "NOPE"], &["true"]).fails(2, "--cap-add");
}
