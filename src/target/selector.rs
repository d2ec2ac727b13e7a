//! What the operator may type to name a target.

use crate::out::Fault;

/// The target as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// A PID of the node.
    Pid(i32),
}

impl Selector {
    /// Parses a TARGET: all digits, or `pid:` and digits.
    ///
    /// # Errors
    /// A usage fault that says what a target looks like.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let digits = text.strip_prefix("pid:").unwrap_or(text);
        let wrong = |why: &'static str| Err(Fault::text("target", text, why).with_status(2));
        match digits.parse::<i64>() {
            Ok(pid @ 1..=0x3f_ffff) => Ok(Self::Pid(pid as i32)),
            Ok(0) => wrong("PIDs begin at 1"),
            Ok(_) => wrong("no PID: 1 to 4194303"),
            Err(_) if digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty() => {
                wrong("no PID: 1 to 4194303")
            }
            Err(_) => wrong("no PID: a target is named by its number, as in nsdbg --pid 4242"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pids_are_targets() {
        for (text, pid) in [("1", Some(1)), ("pid:4242", Some(4242)), ("4194303", Some(4_194_303))] {
            assert_eq!(Selector::parse(text).ok(), pid.map(Selector::Pid), "{text}");
        }
        for text in ["0", "-1", "4194304", "99999999999999999999", "", "web-0", "1x", "pid:", "+"] {
            assert_eq!(Selector::parse(text).unwrap_err().status, 2, "{text}");
        }
    }
}
