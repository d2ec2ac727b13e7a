//! Which software made a container.

/// A container runtime, or what stands in for one.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// Docker.
    Docker,
    /// containerd, by its CRI plugin, ctr or nerdctl.
    Containerd,
    /// CRI-O.
    #[serde(rename = "cri-o")]
    CriO,
    /// Podman, with root or without.
    Podman,
    /// runc alone.
    Runc,
    /// crun alone.
    Crun,
    /// A systemd unit with namespaces of its own.
    Systemd,
    /// A kubelet's pod whose runtime is not known.
    Kubernetes,
    /// Namespaces that nobody we know has made.
    #[default]
    None,
}

impl Runtime {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Docker,
        Self::Containerd,
        Self::CriO,
        Self::Podman,
        Self::Runc,
        Self::Crun,
        Self::Systemd,
        Self::Kubernetes,
        Self::None,
    ];

    /// As `--runtime` takes it and tables show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Podman => "podman",
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Systemd => "systemd",
            Self::Kubernetes => "kubernetes",
            Self::None => "-",
        }
    }
}
