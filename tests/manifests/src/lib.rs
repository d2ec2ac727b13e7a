//! Each document is read into the type that its `kind` names and written again. What is not there afterwards, or differs,
//! is no field of that type: a misspelled one, or one in the wrong place, which the API would refuse or drop.

#![cfg(test)]

use std::fs;
use std::path::Path;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(name)).unwrap()
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// What a document says that its type does not.
fn faults(document: &Value) -> Vec<String> {
    fn again<T: DeserializeOwned + Serialize>(document: &Value) -> Result<Value, String> {
        let typed: T = serde_json::from_value(document.clone()).map_err(|error| error.to_string())?;
        serde_json::to_value(typed).map_err(|error| error.to_string())
    }
    let again = match document["kind"].as_str().unwrap_or_default() {
        "ClusterRole" => again::<ClusterRole>(document),
        "ClusterRoleBinding" => again::<ClusterRoleBinding>(document),
        "DaemonSet" => again::<DaemonSet>(document),
        "Namespace" => again::<Namespace>(document),
        "Pod" => again::<Pod>(document),
        "PriorityClass" => again::<PriorityClass>(document),
        "Role" => again::<Role>(document),
        "RoleBinding" => again::<RoleBinding>(document),
        "ServiceAccount" => again::<ServiceAccount>(document),
        kind => Err(format!("no type for kind {kind:?}")),
    };
    match again {
        Ok(again) => {
            let mut found = Vec::new();
            compare("", document, &again, &mut found);
            found
        }
        Err(error) => vec![error],
    }
}

/// Names what `said` has and `known` has not. A patch takes a field away by null.
fn compare(at: &str, said: &Value, known: &Value, found: &mut Vec<String>) {
    match (said, known) {
        (Value::Null, _) => {}
        (Value::Object(said), Value::Object(known)) => {
            for (key, value) in said {
                compare(&format!("{at}.{key}"), value, known.get(key).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(said), Value::Array(known)) if said.len() == known.len() => {
            for (number, (said, known)) in said.iter().zip(known).enumerate() {
                compare(&format!("{at}[{number}]"), said, known, found);
            }
        }
        (said, known) if said == known => {}
        _ => found.push(format!("{at}: {said} is not {known}")),
    }
}

/// The pod that `kubectl nsdbg --node` makes, its variables filled in.
fn pod_of_the_plugin() -> String {
    let script = file("kubectl-nsdbg");
    let begin = script.find("apiVersion: v1\nkind: Pod\n").expect("the plugin makes a pod");
    let text = &script[begin..begin + script[begin..].find("\nEND\n").unwrap()];
    text.replace("$helpers_namespace", "default")
        .replace("$helper", "nsdbg-node-0")
        .replace("${image:-localhost/nsdbg:$version}", "localhost/nsdbg:0")
        .replace("$1", "n1")
}

#[test]
fn every_document_is_what_its_kind_allows() {
    let mut count = 0;
    let plugin = pod_of_the_plugin();
    for (name, text) in ["daemonset.yaml", "privileged.yaml", "rbac.yaml"]
        .map(|name| (name, file(name)))
        .into_iter()
        .chain([("the plugin", plugin)])
    {
        for document in documents(&text) {
            assert_eq!(faults(&document), [] as [String; 0], "{name}: {}", document["kind"]);
            count += 1;
        }
    }
    assert_eq!(count, 10);
}

// The suite itself is right: what is misspelled, misplaced or of another type is found.
#[test]
fn a_field_that_is_none_is_found() {
    let text = file("daemonset.yaml");
    for (field, wrong) in [
        ("hostPID: true", "hostPid: true"),
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesytem: true"),
        ("appArmorProfile:", "apparmorProfile:"),
        ("            privileged: false", "            hostPID: true"),
        ("automountServiceAccountToken: false\n---", "automountServiceAccountToken: no-thing\n---"),
        ("value: 1000000", "value: a million"),
        ("apiVersion: apps/v1\nkind: DaemonSet", "apiVersion: apps/v1\nkind: Daemonset"),
        ("tolerations:\n", "toleration:\n"),
        ("mountPath: /run/nsdbg", "path: /run/nsdbg"),
        ("apiVersion: apps/v1", "apiVersion: apps/v1beta1"),
    ] {
        assert!(text.contains(field), "{field:?} is not there to be changed");
        let found: Vec<String> = documents(&text.replace(field, wrong)).iter().flat_map(faults).collect();
        assert!(!found.is_empty(), "{wrong:?} is not found");
    }
}

// Seen to fail with another label in the template, and with a volume of another name.
#[test]
fn what_is_named_is_there() {
    let all: Vec<Value> =
        ["daemonset.yaml", "rbac.yaml"].iter().flat_map(|name| documents(&file(name))).collect();
    let has =
        |kind: &str, name: &Value| all.iter().any(|it| it["kind"] == kind && it["metadata"]["name"] == *name);
    let daemonset = all.iter().find(|it| it["kind"] == "DaemonSet").unwrap();
    let template = &daemonset["spec"]["template"];
    for (key, value) in daemonset["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(template["metadata"]["labels"][key], *value);
    }
    let pod = &template["spec"];
    assert!(
        has("ServiceAccount", &pod["serviceAccountName"]) && has("PriorityClass", &pod["priorityClassName"])
    );
    for container in pod["containers"].as_array().unwrap() {
        for mount in container["volumeMounts"].as_array().unwrap() {
            assert!(
                pod["volumes"].as_array().unwrap().iter().any(|volume| volume["name"] == mount["name"]),
                "{mount}"
            );
        }
    }
    for document in &all {
        let namespace = &document["metadata"]["namespace"];
        assert!(namespace.is_null() || has("Namespace", namespace), "{namespace}");
        if let Some(kind) = document["roleRef"]["kind"].as_str() {
            assert!(has(kind, &document["roleRef"]["name"]), "{}", document["roleRef"]);
        }
    }
}
