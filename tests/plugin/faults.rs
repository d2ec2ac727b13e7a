//! What goes wrong, each with one sentence that names what to do. What the real kubectl says stands in the fixtures.

use std::os::unix::process::CommandExt;

use crate::harness::{Cluster, VERSION, cluster, clusters, helper, line, pod};

const FORBIDDEN: &str = "Error from server (Forbidden): pods \"nsdbg-n1\" is forbidden: User \"jane\" cannot create resource \"pods/exec\" in API group \"\" in the namespace \"nsdbg-system\"\n";
const PODSECURITY: &str = "Error from server (Forbidden): error when creating \"STDIN\": pods \"nsdbg-node-0\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostPID=true), privileged\n";

/// A change of the cluster, the words, the status, and what is said.
type Case = (&'static str, fn(&Cluster), &'static [&'static str], i32, &'static [&'static str]);

fn waiting(reason: &str) -> String {
    pod("web-0", "n1", "Pending", "")
        .replace("\"2026-01-01T00:00:00Z\"\t\"\"\t\"\"\n", &format!("\"\"\t\"{reason}\"\t\"\"\n"))
}

const CASES: &[Case] = &[
    (
        "a pod that is not there",
        |c| {
            c.has("pod.fail", "Error from server (NotFound): pods \"web-0\" not found\n");
        },
        &["web-0", "--", "ls"],
        125,
        &["pods \"web-0\" not found", "kubectl get pods"],
    ),
    (
        "a pod that is on no node",
        |c| {
            c.has("pod", &waiting("").replace("\"n1\"", "\"\""));
        },
        &["web-0", "--", "ls"],
        125,
        &["is on no node yet (Pending)", "kubectl describe pod -n prod web-0"],
    ),
    (
        "an image that does not come",
        |c| {
            c.has("pod", &waiting("ImagePullBackOff"));
        },
        &["web-0", "--", "ls"],
        125,
        &["container app", "does not run (ImagePullBackOff)", "kubectl describe pod"],
    ),
    (
        "a container that waits for one of its init containers",
        |c| {
            let init =
                line("C", &["setup", "containerd://setup0123456789ab", "2026-01-01T00:00:00Z", "", ""]);
            c.has("pod", &waiting("PodInitializing").replace(".\n", &(init + ".\n")));
        },
        &["web-0", "--", "ls"],
        125,
        &["does not run (PodInitializing): -c setup is one that does, or kubectl describe pod"],
    ),
    (
        "a pod that has finished",
        |c| {
            c.has("pod", &pod("web-0", "n1", "Succeeded", ""));
        },
        &["web-0", "--", "ls"],
        125,
        &["has finished (Succeeded)", "kubectl logs -n prod web-0"],
    ),
    (
        "a container that it has not",
        |_| {},
        &["web-0", "-c", "db", "--", "ls"],
        125,
        &["has no container db: it has app, sidecar"],
    ),
    (
        "no right to see pods",
        |c| {
            let _ = c.has("pod.fail", "Error from server (Forbidden): pods \"web-0\" is forbidden: User \"jane\" cannot get resource \"pods\"\n");
        },
        &["web-0", "--", "ls"],
        125,
        &["you may not see pod web-0", "scripts/rbac.yaml"],
    ),
    (
        "no right to exec",
        |c| {
            c.has("exec.fail", FORBIDDEN);
        },
        &["web-0", "--", "ls"],
        125,
        &["you may not run a command in nsdbg's pods", "scripts/rbac.yaml"],
    ),
    (
        "no right to see nsdbg's pods",
        |c| {
            c.has("helpers.fail", &FORBIDDEN.replace("create", "list"));
        },
        &["web-0", "--", "ls"],
        125,
        &["you may not see nsdbg's pods in namespace nsdbg-system", "scripts/rbac.yaml"],
    ),
    (
        "who is not known",
        |c| {
            c.has("pod.fail", "error: You must be logged in to the server (Unauthorized)\n");
        },
        &["web-0", "--", "ls"],
        125,
        &["log in again"],
    ),
    (
        "a context that is not there",
        |c| {
            c.has("pod.fail", "error: context \"nope\" does not exist\n");
        },
        &["web-0", "--", "ls"],
        125,
        &["kubectl config get-contexts"],
    ),
    (
        "no API server",
        |c| {
            let _ = c.has("pod.fail", "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?\n");
        },
        &["web-0", "--", "ls"],
        125,
        &["the API server can't be reached", "kubectl cluster-info"],
    ),
    (
        "nsdbg is not installed",
        |c| {
            c.has("helpers", "");
        },
        &["web-0", "--", "ls"],
        125,
        &["nsdbg is not installed", "kubectl nsdbg --install", "--node n1"],
    ),
    (
        "no pod of nsdbg's on that node",
        |c| {
            c.has("helpers", &helper("n2"));
        },
        &["web-0", "--", "ls"],
        125,
        &["no pod on node n1", "kubectl describe ds -n nsdbg-system nsdbg"],
    ),
    (
        "nsdbg's image does not come",
        |c| {
            let pulling = ["n1", "nsdbg-n1", "Pending", "False", "0.1.0", "", "ErrImagePull"];
            c.has("helpers", &line("H", &pulling));
        },
        &["web-0", "--", "ls"],
        125,
        &["nsdbg-n1 does not run (ErrImagePull)", "kubectl describe pod -n nsdbg-system"],
    ),
    (
        "a node that is not ready",
        |c| {
            c.has("helpers", &helper("n1").replace("True", "False"));
        },
        &["web-0", "--", "ls"],
        125,
        &["node n1 is not ready", "kubectl describe node n1"],
    ),
    (
        "a kubelet that does not answer",
        |c| {
            let _ = c.has("exec.fail", "Error from server: error dialing backend: dial tcp 192.0.2.3:10250: connect: no route to host\n");
        },
        &["web-0", "--", "ls"],
        125,
        &["the kubelet of node n1 does not answer", "kubectl describe node n1"],
    ),
    (
        "a container that ends and starts again",
        |c| {
            c.has("pod", &waiting("CrashLoopBackOff").replace("Pending", "Running"));
        },
        &["web-0", "--", "ls"],
        125,
        &[
            "(CrashLoopBackOff)",
            "kubectl logs --previous -n prod web-0 -c app",
            "kubectl nsdbg -n prod web-0 -c POD",
        ],
    ),
    (
        "nsdbg's pod ends and starts again",
        |c| {
            let restarts = ["n1", "nsdbg-n1", "Running", "False", VERSION, "", "CrashLoopBackOff"];
            c.has("helpers", &line("H", &restarts));
        },
        &["web-0", "--", "ls"],
        125,
        &[
            "nsdbg-n1 on node n1 ends and starts again (CrashLoopBackOff)",
            "kubectl logs --previous -n nsdbg-system nsdbg-n1",
        ],
    ),
    (
        "nsdbg's container is not there just now",
        |c| {
            let _ =
                c.has("exec.fail", "error: unable to upgrade connection: container not found (\"nsdbg\")\n");
        },
        &["web-0", "--", "ls"],
        125,
        &["nsdbg's pod does not run now", "kubectl describe pod -n nsdbg-system nsdbg-n1"],
    ),
    (
        "a kubelet that is down",
        |c| {
            let _ = c.has("exec.fail", "Error from server: Get \"https://192.0.2.3:10250/exec\": dial tcp 192.0.2.3:10250: connect: connection refused\n");
        },
        &["web-0", "--", "ls"],
        125,
        &["the kubelet of node n1 does not answer"],
    ),
    (
        "a kubelet that refuses the API server",
        |c| {
            let _ = c.has("exec.fail", "error: unable to upgrade connection: Unauthorized\n");
        },
        &["web-0", "--", "ls"],
        125,
        &["the kubelet of node n1 refuses the connection"],
    ),
    (
        "an API server that answers late",
        |c| {
            let _ = c.has("pod.fail", "Error from server: etcdserver: request timed out, timeout\n");
        },
        &["web-0", "--", "ls"],
        125,
        &["can't see pod web-0: Error from server: etcdserver"],
    ),
    (
        "a namespace that goes",
        |c| {
            let _ = c.has("helpers", "").has("create.fail", "Error from server (Forbidden): error when creating \"STDIN\": pods \"nsdbg-node-0\" is forbidden: unable to create new content in namespace default because it is being terminated\n");
        },
        &["--node", "n1"],
        125,
        &["the namespace is being deleted"],
    ),
    (
        "a right that nobody is given here",
        |c| {
            let _ = c.has("helpers", "").has("create.fail", "Error from server (Forbidden): error when creating \"STDIN\": pods is forbidden: User \"jane\" cannot create resource \"pods\" in API group \"\" in the namespace \"default\"\n");
        },
        &["--node", "n1"],
        125,
        &["you may not make a pod in namespace default: scripts/rbac.yaml does not give that right"],
    ),
    (
        "exec in another namespace than nsdbg's",
        |c| {
            c.has("helpers", "").has("exec.fail", &FORBIDDEN.replace("nsdbg-system", "default"));
        },
        &["--node", "n1"],
        125,
        &["scripts/rbac.yaml does not give that right"],
    ),
    (
        "an owner that one may not see",
        |c| {
            let _ = c.has("owner.fail", "Error from server (Forbidden): deployments.apps \"web\" is forbidden: User \"jane\" cannot get resource \"deployments\" in API group \"apps\" in the namespace \"prod\"\n");
        },
        &["deploy/web", "--", "ls"],
        125,
        &["ask for the roles of scripts/rbac.yaml"],
    ),
    (
        "a service that one may not see",
        |c| {
            let _ = c.has("owner.fail", "Error from server (Forbidden): services \"web\" is forbidden: User \"jane\" cannot get resource \"services\" in API group \"\" in the namespace \"prod\"\n");
        },
        &["svc/web", "--", "ls"],
        125,
        &["you may not look up svc/web: scripts/rbac.yaml does not give that right"],
    ),
    (
        "a namespace as nsdbg on a node writes it",
        |c| {
            c.has("owner.fail", "error: the server doesn't have a resource type \"prod\"\n");
        },
        &["prod/web-0", "--", "ls"],
        125,
        &["kubectl nsdbg -n NAMESPACE POD"],
    ),
    (
        "an owner without pods",
        |c| {
            let pods = line("W", &["web-0", "Pending", "False", ""]);
            c.has("owner", &line("M", &["app", "web"])).has("pods", &pods);
        },
        &["deploy/web", "--", "ls"],
        125,
        &["no pod of deploy/web runs, of 1", "kubectl get pods"],
    ),
    (
        "what owns no pods",
        |c| {
            c.has("owner", "");
        },
        &["cm/web", "--", "ls"],
        2,
        &["cm/web has no pods of its own"],
    ),
    (
        "a copy to a file of the pod's own",
        |c| {
            c.has("exec", "echo 'get: create ./x: read-only file system' >&2; exit 1");
        },
        &["web-0", "--", "get", "/x", "."],
        1,
        &["kubectl nsdbg web-0 get FROM TO"],
    ),
    (
        "a namespace that allows no such pod",
        |c| {
            c.has("helpers", "").has("create.fail", PODSECURITY);
        },
        &["--node", "n1"],
        125,
        &["NSDBG_POD_NAMESPACE=NAME", "enforce=privileged"],
    ),
    (
        "a pod that does not start",
        |c| {
            let _ = c
                .has("helpers", "")
                .has("wait.fail", "error: timed out waiting\n")
                .has("pod", &line("W", &["Pending", "", "ErrImagePull"]));
        },
        &["--node", "n1"],
        125,
        &["did not start on node n1", "ErrImagePull", "--image"],
    ),
    ("a pod on another node", |_| {}, &["--node", "n2", "web-0"], 2, &["pod web-0 is on node n1, not on n2"]),
    // Wrong use, which asks the cluster nothing.
    ("nothing", |_| {}, &[], 2, &["usage: kubectl nsdbg"]),
    ("no dashes", |_| {}, &["web-0", "ls", "/"], 2, &["kubectl nsdbg web-0 -- ls /"]),
    ("an option that is none", |_| {}, &["--frob", "web-0"], 2, &["no such option: --frob"]),
    ("a name like an option", |_| {}, &["-web", "--", "ls"], 2, &["no such option: -web"]),
    ("a name like an option's value", |_| {}, &["-n", "--as", "web-0"], 2, &["a namespace has no such name"]),
    ("a container like an option", |_| {}, &["web-0", "-c", "--rm"], 2, &["a container has no such name"]),
    ("a node like an option", |_| {}, &["--node=--rm"], 2, &["a node has no such name"]),
    ("a name that is code", |_| {}, &["$(touch here)", "--", "ls"], 2, &["a pod has no such name"]),
    ("a path's way up", |_| {}, &["../web-0", "--", "ls"], 2, &["no kind of thing"]),
    ("an empty name", |_| {}, &["", "--", "ls"], 2, &["a pod has a name"]),
    ("three parts", |_| {}, &["prod/web-0/app", "--", "ls"], 2, &["-n NAMESPACE POD -c CONTAINER"]),
    ("no value", |_| {}, &["web-0", "-n"], 2, &["-n takes a value"]),
    ("a selector without a command", |_| {}, &["-l", "app=web"], 2, &["kubectl nsdbg -l app=web -- ps"]),
    (
        "a selector and a pod",
        |_| {},
        &["-l", "app=web", "web-0", "--", "ls"],
        2,
        &["takes the place of a POD"],
    ),
    ("no number", |_| {}, &["-l", "a", "--max", "x", "--", "ls"], 2, &["--max takes a number"]),
    ("none at once", |_| {}, &["-l", "a", "--max", "0", "--", "ls"], 2, &["--max is 1 or more"]),
    ("all namespaces of one pod", |_| {}, &["-A", "web-0"], 2, &["goes with -l"]),
    ("an image that is code", |_| {}, &["--install", "--image", "a|e touch here"], 2, &["no image's name"]),
];

// Seen to fail for each where its branch is taken out.
#[test]
fn what_goes_wrong_is_told_with_what_to_do() {
    for (name, change, args, status, said) in CASES {
        for cluster in clusters() {
            change(&cluster);
            let ran = cluster.run(args);
            assert_eq!(ran.status, *status, "{name}: {:?}: {ran:?}", cluster.shell);
            for words in *said {
                assert!(ran.err.contains(words), "{name}: {words:?}: {ran:?}");
            }
            let own = ran.err.lines().filter(|line| line.starts_with("kubectl nsdbg: ")).count();
            // It is said in one sentence, after which container is meant.
            let told = ran.err.lines().filter(|line| line.contains(": another by -c")).count();
            let made = ran.err.lines().filter(|line| line.contains("is made for this")).count();
            assert!(ran.err.starts_with("usage") || own - told - made == 1, "{name}: {ran:?}");
            assert!(
                !ran.err.contains("syntax error") && !ran.err.contains("not found\nkubectl"),
                "{name}: {ran:?}"
            );
            if *status == 2 && !matches!(*name, "what owns no pods" | "a pod on another node") {
                assert!(cluster.calls().is_empty(), "{name}: {:?}", cluster.calls());
            }
            assert!(cluster.left().is_empty(), "{name}: {:?}", cluster.left());
            assert!(!cluster.files.join("here").exists(), "{name}");
        }
    }
}

// Seen to fail with the look for it left out.
#[test]
fn a_laptop_without_kubectl_is_told() {
    let cluster = cluster();
    let bin = cluster.files.join("nothing");
    std::fs::create_dir(&bin).unwrap();
    for tool in ["sed", "tr"] {
        let at = ["/usr/bin", "/bin"]
            .iter()
            .map(|place| format!("{place}/{tool}"))
            .find(|path| std::path::Path::new(path).exists());
        std::os::unix::fs::symlink(at.unwrap(), bin.join(tool)).unwrap();
    }
    let sh = "/bin/sh";
    let mut command = std::process::Command::new(sh);
    command.arg(crate::harness::plugin()).args(["web-0"]).env("PATH", &bin).process_group(0);
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let ran = cluster.end(command.spawn().unwrap());
    assert_eq!(ran.status, 125, "{ran:?}");
    assert!(ran.err.contains("there is no kubectl") && ran.err.contains("scripts/ssh-nsdbg"), "{ran:?}");
}
