//! What the path of a cgroup says of the container that is in it.
//!
//! Runtimes name cgroups each in their way, by their systemd or cgroupfs driver: `docker-ID.scope`, `/docker/ID`,
//! `kubepods-burstable-podUID.slice/cri-containerd-ID.scope`, `/kubepods/burstable/podUID/ID`, and so on. The innermost
//! name counts, since a container may hold others.

use super::runtime::Runtime;

/// The cgroup of a process, and what its path says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cgroup {
    /// The path that says most, of all hierarchies.
    pub path: String,
    /// The container's id: 64 hexadecimal digits.
    pub id: Option<String>,
    /// The runtime, where the path tells.
    pub runtime: Option<Runtime>,
    /// The UID of the pod, with dashes.
    pub pod_uid: Option<String>,
    /// The name of a container of software that has names in place of ids (LXC, nspawn, runc, crun).
    pub name: Option<String>,
    /// The innermost systemd unit.
    pub unit: Option<String>,
    /// Whether it is a runtime's own process beside a container, in spite of the id in its name.
    pub is_shim: bool,
}

/// Prefixes of `PREFIX-ID` and `PREFIX-ID.scope`.
const PREFIXES: [(&str, Runtime); 6] = [
    ("docker", Runtime::Docker),
    ("cri-containerd", Runtime::Containerd),
    ("nerdctl", Runtime::Containerd),
    ("crio", Runtime::CriO),
    ("libpod", Runtime::Podman),
    ("libpod-payload", Runtime::Podman),
];

/// The same of a runtime's own processes.
const SHIMS: [&str; 2] = ["crio-conmon", "libpod-conmon"];

impl Cgroup {
    /// Parses /proc/PID/cgroup: the lines of version 1, version 2 or both.
    pub fn parse(file: &[u8]) -> Self {
        let text = String::from_utf8_lossy(file);
        let mut best = Self::default();
        for line in text.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let found = Self::of_path(path);
            // Where hierarchies differ: a container is worth more than a unit, and systemd's own more than others.
            let weight = |cgroup: &Self| {
                (cgroup.id.is_some(), cgroup.name.is_some() || cgroup.is_shim, cgroup.unit.is_some())
            };
            let is_systemds = controllers == "name=systemd" || controllers.is_empty();
            if weight(&found) > weight(&best)
                || (weight(&found) == weight(&best)
                    && (best.path.len() <= 1 || is_systemds)
                    && path.len() > 1)
            {
                best = found;
            }
        }
        best
    }

    /// What one path says. Of a process above our own cgroup namespace it begins with `/..`.
    pub fn of_path(path: &str) -> Self {
        let parts: Vec<&str> =
            path.split('/').filter(|part| !part.is_empty() && *part != "." && *part != "..").collect();
        let mut found = Self { path: path.to_owned(), ..Self::default() };
        found.pod_uid = parts.iter().rev().find_map(|part| pod_uid(part));
        for (at, part) in parts.iter().enumerate().rev() {
            if is_unit(part) && found.unit.is_none() {
                found.unit = Some((*part).to_owned());
            }
            let above = at.checked_sub(1).and_then(|above| parts.get(above)).copied().unwrap_or_default();
            if found.take(part, above) {
                break;
            }
        }
        // A pod's UID above a container that is not the kubelet's is that of the container around it.
        if found.id.is_none() && found.name.is_none() && found.pod_uid.is_none() {
            found.runtime = None;
        }
        found
    }

    /// Takes what a part says; whether it names a container.
    fn take(&mut self, part: &str, above: &str) -> bool {
        let bare = part.strip_suffix(".scope").unwrap_or(part);
        // `SLICE:PREFIX:ID`: the systemd driver's notation in a runtime that has the other driver.
        let bare = match bare.rsplit_once(':') {
            Some((head, id)) => {
                let prefix = head.rsplit(':').next().unwrap_or_default();
                if is_id(id) {
                    self.id = Some(id.to_owned());
                    self.runtime =
                        PREFIXES.iter().find(|(name, _)| *name == prefix).map(|(_, runtime)| *runtime);
                    self.pod_uid = self.pod_uid.take().or_else(|| head.split(':').find_map(pod_uid));
                    return true;
                }
                id
            }
            None => bare,
        };
        if is_id(bare) && above != "libpod_parent" {
            self.id = Some(bare.to_owned());
            self.runtime = match above {
                "docker" => Some(Runtime::Docker),
                _ if pod_uid(above).is_some() => None,
                // containerd's namespaces.
                "default" | "k8s.io" | "moby" => Some(Runtime::Containerd),
                _ => None,
            };
            return true;
        }
        if let Some((prefix, id)) = bare.rsplit_once('-')
            && is_id(id)
        {
            if SHIMS.contains(&prefix) {
                self.is_shim = true;
                return true;
            }
            if let Some((_, runtime)) = PREFIXES.iter().find(|(name, _)| *name == prefix) {
                self.id = Some(id.to_owned());
                self.runtime = Some(*runtime);
                return true;
            }
        }
        self.take_name(part, bare, above)
    }

    /// Containers that have a name alone.
    fn take_name(&mut self, part: &str, bare: &str, above: &str) -> bool {
        let is_scope = part.ends_with(".scope");
        let (name, runtime) = if let Some(name) = bare.strip_prefix("runc-").filter(|_| is_scope) {
            (name, Some(Runtime::Runc))
        } else if let Some(name) = bare.strip_prefix("crun-").filter(|_| is_scope) {
            (name, Some(Runtime::Crun))
        } else if bare.starts_with("lxc.monitor")
            || bare == "lxc.pivot"
            || (bare == "conmon" && (is_id(above) || above == "libpod_parent"))
        {
            self.is_shim = true;
            return true;
        } else if let Some(name) = bare.strip_prefix("lxc.payload.") {
            (name, None)
        } else if above == "lxc" {
            (bare, None)
        } else if let Some(name) =
            part.strip_prefix("systemd-nspawn@").and_then(|name| name.strip_suffix(".service"))
        {
            (name, None)
        } else if let Some(name) = bare.strip_prefix("machine-").filter(|_| is_scope) {
            (name, None)
        } else {
            return false;
        };
        if name.is_empty() {
            return false;
        }
        self.name = Some(unescape(name));
        self.runtime = runtime;
        true
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_unit(part: &str) -> bool {
    [".service", ".scope", ".slice", ".socket", ".mount"].iter().any(|kind| part.ends_with(kind))
}

/// The UID in `podUID`, or in `kubepods-burstable-podUID.slice`, where dashes are underscores. A static pod's has no
/// dashes.
fn pod_uid(part: &str) -> Option<String> {
    let uid = match part.strip_suffix(".slice") {
        Some(slice) => slice
            .rsplit_once("-pod")
            .filter(|(head, _)| head.contains("kubepods"))
            .map(|(_, uid)| uid)
            .or_else(|| slice.strip_prefix("kubepods-pod"))?,
        None => part.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    let digits = uid.bytes().filter(|byte| byte.is_ascii_hexdigit()).count();
    let is_uid = digits == 32 && (uid.len() == 32 || (uid.len() == 36 && uid.matches('-').count() == 4));
    is_uid.then_some(uid)
}

/// A name as systemd escapes it in units: `a\x2db` is `a-b`.
fn unescape(name: &str) -> String {
    let mut parts = name.split("\\x");
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                out.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                out.extend_from_slice(b"\\x");
                out.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f2a9c0d1e4b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeef";
    const UID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    const OTHER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn of(path: &str) -> Cgroup {
        Cgroup::of_path(
            &path
                .replace("OTHER", OTHER)
                .replace("ID", ID)
                .replace("U_U", &UID.replace('-', "_"))
                .replace("UUU", UID),
        )
    }

    #[test]
    fn paths_of_every_runtime() {
        use Runtime::{Containerd, CriO, Docker, Podman};
        for (path, runtime, pod) in [
            // Docker: cgroupfs, systemd, in another's cgroup namespace, with a parent of its own.
            ("/docker/ID", Some(Docker), false),
            ("/system.slice/docker-ID.scope", Some(Docker), false),
            ("/../../docker/ID", Some(Docker), false),
            ("/../../system.slice/docker-ID.scope", Some(Docker), false),
            ("/batch.slice/docker-ID.scope", Some(Docker), false),
            ("/docker/ID/init.scope", Some(Docker), false),
            // containerd: ctr, nerdctl, CRI with either driver, and with the two mixed up.
            ("/default/ID", Some(Containerd), false),
            ("/k8s.io/ID", Some(Containerd), false),
            ("/user.slice/nerdctl-ID.scope", Some(Containerd), false),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_U.slice/cri-containerd-ID.scope",
                Some(Containerd),
                true,
            ),
            ("/kubepods.slice/kubepods-podU_U.slice/cri-containerd-ID.scope", Some(Containerd), true),
            (
                "/system.slice/containerd.service/kubepods-besteffort-podU_U.slice:cri-containerd:ID",
                Some(Containerd),
                true,
            ),
            ("/kubepods/burstable/podUUU/ID", None, true),
            ("/kubepods/besteffort/podUUU/ID", None, true),
            ("/kubepods/podUUU/ID", None, true),
            // kind and k3d: a node that is a container itself.
            (
                "/docker/OTHER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-podU_U.slice/cri-containerd-ID.scope",
                Some(Containerd),
                true,
            ),
            ("/docker/OTHER/kubepods/burstable/podUUU/ID", None, true),
            // CRI-O.
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_U.slice/crio-ID.scope",
                Some(CriO),
                true,
            ),
            ("/kubepods/besteffort/podUUU/crio-ID", Some(CriO), true),
            ("/kubepods.slice/kubepods-podU_U.slice/crio-ID.scope/container", Some(CriO), true),
            // podman: root with either driver, no root, its own init inside.
            ("/libpod_parent/libpod-ID", Some(Podman), false),
            ("/machine.slice/libpod-ID.scope", Some(Podman), false),
            ("/machine.slice/libpod-ID.scope/container", Some(Podman), false),
            ("/machine.slice/machine-libpod_pod_OTHER.slice/libpod-ID.scope/container", Some(Podman), false),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
                Some(Podman),
                false,
            ),
            ("/libpod_parent/OTHER/libpod-ID", Some(Podman), false),
            ("/ecs/0123456789abcdef/ID", None, false),
        ] {
            let found = of(path);
            assert_eq!(found.id.as_deref(), Some(ID), "{path}");
            assert_eq!((found.runtime, found.is_shim), (runtime, false), "{path}");
            assert_eq!(found.pod_uid.as_deref(), pod.then_some(UID), "{path}");
        }
    }

    #[test]
    fn shims_are_no_containers() {
        for path in [
            "/kubepods.slice/kubepods-podU_U.slice/crio-conmon-ID.scope",
            "/machine.slice/libpod-conmon-ID.scope",
            "/libpod_parent/conmon/libpod-conmon-ID",
            "/lxc.monitor.web",
            "/libpod_parent/conmon",
            // Of a pod, which is no container.
            "/libpod_parent/ID/conmon",
        ] {
            let found = of(path);
            assert!(found.is_shim && found.id.is_none(), "{path}: {found:?}");
        }
        assert_eq!(of("/libpod_parent/ID").id, None);
    }

    #[test]
    fn names_units_and_the_rest() {
        for (path, name, unit) in [
            ("/system.slice/runc-web.scope", Some("web"), Some("runc-web.scope")),
            ("/system.slice/crun-a\\x2db.scope", Some("a-b"), Some("crun-a\\x2db.scope")),
            ("/lxc.payload.web/init.scope", Some("web"), Some("init.scope")),
            ("/lxc/web", Some("web"), None),
            (
                "/machine.slice/systemd-nspawn@web.service/payload",
                Some("web"),
                Some("systemd-nspawn@web.service"),
            ),
            ("/machine.slice/machine-web.scope", Some("web"), Some("machine-web.scope")),
            ("/system.slice/nginx.service", None, Some("nginx.service")),
            ("/user.slice/user-0.slice/session-2.scope", None, Some("session-2.scope")),
            ("/", None, None),
            ("/kubepods/podnonsense/web", None, None),
            ("/docker/short", None, None),
            ("", None, None),
            ("/../..", None, None),
            ("/machine.slice/machine-.scope", None, Some("machine-.scope")),
        ] {
            let found = of(path);
            assert_eq!(
                (found.name.as_deref(), found.unit.as_deref(), found.id),
                (name, unit, None),
                "{path}"
            );
        }
        // The kubelet's pods of which only the UID is known.
        let found = of("/kubepods/besteffort/podUUU/web");
        assert_eq!((found.pod_uid.as_deref(), found.id), (Some(UID), None));
        assert_eq!(
            of("/kubepods.slice/kubepods-pod0f1e2d3c4b5a69788796a5b4c3d2e1f0.slice/cri-containerd-ID.scope")
                .pod_uid
                .as_deref(),
            Some("0f1e2d3c4b5a69788796a5b4c3d2e1f0")
        );
    }

    #[test]
    fn hierarchies_of_both_versions() {
        let files = [
            "12:pids:/docker/ID\n1:name=systemd:/docker/ID\n0::/system.slice/docker.service\n",
            "0::/docker/ID\n",
            "12:pids:/\n1:name=systemd:/\n0::/docker/ID\n",
            "12:pids:/system.slice/x.service\n5:cpu,cpuacct:/docker/ID\n0::/\n",
        ];
        for file in files {
            let found = Cgroup::parse(file.replace("ID", ID).as_bytes());
            assert_eq!((found.id.as_deref(), found.runtime), (Some(ID), Some(Runtime::Docker)), "{file}");
        }
        let unit = Cgroup::parse(b"9:memory:/system.slice\n1:name=systemd:/system.slice/a.service\n0::/\n");
        assert_eq!(unit.unit.as_deref(), Some("a.service"));
        for broken in [&b""[..], b"\n", b"x", b"1:2", b"\xff:\xff:\xff/\xff\n", b"0::\n"] {
            assert_eq!(Cgroup::parse(broken).id, None);
        }
    }
}
