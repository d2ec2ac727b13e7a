//! `host-mounts`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::out::Name;
use crate::sys::mounts::{self, Mount};

pub const CHECK: Check = Check {
    id: "host-mounts",
    group: Group::Security,
    question: "Which of the node's files are mounted, and is a runtime's socket among them?",
    is_slow: false,
    run: Run::Inside(run),
};

/// Sockets by which whoever reaches them starts containers, and so is root of the node; by the last part of their paths,
/// and below the directories that they are in.
const SOCKETS: [&str; 6] =
    ["docker.sock", "containerd.sock", "crio.sock", "podman.sock", "cri-dockerd.sock", "buildkitd.sock"];
const BELOW: [&str; 12] = [
    "docker.sock",
    "run/docker.sock",
    "containerd/containerd.sock",
    "containerd.sock",
    "k3s/containerd/containerd.sock",
    "crio/crio.sock",
    "podman/podman.sock",
    "podman.sock",
    "run/containerd/containerd.sock",
    "run/crio/crio.sock",
    "run/podman/podman.sock",
    "var/run/docker.sock",
];

/// What the runtime itself mounts out of its own directories.
const OF_RUNTIME: [&str; 6] = [
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/dev/termination-log",
    "/run/.containerenv",
    "/run/secrets",
];

fn run(container: &Container) -> Vec<Found> {
    let mut found = Vec::new();
    for mount in mounts::visible(&container.mounts) {
        if let Some(path) = socket(mount) {
            let detail = "it is a container runtime's socket: who can write to it starts containers, and is root of the node";
            found.push(
                Found::warn(detail)
                    .about(&path)
                    .seen(format!("mounted at {}", Name::from(mount.target.as_slice()).spelled()))
                    .fix("mount it nowhere; what only looks can be given a proxy that lets nothing else through"),
            );
        } else if is_nodes(mount) {
            let access = if mount.is_read_only() { "to be read" } else { "to be read and written" };
            found.push(
                Found::note(format!("a directory or file of the node's file system is mounted, {access}"))
                    .about(OsStr::from_bytes(&mount.target))
                    .seen(format!(
                        "{} of {} ({})",
                        Name::from(mount.root.as_slice()).spelled(),
                        Name::from(mount.source.as_slice()).spelled(),
                        mount.kind
                    )),
            );
        }
    }
    found
}

/// A runtime's socket at the mount or below it.
fn socket(mount: &Mount) -> Option<std::path::PathBuf> {
    let is_socket =
        |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|facts| facts.file_type().is_socket());
    let target = Path::new(OsStr::from_bytes(&mount.target));
    // By the name that it has on the node, too: it may be mounted under another one.
    let named = [&mount.root, &mount.target].into_iter().any(|path| {
        let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        SOCKETS.iter().any(|name| name.as_bytes() == last)
    });
    if named && is_socket(target) {
        return Some(target.to_owned());
    }
    // Only file systems that hold sockets, and can't hang.
    if !matches!(mount.kind.as_str(), "tmpfs" | "ext4" | "xfs" | "btrfs" | "overlay") || mount.target == b"/"
    {
        return None;
    }
    BELOW.iter().map(|name| target.join(name)).find(|path| is_socket(path))
}

/// Whether it shows a part of a file system that is not the container's own: a bind mount.
fn is_nodes(mount: &Mount) -> bool {
    let is_disk = matches!(mount.kind.as_str(), "ext2" | "ext3" | "ext4" | "xfs" | "btrfs" | "zfs" | "f2fs");
    let is_part = mount.root != b"/";
    // Volumes that were made for the container are no business of the node's.
    let of_runtime =
        ["/volumes/", "/var/lib/kubelet/pods/", "/overlay-containers/", "/containers/", "/sandboxes/"];
    let root = String::from_utf8_lossy(&mount.root);
    let is_volume = of_runtime.iter().any(|part| root.contains(part));
    let is_usual = OF_RUNTIME.iter().any(|path| mount.target == path.as_bytes());
    is_disk && is_part && !is_volume && !is_usual && mount.target != b"/"
}
