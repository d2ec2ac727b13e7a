//! `capabilities`.

use caps::Capability;

use super::Powers;
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;

pub const CHECK: Check = Check {
    id: "capabilities",
    group: Group::Security,
    question: "Which capabilities does the target hold that reach beyond the container?",
    is_slow: false,
    run: Run::Outside(run),
};

/// Those that let it out, or at others, and how; capabilities(7).
const RISKY: [(Capability, &str); 18] = [
    (
        Capability::CAP_SYS_ADMIN,
        "mounts file systems, joins namespaces, and much more: nearly root of the node",
    ),
    (Capability::CAP_SYS_MODULE, "loads code into the kernel"),
    (
        Capability::CAP_SYS_PTRACE,
        "takes over any process that it sees; with the node's PID namespace, the node",
    ),
    (Capability::CAP_SYS_RAWIO, "reads and writes devices and memory past the kernel"),
    (Capability::CAP_SYS_BOOT, "starts the node again, or another kernel"),
    (Capability::CAP_SYS_TIME, "sets the node's clock"),
    (Capability::CAP_BPF, "loads programs into the kernel that see what others do"),
    (Capability::CAP_PERFMON, "sees what the kernel and other processes do"),
    (Capability::CAP_NET_ADMIN, "changes interfaces, routes and firewalls of its network namespace"),
    (Capability::CAP_NET_RAW, "forges packets, and reads those of its network namespace"),
    (Capability::CAP_DAC_READ_SEARCH, "reads any file that it can name, by handle past its root, too"),
    (Capability::CAP_DAC_OVERRIDE, "reads and writes files whatever their modes say"),
    (Capability::CAP_MAC_ADMIN, "changes the policy of a security module"),
    (Capability::CAP_MAC_OVERRIDE, "passes a security module by"),
    (Capability::CAP_SYSLOG, "reads the kernel's log, and its addresses"),
    (Capability::CAP_AUDIT_CONTROL, "turns the kernel's audit off"),
    (Capability::CAP_MKNOD, "makes device files"),
    (Capability::CAP_SETFCAP, "gives capabilities to programs"),
];

fn run(facts: &Facts) -> Vec<Found> {
    let Some(powers) = Powers::of(facts) else {
        return vec![Found::skip("the target's status can't be read")];
    };
    let within = if powers.is_mapped { ", within its own user namespace" } else { "" };
    RISKY
        .iter()
        .filter(|(capability, _)| powers.permitted & capability.bitmask() != 0)
        .map(|(capability, allows)| {
            let name = capability.to_string();
            let short = name.trim_start_matches("CAP_").to_owned();
            Found::note(format!("the target {allows}{within}"))
                .about(&name)
                .seen(format!("CapPrm {:016x}", powers.permitted))
                .fix(format!("where it is not needed: --cap-drop {short}, securityContext.capabilities.drop"))
        })
        .collect()
}
