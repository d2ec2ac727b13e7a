//! Ids and capabilities: from root on the node to exactly what the plan says.

use std::collections::HashSet;

use caps::CapSet;
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::plan::Plan;
use super::{Failure, Result, Step};
use crate::sys::capability;
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
                // Past the last one that the kernel knows, unless it can be asked for.
                Err(Errno::EINVAL) if prctl(libc::PR_CAPBSET_READ, number, 0).is_err() => break,
                result => result.step("prctl", "bounding set")?,
            };
        }
    }
    let failed = |object: &'static str| move |_| Failure::new("capset", object, Errno::last());
    caps::clear(None, CapSet::Ambient).map_err(failed("ambient"))?;
    prctl(libc::PR_SET_SECUREBITS, 0, 0).step("prctl", "securebits")?;
    let wanted = capability::set(capabilities);
    caps::set(None, CapSet::Inheritable, &HashSet::new()).map_err(failed("inheritable"))?;
    caps::set(None, CapSet::Effective, &wanted).map_err(failed("effective"))?;
    caps::set(None, CapSet::Permitted, &wanted).map_err(failed("permitted"))?;
    let permitted = caps::read(None, CapSet::Permitted).map_err(failed("permitted"))?;
    if capability::mask(&permitted) == capabilities {
        Ok(())
    } else {
        Err(Failure::new("capset", "permitted", Errno::EPERM))
    }
}
