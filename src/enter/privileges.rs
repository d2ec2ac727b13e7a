//! Ids and capabilities: from root on the node to exactly what the plan says.

use std::collections::HashSet;

use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::plan::Plan;
use super::{Failure, Result, Step};
use crate::sys::syscall::prctl;

/// linux/securebits.h.
const SECBIT_NO_SETUID_FIXUP: libc::c_ulong = 1 << 2;
const SECBIT_KEEP_CAPS: libc::c_ulong = 1 << 4;

/// Takes the ids, as the node sees them, and keeps all capabilities: setns needs them. Before any namespace is joined,
/// so that ids that a user namespace does not map, and setgroups = deny, do not matter.
///
/// # Errors
/// The first step that fails.
pub fn take_ids(plan: &Plan) -> Result<()> {
    prctl(libc::PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS, 0)
        .step("prctl", "securebits")?;
    let groups: Vec<_> = plan.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(plan.uid), Gid::from_raw(plan.gid));
    setgroups(&groups).step("setgroups", "")?;
    setresgid(gid, gid, gid).step("setresgid", &plan.gid.to_string())?;
    setresuid(uid, uid, uid).step("setresuid", &plan.uid.to_string())
}

/// Drops to the plan's capabilities: bounding set, ambient, inheritable, effective, permitted; then checks them.
///
/// # Errors
/// The first step that fails.
pub fn drop_capabilities(plan: &Plan) -> Result<()> {
    drop_to(plan.capabilities, plan.bounding)
}

/// As [`drop_capabilities`], for any sets.
///
/// # Errors
/// The first step that fails.
pub fn drop_to(capabilities: u64, bounding: u64) -> Result<()> {
    for number in 0..64 {
        if bounding & (1 << number) == 0 {
            match prctl(libc::PR_CAPBSET_DROP, number, 0) {
                // Past the last one that the kernel knows.
                Err(Errno::EINVAL) => break,
                result => result.step("prctl", "bounding set")?,
            };
        }
    }
    let failed = |object: &'static str| move |_| Failure::new("capset", object, Errno::last());
    caps::clear(None, CapSet::Ambient).map_err(failed("ambient"))?;
    prctl(libc::PR_SET_SECUREBITS, 0, 0).step("prctl", "securebits")?;
    let wanted = set(capabilities);
    caps::set(None, CapSet::Inheritable, &HashSet::new()).map_err(failed("inheritable"))?;
    caps::set(None, CapSet::Effective, &wanted).map_err(failed("effective"))?;
    caps::set(None, CapSet::Permitted, &wanted).map_err(failed("permitted"))?;
    let permitted = caps::read(None, CapSet::Permitted).map_err(failed("permitted"))?;
    if mask(&permitted) == capabilities {
        Ok(())
    } else {
        Err(Failure::new("capset", "permitted", Errno::EPERM))
    }
}

/// The capabilities of a mask that have names.
pub fn set(mask: u64) -> HashSet<Capability> {
    caps::all().into_iter().filter(|capability| mask & capability.bitmask() != 0).collect()
}

/// The mask of a set.
pub fn mask(set: &HashSet<Capability>) -> u64 {
    set.iter().fold(0, |mask, capability| mask | capability.bitmask())
}

/// The names of a mask, `CAP_NET_RAW, CAP_CHOWN`.
pub fn names(mask: u64) -> String {
    let mut all: Vec<_> = set(mask).into_iter().collect();
    all.sort_unstable_by_key(Capability::index);
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// All capabilities that have names, as a mask. What a newer kernel knows beyond them is never kept.
pub fn known() -> u64 {
    mask(&caps::all())
}

/// What this process is permitted.
///
/// # Errors
/// As capget(2).
pub fn own() -> Result<u64> {
    caps::read(None, CapSet::Permitted)
        .map(|set| mask(&set))
        .map_err(|_| Failure::new("capget", "", Errno::last()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_and_names_agree() {
        assert_eq!(names(1 << 13 | 1), "CAP_CHOWN, CAP_NET_RAW");
        assert_eq!(mask(&set(0x800405fb)), 0x800405fb);
        assert_eq!(known() & 1, 1);
    }
}
