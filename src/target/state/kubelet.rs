//! The kubelet: pods by UID and containers by id, out of the names of its log files.

use std::collections::BTreeMap;
use std::path::Path;

use super::files::{Reader, clean};
use super::{Known, Pod};
use crate::target::runtime::Runtime;

/// Reads the pods, and names the containers that no runtime has named.
pub fn read(reader: &mut Reader) -> BTreeMap<String, Pod> {
    let mut pods = BTreeMap::new();
    for name in reader.list(Path::new("/var/log/pods")) {
        if let Some(pod) = name.to_str().and_then(pod) {
            pods.insert(pod.uid.clone(), pod);
        }
    }
    // A pod without logs, or whose logs are elsewhere: the UID is known and its name is not.
    for uid in reader.ids(Path::new("/var/lib/kubelet/pods")) {
        pods.entry(uid.clone()).or_insert(Pod { uid, ..Pod::default() });
    }
    for name in reader.list(Path::new("/var/log/containers")) {
        if let Some((id, pod, container)) = name.to_str().and_then(container) {
            name_container(reader, &pods, id, pod, container);
        }
    }
    let containers = reader.known.values().filter_map(|known| known.pod.as_ref());
    for pod in containers.filter(|pod| !pod.namespace.is_empty() && !pod.uid.is_empty()) {
        let named = pods.entry(pod.uid.clone()).or_insert_with(|| pod.clone());
        if named.name.is_empty() {
            named.clone_from(pod);
        }
    }
    pods
}

fn name_container(
    reader: &mut Reader,
    pods: &BTreeMap<String, Pod>,
    id: &str,
    mut pod: Pod,
    container: &str,
) {
    // The link's name lacks the UID. One pod at a time has a name, but the logs of those before may be kept.
    let mut same = pods.values().filter(|other| other.name == pod.name && other.namespace == pod.namespace);
    if let (Some(only), None) = (same.next(), same.next()) {
        pod.uid.clone_from(&only.uid);
    }
    if let Some(known) = reader.known.get_mut(id) {
        if known.pod.is_none() {
            known.pod = Some(pod);
            known.container = clean(container.to_owned());
            known.name = known.name.take().or_else(|| known.container.clone());
        }
    } else if reader.hints.live.contains(id) {
        let mut known = Known::new(id, Runtime::Kubernetes);
        known.container = clean(container.to_owned());
        known.name.clone_from(&known.container);
        known.pod = Some(pod);
        reader.known.insert(id.to_owned(), known);
    }
}

/// The container that only holds a pod's namespaces, in the names of containers.
pub const SANDBOX: &str = "POD";

/// The container and the pod in a name that runtimes give for the kubelet: `k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT`.
pub fn named(name: &str) -> Option<(String, Pod)> {
    let parts: Vec<&str> = name.split('_').collect();
    let ["k8s", container, name, namespace, uid, _] = parts[..] else { return None };
    let is_whole = parts.iter().all(|part| !part.is_empty());
    let pod = Pod { name: name.into(), namespace: namespace.into(), uid: uid.into() };
    is_whole.then(|| (container.into(), pod))
}

/// NAMESPACE_POD_UID.
pub fn pod(name: &str) -> Option<Pod> {
    let mut parts = name.split('_');
    let (namespace, name, uid) = (parts.next()?, parts.next()?, parts.next()?);
    let is_whole = parts.next().is_none() && [namespace, name, uid].iter().all(|part| !part.is_empty());
    is_whole.then(|| Pod { name: name.into(), namespace: namespace.into(), uid: uid.into() })
}

/// `POD_NAMESPACE_CONTAINER-ID.log`.
pub fn container(name: &str) -> Option<(&str, Pod, &str)> {
    let (name, id) = name.strip_suffix(".log")?.rsplit_once('-')?;
    let mut parts = name.split('_');
    let (pod, namespace, container) = (parts.next()?, parts.next()?, parts.next()?);
    let is_whole = parts.next().is_none() && [pod, namespace, container].iter().all(|part| !part.is_empty());
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pod = Pod { name: pod.into(), namespace: namespace.into(), uid: String::new() };
    (is_whole && is_id).then_some((id, pod, container))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_log_files_are_taken_only_whole() {
        let id = "3f".repeat(32);
        let file = format!("web-0_prod_app-x-{id}.log");
        let (found, of, name) = container(&file).unwrap();
        assert_eq!(
            (found, of.name.as_str(), of.namespace.as_str(), name),
            (id.as_str(), "web-0", "prod", "app-x")
        );
        for broken in
            [format!("web_prod_app-{id}"), format!("web_app-{id}.log"), "a_b_c-12.log".into(), String::new()]
        {
            assert!(container(&broken).is_none(), "{broken}");
        }
        assert_eq!(pod("prod_web-0_1-2").unwrap().uid, "1-2");
        let (name, of) = named("k8s_app_web-0_prod_1-2_0").unwrap();
        assert_eq!((name.as_str(), of.name.as_str(), of.uid.as_str()), ("app", "web-0", "1-2"));
        for broken in ["k8s_app_web-0_prod_1-2", "k8s_a_b_c_d_e_f", "k9s_a_b_c_d_0", "k8s_a__c_d_0", ""] {
            assert!(named(broken).is_none(), "{broken}");
        }
        for broken in ["prod_web-0", "a__b", "a_b_c_d", "_", ""] {
            assert!(pod(broken).is_none(), "{broken}");
        }
    }
}
