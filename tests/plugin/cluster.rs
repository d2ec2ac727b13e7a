//! Installing, uninstalling, and a pod for one node.

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::harness::{Cluster, Ran, VERSION, cluster, clusters, helper, line};

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

// Seen to fail with kubectl in the foreground: the shell hears the signal when that has ended by itself.
#[test]
fn a_signal_to_the_plugin_alone_leaves_no_pod_and_no_kubectl() {
    for cluster in clusters() {
        for (signal, status) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGINT, 130)] {
            for (at, args) in [
                ("starts", &["--node", "n1", "web-0", "-c", "app"][..]),
                ("runs", &["--node", "n1", "web-0", "-c", "app"]),
                ("runs", &["--node", "n1", "web-0", "-c", "app", "--", "tail", "-f", "/x"]),
            ] {
                for name in ["created", "runs", "kubectls", "wait.wait"] {
                    let _ = std::fs::remove_file(cluster.files.join(name));
                }
                cluster.has("helpers", "").has("exec", ": >\"$FAKE/runs\"; exec sleep 20");
                if at == "starts" {
                    cluster.has("wait.wait", "20");
                }
                let mut command = cluster.command(args);
                // The fake's own commands outlive it, and would hold its output open.
                command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
                let mut child = command.process_group(0).spawn().unwrap();
                // As a person or a pipe that is there still.
                let _stdin = child.stdin.take();
                cluster.waits_for(if at == "starts" { "created" } else { "runs" });
                std::thread::sleep(std::time::Duration::from_millis(200));
                let begun = std::time::Instant::now();
                kill(Pid::from_raw(child.id() as i32), signal).unwrap();
                let group = Pid::from_raw(child.id() as i32);
                let ran = cluster.end_within(child, std::time::Duration::from_secs(10));
                let name = format!("{signal:?} {args:?} {at} {:?}", cluster.shell);
                assert_eq!(ran.status, status, "{name}: {ran:?}");
                assert!(begun.elapsed().as_secs() < 5, "{name}: {:?}", begun.elapsed());
                let pod = format!("nsdbg-node-{}", made(&cluster.file("created")));
                let deleted = cluster.calls_of("delete");
                assert!(deleted.last().is_some_and(|words| words.contains(&pod)), "{name}: {deleted:?}");
                assert!(cluster.left().is_empty(), "{:?}", cluster.left());
                for pid in cluster.file("kubectls").lines() {
                    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                    assert!(!state.contains("kubectl"), "{name}: {state}");
                }
                let _ = killpg(group, Signal::SIGKILL);
            }
        }
    }
}

// Seen to fail without the look: it waited a minute for a pod that could not start.
#[test]
fn a_node_that_there_is_not_gets_no_pod() {
    for cluster in clusters() {
        cluster.has("helpers", "");
        cluster.has("node.fail", "Error from server (NotFound): nodes \"nosuch\" not found\n");
        let ran = cluster.run(&["--node", "nosuch"]);
        assert_eq!(
            (ran.status, ran.err.as_str()),
            (2, "kubectl nsdbg: there is no node nosuch: kubectl get nodes\n")
        );
        assert!(cluster.calls_of("create").is_empty());
        // Who may not see nodes.
        cluster.has(
            "node.fail",
            "Error from server (Forbidden): nodes \"n1\" is forbidden: User \"jane\" cannot get resource\n",
        );
        assert_eq!(cluster.run(&["--node", "n1"]).status, 0);
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

/// A line of what there is of the manifest: kind, name, who manages it, the level of Pod Security.
fn installed(kind: &str, name: &str, manager: &str, level: &str) -> String {
    line("O", &[kind, name, manager, level, ""])
}

const OWN: &str = "kubectl-nsdbg";
const ALL: [(&str, &str); 4] =
    [("Namespace", "tools"), ("ServiceAccount", "nsdbg"), ("PriorityClass", "nsdbg"), ("DaemonSet", "nsdbg")];

/// All of it, managed by these, in the order of [`ALL`].
fn all_of(managers: [&str; 4]) -> String {
    ALL.iter()
        .zip(managers)
        .map(|((kind, name), manager)| installed(kind, name, manager, "privileged"))
        .collect()
}

fn in_tools(cluster: &Cluster, args: &[&str]) -> Ran {
    cluster.end(cluster.command(args).env("NSDBG_NAMESPACE", "tools").process_group(0).spawn().unwrap())
}

/// The names that `delete` was called with, of all calls.
fn deleted(cluster: &Cluster) -> Vec<String> {
    cluster.calls_of("delete").into_iter().flatten().filter(|word| word.contains('/')).collect()
}

// Seen to fail with the manifest given to delete: all that it names went.
#[test]
fn uninstall_removes_what_install_has_made_and_names_the_rest() {
    for cluster in clusters() {
        cluster.has("api-resources", "pods\nevents\nroles.rbac.authorization.k8s.io\npods.metrics.k8s.io\n");
        let of_the_cluster = line("F", &["ConfigMap", "kube-root-ca.crt", ""])
            + &line("F", &["ServiceAccount", "default", ""])
            + &line("F", &["ServiceAccount", "nsdbg", ""])
            + &line("F", &["Secret", "default-token-x1z9", ""])
            + &line("F", &["Pod", "nsdbg-x7", "DaemonSet/nsdbg"]);
        for (managers, others, removed, says) in [
            (
                [OWN; 4],
                "",
                &["DaemonSet/nsdbg", "ServiceAccount/nsdbg", "PriorityClass/nsdbg", "Namespace/tools"][..],
                "what was given out stays",
            ),
            (
                [OWN; 4],
                &*(line("F", &["RoleBinding", "nsdbg-exec", ""])
                    + &line("F", &["Pod", "db-0", "StatefulSet/db"])),
                &["DaemonSet/nsdbg", "ServiceAccount/nsdbg", "PriorityClass/nsdbg"],
                "namespace tools is left: it holds RoleBinding/nsdbg-exec, Pod/db-0",
            ),
            (
                ["", OWN, OWN, OWN],
                "",
                &["DaemonSet/nsdbg", "ServiceAccount/nsdbg", "PriorityClass/nsdbg"],
                "namespace tools is left: it was there before --install",
            ),
            (
                ["Helm", "", "", OWN],
                "",
                &["DaemonSet/nsdbg"],
                "left, since --install did not make it: ServiceAccount/nsdbg PriorityClass/nsdbg (kubectl delete -n tools ServiceAccount/nsdbg PriorityClass/nsdbg)",
            ),
            (
                [OWN, OWN, OWN, ""],
                &line("F", &["DaemonSet", "nsdbg", ""]),
                &["ServiceAccount/nsdbg", "PriorityClass/nsdbg"],
                "namespace tools is left: it holds DaemonSet/nsdbg",
            ),
        ] {
            let _ = std::fs::remove_file(cluster.files.join("count"));
            cluster.has("installed", &all_of(managers)).has("others", &(of_the_cluster.clone() + others));
            let ran = in_tools(&cluster, &["--uninstall"]);
            assert_eq!(
                (ran.status, deleted(&cluster)),
                (0, removed.iter().map(|name| (*name).to_owned()).collect()),
                "{ran:?}"
            );
            assert!(ran.err.contains(says), "{says}: {ran:?}");
            let looks = cluster.calls_of("get");
            if managers[0] == OWN {
                assert!(looks[1].contains(&"pods,roles.rbac.authorization.k8s.io".to_owned()), "{looks:?}");
            }
        }
        // What can't be looked at may be anything.
        let _ = std::fs::remove_file(cluster.files.join("count"));
        cluster
            .has("installed", &all_of([OWN; 4]))
            .has("others.fail", "error: unable to retrieve the complete list\n");
        let ran = in_tools(&cluster, &["--uninstall"]);
        assert!(
            ran.status == 0 && ran.err.contains("namespace tools is left: it may hold something else"),
            "{ran:?}"
        );
        assert_eq!(deleted(&cluster).len(), 3);
        let _ = std::fs::remove_file(cluster.files.join("count"));
        cluster.has("installed", "");
        let ran = in_tools(&cluster, &["--uninstall"]);
        assert!(ran.status == 0 && ran.err.contains("nsdbg is not installed in namespace tools"), "{ran:?}");
        assert!(deleted(&cluster).is_empty() && cluster.left().is_empty());
    }
}

// Seen to fail with the manifest as it is: a namespace of others got our label and our level of Pod Security.
#[test]
fn install_labels_what_it_makes_and_leaves_what_was_there() {
    const LABEL: &str = "app.kubernetes.io/managed-by: kubectl-nsdbg\n";
    for cluster in clusters() {
        cluster.has("helpers", &helper("n1")).has("exec", &format!("echo nsdbg {VERSION}"));
        let applied = |managers: Option<[&str; 4]>| {
            cluster.has("installed", &managers.map(all_of).unwrap_or_default());
            let ran = in_tools(&cluster, &["--install"]);
            assert_eq!(ran.status, 0, "{ran:?}");
            let text = cluster.file("applied");
            assert!(text.contains("namespace: tools\n") && !text.contains("nsdbg-system"), "{text}");
            let kind =
                |part: &str| part.lines().find_map(|line| line.strip_prefix("kind: ").map(str::to_owned));
            let parts = text.split("---\n").filter_map(|part| Some((kind(part)?, part.contains(LABEL))));
            parts.collect::<Vec<_>>()
        };
        let of = |list: &[(&str, bool)]| {
            list.iter().map(|(kind, own)| ((*kind).to_owned(), *own)).collect::<Vec<_>>()
        };
        let all = of(&ALL.map(|(kind, _)| (kind, true)));
        assert_eq!(applied(None), all);
        assert_eq!(applied(Some([OWN; 4])), all[1..]);
        assert_eq!(applied(Some(["", OWN, "", ""])), of(&[("ServiceAccount", true), ("DaemonSet", false)]));
        let _ = std::fs::remove_file(cluster.files.join("count"));
        for manager in ["", OWN] {
            cluster.has("installed", &installed("Namespace", "tools", manager, "baseline"));
            let ran = in_tools(&cluster, &["--install"]);
            assert!(ran.status == 125 && ran.err.contains("enforce=baseline"), "{ran:?}");
        }
        cluster.has("installed", &line("O", &["Namespace", "tools", OWN, "", "2026-01-01T00:00:00Z"]));
        let ran = in_tools(&cluster, &["--install"]);
        assert!(ran.status == 125 && ran.err.contains("Namespace tools is being deleted"), "{ran:?}");
        assert!(cluster.calls_of("apply").is_empty() && cluster.calls_of("label").is_empty());
    }
}

// Seen to fail with a look for daemonset.yaml beside the script, and with a line of it changed.
#[test]
fn the_plugin_installs_where_it_is_alone() {
    let own = std::fs::read_to_string(crate::harness::plugin()).unwrap();
    let manifest =
        std::fs::read_to_string(crate::harness::plugin().with_file_name("daemonset.yaml")).unwrap();
    let (_, copy) = own.split_once("\ndaemonset() {\n    cat <<'END'\n").unwrap();
    assert!(
        copy.split_once("\nEND\n").unwrap().0.to_owned() + "\n" == manifest,
        "scripts/docs writes it anew"
    );
    for cluster in clusters() {
        cluster.has("helpers", &helper("n1")).has("exec", &format!("echo nsdbg {VERSION}"));
        let path = cluster.files.join("elsewhere/kubectl-nsdbg");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let link = cluster.files.join("bin/kubectl-nsdbg");
        std::fs::copy(crate::harness::plugin(), &path).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for at in [path, link] {
            let command = cluster.command(&["--install"]);
            let own: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            let mut moved = std::process::Command::new(command.get_program());
            moved.args(
                own.iter().map(|word| if *word == crate::harness::plugin() { at.as_os_str() } else { word }),
            );
            moved.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            moved.stdout(Stdio::piped()).stderr(Stdio::piped());
            let ran = cluster.end(moved.process_group(0).spawn().unwrap());
            assert_eq!(ran.status, 0, "{ran:?}");
            assert!(cluster.file("applied").contains("kind: DaemonSet\n"));
        }
    }
}
