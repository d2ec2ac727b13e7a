//! What a worker is to become: decided by the supervisor, obeyed by the worker.

use super::wire::{Reader, Writer};
use crate::target::namespace::KINDS;

/// Identity, namespaces and confinement of a session. Ids are the node's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Permitted and effective capabilities.
    pub capabilities: u64,
    /// Bounding set.
    pub bounding: u64,
    /// Namespaces to join, by place in [`KINDS`], with the inode that each must have.
    pub join: Vec<(usize, u64)>,
    /// The security label to take; empty for none.
    pub label: String,
    /// A label that can't be taken is fatal.
    pub strict: bool,
    /// What opens a file for writing or changes a directory is refused.
    pub read_only: bool,
    /// A process of the target may be able to take a command's process over: another one stands between its pipes and
    /// the supervisor (see [`super::guard`]).
    pub guarded: bool,
}

impl Plan {
    /// The CLONE_NEW flags of the namespaces to join.
    pub fn flags(&self) -> libc::c_int {
        self.join.iter().fold(0, |flags, (kind, _)| flags | KINDS[*kind].flag)
    }

    /// Whether a kind of namespace is joined.
    pub fn joins(&self, name: &str) -> bool {
        self.join.iter().any(|(kind, _)| KINDS[*kind].name == name)
    }

    /// As a message.
    pub fn encode(&self, to: &mut Writer) {
        to.number(self.uid.into()).number(self.gid.into()).number(self.groups.len() as u64);
        for group in &self.groups {
            to.number((*group).into());
        }
        to.number(self.capabilities).number(self.bounding).number(self.join.len() as u64);
        for (kind, inode) in &self.join {
            to.number(*kind as u64).number(*inode);
        }
        to.bytes(self.label.as_bytes()).number(self.strict.into()).number(self.read_only.into());
        to.number(self.guarded.into());
    }

    /// From a message; `None` if it is no plan.
    pub fn decode(from: &mut Reader) -> Option<Self> {
        let (uid, gid) = (from.small()?, from.small()?);
        // NGROUPS_MAX of linux/limits.h.
        let groups =
            (0..from.number().filter(|n| *n <= 65_536)?).map(|_| from.small()).collect::<Option<_>>()?;
        let (capabilities, bounding) = (from.number()?, from.number()?);
        let count = from.number().filter(|n| *n <= KINDS.len() as u64)?;
        let join = (0..count)
            .map(|_| Some((from.small().filter(|kind| *kind < KINDS.len())?, from.number()?)))
            .collect::<Option<_>>()?;
        let label = String::from_utf8(from.bytes()?.to_vec()).ok()?;
        let (strict, read_only, guarded) = (from.flag()?, from.flag()?, from.flag()?);
        Some(Self { uid, gid, groups, capabilities, bounding, join, label, strict, read_only, guarded })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_wire() {
        let plan = Plan {
            uid: 65532,
            gid: 1,
            groups: vec![1, 2],
            capabilities: 3,
            bounding: 7,
            join: vec![(0, 4), (7, 5)],
            label: "x".into(),
            strict: true,
            read_only: false,
            guarded: true,
        };
        let mut writer = Writer::new();
        plan.encode(&mut writer);
        let message = writer.finish();
        assert_eq!(Plan::decode(&mut Reader::new(&message)), Some(plan.clone()));
        assert_eq!(Plan::decode(&mut Reader::new(&message[..message.len() - 1])), None);
        assert!(plan.joins("user") && !plan.joins("net"));
    }
}
