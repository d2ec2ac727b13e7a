//! Who to be inside: from the target's facts and the operator's options to a plan.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::rc::Rc;
use std::str::FromStr;

use caps::Capability;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::Options;
use crate::enter::plan::Plan;
use crate::out::Fault;
use crate::sys::capability;
use crate::sys::idmap::IdMap;
use crate::sys::passwd::Users;
use crate::target::facts::open_fault;
use crate::target::namespace::{self, KINDS};
use crate::target::{Facts, Target};

/// The plan, and what the person should know of it.
pub struct Identity {
    /// What workers become.
    pub plan: Plan,
    /// Sentences: capabilities that the target has and we lack, a shared PID namespace.
    pub notes: Vec<String>,
}

/// Decides who to be. `users` reads the container's passwd and group, for a `--user` that is a name.
///
/// # Errors
/// Options that can't be met.
pub fn decide(
    target: &Target,
    options: &Options,
    users: impl FnOnce() -> Result<Rc<Users>, Fault>,
) -> Result<Identity, Fault> {
    let facts = &target.facts;
    let own = capability::own().map_err(|errno| Fault::of("capget", errno).with_status(125))?;
    let mut plan = Plan {
        uid: facts.uid,
        gid: facts.gid,
        groups: facts.groups.clone(),
        capabilities: facts.capabilities.permitted,
        bounding: facts.capabilities.bounding,
        join: namespaces(target, &options.ns)?,
        label: wanted_label(&facts.label),
        strict: options.strict,
        read_only: options.read_only,
        guarded: false,
    };
    plan.guarded = may_be_taken_over(&plan, facts);
    if options.root {
        become_user(&mut plan, target, 0, 0, Vec::new())?;
        plan.capabilities = facts.capabilities.bounding;
    }
    if let Some(user) = &options.user {
        choose_user(&mut plan, target, user, users)?;
    }
    let added = parse_capabilities(&options.cap_add)?;
    // In a user namespace of the target's own, ours are all there are; elsewhere, what we hold ourselves.
    let held = if plan.joins("user") { capability::known() } else { own & capability::known() };
    if added & !held != 0 {
        let cause = format!("nsdbg itself lacks {}", capability::names(added & !held));
        return Err(Fault::of("--cap-add", cause).with_status(125));
    }
    plan.capabilities |= added;
    let mut notes = Vec::new();
    let missing = plan.capabilities & !held;
    if missing != 0 {
        notes.push(format!(
            "the target has capabilities that nsdbg lacks, and so does the session: {}",
            capability::names(missing)
        ));
    }
    plan.capabilities &= held;
    if !plan.joins("pid") && !options.ns.iter().any(|ns| ns.ends_with("pid")) {
        notes.push("the target shares the node's PID namespace: it can see nsdbg's processes".to_owned());
    }
    Ok(Identity { plan, notes })
}

/// Whether a process of the target may have CAP_SYS_PTRACE over one of ours. The root of a user namespace of the target's
/// own has it only there, and nsdbg's program began elsewhere. A target that is not the first of its PID namespace may
/// share that with others, which may have more than it has.
fn may_be_taken_over(plan: &Plan, facts: &Facts) -> bool {
    const SYS_PTRACE: u64 = 1 << 19;
    let capabilities = facts.capabilities.permitted | facts.capabilities.bounding;
    !plan.joins("user") && (capabilities & SYS_PTRACE != 0 || facts.pid_inside != 1)
}

/// The namespaces in which the target is and we are not, without those left out by `--ns`.
fn namespaces(target: &Target, left_out: &[String]) -> Result<Vec<(usize, u64)>, Fault> {
    let mut skip = Vec::new();
    for word in left_out {
        let name = word.strip_prefix('-').unwrap_or(word);
        let fault = |cause: &'static str| Err(Fault::text("--ns", word, cause).with_status(2));
        match namespace::kind(name) {
            None => return fault("no namespace: one of cgroup, ipc, net, pid, time, uts"),
            Some(_) if matches!(name, "user" | "mnt") => {
                return fault("can't be left out: nsdbg would be root of the node");
            }
            Some(_) if !word.starts_with('-') => {
                return fault("only leaves namespaces out: write a - before it");
            }
            Some(kind) => skip.push(kind.name),
        }
    }
    let own = open("/proc/self", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| Fault::errno("open", "/proc/self", errno).with_status(125))?;
    let mut join = Vec::new();
    for (at, (kind, inode)) in KINDS.iter().zip(target.facts.namespaces).enumerate() {
        let Some(inode) = inode.filter(|_| !skip.contains(&kind.name)) else { continue };
        let ours = namespace::inode(&own, kind.path).map_err(|errno| {
            let path = format!("/proc/self/{}", kind.path.to_string_lossy());
            Fault::errno("stat", path, errno).with_status(125)
        })?;
        if ours != inode {
            join.push((at, inode));
        }
    }
    Ok(join)
}

/// The label to take, or none where the target has none or the kernel gives everybody the same.
fn wanted_label(target: &str) -> String {
    let own = std::fs::read_to_string("/proc/self/attr/current").unwrap_or_default();
    let own = own.trim_end_matches(['\n', '\0']);
    if target == own || target.is_empty() || target == "unconfined" {
        String::new()
    } else {
        target.to_owned()
    }
}

/// `UID`, `UID:GID` or `NAME`, as the container counts.
fn choose_user(
    plan: &mut Plan,
    target: &Target,
    user: &str,
    users: impl FnOnce() -> Result<Rc<Users>, Fault>,
) -> Result<(), Fault> {
    let fault = |cause: String| Fault::text("--user", user, cause).with_status(125);
    let (uid, gid) = match user.split_once(':') {
        Some((uid, gid)) => (uid, Some(gid)),
        None => (user, None),
    };
    let number = |text: &str| text.parse::<u32>().ok().filter(|id| *id != u32::MAX);
    let explicit = match gid.map(number) {
        Some(None) => return Err(fault("no group id: a number after the colon".into()).with_status(2)),
        Some(gid) => gid,
        None => None,
    };
    let (uid, gid, groups) = if let Some(uid) = number(uid) {
        // A number alone has group 0, as runtimes do it, unless passwd knows better.
        match (
            explicit,
            users().ok().and_then(|users| users.user(uid).map(|u| (u.gid, users.groups_of(u.name)))),
        ) {
            (Some(gid), _) => (uid, gid, Vec::new()),
            (None, Some((gid, groups))) => (uid, gid, groups),
            (None, None) => (uid, 0, Vec::new()),
        }
    } else {
        let users = users()?;
        let found = users
            .user_named(uid)
            .ok_or_else(|| fault("the container's /etc/passwd has no such user: give a number".into()))?;
        (found.uid, explicit.unwrap_or(found.gid), users.groups_of(uid))
    };
    let host_uid = plan.uid;
    become_user(plan, target, uid, gid, groups)?;
    // As after setuid(2): another user than root holds nothing, unless it is what the target runs as anyway.
    if plan.uid != host_uid && uid != 0 {
        plan.capabilities = 0;
    }
    Ok(())
}

/// Maps ids of the container to the node's.
fn become_user(plan: &mut Plan, target: &Target, uid: u32, gid: u32, groups: Vec<u32>) -> Result<(), Fault> {
    let map = |file: &CStr| {
        let mut bytes = Vec::new();
        target
            .open_in_proc(file, OFlag::O_RDONLY)
            .map_err(io::Error::from)
            .and_then(|map| File::from(map).read_to_end(&mut bytes))
            .map(|_| IdMap::parse(&bytes))
            .map_err(|error| {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
                open_fault(target.pid, file, errno)
            })
    };
    let (uids, gids) = (map(c"uid_map")?, map(c"gid_map")?);
    let unmapped = |kind: &'static str, id: u32| {
        Fault::text(kind, id.to_string(), "is not mapped in the target's user namespace").with_status(125)
    };
    plan.uid = uids.outside(uid).ok_or_else(|| unmapped("uid", uid))?;
    plan.gid = gids.outside(gid).ok_or_else(|| unmapped("gid", gid))?;
    plan.groups = groups
        .into_iter()
        .map(|group| gids.outside(group).ok_or_else(|| unmapped("gid", group)))
        .collect::<Result<_, _>>()?;
    Ok(())
}

fn parse_capabilities(names: &[String]) -> Result<u64, Fault> {
    let mut mask = 0;
    for name in names {
        let upper = name.to_ascii_uppercase();
        if upper == "ALL" {
            return Ok(capability::known());
        }
        let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        let capability = Capability::from_str(&full).map_err(|_| {
            Fault::text("--cap-add", name, "unknown capability (see capabilities(7))").with_status(2)
        })?;
        mask |= capability.bitmask();
    }
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_by_any_spelling() {
        let parse =
            |names: &[&str]| parse_capabilities(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(parse(&["net_raw", "CAP_CHOWN"]), Ok(1 << 13 | 1));
        assert_eq!(parse(&["nope"]).unwrap_err().status, 2);
    }
}
