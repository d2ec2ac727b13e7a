//! What the container may do to the node. All but a few of these are notes: they may be meant.

pub mod capabilities;
pub mod host_mounts;
pub mod host_namespaces;
pub mod privileged;
pub mod root_user;
pub mod setuid_files;

use crate::cmd::doctor::facts::Facts;

/// What the kernel lets the target do, out of its status.
struct Powers {
    /// CapPrm.
    permitted: u64,
    /// CapBnd.
    bounding: u64,
    /// Whether a seccomp filter confines it.
    is_filtered: bool,
    /// Whether it has a user namespace of its own, so that they count only for what is the container's.
    is_mapped: bool,
}

impl Powers {
    fn of(facts: &Facts) -> Option<Self> {
        let status = facts.status(facts.target())?;
        Some(Self {
            permitted: status.mask("CapPrm")?,
            bounding: status.mask("CapBnd")?,
            is_filtered: status.field("Seccomp").is_some_and(|mode| mode != "0"),
            is_mapped: !facts.shares("user"),
        })
    }
}
