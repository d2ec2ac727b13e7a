//! What a target can do to a process of ours in it so that it neither goes on nor ends: as the node sees it.

/// Some process of the target traces it.
pub const TRACED: &str = "a process of the target holds it back: it traces it";

/// It got SIGSTOP or the like.
const STOPPED: &str = "a process of the target has stopped it by a signal";

/// Nothing was heard of how it ended.
pub const UNREPORTED: &str = "it has ended, and the process of nsdbg that waits for it does not tell its status: it was stopped, killed or held up";

/// The status of a command whose own is kept by its tracer: as if killed.
pub const STATUS: u8 = 128 + libc::SIGKILL as u8;

/// Why a process does not go on, where that is the target's doing. `pid` is the node's number of a process that is not
/// reaped yet.
pub fn cause(pid: i32) -> Option<&'static str> {
    of_status(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn of_status(status: &str) -> Option<&'static str> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    match (field("TracerPid:"), field("State:")) {
        (Some(tracer), _) if tracer != "0" => Some(TRACED),
        (_, Some(state)) if state.starts_with('T') => Some(STOPPED),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracers_and_stops_are_told_apart() {
        for (status, cause) in [
            ("Name:\tnsdbg\nState:\tS (sleeping)\nTracerPid:\t0\n", None),
            ("Name:\tnsdbg\nState:\tT (stopped)\nTracerPid:\t0\n", Some(STOPPED)),
            ("Name:\tnsdbg\nState:\tt (tracing stop)\nTracerPid:\t77\n", Some(TRACED)),
            ("Name:\tnsdbg\nState:\tZ (zombie)\nTracerPid:\t77\n", Some(TRACED)),
            ("", None),
        ] {
            assert_eq!(of_status(status), cause, "{status}");
        }
    }
}
