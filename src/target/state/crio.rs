//! CRI-O: its names for containers, and annotations in their config.json, in the storage that podman has too. A pod's
//! author can write annotations: which pod it is, is taken from the name. Source: pkg/annotations of CRI-O.

use super::files::Texts;
use super::{Known, Pod, kubelet, machine};
use crate::target::runtime::Runtime;

/// Fills in what CRI-O says of a container with this name; returns the sandbox that it is in.
pub fn fill(known: &mut Known, annotations: &Texts, (container, pod): (String, Pod)) -> Option<String> {
    let crio = |key: &str| annotations.get(&format!("io.kubernetes.cri-o.{key}"));
    known.runtime = Runtime::CriO;
    known.is_sandbox = container == kubelet::SANDBOX;
    known.image = crio("ImageName").or_else(|| crio("Image")).or(known.image.take());
    known.pod = Some(pod);
    known.container = Some(container).filter(|_| !known.is_sandbox);
    known.name.clone_from(&known.container);
    known.machine = crio("RuntimeHandler").and_then(|handler| machine::named(&handler)).or(known.machine);
    crio("SandboxID").filter(|_| !known.is_sandbox)
}
