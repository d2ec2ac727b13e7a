//! CRI-O: annotations in the config.json of a container in the storage that podman has too.
//! Source: pkg/annotations of CRI-O.

use super::files::Texts;
use super::{Known, Pod, machine};
use crate::target::runtime::Runtime;

/// Fills in what CRI-O says of a container; returns the sandbox that it is in.
pub fn fill(known: &mut Known, annotations: &Texts) -> Option<String> {
    let crio = |key: &str| annotations.get(&format!("io.kubernetes.cri-o.{key}"));
    known.runtime = Runtime::CriO;
    known.is_sandbox = crio("ContainerType").as_deref() == Some("sandbox");
    known.image = crio("ImageName").or_else(|| crio("Image")).or(known.image.take());
    let name = annotations.get("io.kubernetes.pod.name").or_else(|| crio("KubeName"));
    known.pod = name.map(|name| Pod {
        name,
        namespace: annotations
            .get("io.kubernetes.pod.namespace")
            .or_else(|| crio("Namespace"))
            .unwrap_or_default(),
        uid: annotations.get("io.kubernetes.pod.uid").unwrap_or_default(),
    });
    known.container = annotations.get("io.kubernetes.container.name").filter(|_| !known.is_sandbox);
    known.name.clone_from(&known.container);
    known.machine = crio("RuntimeHandler").and_then(|handler| machine::named(&handler)).or(known.machine);
    crio("SandboxID").filter(|_| !known.is_sandbox)
}
