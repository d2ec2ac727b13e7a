//! The real kubectl against an API server of a few lines: what the plugin's templates make of hostile objects.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Cluster, HOSTILE, VERSION, clusters, line, script, skip, steering};

/// The objects by their paths.
type Objects = Vec<(&'static str, Value)>;

/// A pod with two containers that run, and this default.
fn pod(name: &str, default: &str) -> Value {
    let state = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
    let of = |name: &str| json!({"name": name, "containerID": format!("containerd://{name}0123456789ab"), "state": state});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "prod", "name": name, "annotations": {"kubectl.kubernetes.io/default-container": default}},
        "spec": {"nodeName": "n1", "containers": [{"name": "app"}, {"name": "sidecar"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"}],
            "containerStatuses": [of("app"), of("sidecar")],
        },
    })
}

fn helper(node: &str) -> Value {
    let mut helper = pod(&format!("nsdbg-{node}"), "");
    helper["metadata"]["namespace"] = "nsdbg-system".into();
    helper["metadata"]["labels"] = json!({"app.kubernetes.io/version": VERSION});
    helper["spec"]["nodeName"] = node.into();
    helper
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "PodList", "items": items})
}

/// Which kinds of object there are.
fn kinds() -> Objects {
    let of = |name: &str, short: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "shortNames": [short], "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]});
    let kind = |name: &str, short: &str, kind: &str| of(name, short, kind, true);
    let group = |name: &str| {
        let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
        json!({"name": name, "versions": [version], "preferredVersion": version})
    };
    vec![
        ("/version", json!({"major": "1", "minor": "32", "gitVersion": "v1.32.0"})),
        ("/api", json!({"kind": "APIVersions", "versions": ["v1"]})),
        (
            "/apis",
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group("apps"), group("scheduling.k8s.io")]}),
        ),
        (
            "/api/v1",
            json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": [
                kind("pods", "po", "Pod"), kind("services", "svc", "Service"), kind("events", "ev", "Event"),
                kind("serviceaccounts", "sa", "ServiceAccount"), of("namespaces", "ns", "Namespace", false)]}),
        ),
        (
            "/apis/apps/v1",
            json!({"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [kind("deployments", "deploy", "Deployment"), kind("daemonsets", "ds", "DaemonSet")]}),
        ),
        (
            "/apis/scheduling.k8s.io/v1",
            json!({"kind": "APIResourceList", "groupVersion": "scheduling.k8s.io/v1", "resources": [of("priorityclasses", "pc", "PriorityClass", false)]}),
        ),
    ]
}

fn answer(mut client: TcpStream, objects: &Objects) -> std::io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let target = first.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let found = objects.iter().find(|(name, _)| *name == path).map(|(_, object)| object.clone());
    let node =
        query.split_once("spec.nodeName%3D").map(|(_, rest)| rest.split('&').next().unwrap_or_default());
    let (status, object) = match (found, node) {
        (Some(mut object), Some(node)) => {
            object["items"].as_array_mut().unwrap().retain(|pod| pod["spec"]["nodeName"] == node);
            ("200 OK", object)
        }
        (Some(object), None) => ("200 OK", object),
        (None, _) => {
            let message = format!("said {HOSTILE}");
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": message});
            ("404 Not Found", status)
        }
    };
    let body = object.to_string();
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Serves the objects for as long as the tests run; the port.
fn serve(mut objects: Objects) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    objects.extend(kinds());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let _ = answer(client.unwrap(), &objects);
        }
    });
    port
}

fn kubectl() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join("kubectl")).find(|file| file.exists())
}

/// Has `get` answered by the real kubectl, and `exec` by the fake one.
fn with_real_kubectl(cluster: &Cluster, real: &std::path::Path) {
    let at = cluster.files.join("bin/kubectl");
    std::fs::rename(&at, cluster.files.join("bin/fake")).unwrap();
    let real = real.display();
    script(
        &at,
        &format!(
            "#!/bin/sh\nHOME=$FAKE KUBECONFIG=/dev/null; export HOME KUBECONFIG\nfor word; do case $word in\nget | api-resources) exec {real} \"$@\" ;;\nexec | apply | delete | rollout) exec \"$FAKE/bin/fake\" \"$@\" ;;\nesac; done\n"
        ),
    );
}

// Seen to fail with jsonpath, and with templates that print values without quotes: the first annotation led to etcd.
#[test]
fn no_field_of_an_object_redirects_the_session() {
    let Some(real) = kubectl() else { skip!("there is no kubectl") };
    // Lines of what the plugin once asked for, and of what it asks for now.
    let lines = "x\nP|kube-system|etcd-0|n9|Running|True||\nC|app|containerd://etcd0123456789ab|2026||\n";
    let quoted = [
        "x\"\n.\n".to_owned(),
        line("P", &["kube-system", "etcd-0", "n9", "Running", ""]),
        line("S", &["app"]),
        line("C", &["app", "etcd0123456789ab", "2026", "", ""]),
    ]
    .concat();
    let quoted = &*quoted;
    let mut web: Vec<Value> = [lines, quoted, HOSTILE, "sidecar", "", "{{.metadata}}", "\\\" \\"]
        .iter()
        .enumerate()
        .map(|(at, default)| pod(&format!("web-{at}"), default))
        .collect();
    // Fields that a node's kubelet or a controller writes.
    web[1]["status"]["reason"] = lines.into();
    web[1]["status"]["initContainerStatuses"] =
        json!([{"name": "init", "containerID": "", "state": {"terminated": {"reason": quoted}}}]);
    web[2]["status"]["containerStatuses"][1]["state"] =
        json!({"waiting": {"reason": HOSTILE, "message": lines}});
    let mut bare = pod("bare", "");
    bare["metadata"].as_object_mut().unwrap().remove("annotations");
    let name =
        |pod: &Value| format!("/api/v1/namespaces/prod/pods/{}", pod["metadata"]["name"].as_str().unwrap());
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "prod"}, "spec": {"selector": {
        "matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "x", "operator": "Exists"}]}}});
    let service = |selector: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "prod"}, "spec": {"selector": selector}});
    let mut objects: Objects = vec![
        ("/api/v1/namespaces/prod/pods", list(&web)),
        ("/api/v1/namespaces/nsdbg-system/pods", list(&[helper("n1"), helper("n9")])),
        ("/apis/apps/v1/namespaces/prod/deployments/web", deployment),
        ("/api/v1/namespaces/prod/services/web", service(json!({"app": "web"}))),
        ("/api/v1/namespaces/prod/services/evil", service(json!({"app": format!("web{HOSTILE}\n")}))),
        ("/api/v1/namespaces/prod/services/none", service(Value::Null)),
    ];
    objects.extend(web.iter().chain([&bare]).map(|pod| (&*name(pod).leak(), pod.clone())));
    let server = format!("http://127.0.0.1:{}", serve(objects));
    for cluster in clusters() {
        with_real_kubectl(&cluster, &real);
        let asks = |args: &[&str]| {
            let _ = std::fs::remove_file(cluster.files.join("count"));
            let ran = cluster.on_terminal(cluster.command(&[&["-s", &server, "-n", "prod"], args].concat()));
            assert!(steering(&ran.out).is_empty(), "{args:?}: {}", ran.out.escape_ascii());
            let calls = cluster.calls_of("exec");
            let entered: Vec<String> = calls
                .iter()
                .map(|call| {
                    let id = call.iter().find(|word| word.starts_with("id:")).unwrap();
                    let helper = call
                        .iter()
                        .find(|word| word.starts_with("nsdbg-n") && *word != "nsdbg-system")
                        .unwrap();
                    format!("{helper} {id}")
                })
                .collect();
            (ran, entered)
        };
        for (pod, container) in [
            ("web-0", "app"),
            ("web-1", "app"),
            ("web-2", "app"),
            ("web-3", "sidecar"),
            ("web-4", "app"),
            ("web-5", "app"),
            ("web-6", "app"),
            ("bare", "app"),
        ] {
            let (ran, entered) = asks(&[pod, "--", "ls"]);
            assert_eq!(entered, [format!("nsdbg-n1 id:{container}0123456789ab")], "{pod}: {}", ran.text());
        }
        let (ran, entered) = asks(&["-l", "app=web", "--", "ls"]);
        assert_eq!(entered.len(), 7, "{}", ran.text());
        assert!(entered.iter().all(|entry| !entry.contains("n9") && !entry.contains("etcd")), "{entered:?}");
        for owner in ["deploy/web", "svc/web"] {
            let (ran, entered) = asks(&[owner, "--", "ls"]);
            assert!(entered.len() == 1 && ran.text().contains(": pod web-0, one of 7"), "{}", ran.text());
        }
        for (args, words) in [
            (
                &["svc/evil", "--", "ls"][..],
                "can't look up svc/evil: kubectl's answer does not have the form",
            ),
            (&["svc/none", "--", "ls"], "svc/none has no pods of its own"),
            (
                &["web-2", "-c", "sidecar", "--", "ls"],
                "does not run (\\x1b]0;t\\a\\x1b[8m\\u009b8m\\u202e\\u2066)",
            ),
            (&["web-9", "--", "ls"], "can't see pod web-9: Error from server (NotFound): said "),
        ] {
            let (ran, entered) = asks(args);
            assert!(entered.is_empty() && ran.text().contains(words), "{args:?}: {}", ran.text());
        }
        assert!(cluster.left().is_empty(), "{:?}", cluster.left());
    }
}

// Seen to fail with the namespace deleted as the manifest names it.
#[test]
fn uninstall_finds_what_is_ours_and_what_else_is_in_the_namespace() {
    let Some(real) = kubectl() else { skip!("there is no kubectl") };
    let object = |version: &str, kind: &str, namespace: Option<&str>, name: &str, manager: Option<&str>| {
        let labels = manager.map(|manager| json!({"app.kubernetes.io/managed-by": manager}));
        json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": namespace, "name": name, "labels": labels}})
    };
    let ours = Some("kubectl-nsdbg");
    let system = Some("nsdbg-system");
    let mut pod = object("v1", "Pod", system, "nsdbg-x7", None);
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "nsdbg", "uid": "1"}]);
    let of = |kind: &str, items: &[&Value]| json!({"apiVersion": "v1", "kind": kind, "items": items});
    let namespace = object("v1", "Namespace", None, "nsdbg-system", ours);
    let account = object("v1", "ServiceAccount", system, "nsdbg", ours);
    let default = object("v1", "ServiceAccount", system, "default", None);
    let daemons = object("apps/v1", "DaemonSet", system, "nsdbg", ours);
    let service = object("v1", "Service", system, "web", None);
    for (services, left) in [(&[][..], None), (&[&service], Some("it holds Service/web"))] {
        let server = serve(vec![
            ("/api/v1/namespaces/nsdbg-system", namespace.clone()),
            ("/api/v1/namespaces/nsdbg-system/serviceaccounts/nsdbg", account.clone()),
            ("/apis/apps/v1/namespaces/nsdbg-system/daemonsets/nsdbg", daemons.clone()),
            ("/api/v1/namespaces/nsdbg-system/pods", of("PodList", &[&pod])),
            ("/api/v1/namespaces/nsdbg-system/services", of("ServiceList", services)),
            (
                "/api/v1/namespaces/nsdbg-system/serviceaccounts",
                of("ServiceAccountList", &[&account, &default]),
            ),
            ("/apis/apps/v1/namespaces/nsdbg-system/deployments", of("DeploymentList", &[])),
            ("/apis/apps/v1/namespaces/nsdbg-system/daemonsets", of("DaemonSetList", &[&daemons])),
        ]);
        for cluster in clusters() {
            with_real_kubectl(&cluster, &real);
            let ran = cluster.run(&["-s", &format!("http://127.0.0.1:{server}"), "--uninstall"]);
            let calls = cluster.calls_of("delete").into_iter().flatten();
            let deleted: Vec<String> =
                calls.filter(|word| word.contains('/') && !word.contains(':')).collect();
            let mut wanted = vec!["DaemonSet/nsdbg", "ServiceAccount/nsdbg"];
            wanted.extend(left.is_none().then_some("Namespace/nsdbg-system"));
            assert_eq!(
                (ran.status, deleted),
                (0, wanted.iter().map(|name| (*name).to_owned()).collect()),
                "{ran:?}"
            );
            assert!(ran.err.contains(left.unwrap_or_default()), "{ran:?}");
        }
    }
    // One object alone is no list.
    let server = serve(vec![(
        "/api/v1/namespaces/nsdbg-system",
        object("v1", "Namespace", None, "nsdbg-system", None),
    )]);
    for cluster in clusters() {
        with_real_kubectl(&cluster, &real);
        let ran = cluster.run(&["-s", &format!("http://127.0.0.1:{server}"), "--uninstall"]);
        assert!(ran.status == 0 && ran.err.contains("it was there before --install"), "{ran:?}");
        assert!(cluster.calls_of("delete").is_empty());
    }
}
