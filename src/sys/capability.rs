//! Capability sets as masks, bit n for capability n.

use std::collections::HashSet;

use caps::{CapSet, Capability};
use nix::errno::Errno;

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
pub fn own() -> nix::Result<u64> {
    caps::read(None, CapSet::Permitted).map(|set| mask(&set)).map_err(|_| Errno::last())
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
