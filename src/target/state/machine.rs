//! Containers that run in a virtual machine or on another kernel: on the node there is only their shim.

use super::files::{Reader, Texts, id, option, program};

/// What a shim's or runtime's name stands for: `containerd-shim-kata-v2`, `/usr/local/bin/runsc`, `kata-qemu`.
pub fn named(name: &str) -> Option<&'static str> {
    let name = name.rsplit('/').next()?.to_ascii_lowercase();
    let has = |word: &str| name.split(|byte: char| !byte.is_ascii_alphanumeric()).any(|part| part == word);
    // Kata can drive Firecracker, and then it is Kata that answers.
    if has("kata") {
        Some("Kata")
    } else if has("runsc") || has("gvisor") {
        Some("gVisor")
    } else if has("firecracker") {
        Some("Firecracker")
    } else {
        None
    }
}

/// What the annotations of a container tell. Only those that the software itself writes count: a pod may carry
/// `io.katacontainers.config…` and still be run by runc.
pub fn annotated(annotations: &Texts) -> Option<&'static str> {
    if annotations.has_prefix("io.katacontainers.pkg.oci.") {
        Some("Kata")
    } else if annotations.has_prefix("dev.gvisor.internal.") {
        Some("gVisor")
    } else {
        None
    }
}

/// Marks the containers whose shim tells what they run in.
pub fn mark(reader: &mut Reader) {
    for shim in reader.shims.clone() {
        let name = program(&shim.args);
        let (key, machine) = if name == "conmon" {
            ("-c", option(&shim.args, &["-r"]).and_then(named))
        } else if name.starts_with("containerd-shim") {
            ("-id", named(name))
        } else {
            continue;
        };
        let (Some(machine), Some(id)) =
            (machine, option(&shim.args, &[key]).and_then(|text| id(text.to_owned())))
        else {
            continue;
        };
        if let Some(known) = reader.known.get_mut(&id) {
            known.machine = Some(machine);
        }
    }
}
