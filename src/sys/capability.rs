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

/// What this process's bounding set has.
///
/// # Errors
/// As prctl(2).
pub fn bounding() -> nix::Result<u64> {
    caps::read(None, CapSet::Bounding).map(|set| mask(&set)).map_err(|_| Errno::last())
}

/// What a file gives to who starts it, where it gives that at once (`cap_net_raw+ep`): the value of `security.capability`,
/// linux/capability.h. None for what counts in another user namespace.
pub fn given_at_once(value: &[u8]) -> Option<u64> {
    const REVISION_2: u32 = 0x0200_0000;
    const EFFECTIVE: u32 = 1;
    let word = |at: usize| Some(u32::from_le_bytes(value.get(at..at + 4)?.try_into().ok()?));
    (value.len() == 20 && word(0)? == REVISION_2 | EFFECTIVE)
        .then_some(u64::from(word(4)?) | u64::from(word(12)?) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_give_is_read_bounded() {
        let value = |magic: u32| {
            [magic, 1 << 12, 0, 1, 0].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()
        };
        assert_eq!(given_at_once(&value(0x0200_0001)), Some(1 << 12 | 1 << 32));
        for magic in [0x0200_0000, 0x0300_0001, 0x0100_0001] {
            assert_eq!(given_at_once(&value(magic)), None);
        }
        for end in 0..20 {
            assert_eq!(given_at_once(&value(0x0200_0001)[..end]), None);
        }
    }

    #[test]
    fn masks_and_names_agree() {
        assert_eq!(names(1 << 13 | 1), "CAP_CHOWN, CAP_NET_RAW");
        assert_eq!(mask(&set(0x800405fb)), 0x800405fb);
        assert_eq!(known() & 1, 1);
    }
}
