//! What a denied permission takes: a capability, where owners and modes alone say no.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::statfs::{FUSE_SUPER_MAGIC, FsType, NFS_SUPER_MAGIC, PROC_SUPER_MAGIC, statfs};
use nix::unistd::{AccessFlags, faccessat};

use super::Fault;
use crate::out::name::shell_quoted;

/// File systems that refuse by rules of their own, which the capability does not lift.
const OTHER_RULES: [FsType; 3] = [PROC_SUPER_MAGIC, FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC];

/// Operations whose object may be an address.
const ON_ADDRESSES: [&str; 4] = ["ask", "bind", "connect", "send"];

/// The fault of a process inside, with a hint where a file is denied: `why PATH` tells the reason, and a process without
/// CAP_DAC_OVERRIDE may need that alone.
pub fn explain(fault: Fault) -> Fault {
    let is_denied = fault.raw_errno() == Some(libc::EACCES) && fault.hint.is_none();
    let path = fault.object.as_deref().map(|object| Path::new(OsStr::from_bytes(object)));
    // An address that a route prohibits is denied, too; it is no name in the working directory.
    let is_of_file = |path: &Path| path.is_absolute() || !ON_ADDRESSES.contains(&fault.op.as_ref());
    let Some(path) = path.filter(|path| is_denied && is_of_file(path)) else { return fault };
    let why = format!("why {}", shell_quoted(path.as_os_str().as_bytes()));
    let hint = if lacks_override() && is_refused_by_mode(path) {
        format!("{why}, or --cap-add DAC_OVERRIDE")
    } else {
        why
    };
    fault.with_hint(hint)
}

fn lacks_override() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_DAC_OVERRIDE).is_ok_and(|has| !has)
}

/// Whether access(2), which asks for owners and modes, refuses too: the path, to read or write it, or to make it.
fn is_refused_by_mode(path: &Path) -> bool {
    let asks = |path: &Path, mode| faccessat(AT_FDCWD, path, mode, AtFlags::AT_EACCESS);
    let refuses = |path: &Path, mode| asks(path, mode) == Err(Errno::EACCES);
    let refused = match asks(path, AccessFlags::F_OK) {
        Ok(()) => refuses(path, AccessFlags::R_OK) || refuses(path, AccessFlags::W_OK),
        Err(Errno::ENOENT) => path.parent().is_some_and(|parent| refuses(or_here(parent), AccessFlags::W_OK)),
        Err(errno) => errno == Errno::EACCES,
    };
    let file_system = || path.ancestors().find_map(|place| statfs(or_here(place)).ok());
    refused && file_system().is_some_and(|found| !OTHER_RULES.contains(&found.filesystem_type()))
}

/// The parent of a name alone is the working directory.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}
