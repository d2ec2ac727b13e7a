//! What the path of a cgroup says of the container that is in it.
//!
//! Runtimes name cgroups each in their way, by their systemd or cgroupfs driver: `docker-ID.scope`, `/docker/ID`,
//! `kubepods-burstable-podUID.slice/cri-containerd-ID.scope`, `/kubepods/burstable/podUID/ID`, and so on.
//!
//! Whoever may write to a cgroup's directory can make such names below it, so a name counts only where root gave it, and of
//! those the outermost: what is below a container's own cgroup may be that container's work. All other names are claims.

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
    /// The innermost systemd unit that the container is in, or is.
    pub unit: Option<String>,
    /// Whether it is a runtime's own process beside a container, in spite of the id in its name.
    pub is_shim: bool,
    /// A container's name that root did not give, or that is below another container.
    pub claim: Option<Claim>,
    /// The user of the first directory of the path that is not root's: below it, names are that user's.
    pub owner: Option<u32>,
}

/// What somebody other than root calls a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    /// An id of 64 hexadecimal digits, or a name.
    pub text: String,
    /// The runtime that names its containers so.
    pub runtime: Option<Runtime>,
    /// Whether it is in a pod.
    pub in_pod: bool,
}

/// Who gave the names in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ownership {
    /// How many of them are root's, from the outermost: a name is given by whom the directory above belongs to.
    pub named: usize,
    /// The user of the first directory that is not root's.
    pub owner: Option<u32>,
}

impl Ownership {
    /// Every name is root's.
    pub const ROOT: Self = Self { named: usize::MAX, owner: None };
    /// Nothing is known, and so no name is believed.
    pub const UNKNOWN: Self = Self { named: 0, owner: None };
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

/// The names in a path, outermost first. Of a process above our own cgroup namespace it begins with `/..`.
pub fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != "." && *part != "..")
}

impl Cgroup {
    /// Parses /proc/PID/cgroup: the lines of version 1, version 2 or both. `ownership` is asked who gave the names of a
    /// path in the hierarchy with these controllers.
    pub fn parse(file: &[u8], mut ownership: impl FnMut(&str, &str) -> Ownership) -> Self {
        let text = String::from_utf8_lossy(file);
        let mut best = Self::default();
        for line in text.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let found = Self::of_path(path, ownership(controllers, path));
            // Where hierarchies differ, systemd's own is worth more than others.
            let is_systemds = controllers == "name=systemd" || controllers.is_empty();
            if found.weight() > best.weight()
                || (found.weight() == best.weight()
                    && (best.path.len() <= 1 || is_systemds)
                    && path.len() > 1)
            {
                best = found;
            }
        }
        best
    }

    /// How much it says: a container is worth more than a unit, and what root says more than a claim.
    pub fn weight(&self) -> impl PartialOrd + use<> {
        let is_named = self.name.is_some() || self.is_shim;
        (self.id.is_some(), is_named, self.claim.is_some(), self.unit.is_some())
    }

    /// What one path says.
    pub fn of_path(path: &str, ownership: Ownership) -> Self {
        let parts: Vec<&str> = parts(path).collect();
        let above = |at: usize| at.checked_sub(1).and_then(|at| parts.get(at)).copied().unwrap_or_default();
        let mut found = Self { path: path.to_owned(), owner: ownership.owner, ..Self::default() };
        let mut rest = parts.len().min(ownership.named);
        for (at, part) in parts.iter().enumerate().take(rest) {
            found.pod_uid = pod_uid(part).or(found.pod_uid);
            if is_unit(part) {
                found.unit = Some((*part).to_owned());
            }
            if let Some(naming) = Naming::of(part, above(at)) {
                rest = at + 1;
                found.take(naming);
                break;
            }
        }
        let claims = parts.iter().enumerate().skip(rest);
        let claim = claims.map(|(at, part)| (at, Naming::of(part, above(at))));
        if !found.is_shim
            && let Some((at, naming)) = claim.into_iter().find_map(|(at, naming)| Some((at, naming?)))
        {
            found.is_shim = naming.is_shim && found.id.is_none() && found.name.is_none();
            let in_pod =
                naming.pod_uid.is_some() || parts.iter().take(at).any(|part| pod_uid(part).is_some());
            found.claim =
                naming.id.or(naming.name).map(|text| Claim { text, runtime: naming.runtime, in_pod });
        }
        found
    }

    /// Whether root says that it is a container's.
    pub fn is_container(&self) -> bool {
        self.id.is_some() || self.name.is_some()
    }

    fn take(&mut self, naming: Naming) {
        self.pod_uid = naming.pod_uid.or(self.pod_uid.take());
        (self.id, self.name) = (naming.id, naming.name);
        (self.runtime, self.is_shim) = (naming.runtime, naming.is_shim);
    }
}

/// What one name in a path says.
#[derive(Default)]
struct Naming {
    id: Option<String>,
    name: Option<String>,
    runtime: Option<Runtime>,
    pod_uid: Option<String>,
    is_shim: bool,
}

impl Naming {
    /// Nothing where it names no container.
    fn of(part: &str, above: &str) -> Option<Self> {
        let bare = part.strip_suffix(".scope").unwrap_or(part);
        // `SLICE:PREFIX:ID`: the systemd driver's notation in a runtime that has the other driver.
        let bare = match bare.rsplit_once(':') {
            Some((head, id)) if is_id(id) => {
                let prefix = head.rsplit(':').next().unwrap_or_default();
                let runtime = PREFIXES.iter().find(|(name, _)| *name == prefix).map(|(_, runtime)| *runtime);
                return Some(Self { pod_uid: head.split(':').find_map(pod_uid), ..Self::id(id, runtime) });
            }
            Some((_, id)) => id,
            None => bare,
        };
        if is_id(bare) && above != "libpod_parent" {
            let runtime = match above {
                "docker" => Some(Runtime::Docker),
                _ if pod_uid(above).is_some() => None,
                // containerd's namespaces.
                "default" | "k8s.io" | "moby" => Some(Runtime::Containerd),
                _ => None,
            };
            return Some(Self::id(bare, runtime));
        }
        if let Some((prefix, id)) = bare.rsplit_once('-')
            && is_id(id)
        {
            if SHIMS.contains(&prefix) {
                return Some(Self::shim());
            }
            if let Some((_, runtime)) = PREFIXES.iter().find(|(name, _)| *name == prefix) {
                return Some(Self::id(id, Some(*runtime)));
            }
        }
        Self::named(part, bare, above)
    }

    /// Containers that have a name alone.
    fn named(part: &str, bare: &str, above: &str) -> Option<Self> {
        let is_scope = part.ends_with(".scope");
        let (name, runtime) = if let Some(name) = bare.strip_prefix("runc-").filter(|_| is_scope) {
            (name, Some(Runtime::Runc))
        } else if let Some(name) = bare.strip_prefix("crun-").filter(|_| is_scope) {
            (name, Some(Runtime::Crun))
        } else if bare.starts_with("lxc.monitor")
            || bare == "lxc.pivot"
            || (bare == "conmon" && (is_id(above) || above == "libpod_parent"))
        {
            return Some(Self::shim());
        } else if let Some(name) = bare.strip_prefix("lxc.payload.") {
            (name, None)
        } else if above == "lxc" {
            (bare, None)
        } else if let Some(name) =
            part.strip_prefix("systemd-nspawn@").and_then(|name| name.strip_suffix(".service"))
        {
            (name, None)
        } else {
            (bare.strip_prefix("machine-").filter(|_| is_scope)?, None)
        };
        let name = Some(unescape(name)).filter(|name| !name.is_empty());
        name.map(|name| Self { name: Some(name), runtime, ..Self::default() })
    }

    fn id(id: &str, runtime: Option<Runtime>) -> Self {
        Self { id: Some(id.to_owned()), runtime, ..Self::default() }
    }

    fn shim() -> Self {
        Self { is_shim: true, ..Self::default() }
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
        named_to(path, usize::MAX)
    }

    /// The same, where only so many of the names are root's, and the rest the user's 1000.
    fn named_to(path: &str, named: usize) -> Cgroup {
        let path = path
            .replace("OTHER", OTHER)
            .replace("ID", ID)
            .replace("U_U", &UID.replace('-', "_"))
            .replace("UUU", UID);
        let owner = (named != usize::MAX).then_some(1000);
        Cgroup::of_path(&path, Ownership { named, owner })
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
            // CRI-O.
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_U.slice/crio-ID.scope",
                Some(CriO),
                true,
            ),
            ("/kubepods/besteffort/podUUU/crio-ID", Some(CriO), true),
            ("/kubepods.slice/kubepods-podU_U.slice/crio-ID.scope/container", Some(CriO), true),
            // podman: either driver, its own init inside.
            ("/libpod_parent/libpod-ID", Some(Podman), false),
            ("/machine.slice/libpod-ID.scope", Some(Podman), false),
            ("/machine.slice/libpod-ID.scope/container", Some(Podman), false),
            ("/machine.slice/machine-libpod_pod_OTHER.slice/libpod-ID.scope/container", Some(Podman), false),
            ("/libpod_parent/OTHER/libpod-ID", Some(Podman), false),
            ("/ecs/0123456789abcdef/ID", None, false),
        ] {
            let found = of(path);
            assert_eq!(found.id.as_deref(), Some(ID), "{path}");
            assert_eq!((found.runtime, found.is_shim), (runtime, false), "{path}");
            assert_eq!(found.pod_uid.as_deref(), pod.then_some(UID), "{path}");
            assert_eq!((found.claim, found.owner), (None, None), "{path}");
        }
    }

    // Seen to fail with the innermost name, and with every name believed.
    #[test]
    fn names_that_root_did_not_give_are_claims() {
        let user = "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container";
        for (path, named, id, claim) in [
            // kind and k3d, a node that is a container itself; and a container that makes another's name below its own.
            (
                "/docker/OTHER/kubelet.slice/kubepods-podU_U.slice/cri-containerd-ID.scope",
                usize::MAX,
                OTHER,
                ID,
            ),
            ("/docker/OTHER/kubepods/burstable/podUUU/ID", usize::MAX, OTHER, ID),
            ("/docker/OTHER/docker/ID", usize::MAX, OTHER, ID),
            ("/docker/OTHER/lxc/web", usize::MAX, OTHER, "web"),
            // A container with a user namespace owns its cgroup, whose name is root's all the same.
            ("/machine.slice/libpod-OTHER.scope/container/libpod-ID.scope", 2, OTHER, ID),
            ("/machine.slice/libpod-OTHER.scope/libpod-conmon-ID.scope", 2, OTHER, ""),
            (user, 3, "", ID),
            (user, 0, "", ID),
            ("/docker/ID", 1, "", ID),
            ("/docker/ID", 0, "", ID),
            ("/a/kubepods/podUUU/ID", 1, "", ID),
        ] {
            let found = named_to(path, named);
            assert_eq!(found.id.unwrap_or_default(), id, "{path}");
            assert_eq!(found.claim.map(|claim| claim.text).unwrap_or_default(), claim, "{path}");
            assert!(found.pod_uid.is_none() && !found.is_shim, "{path}");
        }
        let found = named_to(user, 3);
        assert_eq!((found.unit.as_deref(), found.owner), (Some("user@1000.service"), Some(1000)));
        assert!(named_to("/a/libpod-conmon-ID.scope", 1).is_shim);
    }

    // Seen to fail with one answer for all hierarchies.
    #[test]
    fn who_gave_a_name_is_asked_in_the_hierarchy_of_the_path() {
        let file = format!("5:pids:/user.slice\n1:name=systemd:/u/libpod-{ID}.scope\n0::/docker/{OTHER}\n");
        let of_user = |wanted: &'static str| {
            move |controllers: &str, _: &str| match controllers {
                _ if controllers == wanted => Ownership { named: 1, owner: Some(1000) },
                _ => Ownership::ROOT,
            }
        };
        let found = Cgroup::parse(file.as_bytes(), of_user("name=systemd"));
        assert_eq!((found.id.as_deref(), found.claim), (Some(OTHER), None));
        let found = Cgroup::parse(file.as_bytes(), of_user(""));
        assert_eq!((found.id.as_deref(), found.owner), (Some(ID), None));
        let none = Cgroup::parse(file.as_bytes(), |_, _| Ownership::UNKNOWN);
        assert!(!none.is_container() && none.claim.is_some());
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
            ("/lxc.payload.web/init.scope", Some("web"), None),
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
            let found = Cgroup::parse(file.replace("ID", ID).as_bytes(), |_, _| Ownership::ROOT);
            assert_eq!((found.id.as_deref(), found.runtime), (Some(ID), Some(Runtime::Docker)), "{file}");
        }
        let parse = |file: &[u8]| Cgroup::parse(file, |_, _| Ownership::ROOT);
        let unit = parse(b"9:memory:/system.slice\n1:name=systemd:/system.slice/a.service\n0::/\n");
        assert_eq!(unit.unit.as_deref(), Some("a.service"));
        for broken in [&b""[..], b"\n", b"x", b"1:2", b"\xff:\xff:\xff/\xff\n", b"0::\n"] {
            assert_eq!(parse(broken).id, None);
        }
    }
}
