//! `capabilities`.

use caps::Capability;

use super::Powers;
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::facts::Facts;

pub const CHECK: Check = Check {
    id: "capabilities",
    group: Group::Security,
    question: "Which of the target's capabilities reach beyond the container?",
    is_slow: false,
    run: Run::Outside(run),
};

/// Those that let it out, or at others, and how; capabilities(7).
const RISKY: [(Capability, &str); 18] = [
    (
        Capability::CAP_SYS_ADMIN,
        "can mount file systems, join namespaces and much more: it is nearly root on the node",
    ),
    (Capability::CAP_SYS_MODULE, "can load code into the kernel"),
    (
        Capability::CAP_SYS_PTRACE,
        "can take over any process that it sees; with the node's PID namespace, the node",
    ),
    (Capability::CAP_SYS_RAWIO, "can access devices and memory directly, past the kernel"),
    (Capability::CAP_SYS_BOOT, "can reboot the node, or load another kernel"),
    (Capability::CAP_SYS_TIME, "can set the node's clock"),
    (Capability::CAP_BPF, "can load BPF programs that see what other processes do"),
    (Capability::CAP_PERFMON, "can trace the kernel and other processes"),
    (Capability::CAP_NET_ADMIN, "can change interfaces, routes and firewalls of its network namespace"),
    (Capability::CAP_NET_RAW, "can forge packets, and read those of its network namespace"),
    (Capability::CAP_DAC_READ_SEARCH, "can read any file, and by file handle those outside its root"),
    (Capability::CAP_DAC_OVERRIDE, "can read and write files whatever their modes"),
    (Capability::CAP_MAC_ADMIN, "can change a security module's policy"),
    (Capability::CAP_MAC_OVERRIDE, "can bypass a security module"),
    (Capability::CAP_SYSLOG, "can read the kernel log and kernel addresses"),
    (Capability::CAP_AUDIT_CONTROL, "can turn off kernel auditing"),
    (Capability::CAP_MKNOD, "can create device files"),
    (Capability::CAP_SETFCAP, "can set file capabilities"),
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
