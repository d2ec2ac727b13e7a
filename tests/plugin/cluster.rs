//! Installing, uninstalling, and a pod for one node.

use std::os::unix::process::CommandExt;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::harness::{VERSION, cluster, clusters, helper, line};

/// The name of the pod that was made.
fn made(created: &str) -> String {
    created.lines().find_map(|line| line.trim().strip_prefix("name: nsdbg-node-")).expect("a name").to_owned()
}

// Seen to fail without the removal in `ending`.
#[test]
fn a_node_without_nsdbg_gets_a_pod_for_as_long_as_it_is_looked_into() {
    for cluster in clusters() {
        cluster.has("helpers", "").has("exec", "exit 5");
        let ran = cluster.run(&[
            "--node",
            "n1",
            "--image",
            "registry.internal/nsdbg@sha256:00",
            "web-0",
            "-c",
            "app",
            "--",
            "ls",
        ]);
        assert_eq!(ran.status, 5, "{ran:?}");
        let created = cluster.file("created");
        let name = format!("nsdbg-node-{}", made(&created));
        for line in [
            "nodeName: n1",
            "hostPID: true",
            "activeDeadlineSeconds: 3600",
            "image: registry.internal/nsdbg@sha256:00",
            "automountServiceAccountToken: false",
        ] {
            assert!(created.contains(line), "{line}: {created}");
        }
        let words = &cluster.calls_of("exec")[0];
        assert!(words.contains(&name) && words.contains(&"id:app0123456789ab".to_owned()), "{words:?}");
        let deleted = cluster.calls_of("delete");
        assert!(deleted.len() == 1 && deleted[0].contains(&name), "{deleted:?}");
        assert!(
            ran.err.contains(&format!("pod default/{name} is made for this, and removed afterwards")),
            "{ran:?}"
        );
    }
}

// Seen to fail with a pod made where there is one.
#[test]
fn a_node_with_nsdbg_needs_no_pod_and_without_a_target_lists_its_containers() {
    let cluster = cluster();
    let ran = cluster.run(&["--node", "n1"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    assert!(cluster.calls_of("create").is_empty() && cluster.calls_of("delete").is_empty());
    assert_eq!(cluster.calls_of("exec")[0].last().unwrap(), "--list");
    cluster.run(&["--node", "n1", "--", "--list", "--wide"]);
    let words = &cluster.calls_of("exec")[1];
    assert!(words.ends_with(&["/nsdbg", "--list", "--wide"].map(str::to_owned)), "{words:?}");
}

// Seen to fail with the trap for EXIT alone, in dash.
#[test]
fn ctrl_c_leaves_no_pod_behind() {
    for cluster in clusters() {
        // While it starts, and while a command runs.
        for (name, content) in [("wait.wait", "20"), ("exec", "exec sleep 20")] {
            cluster.has("helpers", "").has("exec", ": >\"$FAKE/runs\"; exec sleep 20").has(name, content);
            if name == "exec" {
                let _ = std::fs::remove_file(cluster.files.join("wait.wait"));
                cluster.has("exec", ": >\"$FAKE/runs\"; exec sleep 20");
            }
            let _ = std::fs::remove_file(cluster.files.join("created"));
            let child = cluster.command(&["--node", "n1"]).process_group(0).spawn().unwrap();
            cluster.waits_for(if name == "exec" { "runs" } else { "created" });
            std::thread::sleep(std::time::Duration::from_millis(200));
            killpg(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
            let ran = cluster.end(child);
            assert_eq!(ran.status, 130, "{name}: {:?}: {ran:?}", cluster.shell);
            let pod = format!("nsdbg-node-{}", made(&cluster.file("created")));
            let deleted = cluster.calls_of("delete");
            assert!(deleted.last().is_some_and(|words| words.contains(&pod)), "{name}: {deleted:?}");
            assert!(cluster.left().is_empty(), "{:?}", cluster.left());
        }
    }
}

// Seen to fail without the sentence.
#[test]
fn a_pod_that_can_not_be_removed_is_named() {
    let cluster = cluster();
    cluster.has("helpers", "").has("delete.fail", "Unable to connect to the server: EOF\n");
    let ran = cluster.run(&["--node", "n1"]);
    assert!(
        ran.status == 0
            && ran.err.contains("could not be removed: kubectl delete pod -n default nsdbg-node-"),
        "{ran:?}"
    );
}

// Seen to fail with the image of the file.
#[test]
fn install_applies_the_manifest_with_the_image_and_looks_at_its_version() {
    for cluster in clusters() {
        cluster.has("helpers", &(helper("n1") + &helper("n2"))).has("exec", &format!("echo nsdbg {VERSION}"));
        let ran = cluster.run(&["--context", "c", "--install", "--image", "registry.internal/tools/nsdbg:1"]);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert_eq!(ran.err, format!("kubectl nsdbg: nsdbg {VERSION} is on 2 nodes\n"));
        let applied = cluster.file("applied");
        assert!(
            applied.contains("image: registry.internal/tools/nsdbg:1\n") && !applied.contains("localhost/"),
            "{applied}"
        );
        for verb in ["apply", "rollout", "exec"] {
            assert_eq!(cluster.calls_of(verb)[0][..2], ["--context", "c"]);
        }
        cluster.has("exec", "echo nsdbg 0.0.9");
        assert!(cluster.run(&["--install"]).err.contains("the image holds nsdbg 0.0.9"));
    }
}

// Seen to fail with the status of kubectl alone.
#[test]
fn an_install_that_stays_behind_or_is_interrupted_says_what_to_do() {
    for cluster in clusters() {
        cluster.has("rollout.fail", "error: timed out waiting for the condition\n");
        cluster.has(
            "helpers",
            &(helper("n1")
                + &line("H", &["n2", "nsdbg-n2", "Pending", "False", VERSION, "", "ImagePullBackOff"])),
        );
        let ran = cluster.run(&["--install"]);
        assert_eq!(ran.status, 125, "{ran:?}");
        assert!(
            ran.err.contains("nsdbg-n2 on node n2: ImagePullBackOff")
                && ran.err.contains("kubectl describe pods"),
            "{ran:?}"
        );
        cluster.has("rollout.wait", "20");
        let child = cluster.command(&["--install"]).process_group(0).spawn().unwrap();
        let end = std::time::Instant::now() + crate::harness::LIMIT;
        while cluster.calls_of("rollout").len() < 2 && std::time::Instant::now() < end {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        killpg(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
        let ran = cluster.end(child);
        assert_eq!(ran.status, 130, "{ran:?}");
        assert!(ran.err.contains("interrupted: kubectl nsdbg --install goes on with it"), "{ran:?}");
    }
}

// Seen to fail with the manifest's own namespace.
#[test]
fn uninstall_removes_what_the_manifest_has() {
    let cluster = cluster();
    let mut command = cluster.command(&["--uninstall"]);
    let ran = cluster.end(command.env("NSDBG_NAMESPACE", "tools").process_group(0).spawn().unwrap());
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(cluster.calls_of("delete")[0].contains(&"--ignore-not-found".to_owned()));
    let applied = cluster.file("applied");
    assert!(applied.contains("namespace: tools\n") && !applied.contains("nsdbg-system"), "{applied}");
}
